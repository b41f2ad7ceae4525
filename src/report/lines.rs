//! Events as lines of text, in Ansible's form. The plain and the live output differ only in where the lines go.

use super::dump::{Dump, cleaned, indented, sorted};
use super::{Event, HostResult, Stats, Status, TaskKind, diff};
use anstyle::AnsiColor;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// How lines look.
#[derive(Clone, Debug)]
pub struct Style {
    pub dump: Dump,
    pub colour: bool,
    /// Errors with the places they came from, on standard output, as ansible-core prints them; else drawn with carets, on standard error.
    pub origins: bool,
    /// Tell of hosts on which nothing was to be done.
    pub show_ok: bool,
    /// Tell of hosts that a task passes over.
    pub show_skipped: bool,
    /// Tell of what was included.
    pub show_included: bool,
    /// Tell of failures on standard error.
    pub failed_on_stderr: bool,
    /// Say of plays and tasks that they change nothing.
    pub mark_check_mode: bool,
    /// The whole run is to change nothing.
    pub is_check: bool,
    /// Name the task's place when it fails.
    pub show_path_on_failure: bool,
    /// Tell when a host begins a task.
    pub show_starts: bool,
    /// Lines around a change in a diff.
    pub diff_context: usize,
    /// Tell what `set_stats` gathered.
    pub show_custom_stats: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            dump: Dump::default(),
            colour: false,
            origins: false,
            show_ok: true,
            show_skipped: true,
            show_included: true,
            failed_on_stderr: false,
            mark_check_mode: false,
            is_check: false,
            show_path_on_failure: false,
            show_starts: false,
            diff_context: 3,
            show_custom_stats: false,
        }
    }
}

/// Turns events into lines.
pub trait ToLines {
    fn of(&mut self, event: &Event) -> Vec<Line>;
}

impl<L: ToLines + ?Sized> ToLines for Box<L> {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        (**self).of(event)
    }
}

/// The lines of playbooks; remembers what a line depends on.
pub struct Lines {
    style: Style,
    /// Tasks by number.
    tasks: BTreeMap<usize, Header>,
    current: Option<usize>,
    /// Warnings that were told: each is, once.
    told: HashSet<String>,
    /// The run goes on: what was done before is passed over in silence.
    resumes: bool,
}

struct Header {
    title: String,
    name: String,
    place: String,
}

/// Where a line belongs.
pub enum Line {
    Out(String),
    Err(String),
}

