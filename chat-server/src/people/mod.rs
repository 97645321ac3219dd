//! People: who has an account, how they sign in, and for how long. Rules, over a trait that the SQL stores
//! implement; who asks over which wire is none of their business.
//!
//! What ends here ends at once: whoever is told by [`Told`] voids the tokens and the connections.

mod attempts;
mod error;
mod friends;
mod line;
mod locks;
mod login;
mod mentions;
mod password;
mod presence;
mod rules;
mod store;
mod username;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::{Clock, Name, Timestamp, User, UserId, limits};
use tokio::sync::Notify;
use uuid::Uuid;

use attempts::Attempts;
use locks::Locks;

pub use error::PeopleError;
pub use friends::{
    Blocked, Changed, Circle, Friend, FriendChange, FriendStore, Friends, Group, MOST_BLOCKS,
    MOST_FRIENDS, MOST_GROUPS, Made, NewGroup, Reach,
};
pub use line::{GROUP_NAME_CHARS, GroupName, STATUS_CHARS, Status};
pub use login::{RefreshHash, RefreshToken};
pub use password::{PASSWORD_CHARS, Password, PasswordHash, Passwords, Verdict};
pub use presence::{FriendsPresence, Notice};
pub use rules::Rules;
pub use store::{
    Account, Created, Credentials, Departure, Ended, NewAccount, NewLogin, PeopleStore,
    ProfileChange, Refreshed, Search,
};
pub use username::{USERNAME_CHARS, Username};

/// The outcome of something about people.
pub type Result<T, E = PeopleError> = std::result::Result<T, E>;

/// How long after a refresh token has been exchanged somebody who shows it again is taken for the same
/// program, of which two parts refreshed at once, and not for a thief.
pub const REUSE_LEEWAY: Duration = Duration::from_secs(10);

/// What everybody calls somebody whose account is deleted.
pub const DELETED_NAME: &str = "deleted user";

/// Who is told what has happened to somebody who may have tokens and connections.
#[async_trait]
pub trait Told: Send + Sync + 'static {
    /// A login of this user has ended.
    fn login_ended(&self, user: UserId, login: Uuid, at: Timestamp);

    /// A guest has an account by now.
    fn guest_signed_up(&self, guest: UserId, at: Timestamp);

    /// A user has another nickname, this one, and these friends see it in their lists.
    ///
    /// # Errors
    /// If not everybody could be told. What is known so far is right, and may be told again.
    async fn renamed(
        &self,
        user: &User,
        friends: &HashSet<UserId>,
        at: Timestamp,
    ) -> chat_core::Result<()>;

    /// A user's account is deleted, and with it these logins have ended, and these friendships.
    fn deleted(&self, user: UserId, logins: &[Uuid], friends: &HashSet<UserId>, at: Timestamp);

    /// Whoever was deleted is to be forgotten by all rooms, and is called this from then on.
    ///
    /// # Errors
    /// If that could not be done, or not wholly; it may be told again.
    async fn forget(&self, user: &User, erase: bool) -> chat_core::Result<()>;
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
    friends: Arc<Friends>,
    told: Arc<dyn Told>,
    refresh_ttl: Duration,
    attempts: Attempts,
    /// Whoever names users otherwise, or deletes them, is alone with them until everybody has been told, so
    /// that what is told last is what is kept.
    naming: Locks,
    /// Users who have other nicknames, which not everybody has been told yet.
    untold: Mutex<HashSet<UserId>>,
    somebody_left: Notify,
}

impl People {
    /// The people whom a store knows; whoever is signed in has to refresh within `refresh_ttl`.
    #[must_use]
    pub fn new(
        store: Arc<dyn PeopleStore>,
        passwords: Passwords,
        clock: Arc<dyn Clock>,
        friends: Arc<Friends>,
        told: Arc<dyn Told>,
        refresh_ttl: Duration,
    ) -> Self {
        let (attempts, naming, untold, somebody_left) = Default::default();
        Self {
            store,
            passwords,
            clock,
            friends,
            told,
            refresh_ttl,
            attempts,
            naming,
            untold,
            somebody_left,
        }
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
            self.told.guest_signed_up(user.id, created);
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
        let kept = found.as_ref().map(|found| found.password.clone());
        let verdict = self.passwords.verify(password, kept).await?;
        let Some(found) = found.filter(|_| verdict != Verdict::Wrong) else {
            attempt.was_wrong();
            return Err(PeopleError::BadCredentials);
        };
        let (login, refresh) = self.new_login()?;
        let keep = match &verdict {
            Verdict::RightButOld(hash) => Some(hash),
            _ => None,
        };
        let Credentials { user, password } = found;
        // It may have been changed, or the account deleted, while it was being looked at.
        if !self.store.begin_login(user.id, &login, &password, keep).await? {
            return Err(PeopleError::BadCredentials);
        }
        attempt.was_right(self.clock.elapsed());
        Ok(SignedIn { user, login: login.id, refresh, expires: login.expires })
    }

