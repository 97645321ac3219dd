//! Writes to one connection: to its socket as long as that takes everything, else to its backlog,
//! whose state says what becomes of a frame.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use chat_core::{Budget, CloseReason, Cursor, Error, Event, Patience, Pushed, Turn, Weight, Wire};
use smallvec::smallvec;
use tokio::net::TcpStream;

use super::SocketFanout;
use crate::socket::direct::backlog::Backlog;
use crate::socket::direct::pending::Lane;
use crate::socket::direct::round::{Piece, PieceKind, Pieces};
use crate::socket::direct::send::{send, send_all};
use crate::socket::direct::slab::{Place, State};
use crate::socket::frame;

/// Up to so many bytes are copied into one piece rather than handed to the system in several, which
/// costs it more.
const TOGETHER: usize = 4 * 1_024;

impl SocketFanout {
    /// Sends a frame of the transport's own, or of a conversation without an engine.
    pub(in crate::socket::direct) fn say(&mut self, place: Place, frame: Bytes) {
        self.send_pieces(place, None, smallvec![Piece::urgent(frame)]);
    }

    /// Sends something to one connection. Answers whether all of it went out or waits.
    pub(super) fn send_pieces(&mut self, place: Place, lane: Option<Lane>, pieces: Pieces) -> bool {
        if self.slab.get(place).is_none_or(|cold| cold.state != State::Open) {
            return false;
        }
        let now = self.clock.elapsed();
        if self.slab.queued[place as usize] {
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
    pub(super) fn try_send(&mut self, place: Place, pieces: &[Piece]) -> Option<usize> {
        let Self { slab, together, .. } = self;
        let socket = slab.socket(place)?;
        let length: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        let sent = if let [one] = pieces {
            send(socket, &one.bytes)
        } else if length <= TOGETHER {
            together.clear();
            pieces.iter().for_each(|piece| together.extend_from_slice(&piece.bytes));
            send(socket, together)
        } else {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(&piece.bytes)).collect();
            send_all(socket, &slices)
        };
        match sent {
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
    pub(super) fn queue_rest(
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
    pub(super) fn block(&mut self, place: Place, now: Duration) -> &mut Backlog {
        self.meters.blocked();
        self.watch(place, now);
        let (queued, cold) = self.slab.both(place).expect("it was written to just now");
        *queued = true;
        cold.wake();
        backlog_of(&mut cold.backlog, self.patience, &self.budget, now)
    }

    /// Queues for a socket that is being written to by its task.
    pub(super) fn queue_pieces(
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
            let reply = matches!(kind, PieceKind::Reply(_)).then(|| bytes.clone());
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
                    let busy = self.wire.reply(tag, &Err(Error::busy()));
                    let busy = busy.map(|text| frame::text(&text));
                    let short = reply.filter(|reply| {
                        busy.as_ref().is_some_and(|busy| reply.len() <= busy.len())
                    });
                    all &= short.is_some();
                    self.push_urgent(place, short.or(busy), now);
                }
                (Pushed::Behind, PieceKind::Resumed) => all = false,
            }
        }
        self.watch(place, now);
        all
    }

    /// Keeps the turn of a room whose answer has been sent, or has found no place, as long as much waits
    /// for the connection.
    pub(super) fn keep(&mut self, place: Place, mut turn: Turn, sent: bool) {
        let now = self.clock.elapsed();
        let Some(cold) = self.slab.get(place).filter(|cold| cold.state == State::Open) else {
            return;
        };
        let room = turn.room();
        let Some(backlog) = &mut cold.backlog else {
            if sent {
                turn.taken();
            }
            return;
        };
        if backlog.keep(turn, sent) {
            let busy = Event::Resumed { room, result: Err(Error::busy()) };
            let busy = self.wire.event(&Arc::new(busy));
            self.push_urgent(place, Some(frame::text(&busy)), now);
        }
    }

    fn push_urgent(&mut self, place: Place, frame: Option<Bytes>, now: Duration) {
        let (Some(frame), Some(cold)) = (frame, self.slab.get(place)) else { return };
        let backlog = backlog_of(&mut cold.backlog, self.patience, &self.budget, now);
        if backlog.push(frame, Weight::Urgent, now) == Pushed::NotReading {
            self.lose(place, CloseReason::NotReading);
        }
    }

    /// Tells a connection that it is behind. It hears no more of the room until it enters it again,
    /// which it does with the cursor that it is told here.
    fn tell_behind(&mut self, place: Place, lane: Lane, after: Cursor, now: Duration) {
        self.meters.behind();
        let room = self.lanes.room(lane).id();
        let text = self.wire.event(&Arc::new(Event::Behind { room, after }));
        self.push_urgent(place, Some(frame::text(&text)), now);
        self.lanes.exit(&mut self.slab, place, lane);
        self.watch(place, now);
    }

    /// Writes what waits for a connection, by `write`, which is given the socket if it is here.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` if something still waits.
    pub(in crate::socket::direct) fn write(
        &mut self,
        place: Place,
        mut write: impl FnMut(Option<&TcpStream>, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let now = self.clock.elapsed();
        let Some((socket, queued, cold)) = self.slab.all_of(place) else { return Ok(()) };
        let Some(backlog) = &mut cold.backlog else { return Ok(()) };
        let (written, result) = backlog.write(now, |slices| write(socket, slices));
        self.meters.delivered(0, written);
        if written > 0 {
            // To take something is a sign of life.
            cold.last = now;
        }
        result?;
        cold.backlog = None;
        *queued = socket.is_none();
        Ok(())
    }
}

/// The backlog of a socket, which begins to lag now if it has none.
pub(super) fn backlog_of<'a>(
    backlog: &'a mut Option<Box<Backlog>>,
    patience: Patience,
    budget: &Arc<Budget>,
    now: Duration,
) -> &'a mut Backlog {
    backlog.get_or_insert_with(|| Box::new(Backlog::new(patience, budget, now)))
}
