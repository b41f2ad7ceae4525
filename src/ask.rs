//! Questions to whoever sits at the terminal. Without one, the answers are the lines of the standard input, as Ansible reads them.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, BufReader, Write};
use zeroize::Zeroizing;

/// An answer that is wiped from memory.
pub type Answer = Zeroizing<String>;

/// Asks without showing what is typed. The end of the input is an error of kind `UnexpectedEof`.
pub fn hidden(question: &str) -> std::io::Result<Answer> {
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
struct Quiet<'t> {
    tty: &'t std::fs::File,
    before: Termios,
}

impl Quiet<'_> {
    fn begin(tty: &std::fs::File) -> std::io::Result<Quiet<'_>> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

/// Asks and shows what is typed.
pub fn shown(question: &str) -> std::io::Result<Answer> {
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
