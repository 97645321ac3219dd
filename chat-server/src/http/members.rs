//! `/rooms/{room}/members`: who belongs to a room; join and leave.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::After;

use crate::auth::Caller;
use crate::http::body::{Query, Room};
use crate::http::{Api, resource};
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
    let page = api.engine.room(room).members(&user, query).await?;
    Ok(HttpResponse::Ok().json(MemberPageView::from(&page)))
}

async fn join(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    let joined = api.engine.room(room).join(&user, After::Nothing).await?;
    Ok(HttpResponse::Ok().json(MembershipView::from(&joined.me)))
}

async fn leave(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    api.engine.room(room).leave(&user).await?;
    Ok(HttpResponse::NoContent().finish())
}
