//! How somebody comes to hear a room: what it missed is gathered, from memory or from the store,
//! and then, in one step, it is answered and begins to hear what happens next. Between the two
//! nothing is lost and nothing comes twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::command::{After, Behind, HistoryAt, HistoryQuery, Joined, OwnMark};
use crate::deliver::ReplyTo;
use crate::error::Error;
use crate::limits;
use crate::model::{Change, ChangeKind, Cursor, Message};
use crate::room::reading::{removed, shared};
use crate::room::{Asker, Hosted, RoomActor, folding};
use crate::store::{Store, StoreError};
use crate::timeline::Span;

/// How often what was missed is gathered anew because the room has gone on too far meanwhile.
const ATTEMPTS: usize = 3;

/// Who has missed more changes than these begins anew.
const MOST_CHANGES: usize = 1_000;

/// Somebody on the way in.
pub(super) struct Entering {
    pub(super) asker: Asker,
    after: After,
    limit: usize,
    pub(super) reply: ReplyTo,
    attempts: usize,
    /// Whether the store has been asked if it has what somebody knows and the room does not.
    looked: bool,
    /// Whether it has been asked, likewise, if the first message that somebody has missed is still there.
    looked_behind: bool,
    /// What was missed is not there, or is too much: it is to begin anew.
    reset: bool,
}

/// What somebody has missed.
#[derive(Clone, Copy)]
struct Missed {
    /// Where the room stood when this was worked out.
    end: Cursor,
    messages: Span,
    /// Changes above this number; `None` for none.
    changes: Option<u64>,
    behind: Option<Behind>,
    reset: bool,
}

/// What the store had of it.
struct Found {
    missed: Missed,
    /// Messages up to this one are kept nowhere any more.
    removed: u64,
    messages: Vec<Message>,
    changes: Vec<Change>,
    /// What somebody has marked of these.
    mine: Vec<OwnMark>,
}

impl Hosted {
    pub(super) fn join(
        &mut self,
        asker: Asker,
        after: After,
        limit: usize,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        let limit = limit.min(limits::PAGE);
        let known = self.roster.membership(asker.user.id).is_some();
        let may_join = self.may_join(asker.user.id);
        let entering = self.note_entering(asker, after, limit, reply);
        if known {
            self.catch_up(entering, None, ctx);
        } else if !may_join {
            let error = self.no_entry(entering.asker.user.id);
            self.refuse(entering, error);
        } else {
            let membership = self.as_newcomer(entering.asker.user.clone());
            self.begin_membership(membership, entering);
        }
    }

    pub(super) fn resume(
        &mut self,
        asker: Asker,
        after: Cursor,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        let known = self.roster.membership(asker.user.id).is_some();
        let after = After::Cursor(after);
        let entering = self.note_entering(asker, after, limits::DEFAULT_PAGE, reply);
        if known {
            self.catch_up(entering, None, ctx);
        } else {
            let error = self.not_a_member(entering.asker.user.id);
            self.refuse(entering, error);
        }
    }

    fn note_entering(
        &mut self,
        asker: Asker,
        after: After,
        limit: usize,
        reply: ReplyTo,
    ) -> Entering {
        if let Some(seat) = &asker.seat {
            let user = asker.user.id;
            self.entering.entry(seat.line.connection).or_insert((user, 0)).1 += 1;
        }
        Entering {
            asker,
            after,
            limit,
            reply,
            attempts: 0,
            looked: false,
            looked_behind: false,
            reset: false,
        }
    }

    /// Takes note that somebody is no longer on the way in. Answers whether its session is still
    /// there.
    fn arrived(&mut self, asker: &Asker) -> bool {
        let Some(seat) = &asker.seat else { return true };
        let entry = self.entering.get_mut(&seat.line.connection);
        let Some((_, count)) = entry else { return false };
        *count -= 1;
        if *count == 0 {
            self.entering.remove(&seat.line.connection);
        }
        true
    }

    /// Somebody does not come in.
    pub(super) fn refuse(&mut self, entering: Entering, error: Error) {
        self.arrived(&entering.asker);
        self.turn_away(entering.asker, entering.reply, error);
    }

