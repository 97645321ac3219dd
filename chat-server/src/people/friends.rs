//! Friends and blocks. Who is whose friend is each one's own affair: the other one is not asked, and learns
//! nothing. Only two who have each other are friends, and see whether the other one is there. Who is
//! blocked is told nothing either: it sees the one who has blocked it as if absent.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{ClientKey, Clock, Error, Fingerprint, StoreError, Timestamp, User, UserId};
use moka::future::Cache;
use uuid::Uuid;

use super::locks::Locks;
use super::{GroupName, PeopleError, Result, Username};

/// How many groups of friends one may have.
pub const MOST_GROUPS: usize = 100;
/// How many friends.
pub const MOST_FRIENDS: usize = 1_000;
/// How many one may block.
pub const MOST_BLOCKS: usize = 1_000;

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

/// A group that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// Under which id.
    pub id: Uuid,
    /// What it is to be called.
    pub name: GroupName,
    /// With which key of the user's own, if it is to be made once however often that is asked. Remembered for
    /// [`limits::KEYS_LAST`](chat_core::limits::KEYS_LAST) at least.
    pub key: Option<ClientKey>,
    /// When.
    pub at: Timestamp,
}

impl NewGroup {
    /// Stands for everything in it that its key is for.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(&*self.name)
    }
}

/// What became of a group that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is made, or was before with the same key, under this id.
    Done(Uuid),
    /// There are as many as there may be.
    TooMany,
    /// The key was used for another one.
    KeyConflict,
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
    /// And under which username; guests have none.
    pub username: Option<Username>,
    /// Since when.
    pub since: Timestamp,
}

/// Who can turn to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody but those whom it has blocked.
    AllBut(HashSet<UserId>),
    /// Nobody: its account is deleted.
    Nobody,
}

/// Who sees whether a user is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// The user.
    pub user: User,
    /// Its friends who have it as a friend too, where neither has blocked the other.
    pub friends: HashSet<UserId>,
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

    /// Makes a group, unless there are [`MOST_GROUPS`].
    async fn add_group(&self, user: UserId, group: &NewGroup) -> Result<Made, StoreError>;

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

    /// Who can turn to a user.
    async fn reach(&self, user: UserId) -> Result<Reach, StoreError>;

    /// A user with an account, and its [`Circle`].
    async fn circle(&self, user: UserId) -> Result<Option<Circle>, StoreError>;

    /// Blocks a user whom anybody has met, who is no friend of the user's from then on.
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
    /// Who can turn to users, as far as that has been asked.
    reach: Cache<UserId, Arc<Reach>>,
    /// Who sees whether users are there, likewise; `None` of those without an account.
    circles: Cache<UserId, Option<Arc<Circle>>>,
    /// Whoever changes friends or blocks is alone with both users, so that nobody remembers what has just
    /// changed.
    changing: Locks,
}

/// So much is remembered, in ids of 16 bytes and what it takes to find them.
const MOST_KEPT: u64 = 1_000_000;

impl Friends {
    /// Those that a store knows.
    #[must_use]
    pub fn new(store: Arc<dyn FriendStore>, clock: Arc<dyn Clock>) -> Self {
        let reach = Cache::builder().max_capacity(MOST_KEPT).weigher(|_, reach: &Arc<Reach>| {
            weight(match &**reach {
                Reach::AllBut(blocked) => blocked.len(),
                Reach::Nobody => 0,
            })
        });
        let circles =
            Cache::builder().max_capacity(MOST_KEPT).weigher(|_, circle: &Option<Arc<Circle>>| {
                weight(circle.as_ref().map_or(0, |circle| circle.friends.len()))
            });
        let (reach, circles) = (reach.build(), circles.build());
        Self { store, clock, reach, circles, changing: Locks::default() }
    }

    /// A user's groups, oldest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn groups(&self, user: UserId) -> Result<Vec<Group>> {
        Ok(self.store.groups(user).await?)
    }

    /// Makes a group; with a key, once. What has become of it since is nothing to whoever asks again.
    ///
    /// # Errors
    /// `too_many`, `key_conflict`, `unavailable`.
    pub async fn add_group(
        &self,
        user: UserId,
        name: GroupName,
        key: Option<ClientKey>,
    ) -> Result<Group> {
        let group = NewGroup { id: Uuid::now_v7(), name, key, at: self.clock.now() };
        match self.store.add_group(user, &group).await? {
            Made::Done(id) => Ok(Group { id, name: group.name, friends: 0 }),
            Made::TooMany => Err(PeopleError::TooMany(MOST_GROUPS)),
            Made::KeyConflict => Err(Error::key_conflict().into()),
        }
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
        let _alone = self.changing.alone_with_both(user, friend).await;
        let added = self.store.add_friend(user, friend, change, self.clock.now()).await;
        self.changed(user, friend).await;
        added?.done(MOST_FRIENDS)?;
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
        let _alone = self.changing.alone_with_both(user, friend).await;
        let done = self.store.remove_friend(user, friend).await;
        self.changed(user, friend).await;
        Ok(done?)
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
        let _alone = self.changing.alone_with_both(user, blocked).await;
        let done = self.store.block(user, blocked, self.clock.now()).await;
        self.changed(user, blocked).await;
        done?.done(MOST_BLOCKS)
    }

    /// Ends that.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn unblock(&self, user: UserId, blocked: UserId) -> Result<()> {
        let _alone = self.changing.alone_with_both(user, blocked).await;
        let done = self.store.unblock(user, blocked).await;
        self.changed(user, blocked).await;
        Ok(done?)
    }

    /// What is known of two users may not be so any more.
    async fn changed(&self, user: UserId, other: UserId) {
        self.reach.invalidate(&user).await;
        self.circles.invalidate(&user).await;
        self.circles.invalidate(&other).await;
    }

    /// Forgets what is known of a user: it is called otherwise, or its account is deleted.
    pub(super) async fn forget(&self, user: UserId) {
        let _alone = self.changing.alone(user).await;
        let friends = self.circles.get(&user).await.flatten();
        for friend in friends.iter().flat_map(|circle| &circle.friends) {
            self.circles.invalidate(friend).await;
        }
        self.changed(user, user).await;
    }

    /// Who can turn to a user: from memory, if that has been asked before.
    pub(super) async fn reach(&self, user: UserId) -> Result<Arc<Reach>, Arc<PeopleError>> {
        if let Some(reach) = self.reach.get(&user).await {
            return Ok(reach);
        }
        let unchanged = self.changing.shared(user).await;
        let read = async { self.store.reach(user).await.map(Arc::new).map_err(PeopleError::from) };
        let reach = self.reach.try_get_with(user, read).await;
        drop(unchanged);
        reach
    }

    /// Who sees whether a user is there: from memory, if that has been asked before. `None` if it has no
    /// account.
    pub(super) async fn circle(
        &self,
        user: UserId,
    ) -> Result<Option<Arc<Circle>>, Arc<PeopleError>> {
        if let Some(circle) = self.circles.get(&user).await {
            return Ok(circle);
        }
        let unchanged = self.changing.shared(user).await;
        let read = async {
            let circle = self.store.circle(user).await.map_err(PeopleError::from)?;
            Ok(circle.map(Arc::new))
        };
        let circle = self.circles.try_get_with(user, read).await;
        drop(unchanged);
        circle
    }
}

/// What it weighs to remember so many ids.
fn weight(ids: usize) -> u32 {
    u32::try_from(ids).unwrap_or(u32::MAX).saturating_add(8)
}

fn not_oneself(user: UserId, other: UserId) -> Result<()> {
    if user == other { Err(PeopleError::Oneself) } else { Ok(()) }
}
