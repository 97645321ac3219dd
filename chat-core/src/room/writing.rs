//! How a room changes: commands become writes, writes go to the journal, and only what the store
//! has committed is applied, answered and shown, in the order of its numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::prelude::{AsyncContext, Context};

use crate::clock::Timestamp;
use crate::command::{Reply, Sent};
use crate::deliver::{OnceKey, ReplyTo};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::journal::{Commit, OpenBatch, PATIENCE};
use crate::model::{Body, ChangeKind, Draft, Membership, Message, User};
use crate::room::entering::Entering;
use crate::room::marking::Marker;
use crate::room::writes::{Pending, UnderWay, What};
use crate::room::{Ask, Hosted, RoomActor};
use crate::roster::newcomer;
use crate::store::{Batch, BatchOutcome, Outcome, Write};

/// How often in a row a batch gives way to somebody else's writes before its senders are told
/// `unavailable`.
const GIVE_WAY: usize = 8;

impl Hosted {
    /// Takes a message for writing, or answers a repeated one.
    pub(super) fn send(
        &mut self,
        user: &User,
        draft: Draft,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if self.roster.membership(user.id).is_none() {
            return self.answer(reply, Err(self.not_a_member(user.id)));
        }
        let Some(seq) = draft.body.reply_to else {
            return self.take(user, draft.body, reply);
        };
        let named = (seq, "reply_to");
        self.with_message(user.clone(), named, reply, ctx, move |hosted, user, answered, reply| {
            if answered.deleted {
                return hosted.answer(reply, Err(Error::message_deleted().field("reply_to")));
            }
            hosted.take(user, draft.body, reply);
        });
    }

    /// Whether a message would be taken now, and memory knows it.
    pub(super) fn may_send(&self, user: UserId, body: &Body) -> bool {
        let is_there = |seq| self.timeline.find(seq).is_some_and(|message| !message.deleted);
        let may_write =
            |member| self.may_write(member).is_ok() && self.passed_in_slow_mode(member).is_none();
        body.reply_to.is_none_or(is_there) && self.roster.membership(user).is_some_and(may_write)
    }

    /// Takes a message for writing, whose answers are known to be right.
    fn take(&mut self, user: &User, mut body: Body, reply: ReplyTo) {
        // The name that others see is the one that was kept, not what a sender says of itself.
        let Some(membership) = self.roster.membership(user.id).cloned() else {
            return self.answer(reply, Err(self.not_a_member(user.id)));
        };
        body.mentions = self.mentioned(user.id, body.mentions);
        if let Err(error) = self.may_write(&membership) {
            return self.answer(reply, Err(error));
        }
        if self.audience.is_full() {
            return self.answer(reply, Err(Error::busy()));
        }
        if let Err(error) = self.wait_in_slow_mode(&membership) {
            return self.answer(reply, Err(error));
        }
        self.accept(What::Send { from: membership.user, body, reply });
    }

    /// Takes a leaving for writing.
    pub(super) fn leave(&mut self, user: &User, reply: ReplyTo) {
        match self.roster.membership(user.id).cloned() {
            None => self.answer(reply, Err(self.not_a_member(user.id))),
            Some(membership) => match self.may_leave(&membership) {
                Ok(()) => self.end_membership(membership, Some(reply)),
                Err(error) => self.answer(reply, Err(error)),
            },
        }
    }

    /// Takes an invitation for writing, unless it would change nothing.
    pub(super) fn invite(&mut self, user: &User, guest: User, reply: ReplyTo) {
        match self.may_invite(user.id, guest.id) {
            Ok(true) => {
                let (by, guest) = (self.as_kept(user), newcomer(guest));
                self.accept(What::Invite { by, guest, reply });
            }
            Ok(false) => self.change_nothing(reply),
            Err(error) => self.answer(reply, Err(error)),
        }
    }

