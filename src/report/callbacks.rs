//! What callbacks that are enabled add to the lines of a run: `timer`, `profile_tasks` and `profile_roles`, in the form of those of ansible.posix.
//! [`Accompanied`] puts their lines behind those of the main output, event by event.

use super::Event;
use super::lines::{Line, ToLines, banner};
use indexmap::IndexMap;
use jiff::Zoned;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// As wide as all that Ansible prints where there is no terminal.
const WIDTH: usize = 79;
/// How a point in time looks, unless something else is wanted.
pub const DATETIME_FORMAT: &str = "%A %d %B %Y  %H:%M:%S %z";

/// Lines, and behind those of each event what callbacks say of it.
pub struct Accompanied<L> {
    lines: L,
    callbacks: Vec<Box<dyn ToLines + Send>>,
    /// The run goes on: tasks that were done before do not begin again.
    resumes: bool,
    /// Tasks that may have been done before, by number.
    held: BTreeMap<usize, Event>,
}

impl<L> Accompanied<L> {
    pub fn new(lines: L, callbacks: Vec<Box<dyn ToLines + Send>>) -> Accompanied<L> {
        Accompanied { lines, callbacks, resumes: false, held: BTreeMap::new() }
    }

    fn callbacks(&mut self, event: &Event) -> Vec<Line> {
        self.callbacks.iter_mut().flat_map(|callback| callback.of(event)).collect()
    }
}

impl<L: ToLines> ToLines for Accompanied<L> {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        let mut lines = self.lines.of(event);
        match event {
            Event::Resuming { .. } => self.resumes = true,
            Event::TaskStarted { task, .. } if self.resumes => {
                self.held.insert(*task, event.clone());
                return lines;
            }
            Event::HostStarted { task, .. } => {
                if let Some(started) = self.held.remove(task) {
                    lines.extend(self.callbacks(&started));
                }
            }
            _ => {}
        }
        lines.extend(self.callbacks(event));
        lines
    }
}

/// A point in time: since the run began, and on the wall.
struct Now {
    since_start: Duration,
    wall: Zoned,
}

type Clock = Box<dyn FnMut() -> Now + Send>;

fn clock() -> Clock {
    let start = Instant::now();
    Box::new(move || Now { since_start: start.elapsed(), wall: Zoned::now() })
}

/// How long the run took.
pub struct Timer(Clock);

impl Default for Timer {
    fn default() -> Timer {
        Timer(clock())
    }
}

impl ToLines for Timer {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        let Event::Recap { .. } = event else { return Vec::new() };
        let seconds = (self.0)().since_start.as_secs();
        let (days, hours, minutes, seconds) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let mut lines = banner("PLAYBOOK RECAP");
        lines.push(Line::Out(format!("Playbook run took {days} days, {hours} hours, {minutes} minutes, {seconds} seconds")));
        lines.push(Line::Out("\r".to_owned()));
        lines
    }
}

/// Says at each task when it begins, how long the one before took, and how long the run.
struct Laps {
    clock: Clock,
    last: Duration,
    datetime_format: String,
}

impl Laps {
    fn new(datetime_format: String) -> Laps {
        Laps { clock: clock(), last: Duration::ZERO, datetime_format }
    }

    fn now(&mut self) -> (Duration, Line) {
        let now = (self.clock)();
        let (lap, whole) = (now.since_start.saturating_sub(self.last), now.since_start);
        self.last = now.since_start;
        let text = format!("{} ({})       {}", dated(&now.wall, &self.datetime_format), on_the_clock(lap), on_the_clock(whole));
        (now.since_start, Line::Out(format!("{text} {} ", "*".repeat(WIDTH.saturating_sub(text.chars().count() + 1).max(3)))))
    }

    /// What a summary begins with.
    fn summary(&mut self, title: &str) -> (Duration, Vec<Line>) {
        let (now, line) = self.now();
        let mut lines = banner(title);
        lines.extend([line, rule("=")]);
        (now, lines)
    }
}

fn dated(wall: &Zoned, format: &str) -> String {
    let micros = format!("{:06}", wall.subsec_nanosecond() / 1000);
    // As in C, what means nothing stays as it is.
    let config = Config::new().custom(PosixCustom::new()).lenient(true);
    BrokenDownTime::from(wall).to_string_with_config(&config, format.replace("%f", &micros)).unwrap_or_else(|_| wall.to_string())
}