    /// Somebody who is not, or no longer, on the way in does not come in.
    pub(super) fn turn_away(&mut self, asker: Asker, reply: ReplyTo, error: Error) {
        self.answer(reply, Err(error));
        let Some(seat) = asker.seat else { return };
        let connection = seat.line.connection;
        if !self.roster.is_seated(connection) && !self.entering.contains_key(&connection) {
            self.away.remove(&connection);
            seat.say_unseated(self.id);
        }
    }

    /// Gathers what a member has missed, and lets it in. `joined` is its own membership if that has
    /// just begun: told after the answer, which stands before it.
    pub(super) fn catch_up(
        &mut self,
        mut entering: Entering,
        joined: Option<Arc<Change>>,
        ctx: &mut Context<RoomActor>,
    ) {
        // What the newcomer itself has caused comes as an event.
        let mut end = self.timeline.end();
        end.change -= u64::from(joined.is_some());
        if let After::Cursor(known) = entering.after
            && !end.reaches(known)
            && !entering.looked
        {
            self.tell_joined(joined);
            return self.look_ahead(entering, known, ctx);
        }
        let missed = self.missed(end, &entering);
        if let Some(Behind { after, .. }) = missed.behind
            && !entering.looked_behind
            && !self.is_there(after + 1)
        {
            self.tell_joined(joined);
            return self.look_behind(entering, after + 1, ctx);
        }
        let messages = self.timeline.messages(missed.messages);
        let changes = missed.changes.map_or(Some(Vec::new()), |after| self.timeline.changes(after));
        if let (Some(messages), Some(mut changes)) = (messages, changes)
            && marked(&messages, &changes).all(|seq| self.marks.knows(seq))
        {
            changes.retain(|change| change.cursor.change <= end.change);
            let Some(changes) = folding::fold(changes) else {
                return self.begin_anew(entering, joined, ctx);
            };
            return self.admit(entering, missed, (messages, changes), &[], joined);
        }
        self.tell_joined(joined);
        entering.attempts += 1;
        if entering.attempts > ATTEMPTS {
            return self.refuse(entering, Error::busy());
        }
        let (store, key, id) = (Arc::clone(&self.shared.store), self.key, self.id);
        // What the newcomer itself has caused has been told to the others by now: it reads it.
        let missed = Missed { end: self.timeline.end(), ..missed };
        let user = entering.asker.user.id;
        let read = async move {
            let Span { after, until } = missed.messages;
            let messages = store.messages(key, after, until).await?;
            let removed = match after < until {
                true => removed(&*store, id, &messages).await?,
                false => 0,
            };
            let changes = match missed.changes {
                Some(after) => store.changes(key, after, MOST_CHANGES + 1).await?,
                None => Vec::new(),
            };
            let of_messages = messages.iter().filter(|message| !message.marks.is_empty());
            let of_changes = changes.iter().filter_map(|change| change.kind.seq());
            let about: BTreeSet<_> =
                of_messages.map(|message| message.seq).chain(of_changes).collect();
            let mine = match (about.first(), about.last()) {
                (Some(first), Some(last)) => {
                    store.marks_of(key, user, first.saturating_sub(1), *last).await?
                }
                _ => Vec::new(),
            };
            Ok(Found { missed, removed, messages, changes, mine })
        };
        self.reads += 1;
        ctx.spawn(wrap_future::<_, RoomActor>(read).map(move |read, room, ctx| {
            let caught_up = |hosted: &mut Self, entering, ctx: &mut _| {
                hosted.reads -= 1;
                hosted.caught_up(entering, read, ctx);
            };
            room.go_on(entering, ctx, caught_up, |Entering { asker, reply, .. }| {
                (reply, asker.seat)
            });
        }));
    }

    /// Tells a membership, if one has just begun.
    fn tell_joined(&mut self, joined: Option<Arc<Change>>) {
        if let Some(joined) = joined {
            self.tell_change(&joined);
        }
    }

    /// Somebody knows what the room does not: perhaps another process has written it. If the store has it, the room
    /// reads up to there before it answers.
    fn look_ahead(&mut self, mut entering: Entering, known: Cursor, ctx: &mut Context<RoomActor>) {
        entering.looked = true;
        let (store, key, end) = (Arc::clone(&self.shared.store), self.key, self.timeline.end());
        let look = async move {
            Ok(match known.seq > end.seq {
                true => !store.messages(key, known.seq - 1, known.seq).await?.is_empty(),
                false => !store.changes(key, known.change.saturating_sub(1), 1).await?.is_empty(),
            })
        };
        self.look(entering, look, ctx, |hosted, entering, is_there, ctx| match is_there {
            true => hosted.ahead.0.push(entering),
            false => hosted.catch_up(entering, None, ctx),
        });
    }

