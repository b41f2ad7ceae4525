//! The host's time zone, and whether its hardware clock runs in it.
//!
//! ```yaml
//! - timezone: {name: Europe/Zurich}
//! - timezone: {hwclock: UTC}
//! ```
//!
//! By `timedatectl`. Where that does not work `name` is set by `/etc/localtime` and `/etc/timezone` (or `setup-timezone`); `hwclock` is not.
//! Returns `msg`.

use super::look::{FUNCTIONS, Fields};
use super::write_file::{INTO_PLACE, diff_of_states};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};
use serde_json::{Map, Value as Json};

pub struct Timezone;

static SPEC: Spec = Spec {
    name: "community.general.timezone",
    aliases: &["ansible.builtin.timezone"],
    params: &[Param::str("name"), Param::str("hwclock").alias(&["rtc"]).choices(&["local", "UTC"])],
    free_form: FreeForm::None,
};

/// What is set.
pub struct State {
    /// The path of a timedatectl that works.
    timedatectl: Option<String>,
    name: String,
    hwclock: &'static str,
}

impl Module for Timezone {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        if !args.has("name") && !args.has("hwclock") {
            return Err(Failure::new("one of the following is required: hwclock, name"));
        }
        let mut text = format!("{FUNCTIONS}export LC_ALL=C LANGUAGE=C\n");
        if let Some(name) = args.str("name") {
            text.push_str(&format!("if [ ! -f {} ]; then say missing; exit 0; fi\n", quote(&zone_file(name))));
        }
        text.push_str(
            "say here\n\
             if o=$(timedatectl status 2>/dev/null); then say \"$(command -v timedatectl)\"; say \"$o\"; exit 0; fi\n\
             say ''\n\
             l=$(readlink /etc/localtime)\n\
             if [ -n \"$l\" ] && [ ! -e /etc/localtime ]; then l=broken; fi\n\
             say \"$l\"\n\
             if [ -f /etc/timezone ]; then cat /etc/timezone || exit 1; fi\nexit 0\n",
        );
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of("look at the time zone", output)?;
        if fields.text()? == "missing" {
            let name = args.str("name").unwrap_or_default();
            return Err(Failure::argument("name", format!("Error message:\ngiven timezone \"{name}\" is not available")));
        }
        let timedatectl = fields.text()?;
        let said = fields.text()?;
        if !timedatectl.is_empty() {
            let value = |key: &str| {
                let line = said.lines().map(str::trim_start).find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
                line.and_then(|value| value.split_whitespace().next())
            };
            let name = value("Time zone").or(value("Timezone")).unwrap_or("n/a").to_owned();
            let hwclock = if value("RTC in local TZ") == Some("yes") { "local" } else { "UTC" };
            return Ok(State { timedatectl: Some(timedatectl), name, hwclock });
        }
        if args.has("hwclock") {
            return Err(Failure::argument("hwclock", "`hwclock` can be set only where timedatectl works"));
        }
        let linked = said.rsplit_once("/zoneinfo/").map(|(_, name)| name.to_owned());
        let written = String::from_utf8_lossy(fields.rest()).split_whitespace().next().unwrap_or("n/a").to_owned();
        // What is only written down is not what counts.
        let name = if said.is_empty() { written } else { linked.unwrap_or_else(|| "n/a".into()) };
        Ok(State { timedatectl: None, name, hwclock: "n/a" })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let mut messages = Vec::new();
        let mut lines = String::new();
        let (mut before, mut after) = (Map::new(), Map::new());
        let pairs = [("hwclock", state.hwclock, "set-local-rtc"), ("name", state.name.as_str(), "set-timezone")];
        for (key, there, command) in pairs {
            let Some(wanted) = args.str(key) else { continue };
            before.insert(key.into(), there.into());
            after.insert(key.into(), wanted.into());
            if there == wanted {
                continue;
            }
            match &state.timedatectl {
                Some(timedatectl) => {
                    let value = match wanted {
                        "local" if key == "hwclock" => "yes",
                        _ if key == "hwclock" => "no",
                        zone => zone,
                    };
                    messages.push(format!("executed `{timedatectl} {command} {value}`"));
                    lines.push_str(&format!("timedatectl {command} {} > /dev/null || exit\n", quote(value)));
                }
                None => {
                    messages.push(format!("linked /etc/localtime to {}", zone_file(wanted)));
                    lines.push_str(&by_hand(wanted));
                }
            }
        }
        if messages.is_empty() {
            return Ok(Outcome::unchanged().into());
        }
        let mut outcome = Outcome::changed();
        if context.diff_mode() {
            outcome = outcome.diff(diff_of_states(before, after));
        }
        if !context.check_mode() {
            outcome.data.insert("msg".into(), Json::from(messages.join("\n")));
        }
        Ok(Change::new(outcome, Script::new(format!("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n{lines}"))).into())
    }
}

fn zone_file(name: &str) -> String {
    format!("/usr/share/zoneinfo/{name}")
}

fn by_hand(name: &str) -> String {
    let (name, file) = (quote(name).into_owned(), quote(&zone_file(name)).into_owned());
    format!(
        "{INTO_PLACE}if command -v setup-timezone > /dev/null; then setup-timezone -z {name} || exit\n\
         else\n\
         \x20 make_link {file} /etc/localtime -s || exit\n\
         \x20 if [ -e /etc/timezone ] || command -v dpkg-reconfigure > /dev/null; then printf '%s\\n' {name} > /etc/timezone || exit; fi\n\
         \x20 if command -v dpkg-reconfigure > /dev/null; then dpkg-reconfigure --frontend noninteractive tzdata > /dev/null 2>&1 || exit; fi\n\
         fi\n"
    )
}
