//! Commits what a journal gathered: all batches in one transaction.
//!
//! A commit of busy rooms reads nothing: the writer remembers where its last commit has left them. If
//! this process writes alone ([`sole`](super::sole)), that is where they stand, and the messages are
//! inserted by one statement that is its own transaction. If others write too, an update that changes
//! nothing makes sure of it: it finds the rooms' rows, if their last change is the one that is known and
//! they have not ended, and holds them until the commit, so that nobody else writes to these rooms
//! meanwhile. A message that another process has written breaks the primary key (room, seq), and a
//! client key that was used before breaks its own unique key. Only if something does not fit is the
//! commit begun again, the other way: the rows are locked first, and where the rooms stand and
//! which keys were used is read under the locks.
//!
//! Everybody takes names before the row of who writes alone, and that before rooms, and each in the order
//! of ids, so that nobody waits for each other in a circle.

use std::collections::HashMap;
use std::time::Duration;

use chat_core::{Batch, BatchOutcome, Change, Cursor, Message, Name, RoomKey, User, UserId, Write};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::Inner;
use super::pen::{Fault, MySqlPen};
use super::sole::{self, NOBODY};
use crate::store::inserts::{FoundKeys, has_other_keys};
use crate::store::known::Known;
use crate::store::plan::{self, Ends, Keys, NewMessage, Plan};
use crate::store::reads;
use crate::store::rows::{self, EndRow};
use crate::store::sql::{Session, Sql, Value};
use crate::store::statement::ManyRows;
use crate::store::statements::Statements;
use crate::store::writer::Lent;

/// How long to wait before trying to reach the database again.
pub(super) const AGAIN: Duration = Duration::from_millis(50);
/// How often a transaction is tried again because others were in its way.
pub(super) const CONFLICTS: usize = 20;

/// The statements that keep writers of the same rooms apart.
#[derive(Debug)]
pub(super) struct Locks {
    /// Holds the rows of rooms.
    any: ManyRows,
    /// Reads where rooms stand whose rows are held.
    ends: ManyRows,
}

/// How many kinds of statements these are.
pub(super) const KINDS: usize = 2;

/// The statement that finds and holds the rows of rooms if all of them are as they are known. It has
/// nothing but numbers in it, so it goes as it is, together with the beginning of the transaction:
/// one way to the database less than with parameters.
fn hold_known(begin: &str, ends: &Ends, known: &Known) -> SqlStr {
    let row = |(room, end): (&RoomKey, &Cursor)| {
        (room.0, rows::signed(end.change), rows::signed(known.removed(*room)))
    };
    let mut rooms: Vec<_> = ends.iter().map(row).collect();
    rooms.sort_unstable();
    let ids: Vec<_> = rooms.iter().map(|(room, ..)| room.to_string()).collect();
    let rows = rooms.iter().map(|(room, change, removed)| format!("({room},{change},{removed})"));
    let text = format!(
        "{begin}UPDATE rooms FORCE INDEX (PRIMARY) SET ended = ended WHERE ended = 0 \
         AND id IN ({}) AND (id, last_change, removed_seq) IN ({}) AND {NOBODY}",
        ids.join(","),
        rows.collect::<Vec<_>>().join(",")
    );
    AssertSqlSafe(text).into_sql_str()
}

impl Locks {
    pub(super) fn new() -> Self {
        Self {
            any: ManyRows::new(
                "SELECT id FROM rooms FORCE INDEX (PRIMARY) WHERE id IN (",
                "?",
                ") ORDER BY id FOR UPDATE",
            ),
            ends: ManyRows::new(
                "SELECT r.id AS room, r.last_change AS number, r.removed_seq, COALESCE(\
                    (SELECT m.seq FROM messages m FORCE INDEX (PRIMARY) \
                     WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq \
                 FROM rooms r WHERE r.ended = 0 AND r.id IN (",
                "?",
                ")",
            ),
        }
    }

    /// Holds the rooms' rows, and reads where the rooms stand.
    async fn hold(
        &self,
        sql: &mut impl Sql,
        batches: &[Batch],
        known: &mut Known,
    ) -> Result<Ends, sqlx::Error> {
        let mut rooms: Vec<_> = batches.iter().map(|batch| batch.room.0).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let rooms: Vec<_> = rooms.into_iter().map(Value::Number).collect();
        for (text, piece) in self.any.pieces(&rooms) {
            let _: Vec<(i64,)> = sql.select(text, piece).await?;
        }
        let mut ends = Ends::with_capacity(rooms.len());
        for (text, piece) in self.ends.pieces(&rooms) {
            for row in sql.select::<EndRow>(text, piece).await? {
                let (room, end, removed) = row.read()?;
                known.learn_removed(room, removed);
                ends.insert(room, end);
            }
        }
        Ok(ends)
    }
}

/// How a commit is tried.
enum Way<'a> {
    /// From what the writer remembers.
    Known,
    /// From where the rooms stand, which is read under locks.
    Ends,
    /// Likewise, and from which keys were used.
    EndsAndKeys,
    /// Likewise, but first of all this is looked for, which may have been committed.
    Unsure(Box<Plan<'a>>),
}

