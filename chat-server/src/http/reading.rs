//! How far somebody has read: `/rooms/mine`, `/rooms/{room}/read`, and who has read a message.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::OwnRoomQuery;
use utoipa::{OpenApi, ToSchema};

use crate::auth::Caller;
use crate::http::body::{Body, NoQuery, Query, Room, Seq};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{
    OwnRoomsView, Problem, ReadPositionView, ReaderPageView, activity, read_seq, reader_query,
};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/rooms/mine", "GET").route(web::get().to(mine)))
        .service(
            resource("/rooms/{room}/read", "GET, PUT")
                .route(web::get().to(position))
                .route(web::put().to(read)),
        )
        .service(
            resource("/rooms/{room}/messages/{seq}/readers", "GET").route(web::get().to(readers)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(mine, position, read, readers))]
pub(super) struct Calls;

/// A page of one's rooms, as [`activity`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Wanted {
    /// `next` of the page before.
    before: Option<String>,
    /// Whether threads that you follow are among them.
    #[param(default = true)]
    threads: Option<bool>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// Your rooms
///
/// Those of which you are a member, the ones first in which something was said last, with the last message and
/// what you have not read. The threads that you follow are rooms like these.
#[utoipa::path(
    get,
    path = "/rooms/mine",
    tag = "rooms",
    operation_id = "listOwnRooms",
    params(Wanted),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of rooms.",
            body = OwnRoomsView<'_>,
            links(
                ("next" = (
                    operation_id = "listOwnRooms",
                    parameters(
                        ("threads" = "$request.query.threads"),
                        ("limit" = "$request.query.limit"),
                        ("before" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("messages" = (
                    operation_id = "listMessages",
                    parameters(
                        ("room" = "$response.body#/rooms/0/room/id"),
                        ("after" = "$response.body#/rooms/0/read/seq")
                    ),
                    description = "What you have not read of one of them.",
                ))
            ),
            example = json!({
                "rooms": [{
                    "room": {
                        "id": ROOM,
                        "title": "Tea",
                        "kind": "open",
                        "ephemeral": false,
                        "created": AT,
                        "members": 2,
                        "online": 0,
                    },
                    "cursor": "1.2",
                    "last": {
                        "room": ROOM,
                        "seq": 1,
                        "from": { "id": CAROL, "name": "Carol" },
                        "text": "Earl Grey?",
                        "at": AT,
                    },
                    "read": { "seq": 0, "unread": 1, "mentions": 0 },
                }],
            }),
        ),
        codes::Engine,
    ),
)]
async fn mine(
    api: Data<Api>,
    Caller(user): Caller,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let (before, threads) = (activity(&mut fields)?, fields.flag("threads")?.unwrap_or(true));
    let query = OwnRoomQuery { before, threads, limit: fields.limit()? };
    fields.finish()?;
    let page = api.engine.own_rooms(&user, query).await?;
    Ok(HttpResponse::Ok().json(OwnRoomsView::from(&page)))
}

/// How far you have read a room
#[utoipa::path(
    get,
    path = "/rooms/{room}/read",
    tag = "messages",
    operation_id = "getReadPosition",
    params(Room),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The last message that you have read, and what is left.",
            body = ReadPositionView,
            example = json!({ "seq": 1, "unread": 3, "mentions": 1 }),
        ),
        codes::ToMembers,
    ),
)]
async fn position(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let standing = api.engine.room(room).standing(&user).await?;
    Ok(HttpResponse::Ok().json(ReadPositionView::from(&standing)))
}

/// The last message that has been read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct LastRead {
    #[schema(value_type = words::Seq)]
    seq: u64,
}

/// Have read a room up to a message
///
/// Moves forward only: of an earlier message than before, nothing changes. What is left is not counted if that is
/// more than the server has in mind; the call before this one counts it.
#[utoipa::path(
    put,
    path = "/rooms/{room}/read",
    tag = "messages",
    operation_id = "read",
    params(Room),
    security(("bearer" = [])),
    request_body(content = LastRead, example = json!({ "seq": 1 })),
    responses(
        (
            status = 200,
            description = "It is kept, and told to your own connections and, in a small room, to everybody.",
            body = ReadPositionView,
            example = json!({ "seq": 1, "unread": 0, "mentions": 0 }),
        ),
        codes::AsMember,
        codes::NoSuchMessage,
    ),
)]
async fn read(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let seq = read_seq(&mut fields)?;
    fields.finish()?;
    let position = api.engine.room(room).read(&user, seq).await?;
    Ok(HttpResponse::Ok().json(ReadPositionView::from(&position)))
}

/// Which page of readers, as `reader_query` reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Readers {
    /// Only users whose ids come after this one.
    #[param(inline, value_type = Option<words::Id>)]
    after: Option<String>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// Who has read a message
///
/// All members who have read the room up to it. In a room in which more than 200 connections are present, only how many.
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages/{seq}/readers",
    tag = "messages",
    operation_id = "listReaders",
    params(Room, Seq, Readers),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "How many, and a page of them, in the order of their ids.",
            body = ReaderPageView<'_>,
            links(("next" = (
                operation_id = "listReaders",
                parameters(
                    ("room" = "$request.path.room"),
                    ("seq" = "$request.path.seq"),
                    ("after" = "$response.body#/next")
                ),
                description = "The next page, if there is one.",
            ))),
            example = json!({ "count": 1, "users": [{ "id": CAROL, "name": "Carol" }] }),
        ),
        codes::ToMembers,
        codes::NoSuchMessage,
    ),
)]
async fn readers(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = reader_query(&mut fields, seq)?;
    fields.finish()?;
    let page = api.engine.room(room).readers(&user, query).await?;
    Ok(HttpResponse::Ok().json(ReaderPageView::from(&page)))
}
