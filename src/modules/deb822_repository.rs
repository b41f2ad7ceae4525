//! Repositories of apt in the format of `.sources` files.
//!
//! ```yaml
//! - deb822_repository:
//!     name: kubernetes
//!     uris: https://pkgs.k8s.io/core:/stable:/v1.37/deb/
//!     suites: /
//!     signed_by: https://pkgs.k8s.io/core:/stable:/v1.37/deb/Release.key
//! ```
//!
//! Writes the file that Ansible writes. `signed_by` is a file of the host, a key's text, or a URL: the host fetches it on every run and compares,
//! so that a key whose expiry was extended is replaced. Returns `dest`, `repo`, `key_filename`. Lists are not refreshed: `apt: update_cache` does that.
//! `install_python_debian` has nothing to install: no Python is needed.

use super::write_file::INTO_PLACE;
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::web;
use crate::sh::{Output, Script, quote};
use base64::Engine;
use serde_json::Value as Json;

/// `ansible.builtin.deb822_repository`
pub struct Deb822Repository;

static SPEC: Spec = Spec {
    name: "ansible.builtin.deb822_repository",
    aliases: &[],
    params: &[
        Param::bool("allow_downgrade_to_insecure"),
        Param::bool("allow_insecure"),
        Param::bool("allow_weak"),
        Param::list("architectures"),
        Param::bool("by_hash"),
        Param::bool("check_date"),
        Param::bool("check_valid_until"),
        Param::list("components"),
        Param::int("date_max_future"),
        Param::bool("enabled"),
        Param::list("exclude"),
        Param::list("include"),
        Param::str("inrelease_path"),
        Param::list("languages"),
        Param::str("name").required(),
        Param::bool("install_python_debian").default("false"),
        Param::bool("pdiffs"),
        Param::str("signed_by"),
        Param::list("suites"),
        Param::list("targets"),
        Param::bool("trusted"),
        Param::list("types").default("deb").choices(&["deb", "deb-src"]),
        Param::list("uris"),
        Param::mode("mode").default("0644"),
        Param::str("state").default("present").choices(&["absent", "present"]),
    ],
    free_form: FreeForm::None,
};

/// The folder of keys, and of the files that name them.
const KEYS: &str = "/etc/apt/keyrings";
const SOURCES: &str = "/etc/apt/sources.list.d";

/// A file as it is: octal mode and content.
type File = Option<(String, Vec<u8>)>;

#[derive(Debug, Default)]
pub struct State {
    /// Whether a file under the name that older versions gave it is there: it is kept.
    has_legacy: bool,
    sources: [File; 2],
    ascii_key: [File; 2],
    binary_key: [File; 2],
    is_file: bool,
    fetched: Option<Vec<u8>>,
}

/// What `signed_by` is.
enum SignedBy<'a> {
    Nothing,
    Url(&'a str),
    /// A file if there is one of that name, else a key's text or fingerprint.
    Text(&'a str),
}

fn signed_by(args: &Args) -> SignedBy<'_> {
    match args.str("signed_by") {
        None => SignedBy::Nothing,
        Some(text) => match text.split_once("://") {
            Some((scheme, _)) if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
                SignedBy::Url(text)
            }
            _ => SignedBy::Text(text),
        },
    }
}

/// The file's name, now and as older versions made it.
fn slugs(name: &str) -> [String; 2] {
    let mut short = String::new();
    let mut is_gap = false;
    for c in name.to_lowercase().chars() {
        let was_gap = std::mem::replace(&mut is_gap, c == '_' || c.is_whitespace());
        match c {
            _ if is_gap && was_gap => {}
            _ if is_gap => short.push('-'),
            'a'..='z' | '0'..='9' | '-' => short.push(c),
            _ => {}
        }
    }
    [name.replace(' ', "-"), short]
}

