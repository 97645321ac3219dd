//! What the server counts, for Prometheus.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use utoipa::OpenApi;

use crate::http::{Api, codes, resource};
use crate::protocol::Problem;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/metrics", "GET").route(web::get().to(metrics)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(super) struct Calls;

/// What the server counts
///
/// For Prometheus. There is nothing at this address if the server hides it (`server.metrics`).
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "getMetrics",
    responses(
        (
            status = 200,
            description = "Numbers in Prometheus's text format.",
            body = String,
            content_type = "text/plain",
            example = json!("# TYPE chat_sockets_open gauge\nchat_sockets_open 0\n"),
        ),
        codes::NotFound,
    ),
)]
async fn metrics(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let metrics = api.metrics.as_ref().ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render(&api.engine)))
}
