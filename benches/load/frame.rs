//! WebSocket as a client speaks it (RFC 6455): the handshake, and frames that are read where they lie
//! and written into a buffer that is used again. No fragments, which no server here sends.

use std::io::Write;

/// The sample key of RFC 6455, section 1.3, and what a server must answer to it. A key of one's own
/// for each connection keeps caches from answering; there is none between this tool and a server.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The most that a frame's header and a control frame's payload take.
const MOST_CONTROL: usize = 125;

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A whole frame, and how many bytes it takes with its header.
    Frame { opcode: u8, payload: &'a [u8], length: usize },
    /// Less than a frame.
    Part,
    /// Not what a server may send.
    Bad(&'static str),
}

/// Reads the frame that begins here.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let &[first, second, ..] = bytes else { return Parsed::Part };
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Parsed::Bad("a frame with an extension or a mask");
    }
    if first & 0x80 == 0 || first & 0x0f == 0 {
        return Parsed::Bad("a message in fragments");
    }
    let (header, length) = match second {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Parsed::Part,
        },
        127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(length)) => match usize::try_from(u64::from_be_bytes(length)) {
                Ok(length) if length < 1 << 32 => (10, length),
                _ => return Parsed::Bad("a frame of more than 4 GiB"),
            },
            _ => return Parsed::Part,
        },
        length => (2, usize::from(length)),
    };
    match bytes.get(header..header + length) {
        Some(payload) => Parsed::Frame { opcode: first & 0x0f, payload, length: header + length },
        None => Parsed::Part,
    }
}

/// Puts a frame behind what is in `out`. The mask of zeroes leaves the payload as it is.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..=MOST_CONTROL => out.push(0x80 | length as u8),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(0x80 | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Puts the request for a connection into `out`.
pub(crate) fn ask(out: &mut Vec<u8>, host: &str, path: &str, protocol: &str, token: &str) {
    let more = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!("{name}{value}\r\n"),
    };
    let protocol = more("Sec-WebSocket-Protocol: ", protocol);
    let token = more("Authorization: Bearer ", token);
    // Writing to memory does not fail.
    write!(
        out,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{protocol}{token}\r\n"
    )
    .ok();
}

/// Reads the answer to the request: how many bytes it takes, `None` if it is not all there.
///
/// # Errors
/// The answer's first line and what follows it, if it is not a connection.
pub(crate) fn answer(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        let body = String::from_utf8_lossy(&bytes[end..]);
        return Err(format!("{status} {}", body.chars().take(300).collect::<String>()));
    }
    let accept = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim().to_owned())
    });
    match accept.as_deref() {
        Some(ACCEPT) => Ok(Some(end)),
        _ => Err("101 with a wrong Sec-WebSocket-Accept".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Parsed, TEXT, parse, write};

    /// As a server would send it: without a mask.
    fn unmasked(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write(&mut frame, TEXT, payload);
        let key = frame.len() - payload.len() - 4;
        frame.drain(key..key + 4);
        frame[1] &= 0x7f;
        frame
    }

    #[test]
    fn a_frame_is_read_wherever_it_is_cut() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = unmasked(&payload);
            let whole = bytes.len();
            bytes.extend(unmasked(b"next"));
            for cut in (0..whole.min(20)).chain([whole - 1]) {
                assert_eq!(parse(&bytes[..cut]), Parsed::Part, "{length} cut at {cut}");
            }
            let frame = Parsed::Frame { opcode: TEXT, payload: &payload, length: whole };
            assert_eq!(parse(&bytes), frame);
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for bytes in [[0x01, 0x01], [0x80, 0x01], [0x81, 0x81], [0xc1, 0x01]] {
            assert!(matches!(parse(&bytes), Parsed::Bad(_)), "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_is_a_connection_or_says_why_not() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nmore";
        assert_eq!(super::answer(good), Ok(Some(good.len() - 4)));
        assert_eq!(super::answer(&good[..50]), Ok(None));
        let bad = super::answer(b"HTTP/1.1 401 Unauthorized\r\n\r\n{}").expect_err("401");
        assert_eq!(bad, "HTTP/1.1 401 Unauthorized {}");
    }
}
