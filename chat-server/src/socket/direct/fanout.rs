//! The fan-out of one worker: it owns the worker's sockets and writes to them itself, each with one
//! system call for whatever its room has to say, without a task or a buffer for any that takes what
//! it is given. A plain structure; the actor, and the tasks that read, hold it together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use chat_core::{
    AdmitAs, Budget, Clock, CloseReason, ConnectionId, Deliver, Event, Parcel, Patience, Pushed,
    Reply, Wire,
};

use crate::protocol::{CloseCode, JsonWire, close_code};
use crate::socket::SocketLimits;
use crate::socket::direct::backlog::Backlog;
use crate::socket::direct::lanes::Lanes;
use crate::socket::direct::pending::{
    Answer, Asked, Bundle, Item, Lane, Own, OwnKind, Step, append, say, tell,
};
use crate::socket::direct::round::{Piece, PieceKind, Round};
use crate::socket::direct::send::{send, send_all};
use crate::socket::direct::slab::{Hot, Place, Slab, State};
use crate::socket::direct::timers::{Due, Kind, Timers};
use crate::socket::frame;
use crate::socket::meters::Meters;

/// How long a connection that is to end may take nothing more of what waits for it, and how long it
/// may go on sending after that.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The sockets of one worker, the rooms that they hear, and what is to be sent.
pub(super) struct SocketFanout {
    pub(super) slab: Slab,
    lanes: Lanes,
    queue: VecDeque<Item>,
    /// Rooms that take more than one turn to be told what they are being told.
    busy: VecDeque<Lane>,
    timers: Timers,
    /// Whether the timer is to be set anew.
    rearm: bool,
    wire: JsonWire,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    patience: Patience,
    limits: SocketLimits,
    meters: Arc<Meters>,
}

/// What all fan-outs of a server share.
pub(super) struct FanoutParts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) budget: Arc<Budget>,
    pub(super) patience: Patience,
    pub(super) limits: SocketLimits,
    pub(super) meters: Arc<Meters>,
}

impl SocketFanout {
    pub(super) fn new(parts: FanoutParts) -> Self {
        let FanoutParts { clock, budget, patience, limits, meters } = parts;
        Self {
            slab: Slab::default(),
            lanes: Lanes::default(),
            queue: VecDeque::new(),
            busy: VecDeque::new(),
            timers: Timers::default(),
            rearm: false,
            wire: JsonWire,
            clock,
            budget,
            patience,
            limits,
            meters,
        }
    }

    // --- connections come and go -----------------------------------------------------------------

