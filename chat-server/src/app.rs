//! The one place that wires: settings in, a running server out. Which store, which clock, which
//! transport is decided here and nowhere else.

mod background;
mod everywhere;
mod limits;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_server::ServerHandle;
use actix_web::App;
use chat_core::{Clock, Engine, MemoryStore, StartError, Store, StoreError, SystemClock};
use tempfile::TempDir;
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::app::background::{forget, keep_search_up, retain, tidy};
use crate::app::everywhere::Everywhere;
use crate::app::limits::{connection_limits, engine_limits, socket_limits};
use crate::auth::{
    Admit, BadKey, Gate, Issuer, IssuerError, Proxies, SecretError, Tokens, Withdrawn, signing_keys,
};
use crate::config::{self, Auth, ConfigError, Settings, StoreUrl, Transport};
use crate::http::{self, Api, Lists};
use crate::listen::{self, Certificate, Descriptors, Listening, TlsError};
use crate::ops::Metrics;
use crate::people::{Friends, FriendsPresence, Passwords, People, Rules};
use crate::search::{Plain, Search, SearchIndex};
use crate::socket::{self, Admission, Direct, Door, NoUpgrades, Origins, Sockets, TcpOptions};
use crate::store::{
    MySqlOpenError, MySqlOptions, MySqlStore, Rebuilt, SqlStore, SqliteOpenError, SqliteStore,
};

/// Where WebSocket is spoken.
const SOCKETS: &str = "/ws";

/// Over how long the clients of a server that stops are told to come back.
const COME_BACK_WITHIN: Duration = Duration::from_secs(5);

/// A server that is listening.
pub struct Server {
    address: SocketAddr,
    engine: Engine,
    /// What is to be closed in the end, if it is this server's own.
    store: Option<Arc<dyn SqlStore>>,
    scratch: Option<Scratch>,
    background: Vec<JoinHandle<()>>,
    direct: Option<Direct>,
    certificate: Option<Certificate>,
    handle: ServerHandle,
    ended: JoinHandle<io::Result<()>>,
    shutdown: Duration,
}

