//! Says what is at a path.
//!
//! ```yaml
//! - stat: {path: /etc/kubernetes/admin.conf, get_checksum: false, get_mime: false, get_attributes: false}
//!   register: admin_conf
//! ```
//!
//! Returns `stat`: `exists`, and where it does `path`, `mode`, `isreg`, `isdir`, `islnk` and the other kinds, `uid`, `gid`, `pw_name`, `gr_name`,
//! `size`, `nlink`, `inode`, `dev`, `atime`, `mtime`, `ctime`, the permission bits (`rusr` to `xoth`, `isuid`, `isgid`), `readable`, `writeable`,
//! `executable`, `checksum`, `lnk_source`, `lnk_target`, `mimetype`, `charset`, `attr_flags`, `attributes`.

use super::look::{Entry, FUNCTIONS, Fields};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use serde_json::{Map, Value as Json, json};

pub struct Stat;

static SPEC: Spec = Spec {
    name: "ansible.builtin.stat",
    aliases: &[],
    params: &[
        Param::path("path").required().alias(&["dest", "name"]),
        Param::bool("follow").default("false"),
        Param::bool("get_checksum").default("true"),
        Param::str("checksum_algorithm")
            .default("sha1")
            .alias(&["checksum", "checksum_algo"])
            .choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]),
        Param::bool("get_mime").default("true").alias(&["mime", "mime_type", "mime-type"]),
        Param::bool("get_attributes").default("true").alias(&["attr", "attributes"]),
        Param::bool("get_selinux_context").default("false"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    path: String,
    found: Option<Found>,
}

struct Found {
    entry: Entry,
    /// What a link says, and where it leads.
    link: Option<(String, String)>,
    readable: bool,
    writeable: bool,
    executable: bool,
    checksum: Option<String>,
    /// What `file` says of it, if it was asked.
    mime: Option<String>,
    /// What `lsattr` says of it, if it was asked.
    attributes: Option<String>,
    /// SELinux's, if it was asked; `?` where there is none.
    context: Option<String>,
}

impl Module for Stat {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let follow = if args.is("follow") { " -L" } else { "" };
        let mut text =
            format!("{FUNCTIONS}p={}\nsay \"$p\"\nlook \"$p\"{follow}\n[ -n \"$s\" ] || exit 0\n", words::on_host(args.required("path")?));
        text.push_str("if [ -r \"$p\" ]; then say 1; else say ''; fi\nif [ -w \"$p\" ]; then say 1; else say ''; fi\nif [ -x \"$p\" ]; then say 1; else say ''; fi\n");
        if follow.is_empty() {
            text.push_str("if [ -L \"$p\" ]; then say link; link \"$p\"; r=$(loops \"$p\" && real \"$p\" || readlink -m -- \"$p\" 2>/dev/null || readlink -f -- \"$p\"; echo .); r=${r%??}; say \"$r\"; else say ''; fi\n");
        } else {
            text.push_str("say ''\n");
        }
        if args.is("get_checksum") {
            // Only of regular files: reading a pipe would wait for its other end.
            let only = if follow.is_empty() { "[ ! -L \"$p\" ] && " } else { "" };
            let algorithm = args.required("checksum_algorithm")?;
            text.push_str(&format!(
                "if {only}[ -f \"$p\" ] && [ -r \"$p\" ]; then s=$({algorithm}sum < \"$p\") || exit 1; say \"${{s%% *}}\"; else say ''; fi\n"
            ));
        } else {
            text.push_str("say ''\n");
        }
        // Both are asked only where they are installed, and for things that they do not know they fail.
        for (asked, tool, command) in [("get_mime", "file", "file -b -i -- \"$p\""), ("get_attributes", "lsattr", "lsattr -vd -- \"$p\"")] {
            if args.is(asked) {
                text.push_str(&format!("if command -v {tool} >/dev/null; then s=$({command} 2>/dev/null); say \"$s\"; else say ''; fi\n"));
            } else {
                text.push_str("say no\n");
            }
        }
        if args.is("get_selinux_context") {
            text.push_str("say \"$(LC_ALL=C stat -c %C -- \"$p\" 2>/dev/null)\"\n");
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let path = args.required("path")?;
        let mut fields = Fields::of(&format!("look at {path}"), output)?;
        let path = fields.text()?;
        let Some(entry) = fields.entry(&path)? else {
            return Ok(State { path, found: None });
        };
        let mut may = || Ok::<bool, Failure>(!fields.text()?.is_empty());
        let (readable, writeable, executable) = (may()?, may()?, may()?);
        let link = if fields.text()?.is_empty() { None } else { Some((fields.text()?, fields.text()?)) };
        let checksum = Some(fields.text()?).filter(|checksum| !checksum.is_empty());
        let asked = |said: String| Some(said).filter(|said| said != "no");
        let mime = asked(fields.text()?);
        let attributes = asked(fields.text()?);
        let context = if args.is("get_selinux_context") { Some(fields.text()?) } else { None };
        Ok(State { path, found: Some(Found { entry, link, readable, writeable, executable, checksum, mime, attributes, context }) })
    }

