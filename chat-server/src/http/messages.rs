//! `/rooms/{room}/messages`: read and write.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error, HistoryAt, HistoryQuery};
use utoipa::{OpenApi, ToSchema};

use crate::auth::Caller;
use crate::http::body::{Body, Query, Room, Seq};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{HistoryView, MessageView, Problem, SentView, draft, history_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/rooms/{room}/messages", "GET, POST")
                .route(web::get().to(list))
                .route(web::post().to(send)),
        )
        .service(resource("/rooms/{room}/messages/{seq}", "GET").route(web::get().to(look)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(list, send, look))]
pub(super) struct Calls;

/// A message that is to be written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewMessage {
    #[schema(value_type = words::MessageText)]
    text: String,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
}

/// A page of messages, as `history_query` reads it: one of `before`, `after` and `around`, or none for
/// the latest.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Place {
    /// Those before this `seq`.
    #[param(inline, value_type = Option<words::Seq>)]
    before: Option<u64>,
    /// Those after it.
    #[param(inline, value_type = Option<words::Seq>)]
    after: Option<u64>,
    /// Those around it.
    #[param(inline, value_type = Option<words::Seq>)]
    around: Option<u64>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// Write a message
///
/// The answer comes after the message is on disk. Sent again with the same `key`, on any connection and as
/// often as anybody likes, it takes effect once and gets the first answer.
#[utoipa::path(
    post,
    path = "/rooms/{room}/messages",
    tag = "messages",
    operation_id = "sendMessage",
    params(Room),
    security(("bearer" = [])),
    request_body(content = NewMessage, example = json!({ "text": "Earl Grey?", "key": "k1" })),
    responses(
        (
            status = 201,
            description = "The message is on disk, and everybody in the room hears of it.",
            body = SentView,
            links(("message" = (
                operation_id = "getMessage",
                parameters(
                    ("room" = "$request.path.room"),
                    ("seq" = "$response.body#/seq")
                ),
                description = "The message.",
            ))),
            example = json!({ "seq": 1, "at": AT }),
        ),
        codes::AsMember,
        codes::Muted,
        codes::ReadOnly,
        codes::SlowMode,
        codes::KeyConflict,
        codes::Text,
        codes::NoSuchUser,
    ),
)]
async fn send(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let draft = draft(&mut fields)?;
    fields.finish()?;
    let sent = api.engine.room(room).send(&user, draft).await?;
    Ok(HttpResponse::Created().json(SentView::from(&sent)))
}

/// The messages of a room
///
/// Oldest first: the latest, those `before` or `after` a `seq`, or those `around` it.
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages",
    tag = "messages",
    operation_id = "listMessages",
    params(Room, Place),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of messages.",
            body = HistoryView<'_>,
            links(("older" = (
                operation_id = "listMessages",
                parameters(
                    ("room" = "$request.path.room"),
                    ("limit" = "$request.query.limit"),
                    ("before" = "$response.body#/messages/0/seq")
                ),
                description = "The page before this one, if `more.before` says that there is one.",
            ))),
            example = json!({
                "messages": [{
                    "room": ROOM,
                    "seq": 1,
                    "from": { "id": CAROL, "name": "Carol" },
                    "text": "Earl Grey?",
                    "at": AT,
                }],
                "more": { "before": false, "after": false },
            }),
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
    let query = history_query(&mut fields)?;
    fields.finish()?;
    let page = api.engine.room(room).history(&user, query).await?;
    Ok(HttpResponse::Ok().json(HistoryView::from(&page)))
}

/// One message
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages/{seq}",
    tag = "messages",
    operation_id = "getMessage",
    params(Room, Seq),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The message.",
            body = MessageView<'_>,
            links(
                ("around" = (
                    operation_id = "listMessages",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("around" = "$request.path.seq")
                    ),
                    description = "What was said before and after it.",
                )),
                ("author" = (
                    operation_id = "getUser",
                    parameters(("user" = "$response.body#/from/id")),
                    description = "Whoever wrote it, if that is somebody with an account.",
                ))
            ),
            example = json!({
                "room": ROOM,
                "seq": 1,
                "from": { "id": CAROL, "name": "Carol" },
                "text": "Earl Grey?",
                "at": AT,
            }),
        ),
        codes::ToMembers,
        codes::NoSuchMessage,
    ),
)]
async fn look(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
) -> Result<HttpResponse, Problem> {
    let one = HistoryQuery { at: HistoryAt::After(seq.saturating_sub(1)), limit: 1 };
    let page = api.engine.room(room).history(&user, one).await?;
    match page.messages.first().filter(|message| message.seq == seq) {
        Some(message) => Ok(HttpResponse::Ok().json(MessageView::new(page.room, message))),
        None => {
            Err(Error::new(Code::NoSuchMessage, "the room has no message with this seq").into())
        }
    }
}
