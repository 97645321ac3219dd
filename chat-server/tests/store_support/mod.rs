//! What tests of the stores share: a folder for SQLite's file, and a way to write much.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use chat_core::{Batch, BatchOutcome, Cursor, LoadedRoom, Outcome, Write};
use chat_server::store::{SqlStore, SqliteStore};
use tempfile::TempDir;

/// A folder with a store's file, gone at the end of the test.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("chat.db")
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).await.unwrap()
    }
}

/// Appends what comes behind this end; no more at a time than a slow machine has done within the store's deadline.
pub(crate) async fn append(
    store: &dyn SqlStore,
    room: &LoadedRoom,
    mut after: Cursor,
    writes: &[Write],
) {
    for writes in writes.chunks(1_000) {
        let batch = Batch { room: room.key, after, may_follow: false, writes: writes.to_vec() };
        match store.append(&[batch]).await.unwrap().remove(0) {
            BatchOutcome::Done(outcomes) => match outcomes.last() {
                Some(Outcome::Stored(end)) => after = *end,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
