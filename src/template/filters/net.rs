//! Addresses and networks, as `ansible.utils` filters them: `ipaddr` and its kin. What is not an address gives false; lists are filtered.

use super::Filter;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{Type, as_int, int, is_list, items, list, text, type_of};
use ipnet::IpNet;
use minijinja::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("ipaddr", |_, value, args| {
        let query = args.get("query").unwrap_or_else(|| Value::from(""));
        each(&value, &|value| ipaddr(value, &query, None))
    }),
    ("ipv4", |_, value, args| {
        let query = args.get("query").unwrap_or_else(|| Value::from(""));
        each(&value, &|value| ipaddr(value, &query, Some(4)))
    }),
    ("ipv6", |_, value, args| {
        let query = args.get("query").unwrap_or_else(|| Value::from(""));
        each(&value, &|value| ipaddr(value, &query, Some(6)))
    }),
    ("ipwrap", |_, value, _| wrap_all(&value)),
    ("ipsubnet", ipsubnet),
    ("ipmath", |_, value, args| {
        let by = args.int_or("amount", 0)?;
        let Some(net) = parse(&value)? else { return Err(Fail::error(format!("ipmath: '{}' is not an address", text(&value)?))) };
        offset(net.address, by).map(|address| Value::from(address.to_string())).ok_or_else(|| Fail::error("ipmath: out of range"))
    }),
    ("nthhost", |_, value, args| {
        let nth = args.int_or("query", 0)?;
        let Some(net) = parse(&value)? else { return Ok(Value::from(false)) };
        Ok(net.nth(nth).map_or(Value::from(false), |address| Value::from(address.to_string())))
    }),
    ("network_in_network", |_, value, args| within(&value, args, |outer, inner| outer.contains(&inner))),
    ("network_in_usable", |_, value, args| {
        within(&value, args, |outer, inner| outer.contains(&inner) && inner.addr() != outer.network() && inner.addr() != outer.broadcast())
    }),
    ("cidr_merge", cidr_merge),
];

/// An address, and its prefix if one was written.
#[derive(Clone, Copy)]
pub(super) struct Net {
    pub address: IpAddr,
    prefix: Option<u8>,
}

pub(super) fn parse(value: &Value) -> Res<Option<Net>> {
    if let (Type::Int, Some(number)) = (type_of(value), as_int(value)) {
        let address = match u32::try_from(number) {
            Ok(number) => Some(IpAddr::V4(Ipv4Addr::from(number))),
            Err(_) => u128::try_from(number).ok().map(|number| IpAddr::V6(Ipv6Addr::from(number))),
        };
        return Ok(address.map(|address| Net { address, prefix: None }));
    }
    let Some(text) = value.as_str() else { return Ok(None) };
    let (address, prefix) = match text.trim().split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text.trim(), None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(None) };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => None,
        Some(prefix) => {
            let by_mask = prefix.parse::<IpAddr>().ok().and_then(|mask| ipnet::ip_mask_to_prefix(mask).ok());
            match prefix.parse::<u8>().ok().filter(|prefix| *prefix <= longest).or(by_mask) {
                Some(prefix) => Some(prefix),
                None => return Ok(None),
            }
        }
    };
    Ok(Some(Net { address, prefix }))
}

pub(super) fn offset(address: IpAddr, by: i128) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => i64::try_from(by)
            .ok()
            .and_then(|by| u32::try_from(i64::from(u32::from(address)).checked_add(by)?).ok())
            .map(|number| IpAddr::V4(number.into())),
        IpAddr::V6(address) => u128::from(address).checked_add_signed(by).map(|number| IpAddr::V6(number.into())),
    }
}

