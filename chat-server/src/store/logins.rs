//! Logins, and the tokens that prolong them, in SQL, the same for every database.

use chat_core::{Timestamp, UserId};
use sqlx::{FromRow, SqlStr};
use uuid::Uuid;

use super::rows::{self, Unreadable};
use super::sql::{Ids, Sql, Value, id, ms, sql, uuid};
use super::work::Work;
use crate::people::{NewLogin, PasswordHash, RefreshHash, Refreshed};

/// How many tokens are forgotten in one transaction.
const FORGET_AT_ONCE: i64 = 200;

// The new one, whose, the old one, and the new one: of an earlier attempt that has been committed after all.
sql!(
    REPLACE_PASSWORD,
    "UPDATE accounts SET password = ? \
     WHERE user = ? AND password IN (?, ?) AND deleted_ms IS NULL"
);
sql!(LOGIN_THERE, "SELECT user FROM logins WHERE id = ?");
sql!(ADD_LOGIN, "INSERT INTO logins (id, user, created_ms) VALUES (?, ?, ?)");
sql!(ADD_TOKEN, "INSERT INTO refresh_tokens (hash, login, expires_ms) VALUES (?, ?, ?)");
sql!(TOKEN_THERE, "SELECT login FROM refresh_tokens WHERE hash = ?");
sql!(
    USE_TOKEN,
    "UPDATE refresh_tokens SET used_ms = ? WHERE hash = ? AND used_ms IS NULL AND expires_ms > ?"
);
sql!(
    TOKEN,
    "SELECT t.login, t.used_ms, t.expires_ms, l.user, u.name, l.ended_ms \
     FROM refresh_tokens t JOIN logins l ON l.id = t.login JOIN users u ON u.id = l.user \
     WHERE t.hash = ?"
);
sql!(LOGINS_OF, "SELECT id FROM logins WHERE user = ?");
sql!(END_LOGIN, "UPDATE logins SET ended_ms = ? WHERE id = ? AND ended_ms IS NULL");
sql!(END_LOGINS, "UPDATE logins SET ended_ms = ? WHERE user = ? AND ended_ms IS NULL AND id <> ?");
sql!(ENDED_OF, "SELECT id, ended_ms FROM logins WHERE user = ? AND ended_ms = ?");
sql!(
    EXPIRED,
    "SELECT hash, login FROM refresh_tokens WHERE expires_ms < ? ORDER BY expires_ms LIMIT ?"
);
sql!(FORGET_TOKEN, "DELETE FROM refresh_tokens WHERE hash = ?");
sql!(
    FORGET_LOGIN,
    "DELETE FROM logins WHERE id = ? \
     AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.login = logins.id)"
);

#[derive(FromRow)]
struct TokenRow {
    login: Vec<u8>,
    used_ms: Option<i64>,
    expires_ms: i64,
    user: Vec<u8>,
    name: String,
    ended_ms: Option<i64>,
}

#[derive(FromRow)]
pub(super) struct EndedRow {
    id: Vec<u8>,
    ended_ms: i64,
}

impl EndedRow {
    pub(super) fn read(self) -> Result<(Uuid, Timestamp), Unreadable> {
        Ok((rows::uuid(&self.id)?, rows::time(self.ended_ms)?))
    }
}

/// Whether this login is kept.
pub(super) async fn is_there(sql: &mut impl Sql, login: Uuid) -> Result<bool, sqlx::Error> {
    Ok(!sql.select::<Ids>(LOGIN_THERE, &[uuid(login)]).await?.is_empty())
}

/// Keeps a login with its first token.
pub(super) async fn add_login(
    sql: &mut impl Sql,
    user: UserId,
    login: &NewLogin,
) -> Result<(), sqlx::Error> {
    // Of an earlier attempt, which has been committed after all.
    if is_there(sql, login.id).await? {
        return Ok(());
    }
    sql.execute(ADD_LOGIN, &[uuid(login.id), id(user), ms(login.created)]).await?;
    add_token(sql, &login.token, login.id, login.expires).await
}

async fn add_token(
    sql: &mut impl Sql,
    token: &RefreshHash,
    login: Uuid,
    expires: Timestamp,
) -> Result<(), sqlx::Error> {
    let values = [Value::Bytes(&token.0), uuid(login), ms(expires)];
    sql.execute(ADD_TOKEN, &values).await.map(drop)
}