impl Module for Deb822Repository {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let name = args.required("name")?;
        if name.contains(['/', '\n']) || name.is_empty() {
            return Err(Failure::argument("name", format!("`{name}` cannot be a file's name")));
        }
        let mut text = String::from(PROBE);
        for (n, slug) in slugs(name).iter().enumerate() {
            for (word, path) in [
                ("sources", format!("{SOURCES}/{slug}.sources")),
                ("asc", format!("{KEYS}/{slug}.asc")),
                ("gpg", format!("{KEYS}/{slug}.gpg")),
            ] {
                text += &format!("show {word}{n} {}\n", quote(&path));
            }
        }
        if args.str("state") == Some("present") {
            match signed_by(args) {
                SignedBy::Nothing => {}
                SignedBy::Text(path) if path.contains('\n') => {}
                SignedBy::Text(path) => text += &format!("[ ! -f {path} ] || echo file\n", path = quote(path)),
                SignedBy::Url(url) => text += &fetch(url),
            }
        }
        Ok(Some(Script::new(text)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        if !output.success() {
            return Err(Failure::script("looking at the repository", output));
        }
        let mut state = State::default();
        let stdout = output.stdout_text();
        let bytes = |text: &str| {
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|error| Failure::new(format!("cannot read what the host sent: {error}")))
        };
        for line in stdout.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            match fields[..] {
                ["file"] => state.is_file = true,
                ["fetched", content] => state.fetched = Some(bytes(content)?),
                [word, mode, content] => {
                    let file = Some((mode.to_owned(), bytes(content)?));
                    match word {
                        "sources0" => state.sources[0] = file,
                        "sources1" => (state.sources[1], state.has_legacy) = (file, true),
                        "asc0" => state.ascii_key[0] = file,
                        "asc1" => state.ascii_key[1] = file,
                        "gpg0" => state.binary_key[0] = file,
                        "gpg1" => state.binary_key[1] = file,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(state)
    }

    fn decide(&self, args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        if args.has("exclude") && args.has("include") {
            return Err(Failure::argument("include", "parameters are mutually exclusive: exclude|include"));
        }
        let at = usize::from(state.has_legacy);
        let slug = &slugs(args.required("name")?)[at];
        let dest = format!("{SOURCES}/{slug}.sources");
        if args.str("state") == Some("absent") {
            return Ok(absent(&state, at, slug, &dest));
        }
        let mode = args.required("mode")?;
        let mode = u32::from_str_radix(mode, 8)
            .map_err(|_| Failure::argument("mode", format!("`mode` must be octal here, such as \"0640\", not `{mode}`")))?;
        let has_mode = |file: &File, mode: u32| file.as_ref().is_some_and(|(is, _)| u32::from_str_radix(is, 8) == Ok(mode));

        let key = match (signed_by(args), &state.fetched) {
            (SignedBy::Url(_), Some(bytes)) => {
                let is_armored = bytes.windows(35).any(|window| window == b"-----BEGIN PGP PUBLIC KEY BLOCK----".as_slice());
                let (extension, there) = if is_armored { ("asc", &state.ascii_key[at]) } else { ("gpg", &state.binary_key[at]) };
                let is_same = there.as_ref().is_some_and(|(_, content)| content == bytes) && has_mode(there, 0o644);
                Some((format!("{KEYS}/{slug}.{extension}"), (!is_same).then(|| bytes.clone())))
            }
            (SignedBy::Text(path), _) if state.is_file => Some((path.to_owned(), None)),
            _ => None,
        };
        let key_filename = key.as_ref().map(|(path, _)| path.as_str());
        let repo = render(args, key_filename);
        let outcome = Outcome::unchanged().with("repo", repo.as_str()).with("dest", dest.as_str()).with("key_filename", key_filename);

        let before = state.sources[at].as_ref().map(|(_, content)| String::from_utf8_lossy(content).into_owned()).unwrap_or_default();
        let writes_file = before != repo || !has_mode(&state.sources[at], mode);
        let new_key = key.and_then(|(path, bytes)| Some((path, bytes?)));
        if !writes_file && new_key.is_none() {
            return Ok(outcome.into());
        }
        let mut text = format!("{INTO_PLACE}{PUT}");
        if let Some((path, _)) = &new_key {
            text += &format!("install -d -m 0755 {KEYS} || mkdir -p {KEYS} || exit 1\nput 644 {}\n", quote(path));
        }
        let mut outcome = Outcome { changed: true, ..outcome };
        if writes_file {
            text += &format!("mkdir -p {SOURCES} || exit 1\nprintf '%s' {} | put {mode:o} {}\n", quote(&repo), quote(&dest));
            outcome = outcome.diff(Diff { before_header: dest.clone(), after_header: dest, before, after: repo, ..Diff::default() });
        }
        let script = Script::new(text);
        Ok(Change::new(outcome, if let Some((_, bytes)) = new_key { script.with_input(bytes) } else { script }).into())
    }
}

fn absent(state: &State, at: usize, slug: &str, dest: &str) -> Decision {
    let files = [
        (&state.sources[at], dest.to_owned()),
        (&state.ascii_key[at], format!("{KEYS}/{slug}.asc")),
        (&state.binary_key[at], format!("{KEYS}/{slug}.gpg")),
    ];
    let outcome = Outcome::unchanged().with("repo", Json::Null).with("dest", dest).with("key_filename", files[2].1.as_str());
    let gone: Vec<_> = files.into_iter().filter(|(file, _)| file.is_some()).map(|(_, path)| path).collect();
    if gone.is_empty() {
        return outcome.into();
    }
    let before = state.sources[at].as_ref().map(|(_, content)| String::from_utf8_lossy(content).into_owned()).unwrap_or_default();
    let outcome = Outcome { changed: true, ..outcome }.diff(Diff {
        before_header: dest.to_owned(),
        after_header: "/dev/null".into(),
        before,
        ..Diff::default()
    });
    Change::new(outcome, Script::new(format!("rm -f -- {}\n", crate::sh::quote_all(gone)))).into()
}

/// The file as python-debian prints it: fields in the order of the parameters' names.
fn render(args: &Args, key_filename: Option<&str>) -> String {
    let mut names: Vec<_> =
        SPEC.params.iter().map(|param| param.name).filter(|name| !matches!(*name, "mode" | "state" | "install_python_debian")).collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let value = match args.get(name) {
            None => continue,
            Some(Json::Bool(true)) => "yes".to_owned(),
            Some(Json::Bool(false)) => "no".to_owned(),
            Some(Json::Array(_)) => args.list(name).unwrap_or_default().join(" "),
            Some(Json::String(value)) => if name == "signed_by" { key_filename.unwrap_or(value) } else { value }.to_owned(),
            Some(other) => other.to_string(),
        };
        let field = match name {
            "name" => "X-Repolib-Name".to_owned(),
            "uris" => "URIs".to_owned(),
            name => title(name),
        };
        if value.contains('\n') {
            let lines =
                value.trim().lines().map(|line| if line.trim().is_empty() { "    .".to_owned() } else { format!("    {}", line.trim()) });
            text += &format!("{field}:\n{}\n", lines.collect::<Vec<_>>().join("\n"));
        } else if value.is_empty() {
            text += &format!("{field}:\n");
        } else {
            text += &format!("{field}: {value}\n");
        }
    }
    text
}

/// `signed_by` is `Signed-By`.
fn title(name: &str) -> String {
    let word = |word: &str| word.chars().next().map(|first| first.to_ascii_uppercase().to_string() + &word[1..]).unwrap_or_default();
    name.split('_').map(word).collect::<Vec<_>>().join("-")
}

const PROBE: &str = r#"export LC_ALL=C
show() { [ ! -f "$2" ] || printf '%s %s %s\n' "$1" "$(stat -c %a "$2")" "$(base64 <"$2" | tr -d '\n')"; }
"#;

/// Says what is at an address.
fn fetch(url: &str) -> String {
    let helper = match web::is_plain(url) {
        true => format!("/usr/lib/apt/apt-helper download-file {} \"$file\" >/dev/null", quote(url)),
        false => web::download(url, true, "\"$file\""),
    };
    format!(
        "file=$(mktemp) || exit 1\n\
         {{ if command -v curl >/dev/null || command -v wget >/dev/null; then {}\nelse {helper}\nfi\n\
         }} || {{ status=$?; rm -f -- \"$file\"; echo {} >&2; exit $status; }}\n\
         [ -s \"$file\" ] || {{ rm -f -- \"$file\"; echo {} >&2; exit 1; }}\n\
         printf 'fetched %s\\n' \"$(base64 <\"$file\" | tr -d '\\n')\"\n\
         rm -f -- \"$file\"\n",
        web::download(url, true, "\"$file\""),
        quote(&format!("Could not fetch signed_by key: {url}")),
        quote(&format!("Could not fetch signed_by key: {url} is empty")),
    )
}

/// Writes standard input beside the file and renames it.
const PUT: &str = r#"put() {
  sweep "${2%/*}/"
  new=$(mktemp "${2%/*}/.nodewright.XXXXXX") || exit 1
  cat >"$new" && chmod "$1" "$new" && into_place "$new" "$2" || { rm -f -- "$new"; exit 1; }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, apply_of, args, decide};
    use serde_json::json;

