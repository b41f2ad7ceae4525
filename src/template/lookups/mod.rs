//! Lookups: what `lookup()`, `query()` and `with_NAME` run on the controller.

mod collections;
mod config;
pub(super) mod files;
mod first_found;
mod ini;
mod inline;
mod loops;
mod password;
mod tables;
mod url;
mod vars;

use super::args::Args;
use super::fail::{Fail, Res, check};
use super::lazy::Run;
use super::names;
use super::value::{Type, list, text, truth, type_of};
use minijinja::Value;
use std::sync::Arc;

/// Terms and options to a list of answers.
type Lookup = fn(&Arc<Run>, Vec<Value>, &mut Args) -> Res<Vec<Value>>;

/// The lookups that take undefined values.
const ABOUT_UNDEFINED: &[&str] = &["env", "first_found", "vars"];

/// The lookups of each collection. A bare name is one of the first.
const LOOKUPS: &[(&str, &[&[(&str, Lookup)]])] = &[
    (
        names::BUILTIN,
        &[
            config::TABLE,
            files::TABLE,
            first_found::TABLE,
            ini::TABLE,
            loops::TABLE,
            password::TABLE,
            tables::TABLE,
            url::TABLE,
            vars::TABLE,
        ],
    ),
    (names::UTILS, &[collections::UTILS]),
    (names::GENERAL, &[loops::GENERAL, collections::GENERAL]),
];

fn find(name: &str) -> Option<(&str, Lookup)> {
    let (collection, short) = names::resolve(name, names::LOOKUPS_MOVED)?;
    let (_, families) = LOOKUPS.iter().find(|(known, _)| *known == collection)?;
    families.iter().copied().flatten().find(|(known, _)| *known == short).map(|(_, lookup)| (short, *lookup))
}

pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

pub(super) fn takes_undefined(name: &str) -> bool {
    find(name).is_some_and(|(short, _)| ABOUT_UNDEFINED.contains(&short))
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::complete(format!("The lookup plugin '{name}' was not found."));
    let known = LOOKUPS.iter().map(|(collection, families)| {
        let names = families.iter().copied().flatten().map(|(name, _)| *name).collect();
        (*collection, names)
    });
    match names::near(name, known) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn run(run: &Arc<Run>, name: &str, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let Some((_, lookup)) = find(name) else { return Err(unknown(name)) };
    let answers = lookup(run, terms, options).and_then(|answers| options.done().map(|()| answers));
    answers.map_err(|fail| fail.while_doing(|| format!("The lookup plugin '{name}' failed")))
}

/// `lookup(name, terms..., options...)`: one answer as itself, texts joined with commas; a list for `query` or with `wantlist`.
pub(super) fn from_template(on: &Arc<Run>, name: &str, mut args: Args, want_list: bool) -> Res {
    if let Some(undefined) = args.first_undefined()
        && !takes_undefined(name)
    {
        return Ok(undefined.clone());
    }
    let want_list = args.named("wantlist").map_or(Ok(want_list), |flag| truth(&flag))?;
    let errors = args.named("errors").map_or(Ok("strict".to_owned()), |errors| text(&errors))?;
    if !matches!(errors.as_str(), "strict" | "warn" | "ignore") {
        return Err(Fail::error(format!("`errors` cannot be '{errors}': strict, warn or ignore")));
    }
    let terms = args.rest();
    let answers = match run(on, name, terms, &mut args) {
        Ok(answers) => answers,
        Err(fail) if errors == "strict" || fail.is_undefined() || !is_known(name) => return Err(fail),
        Err(_) => return Ok(if want_list { list([]) } else { Value::from(()) }),
    };
    if want_list {
        return Ok(list(answers));
    }
    match answers.as_slice() {
        [] => Ok(list([])),
        [one] => Ok(one.clone()),
        all if all.iter().all(|answer| type_of(answer) == Type::Str) => {
            Ok(Value::from(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")))
        }
        _ => {
            answers.iter().try_for_each(check)?;
            Ok(list(answers))
        }
    }
}
