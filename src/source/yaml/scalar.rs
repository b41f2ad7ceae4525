//! What a plain scalar is: YAML 1.1's rules as PyYAML has them. No positions here; `compose` adds them.

use crate::source::{Kind, Str, Tag};
use std::sync::Arc;

pub fn string(text: impl Into<Arc<str>>) -> Kind {
    Kind::Str(Str { text: text.into(), tag: Tag::Plain })
}

/// An untagged plain scalar. The error says what is wrong with it.
pub fn plain(text: &str) -> Result<Kind, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Kind::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Ok(Kind::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Ok(Kind::Bool(false)),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Ok(string(text));
    }
    if looks_like_float(text) {
        return float(text).map(Kind::Float);
    }
    if looks_like_integer(text) {
        return integer(text).map(Kind::Int);
    }
    match timestamp(text) {
        Some(iso) => iso.map(string),
        None => Ok(string(text)),
    }
}

/// What is left of the text after a pattern: a small reader for the rules below.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn one(&mut self, allowed: impl Fn(u8) -> bool) -> bool {
        let found = self.0.first().is_some_and(|&byte| allowed(byte));
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn any(&mut self, allowed: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take_while(|&&byte| allowed(byte)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn literal(&mut self, text: &str) -> bool {
        let found = self.0.starts_with(text.as_bytes());
        if found {
            self.0 = &self.0[text.len()..];
        }
        found
    }

    /// At least `least` and at most `most` digits, as a number.
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let length = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if length < least {
            return None;
        }
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(taken.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0')))
    }

    fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

fn sign(byte: u8) -> bool {
    matches!(byte, b'-' | b'+')
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// One or more `:59`.
fn sexagesimal_tail(rest: &mut Rest) -> bool {
    let mut found = false;
    while rest.0.first() == Some(&b':') {
        let mut next = Rest(&rest.0[1..]);
        let tens = next.0.first().is_some_and(|byte| matches!(byte, b'0'..=b'5')) && next.0.get(1).is_some_and(u8::is_ascii_digit);
        if tens {
            next.one(|_| true);
        }
        if !next.one(|byte| byte.is_ascii_digit()) {
            return false;
        }
        *rest = next;
        found = true;
    }
    found
}

/// `e+3`, with the sign that YAML 1.1 asks for: `1e3` is a string.
fn exponent(rest: &mut Rest) -> bool {
    !rest.one(|byte| matches!(byte, b'e' | b'E')) || rest.one(sign) && !rest.any(|byte| byte.is_ascii_digit()).is_empty()
}

fn looks_like_float(text: &str) -> bool {
    let whole = Rest(text.as_bytes());
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let mut unsigned = whole;
    unsigned.one(sign);
    if matches!(unsigned.0, b".inf" | b".Inf" | b".INF") {
        return true;
    }
    // `.5` takes no sign: `-.5` is a string.
    let mut rest = whole;
    if rest.one(|byte| byte == b'.') {
        return rest.one(|byte| byte.is_ascii_digit()) && {
            rest.any(digit_or_underscore);
            exponent(&mut rest) && rest.is_done()
        };
    }
    let mut rest = unsigned;
    if !rest.one(|byte| byte.is_ascii_digit()) {
        return false;
    }
    rest.any(digit_or_underscore);
    let sexagesimal = sexagesimal_tail(&mut rest);
    if !rest.one(|byte| byte == b'.') {
        return false;
    }
    rest.any(digit_or_underscore);
    (sexagesimal || exponent(&mut rest)) && rest.is_done()
}

fn looks_like_integer(text: &str) -> bool {
    let mut rest = Rest(text.as_bytes());
    rest.one(sign);
    if rest.literal("0b") {
        return !rest.any(|byte| matches!(byte, b'0' | b'1' | b'_')).is_empty() && rest.is_done();
    }
    if rest.literal("0x") {
        return !rest.any(|byte| byte.is_ascii_hexdigit() || byte == b'_').is_empty() && rest.is_done();
    }
    if rest.literal("0") {
        rest.any(|byte| matches!(byte, b'0'..=b'7' | b'_'));
        return rest.is_done();
    }
    if !rest.one(|byte| byte.is_ascii_digit()) {
        return false;
    }
    rest.any(digit_or_underscore);
    rest.is_done() || sexagesimal_tail(&mut rest) && rest.is_done()
}

/// The value of an integer, also of one that was tagged `!!int`.
pub fn integer(text: &str) -> Result<i64, String> {
    let not_one = || format!("`{text}` is not an integer");
    let digits = text.replace('_', "");
    let (negative, digits) = match digits.as_bytes().first() {
        Some(b'-') => (true, &digits[1..]),
        Some(b'+') => (false, &digits[1..]),
        _ => (false, digits.as_str()),
    };
    let parse = |digits: &str, base: u32| -> Result<i128, String> {
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
            return Err(not_one());
        }
        // Only too many digits are left to fail.
        Ok(i128::from_str_radix(digits, base).unwrap_or(i128::MAX))
    };
    let value = if let Some(bits) = digits.strip_prefix("0b") {
        parse(bits, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        parse(hex, 16)?
    } else if digits.starts_with('0') && !digits.contains(':') {
        parse(digits, 8)?
    } else {
        let mut sum = 0i128;
        for part in digits.split(':') {
            sum = sum.saturating_mul(60).saturating_add(parse(part, 10)?);
        }
        sum
    };
    i64::try_from(if negative { -value } else { value })
        .map_err(|_| format!("`{text}` does not fit into 64 bits; quote it to keep it as a string"))
}

/// The value of a float, also of one that was tagged `!!float`.
pub fn float(text: &str) -> Result<f64, String> {
    let not_one = || format!("`{text}` is not a number");
    let digits = text.replace('_', "").to_ascii_lowercase();
    let (sign, digits) = match digits.as_bytes().first() {
        Some(b'-') => (-1.0, &digits[1..]),
        Some(b'+') => (1.0, &digits[1..]),
        _ => (1.0, digits.as_str()),
    };
    match digits {
        ".inf" => return Ok(sign * f64::INFINITY),
        ".nan" => return Ok(f64::NAN),
        _ => {}
    }
    let mut sum = 0.0;
    for part in digits.split(':') {
        sum = sum * 60.0 + part.parse::<f64>().map_err(|_| not_one())?;
    }
    Ok(sign * sum)
}

pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(format!("`{text}` is not a boolean")),
    }
}

struct Timestamp {
    /// Year, month, day.
    date: [u32; 3],
    /// Hour, minute, second, microsecond, and the offset.
    time: Option<([u32; 4], Option<Offset>)>,
}

/// `Z` or a sign, hours and minutes.
type Offset = (char, u32, u32);

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.as_bytes());
    let dash = |rest: &mut Rest| rest.one(|byte| byte == b'-').then_some(());
    let colon = |rest: &mut Rest| rest.one(|byte| byte == b':').then_some(());
    let blank = |byte| matches!(byte, b' ' | b'\t');
    let year = rest.digits(4, 4)?;
    dash(&mut rest)?;
    let month_from = rest.0.len();
    let month = rest.digits(1, 2)?;
    dash(&mut rest)?;
    let day = rest.digits(1, 2)?;
    let date = [year, month, day];
    if rest.is_done() {
        // Without a time both need two digits.
        return (month_from == "01-02".len()).then_some(Timestamp { date, time: None });
    }
    if !rest.one(|byte| matches!(byte, b'T' | b't')) && rest.any(blank).is_empty() {
        return None;
    }
    let hour = rest.digits(1, 2)?;
    colon(&mut rest)?;
    let minute = rest.digits(2, 2)?;
    colon(&mut rest)?;
    let second = rest.digits(2, 2)?;
    let mut microsecond = 0;
    if rest.one(|byte| byte == b'.') {
        let fraction = rest.any(|byte| byte.is_ascii_digit());
        microsecond = (0..6).fold(0, |sum, n| sum * 10 + fraction.get(n).map_or(0, |digit| u32::from(digit - b'0')));
    }
    rest.any(blank);
    let offset = if rest.is_done() {
        // Blanks at the end would have been part of an offset.
        None
    } else if rest.one(|byte| byte == b'Z') {
        Some(('Z', 0, 0))
    } else {
        let sign = if rest.0.first() == Some(&b'-') { '-' } else { '+' };
        if !rest.one(self::sign) {
            return None;
        }
        let hours = rest.digits(1, 2)?;
        let minutes = if rest.is_done() {
            0
        } else {
            colon(&mut rest)?;
            rest.digits(2, 2)?
        };
        Some((sign, hours, minutes))
    };
    rest.is_done().then_some(Timestamp { date, time: Some(([hour, minute, second, microsecond], offset)) })
}

