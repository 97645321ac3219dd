//! Whether the process can serve, for whoever watches over it.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde_json::json;

use crate::http::resource;

pub(super) fn configure(config: &mut ServiceConfig) {
    let get = web::get().to(healthz);
    config.service(resource("/healthz", "GET, HEAD").route(get).route(web::head().to(healthz)));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}
