//! Whole directories for `copy`: from the controller, of which only files that differ travel, and from one place of the host to another.

use super::attributes::{Fix, Ids, Mode, Wanted};
use super::file::make_directories;
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::{self, checksum_of, mode_of, read, sha1_of};
use super::write_file::{CLEANING, Write};
use crate::module::{Args, Change, Context, Decision, Failure, Outcome};
use crate::sh::{Output, Script, quote, words};
use crate::vault::Plain;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of the controller: what is below it, by its path below the destination, folders before what is in them.
pub struct LocalTree {
    source: PathBuf,
    items: Vec<(String, Item)>,
}

enum Item {
    Directory,
    /// `decrypted`: what is in it, if it is encrypted.
    File {
        path: PathBuf,
        size: u64,
        decrypted: Option<Arc<Plain>>,
    },
    Link(String),
}

/// What the host has at the places of a tree.
pub struct There {
    dest: String,
    ids: Ids,
    /// What is there, and a file's SHA-1 (where it is as long as ours) or a link's target.
    found: Vec<(Option<Entry>, String)>,
}

impl LocalTree {
    /// `path` with a slash at its end stands for what is in it.
    pub fn read(path: &Path, args: &Args) -> Result<LocalTree, Failure> {
        let source = args.required("src")?;
        let mut items = Vec::new();
        let prefix = match path.file_name() {
            Some(name) if !source.ends_with('/') => {
                let name = name.to_string_lossy().into_owned();
                items.push((name.clone(), Item::Directory));
                format!("{name}/")
            }
            _ => String::new(),
        };
        add_items(path, &prefix, args, &mut Vec::new(), &mut items)?;
        let mut source_path = path.to_path_buf();
        if source.ends_with('/') {
            source_path.push("");
        }
        Ok(LocalTree { source: source_path, items })
    }

    pub fn probe(&self, args: &Args) -> Result<Script, Failure> {
        let mut text = format!(
            "{FUNCTIONS}d={}\nwhile :; do case $d in */) d=${{d%/}} ;; *) break ;; esac; done\nsay tree\nsay \"$d\"\nlook \"$d/.\"\n",
            words::on_host(args.required("dest")?)
        );
        text.push_str(&Wanted::of(args)?.ask_ids());
        text.push_str(
            "there() {\n\
             \x20 look \"$d/$1\"\n\
             \x20 if [ -L \"$d/$1\" ]; then link \"$d/$1\"\n\
             \x20 elif [ -f \"$d/$1\" ]; then f=$d/$1 size=$2; set -- $s; if [ \"$7\" = \"$size\" ]; then sum \"$f\"; else say ''; fi\n\
             \x20 else say ''; fi\n\
             }\n",
        );
        for (path, item) in &self.items {
            let size = if let Item::File { size, .. } = item { *size } else { 0 };
            text.push_str(&format!("there {} {size}\n", quote(path)));
        }
        text.push_str("exit 0\n");
        Ok(Script::new(text))
    }

