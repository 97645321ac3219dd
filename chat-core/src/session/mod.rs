//! One connection of one user: who it is, which rooms it is in, and until when it may be here. Its
//! end is the end of its presence everywhere. What its rooms send goes past it, from the room to
//! the fan-out.

mod handle;
mod held;
mod messages;
mod resuming;
mod sessions;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture,
};
use futures_util::FutureExt;

pub use handle::Session;
pub(crate) use messages::{Renew, Request};
pub(crate) use sessions::Sessions;

use crate::clock::Timestamp;
use crate::command::{Command, Reply, RoomCommand};
use crate::deliver::{End, Line, Order, Parcel, ReplyTo, RoomAnswered, Turn};
use crate::error::{Code, Error, Result};
use crate::event::{CloseReason, Event};
use crate::ids::RoomId;
use crate::limits;
use crate::model::{Cursor, Presence, User};
use crate::room::{Asker, Depart, Opened, Seat, SetAway, Unseated};
use crate::session::held::HeldRooms;
use crate::session::resuming::{Ask, Resuming};

/// The actor behind a [`Session`]. There are many, and most are idle: what is rarely needed is
/// boxed.
pub(crate) struct SessionActor {
    sessions: Arc<Sessions>,
    user: User,
    line: Line,
    rooms: HeldRooms,
    rare: Option<Box<Rare>>,
}

/// What only some sessions need.
#[derive(Default)]
struct Rare {
    away: bool,
    /// Commands that wait while the policy is asked about an earlier one.
    waiting: Option<VecDeque<Request>>,
    resuming: Option<Box<Resuming>>,
    /// Until when the session is entitled, if not for ever.
    until: Option<Timestamp>,
    expiry: Option<SpawnHandle>,
}

impl SessionActor {
    pub(crate) fn new(sessions: Arc<Sessions>, user: User, line: Line) -> Self {
        Self { sessions, user, line, rooms: HeldRooms::default(), rare: None }
    }

    fn carry_out(&mut self, command: Command, reply: ReplyTo, ctx: &mut Context<Self>) {
        match command {
            Command::Room(room, command) => self.ask(room, command, reply, ctx),
            Command::Resume(rooms) => self.resume(rooms, reply, ctx),
            Command::Presence(presence) => self.set_presence(presence, reply),
            Command::Ping => {
                self.answer(reply, Ok(Reply::Pong(self.sessions.shared().clock.now())));
            }
            Command::Open(room) => {
                let (rooms, user) = (Arc::clone(&self.sessions.rooms), self.user.clone());
                let by = Some(self.line.connection);
                let open = async move {
                    let shared = Arc::clone(&rooms.shared);
                    shared.run(async move { rooms.open(&user, &room, by).await }).await
                };
                let done =
                    open.into_actor(self).map(|opened, session: &mut Self, ctx| match opened {
                        Ok(Opened::New(view)) => session.answer(reply, Ok(Reply::Room(view))),
                        Ok(Opened::Before(room)) => {
                            session.ask(room, RoomCommand::View, reply, ctx);
                        }
                        Err(error) => session.answer(reply, Err(error)),
                    });
                ctx.spawn(done);
            }
        }
    }

    fn answer(&self, reply: ReplyTo, result: Result<Reply>) {
        reply.answer(self.sessions.shared().clock.elapsed(), result);
    }

    /// Passes a command to its room. Rooms that the session is in are at hand; others are looked
    /// up.
    fn ask(&mut self, id: RoomId, command: RoomCommand, reply: ReplyTo, ctx: &mut Context<Self>) {
        let held = self.rooms.get(id).filter(|room| room.is_alive()).cloned();
        let room = held.unwrap_or_else(|| self.sessions.rooms.get(id));
        let enters = matches!(command, RoomCommand::Join { .. } | RoomCommand::Resume { .. });
        let seat = enters.then(|| Seat {
            line: self.line.clone(),
            session: ctx.address().downgrade().recipient(),
            asked: self.rooms.ask(),
        });
        let asked = seat.as_ref().map(|seat| seat.asked);
        let (user, connection) = (self.user.clone(), Some(self.line.connection));
        let asker = Asker { user, connection, seat, away: self.is_away() };
        // Noted before the room answers, so that this session's end is told to every room that may
        // have seated it by then.
        if room.ask(self.sessions.shared(), asker, command, reply)
            && let Some(asked) = asked
        {
            self.rooms.hold(id, room, asked);
        }
    }

