//! `/rooms`: open one, list them, look at one, change its settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error, Listed, Moderation, RoomCommand, RoomId, RoomQuery};
use moka::future::Cache;
use serde::Serialize;
use utoipa::openapi::ObjectBuilder;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Caller;
use crate::http::body::{Body, KEY_IN_BODY, Key, NoQuery, Query, Room};
use crate::http::examples::{AT, CAROL, ROOM};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{Fields, Problem, RoomView, new_room, settings_change};

/// The longest text that is searched for, in characters.
const MOST_QUERY: usize = chat_core::limits::TITLE_CHARS;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/rooms", "GET, POST").route(web::get().to(list)).route(web::post().to(open)),
        )
        .service(
            resource("/rooms/{room}", "GET, PATCH")
                .route(web::get().to(look))
                .route(web::patch().to(set)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(list, open, look, set))]
pub(super) struct Calls;

/// Lists of rooms as they were less than a second ago, so that a thousand pages that show the same
/// list ask the store once. Who is there is added for each of them anew. Cheap to clone.
#[derive(Clone)]
pub struct Lists {
    /// By what was asked for, and how many rooms had been opened over HTTP by then: a list that is still being
    /// read when a room is opened may not have it, and is nobody's who asks later.
    cache: Cache<(u64, RoomQuery), Arc<Vec<Listed>>>,
    opened: Arc<AtomicU64>,
}

impl Default for Lists {
    fn default() -> Self {
        let lasts = Duration::from_secs(1);
        let cache = Cache::builder().max_capacity(1_000).time_to_live(lasts).build();
        Self { cache, opened: Arc::default() }
    }
}

impl Lists {
    /// The rooms that were asked for: as somebody else has read them, or else as this reads them.
    async fn get<R>(&self, query: RoomQuery, read: R) -> Result<Arc<Vec<Listed>>, Arc<Error>>
    where
        R: Future<Output = Result<Vec<Listed>, Error>>,
    {
        let key = (self.opened.load(Ordering::Acquire), query);
        self.cache.try_get_with(key, async { read.await.map(Arc::new) }).await
    }

    /// Whoever asks from now on sees a room that has been opened.
    fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Release);
    }
}

/// A page of rooms.
#[derive(Serialize, ToSchema)]
#[schema(as = RoomPage)]
pub(super) struct RoomPageView {
    /// Newest first.
    rooms: Vec<RoomView>,
    /// There if there are more: sent as `after`, it gives the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<Uuid>,
}

/// A room that is to be opened.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub(super) enum NewRoom {
    Titled(NewTitledRoom),
    Direct(NewDirectRoom),
}

/// A room for as many as like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewTitledRoom {
    #[schema(value_type = words::Title)]
    title: String,
    /// Open: listed, and anybody may join. Private: not listed, and only whoever is invited may.
    #[schema(nullable = false, default = "open")]
    kind: Option<TitledKind>,
    /// Whether it goes, with its messages, when the last member has left or has been away for a while.
    #[schema(nullable = false, default = false)]
    ephemeral: Option<bool>,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only described")]
enum TitledKind {
    Open,
    Private,
}

/// The one room that the caller has with another user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewDirectRoom {
    kind: DirectKind,
    /// The other user.
    with: Uuid,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only described")]
enum DirectKind {
    Direct,
}

/// Which settings of a room are to be others; what is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct RoomChange {
    #[schema(value_type = Option<words::Inviters>, nullable = false)]
    invite: Option<String>,
    #[schema(value_type = Option<words::SlowSeconds>, nullable = false)]
    slow_s: Option<u32>,
    /// Whether only the owner and moderators write.
    #[schema(nullable = false)]
    read_only: Option<bool>,
}

/// A page of rooms, as [`room_query`] reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Wanted {
    #[param(schema_with = Wanted::query)]
    query: Option<String>,
    /// `next` of the page before.
    after: Option<Uuid>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
}

