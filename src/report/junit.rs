//! A run as a JUnit report, one file for each run, in the way of ansible-core's callback `junit`: a case for each task on each host.

use super::dump::Dump;
use super::{Event, HostResult, Sink, Status, TaskKind};
use indexmap::IndexMap;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event as Xml};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a report is to be like.
#[derive(Clone, Debug, Default)]
pub struct ReportWanted {
    /// Where it is written.
    pub dir: PathBuf,
    /// A class for each file, not for each task.
    pub class_is_file: bool,
    /// Tasks' places are told relative to this folder.
    pub relative_to: Option<PathBuf>,
    /// What stands for the way to files that are outside of it.
    pub instead_of_way: Option<String>,
    /// What changed something has failed.
    pub fail_on_change: bool,
    /// Failures count also where they are ignored.
    pub fail_on_ignore: bool,
    /// Leave out tasks that gather facts.
    pub without_setup: bool,
    /// Only tasks whose names begin so, and those that failed.
    pub prefix: String,
}

pub struct Junit {
    wanted: ReportWanted,
    playbook: String,
    play: String,
    /// By the number of their first beginning.
    tasks: IndexMap<usize, Task>,
    /// What each number stands for.
    first: HashMap<usize, usize>,
}

struct Task {
    name: String,
    place: String,
    play: String,
    is_setup: bool,
    began: Instant,
    hosts: IndexMap<String, Ended>,
}

struct Ended {
    took: Duration,
    how: How,
    /// Why it failed or was skipped.
    message: String,
    output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Ok,
    Skipped,
    Failed,
    /// Not by what was found, but by what was written, or because nothing could be found.
    Broken,
}

impl Junit {
    pub fn new(wanted: ReportWanted) -> Junit {
        Junit { wanted, playbook: String::new(), play: String::new(), tasks: IndexMap::new(), first: HashMap::new() }
    }

    fn end(&mut self, task: usize, host: &str, how: How, message: String, output: String) {
        let Some(task) = self.first.get(&task).and_then(|first| self.tasks.get_mut(first)) else { return };
        let is_failure = |how: How| matches!(how, How::Failed | How::Broken);
        let how = if is_failure(how) && task.name.contains("EXPECTED FAILURE") {
            How::Ok
        } else if task.name.contains("TOGGLE RESULT") {
            match how {
                How::Skipped => How::Skipped,
                How::Ok => How::Failed,
                How::Failed | How::Broken => How::Ok,
            }
        } else {
            how
        };
        if !task.name.starts_with(&self.wanted.prefix) && !is_failure(how) {
            return;
        }
        let ended = Ended { took: task.began.elapsed(), how, message, output };
        match task.hosts.get_mut(host) {
            // Files that one task included one after another.
            Some(before) if host == INCLUDES => {
                before.output.push('\n');
                before.output.push_str(&ended.output);
            }
            _ => drop(task.hosts.insert(host.to_owned(), ended)),
        }
    }

    fn finished(&mut self, task: usize, result: &HostResult) {
        let counts = !result.ignored || self.wanted.fail_on_ignore;
        let how = match result.status {
            Status::Changed if self.wanted.fail_on_change => How::Failed,
            Status::Ok | Status::Changed => How::Ok,
            Status::Skipped => How::Skipped,
            Status::Failed if counts && result.diagnosis.is_some() => How::Broken,
            Status::Failed if counts => How::Failed,
            Status::Unreachable if counts => How::Broken,
            Status::Failed | Status::Unreachable => How::Ok,
        };
        let text = |key: &str| result.result.get(key).and_then(Json::as_str).map(str::to_owned);
        let message = match how {
            How::Skipped => text("skip_reason").unwrap_or_else(|| "skipped".to_owned()),
            _ => text("msg").unwrap_or_else(|| format!("rc={}", result.result.get("rc").and_then(Json::as_i64).unwrap_or(0))),
        };
        let output = match (how, &result.diagnosis) {
            (How::Broken, Some(diagnosis)) => diagnosis.clone(),
            _ => Dump::default().result(result, Some(0)),
        };
        self.end(task, &result.host, how, message, output);
    }

