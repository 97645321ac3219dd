//! Every stable code: its HTTP status, when it is answered, and an answer as it looks. What an answer's
//! status is, what the OpenAPI document says and which refusals a handler may name is all read off this
//! one list; tests hold it to the code of the program and to `docs/protocol.md`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use chat_core::{Code, Error};
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::http::MOST_BODY;
use crate::people::PeopleError;
use crate::protocol::{Fields, Problem, Time};

/// What there is to know of a code.
pub(super) struct Row {
    pub(super) code: &'static str,
    /// `None` for what only a socket is told.
    pub(super) status: Option<StatusCode>,
    /// When it is answered.
    pub(super) when: &'static str,
    /// Such an answer.
    pub(super) sample: fn() -> Problem,
}

/// What is known of this code.
pub(super) fn row(code: &str) -> Option<&'static Row> {
    CODES.iter().find(|row| row.code == code)
}

/// The list; and for each code a type of its name, which says in `responses(…)` of a handler that
/// this is one of its refusals. Its key is the code: whoever makes the document finds the status.
macro_rules! codes {
    ($($name:ident $code:literal $status:expr, $when:literal, $sample:expr;)*) => {
        /// All codes, in the order of `docs/protocol.md`.
        pub(super) static CODES: &[Row] = &[
            $(Row { code: $code, status: $status, when: $when, sample: || $sample },)*
        ];

        $(
            #[doc = $when]
            #[allow(dead_code, reason = "some are on every call, and no handler names them")]
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    BTreeMap::from([($code.to_owned(), Response::new($when).into())])
                }
            }
        )*
    };
}

/// What any of several codes may be, under one name.
macro_rules! any_of {
    ($($(#[$doc:meta])* $name:ident: $($one:ident),*;)*) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let mut all = BTreeMap::new();
                    $(all.extend($one::responses());)*
                    all
                }
            }
        )*
    };
}

any_of! {
    /// Whatever is asked of the engine may be refused for these.
    Engine: Busy, Unavailable, Stopping, Internal;
    /// Whatever is asked of one room.
    OfRoom: Engine, NoSuchRoom;
    /// Whatever only its members may ask.
    ToMembers: OfRoom, NotAMember, Banned;
    /// And of them not everybody at any time.
    AsMember: ToMembers, Forbidden;
    /// Whatever is done once with a key.
    Once: KeyConflict, Empty, TooLong;
    /// A text that must be there, within its bounds.
    Text: Empty, TooLong;
    /// A name or a title.
    Name: Text, BadText;
}

const BAD_REQUEST: Option<StatusCode> = Some(StatusCode::BAD_REQUEST);
const UNAUTHORIZED: Option<StatusCode> = Some(StatusCode::UNAUTHORIZED);
const FORBIDDEN: Option<StatusCode> = Some(StatusCode::FORBIDDEN);
const NOT_FOUND: Option<StatusCode> = Some(StatusCode::NOT_FOUND);
const METHOD_NOT_ALLOWED: Option<StatusCode> = Some(StatusCode::METHOD_NOT_ALLOWED);
const CONFLICT: Option<StatusCode> = Some(StatusCode::CONFLICT);
const GONE: Option<StatusCode> = Some(StatusCode::GONE);
const PAYLOAD_TOO_LARGE: Option<StatusCode> = Some(StatusCode::PAYLOAD_TOO_LARGE);
const UNSUPPORTED: Option<StatusCode> = Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
const UNPROCESSABLE: Option<StatusCode> = Some(StatusCode::UNPROCESSABLE_ENTITY);
const UPGRADE_REQUIRED: Option<StatusCode> = Some(StatusCode::UPGRADE_REQUIRED);
const TOO_MANY_REQUESTS: Option<StatusCode> = Some(StatusCode::TOO_MANY_REQUESTS);
const INTERNAL: Option<StatusCode> = Some(StatusCode::INTERNAL_SERVER_ERROR);
const UNAVAILABLE: Option<StatusCode> = Some(StatusCode::SERVICE_UNAVAILABLE);
const ON_SOCKETS_ALONE: Option<StatusCode> = None;

