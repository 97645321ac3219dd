//! The store cases themselves: the store in memory passes them.

use chat_core::MemoryStore;
use chat_core::testkit::check_store;

#[tokio::test]
async fn the_store_in_memory_passes() {
    let report = check_store(async || MemoryStore::default()).await;
    println!("{report}");
    report.assert_passed();
}