impl Net {
    fn longest(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn len(&self) -> u8 {
        self.prefix.unwrap_or_else(|| self.longest())
    }

    pub fn net(&self) -> IpNet {
        IpNet::new_assert(self.address, self.len())
    }

    /// How many addresses there are, as far as a number can say.
    pub fn size(&self) -> u128 {
        1u128.checked_shl(u32::from(self.longest() - self.len())).unwrap_or(u128::MAX)
    }

    fn is_network(&self) -> bool {
        self.size() > 1 && self.net().network() == self.address
    }

    /// An address with the prefix of a network around it; both ends of a network of two count.
    fn is_address_in_network(&self) -> bool {
        self.size() == 2 || self.size() > 2 && !self.is_network()
    }

    fn nth(&self, nth: i128) -> Option<IpAddr> {
        let size = i128::try_from(self.size()).unwrap_or(i128::MAX);
        let nth = if nth < 0 { size + nth } else { nth };
        (0..size).contains(&nth).then(|| offset(self.net().network(), nth)).flatten()
    }

    fn cidr(&self) -> String {
        format!("{}/{}", self.address, self.len())
    }

    pub fn first_usable(&self) -> Option<IpAddr> {
        match self.size() {
            0 | 1 => None,
            2 => Some(self.net().network()),
            _ => offset(self.net().network(), 1),
        }
    }

    pub fn last_usable(&self) -> Option<IpAddr> {
        match self.size() {
            0 | 1 => None,
            2 => Some(self.net().broadcast()),
            _ => offset(self.net().broadcast(), -1),
        }
    }
}

/// Applies to a value or to every member of a list, leaving out what gives false.
pub(super) fn each(value: &Value, query: &dyn Fn(&Value) -> Res) -> Res {
    if !is_list(value) {
        return query(value);
    }
    let mut kept = Vec::new();
    for item in items(value)? {
        let found = each(&item, query)?;
        if found.is_true() {
            kept.push(found);
        }
    }
    Ok(list(kept))
}

fn is_private(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || address.is_documentation() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local() || is_documentation(address),
    };
    local || address.is_loopback()
}

fn is_documentation(address: Ipv6Addr) -> bool {
    address.segments()[..2] == [0x2001, 0xdb8]
}

fn is_public(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(a) => {
            a.is_private() || a.is_link_local() || a.is_documentation() || a.is_broadcast() || a.octets()[0] == 0 || a.octets()[0] >= 240
        }
        IpAddr::V6(a) => a.is_unique_local() || a.is_unicast_link_local() || is_documentation(a),
    };
    !special && !address.is_loopback() && !address.is_multicast()
}

