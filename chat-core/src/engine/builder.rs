//! How an engine is put together and started.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use thiserror::Error;

use crate::clock::{Clock, SystemClock};
use crate::directory::{Directory, NoDirectory};
use crate::engine::Engine;
use crate::engine::threads::Threads;
use crate::inbox::{InProcess, InboxFanout};
use crate::limits::{self, Limits};
use crate::policy::{AllowAll, Policy};
use crate::room::Rooms;
use crate::session::Sessions;
use crate::shared::Shared;
use crate::store::{MemoryStore, Store};

/// Puts an engine together. Every part has a default: [`MemoryStore`], [`AllowAll`],
/// [`NoDirectory`], [`SystemClock`], [`Limits::default`], one thread per core.
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    policy: Arc<dyn Policy>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    threads: usize,
}

/// The engine could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A thread could not be started.
    #[error("could not start the engine's threads: {0}")]
    Threads(#[from] io::Error),
    /// A limit makes no sense.
    #[error("{0}")]
    Limit(&'static str),
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            store: Arc::new(MemoryStore::default()),
            policy: Arc::new(AllowAll),
            directory: Arc::new(NoDirectory),
            clock: Arc::new(SystemClock::default()),
            limits: Limits::default(),
            threads: available_parallelism().map_or(1, usize::from),
        }
    }
}

impl EngineBuilder {
    /// Where rooms and messages are kept. Several engines may share a store, but each takes the
    /// ephemeral rooms that it finds at its start for those of a process that has died, and ends
    /// those into which nobody comes through it: let one engine alone have ephemeral rooms.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// As [`store`](Self::store), for a store that is shared or chosen at run time.
    #[must_use]
    pub fn shared_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// Who may do what.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Who users are: for invitations that name an id alone.
    #[must_use]
    pub fn directory(mut self, directory: Arc<dyn Directory>) -> Self {
        self.directory = directory;
        self
    }

    /// What time it is.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What the engine allows itself and its callers.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many threads rooms and sessions are spread over, 1 at least. Unless it is one, the
    /// journal has one more.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Starts the engine on threads of its own; call it from anywhere.
    ///
    /// # Errors
    /// If a limit makes no sense or the system gives no threads.
    pub fn start(self) -> Result<Engine, StartError> {
        if self.limits.kept_messages < limits::PAGE {
            return Err(StartError::Limit("a room must keep at least a page of messages"));
        }
        let Limits { session_commands, room_mailbox, fanout_in_flight, outbox_bytes, .. } =
            self.limits;
        let sessions = self.limits.user_sessions;
        if [session_commands, room_mailbox, fanout_in_flight, outbox_bytes, sessions].contains(&0) {
            return Err(StartError::Limit("the limits of queues must be greater than 0"));
        }
        if self.limits.batch == 0 || self.limits.room_writes == 0 || self.limits.queued_writes == 0
        {
            return Err(StartError::Limit("the limits of writes must be greater than 0"));
        }
        let journal = usize::from(self.threads > 1);
        let threads = Threads::start(self.threads.saturating_add(journal))?;
        let in_flight = self.limits.fanout_in_flight;
        let arbiters = threads.arbiters();
        let Self { store, policy, directory, clock, limits, .. } = self;
        let shared = Shared::new(store, policy, directory, clock, limits, arbiters);
        let clock = &shared.clock;
        let start = |arbiter| InboxFanout::start(arbiter, InProcess, Arc::clone(clock), in_flight);
        let inboxes = shared.threads().iter().map(start).collect();
        let rooms = Arc::new(Rooms::new(Arc::new(shared)));
        let sessions = Arc::new(Sessions::new(rooms));
        let engine = Engine::new(sessions, threads, inboxes);
        engine.sweep();
        Ok(engine)
    }
}
