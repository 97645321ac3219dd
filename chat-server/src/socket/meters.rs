//! What is counted about sockets.

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use crate::protocol::CloseCode;

/// The counters of a server's sockets. What is not registered with a recorder counts for nobody.
pub struct Meters {
    open: Gauge,
    frames: Counter,
    bytes: Counter,
    blocked: Counter,
    behind: Counter,
    /// By close code: those that there are, and the rest.
    closed: Vec<(u16, Counter)>,
    refused: Vec<(Refused, Counter)>,
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many connections as there may be.
    Connections,
    /// As many connections from one address as there may be.
    Address,
    /// As many connections without a token as there may be.
    Strangers,
    /// The server is stopping.
    Draining,
}

const REFUSED: [(Refused, &str); 4] = [
    (Refused::Connections, "connections"),
    (Refused::Address, "address"),
    (Refused::Strangers, "without_token"),
    (Refused::Draining, "draining"),
];

const CODES: [u16; 12] = [1000, 1001, 1002, 1007, 1009, 4400, 4401, 4403, 4408, 4429, 4508, 0];

impl Meters {
    /// Counters of this recorder.
    #[must_use]
    pub fn new(recorder: &impl Recorder) -> Self {
        let counter = |name: &'static str, what: &'static str, labels: Vec<Label>| {
            let (key, what) = (KeyName::from(name), SharedString::from(what));
            recorder.describe_counter(key, Some(Unit::Count), what);
            recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
        };
        let label = |name: &'static str, value: String| vec![Label::new(name, value)];
        let (name, what) = ("chat_sockets_open", "WebSocket connections");
        recorder.describe_gauge(name.into(), Some(Unit::Count), what.into());
        let code = |code: u16| {
            let text = if code == 0 { "other".to_owned() } else { code.to_string() };
            let what = "WebSocket connections that the server has closed, by close code";
            (code, counter("chat_sockets_closed_total", what, label("code", text)))
        };
        let refused = |(refused, text): (Refused, &str)| {
            let what = "WebSocket handshakes that were refused for a limit";
            let labels = label("limit", text.to_owned());
            (refused, counter("chat_handshakes_refused_total", what, labels))
        };
        Self {
            open: recorder.register_gauge(&Key::from_static_name(name), &METADATA),
            frames: counter(
                "chat_socket_sends_total",
                "Times that something was sent to a socket",
                Vec::new(),
            ),
            bytes: counter("chat_socket_sent_bytes_total", "Bytes sent to sockets", Vec::new()),
            blocked: counter(
                "chat_sockets_blocked_total",
                "Times that a socket took less than it was given",
                Vec::new(),
            ),
            behind: counter(
                "chat_sockets_behind_total",
                "Times that a reader was told that it is behind in a room",
                Vec::new(),
            ),
            closed: CODES.into_iter().map(code).collect(),
            refused: REFUSED.into_iter().map(refused).collect(),
        }
    }

    /// Counters for nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(&metrics::NoopRecorder)
    }

    pub(super) fn opened(&self) {
        self.open.increment(1.0);
    }

    pub(super) fn ended(&self) {
        self.open.decrement(1.0);
    }

    pub(super) fn delivered(&self, sends: usize, bytes: usize) {
        self.frames.increment(sends as u64);
        self.bytes.increment(bytes as u64);
    }

    pub(super) fn blocked(&self) {
        self.blocked.increment(1);
    }

    pub(super) fn behind(&self) {
        self.behind.increment(1);
    }

    pub(super) fn closed(&self, close: CloseCode) {
        let counter = self.closed.iter().find(|(code, _)| *code == close.code || *code == 0);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }

    pub(super) fn refused(&self, refused: Refused) {
        if let Some((_, counter)) = self.refused.iter().find(|(of, _)| *of == refused) {
            counter.increment(1);
        }
    }
}

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
