//! The engine as its owner holds it: connect users, and ask on their behalf without a connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Clock;
use crate::command::{Command, OwnRoomQuery, OwnRooms};
use crate::deliver::{End, Fanout, Order};
use crate::engine::builder::EngineBuilder;
use crate::engine::threads::Threads;
use crate::engine::{everywhere, own_rooms};
use crate::error::{Code, Result};
use crate::event::{CloseReason, Event, Notice};
use crate::ids::{ConnectionId, GrantId, RoomId, UserId};
use crate::inbox::{InProcess, InboxFanout, Wire};
use crate::lag::Patience;
use crate::limits::Limits;
use crate::model::{Counts, NewRoom, Presence, RoomView, User};
use crate::outbox::Inbox;
use crate::queue::Budget;
use crate::room::{Opened, Room};
use crate::session::{Session, Sessions};
use crate::shared::{Shared, unavailable};
use crate::store::{Listed, RoomQuery, Store, StoreCalls};

/// How long the sweep waits before it asks a failing store again.
const AGAIN: Duration = Duration::from_secs(1);

/// A running chat engine. Cheap to clone; it runs until it is stopped or the last clone is dropped.
#[derive(Clone)]
pub struct Engine {
    running: Arc<Running>,
}

/// What is stopped when the last handle of an engine is dropped.
struct Running {
    sessions: Arc<Sessions>,
    inboxes: Vec<InboxFanout<InProcess>>,
    threads: Mutex<Threads>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Sessions that outlive the engine are told why nobody answers. The threads end with their
        // handle.
        self.sessions.shared().stop_taking();
    }
}

/// Fan-outs of an engine for readers of another [`Wire`]. Cheap to clone.
#[derive(Clone)]
pub struct Inboxes<W: Wire> {
    sessions: Arc<Sessions>,
    fanouts: Arc<Vec<InboxFanout<W>>>,
}

/// Sees who comes, goes, and leaves the keyboard.
pub struct PresenceWatch {
    sessions: Arc<Sessions>,
}

impl PresenceWatch {
    /// The users whose [`Engine::presence`] has changed since this was last asked, each once however
    /// often it has; waits until there is one.
    pub async fn changed(&mut self) -> HashSet<UserId> {
        self.sessions.shared().connections.changed().await
    }
}

/// What an engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Rooms in memory.
    pub rooms: usize,
    /// Sessions.
    pub sessions: usize,
    /// Writes that wait for the store.
    pub waiting_writes: usize,
    /// What the store has been asked since the engine started.
    pub store: StoreCalls,
}

