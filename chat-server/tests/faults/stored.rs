//! What the database holds, read by plain SQL past the store.

use std::collections::{BTreeMap, HashMap};

use chat_core::{RoomId, UserId};
use sqlx::{MySqlConnection, SqliteConnection};
use uuid::Uuid;

const MESSAGES: &str = "\
    SELECT r.public_id, m.seq, m.sender, m.text, m.at_ms, m.client_key, r.id \
    FROM messages m LEFT JOIN rooms r ON r.id = m.room ORDER BY m.room, m.seq";

type Columns = (Vec<u8>, i64, Vec<u8>, String, i64, Option<Vec<u8>>, i64);

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) sender: UserId,
    pub(crate) text: String,
    pub(crate) at_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
}

/// All messages of all rooms, each room's in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    rooms: BTreeMap<RoomId, Vec<Row>>,
    /// Where a text stands in its room.
    texts: HashMap<(RoomId, String), Vec<usize>>,
}

impl Stored {
    pub(crate) async fn in_mysql(connection: &mut MySqlConnection) -> Self {
        Self::new(sqlx::query_as(MESSAGES).fetch_all(connection).await.expect("the messages"))
    }

    pub(crate) async fn in_sqlite(connection: &mut SqliteConnection) -> Self {
        Self::new(sqlx::query_as(MESSAGES).fetch_all(connection).await.expect("the messages"))
    }

    fn new(rows: Vec<Columns>) -> Self {
        let mut stored = Self::default();
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).expect("an id");
        for (room, seq, sender, text, at_ms, key, _) in rows {
            let room = RoomId::from(id(&room));
            let rows = stored.rooms.entry(room).or_default();
            stored.texts.entry((room, text.clone())).or_default().push(rows.len());
            let (seq, sender) = (seq.unsigned_abs(), UserId::from(id(&sender)));
            rows.push(Row { seq, sender, text, at_ms, key });
        }
        stored
    }

    /// A room's messages.
    pub(crate) fn of(&self, room: RoomId) -> &[Row] {
        self.rooms.get(&room).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (RoomId, &Row)> {
        self.rooms.iter().flat_map(|(room, rows)| rows.iter().map(|row| (*room, row)))
    }

    /// The messages of a room with this text.
    pub(crate) fn find(&self, room: RoomId, text: &str) -> Vec<&Row> {
        let found = self.texts.get(&(room, text.to_owned()));
        found.into_iter().flatten().map(|index| &self.of(room)[*index]).collect()
    }

    /// Whatever is wrong with it by itself: gaps, and what is there twice.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (room, rows) in &self.rooms {
            let mut keys = HashMap::new();
            for (row, seq) in rows.iter().zip(1..) {
                if row.seq != seq {
                    faults.push(format!("{room}: {} where {seq} was expected", row.seq));
                    break;
                }
                let Some(key) = &row.key else { continue };
                if let Some(before) = keys.insert((row.sender, key), row.seq) {
                    faults.push(format!("{room}: {before} and {seq} have the same key"));
                }
            }
        }
        faults
    }
}
