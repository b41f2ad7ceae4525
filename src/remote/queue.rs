//! Scripts on their way through one user's shell. One task owns the shell: it writes what may be written, in the order of the calls, hands
//! each piece of output to the script it belongs to, and after a lost connection opens the shell again and goes on where it was.
//!
//! Probes are written without waiting for those before them. A job is written when the shell has nothing else to do, and nothing follows
//! until it ended. Who drops a running call gets the shell replaced: what was running there must not hold up the next.

use super::error::RunError;
use super::frame::{Finder, Found, random_id};
use super::lines::Lines;
use super::shell::{self, Shell};
use super::text::{self, Forgotten, Seen};
use super::upload::Prepared;
use super::wire::{Piece, Wire};
use super::{Become, JobName, Meter, OnLine, Run, lock};
use crate::sh::Output;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A script may write so much to each of its streams.
const MOST_OUTPUT: usize = 64 << 20;
/// A script that ends its shell so many times is not tried again.
const TRIES: u32 = 3;

pub(super) enum Work {
    Probe(text::Probe),
    Job(text::Job),
    /// A job that an earlier run started.
    Follow(String),
    /// A job whose end was seen: what it left is removed with the next words. Nobody waits for that.
    Forget(String),
}

pub(super) struct Call {
    work: Work,
    timeout: Option<Duration>,
    on_line: Option<OnLine>,
    reply: oneshot::Sender<Result<Output, RunError>>,
    out: Stream,
    err: Stream,
    answer: String,
    started: SystemTime,
    begun: Option<Instant>,
    /// The boot of the host in which it was first sent.
    boot: Option<String>,
    tries: u32,
    /// Over so many shells it was sent.
    n_sent: u32,
    /// Its place among all that was written to the shell; 0 if it went with the first words.
    order: u64,
    /// Its number among the questions to the host.
    question: u64,
}

#[derive(Default)]
struct Stream {
    /// None before it is sent and when it has ended.
    finder: Option<Finder>,
    data: Vec<u8>,
    lines: Lines,
}

