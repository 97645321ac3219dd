//! Who writes alone. As long as one process writes, its commits need not make sure of every room that
//! nobody else has written to it. Its connection holds a named lock of the server, and one row says that
//! somebody does. Whoever comes to write beside it ends that connection, waits until the server has let
//! its lock go, and with it everything that it had under way, and clears the row; from there on each makes
//! sure of the rooms. When nobody has come for a minute, one may write alone again.
//!
//! Every other transaction that writes to rooms that others may know holds the row, shared, until its end:
//! after names and before rooms. A process that goes on after it was frozen, or a statement that was sent
//! over a connection that its process has given up, can therefore not write unnoticed: the connection is
//! gone by then.
//!
//! A server lets an account end its own connections, so all processes use the same account.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use uuid::Uuid;

use super::pen::code;
use crate::store::known::Known;
use crate::store::sql::Sql;

/// How long a connection writes before it asks again for writing alone.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The lock's name, of this database and at most 64 characters.
macro_rules! lock {
    () => {
        "CONCAT('chat.', LEFT(SHA2(DATABASE(), 256), 40))"
    };
}
const TRY_LOCK: SqlStr =
    SqlStr::from_static(concat!("SELECT CAST(GET_LOCK(", lock!(), ", 0) AS SIGNED)"));
/// Waits for so many seconds.
const WAIT_FOR_LOCK: SqlStr =
    SqlStr::from_static(concat!("SELECT CAST(GET_LOCK(", lock!(), ", 5) AS SIGNED)"));
const RELEASE_LOCK: SqlStr =
    SqlStr::from_static(concat!("SELECT CAST(RELEASE_LOCK(", lock!(), ") AS SIGNED)"));
/// Which connection has it.
const HOLDER: SqlStr =
    SqlStr::from_static(concat!("SELECT CAST(IS_USED_LOCK(", lock!(), ") AS SIGNED)"));
const THIS_CONNECTION: SqlStr = SqlStr::from_static("SELECT CAST(CONNECTION_ID() AS SIGNED)");
/// What the server says if a connection that is to be ended has ended.
const NO_CONNECTION: u16 = 1_094;

const READ: SqlStr =
    SqlStr::from_static("SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE");
const READ_TO_CHANGE: SqlStr =
    SqlStr::from_static("SELECT process FROM sole_writer WHERE id = 1 FOR UPDATE");
/// Waits for nobody: those who hold the row write, or wait for the lock that whoever asks has by then.
const FREE: SqlStr = SqlStr::from_static(
    "SELECT id FROM sole_writer WHERE id = 1 AND (process = ? OR process IS NULL \
     AND shared_ms <= (UNIX_TIMESTAMP() - 60) * 1000) FOR UPDATE NOWAIT",
);
const CLAIM: SqlStr = SqlStr::from_static("UPDATE sole_writer SET process = ? WHERE id = 1");
const DISPLACE: SqlStr = SqlStr::from_static(
    "UPDATE sole_writer SET process = NULL, shared_ms = UNIX_TIMESTAMP() * 1000 WHERE id = 1",
);
const LET_GO: SqlStr =
    SqlStr::from_static("UPDATE sole_writer SET process = NULL WHERE id = 1 AND process = ?");
/// What the server says of a row that somebody holds; MariaDB and MySQL.
const HELD: [u16; 2] = [1_205, 3_572];

/// What is true as long as nobody writes alone: for a statement that holds rooms.
pub(super) const NOBODY: &str =
    "(SELECT process FROM sole_writer WHERE id = 1 LOCK IN SHARE MODE) IS NULL";

/// How a process comes to write alone.
#[derive(Debug, Default)]
pub(super) struct Sole {
    /// Its last connection that did, if the row may still have it.
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// What the row says.
    name: [u8; 16],
    /// The server's number of the connection.
    connection: i64,
}

impl Sole {
    fn last(&self) -> MutexGuard<'_, Option<Last>> {
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
        if known.alone || !due {
            return Ok(());
        }
        known.asked_alone = Some(Instant::now());
        let last = *self.last();
        if number(sql, TRY_LOCK).await? != Some(1) {
            let holder = number(sql, HOLDER).await?;
            if last.map(|last| last.connection) != holder {
                return Ok(());
            }
            // What this process has given up may still do what it was asked.
            end_holder(sql, holder).await?;
        }
        let name = Uuid::now_v7().into_bytes();
        let claimed = claim(sql, name, last.map(|last| last.name)).await;
        if !matches!(claimed, Ok(true)) {
            // Whoever wants to write waits for the lock.
            number(sql, RELEASE_LOCK).await?;
            return claimed.map(drop);
        }
        let connection = number(sql, THIS_CONNECTION).await?.unwrap_or_default();
        *self.last() = Some(Last { name, connection });
        known.alone = true;
        known.forget_ends();
        Ok(())
    }

    /// Ends that this process writes alone, so that the next one need not wait for a minute to. Its
    /// connection is closed already.
    pub(super) async fn let_go(&self, sql: &mut impl Sql) -> Result<(), sqlx::Error> {
        let last = *self.last();
        match last {
            Some(Last { name, .. }) => sql.execute(LET_GO, &[name.into()]).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Sees to it that nobody else writes alone until this transaction ends; answers whether that is so.
pub(super) async fn hold(sql: &mut impl Sql, known: &Known) -> Result<bool, sqlx::Error> {
    Ok(known.alone || process(sql, READ).await?.is_none())
}

/// Ends that somebody else writes alone, outside of a transaction.
pub(super) async fn displace(sql: &mut impl Sql) -> Result<(), sqlx::Error> {
    sql.run("BEGIN").await?;
    if process(sql, READ_TO_CHANGE).await?.is_some() {
        let holder = number(sql, HOLDER).await?;
        end_holder(sql, holder).await?;
        number(sql, RELEASE_LOCK).await?;
        sql.execute(DISPLACE, &[]).await?;
    }
    sql.run("COMMIT").await
}

/// Ends the connection that holds the lock, and takes the lock when nothing is left of it.
async fn end_holder(sql: &mut impl Sql, holder: Option<i64>) -> Result<(), sqlx::Error> {
    if let Some(holder) = holder {
        let end = AssertSqlSafe(format!("KILL CONNECTION {holder}")).into_sql_str();
        match sql.execute_plain(end).await {
            Err(error) if code(&error) != Some(NO_CONNECTION) => return Err(error),
            _ => tracing::info!(
                connection = holder,
                "several write to the database: one no longer does so alone"
            ),
        }
    }
    match number(sql, WAIT_FOR_LOCK).await? {
        Some(1) => Ok(()),
        _ => Err(sqlx::Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            "a connection that writes alone has not ended yet",
        ))),
    }
}

/// Puts the name into the row, if that has nobody's or `last`.
async fn claim(
    sql: &mut impl Sql,
    name: [u8; 16],
    last: Option<[u8; 16]>,
) -> Result<bool, sqlx::Error> {
    sql.run("BEGIN").await?;
    match sql.select::<(i64,)>(FREE, &[last.into()]).await {
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

/// What the row says.
async fn process(sql: &mut impl Sql, text: SqlStr) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let found: Vec<(Option<Vec<u8>>,)> = sql.select(text, &[]).await?;
    Ok(found.into_iter().next().and_then(|(name,)| name))
}

/// What the server answers to a question for one number.
async fn number(sql: &mut impl Sql, text: SqlStr) -> Result<Option<i64>, sqlx::Error> {
    let found: Vec<(Option<i64>,)> = sql.select(text, &[]).await?;
    Ok(found.first().and_then(|(number,)| *number))
}
