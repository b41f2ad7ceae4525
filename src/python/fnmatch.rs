//! Patterns as Python's `fnmatch` has them: `*`, `?`, `[abc]`, `[!abc]`, over the whole text.

pub fn has_magic(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The last star, and how much of the text it has eaten: on a mismatch it eats one more.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, read));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(next) = matches_one(&pattern, at, text[read]) {
                    (at, read) = (next, read + 1);
                    continue;
                }
            }
            None => {}
        }
        let Some((after, eaten)) = star else { return false };
        star = Some((after, eaten + 1));
        (at, read) = (after, eaten + 1);
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on if the element at `at` matches `c`.
fn matches_one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => {
            let negated = pattern.get(at + 1) == Some(&'!');
            let first = at + 1 + usize::from(negated);
            // A bracket right after the opening one is a member; without a closing one, `[` is itself.
            let Some(end) = (first + 1..pattern.len()).find(|end| pattern[*end] == ']') else { return (c == '[').then_some(at + 1) };
            let members = &pattern[first..end];
            let mut found = false;
            let mut member = 0;
            while member < members.len() {
                if member + 2 < members.len() && members[member + 1] == '-' {
                    found |= (members[member]..=members[member + 2]).contains(&c);
                    member += 3;
                } else {
                    found |= members[member] == c;
                    member += 1;
                }
            }
            (found != negated).then_some(end + 1)
        }
        literal => (literal == c).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn matches_as_python_does() {
        for (pattern, text) in
            [("1.36.2-*", "1.36.2-1.1"), ("*a*b", "xaxbab"), ("a?c", "abc"), ("[a-c!]x[!0-9]", "bxz"), ("[]]", "]"), ("[", "["), ("*", "")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("1.36.2-*", "1.36.20"), ("a", "ab"), ("[!a]", "a"), ("*b", "ba"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
