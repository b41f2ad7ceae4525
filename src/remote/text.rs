//! What is written to a shell: scripts made into text for it. Pure.
//!
//! A probe runs in a subshell, through `eval`: no word of it shows in a process list, a syntax error stays inside, and nothing has to be
//! started. A job's script is a file in the job's own directory (`shell.sh` has the functions for it).

use super::error::RunError;
use super::upload::Prepared;
use super::wire::Wire;
use super::{JobName, JobState, Run, Secret, UnfinishedJob};
use crate::sh::{DEFINITION, Output, Script, quote};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

const SHELL: &str = include_str!("shell.sh");
const STALL: &str = include_str!("stall.sh");
const SUPERVISOR: &str = include_str!("supervisor.sh");

pub(super) struct Probe {
    pub script: Script,
    pub input: Prepared,
}

pub(super) struct Job {
    pub name: JobName,
    /// What it leaves is the caller's to remove.
    pub stays: bool,
    pub title: String,
    pub script: Script,
    pub input: Prepared,
    pub timeout: Option<Duration>,
    /// After so long a silence it is looked after.
    pub stall_after: Option<Duration>,
    /// It is started and not followed.
    pub aside: bool,
}

impl Job {
    pub fn new(run: &Run, script: Script, input: Prepared, aside: bool) -> Job {
        let (title, timeout) = (run.title.clone(), run.timeout);
        let stall_after = run.stall_after.filter(|_| !aside);
        Job {
            name: run.job.clone().unwrap_or_default(),
            stays: aside || run.job.is_some(),
            title,
            script,
            input,
            timeout,
            stall_after,
            aside,
        }
    }
}

/// So long the host keeps what a job left.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How much of a job's output has been seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub out: usize,
    pub err: usize,
}

/// Refuses what no shell could run.
pub(super) fn check(script: &Script) -> Result<(), RunError> {
    let has_nul = |text: &str| text.contains('\0');
    for (name, value) in &script.environment {
        let mut letters = name.chars();
        let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !is_name {
            return Err(RunError::EnvironmentName(name.clone()));
        }
        if has_nul(value) {
            return Err(RunError::Nul);
        }
    }
    if has_nul(&script.text) { Err(RunError::Nul) } else { Ok(()) }
}

/// The first words to a new shell: the functions that jobs need, and a sign that it listens.
pub(super) fn hello(wire: &Wire, marker: &str) -> Vec<u8> {
    let Wire { sh, run, meter, .. } = wire;
    let clock = if meter.reads_clock() { CLOCK } else { "" };
    format!(
        "nw_this={run}\nnw_sh={}\nnw_supervisor={}\n{SHELL}\n{STALL}\n{DEFINITION}{clock}nw_mark={marker}\nnw_end hello \"$nw_group\" \"$nw_boot\"\n",
        quote(sh),
        quote(SUPERVISOR),
    )
    .into_bytes()
}

/// Reads the host's clock around each script, without starting anything. Shells that know the time themselves say it to the microsecond.
const CLOCK: &str = r#"nw_now() { nw_now=; { read -r nw_now nw_x </proc/uptime; } 2>/dev/null; }
[ -z "$EPOCHREALTIME" ] || nw_now() { nw_now=$EPOCHREALTIME; }
nw_began() { nw_now; nw_from=$nw_now; }
nw_took() { nw_took=; [ -z "$nw_from" ] || { nw_now; nw_took=" took $nw_from $nw_now"; }; }
"#;

/// A script's text, with the host's clock read before it.
pub(super) fn clocked(mut text: Vec<u8>) -> Vec<u8> {
    text.splice(..0, *b"nw_began\n");
    text
}

/// Takes what the host's clock said off an answer.
pub(super) fn took(answer: &str) -> (&str, Option<Duration>) {
    let Some((words, times)) = answer.rsplit_once(" took ") else { return (answer, None) };
    let mut times = times.split(' ').map(|time| time.replace(',', ".").parse::<f64>());
    let (Some(Ok(from)), Some(Ok(to))) = (times.next(), times.next()) else { return (answer, None) };
    (words, Duration::try_from_secs_f64(to - from).ok())
}

pub(super) fn password(secret: &Secret) -> Vec<u8> {
    format!("{}\n", secret.expose()).into_bytes()
}