impl Inner {
    /// Commits all batches at once. Goes on until it is done, or trying again does not help; the
    /// caller sets the deadline.
    pub(super) async fn commit(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let (mut way, mut conflicts) = (Way::Known, 0);
        loop {
            let mut lent = match self.writer.lend().await {
                Err(error) if Fault::of(&error) == Fault::Lost => {
                    tracing::warn!(%error, "the database cannot be reached; trying again");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                lent => lent?,
            };
            let error = match self.try_commit(&mut lent, batches, &mut way).await {
                Ok(Some(outcomes)) => {
                    lent.give_back();
                    return Ok(outcomes);
                }
                Ok(None) => {
                    way = Way::Ends;
                    lent.give_back();
                    continue;
                }
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            match fault {
                Fault::Duplicate | Fault::Conflict => {
                    conflicts += 1;
                    if conflicts > CONFLICTS {
                        return Err(error);
                    }
                    if fault == Fault::Duplicate {
                        way = match way {
                            Way::Known if is_number(&error) => Way::Ends,
                            _ => Way::EndsAndKeys,
                        };
                    }
                    let rolled_back = {
                        let mut sql = Session::new(lent.parts().0, &self.queries);
                        sql.run("ROLLBACK").await
                    };
                    if rolled_back.is_ok() {
                        lent.give_back();
                    }
                }
                Fault::Lost => {
                    tracing::warn!(%error, "the connection to the database was lost; trying again");
                    if matches!(way, Way::Known) {
                        way = Way::Ends;
                    }
                    drop(lent);
                    tokio::time::sleep(AGAIN).await;
                }
                Fault::Other => return Err(error),
            }
        }
    }

    /// Tries once. Answers nothing, with no transaction open, if it has to be tried by reading.
    async fn try_commit<'a>(
        &self,
        lent: &mut Lent<MySqlPen>,
        batches: &'a [Batch],
        way: &mut Way<'a>,
    ) -> Result<Option<Vec<BatchOutcome>>, sqlx::Error> {
        let (connection, known) = lent.parts();
        let sql = &mut Session::new(connection, &self.queries);
        let writes = batches.iter().flat_map(|batch| &batch.writes);
        let names = known.names.unknown(writes.flat_map(named));
        if let Way::Known = way {
            self.sole.ask(sql, known).await?;
            let (ends, _) = known.ends(batches);
            // A change says behind which message it comes, and others may have written some: only
            // messages find that out by themselves.
            let as_known =
                |batch: &Batch| batch.may_follow && ends.get(&batch.room) == Some(&batch.after);
            if !batches.iter().all(as_known) {
                return Ok(None);
            }
            let plan = Plan::new(batches, ends, Keys::new());
            return self.commit_known(sql, plan, &names, known, way).await;
        }
        self.begin(sql, &names, known).await?;
        let ends = self.locks.hold(sql, batches, known).await?;
        if let Way::Unsure(lost) = way
            && is_stored(sql, &self.statements, lost).await?
        {
            let between = self.statements.read_between(sql, &lost.between).await?;
            sql.run("ROLLBACK").await?;
            let Way::Unsure(lost) = std::mem::replace(way, Way::Ends) else {
                return Ok(None);
            };
            return Ok(Some(lost.answer(between)));
        }
        // A lost commit may have been of any of the keys.
        if matches!(way, Way::Unsure(_)) {
            *way = Way::EndsAndKeys;
        }
        let found = match way {
            Way::EndsAndKeys => self.statements.find_keys(sql, batches).await?,
            _ if has_other_keys(batches) => self.statements.find_keys(sql, batches).await?,
            _ => FoundKeys::default(),
        };
        let plan = Plan::new(batches, ends, found.read()?);
        self.statements.insert(sql, &plan.rows).await?;
        let committed = sql.run("COMMIT").await;
        self.end(sql, committed, plan, &names, known, way).await
    }

    /// Begins a transaction, with names, in which nobody else writes alone.
    pub(super) async fn begin(
        &self,
        sql: &mut impl Sql,
        names: &[(UserId, &Name)],
        known: &mut Known,
    ) -> Result<(), sqlx::Error> {
        self.sole.ask(sql, known).await?;
        loop {
            sql.run("BEGIN").await?;
            self.statements.insert_names(sql, names).await?;
            if sole::hold(sql, known).await? {
                return Ok(());
            }
            sql.run("ROLLBACK").await?;
            sole::displace(sql).await?;
        }
    }

    /// Commits messages to rooms that stand where they are known to: by one statement if nobody else
    /// writes, and else behind one that holds the rooms and makes sure of it.
    async fn commit_known<'a>(
        &self,
        sql: &mut impl Sql,
        plan: Plan<'a>,
        names: &[(UserId, &Name)],
        known: &mut Known,
        way: &mut Way<'a>,
    ) -> Result<Option<Vec<BatchOutcome>>, sqlx::Error> {
        let rows = &plan.rows;
        let committed = if known.alone && names.is_empty() && self.statements.is_one(rows) {
            let inserted = self.statements.insert(sql, rows).await;
            inserted.map(|()| self.queries.count_commit())
        } else {
            let mut begin = "BEGIN; ";
            if known.alone || !names.is_empty() {
                begin = "";
                sql.run("BEGIN").await?;
                self.statements.insert_names(sql, names).await?;
            }
            if !known.alone {
                let hold = hold_known(begin, &plan.ends, known);
                if sql.execute_plain(hold).await?.rows != plan.ends.len() as u64 {
                    sql.run("ROLLBACK").await?;
                    return Ok(None);
                }
            }
            self.statements.insert(sql, rows).await?;
            sql.run("COMMIT").await
        };
        self.end(sql, committed, plan, names, known, way).await
    }

