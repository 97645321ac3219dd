//! `/users`: accounts, one's own and those of others.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error};
use serde::Serialize;
use utoipa::openapi::ObjectBuilder;
use utoipa::{OpenApi, ToSchema};

use crate::auth::{Anybody, Bearer, Caller};
use crate::http::body::{Address, Body, NoQuery, Query, User};
use crate::http::examples::DORA;
use crate::http::tokens::{TokensView, tokens};
use crate::http::{Api, account, codes, resource, to_the_end, words};
use crate::people::{
    Account, Notice, Password, PeopleError, ProfileChange, Search, SignUp, Status, USERNAME_CHARS,
    Username,
};
use crate::protocol::{Problem, UserView, nickname};

/// The longest beginning of a name that is searched for, in characters.
const MOST_QUERY: usize = *USERNAME_CHARS.end();

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/users", "GET, POST")
                .route(web::get().to(search))
                .route(web::post().to(sign_up)),
        )
        .service(
            resource("/users/me", "GET, PATCH, DELETE")
                .route(web::get().to(me))
                .route(web::patch().to(change))
                .route(web::delete().to(delete)),
        )
        .service(resource("/users/me/password", "PUT").route(web::put().to(change_password)))
        .service(resource("/users/{user}", "GET").route(web::get().to(look)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(search, sign_up, me, change, delete, change_password, look))]
pub(super) struct Calls;

/// Somebody with an account, by both names.
#[derive(Serialize, ToSchema)]
#[schema(as = Named)]
pub(super) struct NamedView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    #[schema(value_type = words::Username)]
    username: &'a str,
}

impl<'a> NamedView<'a> {
    pub(super) fn new(user: &'a chat_core::User, username: &'a str) -> Self {
        Self { user: user.into(), username }
    }
}

/// Somebody with an account, as everybody may see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountView<'a> {
    #[serde(flatten)]
    named: NamedView<'a>,
    #[schema(value_type = words::Status)]
    status: &'a str,
}

impl<'a> From<&'a Account> for AccountView<'a> {
    fn from(account: &'a Account) -> Self {
        let named = NamedView::new(&account.user, &account.username);
        Self { named, status: &account.status }
    }
}

/// A page of people.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountPage)]
pub(super) struct AccountPageView<'a> {
    /// In the order of usernames.
    users: Vec<AccountView<'a>>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Username>, nullable = false)]
    next: Option<&'a str>,
}

/// Who wants an account.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewAccount {
    #[schema(value_type = words::Username)]
    username: String,
    #[schema(value_type = words::Password)]
    password: String,
    /// A guest's name stays, or else is the username, if this is left out.
    #[schema(value_type = Option<words::Nickname>, nullable = false)]
    nickname: Option<String>,
}

/// What somebody says of itself; what is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ProfileFields {
    #[schema(value_type = Option<words::Nickname>, nullable = false)]
    nickname: Option<String>,
    #[schema(value_type = Option<words::Status>, nullable = false)]
    status: Option<String>,
}

/// Somebody goes for good.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct Farewell {
    /// The one that holds.
    #[schema(format = Password)]
    password: String,
    /// Whether what the user has written is deleted too; otherwise it stays, as a deleted user's.
    #[schema(nullable = false)]
    erase_messages: Option<bool>,
}

/// Another password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct PasswordChange {
    /// The one that holds.
    #[schema(format = Password)]
    old: String,
    #[schema(value_type = words::Password)]
    new: String,
}

/// A page of people.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Wanted {
    #[param(required, schema_with = Wanted::beginning)]
    query: String,
    /// `next` of the page before.
    after: Option<String>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

impl Wanted {
    fn beginning() -> ObjectBuilder {
        words::text(1, MOST_QUERY).description(Some("How a username or a nickname begins."))
    }
}

