//! More of `ansible.utils`: hardware addresses, neighbours of an address in its network, paths into data.

use super::Filter;
use super::net::{Net, each, offset, parse};
use crate::python::regex::{Flags, Pattern};
use crate::template::args::Args;
use crate::template::eval::member;
use crate::template::fail::{Fail, Res, check};
use crate::template::lazy::Run;
use crate::template::tests;
use crate::template::value::{self, ValueMap, dict, int, is_list, is_map, items, list, pairs, text, truth};
use minijinja::Value;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("hwaddr", hardware_address),
    ("macaddr", hardware_address),
    ("ip4_hex", |_, value, args| {
        let delimiter = args.text_or("delimiter", "")?;
        let Some(Net { address: IpAddr::V4(address), .. }) = parse(&value)? else {
            return Err(Fail::error(format!("'{}' is not an IPv4 address", text(&value)?)));
        };
        Ok(Value::from(address.octets().map(|octet| format!("{octet:02x}")).join(&delimiter)))
    }),
    ("next_nth_usable", |_, value, args| neighbour(&value, args.int_or("offset", 0)?)),
    ("previous_nth_usable", |_, value, args| neighbour(&value, args.int_or("offset", 0)?.saturating_neg())),
    ("reduce_on_network", |_, value, args| {
        let network = args.need("network")?;
        let Some(network) = parse(&network)?.map(|net| net.net()) else {
            return Err(Fail::error(format!("'{}' is not a network", text(&network)?)));
        };
        let inside =
            each(&value, &|item| Ok(parse(item)?.filter(|net| network.contains(&net.net())).map_or(Value::from(false), |_| item.clone())))?;
        Ok(inside)
    }),
    ("slaac", |_, value, args| {
        let mac = args.text_or("query", "")?;
        let digits = mac_digits(&mac).ok_or_else(|| Fail::error(format!("'{mac}' is not a hardware address")))?;
        let Some(net @ Net { address: IpAddr::V6(_), .. }) = parse(&value)? else { return Ok(Value::from(false)) };
        let IpAddr::V6(network) = net.net().network() else { return Ok(Value::from(false)) };
        let (vendor, device) = (u128::from(digits >> 24), u128::from(digits & 0xff_ffff));
        let identifier = (vendor ^ 0x02_0000) << 40 | 0xfffe << 24 | device;
        Ok(Value::from(Ipv6Addr::from(u128::from(network) | identifier).to_string()))
    }),
    ("usable_range", |_, value, _| {
        const MOST: u128 = 1_000_000;
        let Some(net) = parse(&value)? else { return Err(Fail::error(format!("'{}' is not a network", text(&value)?))) };
        if net.size() > MOST {
            return Err(Fail::error("the network is too large to list"));
        }
        let hosts = (0..net.size() as i128).filter_map(|n| offset(net.net().network(), n)).map(|host| Value::from(host.to_string()));
        Ok(dict([("usable_ips", list(hosts)), ("number_of_ips", int(net.size() as i128))]))
    }),
    ("to_paths", |_, value, args| {
        let prepend = args.get("prepend").filter(|prefix| !prefix.is_none()).map(|prefix| text(&prefix)).transpose()?;
        let want_list = args.flag("wantlist", false)?;
        to_paths(&value, prepend.as_deref(), want_list)
    }),
    ("get_path", |_, value, args| {
        let path = args.need_text("path")?;
        let want_list = args.flag("wantlist", false)?;
        get_path(&value, &path, want_list)
    }),
    ("index_of", |_, value, args| {
        let test = args.need_text("test")?;
        index_of(&value, &test, args)
    }),
    ("fact_diff", fact_diff),
];

/// 48 bits, however they are grouped.
fn mac_digits(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| !":-.".contains(*c)).collect();
    (digits.len() == 12).then(|| u64::from_str_radix(&digits, 16).ok()).flatten()
}

fn hardware_address(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let query = args.text_or("query", "")?;
    let Some(bits) = mac_digits(&text(&value)?) else {
        return if query == "bool" || query.is_empty() {
            Ok(Value::from(false))
        } else {
            Err(Fail::error(format!("{}: not a hardware MAC address", text(&value)?)))
        };
    };
    let digits = format!("{bits:012x}");
    let grouped = |len: usize, separator: &str| {
        let groups: Vec<&str> = (0..12).step_by(len).map(|at| &digits[at..at + len]).collect();
        groups.join(separator)
    };
    let bare = |text: String| {
        text.split(':')
            .map(|group| group.trim_start_matches('0'))
            .map(|group| if group.is_empty() { "0" } else { group }.to_owned())
            .collect::<Vec<_>>()
            .join(":")
    };
    Ok(Value::from(match query.as_str() {
        "" => return Ok(value),
        "bool" => return Ok(Value::from(true)),
        "int" => return Ok(Value::from(bits)),
        "linux" => grouped(2, ":"),
        "unix" => bare(grouped(2, ":")),
        "cisco" => grouped(4, "."),
        "bare" => digits.to_uppercase(),
        "eui48" | "win" => grouped(2, "-").to_uppercase(),
        "pgsql" | "postgresql" | "psql" => format!("{}:{}", &digits[..6], &digits[6..]),
        other => return Err(Fail::error(format!("unknown filter type: {other}"))),
    }))
}

/// The address so many further on, if hosts of the network may have it.
fn neighbour(value: &Value, by: i128) -> Res {
    let Some(net) = parse(value)? else { return Ok(Value::from(false)) };
    if net.size() == 1 {
        return Err(Fail::error("Not a network address"));
    }
    let (first, last) = (net.first_usable(), net.last_usable());
    let found = offset(net.address, by).filter(|next| first.is_some_and(|first| *next >= first) && last.is_some_and(|last| *next <= last));
    Ok(found.map_or(Value::from(()), |next| Value::from(next.to_string())))
}

