//! Options of ssh's command line, as inventories and `ansible.cfg` give them: those that mean something here are kept, those that change
//! nothing of a run are taken, the others are refused, for they would be read and ignored. As with ssh, the first word on a matter counts.

use crate::remote::{Ssh, ssh_options};
use std::path::PathBuf;
use std::time::Duration;

/// Adds what `args` say to what is known; says what is not supported.
pub fn read(args: &str, ssh: &mut Ssh) -> Result<(), String> {
    let words = shell_words::split(args).map_err(|err| err.to_string())?;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty() && !letters.starts_with('-')) else {
            return Err(format!("the ssh argument `{word}` is not supported; set it in ~/.ssh/config"));
        };
        for (at, letter) in letters.char_indices() {
            if WITH_VALUE.contains(letter) {
                let attached = &letters[at + 1..];
                let value = if attached.is_empty() { words.next() } else { Some(attached.to_owned()) };
                with_value(ssh, letter, value.ok_or_else(|| format!("`{word}` lacks its value"))?.trim())?;
                break;
            }
            match letter {
                'A' => add(ssh, "forwardagent", "yes"),
                'a' => add(ssh, "forwardagent", "no"),
                '4' => add(ssh, "addressfamily", "inet"),
                '6' => add(ssh, "addressfamily", "inet6"),
                // Quiet, verbose, compressed, without a terminal, X11 or tickets: what comes of a run is the same.
                'q' | 'v' | 'C' | 'T' | 'x' | 'k' => {}
                _ => return Err(format!("the ssh argument `{word}` is not supported; set it in ~/.ssh/config")),
            }
        }
    }
    Ok(())
}

const WITH_VALUE: &str = "oFSpilJcm";

fn with_value(ssh: &mut Ssh, letter: char, value: &str) -> Result<(), String> {
    match letter {
        'o' => {
            let end = value.find(['=', ' ', '\t']).ok_or_else(|| format!("`-o {value}` has no value"))?;
            set(ssh, &value[..end], value[end..].trim_start().trim_start_matches('=').trim())
        }
        'F' => {
            ssh.config_file.get_or_insert(in_home(value));
            Ok(())
        }
        'p' => set(ssh, "port", value),
        'i' => set(ssh, "identityfile", value),
        'l' => set(ssh, "user", value),
        'J' => set(ssh, "proxyjump", value),
        'c' => set(ssh, "ciphers", value),
        'm' => set(ssh, "macs", value),
        // The socket of a master connection: ours is kept in this process.
        _ => Ok(()),
    }
}

fn set(ssh: &mut Ssh, name: &str, value: &str) -> Result<(), String> {
    let name = ssh_options::canonical(name);
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    match name.as_str() {
        "port" => {
            let port = value.parse().map_err(|_| format!("`{value}` is no port"))?;
            ssh.port.get_or_insert(port);
        }
        "user" => {
            ssh.user.get_or_insert_with(|| value.to_owned());
        }
        "identityfile" => ssh.private_keys.push(in_home(value)),
        "connecttimeout" if value == "none" => {}
        "connecttimeout" => {
            let seconds = value.parse().map_err(|_| format!("`{value}` is no number of seconds"))?;
            ssh.connect_timeout.get_or_insert(Duration::from_secs(seconds));
        }
        "proxyjump" if ssh.options.iter().any(|(known, _)| known == "proxycommand") => {}
        "proxyjump" => {
            ssh.proxy_jump.get_or_insert_with(|| value.to_owned());
        }
        "proxycommand" if ssh.proxy_jump.is_some() => {}
        "requesttty" if matches!(value, "no" | "false") => {}
        _ if ssh_options::is_followed(&name) => {
            ssh_options::check(&name, value)?;
            add(ssh, &name, value);
        }
        _ if ssh_options::is_without_effect(&name) => {}
        _ => return Err(format!("the ssh option `{name}` is not supported; set it in ~/.ssh/config")),
    }
    Ok(())
}

fn add(ssh: &mut Ssh, name: &str, value: &str) {
    if !ssh.options.iter().any(|(known, _)| known == name) {
        ssh.options.push((name.to_owned(), value.to_owned()));
    }
}

