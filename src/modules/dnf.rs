//! Installs, upgrades and removes packages with dnf, on hosts that have it.
//!
//! ```yaml
//! - dnf: {name: [kubelet, kubeadm], state: present, disable_excludes: kubernetes}
//! ```
//!
//! Names may have versions, be files, addresses or groups (`@development`). `yum` and `dnf5` are the same module. In check mode dnf is asked what it would do. A host without dnf fails.
//! Returns `rc`, `results`, `msg`.

use super::look::{FUNCTIONS, Fields};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote_all};

pub struct Dnf;

static SPEC: Spec = Spec {
    name: "ansible.builtin.dnf",
    aliases: &["ansible.builtin.yum", "ansible.builtin.dnf5"],
    params: &[
        Param::list("name").alias(&["pkg"]),
        Param::str("state").choices(&["absent", "present", "installed", "removed", "latest"]),
        Param::bool("allowerasing").default("false"),
        Param::bool("autoremove").default("false"),
        Param::bool("best"),
        Param::bool("nobest"),
        Param::bool("bugfix").default("false"),
        Param::bool("cacheonly").default("false"),
        Param::path("conf_file"),
        Param::str("disable_excludes"),
        Param::bool("disable_gpg_check").default("false"),
        Param::list("disableplugin"),
        Param::list("disablerepo"),
        Param::path("download_dir"),
        Param::bool("download_only").default("false"),
        Param::list("enableplugin"),
        Param::list("enablerepo"),
        Param::list("exclude"),
        Param::bool("install_weak_deps").default("true"),
        Param::path("installroot").default("/"),
        Param::str("releasever"),
        Param::bool("security").default("false"),
        Param::bool("skip_broken").default("false"),
        Param::bool("sslverify").default("true"),
        Param::bool("update_cache").default("false").alias(&["expire-cache"]),
        Param::bool("update_only").default("false"),
        Param::str("use_backend").alias(&["use"]).default("auto").choices(&["auto", "dnf", "yum", "yum4", "dnf4", "dnf5"]),
        Param::bool("validate_certs").default("true"),
    ],
    free_form: FreeForm::None,
};

/// The steps that dnf was asked for, each with its status and words; none where it has not been asked.
pub type Asked = Vec<(u32, String, String)>;

impl Module for Dnf {
    type State = Asked;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        if context.check_mode() { script(args, "--assumeno").map(Some) } else { Ok(None) }
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Asked, Failure> {
        if output.success() && output.stdout.is_empty() { Ok(Vec::new()) } else { asked(output) }
    }

    fn decide(&self, args: &Args, state: Asked, context: &dyn Context) -> Result<Decision, Failure> {
        if context.check_mode() {
            let outcome = outcome(&state, true)?;
            return Ok(if outcome.changed { Change::new(outcome, Script::default()).into() } else { outcome.into() });
        }
        let script = script(args, "--assumeyes")?;
        Ok(Change::new(Outcome::changed(), script).finish(|output, _| outcome(&asked(output)?, false)).into())
    }
}

/// Runs dnf step by step until one fails.
fn script(args: &Args, answer: &str) -> Result<Script, Failure> {
    let names: Vec<String> = args.list("name").unwrap_or_default().into_iter().filter(|name| !name.is_empty()).collect();
    let state = args.str("state").unwrap_or(if args.is("autoremove") { "absent" } else { "present" });
    let is_removal = matches!(state, "absent" | "removed");
    if args.is("autoremove") && !is_removal {
        return Err(Failure::argument("autoremove", "Autoremove should be used alone or with state=absent"));
    }
    if args.is("best") && args.is("nobest") {
        return Err(Failure::argument("nobest", "parameters are mutually exclusive: best|nobest"));
    }
    let mut options = vec![answer.to_owned()];
    for (name, option) in [
        ("allowerasing", "--allowerasing"),
        ("best", "--best"),
        ("nobest", "--nobest"),
        ("bugfix", "--bugfix"),
        ("cacheonly", "--cacheonly"),
        ("disable_gpg_check", "--nogpgcheck"),
        ("download_only", "--downloadonly"),
        ("security", "--security"),
        ("skip_broken", "--skip-broken"),
        ("update_cache", "--refresh"),
    ] {
        options.extend(args.is(name).then(|| option.to_owned()));
    }
    for (name, option) in [
        ("conf_file", "--config"),
        ("disable_excludes", "--disableexcludes"),
        ("download_dir", "--downloaddir"),
        ("releasever", "--releasever"),
        ("installroot", "--installroot"),
    ] {
        let value = args.str(name).filter(|value| name != "installroot" || *value != "/");
        options.extend(value.map(|value| format!("{option}={value}")));
    }
    for (name, option) in [
        ("disableplugin", "--disableplugin"),
        ("disablerepo", "--disablerepo"),
        ("enableplugin", "--enableplugin"),
        ("enablerepo", "--enablerepo"),
        ("exclude", "--exclude"),
    ] {
        options.extend(args.list(name).unwrap_or_default().iter().map(|value| format!("{option}={value}")));
    }
    if !args.is("install_weak_deps") {
        options.push("--setopt=install_weak_deps=False".into());
    }
    if !args.is("sslverify") || !args.is("validate_certs") {
        options.push("--setopt=sslverify=False".into());
    }
    if is_removal {
        options.push(format!("--setopt=clean_requirements_on_remove={}", if args.is("autoremove") { "True" } else { "False" }));
    }
    let is_everything = names.iter().any(|name| name == "*");
    let mut steps: Vec<Vec<&str>> = Vec::new();
    let named = |verb: &'static str| std::iter::once(verb).chain(names.iter().map(String::as_str)).collect::<Vec<_>>();
    match state {
        _ if is_removal && names.is_empty() && args.is("autoremove") => steps.push(vec!["autoremove"]),
        _ if names.is_empty() && args.is("update_cache") => steps.push(vec!["makecache"]),
        _ if names.is_empty() => return Err(Failure::new("one of the following is required: name, autoremove, update_cache")),
        _ if is_removal => steps.push(named("remove")),
        "latest" if is_everything => steps.push(vec!["upgrade"]),
        "latest" if args.is("update_only") => steps.push(named("upgrade")),
        "latest" => steps.extend([named("install"), named("upgrade")]),
        _ if args.is("update_only") => steps.push(named("upgrade")),
        _ => steps.push(named("install")),
    }
    let program = match args.str("use_backend") {
        Some("dnf5") => "command -v dnf5",
        Some("dnf4" | "yum4") => "command -v dnf-3 || command -v dnf || command -v yum",
        _ => "command -v dnf || command -v dnf5 || command -v yum",
    };
    let mut text = format!(
        "{FUNCTIONS}LC_ALL=C; export LC_ALL\nx=$(mktemp -d) || exit 1\ntrap 'rm -rf -- \"$x\"' EXIT\n\
         dnf=$({program}) || {{ say no; exit 0; }}\n\
         ask() {{ \"$dnf\" \"$@\" > \"$x/out\" 2> \"$x/err\" < /dev/null; r=$?; say $r; say \"$(cat \"$x/out\")\"; say \"$(cat \"$x/err\")\"; return $r; }}\n"
    );
    for step in steps {
        let goes_on = if answer == "--assumeno" { "|| :" } else { "|| exit 0" };
        text += &format!("ask {} {} {goes_on}\n", quote_all(&options), quote_all(step));
    }
    Ok(Script::new(text))
}

