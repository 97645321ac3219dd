//! What is removed, and nobody waits for: the rest of deleted rooms, and messages that are too old
//! or too many. Always in pieces of a thousand neighbouring rows, each a transaction of its own, with
//! a pause as long as the piece took, so that writers are never held up for long. A crash in between
//! loses nothing: what is left is found again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_core::{RoomKey, StoreError, Timestamp, UserId, limits};
use sqlx::SqlStr;
use tokio::runtime::Handle;

use super::rows::{RetainedRow, signed};
use super::sql::{Row, Value, id};
use super::{search, selects};

/// How many rows one transaction removes at most.
pub(super) const PIECE: i64 = 1_000;
/// How many rooms are looked at in one question.
const ROOMS: i64 = 500;
/// How often progress is logged.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Which messages are kept. Everything, unless said otherwise; and whatever is younger than
/// [`limits::KEYS_LAST`], whose keys are to be remembered, with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those that are not older than this.
    pub age: Option<Duration>,
    /// So many of each room, the newest.
    pub messages: Option<u64>,
}

/// How far background work has come since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows of deleted rooms, and old messages, that have been removed.
    pub rows: u64,
    /// Deleted rooms of which something is left, as far as this process knows.
    pub rooms_left: u64,
}

/// Counts what [`Removed`] tells.
#[derive(Debug, Default)]
pub(super) struct Progress {
    rows: AtomicU64,
    rooms_left: AtomicU64,
}

impl Progress {
    pub(super) fn read(&self) -> Removed {
        Removed {
            rows: self.rows.load(Ordering::Relaxed),
            rooms_left: self.rooms_left.load(Ordering::Relaxed),
        }
    }
}

