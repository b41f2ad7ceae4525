//! Where one script's output ends: finds a random marker in a stream that comes in pieces, without looking at any byte twice.
//! Called by the shell for stdout and stderr alike; it knows nothing of scripts.

/// The first byte of every marker. It cannot occur in the rest of one (hex digits), so a search never has to go back.
pub(super) const MARK: u8 = 0x1e;

/// A longer answer than this after a marker is not one of ours.
const MAX_ANSWER: usize = 8 * 1024;

/// 128 random bits in hex: no output contains them by chance, and a script cannot know them.
pub(super) fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Looks for one marker and the line that follows it.
pub(super) struct Finder {
    marker: Vec<u8>,
    /// How many bytes of the marker the stream's last bytes are.
    matched: usize,
    answer: Option<Vec<u8>>,
}

/// What a piece of the stream brought.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// All of it was taken; the marker is not there yet.
    NotYet,
    /// The marker was there, with what stood after it in its line; so many bytes of the piece were used.
    End { answer: String, used: usize },
}

impl Finder {
    pub fn new(id: &str) -> Finder {
        let mut marker = vec![MARK];
        marker.extend_from_slice(id.as_bytes());
        Finder { marker, matched: 0, answer: None }
    }

    /// What was found is not the end.
    pub fn go_on(&mut self) {
        self.answer = None;
    }

    /// Hands everything before the marker to `body`, in order and exactly.
    pub fn feed(&mut self, piece: &[u8], mut body: impl FnMut(&[u8])) -> Found {
        let mut at = 0;
        while at < piece.len() {
            if let Some(answer) = &mut self.answer {
                let rest = &piece[at..];
                let newline = rest.iter().position(|&byte| byte == b'\n');
                let taken = newline.unwrap_or(rest.len());
                let room = MAX_ANSWER.saturating_sub(answer.len());
                answer.extend_from_slice(&rest[..taken.min(room)]);
                let Some(newline) = newline else { return Found::NotYet };
                let answer = String::from_utf8_lossy(answer).trim().to_owned();
                return Found::End { answer, used: at + newline + 1 };
            }
            if self.matched == 0 {
                let rest = &piece[at..];
                let ahead = rest.iter().position(|&byte| byte == MARK).unwrap_or(rest.len());
                if ahead > 0 {
                    body(&rest[..ahead]);
                    at += ahead;
                }
                if at < piece.len() {
                    self.matched = 1;
                    at += 1;
                }
            } else if piece[at] == self.marker[self.matched] {
                self.matched += 1;
                at += 1;
                if self.matched == self.marker.len() {
                    self.matched = 0;
                    self.answer = Some(Vec::new());
                }
            } else {
                body(&self.marker[..self.matched]);
                self.matched = 0;
            }
        }
        Found::NotYet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed_all(finder: &mut Finder, stream: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<(String, usize)>) {
        let (mut body, mut at, mut turn) = (Vec::new(), 0, 0);
        while at < stream.len() {
            let size = sizes[turn % sizes.len()].clamp(1, stream.len() - at);
            turn += 1;
            match finder.feed(&stream[at..at + size], |bytes| body.extend_from_slice(bytes)) {
                Found::NotYet => at += size,
                Found::End { answer, used } => return (body, Some((answer, at + used))),
            }
        }
        (body, None)
    }

    proptest! {
        #[test]
        fn any_cut_of_any_stream_gives_the_same_body(
            output in prop::collection::vec(prop_oneof![Just(MARK), Just(b'a'), Just(b'b'), any::<u8>()], 0..200),
            sizes in prop::collection::vec(1usize..9, 1..5),
        ) {
            // A short marker, so that its beginnings do occur in the output.
            let marker = b"\x1eabab";
            prop_assume!(!output.windows(marker.len()).any(|window| window == marker));
            let mut stream = output.clone();
            stream.extend_from_slice(b"\x1eabab end 7\nnext");
            let (body, end) = feed_all(&mut Finder::new("abab"), &stream, &sizes);
            prop_assert_eq!(body, output);
            prop_assert_eq!(end, Some(("end 7".to_owned(), stream.len() - 4)));
        }
    }

    #[test]
    fn an_endless_answer_takes_bounded_memory() {
        let mut finder = Finder::new("ab");
        assert_eq!(finder.feed(b"\x1eab", |_| ()), Found::NotYet);
        for _ in 0..100 {
            assert_eq!(finder.feed(&[b'x'; 4096], |_| ()), Found::NotYet);
        }
        assert_eq!(finder.answer.map(|answer| answer.len()), Some(MAX_ANSWER));
    }
}
