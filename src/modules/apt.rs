//! Packages of Debian and Ubuntu, with nothing on the host but apt and dpkg.
//!
//! ```yaml
//! - apt: { name: [kubelet=1.36.2-*, kubeadm=1.36.2-*], update_cache: true, cache_valid_time: 3600, allow_change_held_packages: true }
//! ```
//!
//! When everything named is in place and the lists are young enough, no apt runs at all. A change waits for the locks of dpkg and apt
//! (`lock_timeout`, here 600 seconds, as unattended-upgrades holds them for minutes on a fresh machine) and prints who holds them; a dpkg that was
//! interrupted is completed first. `apt-get` does everything, so `force_apt_get` is always met, `auto_install_module_deps` has nothing to install, and `upgrade: full` is `dist`.
//! A version pattern that matches what is installed is met. Returns `cache_updated`, `cache_update_time`, `stdout`, `stderr`; the diff lists versions.

pub mod lock;
mod package;
mod probe;
mod request;
pub mod said;
pub mod update;
mod version;

use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::command::result;
use crate::sh::{Output, Script, words};
use package::{Known, Version, Wanted};
use probe::State;
use request::{Goal, Request};
use update::Updated;

/// `ansible.builtin.apt`
pub struct Apt;

/// What `apt` takes, and `package` with it.
macro_rules! apt_params {
    ($($more:expr)?) => {
        &[
            $($more,)?
            Param::list("name").alias(&["package", "pkg"]),
            Param::str("state").default("present").choices(&["absent", "build-dep", "fixed", "latest", "present"]),
            Param::bool("update_cache").alias(&["update-cache"]),
            Param::int("update_cache_retries").default("5"),
            Param::int("update_cache_retry_max_delay").default("12"),
            Param::int("cache_valid_time").default("0"),
            Param::bool("purge").default("no"),
            Param::str("default_release").alias(&["default-release"]),
            Param::bool("install_recommends").alias(&["install-recommends"]),
            Param::bool("force").default("no"),
            Param::bool("clean"),
            Param::bool("allow_unauthenticated").alias(&["allow-unauthenticated"]).default("no"),
            Param::bool("allow_downgrade").alias(&["allow-downgrade", "allow_downgrades", "allow-downgrades"]).default("no"),
            Param::bool("allow_change_held_packages").default("no"),
            Param::str("upgrade").default("no").choices(&["dist", "full", "no", "safe", "yes", "true", "false"]),
            Param::str("dpkg_options").default("force-confdef,force-confold"),
            Param::path("deb"),
            Param::bool("autoremove"),
            Param::bool("autoclean"),
            Param::int("policy_rc_d"),
            Param::bool("only_upgrade").default("no"),
            Param::bool("fail_on_autoremove").default("no"),
            Param::bool("auto_install_module_deps").default("true"),
            Param::bool("force_apt_get").default("no"),
            Param::int("lock_timeout").default("600"),
        ]
    };
}
pub(super) use apt_params;

static SPEC: Spec = Spec { name: "ansible.builtin.apt", aliases: &[], params: apt_params![], free_form: FreeForm::None };

