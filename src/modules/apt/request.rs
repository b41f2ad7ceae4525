//! A task's arguments, put together: what is asked for, and apt-get's command lines for it.

use super::package::{Version, Wanted};
use crate::module::{Args, Failure};
use crate::sh::quote;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Present,
    Latest,
    Absent,
    BuildDep,
    Fixed,
}

#[derive(Debug)]
pub struct Request {
    pub goal: Goal,
    pub wanted: Vec<Wanted>,
    pub debs: Vec<String>,
    /// apt-get's word for the upgrade of everything.
    pub upgrade: Option<&'static str>,
    pub update: bool,
    /// The lists may be this many seconds old.
    pub valid_time: i64,
    pub lock_timeout: i64,
    pub only_upgrade: bool,
    pub purge: bool,
    pub clean: bool,
    pub autoclean: bool,
    pub autoremove: bool,
    pub policy_rc_d: Option<i64>,
    pub retries: i64,
    pub longest_delay: i64,
    /// Options of every apt-get.
    common: String,
    /// Options of those that install or upgrade.
    installing: String,
    allows_held: bool,
}

impl Request {
    pub fn of(args: &Args) -> Result<Request, Failure> {
        let goal = match args.str("state") {
            Some("latest") => Goal::Latest,
            Some("absent") => Goal::Absent,
            Some("build-dep") => Goal::BuildDep,
            Some("fixed") => Goal::Fixed,
            _ => Goal::Present,
        };
        let names: Vec<_> = args.list("name").unwrap_or_default().into_iter().filter(|name| !name.trim().is_empty()).collect();
        let everything = names.iter().any(|name| name.trim() == "*");
        let wanted = names.iter().filter(|name| name.trim() != "*").map(|name| Wanted::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let upgrade = match args.str("upgrade") {
            Some("dist" | "full") => Some("dist-upgrade"),
            Some("yes" | "safe" | "true") => Some("upgrade --with-new-pkgs"),
            _ if everything && goal == Goal::Latest => Some("upgrade --with-new-pkgs"),
            _ => None,
        };
        if everything && goal == Goal::Latest && !wanted.is_empty() {
            return Err(Failure::argument("name", "unable to install additional packages when upgrading all installed packages"));
        }
        if everything && goal != Goal::Latest {
            return Err(Failure::argument("name", "`*` means all installed packages: it needs `state: latest`"));
        }
        let given = [args.has("deb"), !names.is_empty(), args.str("upgrade").is_some_and(|upgrade| !matches!(upgrade, "no" | "false"))];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(Failure::new("parameters are mutually exclusive: deb|name|upgrade"));
        }
        let others = ["update_cache", "clean", "autoclean", "autoremove"].iter().any(|name| args.has(name));
        if !given.contains(&true) && !others && !args.has("name") && args.int("cache_valid_time").unwrap_or(0) == 0 {
            return Err(Failure::new("one of the following is required: autoremove, deb, name, update_cache, upgrade"));
        }
        if args.has("deb") && goal != Goal::Present {
            return Err(Failure::argument("state", "deb only supports state=present"));
        }
        let valid_time = args.int("cache_valid_time").unwrap_or(0);
        let lock_timeout = args.int("lock_timeout").unwrap_or(0);
        Ok(Request {
            goal,
            wanted,
            debs: args.str("deb").map(|debs| debs.split(',').map(|deb| deb.trim().to_owned()).collect()).unwrap_or_default(),
            upgrade,
            // As Ansible: a valid time alone asks for a refresh, unless it is refused in so many words.
            update: args.is("update_cache") || (valid_time > 0 && args.bool("update_cache") != Some(false)),
            valid_time,
            lock_timeout,
            only_upgrade: args.is("only_upgrade"),
            purge: args.is("purge"),
            clean: args.is("clean"),
            autoclean: args.is("autoclean"),
            autoremove: args.is("autoremove"),
            policy_rc_d: args.int("policy_rc_d"),
            retries: args.int("update_cache_retries").unwrap_or(5),
            longest_delay: args.int("update_cache_retry_max_delay").unwrap_or(12),
            common: common(args, lock_timeout)?,
            installing: installing(args),
            allows_held: args.is("allow_change_held_packages"),
        })
    }

