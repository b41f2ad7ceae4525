//! Which algorithms a connection may use: for each kind a list of ours, changed by what ssh_config or ssh's arguments ask for, with the meaning
//! that ssh_config(5) gives to it. Only names; what they stand for is known to `negotiation`, `known_hosts` and `auth`.

use super::known_hosts::{matches_patterns, wildcard};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KeyExchange,
    Cipher,
    Mac,
    /// What a host signs with.
    HostKey,
    /// What we sign with.
    PublicKey,
    /// What signs a host's certificate.
    Authority,
}

/// The names of a kind, the preferred ones first.
struct Names {
    on: &'static [&'static [&'static str]],
    /// Weak, or of no use where the others are: there, but not offered before somebody asks for them.
    if_asked: &'static [&'static str],
    /// Known to some OpenSSH, and not there.
    absent: &'static [&'static [&'static str]],
}

const SIGNATURES: &[&str] =
    &["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"];
const OF_CERTIFICATES: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];
/// Made by a device that a person touches.
const OF_TOKENS: &[&str] = &["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
const OF_TOKEN_CERTIFICATES: &[&str] = &["sk-ssh-ed25519-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"];
const WITH_SHA1: &[&str] = &["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"];
const OTHER_SIGNATURES: &[&str] = &["ssh-dss", "ssh-dss-cert-v01@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"];

const KEY_EXCHANGES: Names = Names {
    on: &[&[
        "mlkem768x25519-sha256",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group17-sha512",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group15-sha512",
        "diffie-hellman-group14-sha256",
    ]],
    if_asked: &[
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group1-sha1",
    ],
    absent: &[&["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "sntrup4591761x25519-sha512@tinyssh.org"]],
};

const CIPHERS: Names = Names {
    // The fastest first, where the processor helps with AES, as nearly every one does.
    on: &[&["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"]],
    if_asked: &["aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"],
    absent: &[&["arcfour", "arcfour128", "arcfour256", "blowfish-cbc", "cast128-cbc", "rijndael-cbc@lysator.liu.se"]],
};

const MACS: Names = Names {
    on: &[&["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512", "hmac-sha2-256"]],
    if_asked: &["hmac-sha1-etm@openssh.com", "hmac-sha1"],
    absent: &[&[
        "hmac-md5",
        "hmac-md5-96",
        "hmac-md5-96-etm@openssh.com",
        "hmac-md5-etm@openssh.com",
        "hmac-ripemd160",
        "hmac-ripemd160-etm@openssh.com",
        "hmac-ripemd160@openssh.com",
        "hmac-sha1-96",
        "hmac-sha1-96-etm@openssh.com",
        "umac-128-etm@openssh.com",
        "umac-128@openssh.com",
        "umac-64-etm@openssh.com",
        "umac-64@openssh.com",
    ]],
};

const HOST_KEYS: Names =
    Names { on: &[OF_CERTIFICATES, SIGNATURES], if_asked: WITH_SHA1, absent: &[OF_TOKENS, OF_TOKEN_CERTIFICATES, OTHER_SIGNATURES] };
const PUBLIC_KEYS: Names =
    Names { on: &[OF_CERTIFICATES, OF_TOKEN_CERTIFICATES, SIGNATURES, OF_TOKENS], if_asked: WITH_SHA1, absent: &[OTHER_SIGNATURES] };
const AUTHORITIES: Names = Names {
    on: &[SIGNATURES, OF_TOKENS],
    if_asked: &["ssh-rsa"],
    absent: &[OF_CERTIFICATES, OF_TOKEN_CERTIFICATES, &["ssh-rsa-cert-v01@openssh.com"], OTHER_SIGNATURES],
};

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::KeyExchange, Kind::Cipher, Kind::Mac, Kind::HostKey, Kind::PublicKey, Kind::Authority];

    pub fn option(self) -> &'static str {
        match self {
            Kind::KeyExchange => "KexAlgorithms",
            Kind::Cipher => "Ciphers",
            Kind::Mac => "MACs",
            Kind::HostKey => "HostKeyAlgorithms",
            Kind::PublicKey => "PubkeyAcceptedAlgorithms",
            Kind::Authority => "CASignatureAlgorithms",
        }
    }

    /// In words.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::KeyExchange => "key exchange",
            Kind::Cipher => "cipher",
            Kind::Mac => "MAC",
            Kind::HostKey => "kind of host key",
            Kind::PublicKey => "kind of public key",
            Kind::Authority => "kind of signature by an authority",
        }
    }

    fn names(self) -> &'static Names {
        match self {
            Kind::KeyExchange => &KEY_EXCHANGES,
            Kind::Cipher => &CIPHERS,
            Kind::Mac => &MACS,
            Kind::HostKey => &HOST_KEYS,
            Kind::PublicKey => &PUBLIC_KEYS,
            Kind::Authority => &AUTHORITIES,
        }
    }

    fn on(self) -> impl Iterator<Item = &'static str> {
        self.names().on.iter().copied().flatten().copied()
    }

    /// All that can be used, the preferred ones first.
    pub fn usable(self) -> impl Iterator<Item = &'static str> {
        self.on().chain(self.names().if_asked.iter().copied())
    }

    /// ssh_config(5) allows wildcards in the names of keys only.
    fn has_patterns(self) -> bool {
        matches!(self, Kind::HostKey | Kind::PublicKey | Kind::Authority)
    }

    fn fits(self, pattern: &str, name: &str) -> bool {
        pattern == name || (self.has_patterns() && pattern.contains(['*', '?']) && wildcard(pattern, name))
    }

    fn knows(self, pattern: &str) -> bool {
        let absent = self.names().absent.iter().copied().flatten().copied();
        self.usable().chain(absent).any(|name| self.fits(pattern, name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Instead,
    Behind,
    Before,
    Without,
}

/// What an option asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    how: How,
    names: Vec<String>,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.how {
            How::Instead => "",
            How::Behind => "+",
            How::Before => "^",
            How::Without => "-",
        };
        write!(f, "{sign}{}", self.names.join(","))
    }
}

