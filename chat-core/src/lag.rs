//! What to do with a reader that does not keep up: one small state machine for every transport,
//! which only reports what waits and what was taken, and does what it is told.

use std::time::Duration;

/// How far a reader may fall behind.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Bytes that may wait for it.
    pub bytes: usize,
    /// How long it may take nothing while something waits; `None` for ever.
    pub close_after: Option<Duration>,
}

/// What to do with something that is to be queued for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Queue it.
    Queue,
    /// Queue it in place of an older one about the same thing.
    Coalesce,
    /// Leave it out: it is a hint, and there is no room for hints.
    Skip,
    /// Leave it out, and tell the reader that it is behind.
    Behind,
    /// End the connection: the reader has taken nothing for too long.
    Close,
}

/// How one reader is doing. Every connection has one, so it is kept small: times are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    bytes: usize,
    close_after: u64,
    /// When the reader was last known to take something, or to have nothing waiting.
    progress: u64,
    taken: bool,
}

/// Half a thousand years: nobody waits longer.
const FOR_EVER: u64 = u64::MAX;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER)
}

impl Lag {
    /// A reader that is fine at `now`.
    #[must_use]
    pub fn new(patience: Patience, now: Duration) -> Self {
        let close_after = patience.close_after.map_or(FOR_EVER, nanos);
        Self { bytes: patience.bytes, close_after, progress: nanos(now), taken: false }
    }

    /// The reader took something.
    pub fn took(&mut self) {
        self.taken = true;
    }

    /// Whether the reader, for which `waiting` bytes wait, has taken nothing for too long at `now`.
    pub fn is_stuck(&mut self, waiting: usize, now: Duration) -> bool {
        if self.close_after == FOR_EVER {
            return false;
        }
        let now = nanos(now);
        if std::mem::take(&mut self.taken) || waiting == 0 {
            self.progress = now;
        }
        now.saturating_sub(self.progress) >= self.close_after
    }

    /// How long the reader may take nothing.
    #[must_use]
    pub fn close_after(&self) -> Option<Duration> {
        (self.close_after < FOR_EVER).then(|| Duration::from_nanos(self.close_after))
    }

    /// Half of what may wait: as much again may be added in words about it, and a reader that has
    /// come down to this is doing well.
    pub(crate) fn half(&self) -> usize {
        self.bytes / 2
    }

    /// What to do with something that is to be queued behind `waiting` bytes at `now`. `durable` is
    /// what must not be lost without a word: messages, changes, replies.
    pub fn advise(&mut self, waiting: usize, durable: bool, now: Duration) -> Advice {
        if self.is_stuck(waiting, now) {
            return Advice::Close;
        }
        match (waiting, durable) {
            (waiting, true) if waiting < self.bytes => Advice::Queue,
            (_, true) => Advice::Behind,
            (waiting, false) if waiting < self.bytes / 4 => Advice::Queue,
            (waiting, false) if waiting < self.bytes => Advice::Coalesce,
            (_, false) => Advice::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience { bytes: 100, close_after: Some(Duration::from_secs(30)) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn falls_behind_step_by_step() {
        let mut lag = Lag::new(PATIENCE, at(0));
        assert_eq!(lag.advise(0, false, at(1)), Advice::Queue);
        assert_eq!(lag.advise(24, false, at(1)), Advice::Queue);
        assert_eq!(lag.advise(25, false, at(1)), Advice::Coalesce);
        assert_eq!(lag.advise(99, true, at(1)), Advice::Queue);
        assert_eq!(lag.advise(100, false, at(1)), Advice::Skip);
        assert_eq!(lag.advise(100, true, at(1)), Advice::Behind);
    }

    #[test]
    fn closes_only_a_reader_that_takes_nothing() {
        let mut lag = Lag::new(PATIENCE, at(0));
        assert_eq!(lag.advise(50, true, at(29)), Advice::Queue);
        lag.took();
        assert_eq!(lag.advise(50, true, at(31)), Advice::Queue);
        assert_eq!(lag.advise(50, true, at(60)), Advice::Queue);
        assert_eq!(lag.advise(50, true, at(61)), Advice::Close);
        let mut idle = Lag::new(PATIENCE, at(0));
        assert_eq!(idle.advise(0, true, at(1_000)), Advice::Queue, "nothing waited all the time");
        let patient = Patience { close_after: None, ..PATIENCE };
        assert_eq!(Lag::new(patient, at(0)).advise(50, true, at(1_000_000)), Advice::Queue);
    }

    proptest! {
        /// Against a plain model: the time of the last progress is the only memory.
        #[test]
        fn advice_matches_a_plain_model(steps in prop::collection::vec((0usize..150, any::<bool>(), any::<bool>(), 0u64..20), 1..60)) {
            let mut lag = Lag::new(PATIENCE, at(0));
            let (mut now, mut progress) = (0, 0);
            for (waiting, durable, took, passed) in steps {
                now += passed;
                if took { lag.took(); }
                if took || waiting == 0 { progress = now; }
                let advice = lag.advise(waiting, durable, at(now));
                let expected = if now - progress >= 30 { Advice::Close }
                    else if durable { if waiting < 100 { Advice::Queue } else { Advice::Behind } }
                    else if waiting < 25 { Advice::Queue }
                    else if waiting < 100 { Advice::Coalesce }
                    else { Advice::Skip };
                prop_assert_eq!(advice, expected);
            }
        }
    }
}
