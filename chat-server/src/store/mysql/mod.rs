//! The store in MySQL or MariaDB: one primary, and any number of replicas, which may answer what they
//! are known to have.

mod append;
mod open;
mod pen;
mod replicas;
mod rooms;
mod sole;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Activity, Batch, BatchOutcome, Change, ChangeKind, ClientKey, Fingerprint, Given, Listed,
    ListedThread, LoadedRoom, MarkerQuery, Membership, Message, OwnMark, OwnRoomQuery, Revision,
    RoomId, RoomInfo, RoomKey, RoomQuery, Standing, Store, StoreError, Thread, ThreadQuery,
    Timestamp, UsedKey, User, UserId, Write,
};
use sqlx::{Connection, MySqlPool, SqlStr};

pub use open::{MySqlOptions, OpenError};
pub use replicas::Replica;

use super::background::{self, Cleaned, Progress, Retention};
use super::search::{self, Index, Indexed, Indexing, Rebuilt};
use super::sql::{Queries, Row, Session, Sql, Value};
use super::statements::Statements;
use super::thread::Thread as OwnThread;
use super::work::{self, Work, Worker};
use super::writer::Writer;
use super::{SqlStore, StoreStats, cursors, in_time, profiles, reads};
use append::{AGAIN, CONFLICTS, Locks};
use pen::{Fault, MySqlPen};
use replicas::Replicas;
use sole::Sole;

/// A [`Store`] in MySQL or MariaDB. It has a thread of its own for everything but
/// [`append`](Store::append), which needs a tokio runtime with time, as the engine's threads have.
///
/// Several processes may open the same database and write to the same rooms.
#[derive(Clone, Debug)]
pub struct MySqlStore {
    inner: Arc<Inner>,
    thread: Arc<OwnThread>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer<MySqlPen>,
    primary: MySqlPool,
    replicas: Replicas,
    statements: Statements,
    locks: Locks,
    sole: Sole,
    queries: Queries,
    progress: Progress,
    index: Index,
    /// How long one call may take, waiting for its turn and for the database.
    deadline: Duration,
}

/// Reads, again if the connection is lost meanwhile, as long as there is time. (A function would have
/// to be given an asynchronous closure that can be sent, which Rust cannot say yet.)
macro_rules! until_reached {
    ($store:expr, $read:expr) => {
        in_time($store.deadline, async {
            loop {
                match $read.await {
                    Err(error) if Fault::of(&error) == Fault::Lost => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    read => return read,
                }
            }
        })
        .await
    };
}

