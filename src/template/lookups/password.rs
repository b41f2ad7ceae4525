//! The lookup `password`: a password of a file, made and kept there if there is none yet.

use super::Lookup;
use super::files::on_controller;
use super::inline::{self, integer};
use crate::secrets;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::filters::{PythonRandom, Scheme};
use crate::template::lazy::Run;
use crate::template::outside;
use crate::template::value::{is_list, items, text};
use minijinja::Value;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[("password", password)];

const OPTIONS: &[&str] = &["length", "encrypt", "ident", "chars", "seed"];

#[derive(Clone)]
struct Wanted {
    length: usize,
    encrypt: Option<String>,
    ident: Option<String>,
    chars: Vec<String>,
    seed: Option<Value>,
}

impl Wanted {
    fn set(&mut self, name: &str, value: Value) -> Res<()> {
        let some = |value: Value| match value.is_none() {
            true => Ok(None),
            false => text(&value).map(|text| Some(text).filter(|text| !text.is_empty())),
        };
        match name {
            "length" => {
                const MOST: usize = 1 << 20;
                let length = usize::try_from(integer(&value, "length", "password")?).unwrap_or(0);
                self.length = length.min(MOST);
            }
            "encrypt" => self.encrypt = some(value)?,
            "ident" => self.ident = some(value)?,
            "chars" if is_list(&value) => self.chars = items(&value)?.iter().map(text).collect::<Res<_>>()?,
            "chars" => self.chars = text(&value)?.split(',').filter(|set| !set.is_empty()).map(str::to_owned).collect(),
            _ => self.seed = Some(value).filter(|seed| !seed.is_none()),
        }
        Ok(())
    }
}

fn password(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let usual = ["ascii_letters", "digits", ".,:-_"].map(str::to_owned);
    let mut wanted = Wanted { length: 20, encrypt: None, ident: None, chars: usual.to_vec(), seed: None };
    for name in OPTIONS {
        if let Some(value) = options.named(name) {
            wanted.set(name, value)?;
        }
    }
    let mut passwords = Vec::new();
    for term in terms {
        let mut wanted = wanted.clone();
        let term = text(&term)?;
        // Options follow the path after a blank; a path may have blanks itself.
        let at = term
            .split(' ')
            .scan(0, |at, word| Some((std::mem::replace(at, *at + word.len() + 1), word)))
            .find(|(_, word)| word.contains('='));
        let (path, given) = match at {
            Some((at, _)) if at > 0 => (term[..at].trim_end(), &term[at..]),
            _ => (term.as_str(), ""),
        };
        for word in given.split(' ').filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                // Beside the path, two commas are one that is meant.
                Some(("chars", value)) if value.contains(",,") => {
                    let sets = value.replace(",,", ",").split(',').filter(|set| !set.is_empty()).map(str::to_owned).collect::<Vec<_>>();
                    wanted.chars = std::iter::once(",".to_owned()).chain(sets).collect();
                }
                Some((name, value)) if OPTIONS.contains(&name) => wanted.set(name, Value::from(inline::unescaped(value)))?,
                Some((name, _)) => return Err(Fail::error(format!("Unrecognized parameter(s) given to password lookup: {name}"))),
                None => return Err(Fail::error(format!("Unrecognized value after key=value parameters given to password lookup: {word}"))),
            }
        }
        let password = one(run, path, &wanted)?;
        secrets::register(&password);
        passwords.push(Value::from(password));
    }
    Ok(passwords)
}

/// What a file of a password says.
#[derive(Default)]
struct Kept {
    password: String,
    salt: Option<String>,
    ident: Option<String>,
}

impl Kept {
    fn read(line: &str) -> Kept {
        let mut kept = Kept::default();
        let mut rest = line;
        if let Some((before, ident)) = rest.rsplit_once(" ident=") {
            kept.ident = Some(ident.to_owned());
            rest = before;
        }
        if let Some((before, salt)) = rest.rsplit_once(" salt=") {
            kept.salt = Some(salt.to_owned());
            rest = before;
        }
        kept.password = rest.to_owned();
        kept
    }

