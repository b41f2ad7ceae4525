//! Which module a task calls, and with what: `module: {args}`, `module: key=value`, `action`, `local_action`, `args`.

use super::key_value::{self, Unbalanced};
use super::keywords::{Place, refused};
use super::load::{Reading, Scope};
use super::search;
use super::{Action, ModuleDefaults};
use crate::module::{self, FreeForm, Registered, Spec};
use crate::source::{Diag, Kind, Node, Span};

/// The parameters that are taken out of the text of `command`, `shell`, `raw` and `script`; any other `key=value` is part of the command.
const BESIDE_COMMAND: &[&str] = &["chdir", "creates", "executable", "removes", "stdin", "stdin_add_newline", "strip_empty_ends", "warn"];

/// Modules whose text is a command.
const COMMANDS: &[&str] = &["ansible.builtin.command", "ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.script"];

/// Modules of Ansible's that nodewright has not, and what does the same: short names and well known ones.
pub(super) const NOT_HERE: &[(&str, &str)] = &[
    ("apt_key", "put the key into `/etc/apt/keyrings` with `get_url` and name it in `signed_by` of `deb822_repository`"),
    ("expect", ""),
    ("firewalld", ""),
    ("helm", ""),
    ("k8s", "`command: kubectl apply -f ...` does it"),
    ("snap", "`command: snap install ...` does it"),
    ("subversion", ""),
    ("synchronize", "`copy` copies folders too"),
    ("mount_facts", "`setup` has `ansible_mounts`"),
    ("sysvinit", "`service` does it"),
];

/// How modules of collections begin that Ansible knows by their short names too.
const SHORT_ELSEWHERE: &[&str] = &[
    "docker_",
    "ec2_",
    "firewalld",
    "k8s_",
    "mysql_",
    "mongodb_",
    "postgresql_",
    "rabbitmq_",
    "redis_",
    "selinux",
    "vmware_",
    "win_",
    "zabbix_",
];

/// Stands in for a module whose name is known only when its task runs. What its arguments mean is found out then.
static COMPUTED: Spec = Spec { name: "computed", aliases: &[], params: &[], free_form: FreeForm::None };

/// A task's action, and where it is sent if it was written as `local_action`.
pub(super) struct Chosen {
    pub action: Action,
    pub delegate_to: Option<Node>,
}

/// What is checked of an action before the run.
pub(super) struct Arguments<'a> {
    pub action: &'a Action,
    /// `module_defaults` of the task, and of what stands around it.
    pub keywords: &'a [ModuleDefaults],
    pub outer: &'a [ModuleDefaults],
}

/// A module's name as a task spells it, and the value beside it.
struct Call<'a> {
    name: String,
    name_span: Span,
    value: &'a Node,
    /// The text after the name where both stand in one string (`action: copy src=a dest=b`).
    text: Option<Node>,
}

