//! The methods that strings, lists, mappings and dates have in Python and that templates call.

use crate::template::args::Args;
use crate::template::fail::{Fail, Lack, Res, check};
use crate::template::filters;
use crate::template::lazy::Run;
use crate::template::objects::{Delta, MutMap, MutSeq, Stamp};
use crate::template::value::{self, Type, as_int, equal, int, items, list, pairs, raw_items, replaced, repr, text, type_name, type_of};
use jiff::civil::DateTime;
use minijinja::Value;
use std::sync::Arc;

/// The methods that change what they are called on.
pub(super) const CHANGING: &[&str] =
    &["append", "extend", "insert", "update", "pop", "popitem", "remove", "setdefault", "__setitem__", "clear", "sort", "reverse"];

pub(super) fn call(run: &Arc<Run>, of: &Value, name: &str, mut args: Args) -> Res {
    if let Some(value) = args.first_undefined() {
        check(value)?;
    }
    let found = match type_of(of) {
        Type::Str => string(of.as_str().unwrap_or(""), name, &mut args)?,
        Type::Map => mapping(of, name, &mut args)?,
        Type::List => sequence(run, of, name, &mut args)?,
        Type::Int if name == "bit_length" => Some(int(i128::from(128 - as_int(of).unwrap_or(0).unsigned_abs().leading_zeros()))),
        _ => date(of, name, &mut args)?,
    };
    match found {
        Some(value) => {
            args.done()?;
            Ok(value)
        }
        None if CHANGING.contains(&name) && matches!(type_of(of), Type::List | Type::Map) => {
            Err(Fail::error(format!("`.{name}()` works on lists and mappings of this template, not on a part of a variable"))
                .hint("copy the part with `{% set copy = ... %}` first, or use `combine` or `+`"))
        }
        None => Err(Fail::undefined(Lack::Item(repr(&Value::from(name))?, of.clone()))),
    }
}

fn string(this: &str, name: &str, args: &mut Args) -> Res<Option<Value>> {
    let is = |test: fn(char) -> bool| Value::from(!this.is_empty() && this.chars().all(test));
    Ok(Some(match name {
        "split" => split(this, args, false)?,
        "rsplit" => split(this, args, true)?,
        "splitlines" => {
            let keep = args.flag("keepends", false)?;
            list(lines(this, keep).into_iter().map(Value::from))
        }
        "strip" => Value::from(strip(this, args, true, true)?),
        "lstrip" => Value::from(strip(this, args, true, false)?),
        "rstrip" => Value::from(strip(this, args, false, true)?),
        "upper" => Value::from(this.to_uppercase()),
        "lower" | "casefold" => Value::from(this.to_lowercase()),
        "capitalize" => Value::from(capitalize(this)),
        "title" => Value::from(title(this)),
        "swapcase" => {
            let swapped =
                this.chars().flat_map(|c| if c.is_uppercase() { c.to_lowercase().collect::<Vec<_>>() } else { c.to_uppercase().collect() });
            Value::from(swapped.collect::<String>())
        }
        "startswith" => Value::from(affix(args)?.iter().any(|prefix| this.starts_with(prefix.as_str()))),
        "endswith" => Value::from(affix(args)?.iter().any(|suffix| this.ends_with(suffix.as_str()))),
        "removeprefix" => {
            let prefix = args.need_text("prefix")?;
            Value::from(this.strip_prefix(prefix.as_str()).unwrap_or(this))
        }
        "removesuffix" => {
            let suffix = args.need_text("suffix")?;
            Value::from(this.strip_suffix(suffix.as_str()).unwrap_or(this))
        }
        "replace" => {
            let (from, to) = (args.need_text("old")?, args.need_text("new")?);
            let count = args.int_or("count", -1)?;
            replaced(this, &from, &to, usize::try_from(count).ok())?
        }
        "find" | "index" | "rfind" | "rindex" => {
            let needle = args.need_text("sub")?;
            let from = usize::try_from(args.int_or("start", 0)?).unwrap_or(0);
            let skipped = this.char_indices().nth(from).map_or(this.len(), |(at, _)| at);
            let at = if name.starts_with('r') { this[skipped..].rfind(&needle) } else { this[skipped..].find(&needle) };
            match at {
                Some(at) => int(this[..skipped + at].chars().count() as i128),
                None if name.ends_with("find") => Value::from(-1),
                None => return Err(Fail::error("substring not found")),
            }
        }
        "count" => {
            let needle = args.need_text("sub")?;
            int(if needle.is_empty() { this.chars().count() + 1 } else { this.matches(needle.as_str()).count() } as i128)
        }
        "join" => {
            let all = args.need("iterable")?;
            let mut parts = Vec::new();
            for item in items(&all)? {
                match item.as_str() {
                    Some(text) => parts.push(text.to_owned()),
                    None => {
                        return Err(Fail::error(format!(
                            "sequence item {}: expected str instance, {} found",
                            parts.len(),
                            type_name(&item)
                        )));
                    }
                }
            }
            Value::from(parts.join(this))
        }
        "partition" | "rpartition" => {
            let separator = args.need_text("sep")?;
            let found = if name == "partition" { this.split_once(&separator) } else { this.rsplit_once(&separator) };
            let parts = match (found, name) {
                (Some((before, after)), _) => [before, separator.as_str(), after],
                (None, "partition") => [this, "", ""],
                (None, _) => ["", "", this],
            };
            list(parts.map(Value::from))
        }
        "zfill" | "ljust" | "rjust" | "center" => pad(this, name, args)?,
        "isdigit" | "isnumeric" | "isdecimal" => is(char::is_numeric),
        "isalpha" => is(char::is_alphabetic),
        "isalnum" => is(char::is_alphanumeric),
        "isspace" => is(char::is_whitespace),
        "isupper" => Value::from(this.chars().any(char::is_uppercase) && !this.chars().any(char::is_lowercase)),
        "islower" => Value::from(this.chars().any(char::is_lowercase) && !this.chars().any(char::is_uppercase)),
        "isidentifier" => {
            let start = this.starts_with(|c: char| c.is_alphabetic() || c == '_');
            Value::from(start && this.chars().all(|c| c.is_alphanumeric() || c == '_'))
        }
        "expandtabs" => {
            let width = usize::try_from(args.int_or("tabsize", 8)?).unwrap_or(8).min(64);
            Value::from(this.replace('\t', &" ".repeat(width)))
        }
        "format" => {
            let positional = args.rest();
            let named = args.rest_named();
            Value::from(brace_format(this, &positional, &named)?)
        }
        "encode" => {
            args.rest();
            Value::from(this)
        }
        _ => return Ok(None),
    }))
}

