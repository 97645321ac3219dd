//! Whether a peer is still there: it is pinged, and must then be heard of. Runs beside the
//! connection's actor, because an HTTP server whose peer has stopped reading does not run the actor
//! any more.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat_core::Clock;

use crate::socket::LATE;

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
    /// at the latest `every` and `timeout` after the peer has fallen silent, and once more `timeout` if this was
    /// [late](LATE) to look.
    pub(super) async fn silence(&self, every: Duration, timeout: Duration, ping: impl Fn()) {
        let mut next = self.began + every;
        loop {
            self.clock.sleep_until(next).await;
            let pinged = self.clock.elapsed();
            next = pinged + every;
            ping();
            let due = pinged + timeout;
            self.clock.sleep_until(due).await;
            let now = self.clock.elapsed();
            if self.at.get() < pinged && now >= due + LATE {
                self.clock.sleep_until(now + timeout).await;
            }
            // What came in the very moment of the ping counts.
            if self.at.get() < pinged {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use chat_core::testkit::FakeClock;
    use futures_util::FutureExt;

    use super::*;

    const EVERY: Duration = Duration::from_secs(25);
    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn who_says_nothing_is_silent_and_who_could_not_be_heard_is_waited_for() {
        for (late, answers) in [(false, false), (true, false), (true, true)] {
            let clock = FakeClock::default();
            let heard = Heard::new(Arc::new(clock.clone()));
            let mut silence = pin!(heard.silence(EVERY, TIMEOUT, || {}));
            assert!(silence.as_mut().now_or_never().is_none());
            clock.advance(EVERY);
            assert!(silence.as_mut().now_or_never().is_none(), "it is pinged");
            clock.advance(TIMEOUT + if late { LATE } else { Duration::ZERO });
            assert_eq!(silence.as_mut().now_or_never().is_some(), !late);
            if late {
                if answers {
                    heard.note();
                }
                clock.advance(TIMEOUT + LATE);
                assert_eq!(silence.as_mut().now_or_never().is_some(), !answers);
            }
        }
    }
}
