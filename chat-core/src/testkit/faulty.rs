//! A store in front of another that does its work late, or not at all, or without saying so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

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

/// A store whose faults are switched by a [`Faults`].
pub struct FaultyStore {
    store: Arc<dyn Store>,
    faults: Faults,
}

/// The faults of a [`FaultyStore`]. Clones switch the same ones; at first there are none.
#[derive(Clone, Default)]
pub struct Faults {
    commits: Arc<Gate>,
    reads: Arc<Gate>,
    failing: Arc<Mutex<Failing>>,
    largest: Arc<AtomicUsize>,
}

/// Something that can be held up.
#[derive(Default)]
struct Gate {
    held: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // An error means that the switch is gone, and then nothing holds.
        self.held.subscribe().wait_for(|held| !held).await.ok();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, Default)]
struct Failing {
    all: bool,
    appends: usize,
    silently: usize,
}

impl Faults {
    fn change(&self, change: impl FnOnce(&mut Failing)) {
        // Nothing that runs under the lock can panic.
        change(&mut self.failing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// While `true`, commits wait before they begin.
    pub fn hold_commits(&self, hold: bool) {
        self.commits.held.send_replace(hold);
    }

    /// How many commits wait because of [`hold_commits`](Self::hold_commits).
    #[must_use]
    pub fn held_commits(&self) -> usize {
        self.commits.waiting.load(Ordering::SeqCst)
    }

    /// While `true`, loading a room, reading messages and changes, and finding a user's rooms wait before
    /// they begin.
    pub fn hold_reads(&self, hold: bool) {
        self.reads.held.send_replace(hold);
    }

    /// How many reads wait because of [`hold_reads`](Self::hold_reads).
    #[must_use]
    pub fn held_reads(&self) -> usize {
        self.reads.waiting.load(Ordering::SeqCst)
    }

    /// While `true`, everything fails and has no effect.
    pub fn fail_all(&self, fail: bool) {
        self.change(|failing| failing.all = fail);
    }

    /// The next commits fail and have no effect.
    pub fn fail_commits(&self, count: usize) {
        self.change(|failing| failing.appends = count);
    }

    /// The next commits take effect and then say that they failed, as when a connection is lost
    /// while the answer is on its way.
    pub fn lose_answers(&self, count: usize) {
        self.change(|failing| failing.silently = count);
    }

    /// The most writes that one commit has carried so far.
    #[must_use]
    pub fn largest_commit(&self) -> usize {
        self.largest.load(Ordering::SeqCst)
    }
}

impl FaultyStore {
    /// Puts faults in front of a store.
    pub fn new(store: impl Store) -> (Self, Faults) {
        Self::over(Arc::new(store))
    }

    /// As [`new`](Self::new), for a store that is shared or chosen at run time.
    pub fn over(store: Arc<dyn Store>) -> (Self, Faults) {
        let faults = Faults::default();
        (Self { store, faults: faults.clone() }, faults)
    }

    fn reach(&self) -> Result<&dyn Store, StoreError> {
        let mut failing = Failing::default();
        self.faults.change(|now| failing = *now);
        if failing.all { Err(StoreError::new("made to fail")) } else { Ok(&*self.store) }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        self.reach()?.create_room(info, members, key).await
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.used_key(room, user, key).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.reach()?.forget_keys(before).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.load_room(id, recent).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.faults.commits.pass().await;
        let writes = batches.iter().map(|batch| batch.writes.len()).sum();
        self.faults.largest.fetch_max(writes, Ordering::SeqCst);
        let (mut fail, mut lose) = (false, false);
        self.faults.change(|failing| {
            fail = failing.appends > 0;
            failing.appends -= usize::from(fail);
            lose = !fail && failing.silently > 0;
            failing.silently -= usize::from(lose);
        });
        if fail {
            return Err(StoreError::new("made to fail"));
        }
        let outcomes = self.reach()?.append(batches).await?;
        if lose { Err(StoreError::new("made to lose the answer")) } else { Ok(outcomes) }
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.messages(room, after, until).await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.marks(room, after, until).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.marks_of(room, user, after, until).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.markers(room, query).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.revisions(room, seq).await
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.thread(room).await
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.threads(room, query).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.changes(room, after, limit).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        self.reach()?.list_rooms(query).await
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.active_rooms(user, query).await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.standings(user, rooms).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.reach()?.delete_room(room).await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        self.reach()?.rename(user).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.faults.reads.pass().await;
        self.reach()?.rooms_of(user).await
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.reach()?.erase(room, user, after, until).await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.reach()?.ephemeral_rooms().await
    }
}
