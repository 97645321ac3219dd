//! Finds messages: what is in the index by the index, what is not yet by reading it. Each question goes down one
//! index of the database, to a bounded number of rows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use async_trait::async_trait;
use chat_core::{RoomId, RoomKey, StoreError, UserId};
use sqlx::{FromRow, SqlStr};

use super::{CHANGES_END, EDITED, ERA, Spot, edited, seq_of};
use crate::search::walk::{self, Bounds, Piece, Rooms};
use crate::search::{Found, Place, Query, SearchIndex};
use crate::store::rows::{self, Unreadable, number, signed};
use crate::store::sql::{Sql, Value, id};
use crate::store::statement::ManyRows;
use crate::store::work::{Work, Worker};

/// In how many rooms of one user is searched at most: in those that are no threads first, of both in those that were
/// made last. What one call does is bounded by this, since each of them may have to be looked at.
const MOST_ROOMS: i64 = 10_000;

/// Of how many rooms it is found out at a time that nothing is there, and of which: those of which no more messages
/// than these are not in the index yet.
const ROOMS: usize = 64;
const SHORT: u64 = 32;

/// How many messages that are not in the index yet are read at a time.
const READ: u64 = 200;

/// How many messages are read at a time, and in one piece, of those that may be what is looked for.
const TEXTS: usize = 32;
const MOST_TEXTS: usize = 256;

/// How many eras are looked at in one question.
const ERAS: usize = 4;

/// How many of a room's changes that are not in the index yet are looked through for edits in one question.
const CHANGES: i64 = 5_000;

macro_rules! rooms {
    ($rest:literal) => {
        concat!(
            "SELECT r.id AS room, r.public_id, r.removed_seq, r.last_change, \
                COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
                COALESCE((SELECT m.at_ms FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), 0) AS at_ms, \
                COALESCE(p.seq, 0) AS indexed_seq, COALESCE(p.number, 0) AS indexed_number ",
            $rest
        )
    };
}

/// A room. Parameter: public id.
const ROOM: &str = rooms!(
    "FROM rooms r LEFT JOIN search_progress p ON p.room = r.id \
     WHERE r.public_id = ? AND r.ended = 0"
);

/// The rooms of which a user is a member: threads come last, so that nobody who follows many loses its rooms.
/// Parameters: the user, how many at most.
const ROOMS_OF: &str = rooms!(
    "FROM members b JOIN rooms r ON r.id = b.room LEFT JOIN search_progress p ON p.room = r.id \
     WHERE b.user = ? AND r.ended = 0 ORDER BY r.kind = 'thread', b.room DESC LIMIT ?"
);

/// A range of a room's messages. Parameters: room, above, below.
const RANGE: &str = "SELECT seq, at_ms, text FROM messages \
    WHERE room = ? AND seq > ? AND seq < ? AND deleted = 0 ORDER BY seq DESC";

/// When a message was written. Parameters: room, seq.
const AT: &str = "SELECT at_ms FROM messages WHERE room = ? AND seq = ?";

/// Which messages of a room have these grams. Parameters: room, eras, grams.
const CANDIDATES: &str = "SELECT era, block, bits FROM search_grams \
    WHERE room = ? AND era IN (?, ?, ?, ?) AND gram IN (";

/// Which messages of several rooms have these grams. Parameters: [`ROOMS`] rooms, eras, grams.
static CANDIDATES_IN: LazyLock<String> = LazyLock::new(|| {
    let rooms = ["?"; ROOMS].join(", ");
    format!(
        "SELECT room, era, block, bits FROM search_grams \
         WHERE room IN ({rooms}) AND era IN (?, ?, ?, ?) AND gram IN ("
    )
});

/// What stands at the ends of several rooms. Parameters: of each, the room, above, up to and including.
const ENDS: &str = "SELECT room, text FROM messages WHERE deleted = 0 AND (";
const END: &str = "(room = ? AND seq > ? AND seq <= ?)";

/// Messages by their numbers. Parameters: room, numbers.
const TEXTS_OF: &str = "SELECT seq, at_ms, text FROM messages \
    WHERE room = ? AND deleted = 0 AND seq IN (";

static CANDIDATES_BY: LazyLock<ManyRows> = LazyLock::new(|| ManyRows::new(CANDIDATES, "?", ")"));
static CANDIDATES_IN_BY: LazyLock<ManyRows> =
    LazyLock::new(|| ManyRows::new(&CANDIDATES_IN, "?", ")"));
static ENDS_BY: LazyLock<ManyRows> =
    LazyLock::new(|| ManyRows::with(|list| format!("{ENDS}{})", list(END, " OR "))));
static TEXTS_BY: LazyLock<ManyRows> = LazyLock::new(|| ManyRows::new(TEXTS_OF, "?", ")"));

