//! Friends see each other come and go. Only two who have each other do, and neither has blocked the other:
//! whoever is blocked, or is no friend any more, sees somebody who has gone.

use std::sync::Arc;

use chat_core::{Engine, Presence, User, UserId};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::locks::Locks;
use super::{Friend, FriendChange, Friends, Result};

/// While so many users are being told of, nobody asks who else has come or gone: who that is is kept once each,
/// however often it comes and goes.
const MOST_TOLD: usize = 10_000;

/// What a user's own sessions are told, wherever it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A friend has come, gone, or left the keyboard.
    Friend {
        /// Who.
        user: User,
        /// How it is now.
        presence: Presence,
    },
    /// The user's list of friends, or of their groups, has changed.
    Friends,
    /// The user's list of those whom it has blocked has changed.
    Blocks,
    /// What the user says of itself has changed.
    Profile,
}

/// Tells friends of each other. Cheap to clone.
#[derive(Clone)]
pub struct FriendsPresence {
    engine: Engine,
    friends: Arc<Friends>,
    /// Whoever tells of a user, or changes who is told, is alone with it from the first look to the last one
    /// told, so that what is told last is how it is.
    telling: Arc<Locks>,
}

impl FriendsPresence {
    /// Of the users of this engine.
    #[must_use]
    pub fn new(engine: Engine, friends: Arc<Friends>) -> Self {
        Self { engine, friends, telling: Arc::default() }
    }

    /// Tells who comes and goes, as long as it is polled. Nobody who has to be waited for keeps others waiting.
    pub async fn run(self) {
        let mut watch = self.engine.watch_presence();
        let mut telling = FuturesUnordered::new();
        loop {
            tokio::select! {
                users = watch.changed(), if telling.len() < MOST_TOLD => {
                    telling.extend(users.into_iter().map(|user| self.tell(user)));
                }
                Some(()) = telling.next() => {}
            }
        }
    }

    /// Tells a user's friends how it is by now.
    async fn tell(&self, user: UserId) {
        let _alone = self.telling.alone(user).await;
        // What keeps it from being told is logged where it happens.
        if let Ok(Some(circle)) = self.friends.circle(user).await {
            let presence = self.engine.presence(user);
            for friend in &circle.friends {
                self.tell_one(*friend, &circle.user, presence);
            }
        }
    }

    fn tell_one(&self, to: UserId, user: &User, presence: Presence) {
        let notice =
            chat_core::Notice::about(user.id, Notice::Friend { user: user.clone(), presence });
        self.engine.notify(to, notice);
    }

    /// Tells all sessions of a user something.
    pub fn notify(&self, user: UserId, notice: Notice) {
        self.engine.notify(user, chat_core::Notice::new(notice));
    }

    /// Adds a friend, or changes what is said of one.
    ///
    /// # Errors
    /// As [`Friends::add`].
    pub async fn add(&self, user: UserId, friend: UserId, change: FriendChange) -> Result<Friend> {
        let _alone = self.telling.alone_with_both(user, friend).await;
        let added = self.change(user, friend, self.friends.add(user, friend, change)).await?;
        self.notify(user, Notice::Friends);
        Ok(added)
    }

    /// Removes a friend.
    ///
    /// # Errors
    /// As [`Friends::remove`].
    pub async fn remove(&self, user: UserId, friend: UserId) -> Result<()> {
        let _alone = self.telling.alone_with_both(user, friend).await;
        self.change(user, friend, self.friends.remove(user, friend)).await?;
        self.notify(user, Notice::Friends);
        Ok(())
    }

    /// Does something that may make two users friends, or end that, and tells them if it has. Whoever asks is
    /// alone with both.
    async fn change<T>(
        &self,
        user: UserId,
        other: UserId,
        change: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let before = self.are_friends(user, other).await;
        let done = change.await?;
        let after = self.are_friends(user, other).await;
        if before != after {
            for (to, of) in [(user, other), (other, user)] {
                if let Ok(Some(circle)) = self.friends.circle(of).await {
                    let seen = if after { self.engine.presence(of) } else { Presence::Offline };
                    self.tell_one(to, &circle.user, seen);
                }
            }
        }
        Ok(done)
    }

    /// Blocks somebody, who does not see the user come and go from then on; or ends that.
    ///
    /// # Errors
    /// As [`Friends::block`] and [`Friends::unblock`]; ask again.
    pub async fn block(&self, user: &User, other: UserId, block: bool) -> Result<()> {
        let change = async {
            if block {
                self.friends.block(user.id, other).await
            } else {
                self.friends.unblock(user.id, other).await
            }
        };
        let _alone = self.telling.alone_with_both(user.id, other).await;
        self.change(user.id, other, change).await?;
        self.engine.show_presence(user, other, !block).await?;
        self.notify(user.id, Notice::Blocks);
        Ok(())
    }

    async fn are_friends(&self, user: UserId, other: UserId) -> bool {
        let circle = self.friends.circle(user).await.ok().flatten();
        circle.is_some_and(|circle| circle.friends.contains(&other))
    }
}