    /// Prolongs a login. A token that has been exchanged before ends its login.
    ///
    /// # Errors
    /// `refreshed_already` for [`REUSE_LEEWAY`], `bad_refresh_token`, `rate_limited` if one login is
    /// prolonged again and again, `unavailable`.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<SignedIn> {
        // Looked for first: what is none costs no transaction that writes.
        let login = self.store.login_of(&token.hash()).await?;
        let login = login.ok_or(PeopleError::BadRefreshToken)?;
        self.attempts.refresh(login, self.clock.elapsed())?;
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
        self.told.login_ended(user, login, now);
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
        (old, new): (Option<Password>, Password),
        from: Option<IpAddr>,
    ) -> Result<()> {
        let old = self.confirm(user, old, "old", from).await?;
        let new = self.passwords.hash(new).await?;
        let now = self.clock.now();
        let ended = self.store.set_password(user, (&old, &new), now, login).await?;
        let ended = ended.ok_or(PeopleError::WrongPassword { what: "old" })?;
        self.ended(user, ended, now);
        Ok(())
    }

    /// Changes what is said of a user with an account, and answers that.
    ///
    /// # Errors
    /// `no_account`, `rate_limited` after many nicknames, `unavailable`; then ask again.
    pub async fn change_profile(&self, user: UserId, change: ProfileChange) -> Result<Account> {
        let _alone = self.naming.alone(user).await;
        let own = async || self.store.account(user, user).await?.ok_or(PeopleError::NoAccount);
        let (before, now) = (own().await?, self.clock.now());
        let other = change.nickname.as_ref().is_some_and(|name| *name != before.user.name);
        // What is kept already is told again if it has gone no further the last time.
        let renames = other || (change.nickname.is_some() && lock(&self.untold).contains(&user));
        if other {
            self.attempts.rename(user, self.clock.elapsed())?;
            lock(&self.untold).insert(user);
        }
        self.store.change_profile(user, change, now).await?;
        let account = own().await?;
        if renames {
            self.friends.forget(user).await;
            let friends = self.friends_of(user).await;
            self.told.renamed(&account.user, &friends, now).await?;
            lock(&self.untold).remove(&user);
        }
        Ok(account)
    }

    /// Deletes an account for good. Its user is gone at once; that rooms forget it, and with `erase` what
    /// it has written, is done in the background.
    ///
    /// # Errors
    /// `bad_credentials` for another password, `rate_limited` after many; `no_account`, `busy`,
    /// `unavailable`.
    pub async fn delete(
        &self,
        user: UserId,
        password: Option<Password>,
        erase: bool,
        from: Option<IpAddr>,
    ) -> Result<()> {
        let shown = self.confirm(user, password, "password", from).await?;
        let _alone = self.naming.alone(user).await;
        let (now, friends) = (self.clock.now(), self.friends_of(user).await);
        let deleted = self.store.delete_account(&nobody(user)?, &shown, erase, now).await;
        // Also if nobody knows whether it was committed: then what it leads to is found there.
        self.somebody_left.notify_one();
        let logins = deleted?.ok_or(PeopleError::WrongPassword { what: "password" })?;
        self.friends.forget(user).await;
        self.told.deleted(user, &logins, &friends, now);
        Ok(())
    }

    /// Whoever sees a user come and go, as far as that can be known.
    async fn friends_of(&self, user: UserId) -> HashSet<UserId> {
        let circle = self.friends.circle(user).await.ok().flatten();
        circle.map(|circle| circle.friends.clone()).unwrap_or_default()
    }

    /// Sees to it that everybody is forgotten who is deleted. Answers whether all are.
    pub async fn forget_departed(&self) -> bool {
        let departures = match self.store.departures().await {
            Ok(departures) => departures,
            Err(error) => {
                tracing::error!(%error, "could not read who is to be forgotten; trying again later");
                return false;
            }
        };
        let mut all = true;
        for departure in departures {
            // One who cannot be forgotten keeps nobody else from it.
            if let Err(error) = self.forget(departure).await {
                let Departure { user, .. } = departure;
                tracing::error!(%error, %user, "could not forget a user everywhere; trying again later");
                all = false;
            }
        }
        all
    }

    async fn forget(&self, Departure { user, erase }: Departure) -> Result<()> {
        // What has been told already is told again if nobody knew whether it was to be.
        let now = self.clock.now();
        self.friends.forget(user).await;
        let logins = self.store.logins_of(user).await?;
        self.told.deleted(user, &logins, &HashSet::new(), now);
        // Whoever gives it a name of its own by now began before it was deleted, and has ended after this.
        drop(self.naming.alone(user).await);
        self.told.forget(&nobody(user)?, erase).await?;
        self.store.departed(user).await?;
        tracing::info!(%user, erase, "a user is forgotten");
        Ok(())
    }

    /// Returns once somebody has been deleted since this last returned.
    pub async fn somebody_left(&self) {
        self.somebody_left.notified().await;
    }

    /// Makes sure that whoever is signed in knows the password; what cannot be one is wrong. Answers what is
    /// kept of it.
    async fn confirm(
        &self,
        user: UserId,
        password: Option<Password>,
        what: &'static str,
        from: Option<IpAddr>,
    ) -> Result<PasswordHash> {
        // By the id, which is no username: signing in goes on while somebody guesses here.
        let account = user.to_string();
        let attempt = self.attempts.try_password(&account, from, self.clock.elapsed())?;
        let found = self.store.credentials_of(user).await?.ok_or(PeopleError::NoAccount)?;
        let verdict = match password {
            Some(password) => self.passwords.verify(password, Some(found.password.clone())).await?,
            None => Verdict::Wrong,
        };
        if verdict == Verdict::Wrong {
            attempt.was_wrong();
            return Err(PeopleError::WrongPassword { what });
        }
        attempt.was_right(self.clock.elapsed());
        Ok(found.password)
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
            self.told.login_ended(user, login, at);
        }
    }
}

/// A user as everybody knows it whose account is deleted.
fn nobody(user: UserId) -> Result<User> {
    Ok(User::new(user, Name::new(DELETED_NAME)?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under the lock leaves it half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leeway() -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(REUSE_LEEWAY).unwrap_or_default()
}
