//! How far somebody has read, as JSON: positions, receipts, and the rooms of a user with what it has not read.

use chat_core::{Activity, OwnRooms, ReadPosition, ReaderPage, RoomId, Standing, Unread, User};
use serde::Serialize;
use utoipa::ToSchema;

use crate::protocol::view::{MessageView, RoomView, UserView, as_text};
use crate::protocol::{Fields, Problem, words};

/// How far somebody has read a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReadPosition)]
pub struct ReadPositionView {
    /// The last message that has been read; 0 before the first.
    #[schema(value_type = words::Seq)]
    seq: u64,
    /// Messages of others behind it, but for deleted ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unread: Option<u64>,
    /// Those of them that mention the asker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mentions: Option<u64>,
}

impl ReadPositionView {
    fn new(seq: u64, unread: Option<Unread>) -> Self {
        Self {
            seq,
            unread: unread.map(|unread| unread.messages),
            mentions: unread.map(|unread| unread.mentions),
        }
    }
}

impl From<&ReadPosition> for ReadPositionView {
    fn from(position: &ReadPosition) -> Self {
        Self::new(position.seq, position.unread)
    }
}

impl From<&Standing> for ReadPositionView {
    fn from(standing: &Standing) -> Self {
        Self::new(standing.read, Some(standing.unread))
    }
}

/// A member and how far it has read.
#[derive(Debug, Serialize)]
pub(super) struct ReceiptView<'a> {
    user: UserView<'a>,
    seq: u64,
}

impl<'a> From<&'a (User, u64)> for ReceiptView<'a> {
    fn from((user, seq): &'a (User, u64)) -> Self {
        Self { user: user.into(), seq: *seq }
    }
}

/// Who has read a room up to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReaderPage)]
pub struct ReaderPageView<'a> {
    /// How many members have.
    count: usize,
    /// In the order of their ids; nobody in a big room.
    users: Vec<UserView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    next: Option<String>,
}

impl<'a> From<&'a ReaderPage> for ReaderPageView<'a> {
    fn from(page: &'a ReaderPage) -> Self {
        Self {
            count: page.count,
            users: page.users.iter().map(UserView::from).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

/// A room as it stands for one of its members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnRoom)]
pub struct StandingView<'a> {
    room: RoomView,
    /// Where the room stood as this was counted: to join or resume with.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    cursor: chat_core::Cursor,
    /// What was said last, if anything was; without its marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<MessageView<'a>>,
    /// How far the asker has read.
    read: ReadPositionView,
}

impl<'a> From<&'a Standing> for StandingView<'a> {
    fn from(standing: &'a Standing) -> Self {
        let id = standing.room.info.id;
        Self {
            room: (&standing.room).into(),
            cursor: standing.cursor,
            last: standing.last.as_ref().map(|last| MessageView::new(id, last, &[])),
            read: standing.into(),
        }
    }
}

/// A page of the asker's rooms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnRoomPage)]
pub struct OwnRoomsView<'a> {
    /// Those first in which something was said last.
    rooms: Vec<StandingView<'a>>,
    /// There if there are more: sent as `before`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl<'a> From<&'a OwnRooms> for OwnRoomsView<'a> {
    fn from(page: &'a OwnRooms) -> Self {
        let place = |Activity { at, room }: Activity| format!("{}.{room}", at.timestamp_millis());
        Self {
            rooms: page.rooms.iter().map(StandingView::from).collect(),
            next: page.next.map(place),
        }
    }
}

/// Before which of one's rooms a page ends, as a page before it has said.
///
/// # Errors
/// It was not said by one.
pub fn activity(fields: &mut Fields) -> Result<Option<Activity>, Problem> {
    let Some(text) = fields.text("before")? else { return Ok(None) };
    let place = text.split_once('.').and_then(|(at, room)| {
        let at = chat_core::Timestamp::from_timestamp_millis(at.parse().ok()?)?;
        let room: RoomId = room.parse().ok()?;
        Some(Activity { at, room })
    });
    let wrong = || Problem::bad_request("`before` must be `next` of another page").at("before");
    place.map(Some).ok_or_else(wrong)
}
