//! Keeps an entry of fstab, and what is mounted.
//!
//! ```yaml
//! - mount: {path: /var/lib/etcd, src: LABEL=etcd, fstype: ext4, opts: noatime, state: mounted}
//! - mount: {path: none, src: /swapfile, fstype: swap, state: absent_from_fstab}
//! ```
//!
//! `present` and `absent_from_fstab` touch the file only; `mounted` also makes the directory and mounts; `unmounted` leaves the file alone;
//! `absent` removes entry, mount and directory; `remounted` mounts again; `ephemeral` mounts without an entry. Returns `name`, `src`, `fstype`,
//! `opts`, `dump`, `passno`, `boot`, `fstab`, `backup_file`.

use super::attributes::Fix;
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::sha1_of;
use super::write_file::{CLEANING, Write, diff_of_contents};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct Mount;

static SPEC: Spec = Spec {
    name: "ansible.posix.mount",
    aliases: &["ansible.builtin.mount"],
    params: &[
        Param::path("path").required().alias(&["name"]),
        Param::str("state").required().choices(&[
            "absent",
            "absent_from_fstab",
            "mounted",
            "present",
            "unmounted",
            "remounted",
            "ephemeral",
        ]),
        Param::path("src"),
        Param::str("fstype"),
        Param::str("opts"),
        Param::str("dump").default("0"),
        Param::str("passno").default("0"),
        Param::bool("boot").default("true"),
        Param::bool("backup").default("false"),
        Param::str("fstab"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    path: String,
    /// Where the path leads, if it is there.
    real: Option<String>,
    fstab: String,
    entry: Option<Entry>,
    umask: u32,
    /// The source of what is mounted there, as the kernel says it.
    mounted: Option<String>,
    content: String,
}

/// An entry of fstab, its fields as they are written there.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    source: String,
    name: String,
    fstype: String,
    options: String,
    dump: String,
    passno: String,
}

impl Module for Mount {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let fstab = words::on_host(args.str("fstab").unwrap_or("/etc/fstab"));
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}p={}\nsay \"$p\"\n\
             if [ -e \"$p\" ]; then r=$(readlink -f -- \"$p\" && echo .) && r=${{r%??}}; say \"$r\"; else say ''; fi\n\
             f={fstab}\nif [ -L \"$f\" ]; then r=$(readlink -f -- \"$f\" && echo .) && f=${{r%??}}; fi\n\
             say \"$f\"\nlook \"$f\"\nsay \"$(umask)\"\n\
             m=$(cat /proc/self/mountinfo) || exit 1\nsay \"$m\"\n\
             if [ -f \"$f\" ]; then cat -- \"$f\" || exit 1; fi\nexit 0\n",
            words::on_host(args.required("path")?),
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("look at the mount {}", args.required("path")?), output)?;
        let path = fields.text()?;
        let real = Some(fields.text()?).filter(|real| !real.is_empty());
        let fstab = fields.text()?;
        let entry = fields.entry(&fstab)?;
        let umask = fields.umask()?;
        let mounts = fields.text()?;
        let mounted = real.as_deref().and_then(|real| mounted_at(&mounts, real));
        let content = String::from_utf8(fields.rest().to_vec()).map_err(|_| Failure::new(format!("{fstab} is not UTF-8")))?;
        Ok(State { path, real, fstab, entry, umask, mounted, content })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let word = args.required("state")?;
        for (name, states) in [("src", &["present", "mounted", "ephemeral"][..]), ("fstype", &["present", "mounted", "ephemeral"])] {
            if states.contains(&word) && !args.has(name) {
                return Err(Failure::new(format!("state is {word} but all of the following are missing: {name}")));
            }
        }
        let mut options = args.str("opts").unwrap_or("defaults").to_owned();
        if !args.is("boot") && !options.split(',').any(|option| option == "noauto") {
            options.push_str(",noauto");
        }
        let entry = Line {
            source: escape(args.str("src").unwrap_or_default()),
            name: escape(&state.path),
            fstype: args.str("fstype").unwrap_or_default().to_owned(),
            options: escape(&options),
            dump: args.required("dump")?.to_owned(),
            passno: args.required("passno")?.to_owned(),
        };
        let new = match word {
            "present" | "mounted" => with_entry(&state.content, &entry),
            "absent" | "absent_from_fstab" => without_entry(&state.content, &entry.name, args.has("src").then_some(entry.source.as_str())),
            _ => state.content.clone(),
        };
        let writes = new != state.content;
        let mut steps = Steps { before: String::new(), after: String::new() };
        state.plan(args, word, writes, &mut steps)?;
        let changed = writes || !steps.before.is_empty() || !steps.after.is_empty();
        let mut outcome = Outcome { changed, ..Outcome::default() }
            .with("name", state.path.as_str())
            .with("opts", options.as_str())
            .with("dump", entry.dump.as_str())
            .with("passno", entry.passno.as_str())
            .with("boot", if args.is("boot") { "yes" } else { "no" })
            .with("fstab", state.fstab.as_str())
            .with("backup_file", "");
        for name in ["src", "fstype"] {
            if let Some(value) = args.str(name) {
                outcome = outcome.with(name, value);
            }
        }
        if !changed {
            return Ok(outcome.into());
        }
        if writes && context.diff_mode() {
            let headers = (state.fstab.as_str(), state.fstab.as_str());
            outcome = outcome.diff(diff_of_contents(headers, Some(state.content.as_bytes()), new.as_bytes()));
        }
        let mut text = format!("{FUNCTIONS}{CLEANING}path={}\n{}", quote(&state.path), steps.before);
        let mut input = Vec::new();
        if writes {
            let checksum = sha1_of(new.as_bytes());
            let write = Write {
                path: &state.fstab,
                replaces: state.entry.as_ref(),
                fix: Fix { mode: state.entry.is_none().then_some(0o666 & !state.umask), ..Fix::default() },
                source: "cat",
                checksum: Some(&checksum),
                validate: None,
                backup: args.is("backup"),
                before: "",
            };
            text.push_str(&write.lines()?);
            input = new.into_bytes();
        }
        text.push_str(&steps.after);
        let doing = format!("{word} {}", state.path);
        let finish = move |output: &Output, outcome: Outcome| {
            let mut fields = Fields::of(&doing, output)?;
            Ok(if fields.is_empty() { outcome } else { outcome.with("backup_file", fields.text()?) })
        };
        Ok(Change::new(outcome, Script::new(text).with_input(input)).finish(finish).into())
    }
}

