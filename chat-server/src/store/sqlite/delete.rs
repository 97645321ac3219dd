//! Deletes rooms: at once for everybody who looks, and then row by row in small transactions, so
//! that a big room does not keep the others from writing. A crash in between leaves a mark, and
//! opening the store goes on from there.

use chat_core::{RoomKey, StoreError};

use super::{SqliteStore, in_time};

/// From now on nobody sees the room, and what is appended to it finds it gone.
const END: &str = "UPDATE rooms SET ended = 1 WHERE id = ?1";

/// Each removes at most a thousand rows of a room. The room itself comes last, because it carries
/// the mark.
const REMOVE: [&str; 5] = [
    "DELETE FROM messages WHERE room = ?1 AND seq IN \
        (SELECT seq FROM messages WHERE room = ?1 ORDER BY seq LIMIT 1000)",
    "DELETE FROM changes WHERE room = ?1 AND number IN \
        (SELECT number FROM changes WHERE room = ?1 ORDER BY number LIMIT 1000)",
    "DELETE FROM members WHERE room = ?1 AND user IN \
        (SELECT user FROM members WHERE room = ?1 ORDER BY user LIMIT 1000)",
    "DELETE FROM invitations WHERE room = ?1 AND user IN \
        (SELECT user FROM invitations WHERE room = ?1 ORDER BY user LIMIT 1000)",
    "DELETE FROM rooms WHERE id = ?1",
];

impl SqliteStore {
    /// Marks a room as deleted. Answers whether there is such a room.
    pub(super) async fn end_room(&self, room: RoomKey) -> Result<bool, sqlx::Error> {
        Ok(self.execute(END, room).await? > 0)
    }

    /// Removes what belongs to a room that is marked as deleted, and the room.
    pub(super) async fn remove_room(&self, room: RoomKey) -> Result<(), StoreError> {
        for statement in REMOVE {
            // Every piece has a deadline of its own: a big room may take longer than one call may.
            while in_time(self.execute(statement, room)).await? > 0 {}
        }
        Ok(())
    }

    /// Executes a statement about a room, as a transaction. Answers how many rows it changed.
    async fn execute(&self, statement: &'static str, room: RoomKey) -> Result<u64, sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let (connection, known) = writer.parts();
        known.forget(room);
        let done = sqlx::query(statement).bind(room.0).execute(connection).await?;
        writer.give_back();
        Ok(done.rows_affected())
    }
}
