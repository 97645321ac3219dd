//! The sessions of an engine: how they begin, and how all of them are told when it stops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::{Actor, Addr};
use tokio::sync::Notify;

use crate::deliver::Line;
use crate::error::Result;
use crate::ids::ConnectionId;
use crate::inbox::{InboxFanout, Wire};
use crate::lag::Patience;
use crate::model::User;
use crate::outbox::{Inbox, outbox};
use crate::room::Rooms;
use crate::session::{Session, SessionActor};
use crate::shared::Shared;

/// Every session of an engine.
pub(crate) struct Sessions {
    pub(crate) rooms: Arc<Rooms>,
    sessions: Mutex<HashMap<ConnectionId, Addr<SessionActor>>>,
    none_left: Notify,
}

impl Sessions {
    pub(crate) fn new(rooms: Arc<Rooms>) -> Self {
        Self { rooms, sessions: Mutex::default(), none_left: Notify::new() }
    }

    /// The parts of the engine.
    pub(crate) fn shared(&self) -> &Shared {
        &self.rooms.shared
    }

    /// Starts a session whose frames go to the inbox.
    pub(crate) fn connect<W: Wire>(
        self: &Arc<Self>,
        fanouts: &[InboxFanout<W>],
        user: User,
        patience: Patience,
    ) -> Result<(Session, Inbox<W::Frame>)> {
        let shared = self.shared();
        shared.running()?;
        let connection = ConnectionId::new();
        let thread = shared.next_thread();
        let fanout = &fanouts[thread % fanouts.len()];
        let line = Line { connection, fanout: fanout.fanout.clone() };
        let actor = SessionActor::new(Arc::clone(self), user.clone(), line.clone());
        let address = SessionActor::start_in_arbiter(shared.thread(thread), |_| actor);
        let (outbox, inbox) = outbox(patience, shared.clock.elapsed());
        fanout.attach(connection, outbox, address.clone().recipient());
        self.insert(connection, address.clone());
        // The engine may have begun to stop in between, and then has not told this session. Dropping it does.
        let stopping = shared.running();
        let session = Session::new(user, line, address, shared.limits.session_commands);
        stopping.map(|()| (session, inbox))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<ConnectionId, Addr<SessionActor>>> {
        // Nothing that runs under the lock leaves the map half-changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, id: ConnectionId, session: Addr<SessionActor>) {
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