    fn decide(&self, _args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        let stat = match state.found {
            None => json!({"exists": false}),
            Some(found) => found.describe(&state.path).into(),
        };
        Ok(Outcome::unchanged().with("stat", stat).into())
    }
}

impl Found {
    fn describe(&self, path: &str) -> Map<String, Json> {
        let mut stat = describe(&self.entry);
        let mut put = |key: &str, value: Json| {
            stat.insert(key.to_owned(), value);
        };
        put("exists", true.into());
        put("path", path.into());
        put("readable", self.readable.into());
        put("writeable", self.writeable.into());
        put("executable", self.executable.into());
        if let Some(checksum) = &self.checksum {
            put("checksum", checksum.as_str().into());
        }
        if let Some((says, leads_to)) = &self.link {
            put("lnk_target", says.as_str().into());
            put("lnk_source", leads_to.as_str().into());
        }
        if let Some(mime) = &self.mime {
            let (mimetype, charset) = mime.split_once("; charset=").unwrap_or(("unknown", "unknown"));
            put("mimetype", mimetype.trim().into());
            put("charset", charset.trim().into());
        }
        if let Some(context) = &self.context {
            let parts: Json = context.splitn(4, ':').collect();
            let none = json!([null, null, null]);
            put("selinux_context", if context.contains(':') { parts } else { none });
        }
        if let Some(said) = &self.attributes {
            let mut words = said.split_whitespace();
            let (version, flags) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().replace('-', ""));
            let names: Vec<&str> = flags.chars().filter_map(attribute).collect();
            put("version", if version.is_empty() { Json::Null } else { version.into() });
            put("attr_flags", flags.into());
            put("attributes", names.into());
        }
        stat
    }
}

/// What `stat` and `find` return of an entry.
pub fn describe(entry: &Entry) -> Map<String, Json> {
    let mode = entry.mode();
    let mut stat = Map::new();
    let mut put = |key: &str, value: Json| {
        stat.insert(key.to_owned(), value);
    };
    put("mode", format!("{mode:04o}").into());
    for (key, file_type) in [
        ("isdir", 0o040_000),
        ("ischr", 0o020_000),
        ("isblk", 0o060_000),
        ("isreg", 0o100_000),
        ("isfifo", 0o010_000),
        ("islnk", 0o120_000),
        ("issock", 0o140_000),
    ] {
        put(key, (entry.file_type() == file_type).into());
    }
    for (key, bit) in [
        ("rusr", 0o400),
        ("wusr", 0o200),
        ("xusr", 0o100),
        ("rgrp", 0o040),
        ("wgrp", 0o020),
        ("xgrp", 0o010),
        ("roth", 0o004),
        ("woth", 0o002),
        ("xoth", 0o001),
        ("isuid", 0o4000),
        ("isgid", 0o2000),
    ] {
        put(key, (mode & bit != 0).into());
    }
    put("uid", entry.uid.into());
    put("gid", entry.gid.into());
    put("pw_name", entry.owner.as_str().into());
    put("gr_name", entry.group.as_str().into());
    put("size", entry.size.into());
    put("nlink", entry.nlink.into());
    put("inode", entry.inode.into());
    put("dev", entry.dev.into());
    put("device_type", entry.device_type.into());
    put("blocks", entry.blocks.into());
    put("block_size", entry.block_size.into());
    put("disk_usage_bytes", (entry.blocks * 512).into());
    for (key, time) in [("atime", entry.atime), ("mtime", entry.mtime), ("ctime", entry.ctime)] {
        put(key, time.as_f64().into());
    }
    stat
}

/// Ansible's word for a flag of `lsattr`.
fn attribute(flag: char) -> Option<&'static str> {
    Some(match flag {
        'A' => "noatime",
        'a' => "append",
        'c' => "compressed",
        'C' => "nocow",
        'd' => "nodump",
        'D' => "dirsync",
        'e' => "extents",
        'E' => "encrypted",
        'h' => "blocksize",
        'i' => "immutable",
        'I' => "indexed",
        'j' => "journalled",
        'N' => "inline",
        's' => "zero",
        'S' => "synchronous",
        't' => "notail",
        'T' => "blockroot",
        'u' => "undelete",
        'X' => "compressedraw",
        'Z' => "compresseddirty",
        _ => return None,
    })
}
