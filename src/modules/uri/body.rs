//! What `uri` sends: JSON as Python writes it, forms, and parts.

use crate::module::{Args, Context, Failure};
use base64::Engine;
use serde_json::{Map, Value as Json};
use std::path::Path;

/// Where what is sent comes from.
pub enum Body {
    None,
    Bytes(Vec<u8>),
    /// A file of the host.
    OnHost(String),
}

impl Body {
    /// The body, and the `Content-Type` that goes with it unless the task names one; parts always have theirs.
    pub fn of(args: &Args, context: &dyn Context) -> Result<(Body, Option<String>), Failure> {
        let body = args.get("body");
        if let Some(src) = args.str("src") {
            if body.is_some() {
                return Err(Failure::argument("src", "parameters are mutually exclusive: body|src"));
            }
            if args.is("remote_src") {
                return Ok((Body::OnHost(src.to_owned()), None));
            }
            let path = context.find_file("files", src)?;
            return super::super::put::read(&path).map(|bytes| (Body::Bytes(bytes), None));
        }
        let text = |text: &str| Body::Bytes(text.as_bytes().to_vec());
        Ok(match (args.required("body_format")?, body) {
            ("json", Some(Json::String(written))) => (text(written), Some("application/json".into())),
            ("json", body) => (text(&json(body.unwrap_or(&Json::Null))), Some("application/json".into())),
            ("form-urlencoded", body) => {
                let encoded = match body {
                    None => Body::None,
                    Some(Json::String(written)) => text(written),
                    Some(body) => text(&form(body)?),
                };
                (encoded, Some("application/x-www-form-urlencoded".into()))
            }
            ("form-multipart", body) => {
                let fields = body.and_then(Json::as_object);
                let fields = fields.ok_or_else(|| Failure::argument("body", "body must be a mapping for form-multipart"))?;
                let boundary = format!("==============={:019}==", rand::random::<u64>() >> 1);
                let parts = parts(fields, &boundary, args.is("remote_src"), context)?;
                (Body::Bytes(parts), Some(format!("multipart/form-data; boundary=\"{boundary}\"")))
            }
            (_, None) => (Body::None, None),
            (_, Some(Json::String(written))) => (text(written), None),
            (_, Some(_)) => {
                return Err(Failure::argument("body", "a body that is no text needs `body_format`, which says how it is written"));
            }
        })
    }
}

/// As Python's `json.dumps` writes it.
pub fn json(value: &Json) -> String {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
        fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, fragment: &str) -> std::io::Result<()> {
            for c in fragment.chars() {
                if c.is_ascii() {
                    writer.write_all(&[c as u8])?;
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
            Ok(())
        }
    }
    let mut written = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut written, Spaced);
    // Writing JSON to memory has no way to fail.
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&written).into_owned(),
        Err(_) => value.to_string(),
    }
}

/// `a=1&b=x&b=y+z`: a list's members are sent under its key one by one.
fn form(body: &Json) -> Result<String, Failure> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut add = |key: &str, values: &Json| match values {
        Json::Array(values) => pairs.extend(values.iter().filter(|value| !value.is_null()).map(|value| (key.to_owned(), shown(value)))),
        Json::Object(values) => pairs.extend(values.keys().map(|value| (key.to_owned(), value.clone()))),
        Json::Null => {}
        value => pairs.push((key.to_owned(), shown(value))),
    };
    match body {
        Json::Object(body) => body.iter().for_each(|(key, values)| add(key, values)),
        Json::Array(body) => {
            for pair in body {
                match pair.as_array().map(Vec::as_slice) {
                    Some([key, values]) => add(&shown(key), values),
                    _ => {
                        return Err(Failure::argument(
                            "body",
                            "failed to parse body as form_urlencoded: each member must be a key and a value",
                        ));
                    }
                }
            }
        }
        value => return Err(Failure::argument("body", format!("failed to parse body as form_urlencoded: `{value}` is no mapping"))),
    }
    let encoded: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", quote_plus(key), quote_plus(value))).collect();
    Ok(encoded.join("&"))
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

fn quote_plus(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn parts(fields: &Map<String, Json>, boundary: &str, on_host: bool, context: &dyn Context) -> Result<Vec<u8>, Failure> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut written = Vec::new();
    for (name, value) in sorted {
        let text = |key: &str| value.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
        let (content, file, mime) = match value {
            Json::String(content) => (Some(content.as_str()), None, Some("text/plain")),
            Json::Object(_) => (text("content"), text("filename"), text("mime_type")),
            other => {
                return Err(Failure::argument(
                    "body",
                    format!("failed to parse body as form-multipart: `{name}` must be text or a mapping, not `{other}`"),
                ));
            }
        };
        let guessed = mime_guess::from_path(file.unwrap_or_default()).first_raw();
        let mime = mime.or(guessed).unwrap_or("application/octet-stream");
        let base = file.map(|file| Path::new(file).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()));
        let disposition = match &base {
            Some(base) => format!("form-data; name=\"{}\"; filename=\"{}\"", escaped(name), escaped(base)),
            None => format!("form-data; name=\"{}\"", escaped(name)),
        };
        let (encoding, payload) = match (content, file) {
            (Some(content), _) => (None, with_crlf(content)),
            (None, Some(_)) if on_host => {
                return Err(Failure::argument("remote_src", "files of the host cannot be parts of form-multipart: give their `content`"));
            }
            (None, Some(file)) => encoded(&super::super::put::read(&context.find_file("files", file)?)?, text("multipart_encoding"))?,
            (None, None) => {
                let message = "failed to parse body as form-multipart: at least one of filename or content must be provided";
                return Err(Failure::argument("body", message));
            }
        };
        written.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if let Some(encoding) = encoding {
            written.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\r\n").as_bytes());
        }
        written.extend_from_slice(format!("Content-Type: {mime}\r\nContent-Disposition: {disposition}\r\n\r\n").as_bytes());
        written.extend_from_slice(&payload);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(written)
}

/// A file's content as `multipart_encoding` asks for.
fn encoded(content: &[u8], encoding: Option<&str>) -> Result<(Option<&'static str>, Vec<u8>), Failure> {
    match encoding.unwrap_or("base64") {
        "base64" => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(content);
            let lines: Vec<u8> = encoded.as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).collect();
            Ok((Some("base64"), lines))
        }
        "7or8bit" if content.is_ascii() => Ok((Some("7bit"), content.to_vec())),
        "7or8bit" => Ok((Some("8bit"), content.to_vec())),
        other => Err(Failure::argument("body", format!("`multipart_encoding` must be one of: base64, 7or8bit; not `{other}`"))),
    }
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

fn with_crlf(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as value;

    #[test]
    fn writes_as_python_does() {
        assert_eq!(json(&value!({"a": [1, "ü\n"], "b": null})), r#"{"a": [1, "\u00fc\n"], "b": null}"#);
        let form = form(&value!({"a": 1, "b": ["x", "y z"], "c": "ü&", "d": true, "e": null})).ok();
        assert_eq!(form.as_deref(), Some("a=1&b=x&b=y+z&c=%C3%BC%26&d=True"));
    }
}
