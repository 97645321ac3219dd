//! How much a client may send: a budget for commands and one for bytes, each refilled at a steady
//! rate up to what may come at once. Plain data, given the time; whoever has been refused and goes
//! on all the same is found to be flooding.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::limits::Limits;

/// What is to become of a frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rated {
    /// It is to be carried out.
    Granted,
    /// It is to be answered with this error, which is `rate_limited` and says when to try again.
    Refused(Error),
    /// The session is to be ended with [`CloseReason::Flooding`](crate::CloseReason::Flooding): its
    /// client was refused [`Limits::flood`] times in a row and has gone on.
    Flooding,
}

/// What a session has left of its budgets. Every session has one, so it is kept small.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    commands: Budget,
    bytes: Budget,
    /// How many frames were refused since the last one that was granted.
    refused: u32,
}

impl Budgets {
    /// Takes a frame of so many bytes out of the budgets at `now`, if there is enough in both.
    pub(crate) fn admit(&mut self, bytes: usize, now: Duration, limits: &Limits) -> Rated {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let commands = Rate { per_s: limits.commands_per_s, burst: limits.commands_burst };
        let flow = Rate { per_s: limits.bytes_per_s, burst: limits.bytes_burst };
        let size = bytes as u64;
        let waits = [self.commands.wait(commands, 1, now), self.bytes.wait(flow, size, now)];
        if waits == [0, 0] {
            self.commands.take(commands, 1, now);
            self.bytes.take(flow, size, now);
            self.refused = 0;
            return Rated::Granted;
        }
        if self.refused >= limits.flood {
            return Rated::Flooding;
        }
        self.refused += 1;
        let [for_commands, for_bytes] = waits;
        let (what, rate) =
            if for_commands >= for_bytes { ("commands", commands) } else { ("bytes", flow) };
        let millis = for_commands.max(for_bytes).div_ceil(NANOS_PER_MILLI);
        let (most, burst) = (rate.per_s, rate.burst);
        let message = format!(
            "too much at once; {most} {what} a second are taken, and {burst} after a pause: send \
             the same again in {millis} ms"
        );
        Rated::Refused(Error::new(Code::RateLimited, message))
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

/// How much is taken.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Units in a second, in the long run; 0 for any number.
    per_s: u32,
    /// Units at once, after a pause.
    burst: u32,
}

impl Rate {
    /// How long it takes until so many units are there again, in whole nanoseconds; what is below
    /// one is forgiven. Nothing if any number is taken.
    fn cost(self, units: u64) -> u64 {
        units.saturating_mul(1_000_000_000).checked_div(self.per_s.into()).unwrap_or(0)
    }
}

/// What is left, as a single number (the generic cell rate algorithm): when all of it will be there
/// again, in nanoseconds. In the past, if all of it is.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    full_at: u64,
}

impl Budget {
    /// How many nanoseconds from `now` so many units are there. Units that are more than may come at
    /// once are, when nothing else has been taken: a message that is never taken would be of no use.
    fn wait(self, rate: Rate, units: u64, now: u64) -> u64 {
        let burst = rate.cost(rate.burst.into());
        let taken = self.full_at.saturating_sub(now);
        taken.saturating_sub(burst.saturating_sub(rate.cost(units)))
    }

