//! `cargo run --release -p benches --bin peer-axum -- [PORT [counter | auto]]` — what axum's users write
//! first: a `broadcast` channel for each room and two tasks for each connection. Everybody in the room
//! gets every text frame as it came; nothing is checked or kept.
//!
//! With a way to number messages, each one is first written to MySQL, at `DATABASE_URL`, in a
//! transaction of its own over a pool of ten connections, and threads share the work, as they do in
//! programs that people run.

#[path = "../store/home_made.rs"]
mod home_made;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{SinkExt, StreamExt};
use home_made::{HomeMade, Way};
use serde::Deserialize;
use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio::sync::broadcast;
use uuid::Uuid;

/// How many messages a room keeps for those who have not read them yet.
const KEPT: usize = 256;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Clone, Default)]
struct Rooms {
    live: Arc<Mutex<HashMap<u32, broadcast::Sender<Utf8Bytes>>>>,
    /// Where messages are kept, if they are.
    kept: Option<HomeMade>,
}

#[derive(Deserialize)]
struct Room {
    room: u32,
}

/// What is read of a message that is kept.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
}

/// Keeps what somebody says in a room.
struct Author {
    kept: HomeMade,
    room: i64,
    user: Uuid,
}

impl Author {
    async fn keep(&self, frame: &str) -> Outcome<()> {
        let Said { text, key } = serde_json::from_str(frame)?;
        self.kept.write(self.room, self.user.into_bytes(), &key, &text).await?;
        Ok(())
    }
}

async fn connect(
    State(rooms): State<Rooms>,
    Query(Room { room: number }): Query<Room>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let user = Uuid::now_v7();
    let author = rooms.kept.map(|kept| Author { kept, room: number.into(), user });
    if let Some(Author { kept, room, .. }) = &author
        && let Err(error) = kept.open_room(*room).await
    {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let mut live = rooms.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let room = live.entry(number).or_insert_with(|| broadcast::channel(KEPT).0).clone();
    // Heard from before the handshake is answered, so that nobody misses what comes after it.
    let heard = room.subscribe();
    upgrade.on_upgrade(move |socket| serve(socket, author, room, heard))
}

async fn serve(
    socket: WebSocket,
    author: Option<Author>,
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
            if let Some(author) = &author
                && let Err(error) = author.keep(&text).await
            {
                eprintln!("a message is not kept: {error}");
                break;
            }
            // It fails when nobody listens, and this connection does.
            room.send(text).ok();
        }
    });
    tokio::select! {
        _ = &mut writing => reading.abort(),
        _ = &mut reading => writing.abort(),
    }
}

/// The pool, if messages are to be kept.
async fn kept(way: Option<Way>) -> Outcome<Option<HomeMade>> {
    let Some(way) = way else { return Ok(None) };
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    Ok(Some(HomeMade::open(&url, way).await?))
}

async fn listen(port: u16, way: Option<Way>) -> Outcome<()> {
    let rooms = Rooms { kept: kept(way).await?, ..Rooms::default() };
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(4_096)?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let app = Router::new().route("/ws", get(connect)).with_state(rooms);
    axum::serve(listener, app).await?;
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let (mut runtime, way) = match arguments.next().as_deref() {
        None => (Builder::new_current_thread(), None),
        Some("counter") => (Builder::new_multi_thread(), Some(Way::Counter)),
        Some("auto") => (Builder::new_multi_thread(), Some(Way::Auto)),
        Some(other) => return Err(format!("{other}: must be counter or auto").into()),
    };
    runtime.enable_all().build()?.block_on(listen(port, way))
}
