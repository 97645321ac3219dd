//! Access tokens: JSON Web Tokens (RFC 7519) in the shape of RFC 9068, signed with HMAC-SHA-256 or
//! Ed25519. Each says by its `kid` which key it is signed with, and a key is good for one algorithm,
//! whatever a token says. Time is always given, never taken from the system, so that tests can turn
//! the clock.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
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
    header: Header,
    /// The first is the one that signs; tokens of the others are good until they expire.
    keys: Vec<Key>,
    issuer: String,
    audience: String,
}

/// A key that tokens are signed with.
pub enum SigningKey {
    /// For HMAC-SHA-256.
    Secret(SecretSlice<u8>),
    /// For Ed25519: a private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes it.
    Ed25519(SecretString),
}

/// A key that tokens are checked with.
struct Key {
    id: String,
    algorithm: Algorithm,
    checking: DecodingKey,
}

impl SigningKey {
    /// What signs and what checks.
    fn pair(&self) -> Result<(EncodingKey, Key), BadKey> {
        let (signing, checking, algorithm) = match self {
            Self::Secret(secret) => {
                let secret = secret.expose_secret();
                let (signing, checking) =
                    (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
                (signing, checking, Algorithm::HS256)
            }
            Self::Ed25519(pem) => {
                let bad = |_| BadKey;
                let pem = pem.expose_secret().as_bytes();
                let signing = EncodingKey::from_ed_pem(pem).map_err(bad)?;
                let public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).map_err(bad)?;
                (signing, DecodingKey::from_jwk(&public).map_err(bad)?, Algorithm::EdDSA)
            }
        };
        let id = fingerprint(&signing, algorithm).map_err(|_| BadKey)?;
        Ok((signing, Key { id, algorithm, checking }))
    }
}

/// What should be a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this is no Ed25519 private key in PEM; make one with `openssl genpkey -algorithm ed25519`"
)]
pub struct BadKey;

/// What a token says. Who has one of these from [`Tokens::verify`] may believe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// The user's nickname at the time.
    pub name: String,
    /// What kind of user it is.
    pub kind: Kind,
    /// Which login it belongs to (`sid` of OpenID Connect); guests have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
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
    /// Somebody with an account.
    User,
}

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The user's id.
    pub user: Uuid,
    /// The user's nickname.
    pub name: &'a str,
    /// The login that it belongs to; guests have none.
    pub login: Option<Uuid>,
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
    #[error("the token is not signed in a way that is accepted here")]
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
    /// Of a login that has ended, or of a guest who has an account by now.
    #[error("the token has been withdrawn; sign in again")]
    Withdrawn,
}

impl Tokens {
    /// Tokens signed with `key`, saying that they come from `issuer` and are for `audience`.
    ///
    /// # Errors
    /// If it is no key.
    pub fn new(key: &SigningKey, issuer: &str, audience: &str) -> Result<Self, BadKey> {
        let (signing, key) = key.pair()?;
        let mut header = Header::new(key.algorithm);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id.clone());
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(Self { signing, header, keys: vec![key], issuer, audience })
    }

    /// The same, which also believe tokens that were signed with an earlier key.
    ///
    /// # Errors
    /// If it is no key.
    pub fn and_earlier(mut self, key: &SigningKey) -> Result<Self, BadKey> {
        self.keys.push(key.pair()?.1);
        Ok(self)
    }

    /// A token, good from `now` on for `ttl`, and the moment at which it ends. Tokens count in whole
    /// seconds, and a fraction is cut off, so that none is good for longer than it was meant to be.
    pub fn issue(
        &self,
        subject: Subject<'_>,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> (String, DateTime<Utc>) {
        let expires = TimeDelta::from_std(ttl)
            .ok()
            .and_then(|ttl| now.checked_add_signed(ttl))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
            .trunc_subsecs(0);
        let claims = Claims {
            sub: subject.user,
            name: subject.name.to_owned(),
            kind: if subject.login.is_some() { Kind::User } else { Kind::Guest },
            sid: subject.login,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now.timestamp(),
            exp: expires.timestamp(),
            jti: id_at(now),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.signing)
            .expect("claims are plain JSON, and the key has signed before");
        (token, expires)
    }

    /// Reads a token and believes nothing of it before its signature has been checked.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it. At the very second of its end it is
    /// [`TokenError::Expired`]: there is no leeway.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenError> {
        let header = header(token)?;
        let mut keys = self.keys.iter().filter(|key| key.algorithm == header.alg).peekable();
        if keys.peek().is_none() {
            return Err(TokenError::Algorithm);
        }
        // Media types don't distinguish small letters from capital ones.
        if !header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
            return Err(TokenError::Type);
        }
        // Ours name their key. One that does not is no worse for it if the signature is right.
        let key = keys.find(|key| header.kid.as_ref().is_none_or(|id| *id == key.id));
        let key = key.ok_or(TokenError::Signature)?;
        let token = jsonwebtoken::decode::<Claims>(token, &key.checking, &self.validation(key))
            .map_err(|e| explain(e.kind()))?;
        let expires = token.claims.expires().ok_or(TokenError::Claims)?;
        if (token.claims.kind == Kind::User) != token.claims.sid.is_some() {
            return Err(TokenError::Claims);
        }
        if now >= expires { Err(TokenError::Expired) } else { Ok(token.claims) }
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["sub", "iss", "aud", "exp"]);
        // The library would ask the system for the time; `verify` compares with the time that it is
        // given.
        validation.validate_exp = false;
        validation
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

/// What a token says of itself before anything of it is believed.
pub(super) fn header(token: &str) -> Result<Header, TokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenError::TooLong);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|e| match e.kind() {
        // JSON that is no header of ours: the library knows no algorithm named `none`, nor any that is
        // made up.
        ErrorKind::Json(e) if e.is_data() => TokenError::Algorithm,
        _ => TokenError::Malformed,
    })?;
    // Nothing that a token says must be understood is understood here (RFC 7515, section 4.1.11).
    if header.crit.is_some() { Err(TokenError::Algorithm) } else { Ok(header) }
}

/// Puts the library's error about a token whose header is in order into ours.
pub(super) fn explain(error: &ErrorKind) -> TokenError {
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
fn fingerprint(
    key: &EncodingKey,
    algorithm: Algorithm,
) -> Result<String, jsonwebtoken::errors::Error> {
    // A token's signature is made over text with a dot in it, so this can never be one. Both
    // algorithms sign the same in the same way each time.
    let mut mark = jsonwebtoken::crypto::sign(b"key id", key, algorithm)?;
    mark.truncate(16);
    Ok(mark)
}

/// A version 7 id for this moment, which may be another than the system's.
fn id_at(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests;
