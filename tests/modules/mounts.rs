//! `mount` with real mounts, in a mount namespace of its own so that the machine never sees them.

use crate::host::{Host, Shell, Step};
use serde_json::{Value as Json, json};

#[test]
fn mounts_for_real_in_a_namespace() {
    crate::host::in_a_mount_namespace("mounts::inside");
}

/// Changed or not, as ansible.posix answered to the same steps.
#[test]
#[ignore = "run by the test above, in a namespace"]
fn inside() {
    let shells = Shell::all();
    let host = Host::new(&shells[0]);
    host.set_up(": > fstab; printf '[unrelated]\\n' > keep");
    let mount = |mut args: Json| {
        args["fstab"] = "[ROOT]/fstab".into();
        args["path"] = "[ROOT]/m/n o".into();
        host.run(&Step { module: "mount".into(), args, check: false })
    };
    let mounted = |size: &str| json!({"src": "tmpfs", "fstype": "tmpfs", "opts": format!("size={size}"), "state": "mounted"});
    for (args, changed) in [
        (json!({"state": "unmounted"}), false),
        (mounted("1m"), true),
        (mounted("1m"), false),
        (mounted("2m"), true),
        (json!({"state": "remounted"}), true),
        (json!({"state": "unmounted"}), true),
        (mounted("2m"), true),
        (json!({"state": "absent"}), true),
        (json!({"state": "absent"}), false),
        (json!({"state": "ephemeral", "src": "tmpfs", "fstype": "tmpfs"}), true),
        (json!({"state": "unmounted"}), true),
    ] {
        let returned = mount(args.clone());
        assert_eq!(returned["changed"], changed, "{args}: {returned}");
    }
    let broken = mount(json!({"src": "/no/such/device", "fstype": "ext4", "state": "mounted"}));
    assert_eq!(broken["failed"], true, "{broken}");
    let tree = host.tree();
    assert!(tree.contains(&"f 0644 fstab \"\"".to_owned()), "an entry that cannot be mounted is taken back: {tree:?}");
}
