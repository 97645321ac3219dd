//! Frames as a server sends them: whole messages, without a mask (RFC 6455, section 5.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{MOST_OF_CONTROL, Opcode};

/// A text message.
pub(crate) fn text(text: &str) -> Bytes {
    frame(Opcode::Text, &[text.as_bytes()])
}

/// A binary message.
pub(crate) fn binary(payload: &[u8]) -> Bytes {
    frame(Opcode::Binary, &[payload])
}

/// A ping. Of the payload the first 125 bytes are sent.
pub(crate) fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, &[&payload[..payload.len().min(MOST_OF_CONTROL)]])
}

/// The answer to a ping with this payload. Of a longer one than pings have, the first 125 bytes
/// are sent.
pub(crate) fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &[&payload[..payload.len().min(MOST_OF_CONTROL)]])
}

/// The last frame of a connection, with what fits of the reason.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let fits = reason.floor_char_boundary(MOST_OF_CONTROL - 2);
    frame(Opcode::Close, &[&code.to_be_bytes(), &reason.as_bytes()[..fits]])
}

/// The header of a frame with a payload of `length` bytes, for callers that put it before a payload
/// of their own. A control frame has 125 at most.
pub(crate) fn header(opcode: Opcode, length: usize) -> impl AsRef<[u8]> {
    Header::new(opcode, length)
}

/// A header, and how much of the array it takes.
struct Header {
    bytes: [u8; 10],
    length: usize,
}

impl Header {
    fn new(opcode: Opcode, payload: usize) -> Self {
        let mut bytes = [0; 10];
        // Whole messages only.
        bytes[0] = 0x80 | opcode as u8;
        let length = if payload < 126 {
            bytes[1] = payload as u8;
            2
        } else if let Ok(payload) = u16::try_from(payload) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&payload.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            10
        };
        Self { bytes, length }
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn frame(opcode: Opcode, parts: &[&[u8]]) -> Bytes {
    let payload = parts.iter().map(|part| part.len()).sum();
    let header = Header::new(opcode, payload);
    let mut frame = BytesMut::with_capacity(header.length + payload);
    frame.put_slice(header.as_ref());
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_as_few_bytes_as_they_can_be() {
        let header = |length| header(Opcode::Text, length).as_ref().to_vec();
        assert_eq!(header(0), [0x81, 0]);
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn frames_are_whole_and_unmasked() {
        assert_eq!(text("né")[..], *b"\x81\x03n\xc3\xa9");
        assert_eq!(binary(&[0; 300])[..4], [0x82, 126, 1, 44]);
        assert_eq!(binary(&[0; 300]).len(), 304);
        assert_eq!(ping(b"")[..], [0x89, 0]);
        assert_eq!(pong(b"hi")[..], *b"\x8a\x02hi");
        assert_eq!(close(1001, "draining")[..], *b"\x88\x0a\x03\xe9draining");
    }

    #[test]
    fn a_control_frame_has_125_bytes_at_most() {
        assert_eq!(ping(&[7; 200]).len(), 2 + 125);
        assert_eq!(pong(&[7; 200]).len(), 2 + 125);
        // Of a character that does not fit, nothing is sent.
        let close = close(4408, &"é".repeat(100));
        assert_eq!((close[1], close.len()), (124, 2 + 124));
        assert_eq!(std::str::from_utf8(&close[4..]), Ok("é".repeat(61).as_str()));
    }
}
