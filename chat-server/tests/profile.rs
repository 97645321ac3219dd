//! What users say of themselves, and that they go for good: over HTTP, and what sockets see of it.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, PASSWORD, Person, TestServer, text, until};

/// How far the clock goes on with each look at whether somebody is forgotten: what cannot be done at once, on a
/// busy machine, is tried again by the clock.
const MEANWHILE: Duration = Duration::from_millis(10);

async fn change(server: &TestServer, person: &Person, body: Value) -> (u16, Value) {
    server.call("PATCH", "/users/me", &person.token, body).await
}

async fn delete(server: &TestServer, person: &Person, body: Value) -> (u16, Value) {
    server.call("DELETE", "/users/me", &person.token, body).await
}

/// Deletes an account, and waits until it is forgotten everywhere.
async fn goes(server: &TestServer, person: &Person, erase: bool, rooms: &[(&Person, &str)]) {
    let body = json!({ "password": PASSWORD, "erase_messages": erase });
    assert_eq!(delete(server, person, body).await, (204, Value::Null));
    for (witness, room) in rooms {
        until("it is forgotten", async || {
            server.clock.advance(MEANWHILE);
            let all = said(server, witness, room).await;
            all.iter()
                .filter(|one| one.0 == person.id)
                .all(|(_, name, text)| name == "deleted user" && (!erase || text.is_empty()))
        })
        .await;
    }
}

