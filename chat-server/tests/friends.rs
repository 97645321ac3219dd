//! Friends and blocks over HTTP: one's own affair, and nobody else's to read or change.

mod support;

use serde_json::{Value, json};
use support::{Client, Person, TestServer, text};

impl Person {
    async fn call(
        &self,
        server: &TestServer,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        server.call(method, path, &self.token, body).await
    }

    async fn ok(&self, server: &TestServer, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(server, method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    async fn refused(
        &self,
        server: &TestServer,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, String, String) {
        let (status, answer) = self.call(server, method, path, body).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (status, text(&answer["code"]), text(&answer["field"]))
    }

    /// How a friend is seen.
    async fn sees(&self, server: &TestServer, friend: &Self) -> String {
        let friends = self.ok(server, "GET", "/friends?hidden=true", Value::Null).await;
        let friends = friends["friends"].as_array().expect("friends").clone();
        let found = friends.iter().find(|seen| seen["id"] == json!(friend.id));
        found.map_or_else(|| "nobody".to_owned(), |seen| text(&seen["state"]))
    }
}

fn refusal(status: u16, code: &str, field: &str) -> (u16, String, String) {
    (status, code.to_owned(), field.to_owned())
}

#[actix_web::test]
async fn groups_and_friends_are_kept_in_order() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let carol = server.sign_up("carol").await;
    let work = alice.ok(&server, "POST", "/friend-groups", json!({"name":"Work 💼"})).await;
    assert_eq!((&work["name"], &work["friends"]), (&json!("Work 💼"), &json!(0)));
    let group = text(&work["id"]);

    let path = |person: &Person| format!("/friends/{}", person.id);
    let added = alice.ok(&server, "PUT", &path(&bob), json!({ "group": group })).await;
    let expected = json!({
        "id": bob.id, "name": "bob", "username": "bob", "group": group, "favourite": false,
        "hidden": false, "mutual": false, "state": "offline",
    });
    assert_eq!(added, expected);
    assert_eq!(alice.ok(&server, "PUT", &path(&bob), Value::Null).await, expected, "as it was");
    alice.ok(&server, "PUT", &path(&carol), Value::Null).await;
    alice.ok(&server, "PATCH", &path(&carol), json!({"favourite":true})).await;
    let names = async |query: &str| {
        let all = alice.ok(&server, "GET", &format!("/friends{query}"), Value::Null).await;
        let all = all["friends"].as_array().expect("friends").clone();
        all.iter().map(|friend| text(&friend["username"])).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "carol bob");
    alice.ok(&server, "PATCH", &path(&carol), json!({"hidden":true,"favourite":false})).await;
    assert_eq!((names("").await, names("?hidden=true").await), ("bob".into(), "bob carol".into()));

    alice.ok(&server, "PATCH", &format!("/friend-groups/{group}"), json!({"name":"Büro"})).await;
    let groups = alice.ok(&server, "GET", "/friend-groups", Value::Null).await;
    assert_eq!(groups, json!({"groups":[{"id":group,"name":"Büro","friends":1}]}));
    alice.ok(&server, "DELETE", &format!("/friend-groups/{group}"), Value::Null).await;
    let moved = alice.ok(&server, "PATCH", &path(&bob), json!({})).await;
    assert_eq!(moved["group"], Value::Null, "into the default group");
    alice.ok(&server, "DELETE", &path(&bob), Value::Null).await;
    assert_eq!(names("").await, "");
}

#[actix_web::test]
async fn presence_is_seen_by_those_who_have_each_other() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let path = |person: &Person| format!("/friends/{}", person.id);
    alice.ok(&server, "PUT", &path(&bob), Value::Null).await;
    let mut socket = Client::connect(&server.address, Some(&bob.token)).await;
    socket.ok(json!({"do":"ping"})).await;
    assert_eq!(alice.sees(&server, &bob).await, "offline", "bob has not agreed");
    bob.ok(&server, "PUT", &path(&alice), Value::Null).await;
    assert_eq!(alice.sees(&server, &bob).await, "online");
    assert_eq!(bob.sees(&server, &alice).await, "offline");
    socket.ok(json!({"do":"presence","state":"away"})).await;
    assert_eq!(alice.sees(&server, &bob).await, "away");
    let mut other = Client::connect(&server.address, Some(&bob.token)).await;
    other.ok(json!({"do":"ping"})).await;
    assert_eq!(alice.sees(&server, &bob).await, "online");

