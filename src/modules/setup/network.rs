//! Interfaces, their addresses, and which of them leads out.

use super::seen::Seen;
use serde_json::{Map, Value as Json, json};
use std::net::Ipv4Addr;

type Facts = Map<String, Json>;

/// One interface while it is put together.
#[derive(Default)]
struct Interface {
    facts: Facts,
    v4: Vec<Facts>,
    v4_secondary: Vec<Facts>,
    v6: Vec<Json>,
}

pub fn network(seen: &Seen, facts: &mut Facts) {
    let mut interfaces = interfaces(seen);
    let (mut all4, mut all6) = (Vec::new(), Vec::new());
    let mut outward4 = outward(seen, "route4");
    let mut outward6 = outward(seen, "route6");
    for (name, interface) in &mut interfaces {
        let about = |facts: &mut Facts, interface: &Interface| {
            for key in ["macaddress", "mtu", "type"] {
                let value = interface.facts.get(key).cloned();
                facts.insert(key.into(), value.unwrap_or_else(|| if key == "type" { "unknown".into() } else { Json::from("") }));
            }
        };
        let address_of = |facts: &Facts| facts.get("address").cloned();
        for address in interface.v4.iter().chain(&interface.v4_secondary) {
            if address_of(address).is_some() && address_of(address) == address_of(&outward4) {
                outward4.extend(address.iter().filter(|(key, _)| *key != "label").map(|(key, value)| (key.clone(), value.clone())));
                outward4.insert("alias".into(), address.get("label").cloned().unwrap_or_else(|| name.as_str().into()));
                about(&mut outward4, interface);
            }
            let text = address.get("address").and_then(Json::as_str).unwrap_or_default();
            if !text.starts_with("127.") {
                all4.push(Json::from(text));
            }
        }
        for address in &interface.v6 {
            if outward6.get("address").is_some_and(|outward| *outward == address["address"]) {
                outward6.insert("prefix".into(), address["prefix"].clone());
                outward6.insert("scope".into(), address["scope"].clone());
                about(&mut outward6, interface);
            }
            if address["address"] != "::1" {
                all6.push(address["address"].clone());
            }
        }
    }
    facts.insert("interfaces".into(), interfaces.iter().map(|(name, _)| Json::from(name.as_str())).collect());
    facts.insert("all_ipv4_addresses".into(), all4.into());
    facts.insert("all_ipv6_addresses".into(), all6.into());
    facts.insert("default_ipv4".into(), outward4.into());
    facts.insert("default_ipv6".into(), outward6.into());
    facts.insert("locally_reachable_ips".into(), json!({"ipv4": reachable(seen, "local4"), "ipv6": reachable(seen, "local6")}));
    for (name, interface) in interfaces {
        // Names of variables have no such letters.
        facts.insert(name.replace(['-', ':'], "_"), finished(interface));
    }
}

fn finished(interface: Interface) -> Json {
    let Interface { mut facts, v4, v4_secondary, v6 } = interface;
    let plain = |mut address: Facts| {
        address.remove("label");
        Json::Object(address)
    };
    let mut v4 = v4.into_iter().map(plain);
    if let Some(first) = v4.next() {
        facts.insert("ipv4".into(), first);
    }
    let others: Vec<_> = v4.chain(v4_secondary.into_iter().map(plain)).collect();
    if !others.is_empty() {
        facts.insert("ipv4_secondaries".into(), others.into());
    }
    if !v6.is_empty() {
        facts.insert("ipv6".into(), v6.into());
    }
    facts.into()
}

