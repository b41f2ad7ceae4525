//! What a task asks of one package (`name`, `name=version`, `name>=version`, `name/release`, `name:arch`), and what dpkg says is there.

use super::version;
use crate::module::Failure;
use crate::python::fnmatch;
use std::cmp::Ordering;

/// One member of `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Without architecture; may be a pattern.
    pub name: String,
    pub architecture: Option<String>,
    pub version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    Any,
    /// `=`, with patterns.
    Exactly(String),
    AtLeast(String),
    /// The one of a release: `name/bookworm-backports`.
    Release(String),
}

/// A package as dpkg knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    pub architecture: String,
    pub version: String,
    /// dpkg's letter of the state: `i` installed, `c` only its configuration files, `U` unpacked ...
    pub state: char,
    pub provides: Vec<String>,
    /// Installed only because another package needed it.
    pub is_auto: bool,
}

impl Wanted {
    pub fn parse(text: &str) -> Result<Wanted, Failure> {
        let text = text.trim();
        let refuse = || Failure::argument("name", format!("invalid package spec: {text}"));
        let (name, version) = if let Some((name, version)) = text.split_once(">=") {
            (name, Version::AtLeast(version.to_owned()))
        } else if let Some((name, version)) = text.split_once('=') {
            (name, Version::Exactly(version.to_owned()))
        } else if let Some((name, release)) = text.split_once('/') {
            (name, Version::Release(release.to_owned()))
        } else {
            (text, Version::Any)
        };
        let (name, architecture) = match name.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (name, None),
        };
        // The same letters are all that reaches a shell or apt's command line.
        let is_plain = |text: &str, more: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        let (Version::Exactly(asked) | Version::AtLeast(asked) | Version::Release(asked)) = &version else {
            return if is_plain(name, "+-._*?[]!")
                && !name.starts_with('-')
                && architecture.as_deref().is_none_or(|text| is_plain(text, "-"))
            {
                Ok(Wanted { name: name.to_owned(), architecture, version })
            } else {
                Err(refuse())
            };
        };
        let is_fine = is_plain(asked, "+-._~:*?[]!") && is_plain(name, "+-._*?[]!") && !name.starts_with('-');
        if is_fine && architecture.as_deref().is_none_or(|text| is_plain(text, "-")) {
            Ok(Wanted { name: name.to_owned(), architecture, version })
        } else {
            Err(refuse())
        }
    }

    pub fn is_pattern(&self) -> bool {
        fnmatch::has_magic(&self.name)
    }

    /// The name as apt takes it.
    pub fn qualified(&self) -> String {
        match &self.architecture {
            Some(architecture) => format!("{}:{architecture}", self.name),
            None => self.name.clone(),
        }
    }

    /// The whole as `apt-get install` takes it.
    pub fn for_apt(&self) -> String {
        match &self.version {
            // apt knows no "at least": what it would choose is looked at afterwards.
            Version::Any | Version::AtLeast(_) => self.qualified(),
            Version::Exactly(version) => format!("{}={version}", self.qualified()),
            Version::Release(release) => format!("{}/{release}", self.qualified()),
        }
    }

    /// Whether `known` is the package that is meant.
    pub fn names(&self, known: &Known, native: &str) -> bool {
        fnmatch::matches(&self.name, &known.name)
            && match self.architecture.as_deref() {
                Some("any") => true,
                Some("native") | None => known.architecture == native || known.architecture == "all",
                Some(architecture) => known.architecture == architecture,
            }
    }

    pub fn accepts(&self, installed: &str) -> bool {
        match &self.version {
            Version::Any | Version::Release(_) => true,
            Version::Exactly(pattern) => fnmatch::matches(pattern, installed),
            Version::AtLeast(least) => version::compare(installed, least) != Ordering::Less,
        }
    }
}

impl Known {
    /// A package that waits for a trigger is installed.
    pub fn is_installed(&self) -> bool {
        matches!(self.state, 'i' | 't' | 'W')
    }

    /// Whether anything is left to remove: its files, or with `purge` its configuration.
    pub fn is_removable(&self, purge: bool) -> bool {
        match self.state {
            'n' => false,
            'c' => purge,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_takes() {
        let check = |text: &str, for_apt: &str| {
            assert_eq!(Wanted::parse(text).map(|wanted| wanted.for_apt()).map_err(|failure| failure.message), Ok(for_apt.into()))
        };
        check(" kubelet=1.36.2-* ", "kubelet=1.36.2-*");
        check("libc6:i386>=2.36", "libc6:i386");
        check("nginx/bookworm-backports", "nginx/bookworm-backports");
        for bad in ["a b", "-y", "a;b", "a=$(x)", ""] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
        let wanted = Wanted::parse("kubelet>=1.36.2").unwrap();
        assert!(wanted.accepts("1.36.10-1.1") && !wanted.accepts("1.36.1-1.1"));
    }
}
