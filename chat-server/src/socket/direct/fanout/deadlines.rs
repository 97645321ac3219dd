//! What is due for connections: tokens, pings, and whether a peer is heard of or takes anything.

use std::time::Duration;

use chat_core::CloseReason;

use super::{CLOSE_WITHIN, SocketFanout};
use crate::protocol::CloseCode;
use crate::socket::LATE;
use crate::socket::direct::slab::{Place, State};
use crate::socket::direct::timers::{Due, Kind};
use crate::socket::frame;

impl SocketFanout {
    pub(super) fn time(&mut self, kind: Kind, at: Duration, place: Place) {
        if let Some(cold) = self.slab.get(place) {
            let due = Due { at, place, connection: cold.connection };
            self.rearm |= self.timers.add(kind, due);
        }
    }

    /// Whether the timer is to be set anew; said once.
    pub(in crate::socket::direct) fn rearmed(&mut self) -> bool {
        std::mem::take(&mut self.rearm)
    }

    /// For when the timer is to be set.
    pub(in crate::socket::direct) fn arm(&mut self) -> Option<Duration> {
        let Self { timers, slab, .. } = self;
        timers.arm(|kind, due| {
            slab.place(due.connection) == Some(due.place)
                && (kind != Kind::Token || slab.get(due.place).is_some_and(|cold| !cold.known))
        })
    }

    /// A connection has shown who it is. Answers whether that was still to be done.
    pub(in crate::socket::direct) fn know(&mut self, place: Place) -> bool {
        let Some(cold) = self.slab.get(place) else { return false };
        let unknown = !std::mem::replace(&mut cold.known, true);
        self.rearm |= unknown;
        unknown
    }

    /// A reader for which something waits is looked at from time to time.
    pub(super) fn watch(&mut self, place: Place, now: Duration) {
        let Some(close_after) = self.patience.close_after else { return };
        let Some(cold) = self.slab.get(place) else { return };
        if !std::mem::replace(&mut cold.watched, true) {
            self.time(Kind::Lag, now + close_after, place);
        }
    }

    /// Does what is due.
    pub(in crate::socket::direct) fn tick(&mut self) {
        let now = self.clock.elapsed();
        while let Some((kind, due)) = self.timers.due(now) {
            if self.slab.place(due.connection) == Some(due.place) {
                self.on_time(kind, due, now);
            }
        }
    }

    fn on_time(&mut self, kind: Kind, due: Due, now: Duration) {
        let place = due.place;
        let Some((queued, cold)) = self.slab.both(place) else { return };
        match (kind, cold.state) {
            (Kind::Token, State::Open) if !cold.known => {
                self.close(place, CloseCode::UNAUTHORIZED, false);
            }
            (Kind::Ping, State::Open) if cold.mid_message && cold.stalled && !cold.paused => {
                self.lose(place, CloseReason::Silent);
            }
            (Kind::Ping, State::Open) => {
                // A message of which no more has been read does not come any further by that.
                cold.stalled = cold.mid_message && !cold.paused;
                // A peer for which something waits is looked at for whether it takes that.
                let waits = *queued && cold.backlog.is_some();
                if !waits {
                    self.say(place, frame::ping(b""));
                    self.time(Kind::Silence, now + self.limits.ping_timeout, place);
                }
                self.time(Kind::Ping, now + self.limits.ping_every, place);
            }
            // What came in the very moment of the ping counts.
            (Kind::Silence, State::Open) if cold.last + self.limits.ping_timeout < due.at => {
                let late = now >= due.at + LATE;
                if late && !std::mem::replace(&mut cold.spared, true) {
                    self.time(Kind::Silence, now + self.limits.ping_timeout, place);
                } else {
                    self.lose(place, CloseReason::Silent);
                }
            }
            (Kind::Silence, State::Open) => cold.spared = false,
            (Kind::Lag, State::Open) => {
                let look = cold.backlog.as_mut().map(|backlog| backlog.look(now));
                match look {
                    Some(Err(_)) => self.lose(place, CloseReason::NotReading),
                    Some(Ok(Some(again))) => self.time(Kind::Lag, now + again, place),
                    Some(Ok(None)) | None => cold.watched = false,
                }
            }
            // Whoever still takes what waits is given more time.
            (Kind::Close, State::Closing) if cold.last + CLOSE_WITHIN > due.at => {
                self.time(Kind::Close, now + CLOSE_WITHIN, place);
            }
            (Kind::Close, _) => self.give_up(place),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::web::Bytes;
    use chat_core::testkit::FakeClock;
    use chat_core::{Budget, ConnectionId, Patience};

    use super::*;
    use crate::socket::SocketLimits;
    use crate::socket::direct::fanout::FanoutParts;
    use crate::socket::meters::Meters;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A fan-out with one connection, for which nothing waits and which has just been pinged.
    fn pinged() -> (SocketFanout, FakeClock, Place, SocketLimits) {
        let (clock, limits) = (FakeClock::default(), SocketLimits::default());
        let mut fanout = SocketFanout::new(FanoutParts {
            clock: Arc::new(clock.clone()),
            budget: Arc::new(Budget::new(1 << 20)),
            patience: Patience { bytes: 1_000, close_after: None },
            limits,
            meters: Arc::new(Meters::none()),
        });
        let place = fanout.insert(ConnectionId::new(), None, true, Bytes::new());
        fanout.slab.get(place).expect("it is there").backlog = None;
        clock.advance(limits.ping_every);
        fanout.tick();
        (fanout, clock, place, limits)
    }

    fn lost(fanout: &mut SocketFanout, place: Place) -> Option<CloseReason> {
        fanout.slab.get(place).expect("it is there").lost
    }

    #[test]
    fn who_says_nothing_after_a_ping_is_lost_when_its_time_is_over() {
        let (mut fanout, clock, place, limits) = pinged();
        clock.advance(limits.ping_timeout - MILLISECOND);
        fanout.tick();
        assert_eq!(lost(&mut fanout, place), None);
        clock.advance(LATE);
        fanout.tick();
        assert_eq!(lost(&mut fanout, place), Some(CloseReason::Silent));
    }

    #[test]
    fn what_could_not_be_read_while_everything_stood_still_is_waited_for() {
        for answers in [true, false] {
            let (mut fanout, clock, place, limits) = pinged();
            clock.advance(limits.ping_timeout + LATE);
            fanout.tick();
            assert_eq!(lost(&mut fanout, place), None, "it has not been asked for since");
            if answers {
                fanout.hear(place);
            }
            // It stands still again: that is no reason to wait for ever.
            clock.advance(limits.ping_timeout + LATE);
            fanout.tick();
            assert_eq!(lost(&mut fanout, place).is_some(), !answers);
        }
    }
}
