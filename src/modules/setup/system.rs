//! Facts of the `min` subset: platform, distribution, date, user, environment, DNS, keys, local facts.

use super::super::sections;
use super::seen::Seen;
use serde_json::{Map, Value as Json, json};

type Facts = Map<String, Json>;

/// `KEY="value"` lines, as in os-release.
fn pairs<'a>(seen: &'a Seen, path: &str) -> Map<String, Json> {
    let pair = |line: &'a str| {
        let (key, value) = line.trim().split_once('=')?;
        Some((key.to_owned(), Json::from(value.trim().trim_matches(['"', '\'']))))
    };
    seen.file_lines(path).filter_map(pair).collect()
}

pub fn platform(seen: &Seen, facts: &mut Facts) {
    let mut uname = seen.lines("uname");
    let mut next = || uname.next().unwrap_or_default().to_owned();
    let (system, node, kernel, version, machine) = (next(), next(), next(), next(), next());
    // The first of the address's names that has a domain, else its first one.
    let names: Vec<_> = seen.lines("fqdn").next().unwrap_or_default().split_whitespace().skip(1).collect();
    let fqdn = names.iter().find(|name| name.contains('.')).or(names.first()).map_or_else(|| node.clone(), ToString::to_string);
    let is_32_bit_intel = machine.len() == 4 && machine.starts_with('i') && machine.ends_with("86");
    let bits = match seen.section("bits").map(str::trim) {
        Some(bits @ ("32" | "64")) => bits,
        _ if machine.contains("64") || machine == "s390x" => "64",
        _ => "32",
    };
    facts.insert("system".into(), system.into());
    facts.insert("kernel".into(), kernel.into());
    facts.insert("kernel_version".into(), version.into());
    facts.insert("nodename".into(), node.as_str().into());
    facts.insert("hostname".into(), node.split('.').next().unwrap_or_default().into());
    facts.insert("domain".into(), fqdn.split_once('.').map_or("", |(_, domain)| domain).into());
    facts.insert("fqdn".into(), fqdn.into());
    facts.insert("userspace_bits".into(), bits.into());
    if machine == "x86_64" || is_32_bit_intel {
        facts.insert("userspace_architecture".into(), if bits == "64" { "x86_64" } else { "i386" }.into());
    }
    facts.insert("architecture".into(), if is_32_bit_intel { "i386" } else { &machine }.into());
    facts.insert("machine".into(), machine.into());
    if let Some(id) = seen.file("/var/lib/dbus/machine-id").or_else(|| seen.file("/etc/machine-id")) {
        facts.insert("machine_id".into(), id.lines().next().unwrap_or_default().into());
    }
    distribution(seen, facts);
    managers(seen, facts);
}

/// Ansible's names, by the ID of os-release.
const DISTRIBUTIONS: &[(&str, &str, &str)] = &[
    ("debian", "Debian", "Debian"),
    ("ubuntu", "Ubuntu", "Debian"),
    ("raspbian", "Debian", "Debian"),
    ("linuxmint", "Linux Mint", "Debian"),
    ("kali", "Kali", "Debian"),
    ("devuan", "Devuan", "Debian"),
    ("pop", "Pop!_OS", "Debian"),
    ("parrot", "Parrot", "Debian"),
    ("rhel", "RedHat", "RedHat"),
    ("centos", "CentOS", "RedHat"),
    ("fedora", "Fedora", "RedHat"),
    ("rocky", "Rocky", "RedHat"),
    ("almalinux", "AlmaLinux", "RedHat"),
    ("ol", "OracleLinux", "RedHat"),
    ("amzn", "Amazon", "RedHat"),
    ("opensuse-leap", "openSUSE Leap", "Suse"),
    ("opensuse-tumbleweed", "openSUSE Tumbleweed", "Suse"),
    ("sles", "SLES", "Suse"),
    ("arch", "Archlinux", "Archlinux"),
    ("manjaro", "Manjaro", "Archlinux"),
    ("alpine", "Alpine", "Alpine"),
    ("gentoo", "Gentoo", "Gentoo"),
];

