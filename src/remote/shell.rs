//! One persistent /bin/sh on a host, as the login user or as somebody else: opened here, used by `queue` and `upload`.
//! Whatever a profile, a login banner or sudo prints before it listens is skipped: a random marker says when that is.
//! The first scripts need not wait for that: they travel with the first words to the shell, in one write.

use super::error::{ConnectError, RunError};
use super::escalate::{self, Way};
use super::frame::{Finder, Found, random_id};
use super::wire::{Piece, Process, Session, Wire};
use super::{Become, lock, text};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
/// One stream may be so far ahead of the other when the shell answers.
const MOST_EARLY: usize = 4 << 20;

type Stdin = Box<dyn AsyncWrite + Send + Unpin>;

pub(super) struct Shell {
    /// Free again when the first words and what was to go with them are written.
    pub stdin: JoinHandle<io::Result<Stdin>>,
    pub output: mpsc::Receiver<Piece>,
    /// What came with the answer to the first words.
    pub early: Vec<Piece>,
    /// The process group it runs in, with everything but the jobs.
    pub group: String,
    /// Which boot of the host this is.
    pub boot: String,
}

enum Failure {
    Connect(ConnectError),
    Run(RunError),
}

/// Opens a shell, over a new connection if the old one is lost, for as long as the target allows. `first` says what is to go with the first
/// words; it is asked at the last moment, and again for each shell that is tried.
pub(super) async fn open(wire: &Wire, r#become: &Option<Become>, mut first: impl FnMut() -> Vec<u8>) -> Result<Shell, RunError> {
    let give_up = Instant::now() + wire.reconnect_for();
    loop {
        let session = wire.session().await.map_err(RunError::Lost)?;
        let since = Instant::now();
        match try_open(wire, &session, r#become.as_ref(), &mut first).await {
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

async fn try_open(
    wire: &Wire,
    session: &Session,
    r#become: Option<&Become>,
    first: &mut impl FnMut() -> Vec<u8>,
) -> Result<Shell, Failure> {
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
    let opening = async {
        let process = session.start(&way.command).await.map_err(Refusal::Connect)?;
        let greeting = Greeting { way, r#become, out: Vec::new(), err: Vec::new(), asked: false };
        greeting.exchange(process, wire, first).await
    };
    match tokio::time::timeout(PATIENCE, opening).await {
        Ok(Ok(shell)) => Ok(shell),
        Ok(Err(Refusal::Connect(error))) => Err(Failure::Connect(error)),
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
    Connect(ConnectError),
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
    async fn exchange(mut self, process: Process, wire: &Wire, first: &mut impl FnMut() -> Vec<u8>) -> Result<Shell, Refusal> {
        let Process { mut stdin, mut output } = process;
        if self.way.ready.is_some() {
            let question = wire.meter.ask();
            self.get_in(&mut stdin, &mut output).await?;
            wire.meter.answered(question);
        }
        let marker = random_id();
        let question = wire.meter.ask();
        let mut words = text::hello(wire, &marker);
        words.extend(first());
        // A task of its own: a shell that waits for its output to be read reads no more input.
        let stdin = tokio::spawn(async move {
            stdin.write_all(&words).await?;
            stdin.flush().await?;
            Ok(stdin)
        });
        let (mut out, mut err) = (Finder::new(&marker), Finder::new(&marker));
        let (mut answer, mut err_ended) = (None, false);
        let (mut early, mut n_early) = (Vec::new(), 0);
        loop {
            match output.recv().await {
                Some(Piece::Out(bytes)) if answer.is_none() => {
                    let last_words = &mut self.out;
                    if let Found::End { answer: line, used } = out.feed(&bytes, |noise| keep(last_words, noise)) {
                        answer = Some(line);
                        early.push(Piece::Out(bytes[used..].to_vec()));
                    }
                }
                Some(Piece::Err(bytes)) if !err_ended => {
                    let last_words = &mut self.err;
                    if let Found::End { used, .. } = err.feed(&bytes, |noise| keep(last_words, noise)) {
                        err_ended = true;
                        early.push(Piece::Err(bytes[used..].to_vec()));
                    }
                }
                Some(Piece::Exit(status)) => return Err(Refusal::Said(self.reason(Some(status)))),
                Some(piece @ (Piece::Out(_) | Piece::Err(_))) => {
                    n_early += piece.len();
                    if n_early > MOST_EARLY {
                        return Err(Refusal::Said("it does not end its answer".to_owned()));
                    }
                    early.push(piece);
                }
                None => return Err(Refusal::Lost),
            }
            if err_ended && let Some(answer) = &answer {
                wire.meter.answered(question);
                let mut words = answer.split_whitespace().skip(1);
                let group = words.next().unwrap_or_default().to_owned();
                let boot = words.next().unwrap_or_default().to_owned();
                return Ok(Shell { stdin, output, early, group, boot });
            }
        }
    }

    /// Until the program says that we are who we wanted to be: where a password may be asked for, nothing else may be sent before.
    async fn get_in(&mut self, stdin: &mut Stdin, output: &mut mpsc::Receiver<Piece>) -> Result<(), Refusal> {
        loop {
            match output.recv().await {
                Some(Piece::Out(bytes)) => {
                    keep(&mut self.out, &bytes);
                    let ready = self.way.ready.as_deref().unwrap_or_default().as_bytes();
                    if self.out.windows(ready.len()).any(|window| window == ready) {
                        return Ok(());
                    }
                }
                Some(Piece::Err(bytes)) => {
                    keep(&mut self.err, &bytes);
                    self.answer_prompt(stdin).await?;
                }
                Some(Piece::Exit(status)) => return Err(Refusal::Said(self.reason(Some(status)))),
                None => return Err(Refusal::Lost),
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
