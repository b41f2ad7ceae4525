//! `serial` and `order`: which hosts of a play go together, and in which order.

use crate::source::{Diag, Span};
use minijinja::Value;
use minijinja::value::ValueKind;
use rand::seq::SliceRandom;
use std::sync::Arc;

/// Hosts as `order` asks: `inventory` (the default), `reverse_inventory`, `sorted`, `reverse_sorted`, `shuffle`.
pub fn in_order(mut hosts: Vec<Arc<str>>, order: Option<&str>, at: &Span) -> Result<Vec<Arc<str>>, Diag> {
    const ORDERS: [&str; 5] = ["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"];
    match order.unwrap_or("inventory") {
        "inventory" => {}
        "reverse_inventory" => hosts.reverse(),
        "sorted" => hosts.sort(),
        "reverse_sorted" => {
            hosts.sort();
            hosts.reverse();
        }
        "shuffle" => hosts.shuffle(&mut rand::rng()),
        other => {
            return Err(Diag::error(format!("`order` must be one of: {}; not `{other}`", ORDERS.join(", ")))
                .at(at)
                .did_you_mean(other, ORDERS));
        }
    }
    Ok(hosts)
}

/// Hosts in the batches of `serial`: a number, a percentage, or a list of such, of which the last is repeated.
pub fn split(hosts: &[Arc<str>], serial: Option<&Value>, at: Option<&Span>) -> Result<Vec<Vec<Arc<str>>>, Diag> {
    let sizes: Vec<usize> = match serial {
        None => Vec::new(),
        Some(value) if value.kind() == ValueKind::Seq => {
            value.try_iter().into_iter().flatten().map(|item| size(&item, hosts.len(), at)).collect::<Result<_, _>>()?
        }
        Some(value) => vec![size(value, hosts.len(), at)?],
    };
    let mut rest = hosts;
    let mut batches = Vec::new();
    let mut sizes = sizes.iter().copied();
    let mut size = sizes.next().unwrap_or(0);
    while !rest.is_empty() {
        let n_hosts = if size == 0 { rest.len() } else { size.min(rest.len()) };
        let (batch, after) = rest.split_at(n_hosts);
        batches.push(batch.to_vec());
        rest = after;
        size = sizes.next().unwrap_or(size);
    }
    Ok(batches)
}

/// How many hosts one member of `serial` means; 0 is all. A percentage is rounded down, but never to nothing.
fn size(value: &Value, n_hosts: usize, at: Option<&Span>) -> Result<usize, Diag> {
    let text = value.to_string();
    let text = text.trim();
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok().map(|percent| ((percent / 100.0 * n_hosts as f64) as usize).max(1)),
        None => text.parse::<usize>().ok(),
    };
    parsed.ok_or_else(|| {
        let diag = Diag::error(format!("`serial` must be a number of hosts or a percentage, not `{text}`"));
        at.map_or(diag.clone(), |span| diag.at(span))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(n_hosts: usize, serial: Value) -> Vec<usize> {
        let hosts: Vec<Arc<str>> = (0..n_hosts).map(|n| n.to_string().into()).collect();
        split(&hosts, Some(&serial), None).expect("a case is valid").iter().map(Vec::len).collect()
    }

    #[test]
    fn serial_as_ansible_has_it() {
        assert_eq!(sizes(5, 2.into()), [2, 2, 1]);
        assert_eq!(sizes(4, "30%".into()), [1, 1, 1, 1]);
        assert_eq!(sizes(10, "35%".into()), [3, 3, 3, 1]);
        assert_eq!(sizes(10, vec![1, 3].into()), [1, 3, 3, 3]);
        assert_eq!(sizes(3, 0.into()), [3]);
        assert!(split(&["a".into()], Some(&"many".into()), None).is_err());
    }
}