    /// Whether a message is known to be in the store: one before it was there a moment ago.
    fn is_there(&self, seq: u64) -> bool {
        let (first, at) = self.seen_there;
        first <= seq && self.now() < at.saturating_add(self.shared.limits.summary_every)
    }

    /// Somebody is to page through what it has missed, from this message on: if that is still there.
    fn look_behind(&mut self, mut entering: Entering, first: u64, ctx: &mut Context<RoomActor>) {
        entering.looked_behind = true;
        let (store, key, id) = (Arc::clone(&self.shared.store), self.key, self.id);
        let look = async move {
            let found = store.messages(key, first - 1, first).await?;
            removed(&*store, id, &found).await
        };
        self.look(entering, look, ctx, move |hosted, entering, removed, ctx| {
            if removed >= first {
                return hosted.begin_anew_behind(entering, removed, ctx);
            }
            hosted.seen_there = (first, hosted.now());
            hosted.catch_up(entering, None, ctx);
        });
    }

    /// Asks the store something about what somebody knows, and goes on by the answer.
    fn look<T: 'static>(
        &mut self,
        entering: Entering,
        look: impl Future<Output = Result<T, StoreError>> + 'static,
        ctx: &mut Context<RoomActor>,
        then: impl FnOnce(&mut Self, Entering, T, &mut Context<RoomActor>) + 'static,
    ) {
        self.reads += 1;
        ctx.spawn(wrap_future::<_, RoomActor>(look).map(move |found, room, ctx| {
            let looked = |hosted: &mut Self, entering, ctx: &mut _| {
                hosted.reads -= 1;
                match found {
                    Ok(found) => then(hosted, entering, found, ctx),
                    Err(error) => hosted.not_caught_up(entering, &error),
                }
            };
            room.go_on(entering, ctx, looked, |Entering { asker, reply, .. }| (reply, asker.seat));
        }));
    }

    /// The room has read what the store has of it: whoever knew of that comes in now.
    pub(super) fn let_in(&mut self, ctx: &mut Context<RoomActor>) {
        for entering in std::mem::take(&mut self.ahead.1) {
            self.catch_up(entering, None, ctx);
        }
    }

    /// What the store has could not be read.
    pub(super) fn refuse_those_ahead(&mut self, error: &Error) {
        for entering in std::mem::take(&mut self.ahead.1) {
            self.refuse(entering, error.clone());
        }
    }

    fn not_caught_up(&mut self, entering: Entering, error: &StoreError) {
        tracing::error!(%error, room = %self.id, "could not read what somebody missed");
        self.refuse(entering, Error::unavailable());
    }

    /// What somebody missed cannot be told: it is told how the room is now.
    fn begin_anew(
        &mut self,
        entering: Entering,
        joined: Option<Arc<Change>>,
        ctx: &mut Context<RoomActor>,
    ) {
        self.catch_up(Entering { reset: true, ..entering }, joined, ctx);
    }

    /// Likewise, because messages up to this one are kept nowhere any more. Whoever else has missed them is told so at once.
    fn begin_anew_behind(
        &mut self,
        entering: Entering,
        removed: u64,
        ctx: &mut Context<RoomActor>,
    ) {
        self.timeline.remove(removed);
        self.begin_anew(entering, None, ctx);
    }

    /// Works out what is to be answered to somebody who knows the room up to a cursor, or nothing of it.
    fn missed(&self, end: Cursor, entering: &Entering) -> Missed {
        let page = limits::PAGE as u64;
        let latest = |reset| {
            let at = HistoryQuery { at: HistoryAt::End, limit: entering.limit };
            let messages = self.timeline.span(at);
            Missed { end, messages, changes: None, behind: None, reset }
        };
        let After::Cursor(known) = entering.after else { return latest(false) };
        let is_too_much = |missed: u64| missed > MOST_CHANGES as u64;
        if entering.reset || !end.reaches(known) || is_too_much(end.change - known.change) {
            return latest(true);
        }
        let first = known.seq.max(end.seq.saturating_sub(page));
        let behind = (first > known.seq).then_some(Behind { after: known.seq, until: first });
        let messages = Span { after: first, until: end.seq };
        if known.seq < self.timeline.removed()
            && (behind.is_some() || self.timeline.messages(messages).is_none())
        {
            return latest(true);
        }
        Missed { end, messages, changes: Some(known.change), behind, reset: false }
    }

    /// The store has answered what memory did not reach. The room may have gone on meanwhile; what
    /// has happened since is in memory.
    fn caught_up(
        &mut self,
        entering: Entering,
        read: Result<Found, StoreError>,
        ctx: &mut Context<RoomActor>,
    ) {
        let Found { missed, removed, mut messages, changes, mine } = match read {
            Ok(read) => read,
            Err(error) => return self.not_caught_up(entering, &error),
        };
        if removed > missed.messages.after && missed.changes.is_some() {
            return self.begin_anew_behind(entering, removed, ctx);
        }
        let end = self.timeline.end();
        let since = Span { after: missed.messages.until, until: end.seq };
        let (Some(newer), Some(changed)) =
            (self.timeline.messages(since), self.timeline.changes(missed.end.change))
        else {
            return self.catch_up(entering, None, ctx);
        };
        let unknown = |change: &Arc<Change>| match change.kind {
            ChangeKind::Marked(_, seq, _) => !self.marks.knows(seq),
            _ => false,
        };
        // What somebody else has marked since it was read is read again.
        if changed.iter().any(unknown) || !self.bring_up(&mut messages, missed.end.change) {
            return self.catch_up(entering, None, ctx);
        }
        let mut messages = shared(messages);
        messages.extend(newer);
        let read = changes.into_iter().filter(|change| change.cursor.change <= missed.end.change);
        let mut changes: Vec<_> = read.map(Arc::new).collect();
        if missed.changes.is_some() {
            changes.extend(changed);
        }
        let Some(changes) = folding::fold(changes) else {
            return self.begin_anew(entering, None, ctx);
        };
        self.admit(entering, Missed { end, ..missed }, (messages, changes), &mine, None);
    }

    /// Answers, and from here on the session hears the room.
    fn admit(
        &mut self,
        entering: Entering,
        missed: Missed,
        (messages, changes): (Vec<Arc<Message>>, Vec<Arc<Change>>),
        mine: &[OwnMark],
        joined: Option<Arc<Change>>,
    ) {
        if !self.arrived(&entering.asker) {
            // The session has ended. Its membership, if it has just begun, is told all the same.
            return self.tell_joined(joined);
        }
        let Entering { asker, reply, .. } = entering;
        let Some(me) = self.roster.membership(asker.user.id).cloned() else {
            let error = self.not_a_member(asker.user.id);
            return self.turn_away(asker, reply, error);
        };
        let mut seen = None;
        if let Some(seat) = &asker.seat {
            let connection = seat.line.connection;
            let away = self.away.remove(&connection).unwrap_or(asker.away);
            seen = self.roster.enter(asker.user.id, connection, seat.clone(), away);
        }
        let seqs: BTreeSet<u64> = marked(&messages, &changes).collect();
        let answer = Joined {
            room: self.view(),
            mute: self.mute_of(&me),
            read: self.position(me.user.id, self.roster.read(me.user.id).unwrap_or_default()),
            me,
            settings: self.settings,
            first: self.with_mutes(self.roster.first_present(limits::DEFAULT_PAGE, !self.is_big())),
            cursor: missed.end,
            mine: self.mine(asker.user.id, seqs.into_iter(), mine),
            messages,
            changes,
            behind: missed.behind,
            reset: missed.reset,
        };
        let line = asker.seat.as_ref().map(|seat| &seat.line);
        self.audience.admit(line, seen.is_some(), reply, Box::new(answer));
        self.tell_joined(joined);
        if let Some(view) = seen {
            self.announce(view);
        }
    }
}

/// The messages of an answer that may be marked: those in it, and those that its changes say are.
fn marked<'a>(
    messages: &'a [Arc<Message>],
    changes: &'a [Arc<Change>],
) -> impl Iterator<Item = u64> + 'a {
    let changes = changes.iter().filter_map(|change| match change.kind {
        ChangeKind::Marked(_, seq, _) => Some(seq),
        _ => None,
    });
    messages.iter().map(|message| message.seq).chain(changes)
}
