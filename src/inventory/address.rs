//! Names of hosts as inventories write them: `name:port`, `[address]:port`, ranges such as `web[01:10:2].example`.

/// How many hosts one line may name.
const MAX_HOSTS: usize = 100_000;

/// A host and its port, if the whole is a host name or an address; else all of it is the name.
pub fn split_port(text: &str) -> (&str, Option<u16>) {
    parse(text).filter(|(host, _)| !host.contains('[')).unwrap_or((text, None))
}

/// Why a range is none.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct RangeError {
    pub words: String,
    /// One of its ends is neither a number nor a letter.
    pub is_no_number: bool,
}

impl From<String> for RangeError {
    fn from(words: String) -> RangeError {
        RangeError { words, is_no_number: false }
    }
}

/// The names that one name with ranges stands for, and the port.
pub fn expand(text: &str) -> Result<(Vec<String>, Option<u16>), RangeError> {
    let (pattern, port) = parse(text).unwrap_or((text, None));
    let mut names = vec![pattern.to_owned()];
    while names.first().is_some_and(|name| name.contains('[')) {
        let mut expanded = Vec::new();
        for name in &names {
            expand_first(name, &mut expanded)?;
        }
        names = expanded;
    }
    Ok((names, port))
}

/// Whether a colon in this belongs to a port, an address or a range.
pub fn is_one_address(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).filter(|host| !host.is_empty());
            match bracketed {
                Some(inner) => (inner, Some(port)),
                None if has_no_colon(host) => (host, Some(port)),
                None => (text, None),
            }
        }
        _ => (text, None),
    };
    let port = match port {
        Some(digits) => Some(digits.parse().ok()?),
        None => None,
    };
    (is_ipv6(host) || is_host_name(host)).then_some((host, port))
}

/// No colon outside of ranges.
fn has_no_colon(text: &str) -> bool {
    let mut in_range = false;
    for c in text.chars() {
        match c {
            '[' => in_range = true,
            ']' => in_range = false,
            ':' if !in_range => return false,
            _ => {}
        }
    }
    !in_range
}

/// The text with each range replaced by one character that it could stand for. None if there is a bracket which is no range.
fn without_ranges(text: &str, is_bound: impl Fn(&str, &str) -> bool) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let close = open + rest[open..].find(']')?;
        let mut bounds = rest[open + 1..close].split(':');
        let (begin, end, step) = (bounds.next()?, bounds.next()?, bounds.next().unwrap_or("1"));
        if bounds.next().is_some() || !is_number(step) || !is_bound(begin, end) {
            return None;
        }
        plain += &rest[..open];
        plain.push('1');
        rest = &rest[close + 1..];
    }
    plain += rest;
    (!plain.contains(']')).then_some(plain)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_ipv6(text: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    without_ranges(text, |begin, end| is_hex(begin) && is_hex(end)).is_some_and(|plain| plain.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Labels of letters, digits, `_` and `-`, with a letter or digit at the end; addresses of IPv4 are among these.
fn is_host_name(text: &str) -> bool {
    let is_letter = |text: &str| text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_bound = |begin: &str, end: &str| is_number(begin) && is_number(end) || is_letter(begin) && is_letter(end);
    let is_label = |label: &str| {
        let allowed = label.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        allowed && !label.is_empty() && !label.starts_with('-') && !label.ends_with(['_', '-'])
    };
    without_ranges(text, is_bound).is_some_and(|plain| plain.split('.').all(is_label))
}

/// Writes out the first range of a name.
fn expand_first(name: &str, into: &mut Vec<String>) -> Result<(), RangeError> {
    let Some((head, (range, tail))) = name.split_once('[').and_then(|(head, rest)| Some((head, rest.split_once(']')?))) else {
        return Err(format!("`{name}` has a bracket that is never closed").into());
    };
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match bounds[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err(format!("`[{range}]` is no range: it is written `[begin:end]` or `[begin:end:step]`").into()),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(format!("host range must specify end value: `[{range}]`").into());
    }
    let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or_else(|| format!("the step of `[{range}]` is a number from 1 on"))?;
    let backwards = || RangeError::from(format!("the range `[{range}]` ends before it begins"));
    let mut push = |value: &str| {
        into.push(format!("{head}{value}{tail}"));
        if into.len() > MAX_HOSTS { Err(RangeError::from(format!("`{name}` stands for more than {MAX_HOSTS} hosts"))) } else { Ok(()) }
    };
    if let (Some(begin), Some(end)) = (letter(begin), letter(end)) {
        if begin > end {
            return Err(backwards());
        }
        return (begin..=end).step_by(step).try_for_each(|n| push(&letters()[n..=n]));
    }
    let number = |text: &str| {
        let words = || format!("`{text}` in `[{range}]` is neither a number nor a letter");
        text.parse::<u64>().map_err(|_| RangeError { words: words(), is_no_number: true })
    };
    let (first, last) = (number(begin)?, number(end)?);
    if first > last {
        return Err(backwards());
    }
    let width = if begin.starts_with('0') && begin.len() > 1 { begin.len() } else { 0 };
    if width > 0 && width != end.len() {
        return Err(format!("both ends of `[{range}]` need the same number of digits").into());
    }
    (first..=last).step_by(step).try_for_each(|n| {
        let digits = n.to_string();
        push(&("0".repeat(width.saturating_sub(digits.len())) + &digits))
    })
}

/// In the order that ranges know: small letters before capitals.
fn letters() -> &'static str {
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
}

fn letter(text: &str) -> Option<usize> {
    (text.len() == 1).then(|| letters().find(text)).flatten()
}