    // Whoever is blocked sees somebody who is not there, and has lost nothing that it could notice.
    let block = format!("/blocks/{}", alice.id);
    bob.ok(&server, "PUT", &block, Value::Null).await;
    assert_eq!(alice.sees(&server, &bob).await, "offline");
    assert_eq!(bob.sees(&server, &alice).await, "nobody", "no friend any more");
    let blocks = bob.ok(&server, "GET", "/blocks", Value::Null).await;
    assert_eq!(blocks["blocks"][0]["username"], "alice");
    assert_eq!(alice.ok(&server, "GET", "/blocks", Value::Null).await, json!({"blocks":[]}));
    let refused = bob.refused(&server, "PUT", &path(&alice), Value::Null).await;
    assert_eq!(refused, refusal(409, "blocked", ""));
    bob.ok(&server, "DELETE", &block, Value::Null).await;
    bob.ok(&server, "PUT", &path(&alice), Value::Null).await;
    assert_eq!(alice.sees(&server, &bob).await, "online");
}

#[actix_web::test]
async fn what_is_anothers_or_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let group = alice.ok(&server, "POST", "/friend-groups", json!({"name":"Work"})).await;
    let group = format!("/friend-groups/{}", text(&group["id"]));
    let friend = format!("/friends/{}", bob.id);
    let nobody = "00000000-0000-7000-8000-000000000000";
    let guest = server.guest("Gast").await;
    let guest = Person { id: guest.id, token: guest.token, refresh: String::new() };
    let null = Value::Null;
    let cases = [
        // Another user's group, by its id.
        (&bob, "PATCH", group.clone(), json!({"name":"Mine"}), 404, "no_such_group", "group"),
        (&bob, "DELETE", group.clone(), null.clone(), 404, "no_such_group", "group"),
        (
            &bob,
            "PUT",
            format!("/friends/{}", alice.id),
            json!({"group":&group[15..]}),
            404,
            "no_such_group",
            "group",
        ),
        (
            &alice,
            "PATCH",
            "/friend-groups/1".into(),
            json!({"name":"x"}),
            400,
            "bad_request",
            "group",
        ),
        (&alice, "POST", "/friend-groups".into(), json!({"name":" "}), 422, "too_short", "name"),
        (&alice, "POST", "/friend-groups".into(), json!({"name":"a\nb"}), 422, "bad_text", "name"),
        (
            &alice,
            "POST",
            "/friend-groups".into(),
            json!({"name":"x".repeat(33)}),
            422,
            "too_long",
            "name",
        ),
        (
            &alice,
            "POST",
            "/friend-groups".into(),
            json!({"name":"x","user":bob.id}),
            400,
            "bad_request",
            "user",
        ),
        (&alice, "PUT", format!("/friends/{}", alice.id), null.clone(), 400, "bad_request", "user"),
        (&alice, "PUT", format!("/friends/{nobody}"), null.clone(), 404, "no_such_user", ""),
        (&alice, "PUT", format!("/friends/{}", guest.id), null.clone(), 404, "no_such_user", ""),
        (&alice, "PATCH", friend.clone(), json!({"favourite":true}), 404, "not_a_friend", ""),
        (
            &alice,
            "PUT",
            friend.clone(),
            json!({"favourite":"yes"}),
            400,
            "bad_request",
            "favourite",
        ),
        (&alice, "PUT", friend.clone(), json!({"group":7}), 400, "bad_request", "group"),
        (&alice, "PUT", friend.clone(), json!({"mutual":true}), 400, "bad_request", "mutual"),
        (&alice, "PUT", friend.clone(), json!([1]), 400, "bad_request", ""),
        (&alice, "PUT", format!("/blocks/{}", alice.id), null.clone(), 400, "bad_request", "user"),
        (&alice, "PUT", format!("/blocks/{nobody}"), null.clone(), 404, "no_such_user", ""),
        (&guest, "GET", "/friends".into(), null.clone(), 403, "no_account", ""),
        (&guest, "PUT", friend.clone(), null.clone(), 403, "no_account", ""),
        (&guest, "GET", "/blocks".into(), null.clone(), 403, "no_account", ""),
        (&guest, "GET", "/friend-groups".into(), null, 403, "no_account", ""),
    ];
    for (person, method, path, body, status, code, field) in cases {
        let refused = person.refused(&server, method, &path, body.clone()).await;
        assert_eq!(refused, refusal(status, code, field), "{method} {path} {body}");
    }
    let groups = alice.ok(&server, "GET", "/friend-groups", Value::Null).await;
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(1));
    assert_eq!(groups["groups"][0]["name"], "Work", "nothing has changed");
    let friends = alice.ok(&server, "GET", "/friends?hidden=true", Value::Null).await;
    assert_eq!(friends, json!({"friends":[]}));
}

