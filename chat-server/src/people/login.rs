//! Refresh tokens: what keeps somebody signed in. They are random, kept as hashes only, and exchanged on
//! each use; all that one sign-in leads to is one login. A token that is used again when it has been
//! exchanged has been copied: then the login ends, for the thief and for its owner.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::PeopleError;

/// How many random bytes a token has.
const BYTES: usize = 32;
/// What it begins with, so that it is known for what it is wherever it leaks to.
const PREFIX: &str = "chat_rt_";

/// A refresh token. Never shown but to its owner.
pub struct RefreshToken(SecretString);

/// What is kept of a refresh token: its SHA-256. The token is as random as a hash, so that it needs no
/// salt and no slow function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshHash(pub [u8; 32]);

impl RefreshToken {
    /// A new one.
    ///
    /// # Errors
    /// `unavailable` if the system has no random numbers.
    pub fn random() -> Result<Self, PeopleError> {
        let mut bytes = [0_u8; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            PeopleError::Unavailable
        })?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{digits}").into()))
    }

    /// One that somebody presents.
    ///
    /// # Errors
    /// `bad_refresh_token` if it does not look like one.
    pub fn presented(text: String) -> Result<Self, PeopleError> {
        let text = SecretString::from(text);
        let digits = text.expose_secret().strip_prefix(PREFIX).unwrap_or_default();
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 2 * BYTES || !digits.bytes().all(lower_hex) {
            return Err(PeopleError::BadRefreshToken);
        }
        Ok(Self(text))
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> RefreshHash {
        RefreshHash(Sha256::digest(self.0.expose_secret()).into())
    }

    /// The token, for its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

impl fmt::Debug for RefreshHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_comes_back() {
        let (one, other) = (RefreshToken::random().unwrap(), RefreshToken::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_ne!(one.hash(), other.hash());
        let back = RefreshToken::presented(one.expose().to_owned()).unwrap();
        assert_eq!(back.hash(), one.hash());
        assert!(!format!("{one:?} {:?}", one.hash()).contains(&one.expose()[8..]));
    }

    #[test]
    fn what_is_none_is_refused() {
        let token = RefreshToken::random().unwrap();
        let text = token.expose();
        for bad in [
            "",
            "chat_rt_",
            &text[1..],
            &text[..71],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace("chat_rt_", "chat_xx_"),
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
        ] {
            let refused = RefreshToken::presented(bad.to_owned()).unwrap_err();
            assert_eq!(refused.code(), "bad_refresh_token", "{bad}");
        }
    }
}