    fn class(&self, place: &str) -> String {
        let mut class = match &self.wanted.relative_to {
            Some(dir) => relative(Path::new(place), dir),
            None => place.to_owned(),
        };
        if let Some(instead) = self.wanted.instead_of_way.as_ref().filter(|_| class.starts_with("../")) {
            class = format!("{instead}{}", class.rsplit('/').next().unwrap_or_default());
        }
        match class.rsplit_once(".yml:") {
            Some((file, _)) if self.wanted.class_is_file => file.to_owned(),
            _ => class,
        }
    }

    fn cases(&self) -> impl Iterator<Item = (&Task, &str, &Ended)> {
        let tasks = self.tasks.values().filter(|task| !(task.is_setup && self.wanted.without_setup));
        tasks.flat_map(|task| task.hosts.iter().map(move |(host, ended)| (task, &**host, ended)))
    }

    fn report(&self) -> std::io::Result<Vec<u8>> {
        let n = |how: How| self.cases().filter(|(.., ended)| ended.how == how).count().to_string();
        let (errors, failures, skipped, tests) = (n(How::Broken), n(How::Failed), n(How::Skipped), self.cases().count().to_string());
        let time = in_seconds(self.cases().map(|(.., ended)| ended.took).sum());
        let whole = [
            ("disabled", "0"),
            ("errors", &*errors),
            ("failures", &*failures),
            ("skipped", &*skipped),
            ("tests", &*tests),
            ("time", &*time),
        ];
        let mut xml = Writer::new_with_indent(Vec::new(), b'\t', 1);
        xml.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let suites = xml.create_element("testsuites").with_attributes(whole.into_iter().filter(|(name, _)| *name != "skipped"));
        suites.write_inner_content(|xml| {
            let playbook = writable(&self.playbook);
            let suite = xml.create_element("testsuite").with_attribute(("name", &*playbook)).with_attributes(whole);
            suite.write_inner_content(|xml| self.cases().try_for_each(|(task, host, ended)| self.write_case(xml, task, host, ended)))?;
            Ok(())
        })?;
        let mut report = xml.into_inner();
        report.push(b'\n');
        Ok(report)
    }

    fn write_case(&self, xml: &mut Writer<Vec<u8>>, task: &Task, host: &str, ended: &Ended) -> std::io::Result<()> {
        let (class, name) = (writable(&self.class(&task.place)), writable(&format!("[{host}] {}: {}", task.play, task.name)));
        let (message, output) = (writable(&ended.message), writable(&ended.output));
        let time = in_seconds(ended.took);
        let case = xml.create_element("testcase").with_attributes([("classname", &*class), ("name", &*name), ("time", &*time)]);
        case.write_inner_content(|xml| {
            let text = BytesText::new(&output);
            match ended.how {
                How::Ok => xml.create_element("system-out").write_text_content(text)?,
                How::Skipped => xml.create_element("skipped").write_text_content(BytesText::new(&message))?,
                How::Failed | How::Broken => {
                    let kind = if ended.how == How::Failed { "failure" } else { "error" };
                    xml.create_element(kind).with_attributes([("message", &*message), ("type", kind)]).write_text_content(text)?
                }
            };
            Ok(())
        })?;
        Ok(())
    }

    fn write(&self) -> std::io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        std::fs::create_dir_all(&self.wanted.dir)?;
        let path = self.wanted.dir.join(format!("{}-{}.{:06}.xml", self.playbook, now.as_secs(), now.subsec_micros()));
        std::fs::write(path, self.report()?)
    }
}

/// In the place of a host: what a task included.
const INCLUDES: &str = "include";

/// A text without what XML has no way to write.
fn writable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)).collect()
}

fn in_seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// The way from a folder to a file.
fn relative(file: &Path, dir: &Path) -> String {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let n_common = file.components().zip(dir.components()).take_while(|(one, other)| one == other).count();
    let up = dir.components().skip(n_common).map(|_| std::path::Component::ParentDir);
    up.chain(file.components().skip(n_common)).collect::<PathBuf>().to_string_lossy().into_owned()
}

