//! Tests of addresses and networks, those of `ansible.utils`.

use super::Test;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::value::{items, text};
use ipnet::IpNet;
use minijinja::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

pub(super) const TABLE: &[(&str, Test)] = &[
    ("ip", |value, _| Ok(network(value).is_some())),
    ("ip_address", |value, _| Ok(address(value).is_some())),
    ("ipv4", |value, _| Ok(network(value).is_some_and(|net| net.addr().is_ipv4()))),
    ("ipv4_address", |value, _| Ok(address(value).is_some_and(|address| address.is_ipv4()))),
    ("ipv4_netmask", |value, _| Ok(v4(value).is_some_and(|mask| u32::from(mask).leading_ones() == u32::from(mask).count_ones()))),
    ("ipv4_hostmask", |value, _| Ok(v4(value).is_some_and(|mask| u32::from(mask).trailing_ones() == u32::from(mask).count_ones()))),
    ("ipv6", |value, _| Ok(network(value).is_some_and(|net| net.addr().is_ipv6()))),
    ("ipv6_address", |value, _| Ok(address(value).is_some_and(|address| address.is_ipv6()))),
    ("ipv6_ipv4_mapped", |value, _| Ok(v6(value).is_some_and(|address| address.to_ipv4_mapped().is_some()))),
    ("ipv6_sixtofour", |value, _| Ok(v6(value).is_some_and(|address| address.segments()[0] == 0x2002))),
    ("ipv6_teredo", |value, _| Ok(v6(value).is_some_and(|address| address.segments()[..2] == [0x2001, 0]))),
    ("loopback", |value, _| Ok(address(value).is_some_and(|address| address.is_loopback()))),
    ("mac", |value, _| Ok(text(value).is_ok_and(|text| is_mac(&text)))),
    ("multicast", |value, _| Ok(address(value).is_some_and(|address| address.is_multicast()))),
    ("private", |value, _| Ok(address(value).is_some_and(is_private))),
    ("public", |value, _| Ok(address(value).is_some_and(|address| !is_private(address) && !address.is_multicast()))),
    ("reserved", |value, _| Ok(address(value).is_some_and(is_reserved))),
    ("unspecified", |value, _| Ok(address(value).is_some_and(|address| address.is_unspecified()))),
    ("resolvable", |value, _| Ok((text(value)?.as_str(), 0).to_socket_addrs().is_ok())),
    ("subnet_of", |value, args| within(value, &args.need("network_b")?)),
    ("supernet_of", |value, args| within(&args.need("network_b")?, value)),
    ("in_network", |value, args| within(value, &args.need("network")?)),
    ("in_any_network", |value, args| Ok(networks_around(value, args)? > 0)),
    ("in_one_network", |value, args| Ok(networks_around(value, args)? == 1)),
];

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

fn v4(value: &Value) -> Option<Ipv4Addr> {
    value.as_str()?.parse().ok()
}

fn v6(value: &Value) -> Option<Ipv6Addr> {
    value.as_str()?.parse().ok()
}

fn network(value: &Value) -> Option<IpNet> {
    let text = value.as_str()?;
    let net: Option<IpNet> = text.parse().ok().or_else(|| address(value).map(IpNet::from)).or_else(|| {
        let (address, mask) = text.split_once('/')?;
        IpNet::new(address.parse().ok()?, ipnet::ip_mask_to_prefix(mask.parse().ok()?).ok()?).ok()
    });
    // An address in a network is no network.
    net.filter(|net| net.addr() == net.network())
}

fn within(inner: &Value, outer: &Value) -> Res<bool> {
    let known = |value: &Value| match network(value) {
        Some(net) => Ok(net.trunc()),
        None => Err(Fail::error(format!("'{}' does not appear to be an IPv4 or IPv6 network", text(value)?))),
    };
    Ok(known(outer)?.contains(&known(inner)?))
}

fn networks_around(value: &Value, args: &mut Args) -> Res<usize> {
    let mut count = 0;
    for net in items(&args.need("networks")?)? {
        count += usize::from(within(value, &net)?);
    }
    Ok(count)
}

/// Six pairs of digits with colons or hyphens, three groups of four with dots, or twelve digits.
fn is_mac(text: &str) -> bool {
    let digits = |text: &str, len: usize| text.len() == len && text.chars().all(|c| c.is_ascii_hexdigit());
    let grouped = |separator: char, count: usize, len: usize| {
        text.split(separator).count() == count && text.split(separator).all(|group| digits(group, len))
    };
    grouped(':', 6, 2) || grouped('-', 6, 2) || grouped('.', 3, 4) || digits(text, 12)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let [first, second, third, _] = a.octets();
            let special = first == 0 || first >= 240 || (first, second & 0xfe) == (198, 18) || (first, second, third) == (192, 0, 0);
            special || a.is_private() || a.is_loopback() || a.is_link_local() || a.is_documentation()
        }
        IpAddr::V6(a) => {
            let documentation = a.segments()[..2] == [0x2001, 0xdb8];
            a.is_loopback() || a.is_unspecified() || a.is_unique_local() || a.is_unicast_link_local() || documentation
        }
    }
}

fn is_reserved(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.octets()[0] >= 240,
        IpAddr::V6(a) => !(0x2000..=0x3fff).contains(&a.segments()[0]) && !(0xfc00..=0xffff).contains(&a.segments()[0]),
    }
}
