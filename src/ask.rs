//! Questions to whoever sits at the terminal. Without one, the answers are the lines of the standard input, as Ansible reads them.

use std::io::{BufRead, Write};
use zeroize::Zeroizing;

/// An answer that is wiped from memory.
pub type Answer = Zeroizing<String>;

/// Asks without showing what is typed. The end of the input is an error of kind `UnexpectedEof`.
pub fn hidden(question: &str) -> std::io::Result<Answer> {
    match std::fs::File::open("/dev/tty") {
        Ok(_) => rpassword::prompt_password(question).map(Zeroizing::new),
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
    let mut line = Zeroizing::new(String::new());
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
