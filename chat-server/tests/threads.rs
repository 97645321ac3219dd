//! Threads over HTTP and sockets: opened once, written in like any room, shown with their message, and closed to
//! whoever may not be in the room any more.

mod support;

use serde_json::{Value, json};
use support::{Client, Guest, TestServer, text, until};

struct Scene {
    server: TestServer,
    room: String,
    ann: Guest,
    bob: Guest,
    anns: Client,
    bobs: Client,
}

impl Scene {
    /// Ann's room with a message, Bob in it, and a connection of each that hears it.
    async fn new() -> Self {
        let server = TestServer::start().await;
        let (ann, bob) = (server.guest("Ann").await, server.guest("Bob").await);
        let room = server.room(&ann.token, "Lobby").await;
        let mut anns = Client::connect(&server.address, Some(&ann.token)).await;
        let mut bobs = Client::connect(&server.address, Some(&bob.token)).await;
        for client in [&mut anns, &mut bobs] {
            client.ok(json!({"do":"join","room":room})).await;
        }
        anns.ok(json!({"do":"send","room":room,"text":"what do you think?"})).await;
        Self { server, room, ann, bob, anns, bobs }
    }

    async fn call(&self, guest: &Guest, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.server.call(method, path, &guest.token, body).await
    }

    /// Opens the thread on the message, over HTTP.
    async fn open(&self, guest: &Guest) -> (u16, Value) {
        let path = format!("/rooms/{}/messages/1/thread", self.room);
        self.call(guest, "PUT", &path, Value::Null).await
    }
}

/// The next thread event that says so many replies.
async fn told(client: &mut Client, replies: u64) -> Value {
    loop {
        let event = client.event("thread").await;
        if event["thread"]["replies"] == replies {
            return event;
        }
    }
}

#[actix_web::test]
async fn a_thread_is_opened_once_and_shown_with_its_message() {
    let mut scene = Scene::new().await;
    let room = scene.room.clone();
    let (status, thread) = scene.open(&scene.ann).await;
    assert_eq!((status, &thread["kind"]), (200, &json!("thread")), "{thread}");
    assert_eq!(thread["parent"], json!({"room":room,"seq":1}));
    let id = text(&thread["id"]);
    let again = scene.bobs.ok(json!({"do":"thread","room":room,"seq":1})).await;
    assert_eq!(again["room"]["id"], json!(id));
    let opened = told(&mut scene.bobs, 0).await;
    assert_eq!((&opened["seq"], &opened["thread"]), (&json!(1), &json!({"room":id,"replies":0})));
    scene.bobs.ok(json!({"do":"join","room":id})).await;
    scene.bobs.ok(json!({"do":"send","room":id,"text":"I think so"})).await;
    let pause = chat_core::Limits::default().marks_every;
    until("his reply is gathered", async || scene.server.clock.sleepers(pause) == 1).await;
    scene.server.clock.advance(pause);
    let one = told(&mut scene.anns, 1).await;
    let last = &one["thread"]["last"];
    assert_eq!((&last["seq"], &last["from"]["id"]), (&json!(1), &json!(scene.bob.id)), "{one}");
    let path = format!("/rooms/{room}/messages/1");
    let (_, message) = scene.call(&scene.ann, "GET", &path, Value::Null).await;
    assert_eq!(message["thread"], one["thread"]);
    let (_, page) =
        scene.call(&scene.ann, "GET", &format!("/rooms/{room}/threads"), Value::Null).await;
    let listed = &page["threads"][0];
    assert_eq!((&listed["seq"], &listed["room"]), (&json!(1), &json!(id)), "{page}");
    assert_eq!(scene.anns.ok(json!({"do":"threads","room":room})).await, page);
    let (following, read) = (&listed["following"], &listed["read"]);
    assert_eq!((following, read), (&json!(true), &json!({"seq":0,"unread":1,"mentions":0})));
    let eve = scene.server.guest("Eve").await;
    scene.call(&eve, "PUT", &format!("/rooms/{room}/members/me"), Value::Null).await;
    let (_, hers) = scene.call(&eve, "GET", &format!("/rooms/{room}/threads"), Value::Null).await;
    let listed = &hers["threads"][0];
    assert_eq!((&listed["following"], &listed["read"]), (&json!(false), &Value::Null), "{hers}");
    // Whoever follows it has it among its rooms, if it likes.
    for (query, expected) in [
        ("", vec![&id, &room]),
        ("?threads=true", vec![&id, &room]),
        ("?threads=false", vec![&room]),
        ("?threads=false&limit=1", vec![&room]),
    ] {
        let path = format!("/rooms/mine{query}");
        let (_, mine) = scene.call(&scene.ann, "GET", &path, Value::Null).await;
        let rooms = mine["rooms"].as_array().expect("rooms");
        let mut ids: Vec<_> = rooms.iter().map(|one| text(&one["room"]["id"])).collect();
        // Written in at the same moment, perhaps.
        ids.sort_unstable_by_key(|one| *one != id);
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let (status, _) = scene.call(&scene.ann, "GET", "/rooms/mine?threads=x", Value::Null).await;
    assert_eq!(status, 400);
    // It is in no list of rooms that are to be found.
    let (_, rooms) = scene.call(&scene.ann, "GET", "/rooms", Value::Null).await;
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(1), "{rooms}");
    // All this is so after a restart.
    let Scene { server, ann, anns, bobs, .. } = scene;
    drop((anns, bobs));
    let server = TestServer::start_in(server.stop().await, None, &[]).await;
    let after = server.call("GET", &path, &ann.token, Value::Null).await;
    assert_eq!(after, (200, message));
    let path = format!("/rooms/{room}/messages/1/thread");
    let (_, again) = server.call("PUT", &path, &ann.token, Value::Null).await;
    assert_eq!((&again["id"], &again["created"]), (&thread["id"], &thread["created"]));
}