#[actix_web::test]
async fn a_direct_room_is_one_however_many_open_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let open = async |one: &Person, other: &Person| {
        let body = json!({ "kind": "direct", "with": other.id });
        let room = one.ok(&server, "POST", "/rooms", body).await;
        assert_eq!((&room["kind"], room.get("title")), (&json!("direct"), None), "{room}");
        text(&room["id"])
    };
    let all = futures_util::future::join_all((0..8).map(|nth| {
        let (one, other) = if nth % 2 == 0 { (&alice, &bob) } else { (&bob, &alice) };
        open(one, other)
    }));
    let all = all.await;
    assert!(all.iter().all(|room| *room == all[0]), "{all:?}");
    let mut socket = Client::connect(&server.address, Some(&bob.token)).await;
    socket.ok(json!({"do":"join","room":all[0]})).await;
    let again = socket.ok(json!({"do":"open","kind":"direct","with":alice.id})).await;
    assert_eq!(again["room"]["id"], json!(all[0]));
    let messages = format!("/rooms/{}/messages", all[0]);
    alice.ok(&server, "POST", &messages, json!({"text":"hello"})).await;
    assert_eq!(socket.event("message").await["text"], "hello");
    // Nobody else's, and with nobody.
    let carol = server.sign_up("carol").await;
    let refused = carol.refused(&server, "GET", &messages, Value::Null).await;
    assert_eq!(refused, refusal(404, "no_such_room", ""));
    let nobody = "00000000-0000-7000-8000-000000000000";
    for (body, status, code, field) in [
        (json!({"kind":"direct","with":nobody}), 404, "no_such_user", ""),
        (json!({"kind":"direct","with":alice.id}), 400, "bad_request", "with"),
        (json!({"kind":"direct","with":"bob"}), 400, "bad_request", "with"),
        (json!({"kind":"direct"}), 400, "bad_request", "with"),
        (json!({"kind":"direct","with":bob.id,"title":"x"}), 400, "bad_request", "title"),
    ] {
        let refused = alice.refused(&server, "POST", "/rooms", body.clone()).await;
        assert_eq!(refused, refusal(status, code, field), "{body}");
    }
}