    fn resume(&mut self, rooms: Vec<(RoomId, Cursor)>, reply: ReplyTo, ctx: &mut Context<Self>) {
        if rooms.len() > limits::RESUME_ROOMS {
            let (most, count) = (limits::RESUME_ROOMS, rooms.len());
            let message = format!("{count} rooms are too many for one command; at most {most}");
            let error = Error::new(Code::BadRequest, message).field("rooms").measured(most, count);
            return self.answer(reply, Err(error));
        }
        let mut named = HashSet::new();
        if !rooms.iter().all(|(room, _)| named.insert(*room)) {
            let message = "a room is named twice; name each once, with its last cursor";
            return self.answer(reply, Err(Error::new(Code::BadRequest, message).field("rooms")));
        }
        if rooms.is_empty() {
            return self.answer(reply, Ok(Reply::Resumed { resumed: 0, failed: 0 }));
        }
        let rare = self.rare.get_or_insert_default();
        rare.resuming.get_or_insert_default().begin(rooms, reply);
        self.resume_next(ctx);
    }

    /// Asks those of the rooms to be resumed whose turn it is.
    fn resume_next(&mut self, ctx: &mut Context<Self>) {
        while let Some(resuming) = self.rare.as_mut().and_then(|rare| rare.resuming.as_mut())
            && let Some(Ask { batch, room, after, patient }) = resuming.next()
        {
            let turn = Turn::new(ctx.address().recipient(), batch, (room, after), patient);
            let reply = ReplyTo::Resume { line: self.line.clone(), turn };
            self.ask(room, RoomCommand::Resume { after }, reply, ctx);
        }
    }

    fn is_away(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.away)
    }

    fn set_presence(&mut self, presence: Presence, reply: ReplyTo) {
        let away = match presence {
            Presence::Online => false,
            Presence::Away => true,
            Presence::Offline => {
                let message = "say online or away; offline is what a closed connection is";
                let error = Error::new(Code::BadRequest, message).field("state");
                return self.answer(reply, Err(error));
            }
        };
        if away != self.is_away() {
            self.rare.get_or_insert_default().away = away;
            let connections = &self.sessions.shared().connections;
            connections.set_away(self.user.id, self.line.connection, away);
        }
        // A reply stands before the events that it causes. Whoever waits for the answer in this process may ask the
        // rooms next, and has it when all of them have been told.
        let mut reply = Some(reply);
        if let Some(tag) = reply.take_if(|reply| matches!(reply, ReplyTo::Tag { .. })) {
            self.answer(tag, Ok(Reply::Done));
        }
        let connection = self.line.connection;
        for room in self.rooms.iter() {
            room.tell(SetAway { connection, away });
        }
        if let Some(caller) = reply {
            self.answer(caller, Ok(Reply::Done));
        }
    }

    fn end(&mut self, end: &End, ctx: &mut Context<Self>) {
        let connection = self.line.connection;
        for room in self.rooms.take_all() {
            room.tell(Depart { connection });
        }
        let mut parcels = Vec::new();
        let says_so = matches!(
            end.reason,
            CloseReason::Draining
                | CloseReason::Expired
                | CloseReason::Withdrawn
                | CloseReason::Deleted
        );
        if says_so {
            let event = Event::Closing { reason: end.reason, retry_after: end.retry_after };
            parcels.push(Parcel::One { connection, hears: None, event });
        }
        parcels.push(Parcel::End { connection, reason: end.reason });
        self.line.fanout.deliver(self.sessions.shared().clock.elapsed(), None, parcels);
        self.sessions.shared().connections.remove(self.user.id, connection);
        ctx.stop();
    }

    /// Ends the session when what entitles it does, and says so in time before.
    fn expire(&mut self, until: Option<Timestamp>, ctx: &mut Context<Self>) {
        if until.is_none() && self.rare.is_none() {
            return;
        }
        let rare = self.rare.get_or_insert_default();
        rare.until = until;
        if let Some(timer) = rare.expiry.take() {
            ctx.cancel_future(timer);
        }
        let Some(until) = until else { return };
        let notice = self.sessions.shared().limits.expiry_notice;
        self.before(until, notice, ctx, move |session, ctx| {
            session.tell(Event::Expiring { at: until });
            session.before(until, Duration::ZERO, ctx, |session, ctx| {
                session.end(&End { reason: CloseReason::Expired, retry_after: None }, ctx);
            });
        });
    }

    /// Does something so long before what entitles the session ends, unless it has been renewed by then.
    fn before(
        &mut self,
        until: Timestamp,
        time: Duration,
        ctx: &mut Context<Self>,
        act: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        let clock = &self.sessions.shared().clock;
        let left = (until - clock.now()).to_std().unwrap_or_default();
        let passed = clock.sleep(left.saturating_sub(time)).into_actor(self);
        let timer = ctx.spawn(passed.map(move |(), session, ctx| {
            // Cancelled in the very moment in which it ends, a timer ends all the same.
            if session.rare.as_ref().is_some_and(|rare| rare.until == Some(until)) {
                act(session, ctx);
            }
        }));
        self.rare.get_or_insert_default().expiry = Some(timer);
    }

    /// Tells this session's inbox something.
    fn tell(&self, event: Event) {
        let connection = self.line.connection;
        let parcels = vec![Parcel::One { connection, hears: None, event }];
        self.line.fanout.deliver(self.sessions.shared().clock.elapsed(), None, parcels);
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;
}