/// The ISO form of a date or a time. None if the text is neither; an error if it looks like one and there is no such day or hour.
pub fn timestamp(text: &str) -> Option<Result<String, String>> {
    let Timestamp { date: [year, month, day], time } = parse_timestamp(text)?;
    let no_such = |what: &str| Some(Err(format!("`{text}` looks like a date, and there is no such {what}; quote it if it is a string")));
    let exists = year >= 1 && i16::try_from(year).is_ok_and(|year| jiff::civil::Date::new(year, month as i8, day as i8).is_ok());
    if !exists {
        return no_such("day");
    }
    let mut iso = format!("{year:04}-{month:02}-{day:02}");
    let Some(([hour, minute, second, microsecond], offset)) = time else { return Some(Ok(iso)) };
    if hour > 23 || minute > 59 || second > 59 {
        return no_such("time");
    }
    iso += &format!("T{hour:02}:{minute:02}:{second:02}");
    if microsecond != 0 {
        iso += &format!(".{microsecond:06}");
    }
    match offset {
        None => {}
        Some((_, hours, minutes)) if hours * 60 + minutes >= 24 * 60 => return no_such("offset"),
        // Minutes may be more than 59 here, and carry.
        Some((sign, hours, minutes)) => {
            let total = hours * 60 + minutes;
            let sign = if sign == '-' && total != 0 { '-' } else { '+' };
            iso += &format!("{sign}{:02}:{:02}", total / 60, total % 60);
        }
    }
    Some(Ok(iso))
}
