//! Repositories of apt, one line each, in `.list` files.
//!
//! ```yaml
//! - apt_repository: { repo: "deb [signed-by=/etc/apt/keyrings/k.asc] https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /", filename: kubernetes }
//! ```
//!
//! Files are named as Ansible names them. A line that is there but commented out is switched on again. After a change the lists are refreshed
//! (`update_cache`); if that fails the files are put back. `ppa:` is not supported, so that `validate_certs` has nothing to check, and `install_python_apt` nothing to install. Returns `repo`, `sources_added`, `sources_removed`.

use super::apt::{lock, said, update};
use super::write_file::INTO_PLACE;
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};
use std::collections::BTreeMap;

/// `ansible.builtin.apt_repository`
pub struct AptRepository;

static SPEC: Spec = Spec {
    name: "ansible.builtin.apt_repository",
    aliases: &[],
    params: &[
        Param::str("repo").required(),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("filename"),
        Param::mode("mode"),
        Param::bool("update_cache").default("true").alias(&["update-cache"]),
        Param::int("update_cache_retries").default("5"),
        Param::int("update_cache_retry_max_delay").default("12"),
        Param::str("codename"),
        Param::bool("install_python_apt").default("true"),
        Param::bool("validate_certs").default("true"),
    ],
    free_form: FreeForm::None,
};

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    is_source: bool,
    is_enabled: bool,
    text: String,
    comment: String,
}

impl Line {
    fn parse(line: &str) -> Line {
        let line = line.trim();
        let (is_enabled, line) = line.strip_prefix('#').map_or((true, line), |rest| (false, rest));
        let (source, comment) = match line.find('#') {
            Some(at) if at > 0 => (&line[..at], line[at + 1..].trim()),
            _ => (line, ""),
        };
        let words: Vec<_> = source.split_whitespace().collect();
        let is_source = matches!(words.first(), Some(&"deb" | &"deb-src"));
        let text = if is_source { words.join(" ") } else { source.trim().to_owned() };
        Line { is_source, is_enabled, text, comment: comment.to_owned() }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (off, hash) = (if self.is_enabled { "" } else { "# " }, if self.comment.is_empty() { "" } else { " # " });
        writeln!(f, "{off}{}{hash}{}", self.text, self.comment)
    }
}

const MAIN: &str = "/etc/apt/sources.list";
const FOLDER: &str = "/etc/apt/sources.list.d";

