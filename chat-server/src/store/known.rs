//! What a writer knows of the database without reading it: where its own commits have left the
//! rooms, and which names are stored. It belongs to one connection and is given up with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use chat_core::{Batch, Cursor, RoomKey};

use super::names::Names;
use super::plan::Ends;

/// How many rooms' ends are remembered, at less than a hundred bytes each. What is forgotten is
/// read again.
const MOST_ENDS: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Known {
    ends: Ends,
    /// Of which version of the database that is true, where the database has versions.
    pub(super) version: Option<i64>,
    /// Whether this connection writes alone: then all of the above is true, or the database has ended
    /// the connection.
    pub(super) alone: bool,
    /// When that was last asked for.
    pub(super) asked_alone: Option<Instant>,
    /// Rooms of which messages have been removed, and up to which.
    removed: HashMap<RoomKey, u64>,
    pub(super) names: Names,
}

impl Known {
    /// Where the batches' rooms stand as far as is known, and the rooms of which it is not.
    pub(super) fn ends(&self, batches: &[Batch]) -> (Ends, Vec<RoomKey>) {
        let mut ends = Ends::with_capacity(batches.len());
        let mut unknown = Vec::new();
        for Batch { room, .. } in batches {
            match (ends.entry(*room), self.ends.get(room)) {
                (Entry::Vacant(entry), Some(end)) => _ = entry.insert(*end),
                (Entry::Vacant(_), None) => unknown.push(*room),
                (Entry::Occupied(_), _) => {}
            }
        }
        unknown.sort_unstable_by_key(|room| room.0);
        unknown.dedup();
        (ends, unknown)
    }

    /// Remembers where a commit has left its rooms.
    pub(super) fn learn<'e>(&mut self, ends: impl IntoIterator<Item = (&'e RoomKey, &'e Cursor)>) {
        if self.ends.len() > MOST_ENDS {
            self.ends.clear();
        }
        self.ends.extend(ends);
    }

    /// Up to which of its messages a room has lost them.
    pub(super) fn removed(&self, room: RoomKey) -> u64 {
        self.removed.get(&room).copied().unwrap_or(0)
    }

    /// Remembers that.
    pub(super) fn learn_removed(&mut self, room: RoomKey, removed: u64) {
        if self.removed.len() > MOST_ENDS {
            self.removed.clear();
        }
        match removed {
            0 => _ = self.removed.remove(&room),
            _ => _ = self.removed.insert(room, removed),
        }
    }

    /// Forgets where all rooms stand.
    pub(super) fn forget_ends(&mut self) {
        self.ends.clear();
    }

    /// Forgets a room.
    pub(super) fn forget(&mut self, room: RoomKey) {
        self.ends.remove(&room);
    }
}
