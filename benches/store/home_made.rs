//! What people write who need no engine: a transaction for each message, over a pool of ten connections.
//! Used by this program, and behind WebSockets by `benches/peers/axum.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::mysql::MySqlPoolOptions;
use sqlx::{Executor, MySqlPool};

/// How many connections its pool has.
pub(crate) const CONNECTIONS: u32 = 10;

/// How messages are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In each room from 1 on without a gap, by a row that counts: what clients need that are to notice
    /// what they have missed.
    Counter,
    /// In the order of insertion, by the database: with gaps, and a lower number may become visible
    /// after a higher one.
    Auto,
}

impl Way {
    /// Its tables.
    pub(crate) fn tables(self) -> &'static str {
        match self {
            Self::Counter => {
                "CREATE TABLE rooms (id BIGINT NOT NULL PRIMARY KEY, last_seq BIGINT NOT NULL); \
                 CREATE TABLE messages (\
                    room BIGINT NOT NULL, seq BIGINT NOT NULL, sender BINARY(16) NOT NULL, \
                    text TEXT NOT NULL, at_ms BIGINT NOT NULL, client_key VARBINARY(64) NOT NULL, \
                    PRIMARY KEY (room, seq), UNIQUE KEY by_key (room, sender, client_key))"
            }
            // Without the last index a page of history would be sorted out of the whole room.
            Self::Auto => {
                "CREATE TABLE messages (\
                    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, \
                    room BIGINT NOT NULL, sender BINARY(16) NOT NULL, \
                    text TEXT NOT NULL, at_ms BIGINT NOT NULL, client_key VARBINARY(64) NOT NULL, \
                    UNIQUE KEY by_key (room, sender, client_key), KEY by_room (room, id))"
            }
        }
    }
}

/// Keeps a message that has its number.
const INSERT: &str =
    "INSERT INTO messages (room, seq, sender, text, at_ms, client_key) VALUES (?, ?, ?, ?, ?, ?)";
const INSERT_AUTO: &str =
    "INSERT INTO messages (room, sender, text, at_ms, client_key) VALUES (?, ?, ?, ?, ?)";
/// Counts on, and has the answer bear the new number, which spares a question.
const COUNT: &str = "UPDATE rooms SET last_seq = LAST_INSERT_ID(last_seq + 1) WHERE id = ?";

/// Writes messages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HomeMade {
    pool: MySqlPool,
    way: Way,
}

impl HomeMade {
    /// Makes its tables in an empty database.
    pub(crate) async fn open(url: &str, way: Way) -> sqlx::Result<Self> {
        // Without a ping before each transaction, and with all connections there from the beginning.
        let pool = MySqlPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect(url)
            .await?;
        pool.execute(sqlx::raw_sql(way.tables())).await?;
        Ok(Self { pool, way })
    }

    /// Makes a room, unless it is there.
    pub(crate) async fn open_room(&self, room: i64) -> sqlx::Result<()> {
        if self.way == Way::Counter {
            let open = sqlx::query("INSERT IGNORE INTO rooms (id, last_seq) VALUES (?, 0)");
            self.pool.execute(open.bind(room)).await?;
        }
        Ok(())
    }

    /// Writes a message; answers its number once it is on disk.
    pub(crate) async fn write(
        &self,
        room: i64,
        sender: [u8; 16],
        key: &str,
        text: &str,
    ) -> sqlx::Result<u64> {
        let mut transaction = self.pool.begin().await?;
        let number = match self.way {
            Way::Counter => {
                let counted = transaction.execute(sqlx::query(COUNT).bind(room)).await?;
                let seq = counted.last_insert_id();
                let insert = sqlx::query(INSERT).bind(room).bind(seq).bind(&sender[..]);
                transaction.execute(insert.bind(text).bind(now_ms()).bind(key.as_bytes())).await?;
                seq
            }
            Way::Auto => {
                let insert = sqlx::query(INSERT_AUTO).bind(room).bind(&sender[..]);
                let insert = insert.bind(text).bind(now_ms()).bind(key.as_bytes());
                transaction.execute(insert).await?.last_insert_id()
            }
        };
        transaction.commit().await?;
        Ok(number)
    }
}

/// Milliseconds since 1970, which is before now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
