//! Tests of the controller's files.

use super::Test;
use crate::source::refuse_endless;
use crate::template::fail::{Fail, Res};
use crate::template::value::text;
use minijinja::Value;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) const TABLE: &[(&str, Test)] = &[
    ("exists", |value, _| on_path(value, |path| path.exists())),
    ("link_exists", |value, _| on_path(value, |path| path.symlink_metadata().is_ok())),
    ("file", |value, _| on_path(value, Path::is_file)),
    ("is_file", |value, _| on_path(value, Path::is_file)),
    ("directory", |value, _| on_path(value, Path::is_dir)),
    ("is_dir", |value, _| on_path(value, Path::is_dir)),
    ("link", |value, _| on_path(value, Path::is_symlink)),
    ("is_link", |value, _| on_path(value, Path::is_symlink)),
    ("abs", |value, _| on_path(value, Path::is_absolute)),
    ("is_abs", |value, _| on_path(value, Path::is_absolute)),
    ("mount", |value, _| on_path(value, is_mount)),
    ("is_mount", |value, _| on_path(value, is_mount)),
    ("vaulted_file", |value, _| vaulted_file(value)),
    ("same_file", |value, args| is_same(value, &args.need("path2")?)),
    ("is_same_file", |value, args| is_same(value, &args.need("path2")?)),
];

fn on_path(value: &Value, holds: fn(&Path) -> bool) -> Res<bool> {
    Ok(holds(Path::new(&text(value)?)))
}

/// A folder on another device than the one above it, or that is its own parent.
fn is_mount(path: &Path) -> bool {
    let (Ok(here), Ok(above)) = (path.symlink_metadata(), path.join("..").symlink_metadata()) else { return false };
    !here.is_symlink() && (here.dev() != above.dev() || here.ino() == above.ino())
}

/// Whether a file is encrypted.
fn vaulted_file(value: &Value) -> Res<bool> {
    let path = text(value)?;
    let mut head = [0; 16];
    let read = refuse_endless(Path::new(&path)).and_then(|()| std::fs::File::open(&path)?.read(&mut head));
    let length = read.map_err(|err| Fail::error(format!("cannot read `{path}`: {err}")))?;
    Ok(crate::vault::is_encrypted(&head[..length]))
}

fn is_same(value: &Value, other: &Value) -> Res<bool> {
    let (one, other) = (text(value)?, text(other)?);
    let look = |path: &str| std::fs::metadata(path).map_err(|err| Fail::error(format!("cannot look at '{path}': {err}")));
    let (one, other) = (look(&one)?, look(&other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
