//! What somebody tries who wants more than is his: each over HTTP and over a socket, and nothing comes of
//! it. Forged tokens are in `bad_tokens.rs`, guessing is in `accounts.rs`, blocks are in `friends.rs`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::http::Http;
use support::process::{Process, start};
use support::{Client, Frame, PASSWORD, Person, TestServer, call, guest, text};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

async fn connect(server: &TestServer, person: &Person) -> Client {
    let mut client = Client::connect(&server.address, Some(&person.token)).await;
    client.ok(json!({"do":"ping"})).await;
    client
}

/// A person, and a connection of hers.
async fn comes(server: &TestServer, username: &str) -> (Person, Client) {
    let person = server.sign_up(username).await;
    let client = connect(server, &person).await;
    (person, client)
}

/// Everything that can be asked of a room: over HTTP, and over a socket.
fn calls_of(room: &str, user: &str) -> Vec<(&'static str, String, Value)> {
    let path = |rest: &str| format!("/rooms/{room}{rest}").replace("$user", user);
    vec![
        ("GET", path(""), Value::Null),
        ("PATCH", path(""), json!({"read_only":true})),
        ("GET", path("/members"), Value::Null),
        ("POST", path("/members"), json!({"user":user})),
        ("PUT", path("/members/me"), Value::Null),
        ("DELETE", path("/members/me"), Value::Null),
        ("PATCH", path("/members/$user"), json!({"role":"moderator"})),
        ("PATCH", path("/members/$user"), json!({"muted":true})),
        ("DELETE", path("/members/$user"), Value::Null),
        ("GET", path("/bans"), Value::Null),
        ("PUT", path("/bans/$user"), json!({})),
        ("DELETE", path("/bans/$user"), Value::Null),
        ("GET", path("/messages"), Value::Null),
        ("GET", path("/messages/1"), Value::Null),
        ("POST", path("/messages"), json!({"text":"hi"})),
    ]
}

fn commands_of(room: &str, user: &str) -> Vec<Value> {
    vec![
        json!({"do":"join","room":room}),
        json!({"do":"leave","room":room}),
        json!({"do":"send","room":room,"text":"hi"}),
        json!({"do":"history","room":room}),
        json!({"do":"members","room":room}),
        json!({"do":"typing","room":room,"on":true}),
        json!({"do":"invite","room":room,"user":user}),
        json!({"do":"role","room":room,"user":user,"role":"moderator"}),
        json!({"do":"transfer","room":room,"user":user}),
        json!({"do":"kick","room":room,"user":user}),
        json!({"do":"ban","room":room,"user":user}),
        json!({"do":"unban","room":room,"user":user}),
        json!({"do":"mute","room":room,"user":user}),
        json!({"do":"unmute","room":room,"user":user}),
        json!({"do":"configure","room":room,"read_only":true}),
        json!({"do":"bans","room":room}),
    ]
}

#[actix_web::test]
async fn a_room_that_is_not_ones_own_is_answered_like_one_that_is_none() {
    let server = TestServer::start().await;
    let (alice, _) = comes(&server, "alice").await;
    let bob = server.sign_up("bob").await;
    let (mallory, mut socket) = comes(&server, "mallory").await;
    let private = json!({"title":"Plans","kind":"private"});
    let private = text(&server.ok(&alice, "POST", "/rooms", private).await["id"]);
    let direct = json!({"kind":"direct","with":bob.id});
    let direct = text(&server.ok(&alice, "POST", "/rooms", direct).await["id"]);
    for room in [&private, &direct] {
        let path = format!("/rooms/{room}/messages");
        server.ok(&alice, "POST", &path, json!({"text":"secret"})).await;
        let of_nobody = calls_of(NOBODY, &alice.id);
        for (real, none) in calls_of(room, &alice.id).into_iter().zip(of_nobody) {
            let (method, path, body) = real;
            let real = server.call(method, &path, &mallory.token, body).await;
            let none = server.call(none.0, &none.1, &mallory.token, none.2).await;
            assert_eq!((real.0, &real.1["code"]), (404, &json!("no_such_room")), "{method} {path}");
            assert_eq!(real, none, "{method} {path}");
        }
        let of_nobody = commands_of(NOBODY, &alice.id);
        for (real, none) in commands_of(room, &alice.id).into_iter().zip(of_nobody) {
            let (real, none) = (socket.error(real.clone()).await, socket.error(none).await);
            assert_eq!(real["code"], "no_such_room", "{real}");
            assert_eq!(real, none);
        }
        let resume = json!({"do":"resume","rooms":[{"room":room,"after":"0.0"}]});
        assert_eq!(socket.ok(resume).await, json!({"resumed":0,"failed":1}));
        assert_eq!(socket.event("resumed").await["error"]["code"], "no_such_room");
        let page = server.ok(&alice, "GET", &path, Value::Null).await;
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "nothing has come of it");
    }
    let listed = server.ok(&mallory, "GET", "/rooms", Value::Null).await;
    assert_eq!(listed["rooms"], json!([]));
}

