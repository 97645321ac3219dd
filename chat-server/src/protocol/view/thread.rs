//! Threads, as the messages that they are on show them.

use chat_core::{LastReply, ListedThread, RoomId, Thread, ThreadPage, ThreadPlace};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Time, UserView, as_text};
use crate::protocol::{ReadPositionView, words};

/// What a thread has come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Thread)]
pub(in crate::protocol) struct ThreadView<'a> {
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
pub(in crate::protocol) struct LastReplyView<'a> {
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
pub(in crate::protocol) struct ListedThreadView<'a> {
    #[schema(value_type = words::Seq)]
    seq: u64,
    #[serde(flatten)]
    thread: ThreadView<'a>,
    /// Whether the asker follows it.
    following: bool,
    /// How far it has read it, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    read: Option<ReadPositionView>,
}

impl<'a> From<&'a ThreadPage> for ThreadPageView<'a> {
    fn from(page: &'a ThreadPage) -> Self {
        let listed = |ListedThread { place, thread }: &'a ListedThread| {
            let read = page.following.get(&thread.room).map(ReadPositionView::from);
            let following = read.is_some();
            ListedThreadView { seq: place.seq, thread: thread.into(), following, read }
        };
        let next =
            page.next.map(|ThreadPlace { at, seq }| format!("{}.{seq}", at.timestamp_millis()));
        Self { threads: page.threads.iter().map(listed).collect(), next }
    }
}
