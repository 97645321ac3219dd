//! Whose tokens are believed: those that this server has signed with the key that it has or had, and those
//! of the customer's own sign-in; at every door, and no others. What else may be wrong with a token is in
//! `bad_tokens.rs`.

mod support;

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use chat_core::Clock;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::doors::{admitted, refused};
use support::keys::{Key, part, sealed};
use support::{Client, PASSWORD, Person, TestServer, text};
use tempfile::TempDir;

/// Who the customer's own sign-in says that it is.
const SIGN_IN: &str = "https://login.example.com";

/// Whoever is connected when a server stops has nothing more to say.
const NO_PATIENCE: &str = "server.shutdown_timeout_s=0";

/// The algorithm of a token, and the key that it names.
fn signed_with(token: &str) -> (Algorithm, String) {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    (header.alg, header.kid.expect("a key's name"))
}

/// A server in this folder whose file of settings says this of `[auth]`; secrets are taken from nowhere
/// that others may look at.
async fn with_auth(data: Arc<TempDir>, says: &str) -> TestServer {
    let folder = data.path().join("config");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("default.toml"), format!("[auth]\n{says}\n")).expect("a file");
    TestServer::start_in(data, None, &[NO_PATIENCE]).await
}

async fn signed_in(server: &TestServer, username: &str) -> Person {
    let body = json!({ "username": username, "password": PASSWORD });
    let (status, answer) = server.call("POST", "/tokens", "", body).await;
    assert_eq!(status, 201, "{answer}");
    Person::of(&answer)
}

#[actix_web::test]
async fn tokens_outlive_the_key_that_signed_them_where_it_is_kept() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, Key::new("", Algorithm::EdDSA).pem()).expect("a file");
        format!("signing_key = \"{}\"", path.display())
    };
    let keys = [file("one.pem"), file("two.pem")];
    let secrets =
        [1, 2].map(|nth| format!("secret = \"a secret of no less than 32 bytes, {nth}\""));
    for (before, after) in [
        (&keys[0], &keys[1]),
        (&secrets[0], &secrets[1]),
        (&secrets[0], &keys[0]),
        (&keys[0], &secrets[0]),
    ] {
        let what = format!("{before}, then {after}");
        let data = Arc::new(TempDir::new().expect("a folder"));
        let server = with_auth(data, before).await;
        let (alice, guest) = (server.sign_up("alice").await, server.guest("Gus").await);
        let then = [(&alice.token, &alice.id), (&guest.token, &guest.id)];
        for (token, id) in then {
            assert_eq!(admitted(&server, token, &what).await, *id);
        }

        // The key is gone, and with it its tokens; who is signed in is so all the same.
        let data = server.stop().await;
        let server = with_auth(data, after).await;
        let refresh = json!({ "refresh_token": alice.refresh });
        let (status, answer) = server.call("POST", "/tokens/refresh", "", refresh).await;
        assert_eq!(status, 201, "{what}: {answer}");
        let later = Person::of(&answer).token;
        assert_eq!(admitted(&server, &later, &what).await, alice.id);
        for (token, _) in then {
            refused(&server, token, None, &what).await;
        }
        refused(&server, &alice.token, Some(&later), &what).await;

        // The key is kept: its tokens are good, and no new ones are signed with it.
        let data = server.stop().await;
        let server = with_auth(data, &format!("{after}\nearlier_{before}")).await;
        for (token, id) in then.into_iter().chain([(&later, &alice.id)]) {
            assert_eq!(admitted(&server, token, &what).await, *id);
        }
        let newest = signed_in(&server, "alice").await.token;
        assert_eq!(admitted(&server, &newest, &what).await, alice.id);
        assert_eq!(signed_with(&newest), signed_with(&later), "{what}");
        assert_ne!(signed_with(&newest).1, signed_with(&alice.token).1, "{what}");
        assert_eq!(signed_with(&server.guest("Eve").await.token), signed_with(&newest));
        let by_file = after.starts_with("signing_key");
        let algorithm = if by_file { Algorithm::EdDSA } else { Algorithm::HS256 };
        assert_eq!(signed_with(&newest).0, algorithm, "{what}");
    }
}

/// The customer's own sign-in: its keys, and the file in which it publishes them.
struct SignIn {
    keys: [Key; 3],
    folder: TempDir,
}

