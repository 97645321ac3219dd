//! Accounts over HTTP, and what becomes of the sockets of whoever signs out: by the outer door, with the
//! clock moved by hand.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{Client, Guest, PASSWORD, Person, TestServer, text};

const REFRESH_TTL: Duration = Duration::from_secs(30 * 86_400);

async fn sign_in(server: &TestServer, username: &str, password: &str) -> (u16, Value) {
    let body = json!({ "username": username, "password": password });
    server.call("POST", "/tokens", "", body).await
}

async fn refresh(server: &TestServer, token: &str) -> (u16, Value) {
    server.call("POST", "/tokens/refresh", "", json!({ "refresh_token": token })).await
}

/// Whether a token is good.
async fn is_good(server: &TestServer, token: &str) -> bool {
    let (status, answer) = server.call("GET", "/rooms", token, Value::Null).await;
    assert!(status == 200 || answer["code"] == "unauthorized", "{status} {answer}");
    status == 200
}

async fn connect(server: &TestServer, token: &str) -> Client {
    let mut client = Client::connect(&server.address, Some(token)).await;
    client.ok(json!({"do":"ping"})).await;
    client
}

#[actix_web::test]
async fn who_has_signed_up_signs_in_by_the_same_name_in_any_case() {
    let server = TestServer::start().await;
    let body = json!({ "username": "Alice", "password": PASSWORD, "nickname": "앨리스 🐇" });
    let (status, answer) = server.call("POST", "/users", "", body).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["user"]["name"], "앨리스 🐇");
    assert_eq!(answer["token_type"], "Bearer");
    // A token ends at a whole second.
    let expires_in = answer["expires_in"].as_u64();
    assert!(matches!(expires_in, Some(899 | 900)), "{answer}");
    let alice = Person::of(&answer);
    for username in ["alice", "ALICE", "Alice", "a1ice"] {
        let (status, answer) = sign_in(&server, username, PASSWORD).await;
        assert_eq!((status, &answer["user"]["id"]), (201, &json!(alice.id)), "{username}");
        assert!(is_good(&server, &Person::of(&answer).token).await);
    }
    let me = json!({ "id": alice.id, "name": "앨리스 🐇", "username": "alice", "status": "" });
    assert_eq!(server.call("GET", "/users/me", &alice.token, Value::Null).await, (200, me.clone()));
    let bob = server.sign_up("bob").await;
    let path = format!("/users/{}", alice.id);
    assert_eq!(server.call("GET", &path, &bob.token, Value::Null).await, (200, me));
    // It is there after a restart.
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    assert_eq!(sign_in(&server, "alice", PASSWORD).await.0, 201);
    assert!(is_good(&server, &bob.token).await, "and so is the token");
}

