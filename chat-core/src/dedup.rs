//! The client keys that a room has seen lately, so that a repeated write is answered without asking
//! the store. It may forget: the store's unique key is the truth.

use std::collections::HashMap;

use crate::command::{Reply, Sent};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::model::{ClientKey, Fingerprint};
use crate::store::UsedKey;

/// Keys of one room. Those of messages, of which there are many, do not take the place of others.
#[derive(Debug)]
pub(crate) struct Dedup {
    messages: Generations,
    changes: Generations,
    /// Whether there may be keys that are not here, because they were forgotten, or another process has
    /// written.
    incomplete: bool,
    /// Whether the room had older messages when it was loaded, whose keys are not here.
    older: bool,
}

/// Keys in two generations: when the younger is full, the older is forgotten.
#[derive(Debug)]
struct Generations {
    young: HashMap<(UserId, ClientKey), Written>,
    old: HashMap<(UserId, ClientKey), Written>,
    most: usize,
}

impl Generations {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most: most.max(1) }
    }

    /// Remembers a key. Answers whether others are forgotten.
    fn remember(&mut self, key: (UserId, ClientKey), written: Written) -> bool {
        let mut forgotten = false;
        if self.young.len() >= self.most {
            forgotten = !self.old.is_empty();
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, written);
        forgotten
    }

    fn find(&self, key: &(UserId, ClientKey)) -> Option<Written> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }
}

/// What was written with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) fingerprint: Fingerprint,
    /// What it got, if it was a message.
    pub(crate) sent: Option<Sent>,
}

impl Written {
    /// What somebody is answered who uses the key for this.
    pub(crate) fn answer(self, fingerprint: Fingerprint) -> Result<Reply> {
        if self.fingerprint != fingerprint {
            return Err(Error::key_conflict());
        }
        Ok(self.sent.map_or(Reply::Done, Reply::Sent))
    }
}

impl Dedup {
    /// Remembers at least the last `most` keys of messages and of changes, at most twice as many of each. It
    /// begins with these, which are all those of changes if `all`, and of messages but for some `older` ones.
    pub(crate) fn new(most: usize, used: Vec<UsedKey>, all: bool, older: bool) -> Self {
        let (messages, changes) = (Generations::new(most), Generations::new(most));
        let mut dedup = Self { messages, changes, incomplete: !all, older };
        for UsedKey { user, key, fingerprint, sent } in used {
            dedup.remember(user, key, Written { fingerprint, sent });
        }
        dedup
    }

    /// The room has changed otherwise than by what it knows to have been written: another process wrote, or an
    /// answer was lost.
    pub(crate) fn others_wrote(&mut self) {
        self.incomplete = true;
    }

    /// Whether a key that is not remembered may have been used all the same, but for messages that are older than
    /// what the room was loaded with.
    pub(crate) fn may_miss(&self) -> bool {
        self.incomplete
    }

    /// Whether a key that is not remembered may have been used for a message.
    pub(crate) fn may_miss_message(&self) -> bool {
        self.incomplete || self.older
    }

    /// Remembers what was written with a key.
    pub(crate) fn remember(&mut self, user: UserId, key: ClientKey, written: Written) {
        let kind = if written.sent.is_some() { &mut self.messages } else { &mut self.changes };
        self.incomplete |= kind.remember((user, key), written);
    }

    /// What was written with this key, if it is remembered.
    pub(crate) fn find(&self, user: UserId, key: &ClientKey) -> Option<Written> {
        let key = (user, key.clone());
        self.changes.find(&key).or_else(|| self.messages.find(&key))
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
            let mut dedup = Dedup::new(most, Vec::new(), true, false);
            let mut all = HashMap::new();
            let mut order: Vec<u8> = Vec::new();
            for (seq, key) in (1u64..).zip(keys) {
                let name = ClientKey::new(format!("k{key}")).unwrap();
                if let Some(found) = dedup.find(user, &name) {
                    prop_assert_eq!(Some(found), all.get(&key).copied());
                    continue;
                }
                let written = Written {
                    fingerprint: Fingerprint([key; 16]), sent: Some(sent(seq)),
                };
                dedup.remember(user, name, written);
                all.insert(key, written);
                order.push(key);
                for recent in order.iter().rev().take(most) {
                    let name = ClientKey::new(format!("k{recent}")).unwrap();
                    prop_assert_eq!(dedup.find(user, &name), all.get(recent).copied());
                }
                prop_assert!(dedup.messages.young.len() + dedup.messages.old.len() <= 2 * most);
                let forgotten = order.len() > dedup.messages.young.len() + dedup.messages.old.len();
                prop_assert_eq!(dedup.may_miss(), forgotten);
            }
        }
    }

    #[test]
    fn older_messages_leave_the_keys_of_changes_known() {
        for older in [false, true] {
            let mut dedup = Dedup::new(8, Vec::new(), true, older);
            assert_eq!((dedup.may_miss(), dedup.may_miss_message()), (false, older));
            dedup.others_wrote();
            assert!(dedup.may_miss() && dedup.may_miss_message());
        }
    }

    #[test]
    fn keys_belong_to_users() {
        let mut dedup = Dedup::new(8, Vec::new(), true, false);
        let (ann, bob) = (UserId::new(), UserId::new());
        let key = ClientKey::new("k").unwrap();
        let written = Written { fingerprint: Fingerprint([0; 16]), sent: Some(sent(1)) };
        dedup.remember(ann, key.clone(), written);
        assert!(dedup.find(ann, &key).is_some());
        assert!(dedup.find(bob, &key).is_none());
    }
}
