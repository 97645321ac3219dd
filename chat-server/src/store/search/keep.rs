//! Brings the index up to what has been committed: in pieces, each a transaction that also notes how far it has
//! come, with a pause thrice as long as the piece took, so that those who write have most of the database's time. Whoever finds that
//! another one has noted something else meanwhile begins anew from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{RoomKey, StoreError};
use sqlx::{FromRow, SqlStr};

use super::index::Indexed;
use super::noted::Ripe;
use super::{BLOCK, Spot, edited};
use crate::search::{fold, grams};
use crate::store::rows::{number, read_all, signed};
use crate::store::sql::{Sql, Value, sql};
use crate::store::statement::ManyRows;
use crate::store::work::Work;

/// How many blocks are indexed at a time.
const BLOCKS: u64 = 4;

/// How many changes are looked through at a time.
const CHANGES: i64 = 500;

/// Up to which change a room is in the index that is being removed from it, to be made anew: nobody adds to it, and
/// all of it is read.
pub(super) const BEING_REMOVED: i64 = i64::MAX;

/// How many rows of the index one transaction writes at most.
const ROWS: usize = 2_048;

/// How many rooms are looked at in one question.
const ROOMS: i64 = 500;

/// How many times as long as a piece has taken the pause behind it is: the index has a quarter of the writer's
/// time at most.
const PAUSES: u32 = 3;

/// The longest pause.
const PAUSE: Duration = Duration::from_secs(1);

sql!(
    STATE,
    "SELECT p.seq AS indexed_seq, p.number AS indexed_number, r.last_change, r.removed_seq, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
        r.id AS room \
     FROM rooms r JOIN search_progress p ON p.room = r.id WHERE r.id = ? AND r.ended = 0"
);
// Parameters: after this room, how many at most.
sql!(
    STATES,
    "SELECT p.seq AS indexed_seq, p.number AS indexed_number, r.last_change, r.removed_seq, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
        r.id AS room \
     FROM rooms r JOIN search_progress p ON p.room = r.id \
     WHERE r.id > ? AND r.ended = 0 ORDER BY r.id LIMIT ?"
);
sql!(
    TEXTS,
    "SELECT seq, text FROM messages WHERE room = ? AND seq > ? AND seq <= ? AND deleted = 0"
);
sql!(TEXT, "SELECT seq, text FROM messages WHERE room = ? AND seq = ? AND deleted = 0");
// Parameters: where it is from now on, the room, where it was.
sql!(
    MOVE,
    "UPDATE search_progress SET seq = ?, number = ? WHERE room = ? AND seq = ? AND number = ?"
);

/// What is to be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// What this process has written, if a block of messages is full or its room is quiet. Asked for the first time, everything.
    Ripe,
    /// Everything that has been committed.
    Everything,
}

/// How far a room is in the index, and how far it goes.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct State {
    pub(super) room: i64,
    indexed_seq: i64,
    indexed_number: i64,
    last_change: i64,
    removed_seq: i64,
    seq: i64,
}

impl State {
    fn is_behind(&self) -> bool {
        let is_behind = self.indexed_number < self.last_change || self.indexed_seq < self.seq;
        is_behind && self.indexed_number != BEING_REMOVED
    }
}

/// Brings the index up.
pub(crate) async fn index_search(
    database: &impl Indexed,
    what: Indexing,
) -> Result<(), StoreError> {
    let ripe = match what {
        Indexing::Ripe => database.index().noted.take(),
        Indexing::Everything => Ripe { rooms: Vec::new(), all: true },
    };
    let indexed = index_ripe(database, ripe).await;
    if indexed.is_err() {
        // Next time, what is behind has to be looked for.
        database.index().noted.forget();
    }
    indexed
}

async fn index_ripe(database: &impl Indexed, ripe: Ripe) -> Result<(), StoreError> {
    for (room, whole) in ripe.rooms {
        if let Some(left) = index_room(database, room, whole, |_| {}).await? {
            database.index().noted.add(room, left, left);
        }
    }
    if ripe.all { index_all(database).await } else { Ok(()) }
}

/// Brings all rooms up that are behind.
async fn index_all(database: &impl Indexed) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    loop {
        let rooms = database.read(States(after)).await?;
        let Some(last) = rooms.last() else { return Ok(()) };
        after = last.room;
        for room in rooms.into_iter().filter(State::is_behind) {
            index_room(database, RoomKey(room.room), true, |_| {}).await?;
        }
    }
}

