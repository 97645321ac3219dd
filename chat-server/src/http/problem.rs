//! Errors as problem documents (RFC 9457): the same code, message and fields as on a socket, with
//! the HTTP status that says the same.

use std::borrow::Cow;
use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;

use crate::people::PeopleError;
use crate::protocol::{Problem, Time};

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
}

fn status(code: &str) -> StatusCode {
    match code {
        "bad_json" | "bad_request" => StatusCode::BAD_REQUEST,
        "unauthorized" | "bad_credentials" | "bad_refresh_token" => StatusCode::UNAUTHORIZED,
        "no_account" | "forbidden" | "not_a_member" | "banned" | "muted" | "read_only"
        | "foreign_origin" => StatusCode::FORBIDDEN,
        "no_such_room" | "no_such_message" | "no_such_member" | "no_such_user"
        | "no_such_group" | "not_a_friend" | "not_found" => StatusCode::NOT_FOUND,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "too_many" | "blocked" | "key_conflict" | "username_taken" | "has_account"
        | "refreshed_already" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "unsupported_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "too_short" | "too_long" | "empty" | "bad_text" => StatusCode::UNPROCESSABLE_ENTITY,
        "upgrade_required" => StatusCode::UPGRADE_REQUIRED,
        "rate_limited" | "slow_mode" | "too_many_sessions" => StatusCode::TOO_MANY_REQUESTS,
        "busy" | "unavailable" | "stopping" | "too_many_connections" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        let (limit, actual) = error.measure().unzip();
        Self {
            code: error.code(),
            message: error.message(),
            retry: error.retry(),
            field: error.field().map(Cow::Borrowed),
            limit,
            actual,
            until: None,
            retry_after_s: error
                .retry_after()
                .map_or(0, |wait| u16::try_from(wait.as_secs()).unwrap_or(u16::MAX)),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Problem {
    /// In how many seconds the same may succeed: as is known, or as is measured (what is measured of
    /// something to be retried is time), or soon.
    fn wait_s(&self) -> u64 {
        match (self.retry_after_s, self.limit.zip(self.actual)) {
            (0, Some((limit, passed))) => limit.saturating_sub(passed).max(1),
            (known, _) => u64::from(known).max(1),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(self.code)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: &self.message,
            code: self.code,
            retry: self.retry,
            field: self.field.as_deref(),
            limit: self.limit,
            actual: self.actual,
            until: self.until,
        };
        let mut response = HttpResponse::build(status);
        // Kept by `json`, which sets its own only where there is none.
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            response.insert_header((UPGRADE, "websocket"));
            response.insert_header((SEC_WEBSOCKET_VERSION, "13"));
        }
        if self.retry {
            response.insert_header((RETRY_AFTER, self.wait_s().to_string()));
        }
        response.json(document)
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
