//! Clients that send more than they may: they are told, then closed, and nobody else notices. The
//! clock stands still but when it is moved.

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::scene::assert_error;
use support::{Client, Frame, TestServer};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

/// Commands that are taken at once; a second brings another ten.
const BURST: usize = 20;
/// Bytes that are taken at once; a second brings another thousand.
const BYTES: usize = 10_000;
/// After how many refusals the next one ends the connection.
const FLOOD: usize = 200;

/// A server with these limits, somebody who is to flood it, and somebody in the same room.
async fn scene() -> (TestServer, Client, Client, Value) {
    let set = [
        "socket.commands_per_s=10",
        "socket.commands_burst=20",
        "socket.bytes_per_s=1000",
        "socket.bytes_burst=10000",
    ];
    let data = Arc::new(TempDir::new().expect("a folder"));
    let server = TestServer::start_in(data, None, &set).await;
    let (mut ann, room) = server.lobby("Ann").await;
    let mut bob = server.connect("Bob").await;
    bob.ok(json!({"do":"join","room":room})).await;
    ann.event("member").await;
    // Nothing waits for either of them, so that nobody is taken for one who does not read.
    ann.event("presence").await;
    bob.event("presence").await;
    for client in [&mut ann, &mut bob] {
        client.ok(ping()).await;
    }
    // Whatever the two have sent so far is there again.
    server.clock.advance(Duration::from_secs(60));
    (server, ann, bob, room)
}

fn ping() -> Value {
    json!({"do":"ping"})
}

/// Ann is closed for flooding, and Bob sees no more of it than that she has gone.
async fn only_she_has_gone(mut ann: Client, mut bob: Client, room: &Value) {
    assert_eq!(ann.close_code().await, 4429);
    let gone = bob.event("presence").await;
    assert_eq!((&gone["user"]["name"], &gone["state"]), (&json!("Ann"), &json!("offline")));
    let said = bob.ok(json!({"do":"send","room":room,"text":"still here"})).await;
    assert_eq!(said["seq"], 1, "nothing of what was refused is in the room");
}

#[actix_web::test]
async fn too_many_commands_are_refused_and_whoever_goes_on_is_closed() {
    let (server, mut ann, bob, room) = scene().await;
    for _ in 0..BURST {
        ann.ok(ping()).await;
    }
    let refused = ann.error(json!({"do":"send","room":room,"text":"too much"})).await;
    assert_error(&refused, "rate_limited", "", "");
    assert!(refused["message"].as_str().is_some_and(|text| text.ends_with("in 100 ms")));
    server.clock.advance(Duration::from_millis(99));
    assert_eq!(ann.refused(ping()).await, "rate_limited");
    server.clock.advance(Duration::from_millis(1));
    ann.ok(ping()).await;
    // One was taken in between, so that it is counted anew.
    for _ in 0..FLOOD {
        assert_eq!(ann.refused(ping()).await, "rate_limited");
    }
    ann.send(&json!({"id":1,"do":"ping"})).await;
    only_she_has_gone(ann, bob, &room).await;
}

#[actix_web::test]
async fn too_many_bytes_are_refused() {
    let (server, mut ann, bob, room) = scene().await;
    let long = "x".repeat(BYTES / 2);
    let send = json!({"id":5,"do":"dance","room":room,"text":long});
    ann.send(&send).await;
    assert_eq!(ann.reply().await["error"]["code"], "unknown_command");
    ann.send(&send).await;
    let refused = ann.reply().await;
    assert_eq!(refused["id"], 5, "its id is read all the same");
    assert_error(&refused["error"], "rate_limited", "", "");
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("bytes")));
    // What is small has room yet.
    ann.ok(ping()).await;
    server.clock.advance(Duration::from_secs(1));
    ann.send(&send).await;
    assert_eq!(ann.reply().await["error"]["code"], "unknown_command");
    for _ in 0..FLOOD {
        ann.send(&send).await;
        assert_eq!(ann.reply().await["error"]["code"], "rate_limited");
    }
    ann.send(&send).await;
    only_she_has_gone(ann, bob, &room).await;
}

#[actix_web::test]
async fn a_flood_of_pings_is_one() {
    let (_server, mut ann, bob, room) = scene().await;
    for _ in 0..BURST + FLOOD {
        ann.socket.send(Message::Ping("?".into())).await.expect("an open socket");
    }
    for _ in 0..FLOOD {
        let refused = ann.reply().await;
        assert_eq!(refused.get("id"), None, "{refused}");
        assert_error(&refused["error"], "rate_limited", "", "");
    }
    ann.socket.send(Message::Ping("?".into())).await.expect("an open socket");
    only_she_has_gone(ann, bob, &room).await;
}

#[actix_web::test]
async fn what_cannot_be_read_counts_too() {
    let (_server, mut ann, bob, room) = scene().await;
    for _ in 0..BURST {
        ann.send_text("nonsense").await;
        assert_eq!(ann.reply().await["error"]["code"], "bad_json");
    }
    for _ in 0..FLOOD {
        ann.send_text("nonsense").await;
        let refused = ann.reply().await;
        assert_eq!(refused.get("id"), None, "{refused}");
        assert_eq!(refused["error"]["code"], "rate_limited");
    }
    ann.send_text("nonsense").await;
    only_she_has_gone(ann, bob, &room).await;
}

#[actix_web::test]
async fn no_rate_is_no_limit() {
    let data = Arc::new(TempDir::new().expect("a folder"));
    let set = ["socket.commands_per_s=0", "socket.bytes_per_s=0"];
    let server = TestServer::start_in(data, None, &set).await;
    let mut ann = server.connect("Ann").await;
    for _ in 0..1_000 {
        ann.ok(ping()).await;
    }
}

#[actix_web::test]
async fn a_stranger_that_pings_without_end_is_closed() {
    let server = TestServer::start().await;
    let mut stranger = Client::connect(&server.address, None).await;
    for _ in 0..33 {
        // The server may close before it has read everything.
        stranger.socket.send(Message::Ping("?".into())).await.ok();
    }
    assert!(matches!(stranger.next().await, Frame::Close(4401)));
}
