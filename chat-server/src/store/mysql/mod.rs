//! The store in MySQL or MariaDB: one primary, which is written to by two connections, each with its
//! own rooms, and any number of replicas, which may answer what they are known to have.

mod append;
mod open;
mod pen;
mod replicas;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Batch, BatchOutcome, Change, Listed, LoadedRoom, Membership, Message, RoomId, RoomInfo,
    RoomKey, RoomQuery, Store, StoreError, Timestamp,
};
use sqlx::{Connection, MySqlPool, SqlStr};

pub use open::{MySqlOptions, OpenError};
pub use replicas::Replica;

use super::background::{self, Cleaned, Progress, Retention};
use super::inserts::Statements;
use super::sql::{Queries, Row, Session, Sql, Value};
use super::writer::Writer;
use super::{SqlStore, StoreStats, in_time, reads};
use append::{CONFLICTS, Locks};
use pen::{Fault, MySqlPen};
use replicas::Replicas;

/// A [`Store`] in MySQL or MariaDB. Needs a tokio runtime with time, which actix's is.
///
/// Several processes may open the same database and write to the same rooms.
#[derive(Clone, Debug)]
pub struct MySqlStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writers: Vec<Writer<MySqlPen>>,
    primary: MySqlPool,
    replicas: Replicas,
    statements: Statements,
    locks: Locks,
    queries: Queries,
    progress: Progress,
    /// How long one call may take, waiting for its turn and for the database.
    deadline: Duration,
}

/// Reads from the primary.
macro_rules! read {
    ($store:expr, $sql:ident => $answer:expr) => {
        in_time($store.deadline, async {
            let mut connection = $store.primary.acquire().await?;
            let $sql = &mut Session::new(&mut *connection, &$store.queries);
            $answer.await
        })
        .await
    };
}

impl Cleaned for Inner {
    fn progress(&self) -> &Progress {
        &self.progress
    }

    async fn ask<R: Row + 'static>(
        &self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<R>, StoreError> {
        read!(self, sql => sql.select(text, values))
    }

    async fn change(&self, statements: &[(SqlStr, &[Value<'_>])]) -> Result<u64, StoreError> {
        let change = async {
            let mut conflicts = 0;
            loop {
                match self.try_change(statements).await {
                    Err(error) if Fault::of(&error) == Fault::Conflict && conflicts < CONFLICTS => {
                        conflicts += 1;
                    }
                    changed => return changed,
                }
            }
        };
        in_time(self.deadline, change).await
    }
}

impl Inner {
    async fn try_change(&self, statements: &[(SqlStr, &[Value<'_>])]) -> Result<u64, sqlx::Error> {
        let mut connection = self.primary.acquire().await?;
        // Nothing is locked but the rows that are changed: no writer waits for a gap.
        Session::new(&mut *connection, &self.queries).run(pen::READ_COMMITTED_ONCE).await?;
        let mut transaction = connection.begin().await?;
        let mut sql = Session::new(&mut *transaction, &self.queries);
        let mut rows = 0;
        for (text, values) in statements {
            rows += sql.execute(text.clone(), values).await?.rows;
        }
        transaction.commit().await?;
        Ok(rows)
    }
}

#[async_trait]
impl Store for MySqlStore {
    fn writers(&self) -> usize {
        self.inner.writers.len()
    }

    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
    ) -> Result<RoomId, StoreError> {
        let id = in_time(self.inner.deadline, self.inner.insert_room(info, members)).await?;
        self.inner.replicas.lists_changed();
        Ok(id)
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        in_time(self.inner.deadline, async {
            // One transaction, so that the end, the members and the messages are of one moment.
            let mut snapshot = self.inner.primary.begin().await?;
            let sql = &mut Session::new(&mut *snapshot, &self.inner.queries);
            let room = reads::room(sql, id, recent).await?;
            snapshot.commit().await?;
            Ok(room)
        })
        .await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        let outcomes = in_time(self.inner.deadline, self.inner.commit(batches)).await?;
        if batches.iter().any(|batch| !batch.may_follow) {
            self.inner.replicas.lists_changed();
        }
        Ok(outcomes)
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        if let Some(messages) =
            self.inner.replicas.messages(&self.inner.queries, room, after, until).await
        {
            return Ok(messages);
        }
        read!(self.inner, sql => reads::messages(sql, room, after, until))
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        read!(self.inner, sql => reads::changes(sql, room, after, limit as u64))
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        if let Some(listed) = self.inner.replicas.listed(&self.inner.queries, query).await {
            return Ok(listed);
        }
        read!(self.inner, sql => reads::listed(sql, query))
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        if !in_time(self.inner.deadline, self.inner.end_room(room)).await? {
            return Ok(());
        }
        self.inner.replicas.lists_changed();
        // It goes on even if nobody waits for it any more.
        let inner = Arc::clone(&self.inner);
        let removing = tokio::spawn(async move { background::remove_room(&*inner, room).await });
        removing.await.map_err(StoreError::new)?
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        read!(self.inner, sql => reads::ephemeral(sql))
    }
}

#[async_trait]
impl SqlStore for MySqlStore {
    fn stats(&self) -> StoreStats {
        StoreStats {
            queries: self.inner.queries.counts(),
            removed: self.inner.progress.read(),
            connections: (self.inner.primary.size() as usize, self.inner.primary.num_idle()),
            replicas: self.inner.replicas.state(),
        }
    }

    async fn remove_old(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
        background::remove_old(&*self.inner, retention, now).await
    }

    async fn close(&self) {
        let close = async {
            self.inner.replicas.close(&self.inner.primary).await;
            for writer in &self.inner.writers {
                writer.close().await;
            }
            self.inner.primary.close().await;
        };
        if tokio::time::timeout(self.inner.deadline, close).await.is_err() {
            tracing::warn!("the database was not closed in time; nothing committed is lost");
        }
    }
}
