//! Any bytes, cut anywhere, as a client's frames: whatever they are, the reader does not panic,
//! comes to the same wherever they are cut, and keeps no more than has come and is allowed. And the
//! same bytes as a message, written as frames and read back.
//!
//! An input is a byte that chooses how much is allowed and what the rest is: a client's bytes, or
//! the kinds, lengths and contents of frames, so that the fuzzer need not find out by itself
//! how lengths and payloads belong together. Then a byte that says how many cuts follow, the lengths
//! between the cuts, and the rest.
//!
//! In `chat-server/fuzz`, on any toolchain that has a C++ compiler beside it:
//!
//! - `cargo run -- found corpus/frame_reader` looks for faults until it is stopped, and keeps in the
//!   folder `found` (which must be there) what reaches something new;
//! - `cargo run -- crash-…` runs one input, of which `scripts/test fuzz` has left a file;
//! - `cargo run -- -merge=1 -use_counters=0 corpus/frame_reader found` adds to the corpus what
//!   reaches code that nothing in it reaches.

#![no_main]

// The server uses what this does not.
#[allow(dead_code, unused_imports)]
#[path = "../../src/socket/frame/mod.rs"]
mod frame;

use std::ops::ControlFlow;

use frame::{FrameError, Incoming, MOST_OF_CONTROL, Opcode, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [choice, cuts, rest @ ..] = input else { return };
    let most = [0, 1, 125, 126, 300, 1_000, 65_535, 65_536][usize::from(choice % 8)];
    let cuts = usize::from(cuts % 16).min(rest.len());
    let (cuts, bytes) = rest.split_at(cuts);
    if choice & 8 == 0 {
        any_bytes(bytes, cuts, most);
        a_message(bytes, cuts, most);
    } else {
        any_bytes(&frames(bytes), cuts, most);
    }
});

/// What was delivered, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

type End = Result<ControlFlow<()>, FrameError>;

const MORE: End = Ok(ControlFlow::Continue(()));

/// The same comes of the bytes wherever they are cut.
fn any_bytes(bytes: &[u8], cuts: &[u8], most: usize) {
    let at_once = read(bytes.to_vec().chunks_mut(bytes.len().max(1)), most);
    let byte_by_byte = read(bytes.to_vec().chunks_mut(1), most);
    assert_eq!(at_once, byte_by_byte, "byte by byte");
    let cut_anywhere = read(cut(&mut bytes.to_vec(), cuts).into_iter(), most);
    assert_eq!(at_once, cut_anywhere, "cut at {cuts:?}");
}

/// At most 32 frames that are mostly good ones, each of three bytes: its kind, the length of its payload, and
/// what the payload begins with, the rest being counted up from there.
fn frames(bytes: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    for [kind, length, content] in bytes.as_chunks().0.iter().take(32) {
        let payload: Vec<_> = (0..*length).map(|index| content.wrapping_add(index)).collect();
        let (opcode, is_last) = match kind % 9 {
            0 => (Opcode::Text, true),
            1 => (Opcode::Binary, true),
            2 => (Opcode::Text, false),
            3 => (Opcode::Binary, false),
            4 => (Opcode::Continue, false),
            5 => (Opcode::Continue, true),
            6 => (Opcode::Ping, true),
            7 => (Opcode::Pong, true),
            _ => (Opcode::Close, true),
        };
        write(opcode, is_last, &payload, &mut frames);
    }
    frames
}

/// A message in as many fragments as there are cuts, with a ping after each but the last, is read
/// back if it is small enough.
fn a_message(payload: &[u8], cuts: &[u8], most: usize) {
    let text = std::str::from_utf8(payload).ok();
    let opcode = if text.is_some() { Opcode::Text } else { Opcode::Binary };
    let mut fragments = payload.to_vec();
    let fragments = cut(&mut fragments, cuts);
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for (number, fragment) in fragments.iter().enumerate() {
        let is_last = number + 1 == fragments.len();
        let opcode = if number == 0 { opcode } else { Opcode::Continue };
        write(opcode, is_last, fragment, &mut bytes);
        if !is_last {
            let ping = &fragment[..fragment.len().min(MOST_OF_CONTROL).min(most)];
            write(Opcode::Ping, true, ping, &mut bytes);
            expected.push(Got::Ping(ping.to_vec()));
        }
    }
    expected.push(match text {
        Some(text) => Got::Text(text.to_owned()),
        None => Got::Binary(payload.to_vec()),
    });
    let (got, end, is_mid_message) = read(cut(&mut bytes, cuts).into_iter(), most);
    if payload.len() <= most {
        assert_eq!((&got, end, is_mid_message), (&expected, MORE, false));
    } else {
        assert_eq!(end, Err(FrameError::TooBig));
        assert!(expected.starts_with(&got), "{got:?}");
    }
}

/// Reads what comes in pieces: what was delivered, how it ended, and whether something is
/// incomplete.
fn read<'a>(pieces: impl Iterator<Item = &'a mut [u8]>, most: usize) -> (Vec<Got>, End, bool) {
    let mut reader = Reader::new(most);
    let (mut got, mut come) = (Vec::new(), 0);
    for piece in pieces {
        come += piece.len();
        let end = reader.read(piece, |incoming| {
            got.push(keep(incoming, most));
            ControlFlow::Continue(())
        });
        assert!(reader.kept() <= come, "more is kept than has come");
        assert!(reader.kept() <= most + MOST_OF_CONTROL, "more is kept than is allowed");
        if end != MORE {
            assert!(!reader.is_mid_message(), "something is kept after the end");
            let again = reader.read(&mut [0x89, 0x80, 0, 0, 0, 0], |incoming| {
                panic!("{incoming:?} after the end");
            });
            assert_eq!(again, Ok(ControlFlow::Break(())));
            return (got, end, false);
        }
        assert!(reader.is_mid_message() || reader.kept() == 0, "kept for nothing");
    }
    let is_mid_message = reader.is_mid_message();
    (got, MORE, is_mid_message)
}

fn keep(incoming: Incoming<'_>, most: usize) -> Got {
    match incoming {
        Incoming::Text(text) => {
            assert!(text.len() <= most);
            assert!(std::str::from_utf8(text.as_bytes()).is_ok());
            Got::Text(text.to_owned())
        }
        Incoming::Binary(bytes) => {
            assert!(bytes.len() <= most);
            Got::Binary(bytes.to_vec())
        }
        Incoming::Ping(bytes) => {
            assert!(bytes.len() <= most.min(MOST_OF_CONTROL));
            Got::Ping(bytes.to_vec())
        }
        Incoming::Pong(bytes) => {
            assert!(bytes.len() <= most.min(MOST_OF_CONTROL));
            Got::Pong(bytes.to_vec())
        }
        Incoming::Close(code) => Got::Close(code),
    }
}

/// Cuts `bytes` into pieces of these lengths, each taken once, and what is left.
fn cut<'a>(bytes: &'a mut [u8], lengths: &[u8]) -> Vec<&'a mut [u8]> {
    let (mut pieces, mut left) = (Vec::new(), bytes);
    for length in lengths {
        let (piece, rest) = left.split_at_mut(usize::from(*length).min(left.len()));
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    pieces
}

/// Writes a frame as a client does: the server's header, with the sign of a mask and the mask.
fn write(opcode: Opcode, is_last: bool, payload: &[u8], bytes: &mut Vec<u8>) {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let start = bytes.len();
    bytes.extend_from_slice(frame::header(opcode, payload.len()).as_ref());
    if !is_last {
        bytes[start] &= 0x7f;
    }
    bytes[start + 1] |= 0x80;
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
