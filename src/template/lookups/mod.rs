//! Lookups: what `lookup()`, `query()` and `with_NAME` run on the controller.

pub(super) mod files;
mod loops;
mod vars;

use super::args::Args;
use super::fail::{Fail, FailKind, Res, check};
use super::filters::short_name;
use super::lazy::Run;
use super::value::{Type, list, text, truth, type_of};
use crate::source::nearest;
use minijinja::Value;
use std::sync::Arc;

/// Terms and options to a list of answers.
type Lookup = fn(&Arc<Run>, Vec<Value>, &mut Args) -> Res<Vec<Value>>;

const LOOKUPS: &[&[(&str, Lookup)]] = &[files::TABLE, loops::TABLE, vars::TABLE];

fn find(name: &str) -> Option<Lookup> {
    let name = short_name(name);
    LOOKUPS.iter().copied().flatten().find(|(known, _)| *known == name).map(|(_, lookup)| *lookup)
}

pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::error(format!("The lookup plugin '{name}' was not found."));
    match nearest(short_name(name), LOOKUPS.iter().copied().flatten().map(|(known, _)| *known)) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn run(run: &Arc<Run>, name: &str, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let Some(lookup) = find(name) else { return Err(unknown(name)) };
    let answers = lookup(run, terms, options).and_then(|answers| options.done().map(|()| answers));
    answers.map_err(|mut fail| {
        if let FailKind::Error(words) = &mut fail.kind
            && fail.places.is_empty()
        {
            *words = format!("the lookup `{}` failed: {words}", short_name(name));
        }
        fail
    })
}

/// `lookup(name, terms..., options...)`: one answer as itself, texts joined with commas; a list for `query` or with `wantlist`.
pub(super) fn from_template(on: &Arc<Run>, name: &str, mut args: Args, want_list: bool) -> Res {
    if let Some(undefined) = args.first_undefined()
        && short_name(name) != "vars"
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
