//! What becomes of messages after they have been written: they are edited, deleted, and looked at by
//! number, from memory or from the store.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::command::Reply;
use crate::deliver::ReplyTo;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::model::{Change, ChangeKind, Edit, Kind, Membership, Message, User};
use crate::room::writes::What;
use crate::room::{Hosted, RoomActor};
use crate::roster::newcomer;
use crate::shared::unavailable;
use crate::store::{Store, StoreError};

impl Hosted {
    pub(super) fn edit(
        &mut self,
        user: &User,
        seq: u64,
        mut edit: Edit,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        edit.mentions = self.mentioned(user.id, edit.mentions);
        self.with_message(
            user.clone(),
            (seq, "seq"),
            reply,
            ctx,
            |hosted, user, message, reply| {
                let judged = hosted.judge_edit(user.id, message, edit);
                hosted.amend(user, message, judged, reply);
            },
        );
    }

    pub(super) fn delete(
        &mut self,
        user: &User,
        seq: u64,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        self.with_message(
            user.clone(),
            (seq, "seq"),
            reply,
            ctx,
            |hosted, user, message, reply| {
                let judged = hosted.judge_deletion(user.id, message);
                hosted.amend(user, message, judged, reply);
            },
        );
    }

    /// Reads what a message said before.
    pub(super) fn revisions(
        &mut self,
        user: &User,
        seq: u64,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        let read = async move {
            let messages = store.messages(key, seq.saturating_sub(1), seq).await?;
            Ok((messages, store.revisions(key, seq).await?))
        };
        if let Err(error) = self.look_for(user.id, (seq, "seq")) {
            return self.answer(reply, Err(error));
        }
        let user = user.id;
        self.read(reply, ctx, read, move |hosted, read, reply, _| {
            let result = read.and_then(|(messages, revisions)| match messages.first() {
                _ if hosted.reading_role(user).is_none() => Err(hosted.not_a_member(user)),
                None => Err(Error::no_such_message()),
                Some(message) if message.from.id != user && !hosted.moderates(user) => {
                    let message = "only its author, the owner and moderators see what it said";
                    Err(Error::forbidden(message))
                }
                Some(message) if message.deleted => Ok(Reply::Revisions(Vec::new())),
                Some(_) => Ok(Reply::Revisions(revisions)),
            });
            hosted.answer(reply, result);
        });
    }

    /// Does something with a message, which the command names in this field. If it is not in memory, it is read, and whatever else its user
    /// asks meanwhile waits, so that its commands stay in order.
    pub(super) fn with_message(
        &mut self,
        user: User,
        (seq, field): (u64, &'static str),
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
        then: impl FnOnce(&mut Self, &User, &Message, ReplyTo) + 'static,
    ) {
        if let Err(error) = self.look_for(user.id, (seq, field)) {
            return self.answer(reply, Err(error));
        }
        if let Some(message) = self.timeline.find(seq) {
            return then(self, &user, &message, reply);
        }
        self.writes.hold(user.id);
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        let known = self.timeline.end().change;
        let read = async move { store.messages(key, seq - 1, seq).await };
        self.read(reply, ctx, read, move |hosted, read, reply, ctx| {
            let id = user.id;
            match read {
                Ok(mut messages) => match hosted.bring_up(&mut messages, known) {
                    true => match messages.first() {
                        Some(message) => then(hosted, &user, message, reply),
                        None => hosted.answer(reply, Err(Error::no_such_message().field(field))),
                    },
                    false => hosted.with_message(user, (seq, field), reply, ctx, then),
                },
                Err(error) => hosted.answer(reply, Err(error)),
            }
            hosted.go_on(id, ctx);
        });
    }

    /// Lets messages that were read be as they are now: what has become of them since the room stood at this
    /// change. Answers whether that is known.
    pub(super) fn bring_up(&self, messages: &mut [Message], known: u64) -> bool {
        let Some(changes) = self.timeline.changes(known) else { return false };
        for Change { kind, at, .. } in changes.iter().map(|change| &**change) {
            let of = |message: &&mut Message| match kind {
                ChangeKind::Erased(author) => author.user.id == message.from.id,
                kind => kind.seq() == Some(message.seq),
            };
            for message in messages.iter_mut().filter(of) {
                match kind {
                    ChangeKind::Edited(_, _, Some(edit)) => message.edit(edit, *at),
                    ChangeKind::Marked(_, _, marks) => message.mark(marks),
                    ChangeKind::Thread(_, _, thread) => message.set_thread(thread),
                    _ => message.delete(),
                }
            }
        }
        true
    }

    /// Whether somebody may ask for a message that may be there. In a thread, whoever does not follow it may read it; what
    /// else it wants of it is looked at when it is known.
    pub(super) fn look_for(&self, user: UserId, (seq, field): (u64, &'static str)) -> Result<()> {
        self.may_read(user)?;
        if seq <= self.timeline.removed() || seq > self.timeline.end().seq {
            return Err(Error::no_such_message().field(field));
        }
        Ok(())
    }

    /// Reads something from the store, and goes on with it.
    pub(super) fn read<T: 'static>(
        &mut self,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
        read: impl Future<Output = Result<T, StoreError>> + 'static,
        then: impl FnOnce(&mut Self, Result<T>, ReplyTo, &mut Context<RoomActor>) + 'static,
    ) {
        self.reads += 1;
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(move |read, room, ctx| {
            let go_on = |hosted: &mut Self, reply, ctx: &mut _| {
                hosted.reads -= 1;
                then(hosted, read.map_err(unavailable("read messages")), reply, ctx);
            };
            room.go_on(reply, ctx, go_on, |reply| (reply, None));
        }));
    }

