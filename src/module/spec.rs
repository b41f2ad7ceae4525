//! What arguments a module takes, as data: read by the check before the run, by the conversion at run time and by the generated pages.

/// A module's face.
pub struct Spec {
    /// Fully qualified first name: `ansible.builtin.copy`.
    pub name: &'static str,
    /// Other full names it answers to; the short name and `ansible.legacy.` are understood of themselves for `ansible.builtin.`.
    pub aliases: &'static [&'static str],
    pub params: &'static [Param],
    pub free_form: FreeForm,
}

/// What a module does with text after its name (`command: echo hi`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeForm {
    /// `key=value` pairs only.
    None,
    /// The text is the value of this parameter (`_raw_params` of command, shell, raw, script; `name` of meta), after the `key=value`s that are parameters.
    Param(&'static str),
}

pub struct Param {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub kind: ParamKind,
    pub required: bool,
    /// As it would be written in a playbook.
    pub default: Option<&'static str>,
    /// Empty: any value.
    pub choices: &'static [&'static str],
    /// Whether its value is a secret, as Ansible's `no_log` of a parameter.
    pub secret: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    No,
    Yes,
    /// Where another parameter has this value.
    If(&'static str, &'static str),
}

/// Ansible's types of parameters, with its conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Str,
    /// A path: `~` and `$VARS` are expanded on the host by those who use it.
    Path,
    Bool,
    Int,
    Float,
    /// A list; a comma separated string is split, a single value becomes a list of one.
    List,
    Dict,
    /// As it is.
    Raw,
    /// A file mode: octal number, octal string, symbolic, `preserve`. Kept as the string Ansible would make of it: integers in octal (`0644` and 420 are `0644`).
    Mode,
}

impl Param {
    pub const fn new(name: &'static str, kind: ParamKind) -> Param {
        Param { name, aliases: &[], kind, required: false, default: None, choices: &[], secret: Secret::No }
    }
    pub const fn str(name: &'static str) -> Param {
        Param::new(name, ParamKind::Str)
    }
    pub const fn path(name: &'static str) -> Param {
        Param::new(name, ParamKind::Path)
    }
    pub const fn bool(name: &'static str) -> Param {
        Param::new(name, ParamKind::Bool)
    }
    pub const fn int(name: &'static str) -> Param {
        Param::new(name, ParamKind::Int)
    }
    pub const fn list(name: &'static str) -> Param {
        Param::new(name, ParamKind::List)
    }
    pub const fn dict(name: &'static str) -> Param {
        Param::new(name, ParamKind::Dict)
    }
    pub const fn mode(name: &'static str) -> Param {
        Param::new(name, ParamKind::Mode)
    }
    pub const fn raw(name: &'static str) -> Param {
        Param::new(name, ParamKind::Raw)
    }
    pub const fn required(mut self) -> Param {
        self.required = true;
        self
    }
    pub const fn default(mut self, value: &'static str) -> Param {
        self.default = Some(value);
        self
    }
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Param {
        self.aliases = aliases;
        self
    }
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Param {
        self.choices = choices;
        self
    }
    pub const fn secret(mut self) -> Param {
        self.secret = Secret::Yes;
        self
    }
    pub const fn secret_if(mut self, other: &'static str, value: &'static str) -> Param {
        self.secret = Secret::If(other, value);
        self
    }
    /// Whether `word` is this parameter's name or one of its aliases.
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

impl Spec {
    pub fn param(&self, word: &str) -> Option<&'static Param> {
        self.params.iter().find(|param| param.answers_to(word))
    }

    /// `copy` of `ansible.builtin.copy`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}