fn distribution(seen: &Seen, facts: &mut Facts) {
    let path = if seen.file("/etc/os-release").is_some() { "/etc/os-release" } else { "/usr/lib/os-release" };
    let release = pairs(seen, path);
    let said = |key: &str| release.get(key).and_then(Json::as_str).unwrap_or_default();
    let known = DISTRIBUTIONS.iter().find(|(id, _, _)| *id == said("ID"));
    let (name, family) = known.map_or_else(|| (said("NAME"), said("NAME")), |(_, name, family)| (*name, *family));

    let is_debian = name == "Debian";
    // Only this file has Debian's point release; on testing it has a name.
    let debian_version = seen.file("/etc/debian_version").filter(|version| is_debian && version.starts_with(|c: char| c.is_ascii_digit()));
    let version = debian_version.unwrap_or_else(|| if said("VERSION_ID").is_empty() { "n/a" } else { said("VERSION_ID") });
    let in_brackets = || said("PRETTY_NAME").split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(word, _)| word);
    let codename = if is_debian { in_brackets() } else { None };
    let codename = codename
        .unwrap_or_else(|| ["VERSION_CODENAME", "UBUNTU_CODENAME"].map(said).into_iter().find(|word| !word.is_empty()).unwrap_or("NA"));

    facts.insert("distribution".into(), name.into());
    facts.insert("distribution_version".into(), version.into());
    facts.insert("distribution_major_version".into(), version.split('.').next().unwrap_or_default().into());
    facts.insert("distribution_release".into(), codename.into());
    if let Some((_, minor)) = debian_version.and_then(|version| version.split_once('.')) {
        facts.insert("distribution_minor_version".into(), minor.into());
    }
    if family == "Debian" {
        facts.insert("distribution_file_parsed".into(), true.into());
        facts.insert("distribution_file_path".into(), path.into());
        facts.insert("distribution_file_variety".into(), "Debian".into());
    }
    facts.insert("os_family".into(), family.into());
}

fn managers(seen: &Seen, facts: &mut Facts) {
    let exists = |path: &str| seen.says("exists", path);
    let family = facts.get("os_family").and_then(Json::as_str).unwrap_or_default();
    let package = match family {
        "RedHat" if exists("/usr/bin/dnf5") => "dnf5",
        "RedHat" if exists("/usr/bin/dnf") || exists("/usr/bin/microdnf") => "dnf",
        "Suse" if exists("/usr/bin/zypper") => "zypper",
        _ if exists("/usr/bin/apt-get") => "apt",
        _ if exists("/usr/bin/yum") => "yum",
        _ if exists("/sbin/apk") => "apk",
        _ if exists("/usr/bin/pacman") => "pacman",
        _ => "unknown",
    };
    facts.insert("pkg_mgr".into(), package.into());
    let first = seen.file("/proc/1/comm").unwrap_or_default();
    let is_systemd = ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"].into_iter().any(exists);
    let service = match first {
        "procd" => "openwrt_init",
        "runit-init" => "runit",
        "svscan" => "svc",
        "openrc-init" => "openrc",
        // Many are called so, and in a container it may be any shell.
        _ if first.is_empty() || first == "init" || first.ends_with("sh") => match () {
            () if is_systemd => "systemd",
            () if exists("/etc/init") && exists("/sbin/initctl") => "upstart",
            () if exists("/sbin/openrc") => "openrc",
            () if exists("/etc/init.d") => "sysvinit",
            () => "service",
        },
        own => own,
    };
    facts.insert("service_mgr".into(), service.into());
}

