//! Whether a database has what was acknowledged: every room numbered from 1 on without a gap, and every
//! acknowledged message there once, under the number that its sender was told.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use shared::Outcome;
use sqlx::{Connection, MySqlConnection, Row};
use uuid::Uuid;

use crate::closed_loop::{Acked, Key};

/// What a database has, as far as it has been looked through.
#[derive(Default)]
pub(crate) struct Stored {
    /// Where each message is, by its key.
    places: HashMap<Key, (u64, u64)>,
    /// The last number of each room.
    ends: HashMap<u64, u64>,
}

impl Stored {
    /// Takes up the next message of a room; they come in the order of their numbers.
    ///
    /// # Errors
    /// If it does not follow the last one, or is there already.
    pub(crate) fn take(&mut self, room: u64, seq: u64, key: Key) -> Result<(), String> {
        let end = self.ends.entry(room).or_default();
        if seq != *end + 1 {
            return Err(format!("room {room}: message {seq} follows message {end}"));
        }
        *end = seq;
        match self.places.insert(key, (room, seq)) {
            None => Ok(()),
            Some((other, first)) => Err(format!(
                "the message with the key {} is there twice: {first} of room {other}, and {seq} of \
                 room {room}",
                key.0
            )),
        }
    }

    /// Looks for a message that was acknowledged.
    ///
    /// # Errors
    /// If it is not where its sender was told.
    pub(crate) fn look_for(&self, acked: &Acked) -> Result<(), String> {
        let Acked { key, room, seq, .. } = acked;
        match self.places.get(key) {
            Some(place) if *place == (*room, *seq) => Ok(()),
            Some((other, number)) => Err(format!(
                "message {seq} of room {room} was acknowledged, but is {number} of room {other}"
            )),
            None => Err(format!("message {seq} of room {room} was acknowledged, but is not there")),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

/// Reads what the engine's store has in a database, whose rooms are these.
///
/// # Errors
/// If it cannot be read, or a room has a gap.
pub(crate) async fn read(url: &str, rooms: &[Uuid]) -> Outcome<Stored> {
    let numbers: HashMap<Uuid, u64> = rooms.iter().copied().zip(0..).collect();
    let mut connection = MySqlConnection::connect(url).await?;
    let mut stored = Stored::default();
    {
        let mut rows = sqlx::query(
            "SELECT r.public_id, m.seq, m.client_key FROM messages m JOIN rooms r ON r.id = m.room \
             ORDER BY m.room, m.seq",
        )
        .fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            let room = Uuid::from_slice(row.try_get(0)?)?;
            let room = numbers.get(&room).ok_or("there is a room that nobody has opened")?;
            let seq: i64 = row.try_get(1)?;
            let key: &[u8] = row.try_get(2)?;
            let key = Key(std::str::from_utf8(key)?.parse()?);
            stored.take(*room, u64::try_from(seq)?, key)?;
        }
    }
    connection.close().await?;
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(messages: &[(u64, u64, u64)]) -> Result<Stored, String> {
        let mut stored = Stored::default();
        for (room, seq, nth) in messages {
            stored.take(*room, *seq, Key::new(0, *nth))?;
        }
        Ok(stored)
    }

    fn acked(room: u64, seq: u64, nth: u64) -> Acked {
        Acked { key: Key::new(0, nth), room, seq, nanos: None }
    }

    #[test]
    fn what_is_whole_is_found() {
        let stored = stored(&[(0, 1, 0), (0, 2, 1), (1, 1, 2), (0, 3, 3)]).expect("no gap");
        assert_eq!(stored.len(), 4);
        for acked in [acked(0, 1, 0), acked(0, 2, 1), acked(1, 1, 2)] {
            assert_eq!(stored.look_for(&acked), Ok(()));
        }
    }

    #[test]
    fn a_gap_is_found_and_a_room_that_does_not_begin_with_1() {
        let error = stored(&[(0, 1, 0), (0, 3, 1)]).err().expect("a gap");
        assert!(error.contains("message 3 follows message 1"), "{error}");
        assert!(stored(&[(0, 1, 0), (1, 2, 1)]).is_err());
        assert!(stored(&[(0, 1, 0), (0, 1, 1)]).is_err());
    }

    #[test]
    fn a_message_that_is_there_twice_is_found() {
        for second in [(0, 2, 7), (1, 1, 7)] {
            let error = stored(&[(0, 1, 7), second]).err().expect("it is there twice");
            assert!(error.contains("twice"), "{error}");
        }
    }

    #[test]
    fn a_message_that_is_lost_or_elsewhere_is_found() {
        let stored = stored(&[(0, 1, 0), (0, 2, 1)]).expect("no gap");
        for lost in [acked(0, 3, 2), acked(0, 1, 1), acked(1, 1, 0)] {
            assert!(stored.look_for(&lost).is_err(), "{lost:?}");
        }
    }
}