/// A database in which something is removed. Each call has a deadline of its own.
pub(super) trait Cleaned: Send + Sync + 'static {
    fn progress(&self) -> &Progress;

    /// Asks what is true of all that has been committed.
    fn ask<R: Row + 'static>(
        &self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send;

    /// Executes statements as one transaction. Answers how many rows they changed.
    fn change(
        &self,
        statements: &[(SqlStr, &[Value<'_>])],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Removes, in the background, everything that deleted rooms have left behind.
pub(super) fn finish_deletions_of(database: &Arc<impl Cleaned>, thread: &Handle) {
    let database = Arc::clone(database);
    thread.spawn(async move {
        if let Err(error) = finish_deletions(&*database).await {
            tracing::error!(%error, "could not finish the deletion of rooms; the next start goes on");
        }
    });
}

async fn finish_deletions(database: &impl Cleaned) -> Result<(), StoreError> {
    let rooms: Vec<(i64,)> = database.ask(selects::ENDED, &[]).await?;
    for (room,) in rooms {
        tracing::info!(room, "finishing the deletion of a room");
        remove_room(database, RoomKey(room)).await?;
    }
    Ok(())
}

/// One table of what belongs to rooms: where its first piece ends, and how it is removed up to
/// there. Parameters of the first: room, how many rows to skip; of the second: room, last row.
struct Table {
    end: SqlStr,
    remove: SqlStr,
    by: By,
}

/// In which order a table's rows lie in a room.
#[derive(Clone, Copy)]
enum By {
    Number,
    User,
}

const REMOVE_MESSAGES: SqlStr =
    SqlStr::from_static("DELETE FROM messages WHERE room = ? AND seq <= ?");

const REMOVE_MARKS: SqlStr = SqlStr::from_static("DELETE FROM marks WHERE room = ? AND seq <= ?");

const REMOVE_REVISIONS: SqlStr =
    SqlStr::from_static("DELETE FROM revisions WHERE room = ? AND seq <= ?");

const TABLES: [Table; 11] = [
    // First, so that nothing is added to the index any more. A room has one row.
    Table {
        end: SqlStr::from_static(
            "SELECT seq FROM search_progress WHERE room = ? ORDER BY seq LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM search_progress WHERE room = ? AND seq <= ?"),
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT seq FROM threads WHERE room = ? ORDER BY seq LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM threads WHERE room = ? AND seq <= ?"),
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT seq FROM marks WHERE room = ? ORDER BY seq LIMIT 1 OFFSET ?",
        ),
        remove: REMOVE_MARKS,
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT at_ms FROM used_keys WHERE room = ? ORDER BY at_ms LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM used_keys WHERE room = ? AND at_ms <= ?"),
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT seq FROM revisions WHERE room = ? ORDER BY seq LIMIT 1 OFFSET ?",
        ),
        remove: REMOVE_REVISIONS,
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT seq FROM messages WHERE room = ? ORDER BY seq LIMIT 1 OFFSET ?",
        ),
        remove: REMOVE_MESSAGES,
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT number FROM changes WHERE room = ? ORDER BY number LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM changes WHERE room = ? AND number <= ?"),
        by: By::Number,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT user FROM members WHERE room = ? ORDER BY user LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM members WHERE room = ? AND user <= ?"),
        by: By::User,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT user FROM invitations WHERE room = ? ORDER BY user LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM invitations WHERE room = ? AND user <= ?"),
        by: By::User,
    },
    Table {
        end: SqlStr::from_static(
            "SELECT user FROM read_positions WHERE room = ? ORDER BY user LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM read_positions WHERE room = ? AND user <= ?"),
        by: By::User,
    },
    // Nobody has more than a few rows here.
    Table {
        end: SqlStr::from_static(
            "SELECT user FROM restrictions WHERE room = ? ORDER BY user LIMIT 1 OFFSET ?",
        ),
        remove: SqlStr::from_static("DELETE FROM restrictions WHERE room = ? AND user <= ?"),
        by: By::User,
    },
];

/// From here on nobody sees the room, and what is appended to it finds it gone. Two users' direct room gives up its pair, so that they may open another.
pub(super) const END_ROOM: SqlStr =
    SqlStr::from_static("UPDATE rooms SET ended = 1, pair = NULL WHERE id = ?");

/// The same of several rooms, which follow.
pub(super) const END_ROOMS: &str = "UPDATE rooms SET ended = 1, pair = NULL WHERE id IN (";

/// The room itself comes last, because it carries the mark by which the rest is found again.
const REMOVE_ROOM: SqlStr = SqlStr::from_static("DELETE FROM rooms WHERE id = ? AND ended = 1");

/// Removes rooms that are marked as deleted: a room and its threads.
pub(super) async fn remove_rooms(
    database: &impl Cleaned,
    rooms: impl IntoIterator<Item = RoomKey> + Send,
) -> Result<(), StoreError> {
    let rooms: Vec<_> = rooms.into_iter().collect();
    for room in rooms {
        remove_room(database, room).await?;
    }
    Ok(())
}

/// Removes what belongs to a room that is marked as deleted, and the room.
async fn remove_room(database: &impl Cleaned, room: RoomKey) -> Result<(), StoreError> {
    let left = &database.progress().rooms_left;
    left.fetch_add(1, Ordering::Relaxed);
    let removed = remove_rows(database, room).await;
    left.fetch_sub(1, Ordering::Relaxed);
    removed
}

async fn remove_rows(database: &impl Cleaned, room: RoomKey) -> Result<(), StoreError> {
    let mut pace = Pace::new();
    for table in TABLES {
        loop {
            let up_to = piece_end(database, &table, room).await?;
            let is_last = up_to.is_none();
            let up_to = up_to.unwrap_or(match table.by {
                By::Number => Value::Number(i64::MAX),
                By::User => Value::Sixteen([u8::MAX; 16]),
            });
            let values = [room.0.into(), up_to];
            let rows = database.change(&[(table.remove.clone(), &values)]).await?;
            pace.after_piece(database.progress(), rows, room, "removing a deleted room").await;
            if is_last {
                break;
            }
        }
    }
    search::remove_eras(database, room, search::ALL_ERAS, &mut pace).await?;
    database.change(&[(REMOVE_ROOM, &[room.0.into()])]).await?;
    Ok(())
}

/// The last row of the first piece; `None` if the rest is less than a piece.
async fn piece_end(
    database: &impl Cleaned,
    table: &Table,
    room: RoomKey,
) -> Result<Option<Value<'static>>, StoreError> {
    let values = [room.0.into(), (PIECE - 1).into()];
    Ok(match table.by {
        By::Number => {
            let rows: Vec<(i64,)> = database.ask(table.end.clone(), &values).await?;
            rows.first().map(|(number,)| Value::Number(*number))
        }
        By::User => {
            let rows: Vec<(Vec<u8>,)> = database.ask(table.end.clone(), &values).await?;
            let user = rows.first().map(|(user,)| user.as_slice().try_into());
            let user =
                user.transpose().map_err(|_| StoreError::new("a stored user id is damaged"))?;
            user.map(Value::Sixteen)
        }
    })
}

