//! Downloads a file on the host, with its curl or its wget.
//!
//! ```yaml
//! - get_url: {url: "https://example.org/cni-plugins.tgz", dest: /tmp/cni.tgz, checksum: "sha256:https://example.org/cni-plugins.tgz.sha256"}
//! ```
//!
//! A file that is there is not downloaded again if its checksum is right; without a checksum the server is asked whether it has a newer one.
//! `dest` may be a directory: the file is then called as the URL ends. Addresses, passwords and headers never stand on a command line. Returns
//! `url`, `dest`, `status_code`, `checksum_src`, `checksum_dest`, `msg`, `mode`, `owner`, `group`, `size`, `state`; `backup_file` where one was made.

use super::attributes::{Ids, Wanted};
use super::look::{Entry, FUNCTIONS, Fields};
use super::write_file::{CLEANING, finish_look, fix_script};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct GetUrl;

static SPEC: Spec = Spec {
    name: "ansible.builtin.get_url",
    aliases: &[],
    params: &[
        Param::str("url").required(),
        Param::path("dest").required(),
        Param::path("tmp_dest"),
        Param::bool("force").default("false"),
        Param::bool("backup").default("false"),
        Param::str("checksum").default(""),
        Param::int("timeout").default("10"),
        Param::dict("headers"),
        Param::bool("validate_certs").default("true"),
        Param::bool("use_proxy").default("true"),
        Param::bool("use_netrc").default("true"),
        Param::str("url_username").alias(&["username"]),
        Param::str("url_password").alias(&["password"]).secret(),
        Param::bool("force_basic_auth").default("false"),
        Param::str("http_agent").default("ansible-httpget"),
        Param::path("client_cert"),
        Param::path("client_key"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

/// `download FILE`: what the script's input describes goes to a file, `$code` is the server's answer. The input holds curl's configuration,
/// wget's, and the address, each ended by a line of its own; with a file of 0600 in `$x` none of it is seen in a list of processes.
pub const DOWNLOAD: &str = r#"part() { while IFS= read -r line && [ "$line" != '%end%' ]; do printf '%s\n' "$line"; done > "$1"; }
receive() { part "$x/curl"; part "$x/wget"; part "$x/url"; part "$x/plain"; }
download() {
  code=''
  if command -v curl > /dev/null; then
    code=$(curl -K "$x/curl" -o "$1" -w '%{http_code}' 2> "$x/said") || { cat "$x/said" >&2; say "!$code"; return 1; }
  elif command -v wget > /dev/null && wget --version > /dev/null 2>&1; then
    WGETRC=$x/wget wget -nv -S -O "$1" -i "$x/url" 2> "$x/said"
    r=$?
    code=$(sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' "$x/said" | tail -n 1)
    if [ $r -ne 0 ] && [ "$code" != 304 ]; then cat "$x/said" >&2; say "!$code"; return 1; fi
  elif command -v wget > /dev/null; then
    if [ ! -s "$x/plain" ]; then echo "this wget is busybox's: passwords, headers, certificates and If-Modified-Since need curl or GNU wget" >&2; say '!'; return 1; fi
    IFS= read -r line < "$x/url"
    wget -q -O "$1" -- "$line" || { say '!'; return 1; }
    code=200
  else
    echo 'neither curl nor wget is installed' >&2; say '!'; return 1
  fi
}
"#;

pub struct State {
    path: String,
    folder: String,
    folder_exists: bool,
    entry: Option<Entry>,
    ids: Ids,
    /// Of the file that is there, by the algorithm that was asked for.
    digest: Option<String>,
    /// What the file of checksums says.
    sums: Option<String>,
}

/// `checksum: ALGORITHM:DIGEST-OR-URL`.
struct Checksum {
    algorithm: String,
    value: String,
}

impl Checksum {
    fn of(args: &Args) -> Result<Option<Checksum>, Failure> {
        let text = args.str("checksum").unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(None);
        }
        let bad = || Failure::argument("checksum", "The checksum parameter has to be in format <algorithm>:<checksum>");
        let (algorithm, value) = text.split_once(':').ok_or_else(bad)?;
        let algorithm = algorithm.trim().to_lowercase();
        if !["md5", "sha1", "sha224", "sha256", "sha384", "sha512"].contains(&algorithm.as_str()) {
            return Err(Failure::argument("checksum", format!("`{algorithm}` is not a checksum that is known here")));
        }
        Ok(Some(Checksum { algorithm, value: value.trim().to_owned() }))
    }

    fn is_url(&self) -> bool {
        ["http://", "https://", "ftp://", "file://"].iter().any(|scheme| self.value.starts_with(scheme))
    }
}

impl Module for GetUrl {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let checksum = Checksum::of(args)?;
        let name = quote(file_name(args.required("url")?)).into_owned();
        let mut text = format!(
            "{FUNCTIONS}d={}\ncase $d in */) d=${{d%/}}/{name} ;; *) if [ -d \"$d\" ]; then d=$d/{name}; fi ;; esac\n\
             case $d in */*) f=${{d%/*}}; f=${{f:-/}} ;; *) f=. ;; esac\n\
             say \"$d\"; say \"$f\"\nif [ -d \"$f\" ]; then say 1; else say ''; fi\nlook \"$d\" -L\n{}",
            words::on_host(args.required("dest")?),
            Wanted::of(args)?.ask_ids()
        );
        let mut input = Vec::new();
        match &checksum {
            Some(checksum) if !args.is("force") || checksum.is_url() => {
                text.push_str(&format!(
                    "if [ -f \"$d\" ]; then s=$({}sum < \"$d\") || exit 1; say \"${{s%% *}}\"; else say ''; fi\n",
                    checksum.algorithm
                ));
            }
            _ => text.push_str("say ''\n"),
        }
        if let Some(checksum) = checksum.filter(Checksum::is_url) {
            // Only what is downloaded passes here: nothing on the host is changed.
            text.push_str(&format!(
                "{CLEANING}{DOWNLOAD}x=$(mktemp -d) || exit 1\nreceive\ndownload \"$x/sums\" || exit 1\nsay \"$(cat \"$x/sums\")\"\n"
            ));
            input = request(args, &checksum.value, None)?;
        }
        Ok(Some(Script::new(text).with_input(input)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let checksum = Checksum::of(args)?;
        if let Some(checksum) = checksum.as_ref().filter(|checksum| checksum.is_url() && !output.success()) {
            return Err(Failure::script(&format!("download the checksums {}", checksum.value), output));
        }
        let mut fields = Fields::of(&format!("look at {}", args.required("dest")?), output)?;
        let (path, folder) = (fields.text()?, fields.text()?);
        let folder_exists = !fields.text()?.is_empty();
        let entry = fields.entry(&path)?;
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let digest = Some(fields.text()?).filter(|digest| !digest.is_empty());
        let sums = if fields.is_empty() { None } else { Some(fields.text()?) };
        Ok(State { path, folder, folder_exists, entry, ids, digest, sums })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let url = args.required("url")?;
        let wanted = Wanted::of(args)?;
        let path = state.path.as_str();
        let mut checksum = Checksum::of(args)?;
        if let (Some(checksum), Some(sums)) = (&mut checksum, &state.sums) {
            let name = file_name(url);
            checksum.value = digest_for(sums, name).ok_or_else(|| {
                Failure::argument("checksum", format!("Unable to find a checksum for file `{name}` in {}", checksum.value))
            })?;
        }
        if let Some(checksum) = &checksum
            && (checksum.value.is_empty() || !checksum.value.chars().all(|c| c.is_ascii_hexdigit()))
        {
            return Err(Failure::argument("checksum", "The checksum format is invalid"));
        }
        if state.entry.as_ref().is_some_and(Entry::is_dir) {
            return Err(Failure::argument("dest", format!("{path} is a directory")));
        }
        let described = |outcome: Outcome| outcome.with("url", url).with("dest", path);
        let is_right = checksum.as_ref().is_some_and(|checksum| state.digest.as_deref() == Some(checksum.value.to_lowercase().as_str()));
        let fix = match &state.entry {
            Some(entry) => wanted.fix(entry, &state.ids)?,
            None if context.check_mode() => super::attributes::Fix::default(),
            None => wanted.fix_new(0o666, false, &state.ids)?,
        };
        if let Some(entry) = state.entry.as_ref().filter(|_| is_right && !args.is("force")) {
            let mut outcome = described(Outcome { changed: !fix.is_nothing(), ..Outcome::default() }).with("msg", "file already exists");
            entry.add_to(&mut outcome.data);
            if fix.is_nothing() {
                return Ok(outcome.into());
            }
            let script = fix_script(path, &fix.lines("\"$p\"", false));
            return Ok(Change::new(outcome, script).finish(finish_look(format!("change {path}"), path.to_owned())).into());
        }
        // Without a checksum an old file may be the newest that there is; only the server knows.
        let asks_server = !args.is("force") && checksum.is_none() && state.entry.is_some();
        if context.check_mode() {
            let changed = !asks_server || !fix.is_nothing();
            return Ok(Change::new(described(Outcome { changed, ..Outcome::default() }), Script::default()).into());
        }
        if !state.folder_exists {
            return Err(Failure::argument("dest", format!("Destination {} does not exist", state.folder)));
        }
        let mut text = format!("{FUNCTIONS}{CLEANING}{DOWNLOAD}p={}\nx=$(mktemp -d) || exit 1\nreceive\n", quote(path));
        let folder = args.str("tmp_dest").map_or_else(|| quote(&state.folder).into_owned(), words::on_host);
        text.push_str(&format!(
            "f={folder}\nsweep \"$f\"/\nt=$(mktemp -- \"$f\"/.nodewright.XXXXXX) || exit 1\ndownload \"$t\" || exit 1\nsay \"$code\"\n"
        ));
        let attributes = fix.lines("\"$p\"", false);
        text.push_str(&format!("if [ \"$code\" = 304 ]; then\n{attributes}look \"$p\"\nexit 0\nfi\n"));
        text.push_str("s=$(LC_ALL=C sha1sum < \"$t\") || exit 1\nnew=${s%% *}\n");
        if let Some(checksum) = &checksum {
            text.push_str(&format!("s=$({}sum < \"$t\") || exit 1\ndigest=${{s%% *}}\n", checksum.algorithm));
            text.push_str(&format!(
                "if [ \"$digest\" != {} ]; then say wrong; say \"$digest\"; exit 0; fi\n",
                checksum.value.to_lowercase()
            ));
        }
        text.push_str("old=''\nif [ -f \"$p\" ]; then s=$(LC_ALL=C sha1sum < \"$p\") || exit 1; old=${s%% *}; fi\n");
        text.push_str("if [ -d \"$p\" ]; then echo \"$p is a directory\" >&2; exit 1; fi\n");
        text.push_str("say done; say \"$new\"; say \"$old\"\nb=''\nif [ \"$new\" != \"$old\" ]; then\n");
        let mut on_new = fix.clone();
        if args.has("tmp_dest") {
            // Renaming is one step only where both are on one file system.
            text.push_str(&format!(
                "u=$t; t=$(mktemp -- {}/.nodewright.XXXXXX) || {{ t=$u; exit 1; }}\n\
                 cat -- \"$u\" > \"$t\" || {{ rm -f -- \"$u\"; exit 1; }}\nrm -f -- \"$u\"\n",
                quote(&state.folder)
            ));
        }
        if let Some(entry) = &state.entry {
            let (uid, gid) = (entry.uid, entry.gid);
            text.push_str(&format!("chown {uid}:{gid} -- \"$t\" 2>/dev/null || chgrp {gid} -- \"$t\" 2>/dev/null || :\n"));
            on_new.mode = on_new.mode.or(Some(entry.mode()));
            if args.is("backup") {
                text.push_str("b=\"$p.$$.$(date +%Y-%m-%d@%H:%M:%S)~\"\ncp -p -- \"$p\" \"$b\" || exit 1\n");
            }
        }
        text.push_str(&on_new.lines("\"$t\"", false));
        text.push_str("into_place \"$t\" \"$p\" || exit 1\nt=''\n");
        text.push_str(&format!("else\n:\n{attributes}fi\nsay \"$b\"\nlook \"$p\"\n"));
        let since = state.entry.as_ref().filter(|_| asks_server).map(|entry| entry.mtime.seconds);
        let input = request(args, url, since)?;
        let finish = finish(args, path, checksum, !fix.is_nothing() && state.entry.is_some())?;
        Ok(Change::new(described(Outcome::changed()), Script::new(text).with_input(input)).finish(finish).into())
    }
}

type Finished = Result<Outcome, Failure>;

fn finish(
    args: &Args,
    path: &str,
    checksum: Option<Checksum>,
    fixes: bool,
) -> Result<impl FnOnce(&Output, Outcome) -> Finished + Send + 'static, Failure> {
    let (url, path) = (args.required("url")?.to_owned(), path.to_owned());
    Ok(move |output: &Output, mut outcome: Outcome| {
        if !output.success() {
            let stdout = output.stdout_text();
            let code = stdout.strip_prefix('!').and_then(|rest| rest.split('\0').next()?.parse::<u32>().ok()).filter(|code| *code > 0);
            let said = output.stderr_text();
            let failure = Failure::new(format!("Request failed: {}", said.trim())).with("url", url.as_str()).with("dest", path.as_str());
            return Err(match code {
                Some(code) => failure.with("status_code", code),
                None => failure,
            });
        }
        let mut fields = Fields::of(&format!("download {url}"), output)?;
        let code = fields.number()?.unwrap_or(0);
        outcome = outcome.with("status_code", code);
        if code == 304 {
            outcome.changed = fixes;
            outcome = outcome.with("msg", "HTTP Error 304: Not Modified");
        } else {
            if fields.text()? == "wrong" {
                let (was, wanted) = (fields.text()?, checksum.map(|checksum| checksum.value).unwrap_or_default());
                return Err(Failure::argument("checksum", format!("The checksum for {path} did not match {wanted}; it was {was}."))
                    .with("url", url.as_str())
                    .with("dest", path.as_str()));
            }
            let (new, old) = (fields.text()?, fields.text()?);
            outcome.changed = new != old || fixes;
            let backup = fields.text()?;
            outcome = outcome.with("checksum_src", new);
            outcome = outcome.with("checksum_dest", if old.is_empty() { serde_json::Value::Null } else { old.into() });
            if !backup.is_empty() {
                outcome = outcome.with("backup_file", backup);
            }
        }
        if let Some(entry) = fields.entry(&path)? {
            if code != 304 {
                outcome = outcome.with("msg", format!("OK ({} bytes)", entry.size));
            }
            entry.add_to(&mut outcome.data);
        }
        Ok(outcome)
    })
}

/// What the last part of a URL's path is called.
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let name = path.rsplit('/').next().unwrap_or_default();
    if matches!(name, "" | "." | "..") { "index.html" } else { name }
}

/// The digest of a file in what `sha256sum` and its kin write, or the only one.
fn digest_for(sums: &str, name: &str) -> Option<String> {
    let lines: Vec<(&str, &str)> = sums
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), "")))
        .collect();
    if let [(digest, "")] = lines.as_slice() {
        return Some((*digest).to_owned());
    }
    let called = |shown: &str| {
        let shown = shown.trim().trim_start_matches('*');
        shown.trim_start_matches("./") == name
    };
    let base = |shown: &str| shown.trim().rsplit('/').next().is_some_and(called);
    let found = lines.iter().find(|(_, shown)| called(shown)).or_else(|| lines.iter().find(|(_, shown)| base(shown)));
    found.map(|(digest, _)| (*digest).to_owned())
}

