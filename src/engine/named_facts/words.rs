//! The names of facts in a text: `ansible_NAME`, `ansible_facts.NAME`, `ansible_facts['NAME']`. Pure.

use std::collections::BTreeSet;

/// Variables that begin as facts do and are none: how hosts are reached, and what Ansible says of itself.
const NO_FACTS: &[&str] = &[
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_password",
    "ansible_connection",
    "ansible_timeout",
    "ansible_private_key_file",
    "ansible_python_interpreter",
    "ansible_shell_type",
    "ansible_shell_executable",
    "ansible_remote_tmp",
    "ansible_pipelining",
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_config_file",
    "ansible_playbook_python",
    "ansible_collection_name",
    "ansible_dependent_role_names",
    "ansible_failed_result",
    "ansible_failed_task",
    "ansible_forks",
    "ansible_index_var",
    "ansible_inventory_sources",
    "ansible_job_id",
    "ansible_limit",
    "ansible_managed",
    "ansible_run_tags",
    "ansible_search_path",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "ansible_collections",
    "ansible_library",
];
const NO_FACTS_BEGIN: &[&str] = &[
    "ansible_become",
    "ansible_ssh",
    "ansible_sudo",
    "ansible_su_",
    "ansible_host_key",
    "ansible_loop",
    "ansible_play_",
    "ansible_parent_role",
    "ansible_role_",
    "ansible_async",
];

/// Words that may stand beside a variable in an expression. Beside any other word it is part of a sentence.
const OPERATORS: &[&str] = &["and", "or", "not", "in", "is", "if", "elif", "else", "with", "do", "set", "print", "recursive"];

/// Adds the names of facts in a text. Nothing if names may be made up of pieces, or are those of any variable.
pub fn collect(text: &str, names: &mut BTreeSet<String>) -> Option<()> {
    if text.contains("!vault") {
        return None;
    }
    text.lines().filter(|line| !is_comment(line)).try_for_each(|line| collect_line(line, names))
}

