//! An engine on a real database, under load from many senders in several rooms, while things break:
//! the database is killed or stopped, connections are cut, replicas fall behind, disks are full.
//! Whatever breaks, what was said and what became of it is written down, and in the end compared
//! with what everybody heard and with what is stored.

mod bare;
#[path = "../database/mod.rs"]
mod database;
mod frozen;
mod full_disk;
mod house;
mod killed;
mod ledger;
mod listeners;
mod load;
mod lost;
mod opening;
mod picture;
mod pool;
mod queue;
mod replicas;
mod sole;
mod stored;
mod tls;
mod two_engines;

use std::time::Duration;

use database::PATIENCE;
use sqlx::{AssertSqlSafe, MySqlConnection};
use tokio::time::timeout;

/// How much longer than a store's deadline an answer may take, on a machine that has much to do.
const MARGIN: Duration = Duration::from_secs(10);

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Carries out a statement, which must succeed.
async fn execute(connection: &mut MySqlConnection, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(connection).await.expect("it is carried out");
}

/// A number below `most`, at random.
fn random(most: u32) -> u32 {
    getrandom::u32().expect("random bytes") % most
}

/// Fails with what is wrong, if anything is.
fn tell(faults: &[String]) {
    let first = &faults[..faults.len().min(20)];
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), first.join("\n"));
}
