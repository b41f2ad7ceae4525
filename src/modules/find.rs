//! Lists files of the host.
//!
//! ```yaml
//! - find: {paths: /etc/cni/net.d, patterns: "*.conf,*.conflist"}
//!   register: stray           # stray.files | map(attribute='path')
//! ```
//!
//! Returns `files` (with what `stat` says of each, and `checksum` if asked), `matched`, `examined`, `skipped_paths`, `msg`.

use super::attributes;
use super::edit;
use super::look::{Entry, FUNCTIONS, Fields, STAT_FORMAT, cut_short, read_list};
use super::stat::describe;
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::fnmatch;
use crate::python::regex::{Flags, Pattern};
use crate::sh::{Output, Script, quote, words};
use base64::Engine;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

pub struct Find;

static SPEC: Spec = Spec {
    name: "ansible.builtin.find",
    aliases: &[],
    params: &[
        Param::list("paths").required().alias(&["name", "path"]),
        Param::list("patterns").alias(&["pattern"]),
        Param::list("excludes").alias(&["exclude"]),
        Param::bool("use_regex").default("false"),
        Param::str("file_type").default("file").choices(&["any", "directory", "file", "link"]),
        Param::bool("recurse").default("false"),
        Param::int("depth"),
        Param::bool("hidden").default("false"),
        Param::bool("follow").default("false"),
        Param::str("age"),
        Param::str("age_stamp").default("mtime").choices(&["atime", "ctime", "mtime"]),
        Param::str("size"),
        Param::str("contains"),
        Param::bool("read_whole_file").default("false"),
        Param::str("encoding"),
        Param::str("mode"),
        Param::bool("exact_mode").default("true"),
        Param::bool("get_checksum").default("false"),
        Param::str("checksum_algorithm")
            .default("sha1")
            .alias(&["checksum", "checksum_algo"])
            .choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]),
        Param::int("limit"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    /// The host's clock.
    now: i64,
    roots: Vec<Root>,
    /// SHA-1 or whatever was asked for, by path.
    checksums: HashMap<String, String>,
    contents: HashMap<String, String>,
}

struct Root {
    path: String,
    is_directory: bool,
    items: Vec<(String, Entry)>,
    /// What could not be looked at, and why.
    skipped: Vec<(String, String)>,
}

