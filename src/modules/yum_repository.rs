//! Writes a repository of yum or dnf, as a section of a file in `/etc/yum.repos.d`.
//!
//! ```yaml
//! - yum_repository: {name: kubernetes, description: Kubernetes, baseurl: "https://pkgs.k8s.io/core:/stable:/v1.33/rpm/", gpgkey: "https://pkgs.k8s.io/core:/stable:/v1.33/rpm/repodata/repomd.xml.key"}
//! ```
//!
//! The section is written anew with what the task says; the file's other sections stay, its comments do not. A file without sections is removed. Returns `repo` and `state`.

use super::attributes::{Fix, Ids, Wanted};
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::sha1_of;
use super::sections::{Sections, parse};
use super::write_file::{Write, fix_script};
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct YumRepository;

static SPEC: Spec = Spec {
    name: "ansible.builtin.yum_repository",
    aliases: &[],
    params: &[
        Param::str("name").required(),
        Param::str("description"),
        Param::str("state").default("present").choices(&["present", "absent"]),
        Param::str("file"),
        Param::path("reposdir").default("/etc/yum.repos.d"),
        Param::bool("async"),
        Param::str("bandwidth"),
        Param::list("baseurl"),
        Param::str("cost"),
        Param::bool("countme"),
        Param::str("deltarpm_metadata_percentage"),
        Param::str("deltarpm_percentage"),
        Param::bool("enabled"),
        Param::bool("enablegroups"),
        Param::list("exclude").alias(&["excludepkgs"]),
        Param::str("failovermethod").choices(&["roundrobin", "priority"]),
        Param::str("gpgcakey"),
        Param::bool("gpgcheck"),
        Param::list("gpgkey"),
        Param::str("http_caching").choices(&["all", "packages", "none"]),
        Param::str("include"),
        Param::list("includepkgs"),
        Param::str("ip_resolve").choices(&["4", "6", "IPv4", "IPv6", "whatever"]),
        Param::bool("keepalive"),
        Param::str("metadata_expire"),
        Param::str("metadata_expire_filter").choices(&["never", "read-only:past", "read-only:present", "read-only:future"]),
        Param::str("metalink"),
        Param::str("mirrorlist"),
        Param::str("mirrorlist_expire"),
        Param::bool("module_hotfixes"),
        Param::str("password").secret(),
        Param::str("priority"),
        Param::bool("protect"),
        Param::str("proxy"),
        Param::str("proxy_password").secret(),
        Param::str("proxy_username"),
        Param::bool("repo_gpgcheck"),
        Param::str("retries"),
        Param::bool("s3_enabled"),
        Param::bool("skip_if_unavailable"),
        Param::bool("ssl_check_cert_permissions"),
        Param::str("sslcacert").alias(&["ca_cert"]),
        Param::str("sslclientcert").alias(&["client_cert"]),
        Param::str("sslclientkey").alias(&["client_key"]),
        Param::bool("sslverify").alias(&["validate_certs"]),
        Param::str("throttle"),
        Param::str("timeout"),
        Param::str("ui_repoid_vars"),
        Param::str("username"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

/// What of the parameters is no key of the section.
const NO_KEYS: &[&str] = &["name", "description", "state", "file", "reposdir", "mode", "owner", "group"];

pub struct State {
    path: String,
    entry: Option<Entry>,
    ids: Ids,
    sections: Sections,
}

impl Module for YumRepository {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let file = args.str("file").map_or_else(|| args.required("name"), Ok)?;
        let text = format!(
            "{FUNCTIONS}d={}\nif [ ! -d \"$d\" ]; then say \"$d\"; say none; exit 0; fi\np=$d/{}.repo\nsay \"$p\"; say there\nlook \"$p\" -L\n{}\
             if [ -f \"$p\" ]; then cat -- \"$p\" || exit 1; fi\n",
            words::on_host(args.required("reposdir")?),
            quote(file),
            Wanted::of(args)?.ask_ids()
        );
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of("read the repositories", output)?;
        let path = fields.text()?;
        if fields.text()? == "none" {
            return Err(Failure::argument("reposdir", format!("Repo directory '{path}' does not exist.")));
        }
        let entry = fields.entry(&path)?;
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let sections =
            parse(&String::from_utf8_lossy(fields.rest())).map_err(|line| Failure::new(format!("{path}: cannot read `{line}`")))?;
        Ok(State { path, entry, ids, sections })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let (name, wanted) = (args.required("name")?, Wanted::of(args)?);
        let is_present = args.str("state") == Some("present");
        if is_present && !["baseurl", "mirrorlist", "metalink"].iter().any(|param| args.has(param)) {
            return Err(Failure::new("state is present but any of the following are missing: baseurl, mirrorlist, metalink"));
        }
        if is_present && !args.has("description") {
            return Err(Failure::new("state is present but all of the following are missing: description"));
        }
        let State { path, entry, ids, sections } = state;
        let mut after = sections.clone();
        after.retain(|(section, _)| section != name);
        if is_present {
            after.push((name.to_owned(), keys(args)));
        }
        let (shown_before, shown_after) = (shown(&sections), shown(&after));
        let differs = shown_before != shown_after;
        let fix = match &entry {
            Some(entry) => wanted.fix(entry, &ids)?,
            None if context.check_mode() || !is_present => Fix::default(),
            None => wanted.fix_new(0o666, false, &ids)?,
        };
        let changed = differs || !fix.is_nothing();
        let mut outcome = Outcome { changed, ..Outcome::default() }.with("repo", name).with("state", args.str("state"));
        if !changed {
            return Ok(outcome.into());
        }
        if context.diff_mode() && differs {
            let header = path.clone();
            outcome = outcome.diff(Diff {
                before_header: header.clone(),
                after_header: header,
                before: shown_before,
                after: shown_after,
                ..Diff::default()
            });
        }
        let script = if !differs {
            fix_script(&path, &fix.lines("\"$p\"", false))
        } else if after.is_empty() {
            Script::new(format!("rm -f -- {}\n", quote(&path)))
        } else {
            let content = written(&after);
            let checksum = sha1_of(content.as_bytes());
            let write = Write {
                path: &path,
                replaces: entry.as_ref(),
                fix,
                source: "cat",
                checksum: Some(&checksum),
                validate: None,
                backup: false,
                before: "",
            };
            write.script()?.with_input(content.into_bytes())
        };
        let doing = format!("write {path}");
        let finish = move |output: &Output, outcome| if output.success() { Ok(outcome) } else { Err(Failure::script(&doing, output)) };
        Ok(Change::new(outcome, script).finish(finish).into())
    }
}

/// The section's keys, in the order of their names.
fn keys(args: &Args) -> Vec<(String, String)> {
    let mut keys = vec![("name".to_owned(), args.str("description").unwrap_or_default().to_owned())];
    for param in SPEC.params.iter().filter(|param| !NO_KEYS.contains(&param.name)) {
        let value = match param.name {
            "baseurl" | "gpgkey" => args.list(param.name).map(|list| list.join("\n")),
            "exclude" | "includepkgs" => args.list(param.name).map(|list| list.join(" ")),
            name => args.bool(name).map(|is| if is { "1".into() } else { "0".into() }).or_else(|| args.str(name).map(str::to_owned)),
        };
        keys.extend(value.map(|value| (param.name.to_owned(), value)));
    }
    keys.sort();
    keys
}

fn written(sections: &Sections) -> String {
    let key = |(key, value): &(String, String)| format!("{key} = {}\n", value.replace('\n', "\n\t"));
    sections.iter().map(|(name, keys)| format!("[{name}]\n{}\n", keys.iter().map(key).collect::<String>())).collect()
}

/// Sections and keys in the order of their names, as the diff has them.
fn shown(sections: &Sections) -> String {
    let mut sorted = sections.clone();
    sorted.sort();
    for (_, keys) in &mut sorted {
        keys.sort();
    }
    let key = |(key, value): &(String, String)| format!("{key} = {value}\n");
    sorted.iter().map(|(name, keys)| format!("[{name}]\n{}\n", keys.iter().map(key).collect::<String>())).collect()
}
