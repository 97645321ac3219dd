//! The engine's words as JSON: what replies, events and HTTP answers are made of.

use std::sync::Arc;

use chat_core::{
    BanPage, Behind, Change, ChangeKind, Counts, Edit, FileId, History, Joined, LastReply,
    ListedThread, Mark, MarkCount, MarkerPage, MemberPage, MemberView, Membership, Message, Mute,
    OwnMark, Restriction, Revision, RoomId, RoomInfo, Sent, Settings, Thread, ThreadPage,
    ThreadPlace, Timestamp, User, UserId,
};
use chrono::SecondsFormat;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::protocol::reading::ReadPositionView;
use crate::protocol::words;

/// A time: RFC 3339 in UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Writes a value as its text form.
pub(super) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// What does not change of a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoomInfo)]
pub(super) struct InfoView {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    id: RoomId,
    /// What it is called; direct rooms and threads have no title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Title>, nullable = false)]
    title: Option<String>,
    #[schema(value_type = words::RoomKind)]
    kind: &'static str,
    /// Whether it goes, with its messages, when the last member has left or has been away for a while.
    ephemeral: bool,
    /// When it was opened.
    created: Time,
    /// The message that a thread is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parent: Option<ParentView>,
}

/// The message that a thread is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parent)]
pub(super) struct ParentView {
    /// The room that it is in.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    room: RoomId,
    #[schema(value_type = words::Seq)]
    seq: u64,
}

impl From<&RoomInfo> for InfoView {
    fn from(info: &RoomInfo) -> Self {
        Self {
            id: info.id,
            title: info.title.as_ref().map(ToString::to_string),
            kind: info.kind.as_str(),
            ephemeral: info.ephemeral,
            created: Time(info.created),
            parent: info.parent.map(|parent| ParentView { room: parent.room, seq: parent.seq }),
        }
    }
}

/// A room as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Room)]
pub struct RoomView {
    #[serde(flatten)]
    info: InfoView,
    /// How many members it has.
    members: usize,
    /// How many of them are present.
    online: usize,
}

impl From<&chat_core::RoomView> for RoomView {
    fn from(room: &chat_core::RoomView) -> Self {
        let chat_core::RoomView { info, counts: Counts { members, online } } = room;
        Self { info: info.into(), members: *members, online: *online }
    }
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView<'a> {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    id: UserId,
    #[schema(value_type = words::Nickname)]
    name: &'a str,
}

impl<'a> From<&'a User> for UserView<'a> {
    fn from(user: &'a User) -> Self {
        Self { id: user.id, name: &user.name }
    }
}

/// A user as a member.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
pub struct MembershipView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    #[schema(value_type = words::Role)]
    role: &'static str,
    /// There, and true, if it may read but not write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    muted: bool,
    /// Until when, if that has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    muted_until: Option<Time>,
}

impl<'a> MembershipView<'a> {
    /// The member, and what keeps it from writing.
    #[must_use]
    pub fn new(membership: &'a Membership, mute: Option<Mute>) -> Self {
        Self {
            user: (&membership.user).into(),
            role: membership.role.as_str(),
            muted: mute.is_some(),
            muted_until: mute.and_then(|mute| mute.until).map(Time),
        }
    }
}

/// A member as it is seen now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub(super) struct PresentView<'a> {
    #[serde(flatten)]
    membership: MembershipView<'a>,
    #[schema(value_type = words::State)]
    state: &'static str,
    /// How many of its connections hear the room.
    devices: usize,
    /// The last message that it has read; not told in big rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    read: Option<u64>,
}

impl<'a> From<&'a MemberView> for PresentView<'a> {
    fn from(member: &'a MemberView) -> Self {
        Self {
            membership: MembershipView::new(&member.membership, member.mute),
            state: member.presence.as_str(),
            devices: member.devices,
            read: member.read,
        }
    }
}

