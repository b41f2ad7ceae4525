//! Makes a path a directory, a link, absent, or gives it its attributes.
//!
//! ```yaml
//! - file: {path: /etc/kubernetes/pki, state: directory, mode: "0700", owner: root}
//! ```
//!
//! Returns `path` (`dest` for links and `touch`), `state`, `mode`, `owner`, `group`, `uid`, `gid`, `size`; `src` for links.

mod times;

use super::attributes::{Fix, Ids, Wanted};
use super::look::{Entry, FUNCTIONS, Fields, cut_short, read_list};
use super::write_file::{INTO_PLACE, diff_of_states, finish_look, fix_script};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all, words};
use serde_json::{Map, Value as Json, json};
use times::{Stamp, set_time, set_times, stamp};

pub struct File;

static SPEC: Spec = Spec {
    name: "ansible.builtin.file",
    aliases: &[],
    params: &[
        Param::path("path").required().alias(&["dest", "name"]),
        Param::str("state").choices(&["absent", "directory", "file", "hard", "link", "touch"]),
        Param::path("src"),
        Param::bool("recurse").default("false"),
        Param::bool("force").default("false"),
        Param::bool("follow").default("true"),
        Param::str("access_time"),
        Param::str("access_time_format").default("%Y%m%d%H%M.%S"),
        Param::str("modification_time"),
        Param::str("modification_time_format").default("%Y%m%d%H%M.%S"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

/// What is at the path.
pub struct State {
    path: String,
    entry: Option<Entry>,
    /// Of a link: what it says, where that leads in the end, and what is there.
    link: Option<Link>,
    ids: Ids,
    /// The link's source as a path that can be looked at, and what is there.
    source: Option<(String, Option<Entry>)>,
    /// What is in a directory, where it matters.
    children: Vec<Child>,
    /// Seconds since 1970 of the times that were asked for, by the host's clock and zone.
    access_time: Option<i64>,
    modification_time: Option<i64>,
}

struct Link {
    says: String,
    leads_to: String,
    target: Option<Entry>,
}

struct Child {
    path: String,
    mode: u32,
    uid: u32,
    gid: u32,
    is_dir: bool,
    is_link: bool,
}

const LIST_FORMAT: &str = "//%f %u %g//%n";

impl Module for File {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let wanted = Wanted::of(args)?;
        let mut text = String::from(FUNCTIONS);
        text.push_str(&format!("p={}\n", words::on_host(args.required("path")?)));
        // One slash between names and none at the end: the list below tells names apart by that.
        text.push_str("while :; do case $p in *//*) p=${p%%//*}/${p#*//} ;; ?*/) q=$p; p=${p%/}; slash=/ ;; *) break ;; esac; done\n");
        text.push_str("holds=1\nsay \"$p${slash-}\"\nlook \"$p\"\n");
        text.push_str("if [ -L \"$p\" ]; then say link; link \"$p\"; r=$(real \"$p\" && echo .) && r=${r%??}; say \"${r:-$p}\"; look \"$p\" -L; else say ''; r=$p; fi\n");
        text.push_str(&wanted.ask_ids());
        if let Some(source) = args.str("src") {
            text.push_str(&format!(
                "s={}\ncase $s in /*) a=$s ;; *) if [ -d \"$p\" ] && [ ! -L \"$p\" ]; then a=$p/$s; else case $p in */*) a=${{p%/*}}/$s ;; *) a=$s ;; esac; fi ;; esac\nsay \"$a\"\nlook \"$a\" -L\n",
                words::on_host(source)
            ));
        }
        for name in ["access_time", "modification_time"] {
            if let Some(Stamp::At(at)) = stamp(args, name)? {
                let (day, clock) = at.split_at(8);
                let day = format!("{}-{}-{} {}:{}:{}", &day[..4], &day[4..6], &day[6..8], &clock[..2], &clock[2..4], &clock[5..7]);
                text.push_str(&format!("s=$(date -d {} +%s) || exit 1\nsay \"$s\"\n", quote(&day)));
            }
        }
        text.push_str("let_go\n");
        if args.is("recurse") {
            text.push_str(&format!(
                "if [ -d \"$r\" ]; then find \"$r\" -exec stat -c '{LIST_FORMAT}' -- {{}} + || exit 1; find \"$r\" -type l -exec stat -L -c '{LIST_FORMAT}' -- {{}} + 2>/dev/null; fi\nexit 0\n"
            ));
        } else if matches!(args.str("state"), Some("absent" | "link" | "hard")) {
            text.push_str(&format!("if [ -d \"$p\" ] && [ ! -L \"$p\" ]; then find \"$p\" -exec stat -c '{LIST_FORMAT}' -- {{}} +; fi\n"));
        }
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let path = args.required("path")?;
        let mut fields = Fields::of(&format!("look at {path}"), output)?;
        let path = fields.text()?;
        let entry = fields.entry(&path)?;
        let link = if fields.text()?.is_empty() {
            None
        } else {
            let (says, leads_to) = (fields.text()?, fields.text()?);
            // Whoever may not follow a link has nothing there, as for Python.
            let target = fields.entry_of_link(&leads_to)?;
            Some(Link { says, leads_to, target })
        };
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let source = match args.str("src") {
            None => None,
            Some(_) => {
                let at = fields.text()?;
                let entry = fields.entry(&at)?;
                Some((at, entry))
            }
        };
        let mut time = |name: &str| match stamp(args, name)? {
            Some(Stamp::At(_)) => {
                let said = fields.text()?;
                said.trim().parse().map(Some).map_err(|_| Failure::argument(name, format!("the host does not know the time `{said}`")))
            }
            _ => Ok(None),
        };
        let (access_time, modification_time) = (time("access_time")?, time("modification_time")?);
        Ok(State { path, entry, link, ids, source, children: read_children(fields.rest())?, access_time, modification_time })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let word = match (args.str("state"), &state.entry) {
            (Some(word), _) => word,
            (None, _) if args.is("recurse") => "directory",
            (None, Some(entry)) if entry.is_dir() => "directory",
            (None, Some(entry)) if entry.is_link() => "link",
            (None, _) => "file",
        };
        if args.is("recurse") && word != "directory" {
            return Err(Failure::argument("recurse", "recurse option requires state to be 'directory'"));
        }
        if args.has("src") && !matches!(word, "link" | "hard") {
            return Err(Failure::argument("src", format!("src option requires state to be 'link' or 'hard', not '{word}'")));
        }
        let task = Task { args, wanted: Wanted::of(args)?, state: &state, context };
        let outcome = match word {
            "absent" => task.absent(),
            "directory" => task.directory(),
            "link" => task.link(),
            "hard" => task.hard(),
            "touch" => task.touch(),
            _ => task.file(),
        };
        outcome.map_err(|failure| {
            let mut failure = failure;
            let key = if matches!(word, "link" | "hard") { "dest" } else { "path" };
            failure.data.entry(key).or_insert_with(|| state.path.as_str().into());
            if let Some(entry) = &state.entry {
                entry.add_to(&mut failure.data);
            }
            failure
        })
    }
}

struct Task<'a> {
    args: &'a Args,
    wanted: Wanted,
    state: &'a State,
    context: &'a dyn Context,
}

impl Task<'_> {
    fn prior_state(&self) -> &'static str {
        self.state.entry.as_ref().map_or("absent", Entry::state)
    }

    /// The path that attributes are meant for, and what is there: a link's target if links are followed.
    fn followed(&self) -> (&str, Option<&Entry>) {
        match &self.state.link {
            Some(link) if self.args.is("follow") => (&link.leads_to, link.target.as_ref()),
            _ => (&self.state.path, self.state.entry.as_ref()),
        }
    }

    fn outcome(&self, changed: bool, key: &str, path: &str, entry: Option<&Entry>) -> Outcome {
        let mut outcome = Outcome { changed, ..Outcome::default() }.with(key, path);
        if let Some(entry) = entry {
            entry.add_to(&mut outcome.data);
        }
        outcome
    }

    fn with_diff(&self, outcome: Outcome, path: &str, before: Map<String, Json>, after: Map<String, Json>) -> Outcome {
        if !self.context.diff_mode() {
            return outcome;
        }
        let with_path = |mut state: Map<String, Json>| {
            state.insert("path".into(), path.into());
            state
        };
        outcome.diff(diff_of_states(with_path(before), with_path(after)))
    }

    fn change(&self, outcome: Outcome, path: &str, lines: &str, checked: Outcome) -> Decision {
        let doing = format!("change {path}");
        Change::new(outcome, fix_script(path, lines)).finish(finish_look(doing, path.to_owned())).in_check_mode(checked).into()
    }

    /// Corrects attributes of what is there.
    fn fix(&self, key: &str, path: &str, entry: &Entry) -> Result<Decision, Failure> {
        let fix = self.wanted.fix(entry, &self.state.ids)?;
        let (mut before, mut after) = (Map::new(), Map::new());
        fix.diff(entry, &mut before, &mut after);
        let lines = fix.lines("\"$p\"", false) + &self.times(Some(entry), &mut before, &mut after)?;
        let outcome = self.with_diff(self.outcome(!lines.is_empty(), key, path, Some(entry)), path, before, after);
        if lines.is_empty() {
            return Ok(outcome.into());
        }
        Ok(self.change(outcome.clone(), path, &lines, outcome))
    }

    /// Lines that set the times that were asked for, where they are others. `touch` has a way of its own.
    fn times(&self, entry: Option<&Entry>, before: &mut Map<String, Json>, after: &mut Map<String, Json>) -> Result<String, Failure> {
        let mut lines = String::new();
        let there = |time: fn(&Entry) -> super::look::Time| entry.map(time);
        for (name, which, key, asked, there) in [
            ("access_time", "-a", "atime", self.state.access_time, there(|entry| entry.atime)),
            ("modification_time", "-m", "mtime", self.state.modification_time, there(|entry| entry.mtime)),
        ] {
            let stamp = stamp(self.args, name)?.unwrap_or(Stamp::Preserve);
            let is_there = there.is_some_and(|there| asked == Some(there.seconds) && there.nanos == 0);
            if matches!(stamp, Stamp::Preserve) || is_there {
                continue;
            }
            if let Some(there) = there {
                before.insert(key.into(), there.as_f64().into());
            }
            after.insert(key.into(), asked.map_or("now".into(), |asked| (asked as f64).into()));
            lines.push_str(&set_time(which, &stamp));
        }
        Ok(lines)
    }

    /// Times of links and of whole trees are not set here: that is said, not forgotten.
    fn refuse_times(&self, what: &str) -> Result<(), Failure> {
        for name in ["access_time", "modification_time"] {
            if !matches!(stamp(self.args, name)?, None | Some(Stamp::Preserve)) {
                return Err(Failure::argument(name, format!("`{name}` is not supported for {what}")));
            }
        }
        Ok(())
    }

    fn file(&self) -> Result<Decision, Failure> {
        let (path, entry) = self.followed();
        let Some(entry) = entry else {
            return Err(Failure::new(format!("file ({path}) is absent, cannot continue")).with("state", "absent"));
        };
        if entry.is_dir() || entry.is_link() {
            return Err(Failure::new(format!("file ({path}) is {}, cannot continue", entry.state())));
        }
        self.fix("path", path, entry)
    }

    fn absent(&self) -> Result<Decision, Failure> {
        let path = &self.state.path;
        let Some(entry) = &self.state.entry else {
            return Ok(Outcome::unchanged().with("path", path.as_str()).with("state", "absent").into());
        };
        let mut before = Map::from_iter([("state".to_owned(), entry.state().into())]);
        if entry.is_dir() {
            let paths = |wants_dirs: bool| -> Vec<&str> {
                let inside = self.state.children.iter().filter(|child| child.path != path.trim_end_matches('/'));
                inside.filter(|child| child.is_dir == wants_dirs).map(|child| child.path.as_str()).collect()
            };
            before.insert("path_content".into(), json!({"directories": paths(true), "files": paths(false)}));
        }
        let after = Map::from_iter([("state".to_owned(), "absent".into())]);
        let outcome = Outcome::changed().with("path", path.as_str()).with("state", "absent");
        let checked = self.with_diff(self.outcome(true, "path", path, Some(entry)), path, before.clone(), after.clone());
        let outcome = self.with_diff(outcome, path, before, after);
        // The slash would make rm look through a link.
        let bare = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let script = Script::new(format!("rm -rf -- {}\n", quote(bare)));
        let doing = format!("remove {path}");
        let finish = move |output: &Output, outcome| if output.success() { Ok(outcome) } else { Err(Failure::script(&doing, output)) };
        Ok(Change::new(outcome, script).finish(finish).in_check_mode(checked).into())
    }

    fn directory(&self) -> Result<Decision, Failure> {
        let (path, entry) = self.followed();
        match entry {
            None if self.state.link.is_some() && self.args.is("follow") => {
                Err(Failure::new(format!("{} is a link to {path}, which is not there", self.state.path)))
            }
            None => {
                let state = |word: &str| Map::from_iter([("state".to_owned(), Json::from(word))]);
                let checked = self.with_diff(Outcome::changed().with("path", path), path, state("absent"), state("directory"));
                if self.context.check_mode() {
                    return Ok(Change::new(checked, Script::default()).into());
                }
                let (mut before, mut after) = (state("absent"), state("directory"));
                let fix = self.wanted.fix_new(0o777, true, &self.state.ids)?;
                fix.diff_new(0o777, &self.state.ids, &mut before, &mut after);
                let outcome = self.with_diff(Outcome::changed().with("path", path), path, before, after);
                let times = self.times(None, &mut Map::new(), &mut Map::new())?;
                Ok(self.change(outcome, path, &(make_directories(&fix) + &times), checked))
            }
            Some(entry) if !entry.is_dir() => Err(Failure::new(format!("{path} already exists as a {}", entry.state()))),
            Some(entry) if self.args.is("recurse") => self.recurse(path, entry),
            Some(entry) => self.fix("path", path, entry),
        }
    }

    /// Attributes of a whole tree. Links are given an owner themselves and, if they are followed, so are the files they lead to; a link to a
    /// directory does not make what is in there part of the tree.
    fn recurse(&self, path: &str, root: &Entry) -> Result<Decision, Failure> {
        self.refuse_times("a whole tree")?;
        let mut fixes: indexmap::IndexMap<(Fix, bool), Vec<&str>> = indexmap::IndexMap::new();
        let mut seen_links = std::collections::HashSet::new();
        let (mut before, mut after) = (Map::new(), Map::new());
        for child in &self.state.children {
            // A link is listed as itself first, then as what it leads to.
            let is_target = !child.is_link && seen_links.contains(child.path.as_str());
            if child.is_link {
                seen_links.insert(child.path.as_str());
            }
            if is_target && !self.args.is("follow") {
                continue;
            }
            let entry = Entry::of_ids(child.mode, child.uid, child.gid);
            let mut fix = self.wanted.fix(&entry, &self.state.ids)?;
            if child.is_link {
                fix.mode = None;
            }
            if fix.is_nothing() {
                continue;
            }
            if child.path == path.trim_end_matches('/') {
                fix.diff(root, &mut before, &mut after);
            }
            fixes.entry((fix, is_target)).or_default().push(&child.path);
        }
        if fixes.is_empty() {
            return Ok(self.outcome(false, "path", path, Some(root)).into());
        }
        let mut lines = String::new();
        for ((fix, follow), paths) in &fixes {
            // Well below what one command line may hold.
            for some in paths.chunks(200) {
                lines.push_str(&fix.lines(&quote_all(some), *follow));
            }
        }
        let outcome = self.with_diff(self.outcome(true, "path", path, Some(root)), path, before, after);
        Ok(self.change(outcome.clone(), path, &lines, outcome))
    }

    fn link(&self) -> Result<Decision, Failure> {
        self.refuse_times("a link")?;
        let path = self.state.path.as_str();
        let follow = self.args.is("follow");
        let source = match (self.args.str("src"), &self.state.link) {
            (Some(source), _) => source,
            (None, Some(link)) => link.says.as_str(),
            (None, None) => return Err(Failure::new("src is required for creating new symlinks")),
        };
        let forced = self.args.is("force");
        if let Some((at, None)) = &self.state.source
            && !forced
        {
            let message = format!("src file does not exist, use 'force=yes' if you really want to create the link: {at}");
            return Err(Failure::argument("src", message).with("src", source));
        }
        let with_source = |outcome: Outcome| outcome.with("src", source);
        let (mut before, mut after) = (Map::new(), Map::new());
        let mut lines = String::new();
        match (&self.state.entry, &self.state.link) {
            (_, Some(link)) if link.says == source => {}
            (_, Some(link)) => {
                before.insert("src".into(), link.says.as_str().into());
                after.insert("src".into(), source.into());
                lines.push_str(&format!("{INTO_PLACE}make_link {} \"$p\" -s || exit 1\n", quote(source)));
            }
            (None, None) => {
                before.insert("state".into(), "absent".into());
                after.insert("state".into(), "link".into());
                lines.push_str(&format!("ln -s -- {} \"$p\" || exit 1\n", quote(source)));
            }
            (Some(entry), None) => {
                if !forced {
                    return Err(Failure::new(format!("refusing to convert from {} to symlink for {path}", entry.state())));
                }
                before.insert("state".into(), entry.state().into());
                after.insert("state".into(), "link".into());
                if entry.is_dir() {
                    if self.state.children.len() > 1 {
                        return Err(Failure::new(format!("the directory {path} is not empty, refusing to convert it")));
                    }
                    lines.push_str("rmdir -- \"$p\" || exit 1\n");
                }
                lines.push_str(&format!("{INTO_PLACE}make_link {} \"$p\" -s || exit 1\n", quote(source)));
            }
        }
        // Attributes go to what the link leads to, or its owner alone to the link itself.
        let is_new = !lines.is_empty();
        let target = if is_new { self.state.source.as_ref().and_then(|(_, entry)| entry.as_ref()) } else { self.followed().1 };
        if let Some(entry) = target.filter(|_| self.wanted.asks_for_something() && (follow || !is_new)) {
            let mut fix = self.wanted.fix(entry, &self.state.ids)?;
            if !follow {
                fix.mode = None;
            }
            fix.diff(entry, &mut before, &mut after);
            lines.push_str(&fix.lines("\"$p\"", follow));
        }
        // A new link's own owner; its mode is nobody's.
        if is_new && !follow && !self.context.check_mode() {
            let fix = self.wanted.fix_new(0o777, false, &self.state.ids)?;
            lines.push_str(&Fix { mode: None, ..fix }.lines("\"$p\"", false));
        }
        let changed = !lines.is_empty();
        let outcome = with_source(self.outcome(changed, "dest", path, self.state.entry.as_ref()));
        let outcome = self.with_diff(outcome, path, before, after);
        if !changed {
            return Ok(outcome.into());
        }
        Ok(self.change(outcome.clone(), path, &lines, outcome))
    }

    fn hard(&self) -> Result<Decision, Failure> {
        self.refuse_times("a hard link")?;
        let path = self.state.path.as_str();
        let Some((at, source)) = &self.state.source else {
            return Err(Failure::new("src is required for creating new hardlinks"));
        };
        let source_word = self.args.required("src")?;
        if !at.starts_with('/') {
            return Err(Failure::argument("src", "absolute paths are required").with("src", source_word));
        }
        let Some(source) = source else {
            return Err(Failure::argument("src", "src does not exist").with("src", source_word));
        };
        let (mut before, mut after) = (Map::new(), Map::new());
        let mut lines = String::new();
        let is_linked = self.state.entry.as_ref().is_some_and(|entry| entry.inode == source.inode && entry.dev == source.dev);
        if !is_linked {
            match self.prior_state() {
                "directory" => return Err(Failure::new(format!("refusing to convert from directory to hard link for {path}"))),
                "file" | "hard" if !self.args.is("force") => {
                    return Err(
                        Failure::new(format!("Cannot link, different hard link exists at destination {path}")).with("src", source_word)
                    );
                }
                _ => {}
            }
            before.insert("state".into(), self.prior_state().into());
            after.insert("state".into(), "hard".into());
            if let Some(link) = &self.state.link {
                before.insert("src".into(), link.says.as_str().into());
                after.insert("src".into(), source_word.into());
            }
            lines.push_str(&format!("{INTO_PLACE}make_link {} \"$p\" || exit 1\n", quote(at)));
        }
        let fix = self.wanted.fix(source, &self.state.ids)?;
        fix.diff(source, &mut before, &mut after);
        lines.push_str(&fix.lines("\"$p\"", true));
        let changed = !lines.is_empty();
        let outcome = self.outcome(changed, "dest", path, self.state.entry.as_ref()).with("src", source_word);
        let outcome = self.with_diff(outcome, path, before, after);
        if !changed {
            return Ok(outcome.into());
        }
        Ok(self.change(outcome.clone(), path, &lines, outcome))
    }

    fn touch(&self) -> Result<Decision, Failure> {
        let path = self.state.path.as_str();
        let entry = self.state.entry.as_ref();
        let (_, target) = self.followed();
        // Ansible: both times are now unless said otherwise.
        let access = stamp(self.args, "access_time")?.unwrap_or(Stamp::Now);
        let modification = stamp(self.args, "modification_time")?.unwrap_or(Stamp::Now);
        let Some(target) = target else {
            if self.context.check_mode() {
                return Ok(Change::new(Outcome::changed().with("dest", path), Script::default()).into());
            }
            let fix = self.wanted.fix_new(0o666, false, &self.state.ids)?;
            // What cannot be made as it is asked for is not made.
            let lines = format!(
                "touch -- \"$p\" || exit 1\n(\n{}{}) || {{ rm -f -- \"$p\"; exit 1; }}\n",
                set_times(&access, &modification),
                fix.lines("\"$p\"", true)
            );
            let (mut before, mut after) =
                (Map::from_iter([("state".to_owned(), "absent".into())]), Map::from_iter([("state".to_owned(), "touch".into())]));
            fix.diff_new(0o666, &self.state.ids, &mut before, &mut after);
            let outcome = self.with_diff(Outcome::changed().with("dest", path), path, before, after);
            return Ok(self.change(outcome.clone(), path, &lines, outcome));
        };
        let stays = |stamp: &Stamp, asked: Option<i64>, is: super::look::Time| match stamp {
            Stamp::Now => false,
            Stamp::Preserve => true,
            Stamp::At(_) => asked == Some(is.seconds) && is.nanos == 0,
        };
        let times_stay =
            stays(&access, self.state.access_time, target.atime) && stays(&modification, self.state.modification_time, target.mtime);
        let fix = self.wanted.fix(target, &self.state.ids)?;
        let mut lines = String::new();
        if !times_stay {
            lines.push_str(&set_times(&access, &modification));
        }
        lines.push_str(&fix.lines("\"$p\"", true));
        let changed = !lines.is_empty();
        let (mut before, mut after) =
            (Map::from_iter([("state".to_owned(), self.prior_state().into())]), Map::from_iter([("state".to_owned(), "touch".into())]));
        fix.diff(target, &mut before, &mut after);
        let outcome = self.with_diff(self.outcome(changed, "dest", path, entry), path, before, after);
        if !changed {
            return Ok(outcome.into());
        }
        Ok(self.change(outcome.clone(), path, &lines, outcome))
    }
}

