//! Python's operators.

use crate::template::fail::{Fail, Res, check};
use crate::template::objects::{Delta, Stamp};
use crate::template::value::{
    self, MAX_ITEMS, Type, as_float, as_int, int, is_number, joined, list, raw_items, repr, text, type_name, type_of,
};
use minijinja::Value;

/// The longest string or list that `*` may make.
const MAX_REPEAT: usize = 10_000_000;

pub(in crate::template) fn binary(op: &str, a: &Value, b: &Value) -> Res {
    check(a)?;
    check(b)?;
    if op == "%"
        && let Some(format) = a.as_str()
    {
        let args = if b.is_tuple() { raw_items(b)? } else { vec![b.clone()] };
        return format_percent(format, &args, b).map(Value::from);
    }
    if is_number(a) && is_number(b) {
        return arithmetic(op, a, b);
    }
    match (op, type_of(a), type_of(b)) {
        ("+", Type::Str, Type::Str) => joined(&[text(a)?, text(b)?], ""),
        ("+", Type::List, Type::List) => {
            let (a, b) = (raw_items(a)?, raw_items(b)?);
            if a.len() + b.len() > MAX_ITEMS {
                return Err(Fail::error(format!("the list is longer than {MAX_ITEMS} items")));
            }
            Ok(list(a.into_iter().chain(b)))
        }
        ("+", Type::Str, _) => Err(Fail::error(format!("can only concatenate str (not \"{}\") to str", type_name(b)))
            .hint("`~` joins values of any kind into a string")),
        ("+", Type::List, _) => Err(Fail::error(format!("can only concatenate list (not \"{}\") to list", type_name(b)))),
        ("*", Type::Str | Type::List, Type::Int | Type::Bool) => repeat(a, b),
        ("*", Type::Int | Type::Bool, Type::Str | Type::List) => repeat(b, a),
        ("-", Type::List, Type::List) => {
            Err(Fail::error("lists cannot be subtracted").hint("`| difference(other)` leaves out what another list has"))
        }
        _ => dates(op, a, b).unwrap_or_else(|| {
            Err(Fail::error(format!("unsupported operand type(s) for {op}: '{}' and '{}'", type_name(a), type_name(b))))
        }),
    }
}

fn arithmetic(op: &str, a: &Value, b: &Value) -> Res {
    let too_large = || Fail::error(format!("the result of `{op}` is too large"));
    let by_zero = || Fail::error("division by zero");
    if let (Some(a), Some(b)) = (as_int(a), as_int(b)) {
        let whole = match op {
            "+" => a.checked_add(b),
            "-" => a.checked_sub(b),
            "*" => a.checked_mul(b),
            "/" if b == 0 => return Err(by_zero()),
            "/" => return Ok(Value::from(a as f64 / b as f64)),
            "//" | "%" if b == 0 => return Err(by_zero()),
            "//" => a.checked_div_euclid(b).and_then(|_| floor_div(a, b)),
            "%" => floor_div(a, b).and_then(|quotient| quotient.checked_mul(b)).and_then(|product| a.checked_sub(product)),
            "**" if b < 0 && a == 0 => return Err(by_zero()),
            "**" if b < 0 => return Ok(Value::from((a as f64).powf(b as f64))),
            _ => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        };
        return whole.map(int).ok_or_else(too_large);
    }
    let (a, b) = (as_float(a).unwrap_or(0.0), as_float(b).unwrap_or(0.0));
    if b == 0.0 && matches!(op, "/" | "//" | "%") {
        return Err(by_zero());
    }
    Ok(Value::from(match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "//" => (a / b).floor(),
        "%" => a - b * (a / b).floor(),
        _ => a.powf(b),
    }))
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    let exact = a.checked_rem(b)? == 0;
    Some(if !exact && ((a < 0) != (b < 0)) { quotient - 1 } else { quotient })
}

