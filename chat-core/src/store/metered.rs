//! Stands between the engine and its store. Counts what is asked, so that "a live room costs the
//! store its writes and nothing else" is something that a test can read; makes an error of a
//! panic, so that a fault in somebody's store costs the calls that met it and nothing else; and lets
//! few count what they have not read at a time, so that others get at the store too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;

use crate::clock::Timestamp;
use crate::command::{ListedThread, MarkerQuery, OwnMark, OwnRoomQuery, Standing, ThreadQuery};
use crate::ids::{RoomId, UserId};
use crate::model::{
    Activity, Change, ClientKey, Fingerprint, Given, Membership, Message, Revision, RoomInfo,
    Thread, User,
};
use crate::store::{
    Batch, BatchOutcome, Listed, LoadedRoom, RoomKey, RoomQuery, Store, StoreError, UsedKey,
};
use crate::turns::Turns;

/// How many count at a time what they have not read: that looks at every message behind a position.
const COUNTING: usize = 2;

/// How often the engine has asked its store since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCalls {
    /// Calls that read.
    pub reads: u64,
    /// Calls that write; a whole commit is one.
    pub writes: u64,
}

/// A store with counters in front, which never panics.
pub(crate) struct Metered {
    store: Arc<dyn Store>,
    reads: AtomicU64,
    writes: AtomicU64,
    counting: Turns,
}

impl Metered {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { store, reads, writes, counting: Turns::new(COUNTING) }
    }

    pub(crate) fn calls(&self) -> StoreCalls {
        StoreCalls {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    async fn read<'a, T: 'a, F>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.reads.fetch_add(1, Ordering::Relaxed);
        caught(async { call(&*self.store).await }).await
    }

    async fn write<'a, T: 'a, F>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.writes.fetch_add(1, Ordering::Relaxed);
        caught(async { call(&*self.store).await }).await
    }
}

/// The call's answer, or an error if it panics. Whether a call that panics had an effect nobody
/// knows, as with any call that fails; the engine finds out.
async fn caught<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let caught = AssertUnwindSafe(call).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(StoreError::new("the store panicked")))
}

#[async_trait]
impl Store for Metered {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        self.write(|store| store.create_room(info, members, key)).await
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        self.read(|store| store.used_key(room, user, key)).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|store| store.forget_keys(before)).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        self.read(|store| store.load_room(id, recent)).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.write(|store| store.append(batches)).await
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|store| store.messages(room, after, until)).await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.read(|store| store.marks(room, after, until)).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        self.read(|store| store.marks_of(room, user, after, until)).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        self.read(|store| store.markers(room, query)).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        self.read(|store| store.revisions(room, seq)).await
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        self.read(|store| store.thread(room)).await
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        self.read(|store| store.threads(room, query)).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.read(|store| store.changes(room, after, limit)).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        self.read(|store| store.list_rooms(query)).await
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        self.read(|store| store.active_rooms(user, query)).await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        let _turn = self.counting.turn(user).await;
        self.read(|store| store.standings(user, rooms)).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.write(|store| store.delete_room(room)).await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        self.write(|store| store.rename(user)).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.read(|store| store.rooms_of(user)).await
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.write(|store| store.erase(room, user, after, until)).await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read(|store| store.ephemeral_rooms()).await
    }
}
