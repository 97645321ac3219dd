//! Makes messages of a client's bytes, however they are cut. Owns what has come of the frame and of
//! the message that are not complete: nothing at all while there are none, and never more than has
//! really come. What is at fault is found at the first byte that shows it.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use super::header::{Allowed, Header, LONGEST};
use super::{FrameError, Incoming, Opcode};

/// Reads one client's frames. Every connection has one, so what is rare in it is boxed.
pub(crate) struct Reader {
    /// The most bytes of a frame, and of a message in fragments.
    most: usize,
    /// What is incomplete, if anything is.
    rest: Option<Box<Rest>>,
    /// Nothing more is to be read.
    over: bool,
}

/// What has come of a frame and of a message that are not complete.
#[derive(Default)]
struct Rest {
    /// The part of a header that has come.
    header: Vec<u8>,
    /// A frame whose header has come, and not all of its payload.
    frame: Option<Frame>,
    /// What has come of a control frame's payload.
    control: Vec<u8>,
    /// A message that has begun.
    message: Option<Message>,
}

/// A frame that is being read.
struct Frame {
    header: Header,
    /// Bytes of its payload that are still to come.
    left: usize,
}

/// A message that is being put together.
struct Message {
    /// Text or binary.
    opcode: Opcode,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be whole characters.
    checked: usize,
}

