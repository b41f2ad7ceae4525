//! Bytes in a text that are not UTF-8. Python keeps each as a lone surrogate (`surrogateescape`), for which Rust's texts have no room: here it is
//! the same place in the last plane of characters for private use. No text that is written for people has those.

use std::borrow::Cow;

/// Where Python's U+DC00 is.
const BASE: u32 = 0x10_dc00;

/// The text of these bytes, with nothing lost.
pub fn to_text(bytes: Vec<u8>) -> String {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return text,
        Err(err) => err.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(BASE + u32::from(*byte))));
    }
    text
}

/// The bytes that such a text was made of.
pub fn of_text(text: &str) -> Cow<'_, [u8]> {
    if !any(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// The byte that a character stands for.
pub fn byte(c: char) -> Option<u8> {
    u32::from(c).checked_sub(BASE).and_then(|n| u8::try_from(n).ok()).filter(|byte| *byte >= 0x80)
}

/// Whether a text has bytes that are not UTF-8.
pub fn any(text: &str) -> bool {
    text.chars().any(|c| byte(c).is_some())
}

/// Python's words where only UTF-8 can be encoded; nothing if the text is that.
pub fn refuse(text: &str) -> Option<String> {
    let (at, byte) = text.chars().enumerate().find_map(|(at, c)| Some((at, byte(c)?)))?;
    Some(format!("'utf-8' codec can't encode character '\\udc{byte:02x}' in position {at}: surrogates not allowed"))
}

/// What a person sees of the text: a question mark for each such byte.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !any(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if byte(c).is_some() { '?' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back_as_they_were() {
        let bytes = b"a \xe9 \xc3\xa9 \xff\xf0\x9f".to_vec();
        let text = to_text(bytes.clone());
        assert_eq!(of_text(&text), bytes);
        assert_eq!(shown(&text), "a ? é ???");
        assert_eq!(of_text("é"), "é".as_bytes());
        assert!(!any("plain é") && any(&text));
        assert!(refuse(&text).is_some_and(|words| words.contains(r"'\udce9' in position 2")));
    }
}
