//! `cargo run --release -p benches --bin limit -- [PORT]` — the least that a broadcast over sockets
//! costs: a bare epoll loop on one thread, with one `send` per member for each message. It answers a
//! WebSocket handshake and hands text frames on; it has no queue, no users, no history, no checks.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use actix_http::ws::hash_key;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// As many connections may wait to be accepted as the kernel takes by default.
const BACKLOG: i32 = 4_096;
/// More than this is no chat message, and no handshake either.
const MOST_BYTES: usize = 64 * 1024;
const QUIETLY: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// A connection, found by the number of its descriptor.
struct Connection {
    place: Place,
    /// The beginning of a handshake or frame whose rest has not come yet.
    unread: Vec<u8>,
}

/// Who owns the socket: the connection until it has a room, then the room.
enum Place {
    Outside(OwnedFd),
    Member { room: usize, seat: usize },
}

/// All connections and rooms, and the buffers that every message uses again.
struct Limit {
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    by_name: HashMap<Vec<u8>, usize>,
    /// The members' sockets, room by room, in the order in which they are sent to.
    rooms: Vec<Vec<OwnedFd>>,
    received: Vec<u8>,
    frame: Vec<u8>,
}

/// Why a connection ends.
struct Gone;

impl Limit {
    fn new(epoll: OwnedFd) -> Self {
        Self {
            epoll,
            connections: Vec::new(),
            by_name: HashMap::new(),
            rooms: Vec::new(),
            received: Vec::with_capacity(2 * MOST_BYTES),
            frame: Vec::with_capacity(MOST_BYTES),
        }
    }

    fn accept(&mut self, listener: &OwnedFd) -> Outcome<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match net::accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN | Errno::CONNABORTED) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        set_tcp_nodelay(&socket, true)?;
        let number = socket.as_raw_fd() as usize;
        epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN)?;
        if self.connections.len() <= number {
            self.connections.resize_with(number + 1, || None);
        }
        let place = Place::Outside(socket);
        self.connections[number] = Some(Connection { place, unread: Vec::new() });
        Ok(())
    }

    /// Reads what has come from a connection, and does what it says.
    fn read(&mut self, number: usize) -> Outcome<()> {
        // What an event was about may have ended since.
        let Some(Some(connection)) = self.connections.get_mut(number) else { return Ok(()) };
        let socket = match &connection.place {
            Place::Outside(socket) => socket,
            Place::Member { room, seat } => &self.rooms[*room][*seat],
        };
        // A message that has come whole is used where it lies.
        self.received.clear();
        self.received.extend_from_slice(&connection.unread);
        match net::recv(socket, spare_capacity(&mut self.received), RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Ok((1.., _)) => {}
            Ok(_) | Err(_) => {
                self.remove(number);
                return Ok(());
            }
        }
        let received = std::mem::take(&mut self.received);
        let taken = self.take(number, &received)?;
        if let (Ok(taken), Some(connection)) = (&taken, &mut self.connections[number]) {
            connection.unread.clear();
            connection.unread.extend_from_slice(&received[*taken..]);
        } else {
            self.remove(number);
        }
        self.received = received;
        Ok(())
    }

    /// Takes what is whole of a connection's bytes; tells how many that were.
    fn take(&mut self, number: usize, bytes: &[u8]) -> Outcome<Result<usize, Gone>> {
        let mut used = 0;
        while used < bytes.len() {
            let Some(Some(connection)) = self.connections.get(number) else { break };
            let taken = match connection.place {
                Place::Outside(_) => self.enter(number, &bytes[used..]),
                Place::Member { room, .. } => match frame(&bytes[used..], &mut self.frame) {
                    Ok(Some(taken)) => {
                        broadcast(&self.rooms[room], &self.frame)?;
                        Ok(Some(taken))
                    }
                    other => other,
                },
            };
            match taken {
                Ok(Some(taken)) => used += taken,
                Ok(None) if bytes.len() - used < MOST_BYTES => break,
                Ok(None) | Err(Gone) => return Ok(Err(Gone)),
            }
        }
        Ok(Ok(used))
    }

    /// Answers a handshake, once it has come whole, and gives the connection a seat in its room.
    fn enter(&mut self, number: usize, bytes: &[u8]) -> Result<Option<usize>, Gone> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|byte| *byte == b'\n');
        let address = lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1));
        let key = lines.find_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            name.eq_ignore_ascii_case(b"sec-websocket-key").then(|| value[1..].trim_ascii())
        });
        let (Some(address), Some(key)) = (address, key) else { return Err(Gone) };
        let name = address.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
        let room = *self.by_name.entry(name.to_vec()).or_insert_with(|| {
            self.rooms.push(Vec::new());
            self.rooms.len() - 1
        });
        let accept = hash_key(key);
        let answer = [
            &b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"[..],
            b"Sec-WebSocket-Accept: ",
            &accept,
            b"\r\n\r\n",
        ]
        .concat();
        let Some(connection) = &mut self.connections[number] else { return Err(Gone) };
        let seat = self.rooms[room].len();
        let place = std::mem::replace(&mut connection.place, Place::Member { room, seat });
        let Place::Outside(socket) = place else { return Err(Gone) };
        let sent = net::send(&socket, &answer, QUIETLY);
        self.rooms[room].push(socket);
        if sent == Ok(answer.len()) { Ok(Some(end + 4)) } else { Err(Gone) }
    }

    /// Closes a connection. The room's last member takes its seat.
    fn remove(&mut self, number: usize) {
        let Some(Connection { place: Place::Member { room, seat }, .. }) =
            self.connections[number].take()
        else {
            return;
        };
        self.rooms[room].swap_remove(seat);
        if let Some(moved) = self.rooms[room].get(seat)
            && let Some(connection) = &mut self.connections[moved.as_raw_fd() as usize]
        {
            connection.place = Place::Member { room, seat };
        }
    }
}

