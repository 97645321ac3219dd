//! How often somebody may guess. Each further wrong password makes the next one wait twice as long, for the
//! account from this address, for the address whatever the account, and, gently, for the account
//! whatever the address. Nobody is locked out for good, and who has signed in from an address before is not
//! made to wait by others' guesses from elsewhere.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use chat_core::UserId;
use uuid::Uuid;

use super::{PeopleError, lock};

/// How long a wrong password counts.
const COUNTS_FOR: Duration = Duration::from_secs(3_600);
/// How many things one list remembers, at about a hundred bytes each.
const MOST_KEPT: usize = 65_536;

/// How long somebody waits after how many attempts.
#[derive(Clone, Copy, Debug)]
struct Growth {
    /// So many need not wait.
    free: u32,
    /// The first wait; each later one is twice as long …
    first: Duration,
    /// … and at most this long.
    most: Duration,
}

/// For an account from one address.
const PAIR: Growth =
    Growth { free: 5, first: Duration::from_secs(1), most: Duration::from_secs(900) };
/// For an address, which may be that of many people.
const ADDRESS: Growth =
    Growth { free: 30, first: Duration::from_secs(1), most: Duration::from_secs(900) };
/// For an account, from addresses that it has not been signed in from.
const ACCOUNT: Growth =
    Growth { free: 10, first: Duration::from_secs(1), most: Duration::from_secs(8) };
/// For new accounts from an address.
const SIGN_UPS: Growth =
    Growth { free: 10, first: Duration::from_secs(10), most: Duration::from_secs(900) };

/// For another nickname, which everybody is told who is in a room with its user.
const RENAMES: Growth =
    Growth { free: 5, first: Duration::from_secs(10), most: Duration::from_secs(900) };

/// For exchanging the tokens of one login, which is to be done every few minutes.
const REFRESHES: Growth =
    Growth { free: 100, first: Duration::from_secs(1), most: Duration::from_secs(60) };

/// Where somebody comes from: one address, or the network that one IPv6 subscriber has.
type Origin = IpAddr;

/// What is remembered of attempts. Each is looked at and counted under one lock, so that as many get through
/// as may, however many come at once.
#[derive(Default)]
pub(super) struct Attempts {
    guesses: Mutex<Guesses>,
    sign_ups: Mutex<Waits<Origin>>,
    renames: Mutex<Waits<UserId>>,
    refreshes: Mutex<Waits<Uuid>>,
}

/// What is remembered of passwords that were tried.
#[derive(Default)]
struct Guesses {
    pairs: Waits<(String, Option<Origin>)>,
    addresses: Waits<Origin>,
    accounts: Waits<String>,
    /// Where accounts have been signed in from.
    known: HashMap<(String, Option<Origin>), Duration>,
}

/// An attempt that has been let through. It counts as a wrong one only if it is said to have been: what
/// could not be looked at was no guess.
pub(super) struct Attempt<'a> {
    attempts: &'a Attempts,
    account: String,
    origin: Option<Origin>,
    is_known: bool,
    judged: bool,
}