impl Module for Find {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let follow = if args.is("follow") { "-L " } else { "" };
        let depth = match (args.is("recurse"), args.int("depth")) {
            (false, _) => "-maxdepth 1 ".to_owned(),
            // As Ansible, which counts what is one level further down before it leaves it.
            (true, Some(depth)) if depth > 0 => format!("-maxdepth {} ", depth.saturating_add(1)),
            (true, _) => String::new(),
        };
        let mut text = format!("{FUNCTIONS}say \"$(date +%s)\"\n");
        let extra = if args.is("get_checksum") {
            let command = format!(
                "for f do s=$({}sum < \"$f\" 2>/dev/null) || continue; printf '%s\\0%s\\0' \"$f\" \"${{s%% *}}\"; done",
                args.required("checksum_algorithm")?
            );
            format!("find {follow}\"$p\" {depth}-type f -exec sh -c {} sh {{}} +\n", quote(&command))
        } else {
            String::new()
        };
        let content = if args.has("contains") {
            let read = match edit::encoding(args)? {
                None => "s=$(base64 < \"$f\" 2>/dev/null) || continue".to_owned(),
                Some(encoding) => {
                    let read = format!("iconv -f {encoding} -t UTF-8 -- \"$f\" 2>/dev/null");
                    format!(
                        "if ! iconv -f {encoding} -t UTF-8 < /dev/null > /dev/null 2>&1; then s='?'; elif {read} > /dev/null; then s=$({read} | base64); else s=!; fi"
                    )
                }
            };
            let command = format!("for f do {read}; printf '%s\\0%s\\0' \"$f\" \"$s\"; done");
            format!("find {follow}\"$p\" {depth}-type f -exec sh -c {} sh {{}} +\n", quote(&command))
        } else {
            String::new()
        };
        // One slash between names and none at the end: the list tells names apart by that.
        text.push_str(&format!(
            "root() (\n\
             \x20 p=$1; while :; do case $p in *//*) p=${{p%%//*}}/${{p#*//}} ;; ?*/) p=${{p%/}} ;; *) break ;; esac; done\n\
             \x20 case $p in /*) cd / ;; esac\n\
             \x20 say \"$p\"\n\
             \x20 if [ -d \"$p\" ]; then say 1; else say ''; exit 0; fi\n\
             \x20 {{ e=$(LC_ALL=C find {follow}\"$p\" {depth}-exec stat {follow}-c '//{STAT_FORMAT}//%n' -- {{}} + 2>&1 >&3); }} 3>&1\n\
             \x20 say ''\n\
             \x20 say \"$e\"\n\
             \x20 {extra}\x20 say ''\n\
             \x20 {content}\x20 say ''\n\
             )\n"
        ));
        for path in args.list("paths").unwrap_or_default() {
            text.push_str(&format!("root {}\n", words::on_host(&path)));
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of("find files", output)?;
        let now = fields.text()?.trim().parse().map_err(|_| Failure::new("the host does not know what time it is"))?;
        let mut state = State { now, roots: Vec::new(), checksums: HashMap::new(), contents: HashMap::new() };
        while !fields.is_empty() {
            let path = fields.text()?;
            if fields.text()?.is_empty() {
                state.roots.push(Root { path, is_directory: false, items: Vec::new(), skipped: Vec::new() });
                continue;
            }
            let entry = |(said, path): (&str, &str)| Some((path.to_owned(), Entry::parse(said)?));
            let listed = fields.text()?;
            let mut items: Vec<_> =
                read_list(&listed)?.into_iter().map(|item| entry(item).ok_or_else(cut_short)).collect::<Result<_, Failure>>()?;
            items.sort_by(|one, other| one.0.cmp(&other.0));
            let skipped = read_complaints(&path, &fields.text()?)?;
            state.roots.push(Root { path, is_directory: true, items, skipped });
            for map in [&mut state.checksums, &mut state.contents] {
                loop {
                    let name = fields.text()?;
                    if name.is_empty() {
                        break;
                    }
                    map.insert(name, fields.text()?);
                }
            }
        }
        if !args.has("contains") {
            state.contents.clear();
        }
        Ok(state)
    }

    fn decide(&self, args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        let filter = Filter::of(args)?;
        if let Some(limit) = args.int("limit").filter(|limit| *limit <= 0) {
            return Err(Failure::argument("limit", format!("limit cannot be {limit} (use None for unlimited)")));
        }
        let limit = args.int("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let mut files: Vec<Json> = Vec::new();
        let mut skipped = Map::new();
        let mut warnings = Vec::new();
        let mut n_examined = 0;
        for root in &state.roots {
            if !root.is_directory {
                skipped.insert(root.path.clone(), format!("'{}' is not a directory", root.path).into());
                continue;
            }
            skipped.extend(root.skipped.iter().map(|(path, why)| (path.clone(), why.as_str().into())));
            for (path, entry) in root.items.iter().filter(|(path, _)| *path != root.path) {
                n_examined += 1;
                let below = path.strip_prefix(root.path.as_str());
                let below = below.ok_or_else(|| Failure::new(format!("the host lists {path}, which is not below {}", root.path)))?;
                let depth = below.matches('/').count() + usize::from(root.path == "/");
                let is_too_deep = args.is("recurse") && args.int("depth").is_some_and(|most| most > 0 && depth as i64 > most);
                if files.len() >= limit || is_too_deep {
                    continue;
                }
                match filter.takes(path, entry, &state)? {
                    Taken::Yes => {}
                    Taken::No => continue,
                    // As Ansible, which gives up the whole place.
                    other => {
                        let encoding = args.str("encoding").unwrap_or("utf-8 (Python default)");
                        let why = match other {
                            Taken::UnknownEncoding => format!("unknown encoding: {encoding}"),
                            _ => format!("Failed to decode the file '{path}' with encoding: {encoding}"),
                        };
                        warnings.push(format!("Skipped '{}' path due to this access issue: {why}", root.path));
                        skipped.insert(root.path.clone(), why.into());
                        break;
                    }
                }
                let mut file = describe(entry);
                file.insert("path".into(), path.as_str().into());
                if let Some(checksum) = state.checksums.get(path) {
                    file.insert("checksum".into(), checksum.as_str().into());
                }
                files.push(file.into());
            }
        }
        let msg = if skipped.is_empty() { "All paths examined" } else { "Not all paths examined, check warnings for details" };
        let outcome = Outcome { warnings, ..Outcome::default() }
            .with("matched", files.len())
            .with("files", files)
            .with("examined", n_examined)
            .with("skipped_paths", skipped)
            .with("msg", msg);
        Ok(outcome.into())
    }
}

/// What a file has to be like.
struct Filter<'a> {
    kind: &'a str,
    patterns: Vec<Name>,
    excludes: Vec<Name>,
    hidden: bool,
    age: Option<i64>,
    stamp: &'a str,
    size: Option<i64>,
    contains: Option<Pattern>,
    /// The pattern is looked for in the whole text, not at the start of a line.
    in_whole: bool,
    mode: Option<u32>,
    exact_mode: bool,
}