#[actix_web::test]
async fn who_is_blocked_cannot_turn_to_the_blocker_and_is_told_what_strangers_are() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let carol = server.sign_up("carol").await;
    let direct = alice.ok(&server, "POST", "/rooms", json!({"kind":"direct","with":bob.id})).await;
    let messages = format!("/rooms/{}/messages", text(&direct["id"]));
    let tea = alice.ok(&server, "POST", "/rooms", json!({"title":"Tea","kind":"private"})).await;
    let members = format!("/rooms/{}/members", text(&tea["id"]));
    alice.ok(&server, "POST", &messages, json!({"text":"before"})).await;
    let mut socket = Client::connect(&server.address, Some(&alice.token)).await;
    socket.ok(json!({"do":"join","room":direct["id"]})).await;

    bob.ok(&server, "PUT", &format!("/blocks/{}", alice.id), Value::Null).await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let as_if_nobody = async |method: &str, path: &str, body: &dyn Fn(&str) -> Value| {
        let (status, real) = alice.call(&server, method, path, body(&bob.id)).await;
        let (_, unreal) = alice.call(&server, method, path, body(nobody)).await;
        assert_eq!((status, &real["code"]), (404, &json!("no_such_user")), "{path}: {real}");
        assert_eq!(real, unreal, "{path}");
    };
    as_if_nobody("POST", "/rooms", &|id| json!({"kind":"direct","with":id})).await;
    as_if_nobody("POST", &members, &|id| json!({"user":id})).await;
    let looked_up = alice.refused(&server, "GET", &format!("/users/{}", bob.id), Value::Null).await;
    assert_eq!(looked_up, refusal(404, "no_such_user", ""));
    let found = alice.ok(&server, "GET", "/users?query=bob", Value::Null).await;
    assert_eq!(found, json!({"users":[]}));
    // In the room that they have, over either wire, on a connection that was there before.
    let refused = alice.refused(&server, "POST", &messages, json!({"text":"hey"})).await;
    assert_eq!(refused, refusal(404, "no_such_user", ""));
    let send = json!({"do":"send","room":direct["id"],"text":"hey"});
    assert_eq!(socket.refused(send.clone()).await, "no_such_user");
    let open = json!({"do":"open","kind":"direct","with":bob.id});
    assert_eq!(socket.refused(open).await, "no_such_user");
    let invite = json!({"do":"invite","room":tea["id"],"user":bob.id});
    assert_eq!(socket.refused(invite).await, "no_such_user");
    let refused = bob.refused(&server, "POST", &messages, json!({"text":"nor I"})).await;
    assert_eq!(refused, refusal(403, "forbidden", ""));
    let page = bob.ok(&server, "GET", &messages, Value::Null).await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "what was said stays");
    // There, she sees him neither come nor go, nor write.
    assert_eq!(
        socket.refused(json!({"do":"typing","room":direct["id"],"on":true})).await,
        "no_such_user"
    );
    let mut his = Client::connect(&server.address, Some(&bob.token)).await;
    his.ok(json!({"do":"join","room":direct["id"]})).await;
    let seen = socket.ok(json!({"do":"members","room":direct["id"]})).await;
    let state = |nth: usize| text(&seen["members"][nth]["state"]);
    assert_eq!((state(0), state(1)), ("online".into(), "offline".into()));
    assert_eq!(seen["online"], 1);
    let told = |event: &Value| event["event"] == "presence" && event["user"]["id"] == json!(bob.id);
    assert!(!socket.events.iter().any(told), "{:?}", socket.events);
    // Others are not concerned.
    carol.ok(&server, "POST", "/rooms", json!({"kind":"direct","with":bob.id})).await;
    alice.ok(&server, "POST", &members, json!({"user":carol.id})).await;

    bob.ok(&server, "DELETE", &format!("/blocks/{}", alice.id), Value::Null).await;
    let event = loop {
        let event = socket.event("presence").await;
        if event["user"]["id"] == json!(bob.id) {
            break event;
        }
    };
    assert_eq!((&event["state"], &event["online"]), (&json!("online"), &json!(2)), "he is back");
    socket.ok(send).await;
    alice.ok(&server, "POST", &members, json!({"user":bob.id})).await;
    // It is so after a restart.
    bob.ok(&server, "PUT", &format!("/blocks/{}", alice.id), Value::Null).await;
    assert_eq!(socket.event("presence").await["state"], "offline", "as if he went");
    drop((socket, his));
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    let mut his = Client::connect(&server.address, Some(&bob.token)).await;
    his.ok(json!({"do":"join","room":direct["id"]})).await;
    let mut socket = Client::connect(&server.address, Some(&alice.token)).await;
    let joined = socket.ok(json!({"do":"join","room":direct["id"]})).await;
    assert_eq!(joined["members"]["online"], 1, "{joined}");
    let refused = alice.refused(&server, "POST", &messages, json!({"text":"hey"})).await;
    assert_eq!(refused, refusal(404, "no_such_user", ""));
}