/// All of them.
pub(super) fn questions() -> Vec<String> {
    let single = [ROOM, ROOMS_OF, RANGE, AT, EDITED, CHANGES_END].map(str::to_owned);
    let lists = [CANDIDATES, TEXTS_OF, &CANDIDATES_IN].map(|text| format!("{text}?, ?, ?, ?)"));
    let ends = format!("{ENDS}{END} OR {END})");
    single.into_iter().chain(lists).chain([ends]).collect()
}

#[derive(FromRow)]
struct RoomRow {
    room: i64,
    public_id: Vec<u8>,
    removed_seq: i64,
    last_change: i64,
    seq: i64,
    at_ms: i64,
    indexed_seq: i64,
    indexed_number: i64,
}

/// A room that is searched.
struct Room {
    id: RoomId,
    key: RoomKey,
    bounds: Bounds,
    /// Up to which message and which change it is in the index.
    indexed: (u64, u64),
    last_change: u64,
    /// Messages that are in the index and have been edited since, once they are known.
    edited: Option<BTreeSet<u64>>,
}

impl RoomRow {
    fn read(self) -> Result<Room, Unreadable> {
        let bounds = Bounds {
            floor: number(self.removed_seq)?,
            end: number(self.seq)?,
            last_at: self.at_ms,
        };
        Ok(Room {
            id: rows::room_id(&self.public_id)?,
            key: RoomKey(self.room),
            bounds,
            indexed: (number(self.indexed_seq)?, number(self.indexed_number)?),
            last_change: number(self.last_change)?,
            edited: None,
        })
    }
}

impl Room {
    /// The last message that is in the index; or the one before the first, if there is none.
    fn indexed_until(&self) -> u64 {
        self.indexed.0.clamp(self.bounds.floor, self.bounds.end)
    }

    /// In which eras messages are in the index, from the oldest to the newest.
    fn eras(&self) -> Option<(u64, u64)> {
        let (floor, until) = (self.bounds.floor, self.indexed_until());
        (until > floor).then(|| (Spot::of(floor + 1).era, Spot::of(until).era))
    }

    /// Whether it can be looked at wholly together with others: the index knows of all that it has but a few messages.
    fn is_short(&self) -> bool {
        self.bounds.end - self.indexed_until() <= SHORT
            && self.eras().is_none_or(|(oldest, newest)| {
                newest - oldest < ERAS as u64 && self.last_change <= self.indexed.1
            })
    }
}

/// A message's number, when it was written, and what it says now.
type TextRow = (i64, i64, String);

/// Reads by one connection.
struct Reader<'a, S> {
    sql: &'a mut S,
    query: &'a Query,
    grams: Vec<Vec<u8>>,
}

impl<'a, S: Sql> Reader<'a, S> {
    fn new(sql: &'a mut S, query: &'a Query) -> Self {
        let grams = query.grams().into_iter().map(|gram| gram.bytes()).collect();
        Self { sql, query, grams }
    }

    /// Those that match of messages that were read.
    fn hits(&self, rows: Vec<TextRow>) -> Result<Vec<(u64, i64)>, sqlx::Error> {
        let matching = rows.into_iter().filter(|(_, _, text)| self.query.matches(text));
        rows::read_all(matching.collect(), |(seq, at, _)| Ok((number(seq)?, at)))
    }

    /// Reads messages that are not in the index yet.
    async fn unindexed(&mut self, room: &Room, before: u64) -> Result<Piece, sqlx::Error> {
        let above = before.saturating_sub(READ + 1).max(room.indexed.0).max(room.bounds.floor);
        let values = [room.key.0, signed(above), signed(before)].map(Value::Number);
        let rows = self.sql.select(SqlStr::from_static(RANGE), &values).await?;
        Ok(Piece { hits: self.hits(rows)?, down_to: above + 1 })
    }

