//! One live room. It owns everything about itself in memory: who its members are and who is there,
//! where it stands, what was said last, who is typing. It never waits for a store or a socket: what
//! waits, waits outside and comes back as a message.

mod access;
mod actor;
mod authority;
mod checking;
mod editing;
mod entering;
mod folding;
mod following;
mod forgetting;
mod handle;
mod marking;
mod marks;
mod messages;
mod moderating;
mod positions;
mod presence;
mod reading;
mod registry;
mod replying;
mod restrictions;
mod showing;
mod slow;
mod threads;
mod time;
mod typing;
mod writes;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Context, SpawnHandle};

pub(crate) use actor::RoomActor;
pub use handle::Room;
pub(crate) use messages::{
    About, Ask, Asker, Depart, Glance, Happened, Look, Seat, SetAway, Unseated,
};
use registry::Live;
pub(crate) use registry::{Opened, Queued, RoomRef, Rooms};

use crate::clock::Timestamp;
use crate::command::{Reply, RoomCommand};
use crate::dedup::{Dedup, Written};
use crate::deliver::{Audience, OnceKey, ReplyTo};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{ConnectionId, RoomId, UserId};
use crate::model::{ClientKey, Draft, Kind, Reading, RoomInfo, RoomView, Settings};
use crate::room::entering::Entering;
use crate::room::following::{Bond, Following};
use crate::room::marking::Gathered;
use crate::room::marks::Marks;
use crate::room::positions::Positions;
use crate::room::replying::Replying;
use crate::room::restrictions::Restrictions;
use crate::room::slow::Slow;
use crate::room::threads::{FromParent, Threads};
use crate::room::typing::Typing;
use crate::room::writes::{Begun, Writes};
use crate::roster::Roster;
use crate::shared::Shared;
use crate::store::{LoadedRoom, RoomKey, Store, UsedKey};
use crate::timeline::Timeline;

/// How long a room waits before it asks a failing store again, or looks again whether it may stop.
const AGAIN: Duration = Duration::from_secs(1);

/// A room that is loaded. Each file beside this one adds what it does about one thing.
struct Hosted {
    rooms: Arc<Rooms>,
    shared: Arc<Shared>,
    live: Arc<Live>,
    id: RoomId,
    key: RoomKey,
    info: RoomInfo,
    settings: Settings,
    /// The settings that are being written.
    upcoming: Option<Settings>,
    roster: Roster<Seat>,
    bans: Restrictions,
    mutes: Restrictions,
    slow: Slow,
    audience: Audience,
    timeline: Timeline,
    marks: Marks,
    gathered: Gathered,
    positions: Positions,
    threads: Threads,
    /// What it has if it is a thread itself: of whom its parent's room has, and of what it tells that.
    following: Option<Box<Following>>,
    replying: Option<Box<Replying>>,
    dedup: Dedup,
    typing: Typing,
    writes: Writes,
    /// Sessions that are on their way in, whose they are, and how many times each. One that departs
    /// is taken out, so that it is not seated afterwards.
    entering: HashMap<ConnectionId, (UserId, usize)>,
    /// Those of them who know what the room does not: who waits for it to read what the store has, and for whom it
    /// is just doing so.
    ahead: (Vec<Entering>, Vec<Entering>),
    /// A message that the store had, and when: what has come behind it was there too.
    seen_there: (u64, Duration),
    /// Whether somebody is at the keyboard of a session that is on its way in, if that has changed
    /// since it asked.
    away: HashMap<ConnectionId, bool>,
    /// Questions for which the store is being read.
    reads: usize,
    /// When presence was last summarised, and whether something has changed since.
    summary: (Duration, bool),
    /// Since when nobody is here and nothing has been asked.
    quiet_since: Duration,
    timer: Option<(Duration, SpawnHandle)>,
    last_at: Timestamp,
    /// When what is being done now began, by the clock's time that never goes back.
    now: Duration,
}

