//! Removes from the index what is about messages that are gone, in pieces as all that is removed.

use chat_core::{RoomKey, StoreError};
use sqlx::SqlStr;

use super::ALL_ERAS;
use crate::store::background::{Cleaned, PIECE, Pace};
use crate::store::sql::{Value, sql};

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

/// Removes all that a room has in the index.
pub(crate) async fn remove_all(database: &impl Cleaned, room: RoomKey) -> Result<(), StoreError> {
    remove_eras(database, room, ALL_ERAS, &mut Pace::new()).await
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
        pace.after_piece(database.progress(), rows, room, "removing from the search").await;
        if end.is_empty() {
            return Ok(());
        }
    }
}
