//! `docs/protocol.md` is true: every example in it is sent to a real server, and every answer is compared.
//!
//! `"…"` matches any value. `$name` matches any text where it first appears, and that text from then on.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::{Faults, FaultyStore};
use chat_core::{
    CloseReason, Counts, Cursor, Event, MemoryStore, Name, RoomId, User, UserId, Wire,
};
use chat_server::protocol::JsonWire;
use futures_util::SinkExt;
use serde_json::Value;
use support::{Client, Frame, TestServer};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

/// What is between the fences.
struct Example {
    kind: String,
    lines: Vec<(usize, String)>,
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for (number, line) in (1..).zip(document.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some(Example { kind: kind.into(), lines: Vec::new() }),
            (Some(_), Some(_)) => examples.extend(open.take()),
            (None, Some(example)) if !line.is_empty() => example.lines.push((number, line.into())),
            (None, _) => {}
        }
    }
    examples
}

/// The documented conversation, so far.
struct Conversation {
    server: TestServer,
    faults: Faults,
    clients: HashMap<String, Client>,
    names: HashMap<String, String>,
    /// Codes of errors and of closing that were seen on the way.
    seen: BTreeSet<String>,
}

impl Conversation {
    async fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.contains_key(name) {
            // Alice shows her token with `auth`; a stranger has none; the others send it in a header.
            let token = match name {
                "" => {
                    let alice = self.server.guest("Alice").await;
                    self.names.insert("token".into(), alice.token);
                    None
                }
                "stranger" => None,
                name => {
                    let nickname = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
                    Some(self.server.guest(&nickname).await.token)
                }
            };
            let client = Client::connect(&self.server.address, token.as_deref()).await;
            self.clients.insert(name.into(), client);
        }
        self.clients.get_mut(name).expect("just put there")
    }

    /// Puts in the values of the names that are known.
    fn fill(&self, text: &str) -> String {
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, rest) = part.split_at(end.unwrap_or(part.len()));
            let value = self.names.get(name).cloned().unwrap_or_else(|| format!("${name}"));
            filled.extend([value.as_str(), rest]);
        }
        filled
    }

    async fn line(&mut self, number: usize, line: &str) {
        let (name, sign, rest) = ["→", "←", "×"]
            .into_iter()
            .find_map(|sign| {
                line.split_once(sign).map(|(name, rest)| (name.trim(), sign, rest.trim()))
            })
            .unwrap_or_else(|| panic!("line {number} is no example: {line}"));
        self.client(name).await;
        let rest = self.fill(rest);
        let client = self.clients.get_mut(name).expect("connected");
        match sign {
            "→" => say(client, &rest).await,
            "←" => {
                let expected: Value = serde_json::from_str(&rest).expect("JSON in the document");
                let answer = client.json().await;
                if let Some(code) = answer["error"]["code"].as_str() {
                    self.seen.insert(code.into());
                }
                let matched = matches(&expected, &answer, &mut self.names);
                assert!(
                    matched,
                    "line {number} expects\n  {expected}\nbut the answer is\n  {answer}"
                );
            }
            _ => {
                let code = match client.next().await {
                    Frame::Close(code) => code,
                    other => panic!("line {number} expects a close, not {other:?}"),
                };
                assert_eq!(code.to_string(), rest, "line {number}");
                self.seen.insert(rest);
                self.clients.remove(name);
            }
        }
    }

    async fn http(&mut self, example: &Example) {
        for call in example.lines.chunks(2) {
            let [(number, request), (_, answer)] = call else { panic!("a call and its answer") };
            let request = self.fill(request);
            let mut parts = request.splitn(3, ' ');
            let (method, path) = (parts.next().expect("a method"), parts.next().expect("a path"));
            let body = parts.next().map_or(Value::Null, |body| body.parse().expect("JSON"));
            let path = path.strip_prefix("/api/v1").expect("below /api/v1");
            let token = self.names.get("carol_token").cloned().unwrap_or_default();
            let (status, body) = self.server.call(method, path, &token, body).await;
            let answer = self.fill(answer);
            let (expected_status, expected) = answer.split_once(' ').unwrap_or((&answer, "null"));
            assert_eq!(status.to_string(), expected_status, "line {number}: {body}");
            let expected: Value = expected.parse().expect("JSON in the document");
            let matched = matches(&expected, &body, &mut self.names);
            assert!(matched, "line {number} expects\n  {expected}\nbut the answer is\n  {body}");
            if let Some(code) = body["code"].as_str() {
                self.seen.insert(code.into());
            }
        }
    }
}

