//! The lookup `url`: what a web server on the controller's side of the network answers.

use super::Lookup;
use super::inline::{boolean, integer, named_text};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::outside;
use crate::template::value::{pairs, text};
use base64::Engine;
use minijinja::Value;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};

pub(super) const TABLE: &[(&str, Lookup)] = &[("url", url)];

/// The most that is read of one answer.
const MOST: u64 = 256 << 20;

struct Wanted {
    agent: ureq::Agent,
    headers: Vec<(String, String)>,
    split_lines: bool,
}

fn url(_: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let wanted = wanted(options)?;
    let mut found = Vec::new();
    for term in terms {
        let url = text(&term)?;
        let body = get(&wanted, &url)?;
        if wanted.split_lines {
            found.extend(body.lines().map(Value::from));
        } else {
            found.push(Value::from(body));
        }
    }
    Ok(found)
}

fn wanted(options: &mut Args) -> Res<Wanted> {
    let mut flag = |name: &str, default: bool| options.named(name).map_or(Ok(default), |value| boolean(&value));
    let (validate, split_lines) = (flag("validate_certs", true)?, flag("split_lines", true)?);
    let (use_proxy, force, force_basic) = (flag("use_proxy", true)?, flag("force", false)?, flag("force_basic_auth", false)?);
    for name in ["use_gssapi", "use_netrc"] {
        if flag(name, false)? {
            return Err(Fail::error(format!("the option `{name}` is not supported")));
        }
    }
    for name in ["unix_socket", "ciphers", "unredirected_headers"] {
        if options.named(name).is_some_and(|value| value.is_true()) {
            return Err(Fail::error(format!("the option `{name}` is not supported")));
        }
    }
    let timeout = match options.named("timeout") {
        Some(seconds) => u64::try_from(integer(&seconds, "timeout", "url")?).unwrap_or(0),
        None => 10,
    };
    let user_agent = named_text(options, "http_agent")?.unwrap_or_else(|| "ansible-httpget".to_owned());
    let (user, password) = (named_text(options, "username")?, named_text(options, "password")?.unwrap_or_default());
    let redirects = match options.named("follow_redirects").map(|how| text(&how)).transpose()?.as_deref() {
        None | Some("urllib2" | "all" | "yes" | "safe" | "True" | "true") => 10,
        Some("none" | "no" | "False" | "false") => 0,
        Some(other) => return Err(Fail::error(format!("`follow_redirects` cannot be '{other}'"))),
    };
    let mut headers = vec![("User-Agent".to_owned(), user_agent)];
    if force {
        headers.push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    }
    if let Some(user) = user {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        headers.push(("Authorization".to_owned(), format!("Basic {encoded}")));
    } else if force_basic {
        return Err(Fail::error("`force_basic_auth` needs a `username`"));
    }
    if let Some(given) = options.named("headers") {
        for (name, value) in pairs(&given)? {
            headers.push((text(&name)?, text(&value)?));
        }
    }
    let roots = match named_text(options, "ca_path")? {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let pem = std::fs::read(&path).map_err(|err| Fail::error(format!("cannot read `{path}`: {err}")))?;
            let found = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            RootCerts::from(found.collect::<Vec<_>>())
        }
    };
    let tls = TlsConfig::builder().disable_verification(!validate).root_certs(roots).build();
    let mut config = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(timeout.max(1))));
    if !use_proxy {
        config = config.proxy(None);
    }
    Ok(Wanted { agent: config.build().new_agent(), headers, split_lines })
}

fn get(wanted: &Wanted, url: &str) -> Res<String> {
    outside::acts()?;
    let mut request = wanted.agent.get(url);
    for (name, value) in &wanted.headers {
        request = request.header(name, value);
    }
    let failed = |words: String| Fail::error(format!("Failed lookup url for {url}: {words}"));
    let mut response = request.call().map_err(|err| failed(format!("<urlopen error {err}>")))?;
    let status = response.status();
    if !status.is_success() {
        let reason = status.canonical_reason().unwrap_or("");
        return Err(Fail::error(format!("Received HTTP error for {url}: HTTP Error {}: {reason}", status.as_u16())));
    }
    response.body_mut().with_config().limit(MOST).read_to_string().map_err(|err| failed(err.to_string()))
}
