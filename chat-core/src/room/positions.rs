//! How far members have read. Positions move forward only; what is read in quick succession is gathered: it is
//! written, and told, at most every [`Limits::reads_every`](crate::Limits::reads_every), and of each member its
//! last position alone. What a member has not read is counted from memory, as far as that reaches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Context;

use crate::command::{ReaderPage, ReaderQuery, Reply, Standing};
use crate::deliver::ReplyTo;
use crate::error::{Code, Error, Result};
use crate::event::{Event, OwnChange};
use crate::ids::UserId;
use crate::limits;
use crate::model::{Message, ReadPosition, Reading};
use crate::page;
use crate::room::writes::What;
use crate::room::{Hosted, RoomActor};
use crate::store::Store;

/// Somebody who has read up to a message, and who waits for that to be kept.
pub(super) struct Reader {
    pub(super) reading: Reading,
    replies: Vec<ReplyTo>,
}

/// What is gathered.
#[derive(Default)]
pub(super) struct Positions {
    of: BTreeMap<UserId, Reader>,
    /// How many wait for an answer.
    replies: usize,
    /// Something of it is being written: what comes meanwhile waits for that.
    under_way: bool,
    /// When the next may be written.
    next: Duration,
}

impl Positions {
    /// When it is to be written, if there is something that can be.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.under_way && !self.of.is_empty()).then_some(self.next)
    }

    /// Whether nothing waits or is being written.
    pub(super) fn is_idle(&self) -> bool {
        !self.under_way && self.of.is_empty()
    }

    fn add(&mut self, reading: Reading, reply: ReplyTo) {
        self.note(reading).replies.push(reply);
        self.replies += 1;
    }

    fn note(&mut self, reading: Reading) -> &mut Reader {
        let reader = self.of.entry(reading.user);
        let reader = reader.or_insert(Reader { reading, replies: Vec::new() });
        reader.reading.seq = reader.reading.seq.max(reading.seq);
        reader
    }

    /// Takes so many readers.
    fn take(&mut self, most: usize) -> Vec<Reader> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, reader)) = self.of.pop_first()
        {
            self.replies -= reader.replies.len();
            taken.push(reader);
        }
        taken
    }
}

impl Hosted {
    /// A member has read the room up to a message.
    pub(super) fn read_up_to(&mut self, user: UserId, seq: u64, reply: ReplyTo) {
        let Some(read) = self.roster.read(user) else {
            return self.answer(reply, Err(self.not_a_member(user)));
        };
        if seq > self.timeline.end().seq {
            return self.answer(reply, Err(Error::no_such_message()));
        }
        if seq <= read {
            let position = self.position(user, read);
            return self.answer(reply, Ok(Reply::Read(position)));
        }
        if self.positions.replies >= self.shared.limits.room_writes {
            return self.answer(reply, Err(Error::busy()));
        }
        self.positions.add(Reading { user, seq }, reply);
    }

    /// Takes what was gathered for writing, if it is time.
    pub(super) fn write_positions(&mut self) {
        let now = self.now();
        if self.positions.due().is_none_or(|due| due > now) {
            return;
        }
        let mut readers = self.positions.take(self.shared.limits.batch);
        // What is left need not wait for another time, only for its turn.
        if self.positions.of.is_empty() {
            self.positions.next = now.saturating_add(self.shared.limits.reads_every);
        }
        let gone = |reader: &mut Reader| self.roster.read(reader.reading.user).is_none();
        let gone: Vec<_> = readers.extract_if(.., gone).collect();
        self.answer_readers(gone, &Err(Error::not_a_member()));
        if !readers.is_empty() {
            self.positions.under_way = true;
            self.accept(What::Read(readers));
        }
    }

