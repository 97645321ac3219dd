//! What the tests of SQLite share: a folder for its file.

#![allow(clippy::unwrap_used, reason = "tests")]

use chat_server::store::SqliteStore;
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
