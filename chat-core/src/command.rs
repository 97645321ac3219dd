//! What a caller may ask, and what it is answered. Transports turn bytes into these and back; the
//! engine knows no other form.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{
    Activity, Change, ClientKey, Counts, Cursor, Draft, Edit, Fingerprint, Mark, MemberView,
    Membership, Message, Moderation, Mute, NewRoom, Presence, ReadPosition, Restriction, Revision,
    RoomView, Settings, Text, Thread, Unread, User,
};

/// Something that a session may ask.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a room, with the asker as its owner. Answered by [`Reply::Room`].
    Open(NewRoom),
    /// Ask something of one room.
    Room(RoomId, RoomCommand),
    /// Hear rooms again after a reconnection, each from its cursor on. Every room answers with an
    /// [`Event::Resumed`](crate::Event::Resumed); when all have, [`Reply::Resumed`] follows. They are asked
    /// as the reader takes what they answer, so that all of it comes, however much it is, to whoever reads.
    /// Only [`Session::ask`](crate::Session::ask), whose caller may read nothing before it has the reply,
    /// waits for no reader: what finds no place is `busy`.
    Resume(Vec<(RoomId, Cursor)>),
    /// Say whether this session's person is there. Answered by [`Reply::Done`].
    Presence(Presence),
    /// Answered by [`Reply::Pong`].
    Ping,
}

/// Something that may be asked of a room.
#[derive(Clone, Debug)]
pub enum RoomCommand {
    /// Become a member, and hear the room from now on. Answered by [`Reply::Joined`].
    Join {
        /// What the asker knows of the room.
        after: After,
        /// How many of the latest messages to answer if it knows nothing; at most
        /// [`limits::PAGE`].
        limit: usize,
    },
    /// Hear the room again, if still a member. Answered by [`Reply::Joined`].
    Resume {
        /// The last cursor the asker saw.
        after: Cursor,
    },
    /// Be a member no longer. Answered by [`Reply::Done`].
    Leave,
    /// Invite a user, who may then join. Answered by [`Reply::Done`], also if the user is a member
    /// or invited already.
    Invite(User),
    /// As `Invite`, for a user whose id alone is known: the [`Directory`](crate::Directory) knows the
    /// rest, or the room from before.
    InviteUser(UserId),
    /// Keep order: what the room's owner and moderators may do. Answered by [`Reply::Done`], also if
    /// it is so already.
    Moderate(Moderation),
    /// Read who is banned; the owner and moderators may. Answered by [`Reply::Bans`].
    Bans(BanQuery),
    /// Write a message. Answered by [`Reply::Sent`] once the store has committed it.
    Send(Draft),
    /// Let a message say something else. Whom it mentions is found out on the way. Answered by
    /// [`Reply::Done`] once the store has committed it.
    Edit {
        /// Which message.
        seq: u64,
        /// What it says from then on.
        edit: Edit,
    },
    /// Delete a message. Answered by [`Reply::Done`], also if it has been deleted already.
    Delete {
        /// Which message.
        seq: u64,
    },
    /// Give a message a mark, or take one's own back. Answered by [`Reply::Done`] once the store has
    /// committed it, also if it is so already.
    Mark {
        /// Which message.
        seq: u64,
        /// What mark.
        mark: Mark,
        /// Whether to give it.
        on: bool,
    },
    /// Read who has given a message a mark. Answered by [`Reply::Markers`].
    Markers(MarkerQuery),
    /// Have read the room up to a message. Moves forward only, and needs no key for that. Answered by
    /// [`Reply::Read`] once the store has committed it.
    Read {
        /// The last message that has been read.
        seq: u64,
    },
    /// Read who has read the room up to a message. Answered by [`Reply::Readers`].
    Readers(ReaderQuery),
    /// Read what was said last, and what the asker has not read. Answered by [`Reply::Standing`].
    Standing,
    /// Open a thread on a message, or find the one that is there: however many ask at once, there is one.
    /// Whoever opens it is a member of it, and so is the message's author. Answered by [`Reply::Room`], the
    /// thread's own room.
    Thread {
        /// Which message.
        seq: u64,
    },
    /// Read which threads the room has. Answered by [`Reply::Threads`].
    Threads(ThreadQuery),
    /// Read what a message said before it was edited. Answered by [`Reply::Revisions`].
    Revisions {
        /// Which message.
        seq: u64,
    },
    /// Do this once, however often it is asked with this key: whoever asks again gets the first answer.
    /// A [`Policy`](crate::Policy) is asked about the command inside. See [`RoomCommand::once`].
    Once {
        /// Names it, among all that its user does in this room.
        key: ClientKey,
        /// What to do: something that changes the room.
        command: Box<RoomCommand>,
    },
    /// Read messages. Answered by [`Reply::History`].
    History(HistoryQuery),
    /// Read who is a member. Answered by [`Reply::Members`].
    Members(MemberQuery),
    /// Say that the asker is writing, or has stopped. Answered by [`Reply::Done`].
    Typing(bool),
    /// Read the room's title and counts; anybody may, of an open room, members and invited users of
    /// a private one. Answered by [`Reply::Room`].
    View,
}

