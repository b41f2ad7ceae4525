//! Filters on numbers, sizes and chance.

use super::Filter;
use super::hashes::PythonRandom;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{self, Type, as_float, as_int, int, items, list, raw_items, text, type_name, type_of};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("int", to_int),
    ("float", |_, value, args| {
        let default = args.get("default").unwrap_or_else(|| Value::from(0.0));
        let parsed = as_float(&value).or_else(|| value.as_str().and_then(|text| text.trim().replace('_', "").parse::<f64>().ok()));
        Ok(parsed.map_or(default, Value::from))
    }),
    ("abs", |_, value, _| match (as_int(&value), as_float(&value)) {
        (Some(number), _) => Ok(int(number.saturating_abs())),
        (None, Some(number)) => Ok(Value::from(number.abs())),
        _ => Err(Fail::error(format!("bad operand type for abs(): '{}'", type_name(&value)))),
    }),
    ("round", round),
    ("log", |_, value, args| {
        let base = args.get("base").map(|base| number(&base)).transpose()?.unwrap_or(std::f64::consts::E);
        let of = number(&value)?;
        if of <= 0.0 {
            return Err(Fail::error("log() is only of numbers above zero"));
        }
        Ok(Value::from(if base == 10.0 {
            of.log10()
        } else if base == 2.0 {
            of.log2()
        } else {
            of.ln() / base.ln()
        }))
    }),
    ("pow", |_, value, args| Ok(Value::from(number(&value)?.powf(number(&args.need("y")?)?)))),
    ("root", |_, value, args| {
        let base = args.get("base").map(|base| number(&base)).transpose()?.unwrap_or(2.0);
        let of = number(&value)?;
        Ok(Value::from(if base == 2.0 { of.sqrt() } else { of.powf(1.0 / base) }))
    }),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("filesizeformat", filesizeformat),
    ("random", random),
    ("shuffle", |_, value, args| {
        let mut random = seeded(args)?;
        // What cannot be shuffled stays as it is, as in Ansible.
        if !matches!(type_of(&value), Type::List | Type::Str | Type::Map) {
            return Ok(value);
        }
        let mut all = raw_items(&value)?;
        for n in (1..all.len()).rev() {
            all.swap(n, random.below(n as u128 + 1) as usize);
        }
        Ok(list(all))
    }),
];

fn number(value: &Value) -> Res<f64> {
    as_float(value).ok_or_else(|| Fail::error(format!("can only be used on numbers, not '{}'", type_name(value))))
}

fn to_int(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let default = args.get("default").unwrap_or_else(|| Value::from(0));
    let base = u32::try_from(args.int_or("base", 10)?).unwrap_or(10);
    let parsed = match type_of(&value) {
        Type::Float => as_float(&value).and_then(value::cut),
        Type::Str => parse_int(value.as_str().unwrap_or(""), base),
        _ => as_int(&value),
    };
    Ok(parsed.map_or(default, int))
}

fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim().replace('_', "");
    let (negative, digits) = text.strip_prefix('-').map_or((false, text.strip_prefix('+').unwrap_or(&text)), |digits| (true, digits));
    let lower = digits.to_lowercase();
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    if lower.starts_with(['-', '+']) {
        return None;
    }
    let stripped = lower.strip_prefix(prefix).unwrap_or(&lower);
    let whole = (2..=36).contains(&base).then(|| i128::from_str_radix(stripped, base).ok()).flatten();
    // As in Jinja, a decimal fraction in a text is cut off.
    let number = whole.or_else(|| lower.parse::<f64>().ok().and_then(value::cut))?;
    Some(if negative { -number } else { number })
}

fn round(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let precision = i32::try_from(args.int_or("precision", 0)?).unwrap_or(0).clamp(-300, 300);
    let method = args.text_or("method", "common")?;
    let of = number(&value)?;
    let factor = 10f64.powi(precision);
    Ok(Value::from(match method.as_str() {
        // Rust prints exactly and rounds half to even, as Python does.
        "common" if precision >= 0 => format!("{of:.*}", precision as usize).parse().unwrap_or(of),
        "common" => (of * factor).round_ties_even() / factor,
        "ceil" => (of * factor).ceil() / factor,
        "floor" => (of * factor).floor() / factor,
        _ => return Err(Fail::error("method must be common, ceil or floor")),
    }))
}