    /// Messages that have been edited since they were put into the index.
    async fn edited<'r>(&mut self, room: &'r mut Room) -> Result<&'r BTreeSet<u64>, sqlx::Error> {
        if room.edited.is_none() {
            let (mut all, mut after) = (BTreeSet::new(), signed(room.indexed.1));
            let last = signed(room.last_change);
            while after < last {
                let (some, until) = edited(self.sql, room.key.0, (after, last), CHANGES).await?;
                let some: Vec<_> = rows::read_all(Vec::from_iter(some), number)?;
                all.extend(some);
                after = until;
            }
            room.edited = Some(all);
        }
        Ok(room.edited.get_or_insert_default())
    }

    /// Those blocks in which messages have all grams, each with a bit for every such message.
    fn with_all_grams<B: Ord>(
        &self,
        rows: impl Iterator<Item = (B, i64)>,
    ) -> impl Iterator<Item = (B, i64)> {
        let mut blocks = BTreeMap::new();
        for (block, bits) in rows {
            let (grams, all) = blocks.entry(block).or_insert((0, i64::MAX));
            *grams += 1;
            *all &= bits;
        }
        let wanted = self.grams.len();
        let full = blocks.into_iter().filter(move |(_, (grams, _))| *grams == wanted);
        full.map(|(block, (_, bits))| (block, bits)).filter(|(_, bits)| *bits != 0)
    }

    /// Messages of a few eras that the index knows to have all grams, below this number.
    async fn candidates(
        &mut self,
        room: &Room,
        eras: [u64; ERAS],
        before: u64,
    ) -> Result<BTreeSet<Reverse<u64>>, sqlx::Error> {
        let mut values = vec![room.key.0.into()];
        values.extend(eras.map(|era| Value::from(signed(era))));
        values.extend(self.grams.iter().map(|gram| Value::Bytes(gram)));
        // There are few enough for one statement.
        let Some((text, _)) = CANDIDATES_BY.pieces(&self.grams).next() else {
            return Ok(BTreeSet::new());
        };
        let rows: Vec<(i64, i64, i64)> = self.sql.select(text, &values).await?;
        let rows = rows.into_iter().map(|(era, block, bits)| ((era, block), bits));
        let seqs = self.with_all_grams(rows).flat_map(|((era, block), bits)| {
            let set = (0..super::BLOCK).filter(move |bit| bits >> bit & 1 == 1);
            set.map(move |bit| seq_of(era, block, bit))
        });
        let there = seqs.filter(|seq| *seq < before && *seq > room.bounds.floor);
        Ok(there.map(Reverse).collect())
    }

    /// Leaves out rooms in which nothing is. Many are looked at in one question, as far as they are short.
    async fn rule_out(&mut self, rooms: Vec<Room>) -> Result<Vec<Room>, sqlx::Error> {
        let (asked, mut left): (Vec<_>, Vec<_>) = rooms.into_iter().partition(Room::is_short);
        let mut found = BTreeSet::new();
        let mut by_eras = BTreeMap::<_, Vec<i64>>::new();
        for room in &asked {
            if let Some(eras) = room.eras() {
                by_eras.entry(eras).or_default().push(room.key.0);
            }
        }
        for (eras, rooms) in by_eras {
            for rooms in rooms.chunks(ROOMS) {
                found.extend(self.indexed_among(rooms, eras).await?);
            }
        }
        let ends: Vec<_> =
            asked.iter().filter(|room| room.indexed_until() < room.bounds.end).collect();
        for ends in ends.chunks(ROOMS) {
            found.extend(self.unindexed_among(ends).await?);
        }
        left.extend(asked.into_iter().filter(|room| found.contains(&room.key.0)));
        Ok(left)
    }

    /// In which of these rooms there are messages, in all of their eras, that the index knows to have all grams.
    async fn indexed_among(
        &mut self,
        rooms: &[i64],
        (oldest, newest): (u64, u64),
    ) -> Result<BTreeSet<i64>, sqlx::Error> {
        // A statement has always as many; of fewer, the last one stands for the others.
        let padded = (0..ROOMS).filter_map(|nth| rooms.get(nth).or(rooms.last()));
        let mut values: Vec<_> = padded.map(|room| Value::from(*room)).collect();
        let eras = (0..ERAS as u64).map(|nth| (oldest + nth).min(newest));
        values.extend(eras.map(|era| Value::from(signed(era))));
        values.extend(self.grams.iter().map(|gram| Value::Bytes(gram)));
        let Some((text, _)) = CANDIDATES_IN_BY.pieces(&self.grams).next() else {
            return Ok(BTreeSet::new());
        };
        let rows: Vec<(i64, i64, i64, i64)> = self.sql.select(text, &values).await?;
        let rows = rows.into_iter().map(|(room, era, block, bits)| ((room, era, block), bits));
        Ok(self.with_all_grams(rows).map(|((room, ..), _)| room).collect())
    }

    /// In which of these rooms there are messages that match, of those that are not in the index yet.
    async fn unindexed_among(&mut self, rooms: &[&Room]) -> Result<BTreeSet<i64>, sqlx::Error> {
        let Some((text, _)) = ENDS_BY.pieces(rooms).next() else { return Ok(BTreeSet::new()) };
        let end = |room: &&Room| {
            [room.key.0, signed(room.indexed_until()), signed(room.bounds.end)].map(Value::Number)
        };
        let values: Vec<_> = rooms.iter().flat_map(end).collect();
        let rows: Vec<(i64, String)> = self.sql.select(text, &values).await?;
        let matching = rows.into_iter().filter(|(_, text)| self.query.matches(text));
        Ok(matching.map(|(room, _)| room).collect())
    }

    /// Looks a few eras up in the index.
    async fn indexed(
        &mut self,
        room: &mut Room,
        before: u64,
        wanted: usize,
    ) -> Result<Piece, sqlx::Error> {
        let newest = Spot::of(before - 1).era;
        let oldest =
            Spot::of(room.bounds.floor + 1).era.max(newest.saturating_sub(ERAS as u64 - 1));
        let eras = std::array::from_fn(|nth| newest.saturating_sub(nth as u64).max(oldest));
        let down_to = (oldest * ERA).max(room.bounds.floor + 1);
        let mut candidates = self.candidates(room, eras, before).await?;
        let edited = self.edited(room).await?;
        candidates.extend(edited.range(down_to..before).copied().map(Reverse));
        let candidates: Vec<u64> = candidates.into_iter().map(|Reverse(seq)| seq).collect();
        let (mut hits, mut looked) = (Vec::new(), 0);
        for some in candidates.chunks(TEXTS) {
            if hits.len() >= wanted || looked >= MOST_TEXTS {
                break;
            }
            looked += some.len();
            let Some((text, _)) = TEXTS_BY.pieces(some).next() else { break };
            let numbers = some.iter().map(|seq| Value::from(signed(*seq)));
            let values: Vec<_> = std::iter::once(room.key.0.into()).chain(numbers).collect();
            let rows: Vec<TextRow> = self.sql.select(text, &values).await?;
            let mut found = self.hits(rows)?;
            found.sort_unstable_by_key(|(seq, _)| Reverse(*seq));
            hits.extend(found);
        }
        let down_to = match candidates.get(looked) {
            // It stopped before the end.
            Some(_) => candidates[looked - 1],
            None => down_to,
        };
        Ok(Piece { hits, down_to })
    }
}