impl SignIn {
    fn new() -> Self {
        let algorithms =
            [("ed", Algorithm::EdDSA), ("rsa", Algorithm::RS256), ("ec", Algorithm::ES256)];
        let keys = algorithms.map(|(id, algorithm)| Key::new(id, algorithm));
        let folder = TempDir::new().expect("a folder");
        let public = json!({ "keys": keys.each_ref().map(Key::public) });
        fs::write(folder.path().join("jwks.json"), public.to_string()).expect("a file");
        Self { keys, folder }
    }

    /// A server that believes it.
    async fn server(&self, data: Option<Arc<TempDir>>) -> TestServer {
        let data = data.unwrap_or_else(|| Arc::new(TempDir::new().expect("a folder")));
        let file = format!("auth.jwks={}", self.folder.path().join("jwks.json").display());
        let issuer = format!("auth.jwks_issuer={SIGN_IN}");
        let set = [&*file, &*issuer, "auth.jwks_audience=chat", NO_PATIENCE];
        TestServer::start_in(data, None, &set).await
    }
}

fn now(server: &TestServer) -> i64 {
    server.clock.now().timestamp()
}

/// What the sign-in says of somebody, for five minutes.
fn claims(server: &TestServer, sub: &str) -> Value {
    let now = now(server);
    json!({
        "iss": SIGN_IN, "aud": ["chat", "mail"], "sub": sub, "name": "Erika Muster",
        "iat": now, "nbf": now, "exp": now + 300,
    })
}

#[actix_web::test]
async fn who_comes_from_another_sign_in_opens_joins_and_writes() {
    let sign_in = SignIn::new();
    let server = sign_in.server(None).await;
    let tokens = sign_in.keys.each_ref().map(|key| key.token(&claims(&server, "erika")));
    let erika = admitted(&server, &tokens[0], "ed").await;
    for (token, key) in tokens.iter().zip(&sign_in.keys) {
        assert_eq!(admitted(&server, token, key.id).await, erika, "{}", key.id);
        let mut socket = Client::connect(&server.address, Some(token)).await;
        let room = socket.ok(json!({"do":"open","title":key.id})).await["room"]["id"].clone();
        let joined = socket.ok(json!({"do":"join","room":room})).await;
        let me = json!({ "id": erika, "name": "Erika Muster", "role": "owner" });
        assert_eq!(joined["me"], me, "{}", key.id);
        socket.ok(json!({"do":"send","room":room,"text":"by the socket"})).await;
        let path = format!("/rooms/{}", text(&room));
        let (status, me) =
            server.call("PUT", &format!("{path}/members/me"), token, Value::Null).await;
        assert_eq!((status, &me["role"]), (200, &json!("owner")));
        let messages = format!("{path}/messages");
        let (status, _) = server.call("POST", &messages, token, json!({"text":"over HTTP"})).await;
        assert_eq!(status, 201);
        let (_, page) = server.call("GET", &messages, token, Value::Null).await;
        let from = |nth: usize| &page["messages"][nth]["from"]["id"];
        assert_eq!((from(0), from(1)), (&json!(erika), &json!(erika)), "{page}");
    }
    // What a guest of this server has opened is joined like any other room; and she is nobody else.
    let gus = server.guest("Gus").await;
    let room = server.room(&gus.token, "Tea").await;
    let path = format!("/rooms/{room}/members/me");
    let (status, me) = server.call("PUT", &path, &tokens[1], Value::Null).await;
    assert_eq!((status, &me["id"], &me["role"]), (200, &json!(erika), &json!("member")));
    let other = sign_in.keys[0].token(&claims(&server, "erika2"));
    assert_ne!(admitted(&server, &other, "another").await, erika);

    // She is the same after a restart, at another second, by whatever name.
    let data = server.stop().await;
    let server = sign_in.server(Some(data)).await;
    server.clock.advance(Duration::from_secs(3_600));
    let mut later = claims(&server, "erika");
    later["nickname"] = json!("Rika");
    let later = sign_in.keys[2].token(&later);
    assert_eq!(admitted(&server, &later, "later").await, erika);
    let (status, me) = server.call("PUT", &path, &later, Value::Null).await;
    assert_eq!((status, &me["id"], &me["role"]), (200, &json!(erika), &json!("member")));
}

