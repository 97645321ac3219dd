//! Questions about a room: its messages and its members. Members are always answered from memory;
//! messages too, as far back as the room remembers.

use std::sync::Arc;

use actix::prelude::Context;

use crate::command::{History, HistoryQuery, MemberQuery, OwnMark, Reply};
use crate::deliver::ReplyTo;
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{Message, User};
use crate::room::{Hosted, RoomActor};
use crate::store::{Store, StoreError};
use crate::timeline::Span;

impl Hosted {
    /// Reads a page of messages, from the store if memory does not reach so far.
    pub(super) fn history(
        &mut self,
        user: UserId,
        mut query: HistoryQuery,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if let Err(error) = self.may_read(user) {
            return self.answer(reply, Err(error));
        }
        query.limit = query.limit.min(limits::PAGE);
        let span = self.timeline.span(query);
        if let Some(messages) = self.timeline.messages(span)
            && messages.iter().all(|message| self.marks.knows(message.seq))
        {
            return self.answer(reply, Ok(self.page(user, span, messages, &[])));
        }
        let (store, key, id) = (Arc::clone(&self.shared.store), self.key, self.id);
        let known = self.timeline.end().change;
        let read = async move {
            let messages = store.messages(key, span.after, span.until).await?;
            // What the store no longer has is asked for no more.
            let removed = removed(&*store, id, &messages).await?;
            let mine = match messages.iter().all(|message| message.marks.is_empty()) {
                true => Vec::new(),
                false => store.marks_of(key, user, span.after, span.until).await?,
            };
            Ok((messages, mine, removed))
        };
        self.read(reply, ctx, read, move |hosted, read, reply, ctx| {
            let result = match read {
                Ok((mut messages, mine, removed)) => {
                    if let Err(error) = hosted.may_read(user) {
                        return hosted.answer(reply, Err(error));
                    }
                    if removed > span.after {
                        hosted.timeline.remove(removed);
                    }
                    // The page begins where messages do.
                    let is_elsewhere = messages.is_empty() && removed > span.after;
                    if is_elsewhere || !hosted.bring_up(&mut messages, known) {
                        return hosted.history(user, query, reply, ctx);
                    }
                    Ok(hosted.page(user, span, shared(messages), &mine))
                }
                Err(error) => Err(error),
            };
            hosted.answer(reply, result);
        });
    }

    /// Reads a page of members.
    pub(super) fn members(&mut self, user: &User, query: &MemberQuery, reply: ReplyTo) {
        if let Err(error) = self.may_read(user.id) {
            return self.answer(reply, Err(error));
        }
        let query = MemberQuery { limit: query.limit.min(limits::PAGE), ..*query };
        let mut page = self.roster.page(&query, !self.is_big());
        if !self.mutes.is_empty() {
            // The page without them is shared by all who ask for it.
            page.members = self.with_mutes(page.members.to_vec()).into();
        }
        self.answer(reply, Ok(Reply::Members(page)));
    }

    fn page(
        &self,
        user: UserId,
        span: Span,
        messages: Vec<Arc<Message>>,
        mine: &[OwnMark],
    ) -> Reply {
        Reply::History(History {
            room: self.id,
            mine: self.mine(user, messages.iter().map(|message| message.seq), mine),
            messages,
            more_before: span.after > self.timeline.removed(),
            more_after: span.until < self.timeline.end().seq,
        })
    }
}

/// Up to which message a room's messages are kept nowhere any more, as far as a read of some shows: those before the
/// first that was found, because they go from the beginning on; if none was found, what the store says.
pub(super) async fn removed(
    store: &dyn Store,
    room: RoomId,
    found: &[Message],
) -> Result<u64, StoreError> {
    match found.first() {
        Some(first) => Ok(first.seq - 1),
        None => Ok(store.load_room(room, 0).await?.map_or(0, |room| room.removed)),
    }
}

/// Messages as the room hands them on.
pub(super) fn shared(messages: Vec<Message>) -> Vec<Arc<Message>> {
    messages.into_iter().map(Arc::new).collect()
}
