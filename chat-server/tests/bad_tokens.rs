//! Forged, expired and missing tokens, and handshakes that are none: refused at every door.

mod support;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use support::Client;
use support::scene::{NO_ROOM, Scene, assert_error, assert_problem, handshake};

/// Tokens that are no good, each for one reason only, and one that is, made in the same way.
fn forged(scene: &Scene) -> (Vec<(&'static str, String)>, String) {
    let key = std::fs::read_to_string(scene.server.data.path().join("signing.key"));
    let key = key.expect("a key");
    let digits = key.trim().as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    let key: Vec<_> = digits.map(|pair| byte(pair).expect("hexadecimal")).collect();
    let claims = json!({
        "sub": scene.guest.id, "name": "Ann", "kind": "guest", "iss": "chat-server", "aud": "chat",
        "iat": 1_000_000_000, "exp": 4_000_000_000_u64, "jti": NO_ROOM,
    });
    let sign = |algorithm, kind: &str, key: &[u8], claims: &Value| {
        let header = Header { typ: Some(kind.to_owned()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key)).expect("a token")
    };
    let with = |claim: &str, value: Value| {
        let mut claims = claims.clone();
        claims[claim] = value;
        sign(Algorithm::HS256, "at+jwt", &key, &claims)
    };
    let without = |claim: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("claims").remove(claim);
        sign(Algorithm::HS256, "at+jwt", &key, &claims)
    };
    let good = sign(Algorithm::HS256, "at+jwt", &key, &claims);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = with("name", json!("Mallory"));
    let other = other.split('.').nth(1).expect("a payload");
    // {"alg":"none","typ":"at+jwt"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    let tokens = vec![
        ("not a token", "not.a.token".to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.x")),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, with a signature", format!("{none}.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("half a signature", good[..good.len() - 20].to_owned()),
        ("another payload", format!("{header}.{other}.{signature}")),
        ("another algorithm", sign(Algorithm::HS512, "at+jwt", &key, &claims)),
        ("another type", sign(Algorithm::HS256, "JWT", &key, &claims)),
        ("another key", sign(Algorithm::HS256, "at+jwt", &[7; 32], &claims)),
        ("no key", sign(Algorithm::HS256, "at+jwt", &[], &claims)),
        ("another audience", with("aud", json!("mail"))),
        ("no audience", without("aud")),
        ("another issuer", with("iss", json!("somebody"))),
        ("no issuer", without("iss")),
        ("expired", with("exp", json!(1_000_000_001))),
        ("no end", without("exp")),
        ("an end that no calendar has", with("exp", json!(i64::MAX))),
        ("nobody's", without("sub")),
        ("no user's", with("sub", json!("admin"))),
        ("an unknown kind of user", with("kind", json!("admin"))),
        ("a name that is too long", with("name", json!("n".repeat(33)))),
        ("longer than any token", with("x", json!("x".repeat(4_096)))),
    ];
    (tokens, good)
}
#[actix_web::test]
async fn a_bad_token_is_refused_at_every_door() {
    let mut scene = Scene::new().await;
    let (forged, good) = forged(&scene);
    for (what, token) in &forged {
        // In the first command: an error, and the connection is closed.
        let mut stranger = Client::connect(&scene.server.address, None).await;
        stranger.send(&json!({"id":1,"do":"auth","token":token})).await;
        let reply = stranger.json().await;
        assert_eq!(reply["id"], 1, "{what}: {reply}");
        assert_error(&reply["error"], "unauthorized", "token", what);
        assert_eq!(stranger.close_code().await, 4401, "{what}");
        // In the handshake, and over HTTP: 401, and no connection.
        let address = format!("/ws?access_token={token}");
        assert_problem(handshake(&scene, &address), "unauthorized", "token", what).await;
        assert!(Client::try_connect(&scene.server.address, token).await.is_none(), "{what}");
        for request in [handshake(&scene, "/ws"), scene.request("GET", "/api/v1/rooms/$room")] {
            assert_problem(request.bearer_auth(token), "unauthorized", "token", what).await;
        }
    }
    // What is wrong with them is what their names say: one without a fault is taken everywhere.
    let mut client = Client::connect(&scene.server.address, None).await;
    client.ok(json!({"do":"auth","token":good})).await;
    let mut client = Client::connect(&scene.server.address, Some(&good)).await;
    client.ok(json!({"do":"ping"})).await;
    let client = Client::try_connect(&scene.server.address, &good).await;
    client.expect("a connection").ok(json!({"do":"ping"})).await;
    let (status, _) = scene.server.call("GET", "/rooms", &good, Value::Null).await;
    assert_eq!(status, 200);
    // A session that is shown a bad token ends.
    let mut session = scene.another().await;
    session.ok(json!({"do":"ping"})).await;
    session.send(&json!({"id":9,"do":"auth","token":forged[0].1})).await;
    assert_error(&session.json().await["error"], "unauthorized", "token", "a bad renewal");
    assert_eq!(session.close_code().await, 4401);
    scene.ann.ok(json!({"do":"ping"})).await;
    scene.undisturbed().await;
}

#[actix_web::test]
async fn without_a_token_nothing_is_to_be_had() {
    let scene = Scene::new().await;
    let calls = [
        ("POST", "/api/v1/rooms"),
        ("GET", "/api/v1/rooms"),
        ("GET", "/api/v1/rooms/$room"),
        ("PUT", "/api/v1/rooms/$room/members/me"),
        ("DELETE", "/api/v1/rooms/$room/members/me"),
        ("GET", "/api/v1/rooms/$room/members"),
        ("POST", "/api/v1/rooms/$room/messages"),
        ("GET", "/api/v1/rooms/$room/messages"),
        ("GET", "/api/v1/rooms/$room/messages/1"),
    ];
    let token = &scene.guest.token;
    let headers =
        [None, Some("Bearer".to_owned()), Some(token.clone()), Some(format!("Basic {token}"))];
    for (method, path) in calls {
        for header in &headers {
            let request = scene.request(method, path);
            let request = match header {
                Some(header) => request.header("authorization", header),
                None => request,
            };
            assert_problem(request, "unauthorized", "", &format!("{method} {path} {header:?}"))
                .await;
        }
    }
    let (status, _) = scene.server.call("GET", "/rooms", token, Value::Null).await;
    assert_eq!(status, 200);
    let mut stranger = Client::connect(&scene.server.address, None).await;
    for command in [
        json!({"do":"ping"}),
        json!({"do":"join","room":scene.room}),
        json!({"do":"send","room":scene.room,"text":"hello"}),
        json!({"do":"open","title":"mine"}),
        json!({"do":"resume","rooms":[{"room":scene.room,"after":"0.0"}]}),
    ] {
        assert_error(
            &stranger.error(command.clone()).await,
            "unauthorized",
            "",
            &command.to_string(),
        );
    }
    stranger.ok(json!({"do":"auth","token":token})).await;
    scene.undisturbed().await;
}

#[actix_web::test]
async fn what_is_no_handshake_gets_a_problem_document() {
    let scene = Scene::new().await;
    assert_problem(scene.request("GET", "/ws"), "upgrade_required", "", "no upgrade").await;
    assert_problem(scene.request("POST", "/ws"), "method_not_allowed", "", "POST").await;
    let old = scene.request("GET", "/ws").header("connection", "upgrade");
    let old = old.header("upgrade", "websocket").header("sec-websocket-version", "12");
    assert_problem(old, "upgrade_required", "", "an old version").await;
    scene.undisturbed().await;
}

#[actix_web::test]
async fn only_our_subprotocol_is_agreed_to() {
    let scene = Scene::new().await;
    let with = async |protocols: &'static str| {
        let request = handshake(&scene, "/ws").bearer_auth(&scene.guest.token);
        let answer = request.header("sec-websocket-protocol", protocols).send().await;
        let headers = answer.expect("an answer").headers().clone();
        headers.get("sec-websocket-protocol").map(|name| name.to_str().expect("text").to_owned())
    };
    assert_eq!(with("chat.v1").await.as_deref(), Some("chat.v1"));
    assert_eq!(with("chat.v2, chat.v1").await.as_deref(), Some("chat.v1"));
    // The client sees that its own was not agreed to, and gives up (RFC 6455, section 4.1).
    assert_eq!(with("chat.v2").await, None);
    scene.undisturbed().await;
}
