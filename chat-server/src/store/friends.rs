//! Friends and blocks in SQL, the same for every database.

use async_trait::async_trait;
use chat_core::{StoreError, Timestamp, UserId};
use sqlx::{FromRow, SqlStr};
use uuid::Uuid;

use super::inserts::{Making, insert_made};
use super::reads::find_made;
use super::rows::{self, Unreadable, number, username};
use super::sql::{Ids, Sql, Value, id, ms, sql, uuid};
use super::work::{Work, Worker};
use crate::people::{
    Blocked, Changed, Circle, Friend, FriendChange, FriendStore, Group, GroupName, MOST_BLOCKS,
    MOST_FRIENDS, MOST_GROUPS, Made, NewGroup, Reach,
};

sql!(
    GROUPS,
    "SELECT g.id, g.name, \
        (SELECT COUNT(*) FROM friends f WHERE f.user = g.user AND f.friend_group = g.id) AS friends \
     FROM friend_groups g WHERE g.user = ? ORDER BY g.id"
);
sql!(GROUP, "SELECT id FROM friend_groups WHERE user = ? AND id = ?");
sql!(GROUP_COUNT, "SELECT COUNT(*) FROM friend_groups WHERE user = ?");
sql!(ADD_GROUP, "INSERT INTO friend_groups (user, id, name) VALUES (?, ?, ?)");
sql!(RENAME_GROUP, "UPDATE friend_groups SET name = ? WHERE user = ? AND id = ?");
sql!(REMOVE_GROUP, "DELETE FROM friend_groups WHERE user = ? AND id = ?");
sql!(LEAVE_GROUP, "UPDATE friends SET friend_group = NULL WHERE user = ? AND friend_group = ?");

/// What is selected of a friend.
macro_rules! friend {
    ($rest:literal) => {
        concat!(
            "SELECT f.friend AS user, u.name, a.username, f.friend_group, f.favourite, f.hidden, \
                EXISTS (SELECT 1 FROM friends o WHERE o.user = f.friend AND o.friend = f.user) \
                AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user = f.friend AND b.blocked = f.user) \
                AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user = f.user AND b.blocked = f.friend) \
                AS mutual \
             FROM friends f JOIN users u ON u.id = f.friend \
             JOIN accounts a ON a.user = f.friend AND a.deleted_ms IS NULL \
             WHERE f.user = ?",
            $rest
        )
    };
}

sql!(FRIENDS, friend!(" ORDER BY f.favourite DESC, a.username"));
sql!(FRIEND, friend!(" AND f.friend = ?"));
sql!(FRIEND_COUNT, "SELECT COUNT(*) FROM friends WHERE user = ?");
sql!(FRIEND_THERE, "SELECT friend FROM friends WHERE user = ? AND friend = ?");
sql!(
    ADD_FRIEND,
    "INSERT INTO friends (user, friend, favourite, hidden, created_ms) VALUES (?, ?, 0, 0, ?)"
);
sql!(SET_GROUP, "UPDATE friends SET friend_group = ? WHERE user = ? AND friend = ?");
sql!(SET_FAVOURITE, "UPDATE friends SET favourite = ? WHERE user = ? AND friend = ?");
sql!(SET_HIDDEN, "UPDATE friends SET hidden = ? WHERE user = ? AND friend = ?");
sql!(REMOVE_FRIEND, "DELETE FROM friends WHERE user = ? AND friend = ?");
sql!(ACCOUNT_THERE, "SELECT user FROM accounts WHERE user = ? AND deleted_ms IS NULL");
// Guests have names, and no accounts.
sql!(
    USER_THERE,
    "SELECT u.id FROM users u LEFT JOIN accounts a ON a.user = u.id \
     WHERE u.id = ? AND a.deleted_ms IS NULL"
);
sql!(
    BLOCKS,
    "SELECT b.blocked AS user, u.name, a.username, b.created_ms \
     FROM blocks b JOIN users u ON u.id = b.blocked LEFT JOIN accounts a ON a.user = b.blocked \
     WHERE b.user = ? AND a.deleted_ms IS NULL ORDER BY b.created_ms DESC, b.blocked"
);
sql!(BLOCKED_BY, "SELECT blocked FROM blocks WHERE user = ?");
sql!(DELETED, "SELECT user FROM accounts WHERE user = ? AND deleted_ms IS NOT NULL");
sql!(
    NAME,
    "SELECT a.user, u.name FROM accounts a JOIN users u ON u.id = a.user \
     WHERE a.user = ? AND a.deleted_ms IS NULL"
);
sql!(
    MUTUAL,
    "SELECT f.friend FROM friends f JOIN friends o ON o.user = f.friend AND o.friend = f.user \
     WHERE f.user = ? \
        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user = f.friend AND b.blocked = f.user) \
        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user = f.user AND b.blocked = f.friend)"
);
sql!(BLOCK_COUNT, "SELECT COUNT(*) FROM blocks WHERE user = ?");
sql!(BLOCKED, "SELECT blocked FROM blocks WHERE user = ? AND blocked = ?");
sql!(BLOCK, "INSERT INTO blocks (user, blocked, created_ms) VALUES (?, ?, ?)");
sql!(UNBLOCK, "DELETE FROM blocks WHERE user = ? AND blocked = ?");