/// A message, without the cursor that its event has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView<'a> {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    room: RoomId,
    #[schema(value_type = words::Seq)]
    seq: u64,
    /// Who wrote it.
    from: UserView<'a>,
    #[schema(value_type = words::Said)]
    text: &'a str,
    /// There, and true, if it has been deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    deleted: bool,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    reply_to: Option<u64>,
    /// The ids of members who are mentioned.
    #[serde(skip_serializing_if = "IdsView::is_empty")]
    #[schema(value_type = Vec<Uuid>, required = false)]
    mentions: IdsView<'a, UserId>,
    /// The ids of files that go with it.
    #[serde(skip_serializing_if = "IdsView::is_empty")]
    #[schema(value_type = Vec<Uuid>, required = false)]
    files: IdsView<'a, FileId>,
    /// When it was kept.
    at: Time,
    /// When it was last edited, if it has been.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    edited: Option<Time>,
    /// How it is marked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    marks: Vec<MarkView<'a>>,
    /// The thread on it, if one has been opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    thread: Option<ThreadView<'a>>,
}

/// What a thread has come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Thread)]
pub(super) struct ThreadView<'a> {
    /// The thread's own room.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Uuid)]
    room: RoomId,
    /// How many of its messages have not been deleted.
    replies: u64,
    /// The last of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<LastReplyView<'a>>,
}

/// The last message of a thread.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastReply)]
pub(super) struct LastReplyView<'a> {
    /// Who wrote it.
    from: UserView<'a>,
    /// When.
    at: Time,
    #[schema(value_type = words::Seq)]
    seq: u64,
}

impl<'a> From<&'a Thread> for ThreadView<'a> {
    fn from(thread: &'a Thread) -> Self {
        let last = thread.last.as_ref().map(|LastReply { from, at, seq }| LastReplyView {
            from: from.into(),
            at: Time(*at),
            seq: *seq,
        });
        Self { room: thread.room, replies: thread.replies, last }
    }
}

/// A page of a room's threads, the one that was written in last first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Threads)]
pub struct ThreadPageView<'a> {
    threads: Vec<ListedThreadView<'a>>,
    /// Where the next page begins, if there is one: its `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A thread, with the message that it is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedThread)]
pub(super) struct ListedThreadView<'a> {
    #[schema(value_type = words::Seq)]
    seq: u64,
    #[serde(flatten)]
    thread: ThreadView<'a>,
}

impl<'a> From<&'a ThreadPage> for ThreadPageView<'a> {
    fn from(page: &'a ThreadPage) -> Self {
        let listed = |ListedThread { place, thread }: &'a ListedThread| ListedThreadView {
            seq: place.seq,
            thread: thread.into(),
        };
        let next =
            page.next.map(|ThreadPlace { at, seq }| format!("{}.{seq}", at.timestamp_millis()));
        Self { threads: page.threads.iter().map(listed).collect(), next }
    }
}

/// How often a mark was given to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkCount)]
pub(super) struct MarkView<'a> {
    #[schema(value_type = words::Mark)]
    mark: &'a str,
    count: u64,
    /// There, and true, if the asker has given it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mine: bool,
}

impl<'a> MarkView<'a> {
    fn all(seq: u64, marks: &'a [MarkCount], mine: &[OwnMark]) -> Vec<Self> {
        let is_mine = |mark: &Mark| mine.iter().any(|(of, own)| *of == seq && own == mark);
        let view = |one: &'a MarkCount| MarkView {
            mark: &one.mark,
            count: one.count,
            mine: is_mine(&one.mark),
        };
        marks.iter().map(view).collect()
    }
}

/// Ids as their text forms.
#[derive(Debug)]
pub(super) struct IdsView<'a, T>(&'a [T]);

impl<T> IdsView<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: std::fmt::Display> Serialize for IdsView<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'a> MessageView<'a> {
    /// The message as this room's, with what the asker has marked of it.
    #[must_use]
    pub fn new(room: RoomId, message: &'a Message, mine: &[OwnMark]) -> Self {
        Self {
            room,
            seq: message.seq,
            from: (&message.from).into(),
            text: message.text(),
            deleted: message.deleted,
            reply_to: message.body.reply_to,
            mentions: IdsView(&message.body.mentions),
            files: IdsView(&message.body.files),
            at: Time(message.at),
            edited: message.edited.map(Time),
            marks: MarkView::all(message.seq, &message.marks, mine),
            thread: message.thread.as_ref().map(ThreadView::from),
        }
    }

