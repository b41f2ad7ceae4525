//! What the script printed, by section.

use super::script::SEPARATOR;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Seen<'a> {
    sections: HashMap<&'a str, &'a str>,
    /// Contents by path, lines joined again.
    files: HashMap<&'a str, String>,
    /// Paths in the order in which they were printed.
    pub paths: Vec<&'a str>,
    /// Path, status (`None`: it is not there) and output of every file of `facts.d`; of one that failed its errors.
    pub local: Vec<(&'a str, Option<i32>, &'a str)>,
}

impl<'a> Seen<'a> {
    pub fn read(text: &'a str) -> Seen<'a> {
        let mut seen = Seen::default();
        for section in text.split(SEPARATOR).skip(1) {
            let (name, body) = section.split_once('\n').unwrap_or((section, ""));
            if name == "files" {
                seen.add_files(body);
            } else if let Some((status, file)) = name.strip_prefix("local ").and_then(|rest| rest.split_once(' ')) {
                seen.local.push((file, status.parse().ok(), body));
            } else {
                seen.sections.insert(name, body);
            }
        }
        seen
    }

    fn add_files(&mut self, body: &'a str) {
        let mut files: HashMap<&'a str, String> = HashMap::new();
        for line in body.lines() {
            let Some((path, line)) = line.split_once(':') else { continue };
            let content = files.entry(path).or_insert_with(|| {
                self.paths.push(path);
                String::new()
            });
            content.push_str(line);
            content.push('\n');
        }
        // Two parts of the script may ask for the same file.
        self.files.extend(files);
    }

    pub fn section(&self, name: &str) -> Option<&'a str> {
        self.sections.get(name).copied()
    }

    pub fn lines(&self, section: &str) -> impl Iterator<Item = &'a str> {
        self.section(section).unwrap_or_default().lines()
    }

    pub fn says(&self, section: &str, line: &str) -> bool {
        self.lines(section).any(|said| said == line)
    }

    /// A file's content without space around; none if it is not there or empty.
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|content| content.trim()).filter(|content| !content.is_empty())
    }

    pub fn file_lines(&self, path: &str) -> impl Iterator<Item = &str> {
        self.files.get(path).map(String::as_str).unwrap_or_default().lines()
    }
}
