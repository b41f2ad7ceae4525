//! Each host's last result in a file of the host's name.

use super::dump::Dump;
use super::{Event, Sink, Status};
use std::path::{Path, PathBuf};

pub struct Tree {
    dir: PathBuf,
    dump: Dump,
}

impl Tree {
    pub fn new(dir: &Path, dump: Dump) -> Tree {
        Tree { dir: dir.to_owned(), dump }
    }
}

impl Sink for Tree {
    fn tell(&mut self, event: &Event) {
        let Event::HostFinished { result, .. } = event else { return };
        if result.status == Status::Skipped {
            return;
        }
        let path = self.dir.join(&result.host);
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| std::fs::write(&path, self.dump.result(result, None)));
        if let Err(err) = written {
            anstream::eprintln!("[WARNING]: Unable to write to '{}'s file: {err}", result.host);
        }
    }
}
