//! The calls, described: the OpenAPI document, and a page to browse it and to try them out. The page is
//! ours, what draws it is Swagger UI; both are part of the binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};
use utoipa::OpenApi;
use utoipa_swagger_ui::Config;

use crate::http::file::File;
use crate::http::{codes, openapi, page, resource};
use crate::protocol::Problem;

/// Those of Swagger UI's files that the page loads. It comes with more: bundles of other kinds, and a
/// frame of its own that asks for the address of any document.
const PARTS: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/api/openapi.json", "GET").route(web::get().to(document)))
        .service(resource("/api/docs", "GET").route(web::get().to(docs)))
        .service(resource("/api/docs/{file}", "GET").route(web::get().to(part)));
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(document, docs, part))]
pub(super) struct Calls;

/// This document
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "pages",
    operation_id = "getDocument",
    responses(
        (
            status = 200,
            description = "All calls, in OpenAPI 3.1.",
            body = Object,
            content_type = "application/json",
            example = json!({ "openapi": "3.1.0" }),
        ),
        (status = 304, description = "The same as the client has (`If-None-Match`)."),
    ),
)]
async fn document(request: HttpRequest) -> HttpResponse {
    static HASH: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(openapi::document()).into());
    let bytes = Cow::Borrowed(openapi::document().as_bytes());
    File { bytes, kind: "application/json", hash: &*HASH, gzipped: false }.give(&request)
}

/// A page that shows this document
#[utoipa::path(
    get,
    path = "/api/docs",
    tag = "pages",
    operation_id = "getDocs",
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 304, description = "The same as the browser has (`If-None-Match`)."),
    ),
)]
async fn docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    page::give(&request, "docs.html")
}

/// What draws that page
#[utoipa::path(
    get,
    path = "/api/docs/{file}",
    tag = "pages",
    operation_id = "getDocsFile",
    params(("file" = String, Path, description = "Which part of Swagger UI.")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "*/*"),
        (status = 304, description = "The same as the browser has (`If-None-Match`)."),
        codes::NotFound,
    ),
)]
async fn part(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    static HASHES: LazyLock<[[u8; 32]; PARTS.len()]> = LazyLock::new(|| {
        PARTS.map(|name| {
            Sha256::digest(swagger(name).map(|file| file.bytes).unwrap_or_default()).into()
        })
    });
    let nth = PARTS.iter().position(|part| *part == *name).ok_or_else(Problem::not_found)?;
    let file = swagger(PARTS[nth]).ok_or_else(Problem::not_found)?;
    let (kind, gzipped) = (file.content_type.as_str(), file.gzpipped);
    Ok(File { bytes: file.bytes, kind, hash: &HASHES[nth], gzipped }.give(&request))
}

/// A file of Swagger UI.
fn swagger(name: &str) -> Option<utoipa_swagger_ui::SwaggerFile<'static>> {
    utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok().flatten()
}
