//! Accounts and logins in SQL, the same for every database.

use async_trait::async_trait;
use chat_core::{RoomId, StoreError, Timestamp, User, UserId};
use sqlx::{FromRow, SqlStr};
use uuid::Uuid;

use super::profiles::{self, ChangeProfile, DeleteAccount, Departed, Departures};
use super::rows::{self, Unreadable};
use super::sql::{Sql, Value, sql};
use super::work::{Work, Worker};
use crate::people::{
    Account, Created, Credentials, Departure, Ended, NewAccount, NewLogin, PasswordHash,
    PeopleStore, ProfileChange, RefreshHash, Refreshed, Search, Status, Username,
};

/// How many tokens are forgotten in one transaction.
const FORGET_AT_ONCE: i64 = 200;

/// What is selected of an account.
macro_rules! account {
    ($rest:literal) => {
        concat!(
            "SELECT a.user, u.name, a.username, a.password, a.status, a.created_ms \
             FROM accounts a JOIN users u ON u.id = a.user WHERE a.deleted_ms IS NULL AND ",
            $rest
        )
    };
}

sql!(BY_KEY, account!("a.username_key = ?"));
sql!(BY_USER, account!("a.user = ?"));
sql!(
    SEEN_BY,
    account!(
        "a.user = ? AND NOT EXISTS \
    (SELECT 1 FROM blocks b WHERE b.user = a.user AND b.blocked = ?)"
    )
);
// Beginning, the end of what begins so, those behind, who asks, how many.
sql!(
    BY_USERNAME,
    account!(
        "a.username >= ? AND a.username < ? AND a.username > ? AND NOT EXISTS \
            (SELECT 1 FROM blocks b WHERE b.user = a.user AND b.blocked = ?) \
         ORDER BY a.username LIMIT ?"
    )
);
sql!(
    BY_NICKNAME,
    account!(
        "a.nickname_folded >= ? AND a.nickname_folded < ? AND a.username > ? AND NOT EXISTS \
            (SELECT 1 FROM blocks b WHERE b.user = a.user AND b.blocked = ?) \
         ORDER BY a.username LIMIT ?"
    )
);
sql!(PAIR, "SELECT pair FROM rooms WHERE public_id = ?");
// The key, and what stands for it of a deleted account.
sql!(KEY_TAKEN, "SELECT user FROM accounts WHERE username_key IN (?, ?)");
sql!(USER_TAKEN, "SELECT user FROM accounts WHERE user = ?");
sql!(
    ADD_ACCOUNT,
    "INSERT INTO accounts \
        (user, username, username_key, nickname_folded, password, was_guest, created_ms) \
     VALUES (?, ?, ?, ?, ?, ?, ?)"
);
sql!(SET_PASSWORD, "UPDATE accounts SET password = ? WHERE user = ? AND deleted_ms IS NULL");
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
sql!(END_LOGIN, "UPDATE logins SET ended_ms = ? WHERE id = ? AND ended_ms IS NULL");
sql!(END_LOGINS, "UPDATE logins SET ended_ms = ? WHERE user = ? AND ended_ms IS NULL AND id <> ?");
sql!(ENDED_OF, "SELECT id, ended_ms FROM logins WHERE user = ? AND ended_ms = ?");
sql!(ENDED_SINCE, "SELECT id, ended_ms FROM logins WHERE ended_ms >= ?");
sql!(
    RENAMED_SINCE,
    "SELECT a.user, u.name, a.renamed_ms FROM accounts a JOIN users u ON u.id = a.user \
     WHERE a.renamed_ms >= ? AND a.deleted_ms IS NULL"
);
sql!(GUESTS_SINCE, "SELECT user, created_ms FROM accounts WHERE was_guest = 1 AND created_ms >= ?");
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

pub(super) fn id(user: UserId) -> Value<'static> {
    user.uuid().into_bytes().into()
}

pub(super) fn uuid(id: Uuid) -> Value<'static> {
    id.into_bytes().into()
}

pub(super) fn ms(time: Timestamp) -> Value<'static> {
    time.timestamp_millis().into()
}

#[derive(FromRow)]
struct AccountRow {
    user: Vec<u8>,
    name: String,
    username: Vec<u8>,
    password: Option<String>,
    status: String,
    created_ms: i64,
}

impl AccountRow {
    fn read(self) -> Result<Account, Unreadable> {
        Ok(Account {
            user: rows::user(&self.user, self.name)?,
            username: username(self.username)?,
            status: Status::new(self.status).map_err(|_| Unreadable("status line"))?,
            created: rows::time(self.created_ms)?,
        })
    }

    fn credentials(self) -> Result<Credentials, Unreadable> {
        let password = self.password.ok_or(Unreadable("password"))?;
        let password = PasswordHash::stored(password);
        Ok(Credentials { user: rows::user(&self.user, self.name)?, password })
    }
}

