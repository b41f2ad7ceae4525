//! Which tasks `--tags` and `--skip-tags` choose.

/// What was asked for. Nothing asked for means `all`.
#[derive(Clone, Debug)]
pub struct TagSelection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl TagSelection {
    pub fn new(only: Vec<String>, skip: Vec<String>) -> TagSelection {
        let only = if only.is_empty() { vec!["all".to_owned()] } else { only };
        TagSelection { only, skip }
    }

    pub fn only(&self) -> &[String] {
        &self.only
    }

    pub fn skip(&self) -> &[String] {
        &self.skip
    }

    /// Whether a task with these tags runs.
    pub fn chooses(&self, tags: &[String]) -> bool {
        let has = |tag: &str| tags.iter().any(|own| own == tag);
        let asked = |tag: &str| self.only.iter().any(|only| only == tag);
        let shares = |asked: &[String]| asked.iter().any(|tag| has(tag));
        let untagged = tags.is_empty() || tags == ["untagged"];

        let chosen = has("always")
            || (asked("all") && !has("never"))
            || shares(&self.only)
            || (asked("tagged") && !untagged && !has("never"))
            || (asked("untagged") && untagged);
        if !chosen {
            return false;
        }
        let skips = |tag: &str| self.skip.iter().any(|skip| skip == tag);
        let skipped = (skips("all") && !(has("always") && !skips("always")))
            || shares(&self.skip)
            || (skips("tagged") && !untagged)
            || (skips("untagged") && untagged);
        !skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooses(only: &str, skip: &str, tags: &str) -> bool {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        TagSelection::new(words(only), words(skip)).chooses(&words(tags))
    }

    #[test]
    fn follows_ansible() {
        assert!(chooses("", "", ""));
        assert!(chooses("", "", "web"));
        assert!(!chooses("", "", "never"));
        assert!(!chooses("", "", "never web"));
        assert!(chooses("web", "", "never web"));
        assert!(chooses("never", "", "never web"));
        assert!(!chooses("web", "", ""));
        assert!(chooses("web", "", "always"));
        assert!(!chooses("web", "always", "always"));
        assert!(chooses("tagged", "", "web"));
        assert!(!chooses("tagged", "", ""));
        assert!(chooses("untagged", "", ""));
        assert!(!chooses("untagged", "", "web"));
        assert!(!chooses("", "tagged", "web"));
        assert!(!chooses("", "untagged", ""));
        assert!(chooses("", "all", "always"));
        assert!(!chooses("", "all", "web"));
        assert!(chooses("all nv", "", "never nv"));
    }
}