impl Module for Apt {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        let request = Request::of(args)?;
        let mut commands = request.for_all();
        let asks_apt = matches!(request.goal, Goal::Latest | Goal::BuildDep) || (context.check_mode() && request.installs());
        if asks_apt && !request.wanted.is_empty() && !request.wanted.iter().any(Wanted::is_pattern) {
            let packages: Vec<_> = request.wanted.iter().map(Wanted::for_apt).collect();
            commands.push(request.for_packages(&packages));
        }
        let simulate = (!commands.is_empty() || context.check_mode()).then_some(&commands[..]);
        Ok(Some(probe::script(&request, simulate)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        probe::read(output)
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let request = Request::of(args)?;
        let plan = plan(&request, &state, context.check_mode())?;
        let age = state.now - state.lists_time;
        let updates = request.update && (state.lists_time == 0 || age >= request.valid_time.max(0) || request.valid_time == 0);
        let is_update_alone = plan.is_for_nothing;

        let mut outcome = Outcome { changed: plan.changes || (is_update_alone && updates), ..Outcome::default() };
        if let Some(simulated) = &state.simulated
            && plan.changes
        {
            outcome.data = result::texts(&simulated.output, "");
            outcome.diff.extend(said::diff(&simulated.output));
        }
        outcome.diff.extend(plan.diff);
        let outcome = outcome.with("cache_updated", updates).with("cache_update_time", state.lists_time);
        if plan.steps.is_empty() && !updates {
            return Ok(outcome.into());
        }
        let script = apply(&request, updates, &plan.steps);
        let (counts_autoclean, always, never) = (request.autoclean, request.clean && is_update_alone, !plan.changes && !is_update_alone);
        let wants_diff = context.diff_mode();
        let finish = move |output: &Output, outcome: Outcome| {
            let (stdout, mut outcome) = finish(output, outcome)?;
            let worked = said::is_change(&stdout) || (counts_autoclean && stdout.lines().any(|line| line.starts_with("Del ")));
            let refreshed = outcome.data.get("cache_updated").is_some_and(|updated| updated == true);
            outcome.changed = !never && (worked || always || (is_update_alone && refreshed));
            outcome.diff = if wants_diff { said::diff(&stdout).into_iter().collect() } else { Vec::new() };
            Ok(outcome)
        };
        Ok(Change::new(outcome, script).finish(finish).into())
    }
}

/// What is to be run.
#[derive(Debug, Default)]
struct Plan {
    steps: Vec<String>,
    changes: bool,
    /// No package, file or upgrade was asked for: the refresh of the lists is the task.
    is_for_nothing: bool,
    diff: Option<Diff>,
}

fn plan(request: &Request, state: &State, check_mode: bool) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    if request.clean {
        plan.steps.push("apt-get clean || exit $?\n".to_owned());
    }
    let for_all = request.for_all();
    if !for_all.is_empty() {
        plan.changes = for_all.len() > 1 || simulated_change(state, request.update && !check_mode)?;
        if plan.changes || request.update {
            plan.steps.extend(for_all.iter().map(|command| format!("apt-get {command} || exit $?\n")));
            plan.changes = true;
        }
        return Ok(plan);
    }
    if !request.debs.is_empty() {
        plan_debs(request, state, check_mode, &mut plan);
        return Ok(plan);
    }
    if request.wanted.is_empty() {
        plan.is_for_nothing = true;
        plan.changes = request.clean;
        return Ok(plan);
    }
    let wanted = expand(request, state)?;
    match request.goal {
        Goal::Absent => plan_removal(request, state, &wanted, &mut plan),
        Goal::Latest | Goal::BuildDep => {
            plan.changes = match &state.simulated {
                Some(_) => simulated_change(state, request.update && !check_mode)?,
                None => true,
            };
            if plan.changes || request.update {
                let packages: Vec<_> = wanted.iter().map(Wanted::for_apt).collect();
                plan.steps.push(format!("apt-get {} || exit $?\n", request.for_packages(&packages)));
                plan.changes = true;
            }
        }
        Goal::Present | Goal::Fixed => plan_installation(request, state, &wanted, check_mode, &mut plan)?,
    }
    Ok(plan)
}

/// Whether apt-get would do anything. `may_be_stale`: the lists are refreshed before, so that a failure means nothing yet.
fn simulated_change(state: &State, may_be_stale: bool) -> Result<bool, Failure> {
    let Some(simulated) = &state.simulated else { return Ok(true) };
    if simulated.status == 0 {
        return Ok(said::is_change(&simulated.output) || simulated.output.lines().any(|line| line.starts_with("Del ")));
    }
    if may_be_stale {
        return Ok(true);
    }
    let message = said::why(&simulated.output).unwrap_or_else(|| format!("apt-get -s: {}", said::errors(&simulated.output)));
    Err(Failure::new(message).with("rc", simulated.status).with("stdout", simulated.output.as_str()))
}

/// Patterns in names become the names they match.
fn expand(request: &Request, state: &State) -> Result<Vec<Wanted>, Failure> {
    let mut wanted = Vec::new();
    for one in &request.wanted {
        if !one.is_pattern() || !request.installs() {
            wanted.push(one.clone());
            continue;
        }
        let Some(names) = state.expanded.get(&one.name) else {
            return Err(Failure::argument("name", format!("No package(s) matching '{}' available", one.name)));
        };
        wanted.extend(names.iter().map(|name| Wanted { name: name.clone(), ..one.clone() }));
    }
    Ok(wanted)
}