impl Attempts {
    /// Somebody tries a password for an account, from an address if that is known and not this machine's.
    /// Counted before the password is looked at, so that guessing many at once is of no use.
    ///
    /// # Errors
    /// `rate_limited`, and how long to wait.
    pub(super) fn try_password(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Duration,
    ) -> Result<Attempt<'_>, PeopleError> {
        let (account, origin) = (account.to_owned(), address.map(origin));
        let pair = (account.clone(), origin);
        let Guesses { pairs, addresses, accounts, known } = &mut *lock(&self.guesses);
        let is_known = known.contains_key(&pair);
        // All are asked before any is counted.
        let mut wait = pairs.left(&pair, now);
        if let Some(origin) = &origin {
            wait = wait.max(addresses.left(origin, now));
        }
        if !is_known {
            wait = wait.max(accounts.left(&account, now));
        }
        if wait > Duration::ZERO {
            return Err(PeopleError::TooManyAttempts(wait));
        }
        // Where nobody knows where anybody is from, one must not keep out all others.
        pairs.count(pair, if origin.is_some() { PAIR } else { ACCOUNT }, now);
        if let Some(origin) = origin {
            addresses.count(origin, ADDRESS, now);
        }
        if !is_known {
            accounts.count(account.clone(), ACCOUNT, now);
        }
        Ok(Attempt { attempts: self, account, origin, is_known, judged: false })
    }

    /// Somebody wants an account.
    ///
    /// # Errors
    /// `rate_limited`, and how long to wait.
    pub(super) fn sign_up(
        &self,
        address: Option<IpAddr>,
        now: Duration,
    ) -> Result<(), PeopleError> {
        let Some(address) = address else { return Ok(()) };
        lock(&self.sign_ups).one_more(origin(address), SIGN_UPS, now)
    }

    /// Somebody prolongs a login.
    ///
    /// # Errors
    /// `rate_limited`, and how long to wait.
    pub(super) fn refresh(&self, login: Uuid, now: Duration) -> Result<(), PeopleError> {
        lock(&self.refreshes).one_more(login, REFRESHES, now)
    }

    /// Somebody wants another nickname.
    ///
    /// # Errors
    /// `rate_limited`, and how long to wait.
    pub(super) fn rename(&self, user: UserId, now: Duration) -> Result<(), PeopleError> {
        lock(&self.renames).one_more(user, RENAMES, now)
    }
}

impl Attempt<'_> {
    /// The password was wrong.
    pub(super) fn was_wrong(mut self) {
        self.judged = true;
    }

    /// The password was right.
    pub(super) fn was_right(mut self, now: Duration) {
        self.judged = true;
        let Guesses { pairs, addresses, accounts, known } = &mut *lock(&self.attempts.guesses);
        if let Some(origin) = &self.origin {
            addresses.forgive(origin);
        }
        accounts.forget(&self.account);
        let pair = (std::mem::take(&mut self.account), self.origin);
        pairs.forget(&pair);
        if known.len() >= MOST_KEPT {
            // Those who have been here lately are kept.
            let mut times: Vec<_> = known.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(MOST_KEPT / 2);
            let middle = *middle;
            known.retain(|_, at| *at > middle);
        }
        known.insert(pair, now);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        let Guesses { pairs, addresses, accounts, .. } = &mut *lock(&self.attempts.guesses);
        if let Some(origin) = &self.origin {
            addresses.forgive(origin);
        }
        if !self.is_known {
            accounts.forgive(&self.account);
        }
        pairs.forgive(&(std::mem::take(&mut self.account), self.origin));
    }
}

/// Where an address belongs to. An IPv6 subscriber has 2^64 of them at least.
fn origin(address: IpAddr) -> Origin {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}

#[derive(Debug)]
struct Tries {
    count: u32,
    last: Duration,
    until: Duration,
}

struct Waits<K>(HashMap<K, Tries>);

impl<K> Default for Waits<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Waits<K> {
    /// How long is to be waited.
    fn left(&self, key: &K, now: Duration) -> Duration {
        self.0.get(key).map_or(Duration::ZERO, |tries| tries.until.saturating_sub(now))
    }

    /// Counts one more, unless there is something to wait for.
    fn one_more(&mut self, key: K, growth: Growth, now: Duration) -> Result<(), PeopleError> {
        match self.left(&key, now) {
            Duration::ZERO => {
                self.count(key, growth, now);
                Ok(())
            }
            wait => Err(PeopleError::TooManyAttempts(wait)),
        }
    }

