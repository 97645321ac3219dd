//! `/rooms/{room}/members`: who belongs to a room; invite, join and leave; roles, mutes and kicks.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{After, Moderation, RoomCommand};

use crate::auth::Caller;
use crate::http::body::{Body, Query, Room, User};
use crate::http::{Api, resource};
use crate::protocol::{MemberPageView, MembershipView, Problem, member_change, member_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/rooms/{room}/members", "GET, POST")
                .route(web::get().to(list))
                .route(web::post().to(invite)),
        )
        .service(
            resource("/rooms/{room}/members/me", "PUT, DELETE")
                .route(web::put().to(join))
                .route(web::delete().to(leave)),
        )
        .service(
            resource("/rooms/{room}/members/{user}", "PATCH, DELETE")
                .route(web::patch().to(change))
                .route(web::delete().to(kick)),
        );
}

async fn list(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = member_query(&mut fields)?;
    fields.finish()?;
    let page = api.engine.room(room).members(&user, query).await?;
    Ok(HttpResponse::Ok().json(MemberPageView::from(&page)))
}

async fn join(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    let joined = api.engine.room(room).join(&user, After::Nothing).await?;
    Ok(HttpResponse::Ok().json(MembershipView::new(&joined.me, joined.mute)))
}

async fn leave(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    api.engine.room(room).leave(&user).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn invite(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let guest = fields.user()?;
    fields.finish()?;
    api.engine.room(room).ask(&user, RoomCommand::InviteUser(guest)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    User(member): User,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let act = member_change(&mut fields, member)?;
    fields.finish()?;
    api.engine.room(room).moderate(&user, act).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn kick(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    User(member): User,
) -> Result<HttpResponse, Problem> {
    api.engine.room(room).moderate(&user, Moderation::Kick { user: member }).await?;
    Ok(HttpResponse::NoContent().finish())
}