fn ipaddr(value: &Value, query: &Value, version: Option<u8>) -> Res {
    if type_of(value) == Type::Bool {
        return Ok(Value::from(false));
    }
    let Some(net) = parse(value)? else { return Ok(Value::from(false)) };
    let own = if net.address.is_ipv4() { 4 } else { 6 };
    if version.is_some_and(|version| version != own) {
        return Ok(Value::from(false));
    }
    let as_nth = as_int(query).or_else(|| query.as_str().and_then(|text| text.parse().ok()));
    if let Some(nth) = as_nth {
        return Ok(match net.nth(nth) {
            _ if net.size() == 1 => value.clone(),
            Some(address) => Value::from(format!("{address}/{}", net.len())),
            None => Value::from(false),
        });
    }
    let query = text(query)?;
    // What is an address, but not the kind that is asked for.
    let no = || Value::from(());
    if net.prefix.is_none() && (query.ends_with("_usable") && query != "size_usable") {
        return Err(Fail::error("Not a network address"));
    }
    let as_text = |address: Option<IpAddr>| address.map_or_else(no, |address| Value::from(address.to_string()));
    let with_len = |address: Option<IpAddr>| address.map_or_else(no, |address| Value::from(format!("{address}/{}", net.len())));
    let given = || if type_of(value) == Type::Int { Value::from(net.address.to_string()) } else { value.clone() };
    let when = |holds: bool| if holds { given() } else { no() };
    let mask = net.net().netmask();
    Ok(match query.as_str() {
        "" => match type_of(value) {
            Type::Int => Value::from(net.address.to_string()),
            _ => Value::from(if net.prefix.is_some() { net.cidr() } else { net.address.to_string() }),
        },
        "address" | "ip" => {
            if own == 4 && net.size() > 2 && net.is_network() {
                no()
            } else {
                as_text(Some(net.address))
            }
        }
        "host" => {
            if net.size() > 2 && net.is_network() {
                no()
            } else {
                Value::from(net.cidr())
            }
        }
        "host/prefix" | "hostnet" | "gateway" | "gw" | "address/prefix" => {
            let is_end = net.size() > 2 && (net.is_network() || net.net().broadcast() == net.address);
            if is_end { Value::from(false) } else { Value::from(net.cidr()) }
        }
        "ip/prefix" => {
            if net.is_address_in_network() {
                Value::from(net.cidr())
            } else {
                no()
            }
        }
        "cidr" => Value::from(net.cidr()),
        "net" => when(net.is_network()),
        "network/prefix" | "subnet" => with_len(Some(net.net().network())),
        "network" | "network_id" => as_text(Some(net.net().network())),
        "network_netmask" => Value::from(format!("{} {mask}", net.net().network())),
        "network_wildcard" => Value::from(format!("{} {}", net.net().network(), net.net().hostmask())),
        "ip_netmask" | "ip_wildcard" if !net.is_address_in_network() => no(),
        "ip_netmask" => Value::from(format!("{} {mask}", net.address)),
        "ip_wildcard" => Value::from(format!("{} {}", net.address, net.net().hostmask())),
        "netmask" => as_text(Some(mask)),
        "hostmask" | "wildcard" => as_text(Some(net.net().hostmask())),
        "prefix" => Value::from(net.len()),
        "size" => net.size().try_into().map_or_else(|_| no(), int),
        "size_usable" => {
            let usable = match net.size() {
                0 | 1 => 0,
                2 => 2,
                size => size - 2,
            };
            usable.try_into().map_or_else(|_| no(), int)
        }
        "broadcast" => {
            if net.size() > 2 {
                as_text(Some(net.net().broadcast()))
            } else {
                no()
            }
        }
        "first_usable" => as_text(net.first_usable()),
        "last_usable" => as_text(net.last_usable()),
        "range_usable" => match (net.first_usable(), net.last_usable()) {
            (Some(first), Some(last)) => Value::from(format!("{first}-{last}")),
            _ => no(),
        },
        "next_usable" => {
            as_text(offset(net.address, 1).filter(|next| net.net().contains(next) && net.last_usable().is_some_and(|last| *next <= last)))
        }
        "previous_usable" => as_text(
            offset(net.address, -1).filter(|next| net.net().contains(next) && net.first_usable().is_some_and(|first| *next >= first)),
        ),
        "peer" => match net.size() {
            2 => as_text(offset(net.net().network(), i128::from(net.address == net.net().network()))),
            4 => as_text([1, 2].into_iter().filter_map(|n| offset(net.net().network(), n)).find(|other| *other != net.address)),
            _ => return Err(Fail::error("Not a point-to-point network")),
        },
        "version" => Value::from(own),
        "type" => Value::from(if net.is_network() { "network" } else { "address" }),
        "int" => {
            let number = match net.address {
                IpAddr::V4(address) => u128::from(u32::from(address)),
                IpAddr::V6(address) => u128::from(address),
            };
            net.prefix.map_or_else(|| Value::from(number), |prefix| Value::from(format!("{number}/{prefix}")))
        }
        "revdns" => Value::from(reverse_name(net.address)),
        "bool" => Value::from(true),
        "ipv4" | "v4" | "4" => when(own == 4),
        "ipv6" | "v6" | "6" => when(own == 6),
        "wrap" => wrap(value)?,
        "private" | "rfc1918" => when(is_private(net.address)),
        "public" => when(is_public(net.address)),
        "loopback" | "lo" => when(net.address.is_loopback()),
        "multicast" => when(net.address.is_multicast()),
        "unicast" => when(!net.address.is_multicast()),
        "link-local" => when(match net.address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }),
        other => match parse(&Value::from(other))? {
            Some(outer) => when(outer.net().contains(&net.net())),
            None => return Err(Fail::error(format!("unknown filter type: {other}"))),
        },
    })
}

fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            digits.chars().rev().map(|digit| format!("{digit}.")).collect::<String>() + "ip6.arpa."
        }
    }
}