    fn count(&mut self, key: K, growth: Growth, now: Duration) {
        let all = &mut self.0;
        if all.len() >= MOST_KEPT {
            all.retain(|_, tries| tries.counts(now));
        }
        if all.len() >= MOST_KEPT {
            // Whoever fills it has to wait for each of them to stay in it.
            all.retain(|_, tries| tries.until > now);
        }
        let tries = all.entry(key).or_insert(Tries { count: 0, last: now, until: now });
        if !tries.counts(now) {
            tries.count = 0;
        }
        (tries.count, tries.last) = (tries.count.saturating_add(1), now);
        if let Some(over) = tries.count.checked_sub(growth.free) {
            let wait = growth.first.saturating_mul(1 << over.min(20));
            tries.until = now + wait.min(growth.most);
        }
    }

    fn forgive(&mut self, key: &K) {
        if let Some(tries) = self.0.get_mut(key) {
            (tries.count, tries.until) = (tries.count.saturating_sub(1), tries.last);
        }
    }

    fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }
}

impl Tries {
    fn counts(&self, now: Duration) -> bool {
        now.saturating_sub(self.last.max(self.until)) < COUNTS_FOR
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const HERE: [u8; 4] = [192, 0, 2, 1];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn from(last: u8) -> Option<IpAddr> {
        Some([HERE[0], HERE[1], HERE[2], last].into())
    }

    /// Somebody tries a wrong password.
    fn guess(
        attempts: &Attempts,
        account: &str,
        from: Option<IpAddr>,
        now: Duration,
    ) -> Result<(), PeopleError> {
        attempts.try_password(account, from, now).map(Attempt::was_wrong)
    }

    /// How long somebody waits who tries again as soon as that is allowed.
    fn waits(
        attempts: &Attempts,
        tries: usize,
        address: impl Fn(usize) -> Option<IpAddr>,
    ) -> Vec<u64> {
        let (mut now, mut waits) = (Duration::ZERO, Vec::new());
        for nth in 0..tries {
            match guess(attempts, "alice", address(nth), now) {
                Ok(()) => waits.push(0),
                Err(PeopleError::TooManyAttempts(wait)) => {
                    waits.push(wait.as_secs());
                    now += wait;
                    assert!(guess(attempts, "alice", address(nth), now).is_ok());
                }
                Err(other) => panic!("{other}"),
            }
        }
        waits
    }

    #[test]
    fn guesses_wait_longer_and_longer_and_never_for_good() {
        let found = waits(&Attempts::default(), 20, |_| from(1));
        assert_eq!(found[..10], [0, 0, 0, 0, 0, 1, 2, 4, 8, 16]);
        assert_eq!(found[17..], [900, 900, 900]);
    }

    #[test]
    fn guessing_from_everywhere_is_slowed_down_but_gently() {
        let found = waits(&Attempts::default(), 20, |nth| from(nth as u8));
        assert_eq!(found[..14], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert!(found[14..].iter().all(|wait| *wait == 8));
    }

    #[test]
    fn guessing_many_accounts_from_one_address_waits_too() {
        let attempts = Attempts::default();
        for nth in 0..30 {
            let name = format!("user {nth}");
            assert!(guess(&attempts, &name, from(1), at(0)).is_ok(), "{nth}");
        }
        assert!(guess(&attempts, "another", from(1), at(0)).is_err());
        assert!(guess(&attempts, "another", from(2), at(0)).is_ok());
        // Addresses of one IPv6 network are one.
        let address = |last: u16| Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last).into());
        for nth in 0..30 {
            let name = format!("user {nth}");
            assert!(guess(&attempts, &name, address(nth), at(0)).is_ok());
        }
        assert!(guess(&attempts, "another", address(99), at(0)).is_err());
    }

    #[test]
    fn who_was_here_before_does_not_wait_for_others_guesses() {
        let attempts = Attempts::default();
        let right = attempts.try_password("alice", from(1), at(0)).unwrap();
        right.was_right(at(0));
        for nth in 0..50 {
            let now = at(nth * 900);
            guess(&attempts, "alice", from(2), now).ok();
            guess(&attempts, "alice", from(2 + nth as u8), now).ok();
        }
        let now = at(50 * 900);
        assert!(guess(&attempts, "alice", from(99), now - at(899)).is_err());
        assert!(guess(&attempts, "alice", from(1), now - at(899)).is_ok());
    }

