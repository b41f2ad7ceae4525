//! What is checked of a task before the run: its arguments against the module's, its files against what is there, its handlers.

use super::Action;
use super::action::Arguments;
use super::keywords::is_identifier;
use super::load::{Gathered, Reading, Scope};
use super::search;
use super::tasks::missing_file;
use crate::module::{Param, ParamKind, Spec};
use crate::modules::TAKES_ANY_PARAMETER;
use crate::source::{Diag, Kind, Node};
use serde_json::{Map, Value as Json};

/// Arguments that are conditions or expressions, not templates.
const CONDITIONS: &[(&str, &str)] = &[("ansible.builtin.assert", "that")];
const EXPRESSIONS: &[(&str, &str)] = &[("ansible.builtin.debug", "var")];

impl Reading<'_> {
    /// Names, types and templates of an action's arguments, and whether any is missing.
    pub(super) fn check_arguments(&mut self, arguments: &Arguments<'_>) {
        let action = arguments.action;
        let spec = action.module.spec();
        for (word, value) in &action.args {
            self.check_argument(spec, word, value, &action.name);
        }
        if let Some(dict) = &action.args_from {
            self.templates(dict);
            return;
        }
        if !arguments.keywords.is_empty() || !arguments.outer.is_empty() {
            return;
        }
        let given = |param: &Param| action.args.iter().any(|(word, _)| param.answers_to(word));
        for param in spec.params.iter().filter(|param| param.required && param.default.is_none() && !given(param)) {
            let diag = Diag::error(format!("`{}` needs the argument `{}`", action.name, param.name)).at(&action.name_span);
            let near = action.args.iter().find(|(word, _)| spec.param(word).is_none());
            // A misspelt name is told already, with its hint.
            if near.is_none_or(|(word, _)| crate::source::nearest(word, [param.name]).is_none()) {
                self.foresee(diag);
            }
        }
    }

    pub(super) fn check_argument(&mut self, spec: &'static Spec, word: &str, value: &Node, module: &str) {
        let pair = (spec.name, word);
        if CONDITIONS.contains(&pair) {
            self.conditions(word, value);
        } else if EXPRESSIONS.contains(&pair) && value.as_str().is_some() && !value.is_template() {
            self.findings_of(|loader| (loader.check_condition)(value));
        } else if word != "apply" {
            // `apply` is read as keywords.
            self.templates(value);
        }
        let Some(param) = spec.param(word) else {
            if !TAKES_ANY_PARAMETER.contains(&spec.name) {
                let known = spec.params.iter().flat_map(|param| std::iter::once(param.name).chain(param.aliases.iter().copied()));
                let diag = Diag::error(format!("`{module}` has no argument `{word}`")).at(&self.key_span(value, word));
                self.foresee(match crate::source::nearest(word, known) {
                    Some(near) => diag.hint(format!("did you mean `{near}`?")),
                    None => diag.note(format!("its arguments are {}", names_of(spec))),
                });
            } else if spec.name == "ansible.builtin.set_fact" && !word.contains("{{") && !is_identifier(word) {
                self.foresee(
                    Diag::error(format!("`{word}` cannot be the name of a variable"))
                        .at(&self.key_span(value, word))
                        .hint("a name has letters, digits and `_`, and does not begin with a digit"),
                );
            }
            return;
        };
        if param.kind == ParamKind::Mode
            && let Kind::Int(mode) = value.kind
        {
            let written = value.span.text();
            if !written.starts_with('0') && mode > 7 {
                let title = format!("`{word}: {written}` is the number {mode}, that is mode {mode:04o}");
                self.foresee(Diag::error(title).at(&value.span).hint(format!("write \"0{written}\", in quotes")));
                return;
            }
        }
        let (false, Some(literal)) = (value.is_null() || holds_template(value), plain(value)) else { return };
        if let Err(message) = param.check(&literal) {
            let diag = Diag::error(format!("`{module}`: {message}")).at(&value.span);
            let choice = value.as_str().unwrap_or("");
            self.foresee(diag.did_you_mean(choice, param.choices.iter().copied()));
        }
    }

    /// Where an argument's name stands: before its value, or at the value where that cannot be found.
    fn key_span(&self, value: &Node, word: &str) -> crate::source::Span {
        let span = &value.span;
        let before = &span.source.text[..span.start.min(span.source.text.len())];
        match before.rfind(word) {
            Some(at) if before[at + word.len()..].trim_matches([' ', ':', '=', '"', '\'', '\n', '|', '>', '-', '&']).is_empty() => {
                span.source.span(at, at + word.len())
            }
            _ => span.clone(),
        }
    }

    /// Files of the controller that an action names outright.
    pub(super) fn check_files(&mut self, action: &Action, scope: &Scope) {
        let literal =
            |word: &str| action.args.iter().find(|(given, _)| given == word).map(|(_, value)| value).filter(|value| !value.is_template());
        let (kind, file) = match action.module.spec().name {
            "ansible.builtin.template" => ("templates", literal("src")),
            "ansible.builtin.copy" if !action.args.iter().any(|(word, _)| word == "remote_src") => ("files", literal("src")),
            "ansible.builtin.include_vars" => ("vars", literal("file")),
            _ => return,
        };
        let Some((node, name)) = file.and_then(|node| Some((node, node.as_str()?))) else { return };
        // An absolute path may be made by a task before this one.
        if name.is_empty() || name.starts_with(['/', '~']) {
            return;
        }
        if let Err(looked_in) = search::find_file(kind, name, scope.role.as_ref(), &scope.play_dir, &scope.file_dir) {
            let diag = missing_file(&format!("`{}` names a file that is not there: `{name}`", action.name), &looked_in, &node.span);
            // So may, of a copy, a relative one: `fetch` writes them.
            self.foresee(if kind == "files" { Diag { level: crate::source::Level::Warning, ..diag } } else { diag });
        }
    }

    /// Handlers that are notified by a name that nobody has.
    pub(super) fn check_notified(&mut self, gathered: &Gathered) {
        if gathered.is_open {
            return;
        }
        for node in &gathered.notified {
            let Some(name) = node.as_str().filter(|_| !node.is_template()) else { continue };
            // A role's handler may be called by its collection's name as well.
            let known = |name: &str| gathered.handler_names.contains(name);
            if known(name) {
                continue;
            }
            let diag = Diag::error(format!("there is no handler `{name}`")).at(&node.span);
            let mut names: Vec<&str> = gathered.handler_names.iter().map(String::as_str).collect();
            names.sort_unstable();
            let same = names.iter().find(|known| known.eq_ignore_ascii_case(name));
            self.foresee(match same {
                Some(same) => diag.hint(format!("did you mean `{same}`?")),
                None if names.is_empty() => diag.hint("the play has no handlers"),
                None => diag.did_you_mean(name, names),
            });
        }
    }
}