    /// What is asked is so already. Whoever asks with a key has it kept before it is answered, so that the same
    /// is not done later, when it would change something.
    pub(super) fn change_nothing(&mut self, reply: ReplyTo) {
        match reply.key().cloned() {
            Some(key) => _ = self.accept(What::Key { key, reply }),
            None => self.answer(reply, Ok(Reply::Done)),
        }
    }

    pub(super) fn begin_membership(&mut self, membership: Membership, entering: Entering) {
        self.accept(What::Join { membership, entering: Box::new(entering) });
    }

    pub(super) fn end_membership(&mut self, membership: Membership, reply: Option<ReplyTo>) {
        let user = membership.user.id;
        if reply.is_none() && self.writes.is_moving(user) {
            // Whatever is being written decides; if it is not stored, the member is looked at
            // again.
            return self.roster.still_gone(user, self.now());
        }
        self.accept(What::Leave { membership, reply });
    }

    /// Puts a write into the queue, unless too many wait. Answers whether it has.
    pub(super) fn accept(&mut self, what: What) -> bool {
        let free = self.writes.len() < self.shared.limits.room_writes;
        match self.shared.backlog.accept().filter(|_| free) {
            Some(slot) => {
                let (at, since) = (self.last_at, self.now());
                self.writes.push(Pending { what, at, since, _slot: slot });
                true
            }
            None => {
                self.refuse_write(what, &Error::busy());
                false
            }
        }
    }

    /// Sends what waits to the journal, or adds it to what is there and waits too.
    pub(super) fn dispatch(&mut self, ctx: &mut Context<RoomActor>) {
        match self.writes.under_way {
            UnderWay::Check => return,
            UnderWay::Commit => return self.add_to_open(),
            UnderWay::Nothing => {}
        }
        let waiting = !self.writes.queue.is_empty();
        if let Some(check_at) = self.writes.unsure {
            if waiting || check_at <= self.now() {
                self.check(ctx);
            }
            return;
        }
        if !waiting {
            return;
        }
        let after = self.timeline.end();
        let mut batch = Batch { room: self.key, after, may_follow: true, writes: Vec::new() };
        self.fill(&mut batch);
        let batch = OpenBatch::new(batch);
        self.writes.open = Some(batch.clone());
        self.writes.under_way = UnderWay::Commit;
        let room = ctx.address().recipient();
        self.shared.journal.do_send(Commit { batch, room, since: self.now() });
    }

    /// Adds what waits to the batch that the journal has not taken yet.
    fn add_to_open(&mut self) {
        if self.writes.queue.is_empty() {
            return;
        }
        if let Some(open) = self.writes.open.take()
            && open.change(|batch| self.fill(batch)).is_some()
        {
            self.writes.open = Some(open);
        }
    }

    /// Adds what waits to a batch, as much as it may carry.
    fn fill(&mut self, batch: &mut Batch) {
        let free = self.shared.limits.batch.saturating_sub(batch.writes.len());
        let count = self.writes.queue.len().min(free);
        // Time never goes back within a room, even if the machine's clock is set.
        let at = self.shared.clock.now().max(self.last_at);
        self.last_at = at;
        for mut pending in self.writes.queue.drain(..count) {
            pending.at = at;
            batch.may_follow &= matches!(pending.what, What::Send { .. } | What::Read(_));
            batch.writes.push(to_write(&pending.what, at));
            self.writes.in_flight.push_back(pending);
        }
    }

    /// The journal has answered.
    pub(super) fn committed(
        &mut self,
        outcome: Option<BatchOutcome>,
        ctx: &mut Context<RoomActor>,
    ) {
        self.writes.under_way = UnderWay::Nothing;
        self.writes.open = None;
        let count = self.writes.in_flight.len();
        match outcome {
            Some(BatchOutcome::Done(outcomes)) if outcomes.len() == count => {
                self.apply_all(outcomes, ctx);
            }
            Some(BatchOutcome::Followed { between, outcomes })
                if outcomes.len() == count && self.comes_next(&between) =>
            {
                between.into_iter().for_each(|message| self.show_stored(message));
                self.apply_all(outcomes, ctx);
            }
            Some(BatchOutcome::Fenced) if self.writes.fenced < GIVE_WAY => {
                self.writes.fenced += 1;
                self.writes.unsure = Some(self.now());
                self.writes.put_back();
            }
            _ => {
                self.writes.fenced = 0;
                self.writes.unsure = Some(self.now());
                let in_flight = std::mem::take(&mut self.writes.in_flight);
                // A key that has been kept without a change is not seen by looking where the room stands.
                if in_flight.iter().any(|pending| matches!(pending.what, What::Key { .. })) {
                    self.dedup.others_wrote();
                }
                for pending in in_flight {
                    self.fail(pending.what, &Error::unavailable());
                }
                self.refuse_late();
            }
        }
    }