impl Sink for Junit {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::PlaybookStarted { playbook, .. } => {
                self.playbook = Path::new(playbook).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            }
            Event::PlayStarted { name, .. } => name.trim().clone_into(&mut self.play),
            Event::TaskStarted { task, first, name, place, kind, action, .. } => {
                self.first.insert(*task, *first);
                let is_setup = *kind == TaskKind::GatherFacts || action.rsplit('.').next() == Some("setup");
                let (name, place, play) = (name.trim().to_owned(), place.clone(), self.play.clone());
                let new = || Task { name, place, play, is_setup, began: Instant::now(), hosts: IndexMap::new() };
                self.tasks.entry(*first).or_insert_with(new);
            }
            Event::HostFinished { task, result } => self.finished(*task, result),
            Event::Included { task, file, hosts, .. } => {
                self.end(*task, INCLUDES, How::Ok, String::new(), format!("{file}: [{}]", hosts.join(", ")));
            }
            Event::Recap { .. } => {
                if let Err(err) = self.write() {
                    anstream::eprintln!("[WARNING]: cannot write the JUnit report into `{}`: {err}", self.wanted.dir.display());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(wanted: ReportWanted) -> String {
        let mut junit = Junit::new(wanted);
        junit.tell(&Event::PlaybookStarted { playbook: "/srv/site.yml".into(), n_plays: 1 });
        junit.tell(&Event::PlayStarted { name: "web".into(), hosts: vec!["web1".into()], check_mode: false });
        let tasks = [
            ("Gathering Facts", Status::Ok, false, json!({"ansible_facts": {}})),
            ("CHECK the port", Status::Changed, false, json!({"stdout": "a < b\u{1b}[0m"})),
            ("CHECK nothing", Status::Skipped, false, json!({"skip_reason": "Conditional result was False"})),
            ("fails", Status::Failed, false, json!({"rc": 3})),
            ("fails, which is ignored", Status::Failed, true, json!({"msg": "no"})),
            ("EXPECTED FAILURE of it", Status::Failed, false, json!({"msg": "no"})),
            ("TOGGLE RESULT of it", Status::Ok, false, json!({"msg": "yes"})),
            ("is away", Status::Unreachable, false, json!({"msg": "no route"})),
        ];
        for (task, (name, status, ignored, result)) in tasks.into_iter().enumerate() {
            let kind = if task == 0 { TaskKind::GatherFacts } else { TaskKind::Task };
            let (place, action) = (format!("/srv/tasks/main.yml:{task}"), "command".to_owned());
            junit.tell(&Event::TaskStarted { task, first: task, name: name.into(), kind, role: None, action, place, check_mode: false });
            let result = HostResult {
                host: "web1".into(),
                module: "command".into(),
                delegated_to: None,
                status,
                ignored,
                rescued: false,
                before: false,
                item: None,
                is_loop: false,
                result,
                verbose: false,
                diagnosis: None,
                error: None,
                elapsed: Duration::ZERO,
            };
            junit.tell(&Event::HostFinished { task, result });
        }
        junit.tell(&Event::Included { task: 1, file: "/srv/a.yml".into(), hosts: vec!["web1".into()], item: None, before: false });
        junit.tell(&Event::Included { task: 1, file: "/srv/b.yml".into(), hosts: vec!["web1".into()], item: None, before: false });
        for task in junit.tasks.values_mut() {
            task.hosts.values_mut().for_each(|ended| ended.took = Duration::from_millis(1250));
        }
        String::from_utf8(junit.report().expect("a report")).expect("a text")
    }

    #[test]
    fn a_case_for_each_task_on_each_host() {
        insta::assert_snapshot!(told(ReportWanted::default()));
    }

    #[test]
    fn as_the_settings_say() {
        insta::assert_snapshot!(told(ReportWanted {
            class_is_file: true,
            relative_to: Some("/srv/roles".into()),
            instead_of_way: Some("outside:".into()),
            fail_on_change: true,
            fail_on_ignore: true,
            without_setup: true,
            prefix: "CHECK".into(),
            ..ReportWanted::default()
        }));
    }
}
