//! WebSocket: carries the protocol between a socket and a session. Knows frames, pings and close
//! codes; knows neither what a command means nor where anything is stored.

// Nothing of it is used before the direct transport is there.
#[allow(dead_code, unused_imports)]
mod frame;
mod guard;
mod heartbeat;
mod portable;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use chat_core::{Clock, Engine, Inboxes};

pub use portable::route;

use crate::auth::Admit;
use crate::protocol::JsonWire;

/// What the sockets of a server share: to be made once. Cheap to clone.
#[derive(Clone)]
pub struct Sockets {
    /// Who may connect.
    gate: Arc<dyn Admit>,
    /// The engine's end.
    inboxes: Inboxes<JsonWire>,
    /// The engine's clock.
    clock: Arc<dyn Clock>,
    /// What a connection may do.
    pub limits: SocketLimits,
}

impl Sockets {
    /// Sockets of this engine, for those whom the gate admits, with the default limits.
    #[must_use]
    pub fn new(engine: &Engine, gate: Arc<dyn Admit>) -> Self {
        let (inboxes, clock) = (engine.inboxes(&JsonWire), engine.clock());
        Self { gate, inboxes, clock, limits: SocketLimits::default() }
    }
}

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub struct SocketLimits {
    /// The largest frame, and the largest message in fragments, in bytes. 64 KiB.
    pub frame: usize,
    /// How long a new connection may take to present its token. 10 s.
    pub auth: Duration,
    /// How often a ping is sent. 25 s.
    pub ping_every: Duration,
    /// How long after a ping something must have come. 10 s.
    pub ping_timeout: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            frame: 65_536,
            auth: Duration::from_secs(10),
            ping_every: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// For [`HttpServer::on_connect`](actix_web::HttpServer::on_connect): what the kernel is to do for
/// a connection. Needed wherever [`route`] is mounted.
///
/// It gives up a connection whose peer has acknowledged nothing, or has had no room for anything,
/// for this long: when a peer stops reading, the HTTP server asks its connection nothing any more,
/// so only the kernel can end it. And it sends every frame at once: else it keeps a frame back
/// until the peer has acknowledged the one before it, which takes a peer that has nothing to say 40
/// ms.
pub fn on_connect(
    timeout: Duration,
) -> impl Fn(&dyn Any, &mut Extensions) + Send + Clone + 'static {
    move |connection, _| {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
        let socket = socket2::SockRef::from(stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(timeout)) {
            tracing::warn!(%error, "could not set TCP_USER_TIMEOUT");
        }
        if let Err(error) = socket.set_tcp_nodelay(true) {
            tracing::warn!(%error, "could not set TCP_NODELAY");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_kernel_sends_at_once_and_gives_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        on_connect(Duration::from_secs(35))(&stream, &mut Extensions::new());
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(35)));
    }
}
