//! `/rooms/{room}/messages`: read, write, edit and delete.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error, HistoryAt, HistoryQuery, RoomCommand};
use utoipa::{OpenApi, ToSchema};

use crate::auth::Caller;
use crate::http::body::{Body, InPath, KEY_IN_BODY, Key, NoQuery, Query, Room, Seq};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{
    HistoryView, MarkerPageView, MessageView, Problem, RevisionsView, SentView, draft,
    history_query, marker_query, new_text,
};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/rooms/{room}/messages", "GET, POST")
                .route(web::get().to(list))
                .route(web::post().to(send)),
        )
        .service(
            resource("/rooms/{room}/messages/{seq}", "GET, PATCH, DELETE")
                .route(web::get().to(look))
                .route(web::patch().to(edit))
                .route(web::delete().to(delete)),
        )
        .service(
            resource("/rooms/{room}/messages/{seq}/revisions", "GET")
                .route(web::get().to(revisions)),
        )
        .service(
            resource("/rooms/{room}/messages/{seq}/marks", "GET").route(web::get().to(markers)),
        )
        .service(
            resource("/rooms/{room}/messages/{seq}/marks/{mark}", "PUT, DELETE")
                .route(web::put().to(mark))
                .route(web::delete().to(unmark)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(list, send, look, edit, delete, revisions, markers, mark, unmark))]
pub(super) struct Calls;

/// A message that is to be written.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub(super) enum NewMessage {
    Text(NewTextMessage),
    Files(NewFileMessage),
}

/// A message with a text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewTextMessage {
    #[schema(value_type = words::MessageText)]
    text: String,
    /// The message that it answers.
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    reply_to: Option<u64>,
    /// The ids of files that go with it, each once.
    #[schema(value_type = Option<Vec<words::Id>>, max_items = 10, nullable = false)]
    files: Option<Vec<String>>,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
}

/// A message of files alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewFileMessage {
    /// Their ids, each once.
    #[schema(value_type = Vec<words::Id>, min_items = 1, max_items = 10)]
    files: Vec<String>,
    /// The message that it answers.
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    reply_to: Option<u64>,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
}

/// What a message is to say from now on.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewText {
    #[schema(value_type = words::MessageText)]
    text: String,
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
/// The answer comes after the message is on disk. Whoever's `@username` stands in the text, and is a member, is
/// mentioned, and told so wherever it is connected. Sent again with the same `key`, on any connection and as
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
        codes::NoSuchMessage,
        codes::MessageDeleted,
    ),
)]
async fn send(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    _: NoQuery<KEY_IN_BODY>,
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
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let one = HistoryQuery { at: HistoryAt::After(seq.saturating_sub(1)), limit: 1 };
    let page = api.engine.room(room).history(&user, one).await?;
    match page.messages.first().filter(|message| message.seq == seq) {
        Some(message) => {
            Ok(HttpResponse::Ok().json(MessageView::new(page.room, message, &page.mine)))
        }
        None => {
            Err(Error::new(Code::NoSuchMessage, "the room has no message with this seq").into())
        }
    }
}

/// Edit a message
///
/// Its author may, for two days unless the server's settings say otherwise. What it said before is kept with it.
/// Whoever is mentioned by the new text and was not by the old one is told so.
#[utoipa::path(
    patch,
    path = "/rooms/{room}/messages/{seq}",
    tag = "messages",
    operation_id = "editMessage",
    params(Room, Seq, Key),
    security(("bearer" = [])),
    request_body(content = NewText, example = json!({ "text": "Earl Grey!" })),
    responses(
        (status = 204, description = "It says so on disk, and everybody in the room hears of it."),
        codes::AsMember,
        codes::Muted,
        codes::ReadOnly,
        codes::TooLate,
        codes::NoSuchUser,
        codes::NoSuchMessage,
        codes::MessageDeleted,
        codes::Text,
        codes::Once,
    ),
)]
async fn edit(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    key: Key,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let text = new_text(&mut fields)?;
    fields.finish()?;
    key.write(&api, &user, room, RoomCommand::edit(seq, text)).await
}

