//! The examples that serve: two people really chat through them.

mod support;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Example, PATIENCE};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Starts a server on a free port, and reads where it listens.
async fn serve(program: &str) -> (Example, String) {
    let mut example = Example::start(program, &["127.0.0.1:0"]);
    let line = example.line().await.expect("a first line");
    let address = line.strip_prefix("listening on http://").expect("an address");
    assert!(!address.ends_with(":0"), "{line}");
    let address = address.to_owned();
    (example, address)
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(url: String) -> Self {
        Self(connect_async(url).await.expect("a handshake").0)
    }

    async fn send(&mut self, command: Value) {
        self.0.send(Message::text(command.to_string())).await.expect("an open socket");
    }

    /// The next text, as JSON; `None` when both have closed.
    async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(&text).expect("JSON"));
                }
                None => return None,
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// The next text that has all of this; others are passed over.
    async fn hears(&mut self, wanted: Value) -> Value {
        let wanted = wanted.as_object().expect("an object");
        loop {
            let heard = self.next().await.expect("it is open");
            if wanted.iter().all(|(field, value)| heard.get(field) == Some(value)) {
                return heard;
            }
        }
    }

    /// The server says that it closes, and does.
    async fn is_closed(&mut self, closing: Value) {
        self.hears(closing).await;
        assert_eq!(self.next().await, None);
    }
}

#[tokio::test]
async fn chat_inside_an_actix_app() {
    let (example, address) = serve(env!("CARGO_BIN_EXE_embedded_actix")).await;
    let http = reqwest::Client::new();
    let page = http.get(format!("http://{address}/")).send().await.expect("a page");
    let page = page.text().await.expect("text");
    let room = page.trim_end().rsplit(' ').next().expect("a room's id");

    let stranger = connect_async(format!("ws://{address}/ws?access_token=stranger")).await;
    let Err(tungstenite::Error::Http(refused)) = stranger else { panic!("{stranger:?}") };
    assert_eq!(refused.status(), 401);

    let mut ann = Client::connect(format!("ws://{address}/ws?access_token=ann-7c1e")).await;
    let mut bob = Client::connect(format!("ws://{address}/ws?access_token=bob-93fa")).await;
    // A token that is good for ever has no end to tell.
    ann.send(json!({ "id": 0, "do": "auth", "token": "ann-7c1e" })).await;
    let ok = &ann.hears(json!({ "id": 0 })).await["ok"];
    assert_eq!((&ok["user"]["name"], ok.get("expires")), (&json!("Ann"), None));
    for client in [&mut ann, &mut bob] {
        client.send(json!({ "id": 1, "do": "join", "room": room })).await;
        assert!(client.hears(json!({ "id": 1 })).await.get("ok").is_some());
    }
    ann.send(json!({ "id": 2, "do": "send", "room": room, "text": "Hello, Bob!" })).await;
    ann.hears(json!({ "id": 2 })).await;
    let heard = bob.hears(json!({ "event": "message" })).await;
    assert_eq!((&heard["text"], &heard["from"]["name"]), (&json!("Hello, Bob!"), &json!("Ann")));

    let announce = async |text: &'static str| {
        let sent = http.post(format!("http://{address}/announce")).body(text).send().await;
        sent.expect("an answer").status().as_u16()
    };
    assert_eq!(announce("We close at six.").await, 200);
    assert_eq!(announce(" ").await, 422);
    for client in [&mut ann, &mut bob] {
        let heard = client.hears(json!({ "event": "message", "seq": 2 })).await;
        assert_eq!(heard["from"]["name"], "Shop");
        assert_eq!(heard["text"], "We close at six.");
    }

    example.interrupt().await;
    ann.is_closed(json!({ "event": "closing" })).await;
    bob.is_closed(json!({ "event": "closing" })).await;
    assert!(example.end().await.is_empty());
}

#[tokio::test]
async fn chat_behind_axum() {
    let (example, address) = serve(env!("CARGO_BIN_EXE_embedded_axum")).await;
    let nobody = connect_async(format!("ws://{address}/chat/%0A")).await;
    let Err(tungstenite::Error::Http(refused)) = nobody else { panic!("{nobody:?}") };
    assert_eq!(refused.status(), 400);

    let mut ann = Client::connect(format!("ws://{address}/chat/Ann")).await;
    ann.hears(json!({ "from": "Ann", "is": "online" })).await;
    let mut bob = Client::connect(format!("ws://{address}/chat/Bob")).await;
    ann.hears(json!({ "from": "Bob", "is": "online" })).await;

    bob.send(json!({ "typing": true })).await;
    ann.hears(json!({ "from": "Bob", "typing": true })).await;
    ann.send(json!({ "say": "Hello, Bob!" })).await;
    let hello = json!({ "seq": 1, "from": "Ann", "text": "Hello, Bob!" });
    bob.hears(hello.clone()).await;
    bob.send(json!({ "say": "안녕 Ann 👋" })).await;
    ann.hears(json!({ "seq": 2, "from": "Bob", "text": "안녕 Ann 👋" })).await;
    for (wrong, code) in [
        (json!({ "say": " " }), "empty"),
        (json!({ "say": "x".repeat(4_001) }), "too_long"),
        (json!({ "dance": 1 }), "bad_request"),
    ] {
        ann.send(wrong).await;
        ann.hears(json!({ "code": code })).await;
    }

    // Whoever comes later gets what was said.
    let mut cyd = Client::connect(format!("ws://{address}/chat/Cyd")).await;
    assert_eq!(cyd.next().await, Some(hello));

    // A socket that is gone is a session that is gone.
    drop(bob);
    ann.hears(json!({ "from": "Bob", "is": "offline" })).await;

    example.interrupt().await;
    ann.is_closed(json!({ "closing": true })).await;
    cyd.is_closed(json!({ "closing": true })).await;
    assert!(example.end().await.is_empty());
}
