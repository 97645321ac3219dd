//! TLS by the server itself: HTTP and WebSocket over it, certificates replaced while it runs, and
//! what is wrong with files. That the transport over it is like every other is looked at in
//! `transport_conformance.rs`.

mod support;

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use support::http::Http;
use support::process::{ANY_PORT, Process, refused, start};
use support::raw::{Raw, TEXT, frame, handshake_lines, request};
use support::tls::{Certified, Files, connect, shake_hands};
use support::{Client, TestServer, text, until};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A new guest's token, asked for over a stream.
async fn guest<S: AsyncRead + AsyncWrite + Unpin>(stream: S, nickname: &str) -> String {
    let body = json!({ "nickname": nickname }).to_string();
    let length = format!("content-length: {}", body.len());
    let head = request(&[
        "POST /api/v1/tokens/guest HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        &length,
    ]);
    let mut raw = Raw::over(stream);
    raw.write(&[&head[..], body.as_bytes()].concat()).await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 201);
    text(&serde_json::from_slice::<Value>(&answer.body).expect("JSON")["access_token"])
}

/// A server that speaks TLS, and a client that trusts it.
async fn server(set: &[&str]) -> (TestServer, TlsConnector) {
    let folder = TempDir::new().expect("a folder");
    let (certified, files) = (Certified::new(), Files::below(folder.path()));
    certified.write(&files);
    let settings = files.settings();
    let set = [set, &[&settings[0], &settings[1]]].concat();
    (TestServer::with(&set).await, certified.client())
}

#[actix_web::test]
async fn http_and_websocket_are_spoken_over_tls() {
    let (server, client) = server(&[]).await;
    let stream = || connect(&client, &server.address);
    let (ann, bob) = (guest(stream().await, "Ann").await, guest(stream().await, "Bob").await);
    let mut ann = Client::over(stream().await, &server.address, Some(&ann)).await;
    let room = ann.ok(json!({"do":"open","title":"Tea"})).await["room"]["id"].clone();
    ann.ok(json!({"do":"join","room":room})).await;
    let mut bob = Client::over(stream().await, &server.address, Some(&bob)).await;
    bob.ok(json!({"do":"join","room":room})).await;
    // From a word to more than one record of TLS holds.
    for length in [1, 1_000, 4_000] {
        let text = "안".repeat(length);
        ann.ok(json!({"do":"send","room":room,"text":text})).await;
        assert_eq!(bob.event("message").await["text"], text);
    }
    let page = bob.ok(json!({"do":"history","room":room})).await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(3));
    bob.send_text(&" ".repeat(65_537)).await;
    assert_eq!(bob.close_code().await, 1009);
    ann.ok(json!({"do":"ping"})).await;
}

