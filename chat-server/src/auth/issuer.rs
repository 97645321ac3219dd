//! Tokens of another issuer: that of the customer's own sign-in, whose public keys are in a file (a JSON Web
//! Key Set, RFC 7517). Each key is good for one algorithm, whatever a token says, and never for one that
//! whoever can check could also sign with.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use thiserror::Error;
use uuid::Uuid;

use crate::auth::token::{self, TokenError};

/// An issuer whose tokens are believed.
pub struct Issuer {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    name: String,
    audience: String,
}

/// Whom a token of another issuer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreigner {
    /// The user's id here: always the same for the same `sub` of the same issuer, and nobody else's.
    pub user: Uuid,
    /// What the token calls the user.
    pub name: String,
    /// Until when it is good.
    pub expires: DateTime<Utc>,
}

/// Why the keys of an issuer are of no use.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// The file cannot be read.
    #[error("cannot read auth.jwks ({path}): {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is none.
    #[error("auth.jwks is not a JSON Web Key Set, {{\"keys\":[…]}}: {0}")]
    Malformed(serde_json::Error),
    /// One of the keys is of no use.
    #[error("auth.jwks: the key {0} {1}")]
    Key(String, &'static str),
    /// There are none.
    #[error("auth.jwks has no keys")]
    Empty,
    /// Whose keys they are is not said.
    #[error(
        "auth.jwks needs auth.jwks_issuer and auth.jwks_audience: whose tokens are believed, and for whom"
    )]
    Unnamed,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    nickname: Option<String>,
    name: Option<String>,
    preferred_username: Option<String>,
}

impl Issuer {
    /// An issuer of this name, with the keys in this file, whose tokens for this audience are believed.
    ///
    /// # Errors
    /// If any of the keys is of no use: it is better to find out at the start.
    pub fn read(path: &Path, name: &str, audience: &str) -> Result<Self, IssuerError> {
        let text = std::fs::read(path)
            .map_err(|cause| IssuerError::Io { path: path.to_owned(), cause })?;
        Self::new(&text, name, audience)
    }

    fn new(jwks: &[u8], name: &str, audience: &str) -> Result<Self, IssuerError> {
        if name.is_empty() || audience.is_empty() {
            return Err(IssuerError::Unnamed);
        }
        let set: JwkSet = serde_json::from_slice(jwks).map_err(IssuerError::Malformed)?;
        let mut keys = HashMap::new();
        for key in &set.keys {
            if matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption)) {
                continue;
            }
            let id = key.common.key_id.clone().unwrap_or_default();
            let bad = |why| IssuerError::Key(format!("{id:?}"), why);
            if id.is_empty() {
                return Err(bad("has no `kid`, by which tokens would name it"));
            }
            let algorithm = algorithm(key).ok_or_else(|| {
                bad("is for no algorithm that is taken here: RS256 to RS512, PS256 to PS512, ES256, \
                     ES384 or EdDSA")
            })?;
            let key = DecodingKey::from_jwk(key).map_err(|_| bad("cannot be read"))?;
            if keys.insert(id.clone(), (algorithm, key)).is_some() {
                return Err(bad("is there twice"));
            }
        }
        if keys.is_empty() {
            return Err(IssuerError::Empty);
        }
        Ok(Self { keys, name: name.to_owned(), audience: audience.to_owned() })
    }

    /// Whether a token says that it is signed with one of this issuer's keys.
    #[must_use]
    pub fn claims(&self, key_id: Option<&str>) -> bool {
        key_id.is_some_and(|id| self.keys.contains_key(id))
    }

    /// Reads a token and believes nothing of it before its signature has been checked.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Foreigner, TokenError> {
        let header = token::header(token)?;
        let key = header.kid.as_ref().and_then(|id| self.keys.get(id));
        let (algorithm, key) = key.ok_or(TokenError::Signature)?;
        if header.alg != *algorithm {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(*algorithm);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["sub", "iss", "aud", "exp"]);
        // The given time is what counts.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
            .map_err(|error| token::explain(error.kind()))?
            .claims;
        let at = |seconds: f64| DateTime::from_timestamp(seconds.floor() as i64, 0);
        let expires = at(claims.exp).ok_or(TokenError::Claims)?;
        if now >= expires || claims.nbf.is_some_and(|from| at(from).is_none_or(|from| now < from)) {
            return Err(TokenError::Expired);
        }
        if claims.sub.is_empty() {
            return Err(TokenError::Claims);
        }
        let issuer = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.name.as_bytes());
        let user = Uuid::new_v5(&issuer, claims.sub.as_bytes());
        let names = [claims.nickname, claims.name, claims.preferred_username];
        let name = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        Ok(Foreigner { user, name: name.unwrap_or(claims.sub), expires })
    }
}

