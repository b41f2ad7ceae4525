//! Events as lines of text, in Ansible's form. The plain and the live output differ only in where the lines go.

use super::{Event, HostResult, Stats, Status, TaskKind};
use anstyle::AnsiColor;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// How lines look.
#[derive(Clone, Debug)]
pub struct Style {
    pub verbosity: u8,
    pub colour: bool,
    /// Errors with the places they came from, on standard output, as ansible-core prints them; else drawn with carets, on standard error.
    pub origins: bool,
    /// Tell of hosts on which nothing was to be done.
    pub show_ok: bool,
    /// Tell of hosts that a task passes over.
    pub show_skipped: bool,
    /// Lines around a change in a diff.
    pub diff_context: usize,
    /// Tell what `set_stats` gathered.
    pub show_custom_stats: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { verbosity: 0, colour: false, origins: false, show_ok: true, show_skipped: true, diff_context: 3, show_custom_stats: false }
    }
}

/// Turns events into lines; remembers what a line depends on.
pub struct Lines {
    style: Style,
    /// Headers of tasks that no host has said anything of yet, by task number.
    headers: BTreeMap<usize, String>,
    current: Option<usize>,
}

/// Where a line belongs.
pub enum Line {
    Out(String),
    Err(String),
}

impl Lines {
    pub fn new(style: Style) -> Lines {
        Lines { style, headers: BTreeMap::new(), current: None }
    }

