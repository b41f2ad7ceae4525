//! `validate_argspec` of a play: the task that checks its hosts' variables against a specification beside the playbook.

use super::Run;
use crate::playbook::{Play, Task};
use crate::source::{Diag, Kind, Node};
use crate::vars::View;
use minijinja::value::ValueKind;
use std::sync::Arc;

/// The task, if the play asks for it.
///
/// # Errors
/// There is no such specification.
pub fn task(run: &Arc<Run>, play: &Play, play_name: &str, view: &Arc<View>) -> Result<Option<Task>, Diag> {
    let Some(node) = &play.validate_argspec else { return Ok(None) };
    let value = run.templar.render(node, view).map_err(|diag| {
        let words = diag.in_full();
        Diag { title: format!("Error processing keyword 'validate_argspec': {words}"), during: None, ..diag }
    })?;
    let asked = match value.kind() {
        _ if crate::template::is_omit(&value) => return Ok(None),
        ValueKind::Bool if value.is_true() => play.name.as_ref().map(|_| play_name.to_owned()),
        ValueKind::Bool => return Ok(None),
        ValueKind::String if value.as_str() == Some("") => return Ok(None),
        ValueKind::String => value.as_str().map(str::to_owned),
        other => return Err(Diag::error(format!("validate_argspec must be a boolean or string, not {other}")).at(&node.span)),
    };
    let mut lacks = Vec::new();
    if asked.is_none() {
        let words =
            "A play name is required when validate_argspec is True. Alternatively, set validate_argspec to the name of an argument spec.";
        lacks.push(words.to_owned());
    }
    if play.metadata.path.is_none() {
        let looked: String = play.metadata.looked_in.iter().map(|path| format!("\n  - {}", path.display())).collect();
        lacks.push(format!("A playbook meta file is required. Considered:{looked}"));
    }
    let (Some(name), Some(path), true) = (asked, &play.metadata.path, lacks.is_empty()) else {
        return Err(Diag::error(lacks.join(" ")).at(&play.span));
    };
    let spec = play.metadata.argument_specs.as_ref().and_then(|specs| specs.get(&name)).and_then(|spec| spec.get("options"));
    let Some(options) = spec.filter(|options| options.as_map().is_some()) else {
        let words = format!(
            "No argument spec named '{name}' in {}. Minimally expected:\nargument_specs:\n  {name}:\n    options: {{}}\n",
            path.display()
        );
        return Err(Diag::error(words).at(&play.span));
    };
    let text = |text: &str| Node::string(text, node.span.clone());
    let context = [("type", "play"), ("name", &name), ("argument_spec_name", &name), ("path", &path.display().to_string())];
    let context = context.iter().map(|(key, value)| (text(key), text(value))).collect();
    let args = vec![
        ("argument_spec".to_owned(), options.clone()),
        ("validate_args_context".to_owned(), Node::new(Kind::Map(context), node.span.clone())),
    ];
    let mut keywords = play.keywords.clone();
    if keywords.tags.is_empty() {
        keywords.tags.push(text("always"));
    }
    let title = format!("Validating arguments against arg spec {name}");
    Ok(Some(Task::unwritten(&title, "validate_argument_spec", args, keywords, None, &play.span)))
}
