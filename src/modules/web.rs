//! A file from an address, for modules that need its text: with the host's curl or wget. `get_url` has more to say and its own way.

use crate::sh::quote;

/// A command that downloads into the file that the shell's `word` names, and fails with the tool's words.
pub fn download(url: &str, validate_certs: bool, word: &str) -> String {
    let url = quote(url);
    let (curl, wget) = if validate_certs { ("", "") } else { ("-k ", "--no-check-certificate ") };
    format!(
        "if command -v curl > /dev/null; then curl -fsSL {curl}--connect-timeout 15 --max-time 120 -o {word} -- {url}\n\
         elif command -v wget > /dev/null; then wget -q {wget}-T 15 -O {word} -- {url}\n\
         else echo 'neither curl nor wget is installed' >&2; false; fi"
    )
}
