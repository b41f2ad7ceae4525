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
    let Some(Become { method, user, password }) = r#become else {
        return Ok(Way { command: format!("exec {sh}"), ready: None, prompt: None });
    };
    // As in Ansible, nobody has to become who they are.
    if *method == BecomeMethod::Sudo && user == login {
        return way(None, login, sh, id);
    }
    // The line is read by a login shell of any kind (fish, csh), so it does without quoting.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@+-".contains(&byte);
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(is_plain) {
        return Err(format!("`{user}` is not the name of a user"));
    }
    let ready = format!("ready-{id}");
    let announced = format!("{sh} -c 'echo {ready}; exec {sh}'");
    Ok(match (method, password) {
        (BecomeMethod::Sudo, None) => Way { command: format!("exec sudo -n -H -u {user} {sh}"), ready: None, prompt: None },
        (BecomeMethod::Sudo, Some(_)) => {
            let prompt = format!("password-{id}:");
            Way { command: format!("exec sudo -S -H -p {prompt} -u {user} {announced}"), ready: Some(ready), prompt: Some(prompt) }
        }
        (BecomeMethod::Su, _) => Way {
            command: format!("exec su {user} -s {sh} -c 'echo {ready}; exec {sh}'"),
            ready: Some(ready),
            prompt: Some(":".to_owned()),
        },
    })
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
    let name = match method {
        BecomeMethod::Sudo => "sudo",
        BecomeMethod::Su => "su",
    };
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
        Become { method: BecomeMethod::Sudo, user: user.into(), password: password.map(Into::into) }
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
