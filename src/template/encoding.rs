//! Encodings of text by Python's names.

use super::fail::{Fail, Res};
use crate::python::bytes;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Latin1,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    pub fn find(name: &str) -> Res<Encoding> {
        Ok(match name.to_lowercase().replace('_', "-").as_str() {
            "utf-8" | "utf8" | "ascii" | "us-ascii" => Encoding::Utf8,
            "iso8859-1" | "iso-8859-1" | "latin-1" | "latin1" => Encoding::Latin1,
            "utf-16-le" | "utf-16le" => Encoding::Utf16Le,
            "utf-16-be" | "utf-16be" => Encoding::Utf16Be,
            _ => return Err(Fail::error(format!("the encoding '{name}' is not supported"))),
        })
    }

    pub fn encode(self, text: &str) -> Res<Vec<u8>> {
        Ok(match self {
            Encoding::Utf8 => bytes::of_text(text).into_owned(),
            Encoding::Latin1 => {
                let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| Fail::error(format!("'{c}' has no place in this encoding")));
                text.chars().map(byte).collect::<Res<_>>()?
            }
            Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        })
    }

    /// Nothing if the bytes are no text in this encoding.
    pub fn decode(self, bytes: Vec<u8>) -> Option<String> {
        let units = |unit: fn([u8; 2]) -> u16| {
            let units: Option<Vec<u16>> = bytes.chunks(2).map(|pair| Some(unit(pair.try_into().ok()?))).collect();
            String::from_utf16(&units?).ok()
        };
        match self {
            Encoding::Utf16Le => units(u16::from_le_bytes),
            Encoding::Utf16Be => units(u16::from_be_bytes),
            Encoding::Utf8 => Some(bytes::to_text(bytes)),
            Encoding::Latin1 => Some(bytes.into_iter().map(char::from).collect()),
        }
    }
}
