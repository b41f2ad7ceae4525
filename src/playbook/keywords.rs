//! Keywords: which words may stand where, how the inherited ones are read, and how they are merged from the outside in.

use super::Keywords;
use super::load::Reading;
use crate::source::{Diag, Kind, Node, Span, Str, yaml};
use crate::vars::{VarMap, Variable};
use std::sync::Arc;

/// What every level takes: the play, blocks, tasks, roles.
const EVERYWHERE: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "diff",
    "environment",
    "ignore_errors",
    "ignore_unreachable",
    "module_defaults",
    "name",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "vars",
];

/// Below the play.
const BELOW_PLAY: &[&str] = &["delegate_facts", "delegate_to", "when"];

const PLAY: &[&str] = &[
    "fact_path",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "max_fail_percentage",
    "order",
    "post_tasks",
    "pre_tasks",
    "roles",
    "serial",
    "strategy",
    "tasks",
    "user",
    "validate_argspec",
    "vars_files",
    "vars_prompt",
];

const BLOCK: &[&str] = &["always", "block", "notify", "rescue"];

const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "failed_when",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
];

/// What may stand beside `include_tasks` and `include_role`.
const BESIDE_INCLUDE: &[&str] = &[
    "action",
    "args",
    "collections",
    "debugger",
    "ignore_errors",
    "listen",
    "loop",
    "loop_control",
    "name",
    "no_log",
    "register",
    "run_once",
    "tags",
    "timeout",
    "vars",
    "when",
];

/// What Ansible has and nodewright has not, and what to do about it.
const REFUSED: &[(&str, &str)] = &[
    ("include", "write `include_tasks` or `import_tasks`"),
    ("sudo", "write `become: true`"),
    ("sudo_user", "write `become_user`"),
    ("action_plugin", "write `action`"),
];

/// Where a keyword stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Play,
    Block,
    Task,
    Handler,
    Role,
    Apply,
}

impl Place {
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        let own: &[&[&str]] = match self {
            Place::Play => &[EVERYWHERE, PLAY],
            Place::Block => &[EVERYWHERE, BELOW_PLAY, BLOCK],
            Place::Task => &[EVERYWHERE, BELOW_PLAY, TASK],
            Place::Handler => &[EVERYWHERE, BELOW_PLAY, TASK, &["listen"]],
            Place::Role => &[EVERYWHERE, BELOW_PLAY, &["role"]],
            Place::Apply => &[EVERYWHERE, BELOW_PLAY, &["notify"]],
        };
        own.iter().flat_map(|words| words.iter().copied())
    }

    pub(super) fn takes(self, word: &str) -> bool {
        self.words().any(|known| known == word) || (matches!(self, Place::Task | Place::Handler) && word.starts_with("with_"))
    }

    /// Those that take a word, for messages.
    fn plural(self) -> &'static str {
        match self {
            Place::Play => "plays",
            Place::Block => "blocks",
            Place::Task => "tasks",
            Place::Handler => "handlers",
            Place::Role => "roles",
            Place::Apply => "`apply`",
        }
    }

    /// Ansible's word for it.
    fn class(self) -> &'static str {
        match self {
            Place::Play => "Play",
            Place::Block | Place::Apply => "Block",
            Place::Task => "Task",
            Place::Handler => "Handler",
            Place::Role => "RoleInclude",
        }
    }

    /// With its article, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Play => "a play",
            Place::Block => "a block",
            Place::Task => "a task",
            Place::Handler => "a handler",
            Place::Role => "a role",
            Place::Apply => "`apply`",
        }
    }
}

/// Whether `word` may stand beside `include_tasks` and `include_role`.
pub(super) fn may_stand_beside_include(word: &str) -> bool {
    BESIDE_INCLUDE.contains(&word) || word.starts_with("with_")
}

/// Why a keyword of Ansible's is refused, if it is.
pub(super) fn refused(word: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(known, _)| *known == word).map(|(_, why)| *why)
}