/// The one algorithm that a key is good for.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    let stated = match key.common.key_algorithm {
        Some(algorithm) => Some(algorithm.to_string().parse::<Algorithm>().ok()?),
        None => None,
    };
    let allowed: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        // Whoever can check with it can sign with it.
        _ => &[],
    };
    match stated {
        Some(algorithm) => allowed.contains(&algorithm).then_some(algorithm),
        None => allowed.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://login.example.com";

    fn noon() -> DateTime<Utc> {
        "2026-01-02T12:00:00Z".parse().unwrap()
    }

    /// A key of the issuer's, and how it publishes it.
    fn key(id: &str) -> (EncodingKey, Value) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        public.common.key_id = Some(id.to_owned());
        (key, serde_json::to_value(&public).unwrap())
    }

    fn issuer(keys: &[Value]) -> Result<Issuer, IssuerError> {
        Issuer::new(json!({ "keys": keys }).to_string().as_bytes(), ISSUER, "chat")
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": ["chat", "mail"], "sub": "auth0|123", "name": "Alice Example",
            "iat": noon().timestamp(), "exp": noon().timestamp() + 300,
        })
    }

    fn sign(id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    #[test]
    fn a_token_of_the_issuer_is_believed() {
        let (key, public) = key("k1");
        let issuer = issuer(&[public]).unwrap();
        let token = sign(Some("k1"), &key, &claims());
        assert!(issuer.claims(Some("k1")) && !issuer.claims(Some("k2")) && !issuer.claims(None));
        let found = issuer.verify(&token, noon()).unwrap();
        assert_eq!(found.name, "Alice Example");
        assert_eq!(found.user.get_version_num(), 5);
        assert_eq!(found, issuer.verify(&token, noon()).unwrap());
        let other = Issuer::new(&[], "", "chat");
        assert!(matches!(other, Err(IssuerError::Unnamed)));
        let mut bob = claims();
        bob["sub"] = json!("auth0|124");
        bob["nickname"] = json!("bob");
        let bob = issuer.verify(&sign(Some("k1"), &key, &bob), noon()).unwrap();
        assert_ne!(bob.user, found.user);
        assert_eq!(bob.name, "bob");
    }

    #[test]
    fn everything_else_is_refused() {
        let ((key, public), (other, _)) = (key("k1"), key("k1"));
        let issuer = issuer(std::slice::from_ref(&public)).unwrap();
        let with = |claim: &str, value: Value| {
            let mut claims = claims();
            claims[claim] = value;
            sign(Some("k1"), &key, &claims)
        };
        let public = public.to_string();
        let hmac = EncodingKey::from_secret(public.as_bytes());
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        let confused = jsonwebtoken::encode(&header, &claims(), &hmac).unwrap();
        let cases = [
            (sign(Some("k1"), &other, &claims()), TokenError::Signature),
            (sign(Some("k2"), &key, &claims()), TokenError::Signature),
            (sign(None, &key, &claims()), TokenError::Signature),
            (confused, TokenError::Algorithm),
            (with("iss", json!("https://login.example.org")), TokenError::Issuer),
            (with("aud", json!("mail")), TokenError::Audience),
            (with("exp", json!(noon().timestamp())), TokenError::Expired),
            (with("nbf", json!(noon().timestamp() + 1)), TokenError::Expired),
            (with("exp", json!("soon")), TokenError::Claims),
            (with("sub", json!("")), TokenError::Claims),
            (with("sub", json!(7)), TokenError::Claims),
            ("x.y.z".to_owned(), TokenError::Malformed),
        ];
        for (nth, (token, error)) in cases.into_iter().enumerate() {
            assert_eq!(issuer.verify(&token, noon()), Err(error), "{nth}");
        }
        let late = noon() + chrono::TimeDelta::seconds(300);
        let token = sign(Some("k1"), &key, &claims());
        assert_eq!(issuer.verify(&token, late), Err(TokenError::Expired));
    }

    #[test]
    fn keys_that_are_of_no_use_are_found_at_the_start() {
        let (_, public) = key("k1");
        let with = |field: &str, value: Value| {
            let mut key = public.clone();
            key[field] = value;
            key
        };
        let secret = json!({"kty":"oct","k":"c2VjcmV0","kid":"k2","alg":"HS256"});
        for keys in [
            vec![],
            vec![secret],
            vec![with("kid", json!(""))],
            vec![with("alg", json!("HS256"))],
            vec![with("alg", json!("RS256"))],
            vec![with("x", json!("AAAA"))],
            vec![public.clone(), public.clone()],
            vec![with("use", json!("enc"))],
        ] {
            let shown = format!("{keys:?}");
            let refused = issuer(&keys).map(|issuer| issuer.verify(&sign_with_nothing(), noon()));
            assert!(refused.is_err() || refused.is_ok_and(|read| read.is_err()), "{shown}");
        }
        assert!(issuer(&[with("use", json!("sig"))]).is_ok());
        for text in ["", "[]", "{}", "{\"keys\":1}"] {
            let refused = Issuer::new(text.as_bytes(), ISSUER, "chat");
            assert!(matches!(refused, Err(IssuerError::Malformed(_))), "{text}");
        }
    }

    fn sign_with_nothing() -> String {
        let (key, _) = key("nobody");
        sign(Some("k1"), &key, &claims())
    }
}