fn affix(args: &mut Args) -> Res<Vec<String>> {
    let value = args.need("prefix")?;
    if value::is_list(&value) { items(&value)?.iter().map(text).collect() } else { Ok(vec![text(&value)?]) }
}

fn strip(this: &str, args: &mut Args, left: bool, right: bool) -> Res<String> {
    let chars = args.get("chars").filter(|chars| !chars.is_none()).map(|chars| text(&chars)).transpose()?;
    let cut = |c: char| chars.as_ref().map_or(c.is_whitespace(), |chars| chars.contains(c));
    let this = if left { this.trim_start_matches(cut) } else { this };
    Ok(if right { this.trim_end_matches(cut) } else { this }.to_owned())
}

/// `split` and `rsplit`: by white space without a separator, at most `maxsplit` times.
fn split(this: &str, args: &mut Args, from_right: bool) -> Res {
    let separator = args.get("sep").filter(|sep| !sep.is_none()).map(|sep| text(&sep)).transpose()?;
    let most = usize::try_from(args.int_or("maxsplit", -1)?).ok();
    if separator.as_deref() == Some("") {
        return Err(Fail::error("empty separator"));
    }
    let mut parts: Vec<String> = Vec::new();
    match (&separator, from_right) {
        (Some(sep), false) => parts.extend(match most {
            Some(most) => this.splitn(most + 1, sep.as_str()).map(str::to_owned).collect::<Vec<_>>(),
            None => this.split(sep.as_str()).map(str::to_owned).collect(),
        }),
        (Some(sep), true) => {
            parts.extend(match most {
                Some(most) => this.rsplitn(most + 1, sep.as_str()).map(str::to_owned).collect::<Vec<_>>(),
                None => this.rsplit(sep.as_str()).map(str::to_owned).collect(),
            });
            parts.reverse();
        }
        (None, false) => {
            let mut rest = this.trim_start();
            while !rest.is_empty() {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                if most.is_some_and(|most| parts.len() >= most) {
                    parts.push(rest.to_owned());
                    break;
                }
                parts.push(rest[..end].to_owned());
                rest = rest[end..].trim_start();
            }
        }
        (None, true) => {
            let mut rest = this.trim_end();
            while !rest.is_empty() {
                let start = rest.char_indices().rev().find(|(_, c)| c.is_whitespace()).map_or(0, |(at, c)| at + c.len_utf8());
                if most.is_some_and(|most| parts.len() >= most) {
                    parts.push(rest.to_owned());
                    break;
                }
                parts.push(rest[start..].to_owned());
                rest = rest[..start].trim_end();
            }
            parts.reverse();
        }
    }
    Ok(list(parts.into_iter().map(Value::from)))
}

