//! Which handlers a notification means, and whether a task is one of the play's handlers.

use super::cursor::Included;
use super::play::{Playing, Walker, identity};
use crate::playbook::{Entry, Task};
use crate::source::{Diag, Node};
use crate::vars::VarMap;
use std::collections::HashSet;
use std::sync::Arc;

impl Playing {
    /// Notifies the handlers that `names` mean, by name or by topic. Which these are is settled when handlers are flushed, for an included role may
    /// bring others; what a handler notifies is due in the same flush.
    ///
    /// # Errors
    /// A name that no handler answers to.
    pub fn notify(&self, walker: &mut Walker, names: &[String], by_handler: bool) -> Result<(), Diag> {
        for name in names {
            let found = self.meant(name);
            if found.is_empty() {
                let known: Vec<String> = self.listed_handlers().iter().filter_map(|handler| self.handler_name(handler)).collect();
                let words = format!(
                    "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
                );
                if !self.run.settings.config.flag("ERROR_ON_MISSING_HANDLER") {
                    self.run.warn(words);
                    continue;
                }
                return Err(Diag::error(words).did_you_mean(name, known.iter().map(String::as_str)));
            }
            if by_handler {
                walker.due.extend(found);
            } else {
                walker.notified.insert(name.clone());
            }
        }
        Ok(())
    }

    /// Makes due what was notified. False: nothing is.
    pub fn settle_handlers(&self, walker: &mut Walker) -> bool {
        let due = std::mem::take(&mut walker.notified).iter().flat_map(|name| self.meant(name)).collect::<Vec<_>>();
        walker.due.extend(due);
        !walker.due.is_empty()
    }

    /// The handlers that a notification means.
    fn meant(&self, name: &str) -> Vec<usize> {
        let listens = |handler: &Arc<Task>| handler.listen.iter().filter_map(Node::as_str).any(|topic| is_called(topic, handler, name));
        // Of each name, the last that was loaded counts, whatever role it is of; a role that was loaded several times brings its handlers several times.
        let mut seen = HashSet::new();
        let handlers = self.listed_handlers();
        let listening = handlers.iter().rev().filter(|handler| listens(handler));
        let last = listening.filter(|handler| self.handler_name(handler).is_none_or(|own| seen.insert(own)));
        let mut found: Vec<usize> = last.map(identity).collect();
        found.extend(self.named(name).as_ref().map(identity));
        found
    }

    /// Whether a task stands in the list of handlers, and is not one that a handler included.
    pub fn is_listed_handler(&self, task: &Arc<Task>) -> bool {
        self.listed_handlers().iter().any(|handler| Arc::ptr_eq(handler, task))
    }

    /// Adds the handlers that an include brought; they see its variables.
    pub fn add_handlers(&self, new: Vec<Entry>, vars: VarMap) {
        let mut handlers = self.handlers.write().expect("no panic holds the lock");
        let ordinal = handlers.len() as u32;
        handlers.push(Included { ordinal, entries: Arc::new(new), vars: Arc::new(vars) });
    }

    /// All handlers, to be opened at a flush.
    pub fn all_handlers(&self) -> Vec<Included> {
        self.handlers.read().expect("no panic holds the lock").clone()
    }

    /// The handler of that name. Of several lists (roles', the play's), the last that was loaded counts; within a list, the first of the name.
    fn named(&self, name: &str) -> Option<Arc<Task>> {
        let lists = self.all_handlers();
        lists.iter().flat_map(|brought| brought.entries.iter()).rev().find_map(|list| {
            let mut tasks = Vec::new();
            flatten(std::slice::from_ref(list), &mut tasks);
            tasks.into_iter().find(|handler| {
                let Some(own) = self.handler_name(handler) else { return false };
                is_called(&own, handler, name)
            })
        })
    }

    /// A handler's name, with the play's variables. A name that needs a host's is no name.
    fn handler_name(&self, handler: &Task) -> Option<String> {
        let name = handler.name.as_ref()?;
        match self.run.text_of(name, &self.play_view()) {
            Ok(text) => Some(text),
            Err(diag) if handler.listen.is_empty() => {
                let written = name.as_str().unwrap_or_default();
                self.run.warn_once(format!(
                    "Handler '{written}' is unusable because it has no listen topics and the name could not be templated \
                     (host-specific variables are not supported in handler names). The error: {}",
                    diag.in_full()
                ));
                None
            }
            Err(_) => None,
        }
    }

    fn listed_handlers(&self) -> Vec<Arc<Task>> {
        let mut tasks = Vec::new();
        self.all_handlers().iter().for_each(|brought| flatten(&brought.entries, &mut tasks));
        tasks
    }
}

/// Whether a name or topic of a handler is what was notified: by itself, or behind the name of its role.
fn is_called(own: &str, handler: &Task, name: &str) -> bool {
    own == name
        || handler.role.as_ref().is_some_and(|role| [&role.name, &role.full_name()].iter().any(|role| format!("{role} : {own}") == name))
}

fn flatten(entries: &[Entry], tasks: &mut Vec<Arc<Task>>) {
    for entry in entries {
        match entry {
            Entry::Task(task) => tasks.push(task.clone()),
            Entry::Block(block) => [&block.block, &block.rescue, &block.always].into_iter().for_each(|part| flatten(part, tasks)),
        }
    }
}
