//! Friends and blocks. Who is whose friend is each one's own affair: the other one is not asked, and learns
//! nothing. Only two who have each other are friends, and see whether the other one is there. Who is
//! blocked is told nothing either: it sees the one who has blocked it as if absent.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{Clock, StoreError, Timestamp, User, UserId};
use moka::future::Cache;
use tokio::sync::RwLock;
use uuid::Uuid;

use super::{PeopleError, Result, Username};

/// How many groups of friends one may have.
pub const MOST_GROUPS: usize = 100;
/// How many friends.
pub const MOST_FRIENDS: usize = 1_000;
/// How many one may block.
pub const MOST_BLOCKS: usize = 1_000;
/// How many characters the name of a group may have.
pub const GROUP_NAME_CHARS: usize = 32;

/// The name of a group of friends: 1 to 32 characters in one line, not only white space.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupName(String);

impl GroupName {
    /// Takes a name if the rules above allow it.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `bad_text`.
    pub fn new(text: String) -> Result<Self> {
        let actual = text.chars().count();
        if text.trim().is_empty() {
            return Err(PeopleError::TooShort { what: "name", least: 1, actual: 0 });
        }
        if actual > GROUP_NAME_CHARS {
            return Err(PeopleError::TooLong { what: "name", most: GROUP_NAME_CHARS, actual });
        }
        if text.chars().any(char::is_control) {
            let why = "it has control characters, such as a line break";
            return Err(PeopleError::BadText { what: "name", why });
        }
        Ok(Self(text))
    }
}

impl Deref for GroupName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A group of friends. Who is in none is in the default one, which has no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub id: Uuid,
    /// What it is called.
    pub name: GroupName,
    /// How many are in it.
    pub friends: u64,
}

/// Somebody's friend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Friend {
    /// Who.
    pub user: User,
    /// And under which username.
    pub username: Username,
    /// In which group; `None` for the default one.
    pub group: Option<Uuid>,
    /// Whether it is to stand first.
    pub favourite: bool,
    /// Whether it is not to be shown.
    pub hidden: bool,
    /// Whether each has the other, and neither has blocked the other.
    pub mutual: bool,
}

/// What is to change about a friend; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FriendChange {
    /// The group.
    pub group: Option<Option<Uuid>>,
    /// Whether it stands first.
    pub favourite: Option<bool>,
    /// Whether it is not shown.
    pub hidden: Option<bool>,
}

/// Somebody who is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Who.
    pub user: User,
    /// And under which username.
    pub username: Username,
    /// Since when.
    pub since: Timestamp,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done, or was before.
    Done,
    /// There is no such user, with an account.
    NoSuchUser,
    /// There is no such group, of this user's.
    NoSuchGroup,
    /// The user is not a friend.
    NotAFriend,
    /// There are as many as there may be.
    TooMany,
    /// The user is blocked by whoever asks.
    Blocked,
}

impl Changed {
    fn done(self, most: usize) -> Result<()> {
        match self {
            Self::Done => Ok(()),
            Self::NoSuchUser => Err(PeopleError::NoSuchUser),
            Self::NoSuchGroup => Err(PeopleError::NoSuchGroup),
            Self::NotAFriend => Err(PeopleError::NotAFriend),
            Self::TooMany => Err(PeopleError::TooMany(most)),
            Self::Blocked => Err(PeopleError::Blocked),
        }
    }
}

