//! The engine as somebody else's dependency: started from anywhere, called from anywhere, and by
//! programs that make mistakes.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use actix::prelude::{Actor, Handler};
use async_trait::async_trait;
use chat_core::testkit::Probe;
use chat_core::{
    Activity, AdmitAs, After, Batch, BatchOutcome, Change, ClientKey, CloseReason, Code, Command,
    ConnectionId, Deliver, Engine, EngineBuilder, Error, Event, Fanout, Fingerprint, Given,
    HistoryAt, HistoryQuery, InProcess, Inbox, Inboxes, Limits, Listed, ListedThread, LoadedRoom,
    MarkerQuery, Membership, MemoryStore, Message, NewRoom, OwnMark, OwnRoomQuery, Parcel, Policy,
    Revision, Room, RoomCommand, RoomId, RoomInfo, RoomKey, RoomQuery, Session, Standing, Store,
    StoreError, Thread, ThreadQuery, Timestamp, UsedKey, User, UserId,
};
use futures_executor::block_on;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::{Bench, draft, engine, engine_with, keyed, until, user};

fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

/// Two people in a room, one of whom says something that the other hears.
async fn chat(engine: &Engine) {
    let (ann, mut ann_hears) = engine.connect(user("Ann")).expect("a session");
    let (bob, _bob_hears) = engine.connect(user("Bob")).expect("a session");
    let room = engine.open_room(bob.user(), open()).await.expect("a room").id();
    for session in [&ann, &bob] {
        session.join(room, After::Nothing).await.expect("in it");
    }
    bob.send(room, draft("hello")).await.expect("sent");
    while let Some(event) = ann_hears.next().await {
        if matches!(&*event, Event::Message { message, .. } if message.text() == "hello") {
            return;
        }
    }
    panic!("nothing was heard");
}

#[test]
fn handles_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    anywhere::<Engine>();
    anywhere::<Session>();
    anywhere::<Room>();
    anywhere::<Inboxes<InProcess>>();
    fn sent<T: Send + 'static>() {}
    sent::<EngineBuilder>();
    sent::<Inbox<Arc<Event>>>();
}

#[test]
fn it_runs_under_any_runtime_and_under_none() {
    let whole = || async {
        let engine = Engine::builder().threads(1).start().expect("an engine");
        chat(&engine).await;
        engine.stop().await;
    };
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(whole());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
        .block_on(async { tokio::spawn(whole()).await.expect("no panic") });
    actix_rt::System::new().block_on(whole());
    block_on(whole());
}

#[test]
fn engines_of_one_process_do_not_know_of_each_other() {
    let engines: Vec<_> =
        (0..5).map(|_| Engine::builder().threads(1).start().expect("an engine")).collect();
    block_on(async {
        join_all(engines.iter().map(chat)).await;
        engines[0].stop().await;
        join_all(engines[1..].iter().map(chat)).await;
        for engine in &engines[1..] {
            assert_eq!(engine.stats().rooms, 2);
        }
        // A program that is done with one simply drops it, or stops it from within a runtime's
        // task.
        join_all(engines[1..].iter().map(Engine::stop)).await;
    });
}

#[test]
fn threads_that_may_block_call_it_too() {
    let engine = Engine::builder().threads(2).start().expect("an engine");
    let room = block_on(engine.open_room(&user("Ann"), open())).expect("a room").id();
    let speakers: Vec<_> = (0..8)
        .map(|n| {
            let engine = engine.clone();
            thread::spawn(move || {
                let (session, mut inbox) =
                    engine.connect(user(&format!("speaker {n}"))).expect("a session");
                block_on(session.join(room, After::Nothing)).expect("in it");
                for n in 0..20 {
                    block_on(session.send(room, draft(&n.to_string()))).expect("sent");
                }
                let own = session.user().id;
                let mut heard = 0;
                while heard < 20 {
                    let event = block_on(inbox.next()).expect("an event");
                    if let Event::Message { message, .. } = &*event {
                        heard += usize::from(message.from.id == own);
                    }
                }
            })
        })
        .collect();
    for speaker in speakers {
        speaker.join().expect("no panic");
    }
    block_on(engine.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_every_call_with_a_clear_answer() {
    for round in 0..20 {
        let store = MemoryStore::default();
        let bench = engine_with(store.clone(), Limits::default());
        let (room, ann) = bench.room("Ann").await;
        let sent = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..16)
            .map(|sender| {
                let engine = bench.engine.clone();
                let (session, _inbox) = engine.connect(user("sender")).expect("a session");
                let (sent, owner) = (Arc::clone(&sent), ann.session.user().clone());
                tokio::spawn(async move {
                    let _inbox = _inbox;
                    let mut acknowledged = Vec::new();
                    if let Err(error) = session.join(room, After::Nothing).await {
                        return (acknowledged, error);
                    }
                    for n in 0.. {
                        let text = format!("{sender}.{n}");
                        let result = match n % 4 {
                            0 => engine.room(room).send(&owner, draft(&text)).await,
                            _ => session.send(room, draft(&text)).await,
                        };
                        match result {
                            Ok(message) => acknowledged.push((message.seq, text)),
                            Err(error) => return (acknowledged, error),
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    unreachable!("they send until they are told to stop");
                })
            })
            .collect();
        until("they send", async || sent.load(Ordering::Relaxed) > 50 + round).await;
        bench.engine.stop().await;
        let mut acknowledged = Vec::new();
        for sender in senders {
            let (messages, error) = sender.await.expect("no panic");
            assert_eq!((error.code(), error.code().retry()), (Code::Stopping, true));
            acknowledged.extend(messages);
        }
        acknowledged.sort_unstable();
        let key = store.load_room(room, 1).await.expect("it answers").expect("the room").key;
        let stored = store.messages(key, 0, u64::MAX).await.expect("messages");
        let stored: Vec<_> = stored.iter().map(|m| (m.seq, m.text().to_owned())).collect();
        assert!(
            acknowledged.iter().all(|message| stored.contains(message)),
            "what was taken stays"
        );
        // And so does every call from now on.
        let late = ann.session.send(room, draft("late")).await.expect_err("stopped");
        assert_eq!(late.code(), Code::Stopping);
        let late = bench.engine.room(room).send(ann.session.user(), draft("late")).await;
        assert_eq!(late.expect_err("stopped").code(), Code::Stopping);
        let late = bench.engine.open_room(ann.session.user(), open()).await;
        assert_eq!(late.err().map(|error| error.code()), Some(Code::Stopping));
        let late = bench.engine.rooms(&RoomQuery::default()).await;
        assert_eq!(late.expect_err("stopped").code(), Code::Stopping);
        let late = bench.engine.connect(user("late"));
        assert_eq!(late.err().map(|error| error.code()), Some(Code::Stopping));
        bench.engine.stop().await;
    }
}

#[tokio::test]
async fn an_engine_that_is_dropped_ends_its_sessions() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("hi")).await.expect("sent");
    drop(bench);
    // The session's own handles keep nothing alive that could answer; it is told so, and so is the
    // reader.
    until("calls end", async || {
        let sent = ann.session.send(room, draft("anybody?")).await;
        sent.is_err_and(|error| error.code() == Code::Stopping)
    })
    .await;
    while ann.inbox.next().await.is_some() {}
}

#[tokio::test]
async fn a_session_whose_inbox_is_dropped_says_so() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let (bob, inbox) = bench.engine.connect(user("Bob")).expect("a session");
    bob.join(room, After::Nothing).await.expect("in it");
    drop(inbox);
    until("his session has ended", async || bench.engine.stats().sessions == 1).await;
    let error = bob.send(room, draft("hi")).await.expect_err("he cannot hear");
    assert_eq!((error.code(), error.code().retry()), (Code::SessionEnded, false));
    ann.session.send(room, draft("well")).await.expect("sent");
    assert_eq!(ann.message().await, (1, "well".into()));
}

