//! Why a connection ends, as WebSocket close codes. From 4400 on they are ours (RFC 6455, section
//! 7.4.2, leaves 4000 to 4999 to applications).

use chat_core::CloseReason;

/// A close code and its reason in a word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode {
    /// The number.
    pub code: u16,
    /// The word.
    pub reason: &'static str,
}

impl CloseCode {
    /// Answer to the client's own close.
    pub const NORMAL: Self = Self::new(1000, "closed");
    /// Not WebSocket as RFC 6455 describes it.
    pub const PROTOCOL: Self = Self::new(1002, "not WebSocket");
    /// Text that is not UTF-8.
    pub const NOT_UTF8: Self = Self::new(1007, "not UTF-8");
    /// A frame or message that is too big.
    pub const TOO_BIG: Self = Self::new(1009, "too big");
    /// Not this protocol.
    pub const NOT_OURS: Self = Self::new(4400, "text frames only");
    /// No token in time, or one that is no good.
    pub const UNAUTHORIZED: Self = Self::new(4401, "unauthorized");
    /// As many connections of this user as there may be.
    pub const TOO_MANY: Self = Self::new(4429, "too many sessions");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// The close code for the engine's reason.
#[must_use]
pub fn close_code(reason: CloseReason) -> CloseCode {
    match reason {
        CloseReason::Left => CloseCode::NORMAL,
        CloseReason::Draining => CloseCode::new(1001, "draining"),
        CloseReason::Expired => CloseCode::new(4401, "expired"),
        CloseReason::Withdrawn => CloseCode::new(4401, "signed out"),
        CloseReason::Deleted => CloseCode::new(4403, "deleted"),
        CloseReason::Silent => CloseCode::new(4408, "silent"),
        CloseReason::Flooding => CloseCode::new(4429, "flooding"),
        CloseReason::NotReading => CloseCode::new(4508, "not reading"),
    }
}
