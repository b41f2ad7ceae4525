//! The words of ssh_config that mean something here, those that mean nothing to a run, and how they are spelled. One list for the files
//! (`ssh_files`, `ssh_config`) and for ssh's arguments (`engine::ssh_args`).

use super::algorithms::{Kind, Spec};

/// What is followed, and what its values look like.
const FOLLOWED: &[(&str, Values)] = &[
    ("addressfamily", Values::Word),
    ("casignaturealgorithms", Values::Algorithms(Kind::Authority)),
    ("ciphers", Values::Algorithms(Kind::Cipher)),
    ("connecttimeout", Values::Number),
    ("forwardagent", Values::Word),
    ("globalknownhostsfile", Values::Words),
    ("hashknownhosts", Values::Flag),
    ("hostkeyalgorithms", Values::Algorithms(Kind::HostKey)),
    ("hostkeyalias", Values::Word),
    ("hostname", Values::Word),
    ("identitiesonly", Values::Flag),
    ("identityagent", Values::Word),
    ("identityfile", Values::Word),
    ("kbdinteractiveauthentication", Values::Flag),
    ("kexalgorithms", Values::Algorithms(Kind::KeyExchange)),
    ("macs", Values::Algorithms(Kind::Mac)),
    ("passwordauthentication", Values::Flag),
    ("port", Values::Number),
    ("preferredauthentications", Values::Word),
    ("proxycommand", Values::Text),
    ("proxyjump", Values::Word),
    ("pubkeyacceptedalgorithms", Values::Algorithms(Kind::PublicKey)),
    ("pubkeyauthentication", Values::Word),
    ("requiredrsasize", Values::Number),
    ("serveralivecountmax", Values::Number),
    ("serveraliveinterval", Values::Number),
    ("stricthostkeychecking", Values::Word),
    ("user", Values::Word),
    ("userknownhostsfile", Values::Words),
];

/// What means nothing to a run, whatever is said of it: one connection is kept open and alive anyway, nobody is asked anything, no other way of
/// logging in is known, and what ssh itself would say or display is said elsewhere.
const WITHOUT_EFFECT: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "checkhostip",
    "compression",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "hostbasedauthentication",
    "ipqos",
    "loglevel",
    "numberofpasswordprompts",
    "permitlocalcommand",
    "tcpkeepalive",
    "updatehostkeys",
    "visualhostkey",
];

/// What a file says for people who sit at a terminal, and which is nothing to a run. Among a run's own arguments it is meant for the run.
const OF_TERMINALS: &[&str] = &["requesttty", "sendenv", "setenv"];

#[derive(Clone, Copy)]
enum Values {
    Word,
    Words,
    Number,
    Flag,
    Algorithms(Kind),
    /// A line that a shell reads.
    Text,
}

/// The name that counts now, in small letters.
pub fn canonical(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication".to_owned(),
        "rsaminsize" => "requiredrsasize".to_owned(),
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms".to_owned(),
        name => name.to_owned(),
    }
}

pub fn is_followed(name: &str) -> bool {
    values(name).is_some()
}

pub fn is_without_effect(name: &str) -> bool {
    WITHOUT_EFFECT.contains(&name)
}

pub fn is_without_effect_in_files(name: &str) -> bool {
    is_without_effect(name) || OF_TERMINALS.contains(&name)
}

fn values(name: &str) -> Option<Values> {
    FOLLOWED.iter().find(|(known, _)| *known == name).map(|(_, values)| *values)
}

/// What is wrong with a value, where that can be told.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    algorithms(name).map_or(Ok(()), |kind| Spec::read(kind, value).map(|_| ()))
}

/// Which algorithms an option is about.
pub(super) fn algorithms(name: &str) -> Option<Kind> {
    match values(name)? {
        Values::Algorithms(kind) => Some(kind),
        _ => None,
    }
}

/// A value as `ssh -G` would take it, if that is known.
pub(super) fn plain(name: &str, value: &str) -> Option<String> {
    let values = values(name)?;
    let more = match values {
        Values::Words => " ",
        Values::Algorithms(_) => "^*?!",
        _ => "",
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-~@:,[]+".contains(letter) || more.contains(letter);
    if value.is_empty() || !value.chars().all(is_plain) {
        return None;
    }
    match (values, value.to_ascii_lowercase().as_str()) {
        (Values::Text, _) => None,
        (Values::Flag, "yes" | "true") => Some("yes".to_owned()),
        (Values::Flag, "no" | "false") => Some("no".to_owned()),
        (Values::Flag, _) => None,
        (Values::Number, _) => value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.to_owned()),
        // A name that we do not know may be one that ssh knows.
        (Values::Algorithms(kind), _) => Spec::read(kind, value).ok().map(|_| value.to_owned()),
        _ => Some(value.to_owned()),
    }
}
