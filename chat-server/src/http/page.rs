//! The web page: its files are part of the binary. Nothing on it comes from anywhere else, and the
//! browser is told to hold it to that.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

use crate::http::resource;
use crate::protocol::Problem;

/// Only the page's own files, and its own server to talk to.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "src/web/"]
struct Files;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/", "GET").route(web::get().to(index)))
        .service(resource("/web/{path:.*}", "GET").route(web::get().to(file)));
}

async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    give(&request, "index.html")
}

async fn file(request: HttpRequest, path: Path<String>) -> Result<HttpResponse, Problem> {
    give(&request, &path)
}

/// A file of the page. Browsers keep it, and ask each time whether it is still the same.
fn give(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let file = Files::get(path).ok_or_else(Problem::not_found)?;
    let hash = file.metadata.sha256_hash();
    let tag =
        hash[..8].iter().fold(String::from("\""), |tag, byte| tag + &format!("{byte:02x}")) + "\"";
    let kept =
        request.headers().get(IF_NONE_MATCH).is_some_and(|kept| kept.as_bytes() == tag.as_bytes());
    let mut response = if kept { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .content_type(file.metadata.mimetype());
    Ok(if kept { response.finish() } else { response.body(file.data.into_owned()) })
}
