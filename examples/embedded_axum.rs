//! `cargo run -p examples --bin embedded_axum [ADDRESS]` — the engine behind axum's own WebSocket,
//! with a small protocol of the app's own: connect to `/chat/YOUR_NAME`, send and get JSON.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chat_core::{
    After, Draft, Engine, Event, Message as Said, Name, NewRoom, RoomId, Session, User, UserId,
};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// How long a client may take to read what it is sent, and to say that it is still there.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take to close the connection when it is told to.
const FAREWELL: Duration = Duration::from_secs(3);

#[derive(Clone)]
struct Chat {
    engine: Engine,
    lobby: RoomId,
    /// Every connection holds one: when all are dropped, all connections have ended.
    open: mpsc::Sender<()>,
}

/// What a client may ask: `{"say":"hello"}` or `{"typing":true}`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ask {
    Say(String),
    Typing(bool),
}

/// Lets anybody in under any name. An app that has users asks here who it is.
async fn connect(
    State(chat): State<Chat>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let user = match Name::new(name) {
        Ok(name) => User::new(UserId::new(), name),
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    upgrade.max_message_size(65_536).on_upgrade(async move |mut socket| {
        // An error means that the client has gone, or the engine is stopping: there is nothing to
        // do.
        serve(&mut socket, &chat, user).await.ok();
        // Whoever drops a connection with something unread takes back what it has sent.
        let farewell = async {
            socket.send(Message::Close(None)).await.ok();
            while let Some(Ok(_)) = socket.recv().await {}
        };
        timeout(FAREWELL, farewell).await.ok();
        drop(chat.open);
    })
}

/// Carries commands and events between a socket and a session. The session, and with it the user's
/// presence, ends with this function.
async fn serve(socket: &mut WebSocket, chat: &Chat, user: User) -> Result<()> {
    let (session, mut inbox) = chat.engine.connect(user)?;
    join(socket, &session, chat.lobby, After::Nothing).await?;
    let (mut ping, mut heard) = (interval(PATIENCE), true);
    loop {
        tokio::select! {
            received = socket.recv() => {
                heard = true;
                match received.transpose()? {
                    Some(Message::Text(text)) => {
                        let answer = carry_out(&session, chat.lobby, &text).await;
                        tell(socket, &answer).await?;
                    }
                    Some(Message::Close(_)) | None => return Ok(()),
                    Some(_) => {}
                }
            }
            event = inbox.next() => match event.as_deref() {
                // It reads too slowly, and hears nothing more of the room until it joins again.
                Some(Event::Behind { after, .. }) => {
                    join(socket, &session, chat.lobby, After::Cursor(*after)).await?;
                }
                Some(event) => tell(socket, &show(event)).await?,
                None => return Ok(()),
            },
            // Whoever has lost the network says nothing any more, not even that.
            _ = ping.tick() => {
                if !std::mem::take(&mut heard) {
                    return Ok(());
                }
                timeout(PATIENCE, socket.send(Message::Ping("".into()))).await??;
            }
        }
    }
}

/// Joins the room and tells the client what was said there, the last of it if it is much.
async fn join(socket: &mut WebSocket, chat: &Session, room: RoomId, after: After) -> Result<()> {
    for message in chat.join(room, after).await?.messages {
        tell(socket, &said(&message)).await?;
    }
    Ok(())
}

async fn carry_out(session: &Session, room: RoomId, text: &str) -> Value {
    let done = match serde_json::from_str(text) {
        Ok(Ask::Say(text)) => match Draft::text(text) {
            Ok(draft) => session.send(room, draft).await.map(|sent| json!({ "sent": sent.seq })),
            Err(error) => Err(error),
        },
        Ok(Ask::Typing(on)) => session.typing(room, on).await.map(|()| json!({ "typing": on })),
        Err(error) => return json!({ "error": error.to_string(), "code": "bad_request" }),
    };
    done.unwrap_or_else(|error| json!({ "error": error.message(), "code": error.code().as_str() }))
}

fn said(message: &Said) -> Value {
    json!({ "seq": message.seq, "from": *message.from.name, "text": message.text() })
}

/// An event as this app's clients know it; `Null` if they need not know.
fn show(event: &Event) -> Value {
    match event {
        Event::Message { message, .. } => said(message),
        Event::Presence { user, presence, .. } => {
            json!({ "from": *user.name, "is": presence.as_str() })
        }
        Event::Typing { user, on, .. } => json!({ "from": *user.name, "typing": on }),
        Event::Closing { .. } => json!({ "closing": true }),
        _ => Value::Null,
    }
}

/// Sends to a client that reads; one that does not would hold this connection for ever.
async fn tell(socket: &mut WebSocket, what: &Value) -> Result<()> {
    if !what.is_null() {
        timeout(PATIENCE, socket.send(Message::text(what.to_string()))).await??;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let engine = Engine::builder().start()?;
    let host = User::new(UserId::new(), Name::new("Host")?);
    let lobby = engine.open_room(&host, NewRoom::open("Lobby")?).await?.id();
    let (open, mut all_closed) = mpsc::channel(1);
    let chat = Chat { engine: engine.clone(), lobby, open };
    let app = Router::new().route("/chat/{name}", get(connect)).with_state(chat);

    let draining = engine.clone();
    let stop = async move {
        tokio::signal::ctrl_c().await.ok();
        // Ends every session, and so every connection.
        draining.drain(Duration::ZERO);
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // axum does not wait for sockets that it has handed over.
    all_closed.recv().await;
    engine.stop().await;
    Ok(())
}
