//! What all actors of an engine share: its parts, its limits, its registry of rooms and sessions.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::{Actor, Addr};
use actix_rt::ArbiterHandle;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::command::Command;
use crate::engine::backlog::Backlog;
use crate::engine::registry::{Registry, RoomRef};
use crate::error::{Error, Result};
use crate::ids::{ConnectionId, RoomId};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::model::{Counts, NewRoom, RoomInfo, RoomView, User};
use crate::policy::Policy;
use crate::room::Room;
use crate::session::SessionActor;
use crate::store::{Metered, Store, StoreError};

pub(crate) struct Core {
    pub(crate) store: Arc<Metered>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) registry: Registry,
    pub(crate) sessions: Sessions,
    pub(crate) backlog: Arc<Backlog>,
    journal: Addr<Journal>,
    arbiters: Vec<ArbiterHandle>,
    next_thread: AtomicUsize,
    stopping: AtomicBool,
}

impl Core {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        policy: Arc<dyn Policy>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        arbiters: &[ArbiterHandle],
    ) -> Self {
        let store = Arc::new(Metered::new(store));
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, limits.batch);
        // The last thread is the journal's alone, so that no room's work delays a commit.
        let last = arbiters.len() - 1;
        let journal = Journal::start_in_arbiter(&arbiters[last], |_| journal);
        Self {
            store,
            policy,
            clock,
            registry: Registry::default(),
            sessions: Sessions::default(),
            backlog: Arc::new(Backlog::new(limits.queued_writes)),
            limits,
            journal,
            arbiters: arbiters[..last].to_vec(),
            next_thread: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The threads for rooms, sessions and fan-outs.
    pub(crate) fn threads(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }

    pub(crate) fn thread(&self, index: usize) -> &ArbiterHandle {
        &self.arbiters[index % self.arbiters.len()]
    }

    /// The thread for the next session: each in turn.
    pub(crate) fn next_thread(&self) -> usize {
        self.next_thread.fetch_add(1, Ordering::Relaxed) % self.arbiters.len()
    }

    pub(crate) fn journal(&self) -> &Addr<Journal> {
        &self.journal
    }

    /// A room, loaded if it is not live. Rooms spread over the threads by id.
    pub(crate) fn room(self: &Arc<Self>, id: RoomId) -> RoomRef {
        self.registry.get(id, |live| {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            let thread = usize::try_from(hasher.finish() >> 33).unwrap_or_default();
            let core = Arc::clone(self);
            Room::start_in_arbiter(self.thread(thread), move |_| Room::new(core, id, live))
        })
    }

    /// An error once the engine is stopping.
    pub(crate) fn running(&self) -> Result<()> {
        if self.stopping.load(Ordering::Acquire) { Err(Error::stopping()) } else { Ok(()) }
    }

    /// From here on nothing new is taken.
    pub(crate) fn stop_taking(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the policy allows the command.
    pub(crate) async fn may(&self, user: &User, command: &Command) -> Result<()> {
        self.running()?;
        self.policy.may(user, command).await
    }

    /// Opens a room and loads it, so that an ephemeral one begins to wait for its first member.
    pub(crate) async fn open_room(self: &Arc<Self>, user: &User, new: NewRoom) -> Result<RoomView> {
        let NewRoom { title, kind, ephemeral } = new;
        let info =
            RoomInfo { id: RoomId::new(), title, kind, ephemeral, created: self.clock.now() };
        self.store.create_room(&info, user).await.map_err(unavailable("open a room"))?;
        if ephemeral {
            self.room(info.id);
        }
        Ok(RoomView { info, counts: Counts { members: 1, online: 0 } })
    }
}

/// Logs why the store could not do something, and says what callers are told.
pub(crate) fn unavailable(what: &'static str) -> impl Fn(StoreError) -> Error {
    move |error| {
        tracing::error!(%error, "could not {what}");
        Error::unavailable()
    }
}

/// Every session of the engine, to be told when it stops.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: Mutex<HashMap<ConnectionId, Addr<SessionActor>>>,
    none_left: Notify,
}

impl Sessions {
    fn sessions(&self) -> MutexGuard<'_, HashMap<ConnectionId, Addr<SessionActor>>> {
        // Nothing that runs under the lock leaves the map half-changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, id: ConnectionId, session: Addr<SessionActor>) {
        self.sessions().insert(id, session);
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut sessions = self.sessions();
        sessions.remove(&id);
        if sessions.is_empty() {
            self.none_left.notify_waiters();
        }
    }

    /// Returns once there is no session.
    pub(crate) async fn ended(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.len() == 0 {
                return;
            }
            none_left.await;
        }
    }

    pub(crate) fn all(&self) -> Vec<Addr<SessionActor>> {
        self.sessions().values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions().len()
    }
}