impl RoomCommand {
    /// [`Join`](Self::Join) with [`limits::DEFAULT_PAGE`] messages.
    #[must_use]
    pub fn join(after: After) -> Self {
        Self::Join { after, limit: limits::DEFAULT_PAGE }
    }

    /// The same command, to take effect once, however often it is asked with this key. The key is the
    /// user's own in this room, for messages and everything else together, and is remembered for
    /// [`limits::KEYS_LAST`] at least, also if there was nothing to do; with another command it is a `key_conflict`.
    /// Joining, reading and opening a thread take none: doing them twice is doing them once.
    #[must_use]
    pub fn once(self, key: ClientKey) -> Self {
        match self {
            Self::Send(draft) => Self::Send(Draft { key: Some(key), ..draft }),
            command => Self::Once { key, command: Box::new(command) },
        }
    }

    /// Stands for a command that changes the room; `None` of another one.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        // No text of a message begins with this byte, so no command is taken for one.
        let of = |name: &str, parts: &[&[u8]]| {
            let mut digest = Sha256::new_with_prefix(b"\xff");
            for part in std::iter::once(&name.as_bytes()).chain(parts) {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
            Some(Fingerprint::of(digest))
        };
        match self {
            Self::Send(draft) => Some(draft.fingerprint()),
            Self::Leave => of("leave", &[]),
            Self::Invite(User { id, .. }) | Self::InviteUser(id) => {
                of("invite", &[id.uuid().as_bytes()])
            }
            Self::Moderate(act) => of("moderate", &[act.canonical().as_bytes()]),
            Self::Edit { seq, edit } => of("edit", &[&seq.to_be_bytes(), edit.text.as_bytes()]),
            Self::Delete { seq } => of("delete", &[&seq.to_be_bytes()]),
            Self::Mark { seq, mark, on } => {
                of("mark", &[&seq.to_be_bytes(), mark.as_bytes(), &[u8::from(*on)]])
            }
            _ => None,
        }
    }

    /// [`Edit`](Self::Edit) to this text.
    #[must_use]
    pub fn edit(seq: u64, text: Text) -> Self {
        Self::Edit { seq, edit: Edit { text, mentions: Vec::new() } }
    }
}

/// What somebody who joins a room knows of it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing: answer with the latest messages.
    Nothing,
    /// Everything up to this cursor: answer with what was missed.
    Cursor(Cursor),
}

/// Which page of a room's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// From where.
    pub at: HistoryAt,
    /// How many messages; at most [`limits::PAGE`].
    pub limit: usize,
}

/// From where a page of messages is read. The numbers are `seq`, and need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryAt {
    /// The latest.
    End,
    /// The latest before this one.
    Before(u64),
    /// The earliest after this one.
    After(u64),
    /// As many before this one as after it, and itself.
    Around(u64),
}

/// Which page of a room's members, in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberQuery {
    /// Only those with a greater id.
    pub after: Option<UserId>,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
    /// Only those who are present.
    pub online: bool,
}

/// Which page of a room's bans, in the order of their users' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanQuery {
    /// Only those with a greater id.
    pub after: Option<UserId>,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
}