/// Reads from the primary.
macro_rules! read {
    ($store:expr, $sql:ident => $answer:expr) => {
        until_reached!($store, async {
            let mut connection = $store.primary.acquire().await?;
            let $sql = &mut Session::new(&mut *connection, &$store.queries);
            $answer.await
        })
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
        read!(self, sql => sql.select(text.clone(), values))
    }

    async fn change(&self, statements: &[(SqlStr, &[Value<'_>])]) -> Result<u64, StoreError> {
        let change = async {
            let mut conflicts = 0;
            loop {
                match self.try_write(&work::Statements(statements)).await {
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
    /// Does work in one transaction, as often as others are in its way or the connection is lost.
    async fn write<W: Work>(&self, work: &W) -> Result<W::Answer, sqlx::Error> {
        let mut conflicts = 0;
        loop {
            let error = match self.try_write(work).await {
                Err(error) => error,
                done => return done,
            };
            match Fault::of(&error) {
                // A row that is there by now is found next time.
                Fault::Conflict | Fault::Duplicate if conflicts < CONFLICTS => conflicts += 1,
                Fault::Lost => tokio::time::sleep(AGAIN).await,
                _ => return Err(error),
            }
        }
    }

    async fn try_write<W: Work>(&self, work: &W) -> Result<W::Answer, sqlx::Error> {
        let mut connection = self.primary.acquire().await?;
        // Nothing is locked but the rows that are changed: no writer waits for a gap.
        Session::new(&mut *connection, &self.queries).run(pen::READ_COMMITTED_ONCE).await?;
        let mut transaction = connection.begin().await?;
        let answer = work.carry_out(&mut Session::new(&mut *transaction, &self.queries)).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    /// Lets another process write alone, after the last commit of this one.
    async fn let_go(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.primary.acquire().await?;
        self.sole.let_go(&mut Session::new(&mut *connection, &self.queries)).await
    }
}

impl MySqlStore {
    /// Does something with the database, on its thread.
    async fn run<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Inner>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.thread.run(work(Arc::clone(&self.inner))).await
    }
}

#[async_trait]
impl Store for MySqlStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        let (info, members, key) = (info.clone(), members.to_vec(), key.cloned());
        self.run(async move |inner: Arc<Inner>| {
            let id =
                in_time(inner.deadline, inner.insert_room(&info, &members, key.as_ref())).await?;
            inner.replicas.lists_changed();
            Ok(id)
        })
        .await
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        let key = key.clone();
        self.run(async move |inner: Arc<Inner>| {
            read!(inner, sql => reads::used_key(sql, room, user, &key))
        })
        .await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(async move |inner: Arc<Inner>| background::forget_keys(&*inner, before).await)
            .await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        let load = async move |inner: &Inner| {
            // One transaction, so that the end, the members and the messages are of one moment.
            let mut snapshot = inner.primary.begin().await?;
            let sql = &mut Session::new(&mut *snapshot, &inner.queries);
            let room = reads::room(sql, &inner.statements, id, recent).await?;
            snapshot.commit().await?;
            Ok(room)
        };
        self.run(async move |inner: Arc<Inner>| {
            let room: Option<LoadedRoom> = until_reached!(inner, load(&inner))?;
            let changes = room.iter().flat_map(|room| &room.changes);
            if changes.into_iter().any(|change| is_of_messages(&change.kind)) {
                inner.replicas.messages_changed();
            }
            Ok(room)
        })
        .await
    }

    /// On the caller's thread: the way to another one and back would cost a lone message a third of its
    /// time. A connection that ends with the caller's runtime is one that is lost, and another is opened.
    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        let inner = &self.inner;
        let outcomes = in_time(inner.deadline, inner.commit(batches)).await;
        // Also if nobody knows whether it was committed.
        if batches.iter().any(|batch| !batch.may_follow) {
            inner.replicas.lists_changed();
        }
        if batches.iter().any(amends) {
            inner.replicas.messages_changed();
        }
        if let Ok(outcomes) = &outcomes {
            inner.index.note(batches, outcomes);
        }
        outcomes
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            let replica = inner.replicas.messages(&inner.queries, room, after, until);
            if let Some(messages) = replica.await {
                return Ok(messages);
            }
            read!(inner, sql => reads::messages(sql, room, after, until))
        })
        .await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            read!(inner, sql => reads::marks(sql, room, after, until))
        })
        .await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            read!(inner, sql => reads::marks_of(sql, room, user, after, until))
        })
        .await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        let query = query.clone();
        self.run(
            async move |inner: Arc<Inner>| read!(inner, sql => reads::markers(sql, room, &query)),
        )
        .await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        self.run(
            async move |inner: Arc<Inner>| read!(inner, sql => reads::revisions(sql, room, seq)),
        )
        .await
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            let found = read!(inner, sql => reads::thread(sql, room))?;
            Ok(found.map(|thread| thread.now))
        })
        .await
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        let query = *query;
        self.run(
            async move |inner: Arc<Inner>| read!(inner, sql => reads::threads(sql, room, &query)),
        )
        .await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            let changes = read!(inner, sql => reads::changes(sql, &inner.statements, room, after, limit as u64))?;
            // Another process may have made them, of which no replica need know yet.
            if changes.iter().any(|change| is_of_messages(&change.kind)) {
                inner.replicas.messages_changed();
            }
            Ok(changes)
        })
        .await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        let query = query.clone();
        self.run(async move |inner: Arc<Inner>| {
            if let Some(listed) = inner.replicas.listed(&inner.queries, &query).await {
                return Ok(listed);
            }
            read!(inner, sql => reads::listed(sql, &query))
        })
        .await
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        let query = *query;
        self.run(
            async move |inner: Arc<Inner>| read!(inner, sql => reads::active(sql, user, &query)),
        )
        .await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        let rooms = rooms.to_vec();
        self.run(async move |inner: Arc<Inner>| {
            read!(inner, sql => reads::standings(sql, &inner.statements, user, &rooms))
        })
        .await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            let ended = in_time(inner.deadline, inner.end_room(room)).await?;
            inner.replicas.lists_changed();
            background::remove_rooms(&*inner, ended).await
        })
        .await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        let renamed = profiles::rename(self, user).await;
        // Messages come with the names of their authors. Also if nobody knows whether it was committed.
        self.inner.replicas.messages_changed();
        renamed
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        profiles::rooms_of(self, user).await
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            let erased = background::erase(&*inner, room, user, after, until).await;
            inner.replicas.messages_changed();
            erased
        })
        .await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.run(async move |inner: Arc<Inner>| read!(inner, sql => reads::ephemeral(sql))).await
    }
}