impl Reading<'_> {
    /// The module of a task. `None` if it is not known; that has been said. `at` is the task's first word.
    pub(super) fn action(&mut self, pairs: &[(Node, Node)], at: &Span, scope: &Scope) -> Option<Chosen> {
        let place = scope.place();
        let candidates: Vec<&(Node, Node)> =
            pairs.iter().filter(|(key, _)| key.as_str().is_none_or(|word| !place.takes(word) || is_action_word(word))).collect();
        let (calls, unknown): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|(key, _)| key.as_str().is_some_and(|word| is_action_word(word) || self.is_module(word, scope)));
        for (key, _) in &unknown {
            self.unknown_module_or_word(place, key, calls.is_empty());
        }
        let (key, value) = match calls.as_slice() {
            [] => {
                if unknown.is_empty() {
                    self.say(Diag::error(format!("{} needs a module", place.name())).at(at).hint("for example `command: hostname`"));
                }
                return None;
            }
            [call] => call,
            [(first, _), (second, _), ..] => {
                let (one, two) = (first.as_str().unwrap_or(""), second.as_str().unwrap_or(""));
                let diag = Diag::error(format!("{} can call only one module: `{one}` and `{two}` stand here", place.name()));
                self.say(diag.at(&second.span).label(&first.span, "the first is here").hint("begin the second task with `- `"));
                return None;
            }
        };
        let word = key.as_str().unwrap_or("");
        let is_local = word == "local_action";
        let call = if is_action_word(word) {
            self.named_in_value(key, value)?
        } else {
            Call { name: word.to_owned(), name_span: key.span.clone(), value, text: None }
        };
        if call.name.contains("{{") || (module::find(&call.name).is_none() && self.may_be_there_for_ansible(&call.name, scope)) {
            let computed = Node::string(call.name.as_str(), call.name_span.clone());
            let args_keyword = pairs.iter().find(|(key, _)| key.as_str() == Some("args")).map(|(_, value)| value);
            let mut action = self.arguments(Registered::InEngine(&COMPUTED), call, args_keyword)?;
            action.computed = Some(computed);
            let delegate_to = is_local.then(|| Node::string("localhost", key.span.clone()));
            return Some(Chosen { action, delegate_to });
        }
        let Some(module) = module::find(&call.name) else {
            let name = Node::string(call.name.as_str(), call.name_span.clone());
            self.unknown_module_or_word(place, &name, true);
            return None;
        };
        let args_keyword = pairs.iter().find(|(key, _)| key.as_str() == Some("args")).map(|(_, value)| value);
        let action = self.arguments(module, call, args_keyword)?;
        let delegate_to = is_local.then(|| Node::string("localhost", key.span.clone()));
        Some(Chosen { action, delegate_to })
    }

    fn is_module(&self, word: &str, scope: &Scope) -> bool {
        module::find(word).is_some() || self.may_be_there_for_ansible(word, scope)
    }

    /// Under Ansible's name: whether a module that we have not is one that Ansible may well find, so that a task of it is a mistake only where it is reached.
    /// It is one of Ansible's own or of a collection's, or a file of the `library` of a role or playbook.
    fn may_be_there_for_ansible(&self, name: &str, scope: &Scope) -> bool {
        if !self.loader.is_lenient {
            return false;
        }
        let is_elsewhere = name.matches('.').count() >= 2 && !name.starts_with("ansible.builtin.") && !name.starts_with("ansible.legacy.");
        let short = name.rsplit('.').next().unwrap_or(name);
        let libraries =
            search::ancestors(scope.role.as_ref()).map(|role| role.path.join("library")).chain([scope.play_dir.join("library")]);
        let has_short_name = !name.contains('.') && SHORT_ELSEWHERE.iter().any(|start| name.starts_with(start));
        is_elsewhere || has_short_name || NOT_HERE.iter().any(|(known, _)| *known == short) || {
            let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            is_plain && libraries.into_iter().any(|library| library.join(name).exists() || library.join(format!("{name}.py")).exists())
        }
    }

    /// `action: name key=value`, or a mapping with `module`.
    fn named_in_value<'a>(&mut self, key: &Node, value: &'a Node) -> Option<Call<'a>> {
        let word = key.as_str().unwrap_or("");
        let name_node = if value.as_map().is_some() { value.get("module") } else { Some(value) };
        let Some((name_node, text)) = name_node.and_then(|node| Some((node, node.as_str()?))) else {
            self.say(
                Diag::error(format!("`{word}` needs the name of a module")).at(&value.span).hint(format!("`{word}: command hostname`")),
            );
            return None;
        };
        let text = text.trim_start();
        // A template is one word, whatever stands in it.
        let first = key_value::words(text).ok().and_then(|words| words.into_iter().next()).unwrap_or(0..text.len());
        let name = &text[first];
        let whole = name_node.as_str().unwrap_or("");
        let start = whole.len() - text.len();
        let name_span = name_node.locate(start..start + name.len());
        let after = &whole[start + name.len()..];
        let rest_start = whole.len() - after.trim_start().len();
        let rest = if value.as_map().is_some() { None } else { Some(cut(name_node, rest_start..whole.len())) };
        Some(Call { name: name.to_owned(), name_span, value, text: rest })
    }

    fn arguments(&mut self, module: Registered, call: Call<'_>, args_keyword: Option<&Node>) -> Option<Action> {
        let is_mapped = call.text.is_none();
        let value = call.text.as_ref().unwrap_or(call.value);
        let mut action = Action { name: call.name, name_span: call.name_span, module, computed: None, args: Vec::new(), args_from: None };
        match &value.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    match key.as_str() {
                        // `action: {module: copy, ...}`.
                        Some("module") if module.spec().param("module").is_none() && is_mapped => {}
                        // Arguments may stand one deeper.
                        Some("args") if module.spec().param("args").is_none() && value.as_map().is_some() => {
                            let inner = value.as_map().into_iter().flatten();
                            action.args.extend(inner.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.clone()))));
                        }
                        Some(word) => action.args.push((word.to_owned(), value.clone())),
                        None => self.say(Diag::error(format!("an argument's name must be a word, not {}", key.kind_name())).at(&key.span)),
                    }
                }
            }
            Kind::Str(_) => self.text_arguments(&mut action, value)?,
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) if matches!(module.spec().free_form, FreeForm::Param(_)) => {
                if let FreeForm::Param(param) = module.spec().free_form {
                    action.args.push((param.to_owned(), Node::string(value.span.text(), value.span.clone())));
                }
            }
            _ => {
                let diag = Diag::error(format!("`{}` needs a mapping of arguments, not {}", action.name, value.kind_name()));
                self.say(diag.at(&value.span));
                return None;
            }
        }
        match args_keyword {
            None => {}
            Some(args) if args.is_null() => {}
            Some(args) if args.is_template() => action.args_from = Some(args.clone()),
            Some(args) => match args.as_map() {
                Some(pairs) => {
                    for (key, value) in pairs {
                        let word = key.as_str().unwrap_or("");
                        if !action.args.iter().any(|(given, _)| given == word) {
                            action.args.push((word.to_owned(), value.clone()));
                        }
                    }
                }
                None => self.wrong_shape("args", "a mapping", args),
            },
        }
        Some(action)
    }

    /// `key=value` pairs, and the free text of the modules that take some.
    fn text_arguments(&mut self, action: &mut Action, value: &Node) -> Option<()> {
        let text = value.as_str().unwrap_or("");
        let spec = action.module.spec();
        let is_command = COMMANDS.contains(&spec.name);
        if spec.free_form == FreeForm::None && value.is_template() && is_one_expression(text) {
            action.args_from = Some(value.clone());
            return Some(());
        }
        let words = match key_value::words(text) {
            Ok(words) => words,
            Err(Unbalanced(at)) => {
                let open = text[at..].chars().next().unwrap_or('"');
                let diag = Diag::error(format!("`{open}` is never closed in the arguments of `{}`", action.name));
                let diag = diag.at(&value.locate(at..at + open.len_utf8()));
                self.say(if is_command {
                    diag.hint("text that stands right after the module's name is split into words; give it as `cmd:` to have it as it is")
                } else {
                    diag
                });
                return None;
            }
        };
        let mut rest = Vec::new();
        for word in words.iter().cloned() {
            let pair = key_value::key_value(text, word.clone()).filter(|(key, _)| match spec.free_form {
                FreeForm::None => true,
                FreeForm::Param(_) if is_command => BESIDE_COMMAND.contains(key),
                FreeForm::Param(_) => spec.param(key).is_some(),
            });
            match pair {
                Some((key, range)) => action.args.push((key.to_owned(), key_value::piece(value, range))),
                None => rest.push(word),
            }
        }
        match spec.free_form {
            FreeForm::Param(param) if !rest.is_empty() => {
                action.args.insert(0, (param.to_owned(), free_text(value, &words, &rest)));
            }
            FreeForm::None if !rest.is_empty() && self.loader.is_lenient => {
                action.args.push(("_raw_params".to_owned(), free_text(value, &words, &rest)));
            }
            FreeForm::None if !rest.is_empty() => {
                let first = rest[0].clone();
                let title = format!("`{}` takes no text after its name, only arguments", action.name);
                let example = spec.params.first().map_or("key", |param| param.name);
                let hint = format!("write `{}:` and its arguments below it, such as `{example}: ...`", action.name);
                self.say(Diag::error(title).at(&value.locate(first)).hint(hint));
                return None;
            }
            _ => {}
        }
        Some(())
    }

    /// A word of a task that is neither keyword nor module. `may_be_module`: the task has no other.
    fn unknown_module_or_word(&mut self, place: Place, key: &Node, may_be_module: bool) {
        let Some(word) = key.as_str() else { return self.unknown_word(place, key, &[]) };
        if refused(word).is_some() || !may_be_module {
            return self.unknown_word(place, key, &module::known_names());
        }
        let short = word.rsplit('.').next().unwrap_or(word);
        let known_elsewhere = NOT_HERE.iter().find(|(name, _)| *name == short);
        if let Some((_, instead)) = known_elsewhere {
            let diag = Diag::error(format!("nodewright has no module `{word}`")).at(&key.span);
            return self.say(if instead.is_empty() { diag } else { diag.hint(*instead) });
        }
        if word.matches('.').count() >= 2 {
            let known = module::known_names();
            return self.say(Diag::error(format!("nodewright has no module `{word}`")).at(&key.span).did_you_mean(word, known));
        }
        let elsewhere = [Place::Play, Place::Block].into_iter().find(|other| other.takes(word));
        if elsewhere.is_some() {
            return self.unknown_word(place, key, &[]);
        }
        let diag = Diag::error(format!("`{word}` is neither a module nor a keyword of {}", place.name())).at(&key.span);
        self.say(diag.did_you_mean(word, place.words().chain(module::known_names())));
    }
}

/// The words that are left of a text when its `key=value`s are taken out.
fn free_text(value: &Node, words: &[std::ops::Range<usize>], rest: &[std::ops::Range<usize>]) -> Node {
    let text = value.as_str().unwrap_or("");
    let joined = key_value::join(text, words, rest);
    if joined == text {
        return value.clone();
    }
    let place = cut(value, rest[0].start..rest[rest.len() - 1].end);
    match &value.kind {
        Kind::Str(string) => Node::new(Kind::Str(crate::source::Str { text: joined.into(), tag: string.tag }), place.span),
        _ => place,
    }
}

/// A piece of a string with its place.
fn cut(of: &Node, range: std::ops::Range<usize>) -> Node {
    match &of.kind {
        Kind::Str(string) => {
            let text = crate::source::Str { text: string.text[range.clone()].into(), tag: string.tag };
            Node::new(Kind::Str(text), of.locate(range))
        }
        _ => of.clone(),
    }
}

fn is_action_word(word: &str) -> bool {
    matches!(word, "action" | "local_action")
}

/// `{{ x }}` and nothing else.
fn is_one_expression(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}