pub(super) fn probe(probe: &Probe, reads_clock: bool, marker: &str) -> Vec<u8> {
    let mut text = Vec::new();
    if let Prepared::Inline(bytes) = &probe.input {
        text.extend_from_slice(b"printf ");
        text.extend_from_slice(&printf_format(bytes));
        text.extend_from_slice(b" | ");
    }
    let body = format!("{}\n", probe.script.after_definition());
    text.extend_from_slice(format!("( {}eval {} )", exports(&probe.script), quote(&body)).as_bytes());
    text.extend_from_slice(
        match &probe.input {
            Prepared::None => b" </dev/null".to_vec(),
            Prepared::Inline(_) => Vec::new(),
            Prepared::Spooled(path) => format!(" <{}", quote(path)).into_bytes(),
        }
        .as_slice(),
    );
    // The marker is written out in place: a variable would be there for scripts to print.
    let end = match reads_clock {
        false => format!("\nprintf '\\036%s end %s\\n' {marker} $?; printf '\\036%s\\n' {marker} >&2\n"),
        true => format!(
            "\nnw_status=$?; nw_took; printf '\\036%s end %s%s\\n' {marker} $nw_status \"$nw_took\"; printf '\\036%s\\n' {marker} >&2\n"
        ),
    };
    text.extend_from_slice(end.as_bytes());
    text
}

/// Starts the job if that did not happen yet, and shows the rest of its output.
/// One compound command: a shell that got only half of it does nothing.
pub(super) fn job(job: &Job, seen: Seen, marker: &str) -> Vec<u8> {
    let Job { name: JobName { id, sent }, title, script, input, timeout, stall_after, aside, stays: _ } = job;
    // Nothing is there: did it never come, or was it lost with what is gone at a reboot, or swept?
    let lost = match sent {
        None => String::new(),
        Some(sent) if *sent >= KEPT => "elif [ ! -e \"$nw_job/started\" ]; then nw_end gone swept\n".to_owned(),
        Some(sent) => {
            let seconds = sent.as_secs().saturating_add(1);
            format!("elif [ ! -e \"$nw_job/started\" ] && nw_has_booted_within {seconds}; then nw_end gone rebooted\n")
        }
    };
    let mut text = format!(
        "{{\nnw_mark={marker}; nw_job=$nw_jobs/{id}; nw_why=\n\
         if [ -z \"$nw_jobs\" ]; then nw_end fail no private directory can be made for it in any of:$nw_tries\n\
         elif [ -z \"$nw_setsid\" ]; then nw_end fail setsid is not installed\n\
         elif [ -e \"$nw_job.done\" ]; then nw_end gone\n\
         {lost}elif [ -e \"$nw_job/started\" ] || nw_why=$( {{ umask 077; mkdir -p \"$nw_job\" && : >\"$nw_job/out\" && : >\"$nw_job/err\" && \
         printf '%s\\n' \"$nw_this $nw_boot\" >\"$nw_job/run\" && printf '%-31s\\n' new >\"$nw_job/state\" && \
         printf '%s' {} >\"$nw_job/title\" && printf '%s\\n' {} >\"$nw_job/script\"",
        quote(&title.replace(['\n', '\r', '\0'], " ")),
        quote(&script.text),
    )
    .into_bytes();
    if !script.environment.is_empty() {
        text.extend_from_slice(format!(" && printf '%s\\n' {} >\"$nw_job/env\"", quote(&exports(script))).as_bytes());
    }
    match input {
        Prepared::None => (),
        Prepared::Inline(bytes) => {
            text.extend_from_slice(b" && printf ");
            text.extend_from_slice(&printf_format(bytes));
            text.extend_from_slice(b" >\"$nw_job/in\"");
        }
        Prepared::Spooled(path) => text.extend_from_slice(format!(" && printf '%s\\n' {} >\"$nw_job/spool\"", quote(path)).as_bytes()),
    }
    let seconds = timeout.map_or("0".to_owned(), seconds);
    let Seen { out, err } = seen;
    let call = if *aside {
        format!("nw_start {seconds}")
    } else {
        format!("nw_apply {seconds} {out} {err} {}", stall_after.map_or(0, |after| after.as_secs()))
    };
    text.extend_from_slice(format!("; }} 2>&1 </dev/null ); then {call}\nelse nw_no_job $nw_why; fi\n}}\n").as_bytes());
    text
}

/// Follows a job that an earlier run started.
pub(super) fn follow(id: &str, seen: Seen, marker: &str) -> Vec<u8> {
    let Seen { out, err } = seen;
    format!(
        "{{\nnw_mark={marker}; nw_job=$nw_jobs/{id}\n\
         if [ -e \"$nw_job/started\" ]; then nw_apply 0 {out} {err} 0; else nw_end gone; fi\n}}\n"
    )
    .into_bytes()
}

/// A job whose answer has come. What was sent over a connection that was lost may still arrive, at a shell that nobody listens to: that it is
/// done is then kept in mind, until jobs of that age are swept.
pub(super) struct Forgotten {
    pub id: String,
    pub may_arrive_again: bool,
}

pub(super) fn forget_jobs(jobs: &[Forgotten]) -> Vec<u8> {
    let mut text = "{ ".to_owned();
    for Forgotten { id, .. } in jobs.iter().filter(|job| job.may_arrive_again) {
        text.push_str(&format!(": >\"$nw_jobs\"/{id}.done; "));
    }
    text.push_str("rm -rf --");
    for Forgotten { id, .. } in jobs {
        text.push_str(&format!(" \"$nw_jobs\"/{id}"));
    }
    text.push_str("; } </dev/null >/dev/null 2>&1 &\n");
    text.into_bytes()
}