impl Wanted {
    fn query() -> ObjectBuilder {
        words::text(0, MOST_QUERY)
            .description(Some("What titles must have in them, in whatever case."))
    }
}

/// Open a room
///
/// Whoever opens it is its owner and a member. Two users have one direct room, whoever opens it and how
/// often.
#[utoipa::path(
    post,
    path = "/rooms",
    tag = "rooms",
    operation_id = "openRoom",
    security(("bearer" = [])),
    request_body(
        content = NewRoom,
        examples(
            ("for_all" = (
                summary = "A room for everybody",
                value = json!({ "title": "Tea", "ephemeral": false }),
            )),
            ("for_some" = (
                summary = "A room for whoever is invited",
                value = json!({ "title": "Plans", "kind": "private" }),
            )),
            ("of_two" = (
                summary = "A room with one other user",
                value = json!({ "kind": "direct", "with": CAROL }),
            )),
        ),
    ),
    responses(
        (
            status = 201,
            description = "The room.",
            body = RoomView,
            links(
                ("room" = (
                    operation_id = "getRoom",
                    parameters(("room" = "$response.body#/id")),
                    description = "The room as it is later.",
                )),
                ("settings" = (
                    operation_id = "changeRoom",
                    parameters(("room" = "$response.body#/id")),
                    description = "Changes its settings.",
                )),
                ("invite" = (
                    operation_id = "invite",
                    parameters(("room" = "$response.body#/id")),
                    description = "Invites somebody.",
                )),
                ("join" = (
                    operation_id = "join",
                    parameters(("room" = "$response.body#/id")),
                    description = "For others to do.",
                )),
                ("members" = (
                    operation_id = "listMembers",
                    parameters(("room" = "$response.body#/id")),
                    description = "Who belongs to it.",
                )),
                ("messages" = (
                    operation_id = "listMessages",
                    parameters(("room" = "$response.body#/id")),
                    description = "What was said last.",
                )),
                ("send" = (
                    operation_id = "sendMessage",
                    parameters(("room" = "$response.body#/id")),
                    description = "Writes in it.",
                ))
            ),
            example = json!({
                "id": ROOM,
                "title": "Tea",
                "kind": "open",
                "ephemeral": false,
                "created": AT,
                "members": 1,
                "online": 0,
            }),
        ),
        codes::Engine,
        codes::Name,
        codes::Forbidden,
        codes::KeyConflict,
        codes::NoSuchUser,
    ),
)]
async fn open(
    api: Data<Api>,
    lists: Data<Lists>,
    Caller(user): Caller,
    _: NoQuery<KEY_IN_BODY>,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let room = new_room(&mut fields)?;
    fields.finish()?;
    let room = api.engine.open_room(&user, room).await;
    // Whoever opened it sees it in the list at once; also if nobody knows whether it is open.
    lists.opened();
    let room = room?.view(&user).await?;
    Ok(HttpResponse::Created().json(RoomView::from(&room)))
}

/// The open rooms
///
/// Newest first, those whose title has `query` in it. The list is at most a second old, its counts are
/// those of this moment.
#[utoipa::path(
    get,
    path = "/rooms",
    tag = "rooms",
    operation_id = "listRooms",
    params(Wanted),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of rooms.",
            body = RoomPageView,
            links(
                ("next" = (
                    operation_id = "listRooms",
                    parameters(
                        ("query" = "$request.query.query"),
                        ("limit" = "$request.query.limit"),
                        ("after" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("join" = (
                    operation_id = "join",
                    parameters(("room" = "$response.body#/rooms/0/id")),
                    description = "Joins one of them.",
                ))
            ),
            example = json!({
                "rooms": [{
                    "id": ROOM,
                    "title": "Tea",
                    "kind": "open",
                    "ephemeral": false,
                    "created": AT,
                    "members": 1,
                    "online": 0,
                }],
                "next": ROOM,
            }),
        ),
        codes::Engine,
        codes::TooLong,
    ),
)]
async fn list(
    api: Data<Api>,
    lists: Data<Lists>,
    Caller(_): Caller,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = room_query(&mut fields)?;
    fields.finish()?;
    let wanted = query.limit;
    // One more than is wanted tells whether there is another page.
    let query = RoomQuery { limit: wanted + 1, ..query };
    let rooms = lists.get(query.clone(), api.engine.rooms(&query)).await;
    let rooms = rooms.map_err(|error: Arc<Error>| Problem::from((*error).clone()))?;
    let page = &rooms[..wanted.min(rooms.len())];
    let next = page.last().filter(|_| rooms.len() > wanted).map(|room| room.info.id);
    let rooms = api.engine.counted(page).iter().map(RoomView::from).collect();
    Ok(HttpResponse::Ok().json(RoomPageView { rooms, next: next.map(RoomId::uuid) }))
}

