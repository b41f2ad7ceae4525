//! How inventories are read: which kinds of sources there are, what is left alone in folders, what happens to what cannot be read.

use crate::source::{Diag, Node};
use crate::vars::{VarMap, View};
use minijinja::Value;
use std::sync::Arc;

pub struct Rules {
    /// The plugins that try each source, in order; a source that none can read is a warning. `None`: what the source looks like decides, and
    /// a source that cannot be read is an error.
    pub plugins: Option<Vec<String>>,
    /// Any source that cannot be read is an error after all.
    pub any_unparsed_is_failed: bool,
    /// It is an error if no source can be read.
    pub unparsed_is_failed: bool,
    pub unparsed_warning: bool,
    pub group_names: GroupNames,
    /// Files with these endings are left alone in a folder.
    pub ignored_ends: Vec<String>,
    /// The same, as regular expressions.
    pub ignored_patterns: Vec<String>,
    /// Extensions of YAML inventories, with their dot.
    pub yaml_extensions: Vec<String>,
    /// What scripts say on standard error is shown, also of those that succeed.
    pub show_script_errors: bool,
    /// `constructed` and `generator` see the extra vars also where they do not say so.
    pub use_extra_vars: bool,
    pub extra_vars: Arc<VarMap>,
    /// Renders a template with a host's variables.
    pub render: Box<dyn Fn(&Node, &Arc<View>) -> Result<Value, Diag> + Send + Sync>,
    /// Whether a condition holds for a host's variables.
    pub holds: Box<dyn Fn(&Node, &Arc<View>) -> Result<bool, Diag> + Send + Sync>,
}

/// What is done about names of groups that are no names of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupNames {
    /// They are replaced, with a warning.
    Always,
    /// They are replaced.
    Silently,
    /// They stay, with a warning.
    Never,
    /// They stay.
    Ignore,
}

impl GroupNames {
    /// By the setting's words.
    pub fn named(name: &str) -> GroupNames {
        match name {
            "always" => GroupNames::Always,
            "silently" => GroupNames::Silently,
            "ignore" => GroupNames::Ignore,
            _ => GroupNames::Never,
        }
    }

    /// The name to use, and what is worth a warning about it.
    pub(super) fn safe(self, name: &str) -> (String, Option<&'static str>) {
        let replaced: String = name.chars().enumerate().map(|(n, c)| if is_allowed(n, c) { c } else { '_' }).collect();
        if replaced == name {
            return (replaced, None);
        }
        match self {
            GroupNames::Always => {
                (replaced, Some("Invalid characters were found in group names and automatically replaced, use -vvvv to see details"))
            }
            GroupNames::Silently => (replaced, None),
            GroupNames::Never => {
                (name.to_owned(), Some("Invalid characters were found in group names but not replaced, use -vvvv to see details"))
            }
            GroupNames::Ignore => (name.to_owned(), None),
        }
    }
}

fn is_allowed(n: usize, c: char) -> bool {
    c == '_' || (c.is_alphanumeric() && !(n == 0 && c.is_numeric()))
}

impl Default for Rules {
    /// Inventories whose templates cannot be rendered.
    fn default() -> Rules {
        let refuse = |node: &Node| Diag::error("templates of an inventory cannot be rendered here").at(&node.span);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Rules {
            plugins: None,
            any_unparsed_is_failed: false,
            unparsed_is_failed: false,
            unparsed_warning: true,
            group_names: GroupNames::Ignore,
            ignored_ends: words(&[".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"]),
            ignored_patterns: Vec::new(),
            yaml_extensions: words(&[".yaml", ".yml", ".json"]),
            show_script_errors: true,
            use_extra_vars: false,
            extra_vars: Arc::default(),
            render: Box::new(move |node, _| Err(refuse(node))),
            holds: Box::new(move |node, _| Err(refuse(node))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_become_names_of_variables() {
        assert_eq!(GroupNames::Silently.safe("9-web.a"), ("__web_a".to_owned(), None));
        assert_eq!(GroupNames::Always.safe("wéb_1"), ("wéb_1".to_owned(), None));
        assert!(matches!(GroupNames::Never.safe("we-b"), (name, Some(_)) if name == "we-b"));
        assert!(matches!(GroupNames::Ignore.safe("we-b"), (name, None) if name == "we-b"));
    }
}
