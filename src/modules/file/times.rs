//! The two times of a file: as they were asked for, and how they are set.

use crate::module::{Args, Failure};

/// One of the two times of `touch`.
#[derive(Clone, Debug, PartialEq)]
pub enum Stamp {
    Now,
    Preserve,
    /// As `touch -t` takes it.
    At(String),
}

/// A time of `touch` as it was asked for.
pub fn stamp(args: &Args, name: &str) -> Result<Option<Stamp>, Failure> {
    let Some(text) = args.str(name) else {
        return Ok(None);
    };
    match text {
        "now" => return Ok(Some(Stamp::Now)),
        "preserve" => return Ok(Some(Stamp::Preserve)),
        "" => return Ok(None),
        _ => {}
    }
    let format = args.required(&format!("{name}_format"))?;
    let bad = || Failure::argument(name, format!("Error while obtaining timestamp for time {text} using format {format}"));
    let mut time = jiff::fmt::strtime::parse(format, text).map_err(|_| bad())?;
    // As Python: what a format does not mention is 1900, January, the first, midnight.
    if time.month().is_none() && time.day_of_year().is_none() {
        time.set_month(Some(1)).map_err(|_| bad())?;
    }
    if time.day().is_none() && time.day_of_year().is_none() {
        time.set_day(Some(1)).map_err(|_| bad())?;
    }
    let date = time.to_date().map_err(|_| bad())?;
    let clock = time.to_time().unwrap_or_default();
    let when = date.to_datetime(clock);
    Ok(Some(Stamp::At(when.strftime("%Y%m%d%H%M.%S").to_string())))
}

/// Lines that set a file's times; each by a call of its own, since not every touch takes two.
pub fn set_times(access: &Stamp, modification: &Stamp) -> String {
    set_time("-a", access) + &set_time("-m", modification)
}

pub fn set_time(which: &str, stamp: &Stamp) -> String {
    match stamp {
        Stamp::Preserve => String::new(),
        Stamp::Now => format!("touch -c {which} -- \"$p\" || exit 1\n"),
        Stamp::At(at) => format!("touch -c {which} -t {at} -- \"$p\" || exit 1\n"),
    }
}