pub(super) fn forget_spool(path: &str) -> Vec<u8> {
    let directory = path.strip_suffix("/in").unwrap_or(path);
    format!("rm -rf -- {} </dev/null >/dev/null 2>&1 &\n", quote(directory)).into_bytes()
}

/// Shows how a job stands that was started aside.
pub(super) fn look(id: &str) -> Script {
    Script::new(format!("nw_look {}", quote(id)))
}

/// What `nw_look` said: the job's state, and its output if it ended.
pub(super) fn looked(mut output: Output) -> JobState {
    let line_end = output.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(output.stdout.len());
    let line = String::from_utf8_lossy(&output.stdout[..line_end]).into_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["running"] => JobState::Running,
        ["end", status, late, seconds] => {
            let Ok(status) = status.parse() else { return JobState::Gone };
            output.stdout.drain(..(line_end + 1).min(output.stdout.len()));
            let elapsed = Duration::from_secs(seconds.parse::<i64>().unwrap_or(0).max(0).unsigned_abs());
            let started = output.started.checked_sub(elapsed).unwrap_or(output.started);
            JobState::Ended { output: Output { status, started, elapsed, ..output }, late: *late == "late" }
        }
        _ => JobState::Gone,
    }
}

/// A line of `nw_unfinished`: id, age in seconds, title.
pub(super) fn unfinished_job(line: &str) -> Option<UnfinishedJob> {
    let mut words = line.splitn(3, ' ');
    let id = words.next()?;
    let age: i64 = words.next()?.parse().ok()?;
    // The id becomes part of a path, and a host may say what it likes.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    // The host's clock may differ from ours: only its differences count.
    let since = SystemTime::now().checked_sub(Duration::from_secs(age.max(0).unsigned_abs()))?;
    Some(UnfinishedJob { id: id.to_owned(), since, what: words.next().unwrap_or_default().to_owned() })
}

/// For `sleep`: whole seconds where possible, as not every `sleep` knows fractions.
fn seconds(timeout: Duration) -> String {
    if timeout.subsec_nanos() == 0 { timeout.as_secs().max(1).to_string() } else { format!("{:.3}", timeout.as_secs_f64().max(0.001)) }
}

fn exports(script: &Script) -> String {
    script.environment.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = write!(text, "export {name}={}; ", quote(value));
        text
    })
}

/// Bytes as a format that makes every shell's own `printf` write exactly them.
fn printf_format(bytes: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            0 => text.extend_from_slice(b"\\000"),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'%' => text.extend_from_slice(b"%%"),
            b'\'' => text.extend_from_slice(b"'\"'\"'"),
            // The first would be taken for an option.
            b'-' if at == 0 => text.extend_from_slice(b"\\055"),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_lists_as_a_job_is_not_trusted() {
        let job = unfinished_job("0a1f 40 install nginx | apt").unwrap();
        assert_eq!((job.id.as_str(), job.what.as_str()), ("0a1f", "install nginx | apt"));
        assert_eq!(unfinished_job("../../etc 40 x"), None);
        assert_eq!(unfinished_job("0a1f soon x"), None);
        assert!(unfinished_job("0a1f -9 clock went back").is_some());
        // An age from before all time is no reason to panic.
        let _ = unfinished_job(&format!("0a1f {} x", i64::MAX));
    }

    #[test]
    fn the_hosts_clock_is_read_as_shells_write_it() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let rounded =
            |(words, time): (&'static str, Option<Duration>)| (words, time.map(|time| Duration::from_millis(time.as_millis() as u64)));
        assert_eq!(rounded(took("end 3 took 8.25 8.5")), ("end 3", ms(250)));
        assert_eq!(rounded(took("end 0 late took 8,25 9,5")), ("end 0 late", ms(1250)));
        // A clock that went back, one that says nothing, and words that only look like it.
        assert_eq!(took("end 3 took 9.5 9.25"), ("end 3", None));
        assert_eq!(took("end 3 took  "), ("end 3 took  ", None));
        assert_eq!(took("fail it took too long"), ("fail it took too long", None));
        assert_eq!(took("end 3 took 1 1e300"), ("end 3", None));
    }

    #[test]
    fn refuses_what_a_shell_cannot_have() {
        let named = |name: &str| check(&Script::new("true").with_environment([(name.to_owned(), "1".to_owned())]));
        assert!(named("_LC_9").is_ok());
        assert!(matches!(named("a;rm"), Err(RunError::EnvironmentName(_))));
        assert!(matches!(named(""), Err(RunError::EnvironmentName(_))));
        assert!(matches!(check(&Script::new("echo \0")), Err(RunError::Nul)));
    }
}