    /// Whether packages are put in place rather than removed.
    pub fn installs(&self) -> bool {
        self.goal != Goal::Absent
    }

    /// `apt-get`'s arguments that put `packages` where they are asked to be.
    pub fn for_packages(&self, packages: &[String]) -> String {
        let Request { common, installing, .. } = self;
        let packages = packages.join(" ");
        let autoremove = if self.autoremove { " --auto-remove" } else { "" };
        match self.goal {
            Goal::Absent => {
                let purge = if self.purge { " --purge" } else { "" };
                let held = if self.allows_held { " --allow-change-held-packages" } else { "" };
                format!("-y {common}{purge}{autoremove}{held} remove {packages}")
            }
            Goal::BuildDep => format!("-y {common}{installing} build-dep {packages}"),
            Goal::Fixed => format!("-y {common}{installing}{autoremove} --fix-broken install {packages}"),
            Goal::Present | Goal::Latest => format!("-y {common}{installing}{autoremove} install {packages}"),
        }
    }

    /// `apt-get`'s arguments for what concerns no package by name.
    pub fn for_all(&self) -> Vec<String> {
        let Request { common, installing, .. } = self;
        let mut commands = Vec::new();
        if let Some(verb) = self.upgrade {
            let autoremove = if self.autoremove { " --auto-remove" } else { "" };
            commands.push(format!("-y {common}{installing}{autoremove} {verb}"));
            return commands;
        }
        if self.wanted.is_empty() && self.debs.is_empty() {
            if self.autoclean {
                commands.push(format!("-y {common} autoclean"));
            }
            if self.autoremove {
                commands.push(format!("-y {common}{} autoremove", if self.purge { " --purge" } else { "" }));
            }
        }
        commands
    }
}

fn common(args: &Args, lock_timeout: i64) -> Result<String, Failure> {
    let mut options = Vec::new();
    for option in args.str("dpkg_options").unwrap_or_default().split(',').map(str::trim).filter(|option| !option.is_empty()) {
        if !option.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c)) {
            return Err(Failure::argument("dpkg_options", format!("`{option}` is no option of dpkg")));
        }
        options.push(format!("-o Dpkg::Options::=--{option}"));
    }
    options.push(format!("-o DPkg::Lock::Timeout={lock_timeout}"));
    if args.is("force") {
        // What --force-yes stood for, which apt no longer has.
        options.push("--allow-downgrades --allow-remove-essential --allow-change-held-packages --allow-unauthenticated".to_owned());
    }
    Ok(options.join(" "))
}

fn installing(args: &Args) -> String {
    let mut options = String::new();
    if let Some(release) = args.str("default_release") {
        options += &format!(" -t {}", quote(release));
    }
    if let Some(wanted) = args.bool("install_recommends") {
        options += if wanted { " -o APT::Install-Recommends=yes" } else { " -o APT::Install-Recommends=no" };
    }
    let flags = [
        ("only_upgrade", " --only-upgrade"),
        ("fail_on_autoremove", " --no-remove"),
        ("allow_unauthenticated", " --allow-unauthenticated"),
        ("allow_downgrade", " --allow-downgrades"),
        ("allow_change_held_packages", " --allow-change-held-packages"),
    ];
    for (parameter, flag) in flags {
        if args.is(parameter) {
            options += flag;
        }
    }
    options
}

/// What has to be looked at after apt chose a version by itself.
pub fn at_least(wanted: &Wanted) -> Option<String> {
    let Version::AtLeast(least) = &wanted.version else { return None };
    let name = wanted.qualified();
    Some(format!(
        "dpkg --compare-versions \"$(dpkg-query -W -f '${{Version}}' {name})\" ge {least} || {{ echo \"E: Version '>={least}' for '{name}' was not found\" >&2; exit 100; }}\n"
    ))
}