/// Sign up
///
/// With a guest's token, the guest becomes the user, with the same id, rooms and messages; that token is
/// void from then on. A username that looks like somebody's is taken.
#[utoipa::path(
    post,
    path = "/users",
    tag = "users",
    operation_id = "signUp",
    security((), ("bearer" = [])),
    request_body(
        content = NewAccount,
        example = json!({
            "username": "Dora",
            "password": "correct horse",
            "nickname": "Dora 🐑",
        }),
    ),
    responses(
        (
            status = 201,
            description = "The account, and the tokens of its first login.",
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
        codes::UsernameTaken,
        codes::HasAccount,
        codes::Name,
        codes::TooShort,
        codes::RateLimited,
        codes::Busy,
        codes::Unavailable,
    ),
)]
async fn sign_up(
    api: Data<Api>,
    Anybody(guest): Anybody,
    Address(address): Address,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let username = Username::new(&fields.needed_text("username")?)?;
    let password = Password::new(fields.needed_text("password")?, "password")?;
    let nickname = fields.has("nickname").then(|| nickname(&mut fields)).transpose()?;
    fields.finish()?;
    // Whoever has come by another issuer's token has an account there.
    if guest.as_ref().is_some_and(|known| !known.guest) {
        return Err(PeopleError::HasAccount.into());
    }
    let guest = guest.map(|guest| guest.user);
    let new = SignUp { username, password, nickname, guest };
    let people = Arc::clone(&api.people);
    let signed_in = to_the_end(async move { people.sign_up(new, address).await }).await?;
    Ok(HttpResponse::Created().json(tokens(&api, &signed_in)))
}

/// The caller's own account
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "users",
    operation_id = "getMe",
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The account.",
            body = AccountView<'_>,
            links(("password" = (
                operation_id = "changePassword",
                description = "Sets another password.",
            ))),
            example = json!({ "id": DORA, "name": "Dora 🐑", "username": "dora", "status": "" }),
        ),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn me(api: Data<Api>, Caller(user): Caller, _: NoQuery) -> Result<HttpResponse, Problem> {
    let account = match api.people.account(user.id, user.id).await {
        Err(PeopleError::NoSuchUser) => return Err(PeopleError::NoAccount.into()),
        account => account?,
    };
    Ok(HttpResponse::Ok().json(AccountView::from(&account)))
}

/// Change what one says of oneself
///
/// Every room of the user's is told of another nickname. It is changed five times, and then after growing
/// pauses.
#[utoipa::path(
    patch,
    path = "/users/me",
    tag = "users",
    operation_id = "changeProfile",
    security(("bearer" = [])),
    request_body(
        content = ProfileFields,
        example = json!({ "nickname": "Dora 🐑", "status": "on a boat ⛵" }),
    ),
    responses(
        (
            status = 200,
            description = "The account as it is now.",
            body = AccountView<'_>,
            example = json!({
                "id": DORA,
                "name": "Dora 🐑",
                "username": "dora",
                "status": "on a boat ⛵",
            }),
        ),
        codes::Name,
        codes::NoAccount,
        codes::RateLimited,
        codes::Unavailable,
        codes::Stopping,
    ),
)]
async fn change(
    api: Data<Api>,
    Bearer(identity): Bearer,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let nickname = fields.has("nickname").then(|| nickname(&mut fields)).transpose()?;
    let status = fields.text("status")?.map(Status::new).transpose()?;
    fields.finish()?;
    let user = account(&identity)?;
    let (people, change) = (Arc::clone(&api.people), ProfileChange { nickname, status });
    let account = to_the_end(async move { people.change_profile(user, change).await }).await?;
    api.presence.notify(user, Notice::Profile);
    Ok(HttpResponse::Ok().json(AccountView::from(&account)))
}

