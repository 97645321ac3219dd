//! Every door at which a token is shown: a call over HTTP, a handshake with it in the header or in the
//! address, and the first command.

use reqwest::Method;
use serde_json::{Value, json};

use super::http::Call;
use super::scene::{assert_error, assert_problem};
use super::{Client, TestServer, text};

/// The token is taken at every door, for the same user: its id.
pub async fn admitted(server: &TestServer, token: &str, what: &str) -> String {
    let (status, answer) = server.call("GET", "/rooms", token, Value::Null).await;
    assert_eq!(status, 200, "{what}: {answer}");
    let auth = json!({ "do": "auth", "token": token });
    let mut stranger = Client::connect(&server.address, None).await;
    let user = text(&stranger.ok(auth.clone()).await["user"]["id"]);
    let by_address = Client::try_connect(&server.address, token).await;
    let by_address = by_address.unwrap_or_else(|| panic!("{what}: no connection"));
    for mut client in [Client::connect(&server.address, Some(token)).await, by_address] {
        // Only a session's own user may show it a token.
        assert_eq!(text(&client.ok(auth.clone()).await["user"]["id"]), user, "{what}");
    }
    user
}

/// The token is refused at every door, and in a session that has begun with a good one if there is one.
pub async fn refused(server: &TestServer, token: &str, good: Option<&str>, what: &str) {
    let mine = json!({ "title": "Mine" });
    for request in [
        request(server, Method::GET, "/api/v1/rooms").bearer_auth(token),
        request(server, Method::POST, "/api/v1/rooms").bearer_auth(token).json(&mine),
        handshake(server, "/ws").bearer_auth(token),
        handshake(server, &format!("/ws?access_token={token}")),
    ] {
        assert_problem(request, "unauthorized", "token", what).await;
    }
    for good in std::iter::once(None).chain(good.map(Some)) {
        let mut client = Client::connect(&server.address, good).await;
        client.send(&json!({ "id": 1, "do": "auth", "token": token })).await;
        let reply = client.reply().await;
        assert_eq!(reply["id"], 1, "{what}: {reply}");
        assert_error(&reply["error"], "unauthorized", "token", what);
        assert_eq!(client.close_code().await, 4401, "{what}");
    }
}

fn request(server: &TestServer, method: Method, path: &str) -> Call {
    server.http.request(method, format!("{}{path}", server.base))
}

/// A handshake as browsers begin it, but for the answer to be read as HTTP.
fn handshake(server: &TestServer, path: &str) -> Call {
    let request = request(server, Method::GET, path).header("connection", "upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
    request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}
