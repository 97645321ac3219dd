//! Messages, their marks, and what they said before.

use std::sync::Arc;

use chat_core::{
    FileId, History, Mark, MarkCount, MarkerPage, Message, OwnMark, Revision, RoomId, Sent, UserId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::thread::ThreadView;
use super::{IdsView, Time, UserView, as_text};
use crate::protocol::words;

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

/// How often a mark was given to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkCount)]
pub(in crate::protocol) struct MarkView<'a> {
    #[schema(value_type = words::Mark)]
    mark: &'a str,
    count: u64,
    /// There, and true, if the asker has given it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mine: bool,
}

impl<'a> MarkView<'a> {
    pub(super) fn all(seq: u64, marks: &'a [MarkCount], mine: &[OwnMark]) -> Vec<Self> {
        let is_mine = |mark: &Mark| mine.iter().any(|(of, own)| *of == seq && own == mark);
        let view = |one: &'a MarkCount| MarkView {
            mark: &one.mark,
            count: one.count,
            mine: is_mine(&one.mark),
        };
        marks.iter().map(view).collect()
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

    pub(super) fn all(room: RoomId, messages: &'a [Arc<Message>], mine: &[OwnMark]) -> Vec<Self> {
        messages.iter().map(|message| Self::new(room, message, mine)).collect()
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
