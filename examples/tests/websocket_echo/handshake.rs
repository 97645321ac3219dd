//! The opening handshake: what is in order is answered as RFC 6455 says, and whatever is missing,
//! doubled or of another version is refused with a status.

use crate::peer::{BINARY, Echo, HEADERS, PING, PONG, TEXT, bytes, close, frame, request};

impl Echo {
    /// The head of the answer to a request, after which there is nothing but the end of it.
    async fn asks(&self, line: &str, headers: &[&str]) -> String {
        let mut peer = self.connect().await;
        peer.send(format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n")).as_bytes()).await;
        peer.head().await.to_lowercase()
    }

    /// The status of the answer to a handshake from which the headers of these names have been left
    /// out, and to which these have been added.
    async fn status(&self, without: &[&str], with: &[&str]) -> u16 {
        let left_out = |header: &&str| without.iter().any(|name| header.starts_with(name));
        let kept = HEADERS.into_iter().filter(|header| !left_out(header));
        let headers: Vec<_> = kept.chain(with.iter().copied()).collect();
        status(&self.asks("GET /echo HTTP/1.1", &headers).await)
    }
}

fn status(head: &str) -> u16 {
    let status = head.split(' ').nth(1).expect("a status");
    status.parse().expect("a number")
}

#[tokio::test]
async fn a_handshake_in_order_is_answered() {
    let echo = Echo::start().await;
    let head = echo.asks("GET /echo HTTP/1.1", &HEADERS).await;
    // The answer to this key is in RFC 6455, section 1.3.
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_lowercase();
    assert!(head.contains(&format!("\r\n{accept}\r\n")), "{head}");
    // What nobody offered is not chosen, and no extension is spoken here.
    for header in ["sec-websocket-protocol", "sec-websocket-extensions"] {
        assert!(!head.contains(header), "{head}");
    }
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    let head = echo.asks("GET /echo?a=b HTTP/1.1", &[&HEADERS[..], &[offer]].concat()).await;
    assert_eq!(status(&head), 101);
    assert!(!head.contains("sec-websocket-extensions"), "{head}");

    assert_eq!(echo.status(&["Upgrade"], &["upgrade: WebSocket"]).await, 101);
    assert_eq!(echo.status(&["Connection"], &["connection: keep-alive, UPGRADE"]).await, 101);
    assert_eq!(echo.status(&[], &["Origin: https://elsewhere.example"]).await, 101);
    echo.end().await;
}

#[tokio::test]
async fn what_is_not_in_order_is_refused() {
    let echo = Echo::start().await;
    for missing in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key"] {
        assert_eq!(echo.status(&[missing], &[]).await, 400, "without {missing}");
    }
    let key = HEADERS[4];
    assert_eq!(echo.status(&[], &[key]).await, 400, "the same key twice");
    let other = "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==";
    assert_eq!(echo.status(&[], &[other]).await, 400, "two keys");
    for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "a b c"] {
        let key = format!("Sec-WebSocket-Key: {key}");
        assert_eq!(echo.status(&["Sec-WebSocket-Key"], &[&key]).await, 400, "{key}");
    }
    assert_eq!(echo.status(&["Upgrade"], &["Upgrade: h2c"]).await, 400);
    assert_eq!(echo.status(&["Connection"], &["Connection: close"]).await, 400);

    for version in [None, Some("0"), Some("8"), Some("14"), Some("thirteen"), Some("")] {
        let version = version.map(|version| format!("Sec-WebSocket-Version: {version}"));
        let version: Vec<_> = version.iter().map(String::as_str).collect();
        let headers = [&HEADERS[..3], &version, &HEADERS[4..]].concat();
        let head = echo.asks("GET /echo HTTP/1.1", &headers).await;
        assert_eq!(status(&head), 426, "{version:?}");
        assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
    }
    assert_eq!(echo.status(&[], &["Sec-WebSocket-Version: 8"]).await, 426, "two versions");

    for line in ["GET /echo HTTP/1.0", "GET /echo"] {
        assert_eq!(status(&echo.asks(line, &HEADERS).await), 400, "{line}");
    }
    assert_eq!(status(&echo.asks("POST /echo HTTP/1.1", &HEADERS).await), 405);
    assert_eq!(status(&echo.asks("GET / HTTP/1.1", &HEADERS).await), 404);
    assert_eq!(status(&echo.asks("GET /echoes HTTP/1.1", &HEADERS).await), 404);
    echo.end().await;
}

#[tokio::test]
async fn frames_may_come_right_behind_the_handshake() {
    let echo = Echo::start().await;
    let large = bytes(100_000);
    let frames = [frame(TEXT, b"hello"), frame(PING, b"hi"), frame(BINARY, &large)].concat();
    let all = [request().as_bytes(), &frames, &close(1000, b"")].concat();
    // Whole, in packets of any size, and cut at every place within the first frame.
    let begun = request().len();
    let cuts = (begun..begun + 12).map(|at| vec![at]);
    let cuts = cuts.chain([vec![], (0..begun + 100).collect()]);
    for cut in cuts {
        let mut peer = echo.connect().await;
        let mut sent = 0;
        for at in cut.into_iter().chain([all.len()]) {
            peer.send(&all[sent..at]).await;
            sent = at;
        }
        let head = peer.head().await;
        assert_eq!(status(&head), 101, "{head}");
        peer.hears("a text", TEXT, b"hello").await;
        peer.hears("a ping", PONG, b"hi").await;
        peer.hears("a large message", BINARY, &large).await;
        peer.is_closed("a close", 1000).await;
    }
    // What is wrong there is refused as anywhere.
    let mut peer = echo.connect().await;
    peer.send(&[request().as_bytes(), b"not frames"].concat()).await;
    assert_eq!(status(&peer.head().await), 101);
    peer.is_closed("not frames", 1002).await;
    echo.end().await;
}
