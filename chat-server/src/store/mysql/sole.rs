//! Who writes alone. As long as one process writes, its commits need not make sure of every room that
//! nobody else has written to it: one row names its connection, and the statement that inserts messages
//! finds by itself whether it still does. Whoever comes to write beside it removes the name first,
//! which waits for what that connection has under way; from there on each makes sure of the rooms. When
//! nobody has come for a minute, one may write alone again.
//!
//! Every transaction that writes to rooms that others may know holds the row, shared, until its end: after
//! names and before rooms. A process that goes on after it was frozen can therefore not write unnoticed,
//! nor can a statement that was sent over a connection that its process has given up: each connection
//! has a name of its own, and a process takes the row from its last one before it does anything else.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::SqlStr;
use uuid::Uuid;

use super::pen::code;
use crate::store::inserts::{INSERT_MESSAGES, MESSAGE, execute, put_message};
use crate::store::known::Known;
use crate::store::plan::NewMessage;
use crate::store::sql::Sql;
use crate::store::statement::ManyRows;

/// How long a connection writes before it asks again for writing alone.
const ASK_EVERY: Duration = Duration::from_secs(60);

const READ: SqlStr =
    SqlStr::from_static("SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE");
/// Waits for what is under way.
const TAKE: SqlStr =
    SqlStr::from_static("UPDATE sole_writer SET process = ? WHERE id = 1 AND process = ?");
/// Waits for nobody: those who hold the row write.
const FREE: SqlStr = SqlStr::from_static(
    "SELECT id FROM sole_writer WHERE id = 1 AND process IS NULL \
     AND shared_ms <= (UNIX_TIMESTAMP() - 60) * 1000 FOR UPDATE NOWAIT",
);
const CLAIM: SqlStr = SqlStr::from_static("UPDATE sole_writer SET process = ? WHERE id = 1");
const DISPLACE: SqlStr = SqlStr::from_static(
    "UPDATE sole_writer SET process = NULL, shared_ms = UNIX_TIMESTAMP() * 1000 WHERE id = 1",
);
const LET_GO: SqlStr =
    SqlStr::from_static("UPDATE sole_writer SET process = NULL WHERE id = 1 AND process = ?");

/// What is true as long as nobody writes alone: for a statement that holds rooms.
pub(super) const NOBODY: &str =
    "(SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE) IS NULL";

/// Stands for the room of a commit's first message: no room if this connection does not write alone,
/// which a message must have.
const ROOM: &str = "(SELECT CAST(? AS SIGNED) FROM sole_writer WHERE id = 1 AND process = ? \
    LOCK IN SHARE MODE)";
/// What the server says then.
const NO_ROOM: u16 = 1_048;
/// What it says of a row that somebody holds; MariaDB and MySQL.
const HELD: [u16; 2] = [1_205, 3_572];

/// How a process comes to write alone.
#[derive(Debug)]
pub(super) struct Sole {
    /// The name of its last connection that did, if the row may still have it.
    last: Mutex<Option<Name>>,
    /// Inserts messages if the connection writes alone.
    insert: ManyRows,
}

/// Of a connection, as the others see it.
pub(super) type Name = [u8; 16];

/// How many kinds of statements over many rows these are.
pub(super) const KINDS: usize = 1;

impl Sole {
    pub(super) fn new() -> Self {
        let insert = ManyRows::with(|list| {
            format!("{INSERT_MESSAGES} {}", list(MESSAGE, ", ").replacen('?', ROOM, 1))
        });
        Self { last: Mutex::default(), insert }
    }

    fn last(&self) -> MutexGuard<'_, Option<Name>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for writing alone, at first and then now and then, outside of a transaction. What is known of
    /// rooms is forgotten if it comes to that: it may be of before.
    pub(super) async fn ask(
        &self,
        sql: &mut impl Sql,
        known: &mut Known,
    ) -> Result<(), sqlx::Error> {
        let due = known.asked_alone.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if known.alone.is_some() || !due {
            return Ok(());
        }
        known.asked_alone = Some(Instant::now());
        let name = Uuid::now_v7().into_bytes();
        let last = *self.last();
        let alone = match last {
            Some(last) if sql.execute(TAKE, &[name.into(), last.into()]).await?.rows > 0 => true,
            _ => claim(sql, name).await?,
        };
        known.alone = alone.then_some(name);
        *self.last() = known.alone;
        if alone {
            known.forget_ends();
        }
        Ok(())
    }

    /// Ends that this process writes alone, so that the next one need not wait for a minute to.
    pub(super) async fn let_go(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        let last = *self.last();
        match last {
            Some(name) => sql.execute(LET_GO, &[name.into()]).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether so many messages are one statement.
    pub(super) fn is_one_statement(&self, messages: &[NewMessage<'_>]) -> bool {
        self.insert.pieces(messages).count() == 1
    }

    /// Inserts messages, without having made sure of their rooms, as the connection of this name. Answers
    /// whether that does write alone; if not, nothing of the last statement is done.
    pub(super) async fn insert(
        &self,
        sql: &mut impl Sql,
        name: Name,
        messages: &[NewMessage<'_>],
    ) -> Result<bool, sqlx::Error> {
        let put = |values: &mut Vec<_>, message| {
            let is_first = values.is_empty();
            put_message(values, message);
            if is_first {
                // Behind its room.
                values.insert(1, name.into());
            }
        };
        match execute(sql, &self.insert, messages, put).await {
            Err(error) if code(&error) == Some(NO_ROOM) => Ok(false),
            inserted => inserted.map(|()| true),
        }
    }
}

/// Sees to it that nobody else writes alone until this transaction ends; answers whether that is so.
pub(super) async fn hold(sql: &mut impl Sql, known: &Known) -> Result<bool, sqlx::Error> {
    let found: Vec<(Option<Vec<u8>>,)> = sql.select(READ, &[]).await?;
    let name = found.first().and_then(|(name,)| name.as_deref());
    Ok(name.is_none() || name == known.alone.as_ref().map(<[u8; 16]>::as_slice))
}

/// Ends that somebody writes alone, outside of a transaction.
pub(super) async fn displace(sql: &mut impl Sql, known: &mut Known) -> Result<(), sqlx::Error> {
    known.alone = None;
    sql.execute(DISPLACE, &[]).await.map(drop)
}

async fn claim(sql: &mut impl Sql, name: Name) -> Result<bool, sqlx::Error> {
    sql.run("BEGIN").await?;
    match sql.select::<(i64,)>(FREE, &[]).await {
        Ok(free) if !free.is_empty() => {
            sql.execute(CLAIM, &[name.into()]).await?;
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
