//! How sessions begin.

use std::sync::Arc;

use actix::prelude::{Actor, Addr};

use crate::deliver::{End, Fanout, Line};
use crate::error::{Error, Result};
use crate::event::CloseReason;
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
        let thread = shared.next_thread();
        let fanout = &fanouts[thread % fanouts.len()];
        let line = Line { connection: ConnectionId::new(), fanout: fanout.fanout.clone() };
        let address = self.start(&user, &line, thread)?;
        let (outbox, inbox) = outbox(patience, &shared.budget, shared.clock.elapsed());
        fanout.attach(line.connection, outbox, address.downgrade().recipient());
        let session = address.downgrade();
        let inbox = inbox.on_drop(move || {
            if let Some(session) = session.upgrade() {
                session.do_send(End { reason: CloseReason::Left, retry_after: None });
            }
        });
        self.add(user, line, address).map(|session| (session, inbox))
    }

    /// Starts a session of a connection that a fan-out knows already.
    pub(crate) fn connect_through(
        self: &Arc<Self>,
        fanout: &Fanout,
        connection: ConnectionId,
        user: User,
    ) -> Result<Session> {
        let line = Line { connection, fanout: fanout.clone() };
        let thread = fanout.thread().unwrap_or_else(|| self.shared().next_thread());
        let address = self.start(&user, &line, thread)?;
        self.add(user, line, address)
    }

    fn start(
        self: &Arc<Self>,
        user: &User,
        line: &Line,
        thread: usize,
    ) -> Result<Addr<SessionActor>> {
        self.shared().running()?;
        let actor = SessionActor::new(Arc::clone(self), user.clone(), line.clone());
        Ok(SessionActor::start_in_arbiter(self.shared().thread(thread), |_| actor))
    }

    fn add(
        self: &Arc<Self>,
        user: User,
        line: Line,
        address: Addr<SessionActor>,
    ) -> Result<Session> {
        let shared = self.shared();
        let most = shared.limits.user_sessions;
        if !shared.connections.add(user.id, line.clone(), address.clone().recipient(), most) {
            address.do_send(End { reason: CloseReason::Left, retry_after: None });
            return Err(Error::too_many_sessions(most));
        }
        // The engine may have begun to stop in between, and then has not told this session.
        // Dropping it does.
        let running = shared.running();
        let session = Session::new(Arc::clone(self), user, line, address);
        running.map(|()| session)
    }
}