impl Module for AptRepository {
    /// The lines of every file.
    type State = BTreeMap<String, Vec<Line>>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let text = format!(
            "[ -d /etc/apt ] || {{ echo 'there is no /etc/apt: apt does not manage this host' >&2; exit 2; }}\nLC_ALL=C grep -H '' {MAIN} {FOLDER}/*.list /dev/null 2>/dev/null\nexit 0\n"
        );
        Ok(Some(Script::new(text)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Self::State, Failure> {
        if !output.success() {
            return Err(Failure::script("reading the repositories", output));
        }
        let mut files: Self::State = BTreeMap::new();
        for line in output.stdout_text().lines() {
            if let Some((path, line)) = line.split_once(':') {
                files.entry(path.to_owned()).or_default().push(Line::parse(line));
            }
        }
        Ok(files)
    }

    fn decide(&self, args: &Args, before: Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        let repo = args.required("repo")?;
        if repo.trim_start().starts_with("ppa:") {
            return Err(Failure::argument("repo", "`ppa:` is not supported: name the repository's line, or use deb822_repository"));
        }
        if args.has("codename") {
            return Err(Failure::argument("codename", "`codename` is for `ppa:`, which is not supported"));
        }
        let source = Line::parse(repo);
        if !source.is_source || !source.is_enabled {
            return Err(Failure::argument("repo", format!("Invalid repository string: {repo}")));
        }
        let mut after = before.clone();
        if args.str("state") == Some("absent") {
            for lines in after.values_mut() {
                lines.retain(|line| !(line.is_source && line.is_enabled && line.text == source.text));
            }
        } else {
            add(&source, args.str("filename"), &mut after);
        }
        let changed: Vec<_> = after.iter().filter(|(path, lines)| before.get(*path) != Some(lines)).collect();
        let added: Vec<_> = changed.iter().filter(|(path, _)| !before.contains_key(*path)).map(|(path, _)| path.as_str()).collect();
        let removed: Vec<_> = changed.iter().filter(|(_, lines)| lines.is_empty()).map(|(path, _)| path.as_str()).collect();
        let mut outcome = Outcome { changed: !changed.is_empty(), ..Outcome::default() }
            .with("repo", repo)
            .with("state", args.str("state"))
            .with("sources_added", added)
            .with("sources_removed", removed);
        if changed.is_empty() {
            return Ok(outcome.into());
        }
        let whole =
            |lines: Option<&Vec<Line>>| lines.map(|lines| lines.iter().map(ToString::to_string).collect::<String>()).unwrap_or_default();
        let mut text = format!("{}{}{INTO_PLACE}{PUT}", update::ENVIRONMENT, lock::WAIT_FOR_LOCKS);
        for (path, lines) in &changed {
            let (old, new) = (whole(before.get(*path)), whole(Some(lines)));
            let mode = if before.contains_key(*path) { "" } else { args.str("mode").unwrap_or("0644") };
            text += &match lines.is_empty() {
                true => format!("save {path}\nrm -f -- {path} || undo\n", path = quote(path)),
                false => format!(
                    "save {path}\nprintf '%s' {new} | put {path} {mode} || undo\n",
                    path = quote(path),
                    new = quote(&new),
                    mode = quote(mode)
                ),
            };
            let header = |is_there: bool| if is_there { (*path).clone() } else { "/dev/null".to_owned() };
            outcome = outcome.diff(Diff {
                before_header: header(!old.is_empty()),
                after_header: header(!new.is_empty()),
                before: old,
                after: new,
                ..Diff::default()
            });
        }
        if args.is("update_cache") {
            let number = |name: &str, default| args.int(name).unwrap_or(default);
            text += update::UPDATE_LISTS;
            text += &format!(
                "(update_lists {} {} 600) || undo\n",
                number("update_cache_retries", 5),
                number("update_cache_retry_max_delay", 12)
            );
        }
        text += "rm -rf -- \"$saved\"\n";
        let finish = |output: &Output, outcome: Outcome| {
            if output.success() {
                return Ok(outcome);
            }
            let why = said::errors(&output.stderr_text());
            match update::read(&output.stdout_text()) {
                update::Updated::Failed { tries } => Err(Failure::new(format!("Failed to update apt cache after {tries} tries: {why}"))),
                _ => Err(Failure::new(why).with("rc", output.status)),
            }
        };
        Ok(Change::new(outcome, Script::new(text)).finish(finish).into())
    }
}

/// Switches the line on wherever it is; else it goes into a file of its own.
fn add(source: &Line, filename: Option<&str>, files: &mut BTreeMap<String, Vec<Line>>) {
    let mut is_there = false;
    for line in files.values_mut().flatten().filter(|line| line.is_source && line.text == source.text) {
        line.is_enabled = true;
        is_there = true;
    }
    if !is_there {
        let name = format!("{}.list", filename.map_or_else(|| suggest(&source.text), str::to_owned));
        let path = if name.contains('/') { name } else { format!("{FOLDER}/{name}") };
        files.entry(path).or_default().push(Line { comment: String::new(), ..source.clone() });
    }
}

/// The address, without options, protocol and password, and with `_` for what is no letter or digit.
fn suggest(source: &str) -> String {
    let mut plain = String::new();
    let mut rest = source;
    while let Some((before, (_, after))) = rest.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?))) {
        plain += before;
        rest = after;
    }
    plain += rest;
    let address = plain.split_whitespace().find(|word| !matches!(*word, "deb" | "deb-src")).unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split_once('@').map_or(address, |(_, rest)| rest);
    address.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

