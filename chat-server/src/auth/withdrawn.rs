//! What has been withdrawn and still looks good: logins that have ended, and guests who have accounts by
//! now. Remembered for as long as a token of theirs could last.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chat_core::{Timestamp, UserId};
use uuid::Uuid;

use crate::auth::Claims;

/// What has been withdrawn.
#[derive(Debug)]
pub struct Withdrawn {
    logins: Until<Uuid>,
    guests: Until<UserId>,
}

impl Withdrawn {
    /// Nothing, for tokens that last for so long: of users, and of guests.
    #[must_use]
    pub fn new(access_ttl: Duration, guest_ttl: Duration) -> Self {
        Self { logins: Until::new(access_ttl), guests: Until::new(guest_ttl) }
    }

    /// A login has ended at this time: its tokens are void.
    pub fn end_login(&self, login: Uuid, at: Timestamp) {
        self.logins.note(login, at);
    }

    /// A guest has got an account at this time: the tokens of the guest are void.
    pub fn end_guest(&self, guest: UserId, at: Timestamp) {
        self.guests.note(guest, at);
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
            Some(login) => self.logins.has(&login),
            None => self.guests.has(&user),
        }
    }
}

/// Things that are remembered for a time.
#[derive(Debug)]
struct Until<T> {
    lasts: Duration,
    inner: RwLock<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    ended: HashMap<T, Timestamp>,
    /// In the order in which they came, which is nearly that of their times.
    order: VecDeque<T>,
}

impl<T: Copy + Eq + Hash> Until<T> {
    fn new(lasts: Duration) -> Self {
        let inner = Inner { ended: HashMap::new(), order: VecDeque::new() };
        Self { lasts, inner: RwLock::new(inner) }
    }

    fn note(&self, what: T, at: Timestamp) {
        // Nothing that runs under the lock leaves it half-changed.
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.ended.insert(what, at).is_none() {
            inner.order.push_back(what);
        }
        // Some seconds more than needed, for tokens that count in whole ones.
        let lasts = self.lasts + Duration::from_secs(5);
        while let Some(oldest) = inner.order.front().copied() {
            let since = inner.ended.get(&oldest).map(|since| (at - *since).to_std());
            if !since.is_some_and(|since| since.is_ok_and(|since| since > lasts)) {
                break;
            }
            inner.order.pop_front();
            inner.ended.remove(&oldest);
        }
    }

    fn has(&self, what: &T) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ended.contains_key(what)
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
            until.note(second, at(second));
            assert!(until.has(&second) && until.has(&(second - 60).max(0)), "{second}");
        }
        assert!(!until.has(&900));
        assert!(until.inner.read().unwrap().ended.len() < 70);
        assert_eq!(
            until.inner.read().unwrap().order.len(),
            until.inner.read().unwrap().ended.len()
        );
        // Noted again, it lasts as long as the first time said, or longer.
        until.note(999, at(2_000));
        assert!(until.has(&999));
    }
}
