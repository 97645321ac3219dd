//! An error as every wire shows it. Most come from the engine; the codes that belong to the wire
//! itself (what is not JSON, what is no command, who is nobody) are made here.

use std::borrow::Cow;

use chat_core::{Code, Error};
use serde::Serialize;

use super::view::Time;

/// What a client is told when something is refused: a stable code, a message for people, whether
/// the same may succeed later, and which field is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable; listed in `docs/protocol.md`.
    pub code: &'static str,
    /// For people: what is wrong and how to put it right.
    pub message: Cow<'static, str>,
    /// Whether the very same command may succeed later.
    pub retry: bool,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'static, str>>,
    /// The most that is allowed, in the unit that the message names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<u64>,
    /// When what stands in the way ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// In how many seconds it may; 0 if nobody knows. The message says so too.
    #[serde(skip)]
    pub retry_after_s: u16,
}

impl Problem {
    fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self {
            code,
            message,
            retry: false,
            field: None,
            limit: None,
            actual: None,
            until: None,
            retry_after_s: 0,
        }
    }

    /// The same, with the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Not JSON.
    #[must_use]
    pub fn bad_json(cause: &serde_json::Error) -> Self {
        Self::new("bad_json", format!("this is not valid JSON: {cause}"))
    }

    /// A field is missing, unknown, of the wrong type or out of range.
    #[must_use]
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest.as_str(), message)
    }

    /// There is no such command.
    #[must_use]
    pub fn unknown_command(name: &str) -> Self {
        let shown: String = name.chars().take(40).collect();
        let message = format!("there is no command {shown:?}; docs/protocol.md lists them");
        Self::new("unknown_command", message).at("do")
    }

    /// No token, or one that is no good.
    #[must_use]
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("unauthorized", message)
    }

    /// No such address.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new("not_found", "there is nothing at this address; docs/protocol.md lists the calls")
    }

    /// No such method there.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new("method_not_allowed", "this address does not take this method")
    }

    /// The body is too large.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body is too large; at most {limit} bytes are taken");
        Self { limit: Some(limit as u64), ..Self::new("too_large", message) }
    }

    /// The body is not JSON by its own word.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let message = "send JSON, with the header content-type: application/json";
        Self::new("unsupported_media_type", message)
    }

    /// A WebSocket handshake of another version than 13.
    #[must_use]
    pub fn unsupported_version() -> Self {
        let message = "only version 13 of WebSocket is spoken here: Sec-WebSocket-Version: 13";
        Self::new("upgrade_required", message)
    }

    /// A WebSocket handshake from a page of somebody else.
    #[must_use]
    pub fn foreign_origin() -> Self {
        let message = "pages of this origin may not connect; the setting socket.origins lists those \
                       that may";
        Self::new("foreign_origin", message)
    }

    /// As many connections as there may be.
    #[must_use]
    pub fn too_many_connections() -> Self {
        let message = "as many are connected as may be; try again in a while";
        Self { retry: true, ..Self::new("too_many_connections", message) }
    }

    /// The server takes no more connections.
    #[must_use]
    pub fn stopping() -> Self {
        let message = "the server is stopping; connect again in a moment";
        Self { retry: true, ..Self::new(Code::Stopping.as_str(), message) }
    }

    /// Too much is under way.
    #[must_use]
    pub fn busy() -> Self {
        let message = "too much is under way; send the same again in a moment";
        Self { retry: true, ..Self::new(Code::Busy.as_str(), message) }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let measure = error.measure();
        Self {
            code: error.code().as_str(),
            message: error.message().to_owned().into(),
            retry: error.code().retry(),
            field: error.at_field().map(Cow::Borrowed),
            limit: measure.map(|measure| measure.limit),
            actual: measure.map(|measure| measure.actual),
            until: error.until().map(Time),
            retry_after_s: 0,
        }
    }
}
