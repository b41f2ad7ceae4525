//! Sets an option in a section of an INI file, or takes one away.
//!
//! ```yaml
//! - ini_file: {path: /etc/mysql/my.cnf, section: mysqld, option: bind-address, value: 10.0.0.5, backup: true}
//! - ini_file: {path: /etc/wireguard/wg0.conf, section: Peer, section_has_values: [{option: PublicKey, value: k1}], option: Port, value: "5"}
//! ```
//!
//! Without `section` what stands before the first one is meant. With `exclusive: false` an option may stand there several times. An option that
//! is commented out is switched on, unless `modify_inactive_option` is false. Returns `msg`, `path` and what is at it; `backup_file` where one was made.

use super::edit::{self, Telling, Text, lines_of};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};
use serde_json::Value as Json;

pub struct IniFile;

static SPEC: Spec = Spec {
    name: "community.general.ini_file",
    aliases: &["ansible.builtin.ini_file"],
    params: &[
        Param::path("path").required().alias(&["dest"]),
        Param::str("section"),
        Param::list("section_has_values"),
        Param::str("option"),
        Param::str("value"),
        Param::list("values"),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::bool("exclusive").default("true"),
        Param::bool("no_extra_spaces").default("false"),
        Param::bool("ignore_spaces").default("false"),
        Param::bool("allow_no_value").default("false"),
        Param::bool("modify_inactive_option").default("true"),
        Param::bool("create").default("true"),
        Param::bool("follow").default("false"),
        Param::bool("backup").default("false"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

impl Module for IniFile {
    type State = Text;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Setting::of(args)?;
        edit::probe_at(args, args.is("follow")).map(Some)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Text, Failure> {
        edit::read(args, output)
    }

    fn decide(&self, args: &Args, text: Text, context: &dyn Context) -> Result<Decision, Failure> {
        if !text.exists() && !args.is("create") {
            return Err(Failure::argument("path", format!("Destination {} does not exist!", text.path)).with("rc", 257));
        }
        // As Python reads and writes text: a BOM goes, and every line break becomes one character.
        let content = text.content.strip_prefix('\u{feff}').unwrap_or(&text.content).replace("\r\n", "\n").replace('\r', "\n");
        let mut ini = Ini::of(&content);
        Setting::of(args)?.apply(&mut ini)?;
        let msg = ini.msg;
        let new = if ini.changed { ini.lines.concat() } else { text.content.clone() };
        if !text.exists() && !ini.changed {
            return Ok(Outcome::unchanged().with("msg", msg).with("path", text.path.as_str()).into());
        }
        let telling = Telling { msg, backup_key: "backup_file", header_suffix: " (content)", shows_file: true };
        let mut decision = text.decide(args, context, Outcome::unchanged(), new, &telling)?;
        // Unlike lineinfile's, its message tells of the content alone.
        match &mut decision {
            Decision::Unchanged(outcome) => outcome.data.insert("msg".into(), msg.into()),
            Decision::Change(change) => change.outcome.data.insert("msg".into(), msg.into()),
        };
        Ok(decision)
    }
}

/// What a task asks for.
struct Setting<'a> {
    /// Empty: what stands before the first section.
    section: &'a str,
    section_has_values: Vec<Condition>,
    option: Option<&'a str>,
    values: Vec<String>,
    is_present: bool,
    exclusive: bool,
    separator: &'static str,
    ignore_spaces: bool,
    allow_no_value: bool,
    modify_inactive: bool,
}

/// What a section has to have to be the one that is meant.
struct Condition {
    option: String,
    /// None: any.
    values: Vec<String>,
}

/// The file, and what became of it.
struct Ini {
    lines: Vec<String>,
    changed: bool,
    msg: &'static str,
}

/// A line that sets the option.
struct Found<'a> {
    is_comment: bool,
    has_separator: bool,
    value: &'a str,
}

impl Found<'_> {
    /// `; option` alone is rather a remark than a setting.
    fn is_remark(&self) -> bool {
        self.is_comment && !self.has_separator
    }
}

impl Ini {
    fn of(content: &str) -> Ini {
        let mut lines = lines_of(content);
        let mut changed = false;
        match lines.last_mut() {
            None => lines.push("\n".into()),
            Some(last) if !last.ends_with('\n') => {
                last.push('\n');
                changed = true;
            }
            Some(_) => {}
        }
        Ini { lines, changed, msg: "OK" }
    }

    fn change(&mut self, msg: &'static str) {
        (self.changed, self.msg) = (true, msg);
    }
}