    /// What follows a commit: remembers it, or that nobody knows what became of it, and reads what
    /// others have written before it.
    async fn end<'a>(
        &self,
        sql: &mut impl Sql,
        committed: Result<(), sqlx::Error>,
        plan: Plan<'a>,
        names: &[(UserId, &Name)],
        known: &mut Known,
        way: &mut Way<'a>,
    ) -> Result<Option<Vec<BatchOutcome>>, sqlx::Error> {
        if let Err(error) = committed {
            if Fault::of(&error) == Fault::Lost {
                *way = Way::Unsure(Box::new(plan));
            }
            return Err(error);
        }
        learn(&plan, names, known);
        if plan.between.is_empty() {
            return Ok(Some(plan.answer(HashMap::new())));
        }
        // The others need not wait for this.
        match self.statements.read_between(sql, &plan.between).await {
            Ok(between) => {
                // Nothing hangs on it; if the connection is lost, the next commit finds out.
                sql.run("ROLLBACK").await.ok();
                Ok(Some(plan.answer(between)))
            }
            Err(error) => {
                *way = Way::Unsure(Box::new(plan));
                Err(error)
            }
        }
    }
}

/// Remembers what has been committed.
fn learn(plan: &Plan<'_>, names: &[(UserId, &Name)], known: &mut Known) {
    known.names.learn(names);
    known.learn(&plan.ends);
    // A room to which somebody else has just written is read again next time: to find out by an
    // insert that fails would cost more.
    for range in &plan.between {
        known.forget(range.room);
    }
}

/// Whether a number was given twice, and not a client key.
fn is_number(error: &sqlx::Error) -> bool {
    // Both say which key it was: MySQL "messages.PRIMARY", MariaDB "PRIMARY".
    let message = error.as_database_error().map(|error| error.message()).unwrap_or_default();
    message.trim_end_matches('\'').ends_with("PRIMARY")
}

/// Whose names a write refers to.
fn named(write: &Write) -> impl Iterator<Item = &User> {
    let (author, changed) = match write {
        Write::Message { from, .. } => (Some(from), None),
        Write::Change { kind, by, .. } => (None, Some(plan::named(kind, by.as_ref()))),
        Write::Marks { last, .. } => (Some(&last.user), None),
        Write::Read(_) | Write::Key { .. } => (None, None),
    };
    author.into_iter().chain(changed.into_iter().flatten())
}

/// Whether the rows of a commit are there. It was one transaction, so the rows of one room tell.
/// What somebody else has written is taken for it only if the sender, the moment, to the millisecond, and the text,
/// unless it was edited since, are all alike.
async fn is_stored(
    sql: &mut impl Sql,
    statements: &Statements,
    plan: &Plan<'_>,
) -> Result<bool, sqlx::Error> {
    if let Some(first) = plan.rows.messages.first() {
        let of_room = plan.rows.messages.iter().filter(|message| message.room == first.room);
        let planned: Vec<_> = of_room.collect();
        let until = first.seq + planned.len() as u64 - 1;
        let stored: Vec<Message> = reads::messages(sql, first.room, first.seq - 1, until).await?;
        let same = |(stored, planned): (&Message, &&NewMessage<'_>)| {
            (stored.seq, stored.from.id, stored.text(), stored.at.timestamp_millis())
                == (
                    planned.seq,
                    planned.from.id,
                    planned.body.as_str(),
                    planned.at.timestamp_millis(),
                )
        };
        return Ok(stored.len() == planned.len() && stored.iter().zip(&planned).all(same));
    }
    if let Some(first) = plan.rows.changes.first() {
        let (room, number): (RoomKey, u64) = (first.room, first.change.cursor.change);
        let stored: Vec<Change> = reads::changes(sql, statements, room, number - 1, 1).await?;
        let same = |stored: &Change| {
            stored.cursor == first.change.cursor
                && stored.kind.as_str() == first.change.kind.as_str()
                && stored.kind.membership().user.id == first.change.kind.membership().user.id
                && stored.kind.seq() == first.change.kind.seq()
                && stored.by.as_ref().map(|by| by.id) == first.change.by.as_ref().map(|by| by.id)
                && stored.at.timestamp_millis() == first.change.at.timestamp_millis()
        };
        return Ok(stored.first().is_some_and(same));
    }
    // Positions may be written twice, and keys are looked up before they are; without them, there was nothing to
    // write.
    Ok(plan.rows.reads.is_empty() && plan.rows.keys.is_empty())
}
