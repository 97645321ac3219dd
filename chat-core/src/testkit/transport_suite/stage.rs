//! What a case is played on: an engine, a transport in front of it, and ways to say what went
//! wrong.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::command::After;
use crate::engine::Engine;
use crate::ids::{RoomId, UserId};
use crate::limits::Limits;
use crate::model::{Name, NewRoom, User};
use crate::store::MemoryStore;
use crate::testkit::report::Stop;
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::{FakeClock, Faults, Transport};

/// An engine with a transport in front.
pub(super) struct Stage<'a> {
    pub(super) transport: &'a dyn Transport,
    pub(super) engine: Engine,
    pub(super) clock: FakeClock,
    pub(super) store: MemoryStore,
    pub(super) faults: Faults,
    pub(super) limits: Limits,
    /// How long to wait for something that must come.
    pub(super) patience: Duration,
}

/// What came of a case, or of a step of it.
pub(super) type Outcome<T = ()> = Result<T, Stop>;

/// The case fails with these words.
pub(super) fn fail<T>(words: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(words.into()))
}

/// The case fails unless this holds.
pub(super) fn ensure(holds: bool, words: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { fail(words()) }
}

/// The case fails unless the two are the same.
#[allow(clippy::needless_pass_by_value, reason = "most of them are made for this call")]
pub(super) fn same<T: PartialEq + Debug>(what: &str, actual: T, expected: T) -> Outcome {
    ensure(actual == expected, || format!("{what}: expected {expected:?}, actual {actual:?}"))
}

/// What is not the transport's work must succeed.
pub(super) fn given<T, E: std::fmt::Display>(result: Result<T, E>) -> Outcome<T> {
    result.map_err(|error| Stop::Failed(format!("the case could not be prepared: {error}")))
}

impl Stage<'_> {
    /// A new user.
    pub(super) fn user(&self, name: &str) -> Outcome<User> {
        Ok(User::new(UserId::new(), given(Name::new(name))?))
    }

    /// A new user, connected.
    pub(super) async fn guest(&self, name: &str) -> Outcome<Guest> {
        Ok(self.connect(&self.user(name)?).await)
    }

    /// Another connection of a user.
    pub(super) async fn connect(&self, user: &User) -> Guest {
        Guest::new(user.clone(), self.transport.connect(user).await, self.patience)
    }

    /// A new room, and its owner who hears it.
    pub(super) async fn room(&self, owner: &str) -> Outcome<(RoomId, Guest)> {
        let mut owner = self.guest(owner).await?;
        let room = self.open(&owner.user).await?;
        owner.join(room, After::Nothing).await?;
        Ok((room, owner))
    }

    /// A new room of this user's.
    pub(super) async fn open(&self, owner: &User) -> Outcome<RoomId> {
        let room = given(NewRoom::open("a room"))?;
        Ok(given(self.engine.open_room(owner, room).await)?.id())
    }

    /// Somebody who hears a room.
    pub(super) async fn joined(&self, name: &str, room: RoomId) -> Outcome<Guest> {
        let mut guest = self.guest(name).await?;
        guest.join(room, After::Nothing).await?;
        Ok(guest)
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Outcome {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = timeout(self.patience, wait).await;
        waited.map_err(|_| Stop::Failed(format!("expected that {what}; it never came to that")))
    }

    /// Waits until the engine has this many sessions.
    pub(super) async fn sessions(&self, count: usize) -> Outcome {
        let what = format!("the engine has {count} sessions");
        self.until(&what, || self.engine.stats().sessions == count).await
    }
}
