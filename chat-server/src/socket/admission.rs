//! How many connections there may be: in all, from one address, and of people who have not shown a
//! token yet. Whoever is refused is told at once, and those who are in notice nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_http::RequestHead;
use chat_core::Clock;
use tokio::sync::Notify;

use crate::auth::Proxies;
use crate::protocol::Problem;
use crate::socket::meters::{Meters, Refused};

/// How often a line about refusals is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How many connections there may be at a time.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub connections: usize,
    /// From one address; `usize::MAX` for as many as it likes. This machine's own addresses are not
    /// counted: what comes from there comes through a proxy that has not been named.
    pub per_address: usize,
    /// Without a token.
    pub strangers: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections: usize::MAX, per_address: 1_000, strangers: 1_000 }
    }
}

/// Counts connections. One for all workers of a server.
pub struct Admission {
    limits: ConnectionLimits,
    proxies: Proxies,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    counts: Mutex<Counts>,
    none_left: Notify,
}

#[derive(Default)]
struct Counts {
    open: usize,
    strangers: usize,
    addresses: HashMap<IpAddr, usize>,
    closed: bool,
    /// When a line was last logged, and how many have been refused since.
    logged: Option<Duration>,
    unlogged: usize,
}

/// One who has been let in, until this is dropped.
pub(super) struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// Nobody is in yet.
    #[must_use]
    pub fn new(
        limits: ConnectionLimits,
        proxies: Proxies,
        clock: Arc<dyn Clock>,
        meters: Arc<Meters>,
    ) -> Arc<Self> {
        let (counts, none_left) = (Mutex::default(), Notify::new());
        Arc::new(Self { limits, proxies, clock, meters, counts, none_left })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing that runs under the lock leaves the counts half-changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address that a request counts for, if it does.
    pub(super) fn address(&self, peer: Option<IpAddr>, head: &RequestHead) -> Option<IpAddr> {
        self.proxies.client(peer?, &head.headers).filter(|address| !address.is_loopback())
    }

    /// Lets somebody in who has shown a token, if it is `known`.
    ///
    /// # Errors
    /// `too_many_connections`, `stopping`.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        known: bool,
    ) -> Result<Admitted, Problem> {
        let mut counts = self.counts();
        let from_there =
            address.map_or(0, |address| counts.addresses.get(&address).copied().unwrap_or(0));
        let refused = if counts.closed {
            Some(Refused::Draining)
        } else if counts.open >= self.limits.connections {
            Some(Refused::Connections)
        } else if from_there >= self.limits.per_address {
            Some(Refused::Address)
        } else if !known && counts.strangers >= self.limits.strangers {
            Some(Refused::Strangers)
        } else {
            None
        };
        if let Some(refused) = refused {
            self.meters.refused(refused);
            let log = counts.refused(self.clock.elapsed());
            drop(counts);
            if let Some(count) = log {
                tracing::warn!(limit = ?refused, count, "refused connections; the limit is reached");
            }
            return Err(match refused {
                Refused::Draining => Problem::stopping(),
                _ => Problem::too_many_connections(),
            });
        }
        counts.open += 1;
        counts.strangers += usize::from(!known);
        if let Some(address) = address {
            *counts.addresses.entry(address).or_default() += 1;
        }
        drop(counts);
        self.meters.opened();
        Ok(Admitted { admission: Arc::clone(self), address })
    }

    /// Somebody who was let in without a token has shown one, or has gone without.
    pub(super) fn known(&self) {
        self.counts().strangers -= 1;
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.counts().closed = true;
    }

    /// Returns once nobody is in.
    pub(super) async fn empty(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.counts().open == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Counts {
    /// One more has been refused: how many, if it is time to log it.
    fn refused(&mut self, now: Duration) -> Option<usize> {
        self.unlogged += 1;
        let due = self.logged.is_none_or(|last| now >= last + LOG_EVERY);
        due.then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.unlogged)
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.admission;
        let mut counts = admission.counts();
        counts.open -= 1;
        if let Some(address) = self.address
            && let Some(count) = counts.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.addresses.remove(&address);
            }
        }
        if counts.open == 0 {
            counts.addresses = HashMap::new();
            admission.none_left.notify_waiters();
        }
        drop(counts);
        admission.meters.ended();
    }
}

#[cfg(test)]
mod tests {
    use chat_core::testkit::FakeClock;

    use super::*;

    fn admission(limits: ConnectionLimits) -> (Arc<Admission>, FakeClock) {
        let (clock, meters) = (FakeClock::default(), Arc::new(Meters::none()));
        let shared = Arc::new(clock.clone());
        (Admission::new(limits, Proxies::default(), shared, meters), clock)
    }

    #[test]
    fn each_limit_holds_and_who_leaves_makes_room() {
        let limits = ConnectionLimits { connections: 4, per_address: 2, strangers: 1 };
        let (admission, _) = admission(limits);
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let refused = |address, known| {
            admission.admit(address, known).err().map(|problem| (problem.code, problem.retry))
        };
        let too_many = Some(("too_many_connections", true));
        let first = admission.admit(Some(here), true).unwrap();
        let second = admission.admit(Some(here), false).unwrap();
        assert_eq!(refused(Some(here), true), too_many, "two from there");
        assert_eq!(refused(Some(there), false), too_many, "one without a token");
        admission.known();
        let third = admission.admit(Some(there), false).unwrap();
        let fourth = admission.admit(None, true).unwrap();
        assert_eq!(refused(None, true), too_many, "four in all");
        drop(first);
        let _fifth = admission.admit(Some(here), true).unwrap();
        drop((second, third, fourth));
        admission.close();
        assert_eq!(refused(None, true), Some(("stopping", true)));
    }

    #[test]
    fn refusals_are_logged_once_a_minute() {
        let mut counts = Counts::default();
        assert_eq!(counts.refused(Duration::ZERO), Some(1));
        assert_eq!(counts.refused(Duration::from_secs(1)), None);
        assert_eq!(counts.refused(Duration::from_secs(59)), None);
        assert_eq!(counts.refused(Duration::from_secs(60)), Some(3));
    }
}