/// A link's target is what is written; a file that is there keeps its owner and mode.
const PUT: &str = r#"saved=$(mktemp -d) || exit 1
list=$saved/list; : >"$list"; count=0
save() {
  count=$((count + 1)); printf '%s\n' "$1" >>"$list"
  [ ! -e "$1" ] || cp -p -- "$1" "$saved/$count" || exit 1
}
undo() {
  status=$?; count=0
  while IFS= read -r path; do
    count=$((count + 1))
    if [ -e "$saved/$count" ]; then
      path=$(readlink -f -- "$path") && new=$(mktemp "${path%/*}/.nodewright.XXXXXX") && cp -p -- "$saved/$count" "$new" && into_place "$new" "$path"
    else rm -f -- "$path"; fi
  done <"$list"
  rm -rf -- "$saved"
  exit "$status"
}
put() {
  path=$1; [ ! -L "$path" ] || path=$(readlink -f -- "$path") || return 1
  sweep "${path%/*}/"
  mkdir -p -- "${path%/*}" && new=$(mktemp "${path%/*}/.nodewright.XXXXXX") || return 1
  if [ -e "$path" ]; then cp -p -- "$path" "$new"; else chmod "${2:-0644}" "$new"; fi &&
  cat >"$new" && into_place "$new" "$path" || { rm -f -- "$new"; return 1; }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, apply_of, decide};
    use serde_json::json;

    const PROBE: &str = "/etc/apt/sources.list:deb http://deb.debian.org/debian bookworm main\n/etc/apt/sources.list.d/crio.list:#  deb  http://c.example/ / # old\n/etc/apt/sources.list.d/crio.list:# why\n";

    fn diffs(given: serde_json::Value) -> Vec<(String, String)> {
        match decide(&AptRepository, given, PROBE, &Controller::default()).unwrap_or_else(|failure| panic!("{failure}")) {
            Decision::Unchanged(_) => Vec::new(),
            change => apply_of(change).0.diff.into_iter().map(|diff| (diff.after_header, diff.after)).collect(),
        }
    }

    #[test]
    fn names_files_as_ansible_does() {
        for (source, name) in [
            ("deb [signed-by=/etc/apt/k.asc] https://pkgs.k8s.io/core:/stable:/v1.29/deb/ /", "pkgs_k8s_io_core_stable_v1_29_deb"),
            ("deb-src http://user:secret@archive.example/ubuntu jammy main", "archive_example_ubuntu"),
        ] {
            assert_eq!(suggest(source), name);
        }
    }

    #[test]
    fn adds_switches_on_and_removes() {
        assert!(diffs(json!({"repo": "deb  http://deb.debian.org/debian   bookworm main"})).is_empty());
        let line = "deb https://a.example/x stable main";
        assert_eq!(diffs(json!({"repo": line})), [("/etc/apt/sources.list.d/a_example_x.list".to_owned(), format!("{line}\n"))]);
        assert_eq!(diffs(json!({"repo": line, "filename": "x"})), [("/etc/apt/sources.list.d/x.list".to_owned(), format!("{line}\n"))]);
        assert_eq!(
            diffs(json!({"repo": "deb http://c.example/ /"})),
            [("/etc/apt/sources.list.d/crio.list".to_owned(), "deb http://c.example/ / # old\n# why\n".to_owned())]
        );
        assert_eq!(
            diffs(json!({"repo": "deb http://deb.debian.org/debian bookworm main", "state": "absent"})),
            [("/dev/null".to_owned(), String::new())]
        );
        assert!(diffs(json!({"repo": line, "state": "absent"})).is_empty());
    }

    #[test]
    fn refuses_what_is_no_line_of_a_repository() {
        let refused =
            |repo: &str| decide(&AptRepository, json!({"repo": repo}), PROBE, &Controller::default()).map(|_| ()).unwrap_err().message;
        assert_eq!(refused("http://a.example/x stable main"), "Invalid repository string: http://a.example/x stable main");
        assert!(refused("ppa:a/b").starts_with("`ppa:` is not supported"));
    }
}