fn asked(output: &Output) -> Result<Asked, Failure> {
    let mut fields = Fields::of("ask dnf", output)?;
    let mut steps = Vec::new();
    while !fields.is_empty() {
        let status = fields.text()?;
        if status == "no" {
            return Err(Failure::new("this host has no dnf: packages are managed by something else").with("rc", 1));
        }
        steps.push((status.parse().unwrap_or(1), fields.text()?, fields.text()?));
    }
    Ok(steps)
}

fn outcome(steps: &Asked, only_asked: bool) -> Result<Outcome, Failure> {
    let mut results: Vec<String> = Vec::new();
    let mut changed = false;
    for (status, stdout, stderr) in steps {
        // With `--assumeno` dnf ends with 1 where there is something to do.
        let would = only_asked && (stdout.contains("Operation aborted") || stderr.contains("Operation aborted"));
        if *status != 0 && !would {
            let unknown: Vec<String> = stdout
                .lines()
                .filter_map(|line| line.strip_prefix("No match for argument: "))
                .map(|name| format!("No package {name} available."))
                .collect();
            if !unknown.is_empty() {
                let failure = Failure::new("Failed to install some of the specified packages").with("failures", unknown);
                return Err(failure.with("rc", *status).with("results", results));
            }
            let error = stderr.lines().chain(stdout.lines()).find_map(|line| line.strip_prefix("Error: "));
            let said = error.map_or_else(|| stderr.trim().to_owned(), str::to_owned);
            return Err(Failure::new(said)
                .with("rc", *status)
                .with("results", results)
                .with("stdout", stdout.as_str())
                .with("stderr", stderr.as_str()));
        }
        changed |= would || done(stdout);
        results.extend(transactions(stdout));
    }
    let msg = match (changed, only_asked) {
        (true, true) => "Check mode: No changes made, but would have if not in check mode",
        (true, false) => "",
        (false, _) if steps.iter().any(|(_, stdout, _)| stdout.contains("Metadata cache created")) => "Cache updated",
        (false, _) => "Nothing to do",
    };
    Ok(Outcome { changed, ..Outcome::default() }.with("rc", 0).with("results", results).with("msg", msg))
}

/// Whether dnf has changed something, or fetched packages as it was told.
fn done(stdout: &str) -> bool {
    let says = |what: &str| stdout.lines().any(|line| line.starts_with(what));
    (says("Complete!") || says("Transaction Summary")) && !says("Nothing to do")
}

/// `Installed: a-1-1.noarch`, of the lists at the end of dnf's words.
fn transactions(stdout: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut heading = None;
    for line in stdout.lines() {
        if let Some(word) = ["Installed:", "Upgraded:", "Removed:", "Downgraded:", "Reinstalled:"].iter().find(|word| line == **word) {
            heading = Some(*word);
        } else if !line.starts_with(' ') {
            heading = None;
        } else if let Some(word) = heading {
            found.extend(line.split_whitespace().map(|package| format!("{word} {package}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_dnf_did() {
        let said = "Dependencies resolved.\nTransaction Summary\nInstall  1 Package\n\nInstalled:\n  a-1-1.noarch      b-2-1.x86_64   \n\nComplete!\n";
        assert_eq!(transactions(said), ["Installed: a-1-1.noarch", "Installed: b-2-1.x86_64"]);
        assert!(done(said) && !done("Dependencies resolved.\nNothing to do.\nComplete!\n"));
    }
}