impl<'a> Setting<'a> {
    fn of(args: &'a Args) -> Result<Setting<'a>, Failure> {
        if args.has("value") && args.has("values") {
            return Err(Failure::argument("values", "parameters are mutually exclusive: value|values"));
        }
        let mut values: Vec<String> = Vec::new();
        for value in args.str("value").map(|value| vec![value.to_owned()]).or(args.list("values")).unwrap_or_default() {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let is_present = args.required("state")? == "present";
        let allow_no_value = args.is("allow_no_value");
        if is_present && !allow_no_value && values.is_empty() {
            return Err(Failure::new("Parameter 'value(s)' must be defined if state=present and allow_no_value=False."));
        }
        let conditions = args.get("section_has_values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let section = args.str("section").unwrap_or_default();
        let section_has_values = conditions.iter().map(Condition::of).collect::<Result<Vec<_>, _>>()?;
        if section.is_empty() && !section_has_values.is_empty() {
            return Err(Failure::argument("section_has_values", "section_has_values needs a section"));
        }
        Ok(Setting {
            section,
            section_has_values,
            option: args.str("option"),
            values,
            is_present,
            exclusive: args.is("exclusive"),
            separator: if args.is("no_extra_spaces") { "=" } else { " = " },
            ignore_spaces: args.is("ignore_spaces"),
            allow_no_value,
            modify_inactive: args.is("modify_inactive_option"),
        })
    }

    fn apply(mut self, ini: &mut Ini) -> Result<(), Failure> {
        let Some(range) = self.range(&ini.lines) else {
            if self.is_present {
                self.append_section(ini);
            }
            return Ok(());
        };
        let after = ini.lines.split_off(range.end);
        let mut section = ini.lines.split_off(range.start);
        // The section's own line, which is never an option.
        let header = usize::from(!self.section.is_empty());
        match self.option {
            Some(option) if self.is_present => self.set(option, header, &mut section, ini),
            Some(option) => {
                let goes = |line: &String| {
                    active(option, line).is_some_and(|found| self.exclusive || self.values.iter().any(|value| value == found.value))
                };
                if section.iter().any(goes) {
                    section.retain(|line| !goes(line));
                    ini.change("option changed");
                }
            }
            None if !self.is_present && !section.is_empty() => {
                section.clear();
                ini.change("section removed");
            }
            None => {}
        }
        ini.lines.extend(section);
        ini.lines.extend(after);
        Ok(())
    }

    /// Where the section's lines are, its own included.
    fn range(&self, lines: &[String]) -> Option<std::ops::Range<usize>> {
        let end_after = |start: usize| lines[start..].iter().position(|line| line.starts_with('[')).map_or(lines.len(), |at| start + at);
        if self.section.is_empty() {
            return Some(0..end_after(0));
        }
        let mut at = 0;
        while let Some(start) = lines[at..].iter().position(|line| is_header(line, self.section)).map(|found| at + found) {
            let end = end_after(start + 1);
            let has = |condition: &Condition| lines[start..end].iter().any(|line| condition.is_met(line));
            if self.section_has_values.iter().all(has) {
                return Some(start..end);
            }
            at = end;
        }
        None
    }

    fn find<'l>(&self, option: &str, line: &'l str) -> Option<Found<'l>> {
        if self.modify_inactive { any(option, line) } else { active(option, line) }
    }

    /// First lines that have a value that is wanted are kept, then others get the values that are left, then what is too many goes,
    /// and last what is still missing is added.
    fn set(&mut self, option: &str, header: usize, section: &mut Vec<String>, ini: &mut Ini) {
        let mut done = vec![false; section.len()];
        let with_value = |value: &str, separator: &str| format!("{option}{separator}{value}\n");
        let alone = format!("{option}\n");
        let mut stands_alone = false;
        for (line, done) in section.iter_mut().zip(&mut done) {
            let Some(found) = self.find(option, line) else { continue };
            let wanted = self.values.iter().position(|value| value == found.value);
            if let Some(at) = wanted {
                let value = self.values.remove(at);
                let new = if value.is_empty() && self.allow_no_value {
                    stands_alone = true;
                    alone.clone()
                } else {
                    with_value(&value, self.separator)
                };
                *done = true;
                self.update(option, line, new, ini);
            } else if self.values.is_empty() && self.allow_no_value {
                stands_alone = true;
                *done = true;
                self.update(option, line, alone.clone(), ini);
                break;
            }
        }
        if self.exclusive && !self.allow_no_value {
            for (line, done) in section.iter_mut().zip(&mut done) {
                let is_free = !*done && self.find(option, line).is_some_and(|found| !found.is_remark());
                if is_free && !self.values.is_empty() {
                    let value = self.values.remove(0);
                    *done = true;
                    self.update(option, line, with_value(&value, self.separator), ini);
                }
            }
            for at in (header..section.len()).rev() {
                if !done[at] && self.find(option, &section[at]).is_some_and(|found| !found.is_remark()) {
                    section.remove(at);
                    done.remove(at);
                    ini.change("option changed");
                }
            }
        }
        // New lines follow the last one that says something.
        let says_something = |line: &String| !matches!(line.trim_matches([' ', '\t', '\n']).chars().next(), None | Some('#' | ';'));
        let at = section.iter().rposition(says_something).map_or(0, |at| at + 1);
        let mut new: Vec<String> = self.values.iter().map(|value| with_value(value, self.separator)).collect();
        if new.is_empty() && self.allow_no_value && !stands_alone {
            new.push(alone);
        }
        if !new.is_empty() {
            section.splice(at..at, new);
            ini.change("option added");
        }
    }

    fn update(&self, option: &str, line: &mut String, new: String, ini: &mut Ini) {
        let old_value = any(option, line).filter(|found| !found.is_comment).map(|found| found.value);
        let differs = match old_value {
            Some(old) if self.ignore_spaces => any(option, &new).is_none_or(|found| found.value != old),
            _ => *line != new,
        };
        if differs {
            *line = new;
            ini.change("option changed");
        }
    }

    fn append_section(&self, ini: &mut Ini) {
        let mut add = |line: String| ini.lines.push(line);
        let mut values = self.values.clone();
        add(format!("[{}]\n", self.section));
        for condition in &self.section_has_values {
            if Some(condition.option.as_str()) != self.option {
                for value in &condition.values {
                    add(format!("{}{}{value}\n", condition.option, self.separator));
                }
                if condition.values.is_empty() && self.allow_no_value {
                    add(format!("{}\n", condition.option));
                }
            } else if !self.exclusive {
                let more: Vec<_> = condition.values.iter().filter(|value| !values.contains(value)).cloned().collect();
                values.extend(more);
            }
        }
        match self.option {
            Some(option) if !values.is_empty() => values.iter().for_each(|value| add(format!("{option}{}{value}\n", self.separator))),
            Some(option) if self.allow_no_value => add(format!("{option}\n")),
            _ => return ini.change("only section added"),
        }
        ini.change("section and option added");
    }
}

impl Condition {
    fn of(given: &Json) -> Result<Condition, Failure> {
        let wrong = |message: String| Failure::argument("section_has_values", message);
        let map = given.as_object().ok_or_else(|| wrong("Elements value for option 'section_has_values' must be mappings".into()))?;
        if let Some(key) = map.keys().find(|key| !["option", "value", "values"].contains(&key.as_str())) {
            return Err(wrong(format!(
                "Unsupported parameters: section_has_values.{key}. Supported parameters include: option, value, values."
            )));
        }
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let given = |key: &str| map.get(key).filter(|value| !value.is_null());
        let option =
            given("option").map(text).ok_or_else(|| wrong("missing required arguments: option found in section_has_values".into()))?;
        let values = match (given("value"), given("values")) {
            (Some(_), Some(_)) => return Err(wrong("parameters are mutually exclusive: value|values found in section_has_values".into())),
            (Some(value), None) => vec![text(value)],
            (None, Some(Json::Array(values))) => values.iter().map(text).collect(),
            (None, Some(value)) => vec![text(value)],
            (None, None) => Vec::new(),
        };
        Ok(Condition { option, values })
    }

