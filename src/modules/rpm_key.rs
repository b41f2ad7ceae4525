//! Puts a key into the host's RPM database, or takes it out.
//!
//! ```yaml
//! - rpm_key: {key: "https://pkgs.k8s.io/core:/stable:/v1.33/rpm/repodata/repomd.xml.key"}
//! - rpm_key: {key: DEADB33F, state: absent}
//! ```
//!
//! `key` is an address, a file of the host or, to remove it, the key's id. Ids and fingerprints are read by the host's gpg. Hosts without rpm fail.

use super::get_url::{DOWNLOAD, request};
use super::look::{FUNCTIONS, Fields};
use super::write_file::CLEANING;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct RpmKey;

static SPEC: Spec = Spec {
    name: "ansible.builtin.rpm_key",
    aliases: &[],
    params: &[
        Param::str("key").required(),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::list("fingerprint"),
        Param::bool("validate_certs").default("true"),
    ],
    free_form: FreeForm::None,
};

#[derive(Default)]
pub struct State {
    /// Id and fingerprint of the first key of the file; nothing where an id was given.
    given: Vec<Key>,
    installed: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    id: String,
    fingerprint: String,
}

impl Module for RpmKey {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let (text, input) = script(args, "")?;
        Ok(Some(Script::new(text).with_input(input)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of("look at the keys", output)?;
        match fields.text()?.as_str() {
            "no" => Err(Failure::new(fields.text()?)),
            _ => Ok(State { given: keys(&fields.text()?), installed: keys(&fields.text()?) }),
        }
    }

    fn decide(&self, args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        let key = args.required("key")?;
        let id = match state.given.first() {
            Some(key) => key.id.clone(),
            None if is_id(key) => normal(key),
            None => return Err(Failure::argument("key", "Failed to get keyid")),
        };
        let found = state.installed.iter().find(|key| key.id.ends_with(&id) || key.fingerprint == id);
        let is_present = args.str("state") == Some("present");
        if found.is_some() == is_present {
            return Ok(Outcome::unchanged().into());
        }
        let Some(found) = found else {
            if is_id(key) && state.given.is_empty() {
                return Err(Failure::argument("key", "When importing a key, a valid file must be given"));
            }
            let wanted: Vec<String> =
                args.list("fingerprint").unwrap_or_default().iter().map(|text| normal(&text.replace(' ', ""))).collect();
            if let Some(missing) = wanted.iter().find(|wanted| !state.given.iter().any(|key| key.fingerprint == **wanted)) {
                let has: Vec<&str> = state.given.iter().map(|key| key.fingerprint.as_str()).collect();
                let message =
                    format!("The specified fingerprint, '{missing}', does not match any key fingerprints in '{}'", has.join(", "));
                return Err(Failure::argument("fingerprint", message));
            }
            let (text, input) = script(args, "rpm --import \"$k\" || exit 1\n")?;
            return Ok(Change::new(Outcome::changed(), Script::new(text).with_input(input)).finish(finish).into());
        };
        let short = found.id.get(found.id.len().saturating_sub(8)..).unwrap_or(&found.id).to_lowercase();
        // Since RPM 6 keys are no packages any more.
        let text = format!(
            "case $(rpm --version) in *' '[6-9].*) rpmkeys --delete {} ;; *) rpm --erase --allmatches gpg-pubkey-{} ;; esac\n",
            quote(&found.fingerprint.to_lowercase()),
            quote(&short)
        );
        Ok(Change::new(Outcome::changed(), Script::new(text)).into())
    }
}

fn finish(output: &Output, outcome: Outcome) -> Result<Outcome, Failure> {
    let mut fields = Fields::of("import the key", output)?;
    if fields.text()? == "no" { Err(Failure::new(fields.text()?)) } else { Ok(outcome) }
}

/// Fetches the key to `$k` if it is none of an id, says what is in it and what is installed, and goes on with `then`.
fn script(args: &Args, then: &str) -> Result<(String, Vec<u8>), Failure> {
    let key = args.required("key")?;
    let mut text = format!(
        "{FUNCTIONS}{CLEANING}no() {{ say no; say \"$1\"; exit 0; }}\nx=$(mktemp -d) || exit 1\n\
         for tool in rpm gpg; do command -v $tool > /dev/null || no \"Failed to find required executable \\\"$tool\\\" in paths: $PATH\"; done\n"
    );
    let mut input = Vec::new();
    if key.contains("://") {
        input = request(args, key, None)?;
        text += &format!("{DOWNLOAD}receive\nk=$x/key\ndownload \"$k\" > /dev/null || no \"failed to fetch key at \"{}\n", quote(key));
        text += "grep -q 'BEGIN PGP PUBLIC KEY BLOCK' \"$k\" || no 'Not a public key: '";
        text += &format!("{}\n", quote(key));
    } else if is_id(key) {
        text += "k=''\n";
    } else {
        text += &format!("k={}\n[ -f \"$k\" ] || no \"Not a valid key $k\"\n", words::on_host(key));
    }
    text += "GNUPGHOME=$x/gpg; export GNUPGHOME; mkdir \"$x/gpg\" || exit 1\n\
             show() { gpg --batch --no-tty --quiet --with-colons --import-options show-only --import \"$1\" 2> /dev/null; }\n\
             say ok\nif [ -n \"$k\" ]; then say \"$(show \"$k\")\"; else say ''; fi\n\
             if rpm -q gpg-pubkey > /dev/null 2>&1; then rpm -q gpg-pubkey --qf '%{description}\\n' > \"$x/all\"; say \"$(show \"$x/all\")\"; else say ''; fi\n";
    text += then;
    Ok((text, input))
}

/// The keys and subkeys in gpg's listing with colons.
fn keys(listing: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match (fields[0], fields.get(4), fields.get(9)) {
            ("pub" | "sub", Some(id), _) => keys.push(Key { id: id.to_uppercase(), fingerprint: String::new() }),
            ("fpr", _, Some(fingerprint)) => {
                if let Some(key) = keys.last_mut().filter(|key| key.fingerprint.is_empty()) {
                    key.fingerprint = fingerprint.to_uppercase();
                }
            }
            _ => {}
        }
    }
    keys
}

fn is_id(key: &str) -> bool {
    let key = key.replace(' ', "");
    let digits = key.strip_prefix("0x").or_else(|| key.strip_prefix("0X")).unwrap_or(&key);
    digits.len() >= 8 && digits.chars().take(8).all(|c| c.is_ascii_hexdigit())
}

fn normal(id: &str) -> String {
    let id = id.trim().to_uppercase();
    id.strip_prefix("0X").map_or(id.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_gpgs_listing() {
        let said = "pub:-:4096:1:05B555B38483C65D:1:::-:::scSC::::::23::0:\nfpr:::::::::99DB70FAE1D7CE227FB6488205B555B38483C65D:\n\
                    uid:-::::1::A::x <y>::::::::::0:\nsub:-:4096:1:0123456789ABCDEF:1::::::e::::::23:\nfpr:::::::::AA:\n";
        let keys = keys(said);
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], Key { id: "05B555B38483C65D".into(), fingerprint: "99DB70FAE1D7CE227FB6488205B555B38483C65D".into() });
        assert!(is_id("0x8483c65D") && !is_id("/etc/key") && normal("0x8483c65d ") == "8483C65D");
    }
}
