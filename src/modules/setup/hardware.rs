//! Memory, processors, firmware's names, mounts and disks.

use super::seen::Seen;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

type Facts = Map<String, Json>;

pub fn hardware(seen: &Seen, facts: &mut Facts) {
    memory(seen, facts);
    processors(seen, facts);
    firmware(seen, facts);
    let uptime = seen.file("/proc/uptime").and_then(|text| text.split(['.', ' ']).next()?.parse::<i64>().ok());
    facts.extend(uptime.map(|seconds| ("uptime_seconds".to_owned(), Json::from(seconds))));
    facts.insert("mounts".into(), mounts(seen).into());
    facts.insert("devices".into(), devices(seen).into());
    facts.insert("device_links".into(), device_links(seen));
    facts.insert("lvm".into(), logical_volumes(seen));
}

fn memory(seen: &Seen, facts: &mut Facts) {
    let megabytes = |wanted: &str| {
        let line = seen.file_lines("/proc/meminfo").find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'))?;
        Some(line.split_whitespace().next()?.parse::<i64>().ok()? / 1024)
    };
    let [total, free, buffers, cached] = ["MemTotal", "MemFree", "Buffers", "Cached"].map(megabytes);
    let [swap_total, swap_free, swap_cached] = ["SwapTotal", "SwapFree", "SwapCached"].map(megabytes);
    for (name, value) in [("memtotal_mb", total), ("memfree_mb", free), ("swaptotal_mb", swap_total), ("swapfree_mb", swap_free)] {
        facts.extend(value.map(|value| (name.to_owned(), Json::from(value))));
    }
    let less = |whole: Option<i64>, part: Option<i64>| Some(whole? - part?);
    let uncached = cached.zip(free).zip(buffers).map(|((cached, free), buffers)| cached + free + buffers);
    facts.insert(
        "memory_mb".into(),
        json!({
            "real": {"total": total, "used": less(total, free), "free": free},
            "nocache": {"free": uncached, "used": less(total, uncached)},
            "swap": {"total": swap_total, "free": swap_free, "used": less(swap_total, swap_free), "cached": swap_cached},
        }),
    );
}

fn processors(seen: &Seen, facts: &mut Facts) {
    let architecture = facts.get("architecture").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut list = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut sockets, mut siblings): (BTreeMap<&str, usize>, Vec<usize>) = (BTreeMap::new(), Vec::new());
    let mut socket = "0";
    for line in seen.file_lines("/proc/cpuinfo") {
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else { continue };
        match key {
            "flags" => drop(facts.insert("flags".into(), value.split_whitespace().collect::<Vec<_>>().into())),
            "model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "processor" => {
                list.push(Json::from(value));
                *counts.entry(key).or_default() += 1;
            }
            "physical id" => {
                socket = value;
                sockets.entry(value).or_insert(1);
            }
            "cpu cores" => drop(value.parse().map(|cores| sockets.insert(socket, cores))),
            "siblings" => siblings.extend(value.parse::<usize>()),
            _ => {}
        }
    }
    let count = |key: &str| counts.get(key).copied().unwrap_or(0);
    let is_counted_by_processor = ["armv", "aarch", "ppc"].iter().any(|prefix| architecture.starts_with(prefix));
    let units = match count("vendor_id") {
        _ if is_counted_by_processor => count("processor"),
        vendors if vendors > 0 && vendors == count("model name") => vendors,
        _ => list.len(),
    };
    let physical = if sockets.is_empty() { units } else { sockets.len() };
    let cores = sockets.values().next().copied().filter(|cores| *cores > 0).unwrap_or(1);
    // As Python rounds halves: to the even one. One sibling of two cores is none.
    let ratio = siblings.first().copied().unwrap_or(1) as f64 / cores as f64;
    let threads = ratio.round_ties_even() as usize;
    let available = seen.section("nproc").and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or_else(|| count("processor"));
    facts.insert("processor".into(), list.into());
    facts.insert("processor_count".into(), physical.into());
    facts.insert("processor_cores".into(), cores.into());
    facts.insert("processor_threads_per_core".into(), threads.into());
    facts.insert("processor_vcpus".into(), (threads * physical * cores).into());
    facts.insert("processor_nproc".into(), available.into());
}