/// Removes the messages that are not to be kept at this time. Answers how many.
pub(super) async fn remove_old(
    database: &impl Cleaned,
    retention: Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    if retention == Retention::default() {
        return Ok(0);
    }
    let before = |age: Duration| {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        now.timestamp_millis().saturating_sub(age)
    };
    let young = before(limits::KEYS_LAST);
    // Everything is younger than what lies before all time.
    let oldest = retention.age.map_or(i64::MIN, before).min(young);
    let (mut pace, mut after, mut removed) = (Pace::new(), i64::MIN, 0);
    loop {
        let values = [oldest.into(), after.into(), ROOMS.into()];
        let rooms: Vec<RetainedRow> = database.ask(selects::RETAINED, &values).await?;
        let Some(last) = rooms.last() else { break };
        after = last.room;
        for room in rooms {
            let surplus = retention.messages.map_or(0, |most| room.seq - signed(most));
            removed += trim(database, &room, (surplus, young), oldest, &mut pace).await?;
        }
    }
    if removed > 0 {
        tracing::info!(removed, "removed old messages");
    }
    Ok(removed)
}

/// Removes a room's messages up to number `surplus`, but for those behind the first that is not older than
/// `young`, and those before the first that is not older than `oldest`.
async fn trim(
    database: &impl Cleaned,
    room: &RetainedRow,
    (surplus, young): (i64, i64),
    oldest: i64,
    pace: &mut Pace,
) -> Result<u64, StoreError> {
    let (key, mut from, mut removed) = (RoomKey(room.room), room.removed_seq, 0);
    while surplus > from || (room.is_old && from < room.seq) {
        let until = (from + PIECE).min(room.seq);
        let mut up_to = from;
        if room.is_old {
            up_to = last_before(database, key, (from, until), oldest).await?;
        }
        if surplus > up_to {
            let old = last_before(database, key, (from, until), young).await?;
            up_to = up_to.max(old.min(surplus));
        }
        if up_to <= from {
            break;
        }
        let before = [key.0, up_to].map(Value::Number);
        database.change(&[(REMOVE_REVISIONS, &before), (REMOVE_MARKS, &before)]).await?;
        let mark = [up_to, key.0, up_to].map(Value::Number);
        let rows = [key.0, up_to].map(Value::Number);
        let changed = database.change(&[(MARK_REMOVED, &mark), (REMOVE_MESSAGES, &rows)]).await?;
        // The room's own row is one of them.
        let messages = changed.saturating_sub(1);
        removed += messages;
        pace.after_piece(database.progress(), messages, key, "removing old messages").await;
        if let Some(stays) = search::first_era_after(from, up_to) {
            search::remove_eras(database, key, stays, pace).await?;
        }
        from = up_to;
    }
    Ok(removed)
}

/// The last message of a range that stands before all of it that are not older than a moment.
async fn last_before(
    database: &impl Cleaned,
    room: RoomKey,
    (above, until): (i64, i64),
    moment: i64,
) -> Result<i64, StoreError> {
    let values = [room.0, above, until, moment].map(Value::Number);
    let young: Vec<(Option<i64>,)> = database.ask(selects::FIRST_YOUNG, &values).await?;
    Ok(young.first().and_then(|(seq,)| *seq).map_or(until, |seq| seq - 1))
}

/// The last moment of a piece of the keys that were used before another moment. Parameters: that, how many
/// rows to skip.
const KEYS_PIECE: SqlStr = SqlStr::from_static(
    "SELECT at_ms FROM used_keys WHERE at_ms < ? ORDER BY at_ms LIMIT 1 OFFSET ?",
);

/// Parameter: the first moment whose keys stay.
const FORGET_KEYS: SqlStr = SqlStr::from_static("DELETE FROM used_keys WHERE at_ms < ?");

