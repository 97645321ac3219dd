//! Accounts in SQL, the same for every database; and all that is kept of people, as the rules ask for it.

use async_trait::async_trait;
use chat_core::{RoomId, StoreError, Timestamp, User, UserId};
use sqlx::{FromRow, SqlStr};
use uuid::Uuid;

use super::logins::{
    self, BeginLogin, EndLogin, EndLogins, EndedRow, ForgetLogins, LoginOf, LoginsOf, Refresh,
};
use super::profiles::{self, ChangeProfile, DeleteAccount, Departed, Departures};
use super::rows::{self, Unreadable};
use super::sql::{Ids, Sql, Value, id, ms, sql};
use super::work::{Work, Worker};
use crate::people::{
    Account, Created, Credentials, Departure, Ended, NewAccount, NewLogin, PasswordHash,
    PeopleStore, ProfileChange, RefreshHash, Refreshed, Search, Status, Username,
};

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
sql!(NAMED, "SELECT user FROM accounts WHERE username = ? AND deleted_ms IS NULL");
sql!(
    PAIR,
    "SELECT COALESCE(r.pair, p.pair) AS pair FROM rooms r LEFT JOIN threads t ON t.thread = r.id \
     LEFT JOIN rooms p ON p.id = t.room WHERE r.public_id = ?"
);
// The key, and what stands for it of a deleted account.
sql!(KEY_TAKEN, "SELECT user FROM accounts WHERE username_key IN (?, ?)");
sql!(USER_TAKEN, "SELECT user FROM accounts WHERE user = ?");
sql!(
    ADD_ACCOUNT,
    "INSERT INTO accounts \
        (user, username, username_key, nickname_folded, password, was_guest, created_ms) \
     VALUES (?, ?, ?, ?, ?, ?, ?)"
);
sql!(ENDED_SINCE, "SELECT id, ended_ms FROM logins WHERE ended_ms >= ?");
sql!(
    RENAMED_SINCE,
    "SELECT a.user, u.name, a.renamed_ms FROM accounts a JOIN users u ON u.id = a.user \
     WHERE a.renamed_ms >= ? AND a.deleted_ms IS NULL"
);
sql!(GUESTS_SINCE, "SELECT user, created_ms FROM accounts WHERE was_guest = 1 AND created_ms >= ?");

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
            username: rows::username(self.username)?,
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

type RenamedRow = (Vec<u8>, String, i64);

struct CreateAccount(NewAccount, NewLogin);

impl Work for CreateAccount {
    type Answer = Created;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Created, sqlx::Error> {
        let Self(account, login) = self;
        let user = id(account.user.id);
        if !sql.select::<Ids>(USER_TAKEN, &[user]).await?.is_empty() {
            let own = logins::is_there(sql, login.id).await?;
            return Ok(if own { Created::Done } else { Created::HasAccount });
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
        logins::add_login(sql, account.user.id, login).await?;
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

struct FindNamed(Username);

impl Work for FindNamed {
    type Answer = Option<UserId>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let found = sql.select::<Ids>(NAMED, &[Value::Bytes(self.0.as_bytes())]).await?;
        let user = found.first().map(|(user,)| rows::uuid(user)).transpose()?;
        Ok(user.map(UserId::from))
    }
}

struct SetPassword {
    user: UserId,
    old: PasswordHash,
    new: PasswordHash,
    now: Timestamp,
    keep: Uuid,
}

impl Work for SetPassword {
    type Answer = Option<Vec<Uuid>>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        if !logins::replace_password(sql, self.user, &self.old, &self.new).await? {
            return Ok(None);
        }
        logins::end_all_but(sql, self.user, self.now, Some(self.keep)).await.map(Some)
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

    async fn user_named(&self, username: &Username) -> Result<Option<UserId>, StoreError> {
        self.read(FindNamed(username.clone())).await
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
        (old, new): (&PasswordHash, &PasswordHash),
        now: Timestamp,
        keep: Uuid,
    ) -> Result<Option<Vec<Uuid>>, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        self.write(SetPassword { user, old, new, now, keep }).await
    }

    async fn begin_login(
        &self,
        user: UserId,
        login: &NewLogin,
        shown: &PasswordHash,
        keep: Option<&PasswordHash>,
    ) -> Result<bool, StoreError> {
        let (login, shown) = (login.clone(), shown.clone());
        let keep = keep.cloned().unwrap_or_else(|| shown.clone());
        self.write(BeginLogin { user, login, shown, keep }).await
    }

    async fn login_of(&self, token: &RefreshHash) -> Result<Option<Uuid>, StoreError> {
        self.read(LoginOf(*token)).await
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
        shown: &PasswordHash,
        erase: bool,
        now: Timestamp,
    ) -> Result<Option<Vec<Uuid>>, StoreError> {
        self.write(DeleteAccount { user: user.clone(), shown: shown.clone(), erase, now }).await
    }

    async fn departures(&self) -> Result<Vec<Departure>, StoreError> {
        self.read(Departures).await
    }

    async fn logins_of(&self, user: UserId) -> Result<Vec<Uuid>, StoreError> {
        self.read(LoginsOf(user)).await
    }

    async fn departed(&self, user: UserId) -> Result<(), StoreError> {
        self.write(Departed(user)).await
    }

    async fn forget_logins(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(ForgetLogins(before)).await
    }
}
