//! Reads dpkg's and apt's state in one script: versions of what is named, the age of the lists, and where it is needed what apt-get would do.

use super::package::Known;
use super::request::Request;
use crate::module::Failure;
use crate::modules::web;
use crate::sh::words;
use crate::sh::{Output, Script, quote};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct State {
    /// Seconds since 1970; 0 where the lists are not to be refreshed, and their age means nothing.
    pub now: i64,
    /// When the lists were last refreshed; 0 if there are none.
    pub lists_time: i64,
    pub native: String,
    pub packages: Vec<Known>,
    /// Names that only an installed package provides, and whether apt has a package of that very name.
    pub provided: BTreeMap<String, bool>,
    /// What each pattern of the task matches among all that apt knows.
    pub expanded: BTreeMap<String, BTreeSet<String>>,
    pub debs: Vec<Deb>,
    pub simulated: Option<Simulated>,
}

#[derive(Debug)]
pub struct Simulated {
    pub status: i32,
    pub output: String,
}

/// A file of the task, and the version of its package that is installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub installed: Option<String>,
}

/// Prints `word<TAB>...` lines; the simulation's own output comes last.
pub fn script(request: &Request, simulate: Option<&[String]>) -> Script {
    let names: Vec<_> = request.wanted.iter().filter(|wanted| !wanted.is_pattern()).map(|wanted| wanted.name.as_str()).collect();
    let patterns: Vec<_> = request.wanted.iter().filter(|wanted| wanted.is_pattern()).map(|wanted| regex(&wanted.name)).collect();
    let (names, pattern) = (names.join(" "), patterns.join("|"));
    let mut text = format!("{ENVIRONMENT}NAMES={} PATTERN={}\nexport NAMES PATTERN\n{QUERY}", quote(&names), quote(&pattern));
    if request.update {
        text += AGE;
    }
    if !patterns.is_empty() && request.installs() {
        text += "apt-cache pkgnames | while read -r name; do\n";
        for wanted in request.wanted.iter().filter(|wanted| wanted.is_pattern()) {
            // Its letters were checked when it was read: nothing in it is the shell's but the pattern.
            text += &format!("case $name in {}) printf 'match\\t%s\\t%s\\n' {} \"$name\" ;; esac\n", wanted.name, quote(&wanted.name));
        }
        text += "done\n";
    }
    for deb in request.debs.iter().filter(|deb| simulate.is_some() || !is_url(deb)) {
        text += DEB;
        text += &match is_url(deb) {
            true => format!(
                "folder=$(mktemp -d) && {} && show_deb \"$folder/file.deb\"; status=$?; rm -rf -- \"$folder\"; [ $status -eq 0 ] || exit $status\n",
                download(deb, "$folder/file.deb")
            ),
            false => format!("show_deb {} || exit 1\n", words::on_host(deb)),
        };
    }
    for command in simulate.unwrap_or_default().iter().take(1) {
        text += &format!("printf 'simulate\\n'\napt-get -s {command} 2>&1; printf '\\nstatus\\t%s\\n' $?\n");
    }
    Script::new(text)
}

/// A shell's pattern as awk's regular expression.
fn regex(pattern: &str) -> String {
    let mut regex = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '!' => regex.push('^'),
            '.' | '+' => regex.extend(['\\', c]),
            c => regex.push(c),
        }
    }
    regex + "$"
}

pub fn is_url(deb: &str) -> bool {
    deb.contains("://")
}

/// apt's own downloader is wherever apt is; curl is not. But it takes the address as an argument, which every user of the host can read.
pub fn download(url: &str, to: &str) -> String {
    if !web::is_plain(url) {
        return format!("{{ {}\n}}", web::download(url, true, &format!("\"{to}\"")));
    }
    format!("/usr/lib/apt/apt-helper download-file {} \"{to}\" >&2", quote(url))
}

const ENVIRONMENT: &str = "export LC_ALL=C LANG=C LANGUAGE=C DEBIAN_FRONTEND=noninteractive\n";

const AGE: &str = "printf 'now\\t%s\\n' \"$(date +%s)\"\n";

