//! `/tokens`: how somebody gets them, keeps them fresh, and gives them up.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, User, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::{Bearer, Subject};
use crate::http::body::{Address, Body, Query};
use crate::http::{Api, resource};
use crate::people::{Password, PeopleError, RefreshToken, SignedIn};
use crate::protocol::{Problem, nickname};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/tokens", "POST, DELETE")
                .route(web::post().to(sign_in))
                .route(web::delete().to(sign_out)),
        )
        .service(resource("/tokens/guest", "POST").route(web::post().to(guest)))
        .service(resource("/tokens/refresh", "POST").route(web::post().to(refresh)));
}

/// What somebody is given who has signed in.
pub(super) fn tokens(api: &Api, signed_in: &SignedIn) -> Value {
    let SignedIn { user, login, refresh, expires } = signed_in;
    let mut tokens = access(api, user, Some(*login), api.access_ttl);
    tokens["refresh_token"] = refresh.expose().into();
    tokens["refresh_expires_in"] = (*expires - api.clock.now()).num_seconds().into();
    tokens
}

/// What lets a user in for so long.
fn access(api: &Api, user: &User, login: Option<Uuid>, ttl: Duration) -> Value {
    let now = api.clock.now();
    let subject = Subject { user: user.id.uuid(), name: &user.name, login };
    let (token, ends) = api.tokens.issue(subject, now, ttl);
    json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": (ends - now).num_seconds(),
        "user": { "id": user.id.uuid(), "name": &*user.name },
    })
}

async fn sign_in(
    api: Data<Api>,
    Address(address): Address,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let username = fields.needed_text("username")?;
    let password = fields.needed_text("password")?;
    fields.finish()?;
    // What cannot be a password is a wrong one: nobody is told which there may be.
    let password = Password::new(password, "password").map_err(|_| PeopleError::BadCredentials)?;
    let signed_in = api.people.sign_in(&username, password, address).await?;
    Ok(HttpResponse::Created().json(tokens(&api, &signed_in)))
}

async fn refresh(api: Data<Api>, Body(mut fields): Body) -> Result<HttpResponse, Problem> {
    let token = RefreshToken::presented(fields.needed_text("refresh_token")?)?;
    fields.finish()?;
    let signed_in = api.people.refresh(&token).await?;
    Ok(HttpResponse::Created().json(tokens(&api, &signed_in)))
}

async fn sign_out(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let everywhere = fields.flag("everywhere")?.unwrap_or(false);
    fields.finish()?;
    let login = identity.login.ok_or(PeopleError::NoAccount)?;
    if everywhere {
        api.people.sign_out_everywhere(identity.user.id).await?;
    } else {
        api.people.sign_out(identity.user.id, login.uuid()).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn guest(api: Data<Api>, Body(mut fields): Body) -> Result<HttpResponse, Problem> {
    let name = nickname(&mut fields)?;
    fields.finish()?;
    if !api.guests {
        let message = "this server takes no guests; sign in instead";
        return Err(chat_core::Error::new(Code::Forbidden, message).into());
    }
    let user = User::new(UserId::new(), name);
    Ok(HttpResponse::Created().json(access(&api, &user, None, api.guest_ttl)))
}