impl Reader {
    /// A reader at the beginning of a connection that refuses frames, and messages in fragments,
    /// of more than `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, rest: None, over: false }
    }

    /// Reads all of `bytes`, which it unmasks where they are, and calls `each` for what is
    /// complete, in order. A message in one frame that is whole within `bytes` is not copied.
    ///
    /// Breaks when `each` did, and after a close frame: nothing more is read then, nor after an
    /// error, and every further call breaks.
    ///
    /// # Errors
    ///
    /// What is not as the standard demands, or too big. `each` has been called for what came
    /// before it.
    pub(crate) fn read(
        &mut self,
        bytes: &mut [u8],
        mut each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FrameError> {
        if self.over {
            return Ok(ControlFlow::Break(()));
        }
        let outcome = self.frames(bytes, &mut each);
        self.over = outcome != Ok(ControlFlow::Continue(()));
        if self.over || self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
        outcome
    }

    /// How many bytes are kept of what is incomplete.
    #[allow(dead_code, reason = "the tests and the fuzzer hold it to its bounds")]
    pub(crate) fn kept(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.kept())
    }

    /// Whether a frame or a message has begun and is not complete.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.rest.is_some()
    }

    /// Whether that is a binary message.
    pub(crate) fn is_mid_binary(&self) -> bool {
        let begun = self.rest.as_ref().and_then(|rest| rest.message.as_ref());
        begun.is_some_and(|message| message.opcode == Opcode::Binary)
    }

    fn frames(
        &mut self,
        bytes: &mut [u8],
        each: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FrameError> {
        let mut at = 0;
        while at < bytes.len() {
            let mut frame = match self.rest.as_mut().and_then(|rest| rest.frame.take()) {
                Some(frame) => frame,
                None => {
                    let (header, used) = self.header(&bytes[at..])?;
                    at += used;
                    let Some(header) = header else { break };
                    Frame { header, left: header.length }
                }
            };
            let end = at + frame.left.min(bytes.len() - at);
            let payload = &mut bytes[at..end];
            at = end;
            unmask(payload, &mut frame.header.mask);
            frame.left -= payload.len();
            let flow = if frame.header.opcode.is_control() {
                self.control(frame, payload, each)?
            } else {
                self.data(frame, payload, each)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next header, if all of it has come, and how many of these bytes it took.
    fn header(&mut self, bytes: &[u8]) -> Result<(Option<Header>, usize), FrameError> {
        let begun = self.rest.as_ref().and_then(|rest| rest.message.as_ref());
        let begun = begun.map(|message| message.bytes.len());
        let allowed = Allowed { most: self.most, begun };
        if self.rest.as_ref().is_none_or(|rest| rest.header.is_empty())
            && let Some((header, length)) = Header::read(bytes, allowed)?
        {
            return Ok((Some(header), length));
        }
        let kept = &mut self.rest.get_or_insert_default().header;
        kept.reserve_exact(LONGEST);
        for (index, byte) in bytes.iter().enumerate() {
            kept.push(*byte);
            if let Some((header, _)) = Header::read(kept, allowed)? {
                *kept = Vec::new();
                return Ok((Some(header), index + 1));
            }
        }
        Ok((None, bytes.len()))
    }

    /// Takes a part of a control frame.
    fn control(
        &mut self,
        frame: Frame,
        payload: &[u8],
        each: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FrameError> {
        if payload.len() == frame.header.length {
            return deliver(frame.header.opcode, payload, each);
        }
        let rest = self.rest.get_or_insert_default();
        rest.control.extend_from_slice(payload);
        if frame.left == 0 {
            return deliver(frame.header.opcode, &std::mem::take(&mut rest.control), each);
        }
        rest.frame = Some(frame);
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a part of a message.
    fn data(
        &mut self,
        frame: Frame,
        payload: &[u8],
        each: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FrameError> {
        let header = frame.header;
        let is_whole = header.last && payload.len() == header.length;
        if is_whole && header.opcode != Opcode::Continue {
            return deliver(header.opcode, payload, each);
        }
        let rest = self.rest.get_or_insert_default();
        let is_begun = rest.message.is_some();
        // Until something has come of it, a message in one frame may still come whole.
        if is_begun || !payload.is_empty() || frame.left == 0 {
            let message = rest.message.get_or_insert_with(|| Message::new(header.opcode));
            message.add(payload, self.most)?;
        }
        if frame.left > 0 {
            rest.frame = Some(frame);
        } else if header.last
            && let Some(message) = rest.message.take()
        {
            return deliver(message.opcode, &message.bytes, each);
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Rest {
    fn kept(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.bytes.len());
        self.header.len() + self.control.len() + message
    }

    fn is_empty(&self) -> bool {
        self.kept() == 0 && self.frame.is_none() && self.message.is_none()
    }
}

impl Message {
    fn new(opcode: Opcode) -> Self {
        Self { opcode, bytes: Vec::new(), checked: 0 }
    }

    /// Adds what has come. The buffer doubles as it grows, but never beyond `most`.
    fn add(&mut self, payload: &[u8], most: usize) -> Result<(), FrameError> {
        let length = self.bytes.len();
        if payload.len() > self.bytes.capacity() - length {
            let twice = length.min(most.saturating_sub(length));
            self.bytes.reserve_exact(twice.max(payload.len()));
        }
        self.bytes.extend_from_slice(payload);
        if self.opcode == Opcode::Text { self.check() } else { Ok(()) }
    }

    /// Looks at the text that has come since. A character may be cut at its end.
    fn check(&mut self) -> Result<(), FrameError> {
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(FrameError::NotUtf8),
        }
        Ok(())
    }
}

/// Hands on a whole message or control frame. After a close frame nothing more is read.
fn deliver(
    opcode: Opcode,
    payload: &[u8],
    each: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, FrameError> {
    let incoming = match opcode {
        Opcode::Text => Incoming::Text(utf8(payload)?),
        Opcode::Binary => Incoming::Binary(payload),
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Pong => Incoming::Pong(payload),
        Opcode::Close => {
            let _ = each(Incoming::Close(close_code(payload)?));
            return Ok(ControlFlow::Break(()));
        }
        // No header passes as one that continues nothing.
        Opcode::Continue => return Err(FrameError::Protocol),
    };
    Ok(each(incoming))
}

/// The code in a close frame, if there is one (RFC 6455, section 7.4): not one that is reserved, or
/// that only says how a connection ended without a close frame.
fn close_code(payload: &[u8]) -> Result<Option<u16>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(FrameError::Protocol)?;
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::Protocol);
    }
    utf8(reason)?;
    Ok(Some(code))
}

fn utf8(bytes: &[u8]) -> Result<&str, FrameError> {
    std::str::from_utf8(bytes).map_err(|_| FrameError::NotUtf8)
}

/// Takes the mask off (RFC 6455, section 5.3), eight bytes at a time, and turns it so that it fits
/// what comes next.
fn unmask(payload: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(payload.len() % 4);
}
