//! The connections: one thread, one buffer that all of them are read into, one that all frames are
//! written in. It opens and closes them, carries frames to and from the traffic, and takes no memory
//! for a message.

mod frames;
mod lifetime;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::Unable;
use crate::dialect::Speaker;
use crate::frame;
use crate::order::Heard;
use crate::poller::Poller;
use crate::traffic::Traffic;

/// The most that one read takes, and the longest frame.
const BUFFER: usize = 256 * 1_024;
/// After how long without anything happening something that must happen is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many messages are sent before what has come is read.
const BURST: usize = 64;

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
    /// Not to sleep while waiting.
    pub(crate) busy_poll: bool,
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
        let poller = Poller::new(target.busy_poll);
        let poller = poller.map_err(|error| Unable(format!("no epoll: {error}")))?;
        Ok(Self {
            target,
            connections: seats.iter().map(connection).collect(),
            seats,
            speaker,
            traffic,
            poller,
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
}