    /// How far members have read is kept.
    pub(super) fn have_read(&mut self, readers: Vec<Reader>) {
        self.positions.under_way = false;
        let (mut moved, mut told) = (Vec::new(), Vec::new());
        for Reader { reading: Reading { user, seq }, replies } in readers {
            let moves = self.roster.set_read(user, seq);
            let position = self.roster.read(user).map(|read| self.position(user, read));
            let answer = position.map(Reply::Read).ok_or_else(|| self.not_a_member(user));
            for reply in replies {
                self.answer(reply, answer.clone());
            }
            let Some(member) = self.roster.membership(user).filter(|_| moves) else { continue };
            if !self.roster.is_unseen(user) {
                told.push((member.user.clone(), seq));
            }
            moved.extend(position.map(|position| (user, position)));
        }
        self.summary.1 |= self.is_big();
        if !told.is_empty() && !self.is_big() {
            self.audience.tell(Event::Receipts { room: self.id, of: told });
        }
        for (user, position) in moved {
            let event = Event::Read { room: self.id, position };
            for seat in self.roster.seats_of(user) {
                self.audience.tell_one(&seat.line, event.clone());
            }
            self.tell_own(user, &OwnChange::Read(position));
        }
    }

    /// What was to be written has this answer, and nothing else comes of it. If nobody knows whether it is
    /// kept, it is written once more when the store answers again, so that the room knows what the store has.
    pub(super) fn end_reading(&mut self, readers: Vec<Reader>, result: &Result<Reply>) {
        self.positions.under_way = false;
        if result.as_ref().is_err_and(|error| error.code() == Code::Unavailable) {
            let again = readers.iter().map(|reader| reader.reading);
            again.for_each(|reading| _ = self.positions.note(reading));
        }
        self.answer_readers(readers, result);
    }

    /// Nothing that was gathered will be written.
    pub(super) fn refuse_positions(&mut self, error: &Error) {
        let readers = self.positions.take(usize::MAX);
        self.answer_readers(readers, &Err(error.clone()));
    }

    fn answer_readers(&mut self, readers: Vec<Reader>, result: &Result<Reply>) {
        for reply in readers.into_iter().flat_map(|reader| reader.replies) {
            self.answer(reply, result.clone());
        }
    }

    /// How far a member has read, and what is left.
    pub(super) fn position(&self, user: UserId, seq: u64) -> ReadPosition {
        ReadPosition { seq, unread: self.timeline.unread(user, seq) }
    }

    /// How the room stands for a member, if memory reaches so far.
    pub(super) fn glance(&self, user: UserId) -> Option<Result<Standing>> {
        let Some(read) = self.roster.read(user) else { return Some(Err(self.not_a_member(user))) };
        let unread = self.timeline.unread(user, read)?;
        let cursor = self.timeline.end();
        let last = self.timeline.find(cursor.seq);
        let nothing_left = cursor.seq == self.timeline.removed();
        if last.is_none() && !nothing_left {
            return None;
        }
        let last = last.map(|last| Arc::new(Message { marks: Vec::new(), ..(*last).clone() }));
        Some(Ok(Standing { room: self.view(), cursor, last, read, unread }))
    }

    /// How the room stands for a member; counted by the store if memory does not reach so far.
    pub(super) fn standing(&mut self, user: UserId, reply: ReplyTo, ctx: &mut Context<RoomActor>) {
        if let Some(standing) = self.glance(user) {
            let standing = standing.map(|standing| Reply::Standing(Box::new(standing)));
            return self.answer(reply, standing);
        }
        let (store, id) = (Arc::clone(&self.shared.store), self.id);
        let count = async move { store.standings(user, &[id]).await };
        self.read(reply, ctx, count, move |hosted, counted, reply, _| {
            let result = counted.and_then(|mut counted| match counted.pop() {
                Some(standing) if hosted.roster.read(user).is_some() => {
                    let standing = Standing { room: hosted.view(), ..standing };
                    Ok(Reply::Standing(Box::new(standing)))
                }
                _ => Err(hosted.not_a_member(user)),
            });
            hosted.answer(reply, result);
        });
    }

    /// Reads who has read the room up to a message: in a big room, how many alone.
    pub(super) fn readers(&mut self, user: UserId, query: &ReaderQuery, reply: ReplyTo) {
        if let Err(error) = self.look_for(user, (query.seq, "seq")) {
            return self.answer(reply, Err(error));
        }
        let limit = query.limit.min(limits::PAGE);
        let wanted = if self.is_big() { 0 } else { limit + 1 };
        let readers = self.roster.readers(query.seq, query.after).take(wanted);
        let mut users: Vec<_> = readers.cloned().collect();
        let next = page::cut(&mut users, limit, |last| last.id);
        let count = self.roster.count_readers(query.seq);
        self.answer(reply, Ok(Reply::Readers(ReaderPage { count, users, next })));
    }
}
