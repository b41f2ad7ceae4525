//! The look at a port or a file, once or until it is as wanted. Between two looks the script sleeps; it asks `/proc/uptime` for the time.

use crate::module::{Args, Failure};
use crate::sh::quote;
use crate::sh::words;
use std::net::IpAddr;

/// One look: the last line is `met` or `waiting`.
pub fn once(args: &Args) -> Result<String, Failure> {
    Ok(format!("{}if is_met; then echo met; else echo waiting; fi\n", definition(args)?))
}

/// Looks again and again; the last line is `elapsed SECONDS`, and the status says whether it came true.
pub fn until(args: &Args) -> Result<String, Failure> {
    let number = |name: &str| args.int(name).unwrap_or(0).max(0);
    let clock = "now() { read -r now _ </proc/uptime; now=${now%%.*}; }\nnow; start=$now\n";
    let delay = number("delay");
    if !super::has_condition(args) {
        return Ok(format!("{clock}sleep {}\nnow; echo \"elapsed $((now - start))\"\n", delay + number("timeout")));
    }
    let definition = definition(args)?;
    let (timeout, pause) = (number("timeout"), number("sleep").max(1));
    Ok(format!(
        r#"{clock}{definition}sleep {delay}
while :; do
  if is_met; then now; echo "elapsed $((now - start))"; exit 0; fi
  now
  [ $((now - start)) -lt {timeout} ] || {{ echo "elapsed $((now - start))"; exit 1; }}
  sleep {pause}
done
"#
    ))
}

/// Defines `is_met`.
fn definition(args: &Args) -> Result<String, Failure> {
    let state = args.str("state").unwrap_or_default();
    let is_wanted_gone = matches!(state, "absent" | "stopped");
    if state == "drained" {
        return drained(args);
    }
    let search = args.str("search_regex").filter(|_| !is_wanted_gone).map(searcher);
    let mut text = search.clone().unwrap_or_default();
    if let Some(path) = args.str("path") {
        let path = words::on_host(path);
        text += &match (is_wanted_gone, search) {
            (true, _) => format!("is_met() {{ [ ! -e {path} ]; }}\n"),
            (false, None) => format!("is_met() {{ [ -e {path} ]; }}\n"),
            (false, Some(_)) => format!("is_met() {{ [ -e {path} ] && search {path}; }}\n"),
        };
        return Ok(text);
    }
    let host = args.str("host").unwrap_or("127.0.0.1");
    let Some(port) = args.int("port").and_then(|port| u16::try_from(port).ok()) else {
        return Err(Failure::argument("port", "`port` must be between 0 and 65535"));
    };
    text += &connector(host, port, args.int("connect_timeout").unwrap_or(5).max(1));
    text += match (is_wanted_gone, search) {
        (true, _) => "is_met() { ! is_listening && ! connects; }\n",
        (false, None) => "is_met() { is_listening || connects; }\n",
        (false, Some(_)) => SEARCH_PORT,
    };
    Ok(text)
}

/// The nearest that an extended regular expression comes to one of Python's.
fn extended(regex: &str) -> String {
    let mut text = String::new();
    let mut rest = regex;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix("(?P<").and_then(|rest| rest.split_once('>')).map(|(_, rest)| rest);
        let (piece, left) = if let Some(left) = named.or_else(|| rest.strip_prefix("(?:")) {
            ("(", left)
        } else if let Some(left) = rest.strip_prefix("\\d") {
            ("[0-9]", left)
        } else if let Some(left) = rest.strip_prefix("\\w") {
            ("[[:alnum:]_]", left)
        } else if let Some(left) = rest.strip_prefix("\\s") {
            ("[[:space:]]", left)
        } else {
            let length = if c == '\\' { 1 + rest[1..].chars().next().map_or(0, char::len_utf8) } else { c.len_utf8() };
            rest.split_at(length)
        };
        text += piece;
        rest = left;
    }
    text
}

/// Defines `search FILE`, which prints what it found. Perl's syntax is nearest to Python's; a grep without it does with the extended one.
fn searcher(regex: &str) -> String {
    let (perl, plain) = (format!("(?m){regex}"), extended(regex));
    format!(
        r#"if echo a | grep -qzP a 2>/dev/null; then
  search() {{ grep -qazP -- {perl} "$1" 2>/dev/null && {{ echo found; grep -aozP -- {perl} "$1" | tr '\000' '\n'; printf '\nend found\n'; }}; }}
else
  search() {{ grep -qE -- {plain} "$1" 2>/dev/null && {{ echo found; grep -E -- {plain} "$1"; printf '\nend found\n'; }}; }}
fi
"#,
        perl = quote(&perl),
        plain = quote(&plain)
    )
}