const QUERY: &str = r#"command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
  for manager in dnf yum zypper apk pacman; do ! command -v $manager >/dev/null || break; manager=; done
  echo "there is no dpkg and apt here${manager:+: this host has $manager, which is not supported}" >&2; exit 1
}
set -- /var/lib/apt/lists/*Packages*
[ ! -e "$1" ] || stat -c 'lists	%Y' /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists 2>/dev/null
states=/var/lib/apt/extended_states; [ -r "$states" ] || states=
listed=$(dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\t${Provides}\n' | awk -F '\t' '
BEGIN { n = split(ENVIRON["NAMES"], names, " "); for (i = 1; i <= n; i++) wanted[names[i]] = 1; pattern = ENVIRON["PATTERN"] }
function is_wanted(name) { return name in wanted || (pattern != "" && name ~ pattern) }
FILENAME != "-" {
  if ($0 ~ /^Package: /) name = substr($0, 10)
  else if ($0 == "Auto-Installed: 1" && is_wanted(name)) print "auto\t" name
  next
}
$2 == "dpkg" { print "native\t" $3 }
{
  if (is_wanted($2)) { print "package\t" $0; if (substr($1, 2, 1) == "i") here[$2] = 1 }
  if (substr($1, 2, 1) != "i" || $5 == "") next
  m = split($5, provides, ", *")
  for (i = 1; i <= m; i++) { sub(/ .*/, "", provides[i]); if (provides[i] in wanted) virtual[provides[i]] = 1 }
}
END { for (name in virtual) if (!(name in here)) print "virtual\t" name }
' $states -) || exit 1
printf '%s\n' "$listed"
case $listed in *virtual*) virtual=$(printf '%s\n' "$listed" | sed -n 's/^virtual	//p') ;; *) virtual= ;; esac
[ -z "$virtual" ] || apt-cache policy $virtual | sed 's/^/policy	/'
"#;

const DEB: &str = r#"show_deb() {
  name=$(dpkg-deb -f "$1" Package) && version=$(dpkg-deb -f "$1" Version) && architecture=$(dpkg-deb -f "$1" Architecture) || return 1
  [ "$architecture" = all ] || name=$name:$architecture
  printf 'deb\t%s\t%s\t%s\n' "$name" "$version" "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$name" 2>/dev/null)"
}
"#;

pub fn read(output: &Output) -> Result<State, Failure> {
    let stdout = output.stdout_text();
    if !output.success() {
        return Err(Failure::script("reading the state of dpkg and apt", output));
    }
    let (listed, simulated) = stdout.split_once("\nsimulate\n").map_or((&*stdout, None), |(listed, simulated)| (listed, Some(simulated)));
    let unreadable = |line: &str| Failure::new(format!("reading the state of dpkg and apt: the host said `{line}`"));
    let mut state = State::default();
    let mut auto = BTreeSet::new();
    let mut policy_of = String::new();
    for line in listed.lines() {
        let (word, rest) = line.split_once('\t').unwrap_or((line, ""));
        match word {
            "now" => state.now = rest.parse().map_err(|_| unreadable(line))?,
            "lists" => state.lists_time = state.lists_time.max(rest.parse().map_err(|_| unreadable(line))?),
            "native" => state.native = rest.to_owned(),
            "auto" => drop(auto.insert(rest.to_owned())),
            "package" => state.packages.push(package(rest).ok_or_else(|| unreadable(line))?),
            "virtual" => drop(state.provided.insert(rest.to_owned(), false)),
            "policy" => match rest.strip_prefix("  Candidate: ") {
                Some(candidate) => drop(state.provided.insert(policy_of.clone(), candidate != "(none)")),
                None if !rest.starts_with(' ') => policy_of = rest.trim_end_matches(':').to_owned(),
                None => {}
            },
            "match" => {
                if let Some((pattern, name)) = rest.split_once('\t') {
                    state.expanded.entry(pattern.to_owned()).or_default().insert(name.to_owned());
                }
            }
            "deb" => state.debs.push(deb(rest).ok_or_else(|| unreadable(line))?),
            _ => {}
        }
    }
    if state.native.is_empty() {
        return Err(Failure::script("reading the state of dpkg and apt", output));
    }
    for known in &mut state.packages {
        known.is_auto = auto.contains(&known.name);
    }
    if let Some(simulated) = simulated {
        let (output, status) = simulated.rsplit_once("\nstatus\t").unwrap_or((simulated, ""));
        let status = status.trim().parse().map_err(|_| Failure::new("the simulation of apt-get did not end"))?;
        state.simulated = Some(Simulated { status, output: output.to_owned() });
    }
    Ok(state)
}

fn package(line: &str) -> Option<Known> {
    let mut fields = line.split('\t');
    let state = fields.next()?.chars().nth(1)?;
    let (name, architecture, version) = (fields.next()?.to_owned(), fields.next()?.to_owned(), fields.next()?.to_owned());
    let provides = fields.next().unwrap_or_default().split(", ").filter_map(|one| one.split(' ').next());
    Some(Known {
        name,
        architecture,
        version,
        state,
        provides: provides.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        is_auto: false,
    })
}

fn deb(line: &str) -> Option<Deb> {
    let mut fields = line.split('\t');
    let (name, version) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    Some(Deb { name, version, installed: fields.next()?.strip_prefix("installed ").map(str::to_owned) })
}
