//! `/users`: accounts, one's own and those of others.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error};
use serde_json::{Value, json};

use crate::auth::{Anybody, Bearer, Caller};
use crate::http::body::{Address, Body, Query, User};
use crate::http::tokens::tokens;
use crate::http::{Api, account, resource};
use crate::people::{
    Account, Notice, Password, PeopleError, ProfileChange, Search, SignUp, Status, USERNAME_CHARS,
    Username,
};
use crate::protocol::{Problem, nickname};

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

fn view(account: &Account) -> Value {
    json!({
        "id": account.user.id.uuid(),
        "name": &*account.user.name,
        "username": &*account.username,
        "status": &*account.status,
    })
}

/// With a guest's token, the guest becomes the user.
async fn sign_up(
    api: Data<Api>,
    Anybody(guest): Anybody,
    Address(address): Address,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let username = Username::new(&fields.needed_text("username")?)?;
    let password = Password::new(fields.needed_text("password")?, "password")?;
    let nickname = fields.has("nickname").then(|| nickname(&mut fields)).transpose()?;
    fields.finish()?;
    if guest.as_ref().is_some_and(|guest| guest.login.is_some()) {
        return Err(PeopleError::HasAccount.into());
    }
    let guest = guest.map(|guest| guest.user);
    let new = SignUp { username, password, nickname, guest };
    let signed_in = api.people.sign_up(new, address).await?;
    Ok(HttpResponse::Created().json(tokens(&api, &signed_in)))
}

async fn me(api: Data<Api>, Caller(user): Caller) -> Result<HttpResponse, Problem> {
    let account = match api.people.account(user.id, user.id).await {
        Err(PeopleError::NoSuchUser) => return Err(PeopleError::NoAccount.into()),
        account => account?,
    };
    Ok(HttpResponse::Ok().json(view(&account)))
}

async fn change(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let nickname = fields.has("nickname").then(|| nickname(&mut fields)).transpose()?;
    let status = fields.text("status")?.map(Status::new).transpose()?;
    fields.finish()?;
    let user = account(&identity)?;
    let account = api.people.change_profile(user, ProfileChange { nickname, status }).await?;
    api.presence.notify(user, Notice::Profile);
    Ok(HttpResponse::Ok().json(view(&account)))
}

/// For good, so the password has to be said once more.
async fn delete(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Address(address): Address,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let password = fields.needed_text("password")?;
    let erase = fields.flag("erase_messages")?.unwrap_or(false);
    fields.finish()?;
    let user = account(&identity)?;
    // What cannot be a password is a wrong one.
    let password = Password::new(password, "password").ok();
    api.people.delete(user, password, erase, address).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn look(
    api: Data<Api>,
    Caller(caller): Caller,
    User(user): User,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(view(&api.people.account(user, caller.id).await?)))
}

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
    let mut answer = json!({ "users": page.iter().map(view).collect::<Vec<_>>() });
    if let Some(last) = page.last().filter(|_| found.len() > wanted) {
        answer["next"] = json!(&*last.username);
    }
    Ok(HttpResponse::Ok().json(answer))
}

async fn change_password(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Address(address): Address,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let (old, new) = (fields.needed_text("old")?, fields.needed_text("new")?);
    fields.finish()?;
    let new = Password::new(new, "new")?;
    let old = Password::new(old, "old").ok();
    let login = identity.login.ok_or(PeopleError::NoAccount)?.uuid();
    api.people.change_password(identity.user.id, login, (old, new), address).await?;
    Ok(HttpResponse::NoContent().finish())
}