impl Stream {
    /// Returns how much of the piece was used, and the answer if this stream has ended.
    fn feed(&mut self, piece: &[u8], on_line: Option<&(dyn Fn(&str) + Send + Sync)>) -> (usize, Option<String>) {
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
            question: 0,
        };
        (call, answer)
    }

    fn is_probe(&self) -> bool {
        matches!(self.work, Work::Probe(_))
    }

    fn has_ended(&self) -> bool {
        self.out.finder.is_none() && self.err.finder.is_none()
    }

    fn begin(&mut self) {
        if self.begun.is_none() {
            self.started = SystemTime::now();
            self.begun = Some(Instant::now());
        }
    }

    /// The text to send, with markers of its own. A job goes on where it was seen last; a probe begins again.
    fn text(&mut self, meter: &Meter) -> Vec<u8> {
        self.question = meter.ask();
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
    fn may_arrive_again(&self) -> bool {
        self.n_sent > 1 || matches!(&self.work, Work::Job(text::Job { name: JobName { sent: Some(_), .. }, .. }))
    }

    /// Answers the caller, and says what the host may forget now.
    fn settle(self, meter: &Meter) -> Option<Vec<u8>> {
        let (answer, took) = text::took(&self.answer);
        meter.answered(self.question);
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

    fn refuse(self, error: RunError) {
        let _ = self.reply.send(Err(error));
    }
}

/// What is to be ended on the host, from another shell.
enum Kill {
    Group(String),
    Job(String),
}

/// What a shell is told to do beside the calls: end something, remove what a job left. Nothing answers it. It is known to be done when an
/// answer to something that was written later has come, or the shell has come to its end; if the connection is lost before, it is told again.
struct Errand {
    text: Vec<u8>,
    order: u64,
}

struct Open {
    writer: mpsc::UnboundedSender<Vec<u8>>,
    output: mpsc::Receiver<Piece>,
    group: String,
    boot: String,
    exited: bool,
}

impl Open {
    fn new(shell: Shell) -> Open {
        let Shell { stdin, output, group, boot, .. } = shell;
        let (writer, mut texts) = mpsc::unbounded_channel::<Vec<u8>>();
        // A task of its own: while the shell does not read because we do not, we have to be able to read.
        tokio::spawn(async move {
            let Ok(Ok(mut stdin)) = stdin.await else { return };
            while let Some(text) = texts.recv().await {
                if stdin.write_all(&text).await.is_err() || stdin.flush().await.is_err() {
                    return;
                }
            }
            let _ = stdin.shutdown().await;
        });
        Open { writer, output, group, boot, exited: false }
    }

    /// A failure shows in the output: it ends.
    fn write(&self, text: Vec<u8>) {
        let _ = self.writer.send(text);
    }
}

struct Queue {
    wire: Arc<Wire>,
    r#become: Option<Become>,
    incoming: mpsc::UnboundedReceiver<Call>,
    /// The first `sent` of them are on their way.
    calls: VecDeque<Call>,
    sent: usize,
    shell: Option<Open>,
    kills: Vec<Kill>,
    /// Those that may not have been done yet.
    errands: Vec<Errand>,
    /// Counts what is written.
    order: u64,
    /// The boot of the host when a shell was opened last.
    boot: Option<String>,
    /// Jobs of which the host may forget what they left.
    forgets: Forgets,
}

#[derive(Default)]
struct Forgets {
    jobs: Vec<Forgotten>,
    /// Those that stay until they are let go of, and may still arrive then.
    late: HashSet<String>,
}

impl Forgets {
    fn add(&mut self, id: String) {
        let may_arrive_again = self.late.remove(&id);
        self.jobs.push(Forgotten { id, may_arrive_again });
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let jobs = std::mem::take(&mut self.jobs);
        (!jobs.is_empty()).then(|| text::forget_jobs(&jobs))
    }
}

enum Event {
    Incoming(Option<Box<Call>>),
    Piece(Option<Piece>),
    Late,
    Dropped,
}

pub(super) fn start(wire: Arc<Wire>, r#become: Option<Become>) -> (mpsc::UnboundedSender<Call>, tokio::task::JoinHandle<()>) {
    let (sender, incoming) = mpsc::unbounded_channel();
    let queue = Queue {
        wire,
        r#become,
        incoming,
        calls: VecDeque::new(),
        sent: 0,
        shell: None,
        kills: Vec::new(),
        errands: Vec::new(),
        order: 0,
        boot: None,
        forgets: Forgets::default(),
    };
    (sender, tokio::spawn(queue.serve()))
}

impl Queue {
    async fn serve(mut self) {
        let mut is_open = true;
        while is_open || !self.calls.is_empty() {
            while let Ok(call) = self.incoming.try_recv() {
                self.take(call);
            }
            if !(self.calls.is_empty() && self.kills.is_empty()) {
                if !self.ensure_shell().await {
                    continue;
                }
                self.send();
            }
            match self.next_event(is_open).await {
                Event::Incoming(Some(call)) => self.take(*call),
                Event::Incoming(None) => is_open = false,
                Event::Piece(Some(piece)) => self.piece(piece),
                Event::Piece(None) => self.shell_ended(),
                Event::Late => self.stop_first(true),
                Event::Dropped => self.stop_first(false),
            }
        }
        self.end_shell().await;
    }

    fn take(&mut self, call: Call) {
        match call.work {
            Work::Forget(id) => self.forgets.add(id),
            _ => self.calls.push_back(call),
        }
    }

    /// Whether there is a shell now; if there cannot be one, all calls have been told why.
    async fn ensure_shell(&mut self) -> bool {
        if self.shell.is_some() {
            return true;
        }
        let Queue { wire, r#become, incoming, calls, sent, forgets, .. } = self;
        let calls_here = Mutex::new(&mut *calls);
        let first = || {
            let mut calls = lock(&calls_here);
            while let Ok(call) = incoming.try_recv() {
                match call.work {
                    Work::Forget(id) => forgets.add(id),
                    _ => calls.push_back(call),
                }
            }
            let (text, n) = first_probes(&mut calls, &wire.meter);
            *sent = n;
            text
        };
        let opened = tokio::select! {
            opened = shell::open(wire, r#become, first) => Some(opened),
            () = all_dropped(&calls_here), if !lock(&calls_here).is_empty() => None,
        };
        match opened {
            Some(Ok(mut shell)) => {
                let early = std::mem::take(&mut shell.early);
                let shell = Open::new(shell);
                // What was to be ended or removed is gone with the boot that it was of.
                if self.boot.replace(shell.boot.clone()).is_some_and(|boot| boot != shell.boot) {
                    self.errands.clear();
                    self.kills.clear();
                }
                self.shell = Some(shell);
                for errand in std::mem::take(&mut self.errands) {
                    self.errand(errand.text);
                }
                for kill in std::mem::take(&mut self.kills) {
                    self.errand(match kill {
                        Kill::Group(group) => format!("nw_kill {group}\n").into_bytes(),
                        Kill::Job(id) => format!("nw_kill_job {id}\n").into_bytes(),
                    });
                }
                if self.sent > 0 {
                    self.calls[0].begin();
                }
                for piece in early {
                    self.piece(piece);
                }
                return true;
            }
            Some(Err(error)) => {
                for call in self.calls.drain(..) {
                    call.refuse(error.clone());
                }
            }
            None => self.calls.clear(),
        }
        self.sent = 0;
        self.kills.clear();
        false
    }

    /// Writes whatever may be on its way now, in one go.
    fn send(&mut self) {
        let Some(shell) = &self.shell else { return };
        let mut batch = Vec::new();
        while self.sent < self.calls.len() {
            let is_alone = self.sent == 0;
            let call = &mut self.calls[self.sent];
            if call.reply.is_closed() {
                self.calls.remove(self.sent);
                continue;
            }
            if !is_alone && !(call.is_probe() && self.calls[0].is_probe()) {
                break;
            }
            let call = &mut self.calls[self.sent];
            if !call.is_probe() {
                let boot = call.boot.get_or_insert_with(|| shell.boot.clone());
                if *boot != shell.boot {
                    if let Some(call) = self.calls.remove(self.sent) {
                        let (stdout, stderr) = (call.out.data, call.err.data);
                        let _ = call.reply.send(Err(RunError::Gone { why: "the host was rebooted meanwhile", stdout, stderr }));
                    }
                    continue;
                }
            }
            self.order += 1;
            call.order = self.order;
            batch.extend(call.text(&self.wire.meter));
            self.sent += 1;
        }
        if !batch.is_empty() {
            if let Some(text) = self.forgets.text() {
                self.errand(text);
            }
            if let Some(shell) = &self.shell {
                shell.write(batch);
            }
            self.calls[0].begin();
        }
    }

    async fn next_event(&mut self, is_open: bool) -> Event {
        let Queue { incoming, calls, shell, sent, .. } = self;
        let first = if *sent > 0 { calls.front_mut() } else { None };
        let (late, dropped) = match first {
            Some(call) => {
                // A job's time is watched on the host, where it also counts while the connection is away.
                let late = call.begun.zip(call.timeout).filter(|_| call.is_probe()).map(|(begun, timeout)| begun + timeout);
                (late, Some(&mut call.reply))
            }
            None => (None, None),
        };
        tokio::select! {
            piece = async { match shell { Some(shell) => shell.output.recv().await, None => std::future::pending().await } } => Event::Piece(piece),
            call = incoming.recv(), if is_open => Event::Incoming(call.map(Box::new)),
            () = async { match late { Some(late) => tokio::time::sleep_until(late).await, None => std::future::pending().await } } => Event::Late,
            () = async { match dropped { Some(reply) => reply.closed().await, None => std::future::pending().await } } => Event::Dropped,
        }
    }

    fn piece(&mut self, piece: Piece) {
        match (piece, &mut self.shell) {
            (Piece::Out(bytes), _) => self.feed(&bytes, |call| &mut call.out),
            (Piece::Err(bytes), _) => self.feed(&bytes, |call| &mut call.err),
            (Piece::Exit(_), Some(shell)) => shell.exited = true,
            (Piece::Exit(_), None) => (),
        }
    }

    fn feed(&mut self, bytes: &[u8], stream: fn(&mut Call) -> &mut Stream) {
        let mut at = 0;
        for call in self.calls.iter_mut().take(self.sent) {
            if at == bytes.len() {
                break;
            }
            if stream(call).finder.is_none() {
                continue;
            }
            let on_line = call.on_line.clone();
            let stream = stream(call);
            let (used, answer) = stream.feed(&bytes[at..], on_line.as_deref());
            at += used;
            if stream.data.len() > MOST_OUTPUT {
                return self.refuse_flood();
            }
            // Only stdout's answer says something.
            if let Some(answer) = answer.filter(|answer| !answer.is_empty()) {
                call.answer = answer;
            }
        }
        while self.sent > 0 && self.calls[0].has_ended() {
            self.sent -= 1;
            if let Work::Job(text::Job { stays: true, name, .. }) = &self.calls[0].work
                && self.calls[0].may_arrive_again()
            {
                self.forgets.late.insert(name.id.clone());
            }
            if let Some(call) = self.calls.pop_front() {
                self.errands.retain(|errand| errand.order > call.order);
                if let Some(forget) = call.settle(&self.wire.meter) {
                    self.errand(forget);
                }
            }
            if self.sent > 0 {
                self.calls[0].begin();
            }
        }
    }

    /// The first call writes without end. (Those after it have written nothing yet.)
    fn refuse_flood(&mut self) {
        if let Some(call) = self.calls.pop_front() {
            self.kill(&call);
            call.refuse(RunError::TooMuchOutput { limit: MOST_OUTPUT });
        }
        self.drop_shell();
    }

    /// The first call took too long, or nobody waits for it any more.
    fn stop_first(&mut self, is_late: bool) {
        let Some(call) = self.calls.pop_front() else { return };
        if call.is_probe() {
            self.kill(&call);
        }
        if is_late {
            let after = call.timeout.unwrap_or_default();
            let _ = call.reply.send(Err(RunError::Timeout { after, stdout: call.out.data, stderr: call.err.data }));
        }
        self.drop_shell();
    }

    fn kill(&mut self, call: &Call) {
        match (&call.work, &self.shell) {
            (Work::Job(text::Job { name: JobName { id, .. }, .. }) | Work::Follow(id), _) => self.kills.push(Kill::Job(id.clone())),
            // A group is a number; what else a host may have said stays out of the script.
            (Work::Probe(_), Some(shell)) if !shell.group.is_empty() && shell.group.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.kills.push(Kill::Group(shell.group.clone()));
            }
            (Work::Probe(_) | Work::Forget(_), _) => (),
        }
    }

    fn shell_ended(&mut self) {
        let exited = self.shell.as_ref().is_some_and(|shell| shell.exited);
        self.drop_shell();
        if !exited {
            return;
        }
        if let Some(call) = self.calls.front_mut()
            && call.begun.is_some()
        {
            call.tries += 1;
            if call.tries >= TRIES
                && let Some(call) = self.calls.pop_front()
            {
                call.refuse(RunError::Shell("the script ended the shell that ran it".to_owned()));
            }
        }
    }

    /// Everything that was on its way will be sent again.
    fn drop_shell(&mut self) {
        self.shell = None;
        self.sent = 0;
    }

    fn errand(&mut self, text: Vec<u8>) {
        self.order += 1;
        if let Some(shell) = &self.shell {
            shell.write(text.clone());
        }
        self.errands.push(Errand { text, order: self.order });
    }

    /// Lets the shell finish what it was told, and end.
    async fn end_shell(&mut self) {
        if let Some(text) = self.forgets.text() {
            self.errand(text);
        }
        for _ in 0..3 {
            // Nobody needs to wait for a shell that has nothing to do.
            if self.errands.is_empty() || !tokio::time::timeout(Duration::from_secs(5), self.ensure_shell()).await.unwrap_or(false) {
                return;
            }
            let Some(Open { writer, mut output, .. }) = self.shell.take() else { return };
            drop(writer);
            let end = async {
                while let Some(piece) = output.recv().await {
                    if let Piece::Exit(_) = piece {
                        return true;
                    }
                }
                false
            };
            if tokio::time::timeout(Duration::from_secs(2), end).await.unwrap_or(true) {
                return;
            }
        }
    }
}

/// The probes before which nothing is to be done: they need to know nothing of the shell.
fn first_probes(calls: &mut VecDeque<Call>, meter: &Meter) -> (Vec<u8>, usize) {
    calls.retain(|call| !call.reply.is_closed());
    let probes = calls.iter_mut().take_while(|call| call.is_probe());
    let texts: Vec<_> = probes.map(|call| call.text(meter)).collect();
    (texts.concat(), texts.len())
}

/// More may come while this is waited for: they have not been dropped.
async fn all_dropped(calls: &Mutex<&mut VecDeque<Call>>) {
    std::future::poll_fn(|context| {
        let mut calls = lock(calls);
        if calls.iter_mut().all(|call| call.reply.poll_closed(context).is_ready()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