/// Whether a file is one of those that are looked for.
#[derive(PartialEq)]
enum Taken {
    Yes,
    No,
    /// What it contains was asked, and it is no text.
    Undecodable,
    UnknownEncoding,
}

/// What a file may be called.
enum Name {
    Glob(String),
    Regex(Pattern),
}

impl<'a> Filter<'a> {
    fn of(args: &'a Args) -> Result<Filter<'a>, Failure> {
        let patterns = |name: &str| -> Result<Vec<Name>, Failure> {
            let list = args.list(name).unwrap_or_default().into_iter();
            if !args.is("use_regex") {
                return Ok(list.map(Name::Glob).collect());
            }
            list.map(|text| at_start(name, &text).map(Name::Regex)).collect()
        };
        let amount = |name: &str, units: &[(char, i64)]| args.str(name).map(|text| amount(name, text, units)).transpose();
        const KIB: i64 = 1024;
        let in_whole = args.is("read_whole_file");
        let contains = |text| if in_whole { edit::pattern("contains", text) } else { at_start("contains", text) };
        let contains = args.str("contains").map(contains).transpose()?;
        let mode = args.str("mode").filter(|mode| !mode.is_empty()).map(attributes::mode_of_nothing).transpose()?;
        Ok(Filter {
            kind: args.required("file_type")?,
            patterns: patterns("patterns")?,
            excludes: patterns("excludes")?,
            hidden: args.is("hidden"),
            age: amount("age", &[('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604_800)])?,
            stamp: args.required("age_stamp")?,
            size: amount("size", &[('b', 1), ('k', KIB), ('m', KIB.pow(2)), ('g', KIB.pow(3)), ('t', KIB.pow(4))])?,
            contains,
            in_whole,
            mode,
            exact_mode: args.is("exact_mode"),
        })
    }

    fn takes(&self, path: &str, entry: &Entry, state: &State) -> Result<Taken, Failure> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_kind = match self.kind {
            "directory" => entry.is_dir(),
            "file" => entry.is_file(),
            "link" => entry.is_link(),
            _ => true,
        };
        if !is_kind || (name.starts_with('.') && !self.hidden) {
            return Ok(Taken::No);
        }
        let any = |patterns: &[Name]| -> Result<bool, Failure> {
            for pattern in patterns {
                let matches = match pattern {
                    Name::Glob(pattern) => fnmatch::matches(pattern, name),
                    Name::Regex(pattern) => pattern.is_found(name)?,
                };
                if matches {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if (!self.patterns.is_empty() && !any(&self.patterns)?) || any(&self.excludes)? {
            return Ok(Taken::No);
        }
        let time = match self.stamp {
            "atime" => entry.atime,
            "ctime" => entry.ctime,
            _ => entry.mtime,
        };
        let within =
            |asked: Option<i64>, is: i64| asked.is_none_or(|asked| if asked >= 0 { is >= asked } else { is <= asked.saturating_neg() });
        if !within(self.age, state.now.saturating_sub(time.seconds)) || !within(self.size, i64::try_from(entry.size).unwrap_or(i64::MAX)) {
            return Ok(Taken::No);
        }
        let has_mode = |mode| if self.exact_mode { entry.mode() == mode } else { entry.mode() & mode != 0 };
        if !self.mode.is_none_or(has_mode) {
            return Ok(Taken::No);
        }
        let Some(contains) = self.contains.as_ref().filter(|_| self.kind == "file") else {
            return Ok(Taken::Yes);
        };
        let encoded: String = state.contents.get(path).map(|text| text.split_whitespace().collect()).unwrap_or_default();
        match encoded.as_str() {
            "!" => return Ok(Taken::Undecodable),
            "?" => return Ok(Taken::UnknownEncoding),
            _ => {}
        }
        let content = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|err| Failure::new(format!("the host sent {path} damaged: {err}")))?;
        let Ok(content) = String::from_utf8(content) else {
            return Ok(Taken::Undecodable);
        };
        let mut parts: Box<dyn Iterator<Item = &str>> =
            if self.in_whole { Box::new(std::iter::once(content.as_str())) } else { Box::new(content.split_inclusive('\n')) };
        let found = parts.try_fold(false, |found, part| if found { Ok(true) } else { contains.is_found(part) })?;
        Ok(if found { Taken::Yes } else { Taken::No })
    }
}

fn at_start(argument: &str, pattern: &str) -> Result<Pattern, Failure> {
    Pattern::at_start(pattern, Flags::default()).map_err(|err| Failure::from(err).of_argument(argument))
}

/// `1w`, `-2k`, `3`: a number with the unit that its last letter names.
fn amount(name: &str, text: &str, units: &[(char, i64)]) -> Result<i64, Failure> {
    let bad = || {
        Failure::argument(
            name,
            format!(
                "`{name}` must be a number, with one of the units {}; not `{text}`",
                units.iter().map(|(unit, _)| unit).collect::<String>()
            ),
        )
    };
    let text_lower = text.trim().to_lowercase();
    let unit = units.iter().find(|(unit, _)| text_lower.ends_with(*unit));
    let digits = unit.map_or(text_lower.as_str(), |(unit, _)| text_lower.trim_end_matches(*unit));
    let number: i64 = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit.map_or(1, |(_, factor)| *factor)).ok_or_else(bad)
}

/// What `find` and `stat` complained of: a place that could not be looked at is skipped, a name that went away meanwhile is nothing. Anything
/// else means that the list cannot be relied on.
fn read_complaints(root: &str, said: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut skipped = Vec::new();
    for line in said.lines().filter(|line| !line.ends_with("No such file or directory")) {
        let complaint = line.rsplit_once(": ").and_then(|(place, why)| Some((place.get(place.find(root)?..)?, why)));
        match complaint {
            Some((place, why)) => skipped.push((place.trim_end_matches('\'').to_owned(), why.to_owned())),
            None => return Err(Failure::new(format!("find files in {root}: {line}"))),
        }
    }
    Ok(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_allowed_is_not_the_same_as_empty() {
        let said = "find: '/a/b': Permission denied\nfind: /a/c: Too many levels of symbolic links\nstat: cannot stat '/a/x': No such file or directory\n";
        let skipped = read_complaints("/a", said).expect("nothing but what is skipped");
        assert_eq!(skipped.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/a/b", "/a/c"]);
        assert!(read_complaints("/a", "sh: find: not found\n").is_err());
    }

    #[test]
    fn reads_amounts() {
        let size = |text: &str| amount("size", text, &[('b', 1), ('k', 1024)]).ok();
        assert_eq!((size("-2k"), size("3"), size("7b"), size("x")), (Some(-2048), Some(3), Some(7), None));
    }
}
