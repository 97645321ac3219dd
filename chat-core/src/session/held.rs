//! The rooms that a session holds.

use crate::capacity::shrink_vec;
use crate::ids::RoomId;
use crate::room::RoomRef;

/// The rooms that a session is seated in or has asked to be. Holding one keeps it loaded. A session
/// that has never asked for one has none of this.
#[derive(Default)]
pub(super) struct HeldRooms(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    /// In the order of ids.
    rooms: Vec<Held>,
    /// How many times the session has asked to enter a room.
    asked: u64,
}

/// A room, and the session's latest request to enter it.
struct Held {
    id: RoomId,
    room: RoomRef,
    asked: u64,
}

impl Inner {
    fn place(&self, id: RoomId) -> Result<usize, usize> {
        self.rooms.binary_search_by_key(&id, |held| held.id)
    }
}

impl HeldRooms {
    pub(super) fn get(&self, id: RoomId) -> Option<&RoomRef> {
        let inner = self.0.as_ref()?;
        inner.place(id).ok().map(|place| &inner.rooms[place].room)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RoomRef> {
        self.0.iter().flat_map(|inner| &inner.rooms).map(|held| &held.room)
    }

    pub(super) fn ids(&self) -> Vec<RoomId> {
        self.0.iter().flat_map(|inner| &inner.rooms).map(|held| held.id).collect()
    }

    /// Takes note of a request to enter a room, and numbers it.
    pub(super) fn ask(&mut self) -> u64 {
        let inner = self.0.get_or_insert_default();
        inner.asked += 1;
        inner.asked
    }

    /// Holds a room that was asked to let the session in.
    pub(super) fn hold(&mut self, id: RoomId, room: RoomRef, asked: u64) {
        let inner = self.0.get_or_insert_default();
        let held = Held { id, room, asked };
        match inner.place(id) {
            Ok(place) => inner.rooms[place] = held,
            Err(place) => {
                if inner.rooms.is_empty() {
                    // Most are in one room.
                    inner.rooms.reserve_exact(1);
                }
                inner.rooms.insert(place, held);
            }
        }
    }

    /// Lets go of a room unless the session has asked to enter it again since.
    pub(super) fn let_go(&mut self, id: RoomId, asked: u64) {
        let Some(inner) = &mut self.0 else { return };
        if let Ok(place) = inner.place(id)
            && inner.rooms[place].asked == asked
        {
            inner.rooms.remove(place);
            shrink_vec(&mut inner.rooms);
        }
    }

    /// Lets go of all rooms.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = RoomRef> {
        self.0.take().into_iter().flat_map(|inner| inner.rooms).map(|held| held.room)
    }
}
