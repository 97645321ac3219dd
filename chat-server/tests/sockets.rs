//! Connections that stay silent, and go: who is there must be true at every moment. What every
//! transport must do is looked at in `transport_conformance.rs`.

mod support;

use std::sync::Arc;
use std::time::Duration;

use chat_core::{Draft, MemoryStore, Name, NewRoom, Reply, RoomCommand, User, UserId};
use serde_json::{Value, json};
use support::{Client, Frame, Person, TestServer, until};
use tempfile::TempDir;

const PING_EVERY: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

#[actix_web::test]
async fn a_frozen_client_is_gone_within_ping_and_timeout() {
    let server = TestServer::start().await;
    let (mut ann, room) = server.lobby("Ann").await;
    let mut bob = server.connect("Bob").await;
    bob.ok(json!({"do":"join","room":room})).await;
    server.waits("both wait for their ping", 2, PING_EVERY).await;
    server.clock.advance(PING_EVERY);
    // Both are pinged, answer while they wait for this reply, and stay.
    ann.ok(json!({"do":"ping"})).await;
    bob.ok(json!({"do":"ping"})).await;
    server.waits("both are timed", 2, PING_TIMEOUT).await;
    server.clock.advance(PING_TIMEOUT);
    // Bob's program hangs: its socket is open, and it reads and answers nothing from here on. He
    // was last heard 10 seconds ago, and the next ping is 25 seconds after the last one.
    let rest = PING_EVERY - PING_TIMEOUT;
    server.waits("both wait for their ping", 2, rest).await;
    server.clock.advance(rest);
    ann.ok(json!({"do":"ping"})).await;
    server.waits("both are timed", 2, PING_TIMEOUT).await;
    server.clock.advance(PING_TIMEOUT - Duration::from_millis(1));
    ann.ok(json!({"do":"ping"})).await;
    assert_eq!(server.server().engine().stats().sessions, 2, "nobody is thrown out early");
    server.clock.advance(Duration::from_millis(1));
    let mut gone = ann.event("presence").await;
    while gone["state"] != "offline" {
        gone = ann.event("presence").await;
    }
    assert_eq!(gone["user"]["name"], "Bob");
    assert_eq!(bob.close_code().await, 4408);
    ann.ok(json!({"do":"ping"})).await;
}

#[actix_web::test]
async fn a_connection_without_a_token_is_closed() {
    let server = TestServer::start().await;
    let mut nobody = Client::connect(&server.address, None).await;
    nobody.send(&json!({"id":1,"do":"ping"})).await;
    assert_eq!(nobody.json().await["error"]["code"], "unauthorized");
    until("the deadline runs", async || server.clock.sleepers(Duration::from_secs(10)) == 1).await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(nobody.close_code().await, 4401);
}

#[actix_web::test]
async fn a_session_ends_with_its_token_unless_a_newer_one_is_shown() {
    let data = Arc::new(TempDir::new().expect("a folder"));
    let server = TestServer::start_in(data, None, &["auth.guest_ttl_s=600"]).await;
    let guest = server.guest("Ann").await;
    let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
    ann.ok(json!({"do":"ping"})).await;
    let other = server.guest("Eve").await;
    let refused = ann.refused(json!({"do":"auth","token":other.token})).await;
    assert_eq!(refused, "unauthorized", "a session does not change hands");
    ann.ok(json!({"do":"auth","token":guest.token})).await;
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(ann.close_code().await, 4401);
    let mut late = Client::connect(&server.address, None).await;
    late.send(&json!({"id":1,"do":"auth","token":guest.token})).await;
    assert_eq!(late.json().await["error"]["code"], "unauthorized");
    assert_eq!(late.close_code().await, 4401);
}

