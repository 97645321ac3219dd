//! Locks by user, for what is not one step: whoever does it is alone with the user meanwhile. There are a few
//! for all users, so that none has to be made or forgotten; of two users who have the same, one waits for
//! the other.

use chat_core::UserId;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many may be held at once at most.
const LOCKS: usize = 64;

/// Locks, each of which is for some users.
pub(super) struct Locks(Vec<RwLock<()>>);

impl Default for Locks {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| RwLock::default()).collect())
    }
}

impl Locks {
    fn place(user: UserId) -> usize {
        // The last bits of a version 7 UUID are random.
        usize::from(user.uuid().as_bytes()[15]) % LOCKS
    }

    /// Nobody is alone with a user while this is held.
    pub(super) async fn shared(&self, user: UserId) -> RwLockReadGuard<'_, ()> {
        self.0[Self::place(user)].read().await
    }

    /// Whoever holds this is alone with a user.
    pub(super) async fn alone(&self, user: UserId) -> RwLockWriteGuard<'_, ()> {
        self.0[Self::place(user)].write().await
    }

    /// The same with two. Taken in one order, so that no two wait for each other.
    pub(super) async fn alone_with_both(
        &self,
        user: UserId,
        other: UserId,
    ) -> (RwLockWriteGuard<'_, ()>, Option<RwLockWriteGuard<'_, ()>>) {
        let (mut one, mut two) = (Self::place(user), Self::place(other));
        if one > two {
            std::mem::swap(&mut one, &mut two);
        }
        let first = self.0[one].write().await;
        let second = if two == one { None } else { Some(self.0[two].write().await) };
        (first, second)
    }
}