    fn all(room: RoomId, messages: &'a [Arc<Message>], mine: &[OwnMark]) -> Vec<Self> {
        messages.iter().map(|message| Self::new(room, message, mine)).collect()
    }
}

/// A change as its event, with its own cursor. The room's counts after it, where they are known, are
/// of those that are about somebody.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum ChangeView<'a> {
    Member {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        change: &'static str,
        user: UserView<'a>,
        role: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<UserView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        at: Time,
        #[serde(flatten)]
        counts: Option<CountsView>,
    },
    Settings {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        settings: SettingsView,
        by: UserView<'a>,
        at: Time,
    },
    Edited {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        seq: u64,
        by: UserView<'a>,
        text: &'a str,
        #[serde(skip_serializing_if = "IdsView::is_empty")]
        mentions: IdsView<'a, UserId>,
        at: Time,
    },
    Marks {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        seq: u64,
        marks: Vec<MarkView<'a>>,
        by: UserView<'a>,
        at: Time,
    },
    Thread {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        seq: u64,
        thread: ThreadView<'a>,
        by: UserView<'a>,
        at: Time,
    },
    Deleted {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: chat_core::Cursor,
        seq: u64,
        by: UserView<'a>,
        at: Time,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct CountsView {
    members: usize,
    online: usize,
}

impl<'a> ChangeView<'a> {
    pub(super) fn new(
        room: RoomId,
        change: &'a Change,
        counts: Option<Counts>,
        mine: &[OwnMark],
    ) -> Self {
        let (cursor, at) = (change.cursor, Time(change.at));
        let membership = change.kind.membership();
        let by = UserView::from(change.by.as_ref().unwrap_or(&membership.user));
        match &change.kind {
            ChangeKind::Settings(_, settings) => {
                Self::Settings { room, cursor, settings: (*settings).into(), by, at }
            }
            ChangeKind::Edited(_, seq, Some(Edit { text, mentions })) => {
                let mentions = IdsView(mentions);
                Self::Edited { room, cursor, seq: *seq, by, text, mentions, at }
            }
            ChangeKind::Marked(_, seq, marks) => {
                let marks = MarkView::all(*seq, marks, mine);
                Self::Marks { room, cursor, seq: *seq, marks, by, at }
            }
            ChangeKind::Thread(_, seq, thread) => {
                Self::Thread { room, cursor, seq: *seq, thread: thread.into(), by, at }
            }
            // Of a message that has been deleted since, an edit says that too.
            ChangeKind::Edited(_, seq, None) | ChangeKind::Deleted(_, seq) => {
                Self::Deleted { room, cursor, seq: *seq, by, at }
            }
            _ => Self::Member {
                room,
                cursor,
                change: change.kind.as_str(),
                user: (&membership.user).into(),
                role: membership.role.as_str(),
                by: change.by.as_ref().map(UserView::from),
                until: change.kind.until().map(Time),
                at,
                counts: counts.map(|Counts { members, online }| CountsView { members, online }),
            },
        }
    }
}

/// What a room's owner has set.
#[derive(Debug, Serialize)]
pub(super) struct SettingsView {
    invite: &'static str,
    slow_s: u32,
    read_only: bool,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        let Settings { invite, slow_s, read_only } = settings;
        Self { invite: invite.as_str(), slow_s, read_only }
    }
}

/// What a message got.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sent)]
pub struct SentView {
    #[schema(value_type = words::Seq)]
    seq: u64,
    /// When it was kept.
    at: Time,
}

impl From<&Sent> for SentView {
    fn from(sent: &Sent) -> Self {
        Self { seq: sent.seq, at: Time(sent.at) }
    }
}

/// A room as somebody finds it.
#[derive(Debug, Serialize)]
pub(super) struct JoinedView<'a> {
    room: RoomView,
    me: MembershipView<'a>,
    read: ReadPositionView,
    settings: SettingsView,
    members: FirstView<'a>,
    #[serde(serialize_with = "as_text")]
    cursor: chat_core::Cursor,
    messages: Vec<MessageView<'a>>,
    /// Without the counts of a moment that has passed.
    changes: Vec<ChangeView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<BehindView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
}