/// Which page of a room's threads: the one that was written in last first, one in which nothing is written as
/// of its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadQuery {
    /// Only those behind this place.
    pub after: Option<ThreadPlace>,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
}

/// The place of a thread among those of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadPlace {
    /// When it was last written in, or opened.
    pub at: Timestamp,
    /// The message that it is on.
    pub seq: u64,
}

/// Which page of those who have given a message a mark, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerQuery {
    /// Which message.
    pub seq: u64,
    /// What mark.
    pub mark: Mark,
    /// Only those with a greater id.
    pub after: Option<UserId>,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
}

/// Which page of those who have read a room up to a message, in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderQuery {
    /// Up to which message.
    pub seq: u64,
    /// Only those with a greater id.
    pub after: Option<UserId>,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
}

/// Which page of the rooms of which a user is a member, those first in which something was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnRoomQuery {
    /// Only those before this.
    pub before: Option<Activity>,
    /// Whether the threads that it follows are among them.
    pub threads: bool,
    /// How many; at most [`limits::PAGE`].
    pub limit: usize,
}

impl Default for OwnRoomQuery {
    fn default() -> Self {
        Self { before: None, threads: true, limit: limits::DEFAULT_PAGE }
    }
}

/// What a command is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To `Open` and `View`.
    Room(RoomView),
    /// To `Join` and to a room's part of `Resume`.
    Joined(Box<Joined>),
    /// To `Resume`, after every room's own answer.
    Resumed {
        /// How many rooms are heard again.
        resumed: usize,
        /// How many answered with an error.
        failed: usize,
    },
    /// To `Send`.
    Sent(Sent),
    /// To `History`.
    History(History),
    /// To `Members`.
    Members(MemberPage),
    /// To `Bans`.
    Bans(BanPage),
    /// To `Markers`.
    Markers(MarkerPage),
    /// To `Read`.
    Read(ReadPosition),
    /// To `Readers`.
    Readers(ReaderPage),
    /// To `Standing`.
    Standing(Box<Standing>),
    /// To `Threads`.
    Threads(ThreadPage),
    /// To `Revisions`: oldest first.
    Revisions(Vec<Revision>),
    /// To what has nothing to tell.
    Done,
    /// To `Ping`: the engine's time.
    Pong(Timestamp),
}

