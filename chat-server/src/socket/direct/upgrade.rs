//! Where a WebSocket handshake leaves the HTTP server. Every upgrade to WebSocket comes here,
//! whatever its path, and none passes through the `App`: path, origin, limits and token are looked
//! at here.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{ConnectionType, Request, h1};
use actix_service::{Service, ServiceFactory};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, web};
use chat_core::ConnectionId;
use futures_util::SinkExt;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::protocol::Problem;
use crate::socket::direct::chat::ChatLine;
use crate::socket::direct::connection::{Connection, Io, Stream};
use crate::socket::direct::conversation::Conversation;
use crate::socket::direct::worker::Worker;
use crate::socket::direct::{Direct, Shared};
use crate::socket::handshake::{Handshake, Origins};

type Framed<T> = actix_codec::Framed<T, h1::Codec>;

/// Makes a service for each of the HTTP server's threads.
#[derive(Clone)]
pub struct Upgrades<F> {
    direct: Direct,
    path: &'static str,
    converse: F,
}

impl<F> Upgrades<F> {
    pub(super) fn new(direct: Direct, path: &'static str, converse: F) -> Self {
        Self { direct, path, converse }
    }
}

/// A stream that the HTTP server gives away.
pub trait Given: AsyncRead + AsyncWrite + Unpin + 'static {
    #[doc(hidden)]
    fn give(self) -> GivenStream;
}

/// A stream as this transport takes it.
#[doc(hidden)]
pub enum GivenStream {
    /// Goes to one of the engine's threads, if there is an engine.
    Plain(TcpStream),
    /// Stays where it is.
    Other(Pin<Box<dyn Stream>>),
}

impl Given for TcpStream {
    fn give(self) -> GivenStream {
        GivenStream::Plain(self)
    }
}

impl Given for TlsStream<TcpStream> {
    fn give(self) -> GivenStream {
        GivenStream::Other(Box::pin(self))
    }
}

impl<T, F, C> ServiceFactory<(Request, Framed<T>)> for Upgrades<F>
where
    T: Given,
    F: Fn(Option<&str>) -> Result<C, Problem> + Clone + 'static,
    C: Conversation + Send,
{
    type Response = ();
    type Error = Infallible;
    type Config = ();
    type Service = UpgradeService<F>;
    type InitError = ();
    type Future = Ready<Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (path, converse) = (self.path, self.converse.clone());
        let direct = self.direct.clone();
        ready(Ok(UpgradeService { direct, own: Rc::default(), path, converse }))
    }
}

/// For servers without this transport: a type for the `None` in its place.
pub type NoUpgrades = Upgrades<fn(Option<&str>) -> Result<ChatLine, Problem>>;

/// The answer of the `App` at a path whose handshakes come here: to requests that are none.
pub fn not_upgraded(path: &'static str) -> Resource {
    let answer = |request: HttpRequest| async move {
        let problem = match Handshake::check(request.head(), &Origins::all()) {
            Err(problem) => problem,
            // Said to be an upgrade, and yet not taken for one by the HTTP server.
            Ok(_) => Problem::bad_request("this is no WebSocket handshake"),
        };
        refusal(&problem)
    };
    web::resource(path).default_service(web::to(answer))
}

/// The answer to a handshake that is refused.
fn refusal(problem: &Problem) -> HttpResponse {
    let mut response = problem.error_response();
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

/// Answers handshakes on one of the HTTP server's threads.
pub struct UpgradeService<F> {
    direct: Direct,
    /// The fan-out of this thread, for connections that stay here; started for the first one.
    own: Rc<OnceCell<Rc<Worker>>>,
    path: &'static str,
    converse: F,
}

impl<T, F, C> Service<(Request, Framed<T>)> for UpgradeService<F>
where
    T: Given,
    F: Fn(Option<&str>) -> Result<C, Problem> + Clone + 'static,
    C: Conversation + Send,
{
    type Response = ();
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<(), Infallible>>;

    actix_service::always_ready!();

    fn call(&self, (request, framed): (Request, Framed<T>)) -> Self::Future {
        let (direct, own) = (self.direct.clone(), Rc::clone(&self.own));
        let (path, converse) = (self.path, self.converse.clone());
        Box::pin(async move {
            let Direct { shared, threads } = &direct;
            match admit(shared, path, &request, &converse) {
                Ok(welcome) => {
                    let parts = framed.into_parts();
                    let first = parts.read_buf.to_vec();
                    let own = || Rc::clone(own.get_or_init(|| Worker::start(shared, None)));
                    match (parts.io.give(), threads) {
                        (GivenStream::Plain(socket), Some(threads)) => {
                            // A socket that can't be taken from here has failed.
                            let Ok(socket) = socket.into_std() else { return Ok(()) };
                            threads.run(move |worker| {
                                let Ok(socket) = TcpStream::from_std(socket) else { return };
                                serve(worker, (Io::Plain, Some(socket)), welcome, first);
                            });
                        }
                        (GivenStream::Plain(socket), None) => {
                            serve(&own(), (Io::Plain, Some(socket)), welcome, first);
                        }
                        (GivenStream::Other(stream), _) => {
                            serve(&own(), (Io::Stream(stream), None), welcome, first);
                        }
                    }
                }
                // Whoever does not wait for the answer has gone.
                Err(problem) => _ = refuse(framed, &problem).await,
            }
            Ok(())
        })
    }
}

/// From here on the connection is served on this thread.
fn serve<C: Conversation>(
    worker: &Rc<Worker>,
    (io, socket): (Io, Option<TcpStream>),
    welcome: Welcome<C>,
    first: Vec<u8>,
) {
    let Welcome { answer, conversation, admitted, known } = welcome;
    let id = ConnectionId::new();
    let place = worker.fanout().insert(id, socket, known, answer);
    let connection = Connection::new(Rc::clone(worker), (place, id), io, conversation, admitted);
    actix_web::rt::spawn(connection.run(first));
}

/// Somebody who is let in.
struct Welcome<C> {
    answer: Bytes,
    conversation: C,
    admitted: crate::socket::admission::Admitted,
    known: bool,
}

fn admit<C>(
    shared: &Shared,
    path: &str,
    request: &Request,
    converse: impl Fn(Option<&str>) -> Result<C, Problem>,
) -> Result<Welcome<C>, Problem> {
    let Shared { origins, admission, .. } = shared;
    if request.path() != path {
        return Err(Problem::not_found());
    }
    let handshake = Handshake::check(request.head(), origins)?;
    let peer = request.peer_addr().map(|address| address.ip());
    let address: Option<IpAddr> = admission.address(peer, request.head());
    let known = handshake.token.is_some();
    let admitted = admission.admit(address, known)?;
    let conversation = converse(handshake.token.as_deref())?;
    Ok(Welcome { answer: handshake.answer(), conversation, admitted, known })
}

/// Answers a handshake that is refused, and ends the connection.
async fn refuse<T: Given>(mut framed: Framed<T>, problem: &Problem) -> io::Result<()> {
    let response: actix_http::Response<_> = refusal(problem).into();
    let mut body = None;
    let mut head = response.map_body(|_, whole| {
        body = Some(whole);
    });
    head.head_mut().set_connection_type(ConnectionType::Close);
    let body = body.and_then(|body: BoxBody| body.try_into_bytes().ok()).unwrap_or_default();
    let size = BodySize::Sized(body.len() as u64);
    framed.send(h1::Message::Item((head, size))).await?;
    framed.send(h1::Message::Chunk(Some(body))).await?;
    framed.send(h1::Message::Chunk(None)).await?;
    framed.into_parts().io.shutdown().await
}
