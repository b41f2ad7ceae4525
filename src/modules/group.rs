//! Groups of the host.
//!
//! ```yaml
//! - group: { name: etcd, system: true }
//! ```
//!
//! Returns `gid`, `system`, `state`.

use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all};

/// `ansible.builtin.group`
pub struct Group;

static SPEC: Spec = Spec {
    name: "ansible.builtin.group",
    aliases: &[],
    params: &[
        Param::str("name").required(),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::int("gid"),
        Param::int("gid_min"),
        Param::int("gid_max"),
        Param::bool("system").default("false"),
        Param::bool("non_unique").default("false"),
        Param::bool("force").default("false"),
    ],
    free_form: FreeForm::None,
};

impl Module for Group {
    /// The group's number, if it is there.
    type State = Option<i64>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        if args.is("non_unique") && !args.has("gid") {
            return Err(Failure::argument("non_unique", "non_unique is True but all of the following are missing: gid"));
        }
        let name = args.required("name")?;
        if name.starts_with('-') {
            return Err(Failure::argument("name", format!("`{name}` cannot be a group's name")));
        }
        Ok(Some(Script::new(look_up(name))))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Option<i64>, Failure> {
        gid(output)
    }

    fn decide(&self, args: &Args, gid: Option<i64>, _context: &dyn Context) -> Result<Decision, Failure> {
        let name = args.required("name")?;
        let outcome = Outcome::unchanged().with("name", name).with("state", args.str("state"));
        let mut words: Vec<String> = Vec::new();
        if args.str("state") == Some("absent") {
            if gid.is_none() {
                return Ok(outcome.into());
            }
            words.push("groupdel".into());
            if args.is("force") {
                words.push("-f".into());
            }
            words.push(name.into());
            return Ok(Change::new(Outcome { changed: true, ..outcome }, Script::new(quote_all(words) + "\n")).finish(finish).into());
        }
        let outcome = outcome.with("system", args.is("system"));
        let wanted = args.int("gid");
        match gid {
            Some(gid) if wanted.is_none_or(|wanted| wanted == gid) => return Ok(outcome.with("gid", gid).into()),
            Some(_) => words.push("groupmod".into()),
            None => words.push("groupadd".into()),
        }
        if let Some(gid) = wanted {
            words.extend(["-g".into(), gid.to_string()]);
            if args.is("non_unique") {
                words.push("-o".into());
            }
        }
        if gid.is_none() {
            if args.is("system") {
                words.push("-r".into());
            }
            for (parameter, key) in [("gid_min", "GID_MIN"), ("gid_max", "GID_MAX")] {
                if let Some(bound) = args.int(parameter) {
                    words.extend(["-K".into(), format!("{key}={bound}")]);
                }
            }
        }
        words.push(name.into());
        let text = format!("{} || exit $?\n{}", quote_all(words), look_up(name));
        let finish = |output: &Output, outcome: Outcome| match finish(output, outcome) {
            Ok(outcome) => gid_of(output, outcome),
            failed => failed,
        };
        Ok(Change::new(Outcome { changed: true, ..outcome }, Script::new(text)).finish(finish).into())
    }
}

/// `getent` ends with 2 if, and only if, it looked and there is none.
fn look_up(name: &str) -> String {
    format!("getent group {name} || {{ status=$?; [ $status -eq 2 ] && echo absent || exit $status; }}\n", name = quote(name))
}

fn gid(output: &Output) -> Result<Option<i64>, Failure> {
    let stdout = output.stdout_text();
    let last = stdout.lines().last().unwrap_or_default();
    match last.split(':').nth(2).and_then(|gid| gid.parse().ok()) {
        Some(gid) => Ok(Some(gid)),
        None if output.success() && last == "absent" => Ok(None),
        None => Err(Failure::script("looking up the group", output)),
    }
}

fn gid_of(output: &Output, outcome: Outcome) -> Result<Outcome, Failure> {
    Ok(match gid(output)? {
        Some(gid) => outcome.with("gid", gid),
        None => outcome,
    })
}

fn finish(output: &Output, outcome: Outcome) -> Result<Outcome, Failure> {
    if output.success() { Ok(outcome) } else { Err(Failure::new(output.stderr_text().trim()).with("rc", output.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, apply_of, decide};
    use serde_json::{Value as Json, json};

    fn first_line(given: Json, probe: &str) -> Option<String> {
        match decide(&Group, given, probe, &Controller::default()).unwrap() {
            Decision::Unchanged(_) => None,
            change => apply_of(change).1.text.lines().next().map(|line| line.trim_end_matches(" || exit $?").to_owned()),
        }
    }

    #[test]
    fn makes_what_is_missing() {
        let (here, none) = ("etcd:x:987:\n", "absent\n");
        assert_eq!(first_line(json!({"name": "etcd"}), here), None);
        assert_eq!(first_line(json!({"name": "etcd", "gid": 987}), here), None);
        assert_eq!(first_line(json!({"name": "etcd", "gid": 990, "non_unique": true}), here).unwrap(), "groupmod -g 990 -o etcd");
        assert_eq!(first_line(json!({"name": "etcd", "system": true, "gid_max": 700}), none).unwrap(), "groupadd -r -K GID_MAX=700 etcd");
        assert_eq!(first_line(json!({"name": "etcd", "state": "absent"}), none), None);
        assert_eq!(first_line(json!({"name": "etcd", "state": "absent", "force": true}), here).unwrap(), "groupdel -f etcd");
    }
}