pub(super) fn username(stored: Vec<u8>) -> Result<Username, Unreadable> {
    let username = String::from_utf8(stored).ok();
    username.and_then(|username| Username::new(&username).ok()).ok_or(Unreadable("username"))
}

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
struct EndedRow {
    id: Vec<u8>,
    ended_ms: i64,
}

impl EndedRow {
    fn read(self) -> Result<(Uuid, Timestamp), Unreadable> {
        Ok((rows::uuid(&self.id)?, rows::time(self.ended_ms)?))
    }
}

type RenamedRow = (Vec<u8>, String, i64);

/// A row with an id, of which only matters whether it is there.
pub(super) type Ids = (Vec<u8>,);

async fn add_login(sql: &mut impl Sql, user: UserId, login: &NewLogin) -> Result<(), sqlx::Error> {
    // Of an earlier attempt, which has been committed after all.
    if !sql.select::<Ids>(LOGIN_THERE, &[uuid(login.id)]).await?.is_empty() {
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

struct CreateAccount(NewAccount, NewLogin);

impl Work for CreateAccount {
    type Answer = Created;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Created, sqlx::Error> {
        let Self(account, login) = self;
        let user = id(account.user.id);
        if !sql.select::<Ids>(USER_TAKEN, &[user]).await?.is_empty() {
            let own = sql.select::<Ids>(LOGIN_THERE, &[uuid(login.id)]).await?;
            return Ok(if own.is_empty() { Created::HasAccount } else { Created::Done });
        }
        let key = account.username.key();
        let deleted = profiles::hashed(key.as_bytes());
        let taken = [Value::Bytes(key.as_bytes()), Value::Bytes(&deleted)];
        if !sql.select::<Ids>(KEY_TAKEN, &taken).await?.is_empty() {
            return Ok(Created::UsernameTaken);
        }
        profiles::set_name(sql, &account.user).await?;
        let nickname = account.user.name.to_lowercase();
        let values = [
            user,
            Value::Bytes(account.username.as_bytes()),
            Value::Bytes(key.as_bytes()),
            Value::Bytes(nickname.as_bytes()),
            Value::Text(account.password.expose()),
            i64::from(account.was_guest).into(),
            ms(account.created),
        ];
        sql.execute(ADD_ACCOUNT, &values).await?;
        add_login(sql, account.user.id, login).await?;
        Ok(Created::Done)
    }
}

/// What somebody signs in with.
enum FindCredentials {
    By(Username),
    Of(UserId),
}

impl Work for FindCredentials {
    type Answer = Option<Credentials>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let found = match self {
            Self::By(username) => {
                let key = username.key();
                sql.select::<AccountRow>(BY_KEY, &[Value::Bytes(key.as_bytes())]).await?
            }
            Self::Of(user) => sql.select(BY_USER, &[id(*user)]).await?,
        };
        Ok(found.into_iter().next().map(AccountRow::credentials).transpose()?)
    }
}

struct FindAccount {
    user: UserId,
    asker: UserId,
}

impl Work for FindAccount {
    type Answer = Option<Account>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let values = [id(self.user), id(self.asker)];
        let found = sql.select::<AccountRow>(SEEN_BY, &values).await?;
        Ok(found.into_iter().next().map(AccountRow::read).transpose()?)
    }
}

impl Work for Search {
    type Answer = Vec<Account>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let beginning = self.beginning.as_bytes();
        // No text has this byte.
        let end = [beginning, &[0xff]].concat();
        let after = self.after.as_deref().unwrap_or_default().as_bytes();
        let asker = id(self.asker);
        let limit = rows::signed(self.limit as u64).into();
        let values =
            [Value::Bytes(beginning), Value::Bytes(&end), Value::Bytes(after), asker, limit];
        let mut found: Vec<AccountRow> = sql.select(BY_USERNAME, &values).await?;
        found.append(&mut sql.select(BY_NICKNAME, &values).await?);
        found.sort_by(|one, other| one.username.cmp(&other.username));
        found.dedup_by(|one, other| one.user == other.user);
        found.truncate(self.limit);
        rows::read_all(found, AccountRow::read)
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

struct FindPair(RoomId);

impl Work for FindPair {
    type Answer = Option<[UserId; 2]>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let id = self.0.uuid().into_bytes();
        let found = sql.select::<(Option<Vec<u8>>,)>(PAIR, &[id.into()]).await?;
        let Some((Some(pair),)) = found.into_iter().next() else { return Ok(None) };
        let (one, other) = pair.split_at(pair.len() / 2);
        Ok(Some([UserId::from(rows::uuid(one)?), UserId::from(rows::uuid(other)?)]))
    }
}

