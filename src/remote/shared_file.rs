//! A file of the controller on its way to hosts: read once by all that are near the same place in it. A piece is kept for as long as somebody
//! sends it, and the last few for those who come a little later: however many the hosts, they need no more memory than that.

use super::lock;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

const PIECE: u64 = 256 * 1024;
const RECENT: usize = 32;

pub(super) struct SharedFile {
    file: Arc<File>,
    length: u64,
    pieces: tokio::sync::Mutex<Pieces>,
}

#[derive(Default)]
struct Pieces {
    in_use: HashMap<u64, Weak<[u8]>>,
    recent: VecDeque<Arc<[u8]>>,
}

impl SharedFile {
    pub fn open(path: &Path) -> io::Result<Arc<SharedFile>> {
        type Open = HashMap<(PathBuf, SystemTime, u64), Weak<SharedFile>>;
        static OPEN: Mutex<Option<Open>> = Mutex::new(None);
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let (length, key) = (metadata.len(), (path.to_owned(), metadata.modified()?, metadata.len()));
        let mut open = lock(&OPEN);
        let open = open.get_or_insert_default();
        open.retain(|_, file| file.strong_count() > 0);
        if let Some(shared) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let shared = Arc::new(SharedFile { file: Arc::new(file), length, pieces: tokio::sync::Mutex::default() });
        open.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// What stands from `at` on, as much as goes at once; nothing at the end.
    pub async fn piece(&self, at: u64) -> io::Result<Arc<[u8]>> {
        let mut pieces = self.pieces.lock().await;
        if let Some(piece) = pieces.in_use.get(&at).and_then(Weak::upgrade) {
            return Ok(piece);
        }
        let (file, length) = (self.file.clone(), PIECE.min(self.length.saturating_sub(at)));
        let read = move || {
            // No more than a piece, whatever the size of the machine's words.
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        };
        let piece: Arc<[u8]> = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??.into();
        pieces.in_use.retain(|_, piece| piece.strong_count() > 0);
        pieces.in_use.insert(at, Arc::downgrade(&piece));
        pieces.recent.push_back(piece.clone());
        if pieces.recent.len() > RECENT {
            pieces.recent.pop_front();
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_readers_in_step_read_once_and_a_changed_file_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let content: Vec<u8> = (0..PIECE + 7).map(|n| n as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let (one, other) = (SharedFile::open(&path).unwrap(), SharedFile::open(&path).unwrap());
        let (first, same) = (one.piece(0).await.unwrap(), other.piece(0).await.unwrap());
        assert!(Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&first, &same));
        assert_eq!(&one.piece(PIECE).await.unwrap()[..], &content[PIECE as usize..]);
        assert!(one.piece(PIECE + 7).await.unwrap().is_empty());
        drop((first, same));
        for at in 1..=2 * RECENT as u64 {
            one.piece(at).await.unwrap();
        }
        assert_eq!(one.pieces.lock().await.in_use.values().filter(|piece| piece.strong_count() > 0).count(), RECENT);
        std::fs::write(&path, &content[..PIECE as usize]).unwrap();
        assert!(one.piece(7).await.is_err(), "it became shorter while it was sent");
        assert_eq!(SharedFile::open(&path).unwrap().length(), PIECE);
    }
}