fn room_query(fields: &mut Fields) -> Result<RoomQuery, Problem> {
    let title = fields.text("query")?.unwrap_or_default();
    let count = title.chars().count();
    if count > MOST_QUERY {
        let message = format!("`query` has {count} characters; at most {MOST_QUERY} are allowed");
        let error = Error::new(Code::TooLong, message).field("query").measured(MOST_QUERY, count);
        return Err(error.into());
    }
    let after = fields.text("after")?.map(|text| text.parse()).transpose();
    let after = after.map_err(|_| Problem::bad_request("`after` must be a UUID").at("after"))?;
    Ok(RoomQuery { title, after, limit: fields.limit()? })
}

/// One room
///
/// A private or direct room does not exist for strangers.
#[utoipa::path(
    get,
    path = "/rooms/{room}",
    tag = "rooms",
    operation_id = "getRoom",
    params(Room),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The room.",
            body = RoomView,
            links(
                ("join" = (
                    operation_id = "join",
                    parameters(("room" = "$response.body#/id")),
                    description = "Joins it.",
                )),
                ("members" = (
                    operation_id = "listMembers",
                    parameters(("room" = "$response.body#/id")),
                    description = "Who belongs to it.",
                ))
            ),
            example = json!({
                "id": ROOM,
                "title": "Tea",
                "kind": "open",
                "ephemeral": false,
                "created": AT,
                "members": 1,
                "online": 0,
            }),
        ),
        codes::OfRoom,
    ),
)]
async fn look(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let room = api.engine.room(room).view(&user).await?;
    Ok(HttpResponse::Ok().json(RoomView::from(&room)))
}

/// Change a room's settings
///
/// For the owner. Everybody who hears the room is told.
#[utoipa::path(
    patch,
    path = "/rooms/{room}",
    tag = "rooms",
    operation_id = "changeRoom",
    params(Room, Key),
    security(("bearer" = [])),
    request_body(
        content = RoomChange,
        example = json!({ "read_only": true, "slow_s": 5, "invite": "moderators" }),
    ),
    responses(
        (status = 204, description = "The settings are so, or were before."),
        codes::AsMember,
        codes::Once,
    ),
)]
async fn set(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    key: Key,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let change = settings_change(&mut fields)?;
    fields.finish()?;
    let configure = RoomCommand::Moderate(Moderation::Configure(change));
    key.write(&api, &user, room, configure).await
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_list_that_is_being_read_when_a_room_is_opened_is_not_shown_to_whoever_asks_later() {
        let lists = Lists::default();
        let get = |read| lists.get(RoomQuery::default(), read);
        let (go_on, held) = oneshot::channel();
        let mut before = pin!(get(async { held.await.expect("it goes on") }.boxed()));
        assert!((&mut before).now_or_never().is_none(), "it is being read");
        lists.opened();
        let after = get(ready(Ok(Vec::new())).boxed()).await.expect("a list");
        go_on.send(Ok(Vec::new())).expect("it waits");
        let before = before.await.expect("a list");
        let later = get(async { panic!("it has been read") }.boxed()).await.expect("a list");
        assert!(Arc::ptr_eq(&later, &after) && !Arc::ptr_eq(&later, &before));
    }
}