impl ToLines for Lines {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::PlaybookStarted { playbook, n_plays } => self.playbook(playbook, *n_plays),
            Event::HostStarted { task, host } if self.style.show_starts => {
                let name = self.tasks.get(task).map_or("", |header| &header.name);
                let text = format!(" [started TASK: {name} on {host}]");
                vec![Line::Out(self.paint(AnsiColor::Green, &text))]
            }
            Event::HostStarted { task, .. } if self.resumes => self.header(*task),
            Event::HostStarted { .. } | Event::TaskCost { .. } | Event::HostCost { .. } | Event::RunCost { .. } => Vec::new(),
            Event::Resuming { run, done } => {
                self.resumes = true;
                let of_host = |(host, n_tasks): (&String, &usize)| format!("{host} {n_tasks}");
                let done = done.iter().map(of_host).collect::<Vec<_>>().join(", ");
                let done = if done.is_empty() { "nothing was done yet".to_owned() } else { format!("tasks that are done: {done}") };
                vec![Line::Out(self.paint(AnsiColor::Cyan, &format!("Going on with run {run}; {done}")))]
            }
            Event::Meta { task, text } if self.style.dump.verbosity >= 2 => {
                let mut lines = self.header(*task);
                lines.push(Line::Out(self.paint(AnsiColor::Blue, &format!("META: {text}"))));
                lines
            }
            Event::Meta { .. } => Vec::new(),
            Event::Broken { diagnosis, error } => {
                let text = if self.style.origins { format!("[ERROR]: {error}") } else { diagnosis.clone() };
                self.paint(AnsiColor::Red, &text).lines().map(|line| Line::Err(line.to_owned())).collect()
            }
            Event::HostOutput { host, line, .. } if self.style.dump.verbosity >= 1 && !self.style.origins => {
                vec![Line::Out(self.paint(AnsiColor::BrightBlack, &format!("  {host}: {line}")))]
            }
            Event::HostOutput { .. } | Event::HostSends { .. } | Event::HostReceives { .. } => Vec::new(),
            Event::HostWaits { host, what, .. } => vec![Line::Err(format!("{host} waits for {what}"))],
            Event::PlayStarted { name, check_mode, .. } => {
                let (name, mark) = (name.trim(), if *check_mode { self.mark() } else { "" });
                banner(&if name.is_empty() { format!("PLAY{mark}") } else { format!("PLAY [{name}]{mark}") })
            }
            Event::NoHostsMatched => vec![Line::Out(self.paint(AnsiColor::Cyan, "skipping: no hosts matched"))],
            Event::TaskStarted { task, name, kind, place, check_mode, .. } => {
                let (shown, mark) = (name.trim(), if *check_mode { self.mark() } else { "" });
                let title = match kind {
                    TaskKind::Task | TaskKind::GatherFacts => format!("TASK [{shown}]{mark}"),
                    TaskKind::Handler => format!("RUNNING HANDLER [{shown}]{mark}"),
                };
                self.tasks.insert(*task, Header { title, name: name.clone(), place: place.clone() });
                // Where hosts may be passed over in silence, a task is named with the first that is not.
                if self.style.show_ok && self.style.show_skipped && !self.resumes { self.header(*task) } else { Vec::new() }
            }
            Event::ItemFinished { task, result } => self.result(*task, result),
            Event::HostFinished { task, result } => self.result(*task, result),
            Event::Retrying { task, host, delegated_to, name, left, result, verbose } => {
                let host = delegated_to.as_ref().map_or_else(|| host.clone(), |delegate| format!("{host} -> {delegate}"));
                let mut text = format!("FAILED - RETRYING: [{host}]: {name} ({left} retries left).");
                if *verbose || self.style.dump.verbosity >= 3 {
                    text.push_str(&format!("Result was: {}", self.style.dump.value(result.clone(), None, true)));
                }
                self.aside(*task, &text)
            }
            Event::AsyncPolled { task, host, job } => {
                self.aside(*task, &format!("ASYNC POLL on {host}: jid={job} started=True finished=False"))
            }
            Event::AsyncEnded { task, host, job, failed } => {
                let how = if *failed { "FAILED" } else { "OK" };
                self.aside(*task, &format!("ASYNC {how} on {host}: jid={job}"))
            }
            Event::Included { before: true, .. } if self.style.dump.verbosity == 0 => Vec::new(),
            Event::Included { task, file, hosts, item, .. } => {
                let mut lines = self.header(*task);
                if self.style.show_included {
                    let item = item.as_ref().map(|item| format!(" => (item={item})")).unwrap_or_default();
                    lines.push(Line::Out(self.paint(AnsiColor::Cyan, &format!("included: {file} for {}{item}", hosts.join(", ")))));
                }
                lines
            }
            Event::Asked { question } => vec![Line::Out(question.clone())],
            Event::Interrupted { text } if self.style.origins => {
                vec![Line::Err(self.paint(AnsiColor::Red, &format!("[ERROR]: User interrupted execution: {text}")))]
            }
            Event::Interrupted { text } => vec![Line::Err(self.paint(AnsiColor::Red, text))],
            Event::NoMoreHosts => banner("NO MORE HOSTS LEFT"),
            Event::Warning { text } => self.warning(text).into_iter().collect(),
            Event::Recap { hosts, custom, .. } => {
                let mut lines = banner("PLAY RECAP");
                lines.extend(hosts.iter().map(|(host, stats)| Line::Out(self.recap(host, stats))));
                lines.push(Line::Out(String::new()));
                if self.style.show_custom_stats && !custom.is_empty() {
                    lines.extend(self.custom_stats(custom));
                }
                lines.extend(self.dry_run());
                lines
            }
        }
    }
}

impl Lines {
    pub fn new(style: Style) -> Lines {
        Lines { style, tasks: BTreeMap::new(), current: None, told: HashSet::new(), resumes: false }
    }

    fn playbook(&self, playbook: &str, n_plays: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.style.dump.verbosity >= 2 {
            let name = Path::new(playbook).file_name().map_or_else(|| playbook.into(), |name| name.to_string_lossy());
            lines.extend(banner(&format!("PLAYBOOK: {name}")));
        }
        lines.extend(self.dry_run());
        if self.style.dump.verbosity >= 2 {
            lines.push(Line::Out(self.paint(AnsiColor::Blue, &format!("{n_plays} plays in {playbook}"))));
        }
        lines
    }

