//! The system calls that write to a socket, without waiting. What a full buffer has not taken is
//! not an error.

use std::io::{self, IoSlice};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::net::TcpStream;

/// A peer that has gone is an error, not a signal.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Writes as much as fits the socket's buffer: how many bytes.
#[inline]
pub(super) fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    taken(|| rustix::net::send(socket, bytes, FLAGS))
}

/// As [`send`], for bytes that lie in several places.
pub(super) fn send_all(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match slices {
        [one] => send(socket, one),
        _ => taken(|| sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), FLAGS)),
    }
}

fn taken(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Ok(taken) => return Ok(taken),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