/// The kinds of chassis, by the number of SMBIOS.
const FORM_FACTORS: &[&str] = &[
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

fn firmware(seen: &Seen, facts: &mut Facts) {
    let file = |name: &str| seen.file(&format!("/sys/devices/virtual/dmi/id/{name}"));
    let names =
        ["bios_date", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor", "board_version"];
    let more = [
        "chassis_asset_tag",
        "chassis_serial",
        "chassis_vendor",
        "chassis_version",
        "product_name",
        "product_serial",
        "product_uuid",
        "product_version",
    ];
    for name in names.into_iter().chain(more) {
        facts.insert(name.into(), file(name).unwrap_or("NA").into());
    }
    facts.insert("system_vendor".into(), file("sys_vendor").unwrap_or("NA").into());
    let form = file("chassis_type").map(|number| {
        let known = number.parse::<usize>().ok().and_then(|number| FORM_FACTORS.get(number));
        known.map_or_else(|| format!("unknown ({number})"), ToString::to_string)
    });
    facts.insert("form_factor".into(), form.unwrap_or_else(|| "NA".into()).into());
}

/// Of network file systems the sizes are not asked: a server that is away would hold everything up.
fn mounts(seen: &Seen) -> Vec<Json> {
    let sizes: BTreeMap<_, _> = seen.lines("statfs").filter_map(|line| line.split_once('\t')).collect();
    let uuids = uuids(seen);
    let bound = bound(seen);
    let mut mounts: Vec<Json> = Vec::new();
    for line in seen.file_lines("/proc/mounts") {
        let fields: Vec<_> = line.split(' ').map(unescape).collect();
        let [device, mount, kind, options, dump, pass] = &fields[..] else { continue };
        if !(device.starts_with('/') || device.contains(":/")) || kind == "none" {
            continue;
        }
        let uuid = uuids.get(device.as_str()).copied().unwrap_or("N/A");
        let options = if bound.contains(mount) { format!("{options},bind") } else { options.clone() };
        let mut facts = json!({
            "mount": mount, "device": device, "fstype": kind, "options": options, "dump": dump.parse::<i64>().unwrap_or(0), "passno": pass.parse::<i64>().unwrap_or(0), "uuid": uuid,
        });
        let numbers: Vec<i64> =
            sizes.get(mount.as_str()).map(|text| text.split('\t').filter_map(|number| number.parse().ok()).collect()).unwrap_or_default();
        if let ([block, fragment, total, available, inodes, free_inodes], Some(facts)) = (&numbers[..], facts.as_object_mut()) {
            let pairs = [
                ("size_total", fragment * total),
                ("size_available", fragment * available),
                ("block_size", *block),
                ("block_total", *total),
                ("block_available", *available),
                ("block_used", total - available),
                ("inode_total", *inodes),
                ("inode_available", *free_inodes),
                ("inode_used", inodes - free_inodes),
            ];
            facts.extend(pairs.map(|(name, number)| (name.to_owned(), Json::from(number))));
        }
        // Of what is mounted over each other the last is seen.
        match mounts.iter_mut().find(|other| other["mount"] == **mount) {
            Some(other) => *other = facts,
            None => mounts.push(facts),
        }
    }
    mounts
}

/// Where a part of a file system is mounted, and not its root.
fn bound(seen: &Seen) -> BTreeSet<String> {
    let target = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, _, _, root, target, ..] if root != "/" => Some(unescape(target)),
        _ => None,
    };
    seen.file_lines("/proc/self/mountinfo").filter_map(target).collect()
}

/// The names that udev gives to devices, and which devices stand on which.
fn device_links(seen: &Seen) -> Json {
    let links = |section: &str| {
        let mut links: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (left, target) in seen.lines(section).filter_map(|line| line.split_once(" -> ")) {
            if let (Some(device), Some(name)) = (target.rsplit('/').next(), left.rsplit(' ').next()) {
                links.entry(device).or_default().insert(name);
            }
        }
        json!(links)
    };
    let mut masters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in seen.lines("blocks") {
        let path = line.split_once("/sys/block/").and_then(|(_, rest)| rest.split(' ').next()?.split_once("/slaves/"));
        if let Some((device, slave)) = path {
            masters.entry(slave).or_default().insert(device);
        }
    }
    json!({"ids": links("ids"), "uuids": links("uuids"), "labels": links("labels"), "masters": masters})
}

