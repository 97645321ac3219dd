//! Which names the `users` table is known to hold, so that a commit writes only those that are new
//! to it.

use std::collections::{BTreeMap, HashMap};

use chat_core::{Name, User, UserId};

/// How many names are remembered, at a hundred bytes or so each. What is forgotten is merely
/// written once more.
const MOST: usize = 65_536;

/// The remembered names. Another process may meanwhile have written a newer name of a user; then
/// that one stays until the user's name changes here.
#[derive(Debug, Default)]
pub(super) struct Names {
    stored: HashMap<UserId, Name>,
}

impl Names {
    /// Those of the users whose stored name may be missing or another one; the last of each,
    /// and always in the order of ids, so that two who write the same ones wait for each other once
    /// and not both.
    pub(super) fn unknown<'a>(
        &self,
        users: impl Iterator<Item = &'a User>,
    ) -> Vec<(UserId, &'a Name)> {
        let unknown = users.filter(|user| self.stored.get(&user.id) != Some(&user.name));
        unknown.map(|user| (user.id, &user.name)).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// Remembers names that have been committed.
    pub(super) fn learn(&mut self, names: &[(UserId, &Name)]) {
        // Forgetting everything now and then is cheaper than keeping the order of use.
        if self.stored.len() + names.len() > MOST {
            self.stored.clear();
        }
        self.stored.extend(names.iter().map(|(id, name)| (*id, Name::clone(name))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: UserId, name: &str) -> User {
        User::new(id, Name::new(name).unwrap())
    }

    #[test]
    fn writes_new_and_changed_names_once() {
        let id = UserId::new();
        let (old, new) = (user(id, "Ann"), user(id, "Anne"));
        let mut names = Names::default();
        assert_eq!(names.unknown([&old, &new].into_iter()), [(id, &new.name)]);
        names.learn(&[(id, &new.name)]);
        assert!(names.unknown([&new].into_iter()).is_empty());
        assert_eq!(names.unknown([&old].into_iter()), [(id, &old.name)]);
    }

    #[test]
    fn is_bounded() {
        let mut names = Names::default();
        let name = Name::new("Ann").unwrap();
        for _ in 0..=MOST {
            names.learn(&[(UserId::new(), &name)]);
        }
        assert_eq!(names.stored.len(), 1);
    }
}
