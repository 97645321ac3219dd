//! What a room understands.

use actix::WeakRecipient;
use actix::prelude::Message;

use crate::command::RoomCommand;
use crate::deliver::{Line, ReplyTo};
use crate::ids::{ConnectionId, RoomId};
use crate::model::User;
use crate::room::Queued;

/// Somebody asks something.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) asker: Asker,
    pub(crate) command: RoomCommand,
    pub(crate) reply: ReplyTo,
    /// Keeps the room loaded, and counts against its mailbox until it has been dealt with.
    pub(crate) queued: Queued,
}

/// Who asks, and through which session, if through one.
pub(crate) struct Asker {
    pub(crate) user: User,
    pub(crate) seat: Option<Seat>,
    pub(crate) away: bool,
}

/// How a room reaches a session.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) line: Line,
    /// Weak: a session ends when its owner lets go, not when its rooms do.
    pub(crate) session: WeakRecipient<Unseated>,
}

impl Seat {
    /// Tells the session, if there still is one, that it is not seated in the room.
    pub(crate) fn say_unseated(&self, room: RoomId) {
        if let Some(session) = self.session.upgrade() {
            session.do_send(Unseated { room });
        }
    }
}

/// What a room says to a session: it is no longer seated here, and need not hold the room.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unseated {
    pub(crate) room: RoomId,
}

/// Somebody has left a session's keyboard or come back to it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetAway {
    pub(crate) connection: ConnectionId,
    pub(crate) away: bool,
}

/// A session has ended. Sent behind everything that the session asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Depart {
    pub(crate) connection: ConnectionId,
}
