//! What is read. Whoever calls says from which connection, and sees to it that what consists of
//! several questions is answered from one moment.

use chat_core::{
    Change, ClientKey, Cursor, Fingerprint, Kind, Listed, LoadedRoom, Message, Restriction,
    Revision, RoomId, RoomKey, RoomQuery, UsedKey, UserId,
};
use uuid::Uuid;

use super::plan::Kept;
use super::rows::{
    self, ChangeRow, KeyRow, ListedRow, MemberRow, MessageRow, RestrictionRow, RevisionRow,
    RoomRow, StoredRoom, UsedKeyRow, UserRow, signed,
};
use super::selects;
use super::sql::{Sql, Value, id};

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
    let (keys, all_keys) = last_keys(sql, key, end, recent).await?;
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
        keys,
        all_keys,
    }))
}

/// The keys of a room's last messages, and of its last changes; and whether these are all.
async fn last_keys(
    sql: &mut impl Sql,
    room: RoomKey,
    end: Cursor,
    recent: u64,
) -> Result<(Vec<UsedKey>, bool), sqlx::Error> {
    let (from, until) = (signed(end.seq.saturating_sub(recent)), signed(end.seq));
    let range = [room.0, from, until].map(Value::Number);
    let messages: Vec<KeyRow> = sql.select(selects::KEYS, &range).await?;
    let last = [room.0, signed(recent.saturating_add(1))].map(Value::Number);
    let changes: Vec<UsedKeyRow> = sql.select(selects::LAST_USED_KEYS, &last).await?;
    let all = changes.len() as u64 <= recent;
    let messages = messages.iter().map(KeyRow::read);
    let used = messages.chain(changes.iter().map(UsedKeyRow::read));
    let used = used.map(|used| used.and_then(rows::used)).collect::<Result<_, _>>()?;
    Ok((used, all))
}

async fn find_used(
    sql: &mut impl Sql,
    room: RoomKey,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<UsedKeyRow>, sqlx::Error> {
    let values = [Value::Bytes(key.as_str().as_bytes()), room.0.into(), id(user)];
    Ok(sql.select(selects::USED_KEY, &values).await?.pop())
}

/// What a user has used a key for in a room, but for messages.
pub(super) async fn used_key(
    sql: &mut impl Sql,
    room: RoomKey,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<UsedKey>, sqlx::Error> {
    let found = find_used(sql, room, user, key).await?;
    Ok(found.map(|found| found.read().and_then(rows::used)).transpose()?)
}

/// The room that a user has opened with a key, and what stands for it.
pub(super) async fn opened(
    sql: &mut impl Sql,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<(Fingerprint, RoomId)>, sqlx::Error> {
    let found = find_used(sql, RoomKey(0), user, key).await?;
    Ok(found.map(|found| found.opened()).transpose()?)
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
