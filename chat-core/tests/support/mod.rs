//! What the tests of the whole engine share.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

pub mod keys;
pub mod threads;

use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::{FakeClock, Faults, FaultyStore, Probe};
use chat_core::{
    After, Code, Counts, Draft, Engine, Limits, MemoryStore, Name, NewRoom, Reply, RoomCommand,
    RoomId, Store, User, UserId,
};
use tokio::time::timeout;

/// How long a test waits for something that must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).expect("a good name"))
}

pub fn draft(text: &str) -> Draft {
    Draft::text(text).expect("a good text")
}

pub fn keyed(text: &str, key: &str) -> Draft {
    draft(text).key(key).expect("a good key")
}

/// An engine with a clock moved by hand.
pub struct Bench {
    pub engine: Engine,
    pub clock: FakeClock,
}

pub fn engine_with(store: impl Store, limits: Limits) -> Bench {
    let clock = FakeClock::default();
    let shared = Arc::new(clock.clone());
    let engine = Engine::builder().store(store).limits(limits).clock(shared).threads(2);
    Bench { engine: engine.start().expect("an engine"), clock }
}

pub fn engine() -> Bench {
    engine_with(MemoryStore::default(), Limits::default())
}

/// An engine whose store fails on demand.
pub fn faulty() -> (Bench, Faults) {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    (engine_with(store, Limits::default()), faults)
}

impl Bench {
    pub fn connect(&self, name: &str) -> Probe {
        self.connect_as(user(name))
    }

    pub fn connect_as(&self, user: User) -> Probe {
        Probe::connect(&self.engine, user).expect("a session")
    }

    /// A new room, and its owner in it.
    pub async fn room(&self, owner: &str) -> (RoomId, Probe) {
        self.room_of(owner, NewRoom::open("room").expect("a good title")).await
    }

    pub async fn room_of(&self, owner: &str, new: NewRoom) -> (RoomId, Probe) {
        let owner = self.connect(owner);
        let room = self.engine.open_room(owner.session.user(), new).await.expect("a room").id();
        owner.session.join(room, After::Nothing).await.expect("in it");
        (room, owner)
    }

    /// The room's counts, or why there are none. Asked behind everything that was asked before.
    pub async fn counts(&self, room: RoomId) -> Result<Counts, Code> {
        match self.engine.room(room).ask(&user("asker"), RoomCommand::View).await {
            Ok(Reply::Room(view)) => Ok(view.counts),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    /// Somebody who has joined.
    pub async fn joined(&self, name: &str, room: RoomId) -> Probe {
        let guest = self.connect(name);
        guest.session.join(room, After::Nothing).await.expect("in it");
        guest
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
