//! Why something about people is refused.

use std::borrow::Cow;
use std::time::Duration;

use chat_core::StoreError;
use thiserror::Error;

/// Why something about people is refused. The messages are fit to be shown to whoever asked; causes are
/// logged where they happen.
#[derive(Debug, Error)]
pub enum PeopleError {
    /// A text has fewer characters than it must.
    #[error("the {what} has {actual} characters; at least {least} are needed")]
    TooShort {
        /// The field.
        what: &'static str,
        /// The fewest that are allowed.
        least: usize,
        /// How many came.
        actual: usize,
    },
    /// A text has more characters than it may.
    #[error("the {what} has {actual} characters; at most {most} are allowed")]
    TooLong {
        /// The field.
        what: &'static str,
        /// The most that are allowed.
        most: usize,
        /// How many came.
        actual: usize,
    },
    /// A text has characters that it must not have.
    #[error("the {what} cannot be this: {why}")]
    BadText {
        /// The field.
        what: &'static str,
        /// The rule that is broken.
        why: &'static str,
    },
    /// Somebody else has this username, or one that looks like it.
    #[error("this username, or one that looks like it, is taken; choose another")]
    UsernameTaken,
    /// Whoever signs up has an account already.
    #[error("this token is of somebody who has an account; sign in instead")]
    HasAccount,
    /// No such user, or another password: which of the two is nobody's business.
    #[error("the username or the password is wrong")]
    BadCredentials,
    /// Whoever is signed in has another password.
    #[error("the password is wrong")]
    WrongPassword {
        /// The field.
        what: &'static str,
    },
    /// A refresh token that is not known, or past its time, or of a login that has ended.
    #[error("the refresh token is no good, or no longer; sign in again")]
    BadRefreshToken,
    /// A refresh token that was exchanged a moment ago.
    #[error("the refresh token has just been exchanged; use the newer one")]
    RefreshedAlready,
    /// Only who has an account may do this.
    #[error("guests have no account; sign up first")]
    NoAccount,
    /// There is no such user.
    #[error("there is no such user")]
    NoSuchUser,
    /// There is no such group of friends.
    #[error("you have no such group of friends")]
    NoSuchGroup,
    /// The user is no friend.
    #[error("this user is none of your friends; add it first")]
    NotAFriend,
    /// The user is blocked by whoever asks.
    #[error("you have blocked this user; end that first")]
    Blocked,
    /// It is about oneself.
    #[error("this cannot be done with oneself; name somebody else")]
    Oneself,
    /// There are as many as there may be.
    #[error("you have {0} of these, which is the most; remove one first")]
    TooMany(usize),
    /// Too many passwords are waiting to be looked at.
    #[error("too many are signing in at the moment; send the same again in a moment")]
    Busy,
    /// Too many wrong passwords.
    #[error("too many attempts; try again in {} s", whole_seconds(*.0))]
    TooManyAttempts(Duration),
    /// The store does not answer.
    #[error("the accounts cannot be reached; send the same again in a moment")]
    Unavailable,
    /// Something of the engine's.
    #[error(transparent)]
    Engine(#[from] chat_core::Error),
}

impl PeopleError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::BadText { .. } => "bad_text",
            Self::UsernameTaken => "username_taken",
            Self::HasAccount => "has_account",
            Self::BadCredentials | Self::WrongPassword { .. } => "bad_credentials",
            Self::BadRefreshToken => "bad_refresh_token",
            Self::RefreshedAlready => "refreshed_already",
            Self::NoAccount => "no_account",
            Self::NoSuchUser => "no_such_user",
            Self::NoSuchGroup => "no_such_group",
            Self::NotAFriend => "not_a_friend",
            Self::Blocked => "blocked",
            Self::Oneself => "bad_request",
            Self::TooMany(_) => "too_many",
            Self::Busy => "busy",
            Self::TooManyAttempts(_) => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Engine(error) => error.code().as_str(),
        }
    }

    /// The part of the request that is at fault, if one is.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::TooShort { what, .. } | Self::TooLong { what, .. } => Some(what),
            Self::BadText { what, .. } | Self::WrongPassword { what } => Some(what),
            Self::NoSuchGroup => Some("group"),
            Self::Oneself => Some("user"),
            Self::UsernameTaken => Some("username"),
            Self::BadRefreshToken | Self::RefreshedAlready => Some("refresh_token"),
            Self::Engine(error) => error.at_field(),
            _ => None,
        }
    }

    /// What is allowed and what came, if it is a matter of numbers.
    #[must_use]
    pub fn measure(&self) -> Option<(u64, u64)> {
        match self {
            Self::TooShort { least: limit, actual, .. }
            | Self::TooLong { most: limit, actual, .. } => Some((*limit as u64, *actual as u64)),
            Self::Engine(error) => error.measure().map(|measure| (measure.limit, measure.actual)),
            _ => None,
        }
    }

    /// Whether the very same may succeed later.
    #[must_use]
    pub fn retry(&self) -> bool {
        match self {
            Self::Busy | Self::TooManyAttempts(_) | Self::Unavailable => true,
            Self::Engine(error) => error.code().retry(),
            _ => false,
        }
    }

    /// In how many seconds it may, if that is known.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(wait) => Some(whole_seconds(*wait)),
            _ => None,
        }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Engine(error) => error.message().to_owned().into(),
            other => other.to_string().into(),
        }
    }
}

/// So many that the time has passed by then.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl From<StoreError> for PeopleError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the accounts cannot be reached");
        Self::Unavailable
    }
}
