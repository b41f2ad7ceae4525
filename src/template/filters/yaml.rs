//! `to_yaml` and `to_nice_yaml`: what PyYAML writes, byte for byte, through libyaml's emitter.

use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check};
use crate::template::value::{Type, as_int, float_text, order, pairs, raw_items, text, type_of};
use crate::template::{is_omit, value};
use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, ScalarStyle, SequenceStyle};
use minijinja::Value;

/// PyYAML's `default_flow_style`: `None` puts lists and mappings of scalars on one line.
type Flow = Option<bool>;

/// What YAML takes for the end of a line.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

pub(in crate::template) fn dump(value: &Value, args: &mut Args, nice: bool) -> Res {
    let number =
        |value: Option<Value>, default: i32| value.and_then(|value| as_int(&value)).and_then(|n| i32::try_from(n).ok()).unwrap_or(default);
    let indent = number(args.get("indent"), if nice { 4 } else { 2 });
    let width = number(args.named("width"), 80);
    let sort_keys = args.named_flag("sort_keys", true)?;
    let unicode = args.named_flag("allow_unicode", true)?;
    let explicit_start = args.named_flag("explicit_start", false)?;
    let explicit_end = args.named_flag("explicit_end", false)?;
    let flow = match args.named("default_flow_style") {
        Some(flow) if flow.is_none() => None,
        Some(flow) => Some(value::truth(&flow)?),
        None => nice.then_some(false),
    };
    write(value, &Layout { indent, width, sort_keys, unicode, explicit_start, explicit_end, flow, blocks: false }).map(Value::from)
}

/// How a document is laid out.
pub(in crate::template) struct Layout {
    pub indent: i32,
    pub width: i32,
    pub sort_keys: bool,
    pub unicode: bool,
    pub explicit_start: bool,
    pub explicit_end: bool,
    pub flow: Flow,
    /// Text of several lines stands line by line.
    pub blocks: bool,
}

pub(in crate::template) fn write(value: &Value, layout: &Layout) -> Res<String> {
    let mut events = vec![Event::stream_start(Encoding::Utf8), Event::document_start(None, &[], !layout.explicit_start)];
    Writer { sort_keys: layout.sort_keys, flow: layout.flow, blocks: layout.blocks, events: &mut events }.node(value, 0)?;
    events.push(Event::document_end(!layout.explicit_end));
    events.push(Event::stream_end());

    let mut out = Vec::new();
    let mut emitter = Emitter::new();
    emitter.set_indent(layout.indent);
    emitter.set_width(layout.width);
    emitter.set_unicode(layout.unicode);
    emitter.set_output_string(&mut out);
    for event in events {
        emitter.emit(event).map_err(|err| Fail::error(format!("cannot write YAML: {err}")))?;
    }
    drop(emitter);
    let written = String::from_utf8(out).map_err(|_| Fail::error("cannot write YAML: not UTF-8"))?;
    Ok(escape_astral(written))
}

fn is_astral(c: char) -> bool {
    c > '\u{ffff}'
}

/// PyYAML holds characters such as emoji to be unprintable; they stand between double quotes here.
fn escape_astral(written: String) -> String {
    if !written.contains(is_astral) {
        return written;
    }
    written.chars().map(|c| if is_astral(c) { format!("\\U{:08X}", c as u32) } else { c.to_string() }).collect()
}

struct Writer<'e> {
    sort_keys: bool,
    flow: Flow,
    blocks: bool,
    events: &'e mut Vec<Event>,
}

const LIST_TAG: &str = "tag:yaml.org,2002:seq";
const MAP_TAG: &str = "tag:yaml.org,2002:map";

