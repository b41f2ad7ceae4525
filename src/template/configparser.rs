//! INI files as Python's `configparser` reads and writes them: for the lookup `ini` and the filters `from_ini` and `to_ini`.

use super::fail::{Fail, Res};
use indexmap::IndexMap;

#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub case_sensitive: bool,
    /// A name alone, without `=`, is an option without a value.
    pub allow_no_value: bool,
    /// `%(other)s` in a value stands for the option `other`.
    pub interpolation: bool,
}

pub(super) struct Ini {
    pub sections: IndexMap<String, Section>,
    defaults: Section,
    rules: Rules,
}

pub(super) type Section = IndexMap<String, Option<String>>;

const DEFAULT: &str = "DEFAULT";
const MAX_DEPTH: usize = 10;

impl Ini {
    /// `name`: what the file is called in messages.
    pub fn parse(text: &str, name: &str, rules: Rules) -> Res<Ini> {
        let mut ini = Ini { sections: IndexMap::new(), defaults: Section::new(), rules };
        let mut section: Option<String> = None;
        // The option that lines with more indent go on with, and its own indent.
        let mut option: Option<(String, usize)> = None;
        for (n, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                if let (Some((key, _)), true) = (&option, content.is_empty()) {
                    ini.extend(section.as_deref(), key, "");
                }
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            if let Some((key, own)) = &option
                && indent > *own
            {
                ini.extend(section.as_deref(), key, content);
                continue;
            }
            option = None;
            if let Some(header) = content.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
                if header != DEFAULT && ini.sections.insert(header.to_owned(), Section::new()).is_some() {
                    let words = format!("While reading from '{name}' [line {:2}]: section '{header}' already exists", n + 1);
                    return Err(Fail::error(words));
                }
                section = Some(header.to_owned());
                continue;
            }
            let Some(current) = section.clone() else {
                let line = super::value::repr(&minijinja::Value::from(format!("{line}\n")))?;
                return Err(Fail::error(format!("File contains no section headers.\nfile: '{name}', line: {}\n{line}", n + 1)));
            };
            let (key, value) = match content.find(['=', ':']) {
                Some(at) => (content[..at].trim_end(), Some(content[at + 1..].trim().to_owned())),
                None if rules.allow_no_value => (content, None),
                None => {
                    let line = super::value::repr(&minijinja::Value::from(format!("{line}\n")))?;
                    return Err(Fail::error(format!("Source contains parsing errors: '{name}'\n\t[line {:2}]: {line}", n + 1)));
                }
            };
            let key = ini.option(key);
            let known = ini.section_mut(&current).insert(key.clone(), value);
            if known.is_some() {
                let words = format!("While reading from '{name}' [line {:2}]: option '{key}' in section '{current}' already exists", n + 1);
                return Err(Fail::error(words));
            }
            option = Some((key, indent));
        }
        ini.trim_ends();
        Ok(ini)
    }

    /// How an option is called: in lower case, unless case matters.
    pub fn option(&self, key: &str) -> String {
        if self.rules.case_sensitive { key.to_owned() } else { key.to_lowercase() }
    }

    fn section_mut(&mut self, name: &str) -> &mut Section {
        if name == DEFAULT { &mut self.defaults } else { self.sections.entry(name.to_owned()).or_default() }
    }

    fn extend(&mut self, section: Option<&str>, key: &str, line: &str) {
        if let Some(Some(value)) = section.and_then(|section| self.section_mut(section).get_mut(key)) {
            value.push('\n');
            value.push_str(line);
        }
    }

    fn trim_ends(&mut self) {
        for value in self.sections.values_mut().chain([&mut self.defaults]).flat_map(|section| section.values_mut()).flatten() {
            value.truncate(value.trim_end().len());
        }
    }

    /// The options of a section, with those of all sections, in order.
    pub fn options(&self, section: &str) -> Option<Vec<&str>> {
        let own = if section == DEFAULT { &self.defaults } else { self.sections.get(section)? };
        let inherited = self.defaults.keys().filter(|key| !own.contains_key(*key));
        Some(own.keys().chain(inherited).map(String::as_str).collect())
    }

    /// The value of an option: nothing if there is no such section or option.
    pub fn get(&self, section: &str, key: &str) -> Res<Option<Option<String>>> {
        let key = self.option(key);
        let own = if section == DEFAULT { Some(&self.defaults) } else { self.sections.get(section) };
        let Some(value) = own.and_then(|own| own.get(&key)).or_else(|| self.defaults.get(&key)) else { return Ok(None) };
        match value {
            Some(text) if self.rules.interpolation => self.interpolate(section, &key, text, 0).map(|text| Some(Some(text))),
            _ => Ok(Some(value.clone())),
        }
    }

    fn interpolate(&self, section: &str, key: &str, text: &str, depth: usize) -> Res<String> {
        if depth > MAX_DEPTH {
            return Err(Fail::error(format!(
                "Recursion limit exceeded in value substitution: option '{key}' in section '{section}' contains an interpolation key which \
                 cannot be substituted in {MAX_DEPTH} steps"
            )));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('%') {
                out.push('%');
                rest = tail;
            } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(")s")) {
                let name = self.option(name);
                let own = self.sections.get(section).and_then(|own| own.get(&name)).or_else(|| self.defaults.get(&name));
                let Some(value) = own else {
                    return Err(Fail::error(format!(
                        "Bad value substitution: option '{key}' in section '{section}' contains an interpolation key '{name}' which is not a valid \
                         option name. Raw value: '{text}'"
                    )));
                };
                out += &self.interpolate(section, &name, value.as_deref().unwrap_or(""), depth + 1)?;
                rest = tail;
            } else {
                return Err(Fail::error(format!("'%' must be followed by '%' or '(', found: '%{after}'")));
            }
        }
        Ok(out + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { case_sensitive: false, allow_no_value: false, interpolation: true };

    #[test]
    fn values_go_on_and_stand_for_others() {
        let text = "[DEFAULT]\nhome: /srv\n\n[a]\nDir = %(home)s/x\nlong = one\n  two\n\n  three\nper = 5%%\n";
        let ini = Ini::parse(text, "x.ini", RULES).unwrap_or_else(|_| panic!("it parses"));
        let get = |key: &str| ini.get("a", key).ok().flatten().flatten();
        assert_eq!(get("DIR").as_deref(), Some("/srv/x"));
        assert_eq!(get("long").as_deref(), Some("one\ntwo\n\nthree"));
        assert_eq!(get("per").as_deref(), Some("5%"));
        assert_eq!(ini.options("a").expect("a"), ["dir", "long", "per", "home"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let fail = |text: &str, rules| Ini::parse(text, "x.ini", rules).err().map(|fail| fail.words()).unwrap_or_default();
        assert!(fail("[a]\nb=1\nB=2\n", RULES).contains("option 'b' in section 'a' already exists"));
        assert!(fail("[a]\nb\n", RULES).contains("parsing errors"));
        assert!(fail("b=1\n", RULES).contains("no section headers"));
        assert_eq!(fail("[a]\nb\n", Rules { allow_no_value: true, ..RULES }), "");
        assert_eq!(fail("[a]\nb=1\nB=2\n", Rules { case_sensitive: true, ..RULES }), "");
    }
}
