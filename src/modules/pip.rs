//! Installs Python packages on the host, with the host's own pip.
//!
//! ```yaml
//! - pip: {name: [kubernetes, "netaddr>=0.10"], virtualenv: /opt/tools, virtualenv_command: python3 -m venv}
//! - pip: {requirements: /opt/kubespray/requirements.txt, virtualenv: /opt/tools}
//! ```
//!
//! This is the one module that needs a Python there, as pip is one. A virtualenv that is missing is made first. In check mode, packages are compared with those that are
//! installed; for what has no name and version (`latest`, `requirements`, `extra_args`) a change is foretold. Returns `cmd`, `name`, `version`, `state`, `requirements`,
//! `virtualenv`, `stdout`, `stderr`.

use super::look::{FUNCTIONS, Fields};
use super::write_file::CLEANING;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all, words};
use pep440_rs::{Version, VersionSpecifiers};
use serde_json::Value as Json;
use std::str::FromStr;

pub struct Pip;

static SPEC: Spec = Spec {
    name: "ansible.builtin.pip",
    aliases: &[],
    params: &[
        Param::list("name"),
        Param::str("version"),
        Param::str("requirements"),
        Param::str("state").default("present").choices(&["present", "absent", "latest", "forcereinstall"]),
        Param::path("virtualenv"),
        Param::bool("virtualenv_site_packages").default("false"),
        Param::path("virtualenv_command").default("virtualenv"),
        Param::str("virtualenv_python"),
        Param::str("extra_args"),
        Param::bool("editable").default("false"),
        Param::path("chdir"),
        Param::path("executable"),
        Param::str("umask"),
        Param::bool("break_system_packages").default("false"),
    ],
    free_form: FreeForm::None,
};

/// In check mode: what is installed, unless the virtualenv is missing.
pub enum State {
    NotAsked,
    NoVirtualenv,
    Installed { command: String, stdout: String, stderr: String },
}

