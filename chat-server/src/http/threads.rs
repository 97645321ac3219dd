//! `/rooms/{room}/messages/{seq}/thread` and `/rooms/{room}/threads`: open a thread, list them. What is done in
//! a thread is done in its own room.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use utoipa::OpenApi;

use crate::auth::Caller;
use crate::http::body::{NoQuery, Query, Room, Seq};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{Problem, RoomView, ThreadPageView, thread_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/rooms/{room}/messages/{seq}/thread", "PUT").route(web::put().to(open)))
        .service(resource("/rooms/{room}/threads", "GET").route(web::get().to(list)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(open, list))]
pub(super) struct Calls;

/// Open the thread on a message
///
/// Or find the one that is there: however many ask at once, a message has one. It is a room of its own, of the kind
/// `thread`; whoever opens it and the message's author are its members, other members of the message's room join
/// it, or only read it. Who may do what in it, that room says.
#[utoipa::path(
    put,
    path = "/rooms/{room}/messages/{seq}/thread",
    tag = "threads",
    operation_id = "openThread",
    params(Room, Seq),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The thread's own room.",
            body = RoomView,
            links(("messages" = (
                operation_id = "listMessages",
                parameters(("room" = "$response.body#/id")),
                description = "What is written in it.",
            ))),
            example = json!({
                "id": "0192f0c4-8b4c-7d5e-9f60-1a2b3c4d5e6f",
                "kind": "thread",
                "ephemeral": false,
                "created": AT,
                "parent": { "room": ROOM, "seq": 1 },
                "members": 2,
                "online": 0,
            }),
        ),
        codes::AsMember,
        codes::Muted,
        codes::ReadOnly,
        codes::NoSuchUser,
        codes::NoSuchMessage,
        codes::MessageDeleted,
    ),
)]
async fn open(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let thread = api.engine.room(room).open_thread(&user, seq).await?;
    Ok(HttpResponse::Ok().json(RoomView::from(&thread)))
}

/// Which page of threads.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Place {
    /// The `next` of the page before.
    after: Option<String>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// The threads of a room
///
/// The one that was written in last first; one in which nothing is written as of its opening. Each with how far the
/// caller has read it, if it follows it.
#[utoipa::path(
    get,
    path = "/rooms/{room}/threads",
    tag = "threads",
    operation_id = "listThreads",
    params(Room, Place),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of them, each with the message that it is on.",
            body = ThreadPageView<'_>,
            links(("next" = (
                operation_id = "listThreads",
                parameters(
                    ("room" = "$request.path.room"),
                    ("limit" = "$request.query.limit"),
                    ("after" = "$response.body#/next")
                ),
                description = "The next page, if there is one.",
            ))),
            example = json!({ "threads": [{
                "seq": 1,
                "room": "0192f0c4-8b4c-7d5e-9f60-1a2b3c4d5e6f",
                "replies": 1,
                "last": { "from": { "id": CAROL, "name": "Carol" }, "at": AT, "seq": 1 },
                "following": true,
                "read": { "seq": 0, "unread": 1, "mentions": 0 },
            }] }),
        ),
        codes::ToMembers,
    ),
)]
async fn list(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = thread_query(&mut fields)?;
    fields.finish()?;
    let page = api.engine.room(room).threads(&user, query).await?;
    Ok(HttpResponse::Ok().json(ThreadPageView::from(&page)))
}
