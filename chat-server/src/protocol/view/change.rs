//! Changes of a room, as their events.

use chat_core::{Change, ChangeKind, Counts, Edit, OwnMark, RoomId, UserId};
use serde::Serialize;

use super::message::MarkView;
use super::room::SettingsView;
use super::thread::ThreadView;
use super::{IdsView, Time, UserView, as_text};

/// A change as its event, with its own cursor. The room's counts after it, where they are known, are
/// of those that are about somebody.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(in crate::protocol) enum ChangeView<'a> {
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
pub(in crate::protocol) struct CountsView {
    members: usize,
    online: usize,
}

impl<'a> ChangeView<'a> {
    pub(in crate::protocol) fn new(
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
