//! Doors for `fuzz/targets`: what reads foreign bytes below the wire, given a text or bytes. Nothing else calls them.

use super::algorithms::{Algorithms, Kind};
use super::frame::{Finder, Found};
use super::known_hosts::HostKeys;
use super::lines::Lines;
use super::ssh_config::{HostConfig, expand, from_answer, parse_jump, read_text};
use std::path::Path;

/// The first line is the host's name, the others are the file.
pub fn known_hosts(text: &str) {
    let (name, file) = text.split_once('\n').unwrap_or(("web1", text));
    std::hint::black_box(HostKeys::of_text(name, file).algorithms(&Algorithms::default().allowed(Kind::HostKey)));
}

/// The same text for the small reader of the file, as an answer of `ssh -G` beside what it says otherwise, and as a jump host.
pub fn ssh_config(text: &str) {
    let mut config = HostConfig::default();
    let read = read_text(text, Path::new("config"), "web1", &mut config, &mut Vec::new()).map(|()| config);
    let usual = text.split_once("\n\n").map_or("", |(_, usual)| usual);
    for config in [read, from_answer("web1", text, usual)].into_iter().flatten() {
        std::hint::black_box(Kind::ALL.map(|kind| config.algorithms.needed(kind).is_ok()));
        std::hint::black_box((config.address(), config.jumps().map(|jumps| jumps.is_ok()), expand(text, "web1", &config)));
    }
    std::hint::black_box(parse_jump(text));
}

/// The first byte says how the stream is cut, the second how it is cut in the second reading: body and end are the same in both.
pub fn framing(data: &[u8]) {
    let [one, other, stream @ ..] = data else { return };
    let read = |size: usize| {
        let (mut finder, mut body, mut lines, mut at) = (Finder::new("0a1"), Vec::new(), Lines::default(), 0);
        while at < stream.len() {
            let piece = &stream[at..(at + size).min(stream.len())];
            let mut keep = |bytes: &[u8]| {
                body.extend_from_slice(bytes);
                lines.feed(bytes, |line| assert!(!line.contains('\n')));
            };
            match finder.feed(piece, &mut keep) {
                Found::NotYet => at += piece.len(),
                Found::End { answer, used } => return (body, Some((answer, at + used))),
            }
        }
        (body, None)
    };
    assert_eq!(read(usize::from(*one) + 1), read(usize::from(*other) + 1));
}
