//! One persistent /bin/sh on a host, as the login user or as somebody else: opened here, used by `queue` and `upload`.
//! Whatever a profile, a login banner or sudo prints before it listens is skipped: a random marker says when that is.

use super::error::{ConnectError, RunError};
use super::escalate::{self, Way};
use super::frame::{Finder, Found, random_id};
use super::wire::{Piece, Process, Session, Wire};
use super::{Become, Transport, lock, text};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Shell {
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    pub output: mpsc::Receiver<Piece>,
    /// The process group it runs in, with everything but the jobs.
    pub group: String,
    /// Which boot of the host this is.
    pub boot: String,
}

enum Failure {
    Connect(ConnectError),
    Run(RunError),
}

/// Opens a shell, over a new connection if the old one is lost, for as long as the target allows.
pub(super) async fn open(wire: &Wire, r#become: &Option<Become>) -> Result<Shell, RunError> {
    let give_up = Instant::now() + wire.reconnect_for();
    loop {
        let session = wire.session().await.map_err(RunError::Lost)?;
        let since = Instant::now();
        match try_open(wire, &session, r#become.as_ref()).await {
            Ok(shell) => {
                wire.meter.count(|counts| counts.opening += since.elapsed());
                return Ok(shell);
            }
            Err(Failure::Run(error)) => return Err(error),
            Err(Failure::Connect(error)) if Instant::now() > give_up => return Err(RunError::Lost(error)),
            Err(Failure::Connect(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn try_open(wire: &Wire, session: &Session, r#become: Option<&Become>) -> Result<Shell, Failure> {
    let refused = |r#become: &Become, reason: String| {
        lock(&wire.refused).insert(r#become.clone(), reason.clone());
        Failure::Run(RunError::Become { user: r#become.user.clone(), reason })
    };
    if let Some(r#become) = r#become
        && let Some(reason) = lock(&wire.refused).get(r#become)
    {
        return Err(Failure::Run(RunError::Become { user: r#become.user.clone(), reason: reason.clone() }));
    }
    let id = random_id();
    let way = match (escalate::way(r#become, session.user(), &wire.sh, &id), r#become) {
        (Ok(way), _) => way,
        (Err(reason), Some(r#become)) => return Err(refused(r#become, reason)),
        (Err(reason), None) => return Err(Failure::Run(RunError::Shell(reason))),
    };
    let process = session.start(&way.command).await.map_err(Failure::Connect)?;
    let greeting = Greeting { way, r#become, out: Vec::new(), err: Vec::new(), asked: false };
    match tokio::time::timeout(PATIENCE, greeting.exchange(process, wire)).await {
        Ok(Ok(shell)) => Ok(shell),
        Ok(Err(Refusal::Lost)) => Err(Failure::Connect(ConnectError::Broken {
            address: wire.target.name.clone(),
            reason: "it was lost while a shell was opened".to_owned(),
        })),
        Ok(Err(Refusal::Said(reason))) => match r#become {
            Some(r#become) => Err(refused(r#become, reason)),
            None => Err(Failure::Run(RunError::Shell(reason))),
        },
        Err(_) => {
            let reason = format!("it did not answer within {} s", PATIENCE.as_secs());
            Err(match r#become {
                Some(r#become) => Failure::Run(RunError::Become { user: r#become.user.clone(), reason }),
                None => Failure::Run(RunError::Shell(reason)),
            })
        }
    }
}

enum Refusal {
    Lost,
    Said(String),
}

/// From a program that was started to a shell that listens.
struct Greeting<'a> {
    way: Way,
    r#become: Option<&'a Become>,
    /// The last words before the shell answered, for the error.
    out: Vec<u8>,
    err: Vec<u8>,
    asked: bool,
}

impl Greeting<'_> {
    async fn exchange(mut self, process: Process, wire: &Wire) -> Result<Shell, Refusal> {
        let Process { mut stdin, mut output } = process;
        let marker = random_id();
        let (mut out, mut err) = (Finder::new(&marker), Finder::new(&marker));
        let (mut answer, mut err_ended) = (None, false);
        let mut is_in = self.way.ready.is_none();
        let mut question = wire.meter.ask();
        if is_in {
            // sshd takes nothing for a program before it runs: that is waited for, too.
            question += u64::from(matches!(wire.target.transport, Transport::Ssh(_)));
            send(&mut stdin, &text::hello(wire, &marker)).await?;
        }
        loop {
            match output.recv().await {
                Some(Piece::Out(bytes)) if !is_in => {
                    keep(&mut self.out, &bytes);
                    let ready = self.way.ready.as_deref().unwrap_or_default().as_bytes();
                    if self.out.windows(ready.len()).any(|window| window == ready) {
                        is_in = true;
                        wire.meter.answered(question);
                        question = wire.meter.ask();
                        send(&mut stdin, &text::hello(wire, &marker)).await?;
                    }
                }
                Some(Piece::Out(bytes)) => {
                    let last_words = &mut self.out;
                    if let Found::End { answer: line, .. } = out.feed(&bytes, |noise| keep(last_words, noise)) {
                        answer = Some(line);
                    }
                }
                Some(Piece::Err(bytes)) => {
                    let last_words = &mut self.err;
                    if let Found::End { .. } = err.feed(&bytes, |noise| keep(last_words, noise)) {
                        err_ended = true;
                    } else if !is_in {
                        self.answer_prompt(&mut stdin).await?;
                    }
                }
                Some(Piece::Exit(status)) => return Err(Refusal::Said(self.reason(Some(status)))),
                None => return Err(Refusal::Lost),
            }
            if err_ended && let Some(answer) = &answer {
                wire.meter.answered(question);
                let mut words = answer.split_whitespace().skip(1);
                let group = words.next().unwrap_or_default().to_owned();
                let boot = words.next().unwrap_or_default().to_owned();
                return Ok(Shell { stdin, output, group, boot });
            }
        }
    }

    async fn answer_prompt(&mut self, stdin: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), Refusal> {
        let Some(Become { method, password, .. }) = self.r#become else { return Ok(()) };
        if !escalate::asks(&self.way, *method, &self.err) {
            return Ok(());
        }
        // Asked again: the answer was wrong. It is not given twice, for some hosts lock an account after a few.
        if self.asked {
            return Err(Refusal::Said(escalate::refusal(*method, None, "try again", true)));
        }
        let Some(password) = password else {
            return Err(Refusal::Said(escalate::refusal(*method, None, "a password is required", false)));
        };
        self.asked = true;
        self.err.clear();
        send(stdin, &text::password(password)).await
    }

    fn reason(&self, status: Option<i32>) -> String {
        let words = [&self.err, &self.out].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let words = words.iter().find(|words| !words.is_empty()).map(String::as_str).unwrap_or_default();
        match (self.r#become, status) {
            (Some(r#become), _) => escalate::refusal(r#become.method, status, words, self.asked),
            (None, Some(status)) if words.is_empty() => format!("the login shell ended with status {status} and said nothing"),
            (None, _) => format!("the login shell says: {words}"),
        }
    }
}

async fn send(stdin: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> Result<(), Refusal> {
    // A program that has ended already says why in its output, which is read next.
    match stdin.write_all(bytes).await {
        Ok(()) => stdin.flush().await.map_err(|_| Refusal::Lost),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(_) => Err(Refusal::Lost),
    }
}

/// Keeps the last words, however much a profile prints.
fn keep(last_words: &mut Vec<u8>, bytes: &[u8]) {
    const ENOUGH: usize = 4 * 1024;
    last_words.extend_from_slice(bytes);
    let excess = last_words.len().saturating_sub(ENOUGH);
    last_words.drain(..excess);
}
