//! Tokens: JSON Web Tokens (RFC 7519) in the shape of access tokens (RFC 9068), signed with
//! HMAC-SHA-256 and with no other algorithm. Time is always given, never taken from the system, so
//! that tests can turn the clock.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::{NoContext, Timestamp, Uuid};

/// The longest token that is looked at, in bytes. Ours have a tenth of that.
pub const LONGEST_TOKEN: usize = 4_096;

/// The `typ` of an access token (RFC 9068, section 2.1): keeps other kinds of token, signed with
/// the same key for another purpose, from being taken for one.
const TYPE: &str = "at+jwt";

/// Issues tokens, and tells good ones from bad ones.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    header: Header,
    validation: Validation,
    issuer: String,
    audience: String,
}

/// What a token says. Who has one of these from [`Tokens::verify`] may believe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// The user's nickname at the time.
    pub name: String,
    /// What kind of user it is.
    pub kind: Kind,
    /// Who issued the token.
    pub iss: String,
    /// For whom it was issued.
    pub aud: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// From when on it is no good, in seconds since 1970.
    pub exp: i64,
    /// The token's own id, version 7.
    pub jti: Uuid,
}

/// What kind of user a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody with a nickname and no account.
    Guest,
}

/// Why a token was refused. The messages are fit to be sent to whoever presented it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// More than [`LONGEST_TOKEN`] bytes.
    #[error("the token is longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    /// Not three parts of base64url with JSON in the first two.
    #[error("this is not a token")]
    Malformed,
    /// Signed in a way that is not accepted here, or not at all.
    #[error("the token is not signed with HS256")]
    Algorithm,
    /// A token for something else than access.
    #[error("this is not an access token")]
    Type,
    /// Signed with another key, or changed since.
    #[error("the token was not signed by this server, or was changed since")]
    Signature,
    /// Issued by somebody else.
    #[error("the token was issued by another server")]
    Issuer,
    /// Issued for somebody else.
    #[error("the token is not for this server")]
    Audience,
    /// A claim is missing or not of its type.
    #[error("the token lacks a claim, or has one of the wrong type")]
    Claims,
    /// Past its time.
    #[error("the token has expired")]
    Expired,
}

impl Tokens {
    /// Tokens signed with `secret`, saying that they come from `issuer` and are for `audience`.
    pub fn new(secret: &[u8], issuer: &str, audience: &str) -> Self {
        let signing = EncodingKey::from_secret(secret);
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(fingerprint(&signing));

        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["sub", "iss", "aud", "exp"]);
        // The library would ask the system for the time; `verify` compares with the time that it is
        // given.
        validation.validate_exp = false;

        Self {
            signing,
            checking: DecodingKey::from_secret(secret),
            header,
            validation,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }
    }

    /// A token for a guest, good from `now` on for `ttl`, and the moment at which it ends. Tokens
    /// count in whole seconds, and a fraction is cut off, so that none is good for longer than it
    /// was meant to be.
    pub fn issue_guest(
        &self,
        user: Uuid,
        name: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> (String, DateTime<Utc>) {
        let expires = TimeDelta::from_std(ttl)
            .ok()
            .and_then(|ttl| now.checked_add_signed(ttl))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
            .trunc_subsecs(0);
        let claims = Claims {
            sub: user,
            name: name.to_owned(),
            kind: Kind::Guest,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now.timestamp(),
            exp: expires.timestamp(),
            jti: id_at(now),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.signing)
            .expect("claims are plain JSON, and HMAC takes any key");
        (token, expires)
    }

    /// Reads a token and believes nothing of it before its signature has been checked.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it. At the very second of its end it is
    /// [`TokenError::Expired`]: there is no leeway.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenError> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|e| match e.kind() {
            // JSON that is no header of ours: the library knows no algorithm named `none`, nor any
            // that is made up.
            ErrorKind::Json(e) if e.is_data() => TokenError::Algorithm,
            _ => TokenError::Malformed,
        })?;
        if header.alg != Algorithm::HS256 {
            return Err(TokenError::Algorithm);
        }
        // Media types don't distinguish small letters from capital ones.
        if !header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
            return Err(TokenError::Type);
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|e| explain(e.kind()))?;
        let expires = token.claims.expires().ok_or(TokenError::Claims)?;
        if now >= expires { Err(TokenError::Expired) } else { Ok(token.claims) }
    }
}

impl fmt::Debug for Tokens {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("kid", &self.header.kid)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Claims {
    /// The moment from which on the token is no good; `None` if no calendar has it, which no token
    /// of ours says.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.exp, 0)
    }
}

/// Puts the library's error about a token whose header is in order into ours.
fn explain(error: &ErrorKind) -> TokenError {
    match error {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        // The claims are read after the signature has been checked, so their JSON is ours, but
        // lacks something.
        ErrorKind::Json(_)
        | ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_) => TokenError::Claims,
        _ => TokenError::Malformed,
    }
}

/// A name for a key that tells nothing about it, the same on every node that has the key.
fn fingerprint(key: &EncodingKey) -> String {
    // A token's signature is made over text with a dot in it, so this can never be one.
    let mut mark =
        jsonwebtoken::crypto::sign(b"key id", key, Algorithm::HS256).expect("HMAC takes any key");
    mark.truncate(16);
    mark
}

/// A version 7 id for this moment, which may be another than the system's.
fn id_at(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests;