#[actix_web::test]
async fn a_username_is_given_once_and_so_are_those_that_look_like_it() {
    let server = TestServer::start().await;
    server.sign_up("paypal").await;
    server.sign_up("cop").await;
    // The last one is all Cyrillic.
    for username in ["paypal", "PayPal", "paypa1", "c0p", "\u{441}\u{43e}\u{440}"] {
        let body = json!({ "username": username, "password": PASSWORD });
        let (status, answer) = server.call("POST", "/users", "", body).await;
        assert_eq!((status, &answer["code"]), (409, &json!("username_taken")), "{username}");
        assert_eq!(answer["field"], "username");
    }
    // Many at once: one gets it.
    let body = json!({ "username": "mallory", "password": PASSWORD });
    let all = join_all((0..8).map(|_| server.call("POST", "/users", "", body.clone()))).await;
    let mut statuses: Vec<_> = all.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[actix_web::test]
async fn what_is_no_account_is_refused_and_says_why() {
    let server = TestServer::start().await;
    let of = |username: &str, password: &str| json!({ "username": username, "password": password });
    let mut cases = vec![
        (of("al", PASSWORD), 422, "too_short", "username"),
        (of(&"a".repeat(33), PASSWORD), 422, "too_long", "username"),
        (of("a b", PASSWORD), 422, "bad_text", "username"),
        (of("p\u{430}ypal", PASSWORD), 422, "bad_text", "username"),
        (of("alice", "seven77"), 422, "too_short", "password"),
        (of("alice", &"x".repeat(257)), 422, "too_long", "password"),
        (json!({ "username": "alice" }), 400, "bad_request", "password"),
        (json!({ "password": PASSWORD }), 400, "bad_request", "username"),
        (json!({ "username": ["alice"], "password": PASSWORD }), 400, "bad_request", "username"),
        (json!({ "username": "alice", "password": 12_345_678 }), 400, "bad_request", "password"),
    ];
    // What the caller may not choose.
    for field in ["id", "role", "kind", "was_guest", "created_ms"] {
        let mut body = of("alice", PASSWORD);
        body[field] = json!("admin");
        cases.push((body, 400, "bad_request", field));
    }
    let mut blank = of("alice", PASSWORD);
    blank["nickname"] = json!(" ");
    cases.push((blank, 422, "empty", "nickname"));
    for (body, status, code, field) in cases {
        let (got, answer) = server.call("POST", "/users", "", body.clone()).await;
        assert_eq!((got, &answer["code"], &answer["field"]), (status, &json!(code), &json!(field)));
        let shown = answer.to_string();
        assert!(!shown.contains(PASSWORD) && !shown.contains("12345678"), "{shown}");
    }
    let body = of("alice", &"x".repeat(1 << 20));
    let (status, answer) = server.call("POST", "/users", "", body).await;
    assert_eq!((status, &answer["code"]), (413, &json!("too_large")));
    assert_eq!(sign_in(&server, "alice", PASSWORD).await.0, 401, "nothing was kept");
}

#[actix_web::test]
async fn nobody_is_told_whether_the_name_or_the_password_was_wrong() {
    let server = TestServer::start().await;
    let alice = server.sign_up("alice").await;
    let mut answers = Vec::new();
    for (username, password) in [
        ("alice", "another horse"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("a b", PASSWORD),
        ("alice", ""),
        ("alice", &"x".repeat(257)),
        ("alice", &PASSWORD.to_uppercase()),
        ("alice", &format!("{PASSWORD} ")),
        (alice.id.as_str(), PASSWORD),
    ] {
        let (status, answer) = sign_in(&server, username, password).await;
        assert_eq!((status, &answer["code"]), (401, &json!("bad_credentials")), "{username}");
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[actix_web::test]
async fn a_refresh_token_is_exchanged_once_and_a_copy_ends_the_login() {
    let server = TestServer::start().await;
    let first = server.sign_up("alice").await;
    let (_, other) = sign_in(&server, "alice", PASSWORD).await;
    let other = Person::of(&other);
    let mut socket = connect(&server, &first.token).await;
    let mut elsewhere = connect(&server, &other.token).await;

    let (status, answer) = refresh(&server, &first.refresh).await;
    assert_eq!(status, 201, "{answer}");
    let second = Person::of(&answer);
    assert_eq!(second.id, first.id);
    assert_ne!((&second.token, &second.refresh), (&first.token, &first.refresh));
    // Another part of the same program was late: nothing ends.
    let (status, answer) = refresh(&server, &first.refresh).await;
    assert_eq!((status, &answer["code"]), (409, &json!("refreshed_already")));
    assert!(is_good(&server, &second.token).await);

    // A thief, or its owner after a thief.
    server.clock.advance(Duration::from_secs(11));
    let (status, answer) = refresh(&server, &first.refresh).await;
    assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")));
    assert_eq!(socket.close_code().await, 4401);
    for token in [&first.token, &second.token] {
        assert!(!is_good(&server, token).await);
        assert!(Client::try_connect(&server.address, token).await.is_none());
    }
    let (status, answer) = refresh(&server, &second.refresh).await;
    assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")));
    // The other login has nothing to do with it.
    assert!(is_good(&server, &other.token).await);
    elsewhere.ok(json!({"do":"ping"})).await;
    assert_eq!(refresh(&server, &other.refresh).await.0, 201);
    // What has ended stays so after a restart.
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    assert!(!is_good(&server, &second.token).await);
    assert!(is_good(&server, &other.token).await);
}

#[actix_web::test]
async fn of_many_refreshes_at_once_one_wins() {
    let server = TestServer::start().await;
    let mut alice = server.sign_up("alice").await;
    for _ in 0..5 {
        let all = join_all((0..8).map(|_| refresh(&server, &alice.refresh))).await;
        let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(|(status, _)| *status == 201);
        assert_eq!(won.len(), 1, "{won:?} {lost:?}");
        for (status, answer) in lost {
            assert_eq!((status, &answer["code"]), (409, &json!("refreshed_already")));
        }
        alice = Person::of(&won[0].1);
    }
    assert!(is_good(&server, &alice.token).await);
}

#[actix_web::test]
async fn refresh_tokens_end_and_nothing_else_is_one() {
    let server = TestServer::start().await;
    let alice = server.sign_up("alice").await;
    let guest = server.guest("Gast").await;
    let upper = alice.refresh.to_uppercase();
    for token in ["", "x", &alice.token, &guest.token, &upper, &alice.refresh[1..]] {
        let (status, answer) = refresh(&server, token).await;
        assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")), "{token}");
    }
    // A refresh token opens no door.
    assert!(!is_good(&server, &alice.refresh).await);
    assert!(Client::try_connect(&server.address, &alice.refresh).await.is_none());
    let (status, _) = server.call("DELETE", "/tokens", &alice.refresh, Value::Null).await;
    assert_eq!(status, 401);
    server.clock.advance(REFRESH_TTL);
    let (status, answer) = refresh(&server, &alice.refresh).await;
    assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")), "past its time");
}

#[actix_web::test]
async fn signing_out_ends_what_it_says_at_once() {
    let server = TestServer::start().await;
    let here = server.sign_up("alice").await;
    let there = Person::of(&sign_in(&server, "alice", PASSWORD).await.1);
    let bob = server.sign_up("bob").await;
    let mut sockets = [connect(&server, &here.token).await, connect(&server, &there.token).await];
    let mut bobs = connect(&server, &bob.token).await;

    let gone = server.call("DELETE", "/tokens", &here.token, Value::Null).await;
    assert_eq!(gone, (204, Value::Null));
    assert_eq!(sockets[0].close_code().await, 4401);
    assert!(!is_good(&server, &here.token).await);
    assert_eq!(refresh(&server, &here.refresh).await.0, 401);
    sockets[1].ok(json!({"do":"ping"})).await;

    let again = Person::of(&sign_in(&server, "alice", PASSWORD).await.1);
    let gone = server.call("DELETE", "/tokens?everywhere=true", &again.token, Value::Null).await;
    assert_eq!(gone.0, 204);
    assert_eq!(sockets[1].close_code().await, 4401);
    for token in [&there, &again] {
        assert!(!is_good(&server, &token.token).await);
        assert_eq!(refresh(&server, &token.refresh).await.0, 401);
    }
    bobs.ok(json!({"do":"ping"})).await;
    assert!(is_good(&server, &bob.token).await);
    assert_eq!(sign_in(&server, "alice", PASSWORD).await.0, 201, "she may come back");
    // A guest has nothing to sign out of.
    let guest = server.guest("Gast").await;
    let (status, answer) = server.call("DELETE", "/tokens", &guest.token, Value::Null).await;
    assert_eq!((status, &answer["code"]), (403, &json!("no_account")));
}

#[actix_web::test]
async fn another_password_ends_all_other_logins() {
    let server = TestServer::start().await;
    let here = server.sign_up("alice").await;
    let there = Person::of(&sign_in(&server, "alice", PASSWORD).await.1);
    let mut sockets = [connect(&server, &here.token).await, connect(&server, &there.token).await];
    let change = async |old: &str, new: &str| {
        let body = json!({ "old": old, "new": new });
        let (status, answer) = server.call("PUT", "/users/me/password", &here.token, body).await;
        (status, text_or_empty(&answer["code"]), text_or_empty(&answer["field"]))
    };
    let refused = |status, code: &str, field: &str| (status, code.to_owned(), field.to_owned());
    assert_eq!(
        change("wrong horse", "another horse").await,
        refused(401, "bad_credentials", "old")
    );
    assert_eq!(change(PASSWORD, "short").await, refused(422, "too_short", "new"));
    assert_eq!(change("", "another horse").await, refused(401, "bad_credentials", "old"));
    assert!(is_good(&server, &there.token).await, "nothing has happened yet");
    assert_eq!(change(PASSWORD, "another horse").await.0, 204);
    assert_eq!(sockets[1].close_code().await, 4401);
    assert!(!is_good(&server, &there.token).await);
    sockets[0].ok(json!({"do":"ping"})).await;
    assert!(is_good(&server, &here.token).await);
    assert_eq!(sign_in(&server, "alice", PASSWORD).await.0, 401);
    assert_eq!(sign_in(&server, "alice", "another horse").await.0, 201);
    let guest = server.guest("Gast").await;
    let body = json!({ "old": PASSWORD, "new": "another horse" });
    let (status, answer) = server.call("PUT", "/users/me/password", &guest.token, body).await;
    assert_eq!((status, &answer["code"]), (403, &json!("no_account")));
}

fn text_or_empty(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn a_guest_becomes_a_user_and_keeps_rooms_and_messages() {
    let server = TestServer::start().await;
    let Guest { token, id } = server.guest("Gisela").await;
    let room = server.room(&token, "Tea").await;
    let messages = format!("/rooms/{room}/messages");
    server.call("POST", &messages, &token, json!({ "text": "as a guest" })).await;
    let mut socket = connect(&server, &token).await;

    let body = json!({ "username": "gisela", "password": PASSWORD });
    let (status, answer) = server.call("POST", "/users", &token, body.clone()).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["user"], json!({ "id": id, "name": "Gisela" }));
    let gisela = Person::of(&answer);
    // The guest's token is anybody's who got hold of it, and is no good any more.
    assert_eq!(socket.close_code().await, 4401);
    assert!(!is_good(&server, &token).await);
    let (status, _) =
        server.call("POST", &messages, &gisela.token, json!({ "text": "as a user" })).await;
    assert_eq!(status, 201);
    let (_, page) = server.call("GET", &messages, &gisela.token, Value::Null).await;
    let of = |number: usize| &page["messages"][number]["from"]["id"];
    assert_eq!((of(0), of(1)), (&json!(id), &json!(id)), "{page}");
    let path = format!("/rooms/{room}/members");
    let (_, members) = server.call("GET", &path, &gisela.token, Value::Null).await;
    assert_eq!(members["members"][0]["role"], "owner");

    // Once is enough.
    let mut again = body.clone();
    again["username"] = json!("gisela2");
    let (status, answer) = server.call("POST", "/users", &gisela.token, again.clone()).await;
    assert_eq!((status, &answer["code"]), (409, &json!("has_account")));
    assert_eq!(server.call("POST", "/users", &token, again.clone()).await.0, 401);
    assert_eq!(
        server.call("POST", "/users", "not.a.token", again).await.0,
        401,
        "a bad token is none"
    );
    // Nor is it any good after a restart.
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    assert!(!is_good(&server, &token).await);
    assert!(is_good(&server, &gisela.token).await);
}

#[actix_web::test]
async fn a_socket_is_warned_and_renewed_in_place() {
    let server = TestServer::start().await;
    let alice = server.sign_up("alice").await;
    let mut kept = connect(&server, &alice.token).await;
    let mut lost = connect(&server, &alice.token).await;
    let (minute, most) = (Duration::from_secs(60), Duration::from_secs(840));
    server.clock.advance(most);
    let warning = kept.event("expiring").await;
    assert_eq!(lost.event("expiring").await, warning);
    let at: chrono::DateTime<chrono::Utc> = text(&warning["at"]).parse().expect("a time");
    let left = at - chat_core::Clock::now(&server.clock);
    assert!((left.num_seconds() - 60).abs() <= 1, "{left}");
    let next = Person::of(&refresh(&server, &alice.refresh).await.1);
    let renewed = kept.ok(json!({"do":"auth","token":next.token})).await;
    assert_eq!(renewed["user"]["id"], json!(alice.id));
    server.clock.advance(minute);
    assert_eq!(lost.close_code().await, 4401);
    kept.ok(json!({"do":"ping"})).await;
    // It belongs to the login still.
    server.call("DELETE", "/tokens", &next.token, Value::Null).await;
    assert_eq!(kept.close_code().await, 4401);
}

#[actix_web::test]
async fn a_socket_that_changes_logins_ends_with_the_later_one() {
    let server = TestServer::start().await;
    let first = server.sign_up("alice").await;
    let second = Person::of(&sign_in(&server, "alice", PASSWORD).await.1);
    let bob = server.sign_up("bob").await;
    let mut socket = connect(&server, &first.token).await;
    let refused = socket.error(json!({"do":"auth","token":bob.token})).await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("unauthorized"), &json!("token")));
    socket.ok(json!({"do":"auth","token":second.token})).await;
    server.call("DELETE", "/tokens", &first.token, Value::Null).await;
    socket.ok(json!({"do":"ping"})).await;
    server.call("DELETE", "/tokens", &second.token, Value::Null).await;
    assert_eq!(socket.close_code().await, 4401);
}

#[actix_web::test]
async fn people_are_found_by_how_their_names_begin() {
    let server = TestServer::start().await;
    let mut all = Vec::new();
    for (username, nickname) in [
        ("alice", "Ally"),
        ("alina", "Lina"),
        ("bob", "alibaba"),
        ("carol", "Carol"),
        ("김철수", "Kim"),
    ] {
        let body = json!({ "username": username, "password": PASSWORD, "nickname": nickname });
        let (status, answer) = server.call("POST", "/users", "", body).await;
        assert_eq!(status, 201, "{answer}");
        all.push(Person::of(&answer));
    }
    let find = async |query: &str| {
        let path = format!("/users?{query}");
        let (status, answer) = server.call("GET", &path, &all[0].token, Value::Null).await;
        assert_eq!(status, 200, "{query}: {answer}");
        let users = answer["users"].as_array().expect("users").iter();
        let names: Vec<_> = users.map(|user| text(&user["username"])).collect();
        (names.join(" "), text_or_empty(&answer["next"]))
    };
    let found = |names: &str, next: &str| (names.to_owned(), next.to_owned());
    assert_eq!(find("query=ali").await, found("alice alina bob", ""));
    assert_eq!(find("query=ALI").await, found("alice alina bob", ""));
    assert_eq!(find("query=ali&limit=2").await, found("alice alina", "alina"));
    assert_eq!(find("query=ali&limit=2&after=alina").await, found("bob", ""));
    assert_eq!(find("query=lin").await, found("alina", ""));
    assert_eq!(find("query=%EA%B9%80").await, found("김철수", ""));
    assert_eq!(find("query=x").await, found("", ""));
    assert_eq!(find("query=%25").await, found("", ""), "no wildcard");
    for (query, code, field) in [
        ("", "bad_request", "query"),
        ("query=", "empty", "query"),
        (&format!("query={}", "x".repeat(33)), "too_long", "query"),
        ("query=a&role=admin", "bad_request", "role"),
    ] {
        let (_, answer) =
            server.call("GET", &format!("/users?{query}"), &all[0].token, Value::Null).await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!(code), &json!(field)), "{query}");
    }
    assert_eq!(server.call("GET", "/users?query=ali", "", Value::Null).await.0, 401);
    let nobody = "/users/00000000-0000-7000-8000-000000000000";
    let (status, answer) = server.call("GET", nobody, &all[0].token, Value::Null).await;
    assert_eq!((status, &answer["code"]), (404, &json!("no_such_user")));
    let (status, answer) = server.call("GET", "/users/admin", &all[0].token, Value::Null).await;
    assert_eq!((status, &answer["field"]), (400, &json!("user")));
    let guest = server.guest("Gast").await;
    let (status, answer) = server.call("GET", "/users/me", &guest.token, Value::Null).await;
    assert_eq!((status, &answer["code"]), (403, &json!("no_account")));
}

