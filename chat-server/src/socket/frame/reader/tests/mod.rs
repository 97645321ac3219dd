//! Bytes as clients send them, read all at once and byte by byte, which must come to the same.

mod cuts;
mod memory;
mod rules;

use std::ops::ControlFlow;

use super::*;
use crate::socket::frame::testing::{frame, header};

/// The most bytes of a frame and of a message, unless a test says otherwise.
const MOST: usize = 1_000;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const FIRST_TEXT: u8 = 0x01;
const FIRST_BINARY: u8 = 0x02;
const CONTINUE: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What was delivered, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

impl From<Incoming<'_>> for Got {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_owned()),
            Incoming::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Incoming::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Incoming::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Incoming::Close(code) => Self::Close(code),
        }
    }
}

/// What came of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    got: Vec<Got>,
    end: Result<ControlFlow<()>, FrameError>,
    is_mid_message: bool,
}

/// Reads bytes that come in pieces which end at these places and at the end.
fn read_cut(bytes: &[u8], cuts: &[usize], most: usize) -> Outcome {
    let mut reader = Reader::new(most);
    let (mut got, mut end, mut at) = (Vec::new(), Ok(ControlFlow::Continue(())), 0);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = bytes[at..cut].to_vec();
        at = cut;
        end = reader.read(&mut piece, |incoming| {
            got.push(incoming.into());
            ControlFlow::Continue(())
        });
        assert!(reader.kept() <= at, "more is kept than has come");
        assert!(reader.kept() <= most + 125, "more is kept than is allowed");
        if end != Ok(ControlFlow::Continue(())) {
            assert_eq!(reader.kept(), 0, "something is kept after the end");
            break;
        }
    }
    Outcome { got, end, is_mid_message: reader.is_mid_message() }
}

/// Reads bytes that come all at once and, which must come to the same, byte by byte.
fn read(bytes: &[u8], most: usize) -> Outcome {
    let at_once = read_cut(bytes, &[], most);
    let every: Vec<_> = (1..bytes.len()).collect();
    assert_eq!(at_once, read_cut(bytes, &every, most), "cut at every byte");
    at_once
}
