//! What the engine asks of a database. The trait is small on purpose: the engine answers everything
//! about live rooms from memory, so a store only commits writes, loads a room once, and reads
//! ranges that memory no longer holds.

mod memory;
mod metered;

use async_trait::async_trait;
use thiserror::Error;

pub use memory::MemoryStore;
pub(crate) use metered::Metered;
pub use metered::StoreCalls;

use crate::clock::Timestamp;
use crate::command::{
    ListedThread, MarkerQuery, OwnMark, OwnRoomQuery, Sent, Standing, ThreadQuery,
};
use crate::ids::{RoomId, UserId};
use crate::model::{
    Activity, Body, Change, ChangeKind, ClientKey, Cursor, Fingerprint, Given, Marking, Membership,
    Message, Reading, Restriction, Revision, RoomInfo, Settings, Thread, User,
};

/// A store's own short number for a room, so that its large tables need not carry UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct RoomKey(pub i64);

/// Keeps rooms, memberships, messages and changes.
///
/// Duties of every implementation:
///
/// - What a method has answered with success survives the death of the process.
/// - Text comes back byte for byte, and keys are compared byte for byte.
/// - A call that fails has had no effect, or an effect as a whole; the engine finds out which by
/// reading
///   the room's end before it writes to the room again.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps a new room with its first members, whose joining is the room's changes number 1, 2 …;
    /// answers its id. If it is a direct room and its two members have one already, or a thread on a message
    /// that has one, keeps nothing but the key and answers that one's id; likewise, if the first member
    /// has opened a room with the same key and contents before, however many ask at once. With the same key and
    /// other contents, keeps nothing and answers none.
    /// Such keys are kept for [`limits::KEYS_LAST`](crate::limits::KEYS_LAST) at least. Fails for a thread whose parent's
    /// room is not there.
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError>;

    /// What a user has used a key for in a room, be it a message or a change.
    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError>;

    /// Forgets keys of whatever is no message, and of opened rooms, that were used before a moment; a piece of them.
    /// Answers how many.
    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Everything the engine keeps of a live room, with its last `recent` messages and changes.
    /// `None` if there is no such room, or it has been deleted.
    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError>;

    /// Commits all batches in one transaction, each batch's writes in order, numbered on from
    /// [`Batch::after`] without a gap. Answers one outcome per batch, in order. At most one batch
    /// of a room is under way at a time in one engine; another process may write the same room. Then
    /// a batch is fenced, unless it [may follow](Batch::may_follow) what the other has written.
    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError>;

    /// The room's messages above `after`, up to and including `until`; oldest first.
    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError>;

    /// Who has given the room's messages above `after`, up to and including `until`, which marks; in any
    /// order.
    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError>;

    /// What a user has marked of those messages, in any order.
    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError>;

    /// Who has given a message a mark, under their names of now, in the order of their ids: at most
    /// `limit` of those with a greater id.
    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError>;

    /// What a message said before it was edited, oldest first: of more than [`crate::limits::REVISIONS`], the first
    /// half of so many and the last; nothing of one that was never edited, has
    /// been deleted, or is not there.
    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError>;

    /// What a thread has come to by now; `None` of a room that is not there, or is no thread.
    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError>;

    /// A page of the room's threads, as far as the room has been told of them by changes.
    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError>;

    /// The room's changes above number `after`, at most `limit`; oldest first.
    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError>;

    /// Open rooms whose title contains the query, newest first.
    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError>;

    /// A page of the rooms of which a user is a member, and of threads, if they are asked for, of their parent's rooms
    /// as well; the latest activity first.
    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError>;

    /// How these rooms stand for a user, each as of one moment, with nobody online; in any order. Those of
    /// which it is not a member are left out, as [`active_rooms`](Self::active_rooms) leaves them out.
    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError>;

    /// Deletes a room with all that belongs to it, its threads too. Of a room that is not there: does nothing.
    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError>;

    /// Calls a user by this name from now on, wherever it is named: as the author of what it has written,
    /// as a member, in changes. Names that come along with later writes do not change it.
    async fn rename(&self, user: &User) -> Result<(), StoreError>;

    /// The rooms that know a user: of which it is a member, or has been, or has been invited to or banned
    /// from; in any order.
    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError>;

    /// Deletes what a user has written above `after`, up to and including `until`: of its messages
    /// [`Message::delete`] says what is left; their revisions go, and their keys may. May be asked again, and then goes on.
    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError>;

    /// Every ephemeral room: asked once, when the engine starts, to end those that a crash left.
    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError>;
}