struct SetPassword {
    user: UserId,
    password: PasswordHash,
    ended: Option<Timestamp>,
    keep: Option<Uuid>,
}

impl Work for SetPassword {
    type Answer = Vec<Uuid>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let values = [Value::Text(self.password.expose()), id(self.user)];
        sql.execute(SET_PASSWORD, &values).await?;
        match self.ended {
            Some(now) => end_all_but(sql, self.user, now, self.keep).await,
            None => Ok(Vec::new()),
        }
    }
}

struct BeginLogin(UserId, NewLogin);

impl Work for BeginLogin {
    type Answer = ();

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        add_login(sql, self.0, &self.1).await
    }
}

struct Refresh {
    old: RefreshHash,
    new: RefreshHash,
    now: Timestamp,
    expires: Timestamp,
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

struct EndLogin(Uuid, Timestamp);

impl Work for EndLogin {
    type Answer = bool;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        Ok(sql.execute(END_LOGIN, &[ms(self.1), uuid(self.0)]).await?.rows > 0)
    }
}

struct EndLogins(UserId, Timestamp);

impl Work for EndLogins {
    type Answer = Vec<Uuid>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        end_all_but(sql, self.0, self.1, None).await
    }
}

struct EndedSince(Timestamp);

impl Work for EndedSince {
    type Answer = Ended;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Ended, sqlx::Error> {
        let logins = sql.select::<EndedRow>(ENDED_SINCE, &[ms(self.0)]).await?;
        let guests = sql.select::<(Vec<u8>, i64)>(GUESTS_SINCE, &[ms(self.0)]).await?;
        let renamed = sql.select::<RenamedRow>(RENAMED_SINCE, &[ms(self.0)]).await?;
        Ok(Ended {
            logins: rows::read_all(logins, EndedRow::read)?,
            guests: rows::read_all(guests, |(user, at)| {
                Ok((UserId::from(rows::uuid(&user)?), rows::time(at)?))
            })?,
            renamed: rows::read_all(renamed, |(user, name, at)| {
                Ok((rows::user(&user, name)?, rows::time(at)?))
            })?,
        })
    }
}

struct ForgetLogins(Timestamp);

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

#[async_trait]
impl<S: Worker> PeopleStore for S {
    async fn create_account(
        &self,
        account: &NewAccount,
        login: &NewLogin,
    ) -> Result<Created, StoreError> {
        self.write(CreateAccount(account.clone(), login.clone())).await
    }

    async fn credentials(&self, username: &Username) -> Result<Option<Credentials>, StoreError> {
        self.read(FindCredentials::By(username.clone())).await
    }

    async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, StoreError> {
        self.read(FindCredentials::Of(user)).await
    }

    async fn account(&self, user: UserId, asker: UserId) -> Result<Option<Account>, StoreError> {
        self.read(FindAccount { user, asker }).await
    }

    async fn search(&self, search: Search) -> Result<Vec<Account>, StoreError> {
        self.read(search).await
    }

    async fn pair(&self, room: RoomId) -> Result<Option<[UserId; 2]>, StoreError> {
        self.read(FindPair(room)).await
    }

    async fn set_password(
        &self,
        user: UserId,
        password: &PasswordHash,
        ended: Option<Timestamp>,
        keep: Option<Uuid>,
    ) -> Result<Vec<Uuid>, StoreError> {
        self.write(SetPassword { user, password: password.clone(), ended, keep }).await
    }

    async fn begin_login(&self, user: UserId, login: &NewLogin) -> Result<(), StoreError> {
        self.write(BeginLogin(user, login.clone())).await
    }

    async fn refresh(
        &self,
        old: &RefreshHash,
        new: &RefreshHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        self.write(Refresh { old: *old, new: *new, now, expires }).await
    }

    async fn end_login(&self, login: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        self.write(EndLogin(login, now)).await
    }

    async fn end_logins(&self, user: UserId, now: Timestamp) -> Result<Vec<Uuid>, StoreError> {
        self.write(EndLogins(user, now)).await
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Ended, StoreError> {
        self.read(EndedSince(since)).await
    }

    async fn change_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(ChangeProfile { user, change, now }).await
    }

    async fn delete_account(
        &self,
        user: &User,
        erase: bool,
        now: Timestamp,
    ) -> Result<Vec<Uuid>, StoreError> {
        self.write(DeleteAccount { user: user.clone(), erase, now }).await
    }

    async fn departures(&self) -> Result<Vec<Departure>, StoreError> {
        self.read(Departures).await
    }

    async fn departed(&self, user: UserId) -> Result<(), StoreError> {
        self.write(Departed(user)).await
    }

    async fn forget_logins(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(ForgetLogins(before)).await
    }
}
