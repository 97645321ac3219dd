//! What tokens do not know that still look good: logins that have ended, guests who have accounts by now,
//! users who are called otherwise. Remembered for as long as a token of theirs could last.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chat_core::{Name, Timestamp, User, UserId};
use uuid::Uuid;

use crate::auth::Claims;

/// What has been withdrawn, and what is called otherwise.
#[derive(Debug)]
pub struct Withdrawn {
    logins: Until<Uuid>,
    guests: Until<UserId>,
    names: Until<UserId, Name>,
}

impl Withdrawn {
    /// Nothing, for tokens that last for so long: of users, and of guests.
    #[must_use]
    pub fn new(access_ttl: Duration, guest_ttl: Duration) -> Self {
        Self {
            logins: Until::new(access_ttl),
            guests: Until::new(guest_ttl),
            names: Until::new(access_ttl),
        }
    }

    /// A login has ended at this time: its tokens are void.
    pub fn end_login(&self, login: Uuid, at: Timestamp) {
        self.logins.keep(login, (), at);
    }

    /// A guest has got an account at this time: the tokens of the guest are void.
    pub fn end_guest(&self, guest: UserId, at: Timestamp) {
        self.guests.keep(guest, (), at);
    }

    /// A user has got another nickname at this time: tokens of before name it wrongly.
    pub fn rename(&self, user: &User, at: Timestamp) {
        self.names.keep(user.id, user.name.clone(), at);
    }

    /// How the owner of this token is called by now, if otherwise than the token may say.
    #[must_use]
    pub fn name(&self, user: UserId) -> Option<Name> {
        self.names.get(&user)
    }

    /// Whether this token is void.
    #[must_use]
    pub fn is_withdrawn(&self, claims: &Claims) -> bool {
        self.has_ended(UserId::from(claims.sub), claims.sid)
    }

    /// Whether this login has ended or, without one, this guest has an account.
    #[must_use]
    pub fn has_ended(&self, user: UserId, login: Option<Uuid>) -> bool {
        match login {
            Some(login) => self.logins.get(&login).is_some(),
            None => self.guests.get(&user).is_some(),
        }
    }
}

/// Things that are remembered for a time.
#[derive(Debug)]
struct Until<K, V = ()> {
    lasts: Duration,
    inner: RwLock<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    kept: HashMap<K, (V, Timestamp)>,
    /// In the order in which they came, which is nearly that of their times. An entry counts only if the
    /// thing has not come again since.
    order: VecDeque<(K, Timestamp)>,
}

impl<K: Copy + Eq + Hash, V: Clone> Until<K, V> {
    fn new(lasts: Duration) -> Self {
        let inner = Inner { kept: HashMap::new(), order: VecDeque::new() };
        Self { lasts, inner: RwLock::new(inner) }
    }

    fn keep(&self, what: K, value: V, at: Timestamp) {
        // Nothing that runs under the lock leaves it half-changed.
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.kept.insert(what, (value, at));
        inner.order.push_back((what, at));
        // Some seconds more than needed, for tokens that count in whole ones.
        let lasts = self.lasts + Duration::from_secs(5);
        while let Some((oldest, since)) = inner.order.front().copied() {
            if !(at - since).to_std().is_ok_and(|since| since > lasts) {
                break;
            }
            inner.order.pop_front();
            if inner.kept.get(&oldest).is_some_and(|(_, last)| *last == since) {
                inner.kept.remove(&oldest);
            }
        }
    }

    fn get(&self, what: &K) -> Option<V> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.kept.get(what).map(|(value, _)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_good_any_more_is_forgotten() {
        let until = Until::new(Duration::from_secs(60));
        let at = |seconds: i64| Timestamp::from_timestamp(seconds, 0).unwrap();
        for second in 0..1_000 {
            until.keep(second, (), at(second));
            assert!(
                until.get(&second).is_some() && until.get(&(second - 60).max(0)).is_some(),
                "{second}"
            );
        }
        assert!(until.get(&900).is_none());
        assert!(until.inner.read().unwrap().kept.len() < 70);
        assert_eq!(until.inner.read().unwrap().order.len(), until.inner.read().unwrap().kept.len());
        // Noted again, it lasts as long as it would from then on, and keeps nothing else from going.
        let again = Until::new(Duration::from_secs(60));
        for second in 0..1_000 {
            again.keep(0, (), at(second));
            again.keep(second, (), at(second));
        }
        assert!(again.get(&0).is_some() && again.get(&900).is_none());
        assert!(again.inner.read().unwrap().kept.len() < 70);
        assert!(again.inner.read().unwrap().order.len() < 140);
        until.keep(999, (), at(2_000));
        assert!(until.get(&999).is_some());
    }
}
