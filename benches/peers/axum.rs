//! `cargo run --release -p benches --bin peer-axum -- [PORT]` — what axum's users write first: a
//! `broadcast` channel for each room and two tasks for each connection. Everybody in the room gets
//! every text frame as it came; nothing is checked or kept.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpSocket;
use tokio::sync::broadcast;

/// How many messages a room keeps for those who have not read them yet.
const KEPT: usize = 256;

type Rooms = Arc<Mutex<HashMap<u32, broadcast::Sender<Utf8Bytes>>>>;

#[derive(Deserialize)]
struct Room {
    room: u32,
}

async fn connect(
    State(rooms): State<Rooms>,
    Query(Room { room }): Query<Room>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let mut rooms = rooms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let room = rooms.entry(room).or_insert_with(|| broadcast::channel(KEPT).0).clone();
    // Heard from before the handshake is answered, so that nobody misses what comes after it.
    let heard = room.subscribe();
    upgrade.on_upgrade(move |socket| serve(socket, room, heard))
}

async fn serve(
    socket: WebSocket,
    room: broadcast::Sender<Utf8Bytes>,
    mut heard: broadcast::Receiver<Utf8Bytes>,
) {
    let (mut sink, mut stream) = socket.split();
    let mut writing = tokio::spawn(async move {
        // Whoever has missed something because it reads too slowly is not served any more.
        while let Ok(text) = heard.recv().await {
            if sink.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    });
    let mut reading = tokio::spawn(async move {
        while let Some(Ok(Message::Text(text))) = stream.next().await {
            // It fails when nobody listens, and this connection does.
            room.send(text).ok();
        }
    });
    tokio::select! {
        _ = &mut writing => reading.abort(),
        _ = &mut reading => writing.abort(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(4_096)?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let app = Router::new().route("/ws", get(connect)).with_state(Rooms::default());
    axum::serve(listener, app).await?;
    Ok(())
}
