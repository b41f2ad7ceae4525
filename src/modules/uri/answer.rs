//! What the server said, as `uri` returns it.

use super::super::look::{Entry, Fields, cut_short};
use super::request::Request;
use crate::module::{Args, Failure, Outcome};
use crate::sh::Output;
use serde_json::{Map, Value as Json};

/// What has to be known of the request when its answer is read.
pub struct Question {
    url: String,
    codes: Vec<i64>,
    returns_content: bool,
    has_dest: bool,
    src: String,
}

/// The headers of one answer, in order, names in small letters.
struct Headers {
    reason: String,
    pairs: Vec<(String, String)>,
}

impl Question {
    pub fn of(args: &Args, request: &Request) -> Result<Question, Failure> {
        let mut codes = Vec::new();
        for code in args.list("status_code").unwrap_or_default() {
            codes.push(
                code.trim()
                    .parse()
                    .map_err(|_| Failure::argument("status_code", format!("`status_code` must be numbers, not `{code}`")))?,
            );
        }
        Ok(Question {
            url: masked(&request.url),
            codes,
            returns_content: args.is("return_content"),
            has_dest: args.has("dest"),
            src: args.str("src").unwrap_or_default().to_owned(),
        })
    }

    pub fn outcome(&self, output: &Output) -> Result<Outcome, Failure> {
        let mut fields = Fields::of(&format!("ask {}", self.url), output)?;
        let tool = fields.text()?;
        if tool == "unreadable" {
            return Err(Failure::argument("src", format!("Unable to open source file {}", fields.text()?)).with("elapsed", 0));
        }
        if fields.is_empty() {
            return Err(
                Failure::new("neither curl nor GNU wget is installed on the host; `unix_socket` needs curl").with("url", self.url.as_str())
            );
        }
        let (ended, said) = (fields.number()?.unwrap_or(1), fields.text()?);
        let status = fields.number()?.map_or(-1, i64::from);
        let (url, n_hops) = (fields.text()?, fields.number()?.unwrap_or(0));
        let elapsed = output.elapsed.as_secs();
        let answers = answers(&fields.text()?);
        let content = match fields.text()?.as_str() {
            "none" => None,
            length => Some(take(&mut fields, length)?),
        };
        let mut data = Map::new();
        if ended != 0 || status < 100 {
            data.extend([
                ("redirected".to_owned(), false.into()),
                ("url".into(), self.url.as_str().into()),
                ("elapsed".into(), elapsed.into()),
            ]);
            data.insert("status".into(), (-1).into());
            return self.judge(-1, failure_of(&tool, ended, said.trim()), data, None);
        }
        let last = answers.last();
        let is_good = (200..300).contains(&status);
        let location = last.and_then(|last| last.get("location")).map(str::to_owned);
        // An answer that is no success is told under the address that was asked, as urllib does.
        let shown = if is_good { masked(&url) } else { self.url.clone() };
        data.insert("redirected".into(), (shown != self.url).into());
        for (name, value) in last.into_iter().flat_map(|last| &last.pairs) {
            let key = name.replace('-', "_");
            let value = match data.get(&key).and_then(Json::as_str) {
                Some(before) if is_good => format!("{before}, {value}"),
                _ => value.clone(),
            };
            data.insert(key, value.into());
        }
        if let Some(location) = location {
            data.insert("location".into(), joined(&self.url, &location).into());
        }
        let reason = last.map_or("", |last| last.reason.as_str());
        let msg = if is_good {
            let cookies = cookies(&answers);
            let line: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
            data.insert("cookies_string".into(), line.join("; ").into());
            data.insert("cookies".into(), cookies.into());
            format!("OK ({} bytes)", last.and_then(|last| last.get("content-length")).unwrap_or("unknown"))
        } else if n_hops >= 10 {
            format!("HTTP Error {status}: the server redirects again and again")
        } else {
            format!("HTTP Error {status}: {reason}")
        };
        data.extend([("url".to_owned(), shown.into()), ("status".into(), status.into()), ("elapsed".into(), elapsed.into())]);
        let media = last.and_then(|last| last.get("content-type")).unwrap_or("application/octet-stream");
        let text = content.map(|content| decoded(media, &content));
        let is_json = is_json(media);
        if is_json && let Some(json) = text.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok()) {
            data.insert("json".into(), json);
        }
        if !is_good && !is_json && !self.returns_content && self.codes.contains(&status) {
            data.insert("body".into(), text.clone().unwrap_or_default().into());
        }
        let mut changed = false;
        if self.has_dest {
            let path = fields.text()?;
            changed = !fields.text()?.is_empty();
            if !fields.is_empty()
                && let Some(entry) = fields.entry(&path)?
            {
                Entry::add_to(&entry, &mut data);
            }
            data.insert("path".into(), path.into());
        }
        self.judge(status, msg, data, text).map(|outcome| Outcome { changed, ..outcome })
    }

    fn judge(&self, status: i64, msg: String, mut data: Map<String, Json>, content: Option<String>) -> Result<Outcome, Failure> {
        if !self.src.is_empty() {
            data.remove("src");
        }
        if self.returns_content {
            data.insert("content".into(), content.unwrap_or_default().into());
        }
        if self.codes.contains(&status) {
            data.insert("msg".into(), msg.into());
            return Ok(Outcome { data, ..Outcome::default() });
        }
        let codes: Vec<String> = self.codes.iter().map(ToString::to_string).collect();
        let mut failure = Failure::new(format!("Status code was {status} and not [{}]: {msg}", codes.join(", ")));
        failure.data = data;
        Err(failure)
    }
}