impl Module for Pip {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        packages(args)?;
        if !context.check_mode() || is_foretold(args) {
            return Ok(None);
        }
        let text = format!(
            "{}if [ -n \"$env\" ] && [ ! -e \"$env/bin/activate\" ]; then say none; exit 0; fi\n{FIND_PIP}\
             list || no \"$(cat \"$x/out\" \"$x/err\")\"\nsay installed; say \"$listed\"; cat \"$x/out\"; say ''; cat \"$x/err\"; say ''\n",
            prelude(args)?
        );
        Ok(Some(Script::new(text)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        if output.success() && output.stdout.is_empty() {
            return Ok(State::NotAsked);
        }
        let mut fields = Fields::of("ask pip for what is installed", output)?;
        match fields.text()?.as_str() {
            "none" => Ok(State::NoVirtualenv),
            "no" => Err(Failure::new(fields.text()?)),
            _ => Ok(State::Installed { command: fields.text()?, stdout: fields.text()?, stderr: fields.text()? }),
        }
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let packages = packages(args)?;
        if context.check_mode() {
            let outcome = match state {
                State::NotAsked | State::NoVirtualenv => Outcome::changed(),
                State::Installed { command, stdout, stderr } => {
                    let is_present = |package: &String| stdout.lines().any(|line| satisfies(line, package));
                    let wants = args.str("state") != Some("absent");
                    let changed = packages.iter().any(|package| is_present(package) != wants);
                    Outcome { changed, ..Outcome::default() }.with("cmd", command).with("stdout", stdout).with("stderr", stderr)
                }
            };
            return Ok(if outcome.changed { Change::new(outcome, Script::default()).into() } else { outcome.into() });
        }
        let script = script(args, &packages)?;
        let args = args.clone();
        Ok(Change::new(Outcome::changed(), script).finish(move |output, _| finish(&args, output)).into())
    }
}

/// Whether check mode says `changed` without asking the host.
fn is_foretold(args: &Args) -> bool {
    args.has("extra_args") || args.has("requirements") || args.str("state") == Some("latest")
}

/// The packages as pip gets them, with `version`; and whether all arguments go together.
fn packages(args: &Args) -> Result<Vec<String>, Failure> {
    for (one, other) in [("name", "requirements"), ("executable", "virtualenv"), ("editable", "requirements")] {
        let is_given = |name| args.bool(name).unwrap_or(args.has(name));
        if is_given(one) && is_given(other) {
            return Err(Failure::argument(other, format!("parameters are mutually exclusive: {one}|{other}")));
        }
    }
    let version = args.str("version");
    if version.is_some() && args.str("state") == Some("latest") {
        return Err(Failure::argument("version", "version is incompatible with state=latest"));
    }
    if args.str("umask").is_some_and(|mask| !u32::from_str_radix(mask, 8).is_ok_and(|mask| mask <= 0o777)) {
        return Err(Failure::argument("umask", "umask must be an octal integer"));
    }
    let Some(names) = args.list("name") else {
        return if args.has("requirements") {
            Ok(Vec::new())
        } else {
            Err(Failure::new("one of the following is required: name, requirements"))
        };
    };
    let mut packages = whole_names(&names);
    if let Some(version) = version {
        if packages.len() > 1 {
            return Err(Failure::argument(
                "version",
                "'version' argument is ambiguous when installing multiple package distributions. \
                 Please specify version restrictions next to each package in 'name' argument.",
            ));
        }
        for package in &mut packages {
            if split(package).is_some_and(|(_, specifiers)| !specifiers.is_empty()) {
                return Err(Failure::argument(
                    "version",
                    "The 'version' argument conflicts with any version specifier provided along with a package name. \
                     Please keep the version specifier, but remove the 'version' argument.",
                ));
            }
            let equals = if version.trim_start().starts_with(|c: char| c.is_ascii_digit()) { "==" } else { "" };
            *package = format!("{package}{equals}{}", version.trim());
        }
    }
    Ok(packages)
}

/// Names that a comma cut in pieces (`a>1,<2`) are put together again.
fn whole_names(names: &[String]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    let mut in_brackets = false;
    for piece in names.iter().flat_map(|name| name.split(',')) {
        let goes_on = in_brackets || piece.trim_start().starts_with(['<', '>', '=', '!', '~']);
        in_brackets = (in_brackets || piece.contains('[')) && !piece.contains(']');
        match whole.last_mut().filter(|_| goes_on) {
            Some(last) => *last = format!("{last},{piece}"),
            None => whole.push(piece.to_owned()),
        }
    }
    whole
}

/// `name[extra]>=1,<2` as its name and its versions; `None` for addresses and paths.
fn split(package: &str) -> Option<(String, String)> {
    let package = package.split(';').next().unwrap_or(package).trim();
    let end = package.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(package.len());
    let (name, rest) = package.split_at(end);
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1,
        None => rest,
    };
    let rest = rest.trim().trim_start_matches('(').trim_end_matches(')');
    let is_name = !name.is_empty() && (rest.is_empty() || rest.starts_with(['<', '>', '=', '!', '~']));
    is_name.then(|| (canonical(name), rest.to_owned()))
}

fn canonical(name: &str) -> String {
    name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-").to_lowercase()
}

/// Whether a line of `pip list --format=freeze` is what is asked for.
fn satisfies(line: &str, package: &str) -> bool {
    let (Some((name, version)), Some((wanted, specifiers))) = (line.trim().split_once("=="), split(package)) else { return false };
    let is_right = || match (Version::from_str(version), VersionSpecifiers::from_str(&specifiers)) {
        (Ok(version), Ok(specifiers)) => specifiers.contains(&version),
        _ => false,
    };
    canonical(name) == wanted && (specifiers.is_empty() || is_right())
}

/// Variables and functions of both scripts. pip says what it does in the language of the user: it is asked in ours.
fn prelude(args: &Args) -> Result<String, Failure> {
    let path = |name: &str| args.str(name).map_or_else(|| "''".to_owned(), words::on_host);
    let umask = args.str("umask").map_or_else(|| "\"$m\"".to_owned(), |mask| quote(mask).into_owned());
    Ok(format!(
        "{FUNCTIONS}m=$(umask)\n{CLEANING}x=$(mktemp -d) || exit 1\numask {umask}\nno() {{ say no; say \"$1\"; exit 0; }}\n\
         folder={} env={} executable={}\n\
         if [ -n \"$env\" ] && [ -n \"$folder\" ]; then case $env in /*) ;; *) env=${{folder%/}}/$env ;; esac; fi\n\
         cd -- \"${{folder:-${{TMPDIR:-/tmp}}}}\" || exit 1\nLC_ALL=C.UTF-8; export LC_ALL\n{}",
        args.str("chdir").map_or_else(|| "''".to_owned(), words::directory_on_host),
        path("virtualenv"),
        path("executable"),
        if args.is("break_system_packages") { "PIP_BREAK_SYSTEM_PACKAGES=1; export PIP_BREAK_SYSTEM_PACKAGES\n" } else { "" }
    ))
}

