//! Renders a template of the controller and puts the result on the host.
//!
//! ```yaml
//! - template: {src: kubeadm.yaml.j2, dest: /etc/kubernetes/kubeadm.yaml, mode: "0600", validate: kubeadm config validate --config %s}
//! ```
//!
//! Returns `dest`, `checksum`, `mode`, `owner`, `group`, `uid`, `gid`, `size`, `state`; `backup_file` where one was made.

use super::put::{self, Content, Destination};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Param, Spec, TemplateOptions};
use crate::python::bytes;
use crate::sh::{Output, Script};

pub struct Template;

static SPEC: Spec = Spec {
    name: "ansible.builtin.template",
    aliases: &[],
    params: &[
        Param::path("src").required(),
        Param::path("dest").required(),
        Param::bool("backup").default("false"),
        Param::bool("force").default("true"),
        Param::bool("follow").default("false"),
        Param::str("validate"),
        // Both as YAML reads them and as they are written in `key=value`.
        Param::str("newline_sequence").default("\n").choices(&["\n", "\r", "\r\n", "\\n", "\\r", "\\r\\n"]),
        Param::str("output_encoding").default("utf-8").choices(&["utf-8", "utf8", "UTF-8"]),
        Param::bool("trim_blocks").default("true"),
        Param::bool("lstrip_blocks").default("false"),
        Param::str("variable_start_string"),
        Param::str("variable_end_string"),
        Param::str("block_start_string"),
        Param::str("block_end_string"),
        Param::str("comment_start_string"),
        Param::str("comment_end_string"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

impl Module for Template {
    type State = Destination;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        let source = args.required("src")?;
        let name = source.rsplit('/').next().unwrap_or(source);
        put::probe(args, name, context).map(Some)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Destination, Failure> {
        Destination::read_output(args, output)
    }

    fn decide(&self, args: &Args, destination: Destination, context: &dyn Context) -> Result<Decision, Failure> {
        let source = args.required("src")?;
        let path = context.find_file("templates", source)?;
        let text = |name: &str| args.str(name).map(str::to_owned);
        let options = TemplateOptions {
            trim_blocks: args.is("trim_blocks"),
            lstrip_blocks: args.is("lstrip_blocks"),
            variable_start: text("variable_start_string"),
            variable_end: text("variable_end_string"),
            block_start: text("block_start_string"),
            block_end: text("block_end_string"),
            comment_start: text("comment_start_string"),
            comment_end: text("comment_end_string"),
            dest: destination.path.clone(),
        };
        let mut rendered = context.render_template(source, &options)?;
        match args.required("newline_sequence")? {
            "\r" | "\\r" => rendered = rendered.replace('\n', "\r"),
            "\r\n" | "\\r\\n" => rendered = rendered.replace('\n', "\r\n"),
            _ => {}
        }
        let name = path.to_string_lossy().into_owned();
        destination.decide(
            args,
            Content::Bytes { name, bytes: bytes::of_text(&rendered).into_owned(), is_secret: put::is_encrypted_file(&path)? },
            context,
        )
    }
}
