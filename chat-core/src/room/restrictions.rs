//! Users who are kept from something, each until its end: who is banned, and who is muted. A plain
//! data structure; what time it is, it is told.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use crate::clock::Timestamp;
use crate::command::{BanPage, BanQuery};
use crate::ids::UserId;
use crate::model::{Restriction, User};
use crate::page;

/// Restrictions of one kind. One whose end has passed counts for nothing, and is dropped by the next
/// change.
#[derive(Clone, Debug, Default)]
pub(super) struct Restrictions {
    /// In the order of ids, so that a page goes on where the last one ended.
    users: BTreeMap<UserId, Restriction>,
}

impl Restrictions {
    pub(super) fn new(restrictions: Vec<Restriction>) -> Self {
        let users = restrictions.into_iter().map(|restriction| (restriction.user.id, restriction));
        Self { users: users.collect() }
    }

    /// A user is kept from it from now on, instead of as long as before.
    pub(super) fn set(&mut self, restriction: Restriction, now: Timestamp) {
        self.users.retain(|_, other| other.holds(now));
        self.users.insert(restriction.user.id, restriction);
    }

    /// A user has another name.
    pub(super) fn rename(&mut self, user: &User) {
        if let Some(restriction) = self.users.get_mut(&user.id) {
            restriction.user = user.clone();
        }
    }

    /// A user is not kept from it any more.
    pub(super) fn lift(&mut self, user: UserId) {
        self.users.remove(&user);
    }

    /// What keeps a user from it at this time, which is asked for only if it matters.
    pub(super) fn find(
        &self,
        user: UserId,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<&Restriction> {
        self.users.get(&user).filter(|restriction| restriction.holds(now()))
    }

    /// Whether nobody is kept from it, nor has been of late.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// A user who is kept from it, or has been.
    pub(super) fn user(&self, user: UserId) -> Option<&User> {
        self.users.get(&user).map(|restriction| &restriction.user)
    }

    /// A page of those that hold at this time.
    pub(super) fn page(&self, query: &BanQuery, now: Timestamp) -> BanPage {
        let rest = self.users.range((query.after.map_or(Unbounded, Excluded), Unbounded));
        let holding = rest.map(|(_, restriction)| restriction).filter(|other| other.holds(now));
        let mut bans: Vec<_> = holding.take(query.limit.saturating_add(1)).cloned().collect();
        let next = page::cut(&mut bans, query.limit, |last| last.user.id);
        BanPage { bans, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn until(second: Option<i64>) -> Restriction {
        let user = User::new(UserId::new(), Name::new("Bob").unwrap());
        Restriction { user, until: second.map(at) }
    }

    #[test]
    fn they_hold_to_their_end_and_not_in_its_moment() {
        let (short, long, endless) = (until(Some(5)), until(Some(9)), until(None));
        let ids = [&short, &long, &endless].map(|restriction| restriction.user.id);
        let mut all = Restrictions::new(vec![short.clone(), long, endless]);
        let holding =
            |all: &Restrictions, now| ids.map(|user| all.find(user, || at(now)).is_some());
        assert_eq!(holding(&all, 4), [true, true, true]);
        assert_eq!(holding(&all, 5), [false, true, true]);
        assert_eq!(holding(&all, 9), [false, false, true]);
        all.lift(ids[2]);
        assert_eq!(holding(&all, 4), [true, true, false]);
        // Another end takes the place of the one before, earlier or later.
        for (end, expected) in [(Some(3), false), (Some(7), true), (None, true)] {
            all.set(Restriction { until: end.map(at), ..short.clone() }, at(1));
            assert_eq!(all.find(ids[0], || at(5)).is_some(), expected, "{end:?}");
        }
        assert!(all.find(UserId::new(), || at(1)).is_none());
    }

    #[test]
    fn what_has_ended_leaves_no_memory_behind() {
        let mut all = Restrictions::default();
        for second in 0..1_000 {
            all.set(until(Some(second + 1)), at(second));
        }
        assert_eq!(all.users.len(), 1);
    }

    #[test]
    fn pages_meet_without_gap_or_double_and_show_what_holds() {
        let some: Vec<_> = (0..10).map(|n| until((n % 3 == 0).then_some(5))).collect();
        let all = Restrictions::new(some.clone());
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = all.page(&BanQuery { after, limit: 2 }, at(5));
            seen.extend(page.bans.iter().map(|ban| ban.user.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> =
            some.iter().filter(|one| one.until.is_none()).map(|one| one.user.id).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
        assert!(all.page(&BanQuery { after: None, limit: 0 }, at(1)).bans.is_empty());
    }
}
