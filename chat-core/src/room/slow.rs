//! When members have last written, for a room in which some time must pass between two messages of
//! each.

use std::collections::HashMap;

use chrono::TimeDelta;

use crate::capacity::shrink_map;
use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::model::Message;

/// Up to so many members are noted before those are dropped who may write again.
const FEW: usize = 64;

/// Who has written within the last `slow_s` seconds, and when. Notes nothing while that is 0.
#[derive(Debug, Default)]
pub(super) struct Slow {
    slow_s: u32,
    last: HashMap<UserId, Timestamp>,
    /// How many are noted when those who may write again are dropped.
    full: usize,
}

impl Slow {
    /// From now on so many seconds must pass. What has been written counts.
    pub(super) fn set<'m>(&mut self, slow_s: u32, messages: impl Iterator<Item = &'m Message>) {
        *self = Self { slow_s, last: HashMap::new(), full: FEW };
        for message in messages {
            self.wrote(message.from.id, message.at);
        }
    }

    /// A member has written, or is about to.
    pub(super) fn wrote(&mut self, user: UserId, at: Timestamp) {
        if self.slow_s == 0 {
            return;
        }
        if self.last.len() >= self.full {
            let slow = TimeDelta::seconds(self.slow_s.into());
            self.last.retain(|_, last| at - *last < slow);
            shrink_map(&mut self.last);
            self.full = FEW.max(2 * self.last.len());
        }
        self.last.insert(user, at);
    }

    /// What a member was about to write has not been written.
    pub(super) fn did_not_write(&mut self, user: UserId) {
        self.last.remove(&user);
    }

    /// How many of the seconds have passed since a member has written, if not all have.
    pub(super) fn passed(&self, user: UserId, now: Timestamp) -> Option<u32> {
        let passed = (now - *self.last.get(&user)?).num_seconds().max(0);
        u32::try_from(passed).ok().filter(|passed| *passed < self.slow_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(millis).unwrap()
    }

    #[test]
    fn a_member_waits_from_its_last_message_on() {
        let (ann, bob) = (UserId::new(), UserId::new());
        let mut slow = Slow::default();
        slow.wrote(ann, at(0));
        assert_eq!(slow.passed(ann, at(0)), None, "nobody waits while it is off");
        slow.set(5, [].into_iter());
        slow.wrote(ann, at(1_000));
        let passed = [0, 1_000, 1_999, 5_999, 6_000].map(|now| slow.passed(ann, at(now)));
        assert_eq!(passed, [Some(0), Some(0), Some(0), Some(4), None]);
        assert_eq!(slow.passed(bob, at(1_000)), None);
        slow.did_not_write(bob);
        assert!(slow.passed(ann, at(1_000)).is_some(), "another member's message");
        slow.did_not_write(ann);
        assert_eq!(slow.passed(ann, at(1_000)), None);
    }

    #[test]
    fn who_may_write_again_leaves_no_memory_behind() {
        let mut slow = Slow::default();
        slow.set(1, [].into_iter());
        for n in 0..10_000 {
            slow.wrote(UserId::new(), at(n * 100));
        }
        assert!(slow.last.len() <= FEW, "{}", slow.last.len());
        assert!(slow.last.capacity() <= 4 * FEW, "{}", slow.last.capacity());
    }
}
