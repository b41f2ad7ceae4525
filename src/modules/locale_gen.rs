//! Locales that are made from their sources: `/etc/locale.gen` and `locale-gen`.
//!
//! ```yaml
//! - locale_gen: {name: [de_CH.UTF-8, fr_CH.UTF-8]}
//! ```
//!
//! Whether a locale is there `locale -a` tells. Check mode says what would be changed, where Ansible's says that nothing would. Returns `name`,
//! `mechanism`.

use super::look::{FUNCTIONS, Fields};
use super::write_file::CLEANING;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};

pub struct LocaleGen;

static SPEC: Spec = Spec {
    name: "community.general.locale_gen",
    aliases: &["ansible.builtin.locale_gen"],
    params: &[Param::list("name").required(), Param::str("state").default("present").choices(&["absent", "present"])],
    free_form: FreeForm::None,
};

pub struct State {
    there: String,
    supported: String,
    listed: String,
}

impl Module for LocaleGen {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}if [ ! -e /etc/locale.gen ]; then echo '/etc/locale.gen is missing. Is the package \"locales\" installed?' >&2; exit 1; fi\n\
             o=$(locale -a) || exit 1\nsay \"$o\"\n\
             say \"$(cat /usr/share/i18n/SUPPORTED /usr/local/share/i18n/SUPPORTED 2>/dev/null)\"\ncat /etc/locale.gen\n"
        ))))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        if !output.success() {
            return Err(Failure::new(output.stderr_text().trim()));
        }
        let mut fields = Fields::of("look at the locales", output)?;
        let (there, supported) = (fields.text()?, fields.text()?);
        Ok(State { there, supported, listed: String::from_utf8_lossy(fields.rest()).into_owned() })
    }

    fn decide(&self, args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        let names = args.list("name").unwrap_or_default();
        let is_there = |name: &str| state.there.lines().any(|line| fixed(line) == fixed(name));
        let unknown: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| charset(&state.supported, name).is_none() && !is_there(name)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            let message = format!("The following locales you have entered are not available on your system: {unknown}");
            return Err(Failure::argument("name", message));
        }
        let wants = args.required("state")? == "present";
        let outcome = Outcome::unchanged().with("name", names.clone()).with("mechanism", "glibc").with("ubuntu_mode", false);
        if names.iter().all(|name| is_there(name)) == wants {
            return Ok(outcome.into());
        }
        let content = list(&state, &names, wants);
        let script = format!(
            "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\nm=$(umask)\n{CLEANING}p=$(readlink -f /etc/locale.gen) && t=$(mktemp \"$p.XXXXXX\") || exit\n\
             cp -p -- \"$p\" \"$t\" && cat > \"$t\" && into_place \"$t\" \"$p\" || exit\nt=''\numask \"$m\"\n\
             locale-gen > /dev/null || exit\nlocale -a\n"
        );
        let change = Change::new(Outcome { changed: true, ..outcome }, Script::new(script).with_input(content.into_bytes()));
        Ok(change
            .finish(move |output, mut outcome| {
                if !output.success() {
                    return Err(Failure::script("locale-gen", output));
                }
                // Some cannot be taken away: then nothing was changed.
                let said = output.stdout_text();
                outcome.changed = names.iter().all(|name| said.lines().any(|line| fixed(line) == fixed(name))) == wants;
                Ok(outcome)
            })
            .into())
    }
}

/// The name of a locale with its encoding as `locale.gen` writes it; `locale -a` has its own way.
fn fixed(name: &str) -> String {
    let ways = [
        (".utf8", ".UTF-8"),
        (".eucjp", ".EUC-JP"),
        (".iso885915", ".ISO-8859-15"),
        (".cp1251", ".CP1251"),
        (".koi8r", ".KOI8-R"),
        (".armscii8", ".ARMSCII-8"),
        (".euckr", ".EUC-KR"),
        (".gbk", ".GBK"),
        (".gb18030", ".GB18030"),
        (".euctw", ".EUC-TW"),
    ];
    ways.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// The encoding that the list of what can be made has for a locale.
fn charset<'a>(supported: &'a str, name: &str) -> Option<&'a str> {
    supported.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches('#').split_whitespace();
        let (locale, charset) = (words.next()?, words.next()?);
        (locale == name && words.next().is_none()).then_some(charset)
    })
}

/// `/etc/locale.gen` with the lines of these locales switched on or off.
fn list(state: &State, names: &[String], wants: bool) -> String {
    let mut found = vec![false; names.len()];
    let mut new = String::new();
    for line in state.listed.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line).trim_start();
        let named = names.iter().position(|name| bare.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(' ')));
        match named {
            Some(at) => {
                found[at] = true;
                new.push_str(if wants { "" } else { "# " });
                new.push_str(bare);
            }
            None => new.push_str(line),
        }
        new.push('\n');
    }
    for (name, _) in names.iter().zip(found).filter(|(_, found)| wants && !found) {
        if let Some(charset) = charset(&state.supported, name) {
            new.push_str(&format!("{name} {charset}\n"));
        }
    }
    new
}
