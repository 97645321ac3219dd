//! The header of a client's frame (RFC 6455, section 5.2): read as soon as it is there, and found
//! at fault at the first byte that says so, before anything of its payload is kept.

use super::{FrameError, MOST_OF_CONTROL, Opcode};

/// The longest header of a client's frame, in bytes: two, a length of eight, and the mask.
pub(super) const LONGEST: usize = 14;

/// What a frame has said about itself.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// Whether the message ends with this frame.
    pub(super) last: bool,
    pub(super) mask: [u8; 4],
    /// Bytes of payload.
    pub(super) length: usize,
}

/// What may come next.
#[derive(Clone, Copy)]
pub(super) struct Allowed {
    /// The most bytes of a frame and of a message.
    pub(super) most: usize,
    /// Bytes of the message of which the first fragments have come.
    pub(super) begun: Option<usize>,
}

impl Header {
    /// The header that `bytes` begin with and how many of them it takes, or nothing if not all of
    /// it is there.
    pub(super) fn read(
        bytes: &[u8],
        allowed: Allowed,
    ) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = opcode(first, allowed)?;
        let last = first & 0x80 != 0;

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let short = second & 0x7f;
        if second & 0x80 == 0 || opcode.is_control() && !is_control_length(opcode, short) {
            return Err(FrameError::Protocol);
        }

        let Some((length, at)) = length(short, &bytes[2..])? else { return Ok(None) };
        // A continuation adds to what has come of its message.
        let before = if opcode == Opcode::Continue { allowed.begun.unwrap_or(0) } else { 0 };
        let length = usize::try_from(length).map_err(|_| FrameError::TooBig)?;
        if length > allowed.most.saturating_sub(before) {
            return Err(FrameError::TooBig);
        }

        let mask = bytes[2 + at..].first_chunk::<4>();
        Ok(mask.map(|mask| (Self { opcode, last, mask: *mask, length }, 2 + at + 4)))
    }
}

/// What the first byte says.
fn opcode(first: u8, allowed: Allowed) -> Result<Opcode, FrameError> {
    // The reserved bits are for extensions, of which we have agreed to none.
    if first & 0x70 != 0 {
        return Err(FrameError::Protocol);
    }
    let opcode = Opcode::of(first & 0x0f).ok_or(FrameError::Protocol)?;
    let fits = match opcode {
        Opcode::Continue => allowed.begun.is_some(),
        Opcode::Text | Opcode::Binary => allowed.begun.is_none(),
        Opcode::Close | Opcode::Ping | Opcode::Pong => first & 0x80 != 0,
    };
    if fits { Ok(opcode) } else { Err(FrameError::Protocol) }
}

/// Whether a control frame may have this length, or this sign that a longer one follows. The code
/// in a close frame has two bytes.
fn is_control_length(opcode: Opcode, short: u8) -> bool {
    usize::from(short) <= MOST_OF_CONTROL && !(opcode == Opcode::Close && short == 1)
}

/// The payload's length and how many of the bytes behind the first two say it, if they are all
/// there. It must be said in as few bytes as it can be.
fn length(short: u8, more: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (length, bytes, least) = match short {
        126 => match more.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2, 126),
            None => return Ok(None),
        },
        127 => match more.first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8, 65_536),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0, 0),
    };
    if length < least { Err(FrameError::Protocol) } else { Ok(Some((length, bytes))) }
}
