//! The command line that gives a shell, as the login user or as somebody else, and what the words mean with which that is refused.
//! Passwords never appear in it: they go to standard input when they are asked for.

use super::{Become, BecomeMethod};

pub(super) struct Way {
    pub command: String,
    /// Printed on stdout once we are in. Where a password may be asked for, nothing else may be sent before.
    pub ready: Option<String>,
    /// What stderr ends with when a password is asked for.
    pub prompt: Option<String>,
}

/// `id` is random: prompts and signs that are made of it are not mistaken for anything else.
pub(super) fn way(r#become: Option<&Become>, login: &str, sh: &str, id: &str) -> Result<Way, String> {
    let Some(Become { method, user, password, flags, exe }) = r#become else {
        return Ok(Way { command: format!("exec {sh}"), ready: None, prompt: None });
    };
    // As in Ansible, nobody has to become who they are.
    if *method == BecomeMethod::Sudo && user == login {
        return way(None, login, sh, id);
    }
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(|byte| is_plain(byte) && !b"/=,:".contains(&byte)) {
        return Err(format!("`{user}` is not the name of a user"));
    }
    let exe = exe.as_deref().unwrap_or(method.name());
    if exe.is_empty() || exe.starts_with('-') || !exe.bytes().all(is_plain) {
        return Err(format!("`become_exe` must be the name or path of a program, not `{exe}`"));
    }
    let ready = format!("ready-{id}");
    let announced = format!("{sh} -c 'echo {ready}; exec {sh}'");
    let flags = flags.as_deref().map(|flags| read_flags(*method, flags)).transpose()?;
    Ok(match (method, password) {
        (BecomeMethod::Sudo, None) => {
            let flags = flags.unwrap_or_else(|| " -H".to_owned());
            // A login shell reads profiles, which may print anything.
            match flags.split(' ').any(|flag| matches!(flag, "-i" | "--login")) {
                false => Way { command: format!("exec {exe} -n{flags} -u {user} {sh}"), ready: None, prompt: None },
                true => Way { command: format!("exec {exe} -n{flags} -u {user} {announced}"), ready: Some(ready), prompt: None },
            }
        }
        (BecomeMethod::Sudo, Some(_)) => {
            let prompt = format!("password-{id}:");
            let flags = flags.unwrap_or_else(|| " -H".to_owned());
            Way { command: format!("exec {exe} -S{flags} -p {prompt} -u {user} {announced}"), ready: Some(ready), prompt: Some(prompt) }
        }
        (BecomeMethod::Su, _) => {
            let flags = flags.unwrap_or_default();
            let command = format!("exec {exe}{flags} {user} -s {sh} -c 'echo {ready}; exec {sh}'");
            Way { command, ready: Some(ready), prompt: Some(":".to_owned()) }
        }
    })
}

/// What may stand in the line: it is read by a login shell of any kind (fish, csh), so it does without quoting.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.@+-/=,:".contains(&byte)
}

/// `become_flags`, each with a space before it. Those that are given anyway are left out (`-n` and `-S`: whether there is a password decides),
/// those with which no shell would stand at the other end are refused.
fn read_flags(method: BecomeMethod, flags: &str) -> Result<String, String> {
    let words = shell_words::split(flags).map_err(|err| format!("`become_flags` is `{flags}`: {err}"))?;
    let (alone, valued): (&str, &str) = match method {
        BecomeMethod::Sudo => ("HEPiknSB", "grtCDT"),
        BecomeMethod::Su => ("-lmpf", "gGw"),
    };
    let (alone_long, valued_long): (&[&str], &[&str]) = match method {
        BecomeMethod::Sudo => (
            &["set-home", "preserve-env", "preserve-groups", "login", "reset-timestamp", "non-interactive", "stdin", "bell"],
            &["preserve-env", "group", "role", "type", "close-from", "chdir", "command-timeout"],
        ),
        BecomeMethod::Su => (&["login", "preserve-environment", "fast"], &["group", "supp-group", "whitelist-environment"]),
    };
    let mut taken = String::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let refused = || format!("the flag `{word}` of `become_flags` is not supported with `{}`", method.name());
        if !word.bytes().all(is_plain) {
            return Err(refused());
        }
        if method == BecomeMethod::Su && word == "-" {
            taken.push_str(" -");
        } else if let Some(long) = word.strip_prefix("--") {
            let fits = match long.split_once('=') {
                Some((name, _)) => valued_long.contains(&name),
                None => alone_long.contains(&long),
            };
            if !fits {
                return Err(refused());
            }
            if !matches!(long, "non-interactive" | "stdin") {
                taken += &format!(" {word}");
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (at, letter) in letters.char_indices() {
                if valued.contains(letter) {
                    let attached = &letters[at + 1..];
                    let value = if attached.is_empty() { words.next().map(String::as_str) } else { Some(attached) };
                    let value = value.filter(|value| value.bytes().all(is_plain)).ok_or_else(refused)?;
                    taken += &format!(" -{letter} {value}");
                    break;
                }
                if letter == '-' || !alone.contains(letter) {
                    return Err(refused());
                }
                if method == BecomeMethod::Su || !"nS".contains(letter) {
                    taken += &format!(" -{letter}");
                }
            }
        } else {
            return Err(refused());
        }
    }
    Ok(taken)
}

impl BecomeMethod {
    fn name(self) -> &'static str {
        match self {
            BecomeMethod::Sudo => "sudo",
            BecomeMethod::Su => "su",
        }
    }
}