    pub fn decide(&self, args: &Args, there: There, context: &dyn Context) -> Result<Decision, Failure> {
        let wanted = Wanted::of(args)?;
        let directories = wanted.for_directories(args)?.fix_new(0o777, true, &there.ids);
        if there.found.len() != self.items.len() {
            return Err(Failure::argument("src", "changed while it was looked at"));
        }
        let mut lines = String::new();
        let mut parts: Vec<(&Path, Option<&Plain>)> = Vec::new();
        for ((name, item), (entry, detail)) in self.items.iter().zip(&there.found) {
            let path = format!("{}/{name}", there.dest);
            match item {
                Item::Directory => match entry {
                    Some(entry) if entry.is_dir() || entry.is_link() => {}
                    Some(entry) => return Err(Failure::argument("dest", format!("{path} already exists as a {}", entry.state()))),
                    None if context.check_mode() => lines.push('\n'),
                    None => {
                        lines.push_str(&format!("p={}\n{}", quote(&path), make_directories(directories.as_ref().map_err(Clone::clone)?)))
                    }
                },
                Item::Link(target) => {
                    if !entry.as_ref().is_some_and(Entry::is_link) || detail != target {
                        lines.push_str(&format!("make_link {} {} -s || exit 1\n", quote(target), quote(&path)));
                    }
                }
                Item::File { path: source, decrypted, .. } => {
                    let existing = entry.as_ref().filter(|entry| !entry.is_link());
                    if existing.is_some_and(Entry::is_dir) {
                        return Err(Failure::argument("dest", format!("{path} is a directory")));
                    }
                    if entry.is_some() && !args.is("force") {
                        continue;
                    }
                    let mut wanted = wanted.clone();
                    if wanted.mode == Some(Mode::Preserve) {
                        wanted.mode = Some(Mode::Octal(mode_of(source)?));
                    }
                    let fix = match existing {
                        Some(entry) => wanted.fix(entry, &there.ids)?,
                        None if context.check_mode() => Fix::default(),
                        None => wanted.fix_new(0o666, false, &there.ids)?,
                    };
                    let checksum = match decrypted {
                        Some(plain) => sha1_of(plain),
                        None => checksum_of(source)?,
                    };
                    if existing.is_some() && *detail == checksum {
                        if !fix.is_nothing() {
                            lines.push_str(&fix.lines(&quote(&path), false));
                        }
                        continue;
                    }
                    let write = Write {
                        path: &path,
                        replaces: existing,
                        fix,
                        source: &format!("cat -- \"$x/{}\"", parts.len()),
                        checksum: Some(&checksum),
                        validate: args.str("validate"),
                        backup: args.is("backup"),
                        before: "",
                    };
                    lines.push_str(&write.lines()?);
                    parts.push((source, decrypted.as_deref()));
                }
            }
        }
        let outcome = Outcome { changed: !lines.is_empty(), lists_diffs: true, ..Outcome::default() }
            .with("dest", format!("{}/", there.dest))
            .with("src", self.source.to_string_lossy().into_owned());
        if lines.is_empty() {
            return Ok(outcome.into());
        }
        if context.check_mode() {
            return Ok(Change::new(outcome, Script::default()).into());
        }
        let top = directories?;
        let mut text = format!("{FUNCTIONS}{CLEANING}p={}\n{}", quote(&there.dest), make_directories(&top));
        if !parts.is_empty() {
            text.push_str("x=$(mktemp -d -- \"$p/.nodewright.XXXXXX\") || exit 1\ntar -x -f - -C \"$x\" || exit 1\n");
        }
        text.push_str(&lines);
        let archive = pack(&parts)?;
        Ok(Change::new(outcome, Script::new(text).with_input(archive)).finish(finish(format!("copy {}", self.source.display()))).into())
    }
}

impl There {
    pub fn read(args: &Args, output: &Output) -> Result<There, Failure> {
        let mut fields = Fields::of(&format!("look at {}", args.required("dest")?), output)?;
        fields.text()?;
        let dest = fields.text()?;
        fields.entry(&dest)?;
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let mut found = Vec::new();
        while !fields.is_empty() {
            let entry = fields.entry(&dest)?;
            found.push((entry, fields.text()?));
        }
        Ok(There { dest, ids, found })
    }
}

/// `parents`: the folders that this one is in, by device and number.
fn add_items(
    folder: &Path,
    prefix: &str,
    args: &Args,
    parents: &mut Vec<(u64, u64)>,
    items: &mut Vec<(String, Item)>,
) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let failed = |path: &Path, err: std::io::Error| Failure::argument("src", format!("read {}: {err}", path.display()));
    let meta = folder.metadata().map_err(|err| failed(folder, err))?;
    parents.push((meta.dev(), meta.ino()));
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|err| failed(folder, err))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            return Err(Failure::argument("src", format!("the name of {} is not UTF-8", path.display())));
        };
        let meta = path.symlink_metadata().map_err(|err| failed(&path, err))?;
        // A link that leads nowhere, or back to where it is, stays one also where links are followed.
        let target = path.metadata().ok().filter(|_| !meta.is_symlink() || args.bool("local_follow").unwrap_or(true));
        let target = target.filter(|target| !target.is_dir() || !parents.contains(&(target.dev(), target.ino())));
        match target {
            Some(target) if target.is_dir() => {
                items.push((name.clone(), Item::Directory));
                add_items(&path, &format!("{name}/"), args, parents, items)?;
            }
            Some(target) => {
                let decrypted = if args.is("decrypt") { put::decrypted(&path)? } else { None };
                let size = decrypted.as_ref().map_or(target.len(), |plain| plain.len() as u64);
                items.push((name, Item::File { path, size, decrypted }));
            }
            None => {
                let target = std::fs::read_link(&path).map_err(|err| failed(&path, err))?;
                items.push((name, Item::Link(target.to_string_lossy().into_owned())));
            }
        }
    }
    parents.pop();
    Ok(())
}

