//! The engine's store in SQL. What every database has in common (which rows a commit writes, what
//! is selected, how a row is read, what is removed in the background) stands beside this file; what
//! one database does in its own way stands in a folder of its name.

mod background;
mod cursors;
mod friends;
mod inserts;
mod known;
mod logins;
mod names;
mod people;
mod plan;
mod profiles;
mod reads;
mod rows;
mod search;
mod selects;
mod sql;
mod statement;
mod statements;
mod thread;
mod work;
mod writer;

mod mysql;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use chat_core::{Store, StoreError, Timestamp};
use thiserror::Error;

use crate::people::{FriendStore, PeopleStore};
use crate::search::SearchIndex;

pub use background::{Removed, Retention};
pub use mysql::{MySqlOptions, MySqlStore, OpenError as MySqlOpenError, Replica};
pub use search::{Indexing, Rebuilt, questions as search_questions};
pub use sql::QueryCounts;
pub use sqlite::{OpenError as SqliteOpenError, SqliteStore};

/// A store in an SQL database, with the accounts of people, in which messages are found.
#[async_trait]
pub trait SqlStore: Store + PeopleStore + FriendStore + SearchIndex {
    /// What it is doing.
    fn stats(&self) -> StoreStats;

    /// Removes messages that are not to be kept at this time, in small pieces; answers how many.
    /// Client keys of removed messages may be used again.
    ///
    /// # Errors
    /// If the database fails; what has been removed by then is gone.
    async fn remove_old(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError>;

    /// Brings the index of messages up to what has been committed, in small pieces. What is not in it is found by
    /// reading.
    ///
    /// # Errors
    /// If the database fails; what has been done by then stays.
    async fn index_search(&self, what: Indexing) -> Result<(), StoreError>;

    /// Makes the index of messages anew, or goes on with that where it was cut short. Other processes may go on
    /// meanwhile. Tells after each piece how far it has come, and answers how far it came.
    ///
    /// # Errors
    /// If the database fails; what has been done by then stays.
    async fn rebuild_search(
        &self,
        tell: &(dyn Fn(Rebuilt) + Send + Sync),
    ) -> Result<Rebuilt, StoreError>;

    /// Lets whoever comes back to a room begin anew, because a backup was put back and the cursors that were given
    /// out since are of a history that is gone. No server may be running. Tells after each piece how many rooms are
    /// done, and answers how many there are.
    ///
    /// # Errors
    /// If the database fails; what has been done by then stays, and doing it again does no harm.
    async fn reset_cursors(
        &self,
        now: Timestamp,
        tell: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64, StoreError>;

    /// Waits for calls that are under way, and closes all connections. Calls after it fail. A store
    /// that is merely dropped loses nothing either.
    async fn close(&self);
}

/// What a store is doing.
#[derive(Clone, Debug, Default)]
pub struct StoreStats {
    /// Statements since it was opened.
    pub queries: QueryCounts,
    /// What was removed in the background.
    pub removed: Removed,
    /// Connections for reading and for background work: open, and of these not in use.
    pub connections: (usize, usize),
    /// Its replicas.
    pub replicas: Vec<Replica>,
}

/// A call was not done in time.
#[derive(Debug, Error)]
#[error(
    "the database did not answer within {} ms; is it overloaded or stopped, or its disk, or the way \
     to it?",
    .0.as_millis()
)]
struct TooLate(Duration);

/// Gives a call its deadline.
async fn in_time<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map_err(StoreError::new),
        Err(_) => Err(StoreError::new(TooLate(deadline))),
    }
}
