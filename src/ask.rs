//! Questions to whoever sits at the terminal. Without one, the answers are the lines of the standard input, as Ansible reads them.

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use zeroize::Zeroizing;

/// An answer that is wiped from memory.
pub type Answer = Zeroizing<String>;

/// How many questions are open, and of how many the answer is not shown.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static HIDDEN: AtomicUsize = AtomicUsize::new(0);

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
    if HIDDEN.load(Ordering::SeqCst) > 0
        && let Ok(terminal) = std::fs::File::open("/dev/tty")
    {
        // Whoever asks has its own way to undo what it did, and does not get to it.
        let _ = Command::new("stty").args(["echo", "-echonl"]).stdin(terminal).stderr(Stdio::null()).status();
    }
    let was_open = OPEN.load(Ordering::SeqCst) > 0;
    if was_open {
        let _ = eprint("\n");
    }
    was_open
}

/// Asks without showing what is typed. The end of the input is an error of kind `UnexpectedEof`.
pub fn hidden(question: &str) -> std::io::Result<Answer> {
    match std::fs::File::open("/dev/tty") {
        Ok(_) => {
            let _open = Question::open();
            HIDDEN.fetch_add(1, Ordering::SeqCst);
            let answer = rpassword::prompt_password(question).map(Zeroizing::new);
            HIDDEN.fetch_sub(1, Ordering::SeqCst);
            answer
        }
        Err(_) => {
            eprint(question)?;
            line()
        }
    }
}

/// Asks and shows what is typed.
pub fn shown(question: &str) -> std::io::Result<Answer> {
    let mut out = std::io::stdout();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    line()
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

fn line() -> std::io::Result<Answer> {
    let _open = Question::open();
    let mut line = Zeroizing::new(String::new());
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