#[actix_web::test]
async fn whoever_is_banned_does_not_come_back_by_a_thread() {
    let mut scene = Scene::new().await;
    let (room, bob) = (scene.room.clone(), scene.bob.id.clone());
    let id = text(&scene.open(&scene.ann).await.1["id"]);
    for client in [&mut scene.anns, &mut scene.bobs] {
        client.ok(json!({"do":"join","room":id})).await;
    }
    scene.bobs.ok(json!({"do":"send","room":id,"text":"hi"})).await;
    let ban = format!("/rooms/{room}/bans/{bob}");
    assert_eq!(scene.call(&scene.ann, "PUT", &ban, json!({})).await.0, 204);
    for command in [
        json!({"do":"send","room":id,"text":"me again"}),
        json!({"do":"join","room":id}),
        json!({"do":"history","room":id}),
        json!({"do":"edit","room":id,"seq":1,"text":"rude"}),
        json!({"do":"mark","room":id,"seq":1,"mark":"x"}),
        json!({"do":"members","room":id}),
    ] {
        assert_eq!(scene.bobs.refused(command.clone()).await, "not_a_member", "{command}");
    }
    let path = format!("/rooms/{room}/messages/1/thread");
    let (status, problem) = scene.call(&scene.bob, "PUT", &path, Value::Null).await;
    assert_eq!((status, &problem["code"]), (403, &json!("banned")));
    for (method, path, body) in [
        ("POST", format!("/rooms/{id}/messages"), json!({"text":"me again"})),
        ("PUT", format!("/rooms/{id}/members/me"), json!({})),
        ("GET", format!("/rooms/{id}/messages"), Value::Null),
    ] {
        let (status, problem) = scene.call(&scene.bob, method, &path, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_a_member")), "{method} {path}");
    }
    scene.anns.ok(json!({"do":"send","room":id,"text":"he has gone"})).await;
    let resume = json!({"do":"resume","rooms":[{"room":id,"after":"0.0"}]});
    assert_eq!(scene.bobs.ok(resume).await, json!({"resumed":0,"failed":1}));
    let heard = scene.bobs.events.iter().filter(|event| event["room"] == json!(id));
    let heard: Vec<_> = heard.filter(|event| event["text"] == "he has gone").collect();
    assert!(heard.is_empty(), "{heard:?}");
    until("he follows it no more", async || {
        let path = format!("/rooms/{id}/members");
        scene.call(&scene.ann, "GET", &path, Value::Null).await.1["count"] == 1
    })
    .await;
}

#[actix_web::test]
async fn whoever_is_in_the_room_reads_a_thread_without_following_it() {
    let mut scene = Scene::new().await;
    let (room, eve) = (scene.room.clone(), scene.server.guest("Eve").await);
    let id = text(&scene.open(&scene.ann).await.1["id"]);
    for client in [&mut scene.anns, &mut scene.bobs] {
        client.ok(json!({"do":"join","room":id})).await;
    }
    scene.bobs.ok(json!({"do":"send","room":id,"text":"I think so"})).await;
    scene.anns.ok(json!({"do":"mark","room":id,"seq":1,"mark":"x"})).await;
    let mut eves = Client::connect(&scene.server.address, Some(&eve.token)).await;
    let reading = [
        "/messages",
        "/messages/1",
        "/messages/1/marks?mark=x",
        "/messages/1/readers",
        "/members",
        "/threads",
        "/search?q=think",
    ];
    let refused = async |scene: &Scene, eves: &mut Client, of_all: &str| {
        for path in reading {
            let path = format!("/rooms/{id}{path}");
            let (status, problem) = scene.call(&eve, "GET", &path, Value::Null).await;
            assert_eq!(
                (status, &problem["code"]),
                (403, &json!("not_a_member")),
                "{of_all}: {path}"
            );
        }
        let history = json!({"do":"history","room":id});
        assert_eq!(eves.refused(history).await, "not_a_member", "{of_all}");
    };
    refused(&scene, &mut eves, "a stranger").await;
    let me = format!("/rooms/{room}/members/me");
    scene.call(&eve, "PUT", &me, Value::Null).await;
    for path in reading {
        let path = format!("/rooms/{id}{path}");
        let answer = scene.call(&eve, "GET", &path, Value::Null).await;
        assert_eq!(answer.0, 200, "{path}: {}", answer.1);
    }
    let page = eves.ok(json!({"do":"history","room":id})).await;
    assert_eq!(page["messages"][0]["text"], "I think so");
    let path = format!("/rooms/{id}/search?q=think");
    let (_, found) = scene.call(&eve, "GET", &path, Value::Null).await;
    assert_eq!(found["results"][0]["message"]["text"], "I think so");
    for (method, path, body) in [
        ("POST", "/messages", json!({"text":"hi"})),
        ("PATCH", "/messages/1", json!({"text":"hi"})),
        ("DELETE", "/messages/1", Value::Null),
        ("PUT", "/messages/1/marks/x", Value::Null),
        ("GET", "/read", Value::Null),
        ("PUT", "/read", json!({"seq":1})),
    ] {
        let (status, problem) = scene.call(&eve, method, &format!("/rooms/{id}{path}"), body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_a_member")), "{method} {path}");
    }
    // Who keeps order in the room does so in the thread.
    let role = format!("/rooms/{room}/members/{}", eve.id);
    scene.call(&scene.ann, "PATCH", &role, json!({"role":"moderator"})).await;
    let path = format!("/rooms/{id}/messages/1/revisions");
    assert_eq!(scene.call(&eve, "GET", &path, Value::Null).await.0, 200);
    let path = format!("/rooms/{id}/messages/1");
    assert_eq!(scene.call(&eve, "DELETE", &path, Value::Null).await.0, 204);
    let deleted = scene.bobs.event("deleted").await;
    assert_eq!(
        (&deleted["room"], &deleted["by"]["name"]),
        (&json!(id), &json!("Eve")),
        "{deleted}"
    );
    let (_, members) =
        scene.call(&scene.ann, "GET", &format!("/rooms/{id}/members"), Value::Null).await;
    assert_eq!(members["count"], 2, "she does not follow it");
    let ban = format!("/rooms/{room}/bans/{}", eve.id);
    assert_eq!(scene.call(&scene.ann, "PUT", &ban, json!({})).await.0, 204);
    refused(&scene, &mut eves, "banned").await;
}

#[actix_web::test]
async fn what_there_is_no_thread_on() {
    let mut scene = Scene::new().await;
    let room = scene.room.clone();
    let id = text(&scene.open(&scene.ann).await.1["id"]);
    scene.anns.ok(json!({"do":"join","room":id})).await;
    scene.anns.ok(json!({"do":"send","room":id,"text":"a reply"})).await;
    scene.anns.ok(json!({"do":"send","room":room,"text":"another one"})).await;
    scene.anns.ok(json!({"do":"delete","room":room,"seq":2})).await;
    for (of, seq, status, code) in [
        (&id, 1, 400, "bad_request"),
        (&room, 2, 410, "message_deleted"),
        (&room, 3, 404, "no_such_message"),
    ] {
        let path = format!("/rooms/{of}/messages/{seq}/thread");
        let answer = scene.call(&scene.ann, "PUT", &path, Value::Null).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)));
        assert_eq!(scene.anns.refused(json!({"do":"thread","room":of,"seq":seq})).await, code);
    }
    for after in ["x", "1", "1.x", "99999999999999999999.1"] {
        let error = scene.anns.error(json!({"do":"threads","room":room,"after":after})).await;
        assert_eq!((&error["code"], &error["field"]), (&json!("bad_request"), &json!("after")));
    }
    let kick = json!({"do":"kick","room":id,"user":scene.bob.id});
    assert_eq!(scene.anns.refused(kick).await, "forbidden");
}

#[actix_web::test]
async fn a_blocked_user_writes_nothing_in_a_thread_of_the_direct_room() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.sign_up("ann").await, server.sign_up("bob").await);
    let body = json!({"kind":"direct","with":bob.id});
    let (_, room) = server.call("POST", "/rooms", &ann.token, body).await;
    let messages = format!("/rooms/{}/messages", text(&room["id"]));
    for words in ["one", "two"] {
        server.call("POST", &messages, &ann.token, json!({"text":words})).await;
    }
    let open = async |seq| {
        let path = format!("{messages}/{seq}/thread");
        server.call("PUT", &path, &ann.token, Value::Null).await
    };
    let (status, thread) = open(1).await;
    assert_eq!(status, 200, "{thread}");
    let in_thread = format!("/rooms/{}/messages", text(&thread["id"]));
    let send = async || server.call("POST", &in_thread, &ann.token, json!({"text":"hi"})).await;
    assert_eq!(send().await.0, 201);
    server.call("PUT", &format!("/blocks/{}", ann.id), &bob.token, Value::Null).await;
    for (status, problem) in [send().await, open(2).await] {
        assert_eq!((status, &problem["code"]), (404, &json!("no_such_user")));
    }
}
