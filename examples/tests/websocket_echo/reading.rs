//! Peers that send and do not read: they get everything back in the end, and cost bounded memory
//! until then.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::peer::{BINARY, Echo, MOST, PAUSE, PING, PONG, Peer, TEXT, bytes, frame, is};
use crate::support::PATIENCE;

/// What the program may take besides what waits: itself, the message that is being read and the one
/// that is being written, and what the allocator has not given back.
const BESIDES: usize = 96 << 20;
/// What may wait.
const AHEAD: usize = 64 << 20;

#[tokio::test]
async fn megabytes_that_are_sent_before_anything_is_read_come_back() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let payload = bytes(MOST);
    let message = frame(BINARY, &payload);
    for _ in 0..3 {
        peer.send(&message).await;
    }
    for n in 0..3 {
        peer.hears(&format!("message {n}"), BINARY, &payload).await;
    }
    peer.goes_on("after that").await;
    echo.end().await;
}

/// Sends this again and again, reading nothing, until no more of it is taken, but not more often
/// than `most` times. Answers how many times all of it was sent; of one more time a part may have
/// been.
async fn send_until_stopped(peer: &mut Peer, what: &[u8], most: usize) -> (usize, usize) {
    for sent in 0..most {
        let mut at = 0;
        while at < what.len() {
            match timeout(PAUSE, peer.writing.write(&what[at..])).await {
                Ok(written) => at += written.expect("an open socket"),
                Err(_) => return (sent, at),
            }
        }
    }
    panic!("{most} times {} bytes were taken of a peer that reads nothing", what.len());
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_from() {
    let echo = Echo::start().await;
    let mut peer = echo.peer().await;
    let payload = bytes(1 << 20);
    let message = frame(BINARY, &payload);
    let (sent, at) = send_until_stopped(&mut peer, &message, 400).await;
    let memory = echo.memory("VmHWM");
    assert!(memory < AHEAD + BESIDES, "{memory} bytes for one who does not read");
    // Others notice nothing.
    echo.peer().await.goes_on("another").await;
    // When it reads, everything comes, and what it could not send before is taken.
    let heard = peer.exchange(usize::MAX, &message[at..]).await;
    is("message 0", &heard, BINARY, &payload);
    for n in 1..=sent {
        peer.hears(&format!("message {n} of {sent}"), BINARY, &payload).await;
    }
    peer.goes_on("after that").await;
    echo.end().await;
}

#[tokio::test]
async fn small_answers_are_bounded_by_what_they_take() {
    for (first, answer) in [(TEXT, TEXT), (PING, PONG)] {
        let echo = Echo::start().await;
        let mut peer = echo.peer().await;
        // An answer of two bytes takes much more than that while it waits.
        let many = frame(first, b"").repeat(10_000);
        let (sent, at) = send_until_stopped(&mut peer, &many, 10_000).await;
        let memory = echo.memory("VmHWM");
        assert!(memory < 2 * AHEAD + BESIDES, "{memory} bytes for one who does not read");
        let (reading, rest) = (&mut peer.reading, &many[at..]);
        let read = async {
            let mut left = (sent + 1) * 10_000 * 2;
            let mut buffer = vec![0; 64 << 10];
            while left > 0 {
                let read = reading.read(&mut buffer);
                let count = timeout(PATIENCE, read).await.expect("in time").expect("no reset");
                // Its opcode, and a length of 0.
                assert!(buffer[..count].iter().all(|byte| [answer, 0].contains(byte)));
                assert!(count > 0, "{left} bytes are missing");
                left -= count;
            }
        };
        let (written, ()) = tokio::join!(peer.writing.write_all(rest), read);
        written.expect("an open socket");
        peer.goes_on("after that").await;
        echo.end().await;
    }
}