/// The files as a tar archive, each under its number: no name of theirs meets the host's tar.
fn pack(parts: &[(&Path, Option<&Plain>)]) -> Result<Vec<u8>, Failure> {
    let mut archive = tar::Builder::new(Vec::new());
    let failed = |path: &Path, err: std::io::Error| Failure::argument("src", format!("pack {}: {err}", path.display()));
    for (number, (path, decrypted)) in parts.iter().enumerate() {
        let content = match decrypted {
            Some(plain) => (*plain).clone(),
            None => read(path)?.into(),
        };
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, number.to_string(), content.as_slice()).map_err(|err| failed(path, err))?;
    }
    archive.into_inner().map_err(|err| Failure::new(format!("pack files: {err}")))
}

fn finish(doing: String) -> impl FnOnce(&Output, Outcome) -> Result<Outcome, Failure> + Send + 'static {
    move |output, outcome| {
        if output.status == super::write_file::REFUSED {
            return super::write_file::finish_write(doing, String::new())(output, outcome);
        }
        if output.success() { Ok(outcome) } else { Err(Failure::script(&doing, output)) }
    }
}

/// A directory of the host that is to be copied on the host.
pub struct RemoteTree {
    source: String,
    dest: String,
    /// As Ansible shows it.
    shown: String,
    top: Option<Entry>,
    ids: Ids,
    items: Vec<RemoteItem>,
}

struct RemoteItem {
    name: String,
    entry: Entry,
    /// A file's SHA-1, a link's target.
    detail: String,
    there: Option<Entry>,
    there_detail: String,
}

impl RemoteTree {
    /// Lines of a probe, for the source `$o`, a directory. A shell below find says of each name what is at both ends.
    pub fn ask(args: &Args, source: &str) -> Result<String, Failure> {
        // A link that leads nowhere stays one also where links are followed.
        let (follow, detail_of, look) = if args.is("local_follow") {
            ("-L ", "[ -L \"$1\" ] && [ ! -e \"$1\" ]", "if [ -e \"$f\" ]; then look \"$f\" -L; else look \"$f\"; fi")
        } else {
            ("", "[ -L \"$1\" ]", "look \"$f\"")
        };
        let each = format!(
            "{FUNCTIONS}detail() {{ if {detail_of}; then link \"$1\"; elif [ -f \"$1\" ]; then sum \"$1\"; else say ''; fi; }}\n\
             there() {{ if [ -L \"$1\" ]; then link \"$1\"; elif [ -f \"$1\" ]; then sum \"$1\"; else say ''; fi; }}\n\
             d=$1; shift\nfor f do\nsay \"$f\"\n{look}\ndetail \"$f\"\nlook \"$d/$f\"\nthere \"$d/$f\"\ndone\n"
        );
        let name = if source.ends_with('/') {
            "if [ -d \"$d\" ]; then d=${d%/}/; fi\n"
        } else {
            "if [ ! -e \"$d\" ] || [ -d \"$d\" ]; then d=${d%/}/${o##*/}; fi\n"
        };
        Ok(format!(
            "d={}\ncase $d in /*) ;; *) d=$PWD/$d ;; esac\n{name}say \"$d\"\nlook \"$d\"\n{}cd -- \"$o\" || exit 1\nfind {follow}. ! -name . -exec sh -c {} sh \"$d\" {{}} + || exit 1\n",
            words::on_host(args.required("dest")?),
            Wanted::of(args)?.ask_ids(),
            quote(&each),
        ))
    }

    pub fn read(args: &Args, source: String, mut fields: Fields) -> Result<RemoteTree, Failure> {
        let shown = fields.text()?;
        let top = fields.entry(&shown)?;
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let mut items = Vec::new();
        while !fields.is_empty() {
            let name = fields.text()?;
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let entry = fields.entry(&name)?;
            let detail = fields.text()?;
            let there = fields
                .entry(&name)
                .or_else(|failure| if failure.message.ends_with("Not a directory") { Ok(None) } else { Err(failure) })?;
            let there_detail = fields.text()?;
            // A file that went away meanwhile is not copied.
            if let Some(entry) = entry {
                if detail.starts_with('!') {
                    return Err(Failure::argument("src", format!("{source}/{name} cannot be read")));
                }
                items.push(RemoteItem { name, entry, detail, there, there_detail });
            }
        }
        let dest = shown.trim_end_matches('/').to_owned();
        Ok(RemoteTree { source, dest, shown, top, ids, items })
    }

