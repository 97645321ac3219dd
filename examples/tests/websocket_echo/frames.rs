//! Frames that no client may send: each is answered by closing with the code for it, at the first
//! byte that shows it.

use crate::peer::{
    BINARY, CLOSE, Echo, FIRST_BINARY, FIRST_TEXT, LAST, MIDDLE, MOST, PING, PONG, TEXT, bytes,
    frame, header,
};

#[tokio::test]
async fn reserved_bits_and_opcodes_are_refused() {
    let echo = Echo::start().await;
    for bits in 1..8 {
        for first in [TEXT, BINARY, FIRST_TEXT, PING, PONG, CLOSE] {
            let what = format!("reserved bits {bits} on {first:#x}");
            echo.closes(&what, &frame(first | bits << 4, b"hello"), 1002).await;
        }
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for first in [opcode, 0x80 | opcode] {
            for payload in [&b""[..], b"hello"] {
                echo.closes(&format!("opcode {first:#x}"), &frame(first, payload), 1002).await;
            }
        }
        // The first byte shows it.
        echo.closes("one byte", &[0x80 | opcode], 1002).await;
    }
    // What was complete before is answered first.
    let mut peer = echo.peer().await;
    let bad = frame(0x80 | 3, b"bad");
    peer.send(&[frame(TEXT, b"good"), frame(PING, b"good"), bad, frame(TEXT, b"late")].concat())
        .await;
    peer.hears("a message before", TEXT, b"good").await;
    peer.hears("a ping before", PONG, b"good").await;
    peer.is_closed("a reserved opcode", 1002).await;
    echo.end().await;
}

#[tokio::test]
async fn fragments_out_of_order_are_refused() {
    let echo = Echo::start().await;
    for (what, first) in [("a fragment", MIDDLE), ("a last fragment", LAST)] {
        echo.closes(&format!("{what} without a first"), &frame(first, b"hello"), 1002).await;
        // Nor does it continue a message that is complete.
        let mut peer = echo.peer().await;
        let message = [frame(FIRST_TEXT, b"a"), frame(LAST, b"b"), frame(first, b"c")].concat();
        peer.send(&message).await;
        peer.hears(what, TEXT, b"ab").await;
        peer.is_closed(what, 1002).await;
    }
    for begun in [FIRST_TEXT, FIRST_BINARY] {
        for then in [TEXT, BINARY, FIRST_TEXT, FIRST_BINARY] {
            let message = [frame(begun, b"one"), frame(then, b"two")].concat();
            echo.closes(&format!("{then:#x} within {begun:#x}"), &message, 1002).await;
        }
    }
    echo.end().await;
}

#[tokio::test]
async fn control_frames_are_whole_and_short() {
    let echo = Echo::start().await;
    for first in [PING, PONG, CLOSE] {
        echo.closes("a control frame in fragments", &frame(first & 0x7f, b""), 1002).await;
        for length in [126, 127, 65_535, 65_536] {
            let what = format!("{first:#x} with {length} bytes");
            echo.closes(&what, &frame(first, &bytes(length)), 1002).await;
            // Its length shows it; its payload is not waited for.
            echo.closes(&what, &header(first, length as u64)[..2], 1002).await;
        }
    }
    echo.end().await;
}

#[tokio::test]
async fn unmasked_frames_and_long_ways_to_say_a_length_are_refused() {
    let echo = Echo::start().await;
    echo.closes("an unmasked text", b"\x81\x05hello", 1002).await;
    echo.closes("an unmasked ping", b"\x89\x00", 1002).await;
    echo.closes("an unmasked close", b"\x88\x02\x03\xe8", 1002).await;
    for length in [0_u16, 1, 125] {
        let header = [&[TEXT, 0x80 | 126][..], &length.to_be_bytes(), &[0; 4]].concat();
        echo.closes(&format!("{length} in two bytes"), &header, 1002).await;
    }
    for length in [0_u64, 125, 126, 65_535] {
        let header = [&[TEXT, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
        echo.closes(&format!("{length} in eight bytes"), &header, 1002).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn what_is_too_big_is_refused_at_its_header() {
    let echo = Echo::start().await;
    let most = MOST as u64;
    for first in [TEXT, BINARY, FIRST_TEXT, FIRST_BINARY] {
        for length in [most + 1, 1 << 32, 1 << 40, i64::MAX as u64, u64::MAX] {
            let what = format!("{length} bytes announced");
            echo.closes(&what, &header(first, length), 1009).await;
        }
    }
    // The sum counts, and is known before the payload that exceeds it.
    let begun = frame(FIRST_BINARY, &bytes(10));
    for first in [MIDDLE, LAST] {
        let message = [&begun[..], &header(first, most - 9)].concat();
        echo.closes("a fragment too much", &message, 1009).await;
    }
    echo.end().await;

    let echo = Echo::start_with(&["--max-message", "1000"]).await;
    let mut peer = echo.peer().await;
    let payload = bytes(1_000);
    peer.send(&frame(BINARY, &payload)).await;
    peer.hears("as much as is allowed", BINARY, &payload).await;
    let (first, rest) = payload.split_at(999);
    peer.send(&[frame(FIRST_BINARY, first), frame(LAST, rest)].concat()).await;
    peer.hears("the same in fragments", BINARY, &payload).await;
    peer.send(&header(BINARY, 1_001)).await;
    peer.is_closed("one byte more", 1009).await;
    echo.end().await;
}

#[tokio::test]
async fn announcing_costs_no_memory() {
    let echo = Echo::start().await;
    echo.closes("a first one", &header(BINARY, 1 << 40), 1009).await;
    let before = echo.memory("VmRSS");
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut refused = echo.peer().await;
        refused.send(&header(BINARY, 1 << 40)).await;
        refused.is_closed("too big", 1009).await;
        // One that is allowed takes what has come of it.
        let mut begun = echo.peer().await;
        begun.send(&header(BINARY, MOST as u64)).await;
        begun.send(&bytes(1_000)).await;
        peers.push((refused, begun));
    }
    drop(peers);
    // All that they sent has been read before their end is.
    echo.until_connections(0).await;
    let after = echo.memory("VmHWM");
    assert!(after < before + (16 << 20), "{before} bytes, then {after}");
    echo.end().await;
}
