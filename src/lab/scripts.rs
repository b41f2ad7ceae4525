//! The scripts of `lab/`, embedded, so that an installed binary has them too. They run from a copy in the lab's home.

use std::fs;
use std::path::{Path, PathBuf};

use rust_embed::Embed;

use super::error::LabError;
pub use super::run::script as run;

#[derive(Embed)]
#[folder = "lab/"]
struct Embedded;

/// Where the scripts lie once unpacked.
pub struct Scripts(PathBuf);

impl Scripts {
    /// Writes the scripts below `home`, those that differ from what is there.
    pub fn unpack(home: &Path) -> Result<Scripts, LabError> {
        let folder = home.join("scripts");
        for name in Embedded::iter() {
            let Some(file) = Embedded::get(&name) else { continue };
            let path = folder.join(name.as_ref());
            if fs::read(&path).is_ok_and(|there| there == file.data.as_ref()) {
                continue;
            }
            let parent = path.parent().unwrap_or(&folder);
            fs::create_dir_all(parent).map_err(LabError::path("create", parent))?;
            // Renamed into place: a shell that is reading the old one goes on reading it
            let new = folder.join(format!("{name}.{}.new", std::process::id()));
            fs::write(&new, &file.data).map_err(LabError::path("write", &new))?;
            fs::rename(&new, &path).map_err(LabError::path("write", &path))?;
        }
        Ok(Scripts(folder))
    }

    /// The path of one script.
    pub fn path(&self, name: &'static str) -> Result<PathBuf, LabError> {
        let path = self.0.join(name);
        if path.is_file() { Ok(path) } else { Err(LabError::MissingScript(name)) }
    }
}

/// Cached Kubernetes binaries beside the checkout we are in, which save nine minutes of building them.
pub fn cached_kubernetes() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NODEWRIGHT_KUBERNETES") {
        return Some(named.into());
    }
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let file = format!("shared/testbed/kubernetes-1.20.2-{architecture}.tar.zst");
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(&file)).find(|path| path.is_file())
}
