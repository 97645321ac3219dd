//! How far somebody has read.

use crate::clock::Timestamp;
use crate::ids::{RoomId, UserId};
use crate::model::Message;

/// How far a member has read a room, and what it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    /// The last message that it has read; 0 before the first. Whoever joins has read what was there.
    pub seq: u64,
    /// What stands behind that. `None` if that is more than the room keeps in memory:
    /// [`Room::standing`](crate::Room::standing) counts it.
    pub unread: Option<Unread>,
}

/// What a member has not read: messages of others that are not deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// How many.
    pub messages: u64,
    /// How many of them mention the member, as they are now.
    pub mentions: u64,
}

impl Unread {
    /// Counts a message that stands behind what this member has read.
    pub(crate) fn count(&mut self, message: &Message, member: UserId) {
        if !message.deleted && message.from.id != member {
            self.messages += 1;
            self.mentions += u64::from(message.body.mentions.contains(&member));
        }
    }
}

/// That a member has read a room up to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reading {
    /// Who.
    pub user: UserId,
    /// The last message that it has read.
    pub seq: u64,
}

/// When something was last written in a room, or else when it was opened. Of two rooms of the same moment,
/// the one with the greater id counts as the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub room: RoomId,
}
