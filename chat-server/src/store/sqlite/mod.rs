//! The store in one SQLite file. One connection writes, and is alone while it does; a few read
//! beside it, each from a snapshot that no writer disturbs (WAL). A commit is on the disk before it
//! is answered (`synchronous=FULL`).

mod append;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Activity, Batch, BatchOutcome, Change, ClientKey, Fingerprint, Given, Listed, ListedThread,
    LoadedRoom, MarkerQuery, Membership, Message, OwnMark, OwnRoomQuery, Revision, RoomId,
    RoomInfo, RoomKey, RoomQuery, Standing, Store, StoreError, Thread, ThreadQuery, Timestamp,
    UsedKey, User, UserId,
};
use sqlx::{SqlStr, SqlitePool};

pub use open::OpenError;

use super::background::{self, Cleaned, Progress, Retention};
use super::search::{self, Index, Indexed, Indexing, Rebuilt};
use super::sql::{Queries, Row, Session, Sql, Value};
use super::statements::Statements;
use super::thread::Thread as OwnThread;
use super::work::{self, Work, Worker};
use super::writer::Writer;
use super::{SqlStore, StoreStats, cursors, in_time, profiles, reads};
use open::SqlitePen;

/// How long one call may take, waiting for its turn and for the disk. Then it fails; what it had
/// begun is rolled back, or proves to be committed, as soon as the disk answers again.
const DEADLINE: Duration = Duration::from_secs(20);

/// A [`Store`] in one SQLite file. Needs a tokio runtime with time, which actix's is.
///
/// Several processes may open the same file, which must be on a local disk.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
    thread: Arc<OwnThread>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer<SqlitePen>,
    readers: SqlitePool,
    statements: Statements,
    queries: Queries,
    progress: Progress,
    index: Index,
}

impl Inner {
    /// Marks a room and its threads as deleted. Answers which; none, if there is no such room.
    async fn end_room(&self, room: RoomKey) -> Result<Vec<RoomKey>, sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let (connection, known) = writer.parts();
        let mut sql = Session::new(connection, &self.queries);
        sql.run(append::BEGIN).await?;
        let (found, mut ended) = self.statements.end(&mut sql, room).await?;
        sql.run("COMMIT").await?;
        ended.push(room);
        ended.iter().for_each(|room| known.forget(*room));
        writer.give_back();
        Ok(if found { ended } else { Vec::new() })
    }

    /// Does work in one transaction.
    async fn write<W: Work>(&self, work: &W) -> Result<W::Answer, sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let mut sql = Session::new(writer.parts().0, &self.queries);
        sql.run(append::BEGIN).await?;
        let answer = work.carry_out(&mut sql).await?;
        sql.run("COMMIT").await?;
        writer.give_back();
        Ok(answer)
    }
}

/// Reads with a connection of its own.
macro_rules! read {
    ($store:expr, $sql:ident => $answer:expr) => {
        in_time(DEADLINE, async {
            let mut connection = $store.readers.acquire().await?;
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
        in_time(DEADLINE, self.write(&work::Statements(statements))).await
    }
}

impl SqliteStore {
    /// Does something with the file, on the store's thread.
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
impl Store for SqliteStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        let (info, members, key) = (info.clone(), members.to_vec(), key.cloned());
        self.run(async move |inner: Arc<Inner>| {
            in_time(DEADLINE, inner.insert_room(&info, &members, key.as_ref())).await
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
        let load = async move |inner: Arc<Inner>| {
            // One transaction, so that the end, the members and the messages are of one moment.
            let mut snapshot = inner.readers.begin().await?;
            let sql = &mut Session::new(&mut *snapshot, &inner.queries);
            let room = reads::room(sql, &inner.statements, id, recent).await?;
            snapshot.commit().await?;
            Ok(room)
        };
        self.run(async move |inner: Arc<Inner>| in_time(DEADLINE, load(inner)).await).await
    }

    /// On the caller's thread: the connection that writes has a thread of its own already, and to go
    /// through another one would only take time.
    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        let outcomes = in_time(DEADLINE, self.inner.commit(batches)).await?;
        self.inner.index.note(batches, &outcomes);
        Ok(outcomes)
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.run(async move |inner: Arc<Inner>| {
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
            read!(inner, sql => reads::changes(sql, &inner.statements, room, after, limit as u64))
        })
        .await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        let query = query.clone();
        self.run(async move |inner: Arc<Inner>| read!(inner, sql => reads::listed(sql, &query)))
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
            let ended = in_time(DEADLINE, inner.end_room(room)).await?;
            background::remove_rooms(&*inner, ended).await
        })
        .await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        profiles::rename(self, user).await
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
            background::erase(&*inner, room, user, after, until).await
        })
        .await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.run(async move |inner: Arc<Inner>| read!(inner, sql => reads::ephemeral(sql))).await
    }
}

impl Worker for SqliteStore {
    async fn write<W: Work + 'static>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.run(async move |inner: Arc<Inner>| in_time(DEADLINE, inner.write(&work)).await).await
    }

    async fn read<W: Work + 'static>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.run(async move |inner: Arc<Inner>| read!(inner, sql => work.carry_out(sql))).await
    }
}

impl Indexed for SqliteStore {
    fn index(&self) -> &Index {
        &self.inner.index
    }

    fn progress(&self) -> &Progress {
        &self.inner.progress
    }
}

#[async_trait]
impl SqlStore for SqliteStore {
    fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        StoreStats {
            queries: inner.queries.counts(),
            removed: inner.progress.read(),
            connections: (inner.readers.size() as usize, inner.readers.num_idle()),
            replicas: Vec::new(),
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
        cursors::reset_cursors(self, now, tell).await
    }

    /// Merges the write-ahead log into the file. A store that is merely dropped may leave the log
    /// beside it. Waits 20 s at most.
    async fn close(&self) {
        let close = async move |inner: Arc<Inner>| {
            inner.readers.close().await;
            inner.writer.close().await;
            Ok(())
        };
        let closed = self.run(async move |inner: Arc<Inner>| in_time(DEADLINE, close(inner)).await);
        if closed.await.is_err() {
            tracing::warn!("the database was not closed in time; nothing committed is lost");
        }
    }
}
