//! Reads along with the WebSocket codec and ends the stream at the header of a frame that announces
//! more than is allowed. The codec itself looks only when the whole payload has come, so that a
//! peer could make it buffer as much as it likes.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use futures_util::Stream;

/// A connection's bytes, up to the first frame that is too big.
pub(super) struct Guard {
    payload: Payload,
    frames: Frames,
    /// Shared with the connection, which is not told the reason of an error.
    too_big: Rc<Cell<bool>>,
}

impl Guard {
    /// A guard that allows frames of `most` bytes, and what it sets when one is bigger.
    pub(super) fn new(payload: Payload, most: usize) -> (Self, Rc<Cell<bool>>) {
        let too_big = Rc::new(Cell::new(false));
        let frames = Frames { header: Vec::with_capacity(14), payload_left: 0, most: most as u64 };
        (Self { payload, frames, too_big: Rc::clone(&too_big) }, too_big)
    }
}

impl Stream for Guard {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.too_big.get() {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(Pin::new(&mut self.payload).poll_next(context));
        if let Some(Ok(bytes)) = &next
            && !self.frames.allow(bytes)
        {
            self.too_big.set(true);
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        Poll::Ready(next)
    }
}

/// Where in the frames the bytes are (RFC 6455, section 5.2).
struct Frames {
    /// The part of a header that has come.
    header: Vec<u8>,
    payload_left: u64,
    most: u64,
}

impl Frames {
    /// Whether all frames that begin in these bytes are small enough.
    fn allow(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skip =
                    usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(announced) = announced(&self.header) {
                if announced > self.most {
                    return false;
                }
                self.payload_left = announced;
                self.header.clear();
            }
        }
        true
    }
}

/// How long a frame's payload is, once its whole header is there.
fn announced(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    let number = header[2..2 + extended].iter();
    let length = number.fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::frame::testing::header;

    fn frame(length: u64, payload: usize) -> Vec<u8> {
        let mut bytes = header(0x81, length, [7; 4]);
        bytes.resize(bytes.len() + payload, 0xff);
        bytes
    }

    #[test]
    fn finds_the_header_that_announces_too_much_wherever_the_bytes_are_cut() {
        let good = [frame(0, 0), frame(125, 125), frame(126, 126), frame(1_000, 1_000)].concat();
        let bad = [good.clone(), frame(1_001, 0)].concat();
        for cut in 1..=good.len() {
            let mut frames = Frames { header: Vec::new(), payload_left: 0, most: 1_000 };
            assert!(good.chunks(cut).all(|chunk| frames.allow(chunk)), "cut every {cut}");
            let mut frames = Frames { header: Vec::new(), payload_left: 0, most: 1_000 };
            assert!(!bad.chunks(cut).all(|chunk| frames.allow(chunk)), "cut every {cut}");
        }
    }

    #[test]
    fn a_terabyte_is_refused_at_its_header() {
        let mut frames = Frames { header: Vec::new(), payload_left: 0, most: 65_536 };
        assert!(!frames.allow(&frame(1 << 40, 0)));
    }
}