/// What is done around the writing of fstab, as lines of a script that knows the path as `$path`.
struct Steps {
    before: String,
    after: String,
}

impl State {
    fn plan(&self, args: &Args, word: &str, writes: bool, steps: &mut Steps) -> Result<(), Failure> {
        let table = if self.fstab == "/etc/fstab" { String::new() } else { format!("-T {} ", quote(&self.fstab)) };
        let make = |steps: &mut Steps| {
            if self.real.is_none() && self.path != "none" {
                steps.before.push_str("( umask 022; mkdir -p -- \"$path\" ) || exit 1\n");
            }
        };
        match word {
            "mounted" => {
                make(steps);
                // An entry that cannot be mounted would stop the next boot: the file goes back to what it was.
                let or_restore = if writes && self.entry.is_some() {
                    steps.before.push_str(&format!("x=$(mktemp -d) && cp -p -- {} \"$x/fstab\" || exit 1\n", quote(&self.fstab)));
                    format!(
                        "{{ t={0}.nodewright.$$ && cp -p -- \"$x/fstab\" \"$t\" && into_place \"$t\" {0}; exit 1; }}",
                        quote(&self.fstab)
                    )
                } else {
                    "exit 1".to_owned()
                };
                if self.mounted.is_none() {
                    steps.after.push_str(&format!("mount {table}-- \"$path\" >&2 || {or_restore}\n"));
                } else if writes {
                    steps.after.push_str(&format!(
                        "mount {table}-o remount -- \"$path\" >&2 || {{ umount -- \"$path\" && mount {table}-- \"$path\"; }} >&2 || {or_restore}\n"
                    ));
                }
            }
            "unmounted" if self.mounted.is_some() => steps.after.push_str("umount -- \"$path\" || exit 1\n"),
            // As the collection: what has no entry is left alone.
            "absent" if writes && self.path != "none" => {
                if self.mounted.is_some() {
                    steps.after.push_str("umount -- \"$path\" || exit 1\n");
                }
                if self.real.is_some() {
                    steps.after.push_str("rmdir -- \"$path\" || exit 1\n");
                }
            }
            "remounted" => {
                if self.mounted.is_none() {
                    return Err(Failure::argument("path", format!("Error remounting {}: nothing is mounted there", self.path)));
                }
                let options =
                    args.str("opts").filter(|options| *options != "defaults").map(|options| format!(",{options}")).unwrap_or_default();
                steps.after.push_str(&format!(
                    "mount {table}-o {} -- \"$path\" >&2 || {{ umount -- \"$path\" && mount {table}-- \"$path\"; }} >&2 || exit 1\n",
                    quote(&format!("remount{options}"))
                ));
            }
            "ephemeral" => {
                let source = args.required("src")?;
                if self.mounted.as_deref().is_some_and(|mounted| mounted != source) {
                    let message = "Ephemeral mount point is already mounted with a different source than the specified one. Unmount it first, or use another path.";
                    return Err(Failure::argument("src", message));
                }
                make(steps);
                let remount = if self.mounted.is_some() { "remount," } else { "" };
                steps.after.push_str(&format!(
                    "mount -t {} -o {} -- {} \"$path\" >&2 || exit 1\n",
                    quote(args.required("fstype")?),
                    quote(&format!("{remount}{}", args.str("opts").unwrap_or("defaults"))),
                    quote(source)
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The source of what is mounted at a path: the last mount there hides those before.
fn mounted_at(mountinfo: &str, path: &str) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        Some((unescape(left.split(' ').nth(4)?), unescape(right.split(' ').nth(1)?)))
    });
    mounts.rev().find(|(at, _)| at == path).map(|(_, source)| source)
}

impl Line {
    /// A line with four to six fields; anything else is not an entry.
    fn parse(line: &str) -> Option<Line> {
        if line.trim_start().starts_with('#') {
            return None;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        if !(4..=6).contains(&fields.len()) {
            return None;
        }
        let field = |at: usize| fields.get(at).copied().unwrap_or("0").to_owned();
        Some(Line { source: field(0), name: field(1), fstype: field(2), options: field(3), dump: field(4), passno: field(5) })
    }

    fn show(&self) -> String {
        format!("{} {} {} {} {} {}\n", self.source, self.name, self.fstype, self.options, self.dump, self.passno)
    }
}

/// Entries of swap have no place: their source tells them apart.
fn is_meant(line: &Line, name: &str, source: Option<&str>) -> bool {
    line.name == name && !(line.name == "none" && line.fstype == "swap" && source.is_some_and(|source| source != line.source))
}

fn with_entry(content: &str, entry: &Line) -> String {
    let mut new = String::new();
    let mut is_there = false;
    for line in content.split_inclusive('\n') {
        match Line::parse(line).filter(|parsed| is_meant(parsed, &entry.name, Some(&entry.source))) {
            None => new.push_str(line),
            Some(same) if same == *entry => {
                is_there = true;
                new.push_str(line);
            }
            Some(_) => {
                is_there = true;
                new.push_str(&entry.show());
            }
        }
    }
    if !is_there {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(&entry.show());
    }
    new
}

fn without_entry(content: &str, name: &str, source: Option<&str>) -> String {
    content.split_inclusive('\n').filter(|line| !Line::parse(line).is_some_and(|parsed| is_meant(&parsed, name, source))).collect()
}

/// Spaces as fstab writes them.
fn escape(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('&', "\\046")
}

/// Octal escapes of mountinfo.
fn unescape(text: &str) -> String {
    let mut new = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                new.push(byte);
                rest = &after[3..];
            }
            None => {
                new.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&new).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_counts() {
        let mountinfo = "22 1 0:20 / / rw - overlay overlay rw\n30 22 8:1 / /mnt/a\\040b rw,relatime shared:1 - ext4 /dev/sda1 rw\n31 30 0:5 / /mnt/a\\040b rw - tmpfs tmpfs rw\n";
        assert_eq!(mounted_at(mountinfo, "/mnt/a b").as_deref(), Some("tmpfs"));
        assert_eq!(mounted_at(mountinfo, "/mnt"), None);
    }
}
