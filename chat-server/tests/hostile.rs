//! Clients that mean no good, or know no better: slow ones, silent ones, those that announce what
//! never comes, and handshakes that are none. Whoever behaves must not notice them.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use support::process::{Process, start};
use support::raw::{
    Answer, BINARY, CLOSE, CONTINUE, FIRST_TEXT, LAST, PING, Raw, TEXT, frame, handshake_lines,
    header, request,
};
use support::{Client, TestServer, transport, until};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

/// Reads until the server ends the connection; what came. An end by a reset counts as one.
async fn ended(stream: &mut TcpStream) -> String {
    let mut came = Vec::new();
    let read = stream.read_to_end(&mut came);
    timeout(support::PATIENCE, read).await.expect("the server ends it").ok();
    String::from_utf8_lossy(&came).into_owned()
}

// --- those who are slow or silent ----------------------------------------------------------------

/// These wait for the HTTP server's own clock, which is a real one.
#[actix_web::test]
async fn who_does_not_come_to_the_end_of_a_handshake_is_cut_off() {
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&server.address).await.expect("a connection"));
    }
    let mut stuck = TcpStream::connect(&server.address).await.expect("a connection");
    stuck.write_all(b"GET /ws HTTP/1.1\r\nhost: chat.exa").await.expect("an open connection");
    let slow = TcpStream::connect(&server.address).await.expect("a connection");
    let (mut reading, mut writing) = slow.into_split();
    let trickle = actix_web::rt::spawn(async move {
        // Whole minutes of it.
        let lines = handshake_lines(Some(&"x".repeat(300)));
        for byte in request(&lines) {
            if writing.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(SECOND).await;
        }
    });
    ann.ok(json!({"do":"ping"})).await;
    let mut came = Vec::new();
    let read = reading.read_to_end(&mut came);
    timeout(support::PATIENCE, read).await.expect("the slow one is cut off").ok();
    assert!(!came.starts_with(b"HTTP/1.1 101"), "it never got to the end of it");
    trickle.abort();
    assert!(!ended(&mut stuck).await.starts_with("HTTP/1.1 101"));
    for stream in &mut silent {
        ended(stream).await;
    }
    ann.ok(json!({"do":"ping"})).await;
}

/// Somebody on each of the engine's threads: with the direct transport, connections take them in
/// turn.
async fn on_each_thread(server: &TestServer) -> Vec<Client> {
    let mut all = Vec::new();
    for number in 0..server.server().engine().threads() {
        all.push(server.connect(&format!("Ann {number}")).await);
    }
    all
}

/// Returns when the threads of all of these have read what had come, and done what was due.
async fn served(all: &mut [Client]) {
    // A thread that looks at its sockets may answer at once, and do the rest of what it has found
    // then; it has done all of it before it looks again.
    for _ in 0..2 {
        for client in &mut *all {
            client.ok(json!({"do":"ping"})).await;
        }
    }
}

/// Somebody whose bytes come one by one, and time that passes with each.
struct Trickle<B> {
    raw: Raw,
    bytes: B,
}

impl<B: Iterator<Item = u8>> Trickle<B> {
    /// One byte, if there is one left, and one second; each thread has seen the one before the other.
    async fn go_on(&mut self, server: &TestServer, beside: &mut [Client]) {
        if let Some(byte) = self.bytes.next() {
            // The server may have ended it.
            self.raw.stream.write_all(&[byte]).await.ok();
        }
        served(beside).await;
        server.clock.advance(SECOND);
        served(beside).await;
    }
}