/// By `ip addr`; where there is no `ip`, what /sys says, without addresses.
fn interfaces(seen: &Seen) -> Vec<(String, Interface)> {
    let mut interfaces: Vec<(String, Interface)> = Vec::new();
    if seen.section("addresses").is_none() {
        for path in &seen.paths {
            if let Some((name, "flags")) = path.split_once('/') {
                interfaces.push((name.to_owned(), Interface::default()));
            }
        }
    }
    for line in seen.lines("addresses") {
        let words: Vec<_> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            let Some(name) = words.get(1).map(|word| word.trim_end_matches(':').split('@').next().unwrap_or_default()) else { continue };
            let mut interface = Interface::default();
            header(&words, &mut interface.facts);
            interfaces.push((name.to_owned(), interface));
            continue;
        }
        let Some((name, interface)) = interfaces.last_mut() else { continue };
        match words[..] {
            [kind, address, ..] if kind.starts_with("link/") => {
                let kind = match &kind[5..] {
                    "ether" => "ether",
                    "loopback" => "loopback",
                    "infiniband" => "infiniband",
                    "ppp" => "ppp",
                    "none" | "sit" | "ipip" | "tunnel6" => "tunnel",
                    _ => "unknown",
                };
                interface.facts.insert("type".into(), kind.into());
                if kind != "loopback" && address != "00:00:00:00:00:00" && address.contains(':') {
                    interface.facts.insert("macaddress".into(), address.into());
                }
            }
            ["inet", address, ..] => {
                let is_secondary = words.contains(&"secondary");
                let address = v4(address, &words, name);
                if is_secondary { interface.v4_secondary.push(address) } else { interface.v4.push(address) }
            }
            ["inet6", address, ..] => {
                let after = |word: &str| words.iter().position(|one| *one == word).and_then(|at| words.get(at + 1)).copied();
                let (own, prefix) = match after("peer") {
                    Some(peer) => (address, peer.split_once('/').map_or("128", |(_, prefix)| prefix)),
                    None => address.split_once('/').unwrap_or((address, "128")),
                };
                interface.v6.push(json!({"address": own, "prefix": prefix, "scope": after("scope").unwrap_or_default()}));
            }
            _ => {}
        }
    }
    for (name, interface) in &mut interfaces {
        from_sys(seen, name, &mut interface.facts);
    }
    interfaces
}

/// `2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc mq state UP group default`
fn header(words: &[&str], facts: &mut Facts) {
    let name = words[1].trim_end_matches(':').split('@').next().unwrap_or_default();
    let after = |word: &str| words.iter().position(|one| *one == word).and_then(|at| words.get(at + 1));
    facts.insert("device".into(), name.into());
    if let Some(mtu) = after("mtu").and_then(|mtu| mtu.parse::<i64>().ok()) {
        facts.insert("mtu".into(), mtu.into());
    }
    facts.insert("active".into(), after("state").is_none_or(|state| *state != "DOWN").into());
    facts.insert("promisc".into(), words.get(2).is_some_and(|flags| flags.trim_matches(['<', '>']).split(',').any(|flag| flag == "PROMISC")).into());
}

fn v4(text: &str, words: &[&str], device: &str) -> Facts {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let broadcast = words.iter().position(|word| *word == "brd").and_then(|at| words.get(at + 1)).copied().unwrap_or_default();
    let bits = prefix.parse::<u32>().unwrap_or(32).min(32);
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let network = address.parse::<Ipv4Addr>().map(|address| Ipv4Addr::from(u32::from(address) & mask).to_string()).unwrap_or_default();
    let label = words.last().filter(|word| word.starts_with(device)).copied().unwrap_or(device);
    let pairs = [("address", address), ("broadcast", broadcast), ("netmask", &Ipv4Addr::from(mask).to_string()), ("network", &network), ("prefix", prefix), ("label", label)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Json::from(value))).collect()
}