impl Spec {
    /// As somebody wrote it. A name that nobody knows is refused; as with ssh, what is to be taken away need not be known.
    pub fn read(kind: Kind, value: &str) -> Result<Spec, String> {
        let option = kind.option();
        let mut words = value.split_whitespace().map(|word| word.trim_matches('"'));
        let list =
            words.next().filter(|word| !word.is_empty() && !word.starts_with('#')).ok_or_else(|| format!("`{option}` has no value"))?;
        if words.next().is_some_and(|word| !word.starts_with('#')) {
            return Err(format!("`{option}` takes one list, its names joined by commas without spaces"));
        }
        let (how, names) = match list.split_at_checked(1) {
            Some(("+", names)) => (How::Behind, names),
            Some(("^", names)) => (How::Before, names),
            Some(("-", names)) => (How::Without, names),
            _ => (How::Instead, list),
        };
        let names = listed(names);
        if names.is_empty() {
            return Err(format!("`{option} {list}` names nothing"));
        }
        match names.iter().find(|name| how != How::Without && !kind.knows(name)) {
            Some(name) => Err(format!("`{name}` is no {} that is known (`{option}`)", kind.noun())),
            None => Ok(Spec { how, names }),
        }
    }

    /// What was asked for, as far as it can be told from the whole list that ssh made of that and of its own usual one. None if nothing was.
    pub fn of_whole_list(usual: &str, whole: &str) -> Option<Spec> {
        let (usual, whole) = (listed(usual), listed(whole));
        if usual == whole {
            return None;
        }
        let spec = |how, names: &[String]| Some(Spec { how, names: names.to_vec() });
        if !usual.is_empty() && whole.starts_with(&usual) {
            return spec(How::Behind, &whole[usual.len()..]);
        }
        let present: HashSet<&String> = whole.iter().collect();
        let kept = || usual.iter().filter(|name| present.contains(name));
        if kept().count() == usual.len() {
            // The longest end in ssh's own order is what ssh had put there.
            let places: HashMap<&String, usize> = usual.iter().enumerate().map(|(place, name)| (name, place)).collect();
            let mut next = usual.len();
            let mut is_usual = |name: &&String| places.get(name).is_some_and(|place| std::mem::replace(&mut next, *place) > *place);
            let n_usual = whole.iter().rev().take_while(|name| is_usual(name)).count();
            if n_usual > 0 {
                return spec(How::Before, &whole[..whole.len() - n_usual]);
            }
        }
        // A few names in ssh's order may have been written down, but most of its names have not: what ssh uses by itself and we do not
        // is not to come on by that.
        if whole.len() * 2 > usual.len() && kept().eq(&whole) {
            let gone: Vec<_> = usual.iter().filter(|name| !present.contains(name)).cloned().collect();
            return spec(How::Without, &gone);
        }
        spec(How::Instead, &whole)
    }

    fn apply(&self, kind: Kind) -> Vec<&'static str> {
        let asked = || self.names.iter().flat_map(|pattern| kind.usable().filter(|name| kind.fits(pattern, name)));
        let mut names: Vec<&'static str> = match self.how {
            How::Instead => asked().collect(),
            How::Behind => kind.on().chain(asked()).collect(),
            How::Before => asked().chain(kind.on()).collect(),
            How::Without => kind.on().filter(|name| !matches_patterns(name, self.names.iter().map(String::as_str))).collect(),
        };
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }
}

