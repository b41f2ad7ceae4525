//! A file from an address, for modules that need its text: with the host's curl or wget. `get_url` has more to say and its own way.

use crate::sh::quote;

/// A command that downloads into the file that the shell's `word` names, and fails with the tool's words. An address may have a password or a
/// token in it: curl and GNU wget read it from their standard input, so that no list of processes shows it.
pub fn download(url: &str, validate_certs: bool, word: &str) -> String {
    let (curl, wget) = if validate_certs { ("", "") } else { ("-k ", "--no-check-certificate ") };
    let plain = match is_plain(url) {
        true => format!("wget -q {wget}-T 15 -O {word} -- {}", quote(url)),
        false => "echo \"this wget is busybox's: for an address with a password or a query there must be curl or GNU wget\" >&2; false"
            .to_owned(),
    };
    let url_of_curl = url.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "if command -v curl > /dev/null; then curl -fsSL {curl}--connect-timeout 15 --max-time 120 -o {word} -K - <<'NODEWRIGHT'\n\
         url = \"{url_of_curl}\"\nNODEWRIGHT\n\
         elif command -v wget > /dev/null && wget --version > /dev/null 2>&1; then wget -q {wget}-T 15 -O {word} -i - <<'NODEWRIGHT'\n\
         {url}\nNODEWRIGHT\n\
         elif command -v wget > /dev/null; then {plain}\n\
         else echo 'neither curl nor wget is installed' >&2; false; fi"
    )
}

/// Whether an address has neither name nor password nor a query, where tokens are.
pub fn is_plain(url: &str) -> bool {
    !url.contains(['@', '?', '\n'])
}
