//! INI files as Python's `configparser` reads them: for local facts and for repositories of yum.

/// Names, and keys in small letters with their values: in the order of the file.
pub type Sections = Vec<(String, Vec<(String, String)>)>;

/// Lines that begin with white space go on with the value before; `Err` is the line that cannot be.
pub fn parse(text: &str) -> Result<Sections, &str> {
    let mut sections: Sections = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let is_indented = line.starts_with(char::is_whitespace);
        if trimmed.starts_with('[')
            && !is_indented
            && let Some((name, _)) = trimmed[1..].rsplit_once(']')
        {
            if sections.iter().any(|(other, _)| other == name) {
                return Err(line);
            }
            sections.push((name.to_owned(), Vec::new()));
            continue;
        }
        let keys = &mut sections.last_mut().ok_or(line)?.1;
        if is_indented && let Some((_, value)) = keys.last_mut() {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        let (key, value) = trimmed.split_once(['=', ':']).ok_or(line)?;
        let key = key.trim().to_lowercase();
        if keys.iter().any(|(other, _)| *other == key) {
            return Err(line);
        }
        keys.push((key, value.trim().to_owned()));
    }
    Ok(sections)
}

/// A value with `%(key)s` filled in from its section and `%%` as `%`; `Err` says what is wrong with it.
pub fn interpolated(value: &str, keys: &[(String, String)]) -> Result<String, String> {
    filled(value, keys, 0)
}

fn filled(value: &str, keys: &[(String, String)], depth: usize) -> Result<String, String> {
    // configparser's own limit.
    if depth > 10 {
        return Err("interpolation too deeply recursive".to_owned());
    }
    let mut whole = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        whole.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('%') {
            whole.push('%');
            rest = after;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(")s")) {
            let name = name.to_lowercase();
            let (_, inner) = keys.iter().find(|(key, _)| *key == name).ok_or_else(|| format!("there is no key `{name}` to fill in"))?;
            whole.push_str(&filled(inner, keys, depth + 1)?);
            rest = tail;
        } else {
            return Err(format!("'%' must be followed by '%' or '(', found: '{}'", &rest[at..]));
        }
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_configparser_does() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let read = parse("# x\n[One]\nKey : a=b\n  and more\n; y\nother=\n[two]\n");
        assert_eq!(read, Ok(vec![("One".into(), vec![pair("key", "a=b\nand more"), pair("other", "")]), ("two".into(), vec![])]));
        assert_eq!(parse("a=1\n"), Err("a=1"));
        assert_eq!(parse("[s]\nnothing\n"), Err("nothing"));
        assert_eq!(parse("[s]\na=1\nA=2\n"), Err("A=2"));
        assert_eq!(parse(""), Ok(vec![]));
        let keys = [pair("dir", "/srv"), pair("sub", "%(dir)s/x")];
        assert_eq!(interpolated("%(Sub)s 100%%", &keys), Ok("/srv/x 100%".into()));
        assert!(interpolated("50% off", &keys).is_err());
    }
}