fn repeat(what: &Value, times: &Value) -> Res {
    let times = usize::try_from(as_int(times).unwrap_or(0).max(0)).unwrap_or(usize::MAX);
    let len = what.len().unwrap_or(0);
    let most = if what.as_str().is_some() { MAX_REPEAT } else { MAX_ITEMS };
    if len.checked_mul(times).is_none_or(|all| all > most) {
        return Err(Fail::error("the result of `*` is too large"));
    }
    match what.as_str() {
        Some(text) => Ok(Value::from(text.repeat(times))),
        None => {
            let items = raw_items(what)?;
            // Nothing, however often, would still be counted.
            let times = if items.is_empty() { 0 } else { times };
            Ok(list(std::iter::repeat_n(items, times).flatten()))
        }
    }
}

fn dates(op: &str, a: &Value, b: &Value) -> Option<Res> {
    let (left, right) = (a.downcast_object_ref::<Stamp>(), b.downcast_object_ref::<Stamp>());
    let (left_span, right_span) = (a.downcast_object_ref::<Delta>(), b.downcast_object_ref::<Delta>());
    let out_of_range = || Fail::error("the date is out of range");
    Some(match (op, left, right, left_span, right_span) {
        ("-", Some(a), Some(b), ..) => Ok(Value::from_object(Delta(a.0.duration_since(b.0)))),
        ("-", Some(a), _, _, Some(b)) => a.0.checked_sub(b.0).map(|time| Value::from_object(Stamp(time))).map_err(|_| out_of_range()),
        ("+", Some(a), _, _, Some(b)) | ("+", _, Some(a), Some(b), _) => {
            a.0.checked_add(b.0).map(|time| Value::from_object(Stamp(time))).map_err(|_| out_of_range())
        }
        ("-", _, _, Some(a), Some(b)) => a.0.checked_sub(b.0).map(|span| Value::from_object(Delta(span))).ok_or_else(out_of_range),
        ("+", _, _, Some(a), Some(b)) => a.0.checked_add(b.0).map(|span| Value::from_object(Delta(span))).ok_or_else(out_of_range),
        _ => return None,
    })
}

pub(super) fn plus(value: Value) -> Res {
    match as_int(&value) {
        Some(number) => Ok(int(number)),
        None if is_number(&value) => Ok(value),
        None => Err(Fail::error(format!("bad operand type for unary +: '{}'", type_name(&value)))),
    }
}

pub(super) fn negate(value: &Value) -> Res {
    match (as_int(value), as_float(value)) {
        (Some(number), _) => number.checked_neg().map(int).ok_or_else(|| Fail::error("the number is too large")),
        (None, Some(number)) => Ok(Value::from(-number)),
        _ => Err(Fail::error(format!("bad operand type for unary -: '{}'", type_name(value)))),
    }
}

pub(super) fn slice(items: Vec<Value>, start: Option<i128>, stop: Option<i128>, step: Option<i128>) -> Res<Vec<Value>> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Fail::error("slice step cannot be zero"));
    }
    let len = items.len() as i128;
    let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |bound: i128| if bound < 0 { bound.saturating_add(len).max(lowest) } else { bound.min(highest) };
    let mut at = start.map_or(if step > 0 { lowest } else { highest }, bound);
    let stop = stop.map_or(if step > 0 { highest } else { lowest }, bound);
    let mut picked = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        if let Some(item) = usize::try_from(at).ok().and_then(|at| items.get(at)) {
            picked.push(item.clone());
        }
        at = at.saturating_add(step);
    }
    Ok(picked)
}

