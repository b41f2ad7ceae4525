//! Runs a command: `command` without a shell, `shell` through one, `raw` as it is, `script` a file of the controller.
//!
//! ```yaml
//! - command: kubeadm init --config /etc/kubernetes/init.yaml
//!   args: { creates: /etc/kubernetes/admin.conf }
//! - shell: set -o pipefail; swapon --show | wc -l
//!   args: { executable: /bin/bash }
//! ```
//!
//! Returns `cmd`, `rc`, `stdout`, `stderr`, their `_lines`, `start`, `end` and `delta`. A status other than 0 fails. In check mode
//! nothing is run; with `creates` or `removes` the task says whether it would have been.

mod guard;
mod raw;
pub mod result;
mod script;

pub use raw::Raw;
pub use script::ScriptFile;

use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all, words};
use guard::Guard;
use serde_json::{Map, Value as Json, json};

/// `ansible.builtin.command`
pub struct Command;
/// `ansible.builtin.shell`
pub struct Shell;

static COMMAND: Spec = Spec {
    name: "ansible.builtin.command",
    aliases: &[],
    params: &[
        Param::str("_raw_params"),
        Param::str("cmd"),
        Param::list("argv"),
        Param::path("chdir"),
        Param::path("creates"),
        Param::path("removes"),
        Param::path("executable"),
        Param::str("stdin"),
        Param::bool("stdin_add_newline").default("true"),
        Param::bool("strip_empty_ends").default("true"),
        Param::bool("expand_argument_vars").default("true"),
    ],
    free_form: FreeForm::Param("_raw_params"),
};

static SHELL: Spec = Spec {
    name: "ansible.builtin.shell",
    aliases: &[],
    params: &[
        Param::str("_raw_params"),
        Param::str("cmd"),
        Param::path("chdir"),
        Param::path("creates"),
        Param::path("removes"),
        Param::path("executable"),
        Param::str("stdin"),
        Param::bool("stdin_add_newline").default("true"),
        Param::bool("strip_empty_ends").default("true"),
    ],
    free_form: FreeForm::Param("_raw_params"),
};

impl Module for Command {
    type State = Guard;

    fn spec(&self) -> &'static Spec {
        &COMMAND
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(guard::probe(args))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Guard, Failure> {
        guard::read(args, output)
    }

    fn decide(&self, args: &Args, state: Guard, context: &dyn Context) -> Result<Decision, Failure> {
        let words = command_line(args)?;
        let expand = |word: &String| if args.is("expand_argument_vars") { words::on_host(word) } else { quote(word).into_owned() };
        let call = words.iter().map(expand).collect::<Vec<_>>().join(" ");
        let call = Call { before: String::new(), words: call };
        let mut decision = decide(args, &words.into(), &call, state, context)?;
        if args.has("executable") {
            let warning = "`executable` is no longer supported by `command`, which uses no shell: use `shell`".to_owned();
            match &mut decision {
                Decision::Unchanged(outcome) => outcome.warnings.push(warning),
                Decision::Change(change) => change.outcome.warnings.push(warning),
            }
        }
        Ok(decision)
    }
}

impl Module for Shell {
    type State = Guard;

    fn spec(&self) -> &'static Spec {
        &SHELL
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(guard::probe(args))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Guard, Failure> {
        guard::read(args, output)
    }

    fn decide(&self, args: &Args, state: Guard, context: &dyn Context) -> Result<Decision, Failure> {
        let line = one_of(args, &["_raw_params", "cmd"])?;
        if line.trim().is_empty() {
            return Err(Failure::new("no command given").with("rc", 256));
        }
        let call = shell_call(args.str("executable").unwrap_or("/bin/sh"), line, context);
        decide(args, &line.into(), &call, state, context)
    }
}

/// A line for a shell, as words of ours and what must stand before them. One with a secret in it does not become an argument, which every user of
/// the host can read: the shell gets it through a descriptor.
fn shell_call(shell: &str, line: &str, context: &dyn Context) -> Call {
    const KNOWN: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];
    let is_known = KNOWN.contains(&shell.rsplit('/').next().unwrap_or_default());
    if !is_known || !context.tells_secret(line) {
        return Call { before: String::new(), words: quote_all([shell, "-c", line]) };
    }
    let mut end = "NODEWRIGHT".to_owned();
    while line.lines().any(|line| line == end) {
        end.push('_');
    }
    let before = format!("exec 9<<'{end}'\n{line}\n{end}\n");
    Call { before, words: quote_all([shell, "-c", "eval \"$(cat <&9 9<&-)\" 9<&-"]) }
}

/// The words of a command line, and what must be done before it.
struct Call {
    before: String,
    words: String,
}

/// The words of `command`, from its text or its `argv`.
fn command_line(args: &Args) -> Result<Vec<String>, Failure> {
    let words = match args.list("argv") {
        Some(_) if args.has("_raw_params") || args.has("cmd") => {
            return Err(Failure::argument("argv", "parameters are mutually exclusive: _raw_params|cmd|argv"));
        }
        Some(words) => words,
        None => words::split(one_of(args, &["_raw_params", "cmd"])?)
            .map_err(|why| Failure::new(format!("cannot split the command into words: {why}")))?,
    };
    if words.is_empty() {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    Ok(words)
}

/// The one of `names` that was given.
fn one_of<'a>(args: &'a Args, names: &[&str]) -> Result<&'a str, Failure> {
    let given: Vec<_> = names.iter().filter_map(|name| args.str(name)).collect();
    match given[..] {
        [] => Err(Failure::new(format!("one of the following is required: {}", names.join(", ")))),
        [one] => Ok(one),
        _ => Err(Failure::new(format!("parameters are mutually exclusive: {}", names.join("|")))),
    }
}