#[actix_web::test]
async fn a_connection_lasts_as_long_as_the_other_sign_in_s_token() {
    let sign_in = SignIn::new();
    let server = sign_in.server(None).await;
    let key = &sign_in.keys[0];
    let token = key.token(&claims(&server, "erika"));
    let mut lost = Client::connect(&server.address, Some(&token)).await;
    let mut kept = Client::connect(&server.address, Some(&token)).await;
    lost.ok(json!({"do":"ping"})).await;
    kept.ok(json!({"do":"ping"})).await;
    server.clock.advance(Duration::from_secs(240));
    lost.event("expiring").await;
    kept.event("expiring").await;
    let newer = key.token(&claims(&server, "erika"));
    kept.ok(json!({"do":"auth","token":newer})).await;
    let other = key.token(&claims(&server, "erika2"));
    assert_eq!(kept.refused(json!({"do":"auth","token":other})).await, "unauthorized");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(lost.close_code().await, 4401);
    kept.ok(json!({"do":"ping"})).await;
    refused(&server, &token, Some(&newer), "expired").await;
}

#[actix_web::test]
async fn who_comes_from_another_sign_in_has_no_account_here() {
    let sign_in = SignIn::new();
    let server = sign_in.server(None).await;
    let bob = server.sign_up("bob").await;
    let token = sign_in.keys[0].token(&claims(&server, "erika"));
    let (friend, block) = (format!("/friends/{}", bob.id), format!("/blocks/{}", bob.id));
    let group = format!("/friend-groups/{}", bob.id);
    let null = Value::Null;
    for (method, path, body) in [
        ("GET", "/users/me", null.clone()),
        ("PATCH", "/users/me", json!({ "nickname": "Rika", "status": "here" })),
        ("DELETE", "/users/me", json!({ "password": PASSWORD })),
        ("PUT", "/users/me/password", json!({ "old": PASSWORD, "new": "another horse" })),
        ("DELETE", "/tokens", null.clone()),
        ("DELETE", "/tokens?everywhere=true", null.clone()),
        ("GET", "/friends", null.clone()),
        ("PUT", &friend, null.clone()),
        ("PATCH", &friend, json!({ "favourite": true })),
        ("DELETE", &friend, null.clone()),
        ("GET", "/friend-groups", null.clone()),
        ("POST", "/friend-groups", json!({ "name": "Work" })),
        ("PATCH", &group, json!({ "name": "Work" })),
        ("DELETE", &group, null.clone()),
        ("GET", "/blocks", null.clone()),
        ("PUT", &block, null.clone()),
        ("DELETE", &block, null.clone()),
    ] {
        let (status, answer) = server.call(method, path, &token, body).await;
        let seen = (status, &answer["code"]);
        assert_eq!(seen, (403, &json!("no_account")), "{method} {path}: {answer}");
    }
    // Nor does she get one, which would outlast what the sign-in says of her.
    let body = json!({ "username": "erika", "password": PASSWORD });
    let (status, answer) = server.call("POST", "/users", &token, body).await;
    assert_eq!((status, &answer["code"]), (409, &json!("has_account")), "{answer}");
    admitted(&server, &token, "as before").await;
    // Others have accounts here as ever.
    let (status, me) = server.call("GET", "/users/me", &bob.token, Value::Null).await;
    assert_eq!((status, &me["username"]), (200, &json!("bob")));
}