    fn line(&self) -> String {
        let part = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!(" {name}={value}")).unwrap_or_default();
        format!("{}{}{}\n", self.password, part("salt", &self.salt), part("ident", &self.ident))
    }
}

fn one(run: &Arc<Run>, path: &str, wanted: &Wanted) -> Res<String> {
    outside::acts()?;
    let scheme = wanted.encrypt.as_deref().map(Scheme::find).transpose()?;
    let path = on_controller(run, path);
    let keep = path != Path::new("/dev/null");
    let (mut kept, mut changed) = match keep && path.exists() {
        true => {
            let content = crate::source::read_text(&path).map_err(|err| Fail::error(format!("cannot read `{}`: {err}", path.display())))?;
            (Kept::read(content.trim_end_matches(['\n', '\r'])), false)
        }
        false => (Kept { password: new_password(wanted)?, ..Kept::default() }, true),
    };
    if let Some(scheme) = scheme {
        if kept.salt.is_none() {
            kept.salt = Some(scheme.new_salt(None)?);
            changed = true;
        }
        match (&wanted.ident, &kept.ident) {
            (Some(wanted), Some(kept)) if wanted != kept => {
                return Err(Fail::error(format!("The ident parameter provided ({wanted}) does not match the stored one ({kept}).")));
            }
            (Some(wanted), None) => {
                kept.ident = Some(wanted.clone());
                changed = true;
            }
            (None, None) if scheme == Scheme::Bcrypt => {
                kept.ident = Some("2b".to_owned());
                changed = true;
            }
            _ => {}
        }
    }
    if keep && changed {
        write(&path, &kept.line()).map_err(|err| Fail::error(format!("cannot write `{}`: {err}", path.display())))?;
    }
    match (scheme, &kept.salt) {
        (Some(scheme), Some(salt)) => scheme.hash(&kept.password, salt, None, kept.ident.as_deref()),
        _ => Ok(kept.password),
    }
}

fn write(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())
}

fn new_password(wanted: &Wanted) -> Res<String> {
    let alphabet = alphabet(&wanted.chars);
    if alphabet.is_empty() {
        return Err(Fail::error("there are no characters to make a password of"));
    }
    let mut random = match &wanted.seed {
        None => None,
        // A number is a text here, too.
        Some(seed) => Some(PythonRandom::from_text(&text(seed)?)),
    };
    let mut pick = || match &mut random {
        Some(random) => random.below(alphabet.len() as u128) as usize,
        None => rand::random_range(0..alphabet.len()),
    };
    Ok((0..wanted.length).map(|_| alphabet[pick()]).collect())
}

/// Names of Python's sets of characters, or characters themselves. Quotes are never among them.
fn alphabet(sets: &[String]) -> Vec<char> {
    let mut all: Vec<char> = Vec::new();
    for set in sets {
        match set.as_str() {
            "ascii_letters" => all.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => all.extend('a'..='z'),
            "ascii_uppercase" => all.extend('A'..='Z'),
            "digits" => all.extend('0'..='9'),
            "hexdigits" => all.extend(('0'..='9').chain('a'..='f').chain('A'..='F')),
            "octdigits" => all.extend('0'..='7'),
            "punctuation" => all.extend((33u8..127).map(char::from).filter(char::is_ascii_punctuation)),
            "whitespace" => all.extend(" \t\n\r\u{b}\u{c}".chars()),
            "printable" => {
                all.extend(('0'..='9').chain('a'..='z').chain('A'..='Z'));
                all.extend((33u8..127).map(char::from).filter(char::is_ascii_punctuation));
                all.extend(" \t\n\r\u{b}\u{c}".chars());
            }
            literal => all.extend(literal.chars()),
        }
    }
    all.retain(|c| !matches!(c, '"' | '\''));
    all
}
