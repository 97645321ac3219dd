//! `/rooms`: open one, list them, look at one, change its settings.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{Code, Error, Listed, Moderation, RoomId, RoomQuery};
use moka::future::Cache;
use serde_json::json;

use crate::auth::Caller;
use crate::http::body::{Body, Query, Room};
use crate::http::{Api, resource};
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

/// Lists of rooms as they were less than a second ago, so that a thousand pages that show the same
/// list ask the store once. Who is there is added for each of them anew. Cheap to clone.
#[derive(Clone)]
pub struct Lists {
    cache: Cache<(String, Option<RoomId>, usize), Arc<Vec<Listed>>>,
}

impl Default for Lists {
    fn default() -> Self {
        let lasts = Duration::from_secs(1);
        Self { cache: Cache::builder().max_capacity(1_000).time_to_live(lasts).build() }
    }
}

async fn open(
    api: Data<Api>,
    lists: Data<Lists>,
    Caller(user): Caller,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let room = new_room(&mut fields)?;
    fields.finish()?;
    let room = api.engine.open_room(&user, room).await?.view(&user).await?;
    // Whoever opened it sees it in the list at once.
    lists.cache.invalidate_all();
    Ok(HttpResponse::Created().json(RoomView::from(&room)))
}

async fn list(
    api: Data<Api>,
    lists: Data<Lists>,
    Caller(_): Caller,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = room_query(&mut fields)?;
    fields.finish()?;
    let wanted = query.limit;
    let key = (query.title.clone(), query.after, wanted);
    let read = async {
        // One more than is wanted tells whether there is another page.
        let query = RoomQuery { limit: wanted + 1, ..query };
        api.engine.rooms(&query).await.map(Arc::new)
    };
    let rooms = lists.cache.try_get_with(key, read).await;
    let rooms = rooms.map_err(|error: Arc<Error>| Problem::from((*error).clone()))?;
    let page = &rooms[..wanted.min(rooms.len())];
    let next = page.last().filter(|_| rooms.len() > wanted).map(|room| room.info.id);
    let views: Vec<_> = api.engine.counted(page).iter().map(RoomView::from).collect();
    let mut answer = json!({ "rooms": views });
    if let Some(next) = next {
        answer["next"] = json!(next.uuid());
    }
    Ok(HttpResponse::Ok().json(answer))
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

async fn look(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
) -> Result<HttpResponse, Problem> {
    let room = api.engine.room(room).view(&user).await?;
    Ok(HttpResponse::Ok().json(RoomView::from(&room)))
}

async fn set(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let change = settings_change(&mut fields)?;
    fields.finish()?;
    api.engine.room(room).moderate(&user, Moderation::Configure(change)).await?;
    Ok(HttpResponse::NoContent().finish())
}
