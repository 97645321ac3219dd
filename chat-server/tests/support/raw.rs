//! Clients that write what they like, byte for byte, and see all that comes back.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::contract::{self, Exchange};

pub const TEXT: u8 = 0x81;
pub const FIRST_TEXT: u8 = 0x01;
pub const CONTINUE: u8 = 0x00;
pub const LAST: u8 = 0x80;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;

/// A frame as clients send it. The mask is zero, so that the payload stays as it is.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

/// The header of a frame whose payload has this many bytes, or is said to.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    client_frames::header(first, length, [0; 4])
}

#[path = "../../src/socket/frame/testing.rs"]
#[allow(dead_code, reason = "these tests need headers alone")]
mod client_frames;

/// What a handshake of somebody with this token consists of, line by line.
pub fn handshake_lines(token: Option<&str>) -> Vec<String> {
    let mut lines: Vec<_> = [
        "GET /ws HTTP/1.1",
        "host: chat.example.com",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    .map(str::to_owned)
    .into();
    lines.extend(token.map(|token| format!("authorization: Bearer {token}")));
    lines
}

/// A request of these lines, without a body.
pub fn request<L: AsRef<str>>(lines: &[L]) -> Vec<u8> {
    let lines = lines.iter().map(|line| format!("{}\r\n", line.as_ref()));
    format!("{}\r\n", lines.collect::<String>()).into_bytes()
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The code of a problem document, which it must be.
    pub fn code(&self) -> String {
        let kind = self.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{}", self.head);
        let problem: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(problem["status"], self.status, "{problem}");
        super::text(&problem["code"])
    }
}

/// The most of a request that is remembered.
const MOST_ASKED: usize = 100_000;

/// A request as it was written.
struct Asked {
    method: String,
    target: String,
    body: Option<Vec<u8>>,
}

impl Asked {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).expect("text");
        let mut words = head.split(' ');
        let mut word = || words.next().expect("a request line").to_owned();
        let (method, target) = (word(), word());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        let rest = &bytes[end + 4..];
        let body = (length > 0).then(|| rest[..length.min(rest.len())].to_vec());
        Self { method, target, body }
    }
}

/// A connection without a protocol of its own.
pub struct Raw<S = TcpStream> {
    pub stream: S,
    /// What has been asked over HTTP and not been answered yet.
    asked: Vec<u8>,
    /// What has come and was not looked at yet.
    read: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        // So that what is written is on its way at once, even if it is one byte behind another.
        stream.set_nodelay(true).expect("an open connection");
        Self::over(stream)
    }

    /// A WebSocket.
    pub async fn open(address: &str, token: Option<&str>) -> Self {
        let mut raw = Self::connect(address).await;
        raw.write(&request(&handshake_lines(token))).await;
        assert_eq!(raw.answer().await.status, 101);
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, asked: Vec::new(), read: Vec::new() }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // As much as there can be of a request; what comes behind a handshake is none.
        self.asked.extend(&bytes[..bytes.len().min(MOST_ASKED.saturating_sub(self.asked.len()))]);
        self.stream.write_all(bytes).await.expect("an open connection");
    }

    /// Waits for more; `false` at the end. A connection that is reset is a failure.
    async fn more(&mut self) -> bool {
        let mut some = [0; 16_384];
        let read = timeout(PATIENCE, self.stream.read(&mut some)).await.expect("more in time");
        let count = read.expect("no reset");
        self.read.extend(&some[..count]);
        count > 0
    }

    /// The next so many bytes.
    async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await, "it ended behind {:?}", self.read);
        }
        self.read.drain(..count).collect()
    }

    /// An answer of HTTP; of one without a length, or that switches protocols, only the head.
    pub async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await, "it ended behind {:?}", self.read);
        };
        let head = String::from_utf8(self.take(end).await).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer { status: status.expect("a status"), head, body: Vec::new() };
        let length = answer.header("content-length").map_or("0", |length| length);
        answer.body = self.take(length.parse().expect("a length")).await;
        let asked = std::mem::take(&mut self.asked);
        let asked = Asked::read(&asked);
        contract::hold(&Exchange {
            method: &asked.method,
            target: &asked.target,
            sent: asked.body.as_deref(),
            status: answer.status,
            header: &|name| answer.header(name).map(str::to_owned),
            body: &answer.body,
        });
        answer
    }

    /// The next frame: its first byte, and its payload.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        let start = self.take(2).await;
        let length = match start[1] {
            126 => self.take(2).await.into_iter().fold(0, |sum, byte| sum << 8 | usize::from(byte)),
            length => usize::from(length),
        };
        (start[0], self.take(length).await)
    }

    /// The next message, which must be JSON; pings are passed over.
    pub async fn json(&mut self) -> Value {
        loop {
            match self.frame().await {
                (TEXT, payload) => return serde_json::from_slice(&payload).expect("JSON"),
                (PING, _) => {}
                other => panic!("wanted JSON, got {other:?}"),
            }
        }
    }

    /// Waits for the close code; what comes before it is passed over.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let (CLOSE, payload) = self.frame().await {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    /// Nothing more comes, and the connection has ended well.
    pub async fn end(&mut self) {
        assert!(!self.more().await && self.read.is_empty(), "more has come: {:?}", self.read);
    }
}
