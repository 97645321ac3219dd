//! What is spoken over a socket, and the line that it is spoken over. The frames, pings, limits and
//! deadlines are the transport's; what a message means is a conversation's.

use std::ops::ControlFlow;
use std::rc::Rc;

use actix_web::web::Bytes;
use chat_core::{CloseReason, ConnectionId, Fanout};

use crate::protocol::CloseCode;
use crate::socket::direct::slab::Place;
use crate::socket::direct::worker::Worker;
use crate::socket::frame;

/// What is spoken over one connection. `Break` ends it with that code.
pub trait Conversation: 'static {
    /// The handshake has been answered.
    fn begin(&mut self, line: &Line) -> ControlFlow<CloseCode>;

    /// A text message has come, whole.
    fn text(&mut self, line: &Line, text: &str) -> ControlFlow<CloseCode>;

    /// A binary message has come, whole.
    fn binary(&mut self, line: &Line, bytes: &[u8]) -> ControlFlow<CloseCode>;

    /// A binary message has begun that is not complete.
    fn binary_begins(&mut self) -> ControlFlow<CloseCode> {
        ControlFlow::Continue(())
    }

    /// A ping with a payload of this many bytes has come, and is answered unless this ends the
    /// connection.
    fn ping(&mut self, line: &Line, bytes: usize) -> ControlFlow<CloseCode> {
        let _ = (line, bytes);
        ControlFlow::Continue(())
    }

    /// Of how much memory what waits for the peer may take before nothing more is read from it until
    /// it has taken some. For a conversation that says as much as it hears; one that hears more than
    /// it says had better read on, and so it does unless this is overridden.
    fn pause_at(&self) -> usize {
        usize::MAX
    }

    /// The peer has fallen silent, or does not read. Answers whether the conversation sees to the
    /// end of the connection itself; otherwise it is closed at once.
    fn lose(&mut self, reason: CloseReason) -> bool {
        let _ = reason;
        false
    }
}

/// A connection as its conversation knows it.
pub struct Line {
    worker: Rc<Worker>,
    place: Place,
    connection: ConnectionId,
}

impl Line {
    pub(super) fn new(worker: Rc<Worker>, place: Place, connection: ConnectionId) -> Self {
        Self { worker, place, connection }
    }

    /// Sends a text message. If much waits for the peer already, it waits behind that; a peer that
    /// does not even take such is closed.
    pub fn text(&self, text: &str) {
        self.say(frame::text(text));
    }

    /// Sends a binary message, likewise.
    pub fn binary(&self, bytes: &[u8]) {
        self.say(frame::binary(bytes));
    }

    pub(super) fn say(&self, frame: Bytes) {
        self.worker.fanout().say(self.place, frame);
    }

    /// Its id, for [`Engine::connect_through`](chat_core::Engine::connect_through).
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The fan-out that knows it, likewise.
    #[must_use]
    pub fn fanout(&self) -> &Fanout {
        self.worker.address()
    }

    /// The peer has shown who it is, and need not do so by the deadline.
    pub fn known(&self) {
        self.worker.known(self.place);
    }
}