pub fn minimal(seen: &Seen, facts: &mut Facts) {
    date(seen, facts);
    user(seen, facts);
    let environment = seen.section("environment").unwrap_or_default().split('\u{1d}');
    facts.insert(
        "env".into(),
        environment.filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.into())).collect::<Facts>().into(),
    );
    facts.insert("lsb".into(), lsb(seen).into());
    facts.insert("dns".into(), dns(seen).into());
    command_line(seen, facts);
    facts.insert("fips".into(), (seen.file("/proc/sys/crypto/fips_enabled") == Some("1")).into());
    let has = |what| seen.says("security", what);
    facts.insert("apparmor".into(), json!({"status": if has("apparmor") { "enabled" } else { "disabled" }}));
    facts.insert("selinux".into(), selinux(seen));
    // Whoever asks wants to know whether files can be labelled: no library is missing for that here.
    facts.insert("selinux_python_present".into(), true.into());
    // Who may not look at the first process's root cannot say.
    if has("root") || has("chroot") {
        facts.insert("is_chroot".into(), has("chroot").into());
    }
    host_keys(seen, facts);
    capabilities(seen, facts);
    facts.insert("local".into(), local(seen).into());
}

fn date(seen: &Seen, facts: &mut Facts) {
    let said: Vec<_> = seen.section("date").unwrap_or_default().trim().split('|').collect();
    let [stamp, date, time, weekday, number, week, zone, offset] = said[..] else { return };
    let (seconds, nanoseconds) = stamp.split_once(' ').unwrap_or((stamp, ""));
    let micros = nanoseconds.get(..6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or("000000");
    let utc = seconds
        .parse()
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .unwrap_or_default();
    let (digits, clock) = (date.replace('-', ""), time.replace(':', ""));
    // Summer time is the zone that is further east, in either hemisphere.
    let zones = seen.lines("zones").filter_map(|line| line.split_once(' '));
    let summer = zones.max_by_key(|(offset, _)| offset.parse::<i32>().unwrap_or(0)).map_or(zone, |(_, name)| name);
    let [year, month, day] = [0, 1, 2].map(|n| date.split('-').nth(n).unwrap_or_default());
    let [hour, minute, second] = [0, 1, 2].map(|n| time.split(':').nth(n).unwrap_or_default());
    facts.insert(
        "date_time".into(),
        json!({
            "date": date, "day": day, "epoch": seconds, "epoch_int": seconds, "hour": hour, "iso8601": format!("{utc}Z"),
            "iso8601_basic": format!("{digits}T{clock}{micros}"), "iso8601_basic_short": format!("{digits}T{clock}"), "iso8601_micro": format!("{utc}.{micros}Z"),
            "minute": minute, "month": month, "second": second, "time": time, "tz": zone, "tz_dst": summer, "tz_offset": offset,
            "weekday": weekday, "weekday_number": number, "weeknumber": week, "year": year,
        }),
    );
}

fn user(seen: &Seen, facts: &mut Facts) {
    let lines: Vec<_> = seen.lines("user").collect();
    let number = |n: usize| lines.get(n).and_then(|line| line.parse::<u64>().ok()).map_or(Json::Null, Json::from);
    for (n, name) in ["effective_user_id", "effective_group_id", "real_user_id", "real_group_id"].into_iter().enumerate() {
        facts.insert(name.into(), number(n));
    }
    let Some(entry) = lines.get(4).map(|line| line.split(':').collect::<Vec<_>>()).filter(|entry| entry.len() == 7) else { return };
    facts.insert("user_id".into(), entry[0].into());
    facts.insert("user_uid".into(), number(0));
    facts.insert("user_gid".into(), entry[3].parse::<u64>().map_or(Json::Null, Json::from));
    for (name, field) in [("user_gecos", 4), ("user_dir", 5), ("user_shell", 6)] {
        facts.insert(name.into(), entry[field].into());
    }
}

fn lsb(seen: &Seen) -> Facts {
    let mut found: Vec<(&str, String)> = Vec::new();
    if seen.file("/etc/lsb-release").is_some() {
        let said = pairs(seen, "/etc/lsb-release");
        for (key, name) in
            [("DISTRIB_ID", "id"), ("DISTRIB_RELEASE", "release"), ("DISTRIB_DESCRIPTION", "description"), ("DISTRIB_CODENAME", "codename")]
        {
            found.extend(said.get(key).and_then(Json::as_str).map(|value| (name, value.to_owned())));
        }
    } else {
        for line in seen.lines("lsb") {
            let Some((key, value)) = line.split_once(':') else { continue };
            let name = match key {
                "Distributor ID" => "id",
                "Description" => "description",
                "Release" => "release",
                "Codename" => "codename",
                _ => continue,
            };
            found.push((name, value.trim().to_owned()));
        }
    }
    let mut lsb: Facts = found.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
    if let Some((_, release)) = found.iter().find(|(name, _)| *name == "release") {
        lsb.insert("major_release".into(), release.split('.').next().unwrap_or_default().into());
    }
    lsb
}

fn dns(seen: &Seen) -> Facts {
    let mut dns = Facts::new();
    for line in seen.file_lines("/etc/resolv.conf") {
        if line.starts_with(['#', ';']) || line.trim().is_empty() {
            continue;
        }
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let list = dns.entry("nameservers").or_insert_with(|| json!([]));
                if let Json::Array(list) = list {
                    list.extend(words.map(Json::from));
                }
            }
            Some("domain") => drop(words.next().map(|word| dns.insert("domain".into(), word.into()))),
            Some(key @ ("search" | "sortlist")) => drop(dns.insert(key.into(), words.collect::<Vec<_>>().into())),
            Some("options") => {
                let options = words
                    .map(|word| word.split_once(':').map_or((word.to_owned(), true.into()), |(key, value)| (key.to_owned(), value.into())));
                dns.insert("options".into(), Json::Object(options.collect()));
            }
            _ => {}
        }
    }
    dns
}

