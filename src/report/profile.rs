//! Where a run's time went: a table of the whole run, of its tasks and of its hosts, and all of it as JSON. Both are told with the recap.

use super::{Event, Sink};
use crate::cost::{Cost, Counts};
use comfy_table::{CellAlignment, Table, presets};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// So many rows of tasks, and of hosts, are shown; the others are summed.
const MOST_ROWS: usize = 15;
const LONGEST_NAME: usize = 36;

pub struct Profile<W> {
    /// Where the tables go.
    out: Option<W>,
    /// Where all of it goes as JSON. Only then is it kept what each task cost on each host.
    file: Option<PathBuf>,
    tasks: BTreeMap<usize, Task>,
    hosts: IndexMap<String, Host>,
    program: Program,
}

#[derive(Default)]
struct Task {
    name: String,
    place: String,
    n_hosts: usize,
    total: Cost,
    slowest: Option<(String, Duration)>,
    on_hosts: Vec<(String, Cost)>,
}

#[derive(Default)]
struct Host {
    /// All its turns. What they counted is of the hosts that they were delegated to.
    turns: Cost,
    /// All its connections.
    counts: Counts,
}

#[derive(Default)]
struct Program {
    wall: Duration,
    loading: Duration,
    cpu: Duration,
    peak_memory: Option<u64>,
}

impl<W: Write> Profile<W> {
    pub fn new(out: Option<W>, file: Option<PathBuf>) -> Profile<W> {
        Profile { out, file, tasks: BTreeMap::new(), hosts: IndexMap::new(), program: Program::default() }
    }

    fn count(&mut self, task: usize, host: &str, cost: Cost) {
        let row = self.tasks.entry(task).or_default();
        row.n_hosts += 1;
        row.total += cost;
        if row.slowest.as_ref().is_none_or(|(_, slowest)| *slowest < cost.turn()) {
            row.slowest = Some((host.to_owned(), cost.turn()));
        }
        if self.file.is_some() {
            row.on_hosts.push((host.to_owned(), cost));
        }
        self.hosts.entry(host.to_owned()).or_default().turns += cost;
    }

    fn tell_all(&mut self) {
        if let Some(mut out) = self.out.take() {
            // A reader that went away (`| head`) is no reason to stop the run.
            let _ = writeln!(out, "{}", self.tables()).and_then(|()| out.flush());
        }
        if let Some(path) = &self.file
            && let Err(err) = std::fs::write(path, format!("{:#}\n", self.json()))
        {
            anstream::eprintln!("[WARNING]: cannot write the profile to `{}`: {err}", path.display());
        }
    }

    /// What all turns and all connections cost together.
    fn total(&self) -> Cost {
        let mut total = self.hosts.values().fold(Cost::default(), |mut total, host| {
            total += host.turns;
            total
        });
        total.counts = Counts::default();
        self.hosts.values().for_each(|host| total.counts += host.counts);
        total
    }

    fn tables(&self) -> String {
        [self.summary(), self.task_table(), self.host_table()].join("\n\n")
    }

    fn summary(&self) -> String {
        let Program { wall, loading, cpu, peak_memory } = &self.program;
        let (total, turn) = (self.total(), self.total().turn());
        let Counts { connections, channels, round_trips, bytes_out, bytes_in, probes, jobs, ahead, ahead_used, .. } = total.counts;
        let share = |part: Duration| format!("{} s ({:.0} %)", in_seconds(part), 100.0 * part.as_secs_f64() / turn.as_secs_f64().max(1e-9));
        let memory = peak_memory.map(|bytes| format!(", {:.1} MB of memory at most", bytes as f64 / 1e6)).unwrap_or_default();
        format!(
            "PROFILE: {wall} s, {loading} s of them before the first play; {cpu} s of CPU{memory}\n\
             turns of hosts at tasks: {turn} s = controller {controller} + wire {wire} + remote {remote}\n\
             connections: {connections}, channels: {channels}, round trips: {round_trips}, kB out: {out}, kB in: {into}\n\
             probes: {probes}, of them ahead: {ahead} ({ahead_used} used, {discarded} thrown away), jobs: {jobs}",
            wall = in_seconds(*wall),
            loading = in_seconds(*loading),
            cpu = in_seconds(*cpu),
            turn = in_seconds(turn),
            controller = share(total.controller),
            wire = share(total.wire),
            remote = share(total.remote),
            out = in_kilobytes(bytes_out),
            into = in_kilobytes(bytes_in),
            discarded = ahead.saturating_sub(ahead_used),
        )
    }