/// A room as the store has it.
#[derive(Clone, Debug)]
pub struct LoadedRoom {
    /// The store's number for it.
    pub key: RoomKey,
    /// What does not change.
    pub info: RoomInfo,
    /// Its last message and change.
    pub end: Cursor,
    /// The last of its messages that are no longer kept; 0 if all are.
    pub removed: u64,
    /// What its owner has set; a new room has the default.
    pub settings: Settings,
    /// Its members, in any order.
    pub members: Vec<Membership>,
    /// How far its members have read, in any order; of one who has not read at all, nothing.
    pub readings: Vec<Reading>,
    /// Who has been invited and has not joined since, in any order.
    pub invited: Vec<User>,
    /// Who is banned, in any order. Those whose end has passed may be left out.
    pub bans: Vec<Restriction>,
    /// Who is muted, likewise: members, and users who were and may come back.
    pub mutes: Vec<Restriction>,
    /// Its last messages, oldest first, up to the end.
    pub messages: Vec<Message>,
    /// Who has marked these, in any order.
    pub marks: Vec<Given>,
    /// Its last changes, oldest first, up to the end.
    pub changes: Vec<Change>,
    /// Keys that were used in it, in any order: those of its last messages, and of its last changes.
    pub keys: Vec<UsedKey>,
    /// Whether those of all changes are among them that are not forgotten.
    pub all_keys: bool,
    /// What it has come to, if it is a thread.
    pub thread: Option<LoadedThread>,
    /// Those of its own threads of which it has not been told all, in any order: see
    /// [`LoadedThread::is_told`].
    pub untold: Vec<RoomId>,
}

/// A thread as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedThread {
    /// What it has come to.
    pub now: Thread,
    /// Whether its parent's room has been told so: whether the last change of that room which is about it
    /// ([`ChangeKind::Thread`]) came after its last message and its last deletion. Before the first one, it
    /// has not.
    pub is_told: bool,
}

/// A client key, and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedKey {
    /// By whom.
    pub user: UserId,
    /// The key.
    pub key: ClientKey,
    /// Stands for what was done with it.
    pub fingerprint: Fingerprint,
    /// What that got, if it was a message.
    pub sent: Option<Sent>,
}

/// How many messages of others a batch may follow. Whoever is further behind reads first.
const MOST_BETWEEN: u64 = 512;

/// Consecutive writes to one room.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Batch {
    /// Which room.
    pub room: RoomKey,
    /// Where the engine believes the room stands.
    pub after: Cursor,
    /// Whether the writes, all of which are messages or say how far somebody has read, may also come after messages that somebody
    /// else has written since: then they are numbered on from where the room stands, and what came in
    /// between is part of the answer ([`BatchOutcome::Followed`]). They never may come after a change
    /// that the engine does not know, which could have ended somebody's membership. A store that
    /// cannot do this fences; so does one to which too much has come in between.
    #[cfg_attr(feature = "serde", serde(default))]
    pub may_follow: bool,
    /// What to write, in order.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Whether its writes can be numbered on from where the room stands.
    #[must_use]
    pub fn fits(&self, end: Cursor) -> bool {
        end == self.after || self.follows(end)
    }

    /// Whether they can, but only behind messages of others.
    #[must_use]
    pub fn follows(&self, end: Cursor) -> bool {
        let between = end.seq.saturating_sub(self.after.seq);
        self.may_follow && end.change == self.after.change && (1..=MOST_BETWEEN).contains(&between)
    }
}

