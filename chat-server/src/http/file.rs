//! A file that a browser is given. Nothing on a page of ours comes from anywhere else, and the browser
//! is told to hold it to that.

use std::borrow::Cow;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};

/// Only the page's own files, and its own server to talk to.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that a browser is given.
pub(super) struct File<'a> {
    pub(super) bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub(super) kind: &'a str,
    /// What tells it from another version of itself.
    pub(super) hash: &'a [u8],
    /// Whether it is kept in the form in which browsers like it sent.
    pub(super) gzipped: bool,
}

impl File<'_> {
    /// Browsers keep it, and ask each time whether it is still the same.
    pub(super) fn give(self, request: &HttpRequest) -> HttpResponse {
        let digits = self.hash[..8].iter().map(|byte| format!("{byte:02x}"));
        let tag = format!("\"{}\"", digits.collect::<String>());
        let kept = request.headers().get(IF_NONE_MATCH);
        let kept = kept.is_some_and(|kept| kept.as_bytes() == tag.as_bytes());
        let mut response = if kept { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((ETAG, tag))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .content_type(self.kind);
        if kept {
            return response.finish();
        }
        if self.gzipped {
            response.insert_header((CONTENT_ENCODING, "gzip"));
        }
        response.body(self.bytes.into_owned())
    }
}