/// Skips, or runs `call`, whose first word is the executable.
fn decide(args: &Args, cmd: &Json, call: &Call, guard: Guard, context: &dyn Context) -> Result<Decision, Failure> {
    let described = |rc: Json, stdout: &str, msg: String| {
        let mut data = result::texts(stdout, "");
        data.extend([("cmd".to_owned(), cmd.clone()), ("rc".to_owned(), rc), ("msg".to_owned(), msg.into())]);
        data.extend(["start", "end", "delta"].map(|name| (name.to_owned(), Json::Null)));
        data
    };
    let verb = if context.check_mode() { "Would" } else { "Did" };
    let path = |name| args.str(name).unwrap_or_default();
    let skipped = match guard {
        Guard::NoDirectory(errno) => return Err(no_directory(path("chdir"), errno, cmd)),
        Guard::Created => Some((
            format!("skipped, since {} exists", path("creates")),
            format!("{verb} not run command since '{}' exists", path("creates")),
        )),
        Guard::Removed => Some((
            format!("skipped, since {} does not exist", path("removes")),
            format!("{verb} not run command since '{}' does not exist", path("removes")),
        )),
        Guard::Run => None,
    };
    if let Some((stdout, msg)) = skipped {
        return Ok(Outcome { data: described(json!(0), &stdout, msg), ..Outcome::unchanged() }.into());
    }
    let is_guarded = args.has("creates") || args.has("removes");
    let would = Outcome {
        changed: is_guarded,
        skipped: !is_guarded,
        data: described(json!(0), "", "Command would have run if not in check mode".to_owned()),
        ..Outcome::default()
    };
    let (cmd, chdir, strip) = (cmd.clone(), path("chdir").to_owned(), args.is("strip_empty_ends"));
    let finish = move |output: &Output, outcome: Outcome| finish(output, outcome, cmd, &chdir, strip);
    Ok(Change::new(Outcome::changed(), script_of(args, call)).finish(finish).in_check_mode(would).into())
}

/// Enters `chdir`, finds the executable as `execvp` would and becomes it. The search is ours so that a command that does not exist is told from one that ends with 127.
fn script_of(args: &Args, call: &Call) -> Script {
    let mut text = format!("{}set -- {}\n", call.before, call.words);
    if let Some(chdir) = args.str("chdir") {
        text += &guard::enter(chdir, "chdir");
    }
    text += FIND_EXECUTABLE;
    let script = Script::new(text);
    match args.str("stdin") {
        Some(stdin) if args.is("stdin_add_newline") => script.with_input(format!("{stdin}\n").into_bytes()),
        Some(stdin) => script.with_input(stdin.as_bytes()),
        None => script,
    }
}

const FIND_EXECUTABLE: &str = r#"find_executable() {
case $1 in
*/*) [ -e "$1" ] || return 2; [ -f "$1" ] && [ -x "$1" ] || return 13 ;;
*)
  set -f; IFS=:; errno=2
  for directory in $PATH; do
    [ -f "${directory:-.}/$1" ] || continue
    [ -x "${directory:-.}/$1" ] && errno=0 && break
    errno=13
  done
  unset IFS; set +f
  return $errno ;;
esac
}
find_executable "$1" || { echo "nodewright executable $?" >&2; exit 125; }
exec "$@"
"#;

fn no_directory(chdir: &str, errno: i32, cmd: &Json) -> Failure {
    let why = guard::describe(errno);
    let mut failure = Failure::new(format!("Unable to change directory before execution: [Errno {errno}] {why}: b'{chdir}'"));
    failure.data = result::texts("", "");
    failure.with("cmd", cmd.clone())
}

fn finish(output: &Output, mut outcome: Outcome, cmd: Json, chdir: &str, strip: bool) -> Result<Outcome, Failure> {
    if let Some(errno) = guard::errno_of(output, "chdir") {
        return Err(no_directory(chdir, errno, &cmd));
    }
    if let Some(errno) = guard::errno_of(output, "executable") {
        let executable = cmd.get(0).and_then(Json::as_str).unwrap_or("the shell");
        let mut failure = Failure::new(format!("Error executing command: [Errno {errno}] {}: b'{executable}'", guard::describe(errno)));
        failure.data = result::texts("", "");
        return Err(failure.with("cmd", cmd).with("rc", errno));
    }
    let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
    let trim = |text: &str| if strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.to_owned() };
    let mut data: Map<String, Json> = result::texts(&trim(&stdout), &trim(&stderr));
    data.insert("cmd".to_owned(), cmd);
    data.insert("rc".to_owned(), output.status.into());
    data.extend(result::times(output).map(|(name, value)| (name.to_owned(), value)));
    if output.success() {
        data.insert("msg".to_owned(), "".into());
        outcome.data = data;
        return Ok(outcome);
    }
    let mut failure = Failure::new("The command exited with a non-zero return code.");
    failure.data = data;
    Err(failure.with("changed", true))
}

#[cfg(test)]
mod tests;