    /// Whether these are the messages that stand behind those which the room has.
    fn comes_next(&self, messages: &[Message]) -> bool {
        let end = self.timeline.end().seq;
        messages.iter().map(|message| message.seq).eq(end + 1..=end + messages.len() as u64)
    }

    /// Applies what was under way. What is still to be applied stays there meanwhile: what goes on because of what
    /// has been applied is judged with it.
    fn apply_all(&mut self, outcomes: Vec<Outcome>, ctx: &mut Context<RoomActor>) {
        self.writes.fenced = 0;
        for outcome in outcomes {
            let Some(pending) = self.writes.in_flight.pop_front() else { break };
            match (&pending.what, outcome) {
                (What::Marks { .. }, Outcome::KeyConflict) => {
                    self.writes.in_flight.push_back(pending);
                }
                _ => self.apply(pending, outcome, ctx),
            }
        }
        let again = &self.writes.in_flight;
        if again.is_empty() {
            return;
        }
        // Another process has used one of their keys: the store says which.
        self.dedup.others_wrote();
        let keys = again.iter().flat_map(|pending| pending.what.keys()).cloned().collect();
        self.writes.put_back();
        self.check_keys(keys, ctx);
    }

    /// A write is stored, or was before.
    fn apply(&mut self, pending: Pending, outcome: Outcome, ctx: &mut Context<RoomActor>) {
        let at = pending.at;
        match (pending.what, outcome) {
            (What::Send { from, body, reply }, Outcome::Stored(cursor)) => {
                let sent = Sent { seq: cursor.seq, at };
                self.answer(reply, Ok(Reply::Sent(sent)));
                self.show(Arc::new(Message::new(sent.seq, from, body, sent.at)));
            }
            (What::Send { from, reply, .. }, Outcome::Seen(sent)) => {
                self.slow.did_not_write(from.id);
                self.answer(reply, Ok(Reply::Sent(sent)));
            }
            (what @ What::Send { .. }, Outcome::KeyConflict | Outcome::Repeated) => {
                self.fail(what, &Error::key_conflict());
            }
            // Nobody else has anything to do with it.
            (what, Outcome::KeyConflict) => {
                self.end_write(what, &Err(Error::key_conflict()), ctx);
            }
            // It was done before, and what has become of it since stays.
            (what, Outcome::Repeated) => self.end_write(what, &Ok(Reply::Done), ctx),
            (What::Join { membership, entering }, Outcome::Stored(cursor)) => {
                let user = membership.user.id;
                let change = self.change(cursor, ChangeKind::Joined(membership), None, at);
                if self.belongs(user) {
                    // As the parent's room has it, before anybody is told.
                    self.follow_parent(ctx);
                    self.catch_up(*entering, Some(change), ctx);
                } else {
                    let error = self.no_entry(user);
                    self.refuse(*entering, error);
                    self.tell_change(&change);
                    self.follow_parent(ctx);
                }
                self.go_on(user, ctx);
            }
            (What::Leave { membership, reply }, Outcome::Stored(cursor)) => {
                let user = membership.user.id;
                // Before anybody is answered, so that threads know it by then.
                let change = self.change(cursor, ChangeKind::Left(membership), None, at);
                if let Some(reply) = reply {
                    self.answer(reply, Ok(Reply::Done));
                }
                self.tell_change(&change);
                self.go_on(user, ctx);
            }
            (What::Invite { by, guest, reply }, Outcome::Stored(cursor)) => {
                let user = guest.user.id;
                self.answer(reply, Ok(Reply::Done));
                let change = self.change(cursor, ChangeKind::Invited(guest), Some(by), at);
                self.tell_change(&change);
                self.go_on(user, ctx);
            }
            (what @ What::Moderate { .. }, Outcome::Stored(cursor)) => {
                let (by, moved) = (what.by().cloned(), what.moves());
                let What::Moderate { kind, reply, .. } = what else { return };
                let change = self.change(cursor, kind, by, at);
                self.answer(reply, Ok(Reply::Done));
                self.tell_change(&change);
                moved.into_iter().for_each(|user| self.go_on(user, ctx));
            }
            (What::Read(readers), Outcome::Stored(_)) => self.have_read(readers),
            (What::Key { reply, .. }, Outcome::Stored(_)) => self.answer(reply, Ok(Reply::Done)),
            (What::Marks { seq, given, last }, Outcome::Stored(cursor)) => {
                self.marked(cursor, seq, given, last, at);
            }
            (What::Thread { membership, seq, thread }, Outcome::Stored(cursor)) => {
                let kind = ChangeKind::Thread(membership, seq, *thread);
                let change = self.change(cursor, kind, None, at);
                self.tell_change(&change);
            }
            (what @ What::Amend { .. }, Outcome::Stored(cursor)) => {
                let by = what.by().cloned();
                let What::Amend { message, kind, reply, .. } = what else { return };
                self.answer(reply, Ok(Reply::Done));
                // It may say something else by now than when it was judged.
                let kept = kind.seq().and_then(|seq| self.timeline.find(seq));
                let change = self.change(cursor, kind, by, at);
                self.tell_change(&change);
                self.tell_newly_mentioned(kept.as_deref().unwrap_or(&message), &change);
            }
            (What::Erase { author, until, reply }, Outcome::Stored(cursor)) => {
                let user = author.user.clone();
                let change = self.change(cursor, ChangeKind::Erased(author), None, at);
                self.tell_change(&change);
                self.erased(user.clone(), until, reply, ctx);
                self.go_on(user.id, ctx);
            }
            (what, outcome) => {
                tracing::error!(?outcome, room = %self.id, "the store gave a membership this outcome");
                self.writes.unsure = Some(self.now());
                self.fail(what, &Error::unavailable());
            }
        }
    }

