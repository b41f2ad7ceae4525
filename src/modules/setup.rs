//! Gathers facts about the host, in one script and one round trip.
//!
//! ```yaml
//! - setup: { gather_subset: [min, network], filter: ansible_default_ipv4 }
//! ```
//!
//! Facts have Ansible's names and values (`ansible_os_family`, `ansible_default_ipv4`, `ansible_memtotal_mb` ...); `ansible_python` is there
//! where the host has a Python, which is not needed. `facts.d` files are run or read on the host. Facts that a subset brings with little more work
//! come with it. What a play gathers at its beginning is less where the run's files name the facts that they need: nothing is looked for that nobody
//! can ask for. As a task of its own the module gathers all that it is told to. `gather_timeout` bounds what may hang: a name server, a disk that does not answer.

mod hardware;
mod network;
mod parts;
mod python;
mod script;
mod seen;
mod subset;
mod system;
mod virtualization;

use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::fnmatch;
use crate::sh::{Output, Script};
use parts::Wanted;
use seen::Seen;
use serde_json::{Map, Value as Json};
use subset::Subset;

/// `ansible.builtin.setup`, also called `gather_facts`.
pub struct Setup;

static SPEC: Spec = Spec {
    name: "ansible.builtin.setup",
    aliases: &["ansible.builtin.gather_facts"],
    params: &[
        Param::list("gather_subset").default("all"),
        Param::int("gather_timeout").default("10"),
        Param::list("filter"),
        Param::path("fact_path").default("/etc/ansible/facts.d"),
    ],
    free_form: FreeForm::None,
};

impl Module for Setup {
    type State = Map<String, Json>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        let timeout = args.int("gather_timeout").unwrap_or(10);
        let wanted = Wanted::of(context.named_facts());
        Ok(Some(script::script(subset(args)?, &wanted, args.required("fact_path")?, timeout, context.python().as_deref())))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure> {
        let text = output.stdout_text();
        let seen = Seen::read(&text);
        if !output.success() || seen.section("uname").is_none_or(str::is_empty) {
            return Err(Failure::script("gathering facts", output));
        }
        Ok(facts(&seen, subset(args)?))
    }

    fn decide(&self, args: &Args, mut facts: Self::State, context: &dyn Context) -> Result<Decision, Failure> {
        let filters: Vec<_> = args.list("filter").unwrap_or_default().into_iter().filter(|filter| !filter.is_empty()).collect();
        let is_wanted = |name: &str| {
            let full = format!("ansible_{name}");
            filters.iter().any(|filter| fnmatch::matches(filter, name) || fnmatch::matches(filter, &full))
        };
        if !filters.is_empty() {
            facts.retain(|name, _| is_wanted(name));
        }
        let wanted = Wanted::of(context.named_facts());
        facts.retain(|name, _| wanted.brings(name));
        let mut facts: Map<_, _> = facts.into_iter().map(|(name, value)| (format!("ansible_{name}"), value)).collect();
        facts.insert("gather_subset".into(), args.get("gather_subset").cloned().unwrap_or_default());
        facts.insert("module_setup".into(), true.into());
        Ok(Outcome { facts, ..Outcome::unchanged() }.into())
    }
}

fn subset(args: &Args) -> Result<Subset, Failure> {
    Subset::of(&args.list("gather_subset").unwrap_or_else(|| vec!["all".to_owned()]))
}

fn facts(seen: &Seen, subset: Subset) -> Map<String, Json> {
    let mut facts = Map::new();
    system::platform(seen, &mut facts);
    if subset.minimal {
        system::minimal(seen, &mut facts);
        python::facts(seen, &mut facts);
    }
    if subset.network {
        network::network(seen, &mut facts);
    }
    if subset.hardware {
        hardware::hardware(seen, &mut facts);
    }
    if subset.virtualization {
        virtualization::virtualization(seen, &mut facts);
    }
    if subset.others {
        system::others(seen, &mut facts);
    }
    facts
}

#[cfg(test)]
mod tests;
