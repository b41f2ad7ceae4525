//! The live output: what is finished scrolls, below it a line per busy host and a bar for the play.

use super::lines::{Line, Lines};
use super::{Event, Sink};
use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// More busy hosts than this are counted, not listed: bars beyond the screen's end break scrolling.
const SHOWN_HOSTS: usize = 12;

pub struct Terminal {
    lines: Lines,
    bars: MultiProgress,
    play: Option<ProgressBar>,
    busy: IndexMap<(usize, String), Busy>,
    task_names: IndexMap<usize, String>,
    n_hosts: usize,
}

struct Busy {
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub fn new(verbosity: u8) -> Terminal {
        Terminal {
            lines: Lines::new(verbosity, true),
            bars: MultiProgress::new(),
            play: None,
            busy: IndexMap::new(),
            task_names: IndexMap::new(),
            n_hosts: 0,
        }
    }

    fn begin(&mut self, task: usize, host: &str) {
        let shown = self.busy.values().filter(|busy| busy.bar.is_some()).count();
        let bar = (shown < SHOWN_HOSTS).then(|| {
            let style = ProgressStyle::with_template("  {spinner:.cyan} {prefix:.bold} {elapsed:>4} {wide_msg:.dim}")
                .expect("the template is a constant");
            let bar = ProgressBar::new_spinner().with_style(style);
            let bar = match &self.play {
                Some(play) => self.bars.insert_before(play, bar),
                None => self.bars.add(bar),
            };
            bar.set_prefix(host.to_owned());
            bar.set_message(self.task_names.get(&task).cloned().unwrap_or_default());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        self.busy.insert((task, host.to_owned()), Busy { bar });
        self.tick();
    }

    fn end(&mut self, task: usize, host: &str) {
        if let Some(Busy { bar: Some(bar) }) = self.busy.shift_remove(&(task, host.to_owned())) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.tick();
    }

    fn tick(&self) {
        let Some(play) = &self.play else { return };
        let hidden = self.busy.values().filter(|busy| busy.bar.is_none()).count();
        let more = if hidden > 0 { format!(", {hidden} more than shown") } else { String::new() };
        play.set_message(format!("{} of {} hosts busy{more}", self.busy.len(), self.n_hosts));
    }

    fn start_play(&mut self, name: &str, n_hosts: usize) {
        self.end_play();
        self.n_hosts = n_hosts;
        let style = ProgressStyle::with_template("{bar:24.cyan/dim} task {pos} {prefix:.bold} {elapsed} {msg}")
            .expect("the template is a constant");
        let bar = self.bars.add(ProgressBar::new(0).with_style(style));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        self.play = Some(bar);
    }

    fn end_play(&mut self) {
        for (_, busy) in self.busy.drain(..) {
            if let Some(bar) = busy.bar {
                bar.finish_and_clear();
            }
        }
        if let Some(play) = self.play.take() {
            play.finish_and_clear();
        }
    }
}

impl Sink for Terminal {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task, name, .. } => {
                self.task_names.insert(*task, name.clone());
                if let Some(play) = &self.play {
                    play.inc(1);
                }
            }
            Event::HostStarted { task, host } => self.begin(*task, host),
            Event::HostOutput { task, host, line } => {
                if let Some(Busy { bar: Some(bar) }) = self.busy.get(&(*task, host.clone())) {
                    let name = self.task_names.get(task).map_or("", String::as_str);
                    bar.set_message(format!("{name}: {}", console::strip_ansi_codes(line)));
                }
            }
            Event::HostFinished { task, result } => self.end(*task, &result.host),
            Event::Included { task, hosts, .. } => hosts.iter().for_each(|host| self.end(*task, host)),
            Event::Recap { .. } => self.end_play(),
            _ => {}
        }
        for line in self.lines.of(event) {
            let (Line::Out(text) | Line::Err(text)) = line;
            // The terminal is gone only if the user closed it; the run goes on.
            let _ = self.bars.println(text);
        }
        if let Event::PlayStarted { name, hosts } = event {
            self.start_play(name, hosts.len());
        }
    }
}