/// Lines that make the directory `$p` and those above it; each one that is new gets the attributes, as in Ansible.
pub fn make_directories(fix: &Fix) -> String {
    format!(
        "make() {{\n\
         \x20 [ -d \"$1\" ] && return\n\
         \x20 case $1 in */?*) [ -z \"${{1%/*}}\" ] || ( make \"${{1%/*}}\" ) || return ;; esac\n\
         \x20 ( umask 077; mkdir -- \"$1\" ) || return\n{}\
         }}\n\
         q=$p; while :; do case $q in ?*/) q=${{q%/}} ;; *) break ;; esac; done\n\
         make \"$q\" || exit 1\n",
        fix.lines("\"$1\"", false)
    )
}

/// Reads what `find -exec stat -c //MODE UID GID//NAME` printed.
fn read_children(said: &[u8]) -> Result<Vec<Child>, Failure> {
    let said = String::from_utf8_lossy(said);
    let child = |(numbers, path): (&str, &str)| {
        let [mode, uid, gid] = numbers.split(' ').collect::<Vec<_>>()[..] else { return None };
        let mode = u32::from_str_radix(mode, 16).ok()?;
        let (is_dir, is_link) = (mode & 0o170_000 == 0o040_000, mode & 0o170_000 == 0o120_000);
        Some(Child { path: path.to_owned(), mode, uid: uid.parse().ok()?, gid: gid.parse().ok()?, is_dir, is_link })
    };
    read_list(&said)?.into_iter().map(|item| child(item).ok_or_else(cut_short)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_line_breaks_are_one_name() {
        let list = read_children(b"//41ed 0 7//a\n//81a4 5 0//a/x\n/y\n//a1ff 0 0//a/l \n").expect("a whole list");
        let seen: Vec<_> = list.iter().map(|child| (child.path.as_str(), child.uid, child.is_dir, child.is_link)).collect();
        assert_eq!(seen, [("a", 0, true, false), ("a/x\n/y", 5, false, false), ("a/l ", 0, false, true)]);
        assert!(read_children(b"//41ed 0 0//a\n//81").is_err());
    }
}
