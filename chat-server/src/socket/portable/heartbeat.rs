//! Whether a peer is still there: it is pinged, and must then be heard of. Runs beside the
//! connection's actor, because an HTTP server whose peer has stopped reading does not run the actor
//! any more.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat_core::Clock;

/// When something last came from the peer. Clones note the same.
#[derive(Clone)]
pub(super) struct Heard {
    at: Rc<Cell<Duration>>,
    began: Duration,
    clock: Arc<dyn Clock>,
}

impl Heard {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let began = clock.elapsed();
        Self { at: Rc::new(Cell::new(began)), began, clock }
    }

    /// Something came.
    pub(super) fn note(&self) {
        self.at.set(self.clock.elapsed());
    }

    /// Calls `ping` every so often, and returns when nothing has come for `timeout` after a ping:
    /// at the latest `every` and `timeout` after the peer has fallen silent.
    pub(super) async fn silence(&self, every: Duration, timeout: Duration, ping: impl Fn()) {
        let mut next = self.began + every;
        loop {
            self.clock.sleep_until(next).await;
            let pinged = self.clock.elapsed();
            next = pinged + every;
            ping();
            self.clock.sleep_until(pinged + timeout).await;
            // What came in the very moment of the ping counts.
            if self.at.get() < pinged {
                return;
            }
        }
    }
}
