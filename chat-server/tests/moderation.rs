//! What the owner and moderators of a room do reaches every open connection at once, whichever way they
//! do it and whichever way somebody is there.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Guest, TestServer, text};

/// Within which time everybody must have heard, on a machine that is busy with other things.
const AT_ONCE: Duration = Duration::from_secs(10);

struct Scene {
    server: TestServer,
    room: String,
    owner: Guest,
    bob: Guest,
    /// Bob's connections.
    devices: Vec<Client>,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let (owner, bob) = (server.guest("Ann").await, server.guest("Bob").await);
        let room = server.room(&owner.token, "Lobby").await;
        let mut devices = Vec::new();
        for _ in 0..3 {
            let mut device = Client::connect(&server.address, Some(&bob.token)).await;
            device.ok(json!({"do":"join","room":room})).await;
            devices.push(device);
        }
        Self { server, room, owner, bob, devices }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        let path = format!("/rooms/{}{path}", self.room).replace("$bob", &self.bob.id);
        self.server.call(method, &path, token, body).await
    }

    /// Every connection of Bob's hears of this change, at once after the answer to the call.
    async fn all_hear(&mut self, change: &str) {
        let since = Instant::now();
        for device in &mut self.devices {
            loop {
                let event = device.event("member").await;
                if event["change"] == change {
                    assert_eq!(event["user"]["id"], self.bob.id, "{event}");
                    assert_eq!(event["by"]["name"], "Ann", "{event}");
                    break;
                }
            }
        }
        assert!(since.elapsed() < AT_ONCE, "{change} took {:?}", since.elapsed());
    }
}

#[actix_web::test]
async fn over_http_it_reaches_every_connection_at_once() {
    let mut scene = Scene::new().await;
    let owner = scene.owner.token.clone();
    let later = "2100-01-02T03:04:05.678Z";
    let steps = [
        ("PATCH", "/members/$bob", json!({"role": "moderator"}), "role"),
        ("PATCH", "/members/$bob", json!({"role": "member"}), "role"),
        ("PATCH", "/members/$bob", json!({"muted": true, "muted_until": later}), "muted"),
        ("PATCH", "/members/$bob", json!({"muted": true}), "muted"),
        ("PATCH", "/members/$bob", json!({"muted": false}), "unmuted"),
        ("DELETE", "/members/$bob", Value::Null, "kicked"),
    ];
    for (method, path, body, change) in steps {
        let (status, answer) = scene.call(method, path, &owner, body).await;
        assert_eq!(status, 204, "{answer}");
        scene.all_hear(change).await;
    }
    let room = scene.room.clone();
    for device in &mut scene.devices {
        device.ok(json!({"do":"join","room":room})).await;
    }
    let (status, answer) = scene.call("PUT", "/bans/$bob", &owner, json!({"until": later})).await;
    assert_eq!(status, 204, "{answer}");
    scene.all_hear("banned").await;
    // He comes back by no way.
    let send = json!({"do":"send","room":room,"text":"hi"});
    for device in &mut scene.devices {
        for command in [json!({"do":"join","room":room}), send.clone()] {
            assert_eq!(device.error(command).await["code"], "banned");
        }
    }
    let bob = scene.bob.token.clone();
    for (method, path, body) in
        [("PUT", "/members/me", Value::Null), ("POST", "/messages", json!({"text": "hi"}))]
    {
        let (status, answer) = scene.call(method, path, &bob, body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("banned")), "{answer}");
        assert_eq!(answer["until"], later);
        assert!(text(&answer["detail"]).contains(later), "{answer}");
    }
    let (status, answer) =
        scene.call("POST", "/members", &owner, json!({"user": scene.bob.id})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("banned")), "{answer}");
    let (status, page) = scene.call("GET", "/bans", &owner, Value::Null).await;
    let expected = json!({"bans": [{"id": scene.bob.id, "name": "Bob", "until": later}]});
    assert_eq!((status, page), (200, expected));
    // The ban outlives a restart, and ends when it is lifted.
    let Scene { server, room, owner, bob, devices } = scene;
    drop(devices);
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    let path = format!("/rooms/{room}");
    let join =
        async || server.call("PUT", &format!("{path}/members/me"), &bob.token, Value::Null).await.0;
    assert_eq!(join().await, 403);
    let lift = format!("{path}/bans/{}", bob.id);
    assert_eq!(server.call("DELETE", &lift, &owner.token, Value::Null).await.0, 204);
    assert_eq!(join().await, 200);
}

