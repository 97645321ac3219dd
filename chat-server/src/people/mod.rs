//! People: who has an account, how they sign in, and for how long. Rules, over a trait that the SQL stores
//! implement; who asks over which wire is none of their business.
//!
//! What ends here ends at once: whoever is told by [`Endings`] voids the tokens and the connections.

mod attempts;
mod error;
mod friends;
mod login;
mod password;
mod rules;
mod store;
mod username;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::{Clock, Name, Timestamp, User, UserId, limits};
use uuid::Uuid;

use attempts::Attempts;

pub use error::PeopleError;
pub use friends::{
    Blocked, Changed, Friend, FriendChange, FriendStore, Friends, GROUP_NAME_CHARS, Group,
    GroupName, MOST_BLOCKS, MOST_FRIENDS, MOST_GROUPS,
};
pub use login::{RefreshHash, RefreshToken};
pub use password::{PASSWORD_CHARS, Password, PasswordHash, Passwords, Verdict};
pub use rules::Rules;
pub use store::{
    Account, Created, Credentials, Ended, NewAccount, NewLogin, PeopleStore, Refreshed, Search,
};
pub use username::{USERNAME_CHARS, Username};

/// The outcome of something about people.
pub type Result<T, E = PeopleError> = std::result::Result<T, E>;

/// How long after a refresh token has been exchanged somebody who shows it again is taken for the same
/// program, of which two parts refreshed at once, and not for a thief.
pub const REUSE_LEEWAY: Duration = Duration::from_secs(10);

/// Who is told what has ended.
pub trait Endings: Send + Sync + 'static {
    /// A login of this user has ended.
    fn login_ended(&self, user: UserId, login: Uuid, at: Timestamp);

    /// A guest has an account by now.
    fn guest_signed_up(&self, guest: UserId, at: Timestamp);
}

/// Somebody who has signed in or has stayed so.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The login that all tokens belong to.
    pub login: Uuid,
    /// What it is prolonged with, once.
    pub refresh: RefreshToken,
    /// Until when.
    pub expires: Timestamp,
}

/// Who wants an account.
#[derive(Debug)]
pub struct SignUp {
    /// What to sign in with.
    pub username: Username,
    /// And with what.
    pub password: Password,
    /// What others see; the guest's, or the username, unless given.
    pub nickname: Option<Name>,
    /// The guest who keeps rooms and messages.
    pub guest: Option<User>,
}

/// Accounts and logins.
pub struct People {
    store: Arc<dyn PeopleStore>,
    passwords: Passwords,
    clock: Arc<dyn Clock>,
    endings: Arc<dyn Endings>,
    refresh_ttl: Duration,
    attempts: Attempts,
}

impl People {
    /// The people whom a store knows; whoever is signed in has to refresh within `refresh_ttl`.
    #[must_use]
    pub fn new(
        store: Arc<dyn PeopleStore>,
        passwords: Passwords,
        clock: Arc<dyn Clock>,
        endings: Arc<dyn Endings>,
        refresh_ttl: Duration,
    ) -> Self {
        Self { store, passwords, clock, endings, refresh_ttl, attempts: Attempts::default() }
    }

    /// Makes an account and signs in.
    ///
    /// # Errors
    /// `username_taken`, `has_account`, `rate_limited` by address, `busy`, `unavailable`.
    pub async fn sign_up(&self, new: SignUp, from: Option<IpAddr>) -> Result<SignedIn> {
        self.attempts.sign_up(from, self.clock.elapsed())?;
        let SignUp { username, password, nickname, guest } = new;
        let password = self.passwords.hash(password).await?;
        let was_guest = guest.is_some();
        let name = match (nickname, &guest) {
            (Some(name), _) => name,
            (None, Some(guest)) => guest.name.clone(),
            (None, None) => {
                let name: String = username.chars().take(limits::NAME_CHARS).collect();
                Name::new(name)?
            }
        };
        let user = User::new(guest.map_or_else(UserId::new, |guest| guest.id), name);
        let (login, refresh) = self.new_login()?;
        let (created, expires) = (login.created, login.expires);
        let account = NewAccount { user, username, password, was_guest, created };
        match self.store.create_account(&account, &login).await? {
            Created::Done => {}
            Created::UsernameTaken => return Err(PeopleError::UsernameTaken),
            Created::HasAccount => return Err(PeopleError::HasAccount),
        }
        let user = account.user;
        if was_guest {
            self.endings.guest_signed_up(user.id, created);
        }
        Ok(SignedIn { user, login: login.id, refresh, expires })
    }

