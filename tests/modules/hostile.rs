//! What must hold whatever a host, an archive or the moment is like: nothing lands outside of its place, and a file that is written is the old
//! one or the new one, also if everything is killed on the way or the disk is full.

use crate::host::{Host, Shell, Step};
use serde_json::{Value as Json, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn step(module: &str, args: Json) -> Step {
    Step { module: module.into(), args, check: false }
}

/// Archives made to write elsewhere. `victim` stands beside the destination and must stay as it is.
const ARCHIVES: &str = r#"
mkdir out over; printf 'safe\n' > victim; mkdir elsewhere; ln -s ../elsewhere over/link; mkdir over/real; ln -s real over/inner
python3 - << 'END'
import io, os, tarfile, zipfile
def tar(name, *members):
    with tarfile.open(name, 'w') as archive:
        for kind, path, content in members:
            info = tarfile.TarInfo(path)
            if kind == 'file':
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
            else:
                info.type = {'link': tarfile.SYMTYPE, 'hard': tarfile.LNKTYPE}[kind]
                info.linkname = content
                archive.addfile(info)
root = os.getcwd()
tar('parent.tar', ('file', '../victim', 'taken'))
tar('middle.tar', ('file', 'a/../../victim', 'taken'))
tar('absolute.tar', ('file', root + '/victim', 'taken'))
tar('link.tar', ('link', 'l', '..'), ('file', 'l/victim', 'taken'))
tar('absolute_link.tar', ('link', 'l', root), ('file', 'l/victim', 'taken'))
tar('hard.tar', ('hard', 'h', '../victim'), ('file', 'h', 'taken'))
tar('absolute_hard.tar', ('hard', 'h', root + '/victim'), ('file', 'h', 'taken'))
tar('there.tar', ('file', 'link/new', 'taken'))
tar('inner.tar', ('file', 'inner/new', 'welcome'))
with zipfile.ZipFile('parent.zip', 'w') as archive:
    archive.writestr('../victim', 'taken')
with zipfile.ZipFile('link.zip', 'w') as archive:
    link = zipfile.ZipInfo('l'); link.create_system = 3; link.external_attr = 0o120777 << 16
    archive.writestr(link, '..')
    archive.writestr('l/victim', 'taken')
END
"#;

#[test]
fn no_archive_leaves_its_destination() {
    let shells = Shell::all();
    for shell in shells.iter().filter(|shell| shell.name != "busybox ash") {
        let host = Host::new(shell);
        host.set_up(ARCHIVES);
        let root = host.root();
        let archives = ["parent.tar", "middle.tar", "absolute.tar", "link.tar", "absolute_link.tar", "hard.tar", "absolute_hard.tar"];
        // Again, when what the first time left is there.
        for archive in archives.iter().chain(&archives).chain(&["parent.zip", "link.zip", "link.zip"]) {
            if archive.ends_with(".zip") && !shell.has("unzip") {
                continue;
            }
            host.run(&step("unarchive", json!({"src": format!("[ROOT]/{archive}"), "dest": "[ROOT]/out", "remote_src": true})));
            let victim = std::fs::read_to_string(root.join("victim")).expect("it is still there");
            assert_eq!(victim, "safe\n", "{archive} under {}", shell.name);
        }
        let there = host.run(&step("unarchive", json!({"src": "[ROOT]/there.tar", "dest": "[ROOT]/over", "remote_src": true})));
        assert!(there["msg"].as_str().is_some_and(|words| words.contains("would land outside")), "{there}");
        assert!(!root.join("elsewhere/new").exists());
        let inner = host.run(&step("unarchive", json!({"src": "[ROOT]/inner.tar", "dest": "[ROOT]/over", "remote_src": true})));
        assert_eq!(inner["changed"], true, "a link that stays inside is followed: {inner}");
    }
}

#[test]
fn a_host_does_not_choose_our_files() {
    let shells = Shell::all();
    let host = Host::new(&shells[0]);
    host.set_up("printf 'x\\n' > f");
    for (src, dest) in [("..", "[ROOT]/c/"), ("[ROOT]/f/..", "[ROOT]/c/"), ("[ROOT]/../root/f", "[ROOT]/c")] {
        let returned = host.run(&step("fetch", json!({"src": src, "dest": dest, "flat": dest.ends_with('/'), "fail_on_missing": false})));
        let to = returned["dest"].as_str().unwrap_or("[ROOT]/c");
        assert!(to.starts_with("[ROOT]/c") && !to.contains(".."), "{returned}");
    }
}

/// How often the writing shell is killed for each module, unless `KILLS` says otherwise.
const KILLS: u32 = 20;

#[test]
fn killed_whenever_the_file_is_the_old_one_or_the_new_one() {
    let kills = std::env::var("KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(KILLS);
    let shells = Shell::all();
    let mut killed = 0;
    for shell in &shells {
        let host = Host::new(shell);
        let old: String = (0..20_000).map(|n| format!("old {n}\n")).collect();
        let new = old.replace("old", "new");
        let path = host.root().join("f");
        let tasks = [
            (step("copy", json!({"content": new, "dest": "[ROOT]/f", "mode": "0600"})), new.clone()),
            (step("lineinfile", json!({"path": "[ROOT]/f", "line": "last", "mode": "0600"})), format!("{old}last\n")),
            (step("replace", json!({"path": "[ROOT]/f", "regexp": "old", "replace": "new", "mode": "0600"})), new.clone()),
        ];
        for (task, changed) in &tasks {
            for n in 0..kills {
                let _ = std::fs::remove_file(&path);
                std::fs::write(&path, &old).expect("a file");
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("its mode");
                // From at once to a little after a script takes.
                killed += u32::from(host.run_killed(task, Duration::from_micros(u64::from(n) * 40_000 / u64::from(kills))));
                let is = std::fs::read_to_string(&path).expect("there is always a file");
                let mode = std::fs::metadata(&path).expect("it can be looked at").permissions().mode() & 0o7777;
                let is_old = is == old && mode == 0o640;
                assert!(is_old || (is == *changed && mode == 0o600), "{} under {}: {} bytes, {mode:o}", task.module, shell.name, is.len());
            }
        }
    }
    println!("killed {killed} times of {}", kills * 3 * u32::try_from(shells.len()).unwrap_or(1));
    assert!(killed > 0, "every script had ended before it was killed");
}

#[test]
fn a_link_that_is_changed_is_there_at_any_time() {
    for shell in Shell::all() {
        let name = shell.name;
        let host = Host::new(&shell);
        host.set_up("mkdir a b; printf 'x\\n' > f; ln -s a link; ln -s a kind");
        let link = host.root().join("link");
        // busybox's `mv -T` renames no link to a file over one to a directory: there is a moment without, there.
        let targets = if name == "busybox ash" { &["a", "b"][..] } else { &["a", "b", "f"] };
        let is_over = AtomicBool::new(false);
        let n_seen = std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut n_seen = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    let leads = std::fs::read_link(&link).unwrap_or_else(|err| panic!("there is no link under {name}: {err}"));
                    assert!(targets.iter().any(|target| leads == Path::new(target)), "{leads:?}");
                    n_seen += 1;
                    std::thread::yield_now();
                }
                n_seen
            });
            for n in 0..7_u32 {
                let task = step(
                    "file",
                    json!({"path": "[ROOT]/link", "src": targets[n as usize % targets.len()], "state": "link", "force": true}),
                );
                if n % 2 == 0 {
                    assert_eq!(host.run(&task)["changed"], n > 0, "under {name}");
                } else {
                    host.run_killed(&task, Duration::from_micros(u64::from(n) * 1500));
                    host.run(&task);
                }
            }
            is_over.store(true, Ordering::Relaxed);
            watching.join().expect("the link was always there")
        });
        assert!(n_seen > 100, "it was looked at {n_seen} times only");
        // A hard link takes the place of what was there in the same way.
        let hard = step("file", json!({"path": "[ROOT]/kind", "src": "[ROOT]/f", "state": "hard", "force": true}));
        assert_eq!((host.run(&hard)["changed"].as_bool(), host.run(&hard)["changed"].as_bool()), (Some(true), Some(false)));
        assert_eq!(std::fs::read_to_string(host.root().join("kind")).expect("a file"), "x\n");
    }
    // An old `mv`: the link to a directory is not moved into.
    let shell = Shell::all().swap_remove(0).with("mv", "case $1 in -*T*) echo 'unknown option' >&2; exit 1 ;; esac; exec /bin/mv \"$@\"");
    let host = Host::new(&shell);
    host.set_up("mkdir a b; ln -s a link");
    host.run(&step("file", json!({"path": "[ROOT]/link", "src": "b", "state": "link"})));
    assert_eq!(std::fs::read_link(host.root().join("link")).expect("a link"), Path::new("b"));
    assert_eq!(std::fs::read_dir(host.root()).expect("a folder").count(), 3);
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    crate::host::in_a_mount_namespace("hostile::on_a_full_disk");
}

#[test]
#[ignore = "run by the test above, in a namespace"]
fn on_a_full_disk() {
    for shell in Shell::all() {
        let host = Host::new(&shell);
        host.set_up("mkdir small && mount -t tmpfs -o size=64k tmpfs small && printf 'old\\n' > small/f");
        let large = "x".repeat(200_000);
        let returned = host.run(&step("copy", json!({"content": large, "dest": "[ROOT]/small/f"})));
        assert_eq!(returned["failed"], true, "{returned}");
        assert!(returned["msg"].as_str().is_some_and(|words| words.contains("No space left on device")), "{returned}");
        let left: Vec<_> =
            std::fs::read_dir(host.root().join("small")).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["f"], "nothing is left behind");
        assert_eq!(std::fs::read_to_string(host.root().join("small/f")).expect("the file"), "old\n");
        host.set_up("umount small");
    }
}
