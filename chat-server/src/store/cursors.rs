//! After a backup was put back: the cursors that were given out since the backup are of a history that is gone, and
//! the numbers in them come again with other messages and changes. So the changes of each room go on at a higher
//! number than any that was given out, and whoever comes back with a cursor from before is too far behind to be told
//! what it missed: it begins anew.

use chat_core::{StoreError, Timestamp};
use sqlx::SqlStr;

use super::sql::{Sql, Value, sql};
use super::work::{Work, Worker};

/// How many rooms are done in one transaction.
const ROOMS: i64 = 1_000;

/// How many numbers are passed over at least: more than somebody may have missed who is still told each, by far.
const PASSED_OVER: i64 = 1_000_000;

/// Where changes go on: behind any number that was given out. Numbers that have been passed over before, perhaps
/// because the same backup was put back twice, are below the time of that in milliseconds, and all that was given
/// out since. Parameters: the time in milliseconds, twice; how many numbers are passed over.
macro_rules! behind {
    ($last:literal) => {
        concat!("CASE WHEN ", $last, " > ? THEN ", $last, " ELSE ? END + ?")
    };
}

// Parameters: after this room, how many at most.
sql!(ROOMS_AFTER, "SELECT id FROM rooms WHERE id > ? ORDER BY id LIMIT ?");
// What has been passed over is nothing to be looked for in messages. Parameters: those of `behind`, after this room,
// up to and including.
sql!(
    PASS_IN_SEARCH,
    concat!(
        "UPDATE search_progress SET number = (SELECT ",
        behind!("r.last_change"),
        " FROM rooms r WHERE r.id = search_progress.room) WHERE room > ? AND room <= ? \
         AND number = (SELECT r.last_change FROM rooms r WHERE r.id = search_progress.room)"
    )
);
// Parameters: likewise.
sql!(
    PASS,
    concat!("UPDATE rooms SET last_change = ", behind!("last_change"), " WHERE id > ? AND id <= ?")
);

/// The rooms that follow one, at this time. Done twice, more numbers are passed over, and nothing else comes of it.
struct Reset {
    after: i64,
    at: i64,
}

/// The last of the rooms that are done, and how many they are.
type Done = (i64, u64);

impl Work for Reset {
    type Answer = Option<Done>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Option<Done>, sqlx::Error> {
        let rooms: Vec<(i64,)> =
            sql.select(ROOMS_AFTER, &[self.after.into(), ROOMS.into()]).await?;
        let Some((last,)) = rooms.last() else { return Ok(None) };
        let range = [self.at, self.at, PASSED_OVER, self.after, *last].map(Value::Number);
        sql.execute(PASS_IN_SEARCH, &range).await?;
        sql.execute(PASS, &range).await?;
        Ok(Some((*last, rooms.len() as u64)))
    }
}

/// Lets whoever comes back to any room begin anew. Tells after each piece how many rooms are done, and answers how many
/// there are.
pub(super) async fn reset_cursors(
    database: &impl Worker,
    now: Timestamp,
    tell: &(dyn Fn(u64) + Send + Sync),
) -> Result<u64, StoreError> {
    let (mut after, mut done) = (i64::MIN, 0);
    let at = now.timestamp_millis();
    while let Some((last, rooms)) = database.write(Reset { after, at }).await? {
        (after, done) = (last, done + rooms);
        tell(done);
    }
    Ok(done)
}
