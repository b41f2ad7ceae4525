//! Words of a command line: split as Python's `shlex` does, and expanded on the host as Ansible expands them (`$VARS`, `~`; no globs).

use super::quote;

/// Splits as `shlex.split` does with its defaults: no comments, and inside double quotes a backslash escapes only `"` and itself.
pub fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some((word, tail)) = split_first(rest)? {
        words.push(word);
        rest = tail;
    }
    Ok(words)
}

/// The first word and the text after it, as it was written.
pub fn split_first(text: &str) -> Result<Option<(String, &str)>, &'static str> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let text = text.trim_start_matches(is_space);
    if text.is_empty() {
        return Ok(None);
    }
    let mut word = String::new();
    let mut quoted_by = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quoted_by, c) {
            (None, c) if is_space(c) => return Ok(Some((word, &text[at..]))),
            (None, '\'' | '"') => quoted_by = Some(c),
            (Some(quote), c) if quote == c => quoted_by = None,
            (None, '\\') => word.push(chars.next().ok_or("No escaped character")?.1),
            (Some('"'), '\\') => match chars.next().ok_or("No escaped character")?.1 {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            (_, c) => word.push(c),
        }
    }
    match quoted_by {
        Some(_) => Err("No closing quotation"),
        None => Ok(Some((word, ""))),
    }
}

/// A sh word that becomes on the host what Python's `expanduser(expandvars(text))` makes of it there: variables that are not set
/// and users that do not exist stay as they are written.
pub fn on_host(text: &str) -> String {
    let (tilde, text) = leading_tilde(text);
    let mut word = tilde.to_owned();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        literal.push_str(&rest[..at]);
        rest = &rest[at..];
        match variable(rest) {
            Some((name, length)) => {
                push_quoted(&mut word, &mut literal);
                let written = rest[..length].replace('$', "\\$").replace('}', "\\}");
                word.push_str(&format!("\"${{{name}-{written}}}\""));
                rest = &rest[length..];
            }
            None => {
                literal.push('$');
                rest = &rest[1..];
            }
        }
    }
    literal.push_str(rest);
    push_quoted(&mut word, &mut literal);
    if word.is_empty() { "''".to_owned() } else { word }
}

/// The same for a path that is given to `cd`, which would take `-` and `-P` for itself.
pub fn directory_on_host(text: &str) -> String {
    if text.starts_with('-') { on_host(&format!("./{text}")) } else { on_host(text) }
}

fn push_quoted(word: &mut String, literal: &mut String) {
    if !literal.is_empty() {
        word.push_str(&quote(literal));
        literal.clear();
    }
}

/// `~` or `~user` at the start, left unquoted together with the slash that ends it, or sh would not expand it.
fn leading_tilde(text: &str) -> (&str, &str) {
    let Some(after) = text.strip_prefix('~') else { return ("", text) };
    let end = after.find('/').unwrap_or(after.len());
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if after[..end].chars().all(is_name) { text.split_at((1 + end + 1).min(text.len())) } else { ("", text) }
}

/// A `$NAME` or `${NAME}` at the start: the name, and how long it is as written.
fn variable(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix('$')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, length) = match after.strip_prefix('{') {
        Some(inner) => (&inner[..inner.find('}')?], inner.find('}')? + 3),
        None => {
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            (&after[..end], end + 1)
        }
    };
    let is_name = !name.is_empty() && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    // These are the shell's own and no part of the environment.
    let is_shells = matches!(name, "IFS" | "PS1" | "PS2" | "PS4" | "OPTIND" | "OPTARG" | "PPID" | "LINENO" | "_");
    (is_name && !is_shells).then_some((name, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_shlex_does() {
        let check = |text, expected: Result<&[&str], &str>| {
            assert_eq!(split(text), expected.map(|words| words.iter().map(ToString::to_string).collect()))
        };
        check("a 'b c'\t\"d\\\"e\" f\\ g  ", Ok(&["a", "b c", "d\"e", "f g"]));
        check("\"a\\$b\" '\\' \"\" #x", Ok(&["a\\$b", "\\", "", "#x"]));
        check("x'y'z\nw", Ok(&["xyz", "w"]));
        check("", Ok(&[]));
        check("it's", Err("No closing quotation"));
        check("a\\", Err("No escaped character"));
        assert_eq!(split_first(" 'my script' a \"b\""), Ok(Some(("my script".into(), " a \"b\""))));
    }

    #[test]
    fn quotes_all_but_what_the_host_expands() {
        assert_eq!(on_host("a b*"), "'a b*'");
        assert_eq!(on_host(""), "''");
        assert_eq!(on_host("~/x y"), "~/'x y'");
        assert_eq!(on_host("/a $B/${C}d/$1"), r#"'/a '"${B-\$B}"/"${C-\${C\}}"'d/$1'"#);
        assert_eq!(on_host("~deploy"), "~deploy");
        assert_eq!(on_host("~a;b/c"), "'~a;b/c'");
        assert_eq!(on_host("a$B-$"), "a\"${B-\\$B}\"'-$'");
        assert_eq!(on_host("${B}$1$(id)${IFS}"), "\"${B-\\${B\\}}\"'$1$(id)${IFS}'");
    }
}
