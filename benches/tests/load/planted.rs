//! A server of the test's own, which speaks as much of each dialect as the load tool needs to hear, and
//! does one thing wrong once in each room: with the room's fifth message.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Leaves a number out.
    Skip,
    /// Delivers twice.
    Double,
    /// Delivers behind the next one.
    Swap,
    /// Answers `busy` and delivers nothing.
    Refuse,
    /// Closes the sender's connection, having delivered to all.
    Close,
}

/// What has been said in one room, and who hears it.
#[derive(Default)]
struct Room {
    /// How many messages came, and the number of the last one.
    came: u64,
    seq: u64,
    listeners: Vec<TcpStream>,
    held: Option<String>,
}

type Rooms = Arc<Mutex<HashMap<String, Room>>>;

/// Starts it; it goes when the test does.
pub(crate) fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let rooms = Rooms::default();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let rooms = Arc::clone(&rooms);
            thread::spawn(move || serve(stream, number, fault, &rooms));
        }
    });
    address
}

fn serve(stream: TcpStream, number: usize, fault: Fault, rooms: &Rooms) {
    let mut first = [0; 4];
    if stream.peek(&mut first).is_ok() && &first == b"POST" {
        return open(stream, number);
    }
    stream.set_nodelay(true).expect("a socket");
    let listener = stream.try_clone().expect("the same socket");
    let mut path = String::new();
    #[allow(clippy::result_large_err, reason = "the library's type")]
    let look = |request: &Request, mut response: Response| {
        path = request.uri().to_string();
        // In the plain dialect the answered handshake says it: from then on this one hears its room.
        if let Some((_, room)) = path.split_once("?room=") {
            let listener = listener.try_clone().expect("the same socket");
            let mut rooms = rooms.lock().expect("no panic");
            rooms.entry(room.to_owned()).or_default().listeners.push(listener);
        }
        // It insists on a subprotocol that was asked for.
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        Ok(response)
    };
    let socket = accept_hdr(stream, look).expect("a handshake");
    talk(socket, &listener, &path, fault, rooms);
    // Its room still holds the same socket.
    listener.shutdown(Shutdown::Both).ok();
}

/// `POST /api/v1/rooms`, on a connection that is closed afterwards.
fn open(mut stream: TcpStream, number: usize) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    while !request.ends_with(b"}") {
        let count = stream.read(&mut buffer).expect("a request");
        assert!(count > 0, "a request with a body");
        request.extend_from_slice(&buffer[..count]);
    }
    let body = json!({ "id": format!("room-{number}") }).to_string();
    let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("an answer");
}

fn talk(
    mut socket: WebSocket<TcpStream>,
    listener: &TcpStream,
    path: &str,
    fault: Fault,
    rooms: &Rooms,
) {
    // Whoever is told to have joined hears everything from then on.
    let enter = |room: &str, answer: &str| {
        let mut rooms = rooms.lock().expect("no panic");
        let listener = listener.try_clone().expect("the same socket");
        let room = rooms.entry(room.to_owned()).or_default();
        write(&listener, answer);
        room.listeners.push(listener);
    };
    let answer = |text: &str| write(listener, text);
    let mut room = path.split_once("?room=").map_or(String::new(), |(_, room)| room.to_owned());
    if path.starts_with("/socket.io/") {
        answer(r#"0{"sid":"a","pingInterval":25000}"#);
    }
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        if text == "40" {
            answer(r#"40{"sid":"b"}"#);
        } else if let Some(name) = text.strip_prefix(r#"42["join","#) {
            room = name.into();
            enter(&room, r#"42["joined"]"#);
        } else if text.contains(r#""do":"join""#) {
            let join: Value = serde_json::from_str(&text).expect("JSON");
            room = join["room"].as_str().expect("a room").into();
            enter(&room, &format!(r#"{{"id":{},"ok":{{}}}}"#, join["id"]));
        } else {
            let mut rooms = rooms.lock().expect("no panic");
            let go = rooms.get_mut(&room).expect("joined").publish(&text, fault, listener);
            if !go {
                return;
            }
        }
    }
}

impl Room {
    /// Tells everybody, or does something wrong. Whether the sender's connection stays.
    fn publish(&mut self, text: &str, fault: Fault, sender: &TcpStream) -> bool {
        self.came += 1;
        let now = self.came == 5;
        let chat = serde_json::from_str::<Value>(text).ok().filter(|json| json["do"] == "send");
        if now && fault == Fault::Refuse {
            let id = &chat.expect("a command")["id"];
            write(sender, &format!(r#"{{"id":{id},"error":{{"code":"busy"}}}}"#));
            return true;
        }
        self.seq += if now && fault == Fault::Skip { 2 } else { 1 };
        let event = match &chat {
            Some(send) => format!(
                r#"{{"event":"message","room":{},"seq":{},"text":{}}}"#,
                send["room"], self.seq, send["text"]
            ),
            None => text.to_owned(),
        };
        if now && fault == Fault::Swap {
            self.held = Some(event);
            return true;
        }
        for event in [Some(event), self.held.take()].into_iter().flatten() {
            self.listeners.iter().for_each(|listener| write(listener, &event));
            if now && fault == Fault::Double {
                self.listeners.iter().for_each(|listener| write(listener, &event));
            }
        }
        if now && fault == Fault::Close {
            // A close frame with this code, and nothing more.
            let mut stream = sender;
            let [a, b] = 4_508u16.to_be_bytes();
            stream.write_all(&[0x88, 2, a, b]).expect("an open socket");
            let same = |other: &TcpStream| other.peer_addr().ok() == sender.peer_addr().ok();
            self.listeners.retain(|listener| !same(listener));
        }
        !(now && fault == Fault::Close)
    }
}

/// Sends a text frame. Somebody who has gone hears it no more.
fn write(mut stream: &TcpStream, text: &str) {
    let mut frame = vec![0x81];
    match text.len() {
        length @ ..=125 => frame.push(length as u8),
        length => {
            frame.push(126);
            frame.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    stream.write_all(&frame).ok();
}
