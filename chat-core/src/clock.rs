//! Time, as a part that can be replaced. Everything in the engine that waits or stamps asks a
//! [`Clock`], so that tests move time by hand and never wait for it.

use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::future::BoxFuture;

/// A moment on the calendar, in UTC; the engine keeps milliseconds.
pub type Timestamp = DateTime<Utc>;

/// Says what time it is, and wakes whoever waits.
pub trait Clock: Send + Sync + 'static {
    /// The calendar's time, cut to milliseconds. May jump when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Time since the clock was made; never goes back.
    fn elapsed(&self) -> Duration;

    /// Is ready once [`elapsed`](Self::elapsed) has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()>;

    /// Is ready once [`elapsed`](Self::elapsed) has grown by `time`.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.elapsed().saturating_add(time))
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_millis(Utc::now())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(deadline.saturating_sub(self.elapsed())))
    }
}

/// Cuts a time to what the store and the wire carry.
pub(crate) fn to_millis(time: Timestamp) -> Timestamp {
    time.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(time)
}
