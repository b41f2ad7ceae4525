//! `regex_replace`, `regex_search`, `regex_findall`, `regex_escape`.

use super::Filter;
use crate::python::regex::{Captures, Flags, Pattern, Template};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{list, text};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] =
    &[("regex_replace", regex_replace), ("regex_search", regex_search), ("regex_findall", regex_findall), ("regex_escape", regex_escape)];

fn regex_replace(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let (pattern, replacement) = (args.text_or("pattern", "")?, args.text_or("replacement", "")?);
    let (ignore_case, multiline) = (args.flag("ignorecase", false)?, args.flag("multiline", false)?);
    let regex = Pattern::new(&pattern, Flags { ignore_case, multiline, ..Flags::default() })?;
    let most = usize::try_from(args.int_or("count", 0)?).unwrap_or(0);
    let mandatory = usize::try_from(args.int_or("mandatory_count", 0)?).unwrap_or(0);
    let text = text(&value)?;
    let template = Template::new(&replacement)?;
    let found = regex.find_all(&text)?;
    let found = if most > 0 { &found[..most.min(found.len())] } else { &found[..] };
    if mandatory > 0 && found.len() != mandatory {
        return Err(Fail::error(format!("'{pattern}' should match {mandatory} times, but matches {} times in '{text}'", found.len())));
    }
    Ok(Value::from(regex.replace(&text, found, &template)?))
}

fn regex_search(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let pattern = args.need_text("regex")?;
    let (ignore_case, multiline) = (args.named_flag("ignorecase", false)?, args.named_flag("multiline", false)?);
    let groups = args.rest();
    let regex = Pattern::new(&pattern, Flags { ignore_case, multiline, ..Flags::default() })?;
    let text_in = text(&value)?;
    let Some(found) = regex.search(&text_in)? else { return Ok(Value::from(())) };
    if groups.is_empty() {
        return Ok(Value::from(found.get(0).map_or("", |whole| whole.as_str())));
    }
    let mut picked = Vec::new();
    for group in groups {
        let group = text(&group)?;
        let name = group.strip_prefix("\\g<").and_then(|rest| rest.strip_suffix('>')).or_else(|| group.strip_prefix('\\'));
        let part = match name.map(|name| (name, name.parse::<usize>())) {
            Some((_, Ok(number))) if number < found.len() => found.get(number),
            Some((_, Ok(_))) => return Err(Fail::error(format!("no such group in the regular expression: {group}"))),
            Some((name, Err(_))) if regex.has_group(name) => found.name(name),
            _ => return Err(Fail::error(format!("Unknown argument: {group}"))),
        };
        picked.push(part.map_or(Value::from(()), |part| Value::from(part.as_str())));
    }
    Ok(list(picked))
}

fn regex_findall(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let pattern = args.need_text("regex")?;
    // The order of these two differs from that of `regex_replace`.
    let (multiline, ignore_case) = (args.flag("multiline", false)?, args.flag("ignorecase", false)?);
    let regex = Pattern::new(&pattern, Flags { ignore_case, multiline, ..Flags::default() })?;
    let text = text(&value)?;
    let part = |found: &Captures, n: usize| Value::from(found.get(n).map_or("", |part| part.as_str()));
    Ok(list(regex.find_all(&text)?.iter().map(|found| match found.len() {
        1 => part(found, 0),
        2 => part(found, 1),
        groups => list((1..groups).map(|n| part(found, n))),
    })))
}

fn regex_escape(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let kind = args.text_or("re_type", "python")?;
    let special = match kind.as_str() {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "].[^$*\\",
        "posix_extended" => return Err(Fail::error("Regex type (posix_extended) not yet implemented")),
        other => return Err(Fail::error(format!("Invalid regex type ({other})"))),
    };
    let mut out = String::new();
    for c in text(&value)?.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Value::from(out))
}