    pub fn of(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::PlaybookStarted { .. } | Event::HostStarted { .. } => Vec::new(),
            Event::HostOutput { host, line, .. } if self.style.verbosity >= 1 => {
                vec![Line::Out(self.paint(AnsiColor::BrightBlack, &format!("  {host}: {line}")))]
            }
            Event::HostOutput { .. } => Vec::new(),
            Event::HostWaits { host, what, .. } => vec![Line::Err(format!("{host} waits for {what}"))],
            Event::PlayStarted { name, .. } => self.banner(&format!("PLAY [{name}]")),
            Event::NoHostsMatched => vec![Line::Out("skipping: no hosts matched".to_owned())],
            Event::TaskStarted { task, name, kind, place, check_mode } => {
                let title = match kind {
                    TaskKind::Task | TaskKind::GatherFacts => format!("TASK [{name}]"),
                    TaskKind::Handler => format!("RUNNING HANDLER [{name}]"),
                };
                let title = if *check_mode && self.style.verbosity > 0 { format!("{title} [CHECK MODE]") } else { title };
                let header = if self.style.verbosity >= 2 { format!("{title}\u{0}task path: {place}") } else { title };
                self.headers.insert(*task, header);
                // Where hosts may be passed over in silence, a task is named with the first that is not.
                if self.style.show_ok && self.style.show_skipped { self.header(*task) } else { Vec::new() }
            }
            Event::ItemFinished { task, result } => self.result(*task, result),
            Event::HostFinished { task, result } => self.result(*task, result),
            Event::Retrying { task, host, name, left, .. } => {
                self.aside(*task, &format!("FAILED - RETRYING: [{host}]: {name} ({left} retries left)."))
            }
            Event::AsyncPolled { task, host, job } => {
                self.aside(*task, &format!("ASYNC POLL on {host}: jid={job} started=True finished=False"))
            }
            Event::AsyncEnded { task, host, job, failed } => {
                let how = if *failed { "FAILED" } else { "OK" };
                self.aside(*task, &format!("ASYNC {how} on {host}: jid={job}"))
            }
            Event::Included { task, file, hosts, item } => {
                let mut lines = self.header(*task);
                let item = item.as_ref().map(|item| format!(" => (item={item})")).unwrap_or_default();
                lines.push(Line::Out(self.paint(AnsiColor::Cyan, &format!("included: {file} for {}{item}", hosts.join(", ")))));
                lines
            }
            Event::NoMoreHosts => self.banner("NO MORE HOSTS LEFT"),
            Event::Warning { text } => vec![Line::Err(self.paint(AnsiColor::Magenta, &warning(text)))],
            Event::Recap { hosts, custom, .. } => {
                let mut lines = self.banner("PLAY RECAP");
                lines.extend(hosts.iter().map(|(host, stats)| Line::Out(self.recap(host, stats))));
                lines.push(Line::Out(String::new()));
                if self.style.show_custom_stats && !custom.is_empty() {
                    lines.extend(self.custom_stats(custom));
                }
                lines
            }
        }
    }

    fn custom_stats(&self, custom: &[(Option<String>, Json)]) -> Vec<Line> {
        let mut lines = self.banner("CUSTOM STATS:");
        for (host, stats) in custom {
            let stats = pretty(&sorted(stats.clone()), b" ").replace('\n', "");
            match host {
                Some(host) => lines.push(Line::Out(format!("\t{host}: {stats}"))),
                None => lines.extend([Line::Out(String::new()), Line::Out(format!("\tRUN: {stats}"))]),
            }
        }
        lines.push(Line::Out(String::new()));
        lines
    }

    /// A task's header, if the last lines were another's.
    fn header(&mut self, task: usize) -> Vec<Line> {
        if self.current == Some(task) {
            return Vec::new();
        }
        self.current = Some(task);
        let Some(header) = self.headers.get(&task).cloned() else { return Vec::new() };
        let (title, path) = match header.split_once('\u{0}') {
            Some((title, path)) => (title.to_owned(), Some(path.to_owned())),
            None => (header, None),
        };
        let mut lines = self.banner(&title);
        lines.extend(path.map(Line::Out));
        lines
    }

    /// What is said of a task before its result.
    fn aside(&mut self, task: usize, text: &str) -> Vec<Line> {
        let mut lines = self.header(task);
        lines.push(Line::Out(self.paint(AnsiColor::BrightBlack, text)));
        lines
    }

    fn banner(&self, title: &str) -> Vec<Line> {
        let stars = 79_usize.saturating_sub(console::measure_text_width(title)).max(3);
        vec![Line::Out(String::new()), Line::Out(format!("{title} {}", "*".repeat(stars)))]
    }

    fn result(&mut self, task: usize, result: &HostResult) -> Vec<Line> {
        let is_item = result.item.is_some();
        let is_hidden = match result.status {
            Status::Ok => !self.style.show_ok,
            Status::Skipped => !self.style.show_skipped,
            _ => false,
        };
        if is_hidden {
            return Vec::new();
        }
        let mut lines = self.header(task);
        let host = match &result.delegated_to {
            Some(delegate) => format!("{} -> {delegate}", result.host),
            None => result.host.clone(),
        };
        let item = result.item.as_ref().map(|item| format!(" => (item={item})")).unwrap_or_default();
        lines.extend(self.diffs(result));
        let (colour, text) = match result.status {
            // The items of a loop have spoken for it.
            Status::Ok | Status::Changed if result.is_loop => (None, None),
            // Of a `debug` Ansible tells the whole as well.
            Status::Failed if result.is_loop && result.module != "debug" => (None, None),
            Status::Ok => (Some(AnsiColor::Green), Some(format!("ok: [{host}]{item}{}", self.shown(result)))),
            Status::Changed => (Some(AnsiColor::Yellow), Some(format!("changed: [{host}]{item}{}", self.shown(result)))),
            // Ansible leaves a blank where an item's result would stand.
            Status::Skipped if is_item => {
                (Some(AnsiColor::Cyan), Some(format!("skipping: [{}]{item} {}", result.host, self.shown(result).trim_start())))
            }
            Status::Skipped => (Some(AnsiColor::Cyan), Some(format!("skipping: [{}]{}", result.host, self.shown(result)))),
            Status::Failed | Status::Unreachable if is_item => {
                let item = result.item.as_deref().unwrap_or_default();
                (Some(AnsiColor::Red), Some(format!("failed: [{host}] (item={item}) => {}", self.dump(result))))
            }
            Status::Failed => (Some(AnsiColor::Red), Some(format!("fatal: [{host}]: FAILED! => {}", self.dump(result)))),
            Status::Unreachable => (Some(AnsiColor::Red), Some(format!("fatal: [{host}]: UNREACHABLE! => {}", self.dump(result)))),
        };
        if let Some(error) = result.error.as_ref().filter(|_| self.style.origins && text.is_some()) {
            lines.extend(self.paint(AnsiColor::Red, &format!("[ERROR]: {error}")).lines().map(|line| Line::Out(line.to_owned())));
            lines.push(Line::Out(String::new()));
        }
        if let (Some(colour), Some(text)) = (colour, text) {
            lines.push(Line::Out(self.paint(colour, &text)));
        }
        if let Some(diagnosis) = result.diagnosis.as_ref().filter(|_| !self.style.origins) {
            lines.extend(diagnosis.lines().map(|line| Line::Err(line.to_owned())));
        }
        if result.ignored {
            lines.push(Line::Out(self.paint(AnsiColor::Cyan, "...ignoring")));
        }
        let warnings = result.result.get("warnings").and_then(Json::as_array);
        lines.extend(
            warnings.into_iter().flatten().filter_map(Json::as_str).map(|text| Line::Err(self.paint(AnsiColor::Magenta, &warning(text)))),
        );
        lines
    }

    /// ` => {...}` where a result that did not fail is to be seen.
    fn shown(&self, result: &HostResult) -> String {
        if (result.verbose && result.status != Status::Skipped) || self.style.verbosity >= 1 {
            format!(" => {}", self.dump(result))
        } else {
            String::new()
        }
    }

    /// A result as Ansible dumps it: keys sorted, the engine's own keys left out; indented where the result is meant to be read.
    fn dump(&self, result: &HostResult) -> String {
        let mut map: BTreeMap<String, Json> = match &result.result {
            Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            other => BTreeMap::from([("msg".to_owned(), other.clone())]),
        };
        for key in ["failed", "diff", "warnings", "deprecations", "exception"] {
            map.remove(key);
        }
        if result.module == "debug" {
            // Only what was asked for, not what the engine adds to a result.
            match map.remove("msg") {
                Some(msg) => map = BTreeMap::from([("msg".to_owned(), msg)]),
                None => ["changed", "ansible_loop_var", "ansible_index_var"].into_iter().for_each(|key| drop(map.remove(key))),
            }
        }
        if result.status == Status::Skipped {
            map.remove("skipped");
        }
        let sorted = sorted(Json::Object(map.into_iter().collect()));
        if (result.verbose && result.status != Status::Skipped) || self.style.verbosity >= 3 { indented(&sorted) } else { compact(&sorted) }
    }

    fn diffs(&self, result: &HostResult) -> Vec<Line> {
        let diffs = match result.result.get("diff") {
            Some(Json::Array(diffs)) => &diffs[..],
            Some(one @ Json::Object(_)) => std::slice::from_ref(one),
            _ => return Vec::new(),
        };
        let text = |diff: &Json, key: &str| diff.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mut lines = Vec::new();
        for diff in diffs {
            let (before, after) = (text(diff, "before"), text(diff, "after"));
            let prepared = text(diff, "prepared");
            if !prepared.is_empty() {
                lines.extend(prepared.lines().map(|line| Line::Out(line.to_owned())));
                lines.push(Line::Out(String::new()));
            }
            if before == after {
                continue;
            }
            let header = |which: &str, name: String| if name.is_empty() { which.to_owned() } else { format!("{which}: {name}") };
            let compared = similar::TextDiff::from_lines(&before, &after);
            let mut unified = compared.unified_diff();
            let (old, new) = (header("before", text(diff, "before_header")), header("after", text(diff, "after_header")));
            let unified = unified.context_radius(self.style.diff_context).header(&old, &new).to_string();
            lines.extend(unified.lines().map(|line| {
                let colour = match line.chars().next() {
                    Some('-') => Some(AnsiColor::Red),
                    Some('+') => Some(AnsiColor::Green),
                    Some('@') => Some(AnsiColor::Cyan),
                    _ => None,
                };
                Line::Out(colour.map_or_else(|| line.to_owned(), |colour| self.paint(colour, line)))
            }));
            lines.push(Line::Out(String::new()));
        }
        lines
    }

    fn recap(&self, host: &str, stats: &Stats) -> String {
        let colour = if stats.failed > 0 || stats.unreachable > 0 {
            AnsiColor::Red
        } else if stats.changed > 0 {
            AnsiColor::Yellow
        } else {
            AnsiColor::Green
        };
        let field = |name: &str, count: u32, colour: AnsiColor| {
            let text = format!("{name}={count:<4}");
            if count == 0 { text } else { self.paint(colour, &text) }
        };
        let name = format!("{host:<26}");
        [
            format!("{} :", self.paint(colour, &name)),
            field("ok", stats.ok, AnsiColor::Green),
            field("changed", stats.changed, AnsiColor::Yellow),
            field("unreachable", stats.unreachable, AnsiColor::Red),
            field("failed", stats.failed, AnsiColor::Red),
            field("skipped", stats.skipped, AnsiColor::Cyan),
            field("rescued", stats.rescued, AnsiColor::Yellow),
            field("ignored", stats.ignored, AnsiColor::Blue),
        ]
        .join(" ")
    }

    fn paint(&self, colour: AnsiColor, text: &str) -> String {
        if !self.style.colour {
            return text.to_owned();
        }
        let style = anstyle::Style::new().fg_color(Some(colour.into()));
        format!("{style}{text}{style:#}")
    }
}

