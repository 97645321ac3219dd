//! The fan-out of one worker: it owns the worker's sockets and writes to them itself, each with one
//! system call for whatever its room has to say, without a task or a buffer for any that takes what
//! it is given. A plain structure; the actor, and the tasks that read, hold it together.

mod deadlines;
mod rounds;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use chat_core::{
    AdmitAs, Budget, Clock, CloseReason, ConnectionId, Deliver, Event, Parcel, Patience, Reply,
    Weight, Wire,
};

use crate::protocol::{CloseCode, JsonWire};
use crate::socket::SocketLimits;
use crate::socket::direct::lanes::Lanes;
use crate::socket::direct::pending::{Answer, Asked, Item, Lane, OwnKind, Step, say, tell};
use crate::socket::direct::round::Piece;
use crate::socket::direct::slab::{Place, Slab, State};
use crate::socket::direct::timers::{Kind, Timers};
use crate::socket::frame;
use crate::socket::meters::Meters;
use writing::backlog_of;

/// How long a connection that is to end may take nothing more of what waits for it, and how long it
/// may go on sending after that.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sockets of one worker, the rooms that they hear, and what is to be sent.
pub(in crate::socket::direct) struct SocketFanout {
    pub(in crate::socket::direct) slab: Slab,
    lanes: Lanes,
    queue: VecDeque<Item>,
    /// Rooms that take more than one turn to be told what they are being told.
    busy: VecDeque<Lane>,
    timers: Timers,
    /// Whether the timer is to be set anew.
    rearm: bool,
    /// Where short pieces for one socket are put together.
    together: Vec<u8>,
    wire: JsonWire,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    patience: Patience,
    limits: SocketLimits,
    meters: Arc<Meters>,
}

/// What all fan-outs of a server share.
pub(in crate::socket::direct) struct FanoutParts {
    pub(in crate::socket::direct) clock: Arc<dyn Clock>,
    pub(in crate::socket::direct) budget: Arc<Budget>,
    pub(in crate::socket::direct) patience: Patience,
    pub(in crate::socket::direct) limits: SocketLimits,
    pub(in crate::socket::direct) meters: Arc<Meters>,
}

impl SocketFanout {
    pub(in crate::socket::direct) fn new(parts: FanoutParts) -> Self {
        let FanoutParts { clock, budget, patience, limits, meters } = parts;
        Self {
            slab: Slab::default(),
            lanes: Lanes::default(),
            queue: VecDeque::new(),
            busy: VecDeque::new(),
            timers: Timers::default(),
            rearm: false,
            together: Vec::new(),
            wire: JsonWire,
            clock,
            budget,
            patience,
            limits,
            meters,
        }
    }

    /// Takes in a connection, with its socket unless its task alone has that; `known` if it needs to
    /// show no token any more. Its task will write the greeting before anything else.
    pub(in crate::socket::direct) fn insert(
        &mut self,
        connection: ConnectionId,
        socket: Option<TcpStream>,
        known: bool,
        greeting: Bytes,
    ) -> Place {
        let now = self.clock.elapsed();
        let place = self.slab.insert(connection, socket, known, now);
        if let Some((queued, cold)) = self.slab.both(place) {
            *queued = true;
            backlog_of(&mut cold.backlog, self.patience, &self.budget, now).cut(greeting);
        }
        if !known {
            self.time(Kind::Token, now + self.limits.auth, place);
        }
        self.time(Kind::Ping, now + self.limits.ping_every, place);
        place
    }

    /// Lets go of a connection. Its socket is closed when what this gives is dropped. Also
    /// answers whether the peer has shown who it is.
    pub(in crate::socket::direct) fn remove(
        &mut self,
        place: Place,
    ) -> Option<(Option<TcpStream>, bool)> {
        let (socket, cold) = self.slab.remove(place)?;
        self.lanes.exit_all(&mut self.slab, cold.heard);
        let Self { timers, slab, .. } = self;
        timers.tidy(slab.len(), |due| slab.place(due.connection) == Some(due.place));
        Some((socket, cold.known))
    }

    /// Something has come from the peer.
    pub(in crate::socket::direct) fn hear(&mut self, place: Place) {
        let now = self.clock.elapsed();
        if let Some(cold) = self.slab.get(place) {
            cold.last = now;
        }
    }

    /// Whose task this is wakes by this.
    pub(in crate::socket::direct) fn set_task(&mut self, place: Place, waker: &Waker) {
        if let Some(cold) = self.slab.get(place)
            && !cold.task.as_ref().is_some_and(|task| task.will_wake(waker))
        {
            cold.task = Some(waker.clone());
        }
    }

