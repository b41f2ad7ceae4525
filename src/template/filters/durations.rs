//! Spans of time written as `1h 30min` in one unit: `community.general.to_seconds` and its kin.

use super::Filter;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::value::text;
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("to_time_unit", |_, value, args| {
        let unit = args.text_or("unit", "ms")?;
        in_unit(&value, &unit, args)
    }),
    ("to_milliseconds", |_, value, args| in_unit(&value, "ms", args)),
    ("to_seconds", |_, value, args| in_unit(&value, "s", args)),
    ("to_minutes", |_, value, args| in_unit(&value, "m", args)),
    ("to_hours", |_, value, args| in_unit(&value, "h", args)),
    ("to_days", |_, value, args| in_unit(&value, "d", args)),
    ("to_weeks", |_, value, args| in_unit(&value, "w", args)),
    ("to_months", |_, value, args| in_unit(&value, "mo", args)),
    ("to_years", |_, value, args| in_unit(&value, "y", args)),
];

/// A year has 365 days and a month 30, unless said otherwise.
struct Calendar {
    year: f64,
    month: f64,
}

fn in_unit(value: &Value, unit: &str, args: &mut Args) -> Res {
    let mut days = |name: &str, default: f64| match args.named(name) {
        Some(value) => crate::template::value::as_float(&value).ok_or_else(|| Fail::error(format!("`{name}` must be a number"))),
        None => Ok(default),
    };
    let calendar = Calendar { year: days("year", 365.0)?, month: days("month", 30.0)? };
    let given = text(value)?;
    let mut total = 0.0;
    for part in given.split_whitespace() {
        let end = part.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
        let (number, unit) = part.split_at(end);
        let bad = || Fail::error(format!("to_time_unit() can not interpret following string: {given}"));
        let amount: f64 = number.parse().map_err(|_| bad())?;
        total += amount * milliseconds(unit, &calendar).ok_or_else(bad)?;
    }
    let unit = milliseconds(unit, &calendar).ok_or_else(|| Fail::error(format!("the unit '{unit}' is not known")))?;
    Ok(Value::from((total / unit * 1e12).round() / 1e12))
}

fn milliseconds(unit: &str, calendar: &Calendar) -> Option<f64> {
    const DAY: f64 = 86_400_000.0;
    Some(match unit.trim_end_matches('s') {
        "m" if unit == "ms" => 1.0,
        "msec" | "msecond" | "millisec" | "millisecond" => 1.0,
        "" if unit == "s" => 1000.0,
        "sec" | "second" => 1000.0,
        "m" | "min" | "minute" => 60_000.0,
        "h" | "hour" => 3_600_000.0,
        "d" | "day" => DAY,
        "w" | "week" => 7.0 * DAY,
        "mo" | "month" => calendar.month * DAY,
        "y" | "year" => calendar.year * DAY,
        _ => return None,
    })
}