    #[test]
    fn a_right_password_and_an_hour_begin_anew() {
        let attempts = Attempts::default();
        for _ in 0..5 {
            guess(&attempts, "alice", from(1), at(0)).unwrap();
        }
        assert!(guess(&attempts, "alice", from(1), at(0)).is_err());
        let right = attempts.try_password("alice", from(1), at(1)).unwrap();
        right.was_right(at(1));
        for _ in 0..5 {
            guess(&attempts, "alice", from(1), at(1)).unwrap();
        }
        assert!(guess(&attempts, "alice", from(1), at(1)).is_err());
        for _ in 0..5 {
            guess(&attempts, "alice", from(1), at(3_700)).unwrap();
        }
    }

    #[test]
    fn many_at_once_are_counted_before_any_is_looked_at() {
        let attempts = Attempts::default();
        let all = (0..100).filter(|_| guess(&attempts, "alice", from(1), at(0)).is_ok());
        assert_eq!(all.count(), 5);
        let all = (0..100).filter(|_| attempts.sign_up(from(7), at(0)).is_ok());
        assert_eq!(all.count(), 10);
        let all = (0..100).filter(|_| attempts.sign_up(None, at(0)).is_ok());
        assert_eq!(all.count(), 100);
    }

    #[test]
    fn as_many_get_through_as_may_however_many_threads_they_come_from() {
        for _ in 0..200 {
            let (attempts, together) = (Attempts::default(), Barrier::new(8));
            let (guesses, sign_ups) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let try_both = || {
                together.wait();
                for _ in 0..4 {
                    let guess = guess(&attempts, "alice", from(1), at(0));
                    guesses.fetch_add(usize::from(guess.is_ok()), Ordering::Relaxed);
                    let sign_up = attempts.sign_up(from(1), at(0));
                    sign_ups.fetch_add(usize::from(sign_up.is_ok()), Ordering::Relaxed);
                }
            };
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(try_both);
                }
            });
            assert_eq!((guesses.into_inner(), sign_ups.into_inner()), (5, 10));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for nth in 0..2 * MOST_KEPT as u32 {
            let address = Some(IpAddr::from((0x0a00_0000 + nth).to_be_bytes()));
            let right = attempts.try_password(&nth.to_string(), address, at(0)).unwrap();
            if nth % 2 == 0 {
                right.was_right(at(u64::from(nth)));
            }
        }
        let Guesses { pairs, addresses, accounts, known } = &*lock(&attempts.guesses);
        for len in [pairs.0.len(), addresses.0.len(), accounts.0.len(), known.len()] {
            assert!(len <= MOST_KEPT, "{len}");
        }
    }

    #[test]
    fn what_could_not_be_looked_at_was_no_guess() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            drop(attempts.try_password("alice", from(1), at(0)).unwrap());
        }
        for _ in 0..5 {
            guess(&attempts, "alice", from(1), at(0)).unwrap();
        }
        assert!(guess(&attempts, "alice", from(1), at(0)).is_err());
    }

    #[test]
    fn nobody_is_kept_out_for_long_where_nobody_knows_where_anybody_is_from() {
        let found = waits(&Attempts::default(), 30, |_| None);
        assert!(found.iter().all(|wait| *wait <= 8), "{found:?}");
    }

    #[test]
    fn a_login_is_prolonged_now_and_then_and_not_all_the_time() {
        let (attempts, login) = (Attempts::default(), Uuid::now_v7());
        let all = (0..200).filter(|_| attempts.refresh(login, at(0)).is_ok());
        assert_eq!(all.count(), 100);
        assert!(attempts.refresh(Uuid::now_v7(), at(0)).is_ok());
        assert!((1..50).all(|nth| attempts.refresh(login, at(nth * 300)).is_ok()));
    }
}
