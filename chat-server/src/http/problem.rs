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
use utoipa::ToSchema;

use crate::http::{codes, words};
use crate::people::PeopleError;
use crate::protocol::{Problem, Time};

/// Why a call was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'a> {
    /// Always `about:blank`: `code` says what kind of problem it is.
    r#type: &'static str,
    /// What the status is called.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For people: what is wrong and how to put it right. May be worded in another way some day.
    detail: &'a str,
    /// Stable: for programs.
    #[schema(value_type = words::Code)]
    code: &'static str,
    /// Whether the very same call may succeed later; the header `Retry-After` says when.
    retry: bool,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
    /// What is allowed, in the unit that `detail` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limit: Option<u64>,
    /// What came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actual: Option<u64>,
    /// When what stands in the way ends by itself, if it does: a ban, or a mute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Time>,
}

impl<'a> Document<'a> {
    pub(super) fn new(problem: &'a Problem, status: StatusCode) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: &problem.message,
            code: problem.code,
            retry: problem.retry,
            field: problem.field.as_deref(),
            limit: problem.limit,
            actual: problem.actual,
            until: problem.until,
        }
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
                .retry_after_s()
                .map_or(0, |wait| u16::try_from(wait).unwrap_or(u16::MAX)),
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
        let known = codes::row(self.code).and_then(|row| row.status);
        known.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
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
        response.json(Document::new(self, status))
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
