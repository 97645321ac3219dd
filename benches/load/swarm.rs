//! The connections: one thread, one buffer that all of them are read into, one that all frames are
//! written in. It opens and closes them, carries frames to and from the traffic, and takes no memory
//! for a message.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, ipproto, recv,
    send, socket_with, sockopt,
};

use crate::Unable;
use crate::dialect::{Said, Speaker};
use crate::frame::{self, Parsed};
use crate::order::Heard;
use crate::poller::Poller;
use crate::traffic::Traffic;

/// The most that one read takes, and the longest frame.
const BUFFER: usize = 256 * 1_024;
/// After how long without anything happening something that must happen is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many messages are sent before what has come is read.
const BURST: usize = 64;
/// The receive buffer of a connection that will not read.
const SMALL_BUFFER: usize = 2_048;

/// Where to, and how to come in.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// As the `Host` header names it.
    pub(crate) host: String,
    pub(crate) path: String,
    /// How many connections are coming in at once.
    pub(crate) connecting: usize,
    /// From how many loopback addresses to come; 0 leaves it to the system.
    pub(crate) source_addresses: u8,
}

/// Who a connection is to be.
pub(crate) struct Seat {
    pub(crate) room: u32,
    pub(crate) token: String,
    /// Joins and then reads no more.
    pub(crate) stalls: bool,
    /// Is read before others.
    pub(crate) first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not there, or not any more.
    Away,
    Connecting,
    /// Waits for the answer to the handshake.
    Asking,
    Joining,
    Joined,
    /// Reads no more.
    Stalled,
    /// Has said that it goes, and waits for the other side to close.
    Going,
}

struct Connection {
    socket: Option<OwnedFd>,
    state: State,
    heard: Heard,
    /// The beginning of a frame whose rest has not come.
    cut: Vec<u8>,
    /// What the socket would not take yet.
    unsent: Vec<u8>,
}

pub(crate) struct Swarm {
    target: Target,
    seats: Vec<Seat>,
    speaker: Speaker,
    pub(crate) traffic: Traffic,
    connections: Vec<Connection>,
    poller: Poller,
    ready: Vec<(u32, bool)>,
    buffer: Vec<u8>,
    /// A frame's payload, and the frame, while they are written.
    payload: Vec<u8>,
    frame: Vec<u8>,
    /// Connections that have joined, and that are on their way in.
    joined: usize,
    coming: usize,
    /// Connections that have not gone yet.
    open: usize,
    clock: Instant,
    /// When something has last come.
    lively: Instant,
}

impl Swarm {
    pub(crate) fn new(
        target: Target,
        seats: Vec<Seat>,
        speaker: Speaker,
        traffic: Traffic,
    ) -> Result<Self, Unable> {
        let connection = |_: &Seat| Connection {
            socket: None,
            state: State::Away,
            heard: Heard::default(),
            cut: Vec::new(),
            unsent: Vec::new(),
        };
        Ok(Self {
            target,
            connections: seats.iter().map(connection).collect(),
            seats,
            speaker,
            traffic,
            poller: Poller::new().map_err(|error| Unable(format!("no epoll: {error}")))?,
            ready: Vec::with_capacity(2_048),
            buffer: vec![0; BUFFER],
            payload: Vec::with_capacity(8_192),
            frame: Vec::with_capacity(8_192),
            joined: 0,
            coming: 0,
            open: 0,
            clock: Instant::now(),
            lively: Instant::now(),
        })
    }

    /// Connects all and lets them join; tells how many have.
    ///
    /// # Errors
    /// If one of them could not, or nothing happens any more.
    pub(crate) fn gather(&mut self, mut watch: impl FnMut(usize)) -> Result<Duration, Unable> {
        let begun = Instant::now();
        let (mut next, all) = (0, self.seats.len());
        self.joined = 0;
        self.lively = begun;
        while self.joined < all {
            while self.coming < self.target.connecting && next < all {
                self.begin(next)?;
                next += 1;
            }
            let before = (self.joined, self.coming);
            self.turn(Duration::from_millis(100))?;
            if before != (self.joined, self.coming) {
                self.lively = Instant::now();
            }
            if self.lively.elapsed() > PATIENCE {
                return Err(Unable(format!(
                    "{} of {all} connections have joined, and for {} seconds no other did: is the \
                     server busy, or out of file descriptors?",
                    self.joined,
                    PATIENCE.as_secs()
                )));
            }
            watch(self.joined);
        }
        Ok(begun.elapsed())
    }