#[actix_web::test]
async fn a_stopping_server_says_when_to_come_back() {
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    ann.ok(json!({"do":"ping"})).await;
    let stopping = actix_web::rt::spawn(server.stop());
    let closing = ann.event("closing").await;
    assert_eq!(closing["code"], 1001);
    assert!(closing["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 5_000), "{closing}");
    assert_eq!(ann.close_code().await, 1001);
    assert!(matches!(ann.next().await, Frame::End));
    stopping.await.expect("it stops");
}

#[actix_web::test]
async fn an_ephemeral_room_lives_as_long_as_its_members() {
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    let open = json!({"do":"open","title":"Tea","ephemeral":true});
    let room = ann.ok(open).await["room"]["id"].clone();
    ann.ok(json!({"do":"join","room":room})).await;
    ann.ok(json!({"do":"send","room":room,"text":"hi"})).await;
    let mut bob = server.connect("Bob").await;
    bob.ok(json!({"do":"join","room":room})).await;
    drop(ann);
    // Ann is away; her membership outlasts it by the grace period only.
    while bob.event("presence").await["state"] != "offline" {}
    let grace = Duration::from_secs(30);
    server.waits("her grace runs", 1, grace).await;
    server.clock.advance(grace);
    let left = bob.event("member").await;
    assert_eq!(
        (left["change"].clone(), left["user"]["name"].clone()),
        (json!("left"), json!("Ann"))
    );
    bob.ok(json!({"do":"leave","room":room})).await;
    until("the room is gone", async || {
        bob.ask(json!({"do":"join","room":room})).await["error"]["code"] == "no_such_room"
    })
    .await;
}

/// A client that has missed far more than may wait for it in the server, and that reads, gets all of it
/// from one `resume`, and the true reply.
#[actix_web::test]
async fn whoever_reads_gets_all_of_what_many_rooms_have_for_it() {
    const ROOMS: usize = 24;
    const MESSAGES: usize = 60;
    let server = TestServer::with_store(MemoryStore::default()).await;
    let engine = server.server().engine();
    let ann = User::new(UserId::new(), Name::new("Ann").expect("a good name"));
    let guest = server.guest("Bob").await;
    let mut bob = Client::connect(&server.address, Some(&guest.token)).await;
    let long = "가".repeat(4_000);
    let text = Draft::text(long.clone()).expect("a good text");
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = NewRoom::open("Lobby").expect("a good title");
        let room = engine.open_room(&ann, room).await.expect("a room").id();
        let joined = bob.ok(json!({"do":"join","room":room.to_string()})).await;
        bob.ok(json!({"do":"leave","room":room.to_string()})).await;
        bob.ok(json!({"do":"join","room":room.to_string()})).await;
        rooms.push(json!({"room":room.to_string(),"after":joined["cursor"]}));
    }
    drop(bob);
    until("Bob has gone", async || engine.stats().sessions == 0).await;
    for room in &rooms {
        let room = room["room"].as_str().expect("an id").parse().expect("an id");
        for _ in 0..MESSAGES {
            engine.room(room).ask(&ann, RoomCommand::Send(text.clone())).await.expect("sent");
        }
    }
    let mut again = Client::connect(&server.address, Some(&guest.token)).await;
    again.send(&json!({"id":1,"do":"resume","rooms":rooms})).await;
    let mut missed = std::collections::BTreeSet::new();
    for _ in 0..ROOMS {
        let resumed = again.event("resumed").await;
        let messages = resumed["ok"]["messages"].as_array().expect("what was missed");
        assert!(messages.iter().all(|message| message["text"] == long.as_str()));
        assert_eq!(messages.len(), MESSAGES);
        missed.insert(support::text(&resumed["room"]));
    }
    assert_eq!(missed.len(), ROOMS);
    let reply = again.reply().await;
    assert_eq!(reply["ok"], json!({"resumed":ROOMS,"failed":0}));
}

/// Whatever becomes of somebody over HTTP is told to its connections that do not hear the room, and by the
/// room to those that do.
#[actix_web::test]
async fn what_becomes_of_somebody_over_http_is_told_on_its_other_devices() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.sign_up("ann").await, server.sign_up("bob").await);
    let http = async |who: &Person, method: &str, path: &str, body: Value| {
        let (status, answer) = server.call(method, path, &who.token, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    };
    let mut device = Client::connect(&server.address, Some(&bob.token)).await;
    device.ok(json!({"do":"ping"})).await;
    let tea = server.room(&ann.token, "Tea").await;
    let me = format!("/rooms/{tea}/members/me");
    // What is told of a room, but for what every one of these has.
    let told = async |device: &mut Client, room: &str| {
        let mut mine = device.event("mine").await;
        let mine = mine.as_object_mut().expect("an event");
        assert_eq!(mine.remove("room"), Some(json!(room)));
        mine.remove("event");
        Value::Object(mine.clone())
    };
    let joined = async |device: &mut Client, room: &str, kind: &str| {
        let mine = told(device, room).await;
        assert_eq!((&mine["change"], &mine["info"]["id"]), (&json!("joined"), &json!(room)));
        assert_eq!(mine["info"]["kind"], kind, "{mine}");
        mine["info"].clone()
    };

    // Opened, joined, read, left.
    let own = server.room(&bob.token, "Bob's").await;
    assert_eq!(joined(&mut device, &own, "open").await["title"], "Bob's");
    http(&bob, "PUT", &me, Value::Null).await;
    assert_eq!(joined(&mut device, &tea, "open").await["title"], "Tea");
    for text in ["one", "two @bob"] {
        http(&ann, "POST", &format!("/rooms/{tea}/messages"), json!({"text":text})).await;
    }
    http(&bob, "PUT", &format!("/rooms/{tea}/read"), json!({"seq":1})).await;
    let read = json!({"change":"read","seq":1,"unread":1,"mentions":1});
    assert_eq!(told(&mut device, &tea).await, read);
    http(&bob, "DELETE", &me, Value::Null).await;
    assert_eq!(told(&mut device, &tea).await, json!({"change":"left"}));

    // Kicked and banned.
    http(&bob, "PUT", &me, Value::Null).await;
    joined(&mut device, &tea, "open").await;
    http(&ann, "DELETE", &format!("/rooms/{tea}/members/{}", bob.id), Value::Null).await;
    assert_eq!(told(&mut device, &tea).await, json!({"change":"kicked"}));
    http(&bob, "PUT", &me, Value::Null).await;
    joined(&mut device, &tea, "open").await;
    let ban = format!("/rooms/{tea}/bans/{}", bob.id);
    let until = "2100-01-02T03:04:05.678Z";
    http(&ann, "PUT", &ban, json!({"until":until})).await;
    assert_eq!(told(&mut device, &tea).await, json!({"change":"banned","until":until}));
    http(&ann, "DELETE", &ban, Value::Null).await;

    // A follower: by opening a thread, and of one's own message; put out with the room.
    http(&bob, "PUT", &me, Value::Null).await;
    joined(&mut device, &tea, "open").await;
    let by_bob =
        http(&bob, "POST", &format!("/rooms/{tea}/messages"), json!({"text":"mine"})).await;
    for (who, seq) in [(&bob, &json!(1)), (&ann, &by_bob["seq"])] {
        let path = format!("/rooms/{tea}/messages/{seq}/thread");
        let thread = http(who, "PUT", &path, Value::Null).await;
        let thread = support::text(&thread["id"]);
        let info = joined(&mut device, &thread, "thread").await;
        assert_eq!(info["parent"], json!({"room":tea,"seq":seq}), "{info}");
        // Found, and not opened once more.
        http(&bob, "PUT", &path, Value::Null).await;
    }
    http(&bob, "DELETE", &me, Value::Null).await;
    let mut left = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mine = device.event("mine").await;
        assert_eq!(mine["change"], "left", "{mine}");
        left.insert(support::text(&mine["room"]));
    }
    assert_eq!(left.len(), 3, "the room and both threads");

    // A direct room: whoever opens it, and the other one, as one who is invited is.
    let direct = json!({"kind":"direct","with":ann.id});
    let direct = support::text(&http(&bob, "POST", "/rooms", direct).await["id"]);
    joined(&mut device, &direct, "direct").await;
    let eve = server.sign_up("eve").await;
    let other = json!({"kind":"direct","with":bob.id});
    let other = http(&eve, "POST", "/rooms", other).await;
    assert_eq!(device.event("invited").await["room"]["id"], other["id"]);

    // Whoever hears the room is told by the room alone.
    device.ok(json!({"do":"join","room":own})).await;
    http(&ann, "PUT", &format!("/rooms/{own}/members/me"), Value::Null).await;
    http(&ann, "POST", &format!("/rooms/{own}/messages"), json!({"text":"hello"})).await;
    http(&bob, "PUT", &format!("/rooms/{own}/read"), json!({"seq":1})).await;
    assert_eq!(device.event("read").await["seq"], 1);
    device.ok(json!({"do":"ping"})).await;
    assert!(device.events.iter().all(|event| event["event"] != "mine"), "{:?}", device.events);
}

