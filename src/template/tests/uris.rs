//! Tests of what a text is an address of: URIs, URLs, URNs, names of hosts.

use super::Test;
use crate::template::args::Args;
use crate::template::fail::Res;
use crate::template::filters::Url;
use crate::template::value::{contains, text};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Test)] = &[
    ("uri", |value, args| uri(value, args).map(|found| found.is_some())),
    ("url", |value, args| Ok(uri(value, args)?.is_some_and(|(_, netloc)| !netloc.is_empty()))),
    ("urn", |value, args| Ok(uri(value, args)?.is_some_and(|(scheme, _)| scheme == "urn"))),
];

pub(super) const GENERAL: &[(&str, Test)] = &[("fqdn_valid", fqdn_valid)];

/// Scheme and host, if the scheme is one of those asked for.
fn uri(value: &Value, args: &mut Args) -> Res<Option<(String, String)>> {
    let schemes = args.get("schemes").filter(|schemes| !schemes.is_none());
    let url = text(value)?;
    let url = Url::split(&url);
    if let Some(schemes) = schemes
        && !contains(&schemes, &Value::from(url.scheme.as_str()))?
    {
        return Ok(None);
    }
    Ok(Some((url.scheme, url.netloc.to_owned())))
}

fn fqdn_valid(value: &Value, args: &mut Args) -> Res<bool> {
    let least = usize::try_from(args.int_or("min_labels", 1)?).unwrap_or(0);
    let underscores = args.flag("allow_underscores", false)?;
    let name = text(value)?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    let labels: Vec<&str> = name.split('.').collect();
    let good = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || underscores && c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    Ok(name.len() < 254 && labels.len() >= least && labels.iter().all(good))
}
