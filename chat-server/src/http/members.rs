//! `/rooms/{room}/members`: who belongs to a room; join and leave.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{After, Reply, RoomCommand};

use crate::auth::Caller;
use crate::http::body::{Query, Room};
use crate::http::{Api, resource, unexpected};
use crate::protocol::{MemberPageView, MembershipView, Problem, member_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/rooms/{room}/members", "GET").route(web::get().to(list))).service(
        resource("/rooms/{room}/members/me", "PUT, DELETE")
            .route(web::put().to(join))
            .route(web::delete().to(leave)),
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
    match api.engine.ask(&user, room, RoomCommand::Members(query)).await? {
        Reply::Members(page) => Ok(HttpResponse::Ok().json(MemberPageView::from(&page))),
        other => Err(unexpected(&other)),
    }
}

async fn join(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    let join = RoomCommand::Join { after: After::Nothing, limit: 0 };
    match api.engine.ask(&user, room, join).await? {
        Reply::Joined(joined) => Ok(HttpResponse::Ok().json(MembershipView::from(&joined.me))),
        other => Err(unexpected(&other)),
    }
}

async fn leave(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    api.engine.ask(&user, room, RoomCommand::Leave).await?;
    Ok(HttpResponse::NoContent().finish())
}
