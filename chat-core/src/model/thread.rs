//! Threads: rooms whose parent is a message of another room.

use crate::clock::Timestamp;
use crate::ids::RoomId;
use crate::model::{Cursor, User};

/// The message that a thread is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Parent {
    /// The room that the message is in.
    pub room: RoomId,
    /// Its number there.
    pub seq: u64,
}

/// What a thread has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Thread {
    /// The thread's own room.
    pub room: RoomId,
    /// How many of its messages have not been deleted.
    pub replies: u64,
    /// The last of these.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub last: Option<LastReply>,
    /// Where the thread's room stood when it was like this.
    pub upto: Cursor,
}

/// The last message of a thread that has not been deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LastReply {
    /// Who wrote it.
    pub from: User,
    /// When.
    pub at: Timestamp,
    /// Its number in the thread.
    pub seq: u64,
}

impl Thread {
    /// Everybody whom it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &User> {
        self.last.iter().map(|last| &last.from)
    }

    pub(crate) fn names_mut(&mut self) -> impl Iterator<Item = &mut User> {
        self.last.iter_mut().map(|last| &mut last.from)
    }
}
