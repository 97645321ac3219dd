//! The one place that wires: settings in, a running server out. Which store, which clock, which
//! transport is decided here and nowhere else.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use chat_core::{Clock, Engine, Limits, MemoryStore, StartError, Store, SystemClock};
use secrecy::{ExposeSecret, SecretSlice};
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::auth::{Admit, Gate, SecretError, Tokens, signing_key};
use crate::config::{Settings, StoreUrl};
use crate::http::{self, Api, Lists};
use crate::socket::{self, SocketLimits, Sockets};
use crate::store::{OpenError, SqliteStore};

/// Over how long the clients of a server that stops are told to come back.
const COME_BACK_WITHIN: Duration = Duration::from_secs(5);

/// A server that is listening.
pub struct Server {
    address: SocketAddr,
    engine: Engine,
    /// What is to be closed in the end, if it is this server's own.
    store: Option<Arc<SqliteStore>>,
    handle: ServerHandle,
    ended: JoinHandle<io::Result<()>>,
}

/// Parts that replace what the settings would choose.
#[derive(Default)]
pub struct Parts {
    /// Where rooms and messages are kept.
    pub store: Option<Arc<dyn Store>>,
    /// What time it is.
    pub clock: Option<Arc<dyn Clock>>,
}

/// Why a server could not be started.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The signing key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// The address.
    #[error("could not listen on {address}: {cause}; choose another with --listen")]
    Listen {
        /// What was to be listened on.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The HTTP server.
    #[error("could not start the HTTP server: {0}")]
    Http(io::Error),
}

/// Builds and starts a server. Call it within an actix or tokio runtime; port 0 takes a free one.
///
/// # Errors
/// Whatever keeps it from serving; nothing is left running then.
pub async fn build(settings: &Settings, parts: Parts) -> Result<Server, BuildError> {
    // First of all, because it makes the data folder, for its owner's eyes only.
    let key = signing_key(settings)?;
    let address = settings.server.listen;
    let listen = |cause| BuildError::Listen { address, cause };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let mut own_store = None;
    let store: Arc<dyn Store> = match (parts.store, &settings.store.url) {
        (Some(store), _) => store,
        (None, StoreUrl::Memory) => Arc::new(MemoryStore::default()),
        (None, StoreUrl::Sqlite(path)) => {
            Arc::clone(own_store.insert(Arc::new(SqliteStore::open(path).await?))) as _
        }
    };
    let clock = parts.clock.unwrap_or_else(|| Arc::new(SystemClock::default()));
    let engine = Engine::builder()
        .shared_store(store)
        .clock(Arc::clone(&clock))
        .limits(engine_limits(settings))
        .start()?;

    let gate: Arc<dyn Admit> = Arc::new(Gate::new(tokens(&key, settings), Arc::clone(&clock)));
    let mut sockets = Sockets::new(&engine, Arc::clone(&gate));
    sockets.limits = socket_limits(settings);
    let api = Arc::new(Api {
        engine: engine.clone(),
        tokens: tokens(&key, settings),
        gate,
        clock,
        guests: settings.auth.guests,
        guest_ttl: settings.auth.guest_ttl,
    });
    let lists = Lists::default();
    let app = move || {
        App::new()
            .service(socket::route("/ws", sockets.clone()))
            .configure(http::configure(&api, &lists))
    };
    let silence = settings.socket.ping_interval + settings.socket.ping_timeout;
    let mut server = HttpServer::new(app)
        .on_connect(socket::on_connect(silence))
        .shutdown_timeout(settings.server.shutdown_timeout.as_secs())
        .disable_signals();
    if settings.server.workers > 0 {
        server = server.workers(settings.server.workers);
    }
    let server = server.listen(listener).map_err(BuildError::Http)?.run();
    let handle = server.handle();
    let ended = actix_web::rt::spawn(server);
    Ok(Server { address, engine, store: own_store, handle, ended })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Stops: takes nothing new, tells every client when to come back, waits until connections have
    /// ended and every write that was taken has been answered.
    ///
    /// # Errors
    /// If the HTTP server failed.
    pub async fn stop(self) -> io::Result<()> {
        self.engine.drain(COME_BACK_WITHIN);
        self.handle.stop(true).await;
        self.engine.stop().await;
        if let Some(store) = &self.store {
            store.close().await;
        }
        self.ended.await.map_err(io::Error::other)?
    }
}

fn tokens(key: &SecretSlice<u8>, settings: &Settings) -> Tokens {
    Tokens::new(key.expose_secret(), &settings.auth.issuer, &settings.auth.audience)
}

fn engine_limits(settings: &Settings) -> Limits {
    let (rooms, socket) = (&settings.rooms, &settings.socket);
    Limits {
        grace: rooms.grace,
        idle: rooms.idle_stop,
        typing: rooms.typing,
        big_room: rooms.big,
        kept_messages: rooms.kept_messages,
        outbox_bytes: socket.outbox_bytes,
        slow_close: socket.slow_close,
        ..Limits::default()
    }
}

fn socket_limits(settings: &Settings) -> SocketLimits {
    let socket = &settings.socket;
    SocketLimits {
        frame: socket.max_frame_bytes,
        auth: socket.auth_timeout,
        ping_every: socket.ping_interval,
        ping_timeout: socket.ping_timeout,
    }
}