fn from_sys(seen: &Seen, name: &str, facts: &mut Facts) {
    let file = |path: &str| seen.file(&format!("{name}/{path}"));
    facts.insert("device".into(), name.into());
    if !facts.contains_key("macaddress")
        && let Some(address) = file("address").filter(|address| *address != "00:00:00:00:00:00")
    {
        facts.insert("macaddress".into(), address.into());
    }
    if let Some(mtu) = file("mtu").and_then(|mtu| mtu.parse::<i64>().ok()) {
        facts.insert("mtu".into(), mtu.into());
    }
    if let Some(state) = file("operstate") {
        facts.insert("active".into(), (state != "down").into());
    }
    if let Some(number) = file("type") {
        let kind = match number {
            "1" => "ether",
            "32" => "infiniband",
            "512" => "ppp",
            "772" => "loopback",
            "65534" => "tunnel",
            _ => "unknown",
        };
        facts.insert("type".into(), kind.into());
    }
    if let Some(speed) = file("speed").and_then(|speed| speed.parse::<i64>().ok()) {
        facts.insert("speed".into(), speed.into());
    }
    if let Some(flags) = file("flags").and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()) {
        facts.insert("promisc".into(), (flags & 0x100 != 0).into());
    }
    if let Some(id) = file("bridge/bridge_id") {
        facts.insert("type".into(), "bridge".into());
        facts.insert("id".into(), id.into());
        facts.insert("stp".into(), (file("bridge/stp_state") == Some("1")).into());
        let ports = link_lines(seen).filter_map(|(path, _)| path.strip_prefix(&format!("/sys/class/net/{name}/brif/")));
        facts.insert("interfaces".into(), ports.map(Json::from).collect());
    }
    if let Some(mode) = file("bonding/mode") {
        let first = |text: Option<&str>| Json::from(text.and_then(|text| text.split_whitespace().next()).unwrap_or_default());
        facts.insert("type".into(), "bonding".into());
        facts.insert("slaves".into(), file("bonding/slaves").unwrap_or_default().split_whitespace().map(Json::from).collect());
        facts.insert("mode".into(), first(Some(mode)));
        facts.insert("miimon".into(), first(file("bonding/miimon")));
        facts.insert("lacp_rate".into(), first(file("bonding/lacp_rate")));
        if let Some(primary) = file("bonding/primary") {
            facts.insert("primary".into(), primary.into());
            facts.insert("all_slaves_active".into(), (file("bonding/all_slaves_active") == Some("1")).into());
        }
    }
    let target = |path: &str| link_lines(seen).find(|(link, _)| *link == format!("/sys/class/net/{name}/{path}")).and_then(|(_, target)| target);
    for (key, path) in [("pciid", "device"), ("module", "device/driver/module")] {
        if let Some(target) = target(path) {
            facts.insert(key.into(), target.rsplit('/').next().unwrap_or_default().into());
        }
    }
}

/// Paths of `ls -ld`, and where they point.
fn link_lines<'a>(seen: &Seen<'a>) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
    seen.lines("links").filter_map(|line| {
        let path = &line[line.find(" /")? + 1..];
        Some(path.split_once(" -> ").map_or((path, None), |(path, target)| (path, Some(target))))
    })
}

/// `8.8.8.8 via 192.0.2.1 dev eth0 src 192.0.2.2 uid 0`
fn outward(seen: &Seen, section: &str) -> Facts {
    let mut facts = Facts::new();
    let words: Vec<_> = seen.lines(section).next().unwrap_or_default().split_whitespace().collect();
    if !words.first().is_some_and(|word| matches!(*word, "8.8.8.8" | "2404:6800:400a:800::1012")) {
        return facts;
    }
    for pair in words.windows(2) {
        let key = match pair[0] {
            "dev" => "interface",
            "src" => "address",
            "via" => "gateway",
            _ => continue,
        };
        facts.insert(key.into(), pair[1].into());
    }
    facts
}

fn reachable(seen: &Seen, section: &str) -> Vec<Json> {
    let mut found = Vec::new();
    for line in seen.lines(section) {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["local", address, ..] = words[..]
            && !found.contains(&Json::from(address))
        {
            found.push(address.into());
        }
    }
    found
}
