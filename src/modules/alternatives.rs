//! Which of several programs a common name leads to: `update-alternatives`.
//!
//! ```yaml
//! - alternatives: {name: editor, path: /usr/bin/vim.basic}
//! - alternatives: {name: java, link: /usr/bin/java, path: /opt/jdk/bin/java, priority: 200, state: present,
//!     subcommands: [{name: keytool, link: /usr/bin/keytool, path: /opt/jdk/bin/keytool}]}
//! ```
//!
//! Returns `msg`.

use super::write_file::diff_of_states;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all, words};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

pub struct Alternatives;

static SPEC: Spec = Spec {
    name: "community.general.alternatives",
    aliases: &["ansible.builtin.alternatives"],
    params: &[
        Param::str("name").required(),
        Param::path("path"),
        Param::str("family"),
        Param::path("link"),
        Param::int("priority"),
        Param::str("state").default("selected").choices(&["present", "selected", "absent", "auto"]),
        Param::list("subcommands").alias(&["slaves"]),
    ],
    free_form: FreeForm::None,
};

/// A name that goes along with another.
#[derive(Clone, Debug, PartialEq)]
struct Subcommand {
    name: String,
    path: String,
    link: String,
}

#[derive(Debug)]
struct Choice {
    path: String,
    family: String,
    priority: i64,
    subcommands: Vec<Subcommand>,
}

/// What `update-alternatives --display` says.
#[derive(Debug, Default)]
pub struct State {
    path_exists: bool,
    is_manual: bool,
    current: Option<String>,
    link: Option<String>,
    choices: Vec<Choice>,
}

