//! What a session understands.

use actix::prelude::Message;

use crate::clock::Timestamp;
use crate::command::Command;
use crate::deliver::ReplyTo;

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
