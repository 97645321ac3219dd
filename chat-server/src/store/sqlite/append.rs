//! Commits what the journal gathered: all batches in one transaction.
//!
//! Client keys are not looked up. A repeated one is rare and breaks a unique index; only then is
//! the transaction begun again, with the keys looked up first.

use std::collections::HashMap;

use chat_core::{
    Batch, BatchOutcome, ChangeKind, Cursor, Membership, RoomId, RoomInfo, RoomKey, Write,
};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, Transaction};

use super::SqliteStore;
use super::known::Known;
use super::writer::{Lent, begin};
use crate::store::plan::{Keys, Plan};
use crate::store::rows::{self, KeyRow, id_bytes};
use crate::store::selects::DIRECT;

const INSERT_ROOM: &str = "\
    INSERT INTO rooms (public_id, title, title_folded, kind, ephemeral, created_ms, pair) \
    VALUES (?, ?, ?, ?, ?, ?, ?)";

/// What to find out before a commit is planned, besides where the rooms stand.
enum LookUp {
    Nothing,
    /// Which of the client keys were used before.
    Keys,
}

impl SqliteStore {
    /// Commits all batches at once.
    pub(super) async fn commit(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let mut writer = self.writer.lend().await?;
        let outcomes = match self.try_commit(&mut writer, batches, LookUp::Nothing).await {
            Err(error) if is_duplicate(&error) => {
                self.try_commit(&mut writer, batches, LookUp::Keys).await?
            }
            outcomes => outcomes?,
        };
        writer.give_back();
        Ok(outcomes)
    }

    async fn try_commit(
        &self,
        writer: &mut Lent,
        batches: &[Batch],
        look_up: LookUp,
    ) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let (connection, known) = writer.parts();
        let mut transaction = begin(connection).await?;
        let ends = known.ends(&mut transaction, batches).await?;
        let found = match look_up {
            LookUp::Nothing => Vec::new(),
            LookUp::Keys => self.find_keys(&mut transaction, batches).await?,
        };
        let keys = found.iter().map(KeyRow::read).collect::<Result<Keys<'_>, _>>()?;
        self.commit_plan(transaction, Plan::new(batches, ends, keys), known).await
    }

    /// Opens a room, with its first members' joining as its first changes. Answers its id, or that
    /// of the direct room which its members have already.
    pub(super) async fn insert_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
    ) -> Result<RoomId, sqlx::Error> {
        let pair = info.pair(members);
        let pair = pair.map(|users| users.map(|user| user.uuid().into_bytes()).concat());
        let title = info.title.as_deref().unwrap_or_default();
        let mut writer = self.writer.lend().await?;
        let (connection, known) = writer.parts();
        let mut transaction = begin(connection).await?;
        // Nobody else writes during this transaction, so what is not there now does not come in
        // between.
        if let Some(pair) = &pair {
            let same = sqlx::query_scalar(DIRECT).bind(pair);
            let same: Option<Vec<u8>> = same.fetch_optional(&mut *transaction).await?;
            if let Some(id) = same {
                transaction.rollback().await?;
                writer.give_back();
                return Ok(rows::room_id(&id)?);
            }
        }
        let room = sqlx::query(INSERT_ROOM)
            .bind(id_bytes(info.id.uuid()))
            .bind(title)
            .bind(title.to_lowercase())
            .bind(info.kind.as_str())
            .bind(info.ephemeral)
            .bind(info.created.timestamp_millis())
            .bind(pair)
            .execute(&mut *transaction)
            .await?;
        let room = RoomKey(room.last_insert_rowid());
        let join = |membership: &Membership| {
            let kind = ChangeKind::Joined(membership.clone());
            Write::Change { kind, at: info.created }
        };
        let writes = members.iter().map(join).collect();
        let first = [Batch { room, after: Cursor::default(), writes }];
        let plan = Plan::new(&first, HashMap::from([(room, Cursor::default())]), HashMap::new());
        self.commit_plan(transaction, plan, known).await?;
        writer.give_back();
        Ok(info.id)
    }

    async fn commit_plan(
        &self,
        mut transaction: Transaction<'_, Sqlite>,
        plan: Plan<'_>,
        known: &mut Known,
    ) -> Result<Vec<BatchOutcome>, sqlx::Error> {
        let names = known.names.unknown(plan.rows.users());
        self.statements.insert(&mut transaction, &names, &plan.rows).await?;
        transaction.commit().await?;
        known.names.learn(&names);
        known.learn(plan.ends);
        Ok(plan.outcomes)
    }

    /// Messages that have one of the batches' keys already.
    async fn find_keys(
        &self,
        connection: &mut SqliteConnection,
        batches: &[Batch],
    ) -> Result<Vec<KeyRow>, sqlx::Error> {
        let writes =
            batches.iter().flat_map(|batch| batch.writes.iter().map(|write| (batch.room, write)));
        let keys = writes.filter_map(|(room, write)| match write {
            Write::Message { from, key: Some((key, _)), .. } => Some((room, from.id, key)),
            _ => None,
        });
        let keys: Vec<_> = keys.collect();
        let mut found = Vec::new();
        for (text, keys) in self.statements.keys.pieces(&keys) {
            let query = keys.iter().fold(
                sqlx::query_as(AssertSqlSafe(text)),
                |query, (room, user, key)| {
                    query.bind(room.0).bind(id_bytes(user.uuid())).bind(key.as_str().as_bytes())
                },
            );
            found.append(&mut query.fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