    fn b64(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    const REPO: &str = "Architectures: amd64 arm64\nBy-Hash: no\nComponents: main\nX-Repolib-Name: my repo\nSigned-By: /etc/apt/keyrings/my-repo.asc\nSuites: stable\nTypes: deb\nURIs: https://a.example/x\n";

    fn given() -> Json {
        json!({"name": "my repo", "uris": "https://a.example/x", "suites": "stable", "components": ["main"], "architectures": ["amd64", "arm64"], "by_hash": false, "signed_by": "https://a.example/key"})
    }

    #[test]
    fn writes_what_ansible_writes() {
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n";
        let probe = format!("fetched {}\n", b64(key));
        let (outcome, script) = apply_of(decide(&Deb822Repository, given(), &probe, &Controller::default()).unwrap());
        assert_eq!(
            (&outcome.data["repo"], &outcome.data["dest"], &outcome.data["key_filename"]),
            (&json!(REPO), &json!("/etc/apt/sources.list.d/my-repo.sources"), &json!("/etc/apt/keyrings/my-repo.asc"))
        );
        assert!(matches!(script.input, crate::sh::Input::Bytes(bytes) if *bytes == *key.as_bytes()));
        let there = format!("sources0 644 {}\nasc0 644 {}\n{probe}", b64(REPO), b64(key));
        assert!(matches!(decide(&Deb822Repository, given(), &there, &Controller::default()), Ok(Decision::Unchanged(_))));
        let renewed = there.replace("asc0 644 ", "asc0 644 QUJD");
        assert!(matches!(decide(&Deb822Repository, given(), &renewed, &Controller::default()), Ok(Decision::Change(_))));
    }

    #[test]
    fn keeps_the_name_that_older_versions_gave() {
        assert_eq!(slugs("My  Repo_x v1.2"), ["My--Repo_x-v1.2", "my-repo-x-v12"]);
        let there = "sources1 644 QQ==\n";
        let (outcome, _) =
            apply_of(decide(&Deb822Repository, json!({"name": "My Repo", "suites": "/"}), there, &Controller::default()).unwrap());
        assert_eq!(outcome.data["dest"], "/etc/apt/sources.list.d/my-repo.sources");
    }

    #[test]
    fn puts_a_key_into_the_file() {
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n";
        let args = args(&Deb822Repository, json!({"name": "x", "signed_by": key, "suites": "/", "date_max_future": 5}));
        assert_eq!(
            render(&args, None),
            "Date-Max-Future: 5\nX-Repolib-Name: x\nSigned-By:\n    -----BEGIN PGP PUBLIC KEY BLOCK-----\n    .\n    abc\n    -----END PGP PUBLIC KEY BLOCK-----\nSuites: /\nTypes: deb\n"
        );
        let (_, script) = apply_of(
            decide(
                &Deb822Repository,
                json!({"name": "x", "state": "absent"}),
                "sources0 644 QQ==\ngpg0 600 QQ==\n",
                &Controller::default(),
            )
            .unwrap(),
        );
        assert_eq!(script.text, "rm -f -- /etc/apt/sources.list.d/x.sources /etc/apt/keyrings/x.gpg\n");
    }
}
