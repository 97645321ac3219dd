//! Messages and pings of all sizes, whole and in fragments, however the network cuts them.

use crate::peer::{
    BINARY, Echo, FIRST_BINARY, FIRST_TEXT, LAST, MIDDLE, MOST, PING, PONG, TEXT, bytes, frame, is,
    text,
};

/// At each of these, lengths are said in another way, or one way ends.
const SIZES: [usize; 8] = [0, 1, 125, 126, 127, 128, 65_535, 65_536];

#[tokio::test]
async fn messages_of_all_sizes_come_back_unchanged() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    for size in SIZES.into_iter().chain([1 << 20, MOST]) {
        for (first, payload) in [(TEXT, text(size).into_bytes()), (BINARY, bytes(size))] {
            let message = frame(first, &payload);
            // Byte by byte only what does not take minutes.
            let pieces = [message.len(), 997].into_iter().chain((size <= 65_536).then_some(1));
            for pieces in pieces {
                let heard = peer.exchange(pieces, &message).await;
                is(&format!("{size} bytes in pieces of {pieces}"), &heard, first, &payload);
            }
        }
    }
    echo.end().await;
}

#[tokio::test]
async fn many_messages_in_one_write_come_back_in_order() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let messages: Vec<_> = SIZES.into_iter().cycle().take(50).enumerate().collect();
    let first = |n: usize| if n.is_multiple_of(2) { TEXT } else { BINARY };
    let all = messages.iter().flat_map(|(n, size)| frame(first(*n), text(*size).as_bytes()));
    peer.send(&all.collect::<Vec<_>>()).await;
    for (n, size) in messages {
        peer.hears(&format!("message {n}"), first(n), text(size).as_bytes()).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn pings_are_answered_with_what_they_carry() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    for payload in [&b""[..], b"hello", b"\x00\xff\xfe\xfd\xfc\x00", &bytes(125)] {
        for pieces in [200, 1] {
            let heard = peer.exchange(pieces, &frame(PING, payload)).await;
            is(&format!("{} bytes", payload.len()), &heard, PONG, payload);
        }
    }
    let ten: Vec<_> = (0..10).map(|n| format!("ping {n}")).collect();
    let all: Vec<_> = ten.iter().flat_map(|payload| frame(PING, payload.as_bytes())).collect();
    for pieces in [all.len(), 1] {
        peer.send_in(pieces, &all).await;
        for payload in &ten {
            peer.hears("ten pings", PONG, payload.as_bytes()).await;
        }
    }
    // A pong that nobody asked for is a sign of life, and no more.
    for payload in [&b""[..], b"unasked", &bytes(125)] {
        peer.send(&frame(PONG, payload)).await;
        peer.goes_on("a pong").await;
    }
    let pong = [frame(PONG, b"unasked"), frame(PING, b"asked"), frame(PONG, b"")].concat();
    peer.send(&pong).await;
    peer.hears("a ping among pongs", PONG, b"asked").await;
    echo.end().await;
}

#[tokio::test]
async fn fragments_are_put_together() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let payload = text(1_000);
    let payload = payload.as_bytes();
    for size in [0, 1, 7, 125, 126, 500, 999] {
        // An empty payload in the first fragment, in one between, and in the last.
        let mut parts: Vec<_> = match size {
            0 => vec![payload],
            size => payload.chunks(size).collect(),
        };
        parts.insert(0, b"");
        parts.insert(parts.len() / 2, b"");
        parts.push(b"");
        for (first, whole) in [(FIRST_TEXT, TEXT), (FIRST_BINARY, BINARY)] {
            let message = fragments(first, &parts);
            for pieces in [message.len(), 97, 1] {
                let heard = peer.exchange(pieces, &message).await;
                is(&format!("fragments of {size}, pieces of {pieces}"), &heard, whole, payload);
            }
        }
    }
    for parts in [&[&b""[..], b""][..], &[b"", b"", b""]] {
        peer.send(&fragments(FIRST_TEXT, parts)).await;
        peer.hears("fragments of nothing", TEXT, b"").await;
    }
    echo.end().await;
}

#[tokio::test]
async fn a_large_message_in_small_fragments() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let payload = text(65_536);
    let parts: Vec<_> = payload.as_bytes().chunks(1_300).collect();
    for pieces in [usize::MAX, 997, 1] {
        let message = fragments(FIRST_TEXT, &parts);
        let heard = peer.exchange(pieces, &message).await;
        is(&format!("in pieces of {pieces}"), &heard, TEXT, payload.as_bytes());
    }
    let payload = bytes(MOST);
    let parts: Vec<_> = payload.chunks(65_536).collect();
    let heard = peer.exchange(usize::MAX, &fragments(FIRST_BINARY, &parts)).await;
    is("16 MiB in fragments", &heard, BINARY, &payload);
    echo.end().await;
}

#[tokio::test]
async fn control_frames_come_between_fragments() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let between = [frame(PING, b"still there?"), frame(PONG, b"yes")].concat();
    let parts = [frame(FIRST_TEXT, b"one, "), frame(MIDDLE, b"two, "), frame(LAST, b"three")];
    for pieces in [usize::MAX, 1] {
        peer.send_in(pieces, &parts.join(&between[..])).await;
        // Both are answered before the message is complete.
        for _ in 0..2 {
            peer.hears("a ping", PONG, b"still there?").await;
        }
        peer.hears("the message", TEXT, b"one, two, three").await;
    }
    // And so they are while nothing of the message comes behind them.
    peer.send(&parts[0]).await;
    peer.send(&frame(PING, b"now?")).await;
    peer.hears("a ping behind a fragment", PONG, b"now?").await;
    peer.send(&parts[2]).await;
    peer.hears("the rest", TEXT, b"one, three").await;
    echo.end().await;
}

/// A message in fragments.
fn fragments(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let opcode = if n == 0 { first } else { MIDDLE };
        let last = if n + 1 == parts.len() { LAST } else { 0 };
        message.extend(frame(opcode | last, part));
    }
    message
}
