//! `ansible-vault`, and that what it encrypted is shown by no output.

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{said, text};

/// A folder with two passwords, an editor, and the program under Ansible's names.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().expect("a folder"));
        for name in ["ansible-vault", "ansible-playbook"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nodewright"), desk.path(name)).expect("a link");
        }
        desk.write("old", "old password\n", 0o600);
        desk.write("new", "new password", 0o600);
        desk.write("add", "#!/bin/sh\necho added >>\"$1\"\n", 0o755);
        std::fs::create_dir(desk.path("tmp")).expect("a folder");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        std::fs::write(self.path(name), content).expect("a file");
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).expect("its mode");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there")
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).expect("the file is there").permissions().mode() & 0o7777
    }

    fn run(&self, line: &str, input: &str) -> Output {
        let words = shell_words::split(line).expect("the case is a command line");
        let mut command = Command::new(self.path(&words[0]));
        command.args(&words[1..]).current_dir(self.0.path()).env("TMPDIR", self.path("tmp")).env("EDITOR", "./add");
        command.env("XDG_RUNTIME_DIR", self.path("tmp")).env("NODEWRIGHT_JOURNAL", "0");
        for name in ["ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST", "ANSIBLE_INVENTORY"] {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        child.stdin.take().expect("it has an input").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }

    /// Runs what is to succeed; what it printed.
    fn ok(&self, line: &str) -> String {
        let output = self.run(line, "");
        assert!(output.status.success(), "{line}\n{}", said(&output));
        text(&output.stdout)
    }
}