    fn is_met(&self, line: &str) -> bool {
        any(&self.option, line).is_some_and(|found| self.values.is_empty() || self.values.iter().any(|value| value == found.value))
    }
}

/// `[section]`, with or without spaces inside the brackets.
fn is_header(line: &str, section: &str) -> bool {
    let inside = line.strip_prefix('[').and_then(|rest| rest.trim_start().strip_prefix(section.trim()));
    inside.is_some_and(|rest| rest.trim_start().starts_with(']'))
}

/// `option = value`, also where it is commented out.
fn any<'l>(option: &str, line: &'l str) -> Option<Found<'l>> {
    let line = line.trim_start_matches(BLANK);
    match line.strip_prefix(['#', ';']) {
        Some(rest) => Some(Found { is_comment: true, ..active(option, rest)? }),
        None => active(option, line),
    }
}

fn active<'l>(option: &str, line: &'l str) -> Option<Found<'l>> {
    let rest = line.trim_start_matches(BLANK).strip_prefix(option)?.trim_start_matches(BLANK);
    let rest = rest.strip_suffix('\n').unwrap_or(rest);
    match rest.strip_prefix('=') {
        Some(value) => Some(Found { is_comment: false, has_separator: true, value: value.trim_start_matches(BLANK) }),
        None if rest.is_empty() => Some(Found { is_comment: false, has_separator: false, value: "" }),
        None => None,
    }
}

const BLANK: [char; 2] = [' ', '\t'];