/// Signs in as if from this address, which a proxy in front says.
async fn sign_in_from(
    server: &TestServer,
    address: &str,
    username: &str,
    password: &str,
) -> (u16, Value, Option<String>) {
    let body = json!({ "username": username, "password": password });
    let request = server.http.post(format!("{}/api/v1/tokens", server.base)).json(&body);
    let answer = request.header("x-forwarded-for", address).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json(), answer.header("retry-after"))
}

#[actix_web::test]
async fn guessing_is_slowed_down_and_nobody_is_locked_out() {
    let server = TestServer::with(&["server.trusted_proxies=127.0.0.1"]).await;
    server.sign_up("alice").await;
    let (here, there) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(sign_in_from(&server, there, "alice", PASSWORD).await.0, 201);
    for _ in 0..5 {
        assert_eq!(sign_in_from(&server, here, "alice", "guess guess").await.0, 401);
    }
    // The right one is not looked at either, and nobody learns that it was.
    for password in ["guess guess", PASSWORD] {
        let (status, answer, wait) = sign_in_from(&server, here, "alice", password).await;
        assert_eq!((status, &answer["code"]), (429, &json!("rate_limited")), "{answer}");
        assert_eq!((&answer["retry"], wait.as_deref()), (&json!(true), Some("1")));
    }
    // Names that nobody has are guessed at the same price.
    for _ in 0..5 {
        assert_eq!(sign_in_from(&server, here, "nobody", "guess guess").await.0, 401);
    }
    assert_eq!(sign_in_from(&server, here, "nobody", "guess guess").await.0, 429);
    // Who has been there before comes in, and so does whoever waits.
    assert_eq!(sign_in_from(&server, there, "alice", PASSWORD).await.0, 201);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(sign_in_from(&server, here, "alice", PASSWORD).await.0, 201);
    for _ in 0..5 {
        assert_eq!(
            sign_in_from(&server, here, "alice", "guess guess").await.0,
            401,
            "it begins anew"
        );
    }
}

