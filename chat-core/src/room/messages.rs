//! What a room understands.

use actix::WeakRecipient;
use actix::prelude::Message;
use tokio::sync::oneshot;

use crate::command::{RoomCommand, Standing};
use crate::deliver::{Line, ReplyTo};
use crate::error::Result;
use crate::ids::{ConnectionId, RoomId, UserId};
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

/// Who asks, and through which connection, if through one.
pub(crate) struct Asker {
    pub(crate) user: User,
    pub(crate) connection: Option<ConnectionId>,
    /// The seat of a session that asks to enter.
    pub(crate) seat: Option<Seat>,
    pub(crate) away: bool,
}

/// How a room reaches a session.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) line: Line,
    /// Weak: a session ends when its owner lets go, not when its rooms do.
    pub(crate) session: WeakRecipient<Unseated>,
    /// Which of the session's requests to enter a room this seat is for.
    pub(crate) asked: u64,
}

impl Seat {
    /// Tells the session, if there still is one, that it is not seated in the room.
    pub(crate) fn say_unseated(&self, room: RoomId) {
        if let Some(session) = self.session.upgrade() {
            session.do_send(Unseated { room, asked: self.asked });
        }
    }
}

/// What a room says to a session: it is no longer seated here, and need not hold the room, unless
/// it has asked to enter again since.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unseated {
    pub(crate) room: RoomId,
    pub(crate) asked: u64,
}

/// Something has happened to a user, not only here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct About {
    pub(crate) user: User,
    pub(crate) what: Happened,
}

/// What has happened.
pub(crate) enum Happened {
    /// It has another name.
    Renamed,
    /// The other member of their direct room sees it come and go from here on, or does not.
    Shown { to: UserId, shown: bool },
    /// It goes for good, and its membership is to end.
    Gone(ReplyTo),
    /// What it has written is to be deleted.
    Erased(ReplyTo),
}

/// Somebody has left a session's keyboard or come back to it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetAway {
    pub(crate) connection: ConnectionId,
    pub(crate) away: bool,
}

/// Have you been loaded? Answered when it has, or with why it has not.
#[derive(Message)]
#[rtype(result = "Result<()>")]
pub(crate) struct Look;

/// How does the room stand for this user, as far as memory reaches? A room that is not loaded, or whose memory does
/// not reach, does not answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Glance {
    pub(crate) user: UserId,
    pub(crate) answer: oneshot::Sender<Result<Standing>>,
}

/// A session has ended. Sent behind everything that the session asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Depart {
    pub(crate) connection: ConnectionId,
}