/// Tokens that the customer's sign-in has not signed, or not for us, each for one reason only.
fn forged(server: &TestServer, sign_in: &SignIn, here: &str) -> Vec<(String, String)> {
    let right = claims(server, "erika");
    let with = |claim: &str, value: Value| {
        let mut claims = right.clone();
        claims[claim] = value;
        claims
    };
    let without = |claim: &str| {
        let mut claims = right.clone();
        claims.as_object_mut().expect("claims").remove(claim);
        claims
    };
    let stranger = Key::new("stranger", Algorithm::EdDSA);
    let at = now(server);
    let mut tokens = vec![("nobody's key".to_owned(), stranger.token(&right))];
    for key in &sign_in.keys {
        let mut add = |what: &str, token| tokens.push((format!("{}: {what}", key.id), token));
        for (what, claims) in [
            ("another issuer", with("iss", json!("https://login.example.org"))),
            ("this server as its issuer", with("iss", json!("chat-server"))),
            ("no issuer", without("iss")),
            ("another audience", with("aud", json!(["mail"]))),
            ("no audience", without("aud")),
            ("expired", with("exp", json!(at))),
            ("expired long ago", with("exp", json!(1))),
            ("an end that is none", with("exp", json!("tomorrow"))),
            ("an end that no calendar has", with("exp", json!(1e300))),
            ("no end", without("exp")),
            ("good later", with("nbf", json!(at + 60))),
            ("good from a time on that no calendar has", with("nbf", json!(1e300))),
            ("nobody's", without("sub")),
            ("an empty user", with("sub", json!(""))),
            ("a user that is none", with("sub", json!({ "id": "erika" }))),
            ("a name without a letter", with("name", json!("\u{7}"))),
        ] {
            add(what, key.token(&claims));
        }
        let text = right.to_string();
        let twice = format!("{},\"sub\":\"admin\"}}", &text[..text.len() - 1]);
        add("two users", key.token(&RawValue::from_string(twice).expect("JSON")));

        let header = |field: &str, value: Value| {
            let mut header = key.header();
            header[field] = value;
            header
        };
        let own = |header: &Value| sealed(header, &right, key.algorithm, &key.signing);
        let other = Key::new(key.id, key.algorithm);
        add("another key by its name", other.token(&right));
        add("an unknown name", own(&header("kid", json!("nobody"))));
        add("a name like the path of a file", own(&header("kid", json!("../../../dev/null"))));
        add("something else than a name", own(&header("kid", json!(7))));
        add("no name", own(&json!({ "alg": key.algorithm })));
        add("what must be understood and is not", {
            let mut header = header("crit", json!(["b64"]));
            header["b64"] = json!(true);
            own(&header)
        });
        let good = key.token(&right);
        let signature = good.rsplit('.').next().expect("a signature");
        for algorithm in ["none", "None", "nOnE"] {
            let unsigned = format!("{}.{}.", part(&header("alg", json!(algorithm))), part(&right));
            add("not signed, but with a signature", format!("{unsigned}{signature}"));
            add("not signed", unsigned);
        }
        for secret in key.public_bytes() {
            let (algorithm, secret) = (Algorithm::HS256, EncodingKey::from_secret(&secret));
            let header = header("alg", json!(algorithm));
            add("its public key as a secret", sealed(&header, &right, algorithm, &secret));
        }
        for another in sign_in.keys.iter().filter(|another| another.id != key.id) {
            let token = sealed(
                &header("alg", json!(another.algorithm)),
                &right,
                another.algorithm,
                &another.signing,
            );
            add("another of its keys", token);
        }
        let [_, payload, signature] = here.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for algorithm in [json!("HS256"), json!(key.algorithm)] {
            let mut header = header("alg", algorithm);
            header["typ"] = json!("at+jwt");
            add(
                "this server's token by its name",
                format!("{}.{payload}.{signature}", part(&header)),
            );
        }
    }
    tokens
}

#[actix_web::test]
async fn what_the_other_sign_in_has_not_signed_for_us_is_refused_at_every_door() {
    let sign_in = SignIn::new();
    let server = sign_in.server(None).await;
    let gus = server.guest("Gus").await;
    let good = sign_in.keys[0].token(&claims(&server, "erika"));
    for (what, token) in forged(&server, &sign_in, &gus.token) {
        refused(&server, &token, Some(&good), &what).await;
    }
    // What is wrong with them is what their names say.
    for key in &sign_in.keys {
        admitted(&server, &key.token(&claims(&server, "erika")), key.id).await;
    }
    assert_eq!(admitted(&server, &gus.token, "this server's own").await, gus.id);
}