fn on_the_clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, time.subsec_millis())
}

fn rule(of: &str) -> Line {
    Line::Out(format!("{} ", of.repeat(WIDTH)))
}

/// A name and its time, with dashes between.
fn row(name: &str, time: Duration) -> Line {
    let (name, time) = (format!("{name} "), format!(" {:.2}s", time.as_secs_f64()));
    Line::Out(format!("{name:-<width$}{time:->9}", width = WIDTH - 9))
}

/// How the tasks of a summary follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    LongestFirst,
    ShortestFirst,
    AsTheyBegan,
}

/// What `profile_tasks` is asked for.
#[derive(Clone, Debug)]
pub struct TasksWanted {
    pub order: Order,
    /// So many tasks are in the summary; a negative number leaves out that many at its end. `None`: all.
    pub limit: Option<i64>,
    pub summary_only: bool,
    pub datetime_format: String,
    /// Name each task's place.
    pub places: bool,
}

/// How long each task took, on all its hosts together.
pub struct ProfileTasks {
    laps: Laps,
    wanted: TasksWanted,
    /// By the number of their first beginning.
    tasks: IndexMap<usize, Row>,
    /// The task that is being done, and since when.
    current: Option<(usize, Duration)>,
}

struct Row {
    name: String,
    place: String,
    took: Duration,
}

impl ProfileTasks {
    pub fn new(wanted: TasksWanted) -> ProfileTasks {
        ProfileTasks { laps: Laps::new(wanted.datetime_format.clone()), wanted, tasks: IndexMap::new(), current: None }
    }

    fn end(&mut self, now: Duration) {
        if let Some((number, since)) = self.current.take()
            && let Some(row) = self.tasks.get_mut(&number)
        {
            row.took += now.saturating_sub(since);
        }
    }

    fn summary(&mut self) -> Vec<Line> {
        let (now, mut lines) = self.laps.summary("TASKS RECAP");
        self.end(now);
        let mut rows: Vec<&Row> = self.tasks.values().collect();
        match self.wanted.order {
            Order::LongestFirst => rows.sort_by_key(|row| Reverse(row.took)),
            Order::ShortestFirst => rows.sort_by_key(|row| row.took),
            Order::AsTheyBegan => {}
        }
        let n_shown = match self.wanted.limit {
            None => rows.len(),
            Some(limit) => match usize::try_from(limit) {
                Ok(limit) => limit,
                Err(_) => rows.len().saturating_sub(usize::try_from(limit.unsigned_abs()).unwrap_or(usize::MAX)),
            },
        };
        for Row { name, place, took } in rows.into_iter().take(n_shown) {
            lines.push(row(name, *took));
            if self.wanted.places {
                lines.push(Line::Out(format!("{:-<WIDTH$}", format!("{place} "))));
            }
        }
        lines
    }
}

impl ToLines for ProfileTasks {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::TaskStarted { first, name, place, .. } => {
                let (now, line) = self.laps.now();
                self.end(now);
                self.tasks.entry(*first).or_insert_with(|| Row { name: name.clone(), place: place.clone(), took: Duration::ZERO });
                self.current = Some((*first, now));
                if self.wanted.summary_only { Vec::new() } else { vec![line] }
            }
            Event::Recap { .. } => self.summary(),
            _ => Vec::new(),
        }
    }
}

/// How long each role took; of tasks that are of no role, each module.
pub struct ProfileRoles {
    laps: Laps,
    summary_only: bool,
    roles: IndexMap<String, Duration>,
    current: Option<(String, Duration)>,
}

impl ProfileRoles {
    pub fn new(summary_only: bool) -> ProfileRoles {
        ProfileRoles { laps: Laps::new(DATETIME_FORMAT.to_owned()), summary_only, roles: IndexMap::new(), current: None }
    }

    fn end(&mut self, now: Duration) {
        if let Some((role, since)) = self.current.take() {
            *self.roles.entry(role).or_default() += now.saturating_sub(since);
        }
    }