fn lines(this: &str, keep: bool) -> Vec<String> {
    let whole = this.split_inclusive(['\n', '\r']);
    let mut all: Vec<String> = Vec::new();
    for line in whole {
        // `\r\n` is one end of line, not two.
        if line == "\n" && all.last().is_some_and(|last| last.ends_with('\r')) {
            if let Some(last) = all.last_mut() {
                last.push('\n');
            }
            continue;
        }
        all.push(line.to_owned());
    }
    if !keep {
        for line in &mut all {
            *line = line.trim_end_matches(['\n', '\r']).to_owned();
        }
    }
    all
}

pub(in crate::template) fn capitalize(this: &str) -> String {
    let mut chars = this.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
}

fn title(this: &str) -> String {
    let mut after_letter = false;
    let mut out = String::new();
    for c in this.chars() {
        if after_letter {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        after_letter = c.is_alphabetic();
    }
    out
}

fn pad(this: &str, name: &str, args: &mut Args) -> Res {
    let width = usize::try_from(args.int_or("width", 0)?).unwrap_or(0).min(1 << 20);
    let fill = if name == "zfill" { "0".to_owned() } else { args.text_or("fillchar", " ")? };
    let missing = width.saturating_sub(this.chars().count());
    let fill = |n: usize| fill.repeat(n);
    Ok(Value::from(match name {
        "zfill" => match this.strip_prefix(['-', '+']) {
            Some(digits) => format!("{}{}{digits}", &this[..1], fill(missing)),
            None => fill(missing) + this,
        },
        "ljust" => this.to_owned() + &fill(missing),
        "rjust" => fill(missing) + this,
        _ => {
            // Python puts the odd one left only if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            fill(left) + this + &fill(missing - left)
        }
    }))
}

/// Python's `str.format`: fields by number or name with attributes and indices; of the format after `:` width, fill and the usual types.
fn brace_format(format: &str, positional: &[Value], named: &indexmap::IndexMap<String, Value>) -> Res<String> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if chars.next_if_eq(&'}').is_some() => out.push('}'),
            '}' => return Err(Fail::error("single '}' encountered in format string")),
            '{' => {
                let field: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let (field, spec) = field.split_once(':').unwrap_or((&field, ""));
                let (field, conversion) = field.split_once('!').unwrap_or((field, ""));
                let end = field.find(['.', '[']).unwrap_or(field.len());
                let (head, mut path) = field.split_at(end);
                let mut value = match head.parse::<usize>() {
                    Ok(n) => positional.get(n).cloned(),
                    Err(_) if head.is_empty() => {
                        next += 1;
                        positional.get(next - 1).cloned()
                    }
                    Err(_) => named.get(head).cloned(),
                }
                .ok_or_else(|| Fail::error(format!("the format's field '{head}' has no value")))?;
                while !path.is_empty() {
                    let (key, rest) = match path.strip_prefix('[') {
                        Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
                        None => {
                            let inner = &path[1..];
                            inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
                        }
                    };
                    let key = key.parse::<i64>().map_or_else(|_| Value::from(key), Value::from);
                    value = super::member(&value, &key)?;
                    path = rest;
                }
                check(&value)?;
                let shown = if conversion == "r" { Value::from(repr(&value)?) } else { value };
                out.push_str(&with_spec(&shown, spec)?);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn with_spec(value: &Value, spec: &str) -> Res<String> {
    if spec.is_empty() {
        return text(value);
    }
    let chars: Vec<char> = spec.chars().collect();
    let is_align = |c: Option<&char>| c.is_some_and(|c| "<>^".contains(*c));
    let (fill, align, rest) = match () {
        () if is_align(chars.get(1)) => (chars[0], Some(chars[1]), &chars[2..]),
        () if is_align(chars.first()) => (' ', Some(chars[0]), &chars[1..]),
        () => (' ', None, &chars[..]),
    };
    let rest: String = rest.iter().collect();
    let (fill, rest) = match rest.strip_prefix('0') {
        Some(rest) if align.is_none() => ('0', rest),
        _ => (fill, rest.as_str()),
    };
    let width_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let width: usize = rest[..width_end].parse().unwrap_or(0).min(1 << 20);
    let percent = match &rest[width_end..] {
        "" => text(value)?,
        spec if spec.ends_with(|c: char| c.is_ascii_alphabetic()) => {
            super::format_percent(&format!("%{spec}"), std::slice::from_ref(value), &Value::from(()))?
        }
        spec => return Err(Fail::error(format!("the format `{spec}` is not supported"))),
    };
    let missing = width.saturating_sub(percent.chars().count());
    let fill = |n: usize| fill.to_string().repeat(n);
    Ok(match align.unwrap_or(if value::is_number(value) { '>' } else { '<' }) {
        '<' => percent + &fill(missing),
        '^' => fill(missing / 2) + &percent + &fill(missing - missing / 2),
        _ => fill(missing) + &percent,
    })
}

fn mapping(of: &Value, name: &str, args: &mut Args) -> Res<Option<Value>> {
    let lookup = |key: &Value| of.as_object().and_then(|object| object.get_value(key));
    Ok(Some(match name {
        "keys" => list(raw_items(of)?),
        "values" => list(pairs(of)?.into_iter().map(|(_, value)| value)),
        "items" => list(pairs(of)?.into_iter().map(|(key, value)| list([key, value]))),
        "get" => {
            let key = args.need("key")?;
            let default = args.get("default").unwrap_or(Value::from(()));
            lookup(&key).unwrap_or(default)
        }
        "copy" => value::to_mutable(value::map(pairs(of)?))?,
        _ => {
            let Some(map) = of.downcast_object_ref::<MutMap>() else { return Ok(None) };
            return change_map(map, name, args);
        }
    }))
}

fn change_map(map: &MutMap, name: &str, args: &mut Args) -> Res<Option<Value>> {
    let none = Value::from(());
    Ok(Some(match name {
        "update" => {
            let mut new = Vec::new();
            if args.has_positional() {
                let other = args.need("other")?;
                if value::is_map(&other) {
                    new.extend(pairs(&other)?);
                } else {
                    for pair in items(&other)? {
                        match items(&pair)?.as_slice() {
                            [key, value] => new.push((key.clone(), value.clone())),
                            _ => return Err(Fail::error("`update` takes a mapping or a list of pairs")),
                        }
                    }
                }
            }
            new.extend(args.rest_named().into_iter().map(|(key, value)| (Value::from(key), value)));
            map.with(|pairs| pairs.extend(new));
            none
        }
        "__setitem__" => {
            let (key, value) = (args.need("key")?, args.need("value")?);
            map.with(|pairs| pairs.insert(key, value));
            none
        }
        "setdefault" => {
            let key = args.need("key")?;
            let default = args.get("default").unwrap_or(none);
            map.with(|pairs| pairs.entry(key).or_insert(default).clone())
        }
        "pop" => {
            let key = args.need("key")?;
            let default = args.get("default");
            match map.with(|pairs| pairs.shift_remove(&key)).or(default) {
                Some(value) => value,
                None => return Err(Fail::error(format!("the mapping has no key {}", repr(&key)?))),
            }
        }
        "popitem" => match map.with(|pairs| pairs.pop()) {
            Some((key, value)) => list([key, value]),
            None => return Err(Fail::error("popitem(): dictionary is empty")),
        },
        "clear" => {
            map.with(|pairs| pairs.clear());
            none
        }
        _ => return Ok(None),
    }))
}

fn sequence(run: &Arc<Run>, of: &Value, name: &str, args: &mut Args) -> Res<Option<Value>> {
    let position = |needle: &Value| -> Res<Option<usize>> {
        for (n, item) in raw_items(of)?.iter().enumerate() {
            if equal(item, needle)? {
                return Ok(Some(n));
            }
        }
        Ok(None)
    };
    Ok(Some(match name {
        "index" => {
            let needle = args.need("value")?;
            match position(&needle)? {
                Some(n) => int(n as i128),
                None => return Err(Fail::error(format!("{} is not in list", repr(&needle)?))),
            }
        }
        "count" => {
            let needle = args.need("value")?;
            let mut n = 0;
            for item in raw_items(of)? {
                n += i128::from(equal(&item, &needle)?);
            }
            int(n)
        }
        "copy" => value::to_mutable(list(raw_items(of)?))?,
        "remove" => {
            let Some(seq) = of.downcast_object_ref::<MutSeq>() else { return Ok(None) };
            let needle = args.need("value")?;
            let Some(n) = position(&needle)? else { return Err(Fail::error("list.remove(x): x not in list")) };
            seq.with(|items| items.remove(n));
            Value::from(())
        }
        _ => {
            let Some(seq) = of.downcast_object_ref::<MutSeq>() else { return Ok(None) };
            return change_seq(run, of, seq, name, args);
        }
    }))
}

fn change_seq(run: &Arc<Run>, of: &Value, seq: &MutSeq, name: &str, args: &mut Args) -> Res<Option<Value>> {
    let index = |number: i128, len: usize| {
        let number = if number < 0 { number + len as i128 } else { number };
        usize::try_from(number).unwrap_or(0)
    };
    match name {
        "append" => {
            let item = args.need("object")?;
            seq.with(|items| items.push(item));
        }
        "extend" => {
            let more = raw_items(&args.need("iterable")?)?;
            seq.with(|items| items.extend(more));
        }
        "insert" => {
            let (at, item) = (args.int_or("index", 0)?, args.need("object")?);
            seq.with(|items| items.insert(index(at, items.len()).min(items.len()), item));
        }
        "pop" => {
            let at = args.int_or("index", -1)?;
            let popped = seq.with(|items| {
                let at = index(at, items.len());
                (at < items.len()).then(|| items.remove(at))
            });
            return popped.map(Some).ok_or_else(|| Fail::error("pop index out of range"));
        }
        "clear" => seq.with(|items| items.clear()),
        "reverse" => seq.with(|items| items.reverse()),
        "sort" => {
            let options = Args::new(Vec::new(), args.rest_named());
            let sorted = raw_items(&filters::apply(run, "sort", list(raw_items(of)?), options)?)?;
            seq.with(|items| *items = sorted);
        }
        _ => return Ok(None),
    }
    Ok(Some(Value::from(())))
}

fn date(of: &Value, name: &str, args: &mut Args) -> Res<Option<Value>> {
    if let Some(Delta(span)) = of.downcast_object_ref::<Delta>() {
        return Ok((name == "total_seconds").then(|| Value::from(span.as_secs_f64())));
    }
    let Some(Stamp(time)) = of.downcast_object_ref::<Stamp>() else { return Ok(None) };
    Ok(Some(match name {
        "strftime" => {
            let format = args.need_text("format")?;
            Value::from(strftime(*time, &format)?)
        }
        "isoformat" => Value::from(Stamp(*time).to_string().replacen(' ', &args.text_or("sep", "T")?, 1)),
        "timestamp" => {
            let zoned = time.to_zoned(jiff::tz::TimeZone::system()).map_err(|err| Fail::error(err.to_string()))?;
            Value::from(zoned.timestamp().as_nanosecond() as f64 / 1e9)
        }
        "date" | "time" => Value::from(Stamp(*time).to_string().split(' ').nth(usize::from(name == "time")).unwrap_or("").to_owned()),
        "weekday" => Value::from(time.weekday().to_monday_zero_offset()),
        "isoweekday" => Value::from(time.weekday().to_monday_one_offset()),
        _ => return Ok(None),
    }))
}

pub(in crate::template) fn strftime(time: DateTime, format: &str) -> Res<String> {
    let micros = format!("{:06}", time.subsec_nanosecond() / 1000);
    let zoned = time.to_zoned(jiff::tz::TimeZone::system()).map_err(|err| Fail::error(err.to_string()))?;
    jiff::fmt::strtime::format(format.replace("%f", &micros), &zoned)
        .map_err(|err| Fail::error(format!("cannot format a date as `{format}`: {err}")))
}