/// A room's messages: who wrote each, under which name, and what.
async fn said(server: &TestServer, reader: &Person, room: &str) -> Vec<(String, String, String)> {
    let path = format!("/rooms/{room}/messages");
    let (status, page) = server.call("GET", &path, &reader.token, Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let messages = page["messages"].as_array().expect("messages");
    let one = |message: &Value| {
        assert_eq!(message["text"] == "", message.get("deleted") == Some(&json!(true)));
        let from = &message["from"];
        (text(&from["id"]), text(&from["name"]), text(&message["text"]))
    };
    messages.iter().map(one).collect()
}

async fn members(server: &TestServer, reader: &Person, room: &str) -> Vec<String> {
    let path = format!("/rooms/{room}/members");
    let (status, page) = server.call("GET", &path, &reader.token, Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let members = page["members"].as_array().expect("members");
    members.iter().map(|one| format!("{} {}", text(&one["name"]), text(&one["role"]))).collect()
}

async fn send(server: &TestServer, person: &Person, room: &str, said: &str) -> (u16, Value) {
    let path = format!("/rooms/{room}/messages");
    server.call("POST", &path, &person.token, json!({ "text": said })).await
}

async fn join(server: &TestServer, person: &Person, room: &str) {
    let path = format!("/rooms/{room}/members/me");
    let (status, answer) = server.call("PUT", &path, &person.token, Value::Null).await;
    assert_eq!(status, 200, "{answer}");
}

async fn connect(server: &TestServer, person: &Person) -> Client {
    let mut client = Client::connect(&server.address, Some(&person.token)).await;
    client.ok(json!({"do":"ping"})).await;
    client
}

/// Two people with accounts in a room of the first one's.
async fn scene() -> (TestServer, Person, Person, String) {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let room = server.room(&alice.token, "Lobby").await;
    join(&server, &bob, &room).await;
    (server, alice, bob, room)
}

#[actix_web::test]
async fn a_new_nickname_is_seen_everywhere_at_once_and_stays() {
    let (server, alice, bob, room) = scene().await;
    send(&server, &bob, &room, "before").await;
    let (mut hers, mut his) = (connect(&server, &alice).await, connect(&server, &bob).await);
    hers.ok(json!({"do":"join","room":room})).await;
    let body = json!({ "nickname": "바비 🎈", "status": "on a boat ⛵" });
    let (status, account) = change(&server, &bob, body).await;
    let expected = json!({
        "id": bob.id, "name": "바비 🎈", "username": "bob", "status": "on a boat ⛵",
    });
    assert_eq!((status, &account), (200, &expected));
    let renamed = hers.event("renamed").await;
    let user = json!({ "id": bob.id, "name": "바비 🎈" });
    assert_eq!((&renamed["room"], &renamed["user"]), (&json!(room), &user));
    let own = his.event("renamed").await;
    assert_eq!((own.get("room"), &own["user"]), (None, &user));
    his.event("profile").await;
    // By a session that began before, by a token that says otherwise, and wherever it has written.
    his.ok(json!({"do":"join","room":room})).await;
    his.ok(json!({"do":"send","room":room,"text":"socket"})).await;
    send(&server, &bob, &room, "token").await;
    let names: Vec<_> = said(&server, &alice, &room).await.into_iter().map(|one| one.1).collect();
    assert_eq!(names, ["바비 🎈"; 3]);
    assert_eq!(hers.event("message").await["from"], user);
    assert_eq!(members(&server, &alice, &room).await, ["alice owner", "바비 🎈 member"]);
    let own_room = server.room(&bob.token, "His").await;
    join(&server, &alice, &own_room).await;
    assert_eq!(members(&server, &alice, &own_room).await[1], "바비 🎈 owner");
    let found = server.call("GET", "/users?query=바비", &alice.token, Value::Null).await.1;
    assert_eq!(found["users"], json!([expected]));
    // And after a restart, whatever the token says.
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    let third = server.room(&alice.token, "Third").await;
    join(&server, &bob, &third).await;
    assert_eq!(members(&server, &alice, &third).await[1], "바비 🎈 member");
    send(&server, &bob, &third, "token").await;
    assert_eq!(said(&server, &alice, &third).await[0].1, "바비 🎈");
    let (_, me) = server.call("GET", "/users/me", &bob.token, Value::Null).await;
    assert_eq!(me, expected);
    // What is not said stays; what is said to be nothing goes.
    let (status, me) = change(&server, &bob, json!({ "status": "" })).await;
    assert_eq!((status, &me["name"], &me["status"]), (200, &json!("바비 🎈"), &json!("")));
    assert_eq!(change(&server, &bob, json!({})).await.1, me);
}

#[actix_web::test]
async fn what_is_no_profile_is_refused() {
    let (server, alice, _, _) = scene().await;
    let cases = [
        (json!({ "nickname": "" }), 422, "empty", "nickname"),
        (json!({ "nickname": "x".repeat(33) }), 422, "too_long", "nickname"),
        (json!({ "nickname": "a\nb" }), 422, "bad_text", "nickname"),
        (json!({ "nickname": 5 }), 400, "bad_request", "nickname"),
        (json!({ "status": "x".repeat(141) }), 422, "too_long", "status"),
        (json!({ "status": "a\u{0}b" }), 422, "bad_text", "status"),
        (json!({ "status": null }), 400, "bad_request", "status"),
        (json!({ "username": "mallory" }), 400, "bad_request", "username"),
        (json!({ "id": alice.id }), 400, "bad_request", "id"),
        (json!({ "role": "admin" }), 400, "bad_request", "role"),
    ];
    for (body, status, code, field) in cases {
        let (got, answer) = change(&server, &alice, body.clone()).await;
        let seen = (got, &answer["code"], &answer["field"]);
        assert_eq!(seen, (status, &json!(code), &json!(field)), "{body}");
    }
    let guest = server.guest("Gus").await;
    for (method, body) in [("PATCH", json!({})), ("DELETE", json!({ "password": PASSWORD }))] {
        let (status, answer) = server.call(method, "/users/me", &guest.token, body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("no_account")), "{method}");
    }
}

#[actix_web::test]
async fn who_changes_the_nickname_again_and_again_has_to_wait() {
    let (server, alice, _, _) = scene().await;
    let mut statuses = Vec::new();
    for nth in 0..7 {
        statuses.push(change(&server, &alice, json!({ "nickname": format!("a{nth}") })).await.0);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    // The same as before is nothing new.
    assert_eq!(change(&server, &alice, json!({ "nickname": "a4" })).await.0, 200);
    assert_eq!(change(&server, &alice, json!({ "status": "busy" })).await.0, 200);
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(change(&server, &alice, json!({ "nickname": "b" })).await.0, 200);
}

#[actix_web::test]
async fn whoever_deletes_the_account_is_gone_and_what_was_said_stays_without_a_name() {
    let (server, alice, bob, room) = scene().await;
    let carol = server.sign_up("carol").await;
    join(&server, &carol, &room).await;
    let path = format!("/rooms/{room}/members/{}", carol.id);
    let up = server.call("PATCH", &path, &alice.token, json!({ "role": "moderator" })).await;
    assert_eq!(up.0, 204, "{}", up.1);
    send(&server, &alice, &room, "farewell").await;
    let direct = server
        .call("POST", "/rooms", &alice.token, json!({ "kind": "direct", "with": bob.id }))
        .await
        .1;
    let direct = text(&direct["id"]);
    send(&server, &alice, &direct, "psst").await;
    for (person, friend) in [(&alice, &bob), (&bob, &alice)] {
        let path = format!("/friends/{}", friend.id);
        assert_eq!(server.call("PUT", &path, &person.token, Value::Null).await.0, 200);
    }
    let (mut phone, mut laptop) = (connect(&server, &alice).await, connect(&server, &alice).await);
    let mut his = connect(&server, &bob).await;
    his.ok(json!({"do":"join","room":room})).await;

    for (body, status, code, field) in [
        (json!({}), 400, "bad_request", "password"),
        (json!({ "password": "another horse" }), 401, "bad_credentials", "password"),
        (json!({ "password": "" }), 401, "bad_credentials", "password"),
        (
            json!({ "password": PASSWORD, "erase_messages": "yes" }),
            400,
            "bad_request",
            "erase_messages",
        ),
    ] {
        let (got, answer) = delete(&server, &alice, body).await;
        assert_eq!((got, &answer["code"], &answer["field"]), (status, &json!(code), &json!(field)));
    }
    goes(&server, &alice, false, &[(&bob, &room), (&bob, &direct)]).await;

    assert_eq!((phone.close_code().await, laptop.close_code().await), (4403, 4403));
    let (status, answer) = server.call("GET", "/users/me", &alice.token, Value::Null).await;
    assert_eq!((status, &answer["code"]), (401, &json!("unauthorized")), "its token is void");
    let refresh = json!({ "refresh_token": alice.refresh });
    assert_eq!(server.call("POST", "/tokens/refresh", "", refresh).await.0, 401);
    let body = json!({ "username": "alice", "password": PASSWORD });
    let (status, answer) = server.call("POST", "/tokens", "", body.clone()).await;
    assert_eq!((status, &answer["code"]), (401, &json!("bad_credentials")));
    // Nobody takes its place, nor a place that looks like it.
    for username in ["alice", "ALICE", "a1ice"] {
        let body = json!({ "username": username, "password": PASSWORD });
        let (status, answer) = server.call("POST", "/users", "", body).await;
        assert_eq!((status, &answer["code"]), (409, &json!("username_taken")), "{username}");
    }
    let path = format!("/users/{}", alice.id);
    assert_eq!(server.call("GET", &path, &bob.token, Value::Null).await.0, 404);
    let found = server.call("GET", "/users?query=ali", &bob.token, Value::Null).await.1;
    assert_eq!(found["users"], json!([]));
    let friends = server.call("GET", "/friends?hidden=true", &bob.token, Value::Null).await.1;
    assert_eq!(friends["friends"], json!([]));
    his.event("friends").await;

    // What it owned is the moderator's, and it is no member; of the direct room, it still is.
    until("it is no member", async || {
        server.clock.advance(MEANWHILE);
        members(&server, &bob, &room).await == ["bob member", "carol owner"]
    })
    .await;
    assert_eq!(members(&server, &bob, &direct).await[0], "deleted user member");
    assert_eq!(said(&server, &bob, &direct).await[0].2, "psst");
    let (status, answer) = send(&server, &bob, &direct, "are you there?").await;
    assert_eq!((status, &answer["code"]), (404, &json!("no_such_user")));
    let again = server
        .call("POST", "/rooms", &bob.token, json!({ "kind": "direct", "with": alice.id }))
        .await;
    assert_eq!((again.0, &again.1["code"]), (404, &json!("no_such_user")));
    assert_eq!(delete(&server, &alice, json!({ "password": PASSWORD })).await.0, 401);
}

#[actix_web::test]
async fn whoever_wants_to_takes_along_what_was_said() {
    let (server, alice, bob, room) = scene().await;
    let left = server.room(&alice.token, "Left").await;
    join(&server, &bob, &left).await;
    for room in [&room, &left] {
        send(&server, &bob, room, "his secret").await;
        send(&server, &alice, room, "hers").await;
    }
    let path = format!("/rooms/{left}/members/me");
    assert_eq!(server.call("DELETE", &path, &bob.token, Value::Null).await.0, 204);
    let mut hers = connect(&server, &alice).await;
    let joined = hers.ok(json!({"do":"join","room":left})).await;
    goes(&server, &bob, true, &[(&alice, &room), (&alice, &left)]).await;
    for room in [&room, &left] {
        let texts: Vec<_> =
            said(&server, &alice, room).await.into_iter().map(|one| one.2).collect();
        assert_eq!(texts, ["", "hers"]);
    }
    let erased = async |client: &mut Client| {
        loop {
            let event = client.event("member").await;
            if event["change"] == "erased" {
                return event;
            }
        }
    };
    let event = erased(&mut hers).await;
    assert_eq!((&event["room"], &event["user"]["id"]), (&json!(left), &json!(bob.id)));
    // Whoever comes back later is told so as well.
    let mut again = connect(&server, &alice).await;
    let missed = again.ok(json!({"do":"join","room":left,"after":joined["cursor"]})).await;
    assert_eq!(missed["changes"][0]["change"], "erased");
    assert_eq!(missed["messages"], json!([]));
    // It is nowhere in the database file either.
    let data = server.stop().await;
    let file = std::fs::read(data.path().join("chat.db")).expect("a file");
    let is_in_it = |text: &str| file.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(is_in_it("hers") && !is_in_it("his secret"));
}

#[actix_web::test]
async fn what_a_crash_has_left_is_forgotten_at_the_next_start() {
    let (server, alice, bob, room) = scene().await;
    send(&server, &bob, &room, "his secret").await;
    let file = server.data.path().join("chat.db");
    let data = server.stop().await;
    // As if the process had died right after it had answered.
    let store = chat_server::store::SqliteStore::open(&file).await.expect("a store");
    let gone = chat_core::User::new(
        bob.id.parse().expect("an id"),
        chat_core::Name::new("deleted user").expect("a name"),
    );
    let people: &dyn chat_server::people::PeopleStore = &store;
    let now = chat_core::Timestamp::default();
    let found = people.credentials_of(gone.id).await.expect("an answer").expect("an account");
    people.delete_account(&gone, &found.password, true, now).await.expect("deleted");
    chat_server::store::SqlStore::close(&store).await;
    let server = TestServer::start_in(data, None, &[]).await;
    until("it is forgotten", async || {
        server.clock.advance(MEANWHILE);
        let said = said(&server, &alice, &room).await;
        said[0].2.is_empty() && members(&server, &alice, &room).await == ["alice owner"]
    })
    .await;
}

/// The next that is heard of a friend but for this state: that somebody is there may be told twice, when it comes
/// and when the two become friends.
async fn after(client: &mut Client, state: &str) -> (String, String) {
    loop {
        let event = client.event("friend").await;
        if event["state"] != state {
            return (text(&event["user"]["name"]), text(&event["state"]));
        }
    }
}

#[actix_web::test]
async fn friends_see_each_other_come_and_go() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
    let carol = server.sign_up("carol").await;
    let put = async |person: &Person, path: String| {
        let (status, answer) = server.call("PUT", &path, &person.token, Value::Null).await;
        assert!(status < 300, "{answer}");
    };
    let friend = |person: &Person| format!("/friends/{}", person.id);
    let mut hers = connect(&server, &alice).await;
    // Carol has Alice, and not the other way round: neither sees the other.
    put(&carol, friend(&alice)).await;
    put(&alice, friend(&bob)).await;
    hers.event("friends").await;
    let mut his = connect(&server, &bob).await;
    let mut carols = connect(&server, &carol).await;
    put(&bob, friend(&alice)).await;
    let seen = |event: Value| (text(&event["user"]["name"]), text(&event["state"]));
    let is = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(seen(hers.event("friend").await), is("bob", "online"), "friends from now on");
    assert_eq!(seen(his.event("friend").await), is("alice", "online"));
    his.ok(json!({"do":"presence","state":"away"})).await;
    assert_eq!(after(&mut hers, "online").await, is("bob", "away"));
    drop(his);
    assert_eq!(after(&mut hers, "away").await, is("bob", "offline"));
    let mut his = connect(&server, &bob).await;
    assert_eq!(after(&mut hers, "offline").await, is("bob", "online"));
    // Under a new name too.
    assert_eq!(change(&server, &bob, json!({ "nickname": "Bobby" })).await.0, 200);
    his.ok(json!({"do":"presence","state":"away"})).await;
    assert_eq!(after(&mut hers, "online").await, is("Bobby", "away"));
    // Whoever is blocked sees somebody go, and nothing after it.
    his.events.clear();
    put(&alice, format!("/blocks/{}", bob.id)).await;
    assert_eq!(after(&mut his, "online").await, is("alice", "offline"));
    hers.event("blocks").await;
    drop(hers);
    let mut hers = connect(&server, &alice).await;
    let unblock = format!("/blocks/{}", bob.id);
    assert_eq!(server.call("DELETE", &unblock, &alice.token, Value::Null).await.0, 204);
    put(&alice, friend(&bob)).await;
    assert_eq!(after(&mut his, "offline").await, is("alice", "online"), "friends once more");
    assert_eq!(seen(hers.event("friend").await), is("Bobby", "away"));
    let remove = friend(&alice);
    assert_eq!(server.call("DELETE", &remove, &bob.token, Value::Null).await.0, 204);
    assert_eq!(after(&mut hers, "away").await, is("Bobby", "offline"));
    carols.ok(json!({"do":"ping"})).await;
    let heard: Vec<_> = carols.events.iter().map(|event| text(&event["event"])).collect();
    assert!(!heard.contains(&"friend".to_owned()), "{heard:?}");
}