#[actix_web::test]
async fn what_comes_right_behind_the_handshake_is_served_over_tls_too() {
    let (server, client) = server(&[]).await;
    let token = guest(connect(&client, &server.address).await, "Ann").await;
    let mut raw = Raw::over(connect(&client, &server.address).await);
    let ping = frame(TEXT, br#"{"id":7,"do":"ping"}"#);
    raw.write(&[request(&handshake_lines(Some(&token))), ping].concat()).await;
    assert_eq!(raw.answer().await.status, 101);
    assert_eq!(raw.json().await["id"], 7);
    // A connection that fails is told why, and TLS too is ended in order.
    raw.write(&frame(0x83, &[b'x'; 10_000])).await;
    assert_eq!(raw.close_code().await, 1002);
    raw.end().await;
}

#[actix_web::test]
async fn limits_hold_over_tls() {
    let (server, client) = server(&["socket.max_connections=1"]).await;
    let token = guest(connect(&client, &server.address).await, "Ann").await;
    let mut ann =
        Client::over(connect(&client, &server.address).await, &server.address, Some(&token)).await;
    let mut raw = Raw::over(connect(&client, &server.address).await);
    raw.write(&request(&handshake_lines(Some(&token)))).await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_connections"));
    raw.end().await;
    ann.ok(json!({"do":"ping"})).await;
}

/// Until the server ends the connection, whichever way.
async fn ended(mut stream: TcpStream) {
    let mut rest = Vec::new();
    timeout(support::PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is ended").ok();
}

#[actix_web::test]
async fn who_does_not_speak_tls_is_let_go() {
    let (server, client) = server(&[]).await;
    let mut plain = TcpStream::connect(&server.address).await.expect("a connection");
    plain.write_all(&request(&handshake_lines(None))).await.expect("an open connection");
    ended(plain).await;
    // Nor does this one, which says nothing at all; its time is a real one.
    let silent = TcpStream::connect(&server.address).await.expect("a connection");
    // Nor this one, which begins and says no more.
    let mut slow = TcpStream::connect(&server.address).await.expect("a connection");
    slow.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("an open connection");
    let token = guest(connect(&client, &server.address).await, "Ann").await;
    let mut ann =
        Client::over(connect(&client, &server.address).await, &server.address, Some(&token)).await;
    ann.ok(json!({"do":"ping"})).await;
    ended(silent).await;
    ended(slow).await;
    ann.ok(json!({"do":"ping"})).await;
}

/// The certificate that a new connection is shown, if this client trusts it.
async fn shown(client: &TlsConnector, address: &str) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let stream = shake_hands(client, stream).await.ok()?;
    let (_, connection) = stream.get_ref();
    Some(connection.peer_certificates().expect("certificates")[0].clone().into_owned())
}

#[actix_web::test]
async fn a_certificate_is_replaced_while_connections_stand() {
    let folder = TempDir::new().expect("a folder");
    let (old, new, files) = (Certified::new(), Certified::new(), Files::below(folder.path()));
    let (old_client, new_client) = (old.client(), new.client());
    old.write(&files);
    let settings = files.settings();
    let flags = ["--set", &settings[0], "--set", &settings[1]];
    let (process, address) = start(folder.path(), &flags).await;
    let token = guest(connect(&old_client, &address).await, "Ann").await;
    let stream = connect(&old_client, &address).await;
    let mut ann = Client::over(stream, &address, Some(&token)).await;
    ann.ok(json!({"do":"ping"})).await;
    assert_eq!(shown(&new_client, &address).await, None, "the new one is not shown yet");

    new.write(&files);
    assert_eq!(shown(&old_client, &address).await.as_ref(), Some(old.certificate()));
    process.signal("HUP");
    until("the new one is shown", async || {
        shown(&new_client, &address).await.as_ref() == Some(new.certificate())
    })
    .await;
    assert_eq!(shown(&old_client, &address).await, None, "the old one is shown no more");
    ann.ok(json!({"do":"ping"})).await;
    let stream = connect(&new_client, &address).await;
    Client::over(stream, &address, Some(&token)).await.ok(json!({"do":"ping"})).await;
    assert!(!process.log().contains("ERROR"), "{}", process.log());

    // Files that are no good change nothing, and the log says what is wrong with them.
    let others_key = Certified::new().key();
    let broken: [(&str, &dyn Fn()); 4] = [
        ("can't be used", &|| fs::write(&files.key, &others_key).expect("a file")),
        ("could not read a private key", &|| fs::write(&files.key, "no key").expect("a file")),
        ("could not read certificates", &|| fs::write(&files.certificate, "").expect("a file")),
        ("could not read certificates", &|| fs::remove_file(&files.certificate).expect("gone")),
    ];
    for (count, (said, break_them)) in (1..).zip(broken) {
        break_them();
        process.signal("HUP");
        let errors = || -> Vec<String> {
            let log = process.log();
            log.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect()
        };
        until("the log says so", async || errors().len() == count).await;
        let last = errors().pop().expect("an error");
        assert!(last.contains(said) && last.contains("the old certificate stays in use"), "{last}");
        assert!(last.contains(".pem"), "it names the file: {last}");
        assert_eq!(shown(&new_client, &address).await.as_ref(), Some(new.certificate()));
    }

    // Put right again, they are taken.
    old.write(&files);
    process.signal("HUP");
    until("the old one is shown again", async || {
        shown(&old_client, &address).await.as_ref() == Some(old.certificate())
    })
    .await;
    ann.ok(json!({"do":"ping"})).await;
}

#[actix_web::test]
async fn without_a_certificate_a_hang_up_does_no_harm() {
    let folder = TempDir::new().expect("a folder");
    let (process, address) = start(folder.path(), &[]).await;
    process.signal("HUP");
    until("it has heard", async || process.log().contains("there is no certificate to read again"))
        .await;
    let health = Http::default().get(format!("http://{address}/healthz")).send().await;
    let health = health.expect("an answer");
    assert_eq!(health.status().as_u16(), 200);
}

/// What a start with these settings says, which must fail.
async fn start_refused(folder: &Path, set: &[&str]) -> String {
    let set = set.iter().flat_map(|set| ["--set", *set]);
    refused(folder, &ANY_PORT.into_iter().chain(set).collect::<Vec<_>>(), &[]).await
}

#[actix_web::test]
async fn settings_and_files_that_are_no_good_are_clear_errors() {
    let folder = TempDir::new().expect("a folder");
    let (good, files) = (Certified::new(), Files::below(folder.path()));
    good.write(&files);
    let [certificate, key] = &files.settings();
    for (set, missing) in [(certificate, "server.tls_key"), (key, "server.tls_certificate")] {
        let said = start_refused(folder.path(), &[set]).await;
        assert!(said.contains(missing) && said.contains("--set"), "{said}");
    }
    // Named the other way round.
    let swapped = [
        format!("server.tls_certificate={}", files.key.display()),
        format!("server.tls_key={}", files.certificate.display()),
    ];
    let said = start_refused(folder.path(), &[&swapped[0], &swapped[1]]).await;
    assert!(said.contains("key.pem") && said.contains("certificate"), "{said}");
    let nowhere = "server.tls_key=nowhere.pem";
    let said = start_refused(folder.path(), &[certificate, nowhere]).await;
    assert!(said.contains("nowhere.pem") && said.contains("private key"), "{said}");
    // Another's key.
    let other = TempDir::new().expect("a folder");
    let others = Files::below(other.path());
    Certified::new().write(&others);
    let said = start_refused(folder.path(), &[certificate, &others.settings()[1]]).await;
    assert!(said.contains("certificate.pem") && said.contains("can't be used"), "{said}");
    // They do fit, and it starts.
    let flags = ["--set", certificate, "--set", key];
    let mut process = Process::spawn(folder.path(), &[&ANY_PORT[..], &flags].concat(), &[]);
    let address = process.address().await;
    assert!(process.log().contains("open https://"), "{}", process.log());
    assert_eq!(shown(&good.client(), &address).await.as_ref(), Some(good.certificate()));
}