    fn task_table(&self) -> String {
        let head = [
            "task",
            "hosts",
            "sum s",
            "controller",
            "wire",
            "remote",
            "slowest s",
            "slowest",
            "trips",
            "probes",
            "jobs",
            "kB out",
            "kB in",
        ];
        let mut tasks: Vec<&Task> = self.tasks.values().filter(|task| task.n_hosts > 0).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.total.turn()));
        let row = |name: String, n_hosts: usize, cost: &Cost, slowest: Option<&(String, Duration)>| {
            let counts = &cost.counts;
            let mut row = vec![name, n_hosts.to_string()];
            row.extend(in_parts(cost));
            row.push(slowest.map(|(_, time)| in_seconds(*time)).unwrap_or_default());
            row.push(slowest.map(|(host, _)| short(host)).unwrap_or_default());
            row.extend([counts.round_trips, counts.probes, counts.jobs].map(|count| count.to_string()));
            row.extend([counts.bytes_out, counts.bytes_in].map(in_kilobytes));
            row
        };
        let mut rows: Vec<Vec<String>> =
            shown(&tasks).iter().map(|task| row(short(&task.name), task.n_hosts, &task.total, task.slowest.as_ref())).collect();
        let others = &tasks[rows.len()..];
        if !others.is_empty() {
            let mut total = Cost::default();
            others.iter().for_each(|task| total += task.total);
            let slowest = others.iter().filter_map(|task| task.slowest.as_ref()).max_by_key(|(_, time)| *time);
            let n_turns = others.iter().map(|task| task.n_hosts).max().unwrap_or_default();
            rows.push(row(format!("{} other tasks", others.len()), n_turns, &total, slowest));
        }
        table(&head, &[0, 7], rows)
    }

    fn host_table(&self) -> String {
        let head = [
            "host",
            "sum s",
            "controller",
            "wire",
            "remote",
            "idle",
            "connect",
            "login",
            "shells",
            "close",
            "trips",
            "channels",
            "kB out",
            "kB in",
            "probes",
            "ahead",
            "used",
            "unused",
            "jobs",
        ];
        let mut hosts: Vec<(&String, &Host)> = self.hosts.iter().collect();
        hosts.sort_by_key(|(_, host)| std::cmp::Reverse(host.turns.turn()));
        let row = |name: String, turns: &Cost, idle: Duration, counts: &Counts| {
            let mut row = vec![name];
            row.extend(in_parts(turns));
            row.extend([idle, counts.connecting, counts.authenticating, counts.opening, counts.closing].map(in_seconds));
            row.extend([counts.round_trips, counts.channels].map(|count| count.to_string()));
            row.extend([counts.bytes_out, counts.bytes_in].map(in_kilobytes));
            let discarded = counts.ahead.saturating_sub(counts.ahead_used);
            row.extend([counts.probes, counts.ahead, counts.ahead_used, discarded, counts.jobs].map(|count| count.to_string()));
            row
        };
        let mut rows: Vec<Vec<String>> =
            shown(&hosts).iter().map(|(name, host)| row(short(name), &host.turns, self.idle(host), &host.counts)).collect();
        let others = &hosts[rows.len()..];
        if !others.is_empty() {
            let (mut turns, mut idle, mut counts) = (Cost::default(), Duration::ZERO, Counts::default());
            for (_, host) in others {
                turns += host.turns;
                idle += self.idle(host);
                counts += host.counts;
            }
            rows.push(row(format!("{} other hosts", others.len()), &turns, idle, &counts));
        }
        table(&head, &[0], rows)
    }

    /// While the plays went on and it was not the host's turn, nor was it let go.
    fn idle(&self, host: &Host) -> Duration {
        let Program { wall, loading, .. } = self.program;
        wall.saturating_sub(loading + host.turns.turn() + host.counts.closing)
    }

    fn json(&self) -> Json {
        let Program { wall, loading, cpu, peak_memory } = &self.program;
        let tasks = self.tasks.iter().filter(|(_, task)| task.n_hosts > 0).map(|(number, task)| {
            let on_hosts: serde_json::Map<_, _> = task.on_hosts.iter().map(|(host, cost)| (host.clone(), json!(cost))).collect();
            json!({
                "task": number, "name": task.name, "place": task.place, "total": task.total,
                "slowest": task.slowest.as_ref().map(|(host, time)| json!({ "host": host, "turn": time.as_secs_f64() })),
                "hosts": on_hosts,
            })
        });
        let hosts = self.hosts.iter().map(|(name, host)| {
            let turns = json!({
                "controller": host.turns.controller.as_secs_f64(), "wire": host.turns.wire.as_secs_f64(),
                "remote": host.turns.remote.as_secs_f64(), "idle": self.idle(host).as_secs_f64(),
            });
            (name.clone(), json!({ "turns": turns, "counts": host.counts }))
        });
        json!({
            "wall": wall.as_secs_f64(), "loading": loading.as_secs_f64(), "cpu": cpu.as_secs_f64(), "peak_memory": peak_memory,
            "total": self.total(),
            "tasks": tasks.collect::<Vec<_>>(),
            "hosts": hosts.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl<W: Write + Send> Sink for Profile<W> {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task, name, place, .. } => {
                let row = self.tasks.entry(*task).or_default();
                name.trim().clone_into(&mut row.name);
                place.clone_into(&mut row.place);
            }
            Event::TaskCost { task, host, cost } => self.count(*task, host, *cost),
            Event::HostCost { host, counts } => self.hosts.entry(host.clone()).or_default().counts = *counts,
            Event::RunCost { wall, loading, cpu, peak_memory } => {
                self.program = Program { wall: *wall, loading: *loading, cpu: *cpu, peak_memory: *peak_memory };
            }
            Event::Recap { .. } => self.tell_all(),
            _ => {}
        }
    }
}

