//! TOML inventories: a table per group with `hosts`, `children` and `vars`.

use super::{Inventory, yaml};
use crate::source::{Diag, Kind, Node, Source, Span};
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

pub fn add(inventory: &mut Inventory, source: &Arc<Source>, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let table = DeTable::parse(&source.text).map_err(|err| {
        let range = err.span().unwrap_or(0..0);
        Diag::error(format!("this is no TOML: {}", err.message())).at(&source.span(range.start, range.end))
    })?;
    let whole = source.span(0, source.text.len().min(1));
    if table.get_ref().is_empty() {
        return Err(Diag::error("Parsed empty TOML file").at(&whole));
    }
    if table.get_ref().contains_key("plugin") {
        return Err(Diag::error("Plugin configuration TOML file, not TOML inventory").at(&whole));
    }
    let mut groups = Vec::new();
    for (name, group) in table.get_ref() {
        let mut group_node = node(source, group.get_ref(), group.span())?;
        // Children are a list here: each stands for itself.
        if let Kind::Map(sections) = &mut group_node.kind {
            for (key, section) in sections {
                if key.as_str() == Some("children") {
                    children(section)?;
                }
            }
        }
        groups.push((Node::string(name.get_ref().as_ref(), span(source, name.span())), group_node));
    }
    yaml::add(inventory, &Node::new(Kind::Map(groups), whole), file, warnings)
}

/// A list of names as a mapping of names to nothing.
fn children(section: &mut Node) -> Result<(), Diag> {
    let Kind::Seq(names) = &mut section.kind else {
        return Err(Diag::error(format!("`children` is a list, and this is {}", section.kind_name())).at(&section.span));
    };
    let names = std::mem::take(names);
    section.kind = Kind::Map(names.into_iter().map(|name| (name.clone(), Node::new(Kind::Null, name.span))).collect());
    Ok(())
}

fn span(source: &Arc<Source>, range: std::ops::Range<usize>) -> Span {
    source.span(range.start, range.end)
}

fn node(source: &Arc<Source>, value: &DeValue<'_>, range: std::ops::Range<usize>) -> Result<Node, Diag> {
    let at = span(source, range);
    let kind = match value {
        DeValue::String(text) => return Ok(Node::string(text.as_ref(), at)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Int(number),
            Err(_) => return Err(Diag::error("this number does not fit into 64 bits").at(&at)),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Kind::Float(number),
            Err(_) => return Err(Diag::error("this is no number").at(&at)),
        },
        DeValue::Boolean(truth) => Kind::Bool(*truth),
        DeValue::Datetime(time) => return Ok(Node::string(time.to_string(), at)),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| node(source, item.get_ref(), item.span()));
            Kind::Seq(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| {
                let name = Node::string(key.get_ref().as_ref(), span(source, key.span()));
                Ok((name, node(source, value.get_ref(), value.span())?))
            });
            Kind::Map(pairs.collect::<Result<_, Diag>>()?)
        }
    };
    Ok(Node::new(kind, at))
}
