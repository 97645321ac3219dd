//! `/tokens`: how somebody gets one.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::UserId;
use serde_json::json;

use crate::http::body::Body;
use crate::http::{Api, resource};
use crate::protocol::{Problem, nickname};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/tokens/guest", "POST").route(web::post().to(guest)));
}

async fn guest(api: Data<Api>, Body(mut fields): Body) -> Result<HttpResponse, Problem> {
    let name = nickname(&mut fields)?;
    fields.finish()?;
    if !api.guests {
        let message = "this server takes no guests; sign in instead";
        let forbidden = chat_core::Error::new(chat_core::Code::Forbidden, message);
        return Err(forbidden.into());
    }
    let user = UserId::new();
    let now = api.clock.now();
    let (token, expires) = api.tokens.issue_guest(user.uuid(), &name, now, api.guest_ttl);
    Ok(HttpResponse::Created().json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": (expires - now).num_seconds(),
        "user": { "id": user.uuid(), "name": &*name },
    })))
}
