//! Who hears which room, as dense lists, and how far each list has got with the frames that are
//! being sent to it. Somebody may leave in the middle of that: nobody is passed over then, and
//! nobody is told twice.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use chat_core::RoomId;

use crate::socket::direct::pending::{Item, Lane};
use crate::socket::direct::round::Round;
use crate::socket::direct::slab::{Heard, Place, Slab};

/// A room with listeners, or with something to be told to them.
pub(super) struct Room {
    id: RoomId,
    listeners: Vec<Place>,
    /// The first so many of the listeners have been told the round.
    told: usize,
    /// What is being sent, if that takes more than one turn.
    pub(super) round: Option<Rc<Round>>,
    /// What waits for the round to end.
    pub(super) after: VecDeque<Item>,
    /// Items of this room that wait anywhere.
    pub(super) items: usize,
}

/// The rooms of one worker.
#[derive(Default)]
pub(super) struct Lanes {
    rooms: Vec<Option<Room>>,
    free: Vec<Lane>,
    lanes: HashMap<RoomId, Lane>,
}

impl Lanes {
    pub(super) fn lane(&mut self, id: RoomId) -> Lane {
        if let Some(lane) = self.lanes.get(&id) {
            return *lane;
        }
        let (listeners, after) = (Vec::new(), VecDeque::new());
        let room = Room { id, listeners, told: 0, round: None, after, items: 0 };
        let lane = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            // A room takes more memory than that many of them could have.
            Lane::try_from(self.rooms.len() - 1).expect("fewer rooms than numbers")
        });
        self.rooms[lane as usize] = Some(room);
        self.lanes.insert(id, lane);
        lane
    }

    /// A lane that somebody counts on: it has listeners, or items.
    pub(super) fn room(&mut self, lane: Lane) -> &mut Room {
        self.rooms[lane as usize].as_mut().expect("a lane is kept while it is counted on")
    }

    pub(super) fn is_busy(&self, lane: Lane) -> bool {
        self.rooms[lane as usize].as_ref().is_some_and(|room| room.round.is_some())
    }

    /// Lets go of a lane that nobody counts on.
    pub(super) fn tidy(&mut self, lane: Lane) {
        let Some(room) = &mut self.rooms[lane as usize] else { return };
        if !room.listeners.is_empty() || room.items > 0 || room.round.is_some() {
            if room.listeners.capacity() > 64
                && room.listeners.len() < room.listeners.capacity() / 4
            {
                room.listeners.shrink_to(room.listeners.len() * 2);
            }
            return;
        }
        self.lanes.remove(&room.id);
        self.rooms[lane as usize] = None;
        self.free.push(lane);
        if self.lanes.is_empty() {
            *self = Self::default();
        }
    }

    /// From here on the connection hears the room.
    pub(super) fn enter(&mut self, slab: &mut Slab, place: Place, lane: Lane) {
        let room = self.room(lane);
        debug_assert!(room.round.is_none(), "who enters in a round is told half of it");
        let Some(cold) = slab.get(place) else { return };
        if cold.hears(lane).is_none() {
            // As many as there are connections, whose places are of this type.
            cold.heard.push(Heard { lane, index: room.listeners.len() as u32 });
            room.listeners.push(place);
        }
    }

    /// From here on the connection does not hear the room.
    pub(super) fn exit(&mut self, slab: &mut Slab, place: Place, lane: Lane) {
        let Some(cold) = slab.get(place) else { return };
        let Some(at) = cold.hears(lane) else { return };
        let Heard { index, .. } = cold.heard.swap_remove(at);
        self.unlist(slab, lane, index);
    }

    /// The connection, if it hears the room, counts among those who have been told. Answers whether
    /// it does.
    pub(super) fn is_told(&mut self, slab: &mut Slab, place: Place, lane: Lane) -> bool {
        let heard = slab.get(place).and_then(|cold| cold.hears(lane).map(|at| cold.heard[at]));
        let Some(Heard { index, .. }) = heard else { return false };
        let room = self.room(lane);
        let (index, border) = (index as usize, room.told);
        room.told += 1;
        if index != border {
            room.listeners.swap(index, border);
            let [here, there] = [index, border].map(|index| room.listeners[index]);
            Self::moved(slab, here, lane, index);
            Self::moved(slab, there, lane, border);
        }
        true
    }

    /// From here on the connection, which is no longer in the slab, hears none of these.
    pub(super) fn exit_all(&mut self, slab: &mut Slab, heard: impl IntoIterator<Item = Heard>) {
        for Heard { lane, index } in heard {
            self.unlist(slab, lane, index);
        }
    }

    /// Takes a listener off its list. Who has been told stays among those who have been, and who
    /// has not among those who have not.
    fn unlist(&mut self, slab: &mut Slab, lane: Lane, index: u32) {
        let room = self.room(lane);
        let mut hole = index as usize;
        if hole < room.told {
            // The last who has been told fills the hole, and leaves one at the border.
            room.told -= 1;
            room.listeners.swap(hole, room.told);
            Self::moved(slab, room.listeners[hole], lane, hole);
            hole = room.told;
        }
        room.listeners.swap_remove(hole);
        if let Some(place) = room.listeners.get(hole) {
            Self::moved(slab, *place, lane, hole);
        }
        self.tidy(lane);
    }

    fn moved(slab: &mut Slab, place: Place, lane: Lane, index: usize) {
        if let Some(cold) = slab.get(place)
            && let Some(at) = cold.hears(lane)
        {
            cold.heard[at].index = index as u32;
        }
    }
}

impl Room {
    /// The listeners who have not been told, with what counts those who have.
    pub(super) fn untold(&mut self) -> (&[Place], &mut usize) {
        (&self.listeners, &mut self.told)
    }

    pub(super) fn id(&self) -> RoomId {
        self.id
    }

    /// Begins a round, or ends one: nobody has been told.
    pub(super) fn reset(&mut self) {
        self.told = 0;
    }
}
