//! What is due when, for all connections of one worker and with one timer: each kind of deadline
//! comes after a time of its own that is the same for all, so that plain queues are in order.

use std::collections::VecDeque;
use std::time::Duration;

use chat_core::ConnectionId;

use crate::socket::direct::slab::Place;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Look whether a token has been shown.
    Token,
    /// Ping.
    Ping,
    /// Look whether anything has come since the ping.
    Silence,
    /// Look whether a reader that lags takes anything.
    Lag,
    /// Look whether a connection that is to end has ended.
    Close,
}

const KINDS: [Kind; 5] = [Kind::Token, Kind::Ping, Kind::Silence, Kind::Lag, Kind::Close];

/// A connection whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// When.
    pub(super) at: Duration,
    pub(super) place: Place,
    /// Whoever has this place now may be another.
    pub(super) connection: ConnectionId,
}

/// The deadlines of one worker.
#[derive(Default)]
pub(super) struct Timers {
    queues: [VecDeque<Due>; KINDS.len()],
    /// For when the timer is set.
    armed: Option<Duration>,
}

impl Timers {
    /// Adds a deadline, which comes no earlier than those of its kind that were added before.
    /// Answers whether the timer is to be set anew.
    #[must_use]
    pub(super) fn add(&mut self, kind: Kind, mut due: Due) -> bool {
        let queue = &mut self.queues[kind as usize];
        // One that was worked out a moment ago may be due a moment too early.
        due.at = queue.back().map_or(due.at, |last| last.at.max(due.at));
        queue.push_back(due);
        self.armed.is_none_or(|armed| due.at < armed)
    }

    /// For when the timer is to be set; deadlines that are no longer `live` are passed over.
    pub(super) fn arm(&mut self, mut live: impl FnMut(Kind, &Due) -> bool) -> Option<Duration> {
        for (kind, queue) in KINDS.into_iter().zip(&mut self.queues) {
            while queue.pop_front_if(|due| !live(kind, due)).is_some() {}
        }
        self.armed = self.queues.iter().filter_map(|queue| Some(queue.front()?.at)).min();
        self.armed
    }

    /// Forgets the deadlines of connections that have gone, if most are of such.
    pub(super) fn tidy(&mut self, connections: usize, mut live: impl FnMut(&Due) -> bool) {
        let len: usize = self.queues.iter().map(VecDeque::len).sum();
        // A connection has three at most at a time.
        if len > 6 * connections + 1_024 {
            for queue in &mut self.queues {
                queue.retain(&mut live);
                queue.shrink_to(queue.len() * 2);
            }
        }
    }

    /// The next deadline that has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<(Kind, Due)> {
        let kind = KINDS.into_iter().find(|kind| {
            self.queues[*kind as usize].front().is_some_and(|first| first.at <= now)
        })?;
        let queue = &mut self.queues[kind as usize];
        let due = queue.pop_front()?;
        if queue.capacity() > 1_024 && queue.len() < queue.capacity() / 4 {
            queue.shrink_to(queue.len() * 2);
        }
        Some((kind, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_when_they_are_due_and_the_timer_is_set_for_the_first() {
        let at = |seconds| Due {
            at: Duration::from_secs(seconds),
            place: 0,
            connection: ConnectionId::new(),
        };
        let mut timers = Timers::default();
        assert_eq!(timers.arm(|_, _| true), None);
        let (ping, token, later) = (at(25), at(10), at(26));
        assert!(timers.add(Kind::Ping, ping));
        assert_eq!(timers.arm(|_, _| true), Some(ping.at));
        assert!(timers.add(Kind::Token, token));
        assert_eq!(timers.arm(|_, _| true), Some(token.at));
        assert!(!timers.add(Kind::Ping, later), "the timer is set for something earlier");
        assert_eq!(timers.due(Duration::from_secs(9)), None);
        assert_eq!(timers.due(Duration::from_secs(25)), Some((Kind::Token, token)));
        assert_eq!(timers.due(Duration::from_secs(25)), Some((Kind::Ping, ping)));
        assert_eq!(timers.due(Duration::from_secs(25)), None);
        assert_eq!(timers.arm(|_, _| true), Some(later.at));
        assert_eq!(timers.arm(|kind, due| (kind, *due) != (Kind::Ping, later)), None);
    }
}
