//! A whole server on a free port, and clients that come through its outer door.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

pub mod contract;
pub mod doors;
pub mod http;
pub mod keys;
pub mod lobby;
pub mod process;
pub mod raw;
pub mod scene;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use chat_core::Store;
use chat_core::testkit::FakeClock;
use chat_server::app::{self, Parts, Server};
use chat_server::config::{Flags, Settings};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use contract::Exchange;
use http::Http;

/// How long a test waits for something that must come, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Which transport the tests of this program are about: `portable_route.rs` has the protocol's tests
/// once more.
pub fn transport() -> &'static str {
    let program = std::env::current_exe().expect("a program");
    let name = program.file_name().expect("a name").to_string_lossy().into_owned();
    if name.starts_with("portable_route") { "portable" } else { "direct" }
}

/// A running server with a folder of its own and a clock moved by hand.
pub struct TestServer {
    server: Option<Server>,
    pub base: String,
    pub address: String,
    pub clock: FakeClock,
    pub http: Http,
    pub data: Arc<TempDir>,
}

impl TestServer {
    /// A server with SQLite in a new folder.
    pub async fn start() -> Self {
        Self::start_in(Arc::new(TempDir::new().expect("a folder")), None, &[]).await
    }

    /// A server with SQLite in a new folder, and these `SECTION.KEY=VALUE` settings.
    pub async fn with(set: &[&str]) -> Self {
        Self::start_in(Arc::new(TempDir::new().expect("a folder")), None, set).await
    }

    /// A server with this store.
    pub async fn with_store(store: impl Store) -> Self {
        let data = Arc::new(TempDir::new().expect("a folder"));
        Self::start_in(data, Some(Arc::new(store)), &[]).await
    }

    /// A server in this folder, with these `SECTION.KEY=VALUE` settings.
    pub async fn start_in(data: Arc<TempDir>, store: Option<Arc<dyn Store>>, set: &[&str]) -> Self {
        let folder = data.path().to_str().expect("a plain path");
        let mut flags = vec!["chat-server", "--listen", "127.0.0.1:0", "--data", folder];
        flags.extend(["--set", "server.workers=1", "--set", "server.shutdown_timeout_s=5"]);
        let transport = format!("socket.transport={}", transport());
        for set in set.iter().copied().chain([transport.as_str()]) {
            flags.extend(["--set", set]);
        }
        let flags = Flags::parse_from(flags);
        let settings = Settings::load_from(&flags, [], data.path()).expect("good settings");
        let clock = FakeClock::default();
        let parts = Parts { store, clock: Some(Arc::new(clock.clone())) };
        let server = app::build(&settings, parts).await.expect("a server");
        let address = server.address().to_string();
        let base = format!("http://{address}");
        let http = Http::default();
        Self { server: Some(server), base, address, clock, http, data }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("not stopped yet")
    }

    /// Stops the server as a signal would, and gives back its folder.
    pub async fn stop(mut self) -> Arc<TempDir> {
        let server = self.server.take().expect("not stopped yet");
        timeout(PATIENCE, server.stop()).await.expect("it stops").expect("without an error");
        Arc::clone(&self.data)
    }

    /// Waits until these many connections wait for this much more time. With the direct transport,
    /// each thread has one timer for all of its connections, which take the threads in turn.
    pub async fn waits(&self, what: &str, connections: usize, time: Duration) {
        let threads = self.server().engine().threads();
        let timers = if transport() == "direct" { connections.min(threads) } else { connections };
        until(what, async || self.clock.sleepers(time) == timers).await;
    }

    /// A new guest's token and id.
    pub async fn guest(&self, nickname: &str) -> Guest {
        guest(&self.http, &self.base, nickname).await
    }

    /// Somebody with a new account.
    pub async fn sign_up(&self, username: &str) -> Person {
        let body = json!({ "username": username, "password": PASSWORD });
        let (status, answer) = self.call("POST", "/users", "", body).await;
        assert_eq!(status, 201, "{answer}");
        Person::of(&answer)
    }

    /// A new guest, connected.
    pub async fn connect(&self, nickname: &str) -> Client {
        let guest = self.guest(nickname).await;
        Client::connect(&self.address, Some(&guest.token)).await
    }

    /// Somebody in a room of her own, who hears it; and the room's id.
    pub async fn lobby(&self, nickname: &str) -> (Client, Value) {
        let mut owner = self.connect(nickname).await;
        let room = owner.ok(json!({"do":"open","title":"Lobby"})).await["room"]["id"].clone();
        owner.ok(json!({"do":"join","room":room})).await;
        (owner, room)
    }

    /// An HTTP call: status and body, `Null` if there is none.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        call(&self.http, &self.base, method, path, token, body).await
    }

    /// An HTTP call that succeeds: its body.
    pub async fn ok(&self, person: &Person, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, &person.token, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Opens a room.
    pub async fn room(&self, token: &str, title: &str) -> String {
        let (status, room) = self.call("POST", "/rooms", token, json!({ "title": title })).await;
        assert_eq!(status, 201, "{room}");
        text(&room["id"])
    }
}

#[derive(Clone, Debug)]
pub struct Guest {
    pub token: String,
    pub id: String,
}

/// The password of everybody who has an account.
pub const PASSWORD: &str = "correct horse";

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub token: String,
    pub refresh: String,
}

impl Person {
    /// Whoever was answered this for signing up or in, or for refreshing.
    pub fn of(answer: &Value) -> Self {
        Self {
            id: text(&answer["user"]["id"]),
            token: text(&answer["access_token"]),
            refresh: text(&answer["refresh_token"]),
        }
    }
}

