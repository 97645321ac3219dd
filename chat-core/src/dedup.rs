//! The client keys that a room has seen lately, so that a repeated write is answered without asking
//! the store. It may forget: the store's unique key is the truth.

use std::collections::HashMap;

use crate::command::Sent;
use crate::ids::UserId;
use crate::model::{ClientKey, Fingerprint};

/// Keys of one room in two generations: when the younger is full, the older is forgotten.
#[derive(Debug)]
pub(crate) struct Dedup {
    young: HashMap<(UserId, ClientKey), Written>,
    old: HashMap<(UserId, ClientKey), Written>,
    most: usize,
}

/// What was written with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) sent: Sent,
}

impl Dedup {
    /// Remembers at least the last `most` keys, at most twice as many.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most: most.max(1) }
    }

    /// Remembers what was written with a key.
    pub(crate) fn remember(&mut self, user: UserId, key: ClientKey, written: Written) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((user, key), written);
    }

    /// What was written with this key, if it is remembered.
    pub(crate) fn find(&self, user: UserId, key: &ClientKey) -> Option<Written> {
        let key = (user, key.clone());
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;

    fn sent(seq: u64) -> Sent {
        Sent { seq, at: Timestamp::UNIX_EPOCH }
    }

    proptest! {
        /// Against a map that never forgets: what is found is right, and the last `most` are found.
        #[test]
        fn finds_the_latest_and_nothing_wrong(keys in prop::collection::vec(0u8..60, 0..200), most in 1usize..20) {
            let user = UserId::new();
            let mut dedup = Dedup::new(most);
            let mut all = HashMap::new();
            let mut order: Vec<u8> = Vec::new();
            for (seq, key) in (1u64..).zip(keys) {
                let name = ClientKey::new(format!("k{key}")).unwrap();
                if let Some(found) = dedup.find(user, &name) {
                    prop_assert_eq!(Some(found), all.get(&key).copied());
                    continue;
                }
                let written = Written {
                    fingerprint: Fingerprint([key; 16]), sent: sent(seq),
                };
                dedup.remember(user, name, written);
                all.insert(key, written);
                order.push(key);
                for recent in order.iter().rev().take(most) {
                    let name = ClientKey::new(format!("k{recent}")).unwrap();
                    prop_assert_eq!(dedup.find(user, &name), all.get(recent).copied());
                }
                prop_assert!(dedup.young.len() + dedup.old.len() <= 2 * most);
            }
        }
    }

    #[test]
    fn keys_belong_to_users() {
        let mut dedup = Dedup::new(8);
        let (ann, bob) = (UserId::new(), UserId::new());
        let key = ClientKey::new("k").unwrap();
        let written = Written { fingerprint: Fingerprint([0; 16]), sent: sent(1) };
        dedup.remember(ann, key.clone(), written);
        assert!(dedup.find(ann, &key).is_some());
        assert!(dedup.find(bob, &key).is_none());
    }
}
