//! The WebSocket's address, which is no call of this interface; described here because the transports
//! know nothing of HTTP but the handshake.

use utoipa::OpenApi;

use crate::http::codes;

/// The handshake, for the document.
#[derive(OpenApi)]
#[openapi(paths(handshake))]
pub(super) struct Calls;

/// For clients that cannot set a header.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Shown {
    /// An access token, if it comes neither in the header nor, as from browsers, in the first command.
    access_token: Option<String>,
}

/// Open a WebSocket
///
/// The handshake of RFC 6455, version 13, with the subprotocol `chat.v1` or none. What is said after it,
/// every command, reply, event and close code, is in `docs/protocol.md`. A token in the header or the
/// address is checked here; without one, the first command is `auth`.
#[utoipa::path(
    get,
    path = "/ws",
    tag = "sockets",
    operation_id = "connect",
    params(Shown),
    security((), ("bearer" = [])),
    responses(
        (
            status = 101,
            description = "From here on it is a WebSocket.",
            headers(
                ("Sec-WebSocket-Accept" = String, description = "As RFC 6455 says."),
                ("Sec-WebSocket-Protocol" = String, description = "`chat.v1`, if it was offered.")
            ),
        ),
        codes::BadRequest,
        codes::ForeignOrigin,
        codes::UpgradeRequired,
        codes::TooManyConnections,
        codes::Stopping,
    ),
)]
#[expect(dead_code, reason = "only described")]
fn handshake() {}
