//! `docs/protocol.md` is true: every example in it is sent to a real server, and every answer is
//! compared.
//!
//! `"…"` matches any value. `$name` matches any text where it first appears, and that text from
//! then on.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use chat_core::testkit::{Faults, FaultyStore};
use chat_core::{
    Code, Cursor, Error, Event, MemoryStore, Name, Notice, OwnChange, Presence, RoomId, User,
    UserId, Wire,
};
use chat_server::people;
use chat_server::protocol::JsonWire;
use futures_util::SinkExt;
use serde_json::Value;
use support::raw::{Raw, handshake_lines, request};
use support::{Client, Frame, TestServer, transport, until};
use tempfile::TempDir;
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
    /// The example is one person's, on a server of its own.
    alone: bool,
    names: HashMap<String, String>,
    /// Codes of errors and of closing that were seen on the way.
    seen: BTreeSet<String>,
}

impl Conversation {
    async fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.contains_key(name) {
            // Alice shows her token with `auth`; a stranger has none; the others send it in a
            // header.
            let token = match name {
                "" => {
                    let alice = self.server.guest("Alice").await;
                    self.names.insert("token".into(), alice.token);
                    None
                }
                "stranger" => None,
                // Whom an HTTP example has made known.
                name if self.names.contains_key(&format!("{name}_token")) => {
                    self.names.get(&format!("{name}_token")).cloned()
                }
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
        if let Some(time) = line.strip_prefix("⏱ ") {
            let millis = |unit: &str, each: u64| {
                let number: u64 = time.strip_suffix(unit)?.parse().ok()?;
                Some(number * each)
            };
            let millis = millis(" ms", 1).or_else(|| millis(" s", 1_000));
            let time = Duration::from_millis(millis.expect("whole seconds or milliseconds"));
            let clock = &self.server.clock;
            // Somebody who is alone waits alone; else others may wait for the same time.
            let (least, most) = if self.alone { (1, 1) } else { (1, usize::MAX) };
            let waits = async || (least..=most).contains(&clock.sleepers(time));
            until("the example waits for this time", waits).await;
            return clock.advance(time);
        }
        if line == "(the server is told to stop)" {
            return self.server.server().engine().drain(Duration::from_secs(5));
        }
        let (name, sign, rest) = ["→", "←", "⇠", "×"]
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
            "←" | "⇠" => {
                let expected: Value = serde_json::from_str(&rest).expect("JSON in the document");
                let mut answer = client.json().await;
                while sign == "⇠" && answer["event"] != expected["event"] {
                    answer = client.json().await;
                }
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
                if self.alone {
                    // Reading is what answers pings, and a peer that answers one in the last moment
                    // is not silent.
                    let engine = self.server.server().engine();
                    until("its session has ended", async || engine.stats().sessions == 0).await;
                }
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
        let words = || example.kind.split(' ');
        if words().any(|word| word == "direct") && transport() != "direct" {
            return;
        }
        let set: Vec<_> = words().filter(|word| word.contains('=')).collect();
        // Whose token is shown, as soon as it is known.
        let token = words().find_map(|word| word.strip_prefix("as-")).unwrap_or("carol_token");
        let other = if set.is_empty() { None } else { Some(TestServer::with(&set).await) };
        for call in example.lines.chunks(2) {
            let [(number, request), (_, answer)] = call else { panic!("a call and its answer") };
            let server = other.as_ref().unwrap_or(&self.server);
            let token = self.names.get(token).cloned().unwrap_or_default();
            let (status, body) = request_as_written(server, &token, &self.fill(request)).await;
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

    /// Nothing has come that the document does not show.
    async fn nothing_else(&mut self) {
        for client in self.clients.values_mut() {
            client.send_text(r#"{"id":99,"do":"ping"}"#).await;
            assert_eq!(client.json().await["id"], 99);
        }
    }

    /// A conversation with its own circumstances.
    async fn chat(&mut self, example: &Example) {
        let about = |word: &str| example.kind.split(' ').any(|other| other == word);
        self.faults.fail_all(about("failing-store"));
        self.faults.hold_commits(about("stalled-store"));
        self.alone = about("alone");
        let other = if self.alone { Some(TestServer::start().await) } else { None };
        let other = other.map(|server| std::mem::replace(&mut self.server, server));
        let before: BTreeSet<String> = self.clients.keys().cloned().collect();
        for (number, line) in &example.lines {
            self.line(*number, line).await;
        }
        self.faults.fail_all(false);
        self.faults.hold_commits(false);
        if let Some(other) = other {
            self.server = other;
        }
        if about("apart") || about("alone") {
            // Whoever took part only here is not asked whether anything else has come.
            self.clients.retain(|name, _| before.contains(name));
        } else {
            self.nothing_else().await;
        }
    }
}

/// Makes a request as the document writes it: `POST /path {…}`, or words in brackets for a body.
async fn request_as_written(server: &TestServer, token: &str, request: &str) -> (u16, Value) {
    if let Some(how) = request.strip_prefix("GET /ws ") {
        return handshake_as_written(server, how).await;
    }
    let mut parts = request.splitn(3, ' ');
    let (method, path) = (parts.next().expect("a method"), parts.next().expect("a path"));
    let (kind, body) = match parts.next() {
        None => ("", String::new()),
        Some("(65537 bytes)") => ("application/json", "x".repeat(65_537)),
        Some("(text/plain)") => ("text/plain", "{}".into()),
        Some(json) => ("application/json", json.into()),
    };
    let method = method.parse().expect("a method");
    let request = server.http.request(method, format!("{}{path}", server.base));
    let request = request.bearer_auth(token).header("content-type", kind).body(body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.text().parse().unwrap_or(Value::Null))
}

/// Makes a handshake that is to be refused.
async fn handshake_as_written(server: &TestServer, how: &str) -> (u16, Value) {
    let mut lines = handshake_lines(None);
    let mut beside = None;
    match how {
        "(a handshake beside a connection)" => {
            beside = Some(Raw::open(&server.address, None).await);
        }
        "(a handshake of version 8)" => {
            lines.retain(|line| !line.starts_with("sec-websocket-version"));
            lines.push("sec-websocket-version: 8".into());
        }
        how => {
            let page = how.strip_prefix("(a handshake of a page of ");
            let page = page.and_then(|page| page.strip_suffix(')'));
            lines.push(format!("origin: {}", page.expect("a handshake that is known")));
        }
    }
    let mut raw = Raw::connect(&server.address).await;
    raw.write(&request(&lines)).await;
    let answer = raw.answer().await;
    drop(beside);
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

/// Sends a frame, or what the words in brackets say.
async fn say(client: &mut Client, what: &str) {
    if let Some((times, what)) =
        what.strip_prefix('(').and_then(|what| what.strip_suffix(')')?.split_once(" times "))
    {
        let answered = what.strip_suffix(", each answered");
        for _ in 0..times.parse().expect("a number") {
            client.send_text(answered.unwrap_or(what)).await;
            if answered.is_some() {
                client.reply().await;
            }
        }
        return;
    }
    let frame = match what {
        "(binary)" => Message::binary(vec![1, 2, 3]),
        "(65537 bytes)" => Message::text("x".repeat(65_537)),
        "(close)" => Message::Close(None),
        // A text frame of two bytes, the mask being 0.
        "(invalid UTF-8)" => return raw(client, &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]).await,
        "(an unmasked frame)" => return raw(client, &[0x81, 0x02, b'{', b'}']).await,
        text => Message::text(text),
    };
    client.socket.send(frame).await.expect("an open socket");
}

/// Sends bytes past the WebSocket.
async fn raw(client: &mut Client, bytes: &[u8]) {
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS") };
    stream.write_all(bytes).await.expect("an open socket");
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
    let data = Arc::new(TempDir::new().expect("a folder"));
    let set = ["rooms.big=3", "socket.max_per_user=1"];
    let server = TestServer::start_in(data, Some(Arc::new(store)), &set).await;
    let (clients, names, seen) = Default::default();
    let mut talk = Conversation { server, faults, clients, alone: false, names, seen };
    for example in examples(document) {
        match example.kind.split(' ').next() {
            Some("chat") => talk.chat(&example).await,
            Some("http") => talk.http(&example).await,
            // What needs a moment of its own: other tests bring it about, this one compares.
            Some("json") => {
                for (number, line) in &example.lines {
                    let expected: Value = line.parse().expect("JSON in the document");
                    let made: Value = shown(&expected).parse().expect("JSON");
                    assert!(matches(&expected, &made, &mut talk.names), "line {number}: {made}");
                }
            }
            kind => panic!("what kind of example is {kind:?}?"),
        }
    }
    let (errors, close_codes) = listed(document);
    let all: BTreeSet<String> = errors.into_iter().chain(close_codes).collect();
    let not_shown: Vec<_> = all.difference(&talk.seen).collect();
    // An account is deleted beside a connection in another test.
    // A fault that we know would be mended, a client that does not read would have to be sent
    // megabytes, and friends beyond counting be made. The portable route counts no connections.
    let mut expected = vec!["4403", "4508", "internal", "session_ended", "too_many"];
    if transport() != "direct" {
        expected.push("too_many_connections");
    }
    assert_eq!(not_shown, expected);
}

/// The frame that the document shows, made by the program.
fn shown(expected: &Value) -> ByteString {
    let room = RoomId::new();
    let event = match expected["event"].as_str() {
        Some("expiring") => Event::Expiring { at: chat_core::Timestamp::UNIX_EPOCH },
        Some("behind") => Event::Behind { room, after: Cursor::new(57, 9) },
        Some("mentioned") => {
            let text = chat_core::Text::new("ask @bob").expect("a good text");
            let mentions = vec![UserId::new()];
            let body = chat_core::Body { mentions, ..chat_core::Body::text(text) };
            let at = chat_core::Timestamp::UNIX_EPOCH;
            let message = Arc::new(chat_core::Message::new(7, named("Alice"), body, at));
            Event::Mentioned { room, message }
        }
        Some("invited") => {
            let title = Some(chat_core::Title::new("Plans").expect("a good title"));
            let (kind, created) = (chat_core::Kind::Private, chat_core::Timestamp::UNIX_EPOCH);
            let room = chat_core::RoomInfo {
                id: room,
                title,
                kind,
                ephemeral: false,
                created,
                parent: None,
            };
            Event::Invited { room }
        }
        Some("mine") => {
            let until = expected["until"].as_str().expect("an end").parse().expect("a time");
            Event::Mine { room, change: OwnChange::Banned(Some(until)) }
        }
        Some("closed") => Event::Closed { room },
        Some("renamed") => Event::Renamed { room: Some(room), user: named("Bobby") },
        Some("friend") => {
            let (user, presence) = (named("Bob"), Presence::Online);
            Event::Notice(Notice::new(people::Notice::Friend { user, presence }))
        }
        Some("friends") => Event::Notice(Notice::new(people::Notice::Friends)),
        Some("blocks") => Event::Notice(Notice::new(people::Notice::Blocks)),
        Some("profile") => Event::Notice(Notice::new(people::Notice::Profile)),
        Some(name) => panic!("no event {name} is known here"),
        None => {
            let fault = Err(Error::new(Code::Internal, "a fault"));
            return JsonWire.reply(9, &fault).expect("a reply");
        }
    };
    JsonWire.event(&Arc::new(event))
}

fn named(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).expect("a good name"))
}

/// The codes in the document's tables: of errors, and of closing.
fn listed(document: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let section = |name: &str| {
        let start = document.find(name).unwrap_or_else(|| panic!("there is no section {name}"));
        let rest = &document[start + name.len()..];
        rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
    };
    let errors = section("## Errors");
    let errors = errors.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let closing = section("## Close codes");
    let cells = closing.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let codes = cells.flat_map(|cell| cell.split(", ")).filter(|code| code.parse::<u16>().is_ok());
    (errors.map(str::to_owned).collect(), codes.map(str::to_owned).collect())
}

/// The tables of the document name every code that the program knows, and no other.
#[test]
fn every_code_is_listed() {
    let document = include_str!("../../docs/protocol.md");
    let (errors, close_codes) = listed(document);
    let source = [
        include_str!("../../chat-core/src/error.rs"),
        include_str!("../src/protocol/error.rs"),
        include_str!("../src/people/error.rs"),
    ];
    let words = source.iter().flat_map(|file| file.split('"')).filter(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let fields = ["do", "key", "username", "old", "refresh_token", "group", "user", "seq"];
    let known: BTreeSet<String> =
        words.filter(|word| !fields.contains(word)).map(str::to_owned).collect();
    assert_eq!(errors, known);
    let source = include_str!("../src/protocol/close.rs");
    let known: BTreeSet<String> = source
        .split("::new(")
        .skip(1)
        .filter_map(|rest| Some(rest.split(',').next()?.to_owned()))
        .filter(|code| code.parse::<u16>().is_ok())
        .collect();
    assert_eq!(close_codes, known);
}