/// Delete a message
///
/// Its author may, for two days unless the server's settings say otherwise; the owner and moderators at any time, if
/// the author's role is below their own. Its place, its author and what it answers stay.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/messages/{seq}",
    tag = "messages",
    operation_id = "deleteMessage",
    params(Room, Seq, Key),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "It is deleted, and everybody in the room hears of it."),
        codes::AsMember,
        codes::TooLate,
        codes::NoSuchMessage,
        codes::Once,
    ),
)]
async fn delete(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    key: Key,
) -> Result<HttpResponse, Problem> {
    key.write(&api, &user, room, RoomCommand::Delete { seq }).await
}

/// What a message said before it was edited
///
/// Its author, the owner and moderators may read it.
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages/{seq}/revisions",
    tag = "messages",
    operation_id = "listRevisions",
    params(Room, Seq),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "What it said, oldest first.",
            body = RevisionsView<'_>,
            example = json!({ "revisions": [{ "text": "Earl Gray?", "at": AT }] }),
        ),
        codes::AsMember,
        codes::NoSuchMessage,
    ),
)]
async fn revisions(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let revisions = api.engine.room(room).revisions(&user, seq).await?;
    Ok(HttpResponse::Ok().json(RevisionsView::from(&revisions[..])))
}

/// Which mark, and which page, as `marker_query` reads them.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Marked {
    /// The mark.
    #[param(inline, value_type = words::Mark)]
    mark: String,
    /// Only users whose ids come after this one.
    #[param(inline, value_type = Option<words::Id>)]
    after: Option<String>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

/// Who has given a message a mark
#[utoipa::path(
    get,
    path = "/rooms/{room}/messages/{seq}/marks",
    tag = "messages",
    operation_id = "listMarkers",
    params(Room, Seq, Marked),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of them, in the order of their ids.",
            body = MarkerPageView<'_>,
            links(("next" = (
                operation_id = "listMarkers",
                parameters(
                    ("room" = "$request.path.room"),
                    ("seq" = "$request.path.seq"),
                    ("mark" = "$request.query.mark"),
                    ("after" = "$response.body#/next")
                ),
                description = "The next page, if there is one.",
            ))),
            example = json!({ "users": [{ "id": CAROL, "name": "Carol" }] }),
        ),
        codes::ToMembers,
        codes::NoSuchMessage,
        codes::Name,
    ),
)]
async fn markers(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = marker_query(&mut fields, seq)?;
    fields.finish()?;
    let page = api.engine.room(room).markers(&user, query).await?;
    Ok(HttpResponse::Ok().json(MarkerPageView::from(&page)))
}

/// Mark a message
///
/// With an emoji or a word. What many mark at once is told together, four times a second at most. A message has 50 different
/// marks at most, ten of them from one user.
#[utoipa::path(
    put,
    path = "/rooms/{room}/messages/{seq}/marks/{mark}",
    tag = "messages",
    operation_id = "mark",
    params(Room, Seq, InPath, Key),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "It is marked so on disk, or was before."),
        codes::AsMember,
        codes::Muted,
        codes::NoSuchUser,
        codes::NoSuchMessage,
        codes::MessageDeleted,
        codes::TooMany,
        codes::BadText,
        codes::Once,
    ),
)]
async fn mark(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    InPath(mark): InPath,
    key: Key,
) -> Result<HttpResponse, Problem> {
    key.write(&api, &user, room, RoomCommand::Mark { seq, mark, on: true }).await
}

/// Take a mark back
#[utoipa::path(
    delete,
    path = "/rooms/{room}/messages/{seq}/marks/{mark}",
    tag = "messages",
    operation_id = "unmark",
    params(Room, Seq, InPath, Key),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "It is not marked so by the caller, on disk, or was not before."),
        codes::AsMember,
        codes::Muted,
        codes::NoSuchMessage,
        codes::MessageDeleted,
        codes::BadText,
        codes::Once,
    ),
)]
async fn unmark(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Seq(seq): Seq,
    InPath(mark): InPath,
    key: Key,
) -> Result<HttpResponse, Problem> {
    key.write(&api, &user, room, RoomCommand::Mark { seq, mark, on: false }).await
}
