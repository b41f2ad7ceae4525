//! What a play would do, without doing it: for `--list-hosts`, `--list-tasks` and `--list-tags`.

use super::play::{self, early_view, patterns_of};
use super::{Run, variables};
use crate::playbook::{Entry, Play, Task};
use crate::source::Diag;
use crate::vars::View;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A play's hosts and tasks.
pub struct Listed {
    pub name: String,
    pub pattern: String,
    pub patterns: Vec<String>,
    pub hosts: Vec<Arc<str>>,
    /// The play's own tags.
    pub tags: Vec<String>,
    /// Names and tags of the tasks that the tags choose. What is included at run time is not among them.
    pub tasks: Vec<(String, Vec<String>)>,
}

impl Listed {
    /// The tags of all tasks, sorted, each once.
    pub fn task_tags(&self) -> Vec<&str> {
        self.tasks.iter().flat_map(|(_, tags)| tags).map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Run {
    /// # Errors
    /// Hosts that cannot be found out: an undefined variable, a wrong pattern.
    pub fn list(self: &Arc<Self>, play: &Play, playbook: &Path) -> Result<Listed, Diag> {
        if let Some(dir) = playbook.parent() {
            let added = self.inventory.write().expect("no panic holds the lock").add_playbook_dir(dir);
            added.map_err(|err| Diag::error(format!("{err:#}")))?;
        }
        let view = early_view(self, play);
        let patterns = patterns_of(self, &play.hosts, &view)?;
        let pattern = patterns.join(",");
        let name = play.name.as_ref().map_or_else(|| pattern.clone(), |name| self.templar.render_name(name, &view));
        let mut tasks = Vec::new();
        for entry in play.pre_tasks.iter().chain(&play.roles).chain(&play.tasks).chain(&play.post_tasks) {
            self.list_entry(entry, &view, &mut tasks);
        }
        Ok(Listed {
            name,
            hosts: play::hosts_of(self, play, &pattern)?,
            pattern,
            patterns,
            tags: self.tags_of(&play.keywords, || view.clone()),
            tasks,
        })
    }

    fn list_entry(&self, entry: &Entry, view: &Arc<View>, tasks: &mut Vec<(String, Vec<String>)>) {
        match entry {
            Entry::Block(block) => block.block.iter().for_each(|entry| self.list_entry(entry, view, tasks)),
            Entry::Task(task) => self.list_task(task, view, tasks),
        }
    }

    fn list_task(&self, task: &Task, view: &Arc<View>, tasks: &mut Vec<(String, Vec<String>)>) {
        let mut tags = self.tags_of(&task.keywords, || view.clone());
        if self.settings.tags.chooses(&tags) {
            tags.sort();
            tags.dedup();
            tasks.push((variables::name_of(self, task, view), tags));
        }
    }
}