/// An IPv6 address in brackets, everything else as it is.
fn wrap(value: &Value) -> Res {
    Ok(match parse(value)? {
        Some(net) if net.address.is_ipv6() => match net.prefix {
            Some(prefix) => Value::from(format!("[{}]/{prefix}", net.address)),
            None => Value::from(format!("[{}]", net.address)),
        },
        _ => value.clone(),
    })
}

fn wrap_all(value: &Value) -> Res {
    if !is_list(value) {
        return wrap(value);
    }
    items(value)?.iter().map(wrap_all).collect::<Res<Vec<_>>>().map(list)
}

fn ipsubnet(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let query = args.get("query").filter(|query| !query.is_none() && query.as_str() != Some(""));
    let index = args.get("index").filter(|index| index.as_str() != Some("x") && !index.is_none());
    let Some(net) = parse(&value)? else { return Ok(Value::from(false)) };
    let Some(query) = query else {
        return Ok(Value::from(if net.prefix.is_some() { format!("{}/{}", net.net().network(), net.len()) } else { net.cidr() }));
    };
    let number = |value: &Value| as_int(value).or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    let Some(len) = number(&query).and_then(|len| u8::try_from(len).ok()) else {
        // A network as the query: which of its subnets of this size this one is.
        let outer = parse(&query)?.ok_or_else(|| Fail::error(format!("'{}' is not a network", text(&query).unwrap_or_default())))?;
        let (inner, outer) = (net.net(), outer.net());
        if !outer.contains(&inner) {
            return Err(Fail::error(format!("{inner} is not in the subnet {outer}")));
        }
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let between = bits(inner.network()) - bits(outer.network());
        let at = between.checked_shr(u32::from(inner.max_prefix_len() - inner.prefix_len())).unwrap_or(0);
        return i128::try_from(at)
            .ok()
            .and_then(|at| at.checked_add(1))
            .map(int)
            .ok_or_else(|| Fail::error("the number of the subnet is too large"));
    };
    let no_such = |_| Fail::error(format!("a network of length {} has no subnets of length {len}", net.len()));
    // Larger than the network itself: the network around it.
    if len <= net.len() && index.is_none() && net.size() == 1 {
        return IpNet::new(net.address, len).map(|around| Value::from(around.trunc().to_string())).map_err(no_such);
    }
    // How many, as far as numbers go: 2 to the 127th is one too many.
    let power = |exponent: u8| 2i128.checked_pow(u32::from(exponent)).unwrap_or(i128::MAX);
    let count = power(len.saturating_sub(net.len()));
    let Some(index) = index.as_ref().and_then(number) else {
        return if len < net.len() { Ok(Value::from(false)) } else { Ok(Value::from(count.to_string())) };
    };
    let index = if index < 0 { index + count } else { index };
    if !(0..count).contains(&index) || len < net.len() || len > net.longest() {
        return Ok(Value::from(false));
    }
    let start = index.checked_mul(power(net.longest() - len)).and_then(|by| offset(net.net().network(), by));
    Ok(start.map_or(Value::from(false), |start| Value::from(format!("{start}/{len}"))))
}

fn within(value: &Value, args: &mut Args, holds: fn(IpNet, IpNet) -> bool) -> Res {
    let test = args.need("test")?;
    match (parse(value)?, parse(&test)?) {
        (Some(outer), Some(inner)) if outer.address.is_ipv4() == inner.address.is_ipv4() => {
            Ok(Value::from(holds(outer.net(), inner.net())))
        }
        _ => Ok(Value::from(false)),
    }
}

fn cidr_merge(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    if args.text_or("action", "merge")? != "merge" {
        return Err(Fail::error("`cidr_merge` supports only `merge`"));
    }
    let mut nets = Vec::new();
    for item in items(&value)? {
        match parse(&item)? {
            Some(net) => nets.push(net.net()),
            None => return Err(Fail::error(format!("'{}' is not a network", text(&item)?))),
        }
    }
    Ok(list(IpNet::aggregate(&nets).into_iter().map(|net| Value::from(net.to_string()))))
}
