//! A store with a runtime of its own, which takes its time: rooms are opened, and end, whoever waits for it.

mod support;

use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Activity, Batch, BatchOutcome, Change, ClientKey, Engine, Fingerprint, Given, Limits, Listed,
    ListedThread, LoadedRoom, MarkerQuery, Membership, MemoryStore, Message, NewRoom, OwnMark,
    OwnRoomQuery, Revision, RoomId, RoomInfo, RoomKey, RoomQuery, Standing, Store, StoreError,
    Thread, ThreadQuery, Timestamp, UsedKey, User, UserId,
};
use futures_executor::block_on;
use support::{draft, engine_with, until, user};

fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

/// Needs a tokio runtime with time, as a database's driver does. Opens rooms, and answers when it
/// is let; cannot load rooms while that is switched off.
#[derive(Clone)]
struct Driver {
    store: MemoryStore,
    answers: tokio::sync::watch::Sender<bool>,
    loads: tokio::sync::watch::Sender<bool>,
}

impl Driver {
    fn new() -> Self {
        let switch = |on| tokio::sync::watch::channel(on).0;
        Self { store: MemoryStore::default(), answers: switch(true), loads: switch(true) }
    }
}

#[async_trait]
impl Store for Driver {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let id = self.store.create_room(info, members, key).await;
        self.answers.subscribe().wait_for(|answers| *answers).await.ok();
        id
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        self.store.used_key(room, user, key).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.store.forget_keys(before).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        if !*self.loads.borrow() {
            return Err(StoreError::new("made to fail"));
        }
        self.store.load_room(id, recent).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.store.append(batches).await
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.store.messages(room, after, until).await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.store.marks(room, after, until).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        self.store.marks_of(room, user, after, until).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        self.store.markers(room, query).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        self.store.revisions(room, seq).await
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        self.store.thread(room).await
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        self.store.threads(room, query).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.store.changes(room, after, limit).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.store.list_rooms(query).await
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        self.store.active_rooms(user, query).await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        self.store.standings(user, rooms).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.store.delete_room(room).await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        self.store.rename(user).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.store.rooms_of(user).await
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.store.erase(room, user, after, until).await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.store.ephemeral_rooms().await
    }
}

#[test]
fn a_store_finds_its_runtime_whatever_calls_the_engine() {
    let engine = Engine::builder().store(Driver::new()).threads(1).start().expect("an engine");
    let ann = user("Ann");
    let room = block_on(engine.open_room(&ann, open())).expect("a room");
    block_on(room.send(&ann, draft("hi"))).expect("sent");
    let all = RoomQuery { limit: 5, ..RoomQuery::default() };
    assert_eq!(block_on(engine.rooms(&all)).expect("a list").len(), 1);
    let (session, _inbox) = engine.connect(ann).expect("a session");
    block_on(session.open(open())).expect("a room");
    block_on(engine.stop());
}

#[tokio::test]
async fn an_ephemeral_room_whose_opener_gives_up_ends() {
    let store = Driver::new();
    let bench = engine_with(store.clone(), Limits::default());
    let brief = || open().ephemeral();
    store.answers.send_replace(false);
    let (ann, bob) = (user("Ann"), bench.connect("Bob"));
    // A caller that stops waiting, and a connection that closes at once.
    let opening = bench.engine.open_room(&ann, brief());
    assert!(futures_util::FutureExt::now_or_never(opening).is_none());
    assert!(futures_util::FutureExt::now_or_never(bob.session.open(brief())).is_none());
    let kept = async || store.store.ephemeral_rooms().await.expect("it answers").len();
    until("both are in the store", async || kept().await == 2).await;
    drop(bob);
    until("he has gone", async || bench.engine.stats().sessions == 0).await;
    store.answers.send_replace(true);
    let grace = Limits::default().grace;
    until("both wait for somebody", async || bench.clock.sleepers(grace) == 2).await;
    bench.clock.advance(grace);
    until("both have ended", async || kept().await == 0).await;
}

#[tokio::test]
async fn a_room_that_was_opened_is_answered() {
    let store = Driver::new();
    store.loads.send_replace(false);
    let bench = engine_with(store, Limits::default());
    let ann = bench.connect("Ann");
    let view = ann.session.open(open()).await.expect("it is there, though it cannot be loaded");
    assert_eq!(view.counts.members, 1);
}