    fn dry_run(&self) -> Vec<Line> {
        if self.style.is_check && self.style.mark_check_mode { banner("DRY RUN") } else { Vec::new() }
    }

    fn mark(&self) -> &'static str {
        if self.style.mark_check_mode { " [CHECK MODE]" } else { "" }
    }

    fn warning(&mut self, text: &str) -> Option<Line> {
        self.told.insert(text.to_owned()).then(|| Line::Err(self.paint(AnsiColor::BrightMagenta, &warning(text))))
    }

    fn custom_stats(&self, custom: &[(Option<String>, Json)]) -> Vec<Line> {
        let mut lines = banner("CUSTOM STATS:");
        for (host, stats) in custom {
            let stats = indented(&sorted(stats.clone()), 1).replace('\n', "");
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
        let Some(header) = self.tasks.get(&task) else { return Vec::new() };
        let mut lines = banner(&header.title);
        if self.style.dump.verbosity >= 2 {
            lines.push(self.path(header));
        }
        lines
    }

    fn path(&self, header: &Header) -> Line {
        Line::Out(self.paint(AnsiColor::BrightBlack, &format!("task path: {}", header.place)))
    }

    /// What is said of a task before its result.
    fn aside(&mut self, task: usize, text: &str) -> Vec<Line> {
        let mut lines = self.header(task);
        lines.push(Line::Out(self.paint(AnsiColor::BrightBlack, text)));
        lines
    }

    fn result(&mut self, task: usize, result: &HostResult) -> Vec<Line> {
        let is_item = result.item.is_some();
        let is_hidden = match result.status {
            Status::Ok => !self.style.show_ok,
            Status::Skipped => !self.style.show_skipped,
            _ => false,
        };
        // What was done before was told before.
        if is_hidden || (result.before && self.style.dump.verbosity == 0) {
            return Vec::new();
        }
        let mut lines = self.header(task);
        let result = &cleaned(result);
        let host = match &result.delegated_to {
            Some(delegate) => format!("{} -> {delegate}", result.host),
            None => result.host.clone(),
        };
        let item = result.item.as_ref().map(|item| format!(" => (item={item})")).unwrap_or_default();
        if result.status == Status::Changed {
            lines.extend(diff::lines(result, self.style.diff_context, self.style.colour));
        }
        let (colour, text) = match result.status {
            // The items of a loop have spoken for it.
            Status::Ok | Status::Changed if result.is_loop => (None, None),
            // Of a `debug` Ansible tells the whole as well.
            Status::Failed if result.is_loop && result.module != "debug" => (None, None),
            Status::Ok => (Some(AnsiColor::Green), Some(format!("ok: [{host}]{item}{}", self.shown(result)))),
            Status::Changed => (Some(AnsiColor::Yellow), Some(format!("changed: [{host}]{item}{}", self.shown(result)))),
            // Ansible leaves a blank where an item's result would stand.
            Status::Skipped if is_item => {
                (Some(AnsiColor::Cyan), Some(format!("skipping: [{}]{item} {}", result.host, self.shown(result))))
            }
            Status::Skipped => (Some(AnsiColor::Cyan), Some(format!("skipping: [{}]{}", result.host, self.shown(result)))),
            Status::Failed | Status::Unreachable if is_item => {
                let item = result.item.as_deref().unwrap_or_default();
                (Some(AnsiColor::Red), Some(format!("failed: [{host}] (item={item}) => {}", self.dump(result))))
            }
            Status::Failed => (Some(AnsiColor::Red), Some(format!("fatal: [{host}]: FAILED! => {}", self.dump(result)))),
            Status::Unreachable => (Some(AnsiColor::BrightRed), Some(format!("fatal: [{host}]: UNREACHABLE! => {}", self.dump(result)))),
        };
        let failed = |text: String| if self.style.failed_on_stderr { Line::Err(text) } else { Line::Out(text) };
        if let Some(error) = result.error.as_ref().filter(|_| self.style.origins && text.is_some() && !result.is_loop) {
            lines.extend(self.paint(AnsiColor::Red, &format!("[ERROR]: {error}")).lines().map(|line| failed(line.to_owned())));
            lines.push(failed(String::new()));
        }
        if let (Some(colour), Some(text)) = (colour, text) {
            let text = self.paint(colour, text.strip_suffix('\n').unwrap_or(&text));
            let is_failure = matches!(result.status, Status::Failed | Status::Unreachable);
            if result.status == Status::Failed
                && !is_item
                && self.style.show_path_on_failure
                && self.style.dump.verbosity < 2
                && let Some(header) = self.tasks.get(&task)
            {
                lines.push(self.path(header));
            }
            lines.push(if is_failure { failed(text) } else { Line::Out(text) });
        }
        if let Some(diagnosis) = result.diagnosis.as_ref().filter(|_| !self.style.origins) {
            lines.extend(diagnosis.lines().map(|line| Line::Err(line.to_owned())));
        }
        if result.ignored {
            lines.push(Line::Out(self.paint(AnsiColor::Cyan, "...ignoring")));
        }
        let warnings = result.result.get("warnings").and_then(Json::as_array);
        for text in warnings.into_iter().flatten().filter_map(Json::as_str) {
            lines.extend(self.warning(text));
        }
        lines
    }

    /// ` => {...}` where a result that did not fail is to be seen.
    fn shown(&self, result: &HostResult) -> String {
        if (result.verbose && result.status != Status::Skipped) || self.style.dump.verbosity >= 1 {
            format!(" => {}", self.dump(result))
        } else {
            String::new()
        }
    }

    fn dump(&self, result: &HostResult) -> String {
        self.style.dump.result(result, None)
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
        let width = if self.style.colour { 37 } else { 26 };
        [
            format!("{:<width$} :", self.paint(colour, host)),
            field("ok", stats.ok, AnsiColor::Green),
            field("changed", stats.changed, AnsiColor::Yellow),
            field("unreachable", stats.unreachable, AnsiColor::BrightRed),
            field("failed", stats.failed, AnsiColor::Red),
            field("skipped", stats.skipped, AnsiColor::Cyan),
            field("rescued", stats.rescued, AnsiColor::Green),
            field("ignored", stats.ignored, AnsiColor::BrightMagenta),
        ]
        .join(" ")
    }

    fn paint(&self, colour: AnsiColor, text: &str) -> String {
        paint(self.style.colour, colour, text)
    }
}

