//! The live output: what is finished scrolls, below it a line per busy host and a bar for the play.

use super::lines::{Line, ToLines};
use super::{Event, Sink};
use crate::python::bytes::shown;
use indexmap::IndexMap;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// More busy hosts than this are counted, not listed.
const SHOWN_HOSTS: usize = 12;

pub struct Terminal {
    lines: Box<dyn ToLines + Send>,
    bars: MultiProgress,
    play: Option<PlayBar>,
    /// Who does which task, in the order in which they began.
    busy: IndexMap<(usize, String), Busy>,
    task_names: HashMap<usize, String>,
}

struct PlayBar {
    bar: ProgressBar,
    n_hosts: usize,
    n_tasks: usize,
}

struct Busy {
    since: Instant,
    message: String,
    /// None while there is no room.
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub fn new(lines: Box<dyn ToLines + Send>) -> Terminal {
        Terminal { lines, bars: MultiProgress::new(), play: None, busy: IndexMap::new(), task_names: HashMap::new() }
    }

    fn begin(&mut self, task: usize, host: &str) {
        let message = self.task_names.get(&task).cloned().unwrap_or_default();
        self.busy.insert((task, host.to_owned()), Busy { since: Instant::now(), message, bar: None });
        self.show();
    }

    fn say(&mut self, task: usize, host: &str, words: &str) {
        let Some(busy) = self.busy.get_mut(&(task, host.to_owned())) else { return };
        let name = self.task_names.get(&task).map_or("", String::as_str);
        busy.message = format!("{name}: {}", console::strip_ansi_codes(words));
        if let Some(bar) = &busy.bar {
            bar.set_message(busy.message.clone());
        }
    }

    fn end(&mut self, task: usize, host: &str) {
        if let Some(Busy { bar: Some(bar), .. }) = self.busy.shift_remove(&(task, host.to_owned())) {
            self.bars.remove(&bar);
        }
        self.show();
    }

    /// Gives lines to those who are busy longest, as far as there is room, and brings the play's bar up to date.
    fn show(&mut self) {
        let Some(play) = &self.play else { return };
        let mut shown = self.busy.values().filter(|busy| busy.bar.is_some()).count();
        // Bars beyond the screen's end break scrolling.
        let room = usize::from(console::Term::stderr().size().0 / 2).clamp(1, SHOWN_HOSTS);
        for ((_, host), busy) in self.busy.iter_mut().filter(|(_, busy)| busy.bar.is_none()) {
            if shown >= room {
                break;
            }
            let style = ProgressStyle::with_template("  {spinner:.cyan} {prefix:.bold} {elapsed:>4} {wide_msg:.dim}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("the template is a constant")).with_elapsed(busy.since.elapsed());
            let bar = self.bars.insert_before(&play.bar, bar.with_prefix(host.clone()).with_message(busy.message.clone()));
            bar.enable_steady_tick(Duration::from_millis(120));
            busy.bar = Some(bar);
            shown += 1;
        }
        let hidden = self.busy.len() - shown;
        let more = if hidden > 0 { format!(", {hidden} of them not shown") } else { String::new() };
        play.bar.set_position(play.n_hosts.saturating_sub(self.busy.len()) as u64);
        play.bar.set_message(format!("task {}, {} of {} hosts busy{more}", play.n_tasks, self.busy.len(), play.n_hosts));
    }

    fn start_play(&mut self, name: &str, n_hosts: usize) {
        self.end_play();
        let style = ProgressStyle::with_template("{bar:20.cyan/dim} {prefix:.bold} {elapsed} {wide_msg}");
        let bar = ProgressBar::new(n_hosts as u64).with_style(style.expect("the template is a constant")).with_prefix(name.to_owned());
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(500));
        self.play = Some(PlayBar { bar, n_hosts, n_tasks: 0 });
    }

    fn end_play(&mut self) {
        let bars = self.busy.drain(..).filter_map(|(_, busy)| busy.bar).chain(self.play.take().map(|play| play.bar));
        bars.for_each(|bar| self.bars.remove(&bar));
    }
}

impl Sink for Terminal {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task, name, .. } => {
                self.task_names.insert(*task, name.clone());
                if let Some(play) = &mut self.play {
                    play.n_tasks += 1;
                }
            }
            Event::HostStarted { task, host } => self.begin(*task, host),
            Event::HostOutput { task, host, line } => self.say(*task, host, line),
            Event::HostSends { task, host, sent, total } => {
                self.say(*task, host, &format!("{} of {} sent", HumanBytes(*sent), HumanBytes(*total)));
            }
            Event::HostReceives { task, host, received, total } => {
                self.say(*task, host, &format!("{} of {} received", HumanBytes(*received), HumanBytes(*total)));
            }
            Event::HostWaits { task, host, what } => self.say(*task, host, &format!("waits for {what}")),
            Event::HostFinished { task, result } => self.end(*task, &result.host),
            Event::Included { task, hosts, .. } => hosts.iter().for_each(|host| self.end(*task, host)),
            Event::PlayStarted { .. } | Event::Recap { .. } => self.end_play(),
            _ => {}
        }
        for line in self.lines.of(event) {
            let (Line::Out(text) | Line::Err(text)) = line;
            // The terminal is gone only if the user closed it; the run goes on.
            let _ = self.bars.println(shown(&text).as_ref());
        }
        if let Event::PlayStarted { name, hosts, .. } = event
            && !hosts.is_empty()
        {
            self.start_play(name, hosts.len());
        }
    }
}
