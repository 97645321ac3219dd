//! How messages are marked. What many mark at once is gathered: it is written, and told, as one change of each message,
//! at most every [`Limits::marks_every`](crate::Limits::marks_every).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Context;

use crate::clock::Timestamp;
use crate::command::{MarkerPage, MarkerQuery, OwnMark, Reply};
use crate::deliver::{OnceKey, ReplyTo};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::ids::UserId;
use crate::limits;
use crate::model::{ChangeKind, ClientKey, Cursor, Mark, Marking, Membership, Message, User};
use crate::page;
use crate::room::writes::{UnderWay, What};
use crate::room::{Hosted, RoomActor};
use crate::store::Store;

/// Somebody who gives a mark or takes it back.
pub(super) struct Marker {
    pub(super) user: UserId,
    pub(super) mark: Mark,
    pub(super) on: bool,
    pub(super) reply: ReplyTo,
}

impl Marker {
    /// What it does, as it is written.
    pub(super) fn marking(&self) -> Marking {
        let Self { user, mark, on, reply } = self;
        let key = reply.key().map(|once| (once.key.clone(), once.fingerprint));
        Marking { user: *user, mark: mark.clone(), on: *on, key }
    }
}

/// What is gathered, by message.
#[derive(Default)]
pub(super) struct Gathered {
    of: BTreeMap<u64, Vec<Marker>>,
    count: usize,
    /// When the next may be written.
    next: Duration,
}

impl Gathered {
    /// When it is to be written, if there is something.
    pub(super) fn due(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.next)
    }

    /// Takes out the mark that was given with this key.
    pub(super) fn take_once(&mut self, user: UserId, key: &ClientKey) -> Option<Marker> {
        let is_it = |marker: &Marker| marker.reply.key().is_some_and(|once| once.is(user, key));
        let find = |(seq, given): (&u64, &Vec<Marker>)| {
            given.iter().position(is_it).map(|place| (*seq, place))
        };
        let (seq, place) = self.of.iter().find_map(find)?;
        let given = self.of.get_mut(&seq)?;
        let taken = given.remove(place);
        if given.is_empty() {
            self.of.remove(&seq);
        }
        self.count -= 1;
        Some(taken)
    }

    fn take(&mut self) -> BTreeMap<u64, Vec<Marker>> {
        self.count = 0;
        std::mem::take(&mut self.of)
    }
}

impl Hosted {
    pub(super) fn mark(
        &mut self,
        user: User,
        seq: u64,
        (mark, on): (Mark, bool),
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if let Err(error) = self.look_for(user.id, (seq, "seq")) {
            return self.answer(reply, Err(error));
        }
        if self.marks.knows(seq)
            && let Some(message) = self.timeline.find(seq)
        {
            return self.give_mark(Marker { user: user.id, mark, on, reply }, &message);
        }
        self.writes.hold(user.id);
        let (store, key, known) =
            (Arc::clone(&self.shared.store), self.key, self.timeline.end().change);
        // Both at once: its marks may be forgotten while the message is read.
        let read = async move {
            let given = store.marks(key, seq - 1, seq).await?;
            Ok((given, store.messages(key, seq - 1, seq).await?))
        };
        self.read(reply, ctx, read, move |hosted, read, reply, ctx| {
            let id = user.id;
            match read {
                Ok((given, mut messages)) => {
                    // Read again, if it has been marked by others since.
                    if !hosted.marks.knows(seq) && hosted.unchanged_since(seq, known) {
                        hosted.marks.learn(seq, given);
                    }
                    let known = hosted.marks.knows(seq) && hosted.bring_up(&mut messages, known);
                    match messages.first() {
                        _ if !known => hosted.mark(user, seq, (mark, on), reply, ctx),
                        Some(message) => {
                            hosted.give_mark(Marker { user: id, mark, on, reply }, message);
                        }
                        None => hosted.answer(reply, Err(Error::no_such_message().field("seq"))),
                    }
                }
                Err(error) => hosted.answer(reply, Err(error)),
            }
            hosted.go_on(id, ctx);
        });
    }

    /// Gathers a mark of a message of which all marks are known.
    fn give_mark(&mut self, marker: Marker, message: &Message) {
        match self.judge_mark(marker.user, message, &marker.mark, marker.on) {
            Ok(true) => self.gather(message.seq, marker),
            Ok(false) => self.change_nothing(marker.reply),
            Err(error) => self.answer(marker.reply, Err(error)),
        }
    }

