//! What goes over one connection: bytes into frames, frames into what they mean, and frames out of what
//! is to be said.

use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::{BUFFER, State, Swarm};
use crate::Unable;
use crate::dialect::{Said, Speaker};
use crate::frame::{self, Parsed};

impl Swarm {
    pub(super) fn look_after(&mut self, index: usize, writable: bool) -> Result<(), Unable> {
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

    /// Reads what has come, once: if there is more, the socket will be ready again.
    pub(super) fn read(&mut self, index: usize) -> Result<(), Unable> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(index, &mut buffer);
        self.buffer = buffer;
        result
    }

    pub(super) fn read_into(&mut self, index: usize, buffer: &mut [u8]) -> Result<(), Unable> {
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
    pub(super) fn take(
        &mut self,
        index: usize,
        opcode: u8,
        payload: &[u8],
        now: u64,
    ) -> Result<(), Unable> {
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

    pub(super) fn hear(&mut self, index: usize, said: Said<'_>, now: u64) -> Result<(), Unable> {
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

    pub(super) fn tell(
        &mut self,
        index: usize,
        what: impl FnOnce(&Speaker, &mut Vec<u8>),
    ) -> Result<(), Unable> {
        let mut payload = Vec::new();
        what(&self.speaker, &mut payload);
        self.say(index, frame::TEXT, &payload)
    }

    /// Sends a frame, at once if the socket takes it.
    pub(super) fn say(&mut self, index: usize, opcode: u8, payload: &[u8]) -> Result<(), Unable> {
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
    pub(super) fn flush(&mut self, index: usize) -> Result<(), Unable> {
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
    pub(super) fn watch(&mut self, index: usize) -> Result<(), Unable> {
        let connection = &self.connections[index];
        let Some(socket) = &connection.socket else { return Ok(()) };
        let writing = !connection.unsent.is_empty();
        self.poller
            .read(socket, index as u32, self.seats[index].first, writing)
            .map_err(|error| Unable(format!("a socket could not be watched: {error}")))
    }
}