/// A transport of somebody's own: one actor that carries everything to one place, in words.
struct Telegraph(tokio::sync::mpsc::UnboundedSender<String>);

impl Actor for Telegraph {
    type Context = actix::Context<Self>;
}

impl Handler<Deliver> for Telegraph {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        for parcel in deliver.parcels {
            let words = match parcel {
                Parcel::Room { event, .. } => match &*event {
                    Event::Message { message, .. } => format!("message {}", message.text()),
                    _ => continue,
                },
                Parcel::Reply { tag, result, .. } => format!("reply {tag} {}", result.is_ok()),
                Parcel::Admit { answer: Some(AdmitAs::Reply { tag, .. }), .. } => {
                    format!("admitted {tag}")
                }
                Parcel::Exit { .. } => "exit".into(),
                Parcel::End { reason, .. } => format!("end {reason:?}"),
                Parcel::One { .. } | Parcel::Admit { .. } => continue,
            };
            self.0.send(words).expect("the test listens");
        }
    }
}

#[test]
fn a_transport_of_ones_own_takes_the_place_of_inboxes() {
    actix_rt::System::new().block_on(async {
        let bench = engine();
        let (words, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let fanout = Fanout::new(Telegraph(words).start().recipient(), 100);
        let (room, ann) = bench.room("Ann").await;
        let connect = || bench.engine.connect_through(&fanout, ConnectionId::new(), user("Bob"));
        let bob = connect().expect("a session");
        let room_command = |command| Command::Room(room, command);
        bob.submit(1, room_command(RoomCommand::join(After::Nothing))).expect("taken");
        bob.submit(2, room_command(RoomCommand::Send(draft("hello")))).expect("taken");
        bob.submit(3, room_command(RoomCommand::Leave)).expect("taken");
        bob.submit(4, room_command(RoomCommand::Leave)).expect("taken");
        for expected in ["admitted 1", "reply 2 true", "message hello", "reply 3 true", "exit"] {
            assert_eq!(hears.recv().await.as_deref(), Some(expected));
        }
        assert_eq!(hears.recv().await.as_deref(), Some("reply 4 false"));
        bob.end(CloseReason::Silent);
        assert_eq!(hears.recv().await.as_deref(), Some("end Silent"));
        drop((bob, ann));
        bench.engine.stop().await;
        assert_eq!(connect().err().map(|error| error.code()), Some(Code::Stopping));
    });
}

#[tokio::test]
async fn a_user_has_no_more_sessions_than_it_may() {
    let limits = Limits { user_sessions: 2, ..Limits::default() };
    let Bench { engine, .. } = engine_with(MemoryStore::default(), limits);
    let (ann, bob) = (user("Ann"), user("Bob"));
    let first = engine.connect(ann.clone()).expect("a session");
    let _second = engine.connect(ann.clone()).expect("a session");
    let refused = engine.connect(ann.clone()).err().expect("a third one is refused");
    assert_eq!((refused.code(), refused.code().retry()), (Code::TooManySessions, true));
    let _other = engine.connect(bob).expect("others are not counted");
    drop(first);
    until("the first has ended", async || engine.stats().sessions == 2).await;
    let _third = engine.connect(ann).expect("there is room again");
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
    let last = ann.session.send(room, draft("last")).await.expect("sent").seq;
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
