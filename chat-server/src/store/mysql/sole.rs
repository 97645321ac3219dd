//! Who writes alone. As long as one process writes, its commits need not make sure of every room that
//! nobody else has written to it: one row names the process, and the statement that inserts messages
//! finds by itself whether it still does. Whoever comes to write beside it removes the name first,
//! which waits for what that process has under way; from there on each makes sure of the rooms. When
//! nobody has come for a minute, one may write alone again.
//!
//! Every transaction that writes to rooms holds the row, shared, until its end, after names and before
//! rooms. A process that goes on after it was frozen, or whose connection hangs somewhere, can
//! therefore not write unnoticed.

use std::time::Duration;

use sqlx::SqlStr;
use uuid::Uuid;

use super::pen::code;
use crate::store::inserts::{INSERT_MESSAGES, MESSAGE, put_message};
use crate::store::plan::NewMessage;
use crate::store::sql::Sql;
use crate::store::statement::ManyRows;

/// How long a process writes before it tries again to write alone. Others that come are as long ago by
/// then at least.
pub(super) const TRY_EVERY: Duration = Duration::from_secs(60);

const READ: SqlStr =
    SqlStr::from_static("SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE");
/// Waits for all transactions that hold the row.
const READ_SETTLED: SqlStr =
    SqlStr::from_static("SELECT process FROM sole_writer WHERE id = 1 FOR UPDATE");
const FREE: SqlStr = SqlStr::from_static(
    "SELECT id FROM sole_writer WHERE id = 1 AND (process = ? \
     OR (process IS NULL AND shared_ms <= (UNIX_TIMESTAMP() - 60) * 1000)) FOR UPDATE NOWAIT",
);
const CLAIM: SqlStr = SqlStr::from_static("UPDATE sole_writer SET process = ? WHERE id = 1");
const DISPLACE: SqlStr = SqlStr::from_static(
    "UPDATE sole_writer SET process = NULL, shared_ms = UNIX_TIMESTAMP() * 1000 \
     WHERE id = 1 AND process <> ?",
);
const LET_GO: SqlStr =
    SqlStr::from_static("UPDATE sole_writer SET process = NULL WHERE id = 1 AND process = ?");

/// Stands for the room of a commit's first message: no room if this process does not write alone, which
/// a message must have.
const ROOM: &str = "(SELECT CAST(? AS SIGNED) FROM sole_writer WHERE id = 1 AND process = ? \
    LOCK IN SHARE MODE)";
/// What the server says then.
const NO_ROOM: u16 = 1_048;
/// What it says of a row that somebody holds; MariaDB and MySQL.
const HELD: [u16; 2] = [1_205, 3_572];

/// This process, as the others see it.
#[derive(Debug)]
pub(super) struct Sole {
    process: [u8; 16],
    /// Inserts messages if this process writes alone.
    insert: ManyRows,
}

/// How many kinds of statements over many rows these are.
pub(super) const KINDS: usize = 1;

impl Sole {
    pub(super) fn new() -> Self {
        let insert = ManyRows::with(|list| {
            format!("{INSERT_MESSAGES} {}", list(MESSAGE, ", ").replacen('?', ROOM, 1))
        });
        Self { process: Uuid::now_v7().into_bytes(), insert }
    }

    /// What is true of the row's process while nobody else writes alone: for a statement that holds rooms.
    pub(super) fn condition(&self) -> String {
        let process = Uuid::from_bytes(self.process).simple();
        format!(
            "COALESCE((SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE), \
             x'{process}') = x'{process}'"
        )
    }

    /// Begins to write alone, if nobody else has written lately. What is known of the rooms may be of
    /// before that.
    pub(super) async fn claim(&self, sql: &mut impl Sql) -> Result<bool, sqlx::Error> {
        sql.run("BEGIN").await?;
        match sql.select::<(i64,)>(FREE, &[self.process.into()]).await {
            Ok(free) if !free.is_empty() => {
                sql.execute(CLAIM, &[self.process.into()]).await?;
                sql.run("COMMIT").await?;
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) if code(&error).is_some_and(|code| HELD.contains(&code)) => {}
            Err(error) => return Err(error),
        }
        sql.run("ROLLBACK").await?;
        Ok(false)
    }

    /// Sees to it that nobody else writes alone until this transaction ends; answers whether that is so. If
    /// `settled`, whatever others have under way comes to its end first.
    pub(super) async fn hold(
        &self,
        sql: &mut impl Sql,
        settled: bool,
    ) -> Result<bool, sqlx::Error> {
        let read = if settled { READ_SETTLED } else { READ };
        let process: Vec<(Option<Vec<u8>>,)> = sql.select(read, &[]).await?;
        let other = |(process,): &(Option<Vec<u8>>,)| {
            process.as_ref().is_some_and(|process| *process != self.process)
        };
        Ok(!process.iter().any(other))
    }

    /// Ends that another process writes alone, outside of a transaction.
    pub(super) async fn displace(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        sql.execute(DISPLACE, &[self.process.into()]).await.map(drop)
    }

    /// Ends that this process writes alone, so that the next one need not wait for a minute to.
    pub(super) async fn let_go(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        sql.execute(LET_GO, &[self.process.into()]).await.map(drop)
    }

    /// Whether so many messages are one statement.
    pub(super) fn is_one_statement(&self, messages: &[NewMessage<'_>]) -> bool {
        self.insert.pieces(messages).count() == 1
    }

    /// Inserts messages, without having made sure of their rooms. Answers whether this process does write
    /// alone; if not, nothing of a statement is done.
    pub(super) async fn insert(
        &self,
        sql: &mut impl Sql,
        messages: &[NewMessage<'_>],
    ) -> Result<bool, sqlx::Error> {
        let mut values = Vec::new();
        for (text, piece) in self.insert.pieces(messages) {
            values.clear();
            for message in piece {
                put_message(&mut values, message);
                if values.len() == MESSAGE.matches('?').count() {
                    // Behind the first one's room.
                    values.insert(1, self.process.into());
                }
            }
            match sql.execute(text, &values).await {
                Ok(_) => {}
                Err(error) if code(&error) == Some(NO_ROOM) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