/// Whether a template has a statement of such a name.
pub fn has_statement(text: &str, name: &str) -> bool {
    text.split(['%', '#']).any(|part| {
        let part = part.trim_start_matches(['-', '+']).trim_start();
        part.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// No expression begins so, in whatever file.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#') && !["{{", "{%", "{#", "}}", "%}", "##"].iter().any(|sign| line.contains(sign))
}

fn collect_line(line: &str, names: &mut BTreeSet<String>) -> Option<()> {
    let mut rest = line;
    while let Some(start) = rest.find(is_of_word) {
        let before = &line[..line.len() - rest.len() + start];
        let end = rest[start..].find(|c| !is_of_word(c)).map_or(rest.len(), |length| start + length);
        let (word, after) = (&rest[start..end], &rest[end..]);
        rest = after;
        match word {
            "ansible_facts" => names.insert(member(after)?.to_owned()),
            // Whoever says which lookup it is when the run gets there writes its name somewhere, too.
            "varnames" | "template" if is_quoted(before, after) => return None,
            "vars" if is_variable(before, after) || (before.ends_with('.') && is_quoted(before, after)) => return None,
            "hostvars" if is_variable(before, after) => {
                member(after_brackets(after)?)?;
                continue;
            }
            _ => match word.strip_prefix("ansible_") {
                // Before a template it is only the beginning of a name.
                Some(_) if after.starts_with("{{") => names.insert(word["ansible_".len()..].to_owned()),
                Some(_) if NO_FACTS.contains(&word) || NO_FACTS_BEGIN.iter().any(|start| word.starts_with(start)) => continue,
                Some(name) => names.insert(name.to_owned()),
                None => continue,
            },
        };
    }
    Some(())
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// Whether a word is looked up, and not a key of a mapping or a word of a sentence.
fn is_variable(before: &str, after: &str) -> bool {
    let word_before = before.trim_end().rsplit(|c| !is_of_word(c)).next().unwrap_or_default();
    let next = after.trim_start();
    let word_after = next.split(|c| !is_of_word(c)).next().unwrap_or_default();
    let is_in_sentence = |word: &str| !word.is_empty() && !OPERATORS.contains(&word);
    let is_file = [".yml", ".yaml"].iter().any(|end| after.strip_prefix(end).is_some_and(|rest| !rest.starts_with(is_of_word)));
    let is_part_of_name = before.ends_with(['/', '.']) || after.starts_with('/') || is_file;
    !(next.starts_with(':') || is_part_of_name || is_in_sentence(word_before) || is_in_sentence(word_after))
}

fn is_quoted(before: &str, after: &str) -> bool {
    (before.ends_with(['\'', '"', '.'])) && after.starts_with(['\'', '"'])
}

/// What a mapping is asked for: `.name` or `['name']`, as far as it is written there.
fn member(after: &str) -> Option<&str> {
    // The name of the mapping may itself be a quoted key: `['ansible_facts']`.
    let closed = after.trim_start_matches(['\\', '\'', '"']);
    let after = if closed.len() < after.len() { closed.strip_prefix(']')? } else { after };
    let name = match after.strip_prefix('.') {
        Some(name) => name,
        None => {
            let inner = after.strip_prefix('[')?;
            let name = inner.trim_start_matches(['\\', '\'', '"']);
            (name.len() < inner.len()).then_some(name)?
        }
    };
    let end = name.find(|c| !is_of_word(c)).unwrap_or(name.len());
    let (name, after) = name.split_at(end);
    let is_whole =
        !after.starts_with('(') && !(after.starts_with(['\'', '"', '\\']) && !after.trim_start_matches(['\\', '\'', '"']).starts_with(']'));
    (is_whole && !name.is_empty()).then_some(name)
}

/// What follows `[...]`.
fn after_brackets(after: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in after.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return Some(&after[at + 1..]),
            ']' => depth -= 1,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<String> {
        let mut names = BTreeSet::new();
        collect(text, &mut names)?;
        Some(names.into_iter().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn names_as_they_are_written() {
        for (text, expected) in [
            ("when: ansible_os_family == 'Debian' and ansible_facts.lsb.id", "lsb os_family"),
            ("x: \"{{ ansible_facts['default_ipv4'].address }}\"", "default_ipv4"),
            ("x: '{{ ansible_facts[''dns''] }}'", "dns"),
            ("x: \"{{ ansible_facts[\\\"dns\\\"] }}\"", "dns"),
            ("{{ hostvars[groups['db'][0]]['ansible_facts']['fqdn'] }}", "fqdn"),
            ("{{ hostvars[h].ansible_eth0.ipv4 }}", "eth0"),
            ("{{ hostvars[h].port }} {{ ansible_host }} {{ ansible_become_user }}", ""),
            ("vars:\n  a: 1\n- name: Load the vars of the system\n  include_vars: vars/main.yml", ""),
            ("# vars of this\n# ansible_lsb", ""),
            ("# {{ ansible_lsb }}", "lsb"),
            ("x: ansible_{{ y }}", ""),
            ("x: ansible_user{{ y }} ansible_user", "user"),
            ("- import_tasks: vars.yml", ""),
        ] {
            assert_eq!(names(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_may_be_any_name() {
        for text in [
            "{{ ansible_facts }}",
            "debug: var=ansible_facts",
            "{{ ansible_facts[name] }}",
            "{{ ansible_facts['def' ~ x] }}",
            "{{ ansible_facts.items() }}",
            "{{ ansible_facts.get(x) }}",
            "{{ ansible_facts | dict2items }}",
            "{{ hostvars[h] }}",
            "{{ hostvars }}",
            "{{ hostvars[h][name] }}",
            "{{ groups['x'] | map('extract', hostvars, 'ansible_lsb') }}",
            "{{ vars['x'] }}",
            "{{ vars[x] }}",
            "{% for v in vars %}",
            "debug: var=vars",
            "var: vars",
            "{{ lookup('vars', x) }}",
            "{{ q('ansible.builtin.vars', x) }}",
            "{{ query('varnames', '.*') }}",
            "{{ lookup('template', 'x.j2') }}",
            "x: !vault |",
        ] {
            assert_eq!(names(text), None, "{text}");
        }
    }

    #[test]
    fn statements() {
        assert!(has_statement("a {%- include 'x' %}", "include") && has_statement("{% from 'x' import y %}", "from"));
        assert!(!has_statement("{% set include_it = 1 %} include", "include"));
    }
}