#[test]
fn a_file_through_its_life() {
    let desk = Desk::new();
    desk.write("site.yml", "key: value\n", 0o644);
    std::os::unix::fs::symlink("site.yml", desk.path("link.yml")).expect("a link");
    desk.ok("ansible-vault encrypt --vault-password-file old link.yml");
    assert!(desk.read("site.yml").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    assert_eq!(desk.mode("site.yml"), 0o600);
    assert!(desk.path("link.yml").is_symlink());
    assert_eq!(desk.ok("ansible-vault view --vault-id new --vault-id old site.yml"), "key: value\n");

    std::fs::set_permissions(desk.path("site.yml"), std::fs::Permissions::from_mode(0o640)).expect("its mode");
    desk.ok("ansible-vault rekey --vault-password-file old --new-vault-id prod@new site.yml");
    assert!(desk.read("site.yml").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert_eq!(desk.mode("site.yml"), 0o640);

    desk.ok("ansible-vault edit --vault-id old --vault-id new site.yml");
    assert!(desk.read("site.yml").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert_eq!(desk.mode("site.yml"), 0o640);
    assert_eq!(desk.ok("ansible-vault decrypt --vault-id new --output - site.yml"), "key: value\nadded\n");
    assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder is there").count(), 0, "the editor's file is gone");
}

#[test]
fn an_edit_that_fails_or_changes_nothing_leaves_the_file() {
    let desk = Desk::new();
    desk.write("site.yml", "key: value\n", 0o644);
    desk.ok("ansible-vault encrypt --vault-id old site.yml");
    let before = desk.read("site.yml");
    desk.write("add", "#!/bin/sh\nexit 0\n", 0o755);
    desk.ok("ansible-vault edit --vault-id old site.yml");
    desk.write("add", "#!/bin/sh\necho added >>\"$1\"\nexit 3\n", 0o755);
    let output = desk.run("ansible-vault edit --vault-id old site.yml", "");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(desk.read("site.yml"), before);
    assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder is there").count(), 0, "the editor's file is gone");
}

#[test]
fn what_was_edited_is_gone_also_when_the_program_is_ended() {
    let desk = Desk::new();
    desk.write("site.yml", "key: value\n", 0o644);
    desk.ok("ansible-vault encrypt --vault-id old site.yml");
    let before = desk.read("site.yml");
    // The editor's copy lies beside, as editors have it.
    for (signal, code, why) in [("TERM", 143, "we were to end"), ("HUP", 129, "the terminal is gone")] {
        desk.write(
            "add",
            &format!("#!/bin/sh\ncp \"$1\" \"$1~\"; stat -c %a \"${{1%/*}}\" >seen\nkill -{signal} $PPID\nexec sleep 60\n"),
            0o755,
        );
        let output = desk.run("ansible-vault edit --vault-id old site.yml", "");
        assert!(output.status.code() == Some(code) && said(&output).contains(why), "{}", said(&output));
        assert_eq!((desk.read("seen").as_str(), desk.read("site.yml")), ("700\n", before.clone()));
        assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder is there").count(), 0, "{signal}");
    }
    // Without a chance to tidy up, the next one does.
    desk.write("add", "#!/bin/sh\nkill -KILL $PPID\n", 0o755);
    desk.run("ansible-vault edit --vault-id old site.yml", "");
    assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder is there").count(), 1);
    desk.write("add", "#!/bin/sh\nexit 0\n", 0o755);
    desk.ok("ansible-vault edit --vault-id old site.yml");
    assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder is there").count(), 0);
}

#[test]
fn a_new_file_is_its_owners_alone() {
    let desk = Desk::new();
    desk.ok("ansible-vault create --vault-id prod@new --skip-tty-check made/new.yml");
    assert_eq!(desk.mode("made/new.yml"), 0o600);
    assert_eq!(desk.ok("ansible-vault view --vault-id new made/new.yml"), "added\n");
}

#[test]
fn standard_input_and_strings() {
    let desk = Desk::new();
    let output = desk.run("ansible-vault encrypt --vault-id old", "from a pipe");
    let opened = desk.run("ansible-vault decrypt --vault-id old", &text(&output.stdout));
    assert_eq!(text(&opened.stdout), "from a pipe");

    let output = desk.run("ansible-vault encrypt_string --vault-id dev@old --stdin-name piped --name given - one two", "in");
    let shown = text(&output.stdout);
    for part in [
        "piped: !vault |\n          $ANSIBLE_VAULT;1.2;AES256;dev\n",
        "\ngiven: !vault |\n          $ANSIBLE",
        "\n!vault |\n          $ANSIBLE",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(shown.ends_with('\n') && !shown.contains("\n\n"), "{shown}");
}

#[test]
fn what_is_refused_and_how_it_ends() {
    let desk = Desk::new();
    desk.write("plain", "plain\n", 0o644);
    desk.write("empty", "\n", 0o644);
    desk.write("none-client", "#!/bin/sh\nexit 2\n", 0o755);
    desk.write("done", "x", 0o644);
    desk.ok("ansible-vault encrypt --vault-id old done");
    let cases = [
        ("view --vault-id old plain", 1, "Input is not vault encrypted data"),
        ("view --vault-id new done", 1, "no vault secrets were found that could decrypt"),
        ("view --vault-id old gone", 1, "Unable to read source file"),
        ("view --vault-id gone done", 1, "Error getting vault password file (default)"),
        ("view --vault-id lab@none-client done", 1, "did not find a secret for vault-id=lab"),
        ("view --vault-id empty done", 1, "Invalid vault password was provided from file"),
        ("view --ask-vault-pass --vault-password-file old done", 2, "cannot be used with"),
        ("encrypt --vault-id old done", 1, "input is already encrypted"),
        ("encrypt --vault-id a@old --vault-id b@new plain", 5, "The vault-ids a,b are available to encrypt"),
        ("encrypt --vault-id a@old --encrypt-vault-id c plain", 1, "--encrypt-vault-id=c in the known vault-ids ['a']"),
        ("encrypt --vault-id old --output x plain old", 5, "At most one input file"),
        ("encrypt_string --vault-id old ''", 5, "was empty, not encrypting"),
        ("create --vault-id old plain --skip-tty-check", 1, "use 'edit' instead"),
        ("create --vault-id old fresh", 5, "not a tty"),
        ("rekey --vault-id old --new-vault-id a@new --new-vault-password-file new done", 2, "cannot be used with"),
    ];
    for (line, code, words) in cases {
        let output = desk.run(&format!("ansible-vault {line}"), "");
        assert!(output.status.code() == Some(code) && text(&output.stderr).contains(words), "{line}\n{}", said(&output));
    }
    assert_eq!(desk.read("plain"), "plain\n");
    assert!(!desk.path("x").exists() && !desk.path("fresh").exists());
}

#[test]
fn no_output_shows_a_secret() {
    let desk = Desk::new();
    let vaulted = desk.ok("ansible-vault encrypt_string --vault-id old --name token tiger-lily-81");
    desk.write("inline.yml", &vaulted, 0o644);
    desk.write("whole.yml", "phrase: 'correct horse'\nport: 8443\n", 0o644);
    desk.ok("ansible-vault encrypt --vault-id old whole.yml");
    let playbook = "- hosts: localhost\n  gather_facts: false\n  vars_files: [inline.yml, whole.yml]\n  tasks:\n\
        \x20   - name: Use {{ token }}\n      command: echo {{ token }} {{ phrase }} {{ port }}\n      register: said\n\
        \x20   - debug: {var: said}\n    - debug: {msg: '{{ item }}'}\n      loop: ['{{ token }}']\n\
        \x20   - command: echo hidden-by-no-log\n      no_log: true\n      register: hidden\n    - debug: {var: hidden.stdout}\n\
        \x20   - fail: {msg: '{{ phrase }} is wrong: {{ token | nosuch }}'}\n";
    desk.write("site.yml", playbook, 0o644);
    for args in ["-vvv", "--diff", "--output json"] {
        let output = desk.run(&format!("ansible-playbook site.yml --vault-id old {args}"), "");
        let everything = said(&output);
        assert_eq!(output.status.code(), Some(2), "{everything}");
        for secret in ["tiger-lily", "correct horse", "hidden-by-no-log"] {
            assert!(!everything.contains(secret), "{secret} is in\n{everything}");
        }
        assert!(everything.contains("******** ******** 8443"), "{everything}");
    }
}

#[test]
fn an_encrypted_file_is_not_quoted_where_it_is_wrong() {
    let desk = Desk::new();
    desk.write("whole.yml", "good: 1\nphrase: [tiger-lily\n", 0o644);
    desk.ok("ansible-vault encrypt --vault-id old whole.yml");
    desk.write("site.yml", "- hosts: localhost\n  vars_files: [whole.yml]\n  tasks: []\n", 0o644);
    let nodewright = Command::new(env!("CARGO_BIN_EXE_nodewright"))
        .args(["run", "site.yml", "-i", "localhost,", "-c", "local", "-e", "@whole.yml", "--vault-id", "old"])
        .current_dir(desk.0.path())
        .env("NODEWRIGHT_JOURNAL", "0")
        .output()
        .expect("the program starts");
    for output in [nodewright, desk.run("ansible-playbook site.yml -e @whole.yml --vault-id old", "")] {
        let everything = said(&output);
        assert!(!output.status.success() && everything.contains("whole.yml:"), "{everything}");
        assert!(!everything.contains("tiger-lily"), "{everything}");
    }
    assert!(Path::new(&desk.path("whole.yml")).exists());
}

/// The small form of `scripts/secrets-search`: what is secret is in no output, whatever form it takes, and in no process list.
#[test]
fn a_secret_is_shown_in_no_form_and_is_no_argument() {
    const WORD: &str = "Zq91'&\"$x tiger";
    let desk = Desk::new();
    desk.write("secret.yml", &format!("word: {}\n", serde_json::Value::from(WORD)), 0o600);
    desk.ok("ansible-vault encrypt --vault-id old secret.yml");
    desk.write(
        "site.yml",
        r#"- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - name: Says {{ word }}
      debug: {msg: [ "{{ word }}", "{{ ('me:' ~ word) | b64encode }}", "{{ word | urlencode }}", "{{ word | quote }}", "{{ {'a': word} | to_json }}" ]}
      loop: ["{{ word }}"]
    - shell: "printf '%s' {{ word | quote }} >&2; tr '\\0' ' ' </proc/$$/cmdline; exit 3"
      ignore_errors: true
    - copy: {content: "{{ word }}", dest: "{{ playbook_dir }}/target", mode: "0600"}
    - fail: {msg: "{{ word }}"}
"#,
        0o600,
    );
    for more in ["-vvv --diff --check", "-vvvv --diff"] {
        let output = desk.run(&format!("ansible-playbook --vault-id old {more} site.yml"), "");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let all = said(&output);
        for part in ["Zq91", "tiger", "WnE5MS", "cTkxJ", "%24x", "IHRpZ2"] {
            assert!(!all.contains(part), "`{part}` is in\n{all}");
        }
        assert!(all.contains("Says ********") && (more.contains("check") || all.contains("/bin/sh -c eval ")), "{all}");
    }
    assert_eq!(desk.read("target"), WORD);
}