impl Reply {
    pub(crate) fn room(self) -> Result<RoomView> {
        match self {
            Self::Room(room) => Ok(room),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn joined(self) -> Result<Joined> {
        match self {
            Self::Joined(joined) => Ok(*joined),
            other => Err(other.unexpected()),
        }
    }

    /// What a message got, if it is the answer to one.
    pub(crate) fn as_sent(&self) -> Option<Sent> {
        match self {
            Self::Sent(sent) => Some(*sent),
            _ => None,
        }
    }

    pub(crate) fn sent(self) -> Result<Sent> {
        match self {
            Self::Sent(sent) => Ok(sent),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn history(self) -> Result<History> {
        match self {
            Self::History(history) => Ok(history),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn members(self) -> Result<MemberPage> {
        match self {
            Self::Members(members) => Ok(members),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn markers(self) -> Result<MarkerPage> {
        match self {
            Self::Markers(page) => Ok(page),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn read(self) -> Result<ReadPosition> {
        match self {
            Self::Read(position) => Ok(position),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn readers(self) -> Result<ReaderPage> {
        match self {
            Self::Readers(page) => Ok(page),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn standing(self) -> Result<Standing> {
        match self {
            Self::Standing(standing) => Ok(*standing),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn threads(self) -> Result<ThreadPage> {
        match self {
            Self::Threads(page) => Ok(page),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn revisions(self) -> Result<Vec<Revision>> {
        match self {
            Self::Revisions(revisions) => Ok(revisions),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn bans(self) -> Result<BanPage> {
        match self {
            Self::Bans(bans) => Ok(bans),
            other => Err(other.unexpected()),
        }
    }

    /// A reply of another kind than the command's: a fault in the engine.
    fn unexpected(self) -> Error {
        tracing::error!(reply = ?self, "a command got another command's reply");
        Error::new(Code::Internal, "the engine answered something else than was asked")
    }
}

/// What a written message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sent {
    /// Its number in the room.
    pub seq: u64,
    /// When the room took it.
    pub at: Timestamp,
}

/// A room as somebody finds it who has just joined it or come back.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The room.
    pub room: RoomView,
    /// The asker's own membership.
    pub me: Membership,
    /// What keeps the asker from writing, if something does.
    pub mute: Option<Mute>,
    /// How far the asker has read, on whichever device.
    pub read: ReadPosition,
    /// The room's settings.
    pub settings: Settings,
    /// The first members who are present, [`limits::DEFAULT_PAGE`] at most.
    pub first: Vec<MemberView>,
    /// Where the room stands: what `messages` and `changes` lead up to, and events go on from.
    pub cursor: Cursor,
    /// What was missed, or the latest; oldest first.
    pub messages: Vec<Arc<Message>>,
    /// What else was missed; oldest first.
    pub changes: Vec<Arc<Change>>,
    /// What the asker has marked of those messages, and of those that changes say are marked.
    pub mine: Vec<OwnMark>,
    /// More was missed than one answer carries: these messages, which are in the history.
    pub behind: Option<Behind>,
    /// The cursor was not one of this room's, or too much has changed since: forget what is known
    /// of the room and begin with this answer.
    pub reset: bool,
}

/// A range of missed messages: each `seq` above `after`, up to and including `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The last one known.
    pub after: u64,
    /// The last one missed.
    pub until: u64,
}

/// A page of messages.
#[derive(Clone, Debug)]
pub struct History {
    /// Of which room.
    pub room: RoomId,
    /// Oldest first.
    pub messages: Vec<Arc<Message>>,
    /// What the asker has marked of them.
    pub mine: Vec<OwnMark>,
    /// Whether there are older ones.
    pub more_before: bool,
    /// Whether there are newer ones.
    pub more_after: bool,
}

/// A message that the asker has marked, and the mark.
pub type OwnMark = (u64, Mark);

/// A page of those who have given a message a mark.
#[derive(Clone, Debug)]
pub struct MarkerPage {
    /// In the order of their ids.
    pub users: Vec<User>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}

/// Who has read a room up to a message.
#[derive(Clone, Debug)]
pub struct ReaderPage {
    /// How many members have.
    pub count: usize,
    /// These, in the order of their ids; nobody in a room with more than
    /// [`Limits::big_room`](crate::Limits::big_room) present sessions.
    pub users: Vec<User>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}

/// A room as it stands for one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The room.
    pub room: RoomView,
    /// Where the room stood as this was counted.
    pub cursor: Cursor,
    /// Its last message, if there is one; without its marks.
    pub last: Option<Arc<Message>>,
    /// The last message that the member has read.
    pub read: u64,
    /// What it has not.
    pub unread: Unread,
}

/// A page of the rooms of which a user is a member.
#[derive(Clone, Debug)]
pub struct OwnRooms {
    /// Those first in which something was said last.
    pub rooms: Vec<Standing>,
    /// Where the next page begins, if there is one.
    pub next: Option<Activity>,
}

/// A page of threads.
#[derive(Clone, Debug)]
pub struct ThreadPage {
    /// The one that was written in last first.
    pub threads: Vec<ListedThread>,
    /// How far the asker has read those of them that it follows.
    pub following: HashMap<RoomId, ReadPosition>,
    /// Where the next page begins, if there is one.
    pub next: Option<ThreadPlace>,
}

/// A thread as its room lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedThread {
    /// Its place.
    pub place: ThreadPlace,
    /// What it has come to, as far as its room has been told.
    pub thread: Thread,
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct MemberPage {
    /// Of the whole room.
    pub counts: Counts,
    /// In the order of their ids. Shared by all who ask for the same page while nobody comes or
    /// goes.
    pub members: Arc<[MemberView]>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}

/// A page of bans that hold.
#[derive(Clone, Debug)]
pub struct BanPage {
    /// In the order of their users' ids.
    pub bans: Vec<Restriction>,
    /// Where the next page begins, if there is one.
    pub next: Option<UserId>,
}