/// A headline, with a blank line before it.
pub fn banner(title: &str) -> Vec<Line> {
    let stars = 79_usize.saturating_sub(console::measure_text_width(title)).max(3);
    vec![Line::Out(String::new()), Line::Out(format!("{title} {}", "*".repeat(stars)))]
}

/// A text in a colour, line by line. The codes are those of Ansible, which tools look for.
pub fn paint(is_coloured: bool, colour: AnsiColor, text: &str) -> String {
    let code = match colour {
        AnsiColor::BrightBlack => "1;30",
        AnsiColor::Red => "0;31",
        AnsiColor::BrightRed => "1;31",
        AnsiColor::Green => "0;32",
        AnsiColor::Yellow => "0;33",
        AnsiColor::Blue => "0;34",
        AnsiColor::BrightMagenta => "1;35",
        AnsiColor::Cyan => "0;36",
        _ => "0",
    };
    match is_coloured {
        true => text.split('\n').map(|line| format!("\u{1b}[{code}m{line}\u{1b}[0m")).collect::<Vec<_>>().join("\n"),
        false => text.to_owned(),
    }
}

/// A warning of one line gets Ansible's mark; one that was drawn with a caret speaks for itself.
pub fn warning(text: &str) -> String {
    if text.starts_with("warning: ") && text.contains('\n') {
        return text.to_owned();
    }
    format!("[WARNING]: {}", text.strip_prefix("warning: ").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn result(status: Status, module: &'static str, result: Json) -> HostResult {
        HostResult {
            host: "web1".into(),
            module: module.into(),
            delegated_to: None,
            status,
            ignored: false,
            rescued: false,
            before: false,
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
        let started = Event::TaskStarted {
            task: 3,
            first: 3,
            name: "r : Say".into(),
            kind: TaskKind::Task,
            role: Some("r".into()),
            action: "debug".into(),
            place: "site.yml:3:5".into(),
            check_mode: false,
        };
        let failed = HostResult {
            ignored: true,
            delegated_to: Some("db1".into()),
            ..result(Status::Failed, "command", json!({"msg": "non-zero return code", "changed": true, "failed": true, "rc": 3}))
        };
        let item = HostResult { item: Some("a".into()), ..result(Status::Skipped, "command", json!({"changed": false})) };
        let events = [
            Event::PlayStarted { name: "all".into(), hosts: vec!["web1".into()], check_mode: false },
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
