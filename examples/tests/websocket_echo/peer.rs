//! A client that sends whatever bytes it is told to, and the program that it talks to.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::support::{Example, PATIENCE};

/// What the program allows unless it is told otherwise.
pub(crate) const MOST: usize = 16 << 20;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
/// A text that goes on in further fragments.
pub(crate) const FIRST_TEXT: u8 = 0x01;
/// A binary message that does.
pub(crate) const FIRST_BINARY: u8 = 0x02;
/// A fragment between the first and the last.
pub(crate) const MIDDLE: u8 = 0x00;
pub(crate) const LAST: u8 = 0x80;

/// What is asked of every handshake, but for the request line.
pub(crate) const HEADERS: [&str; 5] = [
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A handshake as it ought to be.
pub(crate) fn request() -> String {
    format!("GET /echo HTTP/1.1\r\n{}\r\n\r\n", HEADERS.join("\r\n"))
}

/// A header as clients send it, of a payload of this many bytes.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        ..126 => header.push(0x80 | length as u8),
        126..65_536 => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        65_536.. => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(MASK);
    header
}

const MASK: [u8; 4] = [0x5a, 0xc3, 0x07, 0xf0];

/// A frame as clients send it.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    let wide = u32::from_ne_bytes(MASK);
    let (words, rest) = payload.as_chunks();
    frame.extend(words.iter().flat_map(|word| (u32::from_ne_bytes(*word) ^ wide).to_ne_bytes()));
    frame.extend(rest.iter().zip(MASK).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A close frame with this code and reason.
pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Bytes in which no part looks like another one of the same length.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A text of so many bytes, characters of all lengths among them.
pub(crate) fn text(length: usize) -> String {
    let mut text = "aé한👋\n".repeat(length / 11);
    text.extend(std::iter::repeat_n('.', length - text.len()));
    text
}

/// The program.
pub(crate) struct Echo {
    example: Example,
    address: String,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_websocket_echo");
        let mut example = Example::start(program, &[&["0"], arguments].concat());
        let line = example.line().await.expect("a first line");
        let address = line.strip_prefix("listening on ws://").and_then(|a| a.strip_suffix("/echo"));
        let address = address.expect("an address").to_owned();
        Self { example, address }
    }

    /// A TCP connection on which nothing has been said.
    pub(crate) async fn connect(&self) -> Peer {
        let stream = TcpStream::connect(&self.address).await.expect("it listens");
        stream.set_nodelay(true).expect("an open socket");
        let (reading, writing) = stream.into_split();
        Peer { reading, writing, read: Vec::new() }
    }

    /// A WebSocket connection.
    pub(crate) async fn peer(&self) -> Peer {
        let mut peer = self.connect().await;
        peer.send(request().as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// These bytes, on a connection of their own, are answered by closing it with this code, and by
    /// nothing else.
    pub(crate) async fn closes(&self, what: &str, bytes: &[u8], code: u16) {
        let mut peer = self.peer().await;
        peer.send(bytes).await;
        peer.is_closed(what, code).await;
    }

    /// What `/proc` says about the program's memory, in bytes: `VmRSS` for now, `VmHWM` for the
    /// most that it has ever been.
    pub(crate) fn memory(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.example.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("kibibytes");
        number.parse::<usize>().expect("a number") * 1_024
    }

    /// How many connections the program holds: `/proc` has a line for each, by its port, and says
    /// by a number that is not 0 that a process has it open.
    fn connections(&self) -> usize {
        let (_, port) = self.address.rsplit_once(':').expect("a port");
        let local = format!(":{:04X}", port.parse::<u16>().expect("a port"));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
        let open = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let listens = fields[3] == "0A";
            fields[1].ends_with(&local) && !listens && fields[9] != "0"
        };
        table.lines().skip(1).filter(open).count()
    }

    /// Waits until it holds this many.
    pub(crate) async fn until_connections(&self, wanted: usize) {
        let until = async {
            while self.connections() != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = timeout(PATIENCE, until).await;
        assert!(in_time.is_ok(), "{} connections, not {wanted}", self.connections());
    }

    /// Presses Ctrl-C.
    pub(crate) async fn interrupt(&self) {
        self.example.interrupt().await;
    }

    /// Waits until it has ended; it must not have complained about anything that it has seen.
    pub(crate) async fn ended(self) {
        assert!(self.example.end().await.is_empty());
    }

    /// Both.
    pub(crate) async fn end(self) {
        self.interrupt().await;
        self.ended().await;
    }
}

/// A client.
pub(crate) struct Peer {
    pub(crate) reading: OwnedReadHalf,
    pub(crate) writing: OwnedWriteHalf,
    /// What has been read and not looked at.
    read: Vec<u8>,
}

/// A frame as the server sends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Peer {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        send(&mut self.writing, bytes, bytes.len().max(1)).await;
    }

    /// Sends in pieces of this many bytes, while nobody reads.
    pub(crate) async fn send_in(&mut self, pieces: usize, bytes: &[u8]) {
        send(&mut self.writing, bytes, pieces).await;
    }

    /// Sends in pieces, and reads the next frame meanwhile.
    pub(crate) async fn exchange(&mut self, pieces: usize, bytes: &[u8]) -> Frame {
        let Self { reading, writing, read } = self;
        let ((), frame) = tokio::join!(send(writing, bytes, pieces), next(reading, read));
        frame.expect("a frame")
    }

    /// The head of an HTTP response.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            let end = self.read.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).expect("text");
            }
            assert!(more(&mut self.reading, &mut self.read).await > 0, "{:?}", self.read);
        }
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        next(&mut self.reading, &mut self.read).await
    }

    /// The next frame is this one.
    pub(crate) async fn hears(&mut self, what: &str, first: u8, payload: &[u8]) {
        let heard = self.frame().await.unwrap_or_else(|| panic!("{what}: the end"));
        is(what, &heard, first, payload);
    }

    /// The connection is open and in order: a message comes back.
    pub(crate) async fn goes_on(&mut self, what: &str) {
        self.send(&frame(TEXT, b"and now?")).await;
        self.hears(what, TEXT, b"and now?").await;
    }

    /// Nothing more comes but a close frame with this code, and then the end of the stream.
    pub(crate) async fn is_closed(&mut self, what: &str, code: u16) {
        let heard = self.frame().await.unwrap_or_else(|| panic!("{what}: the end"));
        let Frame { first: CLOSE, payload } = &heard else { panic!("{what}: {heard:?}") };
        let (told, reason) = payload.split_first_chunk().expect("a code");
        assert_eq!(u16::from_be_bytes(*told), code, "{what}");
        assert!(std::str::from_utf8(reason).is_ok(), "{what}: {reason:?}");
        assert_eq!(self.frame().await, None, "{what}");
    }
}

