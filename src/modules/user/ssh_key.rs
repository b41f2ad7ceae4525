//! The user's SSH key.

use crate::module::{Args, Failure};
use crate::sh::quote;
use crate::sh::words;

/// Where the key is, as sh words; `$home` is the user's.
fn path(args: &Args) -> String {
    match args.str("ssh_key_file") {
        Some(file) if file.starts_with(['/', '~', '$']) => words::on_host(file),
        Some(file) => format!("\"$home\"/{}", quote(file)),
        None => format!("\"$home\"/.ssh/id_{}", quote(args.str("ssh_key_type").unwrap_or("rsa"))),
    }
}

pub fn probe(args: &Args) -> String {
    format!(
        "  key={}\n  if [ -e \"$key\" ]; then\n    echo \"key:$key\"\n    printf 'public:%s\\n' \"$(cat \"$key.pub\" 2>/dev/null)\"\n    echo \"fingerprint:$(ssh-keygen -l -f \"$key\" 2>&1)\"\n  fi\n",
        path(args)
    )
}

/// Makes the key and gives it to the user. A passphrase reaches ssh-keygen through a helper that reads it from a folder of our own: neither
/// a process list nor an environment shows it.
pub fn script(args: &Args) -> Result<String, Failure> {
    let kind = args.required("ssh_key_type")?;
    let bits = match args.int("ssh_key_bits") {
        Some(bits) if bits > 0 => format!(" -b {bits}"),
        _ => String::new(),
    };
    let comment = match args.str("ssh_key_comment") {
        Some(comment) => quote(comment).into_owned(),
        None => "\"ansible-generated on $(uname -n)\"".to_owned(),
    };
    let call = format!("ssh-keygen -q -t {}{bits} -C {comment} -f \"$key\"", quote(kind));
    let make = match args.str("ssh_key_passphrase").filter(|passphrase| !passphrase.is_empty()) {
        None => format!("{call} -N '' </dev/null || exit $?\n"),
        Some(passphrase) => format!(
            "ask=$(mktemp -d) || exit 1\ntrap 'rm -rf -- \"$ask\"' EXIT\n\
             printf '%s\\n' {} >\"$ask/passphrase\" && printf '#!/bin/sh\\nexec cat \"${{0%%/*}}/passphrase\"\\n' >\"$ask/say\" && chmod 700 \"$ask/say\" || exit 1\n\
             SSH_ASKPASS=$ask/say SSH_ASKPASS_REQUIRE=force DISPLAY=none {call} </dev/null || exit $?\n",
            quote(passphrase)
        ),
    };
    let name = quote(args.required("name")?).into_owned();
    Ok(format!(
        r#"entry=$(getent passwd {name}) || exit $?
home=${{entry%:*}}; home=${{home##*:}}
owner=$(id -u -- {name}):$(id -g -- {name})
key={path}
folder=${{key%/*}}
[ -d "$folder" ] || {{ mkdir -m 0700 -- "$folder" && chown "$owner" "$folder"; }} || exit $?
rm -f -- "$key"
{make}chown "$owner" "$key" "$key.pub" || exit $?
"#,
        path = path(args)
    ))
}
