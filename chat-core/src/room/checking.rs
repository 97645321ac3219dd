//! What the store has of a room and the room has not, because another process has written, or an answer was lost: it is
//! read and shown, and what waits to be written is looked at again.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::dedup::Written;
use crate::deliver::OnceKey;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::model::{Body, Change, ChangeKind, Membership, Message};
use crate::room::reading::removed;
use crate::room::writes::{Pending, UnderWay, What};
use crate::room::{AGAIN, Hosted, RoomActor};
use crate::store::{Store, StoreError, UsedKey};

impl Hosted {
    /// Reads where the store says the room stands, and what is missing here.
    pub(super) fn check(&mut self, ctx: &mut Context<RoomActor>) {
        self.writes.under_way = UnderWay::Check;
        let (store, key, end) = (Arc::clone(&self.shared.store), self.key, self.timeline.end());
        let (id, page) = (self.id, limits::PAGE);
        let read = async move {
            let messages = store.messages(key, end.seq, end.seq + page as u64).await?;
            // The next one has been removed perhaps, because it is too old, before it came here.
            let removed = removed(&*store, id, &messages).await?;
            let changes = store.changes(key, end.change, page).await?;
            Ok(Stored { removed, messages, changes })
        };
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(|read, room, ctx| {
            room.with_hosted(ctx, |hosted, ctx| hosted.checked(read, ctx));
        }));
    }

    /// What the store had and the room did not is shown now: it is committed.
    fn checked(&mut self, read: Result<Stored, StoreError>, ctx: &mut Context<RoomActor>) {
        self.writes.under_way = UnderWay::Nothing;
        match read {
            Ok(Stored { removed, .. }) if removed > self.timeline.end().seq => {
                // Who listens is told to read for itself what there is.
                let after = self.timeline.end();
                for (_, seat) in self.roster.seated() {
                    self.audience.leave_behind(&seat.line, after);
                }
                self.timeline.skip_to(removed);
                self.writes.unsure = Some(self.now());
            }
            Ok(Stored { messages, changes, .. }) => {
                let changed = !changes.is_empty();
                let full = self.catch_up_with_store(messages, changes);
                // Before any of them is answered, so that nobody comes into a thread whom it has just begun
                // to know and who has left its parent's room meanwhile.
                self.follow_parent(ctx);
                self.writes.unsure = full.then(|| self.now());
                if !full {
                    self.end_doubts();
                    self.let_in(ctx);
                }
                let keys = self.keys_in_doubt(changed);
                match keys.is_empty() {
                    true => self.look_again(ctx),
                    false => self.check_keys(keys, ctx),
                }
            }
            Err(error) => self.not_checked(&error),
        }
    }

    fn not_checked(&mut self, error: &StoreError) {
        tracing::error!(%error, room = %self.id, "could not read where a room stands");
        self.writes.unsure = Some(self.now() + AGAIN);
        self.refuse_waiting(&Error::unavailable());
        self.refuse_those_ahead(&Error::unavailable());
    }

    /// The keys of what waits and is not simply written: of changes, if others have come before them, and of
    /// whatever would be refused by now. The store finds those of other messages and marks by itself, when they are
    /// written.
    fn keys_in_doubt(&self, changed: bool) -> Vec<OnceKey> {
        let mut keys = self.gathered_in_doubt();
        for Pending { what, .. } in &self.writes.queue {
            match what {
                What::Send { from, body, .. } if self.may_still_send(from.id, body).is_ok() => {}
                What::Send { .. } => keys.extend(what.keys()),
                What::Marks { seq, given, .. } => keys.extend(self.marks_in_doubt(*seq, given)),
                _ if changed => keys.extend(what.keys()),
                _ => {}
            }
        }
        keys.into_iter().cloned().collect()
    }

    /// Looks whether what waits has been done by another process, for the same client. What comes meanwhile is
    /// looked up when it is asked.
    pub(super) fn check_keys(&mut self, keys: Vec<OnceKey>, ctx: &mut Context<RoomActor>) {
        self.writes.under_way = UnderWay::Check;
        let (store, room) = (Arc::clone(&self.shared.store), self.key);
        let read = async move {
            let mut used = Vec::new();
            for OnceKey { user, key, .. } in keys {
                used.extend(store.used_key(room, user, &key).await?);
            }
            Ok(used)
        };
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(|read, room, ctx| {
            room.with_hosted(ctx, |hosted, ctx| {
                hosted.writes.under_way = UnderWay::Nothing;
                match read {
                    Ok(used) => {
                        hosted.answer_used(used, ctx);
                        hosted.look_again(ctx);
                    }
                    Err(error) => {
                        hosted.not_checked(&error);
                        hosted.refuse_gathered(&Error::unavailable());
                    }
                }
            });
        }));
    }

    /// What waits and was done before, in another process, gets its first answer.
    fn answer_used(&mut self, used: Vec<UsedKey>, ctx: &mut Context<RoomActor>) {
        for UsedKey { user, key, fingerprint, sent } in used {
            let answer = |asked: Option<&OnceKey>| {
                let asked = asked.map_or(fingerprint, |once| once.fingerprint);
                Written { fingerprint, sent }.answer(asked)
            };
            if let Some(what) = self.writes.take_once(user, &key) {
                let answer = answer(what.keys().next());
                self.end_write(what, &answer, ctx);
            } else if let Some(marker) = self.gathered.take_once(user, &key) {
                let answer = answer(marker.reply.key());
                self.answer(marker.reply, answer);
            }
        }
    }

    /// Shows what the store had and the room did not, in the order in which it happened. Answers
    /// whether there may be more.
    fn catch_up_with_store(&mut self, messages: Vec<Message>, changes: Vec<Change>) -> bool {
        if !changes.is_empty() {
            self.dedup.others_wrote();
        }
        let mut full = messages.len() >= limits::PAGE || changes.len() >= limits::PAGE;
        // What stands behind a change that has not been read waits for that.
        let last = changes.last().filter(|_| changes.len() >= limits::PAGE);
        let readable = last.map_or(u64::MAX, |change| change.cursor.seq);
        let mut messages =
            messages.into_iter().filter(|message| message.seq <= readable).peekable();
        for change in changes {
            while let Some(message) = messages.next_if(|next| next.seq <= change.cursor.seq) {
                self.show_stored(message);
            }
            if change.cursor.seq > self.timeline.end().seq {
                // Messages before it have been written since they were read.
                full = true;
                break;
            }
            let message = change.kind.seq().and_then(|seq| self.timeline.find(seq));
            if let ChangeKind::Marked(_, seq, _) = &change.kind {
                self.marks.forget(*seq);
            }
            let change = Arc::new(change);
            self.apply_change(&change);
            if let ChangeKind::Joined(membership) = &change.kind {
                self.let_in_elsewhere(membership.user.id, change.cursor.seq);
            }
            self.tell_change(&change);
            if let Some(message) = message {
                self.tell_newly_mentioned(&message, &change);
            }
        }
        messages.for_each(|message| self.show_stored(message));
        full
    }

    pub(super) fn show_stored(&mut self, message: Message) {
        // Its key, if it has one, is not known here.
        self.dedup.others_wrote();
        self.last_at = self.last_at.max(message.at);
        self.show(Arc::new(message));
    }

    /// Looks at what waits again, because memberships may have changed in the store: what has come
    /// about already is not written a second time. Whoever is kept back by that goes on when all of it has been
    /// looked at, and is judged with what is left.
    pub(super) fn look_again(&mut self, ctx: &mut Context<RoomActor>) {
        let mut free = Vec::new();
        for pending in std::mem::take(&mut self.writes.queue) {
            let moved = pending.what.moves();
            match pending.what {
                What::Send { ref from, ref body, .. } => match self.may_still_send(from.id, body) {
                    Ok(()) => self.writes.queue.push_back(pending),
                    Err(error) => self.fail(pending.what, &error),
                },
                What::Join { membership, entering } if self.has(&membership) => {
                    self.catch_up(*entering, None, ctx);
                    free.extend(moved);
                }
                What::Join { ref membership, .. } if !self.may_join(membership.user.id) => {
                    let error = self.no_entry(membership.user.id);
                    self.fail(pending.what, &error);
                }
                What::Leave { membership, reply }
                    if !self.has(&membership) && !self.is_expelled(membership.user.id) =>
                {
                    if let Some(reply) = reply {
                        self.change_nothing(reply);
                    }
                    free.extend(moved);
                }
                // Of one who was put out, perhaps it is not to end: if it is, that is written when it is known.
                What::Leave { membership, reply: None }
                    if self.is_looked_for(membership.user.id) =>
                {
                    free.extend(moved);
                }
                What::Leave { membership, reply } => {
                    let user = membership.user.id;
                    // It may have another role by now.
                    let membership = self.roster.membership(user).cloned().unwrap_or(membership);
                    match (self.may_leave(&membership), reply) {
                        (Err(error), Some(reply)) => {
                            self.answer(reply, Err(error));
                            free.extend(moved);
                        }
                        (_, reply) => {
                            let what = What::Leave { membership, reply };
                            self.writes.queue.push_back(Pending { what, ..pending });
                        }
                    }
                }
                What::Invite { by, guest, reply } => match self.may_invite(by.id, guest.user.id) {
                    Ok(true) => {
                        let what = What::Invite { by, guest, reply };
                        self.writes.queue.push_back(Pending { what, ..pending });
                    }
                    Ok(false) => {
                        self.change_nothing(reply);
                        free.extend(moved);
                    }
                    Err(error) => {
                        self.answer(reply, Err(error));
                        free.extend(moved);
                    }
                },
                What::Moderate { by, act, kind, reply } => match self.judge(by.id, &act) {
                    Ok(Some(kind)) => {
                        // Settings that another process has changed meanwhile have taken these for their own.
                        self.upcoming = kind.settings().or(self.upcoming);
                        let what = What::Moderate { by, act, kind, reply };
                        self.writes.queue.push_back(Pending { what, ..pending });
                    }
                    judged => {
                        self.settled(&kind);
                        match judged {
                            Err(error) => self.answer(reply, Err(error)),
                            Ok(_) => self.change_nothing(reply),
                        }
                        free.extend(moved);
                    }
                },
                What::Amend { ref by, ref kind, .. } => match self.may_still_amend(by.id, kind) {
                    Ok(()) => self.writes.queue.push_back(pending),
                    Err(error) => self.fail(pending.what, &error),
                },
                What::Marks { seq, given, last } => {
                    let given = self.look_at_marks_again(seq, given, ctx);
                    let last_of = given.last().and_then(|one| self.roster.membership(one.user));
                    let last = last_of.cloned().unwrap_or(last);
                    if !given.is_empty() {
                        let what = What::Marks { seq, given, last };
                        self.writes.queue.push_back(Pending { what, ..pending });
                    }
                }
                // Whoever is a member no more has read nothing. What has changed nothing is done with.
                What::Join { .. }
                | What::Erase { .. }
                | What::Read(_)
                | What::Thread { .. }
                | What::Key { .. } => self.writes.queue.push_back(pending),
            }
        }
        free.into_iter().for_each(|user| self.go_on(user, ctx));
    }

    /// Whether a message that has waited may be written still.
    fn may_still_send(&self, user: UserId, body: &Body) -> Result<()> {
        let Some(membership) = self.roster.membership(user) else {
            return Err(self.not_a_member(user));
        };
        match body.reply_to.and_then(|seq| self.timeline.find(seq)) {
            Some(answered) if answered.deleted => Err(Error::message_deleted().field("reply_to")),
            _ => self.may_write(membership),
        }
    }

    fn has(&self, member: &Membership) -> bool {
        self.roster.membership(member.user.id).is_some()
    }
}

/// What the store has of a room that the room did not have.
struct Stored {
    /// The last message that is kept nowhere any more.
    removed: u64,
    messages: Vec<Message>,
    changes: Vec<Change>,
}
