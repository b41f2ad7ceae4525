//! `-e`: `key=value ...`, YAML or JSON, or `@file`.

use crate::playbook::key_value::{self, Unbalanced};
use crate::source::{Diag, Kind, Node, ReadError, Source, yaml};
use crate::vars::{VarMap, Variable, combine};
use anyhow::bail;
use std::path::Path;
use std::sync::Arc;

/// Where they were given.
const GIVEN: &str = "<CLI option '-e'>";

/// All `-e` arguments as one map; of the same name the last counts.
pub fn read(arguments: &[String]) -> anyhow::Result<VarMap> {
    let mut vars = VarMap::new();
    for argument in arguments {
        let argument = argument.trim();
        if let Some(path) = argument.strip_prefix('@') {
            let source = Source::read_noted(Path::new(path)).map_err(ReadError::into_diag)?;
            combine(&mut vars, mapping(&source)?);
        } else if argument.starts_with(['{', '[']) {
            combine(&mut vars, mapping(&Source::given(GIVEN, argument))?);
        } else {
            combine(&mut vars, pairs(argument)?);
        }
    }
    Ok(vars)
}

fn mapping(source: &Arc<Source>) -> anyhow::Result<VarMap> {
    let (node, _) = yaml::load_one(source)?;
    yaml::keep_secret(&node);
    match node.kind {
        Kind::Map(pairs) => Ok(pairs
            .into_iter()
            .map(|(name, value)| (name.as_str().unwrap_or(name.span.text()).to_owned(), Variable::from(value)))
            .collect()),
        Kind::Null => Ok(VarMap::new()),
        _ => Err(Diag::error(format!("extra vars must be a mapping, not {}", node.kind_name())).at(&node.span).into()),
    }
}

/// `a=1 b="two words"`: values are strings, which may be templates.
fn pairs(argument: &str) -> anyhow::Result<VarMap> {
    let source = Source::given(GIVEN, argument);
    let whole = Node::string(argument, source.span(0, source.text.len()));
    let unbalanced = |Unbalanced(at)| Diag::error("this is never closed").at(&source.span(at, at + 1));
    let mut vars = VarMap::new();
    for word in key_value::words(argument).map_err(unbalanced)? {
        let Some((name, value)) = key_value::key_value(argument, word.clone()) else {
            bail!("the extra var `{}` has no value: write `NAME=VALUE`, or `@FILE` for a file", &argument[word])
        };
        let value = key_value::piece(&whole, value);
        let text = value.as_str().unwrap_or_default();
        let alone = Source::given(GIVEN, text);
        vars.insert(name.to_owned(), Node::string(text, alone.span(0, text.len())).into());
    }
    Ok(vars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_strings_and_keep_their_spaces() {
        let vars = read(&["a=1 b='two words'".into(), "a=2".into()]).expect("the case is valid");
        let text = |name: &str| match &vars[name] {
            Variable::Node(node) => node.as_str().map(str::to_owned),
            Variable::Data(_) => None,
        };
        assert_eq!((text("a"), text("b")), (Some("2".into()), Some("two words".into())));
        assert!(read(&["novalue".into()]).is_err());
    }
}
