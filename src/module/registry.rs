//! Which modules there are, and a typed module behind one face for all.

use super::{Args, Context, Decision, Failure, Module, Spec};
use crate::sh::{Output, Script};

/// A module without its state's type. Use [`Host`] to make one.
pub trait AnyModule: Send + Sync {
    fn spec(&self) -> &'static Spec;
    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure>;
    /// `read` and `decide` in one.
    fn decide(&self, args: &Args, output: &Output, context: &dyn Context) -> Result<Decision, Failure>;
}

/// Makes an [`AnyModule`] of a [`Module`].
pub struct Host<M: Module>(pub M);

impl<M: Module> AnyModule for Host<M> {
    fn spec(&self) -> &'static Spec {
        self.0.spec()
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        self.0.probe(args, context)
    }

    fn decide(&self, args: &Args, output: &Output, context: &dyn Context) -> Result<Decision, Failure> {
        let state = self.0.read(args, output)?;
        self.0.decide(args, state, context)
    }
}

/// A module as the registry knows it.
#[derive(Clone, Copy)]
pub enum Registered {
    /// Works on the host.
    OnHost(&'static dyn AnyModule),
    /// Never leaves the controller, or is the engine's own business: `debug`, `set_fact`, `include_tasks`, `meta`, `reboot`.
    InEngine(&'static Spec),
}

impl Registered {
    pub fn spec(&self) -> &'static Spec {
        match self {
            Registered::OnHost(module) => module.spec(),
            Registered::InEngine(spec) => spec,
        }
    }
}

/// The module that a playbook calls `name`: a short name, or a full one.
pub fn find(name: &str) -> Option<Registered> {
    all().find(|module| answers_to(module.spec(), name))
}

/// The full first name of the module that a playbook calls `name`.
pub fn resolve_name(name: &str) -> Option<&'static str> {
    find(name).map(|module| module.spec().name)
}

/// Every name under which a module can be called, short and full.
pub fn known_names() -> Vec<&'static str> {
    all().flat_map(|module| [module.spec().short_name(), module.spec().name]).collect()
}

fn all() -> impl Iterator<Item = Registered> {
    let on_host = crate::modules::ON_HOST.iter().map(|module| Registered::OnHost(*module));
    on_host.chain(crate::modules::IN_ENGINE.iter().map(Registered::InEngine))
}

fn answers_to(spec: &'static Spec, name: &str) -> bool {
    let is = |full: &str| {
        name == full
            || name == full.rsplit('.').next().unwrap_or(full)
            || full.strip_prefix("ansible.builtin.").is_some_and(|short| name.strip_prefix("ansible.legacy.") == Some(short))
    };
    is(spec.name) || spec.aliases.iter().any(|alias| is(alias))
}