fn listed(names: &str) -> Vec<String> {
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What was asked for, of every kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Algorithms {
    asked: BTreeMap<Kind, Spec>,
    /// What ssh has on by itself, where it was asked what the files mean.
    of_ssh: BTreeMap<Kind, Vec<String>>,
}

impl Algorithms {
    pub fn ask(&mut self, kind: Kind, spec: Spec) {
        self.asked.insert(kind, spec);
    }

    /// As `ssh -G` shows it, beside what it shows where nobody asks for anything.
    pub fn ask_as_shown(&mut self, kind: Kind, usual: &str, whole: &str) {
        self.of_ssh.insert(kind, listed(usual));
        self.asked.extend(Spec::of_whole_list(usual, whole).map(|spec| (kind, spec)));
    }

    pub fn asked(&self, kind: Kind) -> Option<&Spec> {
        self.asked.get(&kind)
    }

    /// What may be used, the preferred ones first.
    pub fn allowed(&self, kind: Kind) -> Vec<&'static str> {
        self.asked(kind).map_or_else(|| kind.on().collect(), |spec| spec.apply(kind))
    }

    /// The same where there is no going on without any.
    pub fn needed(&self, kind: Kind) -> Result<Vec<&'static str>, String> {
        match self.asked(kind).map(|spec| (spec, spec.apply(kind))) {
            Some((spec, names)) if names.is_empty() => {
                let usable: Vec<_> = kind.usable().collect();
                Err(format!("`{} {spec}` leaves no {} that is implemented; there are {}", kind.option(), kind.noun(), usable.join(", ")))
            }
            Some((_, names)) => Ok(names),
            None => Ok(kind.on().collect()),
        }
    }

    /// How to allow one of those that a host has, if any can be used.
    pub fn advice(&self, kind: Kind, offered: &[String]) -> String {
        let option = kind.option();
        let Some(name) = kind.usable().find(|name| offered.iter().any(|offered| offered == name)) else {
            return "none of these is implemented".to_owned();
        };
        let argument = format!("`ansible_ssh_extra_args` (`-o {option}=+{name}`)");
        match (self.asked(kind), self.of_ssh.get(&kind)) {
            (Some(spec), _) => format!("the ssh configuration asks for `{option} {spec}`, which leaves out {name}"),
            // With a `+` of the files it would look as if nobody had asked.
            (None, Some(of_ssh)) if of_ssh.iter().any(|known| known == name) => format!("set {argument} to use it all the same"),
            (None, _) => format!("set `{option} +{name}` in ~/.ssh/config or in {argument} to use it all the same"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(kind: Kind, value: &str) -> String {
        let mut algorithms = Algorithms::default();
        algorithms.ask(kind, Spec::read(kind, value).unwrap());
        algorithms.needed(kind).map_or_else(|reason| reason, |names| names.join(" "))
    }

    fn usual(kind: Kind) -> Vec<&'static str> {
        Algorithms::default().allowed(kind)
    }

    #[test]
    fn a_list_replaces_and_signs_change_ours() {
        let ours = usual(Kind::Cipher).join(" ");
        assert_eq!(allowed(Kind::Cipher, "aes128-cbc,aes256-ctr,aes128-cbc"), "aes128-cbc aes256-ctr");
        assert_eq!(allowed(Kind::Cipher, "+3des-cbc,aes128-ctr"), format!("{ours} 3des-cbc"));
        assert_eq!(allowed(Kind::Cipher, "^3des-cbc,aes128-ctr"), format!("3des-cbc aes128-ctr {}", ours.replace(" aes128-ctr", "")));
        assert_eq!(allowed(Kind::Cipher, "-*-ctr,chacha*,no-such-cipher"), "aes128-gcm@openssh.com aes256-gcm@openssh.com");
        assert_eq!(allowed(Kind::Mac, "-hmac-sha2-*,!*-etm@openssh.com"), "hmac-sha2-512-etm@openssh.com hmac-sha2-256-etm@openssh.com");
        assert_eq!(allowed(Kind::Cipher, "\"aes128-ctr,\" # a comment"), "aes128-ctr");
        assert_eq!(
            allowed(Kind::HostKey, "rsa-sha2-512,ssh-*"),
            "rsa-sha2-512 ssh-ed25519-cert-v01@openssh.com ssh-ed25519 ssh-rsa ssh-rsa-cert-v01@openssh.com"
        );
        let keys = usual(Kind::PublicKey).join(" ");
        assert_eq!(allowed(Kind::PublicKey, "+ssh-rsa*"), format!("{keys} ssh-rsa ssh-rsa-cert-v01@openssh.com"));
    }

    #[test]
    fn what_is_not_implemented_is_left_out_and_what_nobody_knows_refused() {
        assert_eq!(allowed(Kind::KeyExchange, "sntrup761x25519-sha512@openssh.com,curve25519-sha256"), "curve25519-sha256");
        assert_eq!(allowed(Kind::Mac, "+umac-64@openssh.com"), usual(Kind::Mac).join(" "));
        let said = allowed(Kind::KeyExchange, "sntrup761x25519-sha512");
        assert!(
            said.starts_with("`KexAlgorithms sntrup761x25519-sha512` leaves no key exchange that is implemented; there are mlkem"),
            "{said}"
        );
        assert!(allowed(Kind::Cipher, "-*").starts_with("`Ciphers -*` leaves no cipher"));
        let why = |kind, value| Spec::read(kind, value).unwrap_err();
        assert_eq!(why(Kind::Cipher, "aes128-ctr,aes127-ctr"), "`aes127-ctr` is no cipher that is known (`Ciphers`)");
        assert_eq!(why(Kind::KeyExchange, "+diffie*"), "`diffie*` is no key exchange that is known (`KexAlgorithms`)");
        assert_eq!(why(Kind::HostKey, "ssh-*,!ssh-rsa"), "`!ssh-rsa` is no kind of host key that is known (`HostKeyAlgorithms`)");
        assert_eq!(why(Kind::Mac, "+none"), "`none` is no MAC that is known (`MACs`)");
        assert_eq!(why(Kind::Mac, "^"), "`MACs ^` names nothing");
        assert_eq!(why(Kind::Mac, " "), "`MACs` has no value");
        assert_eq!(why(Kind::Mac, "hmac-sha1 hmac-sha2-256"), "`MACs` takes one list, its names joined by commas without spaces");
    }

    #[test]
    fn nothing_weak_is_on_unless_it_is_asked_for() {
        for kind in Kind::ALL {
            let weak = ["sha1", "cbc", "md5", "ssh-rsa", "ssh-dss", "arcfour", "-96", "umac-64", "group1-", "none", "clear"];
            for name in usual(kind) {
                assert!(!weak.iter().any(|weak| name.contains(weak)), "{name}");
            }
            let text = include_str!("../../docs/ssh.md");
            for name in kind.usable() {
                assert!(text.contains(&format!("`{name}`")), "docs/ssh.md does not have {name}");
            }
            assert!(text.contains(&format!("`{}`", kind.option())));
        }
    }

    #[test]
    fn what_was_asked_for_is_told_from_the_whole_list() {
        let asked = |whole| Spec::of_whole_list("a,b,c,d,e", whole).map_or("nothing".to_owned(), |spec| spec.to_string());
        assert_eq!(asked("a,b,c,d,e"), "nothing");
        assert_eq!(asked("a,b,c,d,e,x,y"), "+x,y");
        assert_eq!(asked("x,c,a,b,d,e"), "^x,c");
        assert_eq!(asked("a,c,e"), "-b,d");
        assert_eq!(asked("a,c"), "a,c");
        assert_eq!(asked("c,a,b"), "c,a,b");
        assert_eq!(asked("x"), "x");
        assert_eq!(asked(""), "");
        assert_eq!(Spec::of_whole_list("", "a,b").unwrap().to_string(), "a,b");
    }

    #[test]
    fn advice_names_what_the_host_has() {
        let offered = ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "x"].map(str::to_owned);
        let mut algorithms = Algorithms::default();
        let advice = algorithms.advice(Kind::KeyExchange, &offered);
        assert!(advice.starts_with("set `KexAlgorithms +diffie-hellman-group14-sha1` in ~/.ssh/config or"), "{advice}");
        algorithms.ask(Kind::KeyExchange, Spec::read(Kind::KeyExchange, "-*sha1").unwrap());
        let advice = algorithms.advice(Kind::KeyExchange, &offered);
        assert_eq!(advice, "the ssh configuration asks for `KexAlgorithms -*sha1`, which leaves out diffie-hellman-group14-sha1");
        assert_eq!(algorithms.advice(Kind::Mac, &offered), "none of these is implemented");
        algorithms.ask_as_shown(Kind::Mac, "umac-64@openssh.com,hmac-sha1", "umac-64@openssh.com,hmac-sha1");
        let advice = algorithms.advice(Kind::Mac, &["hmac-sha1".to_owned()]);
        assert_eq!(advice, "set `ansible_ssh_extra_args` (`-o MACs=+hmac-sha1`) to use it all the same");
    }
}
