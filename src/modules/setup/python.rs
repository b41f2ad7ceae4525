//! What Python the host has. Nothing here needs one; playbooks name its executable in their own commands.

use super::seen::Seen;
use crate::sh::quote;
use serde_json::{Map, Value as Json, json};

/// Where Ansible looks if nobody names an interpreter.
const KNOWN: [&str; 8] = ["python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "/usr/bin/python3", "python3"];

/// Without what a site adds to its start: only its own words are asked for.
const QUESTION: &str = "
import sys
try:
    from _ssl import _SSLContext
    ssl = 1
except ImportError:
    ssl = 0
v = sys.version_info
print(\"%s\\n%s\\n%d\\n%d %d %d %s %d\" % (sys.executable, sys.implementation.name, ssl, v[0], v[1], v[2], v[3], v[4]))
";

/// Asks the interpreter that is named, or the first that there is.
pub fn script(interpreter: Option<&str>) -> String {
    let named = interpreter.filter(|name| !matches!(*name, "auto" | "auto_legacy" | "auto_silent" | "auto_legacy_silent"));
    // It may be a command line (`/usr/bin/env python3`), as the host's shell reads it.
    let candidates = named.map_or_else(|| KNOWN.join(" ").into(), quote);
    format!(
        "for python in {candidates}; do command -v \"${{python%% *}}\" >/dev/null 2>&1 || continue; section python; limit $python -S -c {} 2>/dev/null </dev/null && break; done\n",
        quote(QUESTION)
    )
}

pub fn facts(seen: &Seen, facts: &mut Map<String, Json>) {
    let lines: Vec<_> = seen.lines("python").collect();
    let [executable, kind, ssl, version] = lines[..] else { return };
    let [major, minor, micro, level, serial] = version.split(' ').collect::<Vec<_>>()[..] else { return };
    let numbers: Vec<u32> = [major, minor, micro, serial].iter().filter_map(|part| part.parse().ok()).collect();
    let [major, minor, micro, serial] = numbers[..] else { return };
    facts.insert("python_version".into(), format!("{major}.{minor}.{micro}").into());
    facts.insert(
        "python".into(),
        json!({
            "executable": executable, "has_sslcontext": ssl == "1", "type": kind,
            "version": {"major": major, "minor": minor, "micro": micro, "releaselevel": level, "serial": serial},
            "version_info": [major, minor, micro, level, serial],
        }),
    );
}
