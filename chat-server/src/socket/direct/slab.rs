//! The connections of one worker. What the flush looks at for each listener lies dense, apart from
//! everything else.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use chat_core::{CloseReason, ConnectionId};
use smallvec::SmallVec;

use crate::socket::direct::backlog::Backlog;
use crate::socket::direct::pending::Lane;

/// A connection's number on its worker; used again when the connection has gone.
pub(super) type Place = u32;

/// What the flush does not look at.
pub(super) struct Cold {
    pub(super) connection: ConnectionId,
    /// The rooms that it hears.
    pub(super) heard: SmallVec<[Heard; 1]>,
    pub(super) backlog: Option<Box<Backlog>>,
    /// Wakes the connection's task.
    pub(super) task: Option<Waker>,
    /// When something last came from the peer.
    pub(super) last: Duration,
    pub(super) state: State,
    /// What the task is to tell the session, which does not know yet.
    pub(super) lost: Option<CloseReason>,
    /// Whether it has a session, or has no need of one.
    pub(super) known: bool,
    /// It was silent when that was looked at too late, and is looked at once more.
    pub(super) spared: bool,
    /// A message has begun and is not complete.
    pub(super) mid_message: bool,
    /// That very message was incomplete at the last ping.
    pub(super) stalled: bool,
    /// Nothing is read from it until it has taken some of what waits for it.
    pub(super) paused: bool,
    /// Somebody looks from time to time whether it takes anything.
    pub(super) watched: bool,
    /// How many frames of its own wait in lanes, and in which the last one does.
    pub(super) waiting: (u32, Lane),
}

/// A room that a connection hears, and where it stands among the room's listeners.
#[derive(Clone, Copy)]
pub(super) struct Heard {
    pub(super) lane: Lane,
    pub(super) index: u32,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Its close frame is the last thing that is written.
    Closing,
    /// Its time is over, or its socket failed: the task is to let go.
    Over,
}

/// The connections of one worker.
#[derive(Default)]
pub(super) struct Slab {
    /// Here and not behind a pointer, because a big room comes by thousands of them, and with nothing
    /// beside each, so that few lines of the cache hold them. `None` for a stream that its task alone has,
    /// as with TLS.
    sockets: Vec<Option<TcpStream>>,
    /// Whose frames go to the backlog: because some wait already, or there is no socket to write to.
    pub(super) queued: Vec<bool>,
    cold: Vec<Option<Cold>>,
    free: Vec<Place>,
    places: HashMap<ConnectionId, Place>,
}

impl Slab {
    pub(super) fn insert(
        &mut self,
        connection: ConnectionId,
        socket: Option<TcpStream>,
        known: bool,
        now: Duration,
    ) -> Place {
        let cold = Cold {
            connection,
            heard: SmallVec::new(),
            backlog: None,
            task: None,
            last: now,
            state: State::Open,
            lost: None,
            known,
            spared: false,
            mid_message: false,
            stalled: false,
            paused: false,
            watched: false,
            waiting: (0, 0),
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.queued.push(false);
            self.cold.push(None);
            // Descriptors are numbered with an int, so there are never more connections.
            Place::try_from(self.cold.len() - 1).expect("fewer connections than descriptors")
        });
        self.queued[place as usize] = socket.is_none();
        self.sockets[place as usize] = socket;
        self.cold[place as usize] = Some(cold);
        self.places.insert(connection, place);
        place
    }

    /// Takes a connection out.
    pub(super) fn remove(&mut self, place: Place) -> Option<(Option<TcpStream>, Cold)> {
        let cold = self.cold[place as usize].take()?;
        let socket = self.sockets[place as usize].take();
        self.places.remove(&cold.connection);
        self.free.push(place);
        if self.places.is_empty() {
            // What grew with a crowd does not stay that large.
            *self = Self::default();
        }
        Some((socket, cold))
    }

    pub(super) fn place(&self, connection: ConnectionId) -> Option<Place> {
        self.places.get(&connection).copied()
    }

    pub(super) fn get(&mut self, place: Place) -> Option<&mut Cold> {
        self.cold.get_mut(place as usize)?.as_mut()
    }

    /// The socket of a connection, unless its task alone has that.
    pub(super) fn socket(&self, place: Place) -> Option<&TcpStream> {
        self.sockets.get(place as usize)?.as_ref()
    }

    /// What the flush looks at: the socket, and whether its frames go to the backlog.
    pub(super) fn hot(&self, place: Place) -> (Option<&TcpStream>, bool) {
        (self.sockets[place as usize].as_ref(), self.queued[place as usize])
    }

    /// Whether a connection's frames go to its backlog, and what the flush does not look at.
    pub(super) fn both(&mut self, place: Place) -> Option<(&mut bool, &mut Cold)> {
        let (_, queued, cold) = self.all_of(place)?;
        Some((queued, cold))
    }

    /// The same, and the socket.
    pub(super) fn all_of(
        &mut self,
        place: Place,
    ) -> Option<(Option<&TcpStream>, &mut bool, &mut Cold)> {
        let place = place as usize;
        let cold = self.cold[place].as_mut()?;
        Some((self.sockets[place].as_ref(), &mut self.queued[place], cold))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn all(&self) -> Vec<Place> {
        self.places.values().copied().collect()
    }
}

impl Cold {
    pub(super) fn hears(&self, lane: Lane) -> Option<usize> {
        self.heard.iter().position(|heard| heard.lane == lane)
    }

    pub(super) fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}
