//! Who is writing just now. It ends by itself, so that a client that dies does not type for ever.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::ids::UserId;
use crate::model::User;

/// Users who are typing, each until its time is up.
#[derive(Debug, Default)]
pub(super) struct Typing {
    until: HashMap<UserId, (User, Duration)>,
    /// In the order of their ends. An entry counts only while the user is typing until then.
    ends: VecDeque<(Duration, UserId)>,
}

impl Typing {
    /// The user is typing until then. Answers whether it was not before. Ends come in order.
    pub(super) fn start(&mut self, user: &User, until: Duration) -> bool {
        self.ends.push_back((until, user.id));
        // Forgotten ends are dropped here, so that somebody who says it again and again costs
        // nothing.
        if self.ends.len() > 2 * self.until.len() + 8 {
            self.ends.retain(|(end, user)| {
                self.until.get(user).is_some_and(|(_, until)| until == end) || *end == until
            });
        }
        self.until.insert(user.id, (user.clone(), until)).is_none()
    }

    /// The user is not typing. Answers whether it was.
    pub(super) fn stop(&mut self, user: UserId) -> bool {
        self.until.remove(&user).is_some()
    }

    /// When the next one's time is up.
    pub(super) fn next_end(&mut self) -> Option<Duration> {
        while let Some((end, user)) = self.ends.front() {
            if self.until.get(user).is_some_and(|(_, until)| until == end) {
                return Some(*end);
            }
            self.ends.pop_front();
        }
        None
    }

    /// Takes those whose time is up.
    pub(super) fn take_ended(&mut self, now: Duration) -> Vec<User> {
        let mut ended = Vec::new();
        while self.next_end().is_some_and(|end| end <= now) {
            let user = self.ends.pop_front().and_then(|(_, user)| self.until.remove(&user));
            ended.extend(user.map(|(user, _)| user));
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn ends_by_itself_unless_said_again() {
        let (mut typing, second) = (Typing::default(), Duration::from_secs);
        let ann = User::new(UserId::new(), Name::new("Ann").unwrap());
        let bob = User::new(UserId::new(), Name::new("Bob").unwrap());
        assert!(typing.start(&ann, second(6)));
        assert!(typing.start(&bob, second(7)));
        assert!(!typing.start(&ann, second(8)), "was typing already");
        assert_eq!(typing.next_end(), Some(second(7)));
        assert_eq!(typing.take_ended(second(7)), vec![bob.clone()]);
        assert!(!typing.stop(bob.id));
        assert!(typing.stop(ann.id));
        assert!(typing.take_ended(second(9)).is_empty());
        for n in 0..1_000 {
            typing.start(&ann, second(10 + n));
        }
        assert!(typing.ends.len() <= 12, "{}", typing.ends.len());
        assert_eq!(typing.take_ended(second(2_000)), vec![ann]);
    }
}