/// The next `length` bytes.
fn take(fields: &mut Fields, length: &str) -> Result<Vec<u8>, Failure> {
    let length: usize = length.parse().map_err(|_| cut_short())?;
    fields.take(length).map(<[u8]>::to_vec)
}

/// curl's and wget's reasons in the words that Python has for them.
fn failure_of(tool: &str, ended: u32, said: &str) -> String {
    let is = |of_curl: u32, of_wget: &str| if tool == "curl" { ended == of_curl } else { said.contains(of_wget) };
    if is(28, "timed out") {
        "Connection failure: timed out".into()
    } else if is(7, "Connection refused") {
        "Request failed: <urlopen error [Errno 111] Connection refused>".into()
    } else if is(6, "unable to resolve host") {
        "Request failed: <urlopen error [Errno -2] Name or service not known>".into()
    } else {
        format!("Request failed: <urlopen error {said}>")
    }
}

/// Every answer's headers: those of a proxy, of a request for a password and of each redirection among them.
fn answers(text: &str) -> Vec<Headers> {
    let mut answers: Vec<Headers> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if line.starts_with("HTTP/") {
            let reason = line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
            answers.push(Headers { reason, pairs: Vec::new() });
        } else if let (Some((name, value)), Some(answer)) = (line.split_once(':'), answers.last_mut()) {
            answer.pairs.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    answers
}

impl Headers {
    fn get(&self, wanted: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

fn cookies(answers: &[Headers]) -> Map<String, Json> {
    let set = answers.iter().flat_map(|answer| &answer.pairs).filter(|(name, _)| name == "set-cookie");
    let pair = |(_, text): &(String, String)| {
        let (name, value) = text.split(';').next()?.split_once('=')?;
        Some((name.trim().to_owned(), Json::from(value.trim())))
    };
    set.filter_map(pair).collect()
}

/// Whether an answer may be JSON: `application/json`, `text/javascript`, `application/vnd.x+json`.
fn is_json(media: &str) -> bool {
    let kind = media.split(';').next().unwrap_or_default().trim().to_lowercase();
    let Some((_, sub)) = kind.split_once('/') else { return false };
    let sub = sub.split_once('+').map_or(sub, |(_, suffix)| suffix);
    matches!(sub, "json" | "javascript")
}

/// Text in the encoding that the server names.
fn decoded(media: &str, content: &[u8]) -> String {
    let charset = media.split(';').skip(1).find_map(|param| {
        let (name, value) = param.trim().split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_owned())
    });
    let encoding = charset.and_then(|charset| encoding_rs::Encoding::for_label(charset.as_bytes())).unwrap_or(encoding_rs::UTF_8);
    encoding.decode_without_bom_handling(content).0.into_owned()
}

/// An address without its password.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@').map(|(user, _)| user) {
        Some(user) if user.contains(':') => {
            format!("{scheme}://{}:********{}", user.split(':').next().unwrap_or_default(), &rest[user.len()..])
        }
        _ => url.to_owned(),
    }
}

/// Where a `Location` leads from `base`.
fn joined(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else { return location.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    if location.starts_with('/') {
        return format!("{scheme}://{host}{location}");
    }
    let path = rest[host.len()..].split(['?', '#']).next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{host}{folder}/{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_a_location() {
        let check = |location, expected| assert_eq!(joined("http://h:1/a/b?x=/y", location), expected);
        check("/c", "http://h:1/c");
        check("c?d", "http://h:1/a/c?d");
        check("//g/c", "http://g/c");
        check("https://g", "https://g");
        assert_eq!(joined("http://h", "c"), "http://h/c");
    }

    #[test]
    fn hides_a_password() {
        assert_eq!(masked("http://u:p@h/x@y"), "http://u:********@h/x@y");
        assert_eq!(masked("http://h/x:y@z"), "http://h/x:y@z");
    }

    #[test]
    fn knows_json_and_charsets() {
        assert!(is_json("application/vnd.x+json; charset=utf-8") && is_json("text/javascript") && !is_json("text/plain"));
        assert_eq!(decoded("text/plain; charset=\"ISO-8859-1\"", b"h\xe4"), "hä");
    }
}
