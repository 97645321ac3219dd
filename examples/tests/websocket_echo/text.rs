//! Texts are UTF-8 (RFC 3629), and what is not is refused at the first byte that shows it, wherever
//! fragments and packets cut it.

use crate::peer::{BINARY, Echo, FIRST_TEXT, LAST, MIDDLE, PING, PONG, TEXT, frame, header, is};

/// Texts that are in order, the first and last character of each length among them.
const VALID: [&str; 12] = [
    "plain",
    "naïve café",
    "κόσμος",
    "안녕하세요",
    "👩‍👩‍👧 𐍈",
    "\0",
    "\u{7f}\u{80}",
    "\u{7ff}\u{800}",
    "\u{d7ff}\u{e000}",
    "\u{fffd}\u{fffe}\u{ffff}",
    "\u{10000}\u{1fffe}\u{1ffff}",
    "\u{10fffe}\u{10ffff}",
];

/// Bytes of which the last one shows that this is not UTF-8.
const INVALID: [&[u8]; 31] = [
    // Bytes that begin nothing.
    b"\x80",
    b"\xbf",
    b"\xf5",
    b"\xf8",
    b"\xfc",
    b"\xfe",
    b"\xff",
    // Longer than need be.
    b"\xc0",
    b"\xc1",
    b"\xe0\x80",
    b"\xe0\x9f",
    b"\xf0\x80",
    b"\xf0\x8f",
    // Halves of a pair of UTF-16.
    b"\xed\xa0",
    b"\xed\xaf",
    b"\xed\xb0",
    b"\xed\xbf",
    // Beyond the last character.
    b"\xf4\x90",
    b"\xf4\xbf",
    // Characters that are not completed.
    b"\xc3(",
    b"\xc3\xc3",
    b"\xdf ",
    b"\xe2(",
    b"\xe2\x82(",
    b"\xe2\x82\xe2",
    b"\xef\xbf\xf0",
    b"\xf0(",
    b"\xf0\x9f(",
    b"\xf0\x9f\x98(",
    b"\xf0\x9f\x98\xf0",
    b"\xf4\x8f\xbf\xc3",
];

#[tokio::test]
async fn texts_come_back_however_they_are_cut() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    for text in VALID {
        let bytes = text.as_bytes();
        for pieces in [usize::MAX, 1] {
            let heard = peer.exchange(pieces, &frame(TEXT, bytes)).await;
            is(text, &heard, TEXT, bytes);
        }
        // In two fragments, at every place.
        for at in 0..=bytes.len() {
            let (first, rest) = bytes.split_at(at);
            peer.send(&[frame(FIRST_TEXT, first), frame(LAST, rest)].concat()).await;
            peer.hears(text, TEXT, bytes).await;
        }
        // A byte a fragment.
        let mut message = frame(FIRST_TEXT, b"");
        message.extend(bytes.iter().flat_map(|byte| frame(MIDDLE, &[*byte])));
        message.extend(frame(LAST, b""));
        peer.send(&message).await;
        peer.hears(text, TEXT, bytes).await;
    }
    // Anything goes in a binary message.
    for bytes in INVALID {
        peer.send(&frame(BINARY, bytes)).await;
        peer.hears("binary", BINARY, bytes).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn what_is_not_utf8_is_refused() {
    let echo = Echo::start().await;
    for bad in INVALID {
        let text = [b"\xce\xba\xe1\xbd\xb9", bad, b"edited"].concat();
        echo.closes(&format!("{bad:x?}"), &frame(TEXT, &text), 1007).await;
        let fragments = [frame(FIRST_TEXT, &text[..6]), frame(LAST, &text[6..])].concat();
        echo.closes(&format!("{bad:x?} in fragments"), &fragments, 1007).await;
    }
    // A character that the message ends in the middle of.
    for cut in [&b"\xc3"[..], b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98"] {
        echo.closes(&format!("{cut:x?}"), &frame(TEXT, cut), 1007).await;
        let fragments = [frame(FIRST_TEXT, cut), frame(LAST, b"")].concat();
        echo.closes(&format!("{cut:x?} in fragments"), &fragments, 1007).await;
    }
    echo.end().await;
}

#[tokio::test]
async fn it_is_refused_before_the_rest_has_come() {
    let echo = Echo::start().await;
    let good = "κό".as_bytes();
    for bad in INVALID {
        let what = format!("{bad:x?}");
        let text = [good, bad].concat();
        // Of a frame that is announced to be longer, nothing comes behind the byte that shows it.
        let whole = frame(TEXT, &[&text[..], &[b'.'; 100]].concat());
        let begun = &whole[..header(TEXT, 0).len() + text.len()];
        echo.closes(&what, begun, 1007).await;
        let mut peer = echo.peer().await;
        peer.send_in(1, begun).await;
        peer.is_closed(&what, 1007).await;
        // Of a fragment that is not the last, likewise; and the byte before it shows nothing yet.
        let (before, last) = text.split_at(text.len() - 1);
        let mut peer = echo.peer().await;
        peer.send(&[frame(FIRST_TEXT, before), frame(PING, b"in order?")].concat()).await;
        peer.hears(&what, PONG, b"in order?").await;
        peer.send(&frame(MIDDLE, last)).await;
        peer.is_closed(&what, 1007).await;
    }
    echo.end().await;
}