    /// Reads who has given a message a mark.
    pub(super) fn markers(
        &mut self,
        user: &User,
        mut query: MarkerQuery,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        if let Err(error) = self.look_for(user.id, (query.seq, "seq")) {
            return self.answer(reply, Err(error));
        }
        let limit = query.limit.min(limits::PAGE);
        query.limit = limit + 1;
        let (store, key, user) = (Arc::clone(&self.shared.store), self.key, user.id);
        let read = async move { store.markers(key, &query).await };
        self.read(reply, ctx, read, move |hosted, read, reply, _| {
            let page = read.and_then(|mut users| {
                hosted.may_read(user)?;
                let next = page::cut(&mut users, limit, |last| last.id);
                Ok(Reply::Markers(MarkerPage { users, next }))
            });
            hosted.answer(reply, page);
        });
    }

    /// Whether a member may mark a message of which all marks are known, and whether that changes anything.
    fn judge_mark(&self, user: UserId, message: &Message, mark: &Mark, on: bool) -> Result<bool> {
        let Some(me) = self.roster.membership(user) else { return Err(self.not_a_member(user)) };
        if let Some(mute) = self.mute_of(me) {
            return Err(Error::muted(mute.until));
        }
        if message.deleted || self.writes.is_deleting(message.seq) {
            return Err(Error::message_deleted());
        }
        // What waits or is being written counts as if it were.
        let mut own: Vec<&Mark> = self.marks.by(message.seq, user).collect();
        let mut all: Vec<Mark> =
            self.marks.counts(message.seq).into_iter().map(|one| one.mark).collect();
        let waiting = self.gathered.of.get(&message.seq).into_iter().flatten();
        let mut waits = false;
        for marker in self.writes.markers_of(message.seq).chain(waiting) {
            if marker.user == user {
                waits |= marker.mark == *mark;
                own.retain(|known| **known != marker.mark);
                own.extend(marker.on.then_some(&marker.mark));
            }
            if marker.on && !all.contains(&marker.mark) {
                all.push(marker.mark.clone());
            }
        }
        if own.contains(&mark) == on {
            // What only waits may not be kept after all, so it is written once more.
            return Ok(waits);
        }
        if on && own.len() >= limits::OWN_MARKS {
            return Err(too_many("you have given this message", limits::OWN_MARKS));
        }
        if on && all.len() >= limits::MARKS && !all.contains(mark) {
            return Err(too_many("this message has", limits::MARKS));
        }
        Ok(true)
    }

    fn gather(&mut self, seq: u64, marker: Marker) {
        if self.gathered.count >= self.shared.limits.room_writes {
            return self.answer(marker.reply, Err(Error::busy()));
        }
        self.gathered.of.entry(seq).or_default().push(marker);
        self.gathered.count += 1;
    }

    /// When what was gathered may be written.
    pub(super) fn marks_due(&self) -> Option<Duration> {
        self.gathered.due().filter(|_| self.writes.under_way != UnderWay::Check)
    }

    /// Takes what was gathered for writing, if it is time. What may have come about meanwhile is looked at: members
    /// have left, messages were deleted, another process has marked them. While the room finds that out, it waits.
    pub(super) fn write_gathered(&mut self, ctx: &mut Context<RoomActor>) {
        let now = self.now();
        if self.marks_due().is_none_or(|due| due > now) {
            return;
        }
        self.gathered.next = now.saturating_add(self.shared.limits.marks_every);
        for (seq, given) in self.gathered.take() {
            let given = self.look_at_marks_again(seq, given, ctx);
            let last = given.last().and_then(|last| self.roster.membership(last.user)).cloned();
            if let Some(last) = last {
                self.accept(What::Marks { seq, given, last });
            }
        }
    }

    /// Answers everybody who has given one of these.
    pub(super) fn answer_markers(&mut self, given: Vec<Marker>, result: &Result<Reply>) {
        for marker in given {
            self.answer(marker.reply, result.clone());
        }
    }

    /// Nothing that was gathered will be written.
    pub(super) fn refuse_gathered(&mut self, error: &Error) {
        for (_, given) in self.gathered.take() {
            self.answer_markers(given, &Err(error.clone()));
        }
    }

    /// What a user has marked and is not under way yet will not be written.
    pub(super) fn refuse_marks_of(&mut self, user: UserId, error: &Error) {
        let mut refused = self.writes.take_marks_of(user);
        for given in self.gathered.of.values_mut() {
            refused.extend(given.extract_if(.., |marker| marker.user == user));
        }
        self.gathered.of.retain(|_, given| !given.is_empty());
        self.gathered.count = self.gathered.of.values().map(Vec::len).sum();
        self.answer_markers(refused, &Err(error.clone()));
    }

