//! `from_ini` and `to_ini` of `community.general`.

use super::Filter;
use crate::template::configparser::{Ini, Rules};
use crate::template::fail::Fail;
use crate::template::value::{self, Type, ValueMap, is_map, pairs, text, type_of};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("from_ini", |_, value, args| {
        let no_value = args.flag("allow_no_value", false)?;
        let Some(given) = value.as_str() else {
            return Err(Fail::error(format!("from_ini requires a str, got {}", value::type_name(&value))));
        };
        let ini = Ini::parse(given, "<string>", Rules { case_sensitive: true, allow_no_value: no_value, interpolation: true })?;
        let mut made = ValueMap::new();
        for section in ini.sections.keys() {
            let mut options = ValueMap::new();
            for key in ini.options(section).unwrap_or_default() {
                let value = ini.get(section, key)?.flatten();
                options.insert(Value::from(key), value.map_or(Value::from(()), Value::from));
            }
            made.insert(Value::from(section.as_str()), Value::from_object(options));
        }
        Ok(Value::from_object(made))
    }),
    ("to_ini", |_, value, _| {
        if !is_map(&value) {
            return Err(Fail::error(format!("to_ini requires a dict, got {}", value::type_name(&value))));
        }
        let mut out = String::new();
        for (section, options) in pairs(&value)? {
            out += &format!("[{}]\n", text(&section)?);
            if !is_map(&options) {
                return Err(Fail::error(format!("the section '{}' must be a dict", text(&section)?)));
            }
            for (key, value) in pairs(&options)? {
                let shown = if type_of(&value) == Type::None { "None".to_owned() } else { text(&value)? };
                out += &format!("{} = {}\n", text(&key)?, shown.replace('\n', "\n\t"));
            }
            out.push('\n');
        }
        // One empty line less at the end.
        out.pop();
        Ok(Value::from(out))
    }),
];
