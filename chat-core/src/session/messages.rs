//! What a session understands.

use std::time::Duration;

use actix::prelude::Message;

use crate::clock::Timestamp;
use crate::command::Command;
use crate::deliver::ReplyTo;
use crate::event::CloseReason;
use crate::ids::RoomId;

/// Carry out a command.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) reply: ReplyTo,
}

/// What entitles the session lasts until then.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Renew {
    pub(crate) until: Option<Timestamp>,
}

/// Leave all rooms and end. A transport may say it, and the engine when it stops.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct End {
    pub(crate) reason: CloseReason,
    pub(crate) retry_after: Option<Duration>,
}

/// The session is no longer seated in this room.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unseated {
    pub(crate) room: RoomId,
}

/// One of the rooms of a `resume` has answered.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomAnswered {
    pub(crate) batch: u64,
    pub(crate) resumed: bool,
}
