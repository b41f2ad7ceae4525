//! Reads a file of the host.
//!
//! ```yaml
//! - slurp: {src: /etc/kubernetes/admin.conf}
//!   register: admin_conf      # admin_conf.content | b64decode
//! ```
//!
//! Returns `content` in base64, `encoding`, `source`.

use super::look::{Entry, FUNCTIONS, Fields};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use base64::Engine;

pub struct Slurp;

static SPEC: Spec = Spec {
    name: "ansible.builtin.slurp",
    aliases: &[],
    params: &[Param::path("src").required().alias(&["path"])],
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
            "{FUNCTIONS}p={path}\nsay \"$p\"\nlook \"$p\" -L\n[ -n \"$s\" ] || exit 0\nif [ -d \"$p\" ]; then exit 0; fi\nexec cat -- \"$p\"\n"
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure> {
        let mut fields = Fields::of(&format!("read {}", args.required("src")?), output)?;
        let path = fields.text()?;
        match fields.entry(&path)? {
            None => Err(Failure::argument("src", format!("File not found: {path}"))),
            Some(entry) if Entry::is_dir(&entry) => {
                Err(Failure::argument("src", format!("Source is a directory and must be a file: {path}")))
            }
            Some(_) => Ok((path, fields.rest().to_vec())),
        }
    }

    fn decide(&self, _args: &Args, (path, content): Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        Ok(Outcome::unchanged().with("content", content).with("encoding", "base64").with("source", path).into())
    }
}
