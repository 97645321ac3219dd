//! One connection's task: reads its socket, hands what comes to the conversation, and writes what
//! its fan-out could not write at once. It holds no buffer while nothing is incomplete, and its end
//! is the end of the connection.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chat_core::{CloseReason, ConnectionId};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::protocol::CloseCode;
use crate::socket::admission::Admitted;
use crate::socket::direct::conversation::{Conversation, Line};
use crate::socket::direct::send::send_all;
use crate::socket::direct::slab::{Place, State};
use crate::socket::direct::worker::Worker;
use crate::socket::frame::{self, FrameError, Incoming, Reader};

/// How often a task reads before it lets others have a turn.
const READS: usize = 8;

/// What a connection's task reads.
pub(super) enum Io {
    /// A plain socket, which the slab has: the fan-out writes to it.
    Plain,
    /// Anything else, as TLS, which its task alone has and writes to as well.
    Stream(Pin<Box<dyn Stream>>),
}

/// A stream that is not written to by its descriptor.
pub trait Stream: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Stream for T {}

/// One connection.
pub(super) struct Connection<C: Conversation> {
    worker: Rc<Worker>,
    place: Place,
    connection: ConnectionId,
    io: Io,
    reader: Reader,
    conversation: C,
    /// The last frame has been written, and the peer has been told so by the end of the stream.
    shut: bool,
    /// Counts against the limits while it lives.
    _admitted: Admitted,
}

/// Why a connection's task ends.
struct Ended;

impl<C: Conversation> Connection<C> {
    pub(super) fn new(
        worker: Rc<Worker>,
        (place, connection): (Place, ConnectionId),
        io: Io,
        conversation: C,
        admitted: Admitted,
    ) -> Self {
        let reader = Reader::new(worker.limits.frame);
        Self {
            worker,
            place,
            connection,
            io,
            reader,
            conversation,
            shut: false,
            _admitted: admitted,
        }
    }

    /// Begins the conversation, so that whoever sees the handshake answered can be sure that it has
    /// begun; reads what the client has sent behind its handshake; then serves the connection to
    /// its end.
    pub(super) async fn run(mut self, mut first: Vec<u8>) {
        let line = self.line();
        if let ControlFlow::Break(close) = self.conversation.begin(&line) {
            self.close(close);
        } else if !first.is_empty() {
            self.read_bytes(&mut first);
        }
        drop(first);
        poll_fn(|context| self.poll(context)).await;
    }

    fn line(&self) -> Line {
        Line::new(Rc::clone(&self.worker), self.place, self.connection)
    }

    fn close(&mut self, close: CloseCode) {
        self.worker.fanout().close(self.place, close, false);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.go_on(context) {
            Ok(()) => Poll::Pending,
            Err(Ended) => Poll::Ready(()),
        }
    }

    fn go_on(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        let (mut state, lost) = {
            let mut fanout = self.worker.fanout();
            fanout.set_task(self.place, context.waker());
            let cold = fanout.slab.get(self.place).ok_or(Ended)?;
            (cold.state, cold.lost.take())
        };
        if let Some(reason) = lost {
            self.lose(reason);
        }
        if state != State::Over {
            let written = self.write(context)?;
            self.read(context)?;
            state = self.state();
            if state == State::Closing && written.is_ready() && !self.waits() {
                self.shut_down(context)?;
            }
        }
        if state == State::Over { Err(self.abort()) } else { Ok(()) }
    }

    fn state(&self) -> State {
        self.worker.fanout().slab.get(self.place).map_or(State::Over, |cold| cold.state)
    }

    fn waits(&self) -> bool {
        self.worker.fanout().slab.get(self.place).is_some_and(|cold| cold.backlog.is_some())
    }

    /// The fan-out has found that the session is to end.
    fn lose(&mut self, reason: CloseReason) {
        if !self.conversation.lose(reason) {
            let close = crate::protocol::close_code(reason);
            let give_up = reason == CloseReason::NotReading;
            self.worker.fanout().close(self.place, close, give_up);
        }
    }

    // --- reading ---------------------------------------------------------------------------------

