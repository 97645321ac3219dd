//! Rooms, and what somebody finds in one.

use chat_core::{Behind, Counts, Joined, RoomId, RoomInfo, Settings};
use serde::Serialize;
use utoipa::ToSchema;

use super::member::PresentView;
use super::{ChangeView, MembershipView, MessageView, Time, as_text};
use crate::protocol::reading::ReadPositionView;
use crate::protocol::words;

/// What does not change of a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoomInfo)]
pub(in crate::protocol) struct InfoView {
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
pub(in crate::protocol) struct ParentView {
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

/// What a room's owner has set.
#[derive(Debug, Serialize)]
pub(in crate::protocol) struct SettingsView {
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

/// A room as somebody finds it.
#[derive(Debug, Serialize)]
pub(in crate::protocol) struct JoinedView<'a> {
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
