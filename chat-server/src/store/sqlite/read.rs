//! What is read, each from one snapshot of the file, beside the writer.

use chat_core::Kind;
use chat_core::{Change, Listed, LoadedRoom, Message, RoomId, RoomKey, RoomQuery};
use uuid::Uuid;

use super::SqliteStore;
use crate::store::rows::{
    self, ChangeRow, ListedRow, MemberRow, MessageRow, RoomRow, UserRow, id_bytes, signed,
};
use crate::store::selects;

impl SqliteStore {
    pub(super) async fn select_room(
        &self,
        id: RoomId,
        recent: usize,
    ) -> Result<Option<LoadedRoom>, sqlx::Error> {
        // One transaction, so that the end, the members and the messages are of the same moment.
        let mut snapshot = self.readers.begin().await?;
        let room: Option<RoomRow> = sqlx::query_as(selects::ROOM)
            .bind(id_bytes(id.uuid()))
            .fetch_optional(&mut *snapshot)
            .await?;
        let Some(room) = room else { return Ok(None) };
        let (key, info, end) = room.read()?;
        let recent = recent as u64;
        let members: Vec<MemberRow> =
            sqlx::query_as(selects::MEMBERS).bind(key.0).fetch_all(&mut *snapshot).await?;
        let invited: Vec<UserRow> =
            sqlx::query_as(selects::INVITED).bind(key.0).fetch_all(&mut *snapshot).await?;
        let messages: Vec<MessageRow> = sqlx::query_as(selects::MESSAGES)
            .bind(key.0)
            .bind(signed(end.seq.saturating_sub(recent)))
            .bind(signed(end.seq))
            .fetch_all(&mut *snapshot)
            .await?;
        let changes: Vec<ChangeRow> = sqlx::query_as(selects::CHANGES)
            .bind(key.0)
            .bind(signed(end.change.saturating_sub(recent)))
            .bind(signed(recent))
            .fetch_all(&mut *snapshot)
            .await?;
        snapshot.commit().await?;
        Ok(Some(LoadedRoom {
            key,
            info,
            end,
            members: rows::read_all(members, MemberRow::read)?,
            invited: rows::read_all(invited, UserRow::read)?,
            messages: rows::read_all(messages, MessageRow::read)?,
            changes: rows::read_all(changes, ChangeRow::read)?,
        }))
    }

    pub(super) async fn select_messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, sqlx::Error> {
        let messages = sqlx::query_as(selects::MESSAGES)
            .bind(room.0)
            .bind(signed(after))
            .bind(signed(until))
            .fetch_all(&self.readers)
            .await?;
        rows::read_all(messages, MessageRow::read)
    }

    pub(super) async fn select_changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, sqlx::Error> {
        let changes = sqlx::query_as(selects::CHANGES)
            .bind(room.0)
            .bind(signed(after))
            .bind(signed(limit as u64))
            .fetch_all(&self.readers)
            .await?;
        rows::read_all(changes, ChangeRow::read)
    }

    pub(super) async fn select_listed(
        &self,
        query: &RoomQuery,
    ) -> Result<Vec<Listed>, sqlx::Error> {
        let before = query.after.map_or(Uuid::max(), RoomId::uuid);
        let listed = sqlx::query_as(selects::LISTED)
            .bind(Kind::Open.as_str())
            .bind(id_bytes(before))
            .bind(query.title.to_lowercase())
            .bind(signed(query.limit as u64))
            .fetch_all(&self.readers)
            .await?;
        rows::read_all(listed, ListedRow::read)
    }

    pub(super) async fn select_ephemeral(&self) -> Result<Vec<RoomId>, sqlx::Error> {
        let ids: Vec<Vec<u8>> =
            sqlx::query_scalar(selects::EPHEMERAL).fetch_all(&self.readers).await?;
        rows::read_all(ids, |id| rows::room_id(&id))
    }

    /// Rooms whose deletion was begun.
    pub(super) async fn select_ended(&self) -> Result<Vec<RoomKey>, sqlx::Error> {
        let rooms: Vec<i64> = sqlx::query_scalar(selects::ENDED).fetch_all(&self.readers).await?;
        Ok(rooms.into_iter().map(RoomKey).collect())
    }
}