fn plan_installation(request: &Request, state: &State, wanted: &[Wanted], check_mode: bool, plan: &mut Plan) -> Result<(), Failure> {
    let installed = |wanted: &Wanted| state.packages.iter().find(|known| wanted.names(known, &state.native) && known.is_installed());
    let is_provided = |wanted: &Wanted| wanted.version == Version::Any && state.provided.get(&wanted.name) == Some(&false);
    let is_met = |wanted: &&Wanted| match installed(wanted) {
        Some(known) => wanted.accepts(&known.version),
        None => request.only_upgrade || is_provided(wanted),
    };
    let missing: Vec<_> = wanted.iter().filter(|wanted| !is_met(wanted)).collect();
    let auto: Vec<_> = wanted.iter().filter(is_met).filter_map(installed).filter(|known| known.is_auto).collect();
    if !missing.is_empty() {
        if check_mode && state.simulated.is_some() {
            simulated_change(state, false)?;
        }
        let packages: Vec<_> = missing.iter().map(|wanted| wanted.for_apt()).collect();
        plan.steps.push(format!("apt-get {} || exit $?\n", request.for_packages(&packages)));
        plan.steps.extend(missing.iter().filter_map(|wanted| request::at_least(wanted)));
        plan.changes = true;
    }
    if !auto.is_empty() {
        // As Ansible: what a task names is no longer up for autoremove. That is no change of the host's software.
        let names: Vec<_> = auto.iter().map(|known| known.name.as_str()).collect();
        plan.steps.push(format!("apt-mark manual {} >&2 || exit $?\n", names.join(" ")));
    }
    Ok(())
}

fn plan_removal(request: &Request, state: &State, wanted: &[Wanted], plan: &mut Plan) {
    let is_meant = |known: &&Known| {
        known.is_removable(request.purge)
            && wanted.iter().any(|wanted| wanted.names(known, &state.native) && (known.state == 'c' || wanted.accepts(&known.version)))
    };
    let removed: Vec<_> = state.packages.iter().filter(is_meant).collect();
    if removed.is_empty() {
        return;
    }
    let names: Vec<_> = removed
        .iter()
        .map(|known| {
            if known.architecture == "all" || known.architecture == state.native {
                known.name.clone()
            } else {
                format!("{}:{}", known.name, known.architecture)
            }
        })
        .collect();
    plan.steps.push(format!("apt-get {} || exit $?\n", request.for_packages(&names)));
    plan.changes = true;
    let before = removed.iter().map(|known| format!("{} {}\n", known.name, known.version)).collect();
    plan.diff = Some(Diff { before_header: "packages before".into(), after_header: "packages after".into(), before, ..Diff::default() });
}

fn plan_debs(request: &Request, state: &State, check_mode: bool, plan: &mut Plan) {
    let has_url = request.debs.iter().any(|deb| probe::is_url(deb));
    let is_new = state.debs.iter().any(|deb| deb.installed.as_deref() != Some(deb.version.as_str()));
    // A URL's version is known only when it is there: its script looks before it installs.
    plan.changes = is_new || (has_url && !check_mode);
    if !plan.changes {
        return;
    }
    let mut step =
        String::from("folder=$(mktemp -d) || exit 1\nchmod 755 \"$folder\"\ntrap 'rm -rf -- \"$folder\"; restore_policy' EXIT\nset --\n");
    step += TAKE_DEB;
    for (n, deb) in request.debs.iter().enumerate() {
        step += &match probe::is_url(deb) {
            true => format!(
                "{} || {{ echo 'E: cannot download the file' >&2; exit 100; }}\ntake_deb \"$folder/{n}.deb\" && set -- \"$@\" \"$folder/{n}.deb\"\n",
                probe::download(deb, &format!("$folder/{n}.deb"))
            ),
            false => format!(
                "file={}\ncase $file in /*) ;; *) file=./$file ;; esac\ntake_deb \"$file\" && set -- \"$@\" \"$file\"\n",
                words::on_host(deb)
            ),
        };
    }
    step += &format!("[ $# -eq 0 ] || apt-get {} || exit $?\n", request.for_packages(&["\"$@\"".to_owned()]));
    plan.steps.push(step);
}

