//! Who has marked which message with what, of those messages that the room knows it of: all that have been
//! marked since the room was loaded, and those that were loaded with it. A plain data structure.

use std::collections::{BTreeMap, HashSet};

use crate::ids::UserId;
use crate::model::{Given, Mark, MarkCount};

/// At least so many messages are noted of which nothing is known.
const FEW: usize = 64;

/// The marks of messages. Bounded by how many there are: the oldest messages' are forgotten first, and are
/// read again when they matter.
#[derive(Debug)]
pub(super) struct Marks {
    /// The messages of which all marks are here, each mark with whoever has given it.
    of: BTreeMap<u64, BTreeMap<Mark, HashSet<UserId>>>,
    /// Messages of which nothing is known, though they are not before the first that was loaded.
    unknown: HashSet<u64>,
    /// Of messages above this one that are neither here nor unknown, it is known that there are none.
    first: u64,
    count: usize,
    most: usize,
}

impl Marks {
    /// The marks of all messages above `first`; at most so many are kept.
    pub(super) fn new(first: u64, given: Vec<Given>, most: usize) -> Self {
        let (of, unknown) = Default::default();
        let mut marks = Self { of, unknown, first, count: 0, most };
        for Given { seq, mark, user } in given {
            marks.set(seq, user, &mark, true);
        }
        marks.trim(|_| false);
        marks
    }

    /// Whether it is known who has marked a message.
    pub(super) fn knows(&self, seq: u64) -> bool {
        self.of.contains_key(&seq) || (seq > self.first && !self.unknown.contains(&seq))
    }

    /// These are the marks of a message.
    pub(super) fn learn(&mut self, seq: u64, given: Vec<Given>) {
        self.forget(seq);
        self.unknown.remove(&seq);
        self.of.insert(seq, BTreeMap::new());
        for Given { mark, user, .. } in given {
            self.set(seq, user, &mark, true);
        }
    }

    /// Somebody else may have changed the marks of a message.
    pub(super) fn forget(&mut self, seq: u64) {
        self.count -= self.of.remove(&seq).map_or(0, |marks| size(&marks));
        if seq > self.first {
            self.unknown.insert(seq);
        }
        if self.unknown.len() > self.most.max(FEW) {
            // Of older ones nothing is known from here on, but for those that are here.
            self.first = self.unknown.drain().max().unwrap_or(self.first);
        }
    }

    /// A message has been deleted, and its marks with it.
    pub(super) fn delete(&mut self, seq: u64) {
        self.forget(seq);
        self.unknown.remove(&seq);
        if seq <= self.first {
            self.of.insert(seq, BTreeMap::new());
        }
    }

    /// These messages have been deleted; of those before `first`, nobody knows which.
    pub(super) fn delete_all(&mut self, seqs: impl Iterator<Item = u64>, first: u64) {
        seqs.for_each(|seq| self.delete(seq));
        let before: Vec<u64> = self.of.range(..first).map(|(seq, _)| *seq).collect();
        before.into_iter().for_each(|seq| self.forget(seq));
    }

    /// A user gives a message of which all marks are known a mark, or takes it back.
    pub(super) fn set(&mut self, seq: u64, user: UserId, mark: &Mark, on: bool) {
        let marks = self.of.entry(seq).or_default();
        let users = marks.entry(mark.clone()).or_default();
        let changed = if on { users.insert(user) } else { users.remove(&user) };
        if users.is_empty() {
            marks.remove(mark);
        }
        match (changed, on) {
            (true, true) => self.count += 1,
            (true, false) => self.count -= 1,
            (false, _) => {}
        }
    }

    /// Lets go of the marks of the oldest messages if there are too many, but not of those that are in use.
    pub(super) fn trim(&mut self, in_use: impl Fn(u64) -> bool) {
        while self.count > self.most {
            let Some(oldest) = self.of.keys().copied().find(|seq| !in_use(*seq)) else { break };
            self.forget(oldest);
        }
    }

    /// How often each mark was given to a message.
    pub(super) fn counts(&self, seq: u64) -> Vec<MarkCount> {
        let marks = self.of.get(&seq).into_iter().flatten();
        marks
            .map(|(mark, users)| MarkCount { mark: mark.clone(), count: users.len() as u64 })
            .collect()
    }

    /// What a user has marked a message with.
    pub(super) fn by(&self, seq: u64, user: UserId) -> impl Iterator<Item = &Mark> {
        let marks = self.of.get(&seq).into_iter().flatten();
        marks.filter(move |(_, users)| users.contains(&user)).map(|(mark, _)| mark)
    }
}