pub async fn guest(http: &Http, base: &str, nickname: &str) -> Guest {
    let body = json!({ "nickname": nickname });
    let (status, answer) = call(http, base, "POST", "/tokens/guest", "", body).await;
    assert_eq!(status, 201, "{answer}");
    Guest { token: text(&answer["access_token"]), id: text(&answer["user"]["id"]) }
}

pub async fn call(
    http: &Http,
    base: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Value,
) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = http.request(method, format!("{base}/api/v1{path}")).bearer_auth(token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.text();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// A JSON text as a string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}

/// A WebSocket client, over TCP unless said otherwise.
pub struct Client<S = MaybeTlsStream<TcpStream>> {
    pub socket: WebSocketStream<S>,
    next_id: u64,
    /// Events that came while a reply was awaited.
    pub events: std::collections::VecDeque<Value>,
}

/// A handshake as programs send it.
fn request(address: &str, token: Option<&str>) -> Request {
    let mut request = format!("ws://{address}/ws").into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("chat.v1"));
    if let Some(token) = token {
        let token = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        headers.insert("authorization", token);
    }
    request
}

/// The answer to a handshake is one of HTTP like every other.
fn shaken_hands(target: &str, answer: &Response) {
    let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
    let (method, status) = ("GET", answer.status().as_u16());
    contract::hold(&Exchange { method, target, sent: None, status, header: &header, body: &[] });
}

impl Client {
    pub async fn connect(address: &str, token: Option<&str>) -> Self {
        let shaken = connect_async(request(address, token)).await;
        let (socket, answer) = shaken.expect("a handshake");
        shaken_hands("/ws", &answer);
        Self { socket, next_id: 0, events: Default::default() }
    }

    /// As [`connect`](Self::connect), if there is a server.
    pub async fn try_connect(address: &str, token: &str) -> Option<Self> {
        let address = format!("ws://{address}/ws?access_token={token}");
        let (socket, answer) = connect_async(address).await.ok()?;
        shaken_hands(&format!("/ws?access_token={token}"), &answer);
        Some(Self { socket, next_id: 0, events: Default::default() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// As [`connect`](Client::connect), over a stream that leads to the server.
    pub async fn over(stream: S, address: &str, token: Option<&str>) -> Self {
        let shaken = client_async(request(address, token), stream).await;
        let (socket, answer) = shaken.expect("a handshake");
        shaken_hands("/ws", &answer);
        Self { socket, next_id: 0, events: Default::default() }
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("an open socket");
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    /// As [`send`](Self::send), whether or not there still is a connection.
    pub async fn try_send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.ok();
    }

    /// The next frame, answering no pings.
    pub async fn next(&mut self) -> Frame {
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match next {
                Some(Ok(Message::Text(text))) => {
                    return Frame::Json(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(close))) => {
                    return Frame::Close(close.map_or(1005, |close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::End,
            }
        }
    }

    /// The next frame, which must be JSON.
    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Frame::Json(value) => value,
            other => panic!("wanted JSON, got {other:?}"),
        }
    }

    /// The next frame that is no event; events that come before it are kept.
    pub async fn reply(&mut self) -> Value {
        loop {
            let frame = self.json().await;
            if frame.get("event").is_none() {
                return frame;
            }
            self.events.push_back(frame);
        }
    }

    /// Waits for the close code; what comes before it is passed over.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Frame::Json(_) => {}
                Frame::Close(code) => return code,
                Frame::End => panic!("the connection ended without a close code"),
            }
        }
    }

    /// Sends a command and waits for its reply; events that come before it are kept.
    pub async fn ask(&mut self, mut command: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        command["id"] = json!(id);
        self.send(&command).await;
        loop {
            let frame = self.json().await;
            if frame["id"] == json!(id) {
                return frame;
            }
            self.events.push_back(frame);
        }
    }

    /// As [`ask`](Self::ask), for a command that must succeed.
    pub async fn ok(&mut self, command: Value) -> Value {
        let reply = self.ask(command.clone()).await;
        assert!(reply.get("ok").is_some(), "{command} was answered {reply}");
        reply["ok"].clone()
    }

    /// As [`ask`](Self::ask), for a command that must be refused: its error code.
    pub async fn refused(&mut self, command: Value) -> String {
        let reply = self.ask(command.clone()).await;
        assert!(reply.get("error").is_some(), "{command} was answered {reply}");
        text(&reply["error"]["code"])
    }

    /// As [`ask`](Self::ask), for a command that must be refused: its whole error.
    pub async fn error(&mut self, command: Value) -> Value {
        let reply = self.ask(command.clone()).await;
        assert!(reply.get("error").is_some(), "{command} was answered {reply}");
        reply["error"].clone()
    }

    /// As [`ask`](Self::ask); `None` if the connection ends before the reply.
    pub async fn try_ask(&mut self, mut command: Value) -> Option<Value> {
        self.next_id += 1;
        command["id"] = json!(self.next_id);
        self.socket.send(Message::text(command.to_string())).await.ok()?;
        loop {
            let Frame::Json(frame) = self.next().await else { return None };
            if frame["id"] == command["id"] {
                return Some(frame);
            }
            self.events.push_back(frame);
        }
    }

    /// The next event, whichever it is; `None` if the connection ends before it.
    pub async fn try_event(&mut self) -> Option<Value> {
        match self.events.pop_front() {
            Some(frame) => Some(frame),
            None => match self.next().await {
                Frame::Json(frame) => Some(frame),
                Frame::Close(_) | Frame::End => None,
            },
        }
    }

    /// The next event of this name; others are passed over.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            let frame = match self.events.pop_front() {
                Some(frame) => frame,
                None => self.json().await,
            };
            if frame["event"] == json!(name) {
                return frame;
            }
        }
    }
}

#[derive(Debug)]
pub enum Frame {
    Json(Value),
    Close(u16),
    End,
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
