//! What is said and heard in each dialect. Frames are looked through where they lie, for the few words
//! that matter; quotes inside of a JSON text are escaped, so that no text can be taken for a word.

use std::io::Write;

use memchr::memmem::Finder;

use crate::args::Dialect;
use crate::traffic::Publish;

/// The `id` of the command that joins; messages have their own numbers, which begin above it.
const JOIN: u64 = 0;
/// How many digits of a message's text are its number.
const DIGITS: usize = 16;
/// An id such as the chat server gives, for messages that are made up here in its likeness.
const SOMEBODY: &str = "0197f0a2-7c33-7d61-b4e5-52d1c0a89f3e";

/// What a frame of the server's means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// A message: its number in the room, if the server gave it one, and its own number.
    Message { seq: Option<u64>, number: Option<u64> },
    /// The connection hears its room from here on.
    Joined,
    /// A command has failed: its `id` if there is one, and the code.
    Refused { id: Option<u64>, code: &'a str },
    /// The next step of coming in is due.
    Greet,
    /// Now the room may be joined.
    Join,
    /// This is to be answered.
    Answer(&'static [u8]),
    /// Something that does not matter here.
    Other,
}

/// Speaks one dialect about some rooms.
pub(crate) struct Speaker {
    dialect: Dialect,
    /// What the server calls each room.
    rooms: Vec<String>,
    /// What follows a message's number in its text.
    filler: Vec<u8>,
    /// Whether messages bear a client key.
    keys: bool,
    event: Finder<'static>,
    seq: Finder<'static>,
    text: Finder<'static>,
    code: Finder<'static>,
}

impl Speaker {
    pub(crate) fn new(dialect: Dialect, rooms: Vec<String>, text_bytes: usize, keys: bool) -> Self {
        let filler = b" lorem ipsum dolor sit amet".iter().copied().cycle();
        Self {
            dialect,
            rooms,
            filler: filler.take(text_bytes.saturating_sub(DIGITS)).collect(),
            keys,
            event: Finder::new(br#""event":"message""#),
            seq: Finder::new(br#""seq":"#),
            text: Finder::new(br#""text":""#),
            code: Finder::new(br#""code":""#),
        }
    }

    /// What is asked for in the handshake, given the address's path.
    pub(crate) fn path(&self, path: &str, room: u32) -> String {
        match self.dialect {
            Dialect::Chat => path.to_owned(),
            Dialect::Plain => format!("{path}?room={room}"),
            Dialect::Socketio => "/socket.io/?EIO=4&transport=websocket".into(),
        }
    }

    /// The subprotocol to ask for.
    pub(crate) fn protocol(&self) -> &'static str {
        if self.dialect == Dialect::Chat { "chat.v1" } else { "" }
    }

    /// What an answered handshake means.
    pub(crate) fn connected(&self) -> Said<'static> {
        match self.dialect {
            Dialect::Chat => Said::Join,
            Dialect::Plain => Said::Joined,
            Dialect::Socketio => Said::Other,
        }
    }

    /// Socket.IO: connects to the main namespace.
    pub(crate) fn greet(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"40");
    }

    /// Joins a room.
    pub(crate) fn join(&self, out: &mut Vec<u8>, room: u32) {
        let id = &self.rooms[room as usize];
        // Writing to memory does not fail, here and below.
        match self.dialect {
            Dialect::Chat => {
                write!(out, r#"{{"id":{JOIN},"do":"join","room":"{id}","limit":1}}"#).ok()
            }
            Dialect::Socketio => write!(out, r#"42["join",{room}]"#).ok(),
            Dialect::Plain => None,
        };
    }

    /// Sends a message.
    pub(crate) fn publish(&self, out: &mut Vec<u8>, publish: &Publish) {
        let Publish { number, room, seq, sender } = publish;
        let id = &self.rooms[*room as usize];
        match self.dialect {
            Dialect::Chat => {
                write!(out, r#"{{"id":{number},"do":"send","room":"{id}","text":""#).ok();
                self.text(out, *number);
                out.push(b'"');
                self.key(out, *number);
                out.push(b'}');
            }
            Dialect::Plain | Dialect::Socketio => {
                if self.dialect == Dialect::Socketio {
                    out.extend_from_slice(br#"42["message","#);
                }
                write!(out, r#"{{"event":"message","cursor":"{seq}.0","room":"{id}","seq":{seq},"#)
                    .ok();
                let user = sender + 1;
                write!(out, r#""from":{{"id":"{SOMEBODY}","name":"load-{user}"}},"text":""#).ok();
                self.text(out, *number);
                out.extend_from_slice(br#"","at":"2026-01-01T00:00:00.000Z""#);
                self.key(out, *number);
                out.push(b'}');
                if self.dialect == Dialect::Socketio {
                    out.push(b']');
                }
            }
        }
    }

    fn text(&self, out: &mut Vec<u8>, number: u64) {
        write!(out, "{number:0DIGITS$}").ok();
        out.extend_from_slice(&self.filler);
    }

    /// The field of the client key, as long as a UUID is.
    fn key(&self, out: &mut Vec<u8>, number: u64) {
        if self.keys {
            write!(out, r#","key":"{number:036}""#).ok();
        }
    }

    /// What a text frame means.
    pub(crate) fn understand<'a>(&self, frame: &'a [u8]) -> Said<'a> {
        match self.dialect {
            Dialect::Chat if frame.starts_with(br#"{"id":"#) => self.reply(frame),
            Dialect::Chat if frame.starts_with(br#"{"error":"#) => self.refused(None, frame),
            Dialect::Chat if frame.starts_with(br#"{"event":"behind""#) => {
                Said::Refused { id: None, code: "behind" }
            }
            Dialect::Chat if frame.starts_with(br#"{"event":"closed""#) => {
                Said::Refused { id: None, code: "room closed" }
            }
            Dialect::Chat | Dialect::Plain => self.message(frame),
            Dialect::Socketio => match frame {
                b"2" => Said::Answer(b"3"),
                [b'0', ..] => Said::Greet,
                [b'4', b'0', ..] => Said::Join,
                [b'4', b'4', ..] => Said::Refused { id: None, code: "connect error" },
                _ if frame.starts_with(br#"42["joined""#) => Said::Joined,
                _ => self.message(frame),
            },
        }
    }

    fn reply<'a>(&self, frame: &'a [u8]) -> Said<'a> {
        let (id, rest) = digits(&frame[br#"{"id":"#.len()..]);
        match id {
            _ if rest.starts_with(br#","error""#) => self.refused(id, rest),
            Some(JOIN) => Said::Joined,
            _ => Said::Other,
        }
    }

    fn refused<'a>(&self, id: Option<u64>, frame: &'a [u8]) -> Said<'a> {
        let code =
            after(&self.code, frame).and_then(|code| code.split(|byte| *byte == b'"').next());
        let code = code.and_then(|code| std::str::from_utf8(code).ok()).unwrap_or("no code");
        Said::Refused { id, code }
    }

    fn message<'a>(&self, frame: &[u8]) -> Said<'a> {
        let Some(rest) = after(&self.event, frame) else { return Said::Other };
        let seq = match self.dialect {
            Dialect::Chat => after(&self.seq, rest).and_then(|seq| digits(seq).0),
            // The number that was given to it here says nothing about the order in which the server
            // took messages of several senders.
            Dialect::Plain | Dialect::Socketio => None,
        };
        let text = after(&self.text, rest).and_then(|text| text.get(..DIGITS));
        let number = text.map(digits).and_then(|(number, rest)| number.filter(|_| rest.is_empty()));
        Said::Message { seq, number }
    }
}

/// What follows a word.
fn after<'a>(word: &Finder<'_>, bytes: &'a [u8]) -> Option<&'a [u8]> {
    word.find(bytes).map(|at| &bytes[at + word.needle().len()..])
}

/// A number, and what follows it.
fn digits(bytes: &[u8]) -> (Option<u64>, &[u8]) {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let add = |number: u64, byte: &u8| {
        number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
    };
    let number = if count == 0 { None } else { bytes[..count].iter().try_fold(0, add) };
    (number, &bytes[count..])
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Said, Speaker};
    use crate::traffic::Publish;

    fn speaker(dialect: Dialect) -> Speaker {
        Speaker::new(dialect, vec!["lobby".into()], 20, true)
    }

    #[test]
    fn the_servers_words_are_understood() {
        let chat = speaker(Dialect::Chat);
        let hear = |frame: &'static str| chat.understand(frame.as_bytes());
        assert_eq!(hear(r#"{"id":0,"ok":{"room":{}}}"#), Said::Joined);
        assert_eq!(hear(r#"{"id":7,"ok":{"seq":1}}"#), Said::Other);
        let busy = r#"{"id":7,"error":{"code":"busy","message":"…","retry":true}}"#;
        assert_eq!(hear(busy), Said::Refused { id: Some(7), code: "busy" });
        let message = r#"{"event":"message","cursor":"9.4","room":"lobby","seq":9,"from":{"id":"x",
            "name":"\"seq\":5"},"text":"0000000000000042 lor","at":"…"}"#;
        assert_eq!(hear(message), Said::Message { seq: Some(9), number: Some(42) });
        let foreign =
            r#"{"event":"message","room":"lobby","seq":10,"text":"hello, everybody here"}"#;
        assert_eq!(hear(foreign), Said::Message { seq: Some(10), number: None });
        assert_eq!(hear(r#"{"event":"presence","room":"lobby"}"#), Said::Other);
    }

    #[test]
    fn what_is_published_is_understood_when_it_comes_back() {
        let publish = Publish { number: 42, room: 0, sender: 3, seq: 9 };
        for dialect in [Dialect::Plain, Dialect::Socketio] {
            let (speaker, mut out) = (speaker(dialect), Vec::new());
            speaker.publish(&mut out, &publish);
            assert_eq!(speaker.understand(&out), Said::Message { seq: None, number: Some(42) });
        }
    }

    #[test]
    fn socket_io_says_what_comes_next() {
        let socketio = speaker(Dialect::Socketio);
        let hear = |frame: &'static str| socketio.understand(frame.as_bytes());
        assert_eq!(hear(r#"0{"sid":"x"}"#), Said::Greet);
        assert_eq!(hear(r#"40{"sid":"y"}"#), Said::Join);
        assert_eq!(hear(r#"42["joined"]"#), Said::Joined);
        assert_eq!(hear("2"), Said::Answer(b"3"));
    }
}
