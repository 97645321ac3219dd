//! Which rooms have been written to since the index was last brought up. Nobody notes anything before the index is
//! first brought up: then all rooms are looked at.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chat_core::{Batch, BatchOutcome, Outcome, RoomKey};

use super::BLOCK;

/// How many rooms are noted at most. With one more, all rooms are looked at.
const MOST_ROOMS: usize = 65_536;

/// After how many looks a room counts as quiet whose last block has not become full meanwhile.
const LOOKS: u32 = 6;

#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Whether somebody keeps the index up.
    watched: AtomicBool,
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    written: HashMap<RoomKey, Written>,
    /// Whether some were not noted.
    overflowed: bool,
}

/// What has been written to a room.
#[derive(Clone, Copy, Debug)]
struct Written {
    first: u64,
    last: u64,
    looks: u32,
}

/// What is to be indexed.
#[derive(Debug, Default)]
pub(super) struct Ripe {
    /// Rooms, and of each whether all of it, or only what are full blocks.
    pub(super) rooms: Vec<(RoomKey, bool)>,
    /// Whether others have to be looked for.
    pub(super) all: bool,
}

impl Noted {
    pub(super) fn note(&self, batches: &[Batch], outcomes: &[BatchOutcome]) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        for (batch, outcome) in batches.iter().zip(outcomes) {
            let (BatchOutcome::Done(outcomes) | BatchOutcome::Followed { outcomes, .. }) = outcome
            else {
                continue;
            };
            let mut stored = outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Stored(cursor) => Some(cursor.seq),
                _ => None,
            });
            let first = stored.next();
            if let Some(first) = first {
                self.add(batch.room, first, stored.next_back().unwrap_or(first));
            }
        }
    }

    /// A room has been written to, from this message on up to that.
    pub(super) fn add(&self, room: RoomKey, first: u64, last: u64) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = rooms.written.len() >= MOST_ROOMS;
        match rooms.written.entry(room) {
            Entry::Occupied(mut written) => {
                let written = written.get_mut();
                written.first = written.first.min(first);
                written.last = written.last.max(last);
            }
            Entry::Vacant(_) if is_full => rooms.overflowed = true,
            Entry::Vacant(entry) => _ = entry.insert(Written { first, last, looks: 0 }),
        }
    }

    /// Forgets what was noted: all rooms are looked at instead.
    pub(super) fn forget(&self) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        *rooms = Rooms { overflowed: true, ..Rooms::default() };
    }

    /// Takes what is to be indexed now; of the first one who asks, and if rooms were left out, all that is behind.
    pub(super) fn take(&self) -> Ripe {
        let is_first = !self.watched.swap(true, Ordering::Relaxed);
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if is_first || rooms.overflowed {
            *rooms = Rooms::default();
            return Ripe { rooms: Vec::new(), all: true };
        }
        let mut ripe = Ripe::default();
        rooms.written.retain(|room, written| {
            written.looks += 1;
            let is_quiet = written.looks >= LOOKS;
            let is_ripe = is_quiet || (written.last + 1) / BLOCK > written.first / BLOCK;
            if is_ripe {
                ripe.rooms.push((*room, is_quiet));
            }
            !is_ripe
        });
        ripe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_ripe_when_a_block_is_full_or_it_is_quiet() {
        let noted = Noted::default();
        assert!(noted.take().all, "what was written before nobody noted it");
        let (slow, fast) = (RoomKey(1), RoomKey(2));
        noted.add(slow, 1, 3);
        noted.add(fast, 60, 61);
        assert!(noted.take().rooms.is_empty());
        noted.add(fast, 62, 62);
        assert_eq!(noted.take().rooms, [(fast, false)]);
        for _ in 3..LOOKS {
            assert!(noted.take().rooms.is_empty());
        }
        assert_eq!(noted.take().rooms, [(slow, true)]);
        assert!(noted.take().rooms.is_empty());
    }

    #[test]
    fn too_many_rooms_are_looked_for_instead() {
        let noted = Noted::default();
        noted.take();
        for room in 0..=65_536 {
            noted.add(RoomKey(room), 1, 1);
        }
        assert!(noted.take().all);
        assert!(!noted.take().all);
        noted.forget();
        assert!(noted.take().all, "nor is anything lost that could not be indexed");
    }
}
