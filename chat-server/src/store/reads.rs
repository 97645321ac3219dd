//! What is read. Whoever calls says from which connection, and sees to it that what consists of
//! several questions is answered from one moment.

use chat_core::{
    Change, Kind, Listed, LoadedRoom, Message, Restriction, Revision, RoomId, RoomKey, RoomQuery,
};
use uuid::Uuid;

use super::plan::Kept;
use super::rows::{
    self, ChangeRow, ListedRow, MemberRow, MessageRow, RestrictionRow, RevisionRow, RoomRow,
    StoredRoom, UserRow, signed,
};
use super::selects;
use super::sql::{Sql, Value};

/// A live room, with its last `recent` messages and changes.
pub(super) async fn room(
    sql: &mut impl Sql,
    id: RoomId,
    recent: usize,
) -> Result<Option<LoadedRoom>, sqlx::Error> {
    let room = sql.select::<RoomRow>(selects::ROOM, &[id.uuid().into_bytes().into()]).await?.pop();
    let Some(room) = room else { return Ok(None) };
    let StoredRoom { key, info, end, removed, settings } = room.read()?;
    let of_room = [Value::Number(key.0)];
    let members: Vec<MemberRow> = sql.select(selects::MEMBERS, &of_room).await?;
    let invited: Vec<UserRow> = sql.select(selects::INVITED, &of_room).await?;
    let restrictions: Vec<RestrictionRow> = sql.select(selects::RESTRICTIONS, &of_room).await?;
    let restrictions: Vec<_> = rows::read_all(restrictions, RestrictionRow::read)?;
    let (bans, mutes): (Vec<_>, Vec<_>) =
        restrictions.into_iter().partition(|(kept, _)| *kept == Kept::Ban);
    let only = |kept: Vec<(Kept, Restriction)>| kept.into_iter().map(|(_, one)| one).collect();
    let recent = recent as u64;
    Ok(Some(LoadedRoom {
        key,
        info,
        end,
        removed,
        settings,
        members: rows::read_all(members, MemberRow::read)?,
        invited: rows::read_all(invited, UserRow::read)?,
        bans: only(bans),
        mutes: only(mutes),
        messages: messages(sql, key, end.seq.saturating_sub(recent), end.seq).await?,
        changes: changes(sql, key, end.change.saturating_sub(recent), recent).await?,
    }))
}

pub(super) async fn messages(
    sql: &mut impl Sql,
    room: RoomKey,
    after: u64,
    until: u64,
) -> Result<Vec<Message>, sqlx::Error> {
    let values = [room.0, signed(after), signed(until)].map(Value::Number);
    rows::read_all(sql.select(selects::MESSAGES, &values).await?, MessageRow::read)
}

pub(super) async fn revisions(
    sql: &mut impl Sql,
    room: RoomKey,
    seq: u64,
) -> Result<Vec<Revision>, sqlx::Error> {
    let values = [room.0, signed(seq)].map(Value::Number);
    rows::read_all(sql.select(selects::REVISIONS, &values).await?, RevisionRow::read)
}

pub(super) async fn changes(
    sql: &mut impl Sql,
    room: RoomKey,
    after: u64,
    limit: u64,
) -> Result<Vec<Change>, sqlx::Error> {
    let values = [room.0, signed(after), signed(limit)].map(Value::Number);
    rows::read_all(sql.select(selects::CHANGES, &values).await?, ChangeRow::read)
}

pub(super) async fn listed(
    sql: &mut impl Sql,
    query: &RoomQuery,
) -> Result<Vec<Listed>, sqlx::Error> {
    let before = query.after.map_or(Uuid::max(), RoomId::uuid);
    let title = query.title.to_lowercase();
    let values = [
        Kind::Open.as_str().into(),
        before.into_bytes().into(),
        Value::Bytes(title.as_bytes()),
        signed(query.limit as u64).into(),
    ];
    rows::read_all(sql.select(selects::LISTED, &values).await?, ListedRow::read)
}

pub(super) async fn ephemeral(sql: &mut impl Sql) -> Result<Vec<RoomId>, sqlx::Error> {
    let ids: Vec<(Vec<u8>,)> = sql.select(selects::EPHEMERAL, &[]).await?;
    rows::read_all(ids, |(id,)| rows::room_id(&id))
}

/// The direct room of two users.
pub(super) async fn direct(sql: &mut impl Sql, pair: &[u8]) -> Result<Option<RoomId>, sqlx::Error> {
    let ids: Vec<(Vec<u8>,)> = sql.select(selects::DIRECT, &[Value::Bytes(pair)]).await?;
    Ok(ids.first().map(|(id,)| rows::room_id(id)).transpose()?)
}