impl Keywords {
    /// These with what stands further inside.
    pub(super) fn with(&self, inner: Keywords) -> Keywords {
        let joined = |outer: &[Node], inner: Vec<Node>| outer.iter().cloned().chain(inner).collect::<Vec<_>>();
        let nearest = |outer: &Option<Node>, inner: Option<Node>| inner.or_else(|| outer.clone());
        let mut tags = self.tags.clone();
        for tag in inner.tags {
            if !tags.iter().any(|known| known.as_str().is_some() && known.as_str() == tag.as_str()) {
                tags.push(tag);
            }
        }
        Keywords {
            when: joined(&self.when, inner.when),
            tags,
            vars: self.vars.iter().cloned().chain(inner.vars).collect(),
            environment: joined(&self.environment, inner.environment),
            module_defaults: self.module_defaults.iter().cloned().chain(inner.module_defaults).collect(),
            collections: if inner.collections.is_empty() { self.collections.clone() } else { inner.collections },
            notify: if inner.notify.is_empty() { self.notify.clone() } else { inner.notify },
            r#become: nearest(&self.r#become, inner.r#become),
            become_user: nearest(&self.become_user, inner.become_user),
            become_method: nearest(&self.become_method, inner.become_method),
            become_flags: nearest(&self.become_flags, inner.become_flags),
            become_exe: nearest(&self.become_exe, inner.become_exe),
            connection: nearest(&self.connection, inner.connection),
            remote_user: nearest(&self.remote_user, inner.remote_user),
            port: nearest(&self.port, inner.port),
            delegate_to: nearest(&self.delegate_to, inner.delegate_to),
            delegate_facts: nearest(&self.delegate_facts, inner.delegate_facts),
            run_once: nearest(&self.run_once, inner.run_once),
            ignore_errors: nearest(&self.ignore_errors, inner.ignore_errors),
            ignore_unreachable: nearest(&self.ignore_unreachable, inner.ignore_unreachable),
            any_errors_fatal: nearest(&self.any_errors_fatal, inner.any_errors_fatal),
            no_log: nearest(&self.no_log, inner.no_log),
            check_mode: nearest(&self.check_mode, inner.check_mode),
            diff: nearest(&self.diff, inner.diff),
            throttle: nearest(&self.throttle, inner.throttle),
            timeout: nearest(&self.timeout, inner.timeout),
        }
    }
}

