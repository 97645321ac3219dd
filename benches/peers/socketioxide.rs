//! `cargo run --release -p benches --bin peer-socketioxide -- [PORT]` — socketioxide on axum: joins a
//! room that the client names, and hands each `message` to everybody in it, the sender included.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use serde_json::Value;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::{SocketIo, TransportType};
use tokio::net::TcpSocket;

/// The room of a socket, as the name that socketioxide knows it by.
#[derive(Clone)]
struct Room(String);

fn connected(socket: &SocketRef) {
    socket.on("join", async |socket: SocketRef, Data(room): Data<u32>| {
        let room = room.to_string();
        socket.join(room.clone());
        socket.extensions.insert(Room(room));
        // It fails when the client has gone.
        socket.emit("joined", &[(); 0]).ok();
    });
    socket.on("message", async |socket: SocketRef, Data(message): Data<Value>| {
        if let Some(Room(room)) = socket.extensions.get::<Room>() {
            socket.within(room).emit("message", &message).await.ok();
        }
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        // No ping falls into what is measured.
        .ping_interval(Duration::from_secs(300))
        .build_layer();
    io.ns("/", async |socket: SocketRef| connected(&socket));

    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(4_096)?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, Router::new().layer(layer)).await?;
    Ok(())
}