#[derive(FromRow)]
struct GroupRow {
    id: Vec<u8>,
    name: String,
    friends: i64,
}

impl GroupRow {
    fn read(self) -> Result<Group, Unreadable> {
        Ok(Group {
            id: rows::uuid(&self.id)?,
            name: GroupName::new(self.name).map_err(|_| Unreadable("name of a group"))?,
            friends: number(self.friends)?,
        })
    }
}

#[derive(FromRow)]
struct FriendRow {
    user: Vec<u8>,
    name: String,
    username: Vec<u8>,
    friend_group: Option<Vec<u8>>,
    favourite: bool,
    hidden: bool,
    mutual: bool,
}

impl FriendRow {
    fn read(self) -> Result<Friend, Unreadable> {
        Ok(Friend {
            user: rows::user(&self.user, self.name)?,
            username: username(self.username)?,
            group: self.friend_group.map(|group| rows::uuid(&group)).transpose()?,
            favourite: self.favourite,
            hidden: self.hidden,
            mutual: self.mutual,
        })
    }
}

#[derive(FromRow)]
struct BlockedRow {
    user: Vec<u8>,
    name: String,
    username: Option<Vec<u8>>,
    created_ms: i64,
}

impl BlockedRow {
    fn read(self) -> Result<Blocked, Unreadable> {
        Ok(Blocked {
            user: rows::user(&self.user, self.name)?,
            username: self.username.map(username).transpose()?,
            since: rows::time(self.created_ms)?,
        })
    }
}

/// Whether there is a row for these two.
async fn there(
    sql: &mut impl Sql,
    text: SqlStr,
    values: &[Value<'_>],
) -> Result<bool, sqlx::Error> {
    Ok(!sql.select::<Ids>(text, values).await?.is_empty())
}

/// Whether a user has `most` of something already.
async fn is_full(
    sql: &mut impl Sql,
    count: SqlStr,
    user: UserId,
    most: usize,
) -> Result<bool, sqlx::Error> {
    let count = sql.select::<(i64,)>(count, &[id(user)]).await?;
    Ok(count.first().is_some_and(|(count,)| *count >= rows::signed(most as u64)))
}

/// One thing to do for a user.
struct Of<T>(UserId, T);

struct Groups;

impl Work for Of<Groups> {
    type Answer = Vec<Group>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        rows::read_all(sql.select(GROUPS, &[id(self.0)]).await?, GroupRow::read)
    }
}

impl Work for Of<NewGroup> {
    type Answer = Made;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Made, sqlx::Error> {
        let Self(owner, group) = self;
        let NewGroup { id: new, name, at, .. } = group;
        let once = group.key.clone().map(|key| (key, group.fingerprint()));
        if let Some((key, fingerprint)) = &once
            && let Some((first, made)) = find_made(sql, Making::Group, *owner, key).await?
        {
            return Ok(if first == *fingerprint { Made::Done(made) } else { Made::KeyConflict });
        }
        let user = id(*owner);
        // By an earlier attempt, which has been committed after all.
        if there(sql, GROUP, &[user, uuid(*new)]).await? {
            return Ok(Made::Done(*new));
        }
        if is_full(sql, GROUP_COUNT, *owner, MOST_GROUPS).await? {
            return Ok(Made::TooMany);
        }
        sql.execute(ADD_GROUP, &[user, uuid(*new), Value::Text(name)]).await?;
        if let Some(once) = &once {
            insert_made(sql, Making::Group, (*new, *at), (*owner, once)).await?;
        }
        Ok(Made::Done(*new))
    }
}