/// The first of them, if there are too many. One more is no reason to sum.
fn shown<T>(all: &[T]) -> &[T] {
    if all.len() <= MOST_ROWS + 1 { all } else { &all[..MOST_ROWS] }
}

fn table(head: &[&str], words: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec()).add_rows(rows);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if words.contains(&at) { CellAlignment::Left } else { CellAlignment::Right });
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn in_parts(cost: &Cost) -> [String; 4] {
    [cost.turn(), cost.controller, cost.wire, cost.remote].map(in_seconds)
}

fn in_seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

fn in_kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1000.0)
}

fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        None => name.to_owned(),
        Some(_) => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TaskKind;

    fn cost(controller: u64, wire: u64, remote: u64) -> Cost {
        let ms = Duration::from_millis;
        let counts = Counts { round_trips: wire / 50, probes: 1, bytes_out: 700, bytes_in: 250, on_host: ms(remote), ..Counts::default() };
        Cost { controller: ms(controller), wire: ms(wire), remote: ms(remote), counts }
    }

    fn told(n_tasks: usize, n_hosts: usize, file: Option<PathBuf>) -> Profile<Vec<u8>> {
        let mut profile = Profile::new(None, file);
        for task in 0..n_tasks {
            let (name, place) = (format!("web : write file {task}"), format!("site.yaml:{}", task + 4));
            let (kind, action) = (TaskKind::Task, "copy".to_owned());
            profile.tell(&Event::TaskStarted { task, first: task, name, kind, role: Some("web".into()), action, place, check_mode: false });
            for host in 0..n_hosts {
                let cost = cost(1, if task == 0 { 350 } else { 50 }, 20 + task as u64 + 2 * host as u64);
                profile.tell(&Event::TaskCost { task, host: format!("web{host}"), cost });
            }
        }
        for host in 0..n_hosts {
            let counts = Counts {
                connections: 1,
                channels: 1,
                round_trips: 12,
                probes: 9,
                ahead: 6,
                ahead_used: 5,
                jobs: 2,
                bytes_out: 40_960,
                bytes_in: 8_192,
                connecting: Duration::from_millis(110),
                authenticating: Duration::from_millis(160),
                opening: Duration::from_millis(105),
                ..Counts::default()
            };
            profile.tell(&Event::HostCost { host: format!("web{host}"), counts });
        }
        let ms = Duration::from_millis;
        profile.tell(&Event::RunCost { wall: ms(4200), loading: ms(31), cpu: ms(95), peak_memory: Some(17_300_000) });
        profile
    }

    #[test]
    fn a_small_run() {
        insta::assert_snapshot!(told(3, 2, None).tables());
    }

    #[test]
    fn a_large_run_is_still_a_screen() {
        let tables = told(300, 200, None).tables();
        assert!(tables.lines().count() < 45, "{tables}");
        assert!(tables.contains("285 other tasks") && tables.contains("185 other hosts"), "{tables}");
    }

    #[test]
    fn as_json_every_task_is_there_on_every_host() {
        let profile = told(3, 2, Some("profile.json".into())).json();
        assert_eq!(profile["tasks"][2]["hosts"]["web1"]["remote"], 0.024);
        assert_eq!(profile["tasks"][2]["place"], "site.yaml:6");
        assert_eq!(profile["tasks"][0]["total"]["round_trips"], 14);
        assert_eq!(profile["tasks"][0]["slowest"], json!({ "host": "web1", "turn": 0.373 }));
        assert_eq!(profile["hosts"]["web0"]["counts"]["connecting"], 0.11);
        assert_eq!(profile["total"]["bytes_out"], 81_920);
        assert_eq!(profile["peak_memory"], 17_300_000);
    }
}
