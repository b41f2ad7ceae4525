//! Asks a web server, with the host's curl or its GNU wget.
//!
//! ```yaml
//! - uri: {url: "https://127.0.0.1:6443/healthz", ca_path: /etc/kubernetes/pki/ca.crt, return_content: true}
//!   register: health
//! - uri: {url: "https://api.example.org/items", method: POST, body: {name: web1}, body_format: json, status_code: [200, 201]}
//! ```
//!
//! Redirections are followed as `follow_redirects` says (`safe`: only of GET and HEAD), each as Ansible follows it. What is sent never stands on a command
//! line. Passwords go only to the server that was asked first. Returns `status`, `url`, `redirected`, `msg`, `elapsed`, `cookies`, `cookies_string`, every header of
//! the answer (small letters, `_` for `-`), `json` if the answer is some, `content` if `return_content`, `path` and the file's attributes if `dest`. Skipped in check mode.

mod answer;
mod body;
mod request;
mod script;

use super::attributes::Wanted;
use super::command::result::lines;
use super::look::{FUNCTIONS, Fields};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use request::Request;

pub struct Uri;

static SPEC: Spec = Spec {
    name: "ansible.builtin.uri",
    aliases: &[],
    params: &[
        Param::str("url").required(),
        Param::str("method").default("GET"),
        Param::raw("body"),
        Param::str("body_format").default("raw").choices(&["form-urlencoded", "json", "raw", "form-multipart"]),
        Param::path("src"),
        Param::bool("remote_src").default("false"),
        Param::path("dest"),
        Param::bool("force").default("false"),
        Param::bool("return_content").default("false"),
        Param::list("status_code").default("200"),
        Param::dict("headers"),
        Param::list("unredirected_headers"),
        Param::str("follow_redirects").default("safe").choices(&["all", "no", "none", "safe", "urllib2", "yes"]),
        Param::int("timeout").default("30"),
        Param::path("creates"),
        Param::path("removes"),
        Param::str("url_username").alias(&["user"]),
        Param::str("url_password").alias(&["password"]).secret(),
        Param::bool("force_basic_auth").default("false"),
        Param::bool("use_netrc").default("true"),
        Param::bool("use_proxy").default("true"),
        Param::str("http_agent").default("ansible-httpget"),
        Param::bool("validate_certs").default("true"),
        Param::path("ca_path"),
        Param::path("client_cert"),
        Param::path("client_key"),
        Param::list("ciphers"),
        Param::bool("decompress").default("true"),
        Param::path("unix_socket"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

pub enum State {
    Created,
    Removed,
    /// The host's numbers for `owner` and `group`.
    Ask {
        uid: Option<u32>,
        gid: Option<u32>,
    },
}

impl Module for Uri {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let wanted = Wanted::of(args)?;
        let is_nothing = wanted.owner.is_none() && wanted.group.is_none() && !args.has("creates") && !args.has("removes");
        if is_nothing {
            return Ok(None);
        }
        let mut text = FUNCTIONS.to_owned();
        if let Some(path) = args.str("creates") {
            text += &format!("if [ -e {} ]; then say created; exit 0; fi\n", words::on_host(path));
        }
        if let Some(path) = args.str("removes") {
            text += &format!("if [ ! -e {} ]; then say removed; exit 0; fi\n", words::on_host(path));
        }
        Ok(Some(Script::new(format!("{text}say ask\n{}", wanted.ask_ids()))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        if output.success() && output.stdout.is_empty() {
            return Ok(State::Ask { uid: None, gid: None });
        }
        let mut fields = Fields::of("look at the host", output)?;
        match fields.text()?.as_str() {
            "created" => return Ok(State::Created),
            "removed" => return Ok(State::Removed),
            _ => {}
        }
        let wanted = Wanted { mode: None, ..Wanted::of(args)? };
        let ids = wanted.ids(&mut fields)?;
        let fix = wanted.fix_new(0, false, &ids)?;
        Ok(State::Ask { uid: fix.uid, gid: fix.gid })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        if context.check_mode() {
            let msg = "This action (uri) does not support check mode.";
            return Ok(Outcome { skipped: true, ..Outcome::default() }.with("msg", msg).into());
        }
        let request = Request::of(args, context)?;
        let path = |name| args.str(name).unwrap_or_default();
        let (uid, gid) = match state {
            State::Created => return Ok(skipped(format!("skipped, since '{}' exists", path("creates"))).into()),
            State::Removed => return Ok(skipped(format!("skipped, since '{}' does not exist", path("removes"))).into()),
            State::Ask { uid, gid } => (uid, gid),
        };
        let text = format!("{FUNCTIONS}{}", script::text(args, &request, uid, gid)?);
        let question = answer::Question::of(args, &request)?;
        let finish = move |output: &Output, _: Outcome| question.outcome(output);
        Ok(Change::new(Outcome::changed(), Script::new(text).with_input(request.input()?)).finish(finish).into())
    }
}

fn skipped(stdout: String) -> Outcome {
    let lines = lines(&stdout);
    Outcome::unchanged().with("stdout", stdout).with("stdout_lines", lines)
}