/// Delete the account
///
/// For good, so the password has to be said once more. Tokens are void and connections are closed (4403);
/// friends, blocks and memberships are gone, and nobody can take the username. What was written stays as a
/// deleted user's, or is deleted too. What takes long is done after the answer.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "users",
    operation_id = "deleteAccount",
    security(("bearer" = [])),
    request_body(
        content = Farewell,
        example = json!({ "password": "correct horse", "erase_messages": true }),
    ),
    responses(
        (status = 204, description = "The account is deleted."),
        codes::BadCredentials,
        codes::NoAccount,
        codes::RateLimited,
        codes::Busy,
        codes::Unavailable,
    ),
)]
async fn delete(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Address(address): Address,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let password = fields.needed_text("password")?;
    let erase = fields.flag("erase_messages")?.unwrap_or(false);
    fields.finish()?;
    let user = account(&identity)?;
    // What cannot be a password is a wrong one.
    let password = Password::new(password, "password").ok();
    let people = Arc::clone(&api.people);
    to_the_end(async move { people.delete(user, password, erase, address).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Somebody's account
///
/// Whoever has blocked the caller does not exist for it.
#[utoipa::path(
    get,
    path = "/users/{user}",
    tag = "users",
    operation_id = "getUser",
    params(User),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The account.",
            body = AccountView<'_>,
            links(
                ("befriend" = (
                    operation_id = "addFriend",
                    parameters(("user" = "$response.body#/id")),
                    description = "Makes the user a friend of the caller's.",
                )),
                ("block" = (
                    operation_id = "block",
                    parameters(("user" = "$response.body#/id")),
                    description = "Blocks the user.",
                )),
                ("room" = (
                    operation_id = "openRoom",
                    request_body = json!({ "kind": "direct", "with": "$response.body#/id" }),
                    description = "The room of the two.",
                ))
            ),
            example = json!({ "id": DORA, "name": "Dora 🐑", "username": "dora", "status": "" }),
        ),
        codes::NoSuchUser,
        codes::Unavailable,
    ),
)]
async fn look(
    api: Data<Api>,
    Caller(caller): Caller,
    User(user): User,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let account = api.people.account(user, caller.id).await?;
    Ok(HttpResponse::Ok().json(AccountView::from(&account)))
}

/// Find people
///
/// By how a username or a nickname begins.
#[utoipa::path(
    get,
    path = "/users",
    tag = "users",
    operation_id = "findUsers",
    params(Wanted),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of people.",
            body = AccountPageView<'_>,
            links(
                ("next" = (
                    operation_id = "findUsers",
                    parameters(
                        ("query" = "$request.query.query"),
                        ("limit" = "$request.query.limit"),
                        ("after" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("user" = (
                    operation_id = "getUser",
                    parameters(("user" = "$response.body#/users/0/id")),
                    description = "One of them.",
                ))
            ),
            example = json!({
                "users": [{ "id": DORA, "name": "Dora 🐑", "username": "dora", "status": "" }],
            }),
        ),
        codes::Text,
        codes::Unavailable,
    ),
)]
async fn search(
    api: Data<Api>,
    Caller(caller): Caller,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let beginning = fields.needed_text("query")?;
    let count = beginning.chars().count();
    if count == 0 || count > MOST_QUERY {
        let message = format!("`query` has {count} characters; 1 to {MOST_QUERY} are allowed");
        let code = if count == 0 { Code::Empty } else { Code::TooLong };
        let error = Error::new(code, message).field("query").measured(MOST_QUERY, count);
        return Err(error.into());
    }
    let (after, wanted) = (fields.text("after")?, fields.limit()?);
    fields.finish()?;
    // One more than is wanted tells whether there is another page.
    let search = Search { asker: caller.id, beginning, after, limit: wanted + 1 };
    let found = api.people.search(search).await?;
    let page = &found[..wanted.min(found.len())];
    let last = page.last().filter(|_| found.len() > wanted);
    let next = last.map(|last| &*last.username);
    let users = page.iter().map(AccountView::from).collect();
    Ok(HttpResponse::Ok().json(AccountPageView { users, next }))
}

/// Change the password
///
/// Ends all other logins of the user.
#[utoipa::path(
    put,
    path = "/users/me/password",
    tag = "users",
    operation_id = "changePassword",
    security(("bearer" = [])),
    request_body(
        content = PasswordChange,
        example = json!({ "old": "correct horse", "new": "battery staple" }),
    ),
    responses(
        (status = 204, description = "The new password holds."),
        codes::BadCredentials,
        codes::NoAccount,
        codes::TooShort,
        codes::TooLong,
        codes::RateLimited,
        codes::Busy,
        codes::Unavailable,
    ),
)]
async fn change_password(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Address(address): Address,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let (old, new) = (fields.needed_text("old")?, fields.needed_text("new")?);
    fields.finish()?;
    let new = Password::new(new, "new")?;
    let old = Password::new(old, "old").ok();
    let login = identity.login.ok_or(PeopleError::NoAccount)?.uuid();
    let (people, user) = (Arc::clone(&api.people), identity.user.id);
    let change = async move { people.change_password(user, login, (old, new), address).await };
    to_the_end(change).await?;
    Ok(HttpResponse::NoContent().finish())
}
