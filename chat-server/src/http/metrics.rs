//! What the server counts, for Prometheus.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};

use crate::http::{Api, resource};
use crate::protocol::Problem;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/metrics", "GET").route(web::get().to(metrics)));
}

async fn metrics(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let metrics = api.metrics.as_ref().ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render(&api.engine)))
}
