//! `creates` and `removes`: whether there is anything left to run. Globs, `~` and variables are the host's.

use crate::module::{Args, Failure};
use crate::sh::{Output, Script, words};

/// What the probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Run,
    Created,
    Removed,
    NoDirectory(i32),
}

/// Looks for `creates` and `removes` from within `chdir`. Nothing to look for: no script.
pub fn probe(args: &Args) -> Option<Script> {
    let (creates, removes) = (args.str("creates"), args.str("removes"));
    if creates.is_none() && removes.is_none() {
        return None;
    }
    let mut text = String::from("exists() { IFS=; set -- $1; [ -e \"$1\" ] || [ -L \"$1\" ]; }\n");
    if let Some(chdir) = args.str("chdir") {
        text += &enter(chdir, "chdir");
    }
    if let Some(path) = creates {
        text += &format!("! exists {} || {{ echo created; exit 0; }}\n", words::on_host(path));
    }
    if let Some(path) = removes {
        text += &format!("exists {} || {{ echo removed; exit 0; }}\n", words::on_host(path));
    }
    text += "echo run\n";
    Some(Script::new(text))
}

/// Changes into `path`, or says `word` with the errno that Python would have met, and ends with 125.
pub fn enter(path: &str, word: &str) -> String {
    let directory = words::directory_on_host(path);
    format!(
        "CDPATH= cd -P -- {directory} 2>/dev/null || {{ d={directory}; if [ -d \"$d\" ]; then e=13; elif [ -e \"$d\" ]; then e=20; else e=2; fi; \
         echo \"nodewright {word} $e\" >&2; exit 125; }}\n"
    )
}

/// The errno that [`enter`] or the search for an executable has met, if the script's own end is what `output` shows.
pub fn errno_of(output: &Output, word: &str) -> Option<i32> {
    if output.status != 125 || !output.stdout.is_empty() {
        return None;
    }
    output.stderr_text().strip_prefix(&format!("nodewright {word} "))?.trim_end().parse().ok()
}

pub fn read(args: &Args, output: &Output) -> Result<Guard, Failure> {
    if probe(args).is_none() {
        return Ok(Guard::Run);
    }
    if let Some(errno) = errno_of(output, "chdir") {
        return Ok(Guard::NoDirectory(errno));
    }
    match output.stdout_text().trim() {
        "run" => Ok(Guard::Run),
        "created" => Ok(Guard::Created),
        "removed" => Ok(Guard::Removed),
        _ => Err(Failure::script("looking for `creates` and `removes`", output)),
    }
}

/// Python's words for an errno.
pub fn describe(errno: i32) -> &'static str {
    match errno {
        2 => "No such file or directory",
        13 => "Permission denied",
        20 => "Not a directory",
        _ => "Unknown error",
    }
}
