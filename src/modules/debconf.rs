//! Answers to the questions that packages ask when they are configured.
//!
//! ```yaml
//! - debconf: {name: tzdata, question: tzdata/Areas, vtype: select, value: Europe}
//! - debconf: {name: tzdata}      # only tells what is set
//! ```
//!
//! Returns `current` (of the question, or without one of the whole package) and `previous`.

use super::look::{FUNCTIONS, Fields};
use super::write_file::diff_of_states;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};
use serde_json::{Map, Value as Json, json};

pub struct Debconf;

static SPEC: Spec = Spec {
    name: "ansible.builtin.debconf",
    aliases: &[],
    params: &[
        Param::str("name").required().alias(&["pkg"]),
        Param::str("question").alias(&["selection", "setting"]),
        Param::str("vtype").choices(&["boolean", "error", "multiselect", "note", "password", "seen", "select", "string", "text", "title"]),
        Param::raw("value").alias(&["answer"]).secret_if("vtype", "password"),
        Param::bool("unseen").default("false"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    answers: Map<String, Json>,
    /// What `debconf-show` hides.
    password: Option<String>,
}

impl Module for Debconf {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let given = ["question", "vtype", "value"].iter().filter(|name| args.has(name)).count();
        if given != 0 && given != 3 {
            return Err(Failure::new("parameters are required together: question, vtype, value"));
        }
        let name = args.required("name")?;
        let mut text = format!("{FUNCTIONS}o=$(LC_ALL=C debconf-show {}) || exit 1\nsay \"$o\"\n", quote(name));
        if args.str("vtype") == Some("password") {
            text.push_str(
                "command -v debconf-get-selections > /dev/null || { echo 'Failed to find required executable \"debconf-get-selections\" in paths' >&2; exit 1; }\n\
                 o=$(LC_ALL=C debconf-get-selections) || exit 1\nsay \"$o\"\n",
            );
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        if !output.success() {
            let said = output.stderr_text().trim().to_owned();
            return Err(Failure { message: said, ..Failure::script("debconf-show", output) });
        }
        let mut fields = Fields::of("debconf-show", output)?;
        let shown = fields.text()?;
        let answer = |line: &str| line.split_once(':').map(|(key, value)| (key.trim_matches('*').trim().to_owned(), value.trim().into()));
        let answers = shown.lines().filter_map(answer).collect();
        let mut password = None;
        if !fields.is_empty() {
            let all = fields.text()?;
            let (name, question) = (args.required("name")?, args.required("question")?);
            let lines = all.lines().filter(|line| line.starts_with(name)).map(|line| line.split('\t').collect::<Vec<_>>());
            password = lines
                .filter(|fields| fields.len() > 3)
                .find(|fields| fields[1] == question && fields[2] == "password")
                .map(|fields| fields[3].to_owned());
        }
        Ok(State { answers, password })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let unchanged = || Outcome::unchanged().with("msg", "").with("current", Json::Object(state.answers.clone()));
        let (Some(question), Some(vtype), Some(value)) = (args.str("question"), args.str("vtype"), args.get("value")) else {
            return Ok(unchanged().into());
        };
        let value = match value {
            Json::Array(items) if vtype == "multiselect" => {
                let mut items: Vec<String> = items.iter().map(text_of).collect();
                items.sort();
                items.join(", ")
            }
            value if vtype == "boolean" => text_of(value).to_lowercase(),
            value => text_of(value),
        };
        let there = state.answers.get(question).and_then(Json::as_str);
        let is_same = match there {
            None => false,
            Some(there) if vtype == "boolean" => there.to_lowercase() == value,
            Some(_) if vtype == "password" => state.password.as_deref().unwrap_or_default() == value,
            Some(there) if vtype == "multiselect" && args.get("value").is_some_and(Json::is_array) => {
                let mut items: Vec<&str> = there.split(',').map(str::trim).collect();
                items.sort_unstable();
                items.join(", ") == value
            }
            Some(there) => there == value,
        };
        if is_same {
            return Ok(unchanged().into());
        }
        let is_list = args.get("value").is_some_and(Json::is_array) && vtype == "multiselect";
        let current: Json = if is_list && context.check_mode() { value.split(", ").collect() } else { value.clone().into() };
        let current = json!({question: current});
        // Of a question that nobody asked yet Ansible tells all the others.
        let previous = match there {
            Some(there) => json!({question: there}),
            None => {
                let mut all = state.answers.clone();
                all.insert(question.to_owned(), "".into());
                all.into()
            }
        };
        let mut outcome = Outcome::changed().with("msg", "").with("current", current.clone()).with("previous", previous.clone());
        if context.diff_mode()
            && let (Json::Object(before), Json::Object(new)) = (previous, current)
        {
            let mut after = before.clone();
            after.extend(new);
            outcome = outcome.diff(diff_of_states(before, after));
        }
        let unseen = if args.is("unseen") { " -u" } else { "" };
        let line = [args.required("name")?, question, vtype, &value].join(" ");
        let script = Script::new(format!("debconf-set-selections{unseen} > /dev/null\n")).with_input(line.into_bytes());
        Ok(Change::new(outcome, script)
            .finish(|output, outcome| {
                if output.success() {
                    return Ok(outcome);
                }
                let failure = Failure::script("debconf-set-selections", output);
                Err(Failure { message: output.stderr_text().trim().to_owned(), ..failure })
            })
            .into())
    }
}

fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}
