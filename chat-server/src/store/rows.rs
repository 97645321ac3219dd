//! Rows as they come out of a database, and how they become the engine's plain data again. The same
//! for every database; the column names are those of [`selects`](super::selects).

use chat_core::{
    Activity, Body, Change, ChangeKind, ClientKey, Counts, Cursor, Details, Edit, Fingerprint,
    Given, Kind, LastReply, Listed, ListedThread, LoadedThread, Mark, MarkCount, Membership,
    Message, Name, Parent, Reading, Restriction, Revision, Role, RoomId, RoomInfo, RoomKey,
    RoomView, Sent, Settings, Standing, Text, Thread, ThreadPlace, Timestamp, Title, Unread,
    UsedKey, User, UserId, WhoInvites,
};
use sqlx::FromRow;
use thiserror::Error;
use uuid::Uuid;

use super::plan::{FirstUse, Kept, KeyOf};
use crate::people::Username;

/// A stored value is none that this version wrote.
#[derive(Debug, Error)]
#[error(
    "a stored {0} cannot be read; was the database changed by hand, or written by a newer version?"
)]
pub(super) struct Unreadable(pub(super) &'static str);

#[derive(FromRow)]
pub(super) struct RoomRow {
    room: i64,
    seq: i64,
    number: i64,
    removed_seq: i64,
    parent: Option<Vec<u8>>,
    parent_seq: Option<i64>,
    #[sqlx(flatten)]
    info: InfoRow,
    invite: String,
    slow_s: i64,
    read_only: bool,
}

/// A room without what belongs to it.
pub(super) struct StoredRoom {
    pub(super) key: RoomKey,
    pub(super) info: RoomInfo,
    pub(super) end: Cursor,
    pub(super) removed: u64,
    pub(super) settings: Settings,
}

impl RoomRow {
    pub(super) fn read(self) -> Result<StoredRoom, Unreadable> {
        let parent = parent(self.parent, self.parent_seq)?;
        Ok(StoredRoom {
            key: RoomKey(self.room),
            info: RoomInfo { parent, ..self.info.read()? },
            end: cursor(self.seq, self.number)?,
            removed: number(self.removed_seq)?,
            settings: settings(&self.invite, self.slow_s, self.read_only)?,
        })
    }
}

/// The message that a room is a thread on, if it is one.
fn parent(room: Option<Vec<u8>>, seq: Option<i64>) -> Result<Option<Parent>, Unreadable> {
    let Some((room, seq)) = room.zip(seq) else { return Ok(None) };
    Ok(Some(Parent { room: room_id(&room)?, seq: number(seq)? }))
}

#[derive(FromRow)]
pub(super) struct ListedRow {
    members: i64,
    #[sqlx(flatten)]
    info: InfoRow,
}

impl ListedRow {
    pub(super) fn read(self) -> Result<Listed, Unreadable> {
        let members = usize::try_from(self.members).map_err(|_| Unreadable("count"))?;
        Ok(Listed { info: self.info.read()?, members })
    }
}

#[derive(FromRow)]
struct InfoRow {
    public_id: Vec<u8>,
    title: String,
    kind: String,
    ephemeral: bool,
    created_ms: i64,
}

impl InfoRow {
    fn read(self) -> Result<RoomInfo, Unreadable> {
        Ok(RoomInfo {
            id: room_id(&self.public_id)?,
            title: title(self.title)?,
            kind: Kind::parse(&self.kind).ok_or(Unreadable("kind of room"))?,
            ephemeral: self.ephemeral,
            created: time(self.created_ms)?,
            parent: None,
        })
    }
}

#[derive(FromRow)]
pub(super) struct UserRow {
    user: Vec<u8>,
    name: String,
}

impl UserRow {
    pub(super) fn read(self) -> Result<User, Unreadable> {
        user(&self.user, self.name)
    }
}

#[derive(FromRow)]
pub(super) struct MemberRow {
    #[sqlx(flatten)]
    user: UserRow,
    role: String,
}

impl MemberRow {
    pub(super) fn read(self) -> Result<Membership, Unreadable> {
        let role = Role::parse(&self.role).ok_or(Unreadable("role"))?;
        Ok(Membership { user: self.user.read()?, role })
    }
}

/// How far a member has read.
#[derive(FromRow)]
pub(super) struct ReadingRow {
    user: Vec<u8>,
    seq: i64,
}

impl ReadingRow {
    pub(super) fn read(self) -> Result<Reading, Unreadable> {
        Ok(Reading { user: user_id(&self.user)?, seq: number(self.seq)? })
    }
}

/// When something was last written in a room.
#[derive(FromRow)]
pub(super) struct ActiveRow {
    public_id: Vec<u8>,
    at_ms: i64,
}

impl ActiveRow {
    pub(super) fn read(self) -> Result<Activity, Unreadable> {
        Ok(Activity { at: time(self.at_ms)?, room: room_id(&self.public_id)? })
    }
}

/// How a room stands for a user, without its last message.
#[derive(FromRow)]
pub(super) struct StandingRow {
    room: i64,
    seq: i64,
    number: i64,
    parent: Option<Vec<u8>>,
    parent_seq: Option<i64>,
    read_seq: i64,
    unread: i64,
    mentions: i64,
    #[sqlx(flatten)]
    listed: ListedRow,
}

impl StandingRow {
    pub(super) fn read(self) -> Result<(RoomKey, Standing), Unreadable> {
        let Listed { info, members } = self.listed.read()?;
        let parent = parent(self.parent, self.parent_seq)?;
        let counts = Counts { members, online: 0 };
        let standing = Standing {
            room: RoomView { info: RoomInfo { parent, ..info }, counts },
            cursor: cursor(self.seq, self.number)?,
            last: None,
            read: number(self.read_seq)?,
            unread: Unread { messages: number(self.unread)?, mentions: number(self.mentions)? },
        };
        Ok((RoomKey(self.room), standing))
    }
}

/// A user who is kept from something.
#[derive(FromRow)]
pub(super) struct RestrictionRow {
    #[sqlx(flatten)]
    user: UserRow,
    kind: String,
    until_ms: Option<i64>,
}

impl RestrictionRow {
    pub(super) fn read(self) -> Result<(Kept, Restriction), Unreadable> {
        let kept = Kept::parse(&self.kind).ok_or(Unreadable("kind of restriction"))?;
        let until = self.until_ms.map(time).transpose()?;
        Ok((kept, Restriction { user: self.user.read()?, until }))
    }
}

#[derive(FromRow)]
pub(super) struct MessageRow {
    seq: i64,
    sender: Vec<u8>,
    name: String,
    text: String,
    at_ms: i64,
    reply_to: Option<i64>,
    mentions: Option<Vec<u8>>,
    files: Option<Vec<u8>>,
    edited_ms: Option<i64>,
    deleted: bool,
}

impl MessageRow {
    pub(super) fn read(self) -> Result<Message, Unreadable> {
        Ok(Message {
            seq: number(self.seq)?,
            from: user(&self.sender, self.name)?,
            body: Body {
                text: text(self.text)?,
                reply_to: self.reply_to.map(number).transpose()?,
                mentions: unpacked(self.mentions)?,
                files: unpacked(self.files)?,
            },
            at: time(self.at_ms)?,
            edited: self.edited_ms.map(time).transpose()?,
            deleted: self.deleted,
            marks: Vec::new(),
            thread: None,
        })
    }
}

/// What a thread has come to.
#[derive(FromRow)]
struct ThreadRow {
    public_id: Vec<u8>,
    replies: i64,
    last_seq: Option<i64>,
    last_user: Option<Vec<u8>>,
    last_ms: Option<i64>,
    last_name: Option<String>,
    upto_seq: i64,
    upto_change: i64,
}

impl ThreadRow {
    fn read(self) -> Result<Thread, Unreadable> {
        let last = match (self.last_seq, self.last_user, self.last_ms, self.last_name) {
            (None, ..) => None,
            (Some(seq), Some(id), Some(at), Some(name)) => {
                let from = user(&id, name)?;
                Some(LastReply { from, at: time(at)?, seq: number(seq)? })
            }
            _ => return Err(Unreadable("last reply")),
        };
        let upto = cursor(self.upto_seq, self.upto_change)?;
        let (room, replies) = (room_id(&self.public_id)?, number(self.replies)?);
        Ok(Thread { room, replies, last, upto })
    }
}

/// A thread by itself.
#[derive(FromRow)]
pub(super) struct LoadedThreadRow {
    #[sqlx(flatten)]
    now: ThreadRow,
    told_seq: Option<i64>,
    has_new: bool,
    has_deleted: bool,
}

impl LoadedThreadRow {
    pub(super) fn read(self) -> Result<LoadedThread, Unreadable> {
        let is_told = self.told_seq.is_some() && !self.has_new && !self.has_deleted;
        Ok(LoadedThread { now: self.now.read()?, is_told })
    }
}

/// A thread as its parent's room has been told of it.
#[derive(FromRow)]
pub(super) struct ToldThreadRow {
    seq: i64,
    at_ms: i64,
    #[sqlx(flatten)]
    told: ThreadRow,
}

impl ToldThreadRow {
    pub(super) fn read(self) -> Result<ListedThread, Unreadable> {
        let place = ThreadPlace { at: time(self.at_ms)?, seq: number(self.seq)? };
        Ok(ListedThread { place, thread: self.told.read()? })
    }
}

/// What has been told of the thread on one of several messages.
#[derive(FromRow)]
pub(super) struct ToldRow {
    room: i64,
    #[sqlx(flatten)]
    thread: ToldThreadRow,
}

impl ToldRow {
    pub(super) fn read(self) -> Result<((RoomKey, u64), Thread), Unreadable> {
        let ListedThread { place, thread } = self.thread.read()?;
        Ok(((RoomKey(self.room), place.seq), thread))
    }
}

/// How often a mark was given to a message.
#[derive(FromRow)]
pub(super) struct CountRow {
    seq: i64,
    mark: Vec<u8>,
    count: i64,
}

impl CountRow {
    pub(super) fn read(self) -> Result<(u64, MarkCount), Unreadable> {
        let count = number(self.count)?;
        Ok((number(self.seq)?, MarkCount { mark: mark(self.mark)?, count }))
    }
}

/// A mark that a user has given.
#[derive(FromRow)]
pub(super) struct GivenRow {
    seq: i64,
    mark: Vec<u8>,
    user: Vec<u8>,
}

impl GivenRow {
    pub(super) fn read(self) -> Result<Given, Unreadable> {
        Ok(Given { seq: number(self.seq)?, mark: mark(self.mark)?, user: user_id(&self.user)? })
    }
}

fn mark(stored: Vec<u8>) -> Result<Mark, Unreadable> {
    let mark = String::from_utf8(stored).ok().and_then(|mark| Mark::new(mark).ok());
    mark.ok_or(Unreadable("mark"))
}

#[derive(FromRow)]
pub(super) struct RevisionRow {
    number: i64,
    text: String,
    at_ms: i64,
}

impl RevisionRow {
    /// With the number of the change by which it was said no more.
    pub(super) fn read(self) -> Result<(i64, Revision), Unreadable> {
        Ok((self.number, Revision { text: text(self.text)?, at: time(self.at_ms)? }))
    }
}

/// A message of one of several rooms.
#[derive(FromRow)]
pub(super) struct BetweenRow {
    room: i64,
    #[sqlx(flatten)]
    message: MessageRow,
}

impl BetweenRow {
    pub(super) fn read(self) -> Result<(RoomKey, Message), Unreadable> {
        Ok((RoomKey(self.room), self.message.read()?))
    }
}

#[derive(FromRow)]
pub(super) struct ChangeRow {
    number: i64,
    seq: i64,
    kind: String,
    at_ms: i64,
    #[sqlx(flatten)]
    member: MemberRow,
    actor: Option<Vec<u8>>,
    actor_name: Option<String>,
    until_ms: Option<i64>,
    invite: Option<String>,
    slow_s: Option<i64>,
    read_only: Option<bool>,
    target: Option<i64>,
    text: Option<String>,
    mentions: Option<Vec<u8>>,
}

impl ChangeRow {
    /// The message whose thread it is about, if it is about one.
    pub(super) fn of_thread(&self) -> Option<u64> {
        let is_of_thread = self.kind == "thread";
        self.target.filter(|_| is_of_thread).and_then(|target| number(target).ok())
    }

    /// The change; `thread` is what that thread has come to.
    pub(super) fn read(self, thread: Option<Thread>) -> Result<Change, Unreadable> {
        let until = self.until_ms.map(time).transpose()?;
        let set = self.invite.zip(self.slow_s).zip(self.read_only);
        let set = set.map(|((invite, slow_s), read_only)| settings(&invite, slow_s, read_only));
        // Of a message that is there no more, there is nothing to be read.
        let said = text(self.text.unwrap_or_default())?;
        let mentions = unpacked(self.mentions)?;
        let details = Details {
            until,
            settings: set.transpose()?,
            seq: self.target.map(number).transpose()?,
            edit: said.map(|text| Edit { text, mentions }),
            marks: Vec::new(),
            thread,
        };
        let kind = ChangeKind::parse(&self.kind, self.member.read()?, details);
        let by = match (self.actor, self.actor_name) {
            (None, _) => None,
            (Some(id), Some(name)) => Some(user(&id, name)?),
            (Some(_), None) => return Err(Unreadable("name")),
        };
        Ok(Change {
            cursor: cursor(self.seq, self.number)?,
            kind: kind.ok_or(Unreadable("kind of change"))?,
            by,
            at: time(self.at_ms)?,
        })
    }
}

/// Where a room stands, and which of its messages have been removed.
#[derive(FromRow)]
pub(super) struct EndRow {
    room: i64,
    seq: i64,
    number: i64,
    removed_seq: i64,
}

impl EndRow {
    pub(super) fn read(self) -> Result<(RoomKey, Cursor, u64), Unreadable> {
        let removed = number(self.removed_seq)?;
        Ok((RoomKey(self.room), cursor(self.seq, self.number)?, removed))
    }
}

/// Where a room's messages begin and end.
#[derive(FromRow)]
pub(super) struct RetainedRow {
    pub(super) room: i64,
    /// All up to this one have been removed.
    pub(super) removed_seq: i64,
    /// The last one.
    pub(super) seq: i64,
    /// Whether the first is older than what was asked.
    pub(super) is_old: bool,
}

/// A message that took a client key.
#[derive(FromRow)]
pub(super) struct KeyRow {
    room: i64,
    sender: Vec<u8>,
    client_key: Vec<u8>,
    fingerprint: Vec<u8>,
    seq: i64,
    at_ms: i64,
}

impl KeyRow {
    pub(super) fn read(&self) -> Result<(KeyOf<'_>, FirstUse), Unreadable> {
        let fingerprint = fingerprint(&self.fingerprint)?;
        let key = (RoomKey(self.room), user_id(&self.sender)?, self.client_key.as_slice());
        let sent = Sent { seq: number(self.seq)?, at: time(self.at_ms)? };
        Ok((key, (fingerprint, Some(sent))))
    }
}

/// A key that something else has taken.
#[derive(FromRow)]
pub(super) struct UsedKeyRow {
    room: i64,
    user: Vec<u8>,
    client_key: Vec<u8>,
    fingerprint: Vec<u8>,
    opened: Option<Vec<u8>>,
}

impl UsedKeyRow {
    pub(super) fn read(&self) -> Result<(KeyOf<'_>, FirstUse), Unreadable> {
        let key = (RoomKey(self.room), user_id(&self.user)?, self.client_key.as_slice());
        Ok((key, (self.fingerprint()?, None)))
    }

    /// What was made with it.
    pub(super) fn opened(&self) -> Result<(Fingerprint, Uuid), Unreadable> {
        let opened = self.opened.as_deref().ok_or(Unreadable("id of what was made"))?;
        Ok((self.fingerprint()?, uuid(opened)?))
    }

    fn fingerprint(&self) -> Result<Fingerprint, Unreadable> {
        fingerprint(&self.fingerprint)
    }
}

fn fingerprint(stored: &[u8]) -> Result<Fingerprint, Unreadable> {
    stored.try_into().map(Fingerprint).map_err(|_| Unreadable("fingerprint"))
}

/// A key as the engine is told of it.
pub(super) fn used(
    ((_, user, key), (fingerprint, sent)): (KeyOf<'_>, FirstUse),
) -> Result<UsedKey, Unreadable> {
    let key = std::str::from_utf8(key).ok().and_then(|key| ClientKey::new(key).ok());
    Ok(UsedKey { user, key: key.ok_or(Unreadable("client key"))?, fingerprint, sent })
}

/// Reads every row of an answer.
pub(super) fn read_all<R, T, C: FromIterator<T>>(
    rows: Vec<R>,
    read: impl Fn(R) -> Result<T, Unreadable>,
) -> Result<C, sqlx::Error> {
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

impl From<Unreadable> for sqlx::Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Decode(unreadable.into())
    }
}

/// A public id of a room.
pub(super) fn room_id(bytes: &[u8]) -> Result<RoomId, Unreadable> {
    Uuid::from_slice(bytes).map(RoomId::from).map_err(|_| Unreadable("room id"))
}

/// An id of any kind.
pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, Unreadable> {
    Uuid::from_slice(bytes).map_err(|_| Unreadable("id"))
}

/// A count as SQL's signed integer. Nothing counted here ever reaches the end of that; as a bound,
/// what lies beyond it means the same as its end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Ids one after the other, as [`packed`](super::plan::packed) has put them.
fn unpacked<T: From<Uuid>>(stored: Option<Vec<u8>>) -> Result<Vec<T>, Unreadable> {
    let stored = stored.unwrap_or_default();
    let (ids, []) = stored.as_chunks::<16>() else { return Err(Unreadable("list of ids")) };
    Ok(ids.iter().map(|id| T::from(Uuid::from_bytes(*id))).collect())
}

/// An empty one stands for none.
fn text(stored: String) -> Result<Option<Text>, Unreadable> {
    let text = (!stored.is_empty()).then(|| Text::new(stored));
    text.transpose().map_err(|_| Unreadable("text"))
}

/// An empty one stands for none.
fn title(stored: String) -> Result<Option<Title>, Unreadable> {
    let title = (!stored.is_empty()).then(|| Title::new(stored));
    title.transpose().map_err(|_| Unreadable("title"))
}

fn user_id(bytes: &[u8]) -> Result<UserId, Unreadable> {
    Uuid::from_slice(bytes).map(UserId::from).map_err(|_| Unreadable("user id"))
}

pub(super) fn username(stored: Vec<u8>) -> Result<Username, Unreadable> {
    let username = String::from_utf8(stored).ok();
    username.and_then(|username| Username::new(&username).ok()).ok_or(Unreadable("username"))
}

pub(super) fn user(id: &[u8], name: String) -> Result<User, Unreadable> {
    Ok(User::new(user_id(id)?, Name::new(name).map_err(|_| Unreadable("name"))?))
}

fn settings(invite: &str, slow_s: i64, read_only: bool) -> Result<Settings, Unreadable> {
    let invite = WhoInvites::parse(invite).ok_or(Unreadable("setting of who may invite"))?;
    let slow_s = u32::try_from(slow_s).map_err(|_| Unreadable("slow mode"))?;
    Ok(Settings { invite, slow_s, read_only })
}

pub(super) fn number(stored: i64) -> Result<u64, Unreadable> {
    u64::try_from(stored).map_err(|_| Unreadable("number"))
}

fn cursor(seq: i64, change: i64) -> Result<Cursor, Unreadable> {
    Ok(Cursor::new(number(seq)?, number(change)?))
}

pub(super) fn time(stored: i64) -> Result<Timestamp, Unreadable> {
    Timestamp::from_timestamp_millis(stored).ok_or(Unreadable("time"))
}
