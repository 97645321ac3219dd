//! WebSocket: carries the protocol between a socket and a session, by the server's own transport
//! (`direct`), or by a route in somebody's `App` (`portable`). Knows frames, pings and close codes;
//! knows neither what a command means nor where anything is stored.

mod admission;
mod chat;
mod direct;
pub(crate) mod frame;
mod handshake;
mod meters;
mod portable;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use chat_core::{Clock, Engine, Inboxes};

pub use admission::{Admission, ConnectionLimits};
#[doc(hidden)]
pub use direct::BareFanout;
pub use direct::{
    ChatLine, Conversation, Direct, Line, NoUpgrades, UpgradeService, Upgrades, not_upgraded,
};
pub use handshake::Origins;
pub use meters::Meters;
pub use portable::route;

use crate::auth::Admit;
use crate::protocol::JsonWire;

/// By how much a look at a silent peer comes too late to say anything: this thread has stood still,
/// and what came meanwhile may not have been read yet. It is looked at once more, as long after.
const LATE: Duration = Duration::from_millis(100);

/// What the sockets of [`route`] share: to be made once. Cheap to clone.
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
    /// Which pages may connect, besides the server's own.
    pub origins: Origins,
}

impl Sockets {
    /// Sockets of this engine, for those whom the gate admits, with the default limits.
    #[must_use]
    pub fn new(engine: &Engine, gate: Arc<dyn Admit>) -> Self {
        let (inboxes, clock) = (engine.inboxes(&JsonWire), engine.clock());
        let (limits, origins) = (SocketLimits::default(), Origins::own());
        Self { gate, inboxes, clock, limits, origins }
    }
}

/// Who is let in by the direct transport, and what is counted of them.
pub struct Door {
    /// How many.
    pub admission: Arc<Admission>,
    /// From which pages.
    pub origins: Arc<Origins>,
    /// What is counted.
    pub meters: Arc<Meters>,
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

/// What the kernel is to do for a connection.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// After how long it gives up a connection whose peer has acknowledged nothing, or has had no
    /// room for anything.
    pub user_timeout: Duration,
    /// How many bytes it keeps for a peer that does not read; `None` for as many as it sees fit,
    /// which may be some megabytes. It takes twice as much memory.
    pub send_buffer: Option<usize>,
}

impl Default for TcpOptions {
    /// 35 s, as long as the default limits take to notice silence, and 128 KiB.
    fn default() -> Self {
        Self { user_timeout: Duration::from_secs(35), send_buffer: Some(131_072) }
    }
}

/// For [`HttpServer::on_connect`](actix_web::HttpServer::on_connect): what the kernel is to do for
/// a connection. Needed wherever [`route`] is mounted.
///
/// When a peer of that route stops reading, the HTTP server asks its connection nothing any more,
/// so only the kernel can end it, by the time that is given here. And every frame is sent at once:
/// else it is kept back until the peer has acknowledged the one before it, which takes a peer that
/// has nothing to say 40 ms.
pub fn on_connect(
    options: TcpOptions,
) -> impl Fn(&dyn Any, &mut Extensions) + Send + Clone + 'static {
    move |connection, _| {
        let stream = connection.downcast_ref::<TcpStream>().or_else(|| {
            connection.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0)
        });
        if let Some(stream) = stream {
            tune(stream, options);
        }
    }
}

/// Sets a connection's options. One that can't be set has ended already.
fn tune(stream: &TcpStream, options: TcpOptions) {
    let socket = socket2::SockRef::from(stream);
    let TcpOptions { user_timeout, send_buffer } = options;
    let set = socket
        .set_tcp_user_timeout(Some(user_timeout))
        .and_then(|()| socket.set_tcp_nodelay(true))
        .and_then(|()| send_buffer.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes)));
    if let Err(error) = set {
        tracing::debug!(%error, "could not set the options of a connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_kernel_sends_at_once_and_gives_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let user_timeout = Duration::from_secs(35);
        let options = TcpOptions { user_timeout, send_buffer: Some(32_768) };
        on_connect(options)(&stream, &mut Extensions::new());
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(user_timeout));
        assert_eq!(socket.send_buffer_size().unwrap(), 65_536, "the kernel doubles it");
    }
}
