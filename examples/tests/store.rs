//! The store of `own_store` does what every store must do.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::Store;
use chat_core::testkit::{StoreHome, check_store};
use own_store::LogStore;
use tempfile::TempDir;

#[path = "../own_store.rs"]
#[allow(dead_code, reason = "its own program is not run here")]
mod own_store;

/// A folder with a log, gone at the end of a case.
struct Home(TempDir);

#[async_trait]
impl StoreHome for Home {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(LogStore::open(self.0.path()).expect("the log opens"))
    }
}

#[tokio::test]
async fn the_log_is_a_store() {
    let report = check_store(async || Home(tempfile::tempdir().expect("a folder"))).await;
    println!("{report}");
    report.assert_passed();
}