#[actix_web::test]
async fn no_token_says_where_its_key_is() {
    let sign_in = SignIn::new();
    let server = sign_in.server(None).await;
    // Whoever looked there would find a key.
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("it is told at once");
    let address = format!("http://{}/key", elsewhere.local_addr().expect("an address"));
    let right = claims(&server, "erika");
    for key in &sign_in.keys {
        let mallory = Key::new("mallory", key.algorithm);
        for id in [key.id, mallory.id] {
            let certificate = json!([part(&json!("a certificate"))]);
            for (field, value) in [
                ("jku", json!(address)),
                ("x5u", json!(address)),
                ("jwk", mallory.public()),
                ("x5c", certificate),
            ] {
                let mut header = mallory.header();
                header["kid"] = json!(id);
                header[field] = value;
                let token = sealed(&header, &right, mallory.algorithm, &mallory.signing);
                refused(&server, &token, None, &format!("{field} of {id}")).await;
            }
        }
    }
    // Nor is a key asked for that a good token names besides.
    let key = &sign_in.keys[0];
    let mut header = key.header();
    header["jku"] = json!(address);
    header["x5u"] = json!(address);
    admitted(&server, &sealed(&header, &right, key.algorithm, &key.signing), "both").await;
    let asked = elsewhere.accept().map(|(_, from)| from);
    assert_eq!(asked.map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
}

#[actix_web::test]
async fn no_kind_of_this_server_s_tokens_is_taken_for_another() {
    let server = TestServer::start().await;
    let (alice, gus) = (server.sign_up("alice").await, server.guest("Gus").await);
    let key = fs::read_to_string(server.data.path().join("signing.key")).expect("a key");
    let digits = key.trim().as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair));
    let bytes = digits.map(|pair| u8::from_str_radix(pair.expect("ASCII"), 16));
    let secret: Vec<u8> = bytes.map(|byte| byte.expect("hexadecimal")).collect();
    let key = EncodingKey::from_secret(&secret);
    // The login that Alice's token names.
    let mut ours = Validation::default();
    ours.set_audience(&["chat"]);
    let said =
        jsonwebtoken::decode::<Value>(&alice.token, &DecodingKey::from_secret(&secret), &ours);
    let login = said.expect("a good token").claims["sid"].clone();
    let now = now(&server);
    let claims = |id: &str| {
        json!({
            "sub": id, "name": "Alice", "iss": "chat-server", "aud": "chat", "iat": now,
            "exp": now + 300, "jti": id,
        })
    };
    let kid = signed_with(&alice.token).1;
    let sign = |typ: &str, claims: &Value| {
        let header = json!({ "typ": typ, "alg": "HS256", "kid": kid });
        sealed(&header, claims, Algorithm::HS256, &key)
    };
    let null = Value::Null;
    let with = |id: &str, kind: Value, sid: Option<&Value>| {
        let mut claims = claims(id);
        claims["kind"] = kind;
        if let Some(sid) = sid {
            claims["sid"] = sid.clone();
        }
        claims
    };
    let user = with(&alice.id, json!("user"), Some(&login));
    let guest = with(&gus.id, json!("guest"), None);
    let but = |claims: &Value, field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        claims
    };
    for (what, claims) in [
        ("a user without a login", with(&alice.id, json!("user"), None)),
        ("a user whose login is nothing", with(&alice.id, json!("user"), Some(&null))),
        ("a user whose login is none", but(&user, "sid", json!("mine"))),
        ("a user with two logins", but(&user, "sid", json!([login, login]))),
        ("a guest with a user's login", with(&gus.id, json!("guest"), Some(&login))),
        ("a user as a guest with a login", with(&alice.id, json!("guest"), Some(&login))),
        ("a kind in capital letters", but(&user, "kind", json!("User"))),
        ("both kinds", but(&user, "kind", json!(["user", "guest"]))),
        ("no kind", but(&user, "kind", null.clone())),
        ("a kind as a number", but(&guest, "kind", json!(1))),
        ("two audiences", but(&guest, "aud", json!(["chat", "chat"]))),
        ("the audience in capital letters", but(&guest, "aud", json!("Chat"))),
        ("an end as text", but(&guest, "exp", json!((now + 300).to_string()))),
        ("a name that is nothing", but(&guest, "name", null.clone())),
        ("a name of two lines", but(&guest, "name", json!("A\nB"))),
        ("nobody's id", but(&guest, "sub", json!("chat-server"))),
    ] {
        refused(&server, &sign("at+jwt", &claims), Some(&alice.token), what).await;
    }
    for typ in ["", "jwt", "rt+jwt", "id+jwt", "at", "at+jwt ", "logout+jwt"] {
        refused(&server, &sign(typ, &user), None, typ).await;
        refused(&server, &sign(typ, &guest), None, typ).await;
    }
    let header = json!({ "typ": "at+jwt", "alg": "HS256", "crit": ["exp"], "exp": now + 300 });
    let critical = sealed(&header, &guest, Algorithm::HS256, &key);
    refused(&server, &critical, None, "what must be understood and is not").await;
    // What is wrong with them is what their names say.
    assert_eq!(admitted(&server, &sign("at+jwt", &user), "a user").await, alice.id);
    assert_eq!(admitted(&server, &sign("at+jwt", &guest), "a guest").await, gus.id);
}