#[actix_web::test]
async fn a_message_that_never_gets_complete_ends_its_connection() {
    let server = TestServer::start().await;
    let engine = server.server().engine();
    let mut beside = on_each_thread(&server).await;
    let all = beside.len() + 1;
    let eve = server.guest("Eve").await;
    let fragments = [frame(FIRST_TEXT, b""), frame(CONTINUE, b" ").repeat(20)].concat();
    for (what, bytes, goes_on) in [
        ("a long frame", frame(TEXT, &[b' '; 1_000]), true),
        ("fragments without end", fragments, true),
        ("half a header", header(TEXT, 1 << 15)[..2].to_vec(), false),
    ] {
        let raw = Raw::open(&server.address, Some(&eve.token)).await;
        until("all are there", async || engine.stats().sessions == all).await;
        let mut slow = Trickle { raw, bytes: bytes.into_iter() };
        let mut seconds = 0;
        while engine.stats().sessions == all {
            assert!(seconds < 62, "{what} goes on for ever");
            slow.go_on(&server, &mut beside).await;
            seconds += 1;
        }
        // It is pinged after 25 and after 50 seconds. Whoever sends nothing more is silent 10
        // seconds after the first one, and so is, for the portable route, whoever completes nothing.
        let most_patient = goes_on && (transport() == "direct" || what != "a long frame");
        let least = if most_patient { 50 } else { 35 };
        assert!(seconds >= least, "{what} is cut off after {seconds} seconds");
        assert_eq!(slow.raw.close_code().await, 4408, "{what}");
        served(&mut beside).await;
    }
}