#[actix_web::test]
async fn a_member_of_an_open_room_moderates_nothing() {
    let server = TestServer::start().await;
    let (alice, _) = comes(&server, "alice").await;
    let (mallory, mut socket) = comes(&server, "mallory").await;
    let room = server.room(&alice.token, "Tea").await;
    socket.ok(json!({"do":"join","room":room})).await;
    let allowed = ["join", "send", "history", "members", "typing", "invite"];
    for command in commands_of(&room, &alice.id) {
        let name = text(&command["do"]);
        if !allowed.contains(&name.as_str()) && name != "leave" {
            assert_eq!(socket.refused(command).await, "forbidden", "{name}");
        }
    }
    let path = |rest: &str| format!("/rooms/{room}{rest}").replace("$alice", &alice.id);
    for (method, path, body) in [
        ("PATCH", path(""), json!({"read_only":true})),
        ("PATCH", path("/members/$alice"), json!({"role":"member"})),
        ("PATCH", path("/members/$alice"), json!({"role":"owner"})),
        ("PATCH", path("/members/$alice"), json!({"muted":true})),
        ("DELETE", path("/members/$alice"), Value::Null),
        ("GET", path("/bans"), Value::Null),
        ("PUT", path("/bans/$alice"), json!({})),
        ("DELETE", path("/bans/$alice"), Value::Null),
    ] {
        let (status, answer) = server.call(method, &path, &mallory.token, body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
    let members = server.ok(&alice, "GET", &path("/members"), Value::Null).await;
    assert_eq!(members["count"], 2);
}

#[actix_web::test]
async fn nobody_says_who_or_what_one_is() {
    let server = TestServer::start().await;
    let (alice, mut socket) = comes(&server, "alice").await;
    let bob = server.sign_up("bob").await;
    let room = server.room(&alice.token, "Tea").await;
    let path = |rest: &str| format!("/rooms/{room}{rest}");
    let calls = [
        ("POST", "/rooms".to_owned(), json!({"title":"Mine"})),
        ("PATCH", path(""), json!({"slow_s":1})),
        ("POST", path("/messages"), json!({"text":"hi"})),
        ("POST", path("/members"), json!({"user":bob.id})),
        ("PATCH", "/users/me".to_owned(), json!({"status":"hi"})),
        ("POST", "/friend-groups".to_owned(), json!({"name":"Work"})),
        ("PUT", format!("/friends/{}", bob.id), json!({"hidden":true})),
        ("POST", "/tokens".to_owned(), json!({"username":"alice","password":PASSWORD})),
        ("POST", "/tokens/guest".to_owned(), json!({"nickname":"Gus"})),
        ("POST", "/tokens/refresh".to_owned(), json!({"refresh_token":alice.refresh})),
        ("PUT", "/users/me/password".to_owned(), json!({"old":PASSWORD,"new":"another horse"})),
    ];
    let forbidden = ["id", "from", "owner", "sender", "seq", "at", "sub", "created", "admin"];
    for (method, path, body) in calls {
        for field in forbidden {
            let mut body = body.clone();
            body[field] = json!(bob.id);
            let (status, answer) = server.call(method, &path, &alice.token, body).await;
            let seen = (status, &answer["code"], &answer["field"]);
            assert_eq!(seen, (400, &json!("bad_request"), &json!(field)), "{method} {path}");
        }
        let mut body = body;
        body["role"] = json!("owner");
        let (status, answer) = server.call(method, &path, &alice.token, body).await;
        assert_eq!((status, &answer["field"]), (400, &json!("role")), "{method} {path}");
    }
    for command in commands_of(&room, &bob.id) {
        for field in ["from", "owner", "sender", "seq", "at", "sub", "by", "admin"] {
            let mut command = command.clone();
            command[field] = json!(bob.id);
            let error = socket.error(command.clone()).await;
            assert_eq!((&error["code"], &error["field"]), (&json!("bad_request"), &json!(field)));
        }
    }
    let members = server.ok(&alice, "GET", &path("/members"), Value::Null).await;
    assert_eq!((&members["count"], &members["members"][0]["id"]), (&json!(1), &json!(alice.id)));
    let sent = socket.ok(json!({"do":"send","room":room,"text":"mine"})).await;
    let page = server.ok(&alice, "GET", &path("/messages"), Value::Null).await;
    assert_eq!((&page["messages"][0]["from"]["id"], &sent["seq"]), (&json!(alice.id), &json!(1)));
}

#[actix_web::test]
async fn a_demoted_moderators_next_command_is_a_members() {
    let server = TestServer::start().await;
    let (alice, _) = comes(&server, "alice").await;
    let (mo, mut socket) = comes(&server, "moe").await;
    let bob = server.sign_up("bob").await;
    let room = server.room(&alice.token, "Tea").await;
    let path = |rest: &str| format!("/rooms/{room}{rest}");
    for person in [&mo, &bob] {
        server.ok(person, "PUT", &path("/members/me"), Value::Null).await;
    }
    let role = async |role: &str| {
        let path = path(&format!("/members/{}", mo.id));
        server.ok(&alice, "PATCH", &path, json!({ "role": role })).await;
    };
    role("moderator").await;
    socket.ok(json!({"do":"mute","room":room,"user":bob.id})).await;
    role("member").await;
    for command in ["unmute", "mute", "kick", "ban"] {
        let command = json!({"do":command,"room":room,"user":bob.id});
        assert_eq!(socket.refused(command).await, "forbidden");
    }
    let kick = path(&format!("/members/{}", bob.id));
    let (status, answer) = server.call("DELETE", &kick, &mo.token, Value::Null).await;
    assert_eq!((status, &answer["code"]), (403, &json!("forbidden")));
    assert_eq!(socket.refused(json!({"do":"bans","room":room})).await, "forbidden");
    role("moderator").await;
    socket.ok(json!({"do":"unmute","room":room,"user":bob.id})).await;
}

#[actix_web::test]
async fn whoever_is_banned_comes_back_by_no_way() {
    let server = TestServer::start().await;
    let (alice, mut hers) = comes(&server, "alice").await;
    let (mallory, mut first) = comes(&server, "mallory").await;
    let carol = server.sign_up("carol").await;
    for private in [false, true] {
        let kind = if private { "private" } else { "open" };
        let room = json!({ "title": "Tea", "kind": kind });
        let room = text(&server.ok(&alice, "POST", "/rooms", room).await["id"]);
        let path = |rest: &str| format!("/rooms/{room}{rest}");
        for person in [&mallory, &carol] {
            server.ok(&alice, "POST", &path("/members"), json!({"user":person.id})).await;
        }
        let joined = first.ok(json!({"do":"join","room":room})).await;
        server.ok(&carol, "PUT", &path("/members/me"), Value::Null).await;
        server.ok(&alice, "PUT", &path(&format!("/bans/{}", mallory.id)), json!({})).await;
        let (status, code) = if private { (404, "no_such_room") } else { (403, "banned") };
        // By a connection that was there before, a second one, another login, and over HTTP.
        let again = json!({ "username": "mallory", "password": PASSWORD });
        let again = Person::of(&server.call("POST", "/tokens", "", again).await.1);
        let mut second = connect(&server, &mallory).await;
        let mut third = connect(&server, &again).await;
        for socket in [&mut first, &mut second, &mut third] {
            for command in [
                json!({"do":"join","room":room}),
                json!({"do":"join","room":room,"after":joined["cursor"]}),
                json!({"do":"send","room":room,"text":"hi"}),
                json!({"do":"history","room":room}),
            ] {
                assert_eq!(socket.refused(command).await, code);
            }
            let after = json!([{"room":room,"after":joined["cursor"]}]);
            socket.ok(json!({"do":"resume","rooms":after})).await;
            assert_eq!(socket.event("resumed").await["error"]["code"], code);
        }
        for person in [&mallory, &again] {
            for (method, rest) in
                [("PUT", "/members/me"), ("GET", "/messages"), ("GET", "/members")]
            {
                let (got, answer) =
                    server.call(method, &path(rest), &person.token, Value::Null).await;
                assert_eq!((got, &answer["code"]), (status, &json!(code)), "{method} {rest}");
            }
        }
        // By an invitation of anybody's, which nobody can give.
        hers.ok(json!({"do":"join","room":room})).await;
        let invite = json!({"do":"invite","room":room,"user":mallory.id});
        assert_eq!(hers.refused(invite).await, "banned");
        for person in [&alice, &carol] {
            let body = json!({ "user": mallory.id });
            let (got, answer) = server.call("POST", &path("/members"), &person.token, body).await;
            assert_eq!((got, &answer["code"]), (403, &json!("banned")));
        }
    }
}

#[actix_web::test]
async fn whoever_is_blocked_invites_nobody_who_has_blocked() {
    let server = TestServer::start().await;
    let (alice, mut hers) = comes(&server, "alice").await;
    let (mallory, mut socket) = comes(&server, "mallory").await;
    let room = json!({"title":"Trap","kind":"private"});
    let room = text(&server.ok(&mallory, "POST", "/rooms", room).await["id"]);
    server.ok(&alice, "PUT", &format!("/blocks/{}", mallory.id), Value::Null).await;
    let invite = json!({"do":"invite","room":room,"user":alice.id});
    assert_eq!(socket.refused(invite).await, "no_such_user");
    let path = format!("/rooms/{room}/members");
    let (status, answer) =
        server.call("POST", &path, &mallory.token, json!({"user":alice.id})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("no_such_user")));
    let open = json!({"do":"open","kind":"direct","with":alice.id});
    assert_eq!(socket.refused(open).await, "no_such_user");
    hers.ok(json!({"do":"ping"})).await;
    assert!(hers.events.iter().all(|event| event["event"] != "invited"), "{:?}", hers.events);
    assert_eq!(hers.refused(json!({"do":"join","room":room})).await, "no_such_room");
}

#[actix_web::test]
async fn one_kind_of_token_is_no_other() {
    let server = TestServer::start().await;
    let alice = server.sign_up("alice").await;
    let guest = server.guest("Gus").await;
    // Refresh tokens open no door.
    let (status, answer) = server.call("GET", "/rooms", &alice.refresh, Value::Null).await;
    assert_eq!((status, &answer["code"]), (401, &json!("unauthorized")));
    assert!(Client::try_connect(&server.address, &alice.refresh).await.is_none());
    let mut socket = Client::connect(&server.address, None).await;
    let auth = json!({"do":"auth","token":alice.refresh});
    assert_eq!(socket.refused(auth).await, "unauthorized");
    assert_eq!(socket.close_code().await, 4401);
    // Access tokens prolong nothing.
    for token in [&alice.token, &guest.token] {
        let body = json!({ "refresh_token": token });
        let (status, answer) = server.call("POST", "/tokens/refresh", "", body).await;
        assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")));
    }
    // A token of somebody else does not take a connection over.
    let bob = server.sign_up("bob").await;
    let mut socket = connect(&server, &alice).await;
    let error = socket.error(json!({"do":"auth","token":bob.token})).await;
    assert_eq!(error["code"], "unauthorized", "{error}");
}

#[actix_web::test]
async fn what_is_far_too_long_costs_nothing_and_keeps_nothing() {
    let server = TestServer::start().await;
    let alice = server.sign_up("alice").await;
    let long = "x".repeat(1 << 20);
    let sign_in = json!({ "username": "alice", "password": long });
    for (method, path, token, body) in [
        ("POST", "/users", "", json!({ "username": "mallory", "password": long })),
        ("POST", "/tokens", "", sign_in),
        ("PUT", "/users/me/password", &alice.token, json!({ "old": PASSWORD, "new": long })),
        ("DELETE", "/users/me", &alice.token, json!({ "password": long })),
    ] {
        let (status, answer) = server.call(method, path, token, body).await;
        assert_eq!((status, &answer["code"]), (413, &json!("too_large")), "{method} {path}");
    }
    let mut socket = Client::connect(&server.address, None).await;
    socket.send(&json!({"id":1,"do":"auth","token":long})).await;
    loop {
        match socket.next().await {
            Frame::Json(_) => {}
            Frame::Close(code) => break assert_eq!(code, 1009),
            // What could not be read any more may take the close frame with it.
            Frame::End => break,
        }
    }
    let body = json!({ "username": "alice", "password": PASSWORD });
    assert_eq!(server.call("POST", "/tokens", "", body).await.0, 201, "it is the same still");
}

#[actix_web::test]
async fn a_call_is_worth_what_its_token_is_when_its_body_has_come() {
    let server = TestServer::start().await;
    let (alice, mut socket) = comes(&server, "alice").await;
    let room = server.room(&alice.token, "Tea").await;
    let messages = format!("/rooms/{room}/messages");
    for ending in ["sign out", "expiry"] {
        let again = json!({ "username": "alice", "password": PASSWORD });
        let again = Person::of(&server.call("POST", "/tokens", "", again).await.1);
        let mut held = Vec::new();
        for (method, path, body) in [
            ("POST", messages.clone(), json!({"text":"late"})),
            ("POST", "/rooms".to_owned(), json!({"title":"Late"})),
            ("PATCH", "/users/me".to_owned(), json!({"nickname":"Late"})),
        ] {
            let body = body.to_string();
            let head = format!(
                "{method} /api/v1{path} HTTP/1.1\r\nhost: chat\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\
                 expect: 100-continue\r\n\r\n",
                again.token,
                body.len()
            );
            let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
            stream.write_all(head.as_bytes()).await.expect("written");
            // It waits for the body, and has looked at the token.
            let mut answer = [0; 25];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
            held.push((stream, body));
        }
        if ending == "expiry" {
            server.clock.advance(Duration::from_secs(900));
        } else {
            let (status, _) = server.call("DELETE", "/tokens", &again.token, Value::Null).await;
            assert_eq!(status, 204);
        }
        for (mut stream, body) in held {
            stream.write_all(body.as_bytes()).await.expect("written");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 401", "{ending}: {body}");
        }
        let refreshed = json!({ "username": "alice", "password": PASSWORD });
        let now = Person::of(&server.call("POST", "/tokens", "", refreshed).await.1);
        let page = server.ok(&now, "GET", &messages, Value::Null).await;
        assert_eq!(page["messages"], json!([]));
        let rooms = server.ok(&now, "GET", "/rooms", Value::Null).await;
        assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(1));
        let me = server.ok(&now, "GET", "/users/me", Value::Null).await;
        assert_eq!(me["name"], "alice");
    }
    assert!(!socket.events.iter().any(|event| event["event"] == "message"));
    socket.socket.close(None).await.ok();
}

