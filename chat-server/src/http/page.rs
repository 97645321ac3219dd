//! The web page: its files are part of the binary.

use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;
use utoipa::OpenApi;

use crate::http::file::File;
use crate::http::{codes, resource};
use crate::protocol::Problem;

#[derive(RustEmbed)]
#[folder = "src/web/"]
struct Files;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/", "GET").route(web::get().to(index)))
        .service(resource("/web/{path:.*}", "GET").route(web::get().to(file)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(index, file))]
pub(super) struct Calls;

/// The page to chat on
#[utoipa::path(
    get,
    path = "/",
    tag = "pages",
    operation_id = "getPage",
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 304, description = "The same as the browser has (`If-None-Match`)."),
    ),
)]
async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    give(&request, "index.html")
}

/// A file of the pages
#[utoipa::path(
    get,
    path = "/web/{path}",
    tag = "pages",
    operation_id = "getPageFile",
    params(("path" = String, Path, description = "Which.")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "*/*"),
        (status = 304, description = "The same as the browser has (`If-None-Match`)."),
        codes::NotFound,
    ),
)]
async fn file(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, Problem> {
    give(&request, &path)
}

pub(super) fn give(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let file = Files::get(path).ok_or_else(Problem::not_found)?;
    let (hash, kind) = (file.metadata.sha256_hash(), file.metadata.mimetype());
    let file = File { bytes: file.data, kind, hash: &hash, gzipped: false };
    Ok(file.give(request))
}