    fn summary(&mut self) -> Vec<Line> {
        let (now, mut lines) = self.laps.summary("ROLES RECAP");
        self.end(now);
        let mut rows: Vec<_> = self.roles.iter().collect();
        rows.sort_by_key(|(_, took)| Reverse(**took));
        lines.extend(rows.into_iter().map(|(role, took)| row(role, *took)));
        lines.extend([rule("~"), row("total", self.roles.values().sum())]);
        lines
    }
}

impl ToLines for ProfileRoles {
    fn of(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::TaskStarted { role, action, .. } => {
                let (now, line) = self.laps.now();
                self.end(now);
                self.current = Some((role.as_ref().unwrap_or(action).clone(), now));
                if self.summary_only { Vec::new() } else { vec![line] }
            }
            Event::Recap { .. } => self.summary(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TaskKind;

    /// A clock that goes on by so much each time it is looked at, and on the wall.
    fn steps(milliseconds: u64) -> Clock {
        let mut looks = 0;
        Box::new(move || {
            looks += 1;
            let since_start = Duration::from_millis(looks * milliseconds);
            let wall: Zoned = "2026-03-01T08:09:59.5+01:00[+01:00]".parse().expect("a time");
            Now { since_start, wall: wall + jiff::SignedDuration::try_from(since_start).expect("a short time") }
        })
    }

    fn started(task: usize, first: usize, name: &str, role: Option<&str>) -> Event {
        let (role, place) = (role.map(str::to_owned), format!("/srv/site.yml:{first}"));
        Event::TaskStarted {
            task,
            first,
            name: name.into(),
            kind: TaskKind::Task,
            role,
            action: "command".into(),
            place,
            check_mode: false,
        }
    }

    fn recap() -> Event {
        Event::Recap { hosts: IndexMap::new(), custom: Vec::new(), elapsed: Duration::ZERO }
    }

    fn told(callback: &mut dyn ToLines, events: &[Event]) -> String {
        let text = |line| match line {
            Line::Out(text) | Line::Err(text) => text.replace('\r', "[CR]") + "|",
        };
        events.iter().flat_map(|event| callback.of(event)).map(text).collect::<Vec<_>>().join("\n")
    }

    fn tasks(order: Order, limit: Option<i64>) -> ProfileTasks {
        let wanted =
            TasksWanted { order, limit, summary_only: limit.is_some(), datetime_format: "%d.%m. %c %f %Q".into(), places: limit.is_some() };
        let mut tasks = ProfileTasks::new(wanted);
        tasks.laps.clock = steps(1500);
        tasks
    }

    fn events() -> [Event; 5] {
        [
            started(0, 0, "Gathering Facts", None),
            started(1, 1, "web : install é", Some("web")),
            started(2, 2, &format!("web : {}", "long ".repeat(15)), Some("web")),
            started(3, 1, "web : install é", Some("web")),
            recap(),
        ]
    }

    #[test]
    fn what_is_begun_again_is_summed() {
        insta::assert_snapshot!(told(&mut tasks(Order::LongestFirst, None), &events()));
    }

    #[test]
    fn the_summary_has_as_many_as_are_wanted() {
        let with = |order, limit| told(&mut tasks(order, Some(limit)), &events());
        let n_places = |text: &str| text.matches("/srv/site.yml:").count();
        assert_eq!([0, 2, 9, -1, -9].map(|limit| n_places(&with(Order::AsTheyBegan, limit))), [0, 2, 3, 2, 0]);
        insta::assert_snapshot!(with(Order::ShortestFirst, -1));
    }

    #[test]
    fn roles_and_the_whole() {
        let mut roles = ProfileRoles::new(false);
        roles.laps.clock = steps(3_725_042);
        let mut timer = Timer(steps(93_784_000));
        let told = told(&mut roles, &events()) + "\n" + &told(&mut timer, &events());
        insta::assert_snapshot!(told);
    }

    #[test]
    fn tasks_that_were_done_before_the_run_went_on_are_not_told() {
        let mut lines = Accompanied::new(ProfileRoles::new(true), vec![Box::new(tasks(Order::AsTheyBegan, None))]);
        let begun = Event::HostStarted { task: 2, host: "web1".into() };
        let [first, second, third, ..] = events();
        let told = told(&mut lines, &[Event::Resuming { run: "r".into(), done: IndexMap::new() }, first, second, third, begun]);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
