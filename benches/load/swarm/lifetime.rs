//! One connection's beginning and end: a socket, the handshake, and what its loss means, which depends on
//! how far it had come.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt,
};

use super::{State, Swarm};
use crate::Unable;
use crate::frame;
use crate::order::Heard;

/// The receive buffer of a connection that will not read.
const SMALL_BUFFER: usize = 2_048;

impl Swarm {
    /// Begins to connect.
    pub(super) fn begin(&mut self, index: usize) -> Result<(), Unable> {
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

    pub(super) fn unreachable(&self, error: Errno) -> Unable {
        Unable(format!(
            "no connection to {}: {error}. Start the server, or say where it is with --url",
            self.target.address
        ))
    }

    /// Connected: asks for a WebSocket.
    pub(super) fn ask(&mut self, index: usize) -> Result<(), Unable> {
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

    pub(super) fn turned_away(&self, answer: &str) -> Unable {
        let advice = if answer.contains(" 401 ") {
            "Give the server's secret as --secret or --secret-file, and --issuer and --audience if \
             they are not the defaults"
        } else {
            "Is --url the address of its WebSocket, and --dialect what it speaks?"
        };
        Unable(format!("the server did not take the connection: {}. {advice}", answer.trim()))
    }

    pub(super) fn has_joined(&mut self, index: usize) {
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

    /// The other side has ended a connection.
    pub(super) fn ended(&mut self, index: usize, cause: &str) -> Result<(), Unable> {
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
    pub(super) fn close(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.state = State::Away;
        if connection.socket.take().is_some() {
            self.open -= 1;
        }
    }
}
