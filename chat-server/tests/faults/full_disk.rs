//! The disk is full under an SQLite file, as the system says when a file may not grow: senders are
//! told, nothing that is stored is damaged, and once there is space it goes on.
//!
//! How far files may grow is said for a whole process, so this is done in one of its own: this very
//! program once more, with this test alone.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chat_core::{Code, Limits};
use chat_server::store::SqliteStore;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::{Connection, SqliteConnection};

use crate::house::House;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::stored::Stored;
use crate::until;

/// Is set in the process whose files may not grow.
const CHILD: &str = "CHAT_FAULTS_FULL_DISK";
/// An error comes at once, as fast as that is on a machine that has much to do.
const WITHIN: Duration = Duration::from_secs(15);

#[test]
fn a_full_disk_costs_nobody_a_message() {
    // A process is ended that goes on writing, unless it ignores the signal, as what it starts does.
    let program = std::env::current_exe().expect("this program");
    let child = Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#])
        .arg(program)
        .args(["--exact", "full_disk::under_load", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("a shell");
    let said = [child.stdout, child.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.join("\n");
    println!("{said}");
    assert!(child.status.success() && said.contains("1 passed"));
}

/// What the process does that the other test starts.
#[tokio::test]
async fn under_load() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chat.db");
    let store = Arc::new(SqliteStore::open(&file).await.expect("a store"));
    let house = House::build(store, Limits::default(), 5).await;
    let ledger = Arc::new(Ledger::new(WITHIN));
    let load = Load::start(&house, &ledger, &house.rooms, 4).await;
    for _ in 0..3 {
        load.goes_on(300).await;
        let refused = ledger.refused(Code::Unavailable);
        // Less than there is already: what follows is written behind that.
        may_grow(Some(64 * 1_024));
        until("senders are told so", async || ledger.refused(Code::Unavailable) > refused + 50)
            .await;
        may_grow(None);
    }
    load.goes_on(300).await;
    load.stop().await;

    let file_url = format!("sqlite:{}", file.display());
    let mut connection = SqliteConnection::connect(&file_url).await.expect("the file opens");
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .expect("a check");
    assert_eq!(whole, "ok");
    let stored = Stored::in_sqlite(&mut connection).await;
    let fresh = Arc::new(SqliteStore::open(&file).await.expect("a store"));
    house.settle(&ledger, &stored, &ledger.last_accepted(), fresh).await;
    let after = Stored::in_sqlite(&mut connection).await;
    assert_eq!(after.rows().count(), stored.rows().count());
}

/// No file of this process may be written to beyond so many bytes.
fn may_grow(bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, ..getrlimit(Resource::Fsize) };
    setrlimit(Resource::Fsize, limit).expect("a limit below the highest one");
}
