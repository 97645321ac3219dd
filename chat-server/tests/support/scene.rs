//! A room in which somebody sends bad input and somebody else must not notice, and what every
//! refusal must look like.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Call;
use super::{Client, Guest, TestServer, text};

/// The most bytes of a frame, of a message in fragments, and of an HTTP body.
pub const MOST: usize = 65_536;
pub const NO_ROOM: &str = "00000000-0000-7000-8000-000000000000";

/// A room with Ann, who sends bad input, and Bob, who must not notice.
pub struct Scene {
    pub server: TestServer,
    pub room: String,
    /// A room that Ann is not a member of.
    pub foreign: String,
    pub guest: Guest,
    pub ann: Client,
    pub bob: Client,
}

impl Scene {
    pub async fn new() -> Self {
        Self::on(TestServer::start().await).await
    }

    /// The same, where clients may send as much as they like.
    pub async fn without_rates() -> Self {
        let data = Arc::new(TempDir::new().expect("a folder"));
        let set = ["socket.commands_per_s=0", "socket.bytes_per_s=0"];
        Self::on(TestServer::start_in(data, None, &set).await).await
    }

    async fn on(server: TestServer) -> Self {
        let eve = server.guest("Eve").await;
        let foreign = server.room(&eve.token, "Eve's").await;
        let guest = server.guest("Ann").await;
        let room = server.room(&guest.token, "Lobby").await;
        let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
        ann.ok(json!({"do":"join","room":room})).await;
        let mut bob = server.connect("Bob").await;
        bob.ok(json!({"do":"join","room":room})).await;
        bob.event("presence").await;
        Self { server, room, foreign, guest, ann, bob }
    }

    /// Ann's connection still works, and nothing but what she sends with it has reached Bob.
    pub async fn undisturbed(mut self) {
        let send = json!({"do":"send","room":self.room,"text":"the first thing that Bob hears"});
        self.ann.ok(send).await;
        let heard = self.bob.try_event().await.expect("Bob is still connected");
        assert_eq!(heard["text"], "the first thing that Bob hears", "{heard}");
        assert_eq!(heard["seq"], 1);
        self.bob.ok(json!({"do":"ping"})).await;
        assert!(self.bob.events.is_empty(), "{:?}", self.bob.events);
        assert_eq!(self.server.server().engine().stats().waiting_writes, 0);
    }

    /// Puts the ids of the rooms in their places.
    pub fn fill(&self, template: &str) -> String {
        let filled = template.replace("$room", &self.room).replace("$foreign", &self.foreign);
        filled.replace("$nowhere", NO_ROOM)
    }

    /// Another connection of Ann's, which has joined no room.
    pub async fn another(&self) -> Client {
        Client::connect(&self.server.address, Some(&self.guest.token)).await
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let address = format!("{}{}", self.server.base, self.fill(path));
        self.server.http.request(method, address)
    }
}

/// The status and the `retry` that the protocol gives a code.
pub fn documented(code: &str) -> (u16, bool) {
    match code {
        "bad_json" | "bad_request" => (400, false),
        "unknown_command" => (0, false),
        "unauthorized" => (401, false),
        "not_a_member" => (403, false),
        "no_such_room" | "no_such_message" | "no_such_member" | "no_such_user" | "not_found" => {
            (404, false)
        }
        "method_not_allowed" => (405, false),
        "key_conflict" => (409, false),
        "too_large" => (413, false),
        "unsupported_media_type" => (415, false),
        "upgrade_required" => (426, false),
        "too_long" | "empty" | "bad_text" => (422, false),
        "rate_limited" => (429, true),
        "busy" => (503, true),
        other => panic!("{other} is not to be expected here"),
    }
}

/// An error on a socket has this code and field, and what else the protocol says; nothing more.
pub fn assert_error(error: &Value, code: &str, field: &str, cause: &str) {
    let cause = cause.chars().take(200).collect::<String>();
    assert_eq!(error["code"], code, "{cause}: {error}");
    assert_eq!(error["field"].as_str().unwrap_or_default(), field, "{cause}: {error}");
    assert_eq!(error["retry"], documented(code).1, "{cause}: {error}");
    assert!(!text(&error["message"]).is_empty(), "{cause}: {error}");
    let known = ["code", "message", "retry", "field", "limit", "actual"];
    let unknown = error.as_object().expect("an error").keys().find(|key| !known.contains(&&***key));
    assert_eq!(unknown, None, "{cause}: {error}");
}

/// An HTTP answer is a problem document with this code and field, and what else the protocol says.
/// Gives it back.
pub async fn assert_problem(request: Call, code: &str, field: &str, cause: &str) -> Value {
    let cause = cause.chars().take(200).collect::<String>();
    let response = request.send().await.unwrap_or_else(|error| panic!("{cause}: {error:?}"));
    let (status, retry) = documented(code);
    let got = response.status().as_u16();
    let kind = response.header("content-type");
    let challenge = response.headers().get("www-authenticate").is_some();
    let body = response.text();
    assert_eq!(got, status, "{cause}: {body}");
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{cause}: {body}");
    assert_eq!(challenge, status == 401, "{cause}: {body}");
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(problem["code"], code, "{cause}: {problem}");
    assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{cause}: {problem}");
    assert_eq!(
        (&problem["status"], &problem["retry"]),
        (&json!(status), &json!(retry)),
        "{cause}: {problem}"
    );
    for member in ["type", "title", "detail"] {
        assert!(!text(&problem[member]).is_empty(), "{cause}: {problem}");
    }
    problem
}

/// A handshake as browsers begin it, but for the answer to be read as HTTP.
pub fn handshake(scene: &Scene, path: &str) -> Call {
    let request = scene.request("GET", path).header("connection", "upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
    request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}
