//! What is read. Whoever calls says from which connection, and sees to it that what consists of
//! several questions is answered from one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat_core::{
    Activity, Change, ChangeKind, ClientKey, Cursor, Fingerprint, Given, Kind, Listed,
    ListedThread, LoadedRoom, LoadedThread, MarkCount, MarkerQuery, Message, OwnMark, OwnRoomQuery,
    Parent, Restriction, Revision, RoomId, RoomKey, RoomQuery, Standing, ThreadQuery, UsedKey,
    User, UserId, limits,
};
use uuid::Uuid;

use super::inserts::Making;
use super::plan::{Between, Kept};
use super::rows::{
    self, ActiveRow, ChangeRow, CountRow, GivenRow, KeyRow, ListedRow, LoadedThreadRow, MemberRow,
    MessageRow, ReadingRow, RestrictionRow, RevisionRow, RoomRow, StandingRow, StoredRoom,
    ToldThreadRow, UsedKeyRow, UserRow, signed,
};
use super::selects;
use super::sql::{Sql, Value, id};
use super::statements::Statements;

/// A live room, with its last `recent` messages and changes.
pub(super) async fn room(
    sql: &mut impl Sql,
    statements: &Statements,
    id: RoomId,
    recent: usize,
) -> Result<Option<LoadedRoom>, sqlx::Error> {
    let room = sql.select::<RoomRow>(selects::ROOM, &[id.uuid().into_bytes().into()]).await?.pop();
    let Some(room) = room else { return Ok(None) };
    let StoredRoom { key, info, end, removed, settings } = room.read()?;
    let of_room = [Value::Number(key.0)];
    let members: Vec<MemberRow> = sql.select(selects::MEMBERS, &of_room).await?;
    let readings: Vec<ReadingRow> = sql.select(selects::READINGS, &of_room).await?;
    let invited: Vec<UserRow> = sql.select(selects::INVITED, &of_room).await?;
    let restrictions: Vec<RestrictionRow> = sql.select(selects::RESTRICTIONS, &of_room).await?;
    let restrictions: Vec<_> = rows::read_all(restrictions, RestrictionRow::read)?;
    let (bans, mutes): (Vec<_>, Vec<_>) =
        restrictions.into_iter().partition(|(kept, _)| *kept == Kept::Ban);
    let only = |kept: Vec<(Kept, Restriction)>| kept.into_iter().map(|(_, one)| one).collect();
    let recent = recent as u64;
    let marks = marks(sql, key, end.seq.saturating_sub(recent), end.seq).await?;
    let (keys, all_keys) = last_keys(sql, key, end, recent).await?;
    // A thread has no threads.
    let (thread, untold) = match info.parent {
        Some(_) => (thread(sql, key).await?, Vec::new()),
        None => (None, untold(sql, key).await?),
    };
    Ok(Some(LoadedRoom {
        key,
        info,
        end,
        removed,
        settings,
        members: rows::read_all(members, MemberRow::read)?,
        readings: rows::read_all(readings, ReadingRow::read)?,
        invited: rows::read_all(invited, UserRow::read)?,
        bans: only(bans),
        mutes: only(mutes),
        messages: messages(sql, key, end.seq.saturating_sub(recent), end.seq).await?,
        changes: changes(sql, statements, key, end.change.saturating_sub(recent), recent).await?,
        marks,
        keys,
        all_keys,
        thread,
        untold,
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

/// What a user has used a key for in a room.
pub(super) async fn used_key(
    sql: &mut impl Sql,
    room: RoomKey,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<UsedKey>, sqlx::Error> {
    if let Some(found) = find_used(sql, room, user, key).await? {
        return Ok(Some(found.read().and_then(rows::used)?));
    }
    let values = [Value::Bytes(key.as_str().as_bytes()), room.0.into(), id(user)];
    let found: Option<KeyRow> = sql.select(selects::MESSAGE_KEY, &values).await?.pop();
    Ok(found.map(|found| found.read().and_then(rows::used)).transpose()?)
}

/// The room that a user has opened with a key, and what stands for it.
pub(super) async fn opened(
    sql: &mut impl Sql,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<(Fingerprint, RoomId)>, sqlx::Error> {
    let found = find_made(sql, Making::Room, user, key).await?;
    Ok(found.map(|(fingerprint, id)| (fingerprint, RoomId::from(id))))
}

/// What a user has made with a key, and what stands for it.
pub(super) async fn find_made(
    sql: &mut impl Sql,
    making: Making,
    user: UserId,
    key: &ClientKey,
) -> Result<Option<(Fingerprint, Uuid)>, sqlx::Error> {
    let found = find_used(sql, making.in_place_of_room(), user, key).await?;
    Ok(found.map(|found| found.opened()).transpose()?)
}

pub(super) async fn messages(
    sql: &mut impl Sql,
    room: RoomKey,
    after: u64,
    until: u64,
) -> Result<Vec<Message>, sqlx::Error> {
    let values = [room.0, signed(after), signed(until)].map(Value::Number);
    let rows = sql.select(selects::MESSAGES, &values).await?;
    let mut messages: Vec<Message> = rows::read_all(rows, MessageRow::read)?;
    let counts = sql.select(selects::COUNTS, &values).await?;
    let counts: Vec<(u64, MarkCount)> = rows::read_all(counts, CountRow::read)?;
    for (seq, count) in counts {
        if let Ok(place) = messages.binary_search_by_key(&seq, |message| message.seq) {
            messages[place].marks.push(count);
        }
    }
    for ListedThread { place, thread } in told(sql, room, after, until).await? {
        if let Ok(place) = messages.binary_search_by_key(&place.seq, |message| message.seq) {
            messages[place].thread = Some(thread);
        }
    }
    Ok(messages)
}

/// What a thread has come to by now.
pub(super) async fn thread(
    sql: &mut impl Sql,
    room: RoomKey,
) -> Result<Option<LoadedThread>, sqlx::Error> {
    let found: Option<LoadedThreadRow> = sql.select(selects::THREAD, &[room.0.into()]).await?.pop();
    Ok(found.map(LoadedThreadRow::read).transpose()?)
}

/// A room's threads of which it has not been told all.
async fn untold(sql: &mut impl Sql, room: RoomKey) -> Result<Vec<RoomId>, sqlx::Error> {
    let ids: Vec<(Vec<u8>,)> = sql.select(selects::UNTOLD, &[room.0.into()]).await?;
    rows::read_all(ids, |(id,)| rows::room_id(&id))
}

/// What has been told of the threads on a range of messages.
async fn told(
    sql: &mut impl Sql,
    room: RoomKey,
    after: u64,
    until: u64,
) -> Result<Vec<ListedThread>, sqlx::Error> {
    let values = [room.0, signed(after), signed(until)].map(Value::Number);
    rows::read_all(sql.select(selects::THREADS, &values).await?, ToldThreadRow::read)
}

/// A page of a room's threads.
pub(super) async fn threads(
    sql: &mut impl Sql,
    room: RoomKey,
    query: &ThreadQuery,
) -> Result<Vec<ListedThread>, sqlx::Error> {
    let (at, seq) =
        query.after.map_or((i64::MAX, 0), |after| (after.at.timestamp_millis(), signed(after.seq)));
    let values = [room.0, at, at, seq, signed(query.limit as u64)].map(Value::Number);
    rows::read_all(sql.select(selects::LISTED_THREADS, &values).await?, ToldThreadRow::read)
}

/// The thread on a message.
pub(super) async fn thread_on(
    sql: &mut impl Sql,
    parent: Parent,
) -> Result<Option<RoomId>, sqlx::Error> {
    let values = [parent.room.uuid().into_bytes().into(), signed(parent.seq).into()];
    let ids: Vec<(Vec<u8>,)> = sql.select(selects::THREAD_ON, &values).await?;
    Ok(ids.first().map(|(id,)| rows::room_id(id)).transpose()?)
}

/// Who has given a range of messages which marks.
pub(super) async fn marks(
    sql: &mut impl Sql,
    room: RoomKey,
    after: u64,
    until: u64,
) -> Result<Vec<Given>, sqlx::Error> {
    let values = [room.0, signed(after), signed(until)].map(Value::Number);
    rows::read_all(sql.select(selects::MARKS, &values).await?, GivenRow::read)
}

/// What a user has marked of a range of messages.
pub(super) async fn marks_of(
    sql: &mut impl Sql,
    room: RoomKey,
    user: UserId,
    after: u64,
    until: u64,
) -> Result<Vec<OwnMark>, sqlx::Error> {
    let values = [room.0.into(), id(user), signed(after).into(), signed(until).into()];
    let given = sql.select(selects::MARKS_OF, &values).await?;
    rows::read_all(given, |row: GivenRow| row.read().map(|given| (given.seq, given.mark)))
}

/// Who has given a message a mark.
pub(super) async fn markers(
    sql: &mut impl Sql,
    room: RoomKey,
    query: &MarkerQuery,
) -> Result<Vec<User>, sqlx::Error> {
    let after = query.after.map_or(Uuid::nil(), UserId::uuid);
    let values = [
        room.0.into(),
        signed(query.seq).into(),
        Value::Bytes(query.mark.as_bytes()),
        after.into_bytes().into(),
        signed(query.limit as u64).into(),
    ];
    rows::read_all(sql.select(selects::MARKERS, &values).await?, UserRow::read)
}

pub(super) async fn revisions(
    sql: &mut impl Sql,
    room: RoomKey,
    seq: u64,
) -> Result<Vec<Revision>, sqlx::Error> {
    let values = [room.0, signed(seq), signed(limits::REVISIONS as u64 / 2)].map(Value::Number);
    let first = sql.select(selects::FIRST_REVISIONS, &values).await?;
    let last = sql.select(selects::LAST_REVISIONS, &values).await?;
    let all: Vec<_> = rows::read_all(first.into_iter().chain(last).collect(), RevisionRow::read)?;
    // Of few, some are among both.
    let all: BTreeMap<i64, Revision> = all.into_iter().collect();
    Ok(all.into_values().collect())
}

/// A range of a room's changes, with what the messages and threads that they are about have come to since. Several
/// changes may be about one.
pub(super) async fn changes(
    sql: &mut impl Sql,
    statements: &Statements,
    room: RoomKey,
    after: u64,
    limit: u64,
) -> Result<Vec<Change>, sqlx::Error> {
    let values = [room.0, signed(after), signed(limit)].map(Value::Number);
    let rows = sql.select(selects::CHANGES, &values).await?;
    let of_threads: BTreeSet<_> = rows.iter().filter_map(ChangeRow::of_thread).collect();
    let of_threads: Vec<_> = of_threads.into_iter().map(|seq| (room, seq)).collect();
    let threads = statements.read_told(sql, &of_threads).await?;
    let mut changes: Vec<Change> = rows::read_all(rows, |row: ChangeRow| {
        let thread = row.of_thread().and_then(|seq| threads.get(&(room, seq)).cloned());
        row.read(thread)
    })?;
    let marked = changes.iter().filter_map(|change| match change.kind {
        ChangeKind::Marked(_, seq, _) => Some(seq),
        _ => None,
    });
    let marked: BTreeSet<u64> = marked.collect();
    let counts = statements.read_counts(sql, room, &Vec::from_iter(marked)).await?;
    for change in &mut changes {
        if let ChangeKind::Marked(_, seq, marks) = &mut change.kind {
            *marks = counts.get(seq).cloned().unwrap_or_default();
        }
    }
    Ok(changes)
}

/// The rooms of a user, the latest activity first.
pub(super) async fn active(
    sql: &mut impl Sql,
    user: UserId,
    query: &OwnRoomQuery,
) -> Result<Vec<Activity>, sqlx::Error> {
    let OwnRoomQuery { before, threads, limit } = *query;
    let at = before.map_or(i64::MAX, |before| before.at.timestamp_millis());
    let room = before.map_or(Uuid::max(), |before| before.room.uuid());
    let (threads, limit) = (i64::from(threads), signed(limit as u64));
    let values =
        [id(user), threads.into(), at.into(), at.into(), room.into_bytes().into(), limit.into()];
    rows::read_all(sql.select(selects::ACTIVE, &values).await?, ActiveRow::read)
}

/// How rooms stand for a user.
pub(super) async fn standings(
    sql: &mut impl Sql,
    statements: &Statements,
    user: UserId,
    rooms: &[RoomId],
) -> Result<Vec<Standing>, sqlx::Error> {
    let mut all = Vec::with_capacity(rooms.len());
    for (text, piece) in statements.standings.pieces(rooms) {
        let ids = piece.iter().map(|room| room.uuid().into_bytes().into());
        let values: Vec<_> = std::iter::once(id(user)).chain(ids).collect();
        let rows = sql.select(text, &values).await?;
        let piece: Vec<(RoomKey, Standing)> = rows::read_all(rows, StandingRow::read)?;
        all.extend(piece);
    }
    let lasts: Vec<_> = all.iter().map(|(room, standing)| (*room, standing.cursor.seq)).collect();
    let alone: Vec<_> = lasts.iter().map(|(room, seq)| Between::last(*room, *seq)).collect();
    let mut messages = statements.read_between(sql, &alone).await?;
    let mut threads = statements.read_told(sql, &lasts).await?;
    let complete = |(room, standing): (RoomKey, Standing)| {
        let last = messages.remove(&room).and_then(|mut messages| messages.pop());
        let thread = threads.remove(&(room, standing.cursor.seq));
        let last = last.map(|last| Arc::new(Message { thread, ..last }));
        Standing { last, ..standing }
    };
    Ok(all.into_iter().map(complete).collect())
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