/// Where friends and blocks are kept. Each call is one transaction.
#[async_trait]
pub trait FriendStore: Send + Sync + 'static {
    /// A user's groups, oldest first.
    async fn groups(&self, user: UserId) -> Result<Vec<Group>, StoreError>;

    /// Adds a group, unless there are [`MOST_GROUPS`].
    async fn add_group(
        &self,
        user: UserId,
        id: Uuid,
        name: &GroupName,
    ) -> Result<Changed, StoreError>;

    /// Renames a group of the user's.
    async fn rename_group(
        &self,
        user: UserId,
        id: Uuid,
        name: &GroupName,
    ) -> Result<Changed, StoreError>;

    /// Removes a group of the user's; its friends fall into the default one.
    async fn remove_group(&self, user: UserId, id: Uuid) -> Result<Changed, StoreError>;

    /// A user's friends, favourites first, in the order of usernames.
    async fn friends(&self, user: UserId) -> Result<Vec<Friend>, StoreError>;

    /// One of them.
    async fn friend(&self, user: UserId, friend: UserId) -> Result<Option<Friend>, StoreError>;

    /// Adds a friend, if it is none yet and has an account, and changes what is said of it.
    async fn add_friend(
        &self,
        user: UserId,
        friend: UserId,
        change: FriendChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Changes what is said of a friend.
    async fn change_friend(
        &self,
        user: UserId,
        friend: UserId,
        change: FriendChange,
    ) -> Result<Changed, StoreError>;

    /// Removes a friend.
    async fn remove_friend(&self, user: UserId, friend: UserId) -> Result<(), StoreError>;

    /// Whom a user has blocked, latest first.
    async fn blocks(&self, user: UserId) -> Result<Vec<Blocked>, StoreError>;

    /// Blocks somebody with an account, who is no friend of the user's from then on.
    async fn block(
        &self,
        user: UserId,
        blocked: UserId,
        now: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Ends that.
    async fn unblock(&self, user: UserId, blocked: UserId) -> Result<(), StoreError>;
}

/// Friends and blocks of people with accounts.
pub struct Friends {
    store: Arc<dyn FriendStore>,
    clock: Arc<dyn Clock>,
    /// Whom users have blocked, as far as that has been asked.
    blocked: Cache<UserId, Arc<HashSet<UserId>>>,
    /// Held by whoever changes blocks, so that nobody remembers what has just changed.
    changing: RwLock<()>,
}

/// Of so many users is remembered whom they have blocked.
const MOST_KEPT: u64 = 100_000;

impl Friends {
    /// Those that a store knows.
    #[must_use]
    pub fn new(store: Arc<dyn FriendStore>, clock: Arc<dyn Clock>) -> Self {
        let blocked = Cache::builder().max_capacity(MOST_KEPT).build();
        Self { store, clock, blocked, changing: RwLock::default() }
    }

    /// A user's groups, oldest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn groups(&self, user: UserId) -> Result<Vec<Group>> {
        Ok(self.store.groups(user).await?)
    }

    /// Makes a group.
    ///
    /// # Errors
    /// `too_many`, `unavailable`.
    pub async fn add_group(&self, user: UserId, name: GroupName) -> Result<Group> {
        let id = Uuid::now_v7();
        self.store.add_group(user, id, &name).await?.done(MOST_GROUPS)?;
        Ok(Group { id, name, friends: 0 })
    }

    /// Renames a group of the user's.
    ///
    /// # Errors
    /// `no_such_group`, `unavailable`.
    pub async fn rename_group(&self, user: UserId, id: Uuid, name: &GroupName) -> Result<()> {
        self.store.rename_group(user, id, name).await?.done(MOST_GROUPS)
    }

    /// Removes a group of the user's; its friends fall into the default one.
    ///
    /// # Errors
    /// `no_such_group`, `unavailable`.
    pub async fn remove_group(&self, user: UserId, id: Uuid) -> Result<()> {
        self.store.remove_group(user, id).await?.done(MOST_GROUPS)
    }

    /// A user's friends, favourites first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn friends(&self, user: UserId) -> Result<Vec<Friend>> {
        Ok(self.store.friends(user).await?)
    }

    /// Adds a friend, or changes what is said of one.
    ///
    /// # Errors
    /// `bad_request` for oneself, `no_such_user`, `no_such_group`, `blocked`, `too_many`, `unavailable`.
    pub async fn add(&self, user: UserId, friend: UserId, change: FriendChange) -> Result<Friend> {
        not_oneself(user, friend)?;
        let added = self.store.add_friend(user, friend, change, self.clock.now()).await?;
        added.done(MOST_FRIENDS)?;
        self.friend(user, friend).await
    }

    /// Changes what is said of a friend.
    ///
    /// # Errors
    /// `not_a_friend`, `no_such_group`, `unavailable`.
    pub async fn change(
        &self,
        user: UserId,
        friend: UserId,
        change: FriendChange,
    ) -> Result<Friend> {
        self.store.change_friend(user, friend, change).await?.done(MOST_FRIENDS)?;
        self.friend(user, friend).await
    }

    async fn friend(&self, user: UserId, friend: UserId) -> Result<Friend> {
        self.store.friend(user, friend).await?.ok_or(PeopleError::NotAFriend)
    }

    /// Removes a friend, if it is one.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn remove(&self, user: UserId, friend: UserId) -> Result<()> {
        Ok(self.store.remove_friend(user, friend).await?)
    }

    /// Whom a user has blocked, latest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn blocks(&self, user: UserId) -> Result<Vec<Blocked>> {
        Ok(self.store.blocks(user).await?)
    }

    /// Blocks somebody, who is no friend of the user's from then on.
    ///
    /// # Errors
    /// `bad_request` for oneself, `no_such_user`, `too_many`, `unavailable`.
    pub async fn block(&self, user: UserId, blocked: UserId) -> Result<()> {
        not_oneself(user, blocked)?;
        let _changing = self.changing.write().await;
        let done = self.store.block(user, blocked, self.clock.now()).await;
        self.blocked.invalidate(&user).await;
        done?.done(MOST_BLOCKS)
    }

    /// Ends that.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn unblock(&self, user: UserId, blocked: UserId) -> Result<()> {
        let _changing = self.changing.write().await;
        let done = self.store.unblock(user, blocked).await;
        self.blocked.invalidate(&user).await;
        Ok(done?)
    }

    /// Whom a user has blocked: from memory, if that has been asked before.
    pub(super) async fn blocked_by(
        &self,
        user: UserId,
    ) -> Result<Arc<HashSet<UserId>>, Arc<PeopleError>> {
        let unchanged = self.changing.read().await;
        let read = async {
            let blocks = self.store.blocks(user).await.map_err(PeopleError::from)?;
            Ok(Arc::new(blocks.into_iter().map(|blocked| blocked.user.id).collect()))
        };
        let blocked = self.blocked.try_get_with(user, read).await;
        drop(unchanged);
        blocked
    }
}

fn not_oneself(user: UserId, other: UserId) -> Result<()> {
    if user == other { Err(PeopleError::Oneself) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_checked() {
        for (name, code) in [
            ("", "too_short"),
            (" \u{3000}", "too_short"),
            ("a\nb", "bad_text"),
            ("a\0", "bad_text"),
        ] {
            assert_eq!(GroupName::new(name.to_owned()).unwrap_err().code(), code, "{name:?}");
        }
        assert_eq!(GroupName::new("친".repeat(33)).unwrap_err().code(), "too_long");
        assert_eq!(&*GroupName::new("친".repeat(32)).unwrap(), "친".repeat(32));
    }
}
