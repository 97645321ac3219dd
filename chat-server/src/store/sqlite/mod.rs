//! The store in one SQLite file. One connection writes, and is alone while it does; a few read
//! beside it, each from a snapshot that no writer disturbs (WAL). A commit is on the disk before it
//! is answered (`synchronous=FULL`).

mod append;
mod delete;
mod insert;
mod known;
mod open;
mod read;
#[cfg(test)]
mod tests;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Batch, BatchOutcome, Change, Listed, LoadedRoom, Membership, Message, RoomId, RoomInfo,
    RoomKey, RoomQuery, Store, StoreError,
};
use sqlx::SqlitePool;
use thiserror::Error;

pub use open::OpenError;

use insert::Statements;
use writer::Writer;

/// How long one call may take, waiting for its turn and for the disk. Then it fails; what it had
/// begun is rolled back, or proves to be committed, as soon as the disk answers again.
const DEADLINE: Duration = Duration::from_secs(20);

/// A [`Store`] in one SQLite file. Needs a tokio runtime with time, which actix's is.
///
/// Several processes may open the same file, which must be on a local disk.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    statements: Statements,
}

impl SqliteStore {
    /// Waits for calls that are under way, merges the write-ahead log into the file and closes it.
    /// Calls after it fail. A store that is merely dropped loses nothing either, but may leave the
    /// log beside the file. Waits 20 s at most.
    pub async fn close(&self) {
        let close = async {
            self.readers.close().await;
            self.writer.close().await;
        };
        if tokio::time::timeout(DEADLINE, close).await.is_err() {
            tracing::warn!("the database was not closed in time; nothing committed is lost");
        }
    }
}

/// A call was not done within [`DEADLINE`].
#[derive(Debug, Error)]
#[error(
    "the database did not answer within {} seconds; is the disk overloaded, or does another program \
     hold the file?",
    DEADLINE.as_secs()
)]
struct TooLate;

/// Gives a call its deadline.
async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(StoreError::new),
        Err(_) => Err(StoreError::new(TooLate)),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
    ) -> Result<RoomId, StoreError> {
        in_time(self.insert_room(info, members)).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        in_time(self.select_room(id, recent)).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        in_time(self.commit(batches)).await
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        in_time(self.select_messages(room, after, until)).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        in_time(self.select_changes(room, after, limit)).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        in_time(self.select_listed(query)).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        if in_time(self.end_room(room)).await? {
            self.remove_room(room).await?;
        }
        Ok(())
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        in_time(self.select_ephemeral()).await
    }
}