impl<S: Sql> Rooms for Reader<'_, S> {
    type Room = Room;
    type Error = sqlx::Error;

    fn id(room: &Room) -> RoomId {
        room.id
    }

    fn bounds(room: &Room) -> Bounds {
        room.bounds
    }

    async fn piece(
        &mut self,
        room: &mut Room,
        before: u64,
        wanted: usize,
    ) -> Result<Piece, sqlx::Error> {
        if before > room.indexed.0.max(room.bounds.floor) + 1 {
            self.unindexed(room, before).await
        } else {
            self.indexed(room, before, wanted).await
        }
    }

    async fn at(&mut self, room: &Room, seq: u64) -> Result<i64, sqlx::Error> {
        let values = [room.key.0, signed(seq)].map(Value::Number);
        let at: Vec<(i64,)> = self.sql.select(SqlStr::from_static(AT), &values).await?;
        // What retention has just removed is older than all else.
        Ok(at.first().map_or(i64::MIN, |(at,)| *at))
    }
}

struct Find {
    room: RoomId,
    query: Query,
    before: Option<u64>,
    limit: usize,
}

impl Work for Find {
    type Answer = Found<u64>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let room = self.room.uuid().into_bytes().into();
        let rows: Vec<RoomRow> = sql.select(SqlStr::from_static(ROOM), &[room]).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(Found { messages: Vec::new(), next: None });
        };
        let mut reader = Reader::new(sql, &self.query);
        walk::through_one(&mut reader, &mut row.read()?, self.before, self.limit).await
    }
}

struct FindOf {
    user: UserId,
    query: Query,
    before: Option<Place>,
    limit: usize,
}

impl Work for FindOf {
    type Answer = Found<Place>;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<Self::Answer, sqlx::Error> {
        let values = [id(self.user), MOST_ROOMS.into()];
        let rooms = sql.select(SqlStr::from_static(ROOMS_OF), &values).await?;
        let mut rooms: Vec<Room> = rows::read_all(rooms, RoomRow::read)?;
        let (mut reader, before, limit) = (Reader::new(sql, &self.query), self.before, self.limit);
        if rooms.len() > walk::MOST_PIECES {
            // What stands in many rooms is found in the first of them.
            let (all, few) = (&mut rooms[..], walk::MOST_PIECES);
            let found = walk::through_all(&mut reader, all, before, limit, few).await?;
            if found.messages.len() == limit || found.next.is_none() {
                return Ok(found);
            }
            rooms = reader.rule_out(rooms).await?;
        }
        let pieces = rooms.len() + walk::MOST_PIECES;
        walk::through_all(&mut reader, &mut rooms, before, limit, pieces).await
    }
}

#[async_trait]
impl<W: Worker> SearchIndex for W {
    async fn find(
        &self,
        room: RoomId,
        query: &Query,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Found<u64>, StoreError> {
        self.read(Find { room, query: query.clone(), before, limit }).await
    }

    async fn find_of(
        &self,
        user: UserId,
        query: &Query,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Found<Place>, StoreError> {
        self.read(FindOf { user, query: query.clone(), before, limit }).await
    }
}