#[derive(Debug, Serialize)]
struct FirstView<'a> {
    count: usize,
    online: usize,
    first: Vec<PresentView<'a>>,
}

#[derive(Debug, Serialize)]
struct BehindView {
    after: u64,
    until: u64,
}

impl<'a> From<&'a Joined> for JoinedView<'a> {
    fn from(joined: &'a Joined) -> Self {
        let room = joined.room.info.id;
        let Counts { members: count, online } = joined.room.counts;
        let changes = joined.changes.iter();
        Self {
            room: (&joined.room).into(),
            me: MembershipView::new(&joined.me, joined.mute),
            read: (&joined.read).into(),
            settings: joined.settings.into(),
            members: FirstView {
                count,
                online,
                first: joined.first.iter().map(PresentView::from).collect(),
            },
            cursor: joined.cursor,
            messages: MessageView::all(room, &joined.messages, &joined.mine),
            changes: changes
                .map(|change| ChangeView::new(room, change, None, &joined.mine))
                .collect(),
            behind: joined.behind.map(|Behind { after, until }| BehindView { after, until }),
            reset: joined.reset,
        }
    }
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessagePage)]
pub struct HistoryView<'a> {
    /// Oldest first.
    messages: Vec<MessageView<'a>>,
    /// Whether there are others.
    more: MoreView,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = More)]
struct MoreView {
    /// Older ones.
    before: bool,
    /// Newer ones.
    after: bool,
}

impl<'a> From<&'a History> for HistoryView<'a> {
    fn from(history: &'a History) -> Self {
        Self {
            messages: MessageView::all(history.room, &history.messages, &history.mine),
            more: MoreView { before: history.more_before, after: history.more_after },
        }
    }
}

/// A page of those who have given a message a mark.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkerPage)]
pub struct MarkerPageView<'a> {
    /// In the order of their ids.
    users: Vec<UserView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

impl<'a> From<&'a MarkerPage> for MarkerPageView<'a> {
    fn from(page: &'a MarkerPage) -> Self {
        let next = page.next.map(|next| next.to_string());
        Self { users: page.users.iter().map(UserView::from).collect(), next }
    }
}

/// What a message said before it was edited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revisions)]
pub struct RevisionsView<'a> {
    /// Oldest first.
    revisions: Vec<RevisionView<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision)]
struct RevisionView<'a> {
    #[schema(value_type = words::Said)]
    text: &'a str,
    /// Since when it said so.
    at: Time,
}

impl<'a> From<&'a [Revision]> for RevisionsView<'a> {
    fn from(revisions: &'a [Revision]) -> Self {
        let view = |revision: &'a Revision| RevisionView {
            text: revision.text.as_deref().unwrap_or_default(),
            at: Time(revision.at),
        };
        Self { revisions: revisions.iter().map(view).collect() }
    }
}

/// A page of members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MemberPage)]
pub struct MemberPageView<'a> {
    /// How many members the room has.
    count: usize,
    /// How many of them are present.
    online: usize,
    /// In the order of their ids.
    members: Vec<PresentView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

impl<'a> From<&'a MemberPage> for MemberPageView<'a> {
    fn from(page: &'a MemberPage) -> Self {
        Self {
            count: page.counts.members,
            online: page.counts.online,
            members: page.members.iter().map(PresentView::from).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

/// A page of bans.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BanPage)]
pub struct BanPageView<'a> {
    /// In the order of their ids.
    bans: Vec<RestrictionView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
struct RestrictionView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    /// When it ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Time>,
}

impl<'a> From<&'a BanPage> for BanPageView<'a> {
    fn from(page: &'a BanPage) -> Self {
        let view = |ban: &'a Restriction| {
            let (user, until) = ((&ban.user).into(), ban.until.map(Time));
            RestrictionView { user, until }
        };
        Self {
            bans: page.bans.iter().map(view).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}