    /// Those of these users who are members, but for whoever mentions them; in a thread, also those who do not
    /// follow it.
    pub(super) fn mentioned(&self, by: UserId, mut users: Vec<UserId>) -> Vec<UserId> {
        let mut mentioned = Vec::new();
        users.retain(|user| *user != by && self.belongs(*user));
        for user in users {
            if mentioned.len() < limits::MENTIONS && !mentioned.contains(&user) {
                mentioned.push(user);
            }
        }
        mentioned
    }

    fn moderates(&self, user: UserId) -> bool {
        self.reading_role(user).is_some_and(|role| role.moderates())
            && self.info.kind != Kind::Direct
    }

    /// What an edit would change, `None` if nothing.
    fn judge_edit(
        &self,
        user: UserId,
        message: &Message,
        edit: Edit,
    ) -> Result<Option<ChangeKind>> {
        let Some(me) = self.roster.membership(user) else { return Err(self.not_a_member(user)) };
        if message.from.id != user {
            return Err(Error::forbidden("only its author edits a message"));
        }
        if message.deleted || self.writes.is_deleting(message.seq) {
            return Err(Error::message_deleted());
        }
        self.may_write(me)?;
        self.in_time(message)?;
        let changed =
            message.body.text.as_ref() != Some(&edit.text) || self.writes.is_editing(message.seq);
        Ok(changed.then(|| ChangeKind::Edited(me.clone(), message.seq, Some(edit))))
    }

    /// What a deletion would change, `None` if nothing.
    fn judge_deletion(&self, user: UserId, message: &Message) -> Result<Option<ChangeKind>> {
        let Some(role) = self.reading_role(user) else { return Err(self.not_a_member(user)) };
        if self.roster.membership(user).is_none() && !self.moderates(user) {
            return Err(self.not_a_member(user));
        }
        let author = self.roster.membership(message.from.id);
        let outranked = role.moderates() && role.outranks(self.role_of(message.from.id));
        if message.from.id != user && (!outranked || self.info.kind == Kind::Direct) {
            let message =
                "delete your own messages, or moderate those whose role is below your own";
            return Err(Error::forbidden(message));
        }
        if message.deleted {
            return Ok(None);
        }
        if message.from.id == user && !self.moderates(user) {
            self.in_time(message)?;
        }
        let author = author.cloned().unwrap_or_else(|| newcomer(message.from.clone()));
        Ok(Some(ChangeKind::Deleted(author, message.seq)))
    }

    fn in_time(&self, message: &Message) -> Result<()> {
        let age = self.shared.clock.now().signed_duration_since(message.at);
        let edit_age = self.shared.limits.edit_age;
        if age.to_std().unwrap_or_default() >= edit_age {
            return Err(Error::too_late(edit_age));
        }
        Ok(())
    }

    /// Takes what was judged for writing, unless it may not be, or would change nothing.
    fn amend(
        &mut self,
        by: &User,
        message: &Message,
        judged: Result<Option<ChangeKind>>,
        reply: ReplyTo,
    ) {
        match judged {
            Ok(Some(kind)) => {
                let message = Box::new(message.clone());
                self.accept(What::Amend { by: self.as_kept(by), message, kind, reply });
            }
            Ok(None) => self.change_nothing(reply),
            Err(error) => self.answer(reply, Err(error)),
        }
    }

    /// Whether an edit or a deletion that waits may still be written, after another process has changed
    /// the room.
    pub(super) fn may_still_amend(&self, by: UserId, kind: &ChangeKind) -> Result<()> {
        let (me, role) = (self.roster.membership(by), self.reading_role(by));
        let Membership { user: author, .. } = kind.membership();
        match (kind, me, role) {
            (ChangeKind::Edited(_, seq, _), Some(me), _) => {
                self.may_write(me)?;
                if self.timeline.has_deleted(*seq, Some(author.id)) {
                    return Err(Error::message_deleted());
                }
                Ok(())
            }
            (ChangeKind::Edited(..), None, _) | (_, _, None) => Err(self.not_a_member(by)),
            (_, Some(_), _) if author.id == by => Ok(()),
            (_, _, Some(role)) if role.moderates() => {
                let may = author.id == by || role.outranks(self.role_of(author.id));
                may.then_some(()).ok_or_else(role_has_changed)
            }
            (_, None, _) => Err(self.not_a_member(by)),
            _ => Err(role_has_changed()),
        }
    }
}

fn role_has_changed() -> Error {
    Error::forbidden("your role has changed meanwhile")
}
