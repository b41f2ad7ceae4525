//! Reads a file of the host.
//!
//! ```yaml
//! - slurp: {src: /etc/kubernetes/admin.conf}
//!   register: admin_conf      # admin_conf.content | b64decode
//! ```
//!
//! Returns `content` in base64, or as the text it is with `armor: false`, `encoding`, `source`.

use super::look::{Entry, FUNCTIONS, Fields};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use base64::Engine;

pub struct Slurp;

static SPEC: Spec = Spec {
    name: "ansible.builtin.slurp",
    aliases: &[],
    params: &[Param::path("src").required().alias(&["path"]), Param::bool("armor").default("true")],
    free_form: FreeForm::None,
};

impl Module for Slurp {
    type State = (String, Vec<u8>);

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let path = words::on_host(args.required("src")?);
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}p={path}\nsay \"$p\"\nlook \"$p\" -L\n[ -n \"$s\" ] || exit 0\nif [ -d \"$p\" ]; then exit 0; fi\nif [ ! -r \"$p\" ]; then say ''; exit 0; fi\nsay 1\nexec cat -- \"$p\"\n"
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure> {
        let mut fields = Fields::of(&format!("read {}", args.required("src")?), output)?;
        let path = fields.text()?;
        let entry = fields.entry(&path).map_err(|failure| match failure.message.as_str() {
            why if why.ends_with("Permission denied") => Failure::argument("src", format!("File is not readable: {path}")),
            why => Failure::argument("src", format!("Unable to slurp file: {why}")),
        })?;
        match entry {
            None => Err(Failure::argument("src", format!("File not found: {path}"))),
            Some(entry) if Entry::is_dir(&entry) => {
                Err(Failure::argument("src", format!("Source is a directory and must be a file: {path}")))
            }
            Some(_) if fields.text()?.is_empty() => Err(Failure::argument("src", format!("File is not readable: {path}"))),
            Some(_) => Ok((path, fields.rest().to_vec())),
        }
    }

    fn decide(&self, args: &Args, (path, content): Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        if !args.is("armor") {
            let text = String::from_utf8(content).map_err(|_| Failure::argument("armor", format!("{path} is not UTF-8")))?;
            return Ok(Outcome::unchanged().with("content", text).with("encoding", "utf-8").with("source", path).into());
        }
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        Ok(Outcome::unchanged().with("content", content).with("encoding", "base64").with("source", path).into())
    }
}
