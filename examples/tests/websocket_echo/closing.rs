//! The closing handshake: every way to begin it is answered with the code for it, nothing comes
//! behind that, and then the server ends the stream without losing what it has said.

use crate::peer::{
    BINARY, CLOSE, Echo, FIRST_TEXT, LAST, PING, PONG, TEXT, bytes, close, frame, header, text,
};

#[tokio::test]
async fn every_code_that_may_be_sent_is_answered() {
    let echo = Echo::start().await;
    echo.closes("no code", &frame(CLOSE, b""), 1000).await;
    let codes = (1000..=1003).chain(1007..=1011).chain([3000, 3999, 4000, 4999]);
    for code in codes {
        for reason in [&b""[..], b"done", "안녕 👋".as_bytes(), &[b'x'; 123]] {
            let what = format!("{code}, {} bytes of reason", reason.len());
            echo.closes(&what, &close(code, reason), 1000).await;
        }
        let mut peer = echo.peer().await;
        peer.send_in(1, &close(code, b"byte by byte")).await;
        peer.is_closed("byte by byte", 1000).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn every_code_that_may_not_be_sent_is_refused() {
    let echo = Echo::start().await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        for reason in [&b""[..], b"done"] {
            echo.closes(&format!("{code}"), &close(code, reason), 1002).await;
        }
    }
    echo.closes("half a code", &frame(CLOSE, &[3]), 1002).await;
    echo.closes("a reason too long", &close(1000, &[b'x'; 124]), 1002).await;
    for reason in [&b"\xff"[..], b"\xce\xba\xed\xa0\x80edited", b"cut \xe2\x82"] {
        echo.closes(&format!("{reason:x?}"), &close(1000, reason), 1007).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn nothing_is_answered_behind_a_close() {
    let echo = Echo::start().await;
    let close = close(1000, b"");
    let behind = [
        ("a text", frame(TEXT, b"late")),
        ("a ping", frame(PING, b"late")),
        ("another close", close.clone()),
        ("a bad frame", frame(0xff, b"late")),
        ("half a header", vec![TEXT]),
        ("much", frame(BINARY, &bytes(1 << 20))),
    ];
    for (what, behind) in behind {
        echo.closes(what, &[&close[..], &behind].concat(), 1000).await;
    }
    // What was sent before it is answered before it.
    let mut peer = echo.peer().await;
    let large = text(256 << 10);
    let all = [frame(TEXT, large.as_bytes()), frame(PING, b"1"), close.clone()].concat();
    peer.send(&[&all[..], &frame(PING, b"2")].concat()).await;
    peer.hears("a message before", TEXT, large.as_bytes()).await;
    peer.hears("a ping before", PONG, b"1").await;
    peer.is_closed("then", 1000).await;
    // A message that is not complete is not waited for.
    let begun = frame(FIRST_TEXT, b"one, ");
    echo.closes("within fragments", &[&begun[..], &close].concat(), 1000).await;
    let all = [&begun[..], &close, &frame(LAST, b"two")].concat();
    echo.closes("between fragments", &all, 1000).await;
    echo.end().await;
}

#[tokio::test]
async fn the_code_arrives_while_much_is_under_way() {
    let echo = Echo::start().await;
    let much = bytes(20 << 20);
    let cases = [
        ("too big", header(BINARY, much.len() as u64), 1009),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("not UTF-8", frame(TEXT, b"\xff"), 1007),
        ("a close", close(1000, b""), 1000),
    ];
    for (what, bytes, code) in cases {
        let all = [&bytes[..], &much].concat();
        // Everything is sent before anything is read.
        echo.closes(what, &all, code).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn the_connection_ends_with_its_peer_and_with_the_program() {
    let echo = Echo::start().await;
    // Whoever closes and then ends its stream is let go; so is whoever just goes.
    let mut peers = Vec::new();
    for n in 0..30 {
        let mut peer = echo.peer().await;
        match n % 3 {
            0 => {
                peer.send(&close(1001, b"going away")).await;
                peer.is_closed("going away", 1000).await;
            }
            1 => peer.send(&[TEXT]).await,
            _ => peer.goes_on("open").await,
        }
        peers.push(peer);
    }
    let mut stays = echo.peer().await;
    drop(peers);
    echo.until_connections(1).await;
    stays.goes_on("undisturbed").await;
    // Whoever is there when the program ends is told so.
    echo.interrupt().await;
    stays.is_closed("the program ends", 1001).await;
    drop(stays);
    echo.ended().await;
}