/// The input of a script with [`DOWNLOAD`]. Modules that only fetch an archive or a key have fewer parameters: Ansible's defaults stand for those.
pub fn request(args: &Args, url: &str, modified_since: Option<i64>) -> Result<Vec<u8>, Failure> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in args.dict("headers").into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headers.push((name.clone(), value));
    }
    if let Some(seconds) = modified_since {
        let when = jiff::Timestamp::from_second(seconds).map_err(|err| Failure::new(err.to_string()))?;
        headers.push(("If-Modified-Since".into(), when.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    }
    let timeout = args.int("timeout").unwrap_or(10);
    let mut curl: Vec<(String, String)> = Vec::new();
    let mut wget: Vec<(String, String)> = Vec::new();
    let mut both = |of_curl: (&str, &str), of_wget: (&str, &str)| {
        curl.push((of_curl.0.into(), of_curl.1.into()));
        wget.push((of_wget.0.into(), of_wget.1.into()));
    };
    let timeout = timeout.to_string();
    both(("url", url), ("timeout", &timeout));
    both(("connect-timeout", &timeout), ("tries", "1"));
    both(("speed-time", &timeout), ("max_redirect", "10"));
    let agent = args.str("http_agent").unwrap_or("ansible-httpget");
    both(("user-agent", agent), ("user_agent", agent));
    let mut is_plain = modified_since.is_none() && headers.is_empty();
    for (name, value) in &headers {
        let header = format!("{name}: {value}");
        both(("header", &header), ("header", &header));
    }
    if let Some(user) = args.str("url_username") {
        is_plain = false;
        let password = args.str("url_password").unwrap_or_default();
        both(("user", &format!("{user}:{password}")), ("user", user));
        wget.push(("password".into(), password.into()));
        wget.push(("auth_no_challenge".into(), if args.is("force_basic_auth") { "on" } else { "off" }.into()));
    }
    for (name, of_curl, of_wget) in [("client_cert", "cert", "certificate"), ("client_key", "key", "private_key")] {
        if let Some(path) = args.str(name) {
            is_plain = false;
            curl.push((of_curl.into(), path.into()));
            wget.push((of_wget.into(), path.into()));
        }
    }
    let use_netrc = args.bool("use_netrc").unwrap_or(true);
    if args.bool("use_proxy") == Some(false) {
        curl.push(("noproxy".into(), "*".into()));
        wget.push(("use_proxy".into(), "off".into()));
    }
    wget.push(("netrc".into(), if use_netrc { "on" } else { "off" }.into()));
    let mut text = String::from("silent\nshow-error\nfail\nlocation\nmax-redirs = 10\nspeed-limit = 1\n");
    if args.bool("validate_certs") == Some(false) {
        text.push_str("insecure\n");
        wget.push(("check_certificate".into(), "off".into()));
    }
    if use_netrc {
        text.push_str("netrc-optional\n");
    }
    for (key, value) in &curl {
        text.push_str(&format!("{key} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    text.push_str("%end%\n");
    for (key, value) in &wget {
        text.push_str(&format!("{key} = {value}\n"));
    }
    text.push_str(&format!("%end%\n{url}\n%end%\n{}%end%\n", if is_plain { "plain\n" } else { "" }));
    if curl.iter().chain(&wget).any(|(_, value)| value.contains(['\n', '\r'])) {
        return Err(Failure::argument("url", "an address, header or password with a line break cannot be sent"));
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file() {
        assert_eq!(file_name("https://x.org/a/b.tgz?raw=1#f"), "b.tgz");
        assert_eq!(file_name("https://x.org"), "index.html");
    }

    #[test]
    fn finds_the_digest() {
        let sums = "aa11  ./other.tgz\nbb22 *dist/b.tgz\n";
        assert_eq!(digest_for(sums, "b.tgz").as_deref(), Some("bb22"));
        assert_eq!(digest_for("cc33\n", "b.tgz").as_deref(), Some("cc33"));
        assert_eq!(digest_for(sums, "c.tgz"), None);
    }
}
