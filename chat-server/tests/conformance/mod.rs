//! The two WebSocket transports as chat-core's suite can look at: a server on a free port,
//! and clients that reach it over TCP.

#![allow(unreachable_pub, reason = "a part of a test")]

mod json;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use async_trait::async_trait;
use chat_core::testkit::{Heard, Peer, Transport};
use chat_core::{Command, Engine, Kind, Name, RoomCommand, User};
use chat_server::auth::{Admit, Identity, Proxies};
use chat_server::listen::{self, Certificate, Listening};
use chat_server::protocol::Problem;
use chat_server::socket::{
    self, Admission, ConnectionLimits, Direct, Door, Meters, Origins, SocketLimits, Sockets,
    TcpOptions, route,
};
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::tls::{Certified, Files, shake_hands};

/// What each socket is to hold of what is not read; the kernel takes twice as much.
const SOCKET_BYTES: u32 = 64 * 1_024;

/// A server on a free port.
pub struct SocketTransport {
    address: SocketAddr,
    /// What speaks TLS with it, if it does.
    tls: Option<TlsConnector>,
    handle: ServerHandle,
    /// Whether it can close a peer that does not read.
    closes_unread: bool,
}

fn tcp() -> TcpOptions {
    TcpOptions { user_timeout: Duration::from_secs(60), send_buffer: Some(SOCKET_BYTES as usize) }
}

/// Pings have tests of their own; here they would only take time to be answered.
fn limits() -> SocketLimits {
    SocketLimits { ping_every: Duration::from_secs(86_400), ..SocketLimits::default() }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

impl SocketTransport {
    /// The route that programs mount in their own `App`.
    pub fn portable(engine: &Engine) -> Self {
        let mut sockets = Sockets::new(engine, Arc::new(Gate));
        sockets.limits = limits();
        let (listener, address) = listener();
        let server = HttpServer::new(move || App::new().service(route("/ws", sockets.clone())))
            .on_connect(socket::on_connect(tcp()))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .expect("a server")
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, tls: None, handle, closes_unread: false }
    }

    /// The standalone server's own transport.
    pub fn direct(engine: &Engine, workers: usize) -> Self {
        let (address, handle) = start_direct(engine, workers, None);
        Self { address, tls: None, handle, closes_unread: true }
    }

    /// The same over TLS.
    pub fn direct_over_tls(engine: &Engine) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (certified, files) = (Certified::new(), Files::below(folder.path()));
        certified.write(&files);
        let certificate = Certificate::read(&files.certificate, &files.key).expect("good files");
        let (address, handle) = start_direct(engine, 1, Some(certificate));
        Self { address, tls: Some(certified.client()), handle, closes_unread: true }
    }
}

fn start_direct(
    engine: &Engine,
    workers: usize,
    certificate: Option<Certificate>,
) -> (SocketAddr, ServerHandle) {
    let meters = Arc::new(Meters::none());
    let (proxies, counted) = (Proxies::default(), Arc::clone(&meters));
    let admission = Admission::new(ConnectionLimits::default(), proxies, engine.clock(), counted);
    let door = Door { admission, origins: Arc::new(Origins::own()), meters };
    let direct = Direct::new(engine, limits(), door);
    let gate: Arc<dyn Admit> = Arc::new(Gate);
    let (listener, address) = listener();
    let listening = Listening {
        listener,
        workers,
        most_per_worker: 1_000,
        most_handshakes: 1_000,
        tcp: tcp(),
        shutdown: Duration::ZERO,
        certificate,
    };
    let upgrades = direct.chat("/ws", engine, &gate);
    let server = listen::start(listening, App::new, Some(upgrades)).expect("a server");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (address, handle)
}

impl Drop for SocketTransport {
    fn drop(&mut self) {
        // What it is told takes effect without being awaited.
        drop(self.handle.stop(false));
    }
}

#[async_trait]
impl Transport for SocketTransport {
    async fn connect(&self, user: &User) -> Box<dyn Peer> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SOCKET_BYTES).expect("a size");
        let stream = socket.connect(self.address).await.expect("a connection");
        let mut request =
            format!("ws://{}/ws", self.address).into_client_request().expect("a request");
        let bearer = format!("Bearer {}", token(user));
        let bearer = HeaderValue::from_str(&bearer).expect("a header");
        request.headers_mut().insert("authorization", bearer);
        let stream: Pin<Box<dyn Duplex>> = match &self.tls {
            Some(client) => Box::pin(shake_hands(client, stream).await.expect("one of TLS")),
            None => Box::pin(stream),
        };
        let (socket, _) = client_async(request, stream).await.expect("a handshake");
        let (mut sink, stream) = socket.split();
        let (frames, mut waiting) = mpsc::unbounded_channel::<Message>();
        let writing = tokio::spawn(async move {
            while let Some(frame) = waiting.recv().await {
                // Whoever reads learns that the connection has ended.
                if sink.send(frame).await.is_err() {
                    return;
                }
            }
        });
        Box::new(SocketPeer { stream, frames, writing, open: HashMap::new() })
    }

    fn carries(&self, command: &Command) -> bool {
        match command {
            Command::Open(room) => room.kind() != Kind::Direct,
            Command::Room(_, command) => !matches!(
                command,
                RoomCommand::View | RoomCommand::Invite(_) | RoomCommand::Resume { .. }
            ),
            Command::Resume(_) | Command::Presence(_) | Command::Ping => true,
        }
    }

    /// Both sockets' buffers, and those of the HTTP server.
    fn in_flight(&self) -> usize {
        512 * 1_024
    }

    /// With the portable route, the HTTP server does not run the actor of a peer that has stopped
    /// reading.
    fn closes_unread(&self) -> bool {
        self.closes_unread
    }
}

/// A stream to a server, whatever is spoken below.
trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A client's end of a WebSocket.
struct SocketPeer {
    stream: SplitStream<WebSocketStream<Pin<Box<dyn Duplex>>>>,
    /// To the task that writes, so that a client may send while nobody reads.
    frames: mpsc::UnboundedSender<Message>,
    writing: JoinHandle<()>,
    /// Commands without an answer, by which it is known what an answer is.
    open: HashMap<u64, Command>,
}

impl Drop for SocketPeer {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

#[async_trait]
impl Peer for SocketPeer {
    async fn submit(&mut self, tag: u64, command: Command) {
        let frame = json::encode(tag, &command);
        self.open.insert(tag, command);
        // An error means that the connection has ended.
        self.frames.send(Message::text(frame.to_string())).ok();
    }

    async fn hear(&mut self) -> Heard {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).expect("JSON");
                    if let Some(heard) = json::decode(&frame, &mut self.open) {
                        return heard;
                    }
                }
                Some(Ok(Message::Close(close))) => {
                    return Heard::Closed(close.and_then(|close| json::reason(close.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }
}

/// Takes everybody for whom they say they are.
struct Gate;

/// An id, and a name in hexadecimal digits.
fn token(user: &User) -> String {
    let name: String = user.name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{name}", user.id)
}

impl Admit for Gate {
    fn admit(&self, token: &str) -> Result<Identity, Problem> {
        let (id, digits) = token.split_once('.').expect("a token");
        let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
        let name = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"));
        let name = String::from_utf8(name.collect()).expect("UTF-8");
        let user = User::new(id.parse().expect("an id"), Name::new(name).expect("a name"));
        Ok(Identity { user, expires: None, login: None, guest: false })
    }
}