    /// Says goodbye on all connections and waits until the other side has closed them, if it does.
    pub(crate) fn scatter(&mut self) -> Result<(), Unable> {
        for index in 0..self.connections.len() {
            match self.connections[index].state {
                // Their reading side is full, so that the other side's goodbye would never arrive.
                State::Stalled => self.close(index),
                State::Away => {}
                _ => {
                    self.connections[index].state = State::Going;
                    // 1000: the purpose has been fulfilled.
                    self.say(index, frame::CLOSE, &1_000u16.to_be_bytes())?;
                }
            }
        }
        self.lively = Instant::now();
        while self.open > 0 && self.lively.elapsed() < PATIENCE {
            let before = self.open;
            self.turn(Duration::from_millis(100))?;
            if self.open != before {
                self.lively = Instant::now();
            }
        }
        for index in 0..self.connections.len() {
            self.close(index);
        }
        Ok(())
    }

    /// Goes on for so long.
    pub(crate) fn run(
        &mut self,
        time: Duration,
        mut watch: impl FnMut(&Self),
    ) -> Result<(), Unable> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
            if self.traffic.under_way() > 0 && self.lively.elapsed() > PATIENCE {
                return Ok(());
            }
            watch(self);
        }
    }

    /// Sends no more and waits until everything that is under way has arrived, or until nothing comes
    /// any more.
    pub(crate) fn drain(&mut self) -> Result<(), Unable> {
        self.traffic.pause();
        while self.traffic.under_way() > 0 {
            if self.lively.elapsed() > PATIENCE {
                self.traffic.give_up();
                break;
            }
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Begins to send and to count.
    pub(crate) fn start(&mut self) {
        self.lively = Instant::now();
        let now = self.now();
        self.traffic.start(now);
    }

    /// Sends what is due, waits for what comes, but no longer than that, and reads it.
    fn turn(&mut self, at_most: Duration) -> Result<(), Unable> {
        let mut sent = 0;
        while sent < BURST {
            let Some(publish) = self.traffic.publish(self.now()) else { break };
            if self.traffic.under_way() == 1 {
                self.lively = Instant::now();
            }
            let mut payload = std::mem::take(&mut self.payload);
            payload.clear();
            self.speaker.publish(&mut payload, &publish);
            let said = self.say(publish.sender as usize, frame::TEXT, &payload);
            self.payload = payload;
            said?;
            sent += 1;
        }
        let due = self.traffic.next_due().map(|due| due.saturating_sub(self.now()));
        let wait = match due {
            _ if sent == BURST => Duration::ZERO,
            Some(due) => at_most.min(Duration::from_nanos(due)),
            None => at_most,
        };
        let mut ready = std::mem::take(&mut self.ready);
        self.poller
            .wait(wait.min(Duration::from_millis(100)), &mut ready)
            .map_err(|error| Unable(format!("waiting for sockets failed: {error}")))?;
        for &(index, writable) in &ready {
            self.look_after(index as usize, writable)?;
        }
        self.ready = ready;
        Ok(())
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    /// Begins to connect.
    fn begin(&mut self, index: usize) -> Result<(), Unable> {
        let no = |what: &str, error: Errno| {
            Unable(format!("connection {} of {}: {what}: {error}", index + 1, self.seats.len()))
        };
        let (seat, target) = (&self.seats[index], &self.target);
        let family =
            if target.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
            .map_err(|error| no("no socket", error))?;
        if seat.stalls {
            // Before connecting, because the window is agreed on then.
            sockopt::set_socket_recv_buffer_size(&socket, SMALL_BUFFER)
                .map_err(|error| no("no small buffer", error))?;
        }
        if target.source_addresses > 0 {
            let from = 2 + index % usize::from(target.source_addresses);
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, from as u8));
            bind(&socket, &SocketAddr::new(from, 0))
                .map_err(|error| no(&format!("no port on {from}"), error))?;
        }
        match connect(&socket, &target.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(self.unreachable(error)),
        }
        self.poller
            .add(&socket, index as u32, seat.first)
            .map_err(|error| no("not watched", error))?;
        let connection = &mut self.connections[index];
        connection.socket = Some(socket);
        connection.state = State::Connecting;
        connection.heard = Heard::default();
        connection.cut.clear();
        connection.unsent.clear();
        (self.coming, self.open) = (self.coming + 1, self.open + 1);
        Ok(())
    }

    fn unreachable(&self, error: Errno) -> Unable {
        Unable(format!(
            "no connection to {}: {error}. Start the server, or say where it is with --url",
            self.target.address
        ))
    }

    fn look_after(&mut self, index: usize, writable: bool) -> Result<(), Unable> {
        let connection = &mut self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        if connection.state == State::Connecting {
            if let Ok(Err(error)) | Err(error) = sockopt::socket_error(socket) {
                return Err(self.unreachable(error));
            }
            return self.ask(index);
        }
        if writable {
            self.flush(index)?;
        }
        self.read(index)
    }

    /// Connected: asks for a WebSocket.
    fn ask(&mut self, index: usize) -> Result<(), Unable> {
        let (seat, target) = (&self.seats[index], &self.target);
        let path = self.speaker.path(&target.path, seat.room);
        let mut request = Vec::new();
        frame::ask(&mut request, &target.host, &path, self.speaker.protocol(), &seat.token);
        let connection = &mut self.connections[index];
        if let Some(socket) = &connection.socket {
            // What is sent is small and waits for nothing; failing to say so only costs time.
            let _ = sockopt::set_tcp_nodelay(socket, true);
        }
        connection.state = State::Asking;
        connection.unsent = request;
        self.flush(index)
    }

    /// Reads what has come, once: if there is more, the socket will be ready again.
    fn read(&mut self, index: usize) -> Result<(), Unable> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(index, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn read_into(&mut self, index: usize, buffer: &mut [u8]) -> Result<(), Unable> {
        let connection = &mut self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        let kept = connection.cut.len();
        let count = match recv(socket, &mut buffer[kept..], RecvFlags::empty()) {
            Ok((_, 0)) => return self.ended(index, "without a close code"),
            Ok((_, count)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return self.ended(index, &error.to_string()),
        };
        buffer[..kept].copy_from_slice(&connection.cut);
        connection.cut.clear();
        let now = self.now();
        let bytes = &buffer[..kept + count];
        let mut at = 0;
        if self.connections[index].state == State::Asking {
            match frame::answer(bytes) {
                Ok(Some(length)) => at = length,
                Ok(None) => {
                    self.connections[index].cut.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(answer) => return Err(self.turned_away(&answer)),
            }
            self.connections[index].state = State::Joining;
            let said = self.speaker.connected();
            self.hear(index, said, now)?;
        }
        loop {
            // Nothing is read behind the end.
            if self.connections[index].socket.is_none() {
                return Ok(());
            }
            match frame::parse(&bytes[at..]) {
                Parsed::Frame { opcode, payload, length } => {
                    at += length;
                    self.take(index, opcode, payload, now)?;
                }
                Parsed::Part if bytes.len() - at >= BUFFER => {
                    return self.ended(index, "a frame that is too long");
                }
                Parsed::Part => break,
                Parsed::Bad(what) => return self.ended(index, what),
            }
        }
        self.connections[index].cut.extend_from_slice(&bytes[at..]);
        Ok(())
    }

    /// Takes a frame.
    fn take(&mut self, index: usize, opcode: u8, payload: &[u8], now: u64) -> Result<(), Unable> {
        match opcode {
            frame::TEXT => {
                let said = self.speaker.understand(payload);
                self.hear(index, said, now)
            }
            frame::PING => self.say(index, frame::PONG, payload),
            frame::CLOSE => {
                let code = match payload {
                    &[a, b, ..] => u16::from_be_bytes([a, b]),
                    _ => 1_005,
                };
                if self.connections[index].state != State::Going {
                    self.say(index, frame::CLOSE, payload)?;
                    return self.ended(index, &format!("closed with {code}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn hear(&mut self, index: usize, said: Said<'_>, now: u64) -> Result<(), Unable> {
        let room = self.seats[index].room;
        match said {
            Said::Message { seq, number } => {
                self.lively = self.clock + Duration::from_nanos(now);
                let heard = &mut self.connections[index].heard;
                self.traffic.deliver(room, heard, seq, number, now);
            }
            Said::Other => {}
            Said::Joined => self.has_joined(index),
            Said::Refused { code, .. } if self.connections[index].state == State::Joining => {
                return Err(Unable(format!("the server did not let a connection join: {code}")));
            }
            Said::Refused { id, code } => self.traffic.refuse(id, code),
            Said::Greet => self.tell(index, |speaker, out| speaker.greet(out))?,
            Said::Join => self.tell(index, |speaker, out| speaker.join(out, room))?,
            Said::Answer(answer) => self.say(index, frame::TEXT, answer)?,
        }
        Ok(())
    }

    fn has_joined(&mut self, index: usize) {
        let (connection, seat) = (&mut self.connections[index], &self.seats[index]);
        if connection.state != State::Joining {
            return;
        }
        connection.state = State::Joined;
        (self.coming, self.joined) = (self.coming - 1, self.joined + 1);
        if seat.stalls
            && let Some(socket) = &connection.socket
        {
            connection.state = State::Stalled;
            // If it is not watched any more already, it is not read either.
            let _ = self.poller.remove(socket, seat.first);
        }
    }

    fn tell(
        &mut self,
        index: usize,
        what: impl FnOnce(&Speaker, &mut Vec<u8>),
    ) -> Result<(), Unable> {
        let mut payload = Vec::new();
        what(&self.speaker, &mut payload);
        self.say(index, frame::TEXT, &payload)
    }

    /// Sends a frame, at once if the socket takes it.
    fn say(&mut self, index: usize, opcode: u8, payload: &[u8]) -> Result<(), Unable> {
        let connection = &mut self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        if !connection.unsent.is_empty() {
            frame::write(&mut connection.unsent, opcode, payload);
            return Ok(());
        }
        self.frame.clear();
        frame::write(&mut self.frame, opcode, payload);
        let sent = match send(socket, &self.frame, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return self.ended(index, &error.to_string()),
        };
        if sent < self.frame.len() {
            connection.unsent.extend_from_slice(&self.frame[sent..]);
            return self.watch(index);
        }
        Ok(())
    }

    /// Sends what the socket had not taken.
    fn flush(&mut self, index: usize) -> Result<(), Unable> {
        let connection = &mut self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        match send(socket, &connection.unsent, SendFlags::NOSIGNAL) {
            Ok(sent) => _ = connection.unsent.drain(..sent),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return self.ended(index, &error.to_string()),
        }
        self.watch(index)
    }

    /// Watches for what is to be read, and for room to write if something waits for it.
    fn watch(&mut self, index: usize) -> Result<(), Unable> {
        let connection = &self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        let writing = !connection.unsent.is_empty();
        self.poller
            .read(socket, index as u32, self.seats[index].first, writing)
            .map_err(|error| Unable(format!("a socket could not be watched: {error}")))
    }

    /// The other side has ended a connection.
    fn ended(&mut self, index: usize, cause: &str) -> Result<(), Unable> {
        let state = self.connections[index].state;
        self.close(index);
        match state {
            State::Joined => {
                let (room, heard) = (self.seats[index].room, self.connections[index].heard);
                self.traffic.leave(index as u32, room, heard, cause);
                Ok(())
            }
            State::Connecting | State::Asking | State::Joining => Err(Unable(format!(
                "the server ended a connection before it had joined: {cause}; {} had",
                self.joined
            ))),
            State::Away | State::Stalled | State::Going => Ok(()),
        }
    }

    /// Forgets a connection; its memory stays for the next one.
    fn close(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.state = State::Away;
        if connection.socket.take().is_some() {
            self.open -= 1;
        }
    }

    fn turned_away(&self, answer: &str) -> Unable {
        let advice = if answer.contains(" 401 ") {
            "Give the server's secret as --secret or --secret-file, and --issuer and --audience if \
             they are not the defaults"
        } else {
            "Is --url the address of its WebSocket, and --dialect what it speaks?"
        };
        Unable(format!("the server did not take the connection: {}. {advice}", answer.trim()))
    }
}
