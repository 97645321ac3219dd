//! What a session understands.

use actix::prelude::Message;

use crate::clock::Timestamp;
use crate::command::Command;
use crate::deliver::ReplyTo;
use crate::model::User;

/// Carry out a command.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) reply: ReplyTo,
}

/// The user is called otherwise from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Renamed(pub(crate) User);

/// What entitles the session lasts until then.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Renew {
    pub(crate) until: Option<Timestamp>,
}