/// Forgets keys that were used before a moment: a piece, and whatever was used in the same millisecond as
/// its last.
pub(super) async fn forget_keys(
    database: &impl Cleaned,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let before = before.timestamp_millis();
    let piece: Vec<(i64,)> = database.ask(KEYS_PIECE, &[before.into(), (PIECE - 1).into()]).await?;
    let before = piece.first().map_or(before, |(last,)| before.min(last + 1));
    database.change(&[(FORGET_KEYS, &[before.into()])]).await
}

/// Deletes what a user has written in a range of a room's messages. Parameters: room, above, up to and
/// including, the user.
const ERASE: SqlStr = SqlStr::from_static(
    "UPDATE messages SET text = '', mentions = NULL, files = NULL, edited_ms = NULL, deleted = 1, \
        client_key = NULL, fingerprint = NULL \
     WHERE room = ? AND seq > ? AND seq <= ? AND sender = ?",
);

/// What they said before they were edited. Parameters: room, above, up to and including, the room, the user.
const ERASE_REVISIONS: SqlStr = SqlStr::from_static(
    "DELETE FROM revisions WHERE room = ? AND seq > ? AND seq <= ? AND seq IN \
        (SELECT seq FROM messages WHERE messages.room = ? AND messages.seq = revisions.seq \
            AND sender = ?)",
);

/// How they were marked. Parameters likewise.
const ERASE_MARKS: SqlStr = SqlStr::from_static(
    "DELETE FROM marks WHERE room = ? AND seq > ? AND seq <= ? AND seq IN \
        (SELECT seq FROM messages WHERE messages.room = ? AND messages.seq = marks.seq \
            AND sender = ?)",
);

/// Where a room's messages begin and end. Parameter: room.
const RANGE: SqlStr = SqlStr::from_static(
    "SELECT r.removed_seq, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq \
     FROM rooms r WHERE r.id = ?",
);

/// Deletes what a user has written above `after`, up to and including `until`: every message of that range
/// is looked at, because no index leads from users to messages.
pub(super) async fn erase(
    database: &impl Cleaned,
    room: RoomKey,
    user: UserId,
    after: u64,
    until: u64,
) -> Result<(), StoreError> {
    let range: Vec<(i64, i64)> = database.ask(RANGE, &[room.0.into()]).await?;
    let Some((removed, last)) = range.first().copied() else { return Ok(()) };
    let (mut pace, mut from) = (Pace::new(), signed(after).max(removed));
    let end = signed(until).min(last);
    while from < end {
        let up_to = end.min(from + PIECE);
        let [of, above, until] = [room.0, from, up_to].map(Value::Number);
        let with_them = [of, above, until, of, id(user)];
        let messages = [of, above, until, id(user)];
        let erase =
            [(ERASE_REVISIONS, &with_them[..]), (ERASE_MARKS, &with_them), (ERASE, &messages)];
        let rows = database.change(&erase).await?;
        pace.after_piece(database.progress(), rows, room, "erasing what a user has written").await;
        from = up_to;
    }
    Ok(())
}

/// In the same transaction as the removal, so that a room never forgets how far it has counted.
const MARK_REMOVED: SqlStr =
    SqlStr::from_static("UPDATE rooms SET removed_seq = ? WHERE id = ? AND removed_seq < ?");

/// Sees to it that no more than half of the time goes into removal, and that progress is told.
pub(super) struct Pace {
    piece: Instant,
    told: Instant,
    rows: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { piece: Instant::now(), told: Instant::now(), rows: 0 }
    }

    pub(super) async fn after_piece(
        &mut self,
        progress: &Progress,
        rows: u64,
        room: RoomKey,
        what: &str,
    ) {
        self.rows += rows;
        progress.rows.fetch_add(rows, Ordering::Relaxed);
        if self.told.elapsed() > TELL_EVERY {
            tracing::info!(room = room.0, rows = self.rows, "{what}");
            self.told = Instant::now();
        }
        if rows > 0 {
            tokio::time::sleep(self.piece.elapsed().min(TELL_EVERY)).await;
        }
        self.piece = Instant::now();
    }
}
