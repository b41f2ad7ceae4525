//! Packages by whatever manages them on the host. Here that is apt; a host with another manager is refused by its name.
//!
//! ```yaml
//! - package: { name: [socat, conntrack], state: present }
//! ```
//!
//! Takes everything that `apt` takes.

use super::apt::{Apt, apt_params};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Param, Spec};
use crate::sh::{Output, Script};

/// `ansible.builtin.package`
pub struct Package;

static SPEC: Spec = Spec {
    name: "ansible.builtin.package",
    aliases: &[],
    params: apt_params![Param::str("use").default("auto").choices(&["auto", "apt", "ansible.builtin.apt", "ansible.legacy.apt"])],
    free_form: FreeForm::None,
};

impl Module for Package {
    type State = <Apt as Module>::State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        match context.fact("pkg_mgr").as_ref().and_then(|manager| manager.as_str()) {
            None | Some("apt" | "unknown") => Apt.probe(args, context),
            Some(other) => Err(Failure::new(format!("packages of this host are managed by {other}, which is not supported: only apt is"))),
        }
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure> {
        Apt.read(args, output)
    }

    fn decide(&self, args: &Args, state: Self::State, context: &dyn Context) -> Result<Decision, Failure> {
        Apt.decide(args, state, context)
    }
}
