//! `vars_prompt`: variables that the user is asked for before a play.

use super::Run;
use crate::journal::Record;
use crate::playbook::Play;
use crate::source::{Diag, Node, Source};
use crate::vars::{Level, VarMap, Variable, View};
use crate::{ask, secrets};
use minijinja::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one prompt asks.
struct Prompt<'a> {
    name: String,
    words: Option<String>,
    default: Option<String>,
    private: bool,
    confirm: bool,
    node: &'a Node,
}

/// Asks for all of them. What extra vars say already is not asked. Without a terminal nobody is asked: the default counts.
pub fn answers(run: &Run, play: &Play, view: &Arc<View>) -> Result<VarMap, Diag> {
    let mut vars = VarMap::new();
    let number = run.next_prompts.fetch_add(1, Ordering::Relaxed);
    let known = run.settings.keeping.as_ref().and_then(|keeping| keeping.past.answers(number));
    let mut given = BTreeMap::new();
    let mut any_private = false;
    let mut is_warned = false;
    for node in &play.vars_prompt {
        let text = |key: &str| match node.get(key).filter(|value| !value.is_null()) {
            Some(value) => run.text_of(value, view).map(Some),
            None => Ok(None),
        };
        let flag = |key: &str, default| node.get(key).map_or(Ok(default), |value| run.bool_of(value, view));
        let name = text("name")?.ok_or_else(|| Diag::error("a prompt lacks its `name`").at(&node.span))?;
        if run.settings.extra_vars.contains_key(&name) {
            continue;
        }
        let words = match node.get("prompt") {
            Some(_) => text("prompt")?,
            None => Some(name.clone()),
        };
        let prompt =
            Prompt { name, words, default: text("default")?, private: flag("private", true)?, confirm: flag("confirm", false)?, node };
        let before = known.and_then(|known| known.get(&prompt.name));
        if before.is_none() && !std::io::stdin().is_terminal() && !is_warned {
            run.warn("Not prompting as we are not in interactive mode");
            is_warned = true;
        }
        let answer = before.map_or_else(|| prompt.answer(), |answer| Ok(answer.clone()))?;
        any_private |= prompt.private;
        given.insert(prompt.name.clone(), answer.clone());
        // Every prompt is private unless it says otherwise, also for words that are none: under Ansible's name these are shown, as they are there.
        if prompt.private && (!run.loader.is_lenient || node.get("private").is_some()) {
            secrets::register(&answer);
        }
        let answer = match text("encrypt")? {
            Some(kind) => {
                // The salt may be a new one each time.
                let key = format!("{} ({kind})", prompt.name);
                let hash = match known.and_then(|known| known.get(&key)) {
                    Some(hash) => hash.clone(),
                    None => encrypted(run, &answer, &kind, text("salt")?, text("salt_size")?, node)?,
                };
                given.insert(key, hash.clone());
                hash
            }
            None => answer,
        };
        let variable = match flag("unsafe", false)? {
            true => Variable::Data(Value::from(answer)),
            // As in Ansible, an answer may be a template.
            false => {
                let source = Source::from_text(format!("<prompt for {}>", prompt.name), answer.as_str());
                Node::string(answer, source.span(0, source.text.len())).into()
            }
        };
        vars.insert(prompt.name, variable);
    }
    if let Some(keeping) = run.settings.keeping.as_ref().filter(|_| known.is_none() && !given.is_empty()) {
        let answered = |answers, sealed| Record::Answered { play: number, answers, sealed };
        keeping.journal.write_either(given, any_private, answered);
    }
    Ok(vars)
}

impl Prompt<'_> {
    fn answer(&self) -> Result<String, Diag> {
        if !std::io::stdin().is_terminal() {
            return Ok(self.default.clone().unwrap_or_else(|| "None".to_owned()));
        }
        let question = match (&self.words, &self.default) {
            (Some(words), Some(default)) => format!("{words} [{default}]: "),
            (Some(words), None) => format!("{words}: "),
            (None, _) => format!("input for {}: ", self.name),
        };
        let once = |question: &str| {
            let asked = if self.private { ask::hidden(question) } else { ask::shown(question) };
            asked.map_err(|err| Diag::error(format!("cannot ask for `{}`: {err}", self.name)).at(&self.node.span))
        };
        loop {
            let answer = once(&question)?;
            if self.confirm && *once(&format!("confirm {question}"))? != *answer {
                ask::say("***** VALUES ENTERED DO NOT MATCH ****");
                continue;
            }
            return Ok(match &self.default {
                Some(default) if answer.is_empty() => default.clone(),
                _ => answer.to_string(),
            });
        }
    }
}

/// The hash of an answer, as the filter `password_hash` makes it.
fn encrypted(run: &Run, answer: &str, kind: &str, salt: Option<String>, salt_size: Option<String>, at: &Node) -> Result<String, Diag> {
    let wrong = |words: String| Diag::error(words).at(&at.span);
    let salt = match (salt, salt_size) {
        (Some(salt), _) => Some(salt),
        (None, Some(size)) => {
            let size: usize = size.trim().parse().map_err(|_| wrong(format!("`salt_size` is a number, and this is `{size}`")))?;
            Some(random_salt(size.min(64)))
        }
        (None, None) => None,
    };
    let mut vars =
        VarMap::from([("answer".to_owned(), Variable::Data(Value::from(answer))), ("kind".to_owned(), Variable::Data(Value::from(kind)))]);
    let expression = match salt {
        Some(salt) => {
            vars.insert("salt".to_owned(), Variable::Data(Value::from(salt)));
            "{{ answer | password_hash(kind, salt) }}"
        }
        None => "{{ answer | password_hash(kind) }}",
    };
    let mut view = View::default();
    view.add(Level::Play, Arc::new(vars));
    let rendered = run.templar.render(&Node::string(expression, at.span.clone()), &Arc::new(view));
    rendered.map(|hash| hash.to_string()).map_err(|diag| wrong(format!("cannot encrypt the answer: {}", diag.title)))
}

fn random_salt(size: usize) -> String {
    const LETTERS: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..size).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}