/// Sends a frame, or what the words in brackets say.
async fn say(client: &mut Client, what: &str) {
    let frame = match what {
        "(binary)" => Message::binary(vec![1, 2, 3]),
        "(65537 bytes)" => Message::text("x".repeat(65_537)),
        "(close)" => Message::Close(None),
        "(invalid UTF-8)" => {
            let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS") };
            // A masked text frame of two bytes, the mask being 0.
            let bytes = [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28];
            return stream.write_all(&bytes).await.expect("an open socket");
        }
        text => Message::text(text),
    };
    client.socket.send(frame).await.expect("an open socket");
}

/// Whether an answer is what the document says; learns the values behind new names.
fn matches(expected: &Value, actual: &Value, names: &mut HashMap<String, String>) -> bool {
    match (expected, actual) {
        (Value::String(any), _) if any == "…" => true,
        (Value::String(name), Value::String(value)) if name.starts_with('$') => {
            names.entry(name[1..].into()).or_insert_with(|| value.clone()) == value
        }
        (Value::Object(expected), Value::Object(actual)) => {
            expected.len() == actual.len()
                && expected.iter().all(|(key, expected)| {
                    actual.get(key).is_some_and(|actual| matches(expected, actual, names))
                })
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len()
                && expected.iter().zip(actual).all(|(e, a)| matches(e, a, names))
        }
        (expected, actual) => expected == actual,
    }
}

#[actix_web::test]
async fn every_example_is_true() {
    let document = include_str!("../../docs/protocol.md");
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let server = TestServer::with_store(store).await;
    let (clients, names, seen) = Default::default();
    let mut talk = Conversation { server, faults, clients, names, seen };
    let mut sent = 0;
    for example in examples(document) {
        match example.kind.as_str() {
            "chat" | "chat failing-store" => {
                talk.faults.fail_all(example.kind.ends_with("failing-store"));
                for (number, line) in &example.lines {
                    talk.line(*number, line).await;
                    sent += 1;
                }
                talk.faults.fail_all(false);
            }
            "http" => talk.http(&example).await,
            // Events that need a moment of their own: other tests bring them about, this one compares.
            "json" => {
                for (number, line) in &example.lines {
                    let event: Value = line.parse().expect("JSON in the document");
                    let made = shown(event["event"].as_str().expect("an event's name"));
                    let frame: Value = JsonWire.event(&Arc::new(made)).parse().expect("JSON");
                    assert!(matches(&event, &frame, &mut talk.names), "line {number}: {frame}");
                }
            }
            kind => panic!("what kind of example is {kind:?}?"),
        }
    }
    assert!(sent > 80, "only {sent} lines were examples");
    // Nothing has come that the document does not show.
    for client in talk.clients.values_mut() {
        client.send_text(r#"{"id":99,"do":"ping"}"#).await;
        assert_eq!(client.json().await["id"], 99);
    }
    println!("{sent} lines; codes shown: {:?}", talk.seen);
}

/// The event that the document shows on this line, made by the program.
fn shown(name: &str) -> Event {
    let room = RoomId::new();
    match name {
        "summary" => Event::Summary {
            room,
            cursor: Cursor::new(57, 9),
            counts: Counts { members: 1203, online: 311 },
            some: vec![User::new(UserId::new(), Name::new("Ann").expect("a good name"))],
        },
        "behind" => Event::Behind { room, after: Cursor::new(57, 9) },
        "closed" => Event::Closed { room },
        "closing" => Event::Closing {
            reason: CloseReason::Draining,
            retry_after: Some(Duration::from_millis(1234)),
        },
        name => panic!("no event {name} is known here"),
    }
}

/// The tables of the document name every code that the program knows, and no other.
#[test]
fn every_code_is_listed() {
    let document = include_str!("../../docs/protocol.md");
    let section = |name: &str| {
        let start = document.find(name).unwrap_or_else(|| panic!("there is no section {name}"));
        let rest = &document[start + name.len()..];
        rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
    };
    let listed: BTreeSet<String> = section("## Errors")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let source =
        [include_str!("../../chat-core/src/error.rs"), include_str!("../src/protocol/error.rs")];
    let words = source.iter().flat_map(|file| file.split('"')).filter(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let fields = ["do", "key"];
    let known: BTreeSet<String> =
        words.filter(|word| !fields.contains(word)).map(str::to_owned).collect();
    assert_eq!(listed, known);
    let listed: BTreeSet<u16> = section("## Close codes")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .flat_map(|codes| codes.split(", ").filter_map(|code| code.parse().ok()))
        .collect();
    let source = include_str!("../src/protocol/close.rs");
    let known: BTreeSet<u16> = source
        .split("::new(")
        .skip(1)
        .filter_map(|rest| rest.split(',').next()?.parse().ok())
        .collect();
    assert_eq!(listed, known);
}