/// Python's `%` on a string. `whole` is the right side: a mapping for `%(name)s`.
pub(in crate::template) fn format_percent(format: &str, args: &[Value], whole: &Value) -> Res<String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    let mut keyed = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut key = None;
        if chars.next_if_eq(&'(').is_some() {
            key = Some(chars.by_ref().take_while(|c| *c != ')').collect::<String>());
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => spec.alternate = true,
            }
        }
        let mut star = |chars: &mut std::iter::Peekable<std::str::Chars>| -> Res<Option<usize>> {
            if chars.next_if_eq(&'*').is_some() {
                let number = args.next().and_then(as_int).ok_or_else(|| Fail::error("* wants int"))?;
                return Ok(usize::try_from(number).ok());
            }
            let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
            Ok(digits.parse().ok())
        };
        spec.width = star(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(star(&mut chars)?.unwrap_or(0));
        }
        if spec.width > MAX_REPEAT || spec.precision.is_some_and(|precision| precision > 1000) {
            return Err(Fail::error("the width of a format is too large"));
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
        let Some(kind) = chars.next() else { return Err(Fail::error("incomplete format")) };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match &key {
            Some(key) => {
                keyed = true;
                value::get(whole, key).ok_or_else(|| Fail::error(format!("the format names '{key}', which the mapping does not have")))?
            }
            None => args.next().cloned().ok_or_else(|| Fail::error("not enough arguments for format string"))?,
        };
        spec.write(&mut out, kind, &value)?;
    }
    if !keyed && args.next().is_some() && !value::is_map(whole) {
        return Err(Fail::error("not all arguments converted during string formatting"));
    }
    Ok(out)
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn write(&self, out: &mut String, kind: char, value: &Value) -> Res<()> {
        let number = |value: &Value| {
            as_int(value)
                .or_else(|| as_float(value).and_then(value::cut))
                .ok_or_else(|| Fail::error(format!("%{kind} format: a real number is required, not {}", type_name(value))))
        };
        let (negative, prefix, body) = match kind {
            's' | 'r' | 'a' => {
                let full = if kind == 's' { text(value)? } else { repr(value)? };
                (false, "", full.chars().take(self.precision.unwrap_or(usize::MAX)).collect())
            }
            'c' => match value.as_str() {
                Some(text) => (false, "", text.to_owned()),
                None => (false, "", u32::try_from(number(value)?).ok().and_then(char::from_u32).map(String::from).unwrap_or_default()),
            },
            'd' | 'i' | 'u' => {
                let number = number(value)?;
                (number < 0, "", format!("{:0>1$}", number.unsigned_abs(), self.precision.unwrap_or(0)))
            }
            'x' => (number(value)? < 0, if self.alternate { "0x" } else { "" }, format!("{:x}", number(value)?.unsigned_abs())),
            'X' => (number(value)? < 0, if self.alternate { "0X" } else { "" }, format!("{:X}", number(value)?.unsigned_abs())),
            'o' => (number(value)? < 0, if self.alternate { "0o" } else { "" }, format!("{:o}", number(value)?.unsigned_abs())),
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                let Some(number) = as_float(value) else {
                    return Err(Fail::error(format!("must be real number, not {}", type_name(value))));
                };
                (number.is_sign_negative(), "", float_body(number.abs(), kind, self.precision.unwrap_or(6)))
            }
            other => return Err(Fail::error(format!("unsupported format character '{other}'"))),
        };
        let numeric = !matches!(kind, 's' | 'r' | 'a' | 'c');
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) if numeric => "+",
            (_, _, true) if numeric => " ",
            _ => "",
        };
        let len = sign.len() + prefix.len() + body.chars().count();
        let padding = self.width.saturating_sub(len);
        // Rust's own padding ends at 65535.
        let pad = |with: &str| with.repeat(padding);
        *out += &if self.left {
            format!("{sign}{prefix}{body}{}", pad(" "))
        } else if self.zero && numeric {
            format!("{sign}{prefix}{}{body}", pad("0"))
        } else {
            format!("{}{sign}{prefix}{body}", pad(" "))
        };
        Ok(())
    }
}

fn float_body(number: f64, kind: char, precision: usize) -> String {
    let scientific = |precision: usize| {
        let text = format!("{number:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        (digits.to_owned(), exponent)
    };
    let text = match kind.to_ascii_lowercase() {
        'f' => format!("{number:.precision$}"),
        'e' => {
            let (digits, exponent) = scientific(precision);
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => {
            let precision = precision.max(1);
            let (digits, exponent) = scientific(precision - 1);
            let trim = |text: String| match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            };
            if exponent < -4 || exponent >= precision as i32 {
                format!("{}e{}{:02}", trim(digits), if exponent < 0 { '-' } else { '+' }, exponent.abs())
            } else {
                trim(format!("{number:.*}", usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0)))
            }
        }
    };
    if kind.is_ascii_uppercase() { text.to_uppercase() } else { text }
}