impl Handler<Request> for SessionActor {
    type Result = ();

    /// A command whose policy takes its time makes this session's later ones wait, so that they
    /// stay in order; its end waits for nothing.
    fn handle(&mut self, request: Request, ctx: &mut Self::Context) {
        match self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
            Some(waiting) => waiting.push_back(request),
            None => self.ask_policy(request, ctx),
        }
    }
}

impl SessionActor {
    fn ask_policy(&mut self, request: Request, ctx: &mut Context<Self>) {
        let Request { command, reply } = request;
        let (sessions, user) = (Arc::clone(&self.sessions), self.user.clone());
        let prepare = async move { sessions.shared().prepare(&user, command).await };
        let mut asked = prepare.boxed();
        if let Some(allowed) = (&mut asked).now_or_never() {
            return self.allowed(allowed, reply, ctx);
        }
        self.rare.get_or_insert_default().waiting.get_or_insert_default();
        ctx.spawn(asked.into_actor(self).map(move |allowed, session, ctx| {
            session.allowed(allowed, reply, ctx);
            session.go_on(ctx);
        }));
    }

    fn allowed(&mut self, allowed: Result<Command>, reply: ReplyTo, ctx: &mut Context<Self>) {
        match allowed {
            Ok(command) => self.carry_out(command, reply, ctx),
            Err(error) => self.answer(reply, Err(error)),
        }
    }

    /// The commands that have waited, up to one that makes the others wait again.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        let rare = self.rare.get_or_insert_default();
        let mut waiting = rare.waiting.take().unwrap_or_default();
        while let Some(request) = waiting.pop_front() {
            self.ask_policy(request, ctx);
            if let Some(later) = self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
                later.extend(waiting);
                return;
            }
        }
    }
}

impl Handler<Order> for SessionActor {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) {
        match order {
            Order::End(end) => self.end(&end, ctx),
            Order::Rename(user) => {
                self.user = user.clone();
                self.tell(Event::Renamed { room: None, user });
            }
            // Whoever asked may have stopped.
            Order::Rooms(asker) => drop(asker.send(self.rooms.ids())),
        }
    }
}

impl Handler<Renew> for SessionActor {
    type Result = ();

    fn handle(&mut self, renew: Renew, ctx: &mut Self::Context) {
        self.expire(renew.until, ctx);
    }
}

impl Handler<End> for SessionActor {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        self.end(&end, ctx);
    }
}

impl Handler<Unseated> for SessionActor {
    type Result = ();

    fn handle(&mut self, unseated: Unseated, _: &mut Self::Context) {
        let Unseated { room, asked } = unseated;
        self.rooms.let_go(room, asked);
    }
}

impl Handler<RoomAnswered> for SessionActor {
    type Result = ();

    fn handle(&mut self, answered: RoomAnswered, ctx: &mut Self::Context) {
        let Some(rare) = &mut self.rare else { return };
        let Some(resuming) = &mut rare.resuming else { return };
        let done = resuming.answered(answered);
        if resuming.is_over() {
            rare.resuming = None;
        }
        if let Some((reply, resumed)) = done {
            self.answer(reply, Ok(resumed));
        }
        self.resume_next(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        // With its actor's context this is just below one of the steps in which tasks grow.
        assert!(size_of::<SessionActor>() <= 72);
    }
}
