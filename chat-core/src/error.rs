//! What a caller is told when a command is not carried out. Every error has a code that stays the
//! same for ever, a message for people, and says whether the same command may succeed later. Causes
//! that are nobody else's business (a database's words) are logged where they happen, never
//! carried.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::SecondsFormat;

use crate::clock::Timestamp;

/// The outcome of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command was refused. The text forms are part of the protocol and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A value is missing, unknown, of the wrong type or out of range.
    BadRequest,
    /// A text has more characters than allowed.
    TooLong,
    /// A text has no characters, or only white space.
    Empty,
    /// A name or title has control characters.
    BadText,
    /// A [`Policy`](crate::Policy) said no.
    Forbidden,
    /// There is no such room, or no longer.
    NoSuchRoom,
    /// The room has no message with this `seq`.
    NoSuchMessage,
    /// The message has been deleted.
    MessageDeleted,
    /// The message is older than what its author may still edit or delete.
    TooLate,
    /// There are as many of these as there may be.
    TooMany,
    /// The user is not a member of the room.
    NotAMember,
    /// The user may not be a member of this room, for now or for good.
    Banned,
    /// The user may not write in this room, for now or for good.
    Muted,
    /// The user has written in this room just now, and must wait before it writes again.
    SlowMode,
    /// Only the room's owner and moderators may write in it.
    ReadOnly,
    /// The user upon whom the command acts is not a member of the room.
    NoSuchMember,
    /// Nobody here knows the user whom the command names.
    NoSuchUser,
    /// The client key was used by this user in this room for another message.
    KeyConflict,
    /// A queue is full.
    Busy,
    /// More than a session may send at once, or in the long run.
    RateLimited,
    /// The store does not answer; nothing was shown to anybody.
    Unavailable,
    /// The engine is stopping, or has stopped.
    Stopping,
    /// The session has ended: its inbox was dropped or not read, or it was told to.
    SessionEnded,
    /// The user has as many sessions as it may.
    TooManySessions,
    /// A fault of the engine, or a panic in the embedding program's [`Policy`](crate::Policy); the
    /// log has its cause.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::TooLong,
        Self::Empty,
        Self::BadText,
        Self::Forbidden,
        Self::NoSuchRoom,
        Self::NoSuchMessage,
        Self::MessageDeleted,
        Self::TooLate,
        Self::TooMany,
        Self::NotAMember,
        Self::Banned,
        Self::Muted,
        Self::SlowMode,
        Self::ReadOnly,
        Self::NoSuchMember,
        Self::NoSuchUser,
        Self::KeyConflict,
        Self::Busy,
        Self::RateLimited,
        Self::Unavailable,
        Self::Stopping,
        Self::SessionEnded,
        Self::TooManySessions,
        Self::Internal,
    ];

    /// The code's text form: stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::BadText => "bad_text",
            Self::Forbidden => "forbidden",
            Self::NoSuchRoom => "no_such_room",
            Self::NoSuchMessage => "no_such_message",
            Self::MessageDeleted => "message_deleted",
            Self::TooLate => "too_late",
            Self::TooMany => "too_many",
            Self::NotAMember => "not_a_member",
            Self::Banned => "banned",
            Self::Muted => "muted",
            Self::SlowMode => "slow_mode",
            Self::ReadOnly => "read_only",
            Self::NoSuchMember => "no_such_member",
            Self::NoSuchUser => "no_such_user",
            Self::KeyConflict => "key_conflict",
            Self::Busy => "busy",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Stopping => "stopping",
            Self::SessionEnded => "session_ended",
            Self::TooManySessions => "too_many_sessions",
            Self::Internal => "internal",
        }
    }

    /// The code with this text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether the very same command may succeed later.
    #[must_use]
    pub fn retry(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::RateLimited
                | Self::SlowMode
                | Self::Unavailable
                | Self::Stopping
                | Self::TooManySessions
                | Self::Internal
        )
    }
}

/// A refused command: [`Code`], a message for people, and which part of the command is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: Cow<'static, str>,
    field: Option<&'static str>,
    measure: Option<Measure>,
    until: Option<Timestamp>,
}

/// What was allowed and what came, in the unit that the error's message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The most that is allowed.
    pub limit: u64,
    /// What came.
    pub actual: u64,
}

