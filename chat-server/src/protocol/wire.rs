//! Replies and events as JSON text frames: the [`Wire`] of every transport that speaks the
//! protocol.

use std::sync::Arc;

use bytestring::ByteString;
use chat_core::{Counts, Cursor, Event, OwnChange, Presence, Reply, RoomId, Timestamp, User, Wire};
use serde::Serialize;

use crate::people::Notice;
use crate::protocol::close_code;
use crate::protocol::error::Problem;
use crate::protocol::reading::{ReadPositionView, ReaderPageView, ReceiptView, StandingView};
use crate::protocol::view::{
    BanPageView, ChangeView, HistoryView, InfoView, JoinedView, MarkerPageView, MemberPageView,
    MessageView, RevisionsView, RoomView, SentView, ThreadPageView, Time, UserView, as_text,
};

/// JSON text frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonWire;

impl Wire for JsonWire {
    type Frame = ByteString;

    fn event(&self, event: &Arc<Event>) -> ByteString {
        encode(&EventView::from(&**event))
    }

    fn reply(&self, tag: u64, result: &chat_core::Result<Reply>) -> Option<ByteString> {
        Some(match result {
            Ok(reply) => encode(&Answer { id: tag, ok: ReplyView::from(reply) }),
            Err(refused) => error(Some(tag), refused.clone().into()),
        })
    }

    fn size(&self, frame: &ByteString) -> usize {
        frame.len()
    }
}

/// The answer to `auth`: who it is, and until when unless it is for ever.
#[must_use]
pub fn reply_auth(id: u64, user: &User, expires: Option<Timestamp>) -> ByteString {
    let ok = AuthView { user: user.into(), expires: expires.map(Time) };
    encode(&Answer { id, ok })
}

/// An error, as the answer to a command if its id is known.
#[must_use]
pub fn error(id: Option<u64>, error: Problem) -> ByteString {
    encode(&Refusal { id, error })
}

fn encode(value: &impl Serialize) -> ByteString {
    // Maps with text keys, text, numbers and lists of these are all that is ever given here, and
    // writing to memory does not fail.
    serde_json::to_string(value).expect("protocol values are JSON").into()
}

#[derive(Serialize)]
struct Answer<T> {
    id: u64,
    ok: T,
}

#[derive(Serialize)]
struct Refusal {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    error: Problem,
}