    /// Signs in. Takes as long for a stranger as for a wrong password.
    ///
    /// # Errors
    /// `bad_credentials`, whichever of the two is wrong; `rate_limited` after many wrong ones; `busy`,
    /// `unavailable`.
    pub async fn sign_in(
        &self,
        username: &str,
        password: Password,
        from: Option<IpAddr>,
    ) -> Result<SignedIn> {
        let username = Username::new(username).ok();
        // All that are no usernames are one.
        let account = username.as_ref().map(Username::key).unwrap_or_default();
        let attempt = self.attempts.try_password(&account, from, self.clock.elapsed())?;
        let found = match username {
            Some(username) => self.store.credentials(&username).await?,
            None => None,
        };
        let (user, kept) = found.map(|found| (found.user, found.password)).unzip();
        let verdict = self.passwords.verify(password, kept).await?;
        let Some(user) = user.filter(|_| verdict != Verdict::Wrong) else {
            return Err(PeopleError::BadCredentials);
        };
        self.attempts.was_right(attempt, self.clock.elapsed());
        if let Verdict::RightButOld(hash) = verdict {
            self.store.set_password(user.id, &hash, None, None).await?;
        }
        let (login, refresh) = self.new_login()?;
        self.store.begin_login(user.id, &login).await?;
        Ok(SignedIn { user, login: login.id, refresh, expires: login.expires })
    }

    /// Prolongs a login. A token that has been exchanged before ends its login.
    ///
    /// # Errors
    /// `refreshed_already` for [`REUSE_LEEWAY`], `bad_refresh_token`, `unavailable`.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<SignedIn> {
        let (now, next) = (self.clock.now(), RefreshToken::random()?);
        let expires = now + self.refresh_ttl;
        match self.store.refresh(&token.hash(), &next.hash(), now, expires).await? {
            Refreshed::Done { user, login } => Ok(SignedIn { user, login, refresh: next, expires }),
            Refreshed::Used { at, .. } if now - at <= leeway() => {
                Err(PeopleError::RefreshedAlready)
            }
            Refreshed::Used { user, login, .. } => {
                tracing::warn!(%user, %login, "a refresh token was used twice; the login ends");
                self.sign_out(user, login).await?;
                Err(PeopleError::BadRefreshToken)
            }
            Refreshed::Unknown => Err(PeopleError::BadRefreshToken),
        }
    }

    /// Ends a login.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn sign_out(&self, user: UserId, login: Uuid) -> Result<()> {
        let now = self.clock.now();
        self.store.end_login(login, now).await?;
        self.endings.login_ended(user, login, now);
        Ok(())
    }

    /// Ends all logins of a user.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn sign_out_everywhere(&self, user: UserId) -> Result<()> {
        let now = self.clock.now();
        let ended = self.store.end_logins(user, now).await?;
        self.ended(user, ended, now);
        Ok(())
    }

    /// Replaces a password, and ends all logins but the one that asks.
    ///
    /// # Errors
    /// `bad_credentials` for another old one, `rate_limited` after many; `no_account`, `busy`,
    /// `unavailable`.
    pub async fn change_password(
        &self,
        user: UserId,
        login: Uuid,
        (old, new): (Password, Password),
        from: Option<IpAddr>,
    ) -> Result<()> {
        // By the id, which is no username: signing in goes on while somebody guesses here.
        let account = user.to_string();
        let attempt = self.attempts.try_password(&account, from, self.clock.elapsed())?;
        let found = self.store.credentials_of(user).await?.ok_or(PeopleError::NoAccount)?;
        if self.passwords.verify(old, Some(found.password)).await? == Verdict::Wrong {
            return Err(PeopleError::WrongPassword);
        }
        self.attempts.was_right(attempt, self.clock.elapsed());
        let new = self.passwords.hash(new).await?;
        let now = self.clock.now();
        let ended = self.store.set_password(user, &new, Some(now), Some(login)).await?;
        self.ended(user, ended, now);
        Ok(())
    }

    /// An account, as `asker` sees it: not at all if its owner has blocked `asker`.
    ///
    /// # Errors
    /// `no_such_user`, `unavailable`.
    pub async fn account(&self, user: UserId, asker: UserId) -> Result<Account> {
        self.store.account(user, asker).await?.ok_or(PeopleError::NoSuchUser)
    }

    /// Accounts whose username or nickname begins in a certain way, in the order of usernames; without
    /// those whose owners have blocked whoever asks.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn search(&self, search: Search) -> Result<Vec<Account>> {
        let beginning = search.beginning.to_lowercase();
        Ok(self.store.search(Search { beginning, ..search }).await?)
    }

    /// Forgets logins that have been over for long, a piece of them; answers whether there may be more.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn forget_old_logins(&self) -> Result<bool> {
        Ok(self.store.forget_logins(self.clock.now()).await? > 0)
    }

    fn new_login(&self) -> Result<(NewLogin, RefreshToken)> {
        let (created, refresh) = (self.clock.now(), RefreshToken::random()?);
        let (id, token, expires) = (Uuid::now_v7(), refresh.hash(), created + self.refresh_ttl);
        Ok((NewLogin { id, token, created, expires }, refresh))
    }

    fn ended(&self, user: UserId, logins: Vec<Uuid>, at: Timestamp) {
        for login in logins {
            self.endings.login_ended(user, login, at);
        }
    }
}

fn leeway() -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(REUSE_LEEWAY).unwrap_or_default()
}