/// One write.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum Write {
    /// A message: takes the next `seq`.
    Message {
        /// Who wrote it.
        from: User,
        /// What.
        body: Body,
        /// When.
        at: Timestamp,
        /// The client's key, and what stands for the message's contents.
        key: Option<(ClientKey, Fingerprint)>,
    },
    /// Something else happened, and the names of whom it is about and of who did it are kept: takes
    /// the next change number. [`ChangeKind`] says what it does to memberships, invitations, bans,
    /// mutes, settings and messages: an edit keeps what the message said before ([`Store::revisions`]),
    /// and does nothing to a message that is deleted, as [`Message::edit`] says; a deletion lets go of
    /// everything but what [`Message::delete`] leaves, revisions too, and keeps the message's key. What a thread
    /// has come to is part of its message from then on ([`Message::set_thread`]). An ownership is transferred by a member, who becomes a moderator by it.
    Change {
        /// What.
        kind: ChangeKind,
        /// Who did it, if it was somebody else than the user whom it is about.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        by: Option<User>,
        /// When.
        at: Timestamp,
        /// The key of whoever did it, and what stands for what was done. Kept for
        /// [`limits::KEYS_LAST`](crate::limits::KEYS_LAST) at least.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        key: Option<(ClientKey, Fingerprint)>,
    },
    /// Users give a message marks, or take them back: the change [`ChangeKind::Marked`], with the next
    /// change number. To give what is given already, or take back what is not, does nothing, and neither
    /// does anything of a message that is deleted. Keys are kept like those of changes; if one of them was used
    /// before, nothing of all this is written, and the outcome is [`Outcome::KeyConflict`].
    Marks {
        /// Which message.
        seq: u64,
        /// What they do, in order.
        markings: Vec<Marking>,
        /// The last of them.
        last: Membership,
        /// When.
        at: Timestamp,
    },
    /// Members have read the room up to these messages. Takes no number, and may follow whatever anybody has
    /// written: a position moves forward only, and of whoever is not a member nothing is kept. Whoever
    /// joins has read the room up to there by that; whose membership ends, has no position.
    Read(Vec<Reading>),
    /// Somebody has asked for what is so already. Nothing changes and no number is taken, but the key is kept like
    /// that of a change: asked again when it would change something, it changes nothing either.
    Key {
        /// Whose key.
        user: UserId,
        /// The key.
        key: ClientKey,
        /// Stands for what was asked.
        fingerprint: Fingerprint,
        /// When.
        at: Timestamp,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// One outcome per write, in order.
    Done(Vec<Outcome>),
    /// As `Done`, but behind messages that somebody else had written.
    Followed {
        /// These: all from where the batch was to begin up to its own first message.
        between: Vec<Message>,
        /// One outcome per write, in order.
        outcomes: Vec<Outcome>,
    },
    /// The room does not stand where the batch begins: somebody else wrote. Nothing was written.
    Fenced,
    /// The room has been deleted. Nothing was written.
    Gone,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, and this is where the room stands with it.
    Stored(Cursor),
    /// A message with this key and contents was stored before; it took no new number.
    Seen(Sent),
    /// A change with this key and contents was stored before, or had nothing to change; it took no new number.
    Repeated,
    /// Something else was stored before with this key; or, of marks, whatever was stored with one of their keys.
    KeyConflict,
}

/// Which open rooms to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoomQuery {
    /// Part of the title, compared without regard to case where the store can; empty for all.
    pub title: String,
    /// Only rooms older than this one.
    pub after: Option<RoomId>,
    /// How many at most.
    pub limit: usize,
}

/// A listed room.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The room.
    pub info: RoomInfo,
    /// How many members it has.
    pub members: usize,
}

/// The store could not do what it was asked. Logged where the engine meets it; callers are told
/// `unavailable`.
#[derive(Debug, Error)]
#[error("the store failed: {0}")]
pub struct StoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// A failure with this cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
