//! Questions to whoever sits at the terminal. Without one, the answers are the lines of the standard input, as Ansible reads them.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// An answer that is wiped from memory.
pub type Answer = Zeroizing<String>;

/// How many questions are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// The terminal that does not show what is typed, and how it was before.
static QUIET: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// A question is open as long as this is there.
pub struct Question(());

impl Question {
    pub fn open() -> Question {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Question(())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Nobody waits for an answer any longer: the terminal is as it was before the question. Says whether there was one.
pub fn abandon() -> bool {
    // Whoever asks does not get to it.
    show_again();
    let was_open = OPEN.load(Ordering::SeqCst) > 0;
    if was_open {
        let _ = eprint("\n");
    }
    was_open
}

/// Asks without showing what is typed. The end of the input is an error of kind `UnexpectedEof`.
pub fn hidden(question: &str) -> std::io::Result<Answer> {
    // Open before the terminal is quiet: whoever abandons it makes the terminal as it was.
    let _open = Question::open();
    match std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty") {
        Ok(tty) => {
            let quiet = Quiet::begin(&tty)?;
            (&tty).write_all(question.as_bytes())?;
            let answer = line(&mut BufReader::with_capacity(1, &tty));
            drop(quiet);
            answer
        }
        Err(_) => {
            eprint(question)?;
            line(&mut std::io::stdin().lock())
        }
    }
}

/// A terminal that shows nothing of what is typed but the end of the line. Begins before the question is there: what is typed early is not shown
/// either, nor taken as the answer.
struct Quiet(());

impl Quiet {
    fn begin(tty: &File) -> std::io::Result<Quiet> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        // Held until it is quiet: who makes it as it was comes before that, or after.
        let mut kept = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
        let own = tty.try_clone()?;
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        *kept = Some((own, before));
        Ok(Quiet(()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        show_again();
    }
}

fn show_again() {
    if let Some((tty, before)) = QUIET.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(&tty, OptionalActions::Flush, &before);
    }
}

/// Asks and shows what is typed.
pub fn shown(question: &str) -> std::io::Result<Answer> {
    let _open = Question::open();
    let mut out = std::io::stdout();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    line(&mut std::io::stdin().lock())
}

/// Says something between two questions. If that cannot be written, neither can the next question.
pub fn say(words: &str) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

fn eprint(question: &str) -> std::io::Result<()> {
    let mut err = std::io::stderr();
    err.write_all(question.as_bytes())?;
    err.flush()
}

fn line(from: &mut impl BufRead) -> std::io::Result<Answer> {
    // A text that grows leaves its beginnings behind.
    let mut line = Zeroizing::new(String::with_capacity(4096));
    if from.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