impl Module for Alternatives {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        if !args.has("path") && !args.has("family") {
            return Err(Failure::new("one of the following is required: path, family"));
        }
        Subcommand::all(args)?;
        let exists =
            args.str("path").map_or_else(String::new, |path| format!("if [ -e {} ]; then echo exists; fi\n", words::on_host(path)));
        Ok(Some(Script::new(format!(
            "{PATHS}command -v update-alternatives > /dev/null || {{ echo 'Failed to find required executable \"update-alternatives\" in paths' >&2; exit 1; }}\n\
             {exists}LC_ALL=C update-alternatives --display {} 2>/dev/null\nexit 0\n",
            quote(args.required("name")?)
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        if !output.success() {
            return Err(Failure::new(output.stderr_text().trim()));
        }
        let text = output.stdout_text();
        let shown = text.strip_prefix("exists\n");
        Ok(State { path_exists: shown.is_some(), ..read(shown.unwrap_or(&text), &Subcommand::all(args)?.unwrap_or_default()) })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let (name, wanted) = (args.required("name")?, args.required("state")?);
        let (path, family) = (args.str("path"), args.str("family"));
        let subcommands = Subcommand::all(args)?;
        let there = path.and_then(|path| state.choices.iter().find(|choice| choice.path == path));
        let link = args.str("link").filter(|link| !link.is_empty()).or(state.link.as_deref());
        let mut commands = Vec::new();
        let mut messages = Vec::new();
        let mut after = Map::new();
        let mut run = |words: &[&str], message: String| {
            commands.push(quote_all(["update-alternatives"].iter().chain(words)));
            messages.push(message);
        };
        if wanted == "absent" {
            if let Some(choice) = there {
                run(&["--remove", name, &choice.path], format!("Remove alternative '{}' from '{name}'.", choice.path));
                after.insert("state".into(), "absent".into());
            }
        } else {
            if let Some(path) = path
                && there.is_none_or(|choice| choice.differs(args.int("priority"), subcommands.as_deref()))
            {
                if !state.path_exists {
                    return Err(Failure::argument("path", format!("Specified path {path} does not exist")));
                }
                let Some(link) = link else {
                    let message = "Needed to install the alternative, but unable to do so as we are missing the link";
                    return Err(Failure::new(message));
                };
                let priority = args.int("priority").or(there.map(|choice| choice.priority)).unwrap_or(50);
                let number = priority.to_string();
                let mut words = vec!["--install", link, name, path, &number];
                words.extend(family.iter().flat_map(|family| ["--family", family]));
                for subcommand in subcommands.iter().flatten() {
                    words.extend(["--slave", &subcommand.link, &subcommand.name, &subcommand.path]);
                }
                run(&words, format!("Install alternative '{path}' for '{name}'."));
                let shown = json!({"state": "present", "path": path, "family": family, "priority": priority, "link": link});
                after.extend(shown.as_object().cloned().unwrap_or_default());
                let kept = subcommands.as_deref().or(there.map(|choice| choice.subcommands.as_slice())).unwrap_or_default();
                if !kept.is_empty() {
                    after.insert("subcommands".into(), kept.iter().map(Subcommand::shown).collect());
                }
            }
            let current = state.current.as_deref();
            let is_selected = path.is_some() && current == path;
            // A choice without a family is of none, also not of the one that nobody asked for.
            let is_family = state.choices.iter().any(|choice| Some(&*choice.path) == current && Some(&*choice.family) == family);
            if wanted == "selected" && !is_selected && !is_family {
                let chosen = path.or(family).unwrap_or_default();
                run(&["--set", name, chosen], format!("Set alternative '{chosen}' for '{name}'."));
                after.insert("state".into(), "selected".into());
            }
            if wanted == "auto" && state.is_manual {
                run(&["--auto", name], format!("Set alternative to auto for '{name}'."));
                after.insert("state".into(), "present".into());
            }
        }
        let mut outcome = Outcome { changed: !commands.is_empty(), ..Outcome::default() }.with("msg", messages.join(" "));
        if commands.is_empty() {
            return Ok(outcome.into());
        }
        if context.diff_mode() {
            outcome = outcome.diff(diff_of_states(state.before(path, there), after));
        }
        let lines: String = commands.iter().map(|command| format!("{command} > /dev/null || exit\n")).collect();
        Ok(Change::new(outcome, Script::new(format!("{PATHS}export LC_ALL=C\n{lines}")))
            .finish(|output, outcome| {
                if output.success() {
                    return Ok(outcome);
                }
                let failure = Failure::script("update-alternatives", output);
                Err(Failure { message: output.stderr_text().trim().to_owned(), ..failure })
            })
            .into())
    }
}

const PATHS: &str = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n";

impl State {
    fn before(&self, path: Option<&str>, there: Option<&Choice>) -> Map<String, Json> {
        if self.choices.is_empty() {
            return Map::new();
        }
        let Some(choice) = there else {
            return Map::from_iter([("state".to_owned(), "absent".into())]);
        };
        let state = if self.is_manual && self.current.as_deref() != path { "selected" } else { "present" };
        let shown = json!({"state": state, "path": choice.path, "priority": choice.priority, "link": self.link});
        let mut before = shown.as_object().cloned().unwrap_or_default();
        if !choice.subcommands.is_empty() {
            before.insert("subcommands".into(), choice.subcommands.iter().map(Subcommand::shown).collect());
        }
        before
    }
}

impl Choice {
    fn differs(&self, priority: Option<i64>, subcommands: Option<&[Subcommand]>) -> bool {
        let is_subset = |some: &[Subcommand], all: &[Subcommand]| some.iter().all(|one| all.contains(one));
        let other = |wanted: &[Subcommand]| !is_subset(wanted, &self.subcommands) || !is_subset(&self.subcommands, wanted);
        priority.is_some_and(|priority| priority != self.priority) || subcommands.is_some_and(other)
    }
}

impl Subcommand {
    fn all(args: &Args) -> Result<Option<Vec<Subcommand>>, Failure> {
        let Some(given) = args.get("subcommands").and_then(Json::as_array) else { return Ok(None) };
        given.iter().map(Subcommand::of).collect::<Result<_, _>>().map(Some)
    }

    fn of(given: &Json) -> Result<Subcommand, Failure> {
        let wrong = |message: String| Failure::argument("subcommands", message);
        let map = given.as_object().ok_or_else(|| wrong("Elements value for option 'subcommands' must be mappings".into()))?;
        if let Some(key) = map.keys().find(|key| !["name", "path", "link"].contains(&key.as_str())) {
            return Err(wrong(format!("Unsupported parameters: subcommands.{key}. Supported parameters include: link, name, path.")));
        }
        let word = |key: &str| {
            let text = map.get(key).and_then(Json::as_str).map(str::to_owned);
            text.ok_or_else(|| wrong(format!("missing required arguments: {key} found in subcommands")))
        };
        Ok(Subcommand { name: word("name")?, path: word("path")?, link: word("link")? })
    }

    fn shown(&self) -> Json {
        json!({"name": self.name, "path": self.path, "link": self.link})
    }
}

/// Reads what `update-alternatives --display` writes, in Debian's words and in Red Hat's.
fn read(text: &str, asked_for: &[Subcommand]) -> State {
    let mut state = State::default();
    let mut links: HashMap<&str, &str> = HashMap::new();
    for line in text.lines() {
        if let Some((word, rest)) = line.trim_start().split_once(' ') {
            let is_subcommand = matches!(word, "slave" | "follower");
            if is_subcommand && let Some((name, link)) = rest.split_once(" is ") {
                links.insert(name, link);
            }
        }
    }
    if links.is_empty() {
        links = asked_for.iter().map(|subcommand| (&*subcommand.name, &*subcommand.link)).collect();
    }
    for (at, line) in text.lines().enumerate() {
        let words = line.trim_start();
        if at == 0
            && let Some((_, mode)) = line.rsplit_once(" - ")
        {
            let mode = mode.strip_prefix("status is ").unwrap_or(mode);
            state.is_manual = mode.trim_end_matches('.').trim_end_matches(" mode") == "manual";
        } else if let Some(path) = words.strip_prefix("link currently points to ") {
            state.current = Some(path.to_owned());
        } else if let Some((_, link)) = words.strip_prefix("link ").and_then(|rest| rest.split_once(" is ")) {
            state.link = Some(link.to_owned());
        } else if line.starts_with('/')
            && let Some((path, rest)) = line.split_once(" - ")
        {
            let (family, rest) = match rest.strip_prefix("family ").and_then(|rest| rest.split_once(' ')) {
                Some((family, rest)) => (family, rest),
                None => ("", rest),
            };
            let priority = rest.strip_prefix("priority ").and_then(|rest| rest.split_whitespace().next());
            if let Some(priority) = priority.and_then(|number| number.parse().ok()) {
                state.choices.push(Choice { path: path.to_owned(), family: family.to_owned(), priority, subcommands: Vec::new() });
            }
        } else if let Some((name, path)) = ["slave ", "follower "].iter().find_map(|word| words.strip_prefix(word)?.split_once(": "))
            && path != "(null)"
            && let Some(choice) = state.choices.last_mut()
        {
            let link = links.get(name).copied().unwrap_or_default().to_owned();
            choice.subcommands.push(Subcommand { name: name.to_owned(), path: path.to_owned(), link });
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_debians_words_and_red_hats() {
        let debian = read(
            "x - manual mode\n  link best version is /b\n  link currently points to /a b\n  link x is /usr/bin/x\n  slave x.1 is /man/x.1\n\
             /a b - priority 9\n  slave x.1: /man/a.1\n/b - priority 70\n",
            &[],
        );
        assert!(debian.is_manual);
        assert_eq!((debian.current.as_deref(), debian.link.as_deref()), (Some("/a b"), Some("/usr/bin/x")));
        let choices: Vec<_> = debian.choices.iter().map(|choice| (&*choice.path, choice.priority, choice.subcommands.len())).collect();
        assert_eq!(choices, [("/a b", 9, 1), ("/b", 70, 0)]);
        assert_eq!(debian.choices[0].subcommands[0].link, "/man/x.1");
        let red_hat = read("x - status is auto.\n link currently points to /a\n/a - family f priority 5\n follower y: /y\n", &[]);
        assert!(!red_hat.is_manual);
        assert_eq!((&*red_hat.choices[0].family, red_hat.choices[0].subcommands.len()), ("f", 1));
    }
}