/// Every leaf of a value by the way to it: `a.b[0]`.
pub(in crate::template) fn to_paths(value: &Value, prepend: Option<&str>, want_list: bool) -> Res {
    fn walk(value: &Value, path: String, all: &mut ValueMap, depth: usize) -> Res<()> {
        if depth > 100 {
            return Err(Fail::error("the value is nested too deeply"));
        }
        if is_map(value) && value.len() != Some(0) {
            for (key, item) in pairs(value)? {
                let name = text(&key)?;
                let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && key.as_str().is_some();
                let step = match (path.is_empty(), plain) {
                    (true, true) => name,
                    (false, true) => format!("{path}.{name}"),
                    (_, false) => format!("{path}[{}]", value::repr(&key)?),
                };
                walk(&item, step, all, depth + 1)?;
            }
        } else if is_list(value) && value.len() != Some(0) {
            for (n, item) in items(value)?.iter().enumerate() {
                walk(item, format!("{path}[{n}]"), all, depth + 1)?;
            }
        } else {
            all.insert(Value::from(path), value.clone());
        }
        Ok(())
    }
    let mut all = ValueMap::new();
    walk(value, prepend.unwrap_or("").to_owned(), &mut all, 0)?;
    let found = Value::from_object(all);
    Ok(if want_list { list([found]) } else { found })
}

/// What stands at `a.b[0]['c d']` in a value.
pub(in crate::template) fn get_path(value: &Value, path: &str, want_list: bool) -> Res {
    let steps = Pattern::new(r#"\[\s*(-?\d+)\s*\]|\[\s*'([^']*)'\s*\]|\[\s*"([^"]*)"\s*\]|\.?([^.\[\]]+)"#, Flags::default())?;
    let mut found = value.clone();
    for step in steps.find_all(path)? {
        let key = match (step.get(1), step.get(2).or(step.get(3)).or(step.get(4))) {
            (Some(number), _) => Value::from(number.as_str().parse::<i64>().unwrap_or(i64::MAX)),
            (None, name) => Value::from(name.map_or("", |name| name.as_str())),
        };
        found = member(&found, &key)?;
        check(&found)?;
    }
    Ok(if want_list { list([found]) } else { found })
}

/// Where in a list the members are that pass a test: a number, or several.
pub(in crate::template) fn index_of(value: &Value, test: &str, args: &mut Args) -> Res {
    let against = args.get("value");
    let key = args.get("key").filter(|key| !key.is_none());
    let (fail_on_missing, want_list) = (args.flag("fail_on_missing", false)?, args.flag("wantlist", false)?);
    let (name, negated) = match test.trim_start_matches('!').strip_prefix("not ") {
        Some(name) => (name, true),
        None => (test.trim_start_matches('!'), test.starts_with('!')),
    };
    let mut found = Vec::new();
    for (n, item) in items(value)?.into_iter().enumerate() {
        let subject = match &key {
            Some(key) => match item.as_object().filter(|_| is_map(&item)).and_then(|object| object.get_value(key)) {
                Some(subject) => subject,
                None if fail_on_missing => return Err(Fail::error(format!("'{}' was not found in {}", text(key)?, value::repr(&item)?))),
                None => continue,
            },
            None => item,
        };
        let args = Args::new(against.iter().cloned().collect(), indexmap::IndexMap::new());
        if tests::perform(name, subject, args)? != negated {
            found.push(int(n as i128));
        }
    }
    Ok(match found.as_slice() {
        [one] if !want_list => one.clone(),
        _ => list(found),
    })
}

fn fact_diff(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let after = args.need("after")?;
    let plugin = args.get("plugin").filter(|plugin| !plugin.is_none());
    let (mut skip, mut context) = (Vec::new(), 3usize);
    if let Some(plugin) = plugin {
        if value::get(&plugin, "name").is_some_and(|name| name.as_str() != Some("ansible.utils.native")) {
            return Err(Fail::error("the only plugin of `fact_diff` is `ansible.utils.native`"));
        }
        if let Some(vars) = value::get(&plugin, "vars") {
            if let Some(lines) = value::get(&vars, "skip_lines") {
                skip = if is_list(&lines) { items(&lines)? } else { vec![lines] }.iter().map(text).collect::<Res<_>>()?;
            }
            if let Some(lines) = value::get(&vars, "context_lines") {
                context = value::as_int(&lines).and_then(|n| usize::try_from(n).ok()).unwrap_or(context);
            }
        }
    }
    let common = args.named("common").map_or(Ok(false), |common| truth(&common))?;
    if common {
        return Err(Fail::error("`common` is not supported"));
    }
    let skip = skip.iter().map(|pattern| Pattern::at_start(pattern, Flags::default())).collect::<Result<Vec<_>, _>>()?;
    let lines = |value: &Value| -> Res<Vec<String>> {
        let whole = match value.as_str() {
            Some(text) => text.to_owned(),
            None => super::data::nice_json(value)?,
        };
        let mut kept = Vec::new();
        for line in whole.lines() {
            let mut skipped = false;
            for pattern in &skip {
                skipped = skipped || pattern.is_found(line)?;
            }
            if !skipped {
                kept.push(line.to_owned());
            }
        }
        Ok(kept)
    };
    let (before, after) = (lines(&value)?, lines(&after)?);
    let (before, after) = (before.join("\n") + "\n", after.join("\n") + "\n");
    let diff = similar::TextDiff::from_lines(&before, &after);
    let shown = diff.unified_diff().context_radius(context).header("before", "after").to_string();
    // Ansible shows the list of lines as a text.
    let lines = shown.split('\n').map(Value::from);
    value::repr(&list(lines)).map(Value::from)
}