/// `pip WORDS` runs it, with its output in files.
const FIND_PIP: &str = r#"run() { "$@" > "$x/out" 2> "$x/err" < /dev/null; }
if [ -n "$env" ]; then
  PATH=$env/bin:$PATH
  if [ -x "$env/bin/pip3" ]; then set -- "$env/bin/pip3"
  elif [ -x "$env/bin/pip" ]; then set -- "$env/bin/pip"
  else no "Unable to find pip in the virtualenv, $env, under any of these names: pip3, pip. Make sure pip is present in the virtualenv."; fi
elif [ -n "$executable" ]; then
  case $executable in
  /*) set -- "$executable" ;;
  *) p=$(command -v "$executable") || no "Unable to find any of $executable to use.  pip needs to be installed."; set -- "$p" ;;
  esac
elif p=$(command -v python3) && run "$p" -m pip --version; then set -- "$p" -m pip
elif p=$(command -v pip3); then set -- "$p"
else no 'Unable to find any of pip3 to use.  pip needs to be installed.'; fi
one=$1 two=$2 three=$3
pip() { if [ -n "$two" ]; then set -- "$two" "$three" "$@"; fi; cmd_of "$one" "$@"; run "$one" "$@"; }
cmd_of() { n_words=$#; printf '%s\0' "$@" > "$x/words"; }
list() { if pip list --format=freeze; then listed="$one${two:+ $two $three} list --format=freeze"; else listed="$one${two:+ $two $three} freeze"; pip freeze; fi; }
"#;

fn script(args: &Args, packages: &[String]) -> Result<Script, Failure> {
    let mut text = prelude(args)?;
    text += "made='' out='' err=''\n";
    if args.has("virtualenv") {
        text += &make_virtualenv(args)?;
    }
    text += FIND_PIP;
    let mut call: Vec<String> = match args.required("state")? {
        "absent" => vec!["uninstall".into(), "-y".into()],
        "latest" => vec!["install".into(), "-U".into()],
        "forcereinstall" => vec!["install".into(), "-U".into(), "--force-reinstall".into()],
        _ => vec!["install".into()],
    };
    let extra = words::split(args.str("extra_args").unwrap_or_default());
    call.extend(extra.map_err(|why| Failure::argument("extra_args", format!("cannot split `extra_args` into words: {why}")))?);
    for package in packages {
        call.extend(args.is("editable").then(|| "-e".to_owned()));
        call.push(package.clone());
    }
    if let Some(file) = args.str("requirements") {
        call.extend(["-r".to_owned(), file.to_owned()]);
    }
    let is_vcs = |package: &String| ["svn+", "git+", "hg+", "bzr+"].iter().any(|scheme| package.starts_with(scheme));
    // What pip says of these does not tell whether something changed.
    let compares = args.has("requirements") || packages.iter().any(is_vcs);
    if compares {
        text += "list || no \"$(cat \"$x/out\" \"$x/err\")\"\ncp \"$x/out\" \"$x/before\"\n";
    }
    text += &format!("pip {}\nr=$?\n", quote_all(&call));
    text += "say ran; say \"$r\"; say \"$made\"; say \"$env\"; say \"$n_words\"; cat \"$x/words\"\n\
             printf '%s' \"$out\"; cat \"$x/out\"; say ''; printf '%s' \"$err\"; cat \"$x/err\"; say ''\n";
    if compares {
        text += "if [ $r -eq 0 ]; then list; if cmp -s \"$x/before\" \"$x/out\"; then say same; else say differs; fi; else say same; fi\n";
    }
    Ok(Script::new(text))
}

fn make_virtualenv(args: &Args) -> Result<String, Failure> {
    let command = words::split(args.required("virtualenv_command")?);
    let command = command.map_err(|why| Failure::argument("virtualenv_command", format!("cannot split it into words: {why}")))?;
    let Some((program, rest)) = command.split_first() else {
        return Err(Failure::argument("virtualenv_command", "virtualenv_command is empty"));
    };
    let is_venv = program == "pyvenv" || rest.windows(2).any(|pair| pair == ["-m", "venv"]) || rest.iter().any(|word| word == "-mvenv");
    let python = args.str("virtualenv_python");
    if is_venv && python.is_some() {
        let message = "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command";
        return Err(Failure::argument("virtualenv_python", message));
    }
    let mut text = format!("if [ ! -e \"$env/bin/activate\" ]; then\nv={}\n", words::on_host(program));
    text += "case $v in */*) ;; *) v=$(command -v \"$v\") || no \"Failed to find required executable \\\"";
    text += &program.replace(['"', '\\', '$', '`'], "_");
    text += "\\\" in paths: $PATH\" ;; esac\n";
    text += &format!("set -- \"$v\" {}\n", quote_all(rest));
    text += if args.is("virtualenv_site_packages") {
        "set -- \"$@\" --system-site-packages\n"
    } else {
        "case $(\"$v\" --help 2> /dev/null) in *--no-site-packages*) set -- \"$@\" --no-site-packages ;; esac\n"
    };
    match python {
        Some(python) => text += &format!("set -- \"$@\" {}\n", quote(&format!("-p{python}"))),
        None if is_venv => {}
        None => text += "p=$(command -v python3) && set -- \"$@\" \"-p$p\"\n",
    }
    text += "set -- \"$@\" \"$env\"\nif ! \"$@\" > \"$x/out\" 2> \"$x/err\" < /dev/null; then\n\
             say ran; say 1; say ''; say \"$env\"; say $#; printf '%s\\0' \"$@\"; say \"$(cat \"$x/out\")\"; say \"$(cat \"$x/err\")\"; exit 0\nfi\n\
             made=1\nout=$(cat \"$x/out\"; echo .); out=${out%.}; err=$(cat \"$x/err\"; echo .); err=${err%.}\nfi\n";
    Ok(text)
}

