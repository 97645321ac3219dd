//! Questions about a room: its messages and its members. Members are always answered from memory;
//! messages too, as far back as the room remembers.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::command::{History, HistoryQuery, MemberQuery, Reply};
use crate::deliver::ReplyTo;
use crate::error::Error;
use crate::limits;
use crate::model::{Message, User};
use crate::room::{Hosted, RoomActor};
use crate::store::Store;
use crate::timeline::Span;

impl Hosted {
    /// Reads a page of messages, from the store if memory does not reach so far.
    pub(super) fn history(
        &mut self,
        user: &User,
        mut query: HistoryQuery,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if self.roster.membership(user.id).is_none() {
            return self.answer(reply, Err(self.not_a_member(user.id)));
        }
        query.limit = query.limit.min(limits::PAGE);
        let span = self.timeline.span(query);
        if let Some(messages) = self.timeline.messages(span) {
            return self.answer(reply, Ok(self.page(span, messages)));
        }
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        let read = async move { store.messages(key, span.after, span.until).await };
        self.reads += 1;
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(move |read, room, ctx| {
            let answer = |hosted: &mut Self, reply, _: &mut _| {
                hosted.reads -= 1;
                let result = match read {
                    Ok(messages) => {
                        // What the store no longer has is asked for no more.
                        let first = messages.first().map_or(span.until + 1, |first| first.seq);
                        if first > span.after + 1 {
                            hosted.timeline.remove(first - 1);
                        }
                        Ok(hosted.page(span, shared(messages)))
                    }
                    Err(error) => {
                        tracing::error!(%error, room = %hosted.id, "could not read history");

                        Err(Error::unavailable())
                    }
                };
                hosted.answer(reply, result);
            };
            room.go_on(reply, ctx, answer, |reply| (reply, None));
        }));
    }

    /// Reads a page of members.
    pub(super) fn members(&mut self, user: &User, query: &MemberQuery, reply: ReplyTo) {
        if self.roster.membership(user.id).is_none() {
            return self.answer(reply, Err(self.not_a_member(user.id)));
        }
        let query = MemberQuery { limit: query.limit.min(limits::PAGE), ..*query };
        let mut page = self.roster.page(&query);
        if !self.mutes.is_empty() {
            // The page without them is shared by all who ask for it.
            page.members = self.with_mutes(page.members.to_vec()).into();
        }
        self.answer(reply, Ok(Reply::Members(page)));
    }

    fn page(&self, span: Span, messages: Vec<Arc<Message>>) -> Reply {
        Reply::History(History {
            room: self.id,
            messages,
            more_before: span.after > self.timeline.removed(),
            more_after: span.until < self.timeline.end().seq,
        })
    }
}

/// Messages as the room hands them on.
pub(super) fn shared(messages: Vec<Message>) -> Vec<Arc<Message>> {
    messages.into_iter().map(Arc::new).collect()
}