/// What was heard is this frame. Of long ones only the lengths are told.
pub(crate) fn is(what: &str, heard: &Frame, first: u8, payload: &[u8]) {
    let (got, wanted) = (heard.payload.len(), payload.len());
    assert_eq!((heard.first, got), (first, wanted), "{what}: {heard:.200?}");
    assert!(heard.payload == payload, "{what}: other bytes");
}

async fn send(writing: &mut OwnedWriteHalf, bytes: &[u8], pieces: usize) {
    let all = async {
        for piece in bytes.chunks(pieces) {
            writing.write_all(piece).await.expect("an open socket");
        }
    };
    timeout(2 * PATIENCE, all).await.expect("taken in time");
}

/// Reads something more: how much, 0 at the end of the stream.
async fn more(reading: &mut OwnedReadHalf, read: &mut Vec<u8>) -> usize {
    read.reserve(64 << 10);
    timeout(PATIENCE, reading.read_buf(read)).await.expect("bytes in time").expect("no reset")
}

async fn next(reading: &mut OwnedReadHalf, read: &mut Vec<u8>) -> Option<Frame> {
    loop {
        if let Some((frame, used)) = whole(read) {
            read.drain(..used);
            return Some(frame);
        }
        if more(reading, read).await == 0 {
            assert!(read.is_empty(), "the stream ends within a frame");
            return None;
        }
    }
}

/// The frame that these bytes begin with, if all of it is there, and how long it is with its
/// header.
fn whole(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &short) = (bytes.first()?, bytes.get(1)?);
    let (length, at) = match short {
        126 => (u16::from_be_bytes(*bytes[2..].first_chunk()?) as usize, 4),
        127 => (u64::from_be_bytes(*bytes[2..].first_chunk()?) as usize, 10),
        // A server masks nothing, so that what is more than 127 fails here.
        short => (usize::from(short), 2),
    };
    assert!(short < 128, "a masked frame");
    let payload = bytes.get(at..at + length)?.to_vec();
    Some((Frame { first, payload }, at + length))
}

/// How long a writer waits before it takes it that the other side takes nothing more for now. If it
/// is wrong about that, it has sent less than it might have.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