/// Sends a frame to every member, and fails when one could not take it: whoever queues is not the
/// limit any more.
fn broadcast(members: &[OwnedFd], frame: &[u8]) -> Outcome<()> {
    for member in members {
        match net::send(member, frame, QUIETLY) {
            Ok(sent) if sent == frame.len() => {}
            Ok(_) | Err(Errno::AGAIN) => {
                return Err("a member does not read fast enough, and there is no queue here".into());
            }
            // The connection has ended; its event is on its way.
            Err(Errno::PIPE | Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes the frame to send out of a frame that was received, if that has come whole; tells how many
/// bytes it had. What is not a text in one masked frame ends the connection.
fn frame(bytes: &[u8], frame: &mut Vec<u8>) -> Result<Option<usize>, Gone> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if (*first, second & 0x80) != (0x81, 0x80) {
        return Err(Gone);
    }
    let (length, rest) = match (second & 0x7f, rest) {
        (127, _) => return Err(Gone),
        (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        (126, _) => return Ok(None),
        (short, rest) => (usize::from(short), rest),
    };
    let Some((key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some(masked) = rest.get(..length) else { return Ok(None) };
    frame.clear();
    frame.push(0x81);
    match u8::try_from(length) {
        Ok(short @ ..=125) => frame.push(short),
        // It came in two bytes, as was seen above.
        _ => frame.extend_from_slice(&[126, (length >> 8) as u8, length as u8]),
    }
    frame.extend(masked.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Ok(Some(bytes.len() - rest.len() + length))
}

fn main() -> Outcome<()> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    set_socket_reuseaddr(&listener, true)?;
    net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    net::listen(&listener, BACKLOG)?;
    let address = SocketAddr::try_from(net::getsockname(&listener)?)?;
    writeln!(std::io::stdout(), "listening on {address}")?;

    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let at_the_door = listener.as_raw_fd() as u64;
    epoll::add(&epoll, &listener, EventData::new_u64(at_the_door), EventFlags::IN)?;
    let mut limit = Limit::new(epoll);
    let mut events = Vec::with_capacity(512);
    loop {
        match epoll::wait(limit.epoll.as_fd(), spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                door if door == at_the_door => limit.accept(&listener)?,
                number => limit.read(number as usize)?,
            }
        }
    }
}