/// Whether these last words of stderr ask for a password. sudo-rs puts its own words around the prompt it was given.
pub(super) fn asks(way: &Way, method: BecomeMethod, stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    match (&way.prompt, method) {
        (None, _) => false,
        (Some(prompt), BecomeMethod::Sudo) => text.contains(prompt.trim_end_matches(':')),
        (Some(prompt), BecomeMethod::Su) => text.trim_end_matches(' ').ends_with(prompt),
    }
}

/// Says why we were not let in, in words that help.
pub(super) fn refusal(method: BecomeMethod, status: Option<i32>, words: &str, gave_password: bool) -> String {
    let name = method.name();
    // sudo adds a line about its plugins to what matters.
    let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.contains("audit plugin")).unwrap_or_default();
    let says = |part: &str| words.to_lowercase().contains(part);
    if says("must have a tty") {
        return "sudo wants a terminal: take `requiretty` out of the host's sudoers".to_owned();
    }
    if !gave_password && (says("password is required") || says("authentication is required")) {
        return format!("{name} asks for a password and none was given (`ansible_become_password`, or `--ask-become-pass`)");
    }
    if gave_password && (says("try again") || says("incorrect password") || says("authentication fail") || says("authentication token")) {
        return format!("{name} does not accept the password");
    }
    if status == Some(127) || says("command not found") || says(&format!("{name}: not found")) {
        return format!("`{name}` is not installed on the host");
    }
    match (last, status) {
        ("", Some(status)) => format!("{name} ended with status {status} and said nothing"),
        ("", None) => format!("{name} says nothing"),
        (words, _) => format!("{name} says: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sudo(user: &str, password: Option<&str>) -> Become {
        Become { method: BecomeMethod::Sudo, user: user.into(), password: password.map(Into::into), ..Become::default() }
    }

    #[test]
    fn no_password_is_in_a_command_line() {
        let with = sudo("deploy", Some("hunter2"));
        let way = way(Some(&with), "admin", "/bin/sh", "77").unwrap();
        assert_eq!(way.command, "exec sudo -S -H -p password-77: -u deploy /bin/sh -c 'echo ready-77; exec /bin/sh'");
        assert!(!format!("{with:?}").contains("hunter2"));
        assert!(asks(&way, BecomeMethod::Sudo, b"lecture\n[sudo: password-77:] Password: "));
    }

    #[test]
    fn nobody_becomes_themselves_and_nobody_else_gets_into_the_line() {
        assert_eq!(way(Some(&sudo("admin", None)), "admin", "/bin/sh", "77").unwrap().command, "exec /bin/sh");
        assert!(way(Some(&sudo("root; reboot", None)), "admin", "/bin/sh", "77").is_err());
        assert!(way(Some(&sudo("-s", None)), "admin", "/bin/sh", "77").is_err());
    }

    #[test]
    fn flags_and_programs_of_ones_own() {
        let line = |method, flags: &str, exe: Option<&str>, password: Option<&str>| {
            let flags = Some(flags.to_owned());
            let with = Become { method, user: "deploy".into(), flags, exe: exe.map(Into::into), password: password.map(Into::into) };
            way(Some(&with), "admin", "/bin/sh", "77").map(|way| way.command)
        };
        let (sudo, su) = (BecomeMethod::Sudo, BecomeMethod::Su);
        assert_eq!(line(sudo, "-HSn -E", None, None).unwrap(), "exec sudo -n -H -E -u deploy /bin/sh");
        assert_eq!(
            line(sudo, "-n --preserve-env=PATH,LANG -g wheel", Some("/opt/bin/sudo"), Some("pw")).unwrap(),
            "exec /opt/bin/sudo -S --preserve-env=PATH,LANG -g wheel -p password-77: -u deploy /bin/sh -c 'echo ready-77; exec /bin/sh'"
        );
        assert_eq!(line(sudo, "-i", None, None).unwrap(), "exec sudo -n -i -u deploy /bin/sh -c 'echo ready-77; exec /bin/sh'");
        assert_eq!(line(su, "-", None, None).unwrap(), "exec su - deploy -s /bin/sh -c 'echo ready-77; exec /bin/sh'");
        assert_eq!(line(sudo, "-HA", None, None).unwrap_err(), "the flag `-HA` of `become_flags` is not supported with `sudo`");
        assert!(line(sudo, "-u root", None, None).is_err() && line(su, "-c reboot", None, None).is_err());
        assert!(line(sudo, "-D $HOME", None, None).is_err() && line(sudo, "", Some("sudo su -"), None).is_err());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let why = |words, gave| refusal(BecomeMethod::Sudo, Some(1), words, gave);
        assert!(why("sudo: a password is required\n", false).contains("ansible_become_password"));
        assert!(why("sudo: interactive authentication is required", false).contains("ansible_become_password"));
        assert_eq!(why("Sorry, try again.\n", true), "sudo does not accept the password");
        assert_eq!(why("sudo: Authentication failed, try again.\n", true), "sudo does not accept the password");
        assert!(why("sudo: sorry, you must have a tty to run sudo", false).contains("requiretty"));
        assert_eq!(
            refusal(BecomeMethod::Sudo, Some(127), "/bin/sh: 1: exec: sudo: not found", false),
            "`sudo` is not installed on the host"
        );
        assert_eq!(why("deploy is not in the sudoers file.", false), "sudo says: deploy is not in the sudoers file.");
    }
}
