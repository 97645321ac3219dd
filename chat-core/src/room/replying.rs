//! What a thread has come to: its replies are counted, and its parent's room is told.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::model::{LastReply, Message, Parent, Thread, User};
use crate::room::threads::News;
use crate::room::writes::UnderWay;
use crate::room::{AGAIN, Hosted, RoomActor};
use crate::store::{LoadedThread, Store, StoreError};

/// What a room has that is a thread.
pub(super) struct Replying {
    parent: Parent,
    replies: u64,
    last: Option<LastReply>,
    /// The replies must be counted by the store.
    unsure: bool,
    /// By whom has come about what the parent's room has not been told.
    untold: Option<User>,
}

impl Replying {
    /// A thread as it was loaded; by `opener`, if nobody has written in it.
    pub(super) fn new(parent: Parent, loaded: LoadedThread, opener: Option<User>) -> Self {
        let LoadedThread { now: Thread { replies, last, .. }, is_told } = loaded;
        let by = last.as_ref().map(|last| last.from.clone()).or(opener);
        Self { parent, replies, last, unsure: false, untold: by.filter(|_| !is_told) }
    }

    /// Somebody has another name.
    pub(super) fn rename(&mut self, user: &User) {
        if let Some(last) = self.last.as_mut().filter(|last| last.from.id == user.id) {
            last.from.clone_from(user);
        }
    }
}

impl Hosted {
    /// A message is there that was not.
    pub(super) fn count_reply(&mut self, message: &Message) {
        let Some(thread) = &mut self.replying else { return };
        let Message { from, at, seq, .. } = message;
        if !message.deleted {
            thread.replies += 1;
            thread.last = Some(LastReply { from: from.clone(), at: *at, seq: *seq });
        }
        thread.untold = Some(from.clone());
    }

    /// A message, which was this if it is in memory, has been deleted.
    pub(super) fn count_deletion(&mut self, seq: u64, before: Option<&Message>, author: &User) {
        let Some(thread) = &mut self.replying else { return };
        match before {
            Some(before) if before.deleted => return,
            Some(_) => thread.replies = thread.replies.saturating_sub(1),
            None => thread.unsure = true,
        }
        if thread.last.as_ref().is_some_and(|last| last.seq == seq) {
            let kept = self.timeline.kept().filter(|message| !message.deleted).last();
            thread.last =
                kept.map(|last| LastReply { from: last.from.clone(), at: last.at, seq: last.seq });
            thread.unsure |= thread.last.is_none() && thread.replies > 0;
        }
        thread.untold = Some(author.clone());
    }

    /// More has been deleted than is known here.
    pub(super) fn count_anew(&mut self, author: &User) {
        if let Some(thread) = &mut self.replying {
            (thread.unsure, thread.untold) = (true, Some(author.clone()));
        }
    }

    /// Tells the parent's room what the thread has come to, if that is something else than before and is known.
    pub(super) fn tell_parent(&mut self, ctx: &mut Context<RoomActor>) {
        let upto = self.timeline.end();
        let Some(thread) = &mut self.replying else { return };
        if thread.unsure {
            return self.ask_for_count(ctx);
        }
        let Some((by, parent)) = thread.untold.take().zip(self.following.as_ref()) else { return };
        let (replies, last) = (thread.replies, thread.last.clone());
        let now = Thread { room: self.id, replies, last, upto };
        parent.tell(News { seq: thread.parent.seq, thread: now, by });
    }

    /// Lets the store count the replies. Nothing is written meanwhile, so that what it counts is what is here.
    fn ask_for_count(&mut self, ctx: &mut Context<RoomActor>) {
        if self.writes.under_way != UnderWay::Nothing || self.writes.unsure.is_some() {
            return;
        }
        self.writes.under_way = UnderWay::Check;
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        let read = async move { store.thread(key).await };
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(|read, room, ctx| {
            room.with_hosted(ctx, |hosted, ctx| {
                hosted.counted(read);
                if hosted.writes.unsure.is_none() {
                    hosted.look_again(ctx);
                }
            });
        }));
    }

    fn counted(&mut self, read: Result<Option<Thread>, StoreError>) {
        self.writes.under_way = UnderWay::Nothing;
        let (now, end) = (self.now(), self.timeline.end());
        let Some(thread) = &mut self.replying else { return };
        match read {
            Ok(Some(counted)) if counted.upto == end => {
                (thread.replies, thread.last) = (counted.replies, counted.last);
                thread.unsure = false;
            }
            // Another process has written: that is read first.
            Ok(_) => self.writes.unsure = Some(now),
            Err(error) => {
                tracing::error!(%error, room = %self.id, "could not count the replies of a thread");
                self.writes.unsure = Some(now + AGAIN);
            }
        }
    }
}
