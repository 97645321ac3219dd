//! What happens to somebody, in all places at once.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{CloseReason, Engine, Timestamp, User, UserId};
use uuid::Uuid;

use crate::auth::Withdrawn;
use crate::people::{FriendsPresence, Notice, Told};

/// Sees to it that what happens to somebody is so everywhere: first in its tokens, so that no new
/// connection comes about, and then in its connections and rooms.
pub(super) struct Everywhere {
    pub(super) engine: Engine,
    pub(super) withdrawn: Arc<Withdrawn>,
    pub(super) presence: FriendsPresence,
}

#[async_trait]
impl Told for Everywhere {
    fn login_ended(&self, user: UserId, login: Uuid, at: Timestamp) {
        self.withdrawn.end_login(login, at);
        self.engine.end_sessions(user, Some(login.into()), CloseReason::Withdrawn);
    }

    fn guest_signed_up(&self, guest: UserId, at: Timestamp) {
        self.withdrawn.end_guest(guest, at);
        self.engine.end_sessions(guest, None, CloseReason::Withdrawn);
    }

    async fn renamed(
        &self,
        user: &User,
        friends: &HashSet<UserId>,
        at: Timestamp,
    ) -> chat_core::Result<()> {
        self.withdrawn.rename(user, at);
        for friend in friends {
            self.presence.notify(*friend, Notice::Friends);
        }
        self.engine.rename(user).await
    }

    fn deleted(&self, user: UserId, logins: &[Uuid], friends: &HashSet<UserId>, at: Timestamp) {
        for login in logins {
            self.withdrawn.end_login(*login, at);
        }
        self.engine.end_sessions(user, None, CloseReason::Deleted);
        for friend in friends {
            self.presence.notify(*friend, Notice::Friends);
        }
    }

    async fn forget(&self, user: &User, erase: bool) -> chat_core::Result<()> {
        self.engine.forget(user, erase).await
    }
}
