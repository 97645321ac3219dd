//! Removes from the index what is about messages that are gone, or all of a room that is made anew, in pieces as all
//! that is removed.

use chat_core::{RoomKey, StoreError};
use sqlx::SqlStr;

use super::ALL_ERAS;
use super::index::Indexed;
use super::keep::BEING_REMOVED;
use crate::store::background::{Cleaned, PIECE, Pace};
use crate::store::sql::{Sql, Value, sql};
use crate::store::work::Work;

// The last row of the first piece. Parameters: room, the first era that stays, how many rows to skip.
sql!(
    PIECE_END,
    "SELECT era, gram FROM search_grams WHERE room = ? AND era < ? \
     ORDER BY era, gram LIMIT 1 OFFSET ?"
);
// Parameters: room, the first era that stays.
sql!(REMOVE_ERAS, "DELETE FROM search_grams WHERE room = ? AND era < ?");
// Parameters: room, era, the last gram that goes.
sql!(REMOVE_GRAMS, "DELETE FROM search_grams WHERE room = ? AND era = ? AND gram <= ?");
// Nobody adds to the room, or ends its removal, until this is committed. Parameters: the room, what says that it is
// being removed.
sql!(HOLD, "UPDATE search_progress SET seq = 0 WHERE room = ? AND number = ?");
// It is no longer being removed. Everything is read from here on, and so what has been edited until now need not be
// read again. Parameters likewise.
sql!(
    RESET,
    "UPDATE search_progress SET seq = 0, stale = 0, number = \
        COALESCE((SELECT r.last_change FROM rooms r WHERE r.id = search_progress.room), 0) \
     WHERE room = ? AND number = ?"
);

/// What is said while a piece is removed.
const WHAT: &str = "removing from the search";

/// The last row of the first piece: its era, and its gram.
type End = Option<(i64, Vec<u8>)>;

/// Asks for the last row of the first piece of all that a room has.
struct PieceEnd(RoomKey);

impl Work for PieceEnd {
    type Answer = End;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<End, sqlx::Error> {
        let values = [self.0.0, ALL_ERAS, PIECE - 1].map(Value::Number);
        Ok(sql.select(PIECE_END, &values).await?.pop())
    }
}

/// Removes a piece of all that a room has; with the last one, for which no end is given, the removal ends. Answers how
/// many rows have gone; `None` if the room is not being removed any more, because another one has ended that: then
/// what is there has just been added, and stays.
struct RemovePiece {
    room: RoomKey,
    end: End,
}

impl Work for RemovePiece {
    type Answer = Option<u64>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Option<u64>, sqlx::Error> {
        let room = self.room.0;
        // First, because it holds the row.
        let hold = if self.end.is_some() { HOLD } else { RESET };
        if sql.execute(hold, &[room, BEING_REMOVED].map(Value::Number)).await?.rows == 0 {
            return Ok(None);
        }
        let before = self.end.as_ref().map_or(ALL_ERAS, |(era, _)| *era);
        let mut rows = sql.execute(REMOVE_ERAS, &[room, before].map(Value::Number)).await?.rows;
        if let Some((era, gram)) = &self.end {
            let grams = [room.into(), (*era).into(), Value::Bytes(gram)];
            rows += sql.execute(REMOVE_GRAMS, &grams).await?.rows;
        }
        Ok(Some(rows))
    }
}

/// Removes all that a room has in the index, of which that is noted, and notes that it has nothing. Another one may do
/// the same meanwhile, and be done first.
pub(super) async fn remove_all(database: &impl Indexed, room: RoomKey) -> Result<(), StoreError> {
    let mut pace = Pace::new();
    loop {
        let end = database.read(PieceEnd(room)).await?;
        let is_last = end.is_none();
        let Some(rows) = database.write(RemovePiece { room, end }).await? else { return Ok(()) };
        pace.after_piece(database.progress(), rows, room, WHAT).await;
        if is_last {
            return Ok(());
        }
    }
}

/// Removes what a room has in the index of eras before this one.
pub(crate) async fn remove_eras(
    database: &impl Cleaned,
    room: RoomKey,
    stays: i64,
    pace: &mut Pace,
) -> Result<(), StoreError> {
    loop {
        let values = [room.0, stays, PIECE - 1].map(Value::Number);
        let end: Vec<(i64, Vec<u8>)> = database.ask(PIECE_END, &values).await?;
        let rows = match end.first() {
            Some((era, gram)) => {
                let eras = [room.0, *era].map(Value::Number);
                let grams = [room.0.into(), (*era).into(), Value::Bytes(gram)];
                database.change(&[(REMOVE_ERAS, &eras), (REMOVE_GRAMS, &grams)]).await?
            }
            None => {
                let rest = [room.0, stays].map(Value::Number);
                database.change(&[(REMOVE_ERAS, &rest)]).await?
            }
        };
        pace.after_piece(database.progress(), rows, room, WHAT).await;
        if end.is_empty() {
            return Ok(());
        }
    }
}
