//! `/rooms/{room}/search` and `/search`: messages that say something.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use utoipa::openapi::{ObjectBuilder, Type};
use utoipa::{OpenApi, ToSchema};

use crate::auth::Caller;
use crate::http::body::{Query, Room};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{Fields, MessageView, Problem};
use crate::search::{self, Extent, Hit, MOST_CONTEXT, MOST_RESULTS, Place, QUERY_CHARS};

/// How many messages are found, and how many before and after each are shown, unless something else is said.
const RESULTS: usize = 20;
const CONTEXT: usize = 1;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/rooms/{room}/search", "GET").route(web::get().to(in_room)))
        .service(resource("/search", "GET").route(web::get().to(everywhere)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(in_room, everywhere))]
pub(super) struct Calls;

/// What is looked for in a room.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Wanted {
    #[param(required, schema_with = text)]
    q: String,
    /// Those before this `seq`: `next` of the page before.
    #[param(inline, value_type = Option<words::Seq>)]
    before: Option<u64>,
    #[param(schema_with = limit)]
    limit: Option<usize>,
    #[param(schema_with = context)]
    context: Option<usize>,
}

/// What is looked for everywhere.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct WantedEverywhere {
    #[param(required, schema_with = text)]
    q: String,
    /// `next` of the page before.
    before: Option<String>,
    #[param(schema_with = limit)]
    limit: Option<usize>,
    #[param(schema_with = context)]
    context: Option<usize>,
}

fn text() -> ObjectBuilder {
    let about = "Words, or parts of words, in any script: each of them must be in a message, in any order. Case, and \
                 how Unicode writes a character, make no difference. A single letter counts as a word.";
    words::text(1, QUERY_CHARS).description(Some(about))
}

fn limit() -> ObjectBuilder {
    number(1, MOST_RESULTS, RESULTS).description(Some("How many messages are found at most."))
}

fn context() -> ObjectBuilder {
    let about = "How many messages before and after each of them come with it.";
    number(0, MOST_CONTEXT, CONTEXT).description(Some(about))
}

fn number(least: usize, most: usize, default: usize) -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(least)).maximum(Some(most)).default(Some(default.into()))
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = Hit)]
struct HitView<'a> {
    message: MessageView<'a>,
    /// What was said before it, oldest first.
    before: Vec<MessageView<'a>>,
    /// What was said after it.
    after: Vec<MessageView<'a>>,
}

impl<'a> HitView<'a> {
    fn all(hits: &'a [Hit]) -> Vec<Self> {
        let view = |hit: &'a Hit| {
            let (room, mine) = (hit.around.room, &hit.around.mine);
            let all = |messages: &'a [std::sync::Arc<chat_core::Message>]| {
                messages.iter().map(|message| MessageView::new(room, message, mine)).collect()
            };
            Self {
                message: MessageView::new(room, hit.message(), mine),
                before: all(hit.before()),
                after: all(hit.after()),
            }
        };
        hits.iter().map(view).collect()
    }
}

/// Messages of a room that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = Hits)]
struct HitsView<'a> {
    /// Newest first.
    results: Vec<HitView<'a>>,
    /// There if there may be more, even if fewer were found than were asked for: sent as `before`, it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Seq>, nullable = false)]
    next: Option<u64>,
}

/// Messages of several rooms that were found.
#[derive(Serialize, ToSchema)]
#[schema(as = HitsEverywhere)]
struct HitsEverywhereView<'a> {
    /// Newest first.
    results: Vec<HitView<'a>>,
    /// There if there may be more, even if fewer were found than were asked for: sent as `before`, it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Search in a room
///
/// Newest first. Messages are found by what they say now, and never if they have been deleted. What has just
/// been written is found at once.
#[utoipa::path(
    get,
    path = "/rooms/{room}/search",
    tag = "messages",
    operation_id = "searchRoom",
    params(Room, Wanted),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "Messages, with those around them.",
            body = HitsView<'_>,
            links(
                ("next" = (
                    operation_id = "searchRoom",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("q" = "$request.query.q"),
                        ("limit" = "$request.query.limit"),
                        ("context" = "$request.query.context"),
                        ("before" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("around" = (
                    operation_id = "listMessages",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("around" = "$response.body#/results/0/message/seq")
                    ),
                    description = "More of what was said around one of them.",
                ))
            ),
            example = json!({
                "results": [{
                    "message": {
                        "room": ROOM,
                        "seq": 1,
                        "from": { "id": CAROL, "name": "Carol" },
                        "text": "Earl Grey?",
                        "at": AT,
                    },
                    "before": [],
                    "after": [],
                }],
            }),
        ),
        codes::ToMembers,
        codes::Text,
    ),
)]
async fn in_room(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let (query, extent) = wanted(&mut fields)?;
    let before = fields.number("before")?;
    fields.finish()?;
    let found = api.search.in_room(&user, room, &query, before, extent).await?;
    let results = HitView::all(&found.hits);
    Ok(HttpResponse::Ok().json(HitsView { results, next: found.next }))
}

/// Search in all of one's rooms
///
/// Of which the caller is a member; the newest messages of all first. Else as in one room.
#[utoipa::path(
    get,
    path = "/search",
    tag = "messages",
    operation_id = "search",
    params(WantedEverywhere),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "Messages, with those around them.",
            body = HitsEverywhereView<'_>,
            links(
                ("next" = (
                    operation_id = "search",
                    parameters(
                        ("q" = "$request.query.q"),
                        ("limit" = "$request.query.limit"),
                        ("context" = "$request.query.context"),
                        ("before" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("room" = (
                    operation_id = "getRoom",
                    parameters(("room" = "$response.body#/results/0/message/room")),
                    description = "The room of one of them.",
                ))
            ),
            example = json!({
                "results": [{
                    "message": {
                        "room": ROOM,
                        "seq": 1,
                        "from": { "id": CAROL, "name": "Carol" },
                        "text": "Earl Grey?",
                        "at": AT,
                    },
                    "before": [],
                    "after": [],
                }],
            }),
        ),
        codes::Engine,
        codes::Text,
    ),
)]
async fn everywhere(
    api: Data<Api>,
    Caller(user): Caller,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let (query, extent) = wanted(&mut fields)?;
    let before = fields.text("before")?;
    fields.finish()?;
    let before = before.map(|before| before.parse::<Place>()).transpose();
    let before = before.map_err(|_| {
        Problem::bad_request("`before` must be `next` of the page before").at("before")
    })?;
    let found = api.search.everywhere(&user, &query, before, extent).await?;
    let results = HitView::all(&found.hits);
    let next = found.next.map(|next| next.to_string());
    Ok(HttpResponse::Ok().json(HitsEverywhereView { results, next }))
}

/// What is looked for, and how much: `q`, `limit`, `context`.
fn wanted(fields: &mut Fields) -> Result<(search::Query, Extent), Problem> {
    let query = search::Query::new(&fields.needed_text("q")?)?;
    let limit = fields.number_within("limit", 1..=MOST_RESULTS)?.unwrap_or(RESULTS);
    let context = fields.number_within("context", 0..=MOST_CONTEXT)?.unwrap_or(CONTEXT);
    Ok((query, Extent { limit, context }))
}