    fn read(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        for _ in 0..READS {
            if self.pauses() {
                return Ok(());
            }
            let worker = Rc::clone(&self.worker);
            let mut buffer = worker.buffer();
            match self.read_some(context, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0) | Err(_)) => return Err(Ended),
                Poll::Ready(Ok(count)) => self.read_bytes(&mut buffer[..count]),
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Whether the peer is to take something before it is read from. Its task is woken when it does.
    fn pauses(&self) -> bool {
        let most = self.conversation.pause_at();
        if most == usize::MAX {
            return false;
        }
        let mut fanout = self.worker.fanout();
        let Some(cold) = fanout.slab.get(self.place) else { return false };
        let waiting = cold.backlog.as_ref().map_or(0, |backlog| backlog.memory());
        cold.paused = cold.state == State::Open && waiting > most;
        cold.paused
    }

    fn read_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain => match self.worker.fanout().slab.socket(self.place) {
                Some(socket) => read_socket(socket, context, buffer),
                None => Poll::Ready(Ok(0)),
            },
            Io::Stream(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(stream.as_mut().poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Reads frames. What comes behind the last one of either side is passed over.
    fn read_bytes(&mut self, bytes: &mut [u8]) {
        if self.state() != State::Open {
            return;
        }
        self.worker.fanout().hear(self.place);
        let line = self.line();
        let conversation = &mut self.conversation;
        let mut end = None;
        let mut complete = false;
        let read = self.reader.read(bytes, |incoming| {
            complete = true;
            match hear(conversation, &line, incoming) {
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(close) => {
                    end = Some(close);
                    ControlFlow::Break(())
                }
            }
        });
        let close = match read {
            Ok(_) if end.is_none() && self.reader.is_mid_binary() => {
                self.conversation.binary_begins().break_value()
            }
            Ok(_) => end,
            Err(FrameError::Protocol) => Some(CloseCode::PROTOCOL),
            Err(FrameError::NotUtf8) => Some(CloseCode::NOT_UTF8),
            Err(FrameError::TooBig) => Some(CloseCode::TOO_BIG),
        };
        match close {
            Some(close) => self.close(close),
            None => self.note_incomplete(complete),
        }
    }

    fn note_incomplete(&mut self, complete: bool) {
        if let Some(cold) = self.worker.fanout().slab.get(self.place) {
            cold.mid_message = self.reader.is_mid_message();
            cold.stalled &= !complete;
        }
    }

    // --- writing ---------------------------------------------------------------------------------

    /// Writes what waits, as far as it is taken.
    fn write(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Ended> {
        let io = &mut self.io;
        let mut fanout = self.worker.fanout();
        let written = match io {
            Io::Plain => loop {
                if fanout.slab.get(self.place).is_none_or(|cold| cold.backlog.is_none()) {
                    break Ok(());
                }
                let Some(socket) = fanout.slab.socket(self.place) else { break Ok(()) };
                match socket.poll_write_ready(context) {
                    Poll::Pending => break Err(ErrorKind::WouldBlock.into()),
                    Poll::Ready(ready) => ready.map_err(|_| Ended)?,
                }
                match fanout.write(self.place, write_socket) {
                    // Looked at again, so that whoever waits is woken.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => break result,
                }
            },
            Io::Stream(stream) => {
                let result = fanout.write(self.place, |_, slices| {
                    write_vectored(stream.as_mut(), context, slices)
                });
                match (result, stream.as_mut().poll_flush(context)) {
                    (Ok(()), Poll::Pending) => Err(ErrorKind::WouldBlock.into()),
                    (Ok(()), Poll::Ready(flushed)) => flushed,
                    (result, _) => result,
                }
            }
        };
        match written {
            Ok(()) => Ok(Poll::Ready(())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Poll::Pending),
            Err(_) => Err(Ended),
        }
    }

    /// Says by the end of the stream that nothing more comes. The peer's own end is waited for, for
    /// a while, so that nothing that it has not read yet is lost.
    fn shut_down(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        if self.shut {
            return Ok(());
        }
        match &mut self.io {
            Io::Plain => {
                let fanout = self.worker.fanout();
                let socket = fanout.slab.socket(self.place).ok_or(Ended)?;
                let write = rustix::net::Shutdown::Write;
                rustix::net::shutdown(socket, write).map_err(|_| Ended)?;
            }
            Io::Stream(stream) => match stream.as_mut().poll_shutdown(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(result) => result.map_err(|_| Ended)?,
            },
        }
        self.shut = true;
        Ok(())
    }

    /// Lets go of a peer that does not take what it is sent: what is in the kernel's buffers goes
    /// too.
    fn abort(&self) -> Ended {
        if !self.shut
            && let Some(socket) = self.worker.fanout().slab.socket(self.place)
        {
            // A socket that has failed already has nothing in its buffers.
            socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)).ok();
        }
        Ended
    }
}

impl<C: Conversation> Drop for Connection<C> {
    fn drop(&mut self) {
        let removed = self.worker.fanout().remove(self.place);
        if let Some((_, false)) = removed {
            self.worker.shared.admission.known();
        }
    }
}

/// Hands a message to the conversation, and answers what belongs to WebSocket itself.
fn hear(
    conversation: &mut impl Conversation,
    line: &Line,
    incoming: Incoming<'_>,
) -> ControlFlow<CloseCode> {
    match incoming {
        Incoming::Text(text) => conversation.text(line, text),
        Incoming::Binary(bytes) => conversation.binary(line, bytes),
        Incoming::Ping(bytes) => {
            conversation.ping(line, bytes.len())?;
            line.say(frame::pong(bytes));
            ControlFlow::Continue(())
        }
        Incoming::Pong(_) => ControlFlow::Continue(()),
        Incoming::Close(_) => ControlFlow::Break(CloseCode::NORMAL),
    }
}

fn read_socket(
    socket: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(context))?;
        let mut taken = None;
        let read = socket.try_io(Interest::READABLE, || {
            let count = rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut *buffer))?;
            taken = Some(count);
            // Less than there is room for is all that there was: the reactor is to say when there is
            // more.
            let all = count > 0 && count < buffer.len();
            if all { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (taken, read) {
            (Some(count), _) => return Poll::Ready(Ok(count)),
            (None, Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            // It was not ready after all; whoever asks again is woken.
            (None, _) => {}
        }
    }
}

fn write_socket(socket: Option<&TcpStream>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let Some(socket) = socket else { return Err(ErrorKind::NotConnected.into()) };
    socket.try_io(Interest::WRITABLE, || match send_all(socket, slices)? {
        0 => Err(ErrorKind::WouldBlock.into()),
        taken => Ok(taken),
    })
}

fn write_vectored(
    stream: Pin<&mut dyn Stream>,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> io::Result<usize> {
    match pin!(stream).poll_write_vectored(context, slices) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