enum GroupWork {
    Rename(Uuid, GroupName),
    Remove(Uuid),
}

impl Work for Of<GroupWork> {
    type Answer = Changed;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Changed, sqlx::Error> {
        let user = id(self.0);
        let rows = match &self.1 {
            GroupWork::Rename(group, name) => {
                sql.execute(RENAME_GROUP, &[Value::Text(name), user, uuid(*group)]).await?.rows
            }
            GroupWork::Remove(group) => {
                sql.execute(LEAVE_GROUP, &[user, uuid(*group)]).await?;
                sql.execute(REMOVE_GROUP, &[user, uuid(*group)]).await?.rows
            }
        };
        Ok(if rows > 0 { Changed::Done } else { Changed::NoSuchGroup })
    }
}

/// All friends, or one of them.
struct Find(Option<UserId>);

impl Work for Of<Find> {
    type Answer = Vec<Friend>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let found = match self.1.0 {
            Some(friend) => sql.select(FRIEND, &[id(self.0), id(friend)]).await?,
            None => sql.select(FRIENDS, &[id(self.0)]).await?,
        };
        rows::read_all(found, FriendRow::read)
    }
}

struct SetFriend {
    friend: UserId,
    change: FriendChange,
    /// When to add it, if it is none yet.
    add: Option<Timestamp>,
}

impl Work for Of<SetFriend> {
    type Answer = Changed;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Changed, sqlx::Error> {
        let Self(owner, SetFriend { friend, change, add }) = self;
        let (user, friend) = (id(*owner), id(*friend));
        if let Some(Some(group)) = change.group
            && !there(sql, GROUP, &[user, uuid(group)]).await?
        {
            return Ok(Changed::NoSuchGroup);
        }
        if !there(sql, FRIEND_THERE, &[user, friend]).await? {
            let Some(now) = add else { return Ok(Changed::NotAFriend) };
            if there(sql, BLOCKED, &[user, friend]).await? {
                return Ok(Changed::Blocked);
            }
            // Whoever has blocked the one who asks is not there for it.
            let seen = !there(sql, BLOCKED, &[friend, user]).await?;
            if !seen || !there(sql, ACCOUNT_THERE, &[friend]).await? {
                return Ok(Changed::NoSuchUser);
            }
            if is_full(sql, FRIEND_COUNT, *owner, MOST_FRIENDS).await? {
                return Ok(Changed::TooMany);
            }
            sql.execute(ADD_FRIEND, &[user, friend, ms(*now)]).await?;
        }
        if let Some(group) = change.group {
            let group = group.map_or(Value::Null, uuid);
            sql.execute(SET_GROUP, &[group, user, friend]).await?;
        }
        let flags = [(SET_FAVOURITE, change.favourite), (SET_HIDDEN, change.hidden)];
        for (text, flag) in flags.into_iter().filter_map(|(text, flag)| Some((text, flag?))) {
            sql.execute(text, &[i64::from(flag).into(), user, friend]).await?;
        }
        Ok(Changed::Done)
    }
}

enum Other {
    Unfriend(UserId),
    Unblock(UserId),
}

impl Work for Of<Other> {
    type Answer = ();

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        let (text, other) = match self.1 {
            Other::Unfriend(other) => (REMOVE_FRIEND, other),
            Other::Unblock(other) => (UNBLOCK, other),
        };
        sql.execute(text, &[id(self.0), id(other)]).await.map(drop)
    }
}

struct Blocks;

impl Work for Of<Blocks> {
    type Answer = Vec<Blocked>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        rows::read_all(sql.select(BLOCKS, &[id(self.0)]).await?, BlockedRow::read)
    }
}

struct Block(UserId, Timestamp);

