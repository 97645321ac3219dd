//! The protocol as a WebSocket actor that mounts in any actix-web `App`, with that App's own TLS
//! and middleware. All of what it needs from actix-web-actors, which its authors have deprecated,
//! is in this file. It cannot send to a peer that has stopped reading, since the HTTP server then
//! no longer runs it; its session ends all the same (see `heartbeat.rs`), and the kernel ends the
//! connection (see [`on_connect`](super::on_connect)).

mod guard;
mod heartbeat;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use actix::fut::wrap_future;
use actix::prelude::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, Message, StreamHandler,
};
use actix_http::ws::{Codec, Item, ProtocolError};
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, Resource, Responder, web};
use actix_web_actors::ws::{self, WebsocketContext, WsResponseBuilder};
use bytestring::ByteString;
use chat_core::{Inbox, Session, User};
use futures_util::future::{AbortHandle, abortable};

use crate::protocol::{CloseCode, Problem, close_code};
use crate::socket::Sockets;
use crate::socket::chat::{self, Chat};
use crate::socket::handshake::{Handshake, SUBPROTOCOL};
use guard::Guard;
use heartbeat::Heard;

/// The protocol at a path of an actix-web `App`.
#[must_use]
pub fn route(path: &str, sockets: Sockets) -> Resource {
    web::resource(path)
        .app_data(web::Data::new(sockets))
        .route(web::get().to(upgrade))
        .default_service(web::to(|| async {
            Problem::method_not_allowed().customize().insert_header((ALLOW, "GET"))
        }))
}

/// Answers a handshake. A token in the header or the address is looked at first, so that a bad one
/// is an HTTP answer.
async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    sockets: web::Data<Sockets>,
) -> Result<HttpResponse, actix_web::Error> {
    let handshake = Handshake::check(request.head(), &sockets.origins)?;
    let chat = Chat::new(&sockets.gate, handshake.token.as_deref())?;
    let most = sockets.limits.frame;
    let (guard, too_big) = Guard::new(payload, most);
    let connection = Connection {
        heard: Heard::new(sockets.clock.clone()),
        sockets: sockets.get_ref().clone(),
        too_big,
        chat,
        fragments: None,
        stalled: false,
        watch: None,
        closing: false,
    };
    WsResponseBuilder::new(connection, &request, guard)
        .protocols(&[SUBPROTOCOL])
        .codec(Codec::new().max_size(most))
        .start()
        .map_err(|error| {
            let message = format!("this is no WebSocket handshake of version 13: {error}");
            Problem::bad_request(message).into()
        })
}

/// One WebSocket.
struct Connection {
    sockets: Sockets,
    heard: Heard,
    too_big: Rc<Cell<bool>>,
    chat: Chat,
    /// A text message of which only the first fragments have come.
    fragments: Option<Vec<u8>>,
    /// That message was incomplete at the last ping already.
    stalled: bool,
    /// Stops the watch over a peer's silence.
    watch: Option<AbortHandle>,
    closing: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

type Socket = WebsocketContext<Connection>;

impl Connection {
    fn close(&mut self, close: CloseCode, ctx: &mut Socket) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        let description = Some(close.reason.to_owned());
        ctx.close(Some(ws::CloseReason { code: close.code.into(), description }));
        ctx.stop();
    }

    /// Ends the session of a peer that has fallen silent, whether or not this actor still runs.
    fn watch(&mut self, session: Session, ctx: &mut Socket) {
        let (heard, limits, address) = (self.heard.clone(), self.sockets.limits, ctx.address());
        let (silent, stop) = abortable(async move {
            let ping = || address.do_send(Ping);
            heard.silence(limits.ping_every, limits.ping_timeout, ping).await;
            session.end(chat_core::CloseReason::Silent);
        });
        actix_web::rt::spawn(silent);
        self.watch = Some(stop);
    }

