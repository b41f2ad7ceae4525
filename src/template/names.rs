//! What a filter, test or lookup is called: bare, with its collection, or by an old name that Ansible leads on to a collection.

use crate::source::nearest;
use std::borrow::Cow;

pub(super) const BUILTIN: &str = "ansible.builtin";
pub(super) const UTILS: &str = "ansible.utils";
pub(super) const GENERAL: &str = "community.general";
/// What Ansible has for its own tests.
pub(super) const PROTOMATTER: &str = "ansible._protomatter";

/// Bare names of filters that once were Ansible's own, and where they are now.
pub(super) const FILTERS_MOVED: &[(&str, &str)] = &[
    ("json_query", GENERAL),
    ("random_mac", GENERAL),
    ("cidr_merge", UTILS),
    ("hwaddr", UTILS),
    ("ip4_hex", UTILS),
    ("ipaddr", UTILS),
    ("ipmath", UTILS),
    ("ipsubnet", UTILS),
    ("ipv4", UTILS),
    ("ipv6", UTILS),
    ("ipwrap", UTILS),
    ("network_in_network", UTILS),
    ("network_in_usable", UTILS),
    ("next_nth_usable", UTILS),
    ("nthhost", UTILS),
    ("previous_nth_usable", UTILS),
    ("reduce_on_network", UTILS),
    ("slaac", UTILS),
];

/// The same of lookups.
pub(super) const LOOKUPS_MOVED: &[(&str, &str)] = &[("cartesian", GENERAL), ("filetree", GENERAL), ("flattened", GENERAL)];

/// The collection of a name and the name in it. Nothing if we know no such collection.
pub(super) fn resolve<'n>(name: &'n str, moved: &[(&str, &'static str)]) -> Option<(&'static str, &'n str)> {
    let mut parts = name.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(bare), None, None) => Some((moved.iter().find(|(old, _)| *old == bare).map_or(BUILTIN, |(_, to)| to), bare)),
        (Some("ansible"), Some("builtin" | "legacy"), Some(short)) => Some((BUILTIN, short)),
        // `ansible.netcommon` leads on to `ansible.utils`.
        (Some("ansible"), Some("utils" | "netcommon"), Some(short)) => Some((UTILS, short)),
        (Some("community"), Some("general"), Some(short)) => Some((GENERAL, short)),
        (Some("ansible"), Some("_protomatter"), Some(short)) => Some((PROTOMATTER, short)),
        _ => None,
    }
}

/// A name as it is meant: minijinja keeps the blanks around its dots.
pub(super) fn compact(name: &str) -> Cow<'_, str> {
    if name.contains(char::is_whitespace) { Cow::Owned(name.split_whitespace().collect()) } else { Cow::Borrowed(name) }
}

/// The full name of what may have been meant, or the bare one if it is Ansible's own.
pub(super) fn near<'k>(name: &str, known: impl Iterator<Item = (&'static str, Vec<&'k str>)>) -> Option<String> {
    let short = name.rsplit('.').next().unwrap_or(name);
    for (collection, names) in known {
        // Known, but in a collection: `version_sort` is `community.general.version_sort`.
        let same = names.iter().find(|known| **known == short && collection != BUILTIN).copied();
        if let Some(near) = same.or_else(|| nearest(short, names.iter().copied())) {
            return Some(if collection == BUILTIN { near.to_owned() } else { format!("{collection}.{near}") });
        }
    }
    None
}
