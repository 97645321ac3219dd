//! The listening socket and the HTTP server behind it: plain or with TLS, with or without a
//! transport that takes WebSocket handshakes away from it.

mod descriptors;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_codec::Framed;
use actix_http::body::MessageBody;
use actix_http::{HttpService, KeepAlive, Request, Response, TlsAcceptorConfig, h1};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactory, map_config};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

pub use descriptors::Descriptors;
pub use tls::{Certificate, TlsError};

use crate::socket::{TcpOptions, on_connect};

/// How long somebody may take to send the head of a request, or to shake hands for TLS.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection without a request is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many connections may wait to be accepted; the system may have a lower limit. The standard
/// library's 128 make a crowd that comes back at once wait for a second.
const BACKLOG: i32 = 4_096;

/// A socket that listens at an address.
///
/// # Errors
/// Those of the system: the address is taken, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that is started again takes its port although connections of the last one linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How a server listens.
pub struct Listening {
    /// Where.
    pub listener: TcpListener,
    /// Threads.
    pub workers: usize,
    /// HTTP connections on each thread, beyond which none is accepted until one has gone.
    pub most_per_worker: usize,
    /// TLS handshakes in progress on each thread.
    pub most_handshakes: usize,
    /// For every connection.
    pub tcp: TcpOptions,
    /// How long connections may take to go when the server stops.
    pub shutdown: Duration,
    /// What TLS needs, if it is to be spoken.
    pub certificate: Option<Certificate>,
}

/// Starts a server that gives requests to the `App` which `app` makes on each thread, and upgrades
/// to WebSocket to `upgrades`.
///
/// # Errors
/// If the system does not give what it takes.
pub fn start<A, I, S, B, U>(how: Listening, app: A, upgrades: Option<U>) -> io::Result<Server>
where
    A: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error> + 'static,
    S::Future: 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
    U: Upgrade<TcpStream> + Upgrade<TlsStream<TcpStream>> + Clone + Send + 'static,
{
    let Listening { listener, workers, most_per_worker, most_handshakes, tcp, .. } = how;
    actix_tls::accept::max_concurrent_tls_connect(most_handshakes);
    let server = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(most_per_worker)
        .shutdown_timeout(how.shutdown.as_secs())
        .disable_signals();
    let server = match how.certificate {
        None => server.listen("http", listener, move || {
            let tune = on_connect(tcp);
            HttpService::build()
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_WITHIN)
                .client_disconnect_timeout(HEAD_WITHIN)
                .on_connect_ext(move |stream: &TcpStream, data| tune(stream, data))
                .finish(map_config(app(), |()| AppConfig::default()))
                .upgrade(upgrades.clone())
                .tcp()
        })?,
        Some(certificate) => server.listen("https", listener, move || {
            let tune = on_connect(tcp);
            let handshake = TlsAcceptorConfig::default().handshake_timeout(HEAD_WITHIN);
            HttpService::build()
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_WITHIN)
                .client_disconnect_timeout(HEAD_WITHIN)
                .secure()
                .on_connect_ext(move |stream: &TlsStream<TcpStream>, data| tune(stream, data))
                .finish(map_config(app(), |()| AppConfig::default()))
                .upgrade(upgrades.clone())
                .rustls_0_23_with_config(certificate.server_config(), handshake)
        })?,
    };
    Ok(server.run())
}

/// A transport that takes WebSocket handshakes on this kind of stream.
pub trait Upgrade<T>:
    ServiceFactory<
        (Request, Framed<T, h1::Codec>),
        Config = (),
        Response = (),
        Error = Infallible,
        InitError = (),
        Future: 'static,
    >
{
}

impl<T, U> Upgrade<T> for U where
    U: ServiceFactory<
            (Request, Framed<T, h1::Codec>),
            Config = (),
            Response = (),
            Error = Infallible,
            InitError = (),
            Future: 'static,
        >
{
}
