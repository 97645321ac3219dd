//! Words that are spoken over HTTP alone, as the OpenAPI document describes them.

use crate::http::codes::CODES;
use crate::people::{GROUP_NAME_CHARS, PASSWORD_CHARS, STATUS_CHARS, USERNAME_CHARS};
pub(super) use crate::protocol::words::*;

words! {
    /// What somebody signs in with: letters and digits of one script, with `_`, `.` and `-` between
    /// them. Kept in lower case.
    Username = text(*USERNAME_CHARS.start(), *USERNAME_CHARS.end());
    /// Counts byte for byte.
    Password = text(*PASSWORD_CHARS.start(), *PASSWORD_CHARS.end()).format(Some(
        utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Password),
    ));
    /// What a group of friends is called: not only white space, no control characters.
    GroupName = text(1, GROUP_NAME_CHARS);
    /// What somebody says of itself, in a line.
    Status = text(0, STATUS_CHARS);
    /// How the token is shown: `Authorization: Bearer …`.
    TokenType = one_of(["Bearer"]);
    /// What there is to say of a process that can serve.
    Healthy = one_of(["ok"]);
    /// Why a call was refused, for programs. Some codes are for sockets alone.
    Code = one_of(CODES.iter().map(|row| row.code));
}
