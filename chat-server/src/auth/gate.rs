//! From a token to a user. Every transport asks here, and so does the HTTP extractor.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use chat_core::{Clock, Name, Timestamp, User, UserId};

use crate::auth::{Claims, TokenError, Tokens};
use crate::protocol::Problem;

/// Somebody who has shown a token that is good.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who it is.
    pub user: User,
    /// Until when the token is good. `None`: for ever.
    pub expires: Option<Timestamp>,
}

/// Says whose token it is. A program that mounts the transports in its own server brings its own.
pub trait Admit: Send + Sync + 'static {
    /// Admits the token's owner.
    ///
    /// # Errors
    /// `unauthorized`, with what is wrong with the token.
    fn admit(&self, token: &str) -> Result<Identity, Problem>;
}

/// Admits the owners of this server's own [`Tokens`].
pub struct Gate {
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// A gate for these tokens.
    #[must_use]
    pub fn new(tokens: Tokens, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, clock }
    }
}

impl Admit for Gate {
    fn admit(&self, token: &str) -> Result<Identity, Problem> {
        let refuse = |error: TokenError| Problem::unauthorized(error.to_string()).at("token");
        let claims = self.tokens.verify(token, self.clock.now()).map_err(refuse)?;
        identity(&claims).ok_or_else(|| refuse(TokenError::Claims))
    }
}

fn identity(claims: &Claims) -> Option<Identity> {
    let name = Name::new(claims.name.as_str()).ok()?;
    let user = User::new(UserId::from(claims.sub), name);
    Some(Identity { user, expires: Some(claims.expires()?) })
}

/// The token of the header `Authorization: Bearer`, if there is one.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whoever makes an HTTP request, by its bearer token.
#[derive(Clone, Debug)]
pub struct Caller(pub User);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let none =
            || Problem::unauthorized("send a token: the header authorization: Bearer <token>");
        let admit = || {
            let gate = request.app_data::<web::Data<dyn Admit>>().ok_or_else(none)?;
            Ok(Self(gate.admit(bearer(request.headers()).ok_or_else(none)?)?.user))
        };
        ready(admit())
    }
}