#[actix_web::test]
async fn who_is_slow_but_gets_to_the_end_may_stay() {
    let server = TestServer::start().await;
    let mut beside = on_each_thread(&server).await;
    let eve = server.guest("Eve").await;
    let raw = Raw::open(&server.address, Some(&eve.token)).await;
    // Each message is in the middle of its bytes when a ping comes, which is every 25 seconds, but
    // never the same one at two of them.
    let bytes = frame(TEXT, br#"{"id":5,"do":"ping"}"#);
    assert_eq!(bytes.len(), 26);
    let mut slow = Trickle { raw, bytes: bytes.repeat(5).into_iter() };
    for _ in 0..5 * 26 {
        slow.go_on(&server, &mut beside).await;
    }
    for _ in 0..5 {
        assert_eq!(slow.raw.json().await["id"], 5);
    }
    assert_eq!(server.server().engine().stats().sessions, beside.len() + 1);
}

#[actix_web::test]
async fn who_shows_no_token_and_never_speaks_is_closed() {
    const MANY: usize = 50;
    let server = TestServer::start().await;
    let mut strangers = Vec::new();
    for _ in 0..MANY {
        strangers.push(Raw::open(&server.address, None).await);
    }
    server.waits("their deadline runs", MANY, Duration::from_secs(10)).await;
    server.clock.advance(Duration::from_millis(9_999));
    // A moment before, they are still served.
    strangers[0].write(&frame(PING, b"early")).await;
    assert_eq!(strangers[0].frame().await, (0x8a, b"early".to_vec()));
    server.clock.advance(Duration::from_millis(1));
    for raw in &mut strangers {
        assert_eq!(raw.close_code().await, 4401);
        raw.end().await;
    }
}

#[actix_web::test]
async fn a_flood_of_pings_from_a_stranger_ends() {
    let server = TestServer::start().await;
    let mut raw = Raw::open(&server.address, None).await;
    let flood = frame(PING, &[b'?'; 125]).repeat(10_000);
    // The server may end it before it has taken everything.
    let (mut reading, mut writing) = raw.stream.split();
    let write = async { drop(writing.write_all(&flood).await) };
    let read = async {
        let mut came = Vec::new();
        timeout(support::PATIENCE, reading.read_to_end(&mut came)).await.expect("it ends").ok();
        came
    };
    let (came, ()) = futures_util::join!(read, write);
    let answered = came.windows(2).filter(|start| *start == [0x8a, 125]).count();
    assert!(answered <= 32, "{answered} are answered");
    let code =
        came.windows(4).any(|bytes| bytes[0] == CLOSE && bytes[2..] == 4401_u16.to_be_bytes());
    assert!(code, "it is told why: {} bytes", came.len());
    server.connect("Ann").await.ok(json!({"do":"ping"})).await;
}

/// A process of its own with this test's transport, so that its memory can be looked at.
async fn process(folder: &TempDir) -> (Process, String) {
    let set = format!("socket.transport={}", transport());
    start(folder.path(), &["--set", &set, "--set", "server.workers=2"]).await
}

#[actix_web::test]
async fn announcing_a_terabyte_costs_the_server_nothing() {
    const MANY: usize = 200;
    let folder = TempDir::new().expect("a folder");
    let (process, address) = process(&folder).await;
    let mut open = Vec::new();
    // Half of them come and go first, so that what the server sets up once is there.
    for round in 0..2 {
        for _ in 0..MANY {
            open.push(Raw::open(&address, None).await);
        }
        if round == 0 {
            for raw in &mut open {
                raw.write(&header(TEXT, 1 << 17)).await;
                assert_eq!(raw.close_code().await, 1009);
            }
            open.clear();
        }
    }
    let (before, _) = process.memory();
    for raw in &mut open {
        raw.write(&header(TEXT, 1 << 40)).await;
    }
    for raw in &mut open {
        assert_eq!(raw.close_code().await, 1009);
    }
    let (after, most) = process.memory();
    let grown = after.max(most).saturating_sub(before);
    assert!(grown < 4 << 20, "it has grown by {grown} bytes, from {before}");
    drop(open);
    let mut ann = Raw::open(&address, None).await;
    ann.write(&frame(PING, b"")).await;
    assert_eq!(ann.frame().await, (0x8a, Vec::new()));
}

// --- handshakes that are none --------------------------------------------------------------------

/// The answer to these lines.
async fn answer(server: &TestServer, lines: &[String]) -> (Raw, Answer) {
    let mut raw = Raw::connect(&server.address).await;
    raw.write(&request(lines)).await;
    let answer = raw.answer().await;
    (raw, answer)
}

/// A handshake in which the line that begins so is replaced by these.
fn changed(line: &str, by: &[&str]) -> Vec<String> {
    let mut lines = handshake_lines(None);
    let at = lines.iter().position(|other| other.to_lowercase().starts_with(line));
    let at = at.unwrap_or_else(|| panic!("no line {line}"));
    lines.splice(at..=at, by.iter().map(|line| (*line).to_owned()));
    lines
}

#[actix_web::test]
async fn handshakes_that_are_none_are_refused_one_by_one() {
    let server = TestServer::start().await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    for (lines, status, code) in [
        (changed("sec-websocket-key", &[]), 400, "bad_request"),
        (changed("sec-websocket-key", &[key, key]), 400, "bad_request"),
        (changed("sec-websocket-key", &["sec-websocket-key: short"]), 400, "bad_request"),
        (changed("sec-websocket-key", &["sec-websocket-key:"]), 400, "bad_request"),
        (changed("sec-websocket-version", &["sec-websocket-version: 8"]), 426, "upgrade_required"),
        (changed("sec-websocket-version", &[]), 426, "upgrade_required"),
        (changed("get", &["GET /ws HTTP/1.0"]), 400, "bad_request"),
        (changed("get", &["POST /ws HTTP/1.1"]), 405, "method_not_allowed"),
        (changed("upgrade", &[]), 400, "bad_request"),
        (changed("connection", &["connection: keep-alive"]), 400, "bad_request"),
        (changed("get", &["GET /elsewhere HTTP/1.1"]), 404, "not_found"),
        (changed("get", &["GET /ws/ HTTP/1.1"]), 404, "not_found"),
        (changed("get", &["GET /ws/more HTTP/1.1"]), 404, "not_found"),
    ] {
        let (_raw, answer) = answer(&server, &lines).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{lines:?}");
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{lines:?}");
        }
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("GET"), "{lines:?}");
        }
    }
    // The very same one, unchanged, is a handshake.
    let (_raw, answer) = answer(&server, &handshake_lines(None)).await;
    assert_eq!(answer.status, 101);
    let accept = answer.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "as in RFC 6455");
}

/// The status of a handshake of a page of this origin.
async fn from_page(server: &TestServer, origin: &str) -> u16 {
    let mut lines = handshake_lines(None);
    lines.push(format!("origin: {origin}"));
    let (_raw, answer) = answer(server, &lines).await;
    if answer.status != 101 {
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{origin}");
    }
    answer.status
}