/// What LVM's tools say; only root is told.
fn logical_volumes(seen: &Seen) -> Json {
    if seen.section("vgs").is_none() {
        return "N/A".into();
    }
    let rows = |tool: &str| {
        seen.lines(tool).map(|line| line.trim().split(',').collect::<Vec<_>>()).filter(|row| row.len() > 3).collect::<Vec<_>>()
    };
    let (mut groups, mut volumes, mut disks) = (Facts::new(), Facts::new(), Facts::new());
    for row in rows("vgs") {
        let (size, free) = (row[row.len() - 2], row[row.len() - 1]);
        groups.insert(row[0].to_owned(), json!({"size_g": size, "free_g": free, "num_lvs": row[2], "num_pvs": row[1], "lvs": {}}));
    }
    for row in rows("lvs") {
        volumes.insert(row[0].to_owned(), json!({"size_g": row[3], "vg": row[1]}));
        if let Some(group) = groups.get_mut(row[1]) {
            group["lvs"][row[0]] = json!({"size_g": row[3]});
        }
    }
    for row in rows("pvs").iter().filter(|row| row.len() > 5) {
        disks.insert(row[0].to_owned(), json!({"size_g": row[4], "free_g": row[5], "vg": row[1]}));
    }
    json!({"lvs": volumes, "vgs": groups, "pvs": disks})
}

/// `\040` and its like, as the kernel writes what would end a field.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, character);
    }
    text
}

fn uuids<'a>(seen: &Seen<'a>) -> BTreeMap<String, &'a str> {
    let pair = |line: &'a str| {
        let (left, target) = line.split_once(" -> ")?;
        Some((format!("/dev/{}", target.rsplit('/').next()?), left.rsplit(' ').next()?))
    };
    seen.lines("uuids").filter_map(pair).collect()
}

fn devices(seen: &Seen) -> Facts {
    let uuids = uuids(seen);
    let names: BTreeSet<_> =
        seen.paths.iter().filter_map(|path| path.strip_suffix("/removable")).filter(|name| !name.contains('/')).collect();
    let holders = |name: &str| {
        let folder = format!("/sys/block/{name}/holders/");
        seen.lines("blocks").filter_map(|line| line.split_once(&folder)?.1.split(' ').next().map(Json::from)).collect::<Json>()
    };
    let links = |name: &str| json!({"ids": [], "labels": [], "masters": [], "uuids": uuids.get(&format!("/dev/{name}")).map_or_else(Vec::new, |uuid| vec![*uuid])});
    let device = |name: &str| {
        let file = |path: &str| seen.file(&format!("{name}/{path}"));
        let sectors = file("size").and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        let sector_size = file("queue/logical_block_size").unwrap_or("512");
        let scheduler = file("queue/scheduler").unwrap_or_default();
        let scheduler = scheduler.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(scheduler, |(mode, _)| mode);
        let prefix = format!("{name}/");
        let partitions = seen.paths.iter().filter_map(|path| path.strip_prefix(&prefix)?.strip_suffix("/partition"));
        let partition = |part: &str| {
            let sectors = file(&format!("{part}/size")).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
            let start = file(&format!("{part}/start")).unwrap_or("0");
            let uuid = uuids.get(&format!("/dev/{part}")).copied();
            json!({"holders": [], "links": links(part), "sectors": sectors, "sectorsize": 512, "size": human(sectors * 512), "start": start, "uuid": uuid})
        };
        json!({
            "holders": holders(name), "host": "", "links": links(name), "model": file("device/model"), "partitions": partitions.map(|part| (part.to_owned(), partition(part))).collect::<Facts>(),
            "removable": file("removable"), "rotational": file("queue/rotational"), "sas_address": null, "sas_device_handle": null, "scheduler_mode": scheduler, "sectors": sectors,
            "sectorsize": sector_size, "size": human(sectors * 512), "support_discard": file("queue/discard_granularity"), "vendor": file("device/vendor"), "virtual": 1,
        })
    };
    names.into_iter().map(|name| (name.to_string(), device(name))).collect()
}

fn human(bytes: u64) -> String {
    let units = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    match units.into_iter().find(|(shift, _)| bytes >= 1 << shift) {
        Some((shift, unit)) => format!("{:.2} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}.00 Bytes"),
    }
}