    /// Looks again at what has waited. If another process has changed the marks of the message meanwhile, they
    /// are read again. Answers what may be written still; the others are refused.
    pub(super) fn look_at_marks_again(
        &mut self,
        seq: u64,
        given: Vec<Marker>,
        ctx: &mut Context<RoomActor>,
    ) -> Vec<Marker> {
        if !self.marks.knows(seq) {
            for Marker { user, mark, on, reply } in given {
                match self.roster.membership(user) {
                    Some(me) => self.mark(me.user.clone(), seq, (mark, on), reply, ctx),
                    None => self.answer(reply, Err(self.not_a_member(user))),
                }
            }
            return Vec::new();
        }
        let deleted = self.has_gone(seq);
        let mut left = Vec::new();
        for marker in given {
            match self.may_still_mark(marker.user, deleted) {
                Ok(()) => left.push(marker),
                Err(error) => self.answer(marker.reply, Err(error)),
            }
        }
        left
    }

    /// Whether a message is deleted, or about to be.
    fn has_gone(&self, seq: u64) -> bool {
        self.timeline.has_deleted(seq, None) || self.writes.is_deleting(seq)
    }

    /// Whether somebody who has waited may still mark a message.
    fn may_still_mark(&self, user: UserId, deleted: bool) -> Result<()> {
        match self.roster.membership(user) {
            None => Err(self.not_a_member(user)),
            Some(_) if deleted => Err(Error::message_deleted()),
            Some(me) => self.mute_of(me).map_or(Ok(()), |mute| Err(Error::muted(mute.until))),
        }
    }

    /// The keys of those of these marks that are refused by now, or may be.
    pub(super) fn marks_in_doubt<'g>(&self, seq: u64, given: &'g [Marker]) -> Vec<&'g OnceKey> {
        let (known, deleted) = (self.marks.knows(seq), self.has_gone(seq));
        let in_doubt =
            |marker: &&Marker| !known || self.may_still_mark(marker.user, deleted).is_err();
        given.iter().filter(in_doubt).filter_map(|marker| marker.reply.key()).collect()
    }

    /// Likewise of all that was gathered.
    pub(super) fn gathered_in_doubt(&self) -> Vec<&OnceKey> {
        self.gathered.of.iter().flat_map(|(seq, given)| self.marks_in_doubt(*seq, given)).collect()
    }

    /// A message is marked.
    pub(super) fn marked(
        &mut self,
        cursor: Cursor,
        seq: u64,
        given: Vec<Marker>,
        last: Membership,
        at: Timestamp,
    ) {
        let mut told = Vec::with_capacity(given.len());
        for Marker { user, mark, on, reply } in given {
            self.marks.set(seq, user, &mark, on);
            self.answer(reply, Ok(Reply::Done));
            told.push((user, mark, on));
        }
        let kind = ChangeKind::Marked(last, seq, self.marks.counts(seq));
        let (writes, gathered) = (&self.writes, &self.gathered);
        self.marks
            .trim(|seq| gathered.of.contains_key(&seq) || writes.markers_of(seq).next().is_some());
        let change = self.change(cursor, kind, None, at);
        self.tell_change(&change);
        for (user, mark, on) in told {
            let event = Event::Marked { room: self.id, seq, mark, on };
            for seat in self.roster.seats_of(user) {
                self.audience.tell_one(&seat.line, event.clone());
            }
        }
    }

    /// What a user has marked of these messages: from memory, or as it was read.
    pub(super) fn mine(
        &self,
        user: UserId,
        seqs: impl Iterator<Item = u64>,
        read: &[OwnMark],
    ) -> Vec<OwnMark> {
        let mut mine = Vec::new();
        for seq in seqs {
            if self.marks.knows(seq) {
                mine.extend(self.marks.by(seq, user).map(|mark| (seq, mark.clone())));
            } else {
                mine.extend(read.iter().filter(|(of, _)| *of == seq).cloned());
            }
        }
        mine
    }

    /// Whether a message is as it was when the room stood at this change, as far as is known.
    fn unchanged_since(&self, seq: u64, known: u64) -> bool {
        let changes = self.timeline.changes(known);
        changes.is_some_and(|changes| changes.iter().all(|one| one.kind.seq() != Some(seq)))
    }
}

fn too_many(what: &str, most: usize) -> Error {
    let message = format!("{what} {most} marks, which is the most; take one back first");
    Error::new(Code::TooMany, message).field("mark").measured(most, most + 1)
}
