//! `script`: a file of the controller, sent, run and removed. What follows its name is the shell's, as in Ansible.

use super::{guard, one_of, raw};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::put;
use crate::sh::{Output, Script, quote, words};
use guard::Guard;

/// `ansible.builtin.script`
pub struct ScriptFile;

static SCRIPT: Spec = Spec {
    name: "ansible.builtin.script",
    aliases: &[],
    params: &[
        Param::str("_raw_params"),
        Param::str("cmd"),
        Param::path("chdir"),
        Param::path("creates"),
        Param::path("removes"),
        Param::str("executable"),
        Param::bool("decrypt").default("true"),
    ],
    free_form: FreeForm::Param("_raw_params"),
};

impl Module for ScriptFile {
    type State = Guard;

    fn spec(&self) -> &'static Spec {
        &SCRIPT
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(guard::probe(args))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Guard, Failure> {
        guard::read(args, output)
    }

    fn decide(&self, args: &Args, guard: Guard, context: &dyn Context) -> Result<Decision, Failure> {
        let skip = |msg: String| Outcome { skipped: true, ..Outcome::default() }.with("msg", msg);
        let path = |name| args.str(name).unwrap_or_default();
        if args.str("chdir").is_some_and(|chdir| !chdir.starts_with('/')) {
            return Err(Failure::argument("chdir", format!("chdir {} must be an absolute path", path("chdir"))));
        }
        match guard {
            Guard::Run => {}
            Guard::Created => return Ok(skip(format!("{} exists, matching creates option", path("creates"))).into()),
            Guard::Removed => return Ok(skip(format!("{} does not exist, matching removes option", path("removes"))).into()),
            Guard::NoDirectory(errno) => return Err(no_directory(path("chdir"), errno)),
        }
        let line = one_of(args, &["_raw_params", "cmd"])?;
        let first = words::split_first(line).map_err(|why| Failure::new(format!("cannot split `{line}` into words: {why}")))?;
        let Some((name, arguments)) = first else { return Err(Failure::new("no script given")) };
        let file = context.find_file("files", &name)?;
        let decrypted = if args.is("decrypt") { put::decrypted(&file)? } else { None };
        let size = match &decrypted {
            Some(plain) => plain.len() as u64,
            None => std::fs::metadata(&file).map_err(|err| Failure::new(format!("read {}: {err}", file.display())))?.len(),
        };
        let base = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();

        let enter = args.str("chdir").map(|chdir| guard::enter(chdir, "chdir")).unwrap_or_default();
        // `$0` is the file: what the user wrote stays text of a shell of its own, where its mistakes harm nothing of ours.
        let call = format!("{} \"$0\" {arguments}", args.str("executable").unwrap_or_default());
        let text = format!(
            "name={base}; blocks={blocks}\n{RECEIVE}{enter}/bin/sh -c {call} \"$folder/$name\" </dev/null\nstatus=$?\nexit $status\n",
            base = quote(&base),
            blocks = size / 1024 + 1,
            call = quote(call.trim_start()),
        );
        let is_guarded = args.has("creates") || args.has("removes");
        let would = if is_guarded { Outcome::changed() } else { skip("Check mode is not supported for this task.".to_owned()) };
        let chdir = path("chdir").to_owned();
        let finish = move |output: &Output, outcome| match guard::errno_of(output, "chdir") {
            Some(errno) => Err(no_directory(&chdir, errno)),
            None => raw::finish(output, outcome),
        };
        let script = match decrypted {
            Some(plain) => Script::new(text).with_input(plain.as_slice()),
            None => Script::new(text).with_file(file),
        };
        Ok(Change::new(Outcome::changed(), script).finish(finish).in_check_mode(would).into())
    }
}

/// Takes the file from standard input into a folder of its own, where it may be executed and has room: `/tmp` is often mounted noexec, or full.
const RECEIVE: &str = r#"umask 077
folder=
trap '[ -z "$folder" ] || rm -rf -- "$folder"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
for base in "${TMPDIR:-/tmp}" "$HOME" /var/tmp; do
  [ -n "$base" ] && folder=$(mktemp -d "$base/nodewright.XXXXXX") || continue
  dd if=/dev/zero of="$folder/$name" bs=1024 count="$blocks" 2>/dev/null && chmod 700 "$folder/$name" && [ -x "$folder/$name" ] && break
  rm -rf -- "$folder"; folder=
done
[ -n "$folder" ] || { echo "no folder to put the script in" >&2; exit 1; }
cat >"$folder/$name" || exit 1
umask 022
"#;

fn no_directory(chdir: &str, errno: i32) -> Failure {
    Failure::new(format!("cannot change into `{chdir}`: {}", guard::describe(errno)))
}
