//! How sessions begin.

use std::sync::Arc;

use actix::prelude::Actor;

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

/// Where sessions begin.
pub(crate) struct Sessions {
    pub(crate) rooms: Arc<Rooms>,
}

impl Sessions {
    pub(crate) fn new(rooms: Arc<Rooms>) -> Self {
        Self { rooms }
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
        fanout.attach(connection, outbox, address.downgrade().recipient());
        shared.connections.add(user.id, line.clone(), address.clone().recipient());
        // The engine may have begun to stop in between, and then has not told this session. Dropping it does.
        let stopping = shared.running();
        let session = Session::new(Arc::clone(self), user, line, address);
        stopping.map(|()| (session, inbox))
    }
}
