//! `--list-hosts`, `--list-tasks`, `--list-tags`, `--syntax-check`: what a playbook would do, without doing it.

use crate::engine::{Listed, Run};
use crate::playbook::Playbook;
use crate::secrets::without;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be listed instead of a run.
#[derive(clap::Args)]
pub struct Wanted {
    /// List the hosts that match; run nothing
    #[arg(long)]
    list_hosts: bool,
    /// List the tasks that would run; run nothing
    #[arg(long)]
    list_tasks: bool,
    /// List the tags that there are; run nothing
    #[arg(long)]
    list_tags: bool,
    /// Only read the playbooks; run nothing
    #[arg(long)]
    syntax_check: bool,
}

impl Wanted {
    pub fn anything(&self) -> bool {
        self.list_hosts || self.list_tasks || self.list_tags || self.syntax_check
    }

    /// Prints what was asked for, as Ansible does.
    ///
    /// # Errors
    /// A play whose hosts or name cannot be found out.
    pub fn tell(&self, run: &Arc<Run>, playbooks: &[(PathBuf, Playbook)]) -> anyhow::Result<u8> {
        for (path, playbook) in playbooks {
            println!("\nplaybook: {}", path.display());
            if !(self.list_hosts || self.list_tasks || self.list_tags) {
                continue;
            }
            for (n, play) in playbook.plays.iter().enumerate() {
                let listed = run.list(play, path)?;
                println!("\n  play #{} ({}): {}\tTAGS: [{}]", n + 1, listed.pattern, listed.name, listed.tags.join(","));
                self.tell_play(&listed);
            }
        }
        Ok(0)
    }

    fn tell_play(&self, play: &Listed) {
        if self.list_hosts {
            println!("    pattern: [{}]", play.patterns.iter().map(|pattern| format!("'{pattern}'")).collect::<Vec<_>>().join(", "));
            println!("    hosts ({}):", play.hosts.len());
            play.hosts.iter().for_each(|host| println!("      {host}"));
        }
        if self.list_tasks {
            println!("    tasks:");
            for (name, tags) in &play.tasks {
                println!("      {}\tTAGS: [{}]", without(name.as_str()), tags.join(", "));
            }
        }
        if self.list_tags {
            println!("      TASK TAGS: [{}]", play.task_tags().join(", "));
        }
    }
}
