//! `cargo run -p examples --bin websocket_echo -- PORT [--max-message BYTES]` — sends every message
//! of `ws://127.0.0.1:PORT/echo` back as it came. Frames, limits and timeouts are those of the chat
//! server's own transport, so that a conformance suite for WebSocket can judge it here.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::{App, rt};
use chat_core::SystemClock;
use chat_server::auth::Proxies;
use chat_server::listen::{self, Descriptors, Listening};
use chat_server::ops::Metrics;
use chat_server::protocol::CloseCode;
use chat_server::socket::{
    self, Admission, ConnectionLimits, Conversation, Direct, Door, Line, Origins, SocketLimits,
    TcpOptions,
};
use clap::Parser;

/// Where WebSocket is spoken.
const PATH: &str = "/echo";

/// Somebody may send this many bytes before reading any of what comes back; whoever sends more has
/// to read first, as the kernel's buffers fill up.
const AHEAD: usize = 64 << 20;

#[derive(Parser)]
struct Arguments {
    /// Where to listen, on this machine; 0 for any free port.
    port: u16,
    /// The largest message, in bytes.
    #[arg(long, default_value_t = 16 << 20)]
    max_message: usize,
}

/// What is spoken over every connection.
struct Echo;

impl Conversation for Echo {
    fn begin(&mut self, line: &Line) -> ControlFlow<CloseCode> {
        // Anybody is welcome; otherwise a token would have to come within some seconds.
        line.known();
        ControlFlow::Continue(())
    }

    fn text(&mut self, line: &Line, text: &str) -> ControlFlow<CloseCode> {
        line.text(text);
        ControlFlow::Continue(())
    }

    fn binary(&mut self, line: &Line, bytes: &[u8]) -> ControlFlow<CloseCode> {
        line.binary(bytes);
        ControlFlow::Continue(())
    }

    fn pause_at(&self) -> usize {
        AHEAD
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { port, max_message } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let workers = available_parallelism()?.get();
    let descriptors = Descriptors::take();

    let meters = Arc::new(Metrics::new(None).meters());
    let connections =
        ConnectionLimits { connections: descriptors.sockets, ..ConnectionLimits::default() };
    let clock = Arc::<SystemClock>::default();
    let admission = Admission::new(connections, Proxies::default(), clock, Arc::clone(&meters));
    let door = Door { admission, origins: Arc::new(Origins::all()), meters };
    let limits = SocketLimits { frame: max_message, ..SocketLimits::default() };
    // What waits for a peer is bounded by not reading from it.
    let direct = Direct::without_engine(limits, door, usize::MAX);

    let listening = Listening {
        listener,
        workers,
        most_per_worker: (descriptors.http / workers).max(1),
        most_handshakes: ConnectionLimits::default().strangers,
        tcp: TcpOptions::default(),
        shutdown: Duration::from_secs(5),
        certificate: None,
    };
    let app = || App::new().service(socket::not_upgraded(PATH));
    let echo = direct.upgrades(PATH, |_: Option<&str>| Ok(Echo));
    let server = listen::start(listening, app, Some(echo))?;
    let handle = server.handle();
    let server = rt::spawn(server);
    println!("listening on ws://{address}{PATH}");

    rt::signal::ctrl_c().await?;
    direct.drain();
    // Those who do not go when they are told to are cut.
    rt::time::timeout(Duration::from_secs(5), direct.ended()).await.ok();
    handle.stop(true).await;
    server.await??;
    Ok(())
}