/// Keeps a password in the place of another one, or of itself. Answers whether that is the one that is kept.
pub(super) async fn replace_password(
    sql: &mut impl Sql,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, sqlx::Error> {
    let (old, new) = (Value::Text(old.expose()), Value::Text(new.expose()));
    Ok(sql.execute(REPLACE_PASSWORD, &[new, id(user), old, new]).await?.rows > 0)
}

pub(super) struct BeginLogin {
    pub(super) user: UserId,
    pub(super) login: NewLogin,
    pub(super) shown: PasswordHash,
    pub(super) keep: PasswordHash,
}

impl Work for BeginLogin {
    type Answer = bool;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        // The row is this transaction's from here on: nobody deletes the account meanwhile.
        let holds = replace_password(sql, self.user, &self.shown, &self.keep).await?;
        if holds {
            add_login(sql, self.user, &self.login).await?;
        }
        Ok(holds)
    }
}

pub(super) struct LoginOf(pub(super) RefreshHash);

impl Work for LoginOf {
    type Answer = Option<Uuid>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let found = sql.select::<Ids>(TOKEN_THERE, &[Value::Bytes(&self.0.0)]).await?;
        Ok(found.first().map(|(login,)| rows::uuid(login)).transpose()?)
    }
}

pub(super) struct LoginsOf(pub(super) UserId);

impl Work for LoginsOf {
    type Answer = Vec<Uuid>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let logins = sql.select::<Ids>(LOGINS_OF, &[id(self.0)]).await?;
        rows::read_all(logins, |(login,)| rows::uuid(&login))
    }
}

pub(super) struct Refresh {
    pub(super) old: RefreshHash,
    pub(super) new: RefreshHash,
    pub(super) now: Timestamp,
    pub(super) expires: Timestamp,
}

impl Work for Refresh {
    type Answer = Refreshed;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Refreshed, sqlx::Error> {
        let old = Value::Bytes(&self.old.0);
        // The row is this transaction's from here on.
        let used = sql.execute(USE_TOKEN, &[ms(self.now), old, ms(self.now)]).await?.rows > 0;
        let found = sql.select::<TokenRow>(TOKEN, &[old]).await?.into_iter().next();
        let Some(found) = found.filter(|found| found.ended_ms.is_none()) else {
            return Ok(Refreshed::Unknown);
        };
        let (user, login) = (rows::user(&found.user, found.name)?, rows::uuid(&found.login)?);
        if used {
            add_token(sql, &self.new, login, self.expires).await?;
            return Ok(Refreshed::Done { user, login });
        }
        let Some(at) = found.used_ms else {
            debug_assert!(found.expires_ms <= self.now.timestamp_millis());
            return Ok(Refreshed::Unknown);
        };
        // By an earlier attempt, which has been committed after all.
        if !sql.select::<Ids>(TOKEN_THERE, &[Value::Bytes(&self.new.0)]).await?.is_empty() {
            return Ok(Refreshed::Done { user, login });
        }
        Ok(Refreshed::Used { user: user.id, login, at: rows::time(at)? })
    }
}

pub(super) struct EndLogin(pub(super) Uuid, pub(super) Timestamp);

impl Work for EndLogin {
    type Answer = bool;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        Ok(sql.execute(END_LOGIN, &[ms(self.1), uuid(self.0)]).await?.rows > 0)
    }
}

pub(super) struct EndLogins(pub(super) UserId, pub(super) Timestamp);

impl Work for EndLogins {
    type Answer = Vec<Uuid>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        end_all_but(sql, self.0, self.1, None).await
    }
}

/// The logins of a user that have ended at this time.
pub(super) async fn end_all_but(
    sql: &mut impl Sql,
    user: UserId,
    now: Timestamp,
    keep: Option<Uuid>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let keep = keep.unwrap_or(Uuid::nil());
    sql.execute(END_LOGINS, &[ms(now), id(user), uuid(keep)]).await?;
    let ended = sql.select::<EndedRow>(ENDED_OF, &[id(user), ms(now)]).await?;
    rows::read_all(ended, |row| row.read().map(|(id, _)| id))
}

pub(super) struct ForgetLogins(pub(super) Timestamp);

impl Work for ForgetLogins {
    type Answer = u64;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<u64, sqlx::Error> {
        let expired = [ms(self.0), FORGET_AT_ONCE.into()];
        let expired = sql.select::<(Vec<u8>, Vec<u8>)>(EXPIRED, &expired).await?;
        for (hash, _) in &expired {
            sql.execute(FORGET_TOKEN, &[Value::Bytes(hash)]).await?;
        }
        for (_, login) in &expired {
            sql.execute(FORGET_LOGIN, &[Value::Bytes(login)]).await?;
        }
        Ok(expired.len() as u64)
    }
}