    /// Takes so many units, for which there need be no [`wait`](Self::wait).
    fn take(&mut self, rate: Rate, units: u64, now: u64) {
        self.full_at = self.full_at.max(now).saturating_add(rate.cost(units));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limits() -> Limits {
        Limits {
            commands_per_s: 10,
            commands_burst: 5,
            bytes_per_s: 1_000,
            bytes_burst: 3_000,
            flood: 3,
            ..Limits::default()
        }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn refused(rated: &Rated) -> &str {
        match rated {
            Rated::Refused(error) if error.code() == Code::RateLimited => error.message(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn budgets_are_small() {
        assert!(size_of::<Budgets>() <= 24);
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let (mut budgets, limits) = (Budgets::default(), limits());
        for _ in 0..5 {
            assert_eq!(budgets.admit(0, millis(0), &limits), Rated::Granted);
        }
        let sixth = budgets.admit(0, millis(0), &limits);
        assert!(refused(&sixth).contains("10 commands a second are taken, and 5 after a pause"));
        assert!(refused(&sixth).ends_with("in 100 ms"), "{sixth:?}");
        assert!(refused(&budgets.admit(0, millis(99), &limits)).ends_with("in 1 ms"));
        assert_eq!(budgets.admit(0, millis(100), &limits), Rated::Granted);
        assert!(matches!(budgets.admit(0, millis(100), &limits), Rated::Refused(_)));
        // However long the pause was, no more come at once.
        for _ in 0..5 {
            assert_eq!(budgets.admit(0, millis(90_000), &limits), Rated::Granted);
        }
        assert!(matches!(budgets.admit(0, millis(90_000), &limits), Rated::Refused(_)));
    }

    #[test]
    fn what_one_budget_refuses_is_not_taken_from_the_other() {
        let (mut budgets, limits) = (Budgets::default(), limits());
        assert_eq!(budgets.admit(3_000, millis(0), &limits), Rated::Granted);
        for _ in 0..3 {
            let too_much = budgets.admit(500, millis(0), &limits);
            assert!(refused(&too_much).contains("1000 bytes a second"), "{too_much:?}");
            assert!(refused(&too_much).ends_with("in 500 ms"), "{too_much:?}");
        }
        for _ in 0..4 {
            assert_eq!(budgets.admit(0, millis(0), &limits), Rated::Granted);
        }
        assert!(refused(&budgets.admit(0, millis(0), &limits)).contains("commands"));
        assert!(refused(&budgets.admit(1, millis(0), &limits)).contains("commands"));
        assert!(refused(&budgets.admit(900, millis(0), &limits)).contains("bytes"));
        assert_eq!(budgets.admit(1_000, millis(1_000), &limits), Rated::Granted);
    }

    #[test]
    fn whoever_goes_on_without_being_granted_anything_is_flooding() {
        let (mut budgets, limits) = (Budgets::default(), limits());
        for _ in 0..5 {
            assert_eq!(budgets.admit(0, millis(0), &limits), Rated::Granted);
        }
        // Three are refused, and one is granted in between.
        for _ in 0..3 {
            assert!(matches!(budgets.admit(0, millis(0), &limits), Rated::Refused(_)));
        }
        assert_eq!(budgets.admit(0, millis(100), &limits), Rated::Granted);
        for _ in 0..3 {
            assert!(matches!(budgets.admit(0, millis(100), &limits), Rated::Refused(_)));
        }
        assert_eq!(budgets.admit(0, millis(100), &limits), Rated::Flooding);
        assert_eq!(budgets.admit(0, millis(100), &limits), Rated::Flooding);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let unlimited = Limits { commands_per_s: 0, bytes_per_s: 0, ..limits() };
        let mut budgets = Budgets::default();
        for _ in 0..1_000 {
            assert_eq!(budgets.admit(usize::MAX, millis(7), &unlimited), Rated::Granted);
        }
        let commands_only = Limits { bytes_per_s: 0, ..limits() };
        for _ in 0..5 {
            assert_eq!(budgets.admit(usize::MAX, millis(7), &commands_only), Rated::Granted);
        }
        let next = budgets.admit(usize::MAX, millis(7), &commands_only);
        assert!(refused(&next).contains("commands"), "{next:?}");
    }

    #[test]
    fn a_frame_that_is_more_than_may_come_at_once_comes_alone() {
        let (mut budgets, limits) = (Budgets::default(), limits());
        assert_eq!(budgets.admit(10_000, millis(0), &limits), Rated::Granted);
        assert!(refused(&budgets.admit(1, millis(0), &limits)).ends_with("in 7001 ms"));
        assert!(refused(&budgets.admit(10_000, millis(9_999), &limits)).ends_with("in 1 ms"));
        assert_eq!(budgets.admit(10_000, millis(10_000), &limits), Rated::Granted);
    }

    /// A bucket of so many units that is filled drop by drop, each the billionth part of one.
    struct Bucket {
        drops: u128,
        rate: Rate,
    }

    impl Bucket {
        fn size(rate: Rate) -> u128 {
            u128::from(rate.burst) * u128::from(SECOND)
        }

        fn fill(&mut self, nanos: u64) {
            self.drops += u128::from(nanos) * u128::from(self.rate.per_s);
            self.drops = self.drops.min(Self::size(self.rate));
        }

        fn take(&mut self, units: u64) -> bool {
            let drops = u128::from(units) * u128::from(SECOND);
            let enough = self.drops >= drops;
            if enough {
                self.drops -= drops;
            }
            enough
        }
    }

    /// Times that pass, short and long, each followed by so many units.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let pause = prop_oneof![
            Just(0),
            0..1_000_u64,
            0..100_000_000_u64,
            0..10 * SECOND,
            Just(3_600 * SECOND)
        ];
        let units = prop_oneof![Just(1), 0..10_u64, 0..2_000_u64];
        prop::collection::vec((pause, units), 0..200)
    }

    proptest! {
        /// Rates whose units take whole nanoseconds each, so that nothing is forgiven.
        #[test]
        fn a_budget_is_a_bucket_filled_at_its_rate(
            per_s in select(vec![1_u32, 2, 8, 50, 1_000, 125_000, 1_000_000]),
            burst in 1..3_000_u32,
            start in 0..SECOND,
            steps in steps(),
        ) {
            let rate = Rate { per_s, burst };
            let mut bucket = Bucket { drops: Bucket::size(rate), rate };
            let (mut budget, mut now) = (Budget::default(), start);
            for (pause, units) in steps {
                now += pause;
                bucket.fill(pause);
                let units = units.min(burst.into());
                let granted = budget.wait(rate, units, now) == 0;
                prop_assert_eq!(granted, bucket.take(units), "{} at {}", units, now);
                if granted {
                    budget.take(rate, units, now);
                }
            }
        }

        /// Whatever the rate: a wait is as long as it must be, and no longer.
        #[test]
        fn a_wait_is_true(per_s in 1..200_000_u32, burst in 0..3_000_u32, steps in steps()) {
            let rate = Rate { per_s, burst };
            let (mut budget, mut now) = (Budget::default(), 0);
            for (pause, units) in steps {
                now += pause;
                let wait = budget.wait(rate, units, now);
                if wait > 0 {
                    prop_assert!(budget.wait(rate, units, now + wait - 1) > 0);
                    prop_assert_eq!(budget.wait(rate, units, now + wait), 0);
                } else {
                    budget.take(rate, units, now);
                }
            }
        }

        /// Whatever the rate: in any time there is no more than what may come at once and what that
        /// time gives. Each grant may be forgiven what comes in a nanosecond.
        #[test]
        fn no_more_than_the_rate_is_granted(
            per_s in 1..200_000_u32,
            burst in 1..3_000_u32,
            steps in steps(),
        ) {
            let rate = Rate { per_s, burst };
            let mut budget = Budget::default();
            let (mut now, mut granted) = (0, Vec::new());
            for (pause, units) in steps {
                now += pause;
                let units = units.min(burst.into());
                if budget.wait(rate, units, now) == 0 {
                    budget.take(rate, units, now);
                    granted.push((now, units));
                }
            }
            for (first, (begin, _)) in granted.iter().enumerate() {
                let mut sum = 0;
                for (count, (end, units)) in (1..).zip(&granted[first..]) {
                    sum += u128::from(*units) * u128::from(SECOND);
                    let time = u128::from(end - begin + count);
                    let most = Bucket::size(rate) + time * u128::from(per_s);
                    prop_assert!(sum <= most, "{} to {}", begin, end);
                }
            }
        }
    }
}
