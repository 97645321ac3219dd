//! As many connections as there may be, and one more: whoever is refused is told at once, and those
//! who are in go on as if nothing had been.

mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::http::Http;
use support::process::{ANY_PORT, Process};
use support::raw::{Answer, Raw, handshake_lines, request};
use support::{Client, Guest, TestServer, guest, until};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A handshake with these lines beside the usual ones, and its answer.
async fn knock(address: &str, token: Option<&str>, more: &[&str]) -> (Raw, Answer) {
    let mut lines = handshake_lines(token);
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    let mut raw = Raw::connect(address).await;
    raw.write(&request(&lines)).await;
    let answer = raw.answer().await;
    (raw, answer)
}

/// It is told to come back, and the connection ends.
async fn turned_away((mut raw, answer): (Raw, Answer)) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_connections"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    raw.end().await;
}

/// Tries until it is let in.
async fn let_in(address: &str, token: Option<&str>, more: &[&str]) -> Raw {
    let mut raw = None;
    until("there is room for one more", async || {
        let (other, answer) = knock(address, token, more).await;
        raw = (answer.status == 101).then_some(other);
        raw.is_some()
    })
    .await;
    raw.expect("it was let in")
}

#[actix_web::test]
async fn one_connection_too_many_is_refused_and_the_others_go_on() {
    let server = TestServer::with(&["socket.max_connections=3"]).await;
    let (mut ann, room) = server.lobby("Ann").await;
    let mut bob = server.connect("Bob").await;
    bob.ok(json!({"do":"join","room":room})).await;
    // Somebody without a token counts too.
    let nobody = Raw::open(&server.address, None).await;
    let cleo = server.guest("Cleo").await;
    for token in [None, Some(cleo.token.as_str()), Some("no.good.token")] {
        turned_away(knock(&server.address, token, &[]).await).await;
        let said = json!({"do":"send","room":room,"text":"still here"});
        let seq = ann.ok(said).await["seq"].clone();
        assert_eq!(bob.event("message").await["seq"], seq);
    }
    drop(nobody);
    let mut raw = let_in(&server.address, Some(&cleo.token), &[]).await;
    raw.write(&support::raw::frame(support::raw::TEXT, br#"{"id":1,"do":"ping"}"#)).await;
    assert_eq!(raw.json().await["id"], 1);
    turned_away(knock(&server.address, None, &[]).await).await;
    // Others than WebSocket's are not counted.
    assert_eq!(server.call("GET", "/rooms", &cleo.token, Value::Null).await.0, 200);
}

#[actix_web::test]
async fn one_address_has_its_limit_and_the_proxy_says_which_it_is() {
    let set = ["socket.max_per_address=2", "server.trusted_proxies=127.0.0.1"];
    let server = TestServer::with(&set).await;
    let (here, there) = ("x-forwarded-for: 192.0.2.1", "x-forwarded-for: 198.51.100.7, 192.0.2.2");
    let first = let_in(&server.address, None, &[here]).await;
    let _second = let_in(&server.address, None, &[here]).await;
    turned_away(knock(&server.address, None, &[here]).await).await;
    // What the client itself has written in front of the proxy's word does not help it.
    let forged = "x-forwarded-for: 203.0.113.9, 192.0.2.1";
    turned_away(knock(&server.address, None, &[forged]).await).await;
    let _other = let_in(&server.address, None, &[there]).await;
    // The proxy itself is not counted.
    let mut uncounted = Vec::new();
    for _ in 0..5 {
        let (raw, answer) = knock(&server.address, None, &[]).await;
        assert_eq!(answer.status, 101);
        uncounted.push(raw);
    }
    drop(first);
    let _third = let_in(&server.address, None, &[here]).await;
    turned_away(knock(&server.address, None, &[here]).await).await;
}

#[actix_web::test]
async fn who_is_no_trusted_proxy_is_not_believed() {
    let server = TestServer::with(&["socket.max_per_address=1"]).await;
    // These come from this machine, which is not counted, whatever they say.
    let mut open = Vec::new();
    for _ in 0..3 {
        let (raw, answer) = knock(&server.address, None, &["x-forwarded-for: 192.0.2.1"]).await;
        assert_eq!(answer.status, 101);
        open.push(raw);
    }
}

#[actix_web::test]
async fn one_user_has_its_limit() {
    let server = TestServer::with(&["socket.max_per_user=2"]).await;
    let guest = server.guest("Ann").await;
    let connect = || Client::connect(&server.address, Some(&guest.token));
    let (mut first, second) = (connect().await, connect().await);
    first.ok(json!({"do":"ping"})).await;

    let mut third = connect().await;
    let refused = third.json().await;
    assert_eq!(refused.get("id"), None, "it was no command: {refused}");
    let error = &refused["error"];
    assert_eq!((&error["code"], &error["retry"]), (&json!("too_many_sessions"), &json!(true)));
    assert_eq!(third.close_code().await, 4429);
    let mut fourth = Client::connect(&server.address, None).await;
    let auth = json!({"do":"auth","token":guest.token});
    assert_eq!(fourth.refused(auth.clone()).await, "too_many_sessions");
    assert_eq!(fourth.close_code().await, 4429);

    // Others are let in, and so is she when she has gone elsewhere.
    server.connect("Bob").await.ok(json!({"do":"ping"})).await;
    first.ok(json!({"do":"ping"})).await;
    drop(second);
    until("she is let in again", async || {
        let mut again = Client::connect(&server.address, None).await;
        again.ask(auth.clone()).await.get("ok").is_some()
    })
    .await;
}

#[actix_web::test]
async fn those_who_show_no_token_have_a_limit_of_their_own() {
    let server = TestServer::with(&["socket.max_handshakes=2"]).await;
    let mut first = Client::connect(&server.address, None).await;
    let second = Raw::open(&server.address, None).await;
    turned_away(knock(&server.address, None, &[]).await).await;
    let guest = server.guest("Ann").await;
    let mut known = Client::connect(&server.address, Some(&guest.token)).await;
    known.ok(json!({"do":"ping"})).await;
    turned_away(knock(&server.address, None, &[]).await).await;
    // One shows its token, and is no stranger any more.
    first.ok(json!({"do":"auth","token":guest.token})).await;
    let mut third = let_in(&server.address, None, &[]).await;
    turned_away(knock(&server.address, None, &[]).await).await;
    // One goes without having shown any.
    drop(second);
    let _fourth = let_in(&server.address, None, &[]).await;
    turned_away(knock(&server.address, None, &[]).await).await;
    // Those who are late are closed, which makes room too.
    server.waits("the deadline runs", 2, Duration::from_secs(10)).await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(third.close_code().await, 4401);
    drop(third);
    let _fifth = let_in(&server.address, None, &[]).await;
    first.ok(json!({"do":"ping"})).await;
}

/// The value of a metric in the text that `GET /metrics` answers.
async fn metric(server: &TestServer, name: &str) -> Option<f64> {
    let answer = server.http.get(format!("{}/metrics", server.base)).send().await;
    let text = answer.expect("an answer").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

#[actix_web::test]
async fn what_happens_to_connections_is_counted() {
    let set = ["socket.max_connections=2", "socket.max_handshakes=1"];
    let server = TestServer::with(&set).await;
    let open = async || metric(&server, "chat_sockets_open").await;
    let refused = async |limit: &str| {
        metric(&server, &format!("chat_handshakes_refused_total{{limit=\"{limit}\"}}")).await
    };
    let closed = async |code: u16| {
        metric(&server, &format!("chat_sockets_closed_total{{code=\"{code}\"}}")).await
    };
    assert_eq!(open().await, Some(0.0));
    let mut stranger = Client::connect(&server.address, None).await;
    turned_away(knock(&server.address, None, &[]).await).await;
    let mut ann = server.connect("Ann").await;
    ann.ok(json!({"do":"ping"})).await;
    for _ in 0..3 {
        turned_away(knock(&server.address, None, &[]).await).await;
    }
    assert_eq!((open().await, refused("without_token").await), (Some(2.0), Some(1.0)));
    assert_eq!((refused("connections").await, refused("address").await), (Some(3.0), Some(0.0)));
    assert_eq!((closed(4401).await, closed(1000).await), (Some(0.0), Some(0.0)));
    assert_eq!(metric(&server, "chat_sessions").await, Some(1.0));

    assert_eq!(stranger.refused(json!({"do":"auth","token":"no.good.one"})).await, "unauthorized");
    assert_eq!(stranger.close_code().await, 4401);
    assert_eq!(closed(4401).await, Some(1.0));
    ann.socket.close(None).await.expect("an open socket");
    assert_eq!(ann.close_code().await, 1000);
    assert_eq!(closed(1000).await, Some(1.0));
    drop((stranger, ann));
    until("both have gone", async || open().await == Some(0.0)).await;
}

#[actix_web::test]
async fn what_is_counted_can_be_hidden() {
    let server = TestServer::with(&["server.metrics=false"]).await;
    let answer = server.http.get(format!("{}/metrics", server.base)).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status().as_u16(), 404);
    let problem = answer.json();
    assert_eq!(problem["code"], "not_found");
}

/// How many descriptors the process may have, and how many connections it takes then: what is
/// left when files and HTTP have theirs (`listen/descriptors.rs`).
const DESCRIPTORS: usize = 256;
const CONNECTIONS: usize = DESCRIPTORS - (64 + DESCRIPTORS / 64) - DESCRIPTORS / 8;

/// No processor is kept busy while so much time passes.
async fn rests(process: &Process, what: &str) {
    let before = process.ticks();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = process.ticks() - before;
    assert!(spent < 60, "{spent} hundredths of a second were spent in two: {what}");
}

#[actix_web::test]
async fn a_process_that_has_no_descriptors_left_refuses_and_serves_on() {
    let folder = TempDir::new().expect("a folder");
    let limit = format!("ulimit -n {DESCRIPTORS}");
    let flags = [&ANY_PORT[..], &["--set", "server.workers=2"]].concat();
    let since = Instant::now();
    let mut process = Process::spawn_below(folder.path(), &limit, &flags);
    let address = process.address().await;
    let (http, base) = (Http::default(), format!("http://{address}"));
    let mut guests = Vec::new();
    for number in 0..4 {
        guests.push(guest(&http, &base, &format!("Guest {number}")).await);
    }
    let enter = async |number: usize| {
        let Guest { token, .. } = &guests[number % guests.len()];
        knock(&address, Some(token), &[]).await
    };
    let mut inside = Vec::new();
    for start in (0..3 * DESCRIPTORS).step_by(16) {
        for (raw, answer) in join_all((start..start + 16).map(enter)).await {
            match answer.status {
                101 => inside.push(raw),
                _ => turned_away((raw, answer)).await,
            }
        }
    }
    assert_eq!(inside.len(), CONNECTIONS);
    rests(&process, "everybody is in").await;

    // Those who only hold a connection of TCP keep others waiting for some seconds, not the
    // processors busy.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&address).await.expect("a connection"));
    }
    rests(&process, "a hundred say nothing").await;
    drop(silent);

    for raw in &mut inside {
        raw.write(&support::raw::frame(support::raw::TEXT, br#"{"id":1,"do":"ping"}"#)).await;
    }
    for raw in &mut inside {
        assert_eq!(raw.json().await["id"], 1);
    }
    let health = http.get(format!("{base}/healthz")).send().await.expect("an answer");
    assert_eq!(health.status().as_u16(), 200);
    let log = process.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    // At most one a minute, and this may take more than one.
    let minutes = since.elapsed().as_secs() / 60;
    assert!((1..=1 + minutes).contains(&(warnings.len() as u64)), "{log}");
    assert!(warnings.iter().all(|line| line.contains("refused connections")), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");

    // Who leaves makes room.
    inside.pop();
    inside.push(let_in(&address, Some(&guests[0].token), &[]).await);
}