/// `cmdline` keeps the last of several, `proc_cmdline` all of them.
fn command_line(seen: &Seen, facts: &mut Facts) {
    let (mut last, mut all) = (Facts::new(), Facts::new());
    for piece in pieces(seen.file("/proc/cmdline").unwrap_or_default()) {
        let (key, value) = piece.split_once('=').map_or((piece.as_str(), Json::Bool(true)), |(key, value)| (key, value.into()));
        last.insert(key.to_owned(), value.clone());
        let before = all.insert(key.to_owned(), value.clone());
        match before {
            None => {}
            Some(Json::Array(mut list)) => {
                list.push(value);
                all.insert(key.to_owned(), list.into());
            }
            Some(one) => drop(all.insert(key.to_owned(), json!([one, value]))),
        }
    }
    facts.insert("cmdline".into(), last.into());
    facts.insert("proc_cmdline".into(), all.into());
}

/// At spaces that are not within quotes; the quotes stay.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut piece, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        is_quoted ^= c == '"';
        if c.is_whitespace() && !is_quoted {
            pieces.push(std::mem::take(&mut piece));
        } else {
            piece.push(c);
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn selinux(seen: &Seen) -> Json {
    if !seen.says("security", "selinux") {
        return json!({"status": "disabled"});
    }
    let config = pairs(seen, "/etc/selinux/config");
    let said = |key: &str| config.get(key).cloned().unwrap_or_else(|| "unknown".into());
    let mode = match seen.file("/sys/fs/selinux/enforce") {
        Some("1") => "enforcing",
        Some("0") => "permissive",
        _ => "unknown",
    };
    let version = seen.file("/sys/fs/selinux/policyvers").and_then(|version| version.parse::<i64>().ok());
    json!({"status": "enabled", "mode": mode, "config_mode": said("SELINUX"), "type": said("SELINUXTYPE"), "policyvers": version.map_or_else(|| "unknown".into(), Json::from)})
}

fn host_keys(seen: &Seen, facts: &mut Facts) {
    for path in &seen.paths {
        let Some(kind) = path.strip_prefix("/etc/ssh/ssh_host_").and_then(|rest| rest.strip_suffix("_key.pub")) else { continue };
        let mut words = seen.file(path).unwrap_or_default().split_whitespace();
        if let (Some(name), Some(key)) = (words.next(), words.next()) {
            facts.insert(format!("ssh_host_key_{kind}_public"), key.into());
            facts.insert(format!("ssh_host_key_{kind}_public_keytype"), name.into());
        }
    }
}

fn capabilities(seen: &Seen, facts: &mut Facts) {
    let current = seen.lines("capsh").find_map(|line| line.strip_prefix("Current:"));
    let (enforced, list): (&str, Json) = match current.map(str::trim) {
        None => ("N/A", "N/A".into()),
        Some("=ep") => ("False", json!([])),
        Some(list) => ("True", list.split_once('=').map_or(list, |(_, list)| list).split(',').map(|cap| Json::from(cap.trim())).collect()),
    };
    facts.insert("system_capabilities_enforced".into(), enforced.into());
    facts.insert("system_capabilities".into(), list);
}

/// The facts of `facts.d`: JSON, or sections of an INI file. What cannot be read is told in the fact's place.
fn local(seen: &Seen) -> Facts {
    let value = |status: Option<i32>, text: &str, path: &str| match status {
        None => Json::from(format!("Could not stat fact ({path}): {}", text.trim_end())),
        Some(0) => serde_json::from_str(text).unwrap_or_else(|_| ini(text, path).unwrap_or_else(Json::from)),
        Some(status) => format!("Failure executing fact script ({path}), rc: {status}, err: {text}").into(),
    };
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).replace(".fact", "");
    seen.local.iter().map(|(path, status, text)| (name(path), value(*status, text, path))).collect()
}