    /// Sends the last frame, behind what waits; to a peer that has been given up, in its stead.
    /// From here on the connection hears nothing.
    pub(in crate::socket::direct) fn close(
        &mut self,
        place: Place,
        close: CloseCode,
        give_up: bool,
    ) {
        let now = self.clock.elapsed();
        let frame = frame::close(close.code, close.reason);
        let Some(cold) = self.slab.get(place).filter(|cold| cold.state == State::Open) else {
            return;
        };
        self.meters.closed(close);
        cold.state = State::Closing;
        let heard = std::mem::take(&mut cold.heard);
        self.lanes.exit_all(&mut self.slab, heard);
        let Some((queued, cold)) = self.slab.both(place) else { return };
        if *queued {
            let backlog = backlog_of(&mut cold.backlog, self.patience, &self.budget, now);
            backlog.close(frame, give_up);
        } else if let Some(sent) = self.try_send(place, &[Piece::urgent(frame.clone())])
            && sent < frame.len()
        {
            self.block(place, now).close(frame.slice(sent..), false);
        }
        self.time(Kind::Close, now + CLOSE_WITHIN, place);
        self.wake(place);
    }

    /// The socket has failed, or its time is over: its task is to let go of it.
    fn give_up(&mut self, place: Place) {
        if let Some((queued, cold)) = self.slab.both(place) {
            *queued = true;
            cold.state = State::Over;
            cold.wake();
        }
    }

    fn wake(&mut self, place: Place) {
        if let Some(cold) = self.slab.get(place) {
            cold.wake();
        }
    }

    /// The session is to end, for this reason; its task tells it.
    fn lose(&mut self, place: Place, reason: CloseReason) {
        if let Some(cold) = self.slab.get(place)
            && cold.state == State::Open
        {
            cold.lost.get_or_insert(reason);
            cold.wake();
        }
    }

    /// Ends every connection that has no session to end it: of those who are `known`, all if there
    /// are no `sessions`.
    pub(in crate::socket::direct) fn close_without_session(
        &mut self,
        close: CloseCode,
        sessions: bool,
    ) {
        for place in self.slab.all() {
            if self.slab.get(place).is_some_and(|cold| !(cold.known && sessions)) {
                self.close(place, close, false);
            }
        }
    }

    /// Takes note of what is to be done.
    pub(in crate::socket::direct) fn take(&mut self, deliver: Deliver) {
        let Deliver { room, parcels, under_way, .. } = deliver;
        let lane = room.map(|room| self.lanes.lane(room));
        let before = self.queue.len();
        for parcel in parcels {
            self.note(lane, parcel);
        }
        if let Some(lane) = lane {
            self.lanes.room(lane).items += self.queue.len() - before;
            self.lanes.tidy(lane);
        }
        if let Some(Item { step: Step::Bundle(bundle), .. }) = self.queue.back_mut() {
            bundle.under_way.push(under_way);
        }
    }

    fn note(&mut self, lane: Option<Lane>, parcel: Parcel) {
        let step = match parcel {
            Parcel::Room { event, .. } => {
                let text = self.wire.event(&event);
                // Only a room says something to a room.
                if let Some(lane) = lane {
                    tell(&mut self.queue, lane, &text, event);
                }
                return;
            }
            Parcel::One { connection, hears, event } => {
                let kind = match (Weight::of_own(&event), hears) {
                    (Weight::Answer, _) => OwnKind::Hint,
                    (_, Some(_)) => OwnKind::IfHeard,
                    (_, None) => OwnKind::Event,
                };
                let frame = frame::text(&self.wire.event(&Arc::new(event)));
                return say(&mut self.queue, lane, connection, frame, kind);
            }
            Parcel::Reply { connection, tag, result, permit } => {
                if let Some(text) = self.wire.reply(tag, &result) {
                    let kind = OwnKind::Reply(tag, permit);
                    say(&mut self.queue, lane, connection, frame::text(&text), kind);
                }
                return;
            }
            Parcel::Admit { connection, room, answer } => {
                let answer = answer.and_then(|answer| match answer {
                    AdmitAs::Reply { tag, joined, permit } => {
                        let text = self.wire.reply(tag, &Ok(Reply::Joined(joined)))?;
                        let to = Asked::Command(tag, permit);
                        Some(Answer { frame: frame::text(&text), to })
                    }
                    AdmitAs::Resumed { joined, turn } => {
                        let event = Event::Resumed { room, result: Ok(joined) };
                        let text = self.wire.event(&Arc::new(event));
                        Some(Answer { frame: frame::text(&text), to: Asked::Resume(turn) })
                    }
                });
                Step::Admit { connection, answer }
            }
            Parcel::Exit { connection, .. } => Step::Exit { connection },
            Parcel::End { connection, reason } => Step::End { connection, reason },
        };
        self.queue.push_back(Item { lane, step });
    }
}
