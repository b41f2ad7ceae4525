//! A file of the controller on its way to hosts: opened once however many they are, and read once by all that are at the same place in it.
//! A piece is kept for as long as somebody sends it.

use super::lock;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

const PIECE: u64 = 256 * 1024;

pub(super) struct SharedFile {
    file: Arc<File>,
    length: u64,
    pieces: tokio::sync::Mutex<HashMap<u64, Weak<[u8]>>>,
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
        if let Some(piece) = pieces.get(&at).and_then(Weak::upgrade) {
            return Ok(piece);
        }
        let (file, length) = (self.file.clone(), PIECE.min(self.length.saturating_sub(at)));
        let read = move || {
            // No more than a piece, whatever the size of the machine's words.
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        };
        let piece: Arc<[u8]> = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??.into();
        pieces.retain(|_, piece| piece.strong_count() > 0);
        pieces.insert(at, Arc::downgrade(&piece));
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
        one.piece(PIECE).await.unwrap();
        assert_eq!(
            one.pieces.lock().await.values().filter(|piece| piece.strong_count() > 0).count(),
            0,
            "nothing is kept that nobody sends"
        );
        std::fs::write(&path, &content[..PIECE as usize]).unwrap();
        assert!(one.piece(PIECE).await.is_err(), "it became shorter while it was sent");
        assert_eq!(SharedFile::open(&path).unwrap().length(), PIECE);
    }
}
