//! A session that looks at what it hears.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use crate::command::After;
use crate::engine::Engine;
use crate::error::Result;
use crate::event::Event;
use crate::ids::RoomId;
use crate::model::User;
use crate::outbox::Inbox;
use crate::session::Session;

/// How long a probe waits for what must come before it fails the test: 30 s of real time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected user and what it hears.
pub struct Probe {
    /// What it acts with.
    pub session: Session,
    /// What it has not looked at yet.
    pub inbox: Inbox<Arc<Event>>,
}

impl Probe {
    /// Connects a user.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub fn connect(engine: &Engine, user: User) -> Result<Self> {
        engine.connect(user).map(|(session, inbox)| Self { session, inbox })
    }

    /// Connects a user, who joins a room.
    ///
    /// # Errors
    /// As [`Engine::connect`] and [`Session::join`].
    pub async fn join(engine: &Engine, user: User, room: RoomId) -> Result<Self> {
        let probe = Self::connect(engine, user)?;
        probe.session.join(room, After::Nothing).await?;
        Ok(probe)
    }

    /// The next event.
    ///
    /// # Panics
    /// If none comes within 30 s, or the session ends.
    pub async fn event(&mut self) -> Arc<Event> {
        let next = timeout(PATIENCE, self.inbox.next()).await.expect("no event came within 30 s");
        next.expect("the session ended while an event was expected")
    }

    /// The next event in which this finds what it looks for; others are passed over.
    ///
    /// # Panics
    /// As [`event`](Self::event).
    pub async fn find<T>(&mut self, mut look: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(&*self.event().await) {
                return found;
            }
        }
    }

    /// The next message's `seq` and text; other events are passed over.
    ///
    /// # Panics
    /// As [`event`](Self::event).
    pub async fn message(&mut self) -> (u64, String) {
        self.find(|event| match event {
            Event::Message { message, .. } => Some((message.seq, message.text().to_owned())),
            _ => None,
        })
        .await
    }

    /// What waits already.
    pub fn waiting(&mut self) -> Vec<Arc<Event>> {
        std::iter::from_fn(|| self.inbox.next().now_or_never().flatten()).collect()
    }
}
