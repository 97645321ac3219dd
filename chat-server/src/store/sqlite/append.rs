//! Commits what the journal gathered: all batches in one transaction.
//!
//! Client keys are not looked up. A repeated one is rare and breaks a unique index; only then is
//! the transaction begun again, with the keys looked up first. Nor is the end of a busy room read:
//! as long as nobody else has written to the file, a room stands where this connection's last commit
//! has left it, and SQLite tells whether somebody has. Reading it for every commit took up to a
//! third of the commit's time.

use std::collections::HashMap;

use chat_core::{
    Batch, BatchOutcome, ClientKey, Cursor, Fingerprint, Membership, RoomId, RoomInfo,
};

use sqlx::SqlStr;

use super::Inner;
use super::open::SqlitePen;
use crate::store::inserts::{
    FoundKeys, first_batch, has_other_keys, insert_opened, insert_room, insert_thread, pair_bytes,
};
use crate::store::known::Known;
use crate::store::plan::{Ends, Plan};
use crate::store::reads;
use crate::store::rows::EndRow;
use crate::store::sql::{Session, Sql, Value};
use crate::store::writer::Lent;

/// Begins a transaction that may write from the start, so that what it reads stays true until it
/// ends.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Changes when another connection, of this process or another one, has written to the file.
const VERSION: SqlStr = SqlStr::from_static("PRAGMA data_version");

/// Where live rooms stand. Parameter: their numbers, as a JSON array.
const ENDS: SqlStr = SqlStr::from_static(
    "\
    SELECT r.id AS room, \
        COALESCE((SELECT m.seq FROM messages m WHERE m.room = r.id ORDER BY m.seq DESC LIMIT 1), r.removed_seq) AS seq, \
        r.last_change AS number, r.removed_seq \
    FROM rooms r WHERE r.ended = 0 AND r.id IN (SELECT value FROM json_each(?))",
);

/// What to find out before a commit is planned, besides where the rooms stand.
enum LookUp {
    Nothing,
    /// Which of the client keys were used before.
    Keys,
}

impl Inner {
    /// Commits all batches at once.
    pub(super) async fn commit(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let look_up = if has_other_keys(batches) { LookUp::Keys } else { LookUp::Nothing };
        let outcomes = match self.try_commit(&mut writer, batches, look_up).await {
            Err(error) if is_duplicate(&error) => {
                let (connection, _) = writer.parts();
                Session::new(connection, &self.queries).run("ROLLBACK").await?;
                self.try_commit(&mut writer, batches, LookUp::Keys).await?
            }
            outcomes => outcomes?,
        };
        writer.give_back();
        Ok(outcomes)
    }

    async fn try_commit(
        &self,
        writer: &mut Lent<SqlitePen>,
        batches: &[Batch],
        look_up: LookUp,
    ) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let (connection, known) = writer.parts();
        let mut sql = Session::new(connection, &self.queries);
        sql.run(BEGIN).await?;
        let ends = self.ends(&mut sql, known, batches).await?;
        let found = match look_up {
            LookUp::Nothing => FoundKeys::default(),
            LookUp::Keys => self.statements.find_keys(&mut sql, batches).await?,
        };
        let plan = Plan::new(batches, ends, found.read()?);
        self.commit_plan(&mut sql, plan, known).await
    }

    /// Where the batches' rooms stand.
    async fn ends(
        &self,
        sql: &mut impl Sql,
        known: &mut Known,
        batches: &[Batch],
    ) -> Result<Ends, sqlx::Error> {
        let version: Vec<(i64,)> = sql.select(VERSION, &[]).await?;
        let version = version.first().map(|(version,)| *version);
        if known.version != version {
            known.forget_ends();
            known.version = version;
        }
        let (mut ends, unknown) = known.ends(batches);
        if !unknown.is_empty() {
            let rooms: Vec<_> = unknown.iter().map(|room| room.0.to_string()).collect();
            let rooms = format!("[{}]", rooms.join(","));
            for row in sql.select::<EndRow>(ENDS, &[Value::Text(&rooms)]).await? {
                let (room, end, _) = row.read()?;
                ends.insert(room, end);
            }
        }
        Ok(ends)
    }

    /// Opens a room, with its first members' joining as its first changes. Answers its id, or that
    /// of the room which was opened with the key, or of the direct room which its members have already, or of
    /// the thread that is there.
    pub(super) async fn insert_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, sqlx::Error> {
        let key = members.first().map(|opener| opener.user.id).zip(key);
        let pair = pair_bytes(info, members);
        let mut writer = self.writer.lend().await?;
        let (connection, known) = writer.parts();
        let mut sql = Session::new(connection, &self.queries);
        sql.run(BEGIN).await?;
        // Nobody else writes during this transaction, so what is not there now does not come in
        // between.
        let before = match key {
            Some((user, (key, _))) => reads::opened(&mut sql, user, key).await?,
            None => None,
        };
        let there = match (before, key) {
            (Some((first, id)), Some((_, (_, fingerprint)))) => {
                Some((first == *fingerprint).then_some(id))
            }
            _ => match (&pair, info.parent) {
                (Some(pair), _) => reads::direct(&mut sql, pair).await?.map(Some),
                (None, Some(parent)) => reads::thread_on(&mut sql, parent).await?.map(Some),
                (None, None) => None,
            },
        };
        if let Some(there) = there {
            if let (None, Some(key), Some(room)) = (before, key, there) {
                insert_opened(&mut sql, (room, info.created), key).await?;
            }
            sql.run("COMMIT").await?;
            writer.give_back();
            return Ok(there);
        }
        let room = insert_room(&mut sql, info, pair.as_deref()).await?;
        insert_thread(&mut sql, info, room).await?;
        if let Some(key) = key {
            insert_opened(&mut sql, (info.id, info.created), key).await?;
        }
        let first = [first_batch(room, info, members)];
        let plan = Plan::new(&first, HashMap::from([(room, Cursor::default())]), HashMap::new());
        self.commit_plan(&mut sql, plan, known).await?;
        writer.give_back();
        Ok(Some(info.id))
    }

    async fn commit_plan(
        &self,
        sql: &mut impl Sql,
        plan: Plan<'_>,
        known: &mut Known,
    ) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let names = known.names.unknown(plan.rows.users());
        self.statements.insert_names(sql, &names).await?;
        self.statements.insert(sql, &plan.rows).await?;
        let between = self.statements.read_between(sql, &plan.between).await?;
        sql.run("COMMIT").await?;
        known.names.learn(&names);
        known.learn(&plan.ends);
        Ok(plan.answer(between))
    }
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