fn finish(args: &Args, output: &Output) -> Result<Outcome, Failure> {
    let mut fields = Fields::of("run pip", output)?;
    if fields.text()? == "no" {
        return Err(Failure::new(fields.text()?));
    }
    let status = fields.number()?.unwrap_or(1);
    let made = !fields.text()?.is_empty();
    let virtualenv = fields.text()?;
    let n_words = fields.number()?.unwrap_or(0);
    let command: Vec<String> = (0..n_words).map(|_| fields.text()).collect::<Result<_, _>>()?;
    let (stdout, stderr) = (fields.text()?, fields.text()?);
    let is_absent = args.str("state") == Some("absent");
    let was_absent = is_absent && status == 1 && (stdout.contains("not installed") || stderr.contains("not installed"));
    if status != 0 && !was_absent {
        let mut message = String::new();
        if !stdout.is_empty() {
            message += &format!("stdout: {stdout}");
        }
        if !stderr.is_empty() {
            message += &format!("\n:stderr: {stderr}");
        }
        return Err(Failure::new(message).with("cmd", command));
    }
    let said = if is_absent { "Successfully uninstalled" } else { "Successfully installed" };
    let differs = if fields.is_empty() || is_absent { stdout.contains(said) } else { fields.text()? == "differs" };
    let given = |name: &str| args.get(name).cloned().unwrap_or(Json::Null);
    Ok(Outcome { changed: differs || made, ..Outcome::default() }
        .with("cmd", command)
        .with("name", given("name"))
        .with("version", given("version"))
        .with("state", given("state"))
        .with("requirements", given("requirements"))
        .with("virtualenv", if virtualenv.is_empty() { Json::Null } else { virtualenv.into() })
        .with("stdout", stdout)
        .with("stderr", stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        let whole = |names: &[&str]| whole_names(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(whole(&["a>1", "<2", "b[x,y]", "c"]), ["a>1,<2", "b[x,y]", "c"]);
        assert_eq!(split("Foo_Bar[x] >=1.0,<2 ; python_version > '3'"), Some(("foo-bar".into(), ">=1.0,<2".into())));
        assert_eq!(split("git+https://x/y"), None);
        assert_eq!(split("./a/b.whl"), None);
        for (line, package, is) in [
            ("Jinja2==3.1.6", "jinja2", true),
            ("jinja2==3.1.6", "jinja2>=3.1,<4", true),
            ("jinja2==3.1.6", "jinja2==3.1", false),
            ("ruamel.yaml==0.18.6", "ruamel_yaml~=0.18.0", true),
            ("a==2.0rc1", "a>1", true),
            ("a==1", "b", false),
        ] {
            assert_eq!(satisfies(line, package), is, "{line} for {package}");
        }
    }
}
