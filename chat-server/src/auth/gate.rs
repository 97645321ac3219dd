//! From a token to a user. Every transport asks here, and so does the HTTP extractor.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use chat_core::{Clock, GrantId, Name, Timestamp, User, UserId, limits};

use crate::auth::token::header;
use crate::auth::{Claims, Issuer, TokenError, Tokens, Withdrawn};
use crate::protocol::Problem;

/// Somebody who has shown a token that is good.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who it is.
    pub user: User,
    /// Until when the token is good. `None`: for ever.
    pub expires: Option<Timestamp>,
    /// The login that it belongs to, which may end before that. Guests have none.
    pub login: Option<GrantId>,
    /// Whether it is a guest of this server's own, who may get an account.
    pub guest: bool,
}

/// Says whose token it is. A program that mounts the transports in its own server brings its own.
pub trait Admit: Send + Sync + 'static {
    /// Admits the token's owner.
    ///
    /// # Errors
    /// `unauthorized`, with what is wrong with the token.
    fn admit(&self, token: &str) -> Result<Identity, Problem>;

    /// How somebody is called who has been admitted, if it would be once more: asked when its session has
    /// been told what it is entitled by ([`Session::renew`](chat_core::Session::renew)), so that a login that
    /// ends in between ends the session, and another name is its name.
    fn still_admits(&self, identity: &Identity) -> Option<User> {
        Some(identity.user.clone())
    }
}

/// Admits the owners of this server's own [`Tokens`].
pub struct Gate {
    tokens: Arc<Tokens>,
    withdrawn: Arc<Withdrawn>,
    /// Another issuer that is believed, beside this server.
    issuer: Option<Issuer>,
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// A gate for these tokens, but for those that have been withdrawn.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, withdrawn: Arc<Withdrawn>, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, withdrawn, issuer: None, clock }
    }

    /// The same, which also believes this issuer.
    #[must_use]
    pub fn and_issuer(mut self, issuer: Option<Issuer>) -> Self {
        self.issuer = issuer;
        self
    }

    /// A user as it is called by now.
    fn by_now(&self, user: &User) -> User {
        let name = self.withdrawn.name(user.id);
        name.map_or_else(|| user.clone(), |name| User::new(user.id, name))
    }
}

impl Admit for Gate {
    fn admit(&self, token: &str) -> Result<Identity, Problem> {
        let refuse = |error: TokenError| Problem::unauthorized(error.to_string()).at("token");
        if let Some(issuer) = &self.issuer
            && issuer.claims(header(token).map_err(refuse)?.kid.as_deref())
        {
            let found = issuer.verify(token, self.clock.now()).map_err(refuse)?;
            // Names there may be longer than here, or have what no name may have.
            let name: String = found.name.chars().filter(|c| !c.is_control()).collect();
            let name = Name::new(name.chars().take(limits::NAME_CHARS).collect::<String>());
            let name = name.map_err(|_| refuse(TokenError::Claims))?;
            let user = User::new(UserId::from(found.user), name);
            return Ok(Identity { user, expires: Some(found.expires), login: None, guest: false });
        }
        let claims = self.tokens.verify(token, self.clock.now()).map_err(refuse)?;
        if self.withdrawn.is_withdrawn(&claims) {
            return Err(refuse(TokenError::Withdrawn));
        }
        let identity = identity(&claims).ok_or_else(|| refuse(TokenError::Claims))?;
        Ok(Identity { user: self.by_now(&identity.user), ..identity })
    }

    fn still_admits(&self, identity: &Identity) -> Option<User> {
        // Of another issuer's tokens, this server withdraws none.
        let ours = identity.guest || identity.login.is_some();
        let login = identity.login.map(GrantId::uuid);
        let ended = ours && self.withdrawn.has_ended(identity.user.id, login);
        (!ended).then(|| self.by_now(&identity.user))
    }
}

fn identity(claims: &Claims) -> Option<Identity> {
    let name = Name::new(claims.name.as_str()).ok()?;
    let user = User::new(UserId::from(claims.sub), name);
    let login = claims.sid.map(GrantId::from);
    let guest = login.is_none();
    Some(Identity { user, expires: Some(claims.expires()?), login, guest })
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

/// Whoever makes an HTTP request, with what the bearer token says.
#[derive(Clone, Debug)]
pub struct Bearer(pub Identity);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admit(request).map(|identity| Self(identity.user)))
    }
}

impl FromRequest for Bearer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admit(request).map(Self))
    }
}

/// Whoever makes an HTTP request, with or without a bearer token; but not with a bad one.
#[derive(Clone, Debug)]
pub struct Anybody(pub Option<Identity>);

impl FromRequest for Anybody {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = bearer(request.headers()).is_some_and(|token| !token.is_empty());
        ready(known.then(|| admit(request)).transpose().map(Self))
    }
}

/// Whoever a request has been found to be from, for whoever looks again.
struct Admitted;

fn admit(request: &HttpRequest) -> Result<Identity, Problem> {
    let none = || Problem::unauthorized("send a token: the header authorization: Bearer <token>");
    let gate = request.app_data::<web::Data<dyn Admit>>().ok_or_else(none)?;
    let identity = gate.admit(bearer(request.headers()).ok_or_else(none)?)?;
    request.extensions_mut().insert(Admitted);
    Ok(identity)
}

/// Looks once more whether a request's token holds, if it was asked for: its body may have come long after
/// its head.
///
/// # Errors
/// `unauthorized`.
pub fn still_admitted(request: &HttpRequest) -> Result<(), Problem> {
    let asked = request.extensions().contains::<Admitted>();
    if asked { admit(request).map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chat_core::testkit::FakeClock;
    use uuid::Uuid;

    use super::*;
    use crate::auth::SigningKey;

    #[test]
    fn what_has_become_of_somebody_since_it_was_admitted_is_known() {
        let secret = SigningKey::Secret(vec![7; 32].into());
        let tokens = Arc::new(Tokens::new(&secret, "chat-server", "chat").unwrap());
        let withdrawn = Arc::new(Withdrawn::new(Duration::from_secs(60), Duration::from_secs(60)));
        let clock = FakeClock::default();
        let gate = Gate::new(tokens, Arc::clone(&withdrawn), Arc::new(clock.clone()));
        let bob = User::new(UserId::new(), Name::new("Bob").unwrap());
        let login = Uuid::now_v7();
        let identity =
            Identity { user: bob.clone(), expires: None, login: Some(login.into()), guest: false };
        assert_eq!(gate.still_admits(&identity), Some(bob.clone()));
        let bobby = User::new(bob.id, Name::new("Bobby").unwrap());
        withdrawn.rename(&bobby, clock.now());
        assert_eq!(gate.still_admits(&identity), Some(bobby));
        withdrawn.end_login(login, clock.now());
        assert_eq!(gate.still_admits(&identity), None);
    }
}