#[actix_web::test]
async fn who_is_muted_is_seen_by_whoever_comes() {
    let mut scene = Scene::new().await;
    let owner = scene.owner.token.clone();
    let later = "2100-01-02T03:04:05.678Z";
    for (body, until) in [
        (json!({"muted": true, "muted_until": later}), Some(later)),
        (json!({"muted": true}), None),
    ] {
        let (status, answer) = scene.call("PATCH", "/members/$bob", &owner, body).await;
        assert_eq!(status, 204, "{answer}");
        let is_muted = |member: &Value| {
            assert_eq!(member.get("muted_until"), until.map(|until| json!(until)).as_ref());
            member["muted"] == json!(true)
        };
        let room = scene.room.clone();
        let device = &mut scene.devices[0];
        let joined = device.ok(json!({"do":"join","room":room})).await;
        assert!(is_muted(&joined["me"]), "{joined}");
        let first = joined["members"]["first"].as_array().expect("members");
        assert_eq!(first.iter().filter(|member| member.get("muted").is_some()).count(), 1);
        let error = device.error(json!({"do":"send","room":room,"text":"but"})).await;
        assert_eq!(
            (&error["code"], error.get("until")),
            (&json!("muted"), until.map(|until| json!(until)).as_ref())
        );
        let (_, me) = scene.call("PUT", "/members/me", &scene.bob.token, Value::Null).await;
        assert!(is_muted(&me), "{me}");
        let (_, page) = scene.call("GET", "/members", &owner, Value::Null).await;
        let members = page["members"].as_array().expect("members");
        let bob = members.iter().find(|member| member["id"] == json!(scene.bob.id));
        assert!(is_muted(bob.expect("bob")), "{page}");
    }
    let (status, _) = scene.call("PATCH", "/members/$bob", &owner, json!({"muted": false})).await;
    assert_eq!(status, 204);
    let (_, page) = scene.call("GET", "/members", &owner, Value::Null).await;
    assert!(!page.to_string().contains("muted"), "{page}");
}

#[actix_web::test]
async fn slow_mode_says_when_to_come_back() {
    let scene = Scene::new().await;
    let slow = json!({"slow_s": 30});
    let (status, answer) = scene.call("PATCH", "", &scene.owner.token, slow).await;
    assert_eq!(status, 204, "{answer}");
    let send = async |text: &str| {
        let address = format!("{}/api/v1/rooms/{}/messages", scene.server.base, scene.room);
        let request = scene.server.http.post(address).bearer_auth(&scene.bob.token);
        request.json(&json!({ "text": text })).send().await.expect("an answer")
    };
    assert_eq!(send("one").await.status(), 201);
    scene.server.clock.advance(Duration::from_secs(10));
    let refused = send("two").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "20");
    scene.server.clock.advance(Duration::from_secs(20));
    assert_eq!(send("two").await.status(), 201);
}

#[actix_web::test]
async fn a_private_room_is_opened_by_a_client_and_hidden_from_others() {
    let scene = Scene::new().await;
    let private = json!({"title": "Plans", "kind": "private"});
    let (status, room) = scene.server.call("POST", "/rooms", &scene.owner.token, private).await;
    assert_eq!((status, &room["kind"]), (201, &json!("private")));
    let path = format!("/rooms/{}", text(&room["id"]));
    for (method, path) in [
        ("GET", path.clone()),
        ("PUT", format!("{path}/members/me")),
        ("GET", format!("{path}/bans")),
        ("DELETE", format!("{path}/members/{}", scene.owner.id)),
    ] {
        let (status, answer) =
            scene.server.call(method, &path, &scene.bob.token, Value::Null).await;
        assert_eq!((status, &answer["code"]), (404, &json!("no_such_room")), "{method} {path}");
    }
}