impl Writer<'_> {
    fn node(&mut self, value: &Value, depth: usize) -> Res<()> {
        check(value)?;
        if depth > 200 {
            return Err(Fail::error("the value is nested too deeply"));
        }
        match type_of(value) {
            Type::List => {
                let items: Vec<Value> = raw_items(value)?.into_iter().filter(|item| !is_omit(item)).collect();
                let on_one_line = self.flow.unwrap_or_else(|| items.iter().all(is_scalar));
                let style = if on_one_line { SequenceStyle::Flow } else { SequenceStyle::Block };
                self.events.push(Event::sequence_start(None, Some(LIST_TAG), true, style));
                for item in &items {
                    self.node(item, depth + 1)?;
                }
                self.events.push(Event::sequence_end());
            }
            Type::Map => {
                let mut all: Vec<(Value, Value)> = pairs(value)?.into_iter().filter(|(_, item)| !is_omit(item)).collect();
                // As in Python, keys that have no order among themselves stay as they are.
                if self.sort_keys && all.windows(2).all(|two| order(&two[0].0, &two[1].0, "<").is_ok()) {
                    all.sort_by(|(a, _), (b, _)| order(a, b, "<").unwrap_or(std::cmp::Ordering::Equal));
                }
                let on_one_line = self.flow.unwrap_or_else(|| all.iter().all(|(key, item)| is_scalar(key) && is_scalar(item)));
                let style = if on_one_line { MappingStyle::Flow } else { MappingStyle::Block };
                self.events.push(Event::mapping_start(None, Some(MAP_TAG), true, style));
                for (key, item) in &all {
                    self.node(key, depth + 1)?;
                    self.node(item, depth + 1)?;
                }
                self.events.push(Event::mapping_end());
            }
            Type::None => self.scalar("null", true),
            Type::Bool => self.scalar(if value.is_true() { "true" } else { "false" }, true),
            Type::Int => self.scalar(&value.to_string(), true),
            Type::Float => self.scalar(&float(f64::try_from(value.clone()).unwrap_or(0.0)), true),
            _ => {
                let text = text(value)?;
                let plain = !means_something_else(&text);
                self.scalar(&text, plain);
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool) {
        let style = match text {
            _ if text.contains(is_astral) => ScalarStyle::DoubleQuoted,
            _ if self.blocks && text.contains(BREAKS) => ScalarStyle::Literal,
            _ => ScalarStyle::Any,
        };
        self.events.push(Event::scalar(None, None, text, plain, true, style));
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(type_of(value), Type::List | Type::Map)
}

fn float(number: f64) -> String {
    match () {
        () if number.is_nan() => ".nan".to_owned(),
        () if number.is_infinite() => if number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        () => {
            let text = float_text(number);
            // YAML 1.1 wants a point in what is a float.
            if text.contains('.') { text } else { text.replacen('e', ".0e", 1) }
        }
    }
}

/// Whether YAML 1.1 reads a plain text as something that is not a string.
fn means_something_else(text: &str) -> bool {
    const WORDS: &[&str] = &["yes", "no", "true", "false", "on", "off"];
    let is_word = WORDS.iter().any(|word| {
        text == *word
            || text == word.to_uppercase()
            || (text.starts_with(|c: char| c.is_ascii_uppercase()) && text[1..] == word[1..] && text.eq_ignore_ascii_case(word))
    });
    is_word || matches!(text, "" | "~" | "null" | "Null" | "NULL" | "=" | "<<") || is_int(text) || is_float(text) || is_timestamp(text)
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, allowed: fn(char) -> bool| !digits.is_empty() && digits.chars().all(|c| c == '_' || allowed(c));
    if let Some(binary) = digits.strip_prefix("0b") {
        return all(binary, |c| matches!(c, '0' | '1'));
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return all(hex, |c| c.is_ascii_hexdigit());
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return octal.is_empty() || all(octal, |c| ('0'..='7').contains(&c));
    }
    let starts = digits.starts_with(|c: char| c.is_ascii_digit());
    starts && (all(digits, |c| c.is_ascii_digit()) || is_sexagesimal(digits))
}

/// `22:22:00`
fn is_sexagesimal(digits: &str) -> bool {
    let mut parts = digits.split(':');
    let first = parts.next().is_some_and(|first| first.chars().all(|c| c.is_ascii_digit() || c == '_'));
    let rest: Vec<&str> = parts.collect();
    let minutes = |part: &&str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    first && !rest.is_empty() && rest.iter().all(minutes)
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (number, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(number, exponent)| (number, Some(exponent)));
    let Some((whole, fraction)) = number.split_once('.') else { return false };
    let exponent_is_good = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
    });
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let starts = whole.starts_with(|c: char| c.is_ascii_digit());
    if starts && whole.contains(':') {
        return exponent.is_none() && is_sexagesimal(whole) && digits(fraction);
    }
    exponent_is_good
        && digits(fraction)
        && if whole.is_empty() {
            text == unsigned && fraction.starts_with(|c: char| c.is_ascii_digit())
                || (text != unsigned && fraction.starts_with(|c: char| c.is_ascii_digit() || c == '_'))
        } else {
            starts && digits(whole)
        }
}

fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if !(0..4).all(digit) || bytes.get(4) != Some(&b'-') {
        return false;
    }
    if bytes.len() == 10 {
        return digit(5) && digit(6) && bytes[7] == b'-' && digit(8) && digit(9);
    }
    // Date and time: one or two digits for month, day and hour, then minutes, seconds, and perhaps a fraction and a zone.
    let mut rest = &text[5..];
    let mut number = |least: usize, most: usize, end: &[char]| {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let good = (least..=most).contains(&digits) && rest[digits..].starts_with(end);
        if good {
            rest = &rest[digits + 1..];
        }
        good
    };
    if !number(1, 2, &['-']) || !number(1, 2, &['T', 't', ' ', '\t']) {
        return false;
    }
    let number = |text: &str, end: char| -> Option<String> {
        let digits = text.chars().take_while(char::is_ascii_digit).count();
        ((1..=2).contains(&digits) && text[digits..].starts_with(end)).then(|| text[digits + 1..].to_owned())
    };
    let Some(rest) = number(rest.trim_start(), ':').and_then(|rest| number(&rest, ':')) else { return false };
    let seconds = rest.chars().take_while(char::is_ascii_digit).count();
    let rest = &rest[seconds..];
    let rest = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = rest.trim_start_matches([' ', '\t']);
    seconds == 2
        && (zone.is_empty()
            || zone == "Z"
            || zone.starts_with(['+', '-']) && zone[1..].chars().all(|c| c.is_ascii_digit() || c == ':') && zone.len() > 1)
}

/// JSON as a YAML document in block style, text of several lines line by line. `readable`: at the cost of blanks at their ends.
pub fn document(json: &serde_json::Value, indent: usize, width: usize, readable: bool) -> String {
    let json = if readable { &without_blanks(json) } else { json };
    in_blocks(json, i32::try_from(indent).unwrap_or(4), i32::try_from(width).unwrap_or(i32::MAX), true)
}

/// JSON as a YAML document in block style.
pub fn plain_document(json: &serde_json::Value) -> String {
    in_blocks(json, 2, 80, false)
}

fn in_blocks(json: &serde_json::Value, indent: i32, width: i32, blocks: bool) -> String {
    let layout =
        Layout { indent, width, sort_keys: true, unicode: true, explicit_start: false, explicit_end: false, flow: Some(false), blocks };
    // What nests too deeply for YAML is shown as it is.
    write(&crate::vars::value_of(json), &layout).unwrap_or_else(|_| json.to_string())
}

/// Block style has no room for tabs, for blanks at the end of lines and for control characters.
fn without_blanks(json: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::String(text) if text.contains(BREAKS) => {
            let plain: String =
                text.trim_end().replace('\t', "        ").chars().filter(|c| *c == '\n' || !c.is_control() || *c == '\u{85}').collect();
            Json::from(plain.split('\n').map(|line| line.trim_end_matches(' ')).collect::<Vec<_>>().join("\n"))
        }
        Json::Array(items) => items.iter().map(without_blanks).collect(),
        Json::Object(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), without_blanks(value))).collect()),
        other => other.clone(),
    }
}
