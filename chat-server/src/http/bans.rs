//! `/rooms/{room}/bans`: who is banned; ban and lift a ban.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::Moderation;

use crate::auth::Caller;
use crate::http::body::{Body, Query, Room, User};
use crate::http::{Api, resource};
use crate::protocol::{BanPageView, Problem, ban_query, until};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/rooms/{room}/bans", "GET").route(web::get().to(list))).service(
        resource("/rooms/{room}/bans/{user}", "PUT, DELETE")
            .route(web::put().to(ban))
            .route(web::delete().to(unban)),
    );
}

async fn list(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = ban_query(&mut fields)?;
    fields.finish()?;
    let page = api.engine.room(room).bans(&user, query).await?;
    Ok(HttpResponse::Ok().json(BanPageView::from(&page)))
}

async fn ban(
    api: Data<Api>,
    Caller(by): Caller,
    Room(room): Room,
    User(user): User,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let until = until(&mut fields)?;
    fields.finish()?;
    api.engine.room(room).moderate(&by, Moderation::Ban { user, until }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn unban(
    api: Data<Api>,
    Caller(by): Caller,
    Room(room): Room,
    User(user): User,
) -> Result<HttpResponse, Problem> {
    api.engine.room(room).moderate(&by, Moderation::Unban { user }).await?;
    Ok(HttpResponse::NoContent().finish())
}
