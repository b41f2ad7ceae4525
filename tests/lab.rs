//! The system modules on a real host: systemd, apt, users, fstab, a reboot. Nothing is changed in check mode, and nothing the second time.

mod support;

use std::path::Path;
use std::process::{Output, Stdio};
use support::{Lab, nodewright, project, said, skip, text, total};

#[test]
fn system_modules_on_a_host() {
    let lab = match Lab::up("modules", &["--nodes", "1", "--packages", "real"]) {
        Ok(lab) => lab,
        Err(why) => return skip("system_modules_on_a_host", &why),
    };
    // Check mode downloads nothing, so apt has to know its packages before.
    let updated = lab.on("node-1", "apt-get update");
    assert!(updated.status.success(), "{}", said(&updated));
    let untouched = state(&lab);
    let checked = run(&lab, "site.yaml", &["--check", "--diff"]);
    assert!(total(&checked, "changed") >= 8, "check mode foretold too little:\n{checked}");
    assert_eq!(state(&lab), untouched, "check mode changed the host");

    let first = run(&lab, "site.yaml", &[]);
    assert!(total(&first, "changed") >= 9, "{first}");
    let there = text(
        &lab.on(
            "node-1",
            "id deploy; cat /etc/fstab; hostname; systemctl is-enabled hello; dpkg --get-selections tree; findmnt -no SIZE /mnt/scratch",
        )
        .stdout,
    );
    for part in ["uid=4711(deploy) gid=4711(deploy)", "(adm)", "/swap.img none swap sw 0 0", "renamed", "enabled", "hold", "1M"] {
        assert!(there.contains(part), "`{part}` is not in:\n{there}");
    }
    let second = run(&lab, "site.yaml", &[]);
    assert_eq!(total(&second, "changed"), 0, "{second}");

    run(&lab, "reboot.yaml", &[]);
    go_on_after_a_reboot(&lab);

    // apt waits for whoever holds the lock, and says who it is.
    let mut holder = lab
        .command(&["ssh", "node-1", "--", "sudo", "python3", "-c", &format!("'{}'", HOLD.replace('\'', "\""))])
        .spawn()
        .expect("the binary starts");
    while !lab.on("node-1", "test -e /run/held").status.success() {}
    let waited = try_run(&lab, "locked.yaml", &["-v"]);
    holder.wait().expect("the holder ends");
    assert!(waited.status.success(), "{}", said(&waited));
    let words = said(&waited);
    assert!(words.contains("waiting for apt's lock, held by python3"), "{words}");
}

/// A controller that is killed when it has set off a reboot, and the run that goes on.
fn go_on_after_a_reboot(lab: &Lab) {
    let state = tempfile::tempdir().expect("a scratch folder");
    let command = |args: &[&str]| {
        let mut command = nodewright();
        command.env_remove("NODEWRIGHT_JOURNAL").env("XDG_STATE_HOME", state.path()).current_dir(project()).args(args);
        command
    };
    let inventory = lab.inventory().display().to_string();
    let mut run =
        command(&["run", "-i", &inventory, "tests/lab/cut_reboot.yaml"]).stdout(Stdio::null()).spawn().expect("the binary starts");
    while !lab.on("node-1", "test -s /root/reboots").status.success() {
        assert!(run.try_wait().expect("it can be asked").is_none(), "the run ended before it was killed");
    }
    run.kill().expect("it can be killed");
    run.wait().expect("it has ended");
    let resumed = command(&["resume"]).output().expect("the binary starts");
    assert!(resumed.status.success(), "{}", said(&resumed));
}

/// Holds dpkg's lock as apt does (a POSIX lock, which the shell's `flock` is not) for six seconds.
const HOLD: &str =
    "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); open('/run/held','w'); time.sleep(6)";

fn state(lab: &Lab) -> String {
    text(&lab.on("node-1", "cat /etc/passwd /etc/group /etc/fstab /etc/hostname; ls /etc/systemd/system /etc/sysctl.d /etc/modules-load.d; dpkg -l | tail -n +6 | cut -c1-40").stdout)
}

fn run(lab: &Lab, playbook: &str, args: &[&str]) -> String {
    let output = try_run(lab, playbook, args);
    assert!(output.status.success(), "{playbook} failed\n{}", said(&output));
    text(&output.stdout)
}

fn try_run(lab: &Lab, playbook: &str, args: &[&str]) -> Output {
    let playbook = Path::new("tests/lab").join(playbook);
    nodewright()
        .arg("run")
        .arg(playbook)
        .arg("-i")
        .arg(lab.inventory())
        .args(args)
        .current_dir(project())
        .output()
        .expect("the binary starts")
}
