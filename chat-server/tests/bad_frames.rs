//! Frames that are not WebSocket, not ours, or too big: each ends the connection with the code that
//! `docs/protocol.md` promises.

mod support;

use serde_json::json;
use support::raw::{BINARY, CLOSE, CONTINUE, FIRST_TEXT, LAST, PING, TEXT, frame};
use support::scene::{MOST, Scene};
use tokio::io::AsyncWriteExt;

impl Scene {
    /// These bytes, on a connection of their own, end it with this code.
    async fn closes(&self, what: &str, bytes: &[u8], code: u16) {
        let mut client = self.another().await;
        client.ok(json!({"do":"ping"})).await;
        // The server may close before it has read everything.
        client.socket.get_mut().write_all(bytes).await.ok();
        assert_eq!(client.close_code().await, code, "{what}");
    }
}

#[actix_web::test]
async fn what_is_not_websocket_is_closed() {
    let scene = Scene::new().await;
    let ping = br#"{"id":1,"do":"ping"}"#;
    let unmasked = [&[TEXT, ping.len() as u8][..], ping].concat();
    scene.closes("no mask", &unmasked, 1002).await;
    for bit in [0x40, 0x20, 0x10] {
        scene.closes(&format!("reserved bit {bit:#x}"), &frame(TEXT | bit, ping), 1002).await;
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        scene.closes(&format!("opcode {opcode:#x}"), &frame(0x80 | opcode, ping), 1002).await;
    }
    scene.closes("a last fragment without a first", &frame(LAST, ping), 1002).await;
    scene.closes("a fragment without a first", &frame(CONTINUE, ping), 1002).await;
    let first = frame(FIRST_TEXT, b"{");
    for (what, then) in [("a message", TEXT), ("a first fragment", FIRST_TEXT), ("binary", BINARY)]
    {
        let bytes = [&first[..], &frame(then, ping)].concat();
        scene.closes(&format!("{what} within a message"), &bytes, 1002).await;
    }
    scene.closes("a ping in fragments", &frame(PING & 0x7f, b""), 1002).await;
    scene.closes("a long ping", &frame(PING, &[b'x'; 126]), 1002).await;
    scene.undisturbed().await;
}

#[actix_web::test]
async fn what_is_not_ours_is_closed() {
    let scene = Scene::new().await;
    scene.closes("binary", &frame(BINARY, br#"{"id":1,"do":"ping"}"#), 4400).await;
    scene.closes("empty binary", &frame(BINARY, b""), 4400).await;
    scene.closes("binary in fragments", &frame(BINARY & 0x7f, b"{"), 4400).await;
    for bytes in [&b"\xff"[..], b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xf0\x9f\x98"]
    {
        scene.closes(&format!("{bytes:?}"), &frame(TEXT, bytes), 1007).await;
        let fragments = [frame(FIRST_TEXT, b"{"), frame(LAST, bytes)].concat();
        scene.closes(&format!("{bytes:?} in fragments"), &fragments, 1007).await;
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn frames_and_messages_have_64_kib_at_most() {
    let mut scene = Scene::new().await;
    let ping = r#"{"id":1000,"do":"ping"}"#;
    let padded = |size: usize| format!("{ping}{}", " ".repeat(size - ping.len())).into_bytes();
    let in_fragments = |size: usize| {
        let bytes = padded(size);
        let (first, rest) = bytes.split_at(size / 3);
        let (middle, last) = rest.split_at(size / 3);
        [frame(FIRST_TEXT, first), frame(CONTINUE, middle), frame(LAST, last)].concat()
    };
    for bytes in [frame(TEXT, &padded(MOST)), in_fragments(MOST)] {
        scene.ann.socket.get_mut().write_all(&bytes).await.expect("an open socket");
        assert_eq!(scene.ann.reply().await["id"], 1000);
    }
    scene.closes("one byte too many", &frame(TEXT, &padded(MOST + 1)), 1009).await;
    scene.closes("one byte too many in fragments", &in_fragments(MOST + 1), 1009).await;
    scene.closes("a fragment too big", &frame(FIRST_TEXT, &padded(MOST + 1)), 1009).await;
    scene.closes("16 MiB", &frame(TEXT, &padded(16 << 20)), 1009).await;
    let endless = frame(CONTINUE, &[b' '; 1_000]).repeat(100);
    let endless = [frame(FIRST_TEXT, b"{"), endless].concat();
    scene.closes("fragments without end", &endless, 1009).await;
    // Closed for its header alone: what it announces never comes.
    for announced in [1_u64 << 40, i64::MAX as u64, u64::MAX] {
        let header = [&[TEXT, 0x80 | 127][..], &announced.to_be_bytes(), &[0; 4]].concat();
        scene.closes(&format!("{announced} bytes announced"), &header, 1009).await;
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn fragments_are_put_together_with_pings_between_them() {
    let mut scene = Scene::new().await;
    let said = "👩‍👩‍👧 안녕";
    let whole = json!({"id":7,"do":"send","room":scene.room,"text":said}).to_string();
    // Byte by byte, so that characters are cut too.
    let mut bytes = frame(FIRST_TEXT, b"");
    for byte in whole.bytes() {
        bytes.extend(frame(CONTINUE, &[byte]));
        bytes.extend(frame(PING, b"still there?"));
    }
    bytes.extend(frame(LAST, b""));
    scene.ann.socket.get_mut().write_all(&bytes).await.expect("an open socket");
    let sent = scene.ann.reply().await;
    assert_eq!((&sent["id"], &sent["ok"]["seq"]), (&json!(7), &json!(1)), "{sent}");
    assert_eq!(scene.bob.event("message").await["text"], said);
    // Another one, of one piece, on the same connection.
    scene.ann.ok(json!({"do":"ping"})).await;
}

#[actix_web::test]
async fn a_close_is_answered() {
    let scene = Scene::new().await;
    scene.closes("no reason", &frame(CLOSE, b""), 1000).await;
    scene.closes("1000", &frame(CLOSE, &1000_u16.to_be_bytes()), 1000).await;
    scene.closes("1001 and a word", &frame(CLOSE, b"\x03\xe9going"), 1000).await;
    scene.closes("4999", &frame(CLOSE, &4999_u16.to_be_bytes()), 1000).await;
    scene.undisturbed().await;
}