const SEARCH_PORT: &str = r#"is_met() {
  heard=$(mktemp) || exit 3
  listen >"$heard" 2>/dev/null
  search "$heard"; met=$?
  rm -f -- "$heard"
  return $met
}
"#;

/// Defines `is_listening` (by the kernel's own table, only for this host's addresses), `connects` and `listen`.
fn connector(host: &str, port: u16, timeout: i64) -> String {
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    let table = if is_loopback { "/proc/net/tcp /proc/net/tcp6" } else { "" };
    let (host, line) = (quote(host), quote(&format!("/dev/tcp/{host}/{port}")).into_owned());
    format!(
        r#"is_listening() {{
  for table in {table}; do
    [ -r "$table" ] || continue
    while read -r _ own _ state _; do
      case $state:$own in 0A:00000000:{hex} | 0A:0100007F:{hex} | 0A:00000000000000000000000000000000:{hex} | 0A:00000000000000000000000001000000:{hex} | 0A:0000000000000000FFFF00000100007F:{hex}) return 0 ;; esac
    done <"$table"
  done
  return 1
}}
if command -v bash >/dev/null && command -v timeout >/dev/null; then
  connects() {{ timeout {timeout} bash -c 'exec 3<>"$0"' {line} 2>/dev/null; }}
  listen() {{ timeout {timeout} bash -c 'exec 3<>"$0" && cat <&3' {line}; }}
elif command -v nc >/dev/null; then
  connects() {{ nc -z -w {timeout} {host} {port} 2>/dev/null >&2 </dev/null; }}
  listen() {{ nc -w {timeout} {host} {port} </dev/null; }}
elif command -v curl >/dev/null; then
  connects() {{ case $(curl -s -o /dev/null -w '%{{time_connect}}' -m {timeout} telnet://{host}:{port} </dev/null) in '' | 0.000*) return 1 ;; esac; }}
  listen() {{ curl -s -m {timeout} telnet://{host}:{port} </dev/null; }}
else
  echo "cannot connect from this host: it has no bash with timeout, no nc and no curl" >&2; exit 3
fi
"#,
        hex = format_args!("{port:04X}"),
    )
}

/// Defines `is_met` as "nobody is connected to the port".
fn drained(args: &Args) -> Result<String, Failure> {
    let states = args.list("active_connection_states").unwrap_or_default();
    let code = |state: &String| match state.as_str() {
        "ESTABLISHED" => Ok("01"),
        "SYN_SENT" => Ok("02"),
        "SYN_RECV" => Ok("03"),
        "FIN_WAIT1" => Ok("04"),
        "FIN_WAIT2" => Ok("05"),
        "TIME_WAIT" => Ok("06"),
        _ => Err(Failure::argument("active_connection_states", format!("unknown active_connection_state ({state}) defined"))),
    };
    let states = states.iter().map(code).collect::<Result<Vec<_>, _>>()?.join(" | ");
    let host = args.str("host").unwrap_or("127.0.0.1");
    // To listen on every address is to count the connections of every one.
    let own = if matches!(host, "0.0.0.0" | "::") { vec!["*".to_owned()] } else { in_table(host)? };
    let Some(port) = args.int("port").and_then(|port| u16::try_from(port).ok()) else {
        return Err(Failure::argument("port", "`port` must be between 0 and 65535"));
    };
    let own: Vec<_> = own.iter().map(|address| format!("{address}:{port:04X}")).collect();
    let mut excluded = String::new();
    for host in args.list("exclude_hosts").unwrap_or_default() {
        let addresses: Vec<_> = in_table(&host)?.iter().map(|address| format!("{address}:*")).collect();
        excluded += &format!("    case $other in {}) continue ;; esac\n", addresses.join(" | "));
    }
    Ok(format!(
        r#"is_met() {{
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ own other state _; do
      case $state in {states}) ;; *) continue ;; esac
      case $own in {own}) ;; *) continue ;; esac
{excluded}      return 1
    done <"$table"
  done
}}
"#,
        own = own.join(" | ")
    ))
}

/// An address as `/proc/net/tcp` writes it: words of 32 bits, each in the machine's order.
fn in_table(host: &str) -> Result<Vec<String>, Failure> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let Ok(address) = host.parse::<IpAddr>() else {
        return Err(Failure::argument("host", format!("`{host}` must be an address where connections are counted")));
    };
    let reversed = |bytes: &[u8]| bytes.chunks(4).flat_map(|word| word.iter().rev()).map(|byte| format!("{byte:02X}")).collect::<String>();
    Ok(match address {
        IpAddr::V4(address) => {
            let short = reversed(&address.octets());
            vec![short.clone(), format!("0000000000000000FFFF0000{short}")]
        }
        IpAddr::V6(address) => vec![reversed(&address.octets())],
    })
}