/// Brings a room up: the whole of it, or what are full blocks. Answers the first message that is left, if one is.
/// Tells how many messages more it has done.
pub(super) async fn index_room(
    database: &impl Indexed,
    room: RoomKey,
    whole: bool,
    mut tell: impl FnMut(u64) + Send,
) -> Result<Option<u64>, StoreError> {
    loop {
        let began = Instant::now();
        let Some(state) = database.read(ReadState(room)).await? else { return Ok(None) };
        if !state.is_behind() {
            return Ok(None);
        }
        let Some((texts, to)) = database.read(Next { state, whole }).await? else {
            return Ok(Some(state.indexed_seq.unsigned_abs() + 1));
        };
        let count = to.0 - state.indexed_seq;
        // Long texts take a while, during which the database's thread has others to serve.
        let rows = tokio::task::spawn_blocking(move || index_rows(&texts)).await;
        let rows = rows.map_err(StoreError::new)?;
        let from = (state.indexed_seq, state.indexed_number);
        let mut pieces = rows.chunks(ROWS).peekable();
        loop {
            let piece = pieces.next().unwrap_or_default().to_vec();
            let is_last = pieces.peek().is_none();
            let to = if is_last { to } else { from };
            let add = Add { room, from, to, rows: piece, add: Arc::clone(&database.index().add) };
            if !database.write(add).await? || is_last {
                break;
            }
        }
        tell(count.unsigned_abs());
        tokio::time::sleep((began.elapsed() * PAUSES).min(PAUSE)).await;
    }
}

/// A row of the index, but for its room.
#[derive(Clone, Debug)]
struct Row {
    era: i64,
    gram: Vec<u8>,
    block: i64,
    bits: i64,
}

/// What the index is to know of these messages, in the order of its rows.
fn index_rows(texts: &[(u64, String)]) -> Vec<Row> {
    let mut bits = BTreeMap::<_, i64>::new();
    for (seq, text) in texts {
        let Spot { era, block, bit } = Spot::of(*seq);
        for gram in grams::of_text(&fold(text)) {
            *bits.entry((era, gram, block)).or_default() |= 1 << bit;
        }
    }
    let row = |((era, gram, block), bits): ((u64, grams::Gram, u64), i64)| Row {
        era: signed(era),
        gram: gram.bytes(),
        block: signed(block),
        bits,
    };
    bits.into_iter().map(row).collect()
}

struct ReadState(RoomKey);

impl Work for ReadState {
    type Answer = Option<State>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        Ok(sql.select(STATE, &[self.0.0.into()]).await?.pop())
    }
}

struct States(i64);

impl Work for States {
    type Answer = Vec<State>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        sql.select(STATES, &[self.0.into(), ROOMS.into()]).await
    }
}

/// Reads what a room is to be brought up by next.
struct Next {
    state: State,
    whole: bool,
}

/// Messages that are to be added, and where the room is with them.
type Addition = (Vec<(u64, String)>, (i64, i64));

impl Work for Next {
    type Answer = Option<Addition>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let state = &self.state;
        let texts = |rows| read_all(rows, |(seq, text): (i64, String)| Ok((number(seq)?, text)));
        if state.indexed_number < state.last_change {
            let range = (state.indexed_number, state.last_change);
            let (edited, until) = edited(sql, state.room, range, CHANGES).await?;
            let mut rows = Vec::new();
            // Later ones are read when it is their turn.
            for seq in edited.into_iter().filter(|seq| *seq <= state.indexed_seq) {
                let values = [state.room, seq].map(Value::Number);
                rows.extend(sql.select::<(i64, String)>(TEXT, &values).await?);
            }
            return Ok(Some((texts(rows)?, (state.indexed_seq, until))));
        }
        let after = state.indexed_seq.max(state.removed_seq);
        let first_block = (after.unsigned_abs() + 1) / BLOCK;
        let full = signed((first_block + BLOCKS) * BLOCK - 1);
        let end_block = (state.seq.unsigned_abs() + 1) / BLOCK;
        let end_of_full = signed((end_block * BLOCK).saturating_sub(1));
        let until = full.min(if self.whole { state.seq } else { end_of_full });
        if until <= after {
            // What has been removed before it was indexed is passed over.
            let passed = after > state.indexed_seq;
            return Ok(passed.then(|| (Vec::new(), (after, state.indexed_number))));
        }
        let values = [state.room, after, until].map(Value::Number);
        let rows = sql.select(TEXTS, &values).await?;
        Ok(Some((texts(rows)?, (until, state.indexed_number))))
    }
}

/// Adds rows, and notes how far the room is with them. Answers whether it was where it is believed to be.
struct Add {
    room: RoomKey,
    from: (i64, i64),
    to: (i64, i64),
    rows: Vec<Row>,
    add: Arc<ManyRows>,
}

impl Work for Add {
    type Answer = bool;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        let (from, to) = (self.from, self.to);
        // First, because it holds the row: nobody else adds to the room meanwhile, or removes it.
        let moved = [to.0, to.1, self.room.0, from.0, from.1].map(Value::Number);
        if sql.execute(MOVE, &moved).await?.rows == 0 {
            return Ok(false);
        }
        let mut values = Vec::new();
        for (text, rows) in self.add.pieces(&self.rows) {
            values.clear();
            for row in rows {
                values.extend([
                    self.room.0.into(),
                    row.era.into(),
                    Value::Bytes(&row.gram),
                    row.block.into(),
                    row.bits.into(),
                ]);
            }
            sql.execute(text, &values).await?;
        }
        Ok(true)
    }
}
