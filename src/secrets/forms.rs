//! What a secret looks like where somebody wrote it down in a form of their own: escaped for JSON, quoted for a shell or YAML, encoded for an
//! address, as base64 (alone, or inside something longer) or hexadecimal digits.

use crate::sh::quote;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Searches are made of pieces of this many bytes: a long secret is several that follow each other.
const PIECE: usize = 1024;

/// A part of a base64 text that is shorter may be in other texts as well.
const SHORTEST_BASE64: usize = 8;

/// All forms of a value, itself first, none twice.
pub(super) fn of(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    let escaped = json(value);
    let python = format!("{:?}", Escaped(value));
    forms.extend([json(&escaped), escaped, json_of_ascii(value), python]);
    let quoted = quote(value).into_owned();
    forms.push(quoted.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')).unwrap_or(&quoted).to_owned());
    forms.extend([value.replace('\'', "''"), value.replace('\'', "'\\''")]);
    forms.extend([percent(value, b"-._~", false), percent(value, b"-._~/", false), percent(value, b"-._*", true)]);
    forms.push(value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;"));
    forms.extend([hex::encode(value), hex::encode_upper(value)]);
    forms.extend(base64(value.as_bytes(), &alphabet::STANDARD));
    forms.extend(base64(value.as_bytes(), &alphabet::URL_SAFE));
    let mut pieces: Vec<String> = Vec::new();
    for form in forms.iter().flat_map(|form| in_pieces(form)) {
        if !pieces.iter().any(|known| known == form) {
            pieces.push(form.to_owned());
        }
    }
    pieces
}

fn json(value: &str) -> String {
    let text = serde_json::Value::from(value).to_string();
    text[1..text.len() - 1].to_owned()
}

/// As Python writes JSON: what is not ASCII by its number, in UTF-16.
fn json_of_ascii(value: &str) -> String {
    let mut text = String::new();
    for letter in json(value).chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            let mut units = [0; 2];
            letter.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

/// As Python shows a text between single quotes, without these.
struct Escaped<'t>(&'t str);

impl std::fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '\'' => f.write_str("\\'")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

fn percent(value: &str, safe: &[u8], plus: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b' ' if plus => text.push('+'),
            _ if byte.is_ascii_alphanumeric() || safe.contains(&byte) => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The base64 of the value alone, and what is the same in every base64 text whatever stands before and behind the value: three bytes make four
/// letters, so that it depends on where in its group of three the value begins.
fn base64(value: &[u8], alphabet: &alphabet::Alphabet) -> Vec<String> {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    let mut forms = vec![engine.encode(value)];
    for before in 0..3 {
        let text = engine.encode([&[0; 2][..before], value].concat());
        // The first letters have bits of what stands before, the last one may have bits of what stands behind.
        let start = [0, 2, 3][before];
        let end = (before + value.len()) * 8 / 6;
        if end >= start + SHORTEST_BASE64 {
            forms.push(text[start..end].to_owned());
        }
    }
    forms
}

fn in_pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // The last piece is not so short that it would be found anywhere.
        let end = if rest.len() < 2 * PIECE {
            rest.len()
        } else {
            (PIECE - 3..=PIECE).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len())
        };
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn wherever_it_stands_in_a_base64_text() {
        let value = "p4ss/w\u{f6}rd'&";
        let forms = of(value);
        for before in ["", "u", "us", "user:", "abcd"] {
            for after in ["", "\n", "xy", "&c="] {
                let text = STANDARD.encode(format!("{before}{value}{after}"));
                assert!(forms.iter().any(|form| text.contains(form.as_str())), "{before}|{after}");
            }
        }
    }

    #[test]
    fn each_form_once() {
        let value = "it's \"\u{f6}\"/\u{1f511} 1";
        let forms = of(value);
        for form in [
            value,
            "it's \\\"\u{f6}\\\"/\u{1f511} 1",
            "it's \\\\\\\"\u{f6}\\\\\\\"/\u{1f511} 1",
            "it's \\\"\\u00f6\\\"/\\ud83d\\udd11 1",
            "it\\'s \"\u{f6}\"/\u{1f511} 1",
            "it'\"'\"'s \"\u{f6}\"/\u{1f511} 1",
            "it''s \"\u{f6}\"/\u{1f511} 1",
            "it%27s%20%22%C3%B6%22%2F%F0%9F%94%91%201",
            "it%27s%20%22%C3%B6%22/%F0%9F%94%91%201",
            "it%27s+%22%C3%B6%22%2F%F0%9F%94%91+1",
            "it&#39;s &quot;\u{f6}&quot;/\u{1f511} 1",
            "69742773",
        ] {
            assert!(forms.iter().any(|known| known.starts_with(form)), "{form}");
        }
        assert_eq!(of("plain-enough1").iter().filter(|form| *form == "plain-enough1").count(), 1);
    }

    #[test]
    fn long_ones_in_pieces_that_leave_nothing() {
        let long = "\u{e4}".repeat(3 * PIECE);
        assert_eq!(in_pieces(&long).collect::<String>(), long);
        assert!(in_pieces(&long).all(|piece| (PIECE - 3..2 * PIECE).contains(&piece.len())));
    }
}
