//! Which of Ansible's words are read, and why others are not: for `docs/compatibility.md`.

use super::action::NOT_HERE;
use super::keywords::{Place, refused};

/// Whether a keyword is read where Ansible reads it; `place` is Ansible's word for that: `Play`, `Role`, `Block`, `Task`, `Handler`.
pub fn reads(place: &str, keyword: &str) -> bool {
    let place = match place {
        "Play" => Place::Play,
        "Role" => Place::Role,
        "Block" => Place::Block,
        "Task" => Place::Task,
        "Handler" => Place::Handler,
        _ => return false,
    };
    place.takes(keyword)
}

/// What to do instead of a keyword that is refused by name.
pub fn instead_of_keyword(keyword: &str) -> Option<&'static str> {
    refused(keyword)
}

/// What does the same as a module that is refused by its short name; empty if nothing does.
pub fn instead_of_module(short_name: &str) -> Option<&'static str> {
    NOT_HERE.iter().find(|(name, _)| *name == short_name).map(|(_, instead)| *instead)
}
