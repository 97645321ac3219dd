//! The standalone server's own transport. A WebSocket handshake takes its stream away from the HTTP
//! server to one of the engine's threads; there a small task reads it, and the thread's fan-out
//! writes to it, with one system call for each socket and whatever its room has to say.

mod backlog;
mod bare;
mod chat;
mod connection;
mod conversation;
mod fanout;
mod lanes;
mod pending;
mod round;
mod send;
mod slab;
mod threads;
mod timers;
mod upgrade;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use chat_core::{Budget, Clock, Engine, Patience, SystemClock};
use tokio::sync::watch;

#[doc(hidden)]
pub use bare::BareFanout;
pub use chat::ChatLine;
pub use conversation::{Conversation, Line};
pub use upgrade::{NoUpgrades, UpgradeService, Upgrades, not_upgraded};

use crate::auth::Admit;
use crate::protocol::Problem;
use crate::socket::admission::Admission;
use crate::socket::direct::threads::Threads;
use crate::socket::handshake::Origins;
use crate::socket::meters::Meters;
use crate::socket::{Door, SocketLimits};

/// What the workers of a server share.
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    patience: Patience,
    limits: SocketLimits,
    /// How many deliveries may be under way to one worker.
    in_flight: usize,
    admission: Arc<Admission>,
    origins: Arc<Origins>,
    meters: Arc<Meters>,
    /// Whether connections have sessions, which end them when the engine stops.
    sessions: bool,
    draining: watch::Sender<bool>,
}

/// The direct transport. Cheap to clone.
#[derive(Clone)]
pub struct Direct {
    shared: Arc<Shared>,
    /// Where plain sockets are; those without an engine stay where they were accepted.
    threads: Option<Arc<Threads>>,
}

impl Direct {
    /// A transport for the sessions of an engine.
    #[must_use]
    pub fn new(engine: &Engine, limits: SocketLimits, door: Door) -> Self {
        let Door { admission, origins, meters } = door;
        let engine_limits = engine.limits();
        let patience = Patience {
            bytes: engine_limits.outbox_bytes,
            close_after: Some(engine_limits.slow_close),
        };
        let shared = Arc::new(Shared {
            clock: engine.clock(),
            budget: Arc::clone(engine.budget()),
            patience,
            limits,
            in_flight: engine_limits.fanout_in_flight,
            admission,
            origins,
            meters,
            sessions: true,
            draining: watch::channel(false).0,
        });
        let threads = Some(Arc::new(Threads::start(engine, &shared)));
        Self { shared, threads }
    }

    /// A transport for conversations that need no engine. At most `waiting` bytes wait for a peer
    /// that does not read, and as many for all together as the machine has memory.
    #[must_use]
    pub fn without_engine(limits: SocketLimits, door: Door, waiting: usize) -> Self {
        let Door { admission, origins, meters } = door;
        Self {
            shared: Arc::new(Shared {
                clock: Arc::<SystemClock>::default(),
                budget: Arc::new(Budget::new(usize::MAX)),
                patience: Patience { bytes: waiting, close_after: Some(Duration::from_secs(30)) },
                limits,
                in_flight: 1,
                admission,
                origins,
                meters,
                sessions: false,
                draining: watch::channel(false).0,
            }),
            threads: None,
        }
    }

    /// Takes handshakes at this path, and holds with each client the conversation that `converse`
    /// makes, which is given the token that the client has shown, if any. For
    /// [`HttpServiceBuilder::upgrade`](actix_http::HttpServiceBuilder::upgrade).
    pub fn upgrades<F>(&self, path: &'static str, converse: F) -> Upgrades<F> {
        Upgrades::new(self.clone(), path, converse)
    }

    /// Takes handshakes at this path, for chatting through this engine, of those whom the gate
    /// admits.
    #[must_use]
    pub fn chat(
        &self,
        path: &'static str,
        engine: &Engine,
        gate: &Arc<dyn Admit>,
    ) -> Upgrades<impl Fn(Option<&str>) -> Result<ChatLine, Problem> + Clone + use<>> {
        let (engine, gate) = (engine.clone(), Arc::clone(gate));
        self.upgrades(path, move |token: Option<&str>| ChatLine::new(&engine, &gate, token))
    }

    /// Takes no more connections, and ends those that have no session to end them.
    pub fn drain(&self) {
        self.shared.admission.close();
        self.shared.draining.send_replace(true);
    }

    /// Returns once every connection has ended.
    pub async fn ended(&self) {
        self.shared.admission.empty().await;
    }
}
