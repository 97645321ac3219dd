//! `/tokens`: how somebody gets them, keeps them fresh, and gives them up.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, User, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::{Bearer, Subject};
use crate::http::body::{Address, Body, NoQuery, Query};
use crate::http::examples::{CAROL, DORA, REFRESH, TOKEN};
use crate::http::{Api, codes, resource, to_the_end, words};
use crate::people::{Password, PeopleError, RefreshToken, SignedIn};
use crate::protocol::{Problem, UserView, nickname};

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

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(sign_in, sign_out, guest, refresh))]
pub(super) struct Calls;

/// What lets a user in.
#[derive(Serialize, ToSchema)]
#[schema(as = Access)]
pub(super) struct AccessView<'a> {
    /// Shown with every call and connection.
    access_token: String,
    #[schema(value_type = words::TokenType)]
    token_type: &'static str,
    /// For how many seconds it is good.
    expires_in: i64,
    user: UserView<'a>,
}

/// What somebody is given who has signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensView<'a> {
    #[serde(flatten)]
    access: AccessView<'a>,
    /// Exchanged, once, for two new tokens.
    refresh_token: &'a str,
    /// For how many seconds that can be done.
    refresh_expires_in: i64,
}

impl TokensView<'_> {
    pub(super) fn example() -> Value {
        json!({
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 899,
            "refresh_token": REFRESH,
            "refresh_expires_in": 2_591_999,
            "user": { "id": DORA, "name": "Dora 🐑" },
        })
    }
}

/// Who wants to be a guest.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewGuest {
    #[schema(value_type = words::Nickname)]
    nickname: String,
}

/// Who signs in. What cannot be a username or a password is a wrong one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct SignIn {
    username: String,
    #[schema(format = Password)]
    password: String,
}

/// What is to be exchanged.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct Refresh {
    refresh_token: String,
}

/// How much is to end.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Ending {
    /// All of the user's logins, not this one alone.
    #[param(default = false)]
    everywhere: Option<bool>,
}

/// What somebody is given who has signed in.
pub(super) fn tokens<'a>(api: &Api, signed_in: &'a SignedIn) -> TokensView<'a> {
    let SignedIn { user, login, refresh, expires } = signed_in;
    TokensView {
        access: access(api, user, Some(*login), api.access_ttl),
        refresh_token: refresh.expose(),
        refresh_expires_in: (*expires - api.clock.now()).num_seconds(),
    }
}

/// What lets a user in for so long.
fn access<'a>(api: &Api, user: &'a User, login: Option<Uuid>, ttl: Duration) -> AccessView<'a> {
    let now = api.clock.now();
    let subject = Subject { user: user.id.uuid(), name: &user.name, login };
    let (access_token, ends) = api.tokens.issue(subject, now, ttl);
    let expires_in = (ends - now).num_seconds();
    AccessView { access_token, token_type: "Bearer", expires_in, user: user.into() }
}