    /// A write has this answer, and nothing else comes of it.
    pub(super) fn end_write(
        &mut self,
        what: What,
        result: &Result<Reply>,
        ctx: &mut Context<RoomActor>,
    ) {
        let moved = what.moves();
        match what {
            What::Moderate { kind, reply, .. } => {
                self.settled(&kind);
                self.answer(reply, result.clone());
            }
            What::Leave { reply: Some(reply), .. }
            | What::Invite { reply, .. }
            | What::Amend { reply, .. }
            | What::Key { reply, .. }
            | What::Erase { reply, .. } => self.answer(reply, result.clone()),
            What::Send { from, reply, .. } => {
                self.slow.did_not_write(from.id);
                self.answer(reply, result.clone());
            }
            What::Marks { given, .. } => self.answer_markers(given, result),
            What::Read(readers) => self.end_reading(readers, result),
            What::Leave { reply: None, .. } | What::Join { .. } | What::Thread { .. } => {}
        }
        moved.into_iter().for_each(|user| self.go_on(user, ctx));
    }

    /// A write that had been accepted is not stored.
    pub(super) fn fail(&mut self, what: What, error: &Error) {
        let moved = what.moves();
        if let What::Moderate { kind, .. } = &what {
            self.settled(kind);
        }
        self.refuse_write(what, error);
        moved.into_iter().for_each(|user| self.refuse_parked(user, error));
    }