#[actix_web::test]
async fn pages_of_others_may_not_connect_unless_the_settings_say_so() {
    let (own, app, evil) =
        ("https://chat.example.com", "https://app.example.org", "https://evil.example");
    let server = TestServer::start().await;
    assert_eq!(from_page(&server, own).await, 101);
    assert_eq!(from_page(&server, app).await, 403);
    assert_eq!(from_page(&server, evil).await, 403);
    assert_eq!(from_page(&server, "null").await, 403);
    let listed = format!("socket.origins={app}, https://other.example");
    let server = TestServer::with(&[&listed]).await;
    assert_eq!(from_page(&server, own).await, 101);
    assert_eq!(from_page(&server, app).await, 101);
    assert_eq!(from_page(&server, evil).await, 403);
    let server = TestServer::with(&["socket.origins=*"]).await;
    assert_eq!(from_page(&server, evil).await, 101);
}

#[actix_web::test]
async fn an_upgrade_to_something_else_is_answered_as_if_it_were_none() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    let token = format!("authorization: Bearer {}", ann.token);
    let upgrade = [
        "host: chat.example.com",
        "connection: Upgrade, HTTP2-Settings",
        "upgrade: h2c",
        "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
        &token,
    ];
    for (line, status) in [
        ("GET /api/v1/rooms HTTP/1.1", 200),
        ("GET /healthz HTTP/1.1", 200),
        ("GET /api/v1/nowhere HTTP/1.1", 404),
    ] {
        let lines: Vec<_> = [line].into_iter().chain(upgrade).map(str::to_owned).collect();
        let (_raw, answer) = answer(&server, &lines).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(!answer.body.is_empty(), "{line}");
    }
    let lines: Vec<_> =
        ["GET /ws HTTP/1.1"].into_iter().chain(upgrade).map(str::to_owned).collect();
    let (_raw, answer) = answer(&server, &lines).await;
    assert_eq!(answer.status, 426, "what is at /ws speaks WebSocket");
}

// --- the ends of connections ---------------------------------------------------------------------

#[actix_web::test]
async fn what_comes_right_behind_the_handshake_is_served() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    let mut raw = Raw::connect(&server.address).await;
    let mut bytes = request(&handshake_lines(Some(&ann.token)));
    for id in 0..20 {
        let ping = format!(r#"{{"id":{id},"do":"ping"}}"#);
        bytes.extend(frame(TEXT, ping.as_bytes()));
    }
    bytes.extend(frame(FIRST_TEXT, br#"{"id":20,"#));
    raw.write(&bytes).await;
    assert_eq!(raw.answer().await.status, 101);
    raw.write(&frame(LAST, br#""do":"ping"}"#)).await;
    for id in 0..=20 {
        assert_eq!(raw.json().await["id"], id);
    }
    // Even if it is the end already.
    let mut raw = Raw::connect(&server.address).await;
    let close = frame(CLOSE, &1000_u16.to_be_bytes());
    raw.write(&[request(&handshake_lines(Some(&ann.token))), close].concat()).await;
    assert_eq!(raw.answer().await.status, 101);
    assert_eq!(raw.close_code().await, 1000);
    raw.end().await;
}

#[actix_web::test]
async fn the_connection_ends_behind_the_close_frame_and_its_code_is_not_lost() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    // All at once, because the portable route takes some seconds to end a connection.
    let mut ends = Vec::new();
    for (what, bytes, code) in [
        ("a close", frame(CLOSE, &1000_u16.to_be_bytes()), 1000),
        ("an unknown opcode", frame(0x83, b"?"), 1002),
        ("binary", frame(BINARY, b"?"), 4400),
        ("text that is none", frame(TEXT, b"\xff"), 1007),
        ("a frame too big", header(TEXT, 1 << 40), 1009),
    ] {
        let more = [&bytes[..], &[b'x'; 200_000]].concat();
        let ann = Some(ann.token.as_str());
        ends.push(end(&server, what, None, bytes.clone(), code));
        ends.push(end(&server, what, ann, bytes, code));
        // As much comes behind it as fits the sockets, so that the server has not read everything
        // when it ends the connection.
        ends.push(end(&server, what, ann, more, code));
    }
    join_all(ends).await;
}

/// Whoever sends these bytes reads this code, and then the end of the connection, in order.
async fn end(server: &TestServer, what: &str, token: Option<&str>, bytes: Vec<u8>, code: u16) {
    let mut raw = Raw::open(&server.address, token).await;
    raw.write(&bytes).await;
    assert_eq!(raw.close_code().await, code, "{what}");
    raw.end().await;
}