fn ini(text: &str, path: &str) -> Result<Json, String> {
    let bad = |what: &str| format!("error loading facts as {what} - please check content: {path}");
    let sections = sections::parse(text).map_err(|_| bad("JSON or ini"))?;
    let mut facts = Facts::new();
    for (name, keys) in &sections {
        let value = |(key, value): &(String, String)| match sections::interpolated(value, keys) {
            Ok(value) => Ok((key.clone(), Json::from(value))),
            Err(why) => Err(format!("{} ({why})", bad("ini"))),
        };
        facts.insert(name.clone(), keys.iter().map(value).collect::<Result<Facts, String>>()?.into());
    }
    Ok(facts.into())
}

pub fn others(seen: &Seen, facts: &mut Facts) {
    let mut lines = seen.lines("systemd");
    if let Some(version) = lines.next().and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok()) {
        facts.insert("systemd".into(), json!({"version": version, "features": lines.next().unwrap_or_default()}));
    }
    if let Some(load) = seen.file("/proc/loadavg") {
        let mut loads = load.split_whitespace().map(|load| load.parse::<f64>().unwrap_or(0.0));
        let mut next = || loads.next().unwrap_or(0.0);
        facts.insert("loadavg".into(), json!({"1m": next(), "5m": next(), "15m": next()}));
    }
    let initiator =
        seen.file_lines("/etc/iscsi/initiatorname.iscsi").find_map(|line| line.strip_prefix("InitiatorName=")).unwrap_or_default();
    facts.insert("iscsi_iqn".into(), initiator.into());
    facts.insert("hostnqn".into(), seen.file("/etc/nvme/hostnqn").unwrap_or_default().into());
    let ports = seen.paths.iter().filter(|path| path.ends_with("/port_name")).filter_map(|path| seen.file(path));
    facts.insert("fibre_channel_wwn".into(), ports.map(|port| Json::from(port.trim_start_matches("0x"))).collect());
}