    pub fn decide(&self, args: &Args, context: &dyn Context) -> Result<Decision, Failure> {
        if let Some(top) = self.top.as_ref().filter(|top| !top.is_dir()) {
            return Err(Failure::argument(
                "dest",
                format!("cannot copy the directory {} over the {} {}", self.source, top.state(), self.dest),
            ));
        }
        let wanted = Wanted::of(args)?;
        let directory_mode = wanted.for_directories(args)?.mode.or(wanted.mode.clone()).filter(|mode| *mode != Mode::Preserve);
        // As Ansible: what is below keeps the modes it has at the source; only the top is given the one that was asked for.
        let top_wanted = Wanted { mode: directory_mode, ..wanted.clone() };
        let below = Wanted { mode: None, ..wanted };
        let source = self.source.trim_end_matches('/');
        let mut lines = String::new();
        match &self.top {
            None if context.check_mode() => lines.push('\n'),
            None => lines.push_str(&format!("p={}\n{}", quote(&self.dest), make_directories(&top_wanted.fix_new(0o777, true, &self.ids)?))),
            Some(top) => lines.push_str(&top_wanted.fix(top, &self.ids)?.lines(&quote(&self.dest), false)),
        }
        for item in &self.items {
            let path = format!("{}/{}", self.dest, item.name);
            let there = item.there.as_ref();
            if item.entry.is_dir() {
                match there {
                    Some(there) if there.is_dir() => lines.push_str(&below.fix(there, &self.ids)?.lines(&quote(&path), false)),
                    Some(there) => return Err(Failure::argument("dest", format!("{path} already exists as a {}", there.state()))),
                    None if context.check_mode() => lines.push('\n'),
                    None => {
                        let fix = Fix { mode: Some(item.entry.mode()), ..below.fix_new(0o777, true, &self.ids)? };
                        lines.push_str(&format!("p={}\n{}", quote(&path), make_directories(&fix)));
                    }
                }
            } else if item.entry.is_link() {
                if !there.is_some_and(Entry::is_link) || item.detail != item.there_detail {
                    lines.push_str(&format!("make_link {} {} -s || exit 1\n", quote(&item.detail), quote(&path)));
                    if !context.check_mode() {
                        let fix = Fix { mode: None, ..below.fix_new(0o777, false, &self.ids)? };
                        lines.push_str(&fix.lines(&quote(&path), false));
                    }
                }
            } else if item.entry.is_file() {
                if there.is_some() && !args.is("force") {
                    continue;
                }
                let existing = there.filter(|there| !there.is_link());
                if let Some(there) = existing.filter(|_| item.detail == item.there_detail) {
                    lines.push_str(&below.fix(there, &self.ids)?.lines(&quote(&path), false));
                    continue;
                }
                let mode = Some(item.entry.mode());
                let fix = if context.check_mode() { Fix::default() } else { Fix { mode, ..below.fix_new(0o666, false, &self.ids)? } };
                let from = format!("cat -- {}", quote(&format!("{source}/{}", item.name)));
                let write = Write {
                    path: &path,
                    replaces: existing,
                    fix,
                    source: &from,
                    checksum: Some(&item.detail),
                    validate: args.str("validate"),
                    backup: args.is("backup"),
                    before: "",
                };
                lines.push_str(&write.lines()?);
            }
        }
        let mut outcome = Outcome { changed: !lines.is_empty(), lists_diffs: true, ..Outcome::default() }
            .with("dest", self.shown.as_str())
            .with("src", self.source.as_str())
            .with("checksum", serde_json::Value::Null);
        if let Some(top) = &self.top {
            top.add_to(&mut outcome.data);
        }
        if lines.is_empty() {
            return Ok(outcome.into());
        }
        let script = Script::new(format!("{FUNCTIONS}{CLEANING}{{\n{lines}}} > /dev/null || exit 1\nlook {}\n", quote(&self.dest)));
        let doing = format!("copy {} to {}", self.source, self.dest);
        Ok(Change::new(outcome, script).finish(super::write_file::finish_look(doing, self.dest.clone())).into())
    }
}
