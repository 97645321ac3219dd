//! Whether the process can serve, for whoever watches over it.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::http::{resource, words};

pub(super) fn configure(config: &mut ServiceConfig) {
    let healthz = resource("/healthz", "GET, HEAD").route(web::get().to(healthz));
    config.service(healthz.route(web::head().to(healthz_head)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(healthz, healthz_head))]
pub(super) struct Calls;

/// That all is well.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(value_type = words::Healthy)]
    status: &'static str,
}

/// Whether the process can serve
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    operation_id = "getHealth",
    responses((
        status = 200,
        description = "It can.",
        body = Health,
        example = json!({ "status": "ok" }),
    )),
)]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// The same, in a word
#[utoipa::path(
    head,
    path = "/healthz",
    tag = "operation",
    operation_id = "headHealth",
    responses((status = 200, description = "It can.")),
)]
async fn healthz_head() -> HttpResponse {
    healthz().await
}
