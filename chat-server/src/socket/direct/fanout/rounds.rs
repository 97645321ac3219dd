//! Carries out what has been noted, in order: tells rooms, each in a round over its listeners, and
//! lets connections in and out between them.

use std::rc::Rc;

use chat_core::{CloseReason, ConnectionId};
use smallvec::{SmallVec, smallvec};

use super::SocketFanout;
use crate::protocol::close_code;
use crate::socket::direct::pending::{Answer, Asked, Bundle, Item, Lane, Own, Step, append};
use crate::socket::direct::round::{Piece, Round};
use crate::socket::direct::send::send;
use crate::socket::direct::slab::{Place, State};

impl SocketFanout {
    /// Sends up to about `most` frames. Answers whether there is more to do. Rooms that take long
    /// take turns with what comes behind them, so that a big room does not stall small ones.
    pub(in crate::socket::direct) fn flush(&mut self, most: usize) -> bool {
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
            let Some(round) = self.lanes.room(lane).round.clone() else { continue };
            let (sent, done) = self.go_round(lane, &round, left);
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
                        let bundle = Bundle { own: smallvec![own], ..Bundle::default() };
                        let item = Item { lane: None, step: Step::Bundle(bundle) };
                        self.put_off(item, lane);
                    } else {
                        self.send_pieces(place, None, smallvec![own.into()]);
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
        self.lanes.room(lane).reset();
        let sent = self.send_own(lane, &round, own);
        let (told, done) = self.go_round(lane, &round, left.saturating_sub(sent).max(1));
        if done {
            self.done(lane);
        } else {
            self.lanes.room(lane).round = Some(Rc::new(round));
            self.busy.push_back(lane);
        }
        (sent + told).max(1)
    }

    /// Sends what is for single connections in a round, to each together with what is for all.
    fn send_own(&mut self, lane: Lane, round: &Round, mut own: SmallVec<[Own; 1]>) -> usize {
        let mut sent = 0;
        while let Some(first) = own.first() {
            let connection = first.connection;
            let its: SmallVec<_>;
            (its, own) = own.into_iter().partition(|own| own.connection == connection);
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
    fn go_round(&mut self, lane: Lane, round: &Round, most: usize) -> (usize, bool) {
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
                let (socket, queued) = self.slab.hot(*place);
                let Some(socket) = socket.filter(|_| !queued) else {
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
                    if self.slab.queued[place as usize] {
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
        let sent =
            self.send_pieces(place, None, smallvec![Piece { bytes: frame, kind: (&to).into() }]);
        if let Asked::Resume(turn) = to {
            self.keep(place, turn, sent);
        }
        sent
    }

    /// The session of a connection has ended.
    fn end(&mut self, connection: ConnectionId, reason: CloseReason) {
        if let Some(place) = self.slab.place(connection) {
            self.close(place, close_code(reason), reason == CloseReason::NotReading);
        }
    }
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