/// Takes the keys of unknown hosts, unless something was said of that before.
pub fn accept_new_host_keys(ssh: &mut Ssh) {
    add(ssh, "stricthostkeychecking", "accept-new");
}

/// Whether the keys of unknown hosts are taken. A changed key never is, whatever ssh does with `no`.
pub fn accepts_new_host_keys(ssh: &Ssh) -> bool {
    ssh.options.iter().any(|(name, value)| name == "stricthostkeychecking" && matches!(value.as_str(), "accept-new" | "no" | "off"))
}

/// A path with `~` filled in; relative to the working folder.
pub fn in_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &str) -> Result<Ssh, String> {
        let mut ssh = Ssh::default();
        read(args, &mut ssh).map(|()| ssh)
    }

    #[test]
    fn what_inventories_have() {
        let ssh = said(
            "-C -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null -oStrictHostKeyChecking=no -o 'ProxyCommand ssh -W %h:%p -q gate' \
             -J other -o IdentitiesOnly=yes -oConnectTimeout=7 -qp 2201 -ldeploy -i /k/one -i /k/two -4A -o LogLevel=ERROR -F /etc/ours",
        )
        .unwrap();
        let option = |name: &str| ssh.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(option("userknownhostsfile"), Some("/dev/null"));
        assert_eq!(option("stricthostkeychecking"), Some("no"));
        assert_eq!((option("proxycommand"), &ssh.proxy_jump), (Some("ssh -W %h:%p -q gate"), &None));
        assert_eq!((option("addressfamily"), option("forwardagent")), (Some("inet"), Some("yes")));
        assert_eq!((ssh.port, ssh.user.as_deref()), (Some(2201), Some("deploy")));
        assert_eq!(ssh.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(ssh.private_keys, [PathBuf::from("/k/one"), PathBuf::from("/k/two")]);
        assert_eq!(ssh.config_file, Some(PathBuf::from("/etc/ours")));
    }

    #[test]
    fn the_first_word_counts() {
        let ssh = said("-p 2201 -p 2202 -o StrictHostKeyChecking=yes -o StrictHostKeyChecking=no").unwrap();
        assert_eq!((ssh.port, ssh.options), (Some(2201), vec![("stricthostkeychecking".to_owned(), "yes".to_owned())]));
    }

    #[test]
    fn algorithms() {
        let ssh = said(
            "-o KexAlgorithms=+diffie-hellman-group14-sha1 -o PubkeyAcceptedKeyTypes=+ssh-rsa -oPubkeyAcceptedAlgorithms=ssh-ed25519 \
             -c aes128-cbc -o 'MACs ^hmac-sha1' -oHostKeyAlgorithms=-ecdsa*",
        );
        let options: Vec<String> = ssh.unwrap().options.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            options,
            [
                "kexalgorithms +diffie-hellman-group14-sha1",
                "pubkeyacceptedalgorithms +ssh-rsa",
                "ciphers aes128-cbc",
                "macs ^hmac-sha1",
                "hostkeyalgorithms -ecdsa*"
            ]
        );
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let why = |args: &str| said(args).unwrap_err();
        assert_eq!(why("-o Ciphers=aes128-gcm"), "`aes128-gcm` is no cipher that is known (`Ciphers`)");
        assert_eq!(why("-o SendEnv=LANG"), "the ssh option `sendenv` is not supported; set it in ~/.ssh/config");
        assert_eq!(why("-o RemoteForward=80:a:80"), "the ssh option `remoteforward` is not supported; set it in ~/.ssh/config");
        assert_eq!(why("-L 80:a:80"), "the ssh argument `-L` is not supported; set it in ~/.ssh/config");
        assert_eq!(why("-o StrictHostKeyChecking"), "`-o StrictHostKeyChecking` has no value");
        assert_eq!(why("-p"), "`-p` lacks its value");
        assert_eq!(why("-p ssh"), "`ssh` is no port");
        assert!(why("host").contains("`host`"));
    }
}
