//! A clock that stands still until it is told to move.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock, Timestamp, to_millis};

/// A [`Clock`] moved by hand. Clones show the same time. It starts at the machine's time of its
/// making.
#[derive(Clone)]
pub struct FakeClock {
    start: Timestamp,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    elapsed: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self { start: SystemClock::default().now(), state: Arc::default() }
    }
}

impl FakeClock {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time on, and wakes everyone who has slept long enough.
    pub fn advance(&self, time: Duration) {
        let mut state = self.state();
        state.elapsed += time;
        let now = state.elapsed;
        let (due, later) =
            std::mem::take(&mut state.sleepers).into_iter().partition(|(until, _)| *until <= now);
        state.sleepers = later;
        drop(state);
        for (_, sleeper) in due {
            // Whoever stopped waiting has dropped its end.
            sleeper.send(()).ok();
        }
    }

    /// How many wait for exactly this much more time; to know that what is to be tested has begun
    /// to wait.
    #[must_use]
    pub fn sleepers(&self, left: Duration) -> usize {
        let state = self.state();
        let due = state.elapsed + left;
        let waiting = state.sleepers.iter().filter(|(_, sleeper)| !sleeper.is_closed());
        waiting.filter(|(until, _)| *until == due).count()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let elapsed = TimeDelta::from_std(self.state().elapsed).unwrap_or(TimeDelta::MAX);
        to_millis(self.start + elapsed)
    }

    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn sleep_until(&self, until: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        if until <= state.elapsed {
            return futures_util::future::ready(()).boxed();
        }
        let (sleeper, woken) = oneshot::channel();
        if state.sleepers.len() == state.sleepers.capacity() {
            // Whoever waits no longer is dropped now and then, so that many may wait.
            state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
            let waiting = state.sleepers.len();
            state.sleepers.reserve(waiting.max(16));
        }
        state.sleepers.push((until, sleeper));
        woken.map(|_| ()).boxed()
    }
}
