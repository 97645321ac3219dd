//! What is kept about people, as the rules need it. The SQL stores implement it.

use async_trait::async_trait;
use chat_core::{Name, RoomId, StoreError, Timestamp, User, UserId};
use uuid::Uuid;

use super::{PasswordHash, RefreshHash, Status, Username};

/// Where accounts are kept. Each call is one transaction.
#[async_trait]
pub trait PeopleStore: Send + Sync + 'static {
    /// Keeps a new account, with its first login. Answers what stood in its way, and then keeps nothing.
    async fn create_account(
        &self,
        account: &NewAccount,
        login: &NewLogin,
    ) -> Result<Created, StoreError>;

    /// The account with this username, or one that looks like it, unless it is deleted.
    async fn credentials(&self, username: &Username) -> Result<Option<Credentials>, StoreError>;

    /// What this user signs in with, unless the account is deleted.
    async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, StoreError>;

    /// The account of this user, unless it is deleted, or its owner has blocked whoever asks.
    async fn account(&self, user: UserId, asker: UserId) -> Result<Option<Account>, StoreError>;

    /// Whose username this is, letter for letter, unless the account is deleted.
    async fn user_named(&self, username: &Username) -> Result<Option<UserId>, StoreError>;

    /// As [`account`](Self::account), accounts that are looked for, in the order of usernames.
    async fn search(&self, search: Search) -> Result<Vec<Account>, StoreError>;

    /// The two members of a direct room, or of the one that a thread is in; `None` of any other room, and of
    /// none.
    async fn pair(&self, room: RoomId) -> Result<Option<[UserId; 2]>, StoreError>;

    /// Keeps another password in the place of this one, ends all logins but `keep`, and answers which;
    /// `None` if another one is kept by now, and then does nothing.
    async fn set_password(
        &self,
        user: UserId,
        (old, new): (&PasswordHash, &PasswordHash),
        now: Timestamp,
        keep: Uuid,
    ) -> Result<Option<Vec<Uuid>>, StoreError>;

    /// Keeps a login of a user who has shown this password, which is kept in another way from then on if
    /// one is given. Answers whether it is still the one that is kept; otherwise does nothing.
    async fn begin_login(
        &self,
        user: UserId,
        login: &NewLogin,
        shown: &PasswordHash,
        keep: Option<&PasswordHash>,
    ) -> Result<bool, StoreError>;

    /// The login of a refresh token, used or not.
    async fn login_of(&self, token: &RefreshHash) -> Result<Option<Uuid>, StoreError>;

    /// Exchanges a refresh token for another one, which lasts until `expires`. Of any number who try at
    /// once, one succeeds.
    async fn refresh(
        &self,
        old: &RefreshHash,
        new: &RefreshHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Refreshed, StoreError>;

    /// Ends a login. Answers whether it had not ended before.
    async fn end_login(&self, login: Uuid, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends all logins of a user, and answers which.
    async fn end_logins(&self, user: UserId, now: Timestamp) -> Result<Vec<Uuid>, StoreError>;

    /// The logins that have ended since, and the guests who have signed up since.
    async fn ended_since(&self, since: Timestamp) -> Result<Ended, StoreError>;

    /// Changes what is said of the user of an account.
    async fn change_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Deletes the account of a user, who is called so from then on: nobody can sign in with it or take
    /// its username, its friends, groups and blocks are gone, its logins end, and which they were is
    /// answered; `None` if another password is kept by now, and then does nothing. What rooms have of the user is left to the [departures](Self::departures).
    async fn delete_account(
        &self,
        user: &User,
        shown: &PasswordHash,
        erase: bool,
        now: Timestamp,
    ) -> Result<Option<Vec<Uuid>>, StoreError>;

    /// Those who have been deleted and not [departed](Self::departed) yet, oldest first.
    async fn departures(&self) -> Result<Vec<Departure>, StoreError>;

    /// All logins of a user that have not been forgotten, ended or not.
    async fn logins_of(&self, user: UserId) -> Result<Vec<Uuid>, StoreError>;

    /// A user has been forgotten everywhere.
    async fn departed(&self, user: UserId) -> Result<(), StoreError>;

    /// Forgets logins whose last token was good until before this time, or that ended before it; a piece
    /// of them. Answers how many tokens.
    async fn forget_logins(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// An account that is yet to be kept.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Who.
    pub user: User,
    /// What it signs in with.
    pub username: Username,
    /// And with what.
    pub password: PasswordHash,
    /// Whether the user has been a guest until now.
    pub was_guest: bool,
    /// When it signed up.
    pub created: Timestamp,
}

/// What stood in the way of a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Nothing: it is kept.
    Done,
    /// The username, or one that looks like it, is or has been somebody's.
    UsernameTaken,
    /// The user has an account already.
    HasAccount,
}

/// What somebody signs in with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who.
    pub user: User,
    /// What is kept of the password.
    pub password: PasswordHash,
}

/// An account as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who, and under which nickname.
    pub user: User,
    /// What it signs in with.
    pub username: Username,
    /// What it says of itself.
    pub status: Status,
    /// When it signed up.
    pub created: Timestamp,
}

/// What is to change about a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// How it is called.
    pub nickname: Option<Name>,
    /// What it says of itself.
    pub status: Option<Status>,
}

/// Somebody whose account is deleted and whom the rooms are to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Who.
    pub user: UserId,
    /// Whether what it has written is to be deleted too.
    pub erase: bool,
}

/// Which accounts are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Who asks.
    pub asker: UserId,
    /// How the username or the nickname begins, in lower case.
    pub beginning: String,
    /// Only those behind this username.
    pub after: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// A login that is yet to be kept: everything that one sign-in leads to, until it is ended.
#[derive(Clone, Debug)]
pub struct NewLogin {
    /// Its id.
    pub id: Uuid,
    /// What is kept of its first refresh token.
    pub token: RefreshHash,
    /// When it begins.
    pub created: Timestamp,
    /// Until when the token is good.
    pub expires: Timestamp,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It has been exchanged.
    Done {
        /// Whose it is.
        user: User,
        /// Of which login.
        login: Uuid,
    },
    /// It was exchanged before.
    Used {
        /// Whose it is.
        user: UserId,
        /// Of which login.
        login: Uuid,
        /// When.
        at: Timestamp,
    },
    /// Nobody's, or past its time, or of a login that has ended.
    Unknown,
}

/// What access tokens do not know yet that are still good by their own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Logins that have ended, and when.
    pub logins: Vec<(Uuid, Timestamp)>,
    /// Users who were guests and now have accounts, and since when.
    pub guests: Vec<(UserId, Timestamp)>,
    /// Users who have other nicknames, these, and since when.
    pub renamed: Vec<(User, Timestamp)>,
}
