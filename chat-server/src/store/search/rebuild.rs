//! Makes the index anew, room by room, while servers run: what is not in it meanwhile is read. Which rooms are yet
//! to be done is kept, so whoever comes after one that was cut short goes on there; and so does whoever comes while
//! another one is at it: one helps the other, and neither undoes what the other has done.

use chat_core::{RoomKey, StoreError};
use sqlx::SqlStr;

use super::index::Indexed;
use super::keep::{BEING_REMOVED, index_room};
use super::remove::remove_all;
use crate::store::sql::{Sql, Value, sql};
use crate::store::work::{Statements, Work};

/// How many rooms are marked at a time.
const ROOMS: i64 = 1_000;

// The last of a piece of rooms. Parameters: after this one, how many to skip.
sql!(MARK_END, "SELECT room FROM search_progress WHERE room > ? ORDER BY room LIMIT 1 OFFSET ?");
// Parameters: after this room, up to and including.
sql!(MARK, "UPDATE search_progress SET stale = 1 WHERE room > ? AND room <= ?");
sql!(STALE, "SELECT room FROM search_progress WHERE stale = 1 ORDER BY room LIMIT ?");
// Whoever is adding to the room does so no more, and whoever searches reads it. Parameters: what says that it is being
// removed from the index, the room.
sql!(LEAVE, "UPDATE search_progress SET seq = 0, number = ? WHERE room = ? AND stale = 1");

/// How far the index has been made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rooms that are done.
    pub rooms: u64,
    /// Messages in them.
    pub messages: u64,
}

struct Stale;

impl Work for Stale {
    type Answer = Vec<(i64,)>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        sql.select(STALE, &[ROOMS.into()]).await
    }
}

struct MarkEnd(i64);

impl Work for MarkEnd {
    type Answer = Option<i64>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let end: Vec<(i64,)> = sql.select(MARK_END, &[self.0.into(), (ROOMS - 1).into()]).await?;
        Ok(end.first().map(|(room,)| *room))
    }
}

/// Answers whether the room is still to be done.
struct Leave(RoomKey);

impl Work for Leave {
    type Answer = bool;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        let values = [BEING_REMOVED, self.0.0].map(Value::Number);
        Ok(sql.execute(LEAVE, &values).await?.rows > 0)
    }
}

struct Mark(i64, i64);

impl Work for Mark {
    type Answer = u64;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<u64, sqlx::Error> {
        let range = [self.0, self.1].map(Value::Number);
        Statements(&[(MARK, &range)]).carry_out(sql).await
    }
}

/// Makes the index anew, or goes on with that. Tells after each piece how far it has come.
pub(crate) async fn rebuild_search(
    database: &impl Indexed,
    tell: &(dyn Fn(Rebuilt) + Send + Sync),
) -> Result<Rebuilt, StoreError> {
    if database.read(Stale).await?.is_empty() {
        mark_all(database).await?;
    }
    let mut done = Rebuilt::default();
    loop {
        let stale = database.read(Stale).await?;
        if stale.is_empty() {
            return Ok(done);
        }
        for (room,) in stale {
            let room = RoomKey(room);
            // Another one that makes it anew may have been here, or the room has gone.
            if !database.write(Leave(room)).await? {
                continue;
            }
            remove_all(database, room).await?;
            let more = |messages| {
                done.messages += messages;
                tell(done);
            };
            index_room(database, room, true, more).await?;
            done.rooms += 1;
            tell(done);
        }
    }
}

async fn mark_all(database: &impl Indexed) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    loop {
        let end = database.read(MarkEnd(after)).await?;
        database.write(Mark(after, end.unwrap_or(i64::MAX))).await?;
        match end {
            Some(end) => after = end,
            None => return Ok(()),
        }
    }
}