impl Reading<'_> {
    /// Reads `word` into `into` if it is a keyword that is inherited; says whether it is.
    pub(super) fn inherited(&mut self, into: &mut Keywords, word: &str, value: &Node) -> bool {
        match word {
            "when" => into.when.extend(self.conditions(word, value)),
            "tags" => into.tags.extend(self.tags(value)),
            "notify" => into.notify.extend(self.notify(value)),
            "vars" => into.vars.extend(self.vars(value, "vars").filter(|vars| !vars.is_empty()).map(Arc::new)),
            "environment" => into.environment.extend(self.mappings(word, value)),
            "module_defaults" => {
                let defaults = self.module_defaults(value);
                into.module_defaults.extend(defaults);
            }
            "become" => into.r#become = self.boolean(word, value),
            "become_user" => into.become_user = self.string(word, value),
            "become_method" => into.become_method = self.one_of(word, value, &["sudo", "su"]),
            "become_flags" => into.become_flags = self.string(word, value),
            "become_exe" => into.become_exe = self.string(word, value),
            "connection" => into.connection = self.one_of(word, value, &["ssh", "smart", "local"]),
            "remote_user" => into.remote_user = self.string(word, value),
            "port" => into.port = self.number(word, value),
            "delegate_to" => into.delegate_to = self.string(word, value),
            "delegate_facts" => into.delegate_facts = self.boolean(word, value),
            "run_once" => into.run_once = self.boolean(word, value),
            "ignore_errors" => into.ignore_errors = self.boolean(word, value),
            "ignore_unreachable" => into.ignore_unreachable = self.boolean(word, value),
            "any_errors_fatal" => into.any_errors_fatal = self.boolean(word, value),
            "no_log" => into.no_log = self.boolean(word, value),
            "check_mode" => into.check_mode = self.boolean(word, value),
            "diff" => into.diff = self.boolean(word, value),
            "throttle" => into.throttle = self.number(word, value),
            "timeout" => into.timeout = self.number(word, value),
            // Unqualified names of modules are resolved by the registry, which knows each name once.
            "collections" => into.collections = self.strings(word, value),
            "debugger" => {
                if value.as_str() != Some("never") && !value.is_null() {
                    self.say(Diag::error("`debugger` is not supported").at(&value.span).hint("`-v` shows what each task returned"));
                }
            }
            _ => return false,
        }
        true
    }

    /// A word that no level takes, or not this one.
    pub(super) fn unknown_word(&mut self, place: Place, key: &Node, more: &[&'static str]) {
        let Some(word) = key.as_str() else {
            return self.say(Diag::error(format!("a keyword must be a word, not {}", key.kind_name())).at(&key.span));
        };
        if let Some(why) = refused(word) {
            return self.say(Diag::error(format!("`{word}` is not supported")).at(&key.span).hint(why));
        }
        let diag = Diag::error(format!("'{word}' is not a valid attribute for a {}", place.class())).at(&key.span);
        let elsewhere = [Place::Play, Place::Block, Place::Task, Place::Handler].into_iter().find(|other| other.takes(word));
        self.say(match elsewhere {
            Some(other) => diag.hint(format!("`{word}` is a keyword of {}", other.plural())),
            None => diag.did_you_mean(word, place.words().chain(more.iter().copied())),
        });
    }

    /// Conditions: an expression, a boolean, or a list of these. Nothing is no condition.
    pub(super) fn conditions(&mut self, word: &str, value: &Node) -> Vec<Node> {
        let parts = match &value.kind {
            Kind::Null => Vec::new(),
            Kind::Seq(parts) => parts.clone(),
            _ => vec![value.clone()],
        };
        for part in &parts {
            match &part.kind {
                Kind::Bool(_) | Kind::Null => {}
                Kind::Str(string) if string.text.trim().is_empty() => {
                    self.say(Diag::error(format!("`{word}` is empty")).at(&part.span).hint("leave the word out, or write an expression"));
                }
                Kind::Str(_) => self.findings_of(|loader| (loader.check_condition)(part)),
                _ => self.foresee(
                    Diag::error(format!("`{word}` must be an expression or a boolean, not {}", part.kind_name()))
                        .at(&part.span)
                        .hint("a condition must be true or false: write for example `x == 1`"),
                ),
            }
        }
        parts.into_iter().filter(|part| !part.is_null()).collect()
    }

    /// One condition as it stands, or a list: for words that are not inherited.
    pub(super) fn condition(&mut self, word: &str, value: &Node) -> Option<Node> {
        (!self.conditions(word, value).is_empty()).then(|| value.clone())
    }

    fn tags(&mut self, value: &Node) -> Vec<Node> {
        let mut tags = Vec::new();
        for part in value.as_seq().unwrap_or(std::slice::from_ref(value)) {
            match &part.kind {
                Kind::Null => {}
                Kind::Int(_) => tags.push(part.clone()),
                Kind::Str(_) if part.is_template() => {
                    self.templates(part);
                    tags.push(part.clone());
                }
                // `tags: a,b` are two.
                Kind::Str(string) => {
                    let mut at = 0;
                    for tag in string.text.split(',') {
                        let start = at + (tag.len() - tag.trim_start().len());
                        at += tag.len() + 1;
                        if matches!(tag.trim(), "all" | "tagged" | "untagged") {
                            let words = format!(
                                "Found reserved tagnames in tags: ['{}'], we do not recommend doing this as it might give unexpected results",
                                tag.trim()
                            );
                            self.say(Diag::warning(words).at(&part.span));
                        }
                        if !tag.trim().is_empty() {
                            tags.push(Node::string(tag.trim(), part.locate(start..start + tag.trim().len())));
                        }
                    }
                }
                _ => self.wrong_shape("tags", "a word or a list of words", part),
            }
        }
        tags
    }

    fn notify(&mut self, value: &Node) -> Vec<Node> {
        let names = self.strings("notify", value);
        self.play.notified.extend(names.iter().cloned());
        names
    }

    /// A string, or a list of strings.
    pub(super) fn strings(&mut self, word: &str, value: &Node) -> Vec<Node> {
        if value.is_null() {
            return Vec::new();
        }
        let parts = value.as_seq().unwrap_or(std::slice::from_ref(value));
        parts.iter().filter_map(|part| self.string(word, part)).collect()
    }

    /// Variables: a mapping of names to anything. `None` where there is nothing.
    pub(super) fn vars(&mut self, value: &Node, what: &str) -> Option<VarMap> {
        let pairs = match &value.kind {
            Kind::Null => return None,
            Kind::Map(pairs) => pairs,
            _ => {
                self.wrong_shape(what, "a mapping of names to values", value);
                return None;
            }
        };
        yaml::keep_secret(value);
        let mut vars = VarMap::new();
        for (key, value) in pairs {
            if let Some(name) = self.variable_name(key) {
                self.templates(value);
                vars.insert(name, Variable::from(value.clone()));
            }
        }
        Some(vars)
    }

    /// A name that a variable can have.
    pub(super) fn variable_name(&mut self, key: &Node) -> Option<String> {
        let Some(name) = key.as_str() else {
            self.say(Diag::error(format!("a variable's name must be a word, not {}", key.kind_name())).at(&key.span));
            return None;
        };
        let diag = Diag::error(format!("Invalid variable name '{name}'.")).at(&key.span);
        if !is_identifier(name) {
            self.say(diag.hint("a name has letters, digits and `_`, and does not begin with a digit"));
        } else if means_something(name) {
            self.say(diag.hint("it means something else in an expression"));
        }
        self.warn_if_reserved(name, &key.span);
        Some(name.to_owned())
    }

    /// A mapping or a list of mappings; a template may stand for either.
    fn mappings(&mut self, word: &str, value: &Node) -> Vec<Node> {
        if value.is_null() {
            return Vec::new();
        }
        let parts = value.as_seq().unwrap_or(std::slice::from_ref(value));
        parts
            .iter()
            .filter(|part| {
                let fits = part.as_map().is_some() || part.is_template();
                if fits {
                    self.templates(part);
                } else {
                    self.wrong_shape(word, "a mapping", part);
                }
                fits
            })
            .cloned()
            .collect()
    }

    pub(super) fn boolean(&mut self, word: &str, value: &Node) -> Option<Node> {
        let words = ["yes", "on", "true", "y", "t", "1", "no", "off", "false", "n", "f", "0"];
        let fits = match &value.kind {
            Kind::Null => return None,
            Kind::Bool(_) | Kind::Int(0 | 1) => true,
            Kind::Str(Str { text, .. }) => value.is_template() || words.contains(&text.to_lowercase().as_str()),
            _ => false,
        };
        self.checked(fits, word, "`true` or `false`", value)
    }

    pub(super) fn number(&mut self, word: &str, value: &Node) -> Option<Node> {
        let fits = match &value.kind {
            Kind::Null => return None,
            Kind::Int(_) | Kind::Float(_) => true,
            Kind::Str(Str { text, .. }) => value.is_template() || text.trim().parse::<f64>().is_ok(),
            _ => false,
        };
        self.checked(fits, word, "a number", value)
    }

    pub(super) fn string(&mut self, word: &str, value: &Node) -> Option<Node> {
        let fits = match &value.kind {
            Kind::Null => return None,
            Kind::Seq(_) | Kind::Map(_) => false,
            _ => true,
        };
        self.checked(fits, word, "a string", value)
    }

    /// One of some words, short or as `ansible.builtin.` names.
    pub(super) fn one_of(&mut self, word: &str, value: &Node, choices: &[&'static str]) -> Option<Node> {
        let text = self.string(word, value)?;
        let chosen = text.as_str().unwrap_or("");
        if !text.is_template() && !choices.contains(&chosen.strip_prefix("ansible.builtin.").unwrap_or(chosen)) {
            let title = format!("`{word}: {chosen}` is not supported");
            let hint = format!("it can be {}", choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", "));
            self.say(Diag::error(title).at(&value.span).hint(hint));
        }
        Some(text)
    }

    /// Ansible finds a wrong value when it gets there; so do those who read it then.
    fn checked(&mut self, fits: bool, word: &str, wanted: &str, value: &Node) -> Option<Node> {
        if !fits && !self.loader.is_lenient {
            self.wrong_shape(word, wanted, value);
            return None;
        }
        self.templates(value);
        Some(value.clone())
    }

    pub(super) fn wrong_shape(&mut self, word: &str, wanted: &str, value: &Node) {
        let said = match &value.kind {
            Kind::Str(string) if !string.text.contains('\n') && string.text.chars().count() < 40 => format!("`{}`", string.text),
            _ => value.kind_name().to_owned(),
        };
        self.say(Diag::error(format!("`{word}` must be {wanted}, not {said}")).at(&value.span));
    }
}

/// Whether a name means something else in an expression.
pub fn means_something(name: &str) -> bool {
    const WORDS: [&str; 14] = ["true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else", "for"];
    WORDS.contains(&name)
}

/// Words that no variable should be called: keywords, and what every template can call.
const RESERVED: &[&str] = &[
    "async_val",
    "cycler",
    "dict",
    "joiner",
    "lipsum",
    "loop_with",
    "namespace",
    "now",
    "omit",
    "q",
    "query",
    "lookup",
    "range",
    "undef",
    "with_",
];

/// What is said of a variable with such a name; nothing of others.
pub fn reserved(name: &str) -> Option<String> {
    let all = [EVERYWHERE, BELOW_PLAY, PLAY, BLOCK, TASK, RESERVED];
    let is_reserved = !matches!(name, "vars" | "gather_subset") && all.iter().any(|words| words.contains(&name));
    is_reserved.then(|| format!("Found variable using reserved name '{name}'."))
}

impl Reading<'_> {
    pub(super) fn warn_if_reserved(&mut self, name: &str, at: &Span) {
        if let Some(words) = reserved(name) {
            self.say(Diag::warning(words).at(at));
        }
    }
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_') && characters.all(|c| c.is_alphanumeric() || c == '_')
}