#[derive(Serialize)]
struct AuthView<'a> {
    user: UserView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ReplyView<'a> {
    Room { room: RoomView },
    Joined(Box<JoinedView<'a>>),
    Resumed { resumed: usize, failed: usize },
    Sent(SentView),
    History(HistoryView<'a>),
    Members(MemberPageView<'a>),
    Bans(BanPageView<'a>),
    Revisions(RevisionsView<'a>),
    Markers(MarkerPageView<'a>),
    Read(ReadPositionView),
    Readers(ReaderPageView<'a>),
    Standing(Box<StandingView<'a>>),
    Threads(ThreadPageView<'a>),
    Done {},
    Pong { at: Time },
}

impl<'a> From<&'a Reply> for ReplyView<'a> {
    fn from(reply: &'a Reply) -> Self {
        match reply {
            Reply::Room(room) => Self::Room { room: room.into() },
            Reply::Joined(joined) => Self::Joined(Box::new((&**joined).into())),
            Reply::Resumed { resumed, failed } => {
                Self::Resumed { resumed: *resumed, failed: *failed }
            }
            Reply::Sent(sent) => Self::Sent(sent.into()),
            Reply::History(history) => Self::History(history.into()),
            Reply::Members(page) => Self::Members(page.into()),
            Reply::Bans(page) => Self::Bans(page.into()),
            Reply::Revisions(revisions) => Self::Revisions(revisions[..].into()),
            Reply::Markers(page) => Self::Markers(page.into()),
            Reply::Read(position) => Self::Read(position.into()),
            Reply::Readers(page) => Self::Readers(page.into()),
            Reply::Standing(standing) => Self::Standing(Box::new((&**standing).into())),
            Reply::Threads(page) => Self::Threads(page.into()),
            Reply::Done => Self::Done {},
            Reply::Pong(at) => Self::Pong { at: Time(*at) },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventView<'a> {
    Message {
        #[serde(serialize_with = "as_text")]
        cursor: Cursor,
        #[serde(flatten)]
        message: MessageView<'a>,
    },
    Presence {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        user: UserView<'a>,
        state: &'static str,
        devices: usize,
        online: usize,
    },
    Summary {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        cursor: Cursor,
        members: usize,
        online: usize,
        some: Vec<UserView<'a>>,
        read: usize,
    },
    Receipts {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        receipts: Vec<ReceiptView<'a>>,
    },
    Read {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(flatten)]
        position: ReadPositionView,
    },
    Renamed {
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        user: UserView<'a>,
    },
    Typing {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        user: UserView<'a>,
        on: bool,
    },
    Marked {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        seq: u64,
        mark: &'a str,
        on: bool,
    },
    Mentioned {
        #[serde(flatten)]
        message: MessageView<'a>,
    },
    Invited {
        room: InfoView,
    },
    Mine {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        change: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<Box<InfoView>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        #[serde(flatten)]
        position: Option<ReadPositionView>,
    },
    Closed {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
    },
    Behind {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(serialize_with = "as_text")]
        after: Cursor,
    },
    Resumed {
        #[serde(serialize_with = "as_text")]
        room: RoomId,
        #[serde(skip_serializing_if = "Option::is_none")]
        ok: Option<Box<JoinedView<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Problem>,
    },
    Expiring {
        at: Time,
    },
    Closing {
        code: u16,
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    Friend {
        user: UserView<'a>,
        state: &'static str,
    },
    Friends {},
    Blocks {},
    Profile {},
    /// Of a program that has this wire and notices of its own.
    Notice {},
    /// Says by itself which event it is.
    #[serde(untagged)]
    Change(ChangeView<'a>),
}

impl EventView<'_> {
    fn mine(room: RoomId, change: &OwnChange) -> Self {
        let (mut info, mut until, mut position) = (None, None, None);
        let change = match change {
            OwnChange::Joined(joined) => {
                info = Some(Box::new(joined.into()));
                "joined"
            }
            OwnChange::Left => "left",
            OwnChange::Kicked => "kicked",
            OwnChange::Banned(end) => {
                until = end.map(Time);
                "banned"
            }
            OwnChange::Read(read) => {
                position = Some(read.into());
                "read"
            }
        };
        Self::Mine { room, change, info, until, position }
    }
}

impl<'a> From<&'a Event> for EventView<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Change { room, change, counts } => {
                Self::Change(ChangeView::new(*room, change, Some(*counts), &[]))
            }
            Event::Message { room, cursor, message } => {
                Self::Message { cursor: *cursor, message: MessageView::new(*room, message, &[]) }
            }
            Event::Presence { room, user, presence, devices, online } => Self::Presence {
                room: *room,
                user: user.into(),
                state: Presence::as_str(*presence),
                devices: *devices,
                online: *online,
            },
            Event::Summary { room, cursor, counts: Counts { members, online }, some, read } => {
                let (members, online, read) = (*members, *online, *read);
                let some = some.iter().map(UserView::from).collect();
                Self::Summary { room: *room, cursor: *cursor, members, online, some, read }
            }
            Event::Receipts { room, of } => {
                Self::Receipts { room: *room, receipts: of.iter().map(ReceiptView::from).collect() }
            }
            Event::Read { room, position } => Self::Read { room: *room, position: position.into() },
            Event::Renamed { room, user } => {
                let room = room.map(|room| room.to_string());
                Self::Renamed { room, user: user.into() }
            }
            Event::Typing { room, user, on } => {
                Self::Typing { room: *room, user: user.into(), on: *on }
            }
            Event::Mentioned { room, message } => {
                Self::Mentioned { message: MessageView::new(*room, message, &[]) }
            }
            Event::Marked { room, seq, mark, on } => {
                Self::Marked { room: *room, seq: *seq, mark, on: *on }
            }
            Event::Invited { room } => Self::Invited { room: room.into() },
            Event::Mine { room, change } => Self::mine(*room, change),
            Event::Closed { room } => Self::Closed { room: *room },
            Event::Behind { room, after } => Self::Behind { room: *room, after: *after },
            Event::Resumed { room, result } => Self::Resumed {
                room: *room,
                ok: result.as_ref().ok().map(|joined| Box::new((&**joined).into())),
                error: result.as_ref().err().map(|refused| refused.clone().into()),
            },
            Event::Expiring { at } => Self::Expiring { at: Time(*at) },
            Event::Notice(notice) => match notice.get() {
                Some(Notice::Friend { user, presence }) => {
                    Self::Friend { user: user.into(), state: presence.as_str() }
                }
                Some(Notice::Friends) => Self::Friends {},
                Some(Notice::Blocks) => Self::Blocks {},
                Some(Notice::Profile) => Self::Profile {},
                None => Self::Notice {},
            },
            Event::Closing { reason, retry_after } => {
                let close = close_code(*reason);
                let retry_after_ms = retry_after.map(|time| time.as_millis() as u64);
                Self::Closing { code: close.code, reason: close.reason, retry_after_ms }
            }
        }
    }
}
