//! What Ansible's language has from Python: regular expressions, replacements, file name patterns and bytes in texts as Python has them. Filters, modules
//! and host patterns use it; it uses nothing of ours.

pub mod bytes;
pub mod fnmatch;
pub mod regex;

/// The controller's Python, for playbooks that name it. Nothing of ours runs it.
pub fn here() -> Option<&'static str> {
    static FOUND: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("python3")).find(|file| file.is_file())?.to_str().map(str::to_owned)
    });
    FOUND.as_deref()
}