impl Error {
    /// An error with this code and message. Say in the message how to put it right.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), field: None, measure: None, until: None }
    }

    /// Names the part of the command that is at fault.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Says what is allowed and what came.
    #[must_use]
    pub fn measured(mut self, limit: usize, actual: usize) -> Self {
        self.measure = Some(Measure { limit: limit as u64, actual: actual as u64 });
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The part of the command at fault, if it is one part's.
    #[must_use]
    pub fn at_field(&self) -> Option<&'static str> {
        self.field
    }

    /// The limit that was passed, if it was one.
    #[must_use]
    pub fn measure(&self) -> Option<Measure> {
        self.measure
    }

    /// When what stands in the way ends by itself, if it does: a ban, or a mute.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    pub(crate) fn no_such_room() -> Self {
        Self::new(Code::NoSuchRoom, "there is no such room; it may have ended")
    }

    pub(crate) fn no_such_message() -> Self {
        Self::new(Code::NoSuchMessage, "the room has no message with this seq").field("seq")
    }

    pub(crate) fn message_deleted() -> Self {
        Self::new(Code::MessageDeleted, "the message has been deleted").field("seq")
    }

    /// So long after a message its author may edit or delete it.
    pub(crate) fn too_late(edit_age: Duration) -> Self {
        let seconds = edit_age.as_secs();
        let message = format!("your own messages can be edited and deleted for {seconds} s");
        Self::new(Code::TooLate, message).field("seq")
    }

    pub(crate) fn not_a_member() -> Self {
        Self::new(Code::NotAMember, "you are not a member of this room; join it first")
    }

    pub(crate) fn not_a_follower() -> Self {
        let message = "you do not follow this thread; join it first, or only read it";
        Self::new(Code::NotAMember, message)
    }

    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    pub(crate) fn banned(until: Option<Timestamp>) -> Self {
        let message = format!("you are banned from this room{}", end(until));
        Self { until, ..Self::new(Code::Banned, message) }
    }

    pub(crate) fn muted(until: Option<Timestamp>) -> Self {
        let message = format!("you may read this room but not write in it{}", end(until));
        Self { until, ..Self::new(Code::Muted, message) }
    }

    /// `passed` of the `slow_s` seconds between two messages are over.
    pub(crate) fn slow_mode(slow_s: u32, passed: u32) -> Self {
        let wait = slow_s - passed;
        let message = format!("write again in {wait} s; here, {slow_s} s are between two messages");
        Self::new(Code::SlowMode, message).measured(slow_s as usize, passed as usize)
    }

    pub(crate) fn read_only() -> Self {
        let message = "only the owner and moderators write in this room; you may read it";
        Self::new(Code::ReadOnly, message)
    }

    pub(crate) fn no_such_member() -> Self {
        Self::new(Code::NoSuchMember, "this user is not a member of the room")
    }

    /// The command names a user whom nobody here knows. For transports that look users up.
    #[must_use]
    pub fn no_such_user() -> Self {
        Self::new(Code::NoSuchUser, "nobody here knows this user")
    }

    pub(crate) fn takes_no_key() -> Self {
        let message = "this changes nothing, so it takes no key; leave it out";
        Self::new(Code::BadRequest, message).field("key")
    }

    /// A client key comes again, with something else. For whoever keeps keys beside the engine.
    #[must_use]
    pub fn key_conflict() -> Self {
        Self::new(
            Code::KeyConflict,
            "this key was used for something else; use a new key for whatever is new",
        )
        .field("key")
    }

    /// A queue is full. For transports that have queues of their own.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(Code::Busy, "too much is waiting already; send the same again in a moment")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            Code::Unavailable,
            "the message store does not answer; send the same again, with the same key",
        )
    }

    pub(crate) fn stopping() -> Self {
        Self::new(Code::Stopping, "the engine is stopping; connect again in a moment")
    }

    pub(crate) fn too_many_sessions(most: usize) -> Self {
        let message = format!("you are connected {most} times, which is the most; end another one");
        Self::new(Code::TooManySessions, message)
    }

    pub(crate) fn session_ended() -> Self {
        Self::new(
            Code::SessionEnded,
            "this session has ended, as it does when its inbox is dropped or not read; connect again",
        )
    }
}

/// When something ends, for the end of a sentence.
fn end(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| {
        format!(" until {}", until.to_rfc3339_opts(SecondsFormat::Millis, true))
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}