impl Engine {
    /// Begins to put an engine together.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    pub(crate) fn new(
        sessions: Arc<Sessions>,
        threads: Threads,
        inboxes: Vec<InboxFanout<InProcess>>,
    ) -> Self {
        let threads = Mutex::new(threads);
        Self { running: Arc::new(Running { sessions, inboxes, threads }) }
    }

    fn shared(&self) -> &Shared {
        self.running.sessions.shared()
    }

    /// Loads the ephemeral rooms that an earlier process left, so that they end if nobody comes
    /// back within the grace period. Goes on in the background.
    pub(crate) fn sweep(&self) {
        let rooms = Arc::clone(&self.running.sessions.rooms);
        self.shared().thread(0).spawn(async move {
            let clock = &rooms.shared.clock;
            let found = loop {
                match rooms.shared.store.ephemeral_rooms().await {
                    Ok(found) => break found,
                    Err(error) => tracing::error!(%error, "could not look for ephemeral rooms"),
                }
                clock.sleep(AGAIN).await;
            };
            // One after the other, so that the store is there for others meanwhile.
            for room in found {
                while rooms.load(room).await.is_err_and(|error| error.code() == Code::Unavailable) {
                    clock.sleep(AGAIN).await;
                }
            }
        });
    }

    /// Connects a user: a session to act with, and the events that it hears. A reader that takes
    /// nothing is told [`Event::Behind`], and is ended only if it asks on and on; a transport wants
    /// [`Inboxes::connect`], which closes it after
    /// [`Limits::slow_close`](crate::Limits::slow_close).
    ///
    /// # Errors
    /// `too_many_sessions`, `stopping`.
    pub fn connect(&self, user: User) -> Result<(Session, Inbox<Arc<Event>>)> {
        let patience = Patience { bytes: self.shared().limits.outbox_bytes, close_after: None };
        self.running.sessions.connect(&self.running.inboxes, user, patience)
    }

    /// Fan-outs for readers of another wire: one per thread, to be made once and kept.
    #[must_use]
    pub fn inboxes<W: Wire>(&self, wire: &W) -> Inboxes<W> {
        let most = self.shared().limits.fanout_in_flight;
        let threads = self.shared().threads().iter();
        let start = |thread| InboxFanout::start(thread, wire.clone(), self.clock(), most);
        let fanouts = threads.map(start);
        Inboxes {
            sessions: Arc::clone(&self.running.sessions),
            fanouts: Arc::new(fanouts.collect()),
        }
    }

    /// Runs something once on each of the threads that rooms and sessions are spread over, which is
    /// told which of them it is: for a transport that has its sockets there, so that what a room
    /// says to them crosses no thread. What it starts there (tasks of tokio's `spawn_local`, actix
    /// actors) ends with the engine.
    pub fn on_each_thread(&self, start: impl Fn(usize) + Clone + Send + 'static) {
        for (index, thread) in self.shared().threads().iter().enumerate() {
            let start = start.clone();
            // A thread that has ended runs nothing any more.
            thread.spawn_fn(move || start(index));
        }
    }

    /// How many threads these are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared().threads().len()
    }

    /// Connects a user through a transport's own fan-out, which must know the connection by then:
    /// what the session hears is delivered under this id from here on, and
    /// [`Parcel::End`](crate::Parcel::End) comes last. Whoever carries frames to people in large
    /// numbers needs this; all others have [`connect`](Self::connect) and
    /// [`inboxes`](Self::inboxes).
    ///
    /// The transport says by [`Session::end`], or by dropping the session, that its peer has gone.
    ///
    /// # Errors
    /// `too_many_sessions`, `stopping`.
    pub fn connect_through(
        &self,
        fanout: &Fanout,
        connection: ConnectionId,
        user: User,
    ) -> Result<Session> {
        self.running.sessions.connect_through(fanout, connection, user)
    }

    /// Whether a user is connected to this engine, and at a keyboard.
    #[must_use]
    pub fn presence(&self, user: UserId) -> Presence {
        self.shared().connections.presence(user)
    }

    /// Begins to watch who comes, goes, and leaves the keyboard. Make one: several would share what there
    /// is to see.
    #[must_use]
    pub fn watch_presence(&self) -> PresenceWatch {
        self.shared().connections.watch();
        PresenceWatch { sessions: Arc::clone(&self.running.sessions) }
    }

    /// Tells all sessions of a user something that the engine knows nothing of.
    pub fn notify(&self, user: UserId, notice: Notice) {
        let now = self.shared().clock.elapsed();
        self.shared().connections.tell(user, &Event::Notice(notice), now);
    }

    /// Ends the sessions of a user that this grant entitles ([`Session::renew`]), or all of them;
    /// answers how many. One that the same grant entitles later is not kept out: whoever admits it
    /// looks after [`Session::renew`] whether the grant still holds.
    pub fn end_sessions(&self, user: UserId, grant: Option<GrantId>, reason: CloseReason) -> usize {
        let sessions = self.shared().connections.of(user, grant);
        for session in &sessions {
            session.do_send(Order::End(End { reason, retry_after: None }));
        }
        sessions.len()
    }

    /// Calls a user by this name from now on: in the store, in every room that knows it, and in its own
    /// sessions, all of which are told [`Event::Renamed`]. Names that come along with later commands of
    /// the user do not change it.
    ///
    /// # Errors
    /// `unavailable`, `stopping`. Ask again: what has been done by then does no harm.
    pub async fn rename(&self, user: &User) -> Result<()> {
        let (rooms, user) = (Arc::clone(&self.running.sessions.rooms), user.clone());
        let rename = async move { everywhere::rename(&rooms, &user).await.map(drop) };
        self.shared().run(rename).await
    }

    /// Lets somebody see a user come and go in their direct room from now on, or not: what the policy says
    /// ([`Policy::shows_presence`](crate::Policy::shows_presence)) to rooms that are loaded later.
    ///
    /// # Errors
    /// `unavailable`, `stopping`.
    pub async fn show_presence(&self, user: &User, to: UserId, shown: bool) -> Result<()> {
        let (rooms, user) = (Arc::clone(&self.running.sessions.rooms), user.clone());
        let show = async move { everywhere::show_presence(&rooms, &user, to, shown).await };
        self.shared().run(show).await
    }

    /// Lets a user go for good. It is called by this name from then on, wherever it is named; its
    /// sessions end with [`CloseReason::Deleted`]; so do its memberships, but for direct rooms, which
    /// keep both of their members; what it owns is a moderator's then, or another member's. With `erase`,
    /// what it has written is deleted as well, and only its places stay. To be asked once no command of
    /// the user is admitted any more.
    ///
    /// # Errors
    /// `unavailable`, `stopping`. Ask again: it goes on with what is left.
    pub async fn forget(&self, user: &User, erase: bool) -> Result<()> {
        self.end_sessions(user.id, None, CloseReason::Deleted);
        let (rooms, user) = (Arc::clone(&self.running.sessions.rooms), user.clone());
        self.shared().run(async move { everywhere::forget(&rooms, &user, erase).await }).await
    }

    /// Opens a room with the user as its owner, or the direct room of two users.
    ///
    /// # Errors
    /// `bad_request` for a direct room with oneself or an ephemeral one; `unavailable`, `stopping`,
    /// or what the policy says.
    pub async fn open_room(&self, user: &User, room: NewRoom) -> Result<Room> {
        self.shared().running()?;
        let (rooms, user) = (Arc::clone(&self.running.sessions.rooms), user.clone());
        let opened = self.shared().run(async move {
            rooms.shared.may(&user, &Command::Open(room.clone())).await?;
            rooms.open(&user, &rooms.shared.complete_new(room).await?, None).await
        });
        Ok(self.room(match opened.await? {
            Opened::New(view) => view.info.id,
            Opened::Before(id) => id,
        }))
    }

    /// The room with this id, whether or not there is one: who asks it something is told.
    #[must_use]
    pub fn room(&self, id: RoomId) -> Room {
        Room::new(Arc::clone(&self.running.sessions.rooms), id)
    }

    /// The rooms of which a user is a member, those first in which something was said last, with what it has
    /// not read. Live rooms answer from memory, as far as that reaches; all others cost the store one call together.
    ///
    /// # Errors
    /// `unavailable`, `busy`, `stopping`.
    pub async fn own_rooms(&self, user: &User, query: OwnRoomQuery) -> Result<OwnRooms> {
        let (rooms, user) = (Arc::clone(&self.running.sessions.rooms), user.clone());
        let list = async move { own_rooms::own_rooms(&rooms, &user, &query).await };
        self.shared().run(list).await
    }

    /// Lists open rooms, newest first, as the store has them; [`counted`](Self::counted) adds who
    /// is there.
    ///
    /// # Errors
    /// `unavailable`, `stopping`.
    pub async fn rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>> {
        self.shared().running()?;
        let (store, query) = (Arc::clone(&self.shared().store), query.clone());
        let list = async move { store.list_rooms(&query).await.map_err(unavailable("list rooms")) };
        self.shared().run(list).await
    }

    /// Listed rooms as they are now: those that are live with the counts of this moment.
    #[must_use]
    pub fn counted(&self, listed: &[Listed]) -> Vec<RoomView> {
        let view = |room: &Listed| {
            let live = self.running.sessions.rooms.counts(room.info.id);
            let stored = Counts { members: room.members, online: 0 };
            RoomView { info: room.info.clone(), counts: live.unwrap_or(stored) }
        };
        listed.iter().map(view).collect()
    }

    /// What the engine is doing.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            rooms: self.running.sessions.rooms.len(),
            sessions: self.shared().connections.len(),
            waiting_writes: self.shared().backlog.waiting(),
            store: self.shared().store.calls(),
        }
    }

    /// What the engine allows itself and its callers.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared().limits
    }

    /// What all queues of the engine's readers share: [`Limits::all_outboxes_bytes`]. For the
    /// [`Queue`](crate::Queue)s of a transport that has its own.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.shared().budget
    }

    /// The engine's clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared().clock)
    }

    /// Takes nothing more and ends every session with [`CloseReason::Draining`]; each is told when
    /// to come back, at random within `spread`, so that not all come at once. What was taken is
    /// still written.
    pub fn drain(&self, spread: Duration) {
        self.shared().stop_taking();
        for session in self.shared().connections.sessions() {
            // The last 32 bits of a version 7 UUID are random.
            let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
            let random = f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX);
            let retry_after = Some(spread.mul_f64(random));
            session.do_send(Order::End(End { reason: CloseReason::Draining, retry_after }));
        }
    }

    /// Drains, waits until every write that was taken has been answered, and stops the threads.
    pub async fn stop(&self) {
        self.drain(Duration::ZERO);
        self.shared().connections.ended().await;
        self.shared().backlog.drained().await;
        let ended = self.running.threads.lock().unwrap_or_else(PoisonError::into_inner).stop();
        if let Some(ended) = ended {
            // An error means that the threads have ended already.
            ended.await.ok();
        }
    }
}

impl<W: Wire> Inboxes<W> {
    /// Connects a user whose frames are this wire's. A reader that takes nothing for
    /// [`Limits::slow_close`](crate::Limits::slow_close) is closed.
    ///
    /// # Errors
    /// `too_many_sessions`, `stopping`.
    pub fn connect(&self, user: User) -> Result<(Session, Inbox<W::Frame>)> {
        let limits = &self.sessions.shared().limits;
        let close_after = Some(limits.slow_close);
        let patience = Patience { bytes: limits.outbox_bytes, close_after };
        self.sessions.connect(&self.fanouts, user, patience)
    }
}