const TAKE_DEB: &str = r#"take_deb() {
  name=$(dpkg-deb -f "$1" Package) && version=$(dpkg-deb -f "$1" Version) && architecture=$(dpkg-deb -f "$1" Architecture) || exit 100
  [ "$architecture" = all ] || name=$name:$architecture
  [ "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$name" 2>/dev/null)" != "installed $version" ]
}
"#;

/// The whole of a change: locks, what an interrupted dpkg left, the lists, then the steps.
fn apply(request: &Request, updates: bool, steps: &[String]) -> Script {
    let Request { lock_timeout, .. } = request;
    let mut text = format!("{}{}{RECOVER}restore_policy() {{ :; }}\n", update::ENVIRONMENT, lock::WAIT_FOR_LOCKS);
    if !steps.is_empty() {
        text += &format!("wait_for_locks {lock_timeout}\nrecover\n");
    }
    if updates {
        text += update::UPDATE_LISTS;
        text += &format!("update_lists {} {} {lock_timeout}\n", request.retries, request.longest_delay);
    }
    if !steps.is_empty() {
        text += &format!("wait_for_locks {lock_timeout}\n");
    }
    if let Some(status) = request.policy_rc_d
        && !steps.is_empty()
    {
        text += &POLICY.replace("STATUS", &status.to_string());
    }
    text += "echo 'nodewright: begin'\n";
    text.extend(steps.iter().map(String::as_str));
    Script::new(text)
}

/// Completes what an interrupted dpkg began; apt-get would refuse to do anything else.
const RECOVER: &str = r#"recover() {
  interrupted=
  for update in /var/lib/dpkg/updates/[0-9]*; do [ ! -e "$update" ] || interrupted=1; done
  case $(dpkg --audit 2>/dev/null) in *configured* | *half* | *unpacked* | *trigger*) interrupted=1 ;; esac
  [ -n "$interrupted" ] || return 0
  echo "a run of dpkg was interrupted: dpkg --configure -a"
  dpkg --force-confdef --force-confold --configure -a </dev/null || :
}
"#;

/// What the user has there is put back however the script ends, also the one that a killed run left beside.
const POLICY: &str = r#"policy=/usr/sbin/policy-rc.d
restore_policy() {
  if [ -e "$policy.nodewright-none" ]; then rm -f -- "$policy" "$policy.nodewright-none"
  elif [ -e "$policy.nodewright-saved" ]; then mv -f -- "$policy.nodewright-saved" "$policy"; fi
}
restore_policy
trap restore_policy EXIT; trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
if [ -e "$policy" ]; then mv -- "$policy" "$policy.nodewright-saved"; else : >"$policy.nodewright-none"; fi || exit 1
printf '#!/bin/sh\nexit %s\n' STATUS >"$policy" && chmod 770 "$policy" || exit 1
"#;

/// The output of the steps, and the outcome with what apt-get said; or why it failed.
fn finish(output: &Output, mut outcome: Outcome) -> Result<(String, Outcome), Failure> {
    let (all, stderr) = (output.stdout_text(), output.stderr_text());
    let (before, stdout) = all.split_once("nodewright: begin\n").unwrap_or((&*all, ""));
    let updated = update::read(before);
    if !output.success() {
        let message = match updated {
            Updated::Failed { tries } => format!("Failed to update apt cache after {tries} tries: {}", said::errors(&stderr)),
            _ => said::why(&stderr).unwrap_or_else(|| match said::errors(&stderr) {
                locked if locked.starts_with("Failed to lock") => locked,
                errors => format!("apt-get exited {}: {errors}", output.status),
            }),
        };
        let mut failure = Failure::new(message);
        failure.data = result::texts(if stdout.is_empty() { before } else { stdout }, &stderr);
        return Err(failure.with("rc", output.status));
    }
    outcome.data =
        result::texts(stdout, &stderr).into_iter().chain(outcome.data.into_iter().filter(|(name, _)| name.starts_with("cache_"))).collect();
    match updated {
        Updated::Done { is_new, time } => Ok((stdout.to_owned(), outcome.with("cache_updated", is_new).with("cache_update_time", time))),
        Updated::Not | Updated::Failed { .. } => Ok((stdout.to_owned(), outcome.with("cache_updated", false))),
    }
}

#[cfg(test)]
mod tests;
