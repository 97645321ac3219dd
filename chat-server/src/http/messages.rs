//! `/rooms/{room}/messages`: read and write.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig};
use chat_core::{Code, Error, HistoryAt, HistoryQuery};

use crate::auth::Caller;
use crate::http::body::{Body, Query, Room};
use crate::http::{Api, resource};
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

async fn look(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let wrong = |_| Problem::bad_request("the message in the address must be a number").at("seq");
    let seq: u64 = path.1.parse().map_err(wrong)?;
    let one = HistoryQuery { at: HistoryAt::After(seq.saturating_sub(1)), limit: 1 };
    let page = api.engine.room(room).history(&user, one).await?;
    match page.messages.first().filter(|message| message.seq == seq) {
        Some(message) => Ok(HttpResponse::Ok().json(MessageView::new(page.room, message))),
        None => {
            Err(Error::new(Code::NoSuchMessage, "the room has no message with this seq").into())
        }
    }
}
