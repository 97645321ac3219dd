//! `/rooms/{room}/bans`: who is banned; ban and lift a ban.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Moderation, RoomCommand};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Caller;
use crate::http::body::{Body, Key, Query, Room, User};
use crate::http::examples::{AT, CAROL};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{BanPageView, Problem, Time, ban_query, until};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/rooms/{room}/bans", "GET").route(web::get().to(list))).service(
        resource("/rooms/{room}/bans/{user}", "PUT, DELETE")
            .route(web::put().to(ban))
            .route(web::delete().to(unban)),
    );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(list, ban, unban))]
pub(super) struct Calls;

/// A page of bans, as `ban_query` reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct BanQuery {
    /// `next` of the page before.
    after: Option<Uuid>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// A ban that is to hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewBan {
    /// When it ends by itself; left out, it does not.
    #[schema(nullable = false)]
    until: Option<Time>,
}

/// The bans of a room
///
/// Those that hold, for its owner and moderators, in the order of ids.
#[utoipa::path(
    get,
    path = "/rooms/{room}/bans",
    tag = "bans",
    operation_id = "listBans",
    params(Room, BanQuery),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of bans.",
            body = BanPageView<'_>,
            links(
                ("next" = (
                    operation_id = "listBans",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("after" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("unban" = (
                    operation_id = "unban",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("user" = "$response.body#/bans/0/id")
                    ),
                    description = "Lifts one of them.",
                ))
            ),
            example = json!({ "bans": [{ "id": CAROL, "name": "Carol", "until": AT }] }),
        ),
        codes::AsMember,
    ),
)]
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

/// Ban somebody
///
/// Ends a membership like a kick, takes back an invitation, and keeps the user from joining and from
/// being invited. A private room does not exist for whoever is banned from it. Banning again sets
/// another end.
#[utoipa::path(
    put,
    path = "/rooms/{room}/bans/{user}",
    tag = "bans",
    operation_id = "ban",
    params(Room, User, Key),
    security(("bearer" = [])),
    request_body(content = NewBan, example = json!({ "until": "2100-01-02T03:04:05.678Z" })),
    responses(
        (
            status = 204,
            description = "The user is banned.",
            links(("unban" = (
                operation_id = "unban",
                parameters(
                    ("room" = "$request.path.room"),
                    ("user" = "$request.path.user")
                ),
                description = "Lifts it.",
            ))),
        ),
        codes::AsMember,
        codes::NoSuchUser,
        codes::Once,
    ),
)]
async fn ban(
    api: Data<Api>,
    Caller(by): Caller,
    Room(room): Room,
    User(user): User,
    key: Key,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let until = until(&mut fields)?;
    fields.finish()?;
    let ban = RoomCommand::Moderate(Moderation::Ban { user, until });
    key.write(&api, &by, room, ban).await
}

/// Lift a ban
#[utoipa::path(
    delete,
    path = "/rooms/{room}/bans/{user}",
    tag = "bans",
    operation_id = "unban",
    params(Room, User, Key),
    security(("bearer" = [])),
    responses((status = 204, description = "The user is not banned."), codes::AsMember,
        codes::Once,
    ),
)]
async fn unban(
    api: Data<Api>,
    Caller(by): Caller,
    Room(room): Room,
    User(user): User,
    key: Key,
) -> Result<HttpResponse, Problem> {
    let unban = RoomCommand::Moderate(Moderation::Unban { user });
    key.write(&api, &by, room, unban).await
}