fn engine(code: Code, message: &'static str) -> Problem {
    Error::new(code, message).into()
}

codes! {
    BadJson "bad_json" BAD_REQUEST, "not JSON, or nested too deep",
        Fields::from_json(b"{\"title\"").expect_err("not JSON");
    BadRequest "bad_request" BAD_REQUEST,
        "a field is missing, unknown, of the wrong type or out of range",
        Problem::bad_request("there is no field `colour` here; leave it out").at("colour");
    UnknownCommand "unknown_command" ON_SOCKETS_ALONE, "`do` names no command",
        Problem::unknown_command("dance");
    Unauthorized "unauthorized" UNAUTHORIZED,
        "no token, or one that is expired, withdrawn, forged or not for this server",
        Problem::unauthorized("send a token: the header authorization: Bearer <token>");
    BadCredentials "bad_credentials" UNAUTHORIZED,
        "the username or the password is wrong; nobody is told which",
        PeopleError::BadCredentials.into();
    BadRefreshToken "bad_refresh_token" UNAUTHORIZED,
        "this refresh token is none, or no longer; sign in again",
        PeopleError::BadRefreshToken.into();
    NoAccount "no_account" FORBIDDEN, "guests cannot do this; sign up first",
        PeopleError::NoAccount.into();
    Forbidden "forbidden" FORBIDDEN,
        "a rule of this server's owner says no, or the user's role in the room does not allow it",
        engine(Code::Forbidden, "your role in this room does not allow this");
    Banned "banned" FORBIDDEN,
        "this user may not be in the room; `until` then, if there is an end",
        Problem {
            until: "2100-01-02T03:04:05.678Z".parse().ok().map(Time),
            ..engine(Code::Banned, "you are banned from this room until 2100-01-02T03:04:05.678Z")
        };
    Muted "muted" FORBIDDEN, "this user may not write in the room; likewise",
        engine(Code::Muted, "you may read this room but not write in it");
    ReadOnly "read_only" FORBIDDEN, "only the owner and moderators write in the room",
        engine(
            Code::ReadOnly,
            "only the owner and moderators write in this room; you may read it",
        );
    SlowMode "slow_mode" TOO_MANY_REQUESTS,
        "`actual` of the `limit` seconds between two messages have passed",
        Error::new(Code::SlowMode, "write again in 20 s; here, 30 s are between two messages")
            .measured(30, 10)
            .into();
    NoSuchMember "no_such_member" NOT_FOUND,
        "the user upon whom to act is not a member of the room",
        engine(Code::NoSuchMember, "this user is not a member of the room");
    ForeignOrigin "foreign_origin" FORBIDDEN,
        "a page of this origin may not open connections here (the setting `socket.origins`)",
        Problem::foreign_origin();
    NoSuchRoom "no_such_room" NOT_FOUND, "there is no room with this id (any more)",
        engine(Code::NoSuchRoom, "there is no such room; it may have ended");
    NoSuchMessage "no_such_message" NOT_FOUND, "the room has no message with this `seq`",
        engine(Code::NoSuchMessage, "the room has no message with this seq");
    MessageDeleted "message_deleted" GONE, "the message has been deleted",
        engine(Code::MessageDeleted, "the message has been deleted");
    TooLate "too_late" FORBIDDEN,
        "the message is older than what its author may edit or delete (the setting `rooms.edit_age_s`)",
        engine(Code::TooLate, "your own messages can be edited and deleted for 172800 s");
    NoSuchUser "no_such_user" NOT_FOUND, "there is no account with this id",
        PeopleError::NoSuchUser.into();
    NoSuchGroup "no_such_group" NOT_FOUND, "the caller has no such group of friends",
        PeopleError::NoSuchGroup.into();
    NotAFriend "not_a_friend" NOT_FOUND, "this user is none of the caller's friends",
        PeopleError::NotAFriend.into();
    NotFound "not_found" NOT_FOUND, "no such address", Problem::not_found();
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED,
        "this address does not take this method", Problem::method_not_allowed();
    NotAMember "not_a_member" FORBIDDEN, "join first",
        engine(Code::NotAMember, "you are not a member of this room; join it first");
    TooLarge "too_large" PAYLOAD_TOO_LARGE, "the body has more than 64 KiB",
        Problem::too_large(MOST_BODY);
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED,
        "the body must be `application/json`", Problem::unsupported_media_type();
    TooShort "too_short" UNPROCESSABLE, "a text has fewer characters than it must",
        PeopleError::TooShort { what: "password", least: 8, actual: 5 }.into();
    TooLong "too_long" UNPROCESSABLE, "a text has more characters than allowed",
        PeopleError::TooLong { what: "username", most: 32, actual: 33 }.into();
    Empty "empty" UNPROCESSABLE, "a text has no characters, or only white space",
        Error::new(Code::Empty, "the text is empty; write something").field("text").into();
    BadText "bad_text" UNPROCESSABLE,
        "a name or title has control characters, or a username what it may not have",
        PeopleError::BadText {
            what: "username",
            why: "it must begin and end with a letter or a digit",
        }
        .into();
    KeyConflict "key_conflict" CONFLICT, "this `key` was used for something else",
        Error::key_conflict().into();
    UsernameTaken "username_taken" CONFLICT,
        "somebody has this username, or one that looks like it",
        PeopleError::UsernameTaken.into();
    HasAccount "has_account" CONFLICT, "whoever signs up has an account already",
        PeopleError::HasAccount.into();
    Blocked "blocked" CONFLICT, "the caller has blocked this user",
        PeopleError::Blocked.into();
    TooMany "too_many" CONFLICT, "the caller has as many of these as there may be",
        PeopleError::TooMany(100).into();
    RefreshedAlready "refreshed_already" CONFLICT,
        "this refresh token was exchanged a moment ago; use the newer one",
        PeopleError::RefreshedAlready.into();
    UpgradeRequired "upgrade_required" UPGRADE_REQUIRED,
        "a handshake of another version of WebSocket than 13", Problem::unsupported_version();
    Busy "busy" UNAVAILABLE, "a queue is full", Problem::busy();
    RateLimited "rate_limited" TOO_MANY_REQUESTS,
        "too much came from this connection, or there were too many attempts; the message says when to try again. \
         On a socket, whoever is told so 200 times in a row and goes on is closed with 4429",
        PeopleError::TooManyAttempts(std::time::Duration::from_secs(4)).into();
    TooManyConnections "too_many_connections" UNAVAILABLE,
        "as many are connected as may be: in all, from this address, or without a token",
        Problem::too_many_connections();
    TooManySessions "too_many_sessions" ON_SOCKETS_ALONE,
        "this user has as many connections as it may, and this one is closed with 4429; end another one",
        engine(
            Code::TooManySessions,
            "you are connected 100 times, which is the most; end another one",
        );
    Unavailable "unavailable" UNAVAILABLE,
        "the store does not answer; nothing was shown to anybody. Send again, with the same `key`",
        engine(
            Code::Unavailable,
            "the message store does not answer; send the same again, with the same key",
        );
    Stopping "stopping" UNAVAILABLE, "the server is stopping", Problem::stopping();
    SessionEnded "session_ended" ON_SOCKETS_ALONE,
        "this connection's session has ended; its close code follows",
        engine(Code::SessionEnded, "this session has ended; connect again");
    Internal "internal" INTERNAL, "a fault of ours; the log has its cause",
        engine(Code::Internal, "something went wrong here; try again");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_there_once_and_its_sample_is_one() {
        let codes: BTreeSet<_> = CODES.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), CODES.len());
        for row in CODES {
            let sample = (row.sample)();
            assert_eq!(sample.code, row.code);
            assert_eq!(sample.retry, Code::parse(row.code).map_or(sample.retry, Code::retry));
        }
    }

    #[test]
    fn those_of_the_engine_are_among_them() {
        for code in Code::ALL {
            assert!(row(code.as_str()).is_some(), "{code:?} is not on the list");
        }
    }
}
