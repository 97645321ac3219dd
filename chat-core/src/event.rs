//! What those who hear a room are told, without having asked.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::command::Joined;
use crate::error::Error;
use crate::ids::{RoomId, UserId};
use crate::model::{Change, Counts, Cursor, Mark, Message, Presence, ReadPosition, RoomInfo, User};

/// Something that happened. `Message` and `Change` are durable: the store has committed them, and
/// whoever missed them gets them by their cursor. All others are hints about this moment.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody wrote.
    Message {
        /// Where.
        room: RoomId,
        /// Where the room stands with it.
        cursor: Cursor,
        /// What.
        message: Arc<Message>,
    },
    /// Something else changed.
    Change {
        /// Where.
        room: RoomId,
        /// What.
        change: Arc<Change>,
        /// The room's counts after it.
        counts: Counts,
    },
    /// A member came, went, or left the keyboard.
    Presence {
        /// Where.
        room: RoomId,
        /// Who.
        user: User,
        /// How it is now.
        presence: Presence,
        /// How many sessions it has in the room.
        devices: usize,
        /// How many members are present.
        online: usize,
    },
    /// Who is here, in a room where so many come and go that they are not announced one by one.
    Summary {
        /// Where.
        room: RoomId,
        /// Where the room stands; covers the membership changes that were not announced.
        cursor: Cursor,
        /// The room's counts.
        counts: Counts,
        /// At most twenty of those present.
        some: Vec<User>,
        /// How many members have read everything up to the cursor.
        read: usize,
    },
    /// Members have read a room up to these messages; not told in big rooms, and not of whoever is not to
    /// be seen.
    Receipts {
        /// Where.
        room: RoomId,
        /// Who, and the last message that each has read.
        of: Vec<(User, u64)>,
    },
    /// This session's user has read a room, which the session hears, up to a message, perhaps on another
    /// connection.
    Read {
        /// Where.
        room: RoomId,
        /// Up to where, and what is left.
        position: ReadPosition,
    },
    /// Somebody has another name from now on, also as the author of what was written before.
    Renamed {
        /// Where it is a member; `None` as its own sessions are told.
        room: Option<RoomId>,
        /// Who, and how it is called.
        user: User,
    },
    /// Somebody is writing, or has stopped.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        user: User,
        /// Whether it is.
        on: bool,
    },
    /// This session's user has given a message of a room that the session hears a mark, or taken it back,
    /// perhaps on another connection. Follows the change that says how the message is marked.
    Marked {
        /// Where.
        room: RoomId,
        /// Which message.
        seq: u64,
        /// What mark.
        mark: Mark,
        /// Whether it is given.
        on: bool,
    },
    /// This session's user is mentioned in a message, of a room that the session need not hear.
    Mentioned {
        /// Where.
        room: RoomId,
        /// In what.
        message: Arc<Message>,
    },
    /// This session's user has been invited to a room, and may join it.
    Invited {
        /// Which.
        room: RoomInfo,
    },
    /// Something has become of this session's user in a room that the session does not hear, by what the
    /// user has done elsewhere or somebody else has. A session that hears the room is told by the room.
    Mine {
        /// Where.
        room: RoomId,
        /// What.
        change: OwnChange,
    },
    /// The room is gone, with its messages.
    Closed {
        /// Which.
        room: RoomId,
    },
    /// This session did not read fast enough and hears no more of the room until it joins it again
    /// with this cursor.
    Behind {
        /// Which.
        room: RoomId,
        /// The last thing it was told.
        after: Cursor,
    },
    /// A room's part of the answer to [`Command::Resume`](crate::Command::Resume).
    Resumed {
        /// Which.
        room: RoomId,
        /// What was missed, or why the room cannot be heard.
        result: Result<Box<Joined>, Error>,
    },
    /// What entitles this session ends soon, and the session with it, unless it is renewed.
    Expiring {
        /// When.
        at: Timestamp,
    },
    /// Something of the embedding program's own, which it tells by [`Engine::notify`](crate::Engine::notify).
    Notice(Notice),
    /// This connection is about to end.
    Closing {
        /// Why.
        reason: CloseReason,
        /// When to come back, if that is of use.
        retry_after: Option<Duration>,
    },
}

/// What has become of a user in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnChange {
    /// It is a member: it has joined or opened the room, or follows the thread.
    Joined(RoomInfo),
    /// It is a member no longer.
    Left,
    /// Somebody has ended its membership.
    Kicked,
    /// Somebody has, and it may be no member until then; `None` is without an end.
    Banned(Option<Timestamp>),
    /// It has read the room up to a message.
    Read(ReadPosition),
}

/// Something that the engine passes on and knows nothing of. Whoever makes it and the transport that
/// carries it agree on its type. Cheap to clone.
#[derive(Clone)]
pub struct Notice {
    what: Arc<dyn Any + Send + Sync>,
    about: Option<UserId>,
}

impl Notice {
    /// A notice that is this.
    pub fn new(what: impl Any + Send + Sync) -> Self {
        Self { what: Arc::new(what), about: None }
    }

    /// A notice that is this, about somebody: a later one about the same user makes it worthless.
    pub fn about(user: UserId, what: impl Any + Send + Sync) -> Self {
        Self { about: Some(user), ..Self::new(what) }
    }

    /// What it is, if it is of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.what.downcast_ref()
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}

/// What a transient event is about. A later event about the same thing makes an earlier one
/// worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Whether this user is present in this room.
    Presence(RoomId, UserId),
    /// How this user is called.
    Name(Option<RoomId>, UserId),
    /// Whether this user is typing in this room.
    Typing(RoomId, UserId),
    /// Who is in this room.
    Summary(RoomId),
    /// What a [`Notice`] says of this user.
    Notice(UserId),
}

impl Topic {
    /// Whether events about it carry a cursor, which covers what was told before them.
    pub(crate) fn has_cursor(&self) -> bool {
        matches!(self, Self::Summary(_))
    }
}

impl Event {
    /// What the event is about, if it is transient.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::Presence { room, user, .. } => Some(Topic::Presence(*room, user.id)),
            Self::Renamed { room, user } => Some(Topic::Name(*room, user.id)),
            Self::Typing { room, user, .. } => Some(Topic::Typing(*room, user.id)),
            Self::Summary { room, .. } => Some(Topic::Summary(*room)),
            Self::Notice(notice) => notice.about.map(Topic::Notice),
            _ => None,
        }
    }

    /// Where its room stood just before a durable event.
    #[must_use]
    pub fn cursor_before(&self) -> Option<Cursor> {
        match self {
            Self::Message { cursor, .. } => Some(Cursor { seq: cursor.seq - 1, ..*cursor }),
            Self::Change { change, .. } => {
                Some(Cursor { change: change.cursor.change - 1, ..change.cursor })
            }
            _ => None,
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The caller ended it.
    Left,
    /// The engine is stopping.
    Draining,
    /// What entitled it has expired.
    Expired,
    /// What entitled it has been withdrawn: its user has signed out, say, or changed the password.
    Withdrawn,
    /// Its user is gone for good.
    Deleted,
    /// Its peer has read nothing for too long.
    NotReading,
    /// Its peer has said nothing for too long.
    Silent,
    /// Its peer went on sending though it was told that it sends too much.
    Flooding,
}