impl Hosted {
    fn new(rooms: Arc<Rooms>, live: Arc<Live>, bond: Option<Bond>, loaded: LoadedRoom) -> Self {
        let shared = Arc::clone(&rooms.shared);
        let LoadedRoom { key, info, end, removed, settings, .. } = loaded;
        let LoadedRoom { members, invited, bans, mutes, messages, changes, .. } = loaded;
        let LoadedRoom { keys, all_keys, marks, readings, thread, .. } = loaded;
        let following = bond.map(|bond| Box::new(Following::new(bond)));
        let replying = info.parent.zip(thread).map(|(parent, thread)| {
            let first = changes.first().map(|first| first.kind.membership());
            let opener = first.or(members.first()).map(|opener| opener.user.clone());
            Box::new(Replying::new(parent, thread, opener))
        });
        let before = messages.first().map_or(end.seq, |first| first.seq - 1);
        let marks = Marks::new(before, marks, shared.limits.kept_marks);
        let now = shared.clock.elapsed();
        let limits = &shared.limits;
        let (most, most_bytes) = (limits.kept_messages, limits.kept_bytes);
        let last_at = messages.last().map_or(info.created, |message| message.at);
        let timeline = Timeline::new(end, removed, messages, changes, most, most_bytes);
        let mut roster = Roster::new(members, invited, now);
        for Reading { user, seq } in readings {
            roster.set_read(user, seq);
        }
        let mut slow = Slow::default();
        slow.set(settings.slow_s, timeline.kept());
        Self {
            id: info.id,
            key,
            settings,
            upcoming: None,
            roster,
            bans: Restrictions::new(bans),
            mutes: Restrictions::new(mutes),
            slow,
            audience: Audience::new(info.id),
            timeline,
            marks,
            gathered: Gathered::default(),
            positions: Positions::default(),
            threads: Threads::default(),
            following,
            replying,
            dedup: Dedup::new(limits.kept_keys, keys, all_keys, before > removed),
            typing: Typing::default(),
            writes: Writes::default(),
            entering: HashMap::new(),
            ahead: (Vec::new(), Vec::new()),
            seen_there: (u64::MAX, Duration::ZERO),
            away: HashMap::new(),
            reads: 0,
            summary: (Duration::ZERO, false),
            quiet_since: now,
            timer: None,
            last_at,
            now,
            info,
            rooms,
            shared,
            live,
        }
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn view(&self) -> RoomView {
        RoomView { info: self.info.clone(), counts: self.roster.counts() }
    }

    /// Whether somebody may know that the room exists.
    fn may_see(&self, user: UserId) -> bool {
        self.info.kind == Kind::Open
            || self.may_join(user)
            || self.roster.membership(user).is_some()
    }

    /// Whether somebody who is no member may become one.
    fn may_join(&self, user: UserId) -> bool {
        let is_for = match self.info.kind {
            Kind::Open => true,
            Kind::Private => self.roster.is_invited(user),
            Kind::Direct => false,
            Kind::Thread => self.belongs(user),
        };
        is_for && !self.is_banned(user)
    }

    /// What somebody is told who asks for what only members may. Of a room that is not theirs to
    /// see, strangers hear the same as of one that does not exist.
    fn not_a_member(&self, user: UserId) -> Error {
        match self.info.kind {
            _ if !self.may_join(user) => self.no_entry(user),
            Kind::Thread => Error::not_a_follower(),
            _ => Error::not_a_member(),
        }
    }

    fn answer(&mut self, reply: ReplyTo, result: Result<Reply>) {
        let ReplyTo::Once { key, first } = reply else {
            return self.audience.answer(reply, result);
        };
        let OnceKey { user, key, fingerprint } = *key;
        let others = self.writes.ended(user, &key);
        if let Ok(reply) = &result {
            self.dedup.remember(user, key, Written { fingerprint, sent: reply.as_sent() });
        }
        for reply in std::iter::once(*first).chain(others) {
            self.audience.answer(reply, result.clone());
        }
    }

    /// Carries out a command, or sees to it that it is. A user whose joining or leaving is being
    /// written waits for that, so that its commands stay in order.
    fn ask(&mut self, ask: Ask, ctx: &mut Context<RoomActor>) {
        self.quiet_since = self.now();
        let Some(ask) = self.writes.park(ask) else { return };
        let Ask { asker, command, reply, queued } = ask;
        match command {
            RoomCommand::Once { key, command } => {
                self.once(key, Ask { asker, command: *command, reply, queued }, ctx);
            }
            RoomCommand::Send(Draft { key: Some(ref key), .. }) => {
                let key = key.clone();
                self.once(key, Ask { asker, command, reply, queued }, ctx);
            }
            command => {
                self.carry_out(asker, command, reply, ctx);
                drop(queued);
            }
        }
    }

    /// Does something once, however often it is asked with this key.
    fn once(&mut self, key: ClientKey, ask: Ask, ctx: &mut Context<RoomActor>) {
        let Ask { asker, mut command, reply, queued } = ask;
        let Some(fingerprint) = command.fingerprint() else {
            return self.answer(reply, Err(Error::takes_no_key()));
        };
        let user = asker.user.id;
        if let Some(written) = self.dedup.find(user, &key) {
            return self.answer(reply, written.answer(fingerprint));
        }
        let reply = match self.writes.begin(user, key.clone(), fingerprint, reply) {
            Begun::Now(reply) => reply,
            Begun::Before => return,
            Begun::Other(reply) => return self.answer(reply, Err(Error::key_conflict())),
        };
        let reads_ahead = self.reads_ahead(&command);
        let mut may_miss = self.dedup.may_miss() || reads_ahead;
        if let RoomCommand::Send(draft) = &mut command {
            // The store finds the keys of messages by itself, when they are written. One that would be refused may
            // have been written before, and then gets its first answer.
            may_miss = self.dedup.may_miss_message() || reads_ahead;
            if !may_miss || self.may_send(user, &draft.body) {
                return self.carry_out(asker, command, reply, ctx);
            }
            // Begun already.
            draft.key = None;
        }
        // Whoever is named by the command may be kept back, as is everything about it then.
        self.writes.hold(user);
        let (store, room) = (Arc::clone(&self.shared.store), self.key);
        let read = async move { store.used_key(room, user, &key).await };
        let go_on = move |hosted: &mut Self, used: Result<Option<UsedKey>>, reply, ctx: &mut _| {
            match used {
                Ok(Some(UsedKey { fingerprint: first, sent, .. })) => {
                    let first = Written { fingerprint: first, sent };
                    hosted.answer(reply, first.answer(fingerprint));
                }
                Ok(None) => {
                    hosted.writes.park_first(user, Ask { asker, command, reply, queued });
                }
                Err(error) => hosted.answer(reply, Err(error)),
            }
            hosted.go_on(user, ctx);
        };
        if may_miss {
            self.read(reply, ctx, read, go_on);
        } else {
            go_on(self, Ok(None), reply, ctx);
        }
    }

    /// Whether the store is read for the message that a command names: it may have been deleted there since the
    /// same was done by another process, and the room knows of neither.
    fn reads_ahead(&self, command: &RoomCommand) -> bool {
        let (seq, all_known) = match command {
            RoomCommand::Send(draft) => (draft.body.reply_to, true),
            RoomCommand::Edit { seq, .. } | RoomCommand::Delete { seq } => (Some(*seq), true),
            RoomCommand::Mark { seq, .. } => (Some(*seq), self.marks.knows(*seq)),
            _ => (None, true),
        };
        seq.is_some_and(|seq| !all_known || self.timeline.find(seq).is_none())
    }

    fn carry_out(
        &mut self,
        asker: Asker,
        command: RoomCommand,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        match command {
            RoomCommand::Join { after, limit } => self.join(asker, after, limit, reply, ctx),
            RoomCommand::Resume { after } => self.resume(asker, after, reply, ctx),
            RoomCommand::Leave => self.leave(&asker.user, reply),
            RoomCommand::Invite(guest) => self.invite(&asker.user, guest, reply),
            RoomCommand::InviteUser(guest) => match self.known(guest) {
                Ok(guest) => self.invite(&asker.user, guest, reply),
                Err(error) => self.answer(reply, Err(error)),
            },
            RoomCommand::Moderate(act) => self.moderate(&asker.user, act, reply),
            RoomCommand::Bans(query) => self.bans(&asker.user, &query, reply),
            RoomCommand::Send(draft) => self.send(&asker.user, draft, reply, ctx),
            RoomCommand::Edit { seq, edit } => self.edit(&asker.user, seq, edit, reply, ctx),
            RoomCommand::Delete { seq } => self.delete(&asker.user, seq, reply, ctx),
            RoomCommand::Mark { seq, mark, on } => {
                self.mark(asker.user, seq, (mark, on), reply, ctx);
            }
            RoomCommand::Thread { seq } => self.open_thread(asker, seq, reply, ctx),
            RoomCommand::Threads(query) => self.threads(asker.user.id, query, reply, ctx),
            RoomCommand::Markers(query) => self.markers(&asker.user, query, reply, ctx),
            RoomCommand::Read { seq } => self.read_up_to(asker.user.id, seq, reply),
            RoomCommand::Readers(query) => self.readers(asker.user.id, &query, reply),
            RoomCommand::Standing => self.standing(asker.user.id, reply, ctx),
            RoomCommand::Revisions { seq } => self.revisions(&asker.user, seq, reply, ctx),
            RoomCommand::History(query) => self.history(asker.user.id, query, reply, ctx),
            RoomCommand::Members(query) => self.members(&asker.user, &query, reply),
            RoomCommand::Typing(on) => self.type_(&asker.user, on, reply),
            RoomCommand::View => {
                let view = self.may_see(asker.user.id).then(|| Reply::Room(self.view()));
                self.answer(reply, view.ok_or_else(Error::no_such_room));
            }
            RoomCommand::Once { .. } => self.answer(reply, Err(Error::takes_no_key())),
        }
    }

    /// What follows whatever was done: writes go to the journal, deliveries to the fan-outs, and
    /// the next thing to wait for is waited for.
    fn finish(&mut self, ctx: &mut Context<RoomActor>) {
        self.follow_parent(ctx);
        self.look_into_doubts();
        self.write_gathered(ctx);
        self.write_positions();
        self.write_news();
        self.tell_parent(ctx);
        self.dispatch(ctx);
        // Before anybody is told what has changed them.
        self.live.publish(self.roster.counts());
        self.audience.flush(self.now());
        self.arm(ctx);
    }

    /// The room ends: whoever hears it is told, whoever waits is answered.
    fn let_go(&mut self) {
        self.audience.tell(Event::Closed { room: self.id });
        let seats: Vec<_> = self.roster.seated().map(|(_, seat)| seat.clone()).collect();
        for seat in seats {
            self.unseat(&seat);
        }
        self.refuse_waiting(&Error::no_such_room());
        self.refuse_gathered(&Error::no_such_room());
        self.refuse_positions(&Error::no_such_room());
        self.threads.tell(FromParent::Gone);
        let (parked, same) = self.writes.take_waiting();
        let (waiting, looking) = std::mem::take(&mut self.ahead);
        let parked = parked.into_iter().map(|Ask { asker, reply, .. }| (asker, reply));
        let ahead = waiting.into_iter().chain(looking).map(|one| (one.asker, one.reply));
        for (asker, reply) in parked.chain(ahead) {
            if let Some(seat) = &asker.seat {
                seat.say_unseated(self.id);
            }
            self.answer(reply, Err(Error::no_such_room()));
        }
        for reply in same {
            self.answer(reply, Err(Error::no_such_room()));
        }
        self.audience.flush(self.now());
    }

    /// The session hears no more of the room, and need not hold it.
    fn unseat(&mut self, seat: &Seat) {
        self.audience.exit(&seat.line);
        seat.say_unseated(self.id);
    }
}