fn names_of(spec: &Spec) -> String {
    if spec.params.is_empty() {
        return "none".to_owned();
    }
    spec.params.iter().map(|param| param.name).filter(|name| !name.starts_with('_')).collect::<Vec<_>>().join(", ")
}

/// Whether a template stands anywhere in the value.
pub(super) fn holds_template(node: &Node) -> bool {
    match &node.kind {
        Kind::Seq(items) => items.iter().any(holds_template),
        Kind::Map(pairs) => pairs.iter().any(|(key, value)| key.is_template() || holds_template(value)),
        _ => node.is_template(),
    }
}

/// A value as it would be without templates. `None`: a number that JSON cannot hold, or something encrypted.
pub(super) fn plain(node: &Node) -> Option<Json> {
    Some(match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => (*value).into(),
        Kind::Float(value) => serde_json::Number::from_f64(*value)?.into(),
        Kind::Str(string) => Json::from(string.text.as_ref()),
        Kind::Vault(_) => return None,
        Kind::Seq(items) => Json::Array(items.iter().map(plain).collect::<Option<_>>()?),
        Kind::Map(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                let key = match key.as_str() {
                    Some(key) => key.to_owned(),
                    None => plain(key)?.to_string(),
                };
                map.insert(key, plain(value)?);
            }
            map.into()
        }
    })
}