    /// Takes in a connection, with its socket unless its task alone writes to it; `known` if it
    /// needs to show no token any more. Its task will write the greeting before anything else.
    pub(super) fn insert(
        &mut self,
        connection: ConnectionId,
        socket: Option<Rc<TcpStream>>,
        known: bool,
        greeting: Bytes,
    ) -> Place {
        let now = self.clock.elapsed();
        let place = self.slab.insert(connection, socket, known, now);
        if let Some((hot, cold)) = self.slab.both(place) {
            hot.queued = true;
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
    pub(super) fn remove(&mut self, place: Place) -> Option<(Hot, bool)> {
        let (hot, cold) = self.slab.remove(place)?;
        self.lanes.exit_all(&mut self.slab, cold.heard);
        let Self { timers, slab, .. } = self;
        timers.tidy(slab.len(), |due| slab.place(due.connection) == Some(due.place));
        Some((hot, cold.known))
    }

    /// Something has come from the peer.
    pub(super) fn hear(&mut self, place: Place) {
        let now = self.clock.elapsed();
        if let Some(cold) = self.slab.get(place) {
            cold.last = now;
        }
    }

    /// Whose task this is wakes by this.
    pub(super) fn set_task(&mut self, place: Place, waker: &Waker) {
        if let Some(cold) = self.slab.get(place)
            && !cold.task.as_ref().is_some_and(|task| task.will_wake(waker))
        {
            cold.task = Some(waker.clone());
        }
    }

    /// Sends the last frame, behind what waits; to a peer that has been given up, in its stead.
    /// From here on the connection hears nothing.
    pub(super) fn close(&mut self, place: Place, close: CloseCode, give_up: bool) {
        let now = self.clock.elapsed();
        let frame = frame::close(close.code, close.reason);
        let Some(cold) = self.slab.get(place).filter(|cold| cold.state == State::Open) else {
            return;
        };
        self.meters.closed(close);
        cold.state = State::Closing;
        let heard = std::mem::take(&mut cold.heard);
        self.lanes.exit_all(&mut self.slab, heard);
        let Some((hot, cold)) = self.slab.both(place) else { return };
        if hot.queued {
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
        if let Some((hot, cold)) = self.slab.both(place) {
            hot.queued = true;
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
    pub(super) fn close_without_session(&mut self, close: CloseCode, sessions: bool) {
        for place in self.slab.all() {
            if self.slab.get(place).is_some_and(|cold| !(cold.known && sessions)) {
                self.close(place, close, false);
            }
        }
    }

    // --- what the engine says --------------------------------------------------------------------

    /// Takes note of what is to be done.
    pub(super) fn take(&mut self, deliver: Deliver) {
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
                let kind = match (&event, hears) {
                    (Event::Invited { .. }, _) => OwnKind::Hint,
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
                    AdmitAs::Resumed(joined) => {
                        let event = Event::Resumed { room, result: Ok(joined) };
                        let text = self.wire.event(&Arc::new(event));
                        Some(Answer { frame: frame::text(&text), to: Asked::Resume(room) })
                    }
                });
                Step::Admit { connection, answer }
            }
            Parcel::Exit { connection, .. } => Step::Exit { connection },
            Parcel::End { connection, reason } => Step::End { connection, reason },
        };
        self.queue.push_back(Item { lane, step });
    }

    // --- sending ---------------------------------------------------------------------------------

    /// Sends up to about `most` frames. Answers whether there is more to do. Rooms that take long
    /// take turns with what comes behind them, so that a big room does not stall small ones.
    pub(super) fn flush(&mut self, most: usize) -> bool {
        let mut left = if self.busy.is_empty() { most } else { most / 2 };
        while left > 0
            && let Some(item) = self.queue.pop_front()
        {
            left = left.saturating_sub(self.carry_out(item, left));
        }
        left += if self.busy.is_empty() { 0 } else { most / 2 };
        while left > 0
            && let Some(lane) = self.busy.pop_front()
        {
            let (sent, done) = self.go_round(lane, left);
            left = left.saturating_sub(sent);
            if done {
                self.end_round(lane);
            } else {
                self.busy.push_back(lane);
            }
        }
        !self.queue.is_empty() || !self.busy.is_empty()
    }

    /// Does one thing, or puts it where it has to wait. Answers how many frames it has sent, or how
    /// many that is worth.
    fn carry_out(&mut self, item: Item, left: usize) -> usize {
        let lane = match item.lane {
            Some(lane) if self.lanes.is_busy(lane) => return self.put_off(item, lane),
            Some(lane) => lane,
            None => return self.carry_out_own(item),
        };
        match item.step {
            Step::Bundle(bundle) => return self.begin_round(lane, bundle, left),
            Step::Admit { connection, answer } => {
                if let Some(place) = self.slab.place(connection)
                    && self.answer(place, answer)
                {
                    self.lanes.enter(&mut self.slab, place, lane);
                }
            }
            Step::Exit { connection } => {
                if let Some(place) = self.slab.place(connection) {
                    self.lanes.exit(&mut self.slab, place, lane);
                }
            }
            Step::End { connection, reason } => self.end(connection, reason),
        }
        self.done(lane);
        1
    }

    /// As [`carry_out`](Self::carry_out), for what a session says itself: it comes after what the
    /// rooms have said to the connection before.
    fn carry_out_own(&mut self, item: Item) -> usize {
        match item.step {
            Step::Bundle(bundle) => {
                let sent = bundle.own.len();
                for own in bundle.own {
                    let Some(place) = self.slab.place(own.connection) else { continue };
                    if let Some(lane) = self.held_up(place) {
                        let bundle = Bundle { own: vec![own], ..Bundle::default() };
                        let item = Item { lane: None, step: Step::Bundle(bundle) };
                        self.put_off(item, lane);
                    } else {
                        let kind = match own.kind {
                            OwnKind::Hint => PieceKind::Hint,
                            OwnKind::Reply(tag, _) => PieceKind::Reply(tag),
                            OwnKind::Event | OwnKind::IfHeard => PieceKind::Urgent,
                        };
                        self.send_pieces(place, None, vec![Piece { bytes: own.frame, kind }]);
                    }
                }
                sent.max(1)
            }
            Step::End { connection, reason } => {
                let Some(place) = self.slab.place(connection) else { return 1 };
                match self.held_up(place) {
                    Some(lane) => {
                        let step = Step::End { connection, reason };
                        self.put_off(Item { lane: None, step }, lane);
                    }
                    None => self.end(connection, reason),
                }
                1
            }
            // Only rooms say these.
            Step::Admit { .. } | Step::Exit { .. } => 1,
        }
    }

    /// A room that has not yet said everything to the connection that it is about to.
    fn held_up(&mut self, place: Place) -> Option<Lane> {
        let cold = self.slab.get(place)?;
        let (count, lane) = cold.waiting;
        if count > 0 {
            return Some(lane);
        }
        let heard = cold.heard.iter().map(|heard| heard.lane);
        heard.into_iter().find(|lane| self.lanes.is_busy(*lane))
    }

    /// Something waits until the lane's round has ended.
    fn put_off(&mut self, item: Item, lane: Lane) -> usize {
        for connection in addressed(&item.step) {
            let place = self.slab.place(connection);
            if let Some(cold) = place.and_then(|place| self.slab.get(place)) {
                cold.waiting = (cold.waiting.0 + 1, lane);
            }
        }
        let ours = item.lane == Some(lane);
        let room = self.lanes.room(lane);
        let merged = append(&mut room.after, item);
        // Counted already if it is the room's own.
        room.items = room.items + usize::from(!ours && !merged) - usize::from(ours && merged);
        1
    }

    fn begin_round(&mut self, lane: Lane, bundle: Bundle, left: usize) -> usize {
        let (round, own) = Round::new(bundle);
        let round = Rc::new(round);
        let room = self.lanes.room(lane);
        room.reset();
        room.round = Some(Rc::clone(&round));
        let sent = self.send_own(lane, &round, own);
        let (told, done) = self.go_round(lane, left.saturating_sub(sent).max(1));
        if done {
            self.end_round(lane);
        } else {
            self.busy.push_back(lane);
        }
        (sent + told).max(1)
    }

    /// Sends what is for single connections in a round, to each together with what is for all.
    fn send_own(&mut self, lane: Lane, round: &Round, mut own: Vec<Own>) -> usize {
        let mut sent = 0;
        while let Some(first) = own.first() {
            let connection = first.connection;
            let (its, others) = own.into_iter().partition(|own| own.connection == connection);
            own = others;
            if let Some(place) = self.slab.place(connection) {
                let hears = self.lanes.is_told(&mut self.slab, place, lane);
                self.send_pieces(place, Some(lane), round.with(its, hears));
                sent += 1;
            }
        }
        sent
    }

    /// Goes on with a room's round for up to `most` listeners. Answers to how many it has been
    /// sent, and whether all have it.
    fn go_round(&mut self, lane: Lane, most: usize) -> (usize, bool) {
        let Some(round) = self.lanes.room(lane).round.clone() else { return (0, true) };
        if round.bytes.is_empty() {
            return (0, true);
        }
        let mut left = most;
        loop {
            let (listeners, told) = self.lanes.room(lane).untold();
            let end = listeners.len().min(*told + left);
            let mut slow = None;
            for place in &listeners[*told..end] {
                *told += 1;
                left -= 1;
                let Hot { socket: Some(socket), queued: false } = &self.slab.hot[*place as usize]
                else {
                    slow = Some((*place, Some(0)));
                    break;
                };
                match send(socket, &round.bytes) {
                    Ok(sent) if sent == round.bytes.len() => {}
                    sent => {
                        slow = Some((*place, sent.ok()));
                        break;
                    }
                }
            }
            match slow {
                None => {
                    let (listeners, told) = self.lanes.room(lane).untold();
                    let done = *told == listeners.len();
                    self.meters.delivered(most - left, (most - left) * round.bytes.len());
                    return (most - left, done);
                }
                Some((place, Some(sent))) => {
                    let now = self.clock.elapsed();
                    if self.slab.hot[place as usize].queued {
                        self.queue_pieces(place, Some(lane), round.rest(0), now);
                    } else {
                        self.queue_rest(place, Some(lane), round.rest(sent), sent, now);
                    }
                }
                Some((place, None)) => self.give_up(place),
            }
        }
    }

    /// All listeners of a lane have what they were being told; what has waited for that comes next.
    fn end_round(&mut self, lane: Lane) {
        let room = self.lanes.room(lane);
        room.round = None;
        let after = std::mem::take(&mut room.after);
        for item in after.into_iter().rev() {
            for connection in addressed(&item.step) {
                let place = self.slab.place(connection);
                if let Some(cold) = place.and_then(|place| self.slab.get(place)) {
                    cold.waiting.0 = cold.waiting.0.saturating_sub(1);
                }
            }
            if item.lane != Some(lane) {
                self.lanes.room(lane).items -= 1;
            }
            self.queue.push_front(item);
        }
        self.done(lane);
    }

    /// One of a lane's items is done.
    fn done(&mut self, lane: Lane) {
        self.lanes.room(lane).items -= 1;
        self.lanes.tidy(lane);
    }

    /// Answers somebody who begins to hear a room. Answers whether the answer found a place.
    fn answer(&mut self, place: Place, answer: Option<Answer>) -> bool {
        let Some(Answer { frame, to }) = answer else {
            return self.slab.get(place).is_some_and(|cold| cold.state == State::Open);
        };
        self.send_pieces(place, None, vec![Piece { bytes: frame, kind: (&to).into() }])
    }

    /// The session of a connection has ended.
    fn end(&mut self, connection: ConnectionId, reason: CloseReason) {
        if let Some(place) = self.slab.place(connection) {
            self.close(place, close_code(reason), reason == CloseReason::NotReading);
        }
    }

    /// Sends a frame of the transport's own, or of a conversation without an engine.
    pub(super) fn say(&mut self, place: Place, frame: Bytes) {
        self.send_pieces(place, None, vec![Piece::urgent(frame)]);
    }

    /// Sends something to one connection. Answers whether all of it went out or waits.
    fn send_pieces(&mut self, place: Place, lane: Option<Lane>, pieces: Vec<Piece>) -> bool {
        if self.slab.get(place).is_none_or(|cold| cold.state != State::Open) {
            return false;
        }
        let now = self.clock.elapsed();
        if self.slab.hot[place as usize].queued {
            return self.queue_pieces(place, lane, pieces.into_iter(), now);
        }
        let Some(sent) = self.try_send(place, &pieces) else { return false };
        let mut cut = sent;
        let mut rest = pieces.into_iter();
        for mut first in rest.by_ref() {
            if let Some(left) = cut.checked_sub(first.bytes.len()) {
                cut = left;
                continue;
            }
            first.bytes = first.bytes.slice(cut..);
            return self.queue_rest(place, lane, std::iter::once(first).chain(rest), cut, now);
        }
        true
    }

    /// Writes to a socket for which nothing waits: how much was taken. A socket that has failed is
    /// given up.
    fn try_send(&mut self, place: Place, pieces: &[Piece]) -> Option<usize> {
        let socket = self.slab.hot[place as usize].socket.as_ref()?;
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(&piece.bytes)).collect();
        match send_all(socket, &slices) {
            Ok(sent) => {
                self.meters.delivered(1, sent);
                Some(sent)
            }
            Err(_) => {
                self.give_up(place);
                None
            }
        }
    }

    /// Queues what a socket has not taken; of the first piece it has, unless `sent` is 0.
    fn queue_rest(
        &mut self,
        place: Place,
        lane: Option<Lane>,
        mut rest: impl Iterator<Item = Piece>,
        sent: usize,
        now: Duration,
    ) -> bool {
        let backlog = self.block(place, now);
        if sent > 0
            && let Some(first) = rest.next()
        {
            backlog.cut(first.bytes);
        }
        self.queue_pieces(place, lane, rest, now)
    }

    /// From here on what is for this socket is queued, until its task has written everything.
    fn block(&mut self, place: Place, now: Duration) -> &mut Backlog {
        self.meters.blocked();
        self.watch(place, now);
        let (hot, cold) = self.slab.both(place).expect("it was written to just now");
        hot.queued = true;
        cold.wake();
        backlog_of(&mut cold.backlog, self.patience, &self.budget, now)
    }

    /// Queues for a socket that is being written to by its task.
    fn queue_pieces(
        &mut self,
        place: Place,
        lane: Option<Lane>,
        pieces: impl Iterator<Item = Piece>,
        now: Duration,
    ) -> bool {
        let mut all = true;
        for Piece { bytes, kind } in pieces {
            let Some((_, cold)) = self.slab.both(place) else { return false };
            if cold.state != State::Open {
                return false;
            }
            let backlog = backlog_of(&mut cold.backlog, self.patience, &self.budget, now);
            let was_empty = backlog.is_empty();
            let pushed = backlog.push(bytes, kind.weight(), now);
            if was_empty {
                cold.wake();
            }
            match (pushed, kind) {
                (Pushed::Done, _) => {}
                (Pushed::NotReading, _) => {
                    self.lose(place, CloseReason::NotReading);
                    return false;
                }
                (Pushed::Abandoned, _) | (Pushed::Behind, PieceKind::Hint | PieceKind::Urgent) => {
                    all = false;
                }
                (Pushed::Behind, PieceKind::Event(event)) => {
                    all = false;
                    if let Some(lane) = lane
                        && let Some(after) = event.cursor_before()
                    {
                        self.tell_behind(place, lane, after, now);
                        return false;
                    }
                }
                (Pushed::Behind, PieceKind::Reply(tag)) => {
                    all = false;
                    let busy = self.wire.reply(tag, &Err(chat_core::Error::busy()));
                    self.push_urgent(place, busy.map(|text| frame::text(&text)), now);
                }
                (Pushed::Behind, PieceKind::Resumed(room)) => {
                    all = false;
                    let result = Err(chat_core::Error::busy());
                    let busy = self.wire.event(&Arc::new(Event::Resumed { room, result }));
                    self.push_urgent(place, Some(frame::text(&busy)), now);
                }
            }
        }
        self.watch(place, now);
        all
    }

    fn push_urgent(&mut self, place: Place, frame: Option<Bytes>, now: Duration) {
        let (Some(frame), Some(cold)) = (frame, self.slab.get(place)) else { return };
        let backlog = backlog_of(&mut cold.backlog, self.patience, &self.budget, now);
        if backlog.push(frame, chat_core::Weight::Urgent, now) == Pushed::NotReading {
            self.lose(place, CloseReason::NotReading);
        }
    }

    /// Tells a connection that it is behind. It hears no more of the room until it enters it again,
    /// which it does with the cursor that it is told here.
    fn tell_behind(&mut self, place: Place, lane: Lane, after: chat_core::Cursor, now: Duration) {
        self.meters.behind();
        let room = self.lanes.room(lane).id();
        let text = self.wire.event(&Arc::new(Event::Behind { room, after }));
        self.push_urgent(place, Some(frame::text(&text)), now);
        self.lanes.exit(&mut self.slab, place, lane);
        self.watch(place, now);
    }

    // --- what a connection's task does -----------------------------------------------------------

    /// Writes what waits for a connection, by `write`. Answers whether nothing waits any more.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` included.
    pub(super) fn write(
        &mut self,
        place: Place,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let now = self.clock.elapsed();
        let Some((hot, cold)) = self.slab.both(place) else { return Ok(()) };
        let Some(backlog) = &mut cold.backlog else { return Ok(()) };
        let (written, result) = backlog.write(now, write);
        self.meters.delivered(0, written);
        if written > 0 {
            // To take something is a sign of life.
            cold.last = now;
        }
        result?;
        cold.backlog = None;
        hot.queued = hot.socket.is_none();
        Ok(())
    }

    // --- deadlines -------------------------------------------------------------------------------

    fn time(&mut self, kind: Kind, at: Duration, place: Place) {
        if let Some(cold) = self.slab.get(place) {
            let due = Due { at, place, connection: cold.connection };
            self.rearm |= self.timers.add(kind, due);
        }
    }

    /// Whether the timer is to be set anew; said once.
    pub(super) fn rearmed(&mut self) -> bool {
        std::mem::take(&mut self.rearm)
    }

    /// For when the timer is to be set.
    pub(super) fn arm(&mut self) -> Option<Duration> {
        let Self { timers, slab, .. } = self;
        timers.arm(|kind, due| {
            slab.place(due.connection) == Some(due.place)
                && (kind != Kind::Token || slab.get(due.place).is_some_and(|cold| !cold.known))
        })
    }

    /// A connection has shown who it is. Answers whether that was still to be done.
    pub(super) fn know(&mut self, place: Place) -> bool {
        let Some(cold) = self.slab.get(place) else { return false };
        let unknown = !std::mem::replace(&mut cold.known, true);
        self.rearm |= unknown;
        unknown
    }

    /// A reader for which something waits is looked at from time to time.
    fn watch(&mut self, place: Place, now: Duration) {
        let Some(close_after) = self.patience.close_after else { return };
        let Some(cold) = self.slab.get(place) else { return };
        if !std::mem::replace(&mut cold.watched, true) {
            self.time(Kind::Lag, now + close_after, place);
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = self.clock.elapsed();
        while let Some((kind, due)) = self.timers.due(now) {
            if self.slab.place(due.connection) == Some(due.place) {
                self.on_time(kind, due, now);
            }
        }
    }

    fn on_time(&mut self, kind: Kind, due: Due, now: Duration) {
        let place = due.place;
        let Some((hot, cold)) = self.slab.both(place) else { return };
        match (kind, cold.state) {
            (Kind::Token, State::Open) if !cold.known => {
                self.close(place, CloseCode::UNAUTHORIZED, false);
            }
            (Kind::Ping, State::Open) if cold.mid_message && cold.stalled && !cold.paused => {
                self.lose(place, CloseReason::Silent);
            }
            (Kind::Ping, State::Open) => {
                // A message of which no more has been read does not come any further by that.
                cold.stalled = cold.mid_message && !cold.paused;
                // A peer for which something waits is looked at for whether it takes that.
                let waits = hot.queued && cold.backlog.is_some();
                if !waits {
                    self.say(place, frame::ping(b""));
                    self.time(Kind::Silence, now + self.limits.ping_timeout, place);
                }
                self.time(Kind::Ping, now + self.limits.ping_every, place);
            }
            // What came in the very moment of the ping counts.
            (Kind::Silence, State::Open) if cold.last + self.limits.ping_timeout < due.at => {
                self.lose(place, CloseReason::Silent);
            }
            (Kind::Lag, State::Open) => {
                let look = cold.backlog.as_mut().map(|backlog| backlog.look(now));
                match look {
                    Some(Err(_)) => self.lose(place, CloseReason::NotReading),
                    Some(Ok(Some(again))) => self.time(Kind::Lag, now + again, place),
                    Some(Ok(None)) | None => cold.watched = false,
                }
            }
            // Whoever still takes what waits is given more time.
            (Kind::Close, State::Closing) if cold.last + CLOSE_WITHIN > due.at => {
                self.time(Kind::Close, now + CLOSE_WITHIN, place);
            }
            (Kind::Close, _) => self.give_up(place),
            _ => {}
        }
    }
}

impl Piece {
    fn urgent(bytes: Bytes) -> Self {
        Self { bytes, kind: PieceKind::Urgent }
    }
}

/// The backlog of a socket, which begins to lag now if it has none.
fn backlog_of<'a>(
    backlog: &'a mut Option<Box<Backlog>>,
    patience: Patience,
    budget: &Arc<Budget>,
    now: Duration,
) -> &'a mut Backlog {
    backlog.get_or_insert_with(|| Box::new(Backlog::new(patience, budget, now)))
}

/// The connections to which a step has something to say.
fn addressed(step: &Step) -> impl Iterator<Item = ConnectionId> {
    let (one, own): (_, &[_]) = match step {
        Step::Bundle(bundle) => (None, &bundle.own),
        Step::Admit { connection, .. } | Step::End { connection, .. } => (Some(*connection), &[]),
        Step::Exit { .. } => (None, &[]),
    };
    one.into_iter().chain(own.iter().map(|own| own.connection))
}
