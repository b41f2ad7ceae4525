//! Reading ahead changes when a host is asked, never what comes of it: generated playbooks, whose tasks read what others wrote, end with and
//! without it in the same output, the same exit code and the same files. (`tests/run.rs` says so of all its cases.)
//!
//! `CASES=500 cargo test --test ahead` runs more of them; `SEED=7` begins elsewhere; `ONLY=3` looks at one.

#[path = "ahead/generate.rs"]
mod generate;
mod support;

use generate::{Case, INVENTORY, case};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{nodewright, said, text, transcript};

#[test]
fn generated_playbooks_end_the_same_without_reading_ahead() {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"));
    let n_cases = number("CASES", 10) as usize;
    let mut seed = [0_u8; 32];
    seed[..8].copy_from_slice(&number("SEED", 1).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let mut cases: Vec<Case> =
        (0..n_cases).map(|_| case().new_tree(&mut runner).expect("the generator rejects nothing").current()).collect();
    if let Ok(only) = std::env::var("ONLY") {
        cases = vec![cases.swap_remove(only.parse().expect("a number"))];
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || cases.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take).filter_map(difference).collect::<Vec<String>>()
    };
    let differences: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no case panics")).collect()
    });
    println!("{} of {} generated playbooks end the same without reading ahead", cases.len() - differences.len(), cases.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Whether a play gathers everything or what is named, in whichever file, who asks for a fact gets the same.
#[test]
fn named_facts_are_what_they_are_among_all() {
    let dir = tempfile::tempdir().expect("a scratch folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("it can be written");
    };
    write("group_vars/all.yml", "cores: \"{{ ansible_processor_vcpus }} {{ ansible_facts['selinux'].status }}\"\n");
    write("more.yml", "- debug: {msg: \"{{ ansible_default_ipv4.address | default('none') }} {{ shell }}\", verbosity: 0}\n");
    write("roles/r/vars/main.yml", "shell: '{{ ansible_user_shell }} {{ ansible_facts.virtualization_type }}'\n");
    write(
        "roles/r/tasks/main.yml",
        "- template: {src: a.j2, dest: '{{ playbook_dir }}/made', mode: '0600'}\n- include_tasks: ../../../more.yml\n",
    );
    write(
        "roles/r/templates/a.j2",
        "{{ ansible_python.version.major | default('none') }} {{ hostvars[inventory_hostname].ansible_lsb.id | default('none') }}\n",
    );
    let outcome = |more: &str| {
        let play =
            format!("- hosts: localhost\n  connection: local\n  roles: [r]\n  post_tasks:\n    - debug: msg=\"{{{{ cores }}}}\"\n{more}");
        write("site.yml", &play);
        let output = nodewright().args(["run", "site.yml"]).current_dir(dir.path()).output().expect("the program starts");
        assert!(output.status.success(), "{}", said(&output));
        let made = std::fs::read_to_string(dir.path().join("made")).expect("it was made");
        std::fs::remove_file(dir.path().join("made")).expect("it can be removed");
        format!("{made}{}", transcript(&text(&output.stdout), &[], output.status.code()))
    };
    let named = outcome("");
    // Skipped, but there: any fact may be asked for.
    let all = outcome("    - debug: msg=\"{{ ansible_facts }}\"\n      when: false\n");
    let all = all.replace("TASK [debug]\nskipping: [localhost]\n", "").replace("skipped=1", "skipped=0");
    assert_eq!(named, all);
}

fn difference(case: &Case) -> Option<String> {
    let dir = tempfile::tempdir().expect("a scratch folder");
    // Another user works here as well.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::write(dir.path().join("inventory.ini"), INVENTORY).expect("it can be written");
    std::fs::write(dir.path().join("site.yml"), format!("{:#}", case.playbook)).expect("it can be written");
    let (with, without) = (outcome(dir.path(), case, &[]), outcome(dir.path(), case, &["--no-read-ahead"]));
    (with != without).then(|| {
        let diff = similar::TextDiff::from_lines(&without, &with).unified_diff().header("without", "ahead").to_string();
        format!("=== {:?}\n{:#}\n{diff}", case.args, case.playbook)
    })
}

/// What a run tells, how it exits, and what it leaves.
fn outcome(dir: &Path, case: &Case, more_args: &[&str]) -> String {
    let work = dir.join("work");
    for host in ["h1", "h2"] {
        std::fs::create_dir_all(work.join(host)).expect("a folder can be made");
        std::fs::set_permissions(work.join(host), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
    std::fs::set_permissions(&work, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let mut command = nodewright();
    command.args(["run", "site.yml", "-i", "inventory.ini"]).args(&case.args).args(more_args).current_dir(dir);
    let output = command.output().expect("the program starts");
    assert!(matches!(output.status.code(), Some(0..=2)), "{}\n{:#}", said(&output), case.playbook);
    let mut seen = transcript(&text(&output.stdout), &[], output.status.code());
    if case.is_free() {
        // Which of them comes to a task first is chance.
        let is_header = |line: &&str| line.starts_with("TASK ") || line.starts_with("RUNNING HANDLER ");
        let mut lines: Vec<&str> = seen.lines().filter(|line| !is_header(line)).collect();
        lines.sort_unstable();
        seen = lines.join("\n") + "\n";
    }
    list(&work, &work, &mut seen);
    std::fs::remove_dir_all(&work).expect("it can be removed");
    seen
}

/// Everything below a folder.
fn list(root: &Path, folder: &Path, seen: &mut String) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("it can be read").map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    for path in entries {
        let meta = std::fs::symlink_metadata(&path).expect("it is there");
        let name = path.strip_prefix(root).expect("it is below").display();
        let what = match meta.is_symlink() {
            true => format!("-> {}", std::fs::read_link(&path).expect("it is a link").display()),
            false if meta.is_dir() => "folder".to_owned(),
            false => text(&std::fs::read(&path).expect("it can be read")),
        };
        seen.push_str(&format!("{name} {:o} {what}\n", meta.permissions().mode()));
        if meta.is_dir() {
            list(root, &path, seen);
        }
    }
}
