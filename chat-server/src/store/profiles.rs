//! How people are called, and that they go for good, in SQL, the same for every database.

use chat_core::{RoomId, StoreError, Timestamp, User, UserId};
use sha2::{Digest, Sha256};
use sqlx::SqlStr;
use uuid::Uuid;

use super::logins::{end_all_but, replace_password};
use super::rows;
use super::sql::{Ids, Sql, Value, id, ms, sql};
use super::work::{Work, Worker};
use crate::people::{Departure, PasswordHash, ProfileChange};

sql!(SET_NAME, "UPDATE users SET name = ?, fixed = 1 WHERE id = ?");
sql!(ADD_NAME, "INSERT INTO users (id, name, fixed) VALUES (?, ?, 1)");
sql!(
    SET_NICKNAME,
    "UPDATE accounts SET nickname_folded = ?, renamed_ms = ? WHERE user = ? AND deleted_ms IS NULL"
);
sql!(SET_STATUS, "UPDATE accounts SET status = ? WHERE user = ? AND deleted_ms IS NULL");
sql!(KEY_OF, "SELECT username_key FROM accounts WHERE user = ?");
sql!(IS_DELETED, "SELECT user FROM accounts WHERE user = ? AND deleted_ms IS NOT NULL");
sql!(
    DELETE,
    "UPDATE accounts SET username = ?, username_key = ?, nickname_folded = ?, status = '', \
        password = NULL, deleted_ms = ? WHERE user = ?"
);
sql!(ADD_DEPARTURE, "INSERT INTO departures (user, erase, since_ms) VALUES (?, ?, ?)");
sql!(DEPARTURES, "SELECT user, erase FROM departures ORDER BY since_ms");
sql!(DEPARTED, "DELETE FROM departures WHERE user = ?");
sql!(
    ROOMS_OF,
    "SELECT public_id FROM rooms WHERE ended = 0 \
     AND id IN (SELECT room FROM changes WHERE user = ?)"
);

/// What is deleted of somebody who goes, beside the account. Each has the user twice.
const OF_PEOPLE: [SqlStr; 3] = [
    SqlStr::from_static("DELETE FROM friends WHERE user = ? OR friend = ?"),
    SqlStr::from_static("DELETE FROM friend_groups WHERE user = ? OR user = ?"),
    SqlStr::from_static("DELETE FROM blocks WHERE user = ? OR blocked = ?"),
];

/// Keeps how a user is called from now on.
pub(super) async fn set_name(sql: &mut impl Sql, user: &User) -> Result<(), sqlx::Error> {
    let (id, name) = (id(user.id), Value::Text(&user.name));
    if sql.execute(SET_NAME, &[name, id]).await?.rows == 0 {
        sql.execute(ADD_NAME, &[id, name]).await?;
    }
    Ok(())
}

/// What stands for the key of a username whose account is deleted, so that nobody can take it. It does not
/// say who had it; whoever guesses the name can tell that it was somebody's.
pub(super) fn hashed(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

struct Rename(User);

impl Work for Rename {
    type Answer = ();

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        set_name(sql, &self.0).await
    }
}

struct RoomsOf(UserId);

impl Work for RoomsOf {
    type Answer = Vec<RoomId>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let rooms = sql.select::<Ids>(ROOMS_OF, &[id(self.0)]).await?;
        rows::read_all(rooms, |(room,)| rows::room_id(&room))
    }
}

/// The user is called this from now on, whatever writes call it.
pub(super) async fn rename(database: &impl Worker, user: &User) -> Result<(), StoreError> {
    database.write(Rename(user.clone())).await
}

/// The rooms that know a user.
pub(super) async fn rooms_of(
    database: &impl Worker,
    user: UserId,
) -> Result<Vec<RoomId>, StoreError> {
    database.read(RoomsOf(user)).await
}

pub(super) struct ChangeProfile {
    pub(super) user: UserId,
    pub(super) change: ProfileChange,
    pub(super) now: Timestamp,
}

impl Work for ChangeProfile {
    type Answer = ();

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        let user = id(self.user);
        if let Some(name) = &self.change.nickname {
            let folded = name.to_lowercase();
            let values = [Value::Bytes(folded.as_bytes()), ms(self.now), user];
            // Of a deleted account nothing changes.
            if sql.execute(SET_NICKNAME, &values).await?.rows > 0 {
                set_name(sql, &User::new(self.user, name.clone())).await?;
            }
        }
        if let Some(status) = &self.change.status {
            sql.execute(SET_STATUS, &[Value::Text(status), user]).await?;
        }
        Ok(())
    }
}

/// How whoever goes is called from then on, which password it has shown, whether what it has written is
/// erased, and when it goes.
pub(super) struct DeleteAccount {
    pub(super) user: User,
    pub(super) shown: PasswordHash,
    pub(super) erase: bool,
    pub(super) now: Timestamp,
}

impl Work for DeleteAccount {
    type Answer = Option<Vec<Uuid>>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let user = id(self.user.id);
        if replace_password(sql, self.user.id, &self.shown, &self.shown).await? {
            // The row is this transaction's from here on.
            for (key,) in sql.select::<Ids>(KEY_OF, &[user]).await? {
                let (hashed, none) = (hashed(&key), Value::Bytes(&[]));
                let values = [none, Value::Bytes(&hashed), none, ms(self.now), user];
                sql.execute(DELETE, &values).await?;
            }
            set_name(sql, &self.user).await?;
            for text in OF_PEOPLE {
                sql.execute(text, &[user, user]).await?;
            }
            let erase = i64::from(self.erase).into();
            sql.execute(ADD_DEPARTURE, &[user, erase, ms(self.now)]).await?;
        } else if sql.select::<Ids>(IS_DELETED, &[user]).await?.is_empty() {
            return Ok(None);
        }
        end_all_but(sql, self.user.id, self.now, None).await.map(Some)
    }
}

pub(super) struct Departures;

impl Work for Departures {
    type Answer = Vec<Departure>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let departures = sql.select::<(Vec<u8>, bool)>(DEPARTURES, &[]).await?;
        rows::read_all(departures, |(user, erase)| {
            Ok(Departure { user: UserId::from(rows::uuid(&user)?), erase })
        })
    }
}

pub(super) struct Departed(pub(super) UserId);

impl Work for Departed {
    type Answer = ();

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        sql.execute(DEPARTED, &[id(self.0)]).await.map(drop)
    }
}
