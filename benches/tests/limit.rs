//! The bare epoll loop is a server that a WebSocket client gets along with: what it measures is a
//! broadcast that has really happened.

use std::process::Stdio;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The program and where it listens. It ends with this.
async fn start() -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_limit"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines().next_line().await;
    let said = said.expect("its output").expect("a line");
    let address = said.strip_prefix("listening on ").expect("an address").to_owned();
    (child, address)
}

async fn connect(address: &str, room: u32) -> Client {
    connect_async(format!("ws://{address}/ws?room={room}")).await.expect("a handshake").0
}

async fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.expect("it is taken");
}

async fn hear(client: &mut Client) -> String {
    client.next().await.expect("a frame").expect("a message").into_text().expect("text").to_string()
}

/// Texts of every length that a header can say in its own way, and one that comes in pieces.
fn texts() -> Vec<String> {
    [1, 125, 126, 300, 60_000].map(|length| "x".repeat(length)).to_vec()
}

#[tokio::test]
async fn every_member_of_a_room_hears_every_text_in_order() {
    let (_limit, address) = start().await;
    let mut alice = connect(&address, 1).await;
    let mut bob = connect(&address, 1).await;
    for text in texts() {
        say(&mut alice, &text).await;
    }
    for client in [&mut alice, &mut bob] {
        for text in texts() {
            assert!(hear(client).await == text, "a text of {} bytes", text.len());
        }
    }
}

#[tokio::test]
async fn rooms_hear_nothing_of_each_other_and_go_on_when_somebody_leaves() {
    let (_limit, address) = start().await;
    let mut alice = connect(&address, 1).await;
    let mut bob = connect(&address, 1).await;
    let mut carol = connect(&address, 2).await;
    // Whoever leaves first is not the last in the room, so that somebody takes its seat.
    alice.close(None).await.expect("a close");
    while alice.next().await.is_some_and(|frame| frame.is_ok()) {}
    say(&mut carol, "in the other room").await;
    assert_eq!(hear(&mut carol).await, "in the other room");
    let mut dora = connect(&address, 1).await;
    say(&mut bob, "hello").await;
    assert_eq!(hear(&mut bob).await, "hello");
    say(&mut dora, "hello, Bob").await;
    assert_eq!(hear(&mut bob).await, "hello, Bob");
    for text in ["hello", "hello, Bob"] {
        assert_eq!(hear(&mut dora).await, text);
    }
}

#[tokio::test]
async fn a_member_that_does_not_read_ends_it_for_there_is_no_queue() {
    let (limit, address) = start().await;
    let mut alice = connect(&address, 1).await;
    let _silent = connect(&address, 1).await;
    let text = "x".repeat(60_000);
    // It takes as many as fit into the buffers of the two sockets.
    while alice.send(Message::text(text.as_str())).await.is_ok() {
        while let Some(Ok(_)) = alice.next().now_or_never().flatten() {}
    }
    let ended = limit.wait_with_output().await.expect("its end");
    assert!(!ended.status.success(), "{}", ended.status);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("does not read fast enough"), "{said}");
}