/// Sign in
///
/// Begins a login: an access token for some minutes, and a refresh token that prolongs it. Guessing is
/// slowed down, by name and by address.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "tokens",
    operation_id = "signIn",
    request_body(
        content = SignIn,
        example = json!({ "username": "dora", "password": "correct horse" }),
    ),
    responses(
        (
            status = 201,
            description = "The tokens of a new login.",
            body = TokensView<'_>,
            links(
                ("refresh" = (
                    operation_id = "refresh",
                    request_body = json!({ "refresh_token": "$response.body#/refresh_token" }),
                    description = "Exchanges both tokens for newer ones.",
                )),
                ("signOut" = (
                    operation_id = "signOut",
                    description = "Ends the login; with the access token.",
                )),
                ("me" = (
                    operation_id = "getMe",
                    description = "Who this is; with the access token.",
                ))
            ),
            example = TokensView::example,
        ),
        codes::BadCredentials,
        codes::RateLimited,
        codes::Busy,
        codes::Unavailable,
    ),
)]
async fn sign_in(
    api: Data<Api>,
    Address(address): Address,
    _: NoQuery,
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

/// Refresh tokens
///
/// Exchanges a refresh token for two new tokens of the same login. Shown once more within ten seconds, it
/// is `refreshed_already`; later it is taken for a copy, and the login ends, with all its tokens and
/// connections.
#[utoipa::path(
    post,
    path = "/tokens/refresh",
    tag = "tokens",
    operation_id = "refresh",
    request_body(content = Refresh, example = json!({ "refresh_token": REFRESH })),
    responses(
        (
            status = 201,
            description = "Newer tokens of the login.",
            body = TokensView<'_>,
            links(
                ("refresh" = (
                    operation_id = "refresh",
                    request_body = json!({ "refresh_token": "$response.body#/refresh_token" }),
                    description = "Exchanges both tokens for newer ones.",
                )),
                ("signOut" = (
                    operation_id = "signOut",
                    description = "Ends the login; with the access token.",
                )),
                ("me" = (
                    operation_id = "getMe",
                    description = "Who this is; with the access token.",
                ))
            ),
            example = TokensView::example,
        ),
        codes::BadRefreshToken,
        codes::RefreshedAlready,
        codes::RateLimited,
        codes::Unavailable,
    ),
)]
async fn refresh(
    api: Data<Api>,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let token = RefreshToken::presented(fields.needed_text("refresh_token")?)?;
    fields.finish()?;
    let people = Arc::clone(&api.people);
    let signed_in = to_the_end(async move { people.refresh(&token).await }).await?;
    Ok(HttpResponse::Created().json(tokens(&api, &signed_in)))
}

/// Sign out
///
/// Ends this login, or all of the user's: tokens and connections at once.
#[utoipa::path(
    delete,
    path = "/tokens",
    tag = "tokens",
    operation_id = "signOut",
    params(Ending),
    security(("bearer" = [])),
    responses(
        (
            status = 204,
            description = "The token is void.",
            links(("signIn" = (
                operation_id = "signIn",
                description = "Comes back.",
            ))),
        ),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn sign_out(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let everywhere = fields.flag("everywhere")?.unwrap_or(false);
    fields.finish()?;
    let login = identity.login.ok_or(PeopleError::NoAccount)?;
    let (people, user) = (Arc::clone(&api.people), identity.user.id);
    let sign_out = async move {
        if everywhere {
            people.sign_out_everywhere(user).await
        } else {
            people.sign_out(user, login.uuid()).await
        }
    };
    to_the_end(sign_out).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Become a guest
///
/// With a nickname only, and for as long as the token lasts; unless the server takes no guests. Who then
/// signs up with the token stays for good.
#[utoipa::path(
    post,
    path = "/tokens/guest",
    tag = "tokens",
    operation_id = "becomeGuest",
    request_body(content = NewGuest, example = json!({ "nickname": "Carol" })),
    responses(
        (
            status = 201,
            description = "The guest's token.",
            body = AccessView<'_>,
            links(
                ("signUp" = (
                    operation_id = "signUp",
                    description = "Makes the guest a user; with the token.",
                )),
                ("rooms" = (
                    operation_id = "listRooms",
                    description = "Where to go; with the token.",
                ))
            ),
            example = json!({
                "access_token": TOKEN,
                "token_type": "Bearer",
                "expires_in": 86_399,
                "user": { "id": CAROL, "name": "Carol" },
            }),
        ),
        codes::Forbidden,
        codes::Name,
    ),
)]
async fn guest(
    api: Data<Api>,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let name = nickname(&mut fields)?;
    fields.finish()?;
    if !api.guests {
        let message = "this server takes no guests; sign in instead";
        return Err(chat_core::Error::new(Code::Forbidden, message).into());
    }
    let user = User::new(UserId::new(), name);
    Ok(HttpResponse::Created().json(access(&api, &user, None, api.guest_ttl)))
}