/// Whether messages are other ones by a change.
fn is_of_messages(kind: &ChangeKind) -> bool {
    kind.seq().is_some() || matches!(kind, ChangeKind::Erased(_))
}

/// Whether a batch changes messages that are there.
fn amends(batch: &Batch) -> bool {
    batch.writes.iter().any(|write| match write {
        Write::Change { kind, .. } => is_of_messages(kind),
        Write::Marks { .. } => true,
        Write::Message { .. } | Write::Read(_) | Write::Key { .. } => false,
    })
}

impl Worker for MySqlStore {
    async fn write<W: Work + 'static>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.run(async move |inner: Arc<Inner>| in_time(inner.deadline, inner.write(&work)).await)
            .await
    }

    async fn read<W: Work + 'static>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.run(async move |inner: Arc<Inner>| read!(inner, sql => work.carry_out(sql))).await
    }
}

impl Indexed for MySqlStore {
    fn index(&self) -> &Index {
        &self.inner.index
    }

    fn progress(&self) -> &Progress {
        &self.inner.progress
    }
}

#[async_trait]
impl SqlStore for MySqlStore {
    fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        StoreStats {
            queries: inner.queries.counts(),
            removed: inner.progress.read(),
            connections: (inner.primary.size() as usize, inner.primary.num_idle()),
            replicas: inner.replicas.state(),
        }
    }

    async fn remove_old(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
            background::remove_old(&*inner, retention, now).await
        })
        .await
    }

    async fn index_search(&self, what: Indexing) -> Result<(), StoreError> {
        search::index_search(self, what).await
    }

    async fn rebuild_search(
        &self,
        tell: &(dyn Fn(Rebuilt) + Send + Sync),
    ) -> Result<Rebuilt, StoreError> {
        search::rebuild_search(self, tell).await
    }

    async fn reset_cursors(
        &self,
        now: Timestamp,
        tell: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64, StoreError> {
        // A server that should not be running does not take it that nobody has touched its rooms.
        let displace = async move |inner: Arc<Inner>| {
            let displace = async {
                let mut connection = inner.primary.acquire().await?;
                sole::displace(&mut Session::new(&mut *connection, &inner.queries)).await
            };
            in_time(inner.deadline, displace).await
        };
        self.run(displace).await?;
        cursors::reset_cursors(self, now, tell).await
    }

    async fn close(&self) {
        let close = async move |inner: Arc<Inner>| {
            inner.replicas.close(&inner.primary).await;
            inner.writer.close().await;
            if let Err(error) = inner.let_go().await {
                tracing::debug!(%error, "another process has to wait for a minute to write alone");
            }
            inner.primary.close().await;
            Ok(())
        };
        let closed =
            self.run(async move |inner: Arc<Inner>| in_time(inner.deadline, close(inner)).await);
        if closed.await.is_err() {
            tracing::warn!("the database was not closed in time; nothing committed is lost");
        }
    }
}