    /// Tells who waits for a write that it is not stored.
    fn refuse_write(&mut self, what: What, error: &Error) {
        match what {
            What::Send { from, reply, .. } => {
                self.slow.did_not_write(from.id);
                self.answer(reply, Err(error.clone()));
            }
            What::Join { entering, .. } => self.refuse(*entering, error.clone()),
            What::Leave { membership, reply } => match reply {
                Some(reply) => self.answer(reply, Err(error.clone())),
                // It is still away, and is tried again after another grace period.
                None => self.roster.still_gone(membership.user.id, self.now()),
            },
            What::Marks { given, .. } => self.answer_markers(given, &Err(error.clone())),
            What::Read(readers) => self.end_reading(readers, &Err(error.clone())),
            What::Thread { membership, seq, thread } => {
                self.keep_news(seq, *thread, membership.user);
            }
            What::Invite { reply, .. }
            | What::Moderate { reply, .. }
            | What::Amend { reply, .. }
            | What::Key { reply, .. }
            | What::Erase { reply, .. } => self.answer(reply, Err(error.clone())),
        }
    }

    /// What was being written has been written, or will not be.
    pub(super) fn settled(&mut self, kind: &ChangeKind) {
        if kind.settings().is_some() {
            self.upcoming = None;
        }
    }

    /// Who has waited long for a store that then failed is not left to wait for it once more.
    fn refuse_late(&mut self) {
        let late = self.now().saturating_sub(PATIENCE);
        let (refused, queue) = std::mem::take(&mut self.writes.queue)
            .into_iter()
            .partition::<VecDeque<_>, _>(|pending| pending.since < late);
        self.writes.queue = queue;
        for pending in refused {
            self.fail(pending.what, &Error::unavailable());
        }
    }

    /// Nothing that waits will be written.
    pub(super) fn refuse_waiting(&mut self, error: &Error) {
        let in_flight = std::mem::take(&mut self.writes.in_flight);
        let queue = std::mem::take(&mut self.writes.queue);
        for pending in in_flight.into_iter().chain(queue) {
            self.fail(pending.what, error);
        }
    }

    fn refuse_parked(&mut self, user: UserId, error: &Error) {
        for Ask { asker, reply, .. } in self.writes.moved(user) {
            self.turn_away(asker, reply, error.clone());
        }
    }

    /// What a user has asked while its membership was being written.
    pub(super) fn go_on(&mut self, user: UserId, ctx: &mut Context<RoomActor>) {
        for ask in self.writes.moved(user) {
            self.ask(ask, ctx);
        }
    }
}

fn to_write(what: &What, at: Timestamp) -> Write {
    let once = what.reply().and_then(ReplyTo::key);
    let key = once.map(|once| (once.key.clone(), once.fingerprint));
    let change = |kind| Write::Change { kind, by: what.by().cloned(), at, key: key.clone() };
    match what {
        What::Send { from, body, .. } => {
            Write::Message { from: from.clone(), body: body.clone(), at, key }
        }
        What::Join { membership, .. } => change(ChangeKind::Joined(membership.clone())),
        What::Leave { membership, .. } => change(ChangeKind::Left(membership.clone())),
        What::Invite { guest, .. } => change(ChangeKind::Invited(guest.clone())),
        What::Moderate { kind, .. } | What::Amend { kind, .. } => change(kind.clone()),
        What::Thread { membership, seq, thread } => {
            change(ChangeKind::Thread(membership.clone(), *seq, (**thread).clone()))
        }
        What::Erase { author, .. } => change(ChangeKind::Erased(author.clone())),
        What::Marks { seq, given, last } => {
            let markings = given.iter().map(Marker::marking).collect();
            Write::Marks { seq: *seq, markings, last: last.clone(), at }
        }
        What::Read(readers) => Write::Read(readers.iter().map(|reader| reader.reading).collect()),
        What::Key { key: OnceKey { user, key, fingerprint }, .. } => {
            let (user, key, fingerprint) = (*user, key.clone(), *fingerprint);
            Write::Key { user, key, fingerprint, at }
        }
    }
}