#[actix_web::test]
async fn an_address_that_nobody_vouches_for_is_not_believed() {
    let server = TestServer::start().await;
    server.sign_up("alice").await;
    // All of them are this machine's, whatever they say.
    for nth in 0..10 {
        let address = format!("192.0.2.{nth}");
        assert_eq!(sign_in_from(&server, &address, "alice", "guess guess").await.0, 401);
    }
    assert_eq!(sign_in_from(&server, "192.0.2.77", "alice", "guess guess").await.0, 429);
}

#[actix_web::test]
async fn many_accounts_from_one_address_take_their_time() {
    let server = TestServer::with(&["server.trusted_proxies=127.0.0.1"]).await;
    let sign_up = async |nth: usize, address: &str| {
        let body = json!({ "username": format!("bot-{nth}"), "password": PASSWORD });
        let request = server.http.post(format!("{}/api/v1/users", server.base)).json(&body);
        let answer = request.header("x-forwarded-for", address).send().await.expect("an answer");
        answer.status().as_u16()
    };
    for nth in 0..10 {
        assert_eq!(sign_up(nth, "192.0.2.1").await, 201);
    }
    assert_eq!(sign_up(10, "192.0.2.1").await, 429);
    assert_eq!(sign_up(11, "192.0.2.2").await, 201);
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(sign_up(12, "192.0.2.1").await, 201);
}