fn size(marks: &BTreeMap<Mark, HashSet<UserId>>) -> usize {
    marks.values().map(HashSet::len).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(text: &str) -> Mark {
        Mark::new(text).unwrap()
    }

    fn counts(marks: &Marks, seq: u64) -> Vec<(String, u64)> {
        marks.counts(seq).iter().map(|one| (one.mark.to_string(), one.count)).collect()
    }

    #[test]
    fn a_mark_counts_once_for_each_user_and_byte_for_byte() {
        let (ann, bob) = (UserId::new(), UserId::new());
        let mut marks = Marks::new(0, Vec::new(), 100);
        for (user, text) in [(ann, "👍"), (ann, "👍"), (bob, "👍"), (ann, "👍🏽"), (bob, "done ")]
        {
            marks.set(1, user, &mark(text), true);
        }
        let expected = [("done ", 1), ("👍", 2), ("👍🏽", 1)];
        assert_eq!(counts(&marks, 1), expected.map(|(text, count)| (text.to_owned(), count)));
        marks.set(1, ann, &mark("👍"), false);
        marks.set(1, ann, &mark("👍"), false);
        assert!(marks.by(1, ann).eq([&mark("👍🏽")]));
        assert_eq!(counts(&marks, 1)[1], ("👍".to_owned(), 1));
        marks.delete(1);
        assert!(marks.knows(1) && counts(&marks, 1).is_empty() && marks.count == 0);
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_nothing() {
        let user = UserId::new();
        let given = |seq| Given { seq, mark: mark("x"), user };
        let mut marks = Marks::new(10, vec![given(11), given(13)], 100);
        assert_eq!(
            [9, 10, 11, 12, 13].map(|seq| marks.knows(seq)),
            [false, false, true, true, true]
        );
        marks.learn(9, vec![given(9)]);
        marks.forget(12);
        assert!(marks.knows(9) && !marks.knows(12));
        marks.learn(12, Vec::new());
        assert!(marks.knows(12) && counts(&marks, 12).is_empty());
        marks.delete(10);
        assert!(marks.knows(10));
    }

    #[test]
    fn what_is_forgotten_leaves_no_memory_behind() {
        let mut marks = Marks::new(0, Vec::new(), 10);
        for seq in 1..=10_000 {
            marks.set(seq, UserId::new(), &mark("x"), true);
            marks.trim(|_| false);
        }
        assert!(marks.of.len() <= 10 && marks.unknown.len() <= FEW, "{}", marks.unknown.len());
        // What is kept is known, and so is what comes.
        let known = (1..=10_001).filter(|seq| marks.knows(*seq));
        assert!(known.eq(9_991..=10_001));
    }

    proptest! {
        /// However much is marked, no more is kept than may be, and nothing that is kept is wrong.
        #[test]
        fn is_bounded_and_right(acts in prop::collection::vec((1u64..6, 0usize..8, 0usize..3, any::<bool>()), 0..200)) {
            let users: Vec<_> = (0..8).map(|_| UserId::new()).collect();
            let texts = ["a", "b", "c"].map(mark);
            let mut marks = Marks::new(0, Vec::new(), 10);
            let mut all: HashSet<(u64, usize, usize)> = HashSet::new();
            for (seq, user, text, on) in acts {
                if !marks.knows(seq) {
                    let of = all.iter().filter(|(of, ..)| *of == seq);
                    let given = of.map(|(seq, user, text)| Given {
                        seq: *seq, mark: texts[*text].clone(), user: users[*user],
                    });
                    marks.learn(seq, given.collect());
                }
                marks.set(seq, users[user], &texts[text], on);
                marks.trim(|in_use| in_use == seq);
                if on { all.insert((seq, user, text)); } else { all.remove(&(seq, user, text)); }
                for seq in (1..6).filter(|seq| marks.knows(*seq)) {
                    for (nth, text) in texts.iter().enumerate() {
                        let expected = all.iter().filter(|(of, _, text)| *of == seq && *text == nth).count() as u64;
                        let found = marks.counts(seq).iter().find(|one| one.mark == *text).map_or(0, |one| one.count);
                        prop_assert_eq!(found, expected);
                    }
                }
                prop_assert!(marks.count <= 10 || marks.of.len() == 1);
            }
        }
    }
}
