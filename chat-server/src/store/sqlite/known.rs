//! What the writer knows of the file without reading it. As long as nobody else has written to the
//! file, a room stands where this connection's last commit left it; SQLite tells whether somebody
//! has (`PRAGMA data_version`). So a busy room's end is read once. Reading it for every commit took
//! up to a third of the commit's time.

use chat_core::{Batch, RoomKey};
use sqlx::SqliteConnection;

use crate::store::names::Names;
use crate::store::plan::Ends;
use crate::store::rows::{self, EndRow};

/// How many rooms' ends are remembered, at less than a hundred bytes each. What is forgotten is
/// read again.
const MOST_ENDS: usize = 65_536;

/// Where live rooms stand. Parameter: their numbers, as a JSON array.
const ENDS: &str = "\
    SELECT r.id AS room, \
        COALESCE((SELECT MAX(m.seq) FROM messages m WHERE m.room = r.id), 0) AS seq, \
        COALESCE((SELECT MAX(c.number) FROM changes c WHERE c.room = r.id), 0) AS number \
    FROM rooms r WHERE r.ended = 0 AND r.id IN (SELECT value FROM json_each(?))";

/// Belongs to one connection and is given up with it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Changes when another connection, of this process or another one, has written to the file.
    version: Option<i64>,
    ends: Ends,
    pub(super) names: Names,
}

impl Known {
    /// Where the batches' rooms stand. To be asked in the transaction that will write to them,
    /// before it does.
    pub(super) async fn ends(
        &mut self,
        connection: &mut SqliteConnection,
        batches: &[Batch],
    ) -> Result<Ends, sqlx::Error> {
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
        if self.version != Some(version) {
            self.ends.clear();
            self.version = Some(version);
        }
        let mut ends = Ends::with_capacity(batches.len());
        let mut unknown = Vec::new();
        for Batch { room, .. } in batches {
            match self.ends.get(room) {
                Some(end) => _ = ends.insert(*room, *end),
                None => unknown.push(room.0.to_string()),
            }
        }
        if !unknown.is_empty() {
            let rooms = format!("[{}]", unknown.join(","));
            let read = sqlx::query_as(ENDS).bind(rooms).fetch_all(connection).await?;
            ends.extend(rows::read_all::<_, _, Ends>(read, EndRow::read)?);
        }
        Ok(ends)
    }

    /// Remembers where a commit left its rooms.
    pub(super) fn learn(&mut self, ends: Ends) {
        if self.ends.len() + ends.len() > MOST_ENDS {
            self.ends.clear();
        }
        self.ends.extend(ends);
    }

    /// Forgets a room, because this connection is about to delete it.
    pub(super) fn forget(&mut self, room: RoomKey) {
        self.ends.remove(&room);
    }
}
