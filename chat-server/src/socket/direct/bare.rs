//! A worker's fan-out without the worker, for `benches/delivery.rs`: nothing else runs on its thread,
//! so that what it costs can be told from what its sockets do.

use std::io;
use std::sync::Arc;

use actix_web::rt::net::TcpStream;
use chat_core::{ConnectionId, Deliver, Engine, Patience};

use crate::socket::direct::fanout::{FanoutParts, SocketFanout};
use crate::socket::direct::send::send_all;
use crate::socket::direct::worker::TURN;
use crate::socket::frame;
use crate::socket::{Meters, SocketLimits};

/// A fan-out whose sockets always take what they are sent, because whoever has it reads the other
/// ends.
#[doc(hidden)]
pub struct BareFanout(SocketFanout);

impl BareFanout {
    /// One for sessions of this engine.
    #[must_use]
    pub fn new(engine: &Engine, meters: Arc<Meters>) -> Self {
        let patience = Patience { bytes: engine.limits().outbox_bytes, close_after: None };
        Self(SocketFanout::new(FanoutParts {
            clock: engine.clock(),
            budget: Arc::clone(engine.budget()),
            patience,
            limits: SocketLimits::default(),
            meters,
        }))
    }

    /// Takes in a connection, and greets it with a ping.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn insert(&mut self, connection: ConnectionId, socket: TcpStream) -> io::Result<()> {
        let place = self.0.insert(connection, Some(socket), true, frame::ping(b""));
        self.0
            .write(place, |socket, slices| socket.map_or(Ok(0), |socket| send_all(socket, slices)))
    }

    /// Takes note of what the engine says.
    pub fn take(&mut self, deliver: Deliver) {
        self.0.take(deliver);
    }

    /// Sends all of it.
    pub fn flush(&mut self) {
        while self.0.flush(TURN) {}
    }
}
