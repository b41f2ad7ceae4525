//! Scripts on their way through one user's shell. One task owns the shell: it writes what may be written, in the order of the calls, hands
//! each piece of output to the script it belongs to, and after a lost connection opens the shell again and goes on where it was.
//!
//! Probes are written without waiting for those before them. A job is written when the shell has nothing else to do, and nothing follows
//! until it ended. Who drops a running call gets the shell replaced: what was running there must not hold up the next.

use super::call::{Call, Stream, WAITS, Work};
use super::error::RunError;
use super::shell::{self, Shell};
use super::text::{self, Forgotten};
use super::wire::{Piece, Wire};
use super::{Become, JobName, Meter, lock};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};

/// A script may write so much to each of its streams.
const MOST_OUTPUT: usize = 64 << 20;
/// What was interrupted on a host that cannot be reached is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whoever waits for a lost connection gets to know it after this.
const SOON: Duration = Duration::from_secs(2);
/// A script that ends its shell so many times is not tried again.
const TRIES: u32 = 3;

/// What is to be ended on the host, from another shell.
enum Kill {
    Group(String),
    Job(String),
    /// With all that it wrote.
    Flood(String),
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
    /// The number of the first words to it.
    ready: u64,
}

impl Open {
    fn new(shell: Shell) -> Open {
        let Shell { stdin, output, group, boot, ready, .. } = shell;
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
        Open { writer, output, group, boot, exited: false, ready }
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
    is_interrupted: bool,
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
    Interrupted,
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
        is_interrupted: false,
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
                Event::Interrupted => self.interrupt(),
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
        let Queue { wire, r#become, incoming, calls, sent, forgets, boot, .. } = self;
        let calls_here = Mutex::new(&mut *calls);
        let first = |question| {
            let mut calls = lock(&calls_here);
            while let Ok(call) = incoming.try_recv() {
                match call.work {
                    Work::Forget(id) => forgets.add(id),
                    _ => calls.push_back(call),
                }
            }
            let (text, n) = first_probes(&mut calls, &wire.meter, question);
            *sent = n;
            text
        };
        let opening = shell::open(wire, r#become, first);
        let told = async {
            tokio::time::sleep(SOON).await;
            // At first nothing was lost yet.
            if boot.is_some() {
                let limit = wire.reconnect_for().as_secs();
                let words = format!("its connection, which was lost: it is tried again for {limit} s");
                lock(&calls_here).iter().for_each(|call| call.waits(&words));
            }
            std::future::pending().await
        };
        let given_up = async {
            wait_until(&wire.interrupts).await;
            tokio::time::sleep(PATIENCE).await;
        };
        let opened = tokio::select! {
            opened = opening => Some(opened),
            () = all_dropped(&calls_here), if !lock(&calls_here).is_empty() => None,
            () = told => None,
            () = given_up => Some(Err(RunError::Interrupted)),
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
                        Kill::Flood(id) => format!("nw_kill_job {id} away\n").into_bytes(),
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
            if self.is_interrupted && self.calls[self.sent].n_sent == 0 {
                if let Some(call) = self.calls.remove(self.sent) {
                    call.refuse(RunError::Interrupted);
                }
                continue;
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
            batch.extend(call.text(&self.wire.meter, shell.ready));
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
        let Queue { wire, incoming, calls, shell, sent, is_interrupted, .. } = self;
        let interrupted = wait_until(&wire.interrupts);
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
            () = interrupted, if !*is_interrupted => Event::Interrupted,
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
            while at < bytes.len() && stream(call).finder.is_some() {
                let on_line = call.on_line.clone();
                let stream = stream(call);
                let (used, answer) = stream.feed(&bytes[at..], on_line.as_deref());
                at += used;
                if stream.data.len() > MOST_OUTPUT {
                    return self.refuse_flood();
                }
                match answer {
                    Some(answer) if answer.starts_with(WAITS) => call.waits(&answer[WAITS.len()..]),
                    // Only stdout's answer says something.
                    Some(answer) if !answer.is_empty() => call.answer = answer,
                    _ => {}
                }
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
            match &call.work {
                Work::Job(text::Job { name, .. }) => self.kills.push(Kill::Flood(name.id.clone())),
                _ => self.kill(&call),
            }
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

    /// Jobs that were begun are ended by a signal and followed to their end; the rest is refused.
    fn interrupt(&mut self) {
        self.is_interrupted = true;
        if self.calls.is_empty() {
            return;
        }
        if self.sent > 0
            && self.calls[0].is_probe()
            && let Some(probe) = self.calls.pop_front()
        {
            self.kill(&probe);
            probe.refuse(RunError::Interrupted);
        }
        for call in std::mem::take(&mut self.calls) {
            match &call.work {
                Work::Job(text::Job { name, aside: false, .. }) if call.n_sent > 0 => {
                    self.kills.push(Kill::Job(name.id.clone()));
                    self.calls.push_back(call);
                }
                _ => call.refuse(RunError::Interrupted),
            }
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
            let question = self.wire.meter.ask();
            let has_ended = tokio::time::timeout(Duration::from_secs(2), end).await.unwrap_or(true);
            self.wire.meter.answered(question);
            if has_ended {
                return;
            }
        }
    }
}

pub(super) async fn wait_until(flag: &watch::Sender<bool>) {
    // The sender is the one that we have.
    let _ = flag.subscribe().wait_for(|is_set| *is_set).await;
}

/// The probes before which nothing is to be done: they need to know nothing of the shell.
fn first_probes(calls: &mut VecDeque<Call>, meter: &Meter, question: u64) -> (Vec<u8>, usize) {
    calls.retain(|call| !call.reply.is_closed());
    let probes = calls.iter_mut().take_while(|call| call.is_probe());
    let texts: Vec<_> = probes.map(|call| call.text(meter, question)).collect();
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