/// Parts that replace what the settings would choose.
#[derive(Default)]
pub struct Parts {
    /// Where rooms and messages are kept. Accounts are not kept then: they are gone when the server stops.
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
    /// What tokens are to be signed with.
    #[error("auth.signing_key or auth.earlier_signing_key: {0}")]
    Key(#[from] BadKey),
    /// The keys of another issuer.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The accounts.
    #[error("could not read the accounts: {0}")]
    People(#[from] StoreError),
    /// The index of messages.
    #[error("could not make the index of messages anew: {0}; the next time goes on")]
    Search(#[source] StoreError),
    /// The cursors.
    #[error("could not do it for every room: {0}; do it again")]
    Cursors(#[source] StoreError),
    /// The folder for accounts that are not kept.
    #[error("could not make a temporary folder for accounts: {0}; set TMPDIR to where one may be")]
    Scratch(io::Error),
    /// The store in SQLite.
    #[error(transparent)]
    Sqlite(#[from] SqliteOpenError),
    /// The store in MySQL.
    #[error(transparent)]
    MySql(#[from] MySqlOpenError),
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
    /// The settings.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    let tokens = Arc::new(tokens(settings)?);
    let address = settings.server.listen;
    let refused = |cause| BuildError::Listen { address, cause };
    let listener = listen::bind(address).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    // Before anything is started that would have to be stopped.
    let descriptors = Descriptors::take();
    let listening = listening(settings, listener, descriptors)?;
    let certificate = listening.certificate.clone();
    let own_store = match parts.store {
        Some(_) => None,
        None => own_store(&settings.store).await?,
    };
    let (accounts, scratch) = match &own_store {
        Some(own) => (Arc::clone(own), None),
        None => {
            let scratch = Scratch::open().await?;
            (Arc::new(scratch.store.clone()) as Arc<dyn SqlStore>, Some(scratch))
        }
    };
    let store = parts.store.or_else(|| own_store.clone().map(|store| store as _));
    let store = store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
    let clock = parts.clock.unwrap_or_else(|| Arc::new(SystemClock::default()));
    let withdrawn = withdrawn(settings, &*accounts, &*clock).await?;
    let gate: Arc<dyn Admit> =
        Arc::new(gate(settings, Arc::clone(&tokens), Arc::clone(&withdrawn), Arc::clone(&clock))?);
    let friends = Arc::new(Friends::new(Arc::clone(&accounts) as _, Arc::clone(&clock)));
    let rules = Rules::new(Arc::clone(&accounts) as _, Arc::clone(&friends));
    let engine = Engine::builder()
        .shared_store(Arc::clone(&store))
        .clock(Arc::clone(&clock))
        .policy(rules.clone())
        .directory(Arc::new(rules))
        .limits(engine_limits(settings))
        .start()?;

    let presence = FriendsPresence::new(engine.clone(), Arc::clone(&friends));
    let people = Arc::new(People::new(
        accounts as _,
        Passwords::start(available_parallelism().map_or(1, usize::from) / 2),
        Arc::clone(&clock),
        Arc::clone(&friends),
        Arc::new(Everywhere { engine: engine.clone(), withdrawn, presence: presence.clone() }),
        settings.auth.refresh_ttl,
    ));
    let found_in: Arc<dyn SearchIndex> = match &own_store {
        Some(own) => Arc::clone(own) as _,
        None => Arc::new(Plain(Arc::clone(&store))),
    };
    let indexing =
        own_store.clone().and_then(|store| keep_search_up(settings, store, Arc::clone(&clock)));
    let retention = own_store.clone().and_then(|store| retain(settings, store, Arc::clone(&clock)));
    let keeping = scratch.iter().map(|scratch| Arc::new(scratch.store.clone()) as Arc<dyn Store>);
    let keeping = keeping.chain([store]).collect();
    let tidying = tidy(Arc::clone(&people), keeping, Arc::clone(&clock));
    let forgetting = forget(Arc::clone(&people), Arc::clone(&clock));
    let watching = actix_web::rt::spawn(presence.clone().run());
    let optional = retention.into_iter().chain(indexing);
    let background = optional.chain([tidying, forgetting, watching]).collect();
    let metrics = Arc::new(Metrics::new(own_store.clone()));
    let proxies = Proxies::new(settings.server.trusted_proxies.0.clone());
    let api = Arc::new(Api {
        engine: engine.clone(),
        people,
        friends,
        search: Search::new(engine.clone(), found_in),
        presence,
        proxies: proxies.clone(),
        tokens,
        gate: Arc::clone(&gate),
        clock: Arc::clone(&clock),
        guests: settings.auth.guests,
        access_ttl: settings.auth.access_ttl,
        guest_ttl: settings.auth.guest_ttl,
        metrics: settings.server.metrics.then(|| Arc::clone(&metrics)),
    });
    let lists = Lists::default();
    let api = http::configure(&api, &lists);
    let limits = socket_limits(settings);
    let (direct, server) = match settings.socket.transport {
        Transport::Direct => {
            let meters = Arc::new(metrics.meters());
            let admission = Admission::new(
                connection_limits(settings, descriptors),
                proxies,
                clock,
                Arc::clone(&meters),
            );
            let door = Door { admission, origins: Arc::new(origins(settings)), meters };
            let direct = Direct::new(&engine, limits, door);
            let upgrades = direct.chat(SOCKETS, &engine, &gate);
            let app =
                move || App::new().service(socket::not_upgraded(SOCKETS)).configure(api.clone());
            (Some(direct), listen::start(listening, app, Some(upgrades)))
        }
        Transport::Portable => {
            let mut sockets = Sockets::new(&engine, gate);
            (sockets.limits, sockets.origins) = (limits, origins(settings));
            let app = move || {
                App::new().service(socket::route(SOCKETS, sockets.clone())).configure(api.clone())
            };
            (None, listen::start(listening, app, None::<NoUpgrades>))
        }
    };
    let server = match server {
        Ok(server) => server,
        Err(cause) => {
            engine.stop().await;
            close(background, own_store, scratch).await;
            return Err(BuildError::Http(cause));
        }
    };
    let handle = server.handle();
    let ended = actix_web::rt::spawn(server);
    let shutdown = settings.server.shutdown_timeout;
    Ok(Server {
        address,
        engine,
        store: own_store,
        scratch,
        background,
        direct,
        certificate,
        handle,
        ended,
        shutdown,
    })
}

/// Makes the index anew by which messages are found in the database of these settings, or goes on with that. Servers may
/// go on meanwhile. Tells how far it has come. A store in memory has no index.
///
/// # Errors
/// If the database cannot be opened, or fails.
pub async fn rebuild_search(
    settings: &Settings,
    tell: &(dyn Fn(Rebuilt) + Send + Sync),
) -> Result<Rebuilt, BuildError> {
    let rebuild = async |store: &dyn SqlStore| store.rebuild_search(tell).await;
    upon_own_store(settings, rebuild, BuildError::Search).await
}

/// Lets whoever comes back to a room begin anew, in the database of these settings, into which a backup was put back.
/// No server may be running. Tells how many rooms are done, and answers how many there are: none of a store in memory.
///
/// # Errors
/// If the database cannot be opened, or fails.
pub async fn reset_cursors(
    settings: &Settings,
    tell: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64, BuildError> {
    let now = SystemClock::default().now();
    let reset = async |store: &dyn SqlStore| store.reset_cursors(now, tell).await;
    upon_own_store(settings, reset, BuildError::Cursors).await
}

/// Does something in the database of these settings, and closes it. Nothing, if the store is one in memory.
async fn upon_own_store<T: Default>(
    settings: &Settings,
    act: impl AsyncFnOnce(&dyn SqlStore) -> Result<T, StoreError>,
    failed: fn(StoreError) -> BuildError,
) -> Result<T, BuildError> {
    let Some(store) = own_store(&settings.store).await? else { return Ok(T::default()) };
    let done = act(&*store).await.map_err(failed);
    store.close().await;
    done
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

    /// Reads the certificate and its key again. Whoever connects from here on is shown the new one.
    /// Answers whether there is one.
    ///
    /// # Errors
    /// What is wrong with the files; the old ones stay in use.
    pub fn reload_certificate(&self) -> Result<bool, TlsError> {
        self.certificate
            .as_ref()
            .map_or(Ok(false), |certificate| certificate.reload().map(|()| true))
    }

    /// Stops: takes nothing new, tells every client when to come back, waits until connections have
    /// ended and every write that was taken has been answered.
    ///
    /// # Errors
    /// If the HTTP server failed.
    pub async fn stop(self) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            direct.drain();
        }
        self.engine.drain(COME_BACK_WITHIN);
        if let Some(direct) = &self.direct {
            // These are no connections of the HTTP server any more, so it does not wait for them.
            self.handle.pause().await;
            if tokio::time::timeout(self.shutdown, direct.ended()).await.is_err() {
                tracing::warn!("some connections have not ended in time; cutting them");
            }
        }
        self.handle.stop(true).await;
        self.engine.stop().await;
        close(self.background, self.store, self.scratch).await;
        self.ended.await.map_err(io::Error::other)?
    }
}

/// The store that the settings choose; none for the one in memory.
async fn own_store(settings: &config::Store) -> Result<Option<Arc<dyn SqlStore>>, BuildError> {
    Ok(match &settings.url {
        StoreUrl::Memory => None,
        StoreUrl::Sqlite(path) => Some(Arc::new(SqliteStore::open(path).await?)),
        StoreUrl::MySql(url) => {
            let mut options = MySqlOptions::new(url.secret().clone());
            options.replicas = settings.replicas.0.iter().map(|url| url.secret().clone()).collect();
            options.connections = settings.connections;
            options.deadline = settings.timeout;
            Some(Arc::new(MySqlStore::open(&options).await?))
        }
    })
}

async fn close(
    background: Vec<JoinHandle<()>>,
    store: Option<Arc<dyn SqlStore>>,
    scratch: Option<Scratch>,
) {
    for task in background {
        task.abort();
    }
    if let Some(store) = store {
        store.close().await;
    }
    if let Some(Scratch { store, folder }) = scratch {
        store.close().await;
        drop(folder);
    }
}

/// Accounts of a server whose rooms are kept elsewhere, or nowhere: gone when it stops.
struct Scratch {
    store: SqliteStore,
    folder: TempDir,
}

impl Scratch {
    async fn open() -> Result<Self, BuildError> {
        let folder = TempDir::with_prefix("chat-server-").map_err(BuildError::Scratch)?;
        let store = SqliteStore::open(&folder.path().join("people.db")).await?;
        Ok(Self { store, folder })
    }
}

fn tokens(settings: &Settings) -> Result<Tokens, BuildError> {
    let (key, earlier) = signing_keys(settings)?;
    let tokens = Tokens::new(&key, &settings.auth.issuer, &settings.auth.audience)?;
    Ok(earlier.iter().try_fold(tokens, Tokens::and_earlier)?)
}

fn gate(
    settings: &Settings,
    tokens: Arc<Tokens>,
    withdrawn: Arc<Withdrawn>,
    clock: Arc<dyn Clock>,
) -> Result<Gate, BuildError> {
    let Auth { jwks, jwks_issuer, jwks_audience, .. } = &settings.auth;
    let issuer = (!jwks.as_os_str().is_empty())
        .then(|| Issuer::read(jwks, jwks_issuer, jwks_audience))
        .transpose()?;
    Ok(Gate::new(tokens, withdrawn, clock).and_issuer(issuer))
}

/// What has been withdrawn before this server started.
async fn withdrawn(
    settings: &Settings,
    accounts: &dyn SqlStore,
    clock: &dyn Clock,
) -> Result<Arc<Withdrawn>, BuildError> {
    let (access_ttl, guest_ttl) = (settings.auth.access_ttl, settings.auth.guest_ttl);
    let withdrawn = Withdrawn::new(access_ttl, guest_ttl);
    let ended = accounts.ended_since(clock.now() - access_ttl.max(guest_ttl)).await?;
    for (login, at) in ended.logins {
        withdrawn.end_login(login, at);
    }
    for (guest, at) in ended.guests {
        withdrawn.end_guest(guest, at);
    }
    for (user, at) in ended.renamed {
        withdrawn.rename(&user, at);
    }
    Ok(Arc::new(withdrawn))
}

fn origins(settings: &Settings) -> Origins {
    match settings.socket.origins.listed() {
        Some(listed) => Origins::these(listed.iter().cloned()),
        None => Origins::all(),
    }
}

fn listening(
    settings: &Settings,
    listener: TcpListener,
    descriptors: Descriptors,
) -> Result<Listening, BuildError> {
    let (server, socket) = (&settings.server, &settings.socket);
    let workers = match server.workers {
        0 => available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let certificate = match settings.certificate()? {
        Some((certificate, key)) => Some(Certificate::read(certificate, key)?),
        None => None,
    };
    let tcp = TcpOptions {
        user_timeout: socket.ping_interval + socket.ping_timeout,
        send_buffer: Some(socket.send_buffer_bytes),
    };
    Ok(Listening {
        listener,
        workers,
        most_per_worker: (descriptors.http / workers).max(1),
        most_handshakes: socket.max_handshakes,
        tcp,
        shutdown: server.shutdown_timeout,
        certificate,
    })
}