/// The HTTP server stops running the portable route's actor when its peer stops reading. Its
/// session must end all the same.
#[actix_web::test]
async fn a_peer_that_stops_reading_is_gone_too() {
    let server = TestServer::with_store(MemoryStore::default()).await;
    let engine = server.server().engine();
    let ann = User::new(UserId::new(), Name::new("Ann").expect("a good name"));
    let room = NewRoom::open("Lobby").expect("a good title");
    let room = engine.open_room(&ann, room).await.expect("a room").id();
    let mut stuck = server.connect("Stuck").await;
    stuck.ok(json!({"do":"join","room":room.to_string()})).await;
    // More than the kernel's buffers and the outbox hold together.
    let text = Draft::text("가".repeat(4_000)).expect("a good text");
    for _ in 0..1_500 {
        engine.room(room).ask(&ann, RoomCommand::Send(text.clone())).await.expect("sent");
    }
    // By the watch over its silence, or because it takes nothing, whichever comes first.
    until("its session has ended", async || {
        server.clock.advance(Duration::from_secs(1));
        engine.stats().sessions == 0
    })
    .await;
    let Ok(Reply::Room(view)) = engine.room(room).ask(&ann, RoomCommand::View).await else {
        panic!("the room is there");
    };
    assert_eq!((view.counts.members, view.counts.online), (2, 0));
    drop(stuck);
}