/// A warning of one line gets Ansible's mark; one that was drawn with a caret speaks for itself.
fn warning(text: &str) -> String {
    if text.contains('\n') { text.to_owned() } else { format!("[WARNING]: {}", text.strip_prefix("warning: ").unwrap_or(text)) }
}

fn sorted(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(Map::from_iter(pairs))
        }
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn indented(value: &Json) -> String {
    pretty(value, b"    ")
}

fn pretty(value: &Json, indent: &[u8]) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => value.to_string(),
    }
}

/// JSON on one line with Python's separators.
fn compact(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), compact(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn result(status: Status, module: &'static str, result: Json) -> HostResult {
        HostResult {
            host: "web1".into(),
            module,
            delegated_to: None,
            status,
            ignored: false,
            rescued: false,
            item: None,
            is_loop: false,
            result,
            verbose: module == "debug",
            diagnosis: None,
            error: None,
            elapsed: Duration::ZERO,
        }
    }

    fn text(events: &[Event]) -> String {
        let mut lines = Lines::new(Style::default());
        let shown = |line| match line {
            Line::Out(text) => text,
            Line::Err(text) => format!("! {text}"),
        };
        events.iter().flat_map(|event| lines.of(event)).map(shown).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn looks_like_ansible() {
        let started =
            Event::TaskStarted { task: 3, name: "r : Say".into(), kind: TaskKind::Task, place: "site.yml:3:5".into(), check_mode: false };
        let failed = HostResult {
            ignored: true,
            delegated_to: Some("db1".into()),
            ..result(Status::Failed, "command", json!({"msg": "non-zero return code", "changed": true, "failed": true, "rc": 3}))
        };
        let item = HostResult { item: Some("a".into()), ..result(Status::Skipped, "command", json!({"changed": false})) };
        let events = [
            Event::PlayStarted { name: "all".into(), hosts: vec!["web1".into()] },
            started,
            Event::HostFinished { task: 3, result: result(Status::Ok, "debug", json!({"msg": "hi", "changed": false, "failed": false})) },
            Event::HostFinished { task: 3, result: failed },
            Event::ItemFinished { task: 3, result: item },
            Event::Recap {
                hosts: [("web1".to_owned(), Stats { ok: 2, changed: 1, ..Stats::default() })].into_iter().collect(),
                custom: Vec::new(),
                elapsed: Duration::ZERO,
            },
        ];
        insta::assert_snapshot!(text(&events));
    }
}
