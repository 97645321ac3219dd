//! WebSocket frames (RFC 6455, section 5) as a server reads and writes them: bytes in and out,
//! nothing else. Knows neither sockets nor the protocol inside the messages, and depends on nothing
//! of this crate, so that the fuzzer builds it alone.

mod header;
mod reader;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

use thiserror::Error;

pub(crate) use reader::Reader;
pub(crate) use writer::{binary, close, header, ping, pong, text};

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub(crate) const MOST_OF_CONTROL: usize = 125;

/// What a client has sent: a whole message, its fragments put together, or a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same bytes.
    Ping(&'a [u8]),
    /// An answer to a ping, or a sign of life that nobody asked for.
    Pong(&'a [u8]),
    /// The client sends nothing more, for this reason if it has given one.
    Close(Option<u16>),
}

/// Why a connection must be failed (RFC 6455, section 7.1.7), each with its close code (section
/// 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    /// Not frames as a client may send them: 1002.
    #[error("not WebSocket frames")]
    Protocol,
    /// A text, or the reason in a close frame, that is not UTF-8: 1007.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// A frame or a message of more bytes than allowed: 1009.
    #[error("a frame or a message that is too big")]
    TooBig,
}

/// What a frame is (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A further fragment of a message.
    Continue = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The last frame that its sender sends.
    Close = 0x8,
    /// A question whether the other side is there.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode with this number, unless it is a reserved one.
    fn of(number: u8) -> Option<Self> {
        [Self::Continue, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == number)
    }

    /// Whether frames of this kind are control frames, which may come between fragments.
    fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_opcodes_are_reserved() {
        let known = (0..=0xf).filter_map(Opcode::of).map(|opcode| opcode as u8);
        assert_eq!(known.collect::<Vec<_>>(), [0x0, 0x1, 0x2, 0x8, 0x9, 0xa]);
        let control = (0..=0xf).filter_map(Opcode::of).filter(|opcode| opcode.is_control());
        assert_eq!(control.collect::<Vec<_>>(), [Opcode::Close, Opcode::Ping, Opcode::Pong]);
    }
}
