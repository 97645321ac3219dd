//! Programs that make mistakes: callers that give up, policies and stores that panic or do not answer, limits
//! that are none.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::Probe;
use chat_core::{
    Activity, After, Batch, BatchOutcome, Change, ClientKey, Code, Command, Engine, Error,
    Fingerprint, Given, HistoryAt, HistoryQuery, Limits, Listed, ListedThread, LoadedRoom,
    MarkerQuery, Membership, MemoryStore, Message, NewRoom, OwnMark, OwnRoomQuery, Policy,
    Revision, RoomId, RoomInfo, RoomKey, RoomQuery, Standing, Store, StoreError, Thread,
    ThreadQuery, Timestamp, UsedKey, User, UserId,
};
use support::{draft, engine_with, keyed, until, user};

fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

#[tokio::test]
async fn a_caller_that_gives_up_costs_nothing() {
    let (bench, faults) = support::faulty();
    let (room, mut ann) = bench.room("Ann").await;
    faults.hold_commits(true);
    // Calls that are dropped while they wait, more of them than may be under way: those are under
    // way all the same.
    let mut taken = 0;
    for n in 0..200 {
        let send = ann.session.send(room, draft(&n.to_string()));
        match futures_util::FutureExt::now_or_never(send) {
            None => taken += 1,
            Some(refused) => assert_eq!(refused.expect_err("too many").code(), Code::Busy),
        }
    }
    assert_eq!(taken, 64);
    until("they have been taken", async || bench.engine.stats().waiting_writes == taken).await;
    faults.hold_commits(false);
    until("nothing waits", async || bench.engine.stats().waiting_writes == 0).await;
    // What was taken was written, each once, and the session goes on.
    let mut last = 0;
    until("a place has been given back", async || {
        match ann.session.send(room, draft("last")).await {
            Ok(sent) => last = sent.seq,
            // The session's places are given back with the answers, a moment after the writes are settled.
            Err(error) => assert_eq!(error.code(), Code::Busy),
        }
        last > 0
    })
    .await;
    for seq in 1..last {
        assert_eq!(ann.message().await.0, seq);
    }
    assert_eq!(ann.message().await, (last, "last".into()));
}

/// Panics when somebody says the word.
struct Nervous;

#[async_trait]
impl Policy for Nervous {
    async fn may(&self, user: &User, command: &Command) -> chat_core::Result<()> {
        assert!(!format!("{command:?}").contains("boo"), "{} said it", user.name);
        Ok(())
    }
}

#[tokio::test]
async fn a_policy_that_panics_refuses_and_the_room_lives_on() {
    let engine = Engine::builder().policy(Nervous).threads(1).start().expect("an engine");
    let boo = NewRoom::open("boo").expect("a good title");
    let refused = engine.open_room(&user("Ann"), boo.clone()).await.err().expect("refused");
    assert_eq!(refused.code(), Code::Internal);
    let room = engine.open_room(&user("Ann"), open()).await.expect("a room");
    let mut bob = Probe::join(&engine, user("Bob"), room.id()).await.expect("in it");
    let refused = bob.session.open(boo).await.expect_err("refused");
    assert_eq!(refused.code(), Code::Internal);
    for _ in 0..3 {
        let refused = bob.session.send(room.id(), draft("boo")).await.expect_err("refused");
        assert_eq!(refused.code(), Code::Internal);
        let refused = room.send(bob.session.user(), draft("boo")).await.expect_err("refused");
        assert_eq!(refused.code(), Code::Internal);
        bob.session.send(room.id(), draft("hello")).await.expect("sent");
    }
    for seq in 1..=3 {
        assert_eq!(bob.message().await, (seq, "hello".into()));
    }
    engine.stop().await;
}

/// Panics at the `n`th call from now on: before it does anything, or after it has done it.
#[derive(Clone, Default)]
struct Fragile {
    store: MemoryStore,
    before: Arc<AtomicUsize>,
    after: Arc<AtomicUsize>,
}

fn count_down(counter: &AtomicUsize) {
    let last = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    assert!(last != Ok(1), "the store panics");
}

impl Fragile {
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        count_down(&self.before);
        let answer = call.await;
        count_down(&self.after);
        answer
    }
}

#[async_trait]
impl Store for Fragile {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        self.call(self.store.create_room(info, members, key)).await
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        self.call(self.store.used_key(room, user, key)).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.call(self.store.forget_keys(before)).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        self.call(self.store.load_room(id, recent)).await
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.call(self.store.append(batches)).await
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        self.call(self.store.messages(room, after, until)).await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.call(self.store.marks(room, after, until)).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        self.call(self.store.marks_of(room, user, after, until)).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        self.call(self.store.markers(room, query)).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        self.call(self.store.revisions(room, seq)).await
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        self.call(self.store.thread(room)).await
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        self.call(self.store.threads(room, query)).await
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.call(self.store.changes(room, after, limit)).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        self.call(self.store.list_rooms(query)).await
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        self.call(self.store.active_rooms(user, query)).await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        self.call(self.store.standings(user, rooms)).await
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        self.call(self.store.delete_room(room)).await
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        self.call(self.store.rename(user)).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        self.call(self.store.rooms_of(user)).await
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        self.call(self.store.erase(room, user, after, until)).await
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.store.ephemeral_rooms().await
    }
}