impl Work for Of<Block> {
    type Answer = Changed;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Changed, sqlx::Error> {
        let Self(owner, Block(blocked, now)) = self;
        let (user, blocked) = (id(*owner), id(*blocked));
        if there(sql, BLOCKED, &[user, blocked]).await? {
            return Ok(Changed::Done);
        }
        if !there(sql, USER_THERE, &[blocked]).await? {
            return Ok(Changed::NoSuchUser);
        }
        if is_full(sql, BLOCK_COUNT, *owner, MOST_BLOCKS).await? {
            return Ok(Changed::TooMany);
        }
        sql.execute(BLOCK, &[user, blocked, ms(*now)]).await?;
        sql.execute(REMOVE_FRIEND, &[user, blocked]).await?;
        Ok(Changed::Done)
    }
}

struct FindReach(UserId);

impl Work for FindReach {
    type Answer = Reach;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Reach, sqlx::Error> {
        let user = [id(self.0)];
        if there(sql, DELETED, &user).await? {
            return Ok(Reach::Nobody);
        }
        rows::read_all(sql.select::<Ids>(BLOCKED_BY, &user).await?, read_user).map(Reach::AllBut)
    }
}

struct FindCircle(UserId);

impl Work for FindCircle {
    type Answer = Option<Circle>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let user = [id(self.0)];
        let name = sql.select::<(Vec<u8>, String)>(NAME, &user).await?.into_iter().next();
        let Some((found, name)) = name else { return Ok(None) };
        let friends = rows::read_all(sql.select::<Ids>(MUTUAL, &user).await?, read_user)?;
        Ok(Some(Circle { user: rows::user(&found, name)?, friends }))
    }
}

fn read_user((user,): Ids) -> Result<UserId, Unreadable> {
    rows::uuid(&user).map(UserId::from)
}

#[async_trait]
impl<S: Worker> FriendStore for S {
    async fn groups(&self, user: UserId) -> Result<Vec<Group>, StoreError> {
        self.read(Of(user, Groups)).await
    }

    async fn add_group(&self, user: UserId, group: &NewGroup) -> Result<Made, StoreError> {
        self.write(Of(user, group.clone())).await
    }

    async fn rename_group(
        &self,
        user: UserId,
        id: Uuid,
        name: &GroupName,
    ) -> Result<Changed, StoreError> {
        self.write(Of(user, GroupWork::Rename(id, name.clone()))).await
    }

    async fn remove_group(&self, user: UserId, id: Uuid) -> Result<Changed, StoreError> {
        self.write(Of(user, GroupWork::Remove(id))).await
    }

    async fn friends(&self, user: UserId) -> Result<Vec<Friend>, StoreError> {
        self.read(Of(user, Find(None))).await
    }

    async fn friend(&self, user: UserId, friend: UserId) -> Result<Option<Friend>, StoreError> {
        Ok(self.read(Of(user, Find(Some(friend)))).await?.pop())
    }

    async fn add_friend(
        &self,
        user: UserId,
        friend: UserId,
        change: FriendChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.write(Of(user, SetFriend { friend, change, add: Some(now) })).await
    }

    async fn change_friend(
        &self,
        user: UserId,
        friend: UserId,
        change: FriendChange,
    ) -> Result<Changed, StoreError> {
        self.write(Of(user, SetFriend { friend, change, add: None })).await
    }

    async fn remove_friend(&self, user: UserId, friend: UserId) -> Result<(), StoreError> {
        self.write(Of(user, Other::Unfriend(friend))).await
    }

    async fn blocks(&self, user: UserId) -> Result<Vec<Blocked>, StoreError> {
        self.read(Of(user, Blocks)).await
    }

    async fn reach(&self, user: UserId) -> Result<Reach, StoreError> {
        self.read(FindReach(user)).await
    }

    async fn circle(&self, user: UserId) -> Result<Option<Circle>, StoreError> {
        self.read(FindCircle(user)).await
    }

    async fn block(
        &self,
        user: UserId,
        blocked: UserId,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.write(Of(user, Block(blocked, now))).await
    }

    async fn unblock(&self, user: UserId, blocked: UserId) -> Result<(), StoreError> {
        self.write(Of(user, Other::Unblock(blocked))).await
    }
}
