//! Events as the lines of ad-hoc commands: each host's result with the host's name before it, and nothing else.

use super::dump::{Dump, cleaned};
use super::lines::{Line, Style, ToLines, paint, warning};
use super::{Event, HostResult, Status, diff};
use anstyle::AnsiColor;
use serde_json::Value as Json;
use std::collections::HashSet;

/// Modules whose output is shown as it came.
const COMMANDS: [&str; 4] = ["command", "raw", "script", "shell"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Minimal,
    OneLine,
}

pub struct Minimal {
    form: Form,
    dump: Dump,
    colour: bool,
    diff_context: usize,
    /// Warnings that were told: each is, once.
    told: HashSet<String>,
}

impl ToLines for Minimal {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::HostFinished { result, .. } => self.result(result),
            Event::Included { hosts, .. } => {
                let included =
                    |host: &String| self.line(AnsiColor::Green, &format!("{host} | SUCCESS => {}", self.fields(&CHANGED_NOTHING)));
                hosts.iter().map(included).collect()
            }
            Event::Warning { text } if self.told.insert(text.clone()) => {
                vec![Line::Err(paint(self.colour, AnsiColor::BrightMagenta, &warning(text)))]
            }
            Event::Interrupted { text } => vec![self.error(&format!("User interrupted execution: {text}"))],
            Event::Broken { error, .. } => vec![self.error(error)],
            _ => Vec::new(),
        }
    }
}

static CHANGED_NOTHING: std::sync::LazyLock<Json> = std::sync::LazyLock::new(|| serde_json::json!({"changed": false}));

impl Minimal {
    pub fn new(form: Form, style: Style) -> Minimal {
        Minimal { form, dump: style.dump, colour: style.colour, diff_context: style.diff_context, told: HashSet::new() }
    }

    fn line(&self, colour: AnsiColor, text: &str) -> Line {
        Line::Out(paint(self.colour, colour, text.strip_suffix('\n').unwrap_or(text)))
    }

    fn error(&self, text: &str) -> Line {
        Line::Err(paint(self.colour, AnsiColor::Red, &format!("[ERROR]: {text}")))
    }

    fn fields(&self, value: &Json) -> String {
        match self.form {
            Form::Minimal => self.dump.value(value.clone(), Some(4), false),
            Form::OneLine => self.dump.value(value.clone(), Some(0), false).replace('\n', ""),
        }
    }

    fn dumped(&self, result: &HostResult) -> String {
        match self.form {
            Form::Minimal => self.dump.result(result, Some(4)),
            Form::OneLine => self.dump.result(result, Some(0)).replace('\n', ""),
        }
    }

    fn result(&mut self, result: &HostResult) -> Vec<Line> {
        let mut lines = Vec::new();
        let host = &result.host;
        if self.form == Form::Minimal {
            lines.extend(diff::lines(result, self.diff_context, self.colour));
            if let Some(error) = &result.error {
                lines.extend(
                    paint(self.colour, AnsiColor::Red, &format!("[ERROR]: {error}")).lines().map(|line| Line::Out(line.to_owned())),
                );
                lines.push(Line::Out(String::new()));
            }
        }
        let is_output = COMMANDS.contains(&&*result.module) && result.result.get("ansible_job_id").is_none();
        let (colour, text) = match result.status {
            Status::Skipped => (AnsiColor::Cyan, format!("{host} | SKIPPED")),
            Status::Ok | Status::Changed => {
                let (colour, caption) =
                    if result.status == Status::Ok { (AnsiColor::Green, "SUCCESS") } else { (AnsiColor::Yellow, "CHANGED") };
                match is_output {
                    true => (colour, self.output(result, caption)),
                    false if self.form == Form::Minimal => (colour, format!("{host} | {caption} => {}", self.dumped(&cleaned(result)))),
                    false => (colour, format!("{host} | {caption} => {}", self.dumped(result))),
                }
            }
            Status::Failed if is_output && self.form == Form::Minimal => (AnsiColor::Red, self.output(result, "FAILED")),
            Status::Failed => (AnsiColor::Red, format!("{host} | FAILED! => {}", self.dumped(result))),
            Status::Unreachable if self.form == Form::OneLine => {
                (AnsiColor::BrightRed, format!("{host} | UNREACHABLE!: {}", text(result, "msg")))
            }
            Status::Unreachable => (AnsiColor::BrightRed, format!("{host} | UNREACHABLE! => {}", self.dumped(result))),
        };
        lines.push(self.line(colour, &text));
        if self.form == Form::Minimal {
            let warnings = result.result.get("warnings").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            let new: Vec<_> = warnings.filter(|text| self.told.insert((*text).to_owned())).collect();
            lines.extend(new.into_iter().map(|text| Line::Err(paint(self.colour, AnsiColor::BrightMagenta, &warning(text)))));
        }
        lines
    }

    /// What a command printed.
    fn output(&self, result: &HostResult, caption: &str) -> String {
        let (host, rc) = (&result.host, result.result.get("rc").and_then(Json::as_i64).unwrap_or(-1));
        let (stdout, stderr) = (text(result, "stdout"), text(result, "stderr"));
        if self.form == Form::Minimal {
            return format!("{host} | {caption} | rc={rc} >>\n{stdout}{stderr}{}\n", text(result, "msg"));
        }
        let on_one = |text: &str| text.replace('\n', "\\n").replace('\r', "\\r");
        let stderr = if stderr.is_empty() { String::new() } else { format!(" (stderr) {}", on_one(stderr)) };
        format!("{host} | {caption} | rc={rc} | (stdout) {}{stderr}", on_one(stdout))
    }
}

fn text<'a>(result: &'a HostResult, key: &str) -> &'a str {
    result.result.get(key).and_then(Json::as_str).unwrap_or_default()
}