#[tokio::test]
async fn a_store_that_panics_is_unavailable_and_the_room_lives_on() {
    let store = Fragile::default();
    let limits = Limits { kept_bytes: 10, ..Limits::default() };
    let bench = engine_with(store.clone(), limits);
    let (room, mut ann) = bench.room("Ann").await;
    let owner = ann.session.user().clone();
    let unavailable = |error: Option<Error>| {
        assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
    };
    for n in 0u64..10 {
        let text = format!("message {n}, longer than what is kept");
        let message = || keyed(&text, &n.to_string());
        // Before the commit takes effect, or after it has.
        let counter = if n % 2 == 0 { &store.before } else { &store.after };
        counter.store(1, Ordering::SeqCst);
        unavailable(ann.session.send(room, message()).await.err());
        let sent = ann.session.send(room, message()).await.expect("sent");
        assert_eq!((sent.seq, ann.message().await), (n + 1, (n + 1, text)), "once");
        for call in 0..4 {
            store.before.store(1, Ordering::SeqCst);
            match call {
                0 => unavailable(bench.engine.open_room(&owner, open()).await.err()),
                1 => unavailable(bench.engine.rooms(&RoomQuery::default()).await.err()),
                2 => {
                    let query = HistoryQuery { at: HistoryAt::Before(2), limit: 1 };
                    let page = ann.session.history(room, query).await;
                    if n > 0 {
                        unavailable(page.err());
                    }
                }
                _ => {
                    // A room that cannot be loaded can be loaded later.
                    let other = bench.engine.open_room(&owner, open()).await;
                    unavailable(other.err());
                    let other = bench.engine.open_room(&owner, open()).await.expect("a room");
                    store.before.store(1, Ordering::SeqCst);
                    unavailable(other.view(&owner).await.err());
                    until("it is loaded", async || {
                        bench.clock.advance(Duration::from_secs(1));
                        other.view(&owner).await.is_ok()
                    })
                    .await;
                }
            }
            store.before.store(0, Ordering::SeqCst);
        }
    }
    bench.engine.stop().await;
}

/// Never answers about a ping, and counts what it is asked.
struct Silent(Arc<AtomicUsize>, tokio::sync::watch::Receiver<bool>);

#[async_trait]
impl Policy for Silent {
    async fn may(&self, _: &User, command: &Command) -> chat_core::Result<()> {
        if matches!(command, Command::Ping) {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.clone().wait_for(|answer| *answer).await.ok();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_policy_that_does_not_answer_keeps_nobody_here() {
    let (answer, silent) = tokio::sync::watch::channel(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let engine = Engine::builder().policy(Silent(Arc::clone(&asked), silent)).threads(1).start();
    let engine = engine.expect("an engine");
    let ann = user("Ann");
    let room = engine.open_room(&ann, open()).await.expect("a room");
    let bob = Probe::join(&engine, user("Bob"), room.id()).await.expect("in it");
    // However many calls are given up, no more than so many wait in the session.
    let taken = (0..1_000).filter(|_| {
        let ping = futures_util::FutureExt::now_or_never(bob.session.ask(Command::Ping));
        ping.is_none()
    });
    assert_eq!(taken.count(), 64);
    until("it is asked", async || asked.load(Ordering::SeqCst) == 1).await;
    drop(bob);
    until("he is gone", async || {
        room.view(&ann).await.expect("a view").counts.online == 0 && engine.stats().sessions == 0
    })
    .await;
    // Another one's commands stay in order, though the first is answered late.
    let mut cyd = Probe::connect(&engine, user("Cyd")).expect("a session");
    let (session, id) = (cyd.session.clone(), room.id());
    let calls = tokio::spawn(async move {
        let ping = session.ask(Command::Ping);
        let join = session.join(id, After::Nothing);
        let send = session.send(id, draft("after joining"));
        let (ping, join, send) = futures_util::future::join3(ping, join, send).await;
        (ping.is_ok(), join.is_ok(), send.is_ok())
    });
    until("it is asked again", async || asked.load(Ordering::SeqCst) == 2).await;
    answer.send_replace(true);
    assert_eq!(calls.await.expect("no panic"), (true, true, true));
    assert_eq!(cyd.message().await, (1, "after joining".into()));
    engine.stop().await;
}

#[tokio::test]
async fn limits_may_be_for_ever_but_not_nothing() {
    let for_ever = Duration::MAX;
    let limits = Limits { idle: for_ever, typing: for_ever, grace: for_ever, ..Limits::default() };
    let engine = Engine::builder().limits(limits).threads(1).start().expect("an engine");
    let room = engine.open_room(&user("Ann"), open().ephemeral()).await.expect("a room").id();
    let ann = Probe::join(&engine, user("Bob"), room).await.expect("in it");
    ann.session.typing(room, true).await.expect("typing");
    ann.session.send(room, draft("for ever")).await.expect("sent");
    engine.stop().await;
    for limits in [
        Limits { session_commands: 0, ..Limits::default() },
        Limits { room_mailbox: 0, ..Limits::default() },
        Limits { fanout_in_flight: 0, ..Limits::default() },
        Limits { outbox_bytes: 0, ..Limits::default() },
        Limits { batch: 0, ..Limits::default() },
        Limits { kept_messages: 10, ..Limits::default() },
    ] {
        assert!(Engine::builder().limits(limits.clone()).start().is_err(), "{limits:?}");
    }
}