/// Everything secret that goes through a server in this story.
async fn story(process: &mut Process, base: &str) -> BTreeSet<String> {
    let (http, mut secrets) = (Http::default(), BTreeSet::new());
    let mut keep = |texts: &[&str]| secrets.extend(texts.iter().map(|text| (*text).to_owned()));
    let call = async |method: &str, path: &str, token: &str, body: Value| {
        call(&http, base, method, path, token, body).await
    };
    let (password, newer) = ("correct horse battery", "staple of another kind");
    keep(&[password, newer]);
    let gus = guest(&http, base, "Gus").await;
    keep(&[&gus.token]);
    let body = json!({ "username": "alice", "password": password });
    let (status, answer) = call("POST", "/users", &gus.token, body.clone()).await;
    assert_eq!(status, 201, "{answer}");
    let alice = Person::of(&answer);
    keep(&[&alice.token, &alice.refresh]);
    // What is refused says no more of it: wrong passwords, void and forged tokens, bad frames.
    let wrong = "quite another horse";
    keep(&[wrong]);
    let bad = json!({ "username": "alice", "password": wrong });
    assert_eq!(call("POST", "/tokens", "", bad).await.0, 401);
    let bad = json!({ "username": "alice", "password": password, "pass": wrong });
    assert_eq!(call("POST", "/tokens", "", bad).await.0, 400);
    let forged = format!("{}x", alice.token);
    keep(&[&forged]);
    assert_eq!(call("GET", "/users/me", &forged, Value::Null).await.0, 401);
    let answer = call("POST", "/tokens", "", body).await.1;
    let again = Person::of(&answer);
    keep(&[&again.token, &again.refresh]);
    let refresh = json!({ "refresh_token": again.refresh });
    let (status, answer) = call("POST", "/tokens/refresh", "", refresh.clone()).await;
    assert_eq!(status, 201, "{answer}");
    let third = Person::of(&answer);
    keep(&[&third.token, &third.refresh]);
    assert_eq!(call("POST", "/tokens/refresh", "", refresh).await.0, 409);
    let address = base.trim_start_matches("http://");
    let mut socket = Client::connect(address, None).await;
    socket.ok(json!({"do":"auth","token":third.token})).await;
    socket.refused(json!({"do":"auth","token":forged})).await;
    assert!(Client::try_connect(address, &forged).await.is_none());
    let mut socket = Client::try_connect(address, &third.token).await.expect("by the address");
    let room = text(&socket.ok(json!({"do":"open","title":"Tea"})).await["room"]["id"]);
    let words = "nobody's business but ours";
    keep(&[words]);
    socket.ok(json!({"do":"join","room":room})).await;
    socket.ok(json!({"do":"send","room":room,"text":words,"key":"k"})).await;
    let change = json!({ "old": password, "new": newer });
    assert_eq!(call("PUT", "/users/me/password", &third.token, change).await.0, 204);
    let delete = json!({ "password": newer, "erase_messages": true });
    assert_eq!(call("DELETE", "/users/me", &third.token, delete).await.0, 204);
    support::until("the user is forgotten", async || process.log().contains("is forgotten")).await;
    secrets
}

#[actix_web::test]
async fn no_secret_gets_into_the_log_whatever_is_logged() {
    for format in ["text", "json"] {
        let folder = TempDir::new().expect("a folder");
        let format = format!("log.format={format}");
        let flags = ["--set", "log.filter=trace", "--set", &format];
        let (mut process, address) = start(folder.path(), &flags).await;
        let mut secrets = story(&mut process, &format!("http://{address}")).await;
        let key = fs::read(folder.path().join("data/signing.key")).expect("a key");
        let key = String::from_utf8_lossy(&key).trim().to_owned();
        secrets.extend([key, "$argon2".to_owned()]);
        process.terminate();
        let (_, log) = process.ended().await;
        // Everything is logged that the program and its libraries have to say.
        assert!(log.contains("TRACE") && log.contains("is forgotten"), "{log}");
        for secret in &secrets {
            let shown = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(shown.is_none(), "{secret} is in the log: {}", shown.unwrap_or_default());
        }
    }
}