    /// Lets the chat act, and does what comes of it.
    fn act(
        &mut self,
        ctx: &mut Socket,
        act: impl FnOnce(&mut Chat, &mut Wired<'_>) -> ControlFlow<CloseCode>,
    ) {
        let mut wired = Wired { sockets: &self.sockets, ctx, began: None };
        let acted = act(&mut self.chat, &mut wired);
        let began = wired.began.take();
        if let Some(session) = began {
            self.watch(session, ctx);
        }
        if let ControlFlow::Break(close) = acted {
            self.close(close, ctx);
        }
    }

    fn text(&mut self, text: &str, ctx: &mut Socket) {
        self.act(ctx, |chat, wired| chat.text(text, wired));
    }

    fn ping(&mut self, bytes: &[u8], ctx: &mut Socket) {
        self.act(ctx, |chat, wired| chat.ping(bytes.len(), wired));
        if !self.closing {
            ctx.pong(bytes);
        }
    }

    /// Puts a fragmented message together. A control frame may come between its fragments; another
    /// message may not, which the codec sees to.
    fn fragment(&mut self, item: Item, ctx: &mut Socket) {
        let (part, last) = match item {
            Item::FirstBinary(_) => return self.close(CloseCode::NOT_OURS, ctx),
            Item::FirstText(part) | Item::Continue(part) => (part, false),
            Item::Last(part) => (part, true),
        };
        let message = self.fragments.get_or_insert_default();
        if message.len() + part.len() > self.sockets.limits.frame {
            return self.close(CloseCode::TOO_BIG, ctx);
        }
        message.extend_from_slice(&part);
        if !last {
            return;
        }
        self.stalled = false;
        let message = self.fragments.take().unwrap_or_default();
        match std::str::from_utf8(&message) {
            Ok(text) => self.text(text, ctx),
            Err(_) => self.close(CloseCode::NOT_UTF8, ctx),
        }
    }
}

/// An actor's context, as a chat needs it.
struct Wired<'a> {
    sockets: &'a Sockets,
    ctx: &'a mut Socket,
    began: Option<Session>,
}

impl chat::Connection for Wired<'_> {
    fn connect(&mut self, user: User) -> chat_core::Result<Session> {
        let (session, inbox) = self.sockets.inboxes.connect(user)?;
        self.ctx.add_stream(Frames(inbox));
        self.began = Some(session.clone());
        Ok(session)
    }

    fn say(&mut self, text: ByteString) {
        self.ctx.text(text);
    }
}

impl Actor for Connection {
    type Context = Socket;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.act(ctx, |chat, wired| chat.begin(wired));
        if self.chat.session().is_some() || self.closing {
            return;
        }
        let deadline = wrap_future::<_, Self>(self.sockets.clock.sleep(self.sockets.limits.auth));
        ctx.spawn(deadline.map(|(), connection, ctx| {
            if connection.chat.session().is_none() {
                connection.close(CloseCode::UNAUTHORIZED, ctx);
            }
        }));
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for Connection {
    fn handle(&mut self, message: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        self.heard.note();
        match message {
            Ok(ws::Message::Text(text)) => self.text(&text, ctx),
            Ok(ws::Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(ws::Message::Binary(_)) => self.close(CloseCode::NOT_OURS, ctx),
            Ok(ws::Message::Ping(bytes)) => self.ping(&bytes, ctx),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(_)) => self.close(CloseCode::NORMAL, ctx),
            Err(_) if self.too_big.get() => self.close(CloseCode::TOO_BIG, ctx),
            Err(ProtocolError::Overflow) => self.close(CloseCode::TOO_BIG, ctx),
            Err(ProtocolError::Io(cause)) if is_not_utf8(&cause) => {
                self.close(CloseCode::NOT_UTF8, ctx);
            }
            Err(_) => self.close(CloseCode::PROTOCOL, ctx),
        }
    }

    /// The peer has gone without a word.
    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// The codec reports text that is not UTF-8 as an error without a source, by its words alone.
fn is_not_utf8(cause: &std::io::Error) -> bool {
    cause.to_string().contains("utf-8")
}

/// What the session's fan-out has to say.
struct Frames(Inbox<ByteString>);

impl futures_util::Stream for Frames {
    type Item = Frame;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Frame>> {
        let next = std::task::ready!(std::pin::Pin::new(&mut self.0).poll_next(context));
        std::task::Poll::Ready(match (next, self.0.closed()) {
            (Some(text), _) => Some(Frame::Text(text)),
            (None, Some(reason)) => Some(Frame::End(reason)),
            (None, None) => None,
        })
    }
}

/// A frame to send, or the reason why there will be no more.
enum Frame {
    Text(ByteString),
    End(chat_core::CloseReason),
}

impl StreamHandler<Frame> for Connection {
    fn handle(&mut self, frame: Frame, ctx: &mut Self::Context) {
        match frame {
            Frame::Text(text) => ctx.text(text),
            Frame::End(reason) => self.close(close_code(reason), ctx),
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Connection {
    type Result = ();

    fn handle(&mut self, _: Ping, ctx: &mut Self::Context) {
        if self.stalled
            && let Some(session) = self.chat.session()
        {
            return session.end(chat_core::CloseReason::Silent);
        }
        self.stalled = self.fragments.is_some();
        ctx.ping(b"");
    }
}
