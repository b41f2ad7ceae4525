//! Reads the host's databases (passwd, group, hosts, services ...) into facts.
//!
//! ```yaml
//! - getent: { database: passwd, key: deploy }      # ansible_facts.getent_passwd.deploy
//! ```

use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::command::result::lines;
use crate::sh::{Output, Script, quote_all};
use serde_json::{Map, Value as Json, json};

/// `ansible.builtin.getent`
pub struct Getent;

static SPEC: Spec = Spec {
    name: "ansible.builtin.getent",
    aliases: &[],
    params: &[
        Param::str("database").required(),
        Param::str("key"),
        Param::str("service"),
        Param::str("split"),
        Param::bool("fail_key").default("true"),
    ],
    free_form: FreeForm::None,
};

impl Module for Getent {
    /// Records by their first field, or nothing where the key is not in the database.
    type State = Option<Map<String, Json>>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        if args.str("split") == Some("") {
            return Err(Failure::argument("split", "Invalid split value. The value must be a non-empty string"));
        }
        let words = ["getent", args.required("database")?].into_iter().chain(args.str("key"));
        let service = args.str("service").into_iter().flat_map(|service| ["-s", service]);
        Ok(Some(Script::new(format!("exec {}\n", quote_all(words.chain(service))))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure> {
        let database = args.required("database")?;
        match output.status {
            0 => {}
            1 => return Err(Failure::new("Missing arguments, or database unknown.")),
            2 if args.is("fail_key") => return Err(Failure::new("One or more supplied key could not be found in the database.")),
            2 => return Ok(None),
            3 => return Err(Failure::new("Enumeration not supported on this database.")),
            _ => return Err(Failure::script("getent", output)),
        }
        let has_colons = matches!(database, "passwd" | "shadow" | "group" | "gshadow");
        let split = args.str("split").or(has_colons.then_some(":"));
        let mut records: Map<String, Json> = Map::new();
        let mut several = std::collections::BTreeSet::new();
        for line in lines(&output.stdout_text()) {
            let mut fields: Vec<String> = match split {
                Some(split) => line.split(split).map(str::to_owned).collect(),
                None => line.split_whitespace().map(str::to_owned).collect(),
            };
            if fields.is_empty() {
                continue;
            }
            let key = fields.remove(0);
            match records.get_mut(&key) {
                None => drop(records.insert(key, fields.into())),
                Some(Json::Array(list)) if several.contains(&key) => list.push(fields.into()),
                Some(one) => {
                    *one = json!([one.take(), fields]);
                    several.insert(key);
                }
            }
        }
        Ok(Some(records))
    }

    fn decide(&self, args: &Args, records: Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        let mut outcome = Outcome::unchanged();
        let records = records.unwrap_or_else(|| {
            outcome = std::mem::take(&mut outcome).with("msg", "One or more supplied key could not be found in the database.");
            args.str("key").map(|key| (key.to_owned(), Json::Null)).into_iter().collect()
        });
        outcome.facts.insert(format!("getent_{}", args.required("database")?), records.into());
        Ok(outcome.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, args, decide, said};

    fn facts(given: Json, probe: &str) -> Json {
        match decide(&Getent, given, probe, &Controller::default()) {
            Ok(Decision::Unchanged(outcome)) => Json::Object(outcome.facts),
            _ => panic!("a read that failed"),
        }
    }

    #[test]
    fn splits_records_by_database() {
        let passwd = facts(json!({"database": "passwd", "key": "deploy"}), "deploy:x:1001:1001:De Ploy,,,:/srv:/bin/sh\n");
        assert_eq!(passwd, json!({"getent_passwd": {"deploy": ["x", "1001", "1001", "De Ploy,,,", "/srv", "/bin/sh"]}}));
        let hosts = facts(json!({"database": "ahosts", "key": "localhost"}), "127.0.0.1       STREAM localhost\n127.0.0.1       DGRAM  \n127.0.0.1       RAW\n");
        assert_eq!(hosts, json!({"getent_ahosts": {"127.0.0.1": [["STREAM", "localhost"], ["DGRAM"], ["RAW"]]}}));
        let none = Output { status: 2, ..said("") };
        let args = args(&Getent, json!({"database": "group", "key": "nope", "fail_key": false}));
        assert_eq!(Getent.read(&args, &none).unwrap(), None);
    }
}
