//! Dates: `strftime` and `to_datetime`.

use super::Filter;
use crate::template::eval::strftime;
use crate::template::fail::Fail;
use crate::template::objects::Stamp;
use crate::template::value::{as_float, text, truth};
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("strftime", |_, value, args| {
        let second = args.get("second").filter(|second| !second.is_none());
        let utc = args.get("utc").map_or(Ok(false), |utc| truth(&utc))?;
        let now = match second {
            Some(second) => {
                let parsed = as_float(&second).or_else(|| second.as_str().and_then(|text| text.parse().ok()));
                let Some(seconds) = parsed else { return Err(Fail::error(format!("Invalid value for epoch value ({})", text(&second)?))) };
                jiff::Timestamp::from_second(seconds as i64).map_err(|err| Fail::error(err.to_string()))?
            }
            None => jiff::Timestamp::now(),
        };
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        strftime(now.to_zoned(zone).datetime(), &text(&value)?).map(Value::from)
    }),
    ("to_datetime", |_, value, args| {
        let format = args.text_or("format", "%Y-%m-%d %H:%M:%S")?;
        let given = text(&value)?;
        let time = strtime::parse(&format, &given).map_err(|err| err.to_string()).and_then(|parts| match parts.to_datetime() {
            Ok(time) => Ok(time),
            Err(_) => parts.to_date().map(DateTime::from).map_err(|err| err.to_string()),
        });
        match time {
            Ok(time) => Ok(Value::from_object(Stamp(time))),
            Err(err) => Err(Fail::error(format!("time data '{given}' does not match format '{format}': {err}"))),
        }
    }),
];
