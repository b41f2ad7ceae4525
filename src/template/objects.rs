//! The values that Python has and data has not: lists and mappings that can be changed in place, points in time and the spans between.

use super::value::ValueMap;
use jiff::civil::DateTime;
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A list written in a template that changes it (`.append()`).
#[derive(Debug)]
pub(super) struct MutSeq(Mutex<Vec<Value>>);

impl MutSeq {
    pub fn new(items: Vec<Value>) -> MutSeq {
        MutSeq(Mutex::new(items))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Vec<Value>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Object for MutSeq {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = key.as_usize()?;
        self.with(|items| items.get(index).cloned())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.with(|items| items.clone()).into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.with(|items| items.len()))
    }
}

/// A mapping written in a template that changes it (`.update()`), and what `namespace()` gives.
#[derive(Debug)]
pub(super) struct MutMap(Mutex<ValueMap>);

impl MutMap {
    pub fn new(pairs: ValueMap) -> MutMap {
        MutMap(Mutex::new(pairs))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut ValueMap) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Object for MutMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.with(|pairs| pairs.get(key).cloned())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.with(|pairs| pairs.keys().cloned().collect::<Vec<_>>()).into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.with(|pairs| pairs.len()))
    }
}

/// What `groupby` gives: a pair that also has names.
#[derive(Debug)]
pub(super) struct Group {
    grouper: Value,
    list: Value,
}

impl Group {
    pub fn value(grouper: Value, list: Value) -> Value {
        Value::from_object(Group { grouper, list })
    }
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_usize(), key.as_str()) {
            (Some(0), _) | (_, Some("grouper")) => Some(self.grouper.clone()),
            (Some(1), _) | (_, Some("list")) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

/// A `datetime` without a zone, as `now()` and `to_datetime` give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub DateTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.subsec_nanosecond() / 1000;
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%M:%S"))?;
        if micros != 0 { write!(f, ".{micros:06}") } else { Ok(()) }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Object for Stamp {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let time = &self.0;
        Some(match key.as_str()? {
            "year" => time.year().into(),
            "month" => time.month().into(),
            "day" => time.day().into(),
            "hour" => time.hour().into(),
            "minute" => time.minute().into(),
            "second" => time.second().into(),
            "microsecond" => (time.subsec_nanosecond() / 1000).into(),
            _ => return None,
        })
    }
}

/// A `timedelta`.
#[derive(Clone, Copy)]
pub(super) struct Delta(pub jiff::SignedDuration);

impl Delta {
    pub fn seconds(&self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Days, seconds of the day, and microseconds: days alone carry the sign.
    fn parts(&self) -> (i64, i64, i64) {
        let micros = self.0.as_micros();
        let (day, second) = (86_400_000_000, 1_000_000);
        let rest = micros.rem_euclid(day);
        (micros.div_euclid(day) as i64, (rest / second) as i64, (rest % second) as i64)
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds, micros) = self.parts();
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros != 0 { write!(f, ".{micros:06}") } else { Ok(()) }
    }
}

impl Object for Delta {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (days, seconds, micros) = self.parts();
        Some(match key.as_str()? {
            "days" => days.into(),
            "seconds" => seconds.into(),
            "microseconds" => micros.into(),
            _ => return None,
        })
    }
}