const UNITS: [(&str, i128); 8] =
    [("Y", 1 << 80), ("Z", 1 << 70), ("E", 1 << 60), ("P", 1 << 50), ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

fn human_readable(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let bits = args.flag("isbits", false)?;
    let unit = args.get("unit").filter(|unit| !unit.is_none()).map(|unit| text(&unit)).transpose()?;
    let size = as_float(&value).or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    let Some(size) = size else { return Err(Fail::error(format!("human_readable() failed on bad input: {}", text(&value)?))) };
    let chosen = UNITS.iter().find(|(suffix, limit)| match &unit {
        Some(unit) => unit.eq_ignore_ascii_case(suffix),
        None => size >= *limit as f64,
    });
    let base = if bits { "bits" } else { "Bytes" };
    let (suffix, divisor) = match chosen {
        Some((suffix, limit)) => (format!("{suffix}{}", if bits { "b" } else { "B" }), *limit as f64),
        None => (base.to_owned(), 1.0),
    };
    Ok(Value::from(format!("{:.2} {suffix}", size / divisor)))
}

fn human_to_bytes(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let default_unit = args.get("default_unit").filter(|unit| !unit.is_none()).map(|unit| text(&unit)).transpose()?;
    args.flag("isbits", false)?;
    let given = text(&value)?;
    let trimmed = given.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let bad = || Fail::error(format!("human_to_bytes() can't interpret following string: {given}"));
    let amount: f64 = trimmed[..end].parse().map_err(|_| bad())?;
    let unit = trimmed[end..].trim();
    let unit = if unit.is_empty() { default_unit.as_deref().unwrap_or("") } else { unit };
    let factor = match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
        None | Some('B') => 1,
        Some(letter) => UNITS.iter().find(|(suffix, _)| suffix.starts_with(letter)).map(|(_, factor)| *factor).ok_or_else(bad)?,
    };
    value::cut((amount * factor as f64).round_ties_even()).map(int).ok_or_else(bad)
}

fn filesizeformat(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let binary = args.flag("binary", false)?;
    let size = as_float(&value).or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or(0.0);
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let names =
        if binary { ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"] } else { ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"] };
    if size == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if size < base {
        return Ok(Value::from(format!("{:.0} Bytes", size.trunc())));
    }
    let mut unit = base;
    for name in names {
        unit *= base;
        if size < unit || name.starts_with('Y') {
            return Ok(Value::from(format!("{:.1} {name}", base * size / unit)));
        }
    }
    Ok(value)
}

fn seeded(args: &mut Args) -> Res<PythonRandom> {
    match args.get("seed").filter(|seed| !seed.is_none()) {
        Some(seed) => match as_int(&seed) {
            Some(number) => Ok(PythonRandom::from_int(number)),
            None => Ok(PythonRandom::from_text(&text(&seed)?)),
        },
        None => Ok(PythonRandom::from_int(i128::from(rand::random::<u64>()))),
    }
}

fn random(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let options = (args.int("start")?, args.int("step")?);
    let mut random = seeded(args)?;
    if let Some(end) = as_int(&value) {
        let (start, step) = (options.0.unwrap_or(0), options.1.unwrap_or(1));
        if step <= 0 || end <= start {
            return Err(Fail::error("the range to pick from is empty"));
        }
        let width = end.abs_diff(start).div_ceil(step.unsigned_abs());
        let picked = i128::try_from(random.below(width)).ok().and_then(|n| n.checked_mul(step)?.checked_add(start));
        return picked.map(int).ok_or_else(|| Fail::error("the range to pick from is too large"));
    }
    if options != (None, None) {
        return Err(Fail::error("start and step can only be used with integer values"));
    }
    if !matches!(type_of(&value), Type::List | Type::Str | Type::Map) {
        return Err(Fail::error("random can only be used on sequences and integers"));
    }
    let all = if value::is_map(&value) { raw_items(&value)? } else { items(&value)? };
    if all.is_empty() {
        return Err(Fail::error("cannot choose from an empty sequence"));
    }
    Ok(all[random.below(all.len() as u128) as usize].clone())
}
