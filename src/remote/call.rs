//! A script on its way: what it does, where its output has got to, and how its caller gets the answer. Which may be written when, and to which
//! shell, is the [`super::queue`]'s affair.

use super::error::RunError;
use super::frame::{Finder, Found, random_id};
use super::lines::Lines;
use super::text::{self, Forgotten, Seen};
use super::upload::Prepared;
use super::{JobName, Meter, OnLine, Run};
use crate::sh::Output;
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What begins with this is no end.
pub(super) const WAITS: &str = "waits ";

pub(super) enum Work {
    Probe(text::Probe),
    Job(text::Job),
    /// A job that an earlier run started.
    Follow(String),
    /// A job whose end was seen: what it left is removed with the next words. Nobody waits for that.
    Forget(String),
}

pub(super) struct Call {
    pub work: Work,
    pub timeout: Option<Duration>,
    pub on_line: Option<OnLine>,
    pub on_wait: Option<OnLine>,
    pub reply: oneshot::Sender<Result<Output, RunError>>,
    pub out: Stream,
    pub err: Stream,
    pub answer: String,
    pub started: SystemTime,
    pub begun: Option<Instant>,
    /// The boot of the host in which it was first sent.
    pub boot: Option<String>,
    pub tries: u32,
    /// Over so many shells it was sent.
    pub n_sent: u32,
    /// Its place among all that was written to the shell; 0 if it went with the first words.
    pub order: u64,
    /// Its number among the questions to the host, if it has one yet.
    pub question: Option<u64>,
}

#[derive(Default)]
pub(super) struct Stream {
    /// None before it is sent and when it has ended.
    pub finder: Option<Finder>,
    pub data: Vec<u8>,
    pub lines: Lines,
}

impl Stream {
    /// Returns how much of the piece was used, and the answer if this stream has ended.
    pub fn feed(&mut self, piece: &[u8], on_line: Option<&(dyn Fn(&str) + Send + Sync)>) -> (usize, Option<String>) {
        let Stream { finder, data, lines } = self;
        let Some(looking) = finder else { return (0, None) };
        let found = looking.feed(piece, |bytes| {
            data.extend_from_slice(bytes);
            if let Some(show) = on_line {
                lines.feed(bytes, show);
            }
        });
        match found {
            Found::NotYet => (piece.len(), None),
            // Between its pieces a job's output says what the job waits for.
            Found::End { answer, used } if answer.starts_with(WAITS) => {
                looking.go_on();
                (used, Some(answer))
            }
            Found::End { answer, used } => {
                *finder = None;
                if let Some(show) = on_line {
                    lines.finish(show);
                }
                (used, Some(answer))
            }
        }
    }
}

impl Call {
    pub fn new(run: &Run, work: Work) -> (Call, oneshot::Receiver<Result<Output, RunError>>) {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            work,
            timeout: run.timeout,
            on_line: run.on_line.clone(),
            on_wait: run.on_wait.clone(),
            reply,
            out: Stream::default(),
            err: Stream::default(),
            answer: String::new(),
            started: SystemTime::now(),
            begun: None,
            boot: None,
            tries: 0,
            n_sent: 0,
            order: 0,
            question: run.question,
        };
        (call, answer)
    }

    pub fn is_probe(&self) -> bool {
        matches!(self.work, Work::Probe(_))
    }

    pub fn has_ended(&self) -> bool {
        self.out.finder.is_none() && self.err.finder.is_none()
    }

    pub fn begin(&mut self) {
        if self.begun.is_none() {
            self.started = SystemTime::now();
            self.begun = Some(Instant::now());
        }
    }

    /// The text to send, with markers of its own. A job goes on where it was seen last; a probe begins again.
    /// `ready`: the first number that a question to this shell can have.
    pub fn text(&mut self, meter: &Meter, ready: u64) -> Vec<u8> {
        self.question = Some(self.question.unwrap_or_else(|| meter.ask()).max(ready));
        meter.count(|counts| *(if self.is_probe() { &mut counts.probes } else { &mut counts.jobs }) += 1);
        let marker = random_id();
        self.n_sent += 1;
        self.out.finder = Some(Finder::new(&marker));
        self.err.finder = Some(Finder::new(&marker));
        let seen = Seen { out: self.out.data.len(), err: self.err.data.len() };
        let text = match &self.work {
            Work::Probe(probe) => {
                self.out.data.clear();
                self.err.data.clear();
                text::probe(probe, meter.reads_clock(), &marker)
            }
            Work::Job(job) => text::job(job, seen, &marker),
            Work::Follow(id) => text::follow(id, seen, &marker),
            Work::Forget(id) => text::forget_jobs(&[Forgotten { id: id.clone(), may_arrive_again: true }]),
        };
        if meter.reads_clock() { text::clocked(text) } else { text }
    }

    /// Whether what was sent before may still be on its way: over a connection that was lost, or from a controller that is gone.
    pub fn may_arrive_again(&self) -> bool {
        self.n_sent > 1 || matches!(&self.work, Work::Job(text::Job { name: JobName { sent: Some(_), .. }, .. }))
    }

    /// Answers the caller, and says what the host may forget now.
    pub fn settle(self, meter: &Meter) -> Option<Vec<u8>> {
        let (answer, took) = text::took(&self.answer);
        meter.answered(self.question.unwrap_or_default());
        meter.count(|counts| counts.on_host += took.unwrap_or_default());
        let forget = match &self.work {
            Work::Probe(text::Probe { input: Prepared::Spooled(path), .. }) => Some(text::forget_spool(path)),
            Work::Job(text::Job { stays: true, .. }) => None,
            Work::Job(text::Job { name, .. }) => {
                let job = Forgotten { id: name.id.clone(), may_arrive_again: self.may_arrive_again() };
                Some(text::forget_jobs(&[job]))
            }
            // Whoever started it may want its answer yet.
            Work::Probe(_) | Work::Follow(_) | Work::Forget(_) => None,
        };
        let mut words = answer.splitn(3, ' ');
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let (stdout, stderr) = (self.out.data, self.err.data);
        let result = match (words.next().unwrap_or_default(), words.next(), words.next()) {
            ("end", _, Some("late")) => Err(RunError::Timeout { after: self.timeout.unwrap_or(elapsed), stdout, stderr }),
            ("end", status, _) => {
                let status = status.and_then(|status| status.parse().ok());
                match status {
                    Some(status) => Ok(Output { status, stdout, stderr, started: self.started, elapsed }),
                    None => Err(RunError::Gone { why: "its exit status cannot be read", stdout, stderr }),
                }
            }
            ("started", ..) => Ok(Output { status: 0, stdout, stderr, started: self.started, elapsed }),
            ("fail", ..) => Err(RunError::Start(answer.trim_start_matches("fail").trim().to_owned())),
            ("gone", Some("rebooted"), _) => Err(RunError::Gone { why: "the host was rebooted meanwhile", stdout, stderr }),
            ("gone", Some("swept"), _) => {
                Err(RunError::Gone { why: "it was sent more than a day ago, and the host keeps nothing of it any more", stdout, stderr })
            }
            _ => Err(RunError::Gone { why: "the job is gone from the host", stdout, stderr }),
        };
        // The caller may have gone; that is its affair.
        let _ = self.reply.send(result);
        forget
    }

    /// Says what is waited for, in words that may be the host's.
    pub fn waits(&self, what: &str) {
        if let Some(tell) = &self.on_wait {
            tell(&what.chars().filter(|letter| !letter.is_control()).take(400).collect::<String>());
        }
    }

    pub fn refuse(self, error: RunError) {
        let _ = self.reply.send(Err(error));
    }
}
