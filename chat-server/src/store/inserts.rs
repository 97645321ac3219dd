//! Writes a commit's rows with as few statements as their number allows: each is one way to the
//! database and back.

use std::collections::{BTreeMap, HashMap};

use chat_core::{
    Batch, ChangeKind, ClientKey, Cursor, Edit, Fingerprint, MarkCount, Marking, Membership,
    Message, Name, Parent, RoomId, RoomInfo, RoomKey, Thread, Timestamp, UserId, Write,
};

use sqlx::SqlStr;
use uuid::Uuid;

use super::background::END_ROOM;
use super::plan::{
    Amend, Between, Kept, Keys, NewChange, NewKey, NewMessage, Rows, What, doer, packed,
};
use super::rows::{BetweenRow, CountRow, KeyRow, ToldRow, Unreadable, UsedKeyRow, signed};
use super::selects;
use super::sql::{Sql, Value, id, ms, uuid};
use super::statement::ManyRows;
use super::statements::Statements;

const INSERT_ROOM: SqlStr = SqlStr::from_static(
    "INSERT INTO rooms (public_id, title, title_folded, kind, ephemeral, created_ms, pair) \
     VALUES (?, ?, ?, ?, ?, ?, ?)",
);

/// Nothing of the room is in the index of the search. Parameter: room.
const BEGIN_SEARCH: SqlStr = SqlStr::from_static("INSERT INTO search_progress (room) VALUES (?)");

/// What a room's owner has set. Parameters: who invites, seconds of slow mode, read-only, room.
const CONFIGURE: SqlStr =
    SqlStr::from_static("UPDATE rooms SET invite = ?, slow_s = ?, read_only = ? WHERE id = ?");

/// Keeps what a message says before it is edited. Parameters: number of the change, room, seq.
const KEEP_REVISION: SqlStr = SqlStr::from_static(
    "INSERT INTO revisions (room, seq, number, text, at_ms) \
     SELECT room, seq, ?, text, COALESCE(edited_ms, at_ms) FROM messages \
     WHERE room = ? AND seq = ? AND deleted = 0",
);

/// Lets a message say something else. Parameters: text, mentions, when, room, seq.
const EDIT: SqlStr = SqlStr::from_static(
    "UPDATE messages SET text = ?, mentions = ?, edited_ms = ? \
     WHERE room = ? AND seq = ? AND deleted = 0",
);

/// What is left of a message. Parameters: room, seq.
const DELETE: SqlStr = SqlStr::from_static(
    "UPDATE messages SET text = '', mentions = NULL, files = NULL, edited_ms = NULL, deleted = 1 \
     WHERE room = ? AND seq = ?",
);

/// Parameters: room, seq.
const FORGET_REVISIONS: SqlStr =
    SqlStr::from_static("DELETE FROM revisions WHERE room = ? AND seq = ?");

/// A message that is not deleted. Parameters: room, seq.
const CAN_BE_MARKED: SqlStr =
    SqlStr::from_static("SELECT seq FROM messages WHERE room = ? AND seq = ? AND deleted = 0");

/// Parameters: room, seq.
const FORGET_MARKS: SqlStr = SqlStr::from_static("DELETE FROM marks WHERE room = ? AND seq = ?");

/// A thread has come to this, unless the room has been told of something later. Parameters: replies; seq and author
/// of the last one, and when it was written, twice; how far the thread had come: message, change; room, seq;
/// message and change again.
const TELL_THREAD: SqlStr = SqlStr::from_static(
    "UPDATE threads SET replies = ?, last_seq = ?, last_user = ?, last_ms = ?, \
        at_ms = COALESCE(?, (SELECT created_ms FROM rooms WHERE rooms.id = threads.thread)), \
        told_seq = ?, told_change = ? \
     WHERE room = ? AND seq = ? AND (told_seq IS NULL OR (told_seq <= ? AND told_change <= ?))",
);

/// Notes the message that a thread is on. Parameters: seq, the thread's room, when, public id of the message's
/// room.
const INSERT_THREAD: SqlStr = SqlStr::from_static(
    "INSERT INTO threads (room, seq, thread, at_ms) \
     SELECT id, ?, ?, ? FROM rooms WHERE public_id = ? AND ended = 0",
);

/// The room is no thread on any message any more. Parameter: room.
const FORGET_THREAD: SqlStr = SqlStr::from_static("DELETE FROM threads WHERE thread = ?");

impl Statements {
    /// Whether the rows are written by one statement.
    pub(super) fn is_one(&self, rows: &Rows<'_>) -> bool {
        rows.changes.is_empty()
            && rows.keys.is_empty()
            && rows.reads.is_empty()
            && self.messages.pieces(&rows.messages).count() == 1
    }

    /// Writes all rows. The names that they refer to must be there.
    pub(super) async fn insert(
        &self,
        sql: &mut impl Sql,
        rows: &Rows<'_>,
    ) -> Result<(), sqlx::Error> {
        execute(sql, &self.messages, &rows.messages, put_message).await?;
        execute(sql, &self.used, &rows.keys, put_used).await?;
        if rows.changes.is_empty() {
            return self.insert_reads(sql, rows).await;
        }
        self.insert_changes(sql, &rows.changes).await?;
        self.amend(sql, &rows.amends).await?;
        let members = rows.members.iter();
        let joined: Vec<_> =
            members.clone().filter_map(|(member, role)| Some((member, (*role)?))).collect();
        execute(sql, &self.joined, &joined, |values, ((room, user), role)| {
            values.extend([
                Value::from(room.0),
                user.uuid().into_bytes().into(),
                role.as_str().into(),
            ]);
        })
        .await?;
        let left: Vec<_> =
            members.filter(|(_, role)| role.is_none()).map(|(member, _)| member).collect();
        execute(sql, &self.left, &left, put_member).await?;
        execute(sql, &self.unread, &left, put_member).await?;
        self.insert_reads(sql, rows).await?;
        let invitations = rows.invited.iter();
        let (invited, came): (Vec<_>, Vec<_>) = invitations.partition(|(_, invited)| **invited);
        for (statement, users) in [(&self.invited, invited), (&self.came, came)] {
            let users: Vec<_> = users.into_iter().map(|(user, _)| user).collect();
            execute(sql, statement, &users, put_member).await?;
        }
        self.insert_moderation(sql, rows).await
    }

    async fn insert_reads(&self, sql: &mut impl Sql, rows: &Rows<'_>) -> Result<(), sqlx::Error> {
        // In the order of their keys, in which everybody locks them.
        let reads: Vec<_> = rows.reads.iter().collect();
        execute(sql, &self.read, &reads, |values, ((room, user), seq)| {
            values.extend([Value::from(*room), id(*user), signed(**seq).into()]);
        })
        .await
    }

    async fn insert_moderation(
        &self,
        sql: &mut impl Sql,
        rows: &Rows<'_>,
    ) -> Result<(), sqlx::Error> {
        let restrictions = rows.restrictions.iter();
        let restricted: Vec<_> =
            restrictions.clone().filter_map(|(kept, until)| Some((kept, (*until)?))).collect();
        execute(sql, &self.restricted, &restricted, |values, (kept, until)| {
            put_kept(values, kept);
            values.push(millis(*until).into());
        })
        .await?;
        let lifted: Vec<_> =
            restrictions.filter(|(_, until)| until.is_none()).map(|(kept, _)| kept).collect();
        execute(sql, &self.lifted, &lifted, |values, kept| put_kept(values, kept)).await?;
        for (room, settings) in &rows.settings {
            let values = [
                settings.invite.as_str().into(),
                i64::from(settings.slow_s).into(),
                i64::from(settings.read_only).into(),
                room.0.into(),
            ];
            sql.execute(CONFIGURE, &values).await?;
        }
        Ok(())
    }

    /// Changes messages, in order.
    async fn amend(&self, sql: &mut impl Sql, amends: &[Amend<'_>]) -> Result<(), sqlx::Error> {
        for amended in amends {
            let Amend { room, seq, what, number, at } = amended;
            let (room, seq) = (Value::from(room.0), Value::from(signed(*seq)));
            match what {
                What::Edited(Edit { text, mentions }) => {
                    sql.execute(KEEP_REVISION, &[signed(*number).into(), room, seq]).await?;
                    let mentions = packed(mentions.iter().map(|user| user.uuid()));
                    let mentions = mentions.as_deref().map_or(Value::Null, Value::Bytes);
                    sql.execute(EDIT, &[Value::Text(text), mentions, ms(*at), room, seq]).await?;
                }
                What::Deleted => {
                    sql.execute(DELETE, &[room, seq]).await?;
                    sql.execute(FORGET_REVISIONS, &[room, seq]).await?;
                    sql.execute(FORGET_MARKS, &[room, seq]).await?;
                }
                What::Marked(markings) => {
                    self.mark(sql, (amended.room, amended.seq), markings).await?;
                }
                What::Thread(Thread { replies, last, upto, .. }) => {
                    let last = last.as_ref();
                    let at = last.map(|last| last.at.timestamp_millis());
                    let upto = [upto.seq, upto.change].map(|number| Value::from(signed(number)));
                    let values = [
                        signed(*replies).into(),
                        last.map(|last| signed(last.seq)).into(),
                        last.map_or(Value::Null, |last| id(last.from.id)),
                        at.into(),
                        at.into(),
                        upto[0],
                        upto[1],
                        room,
                        seq,
                        upto[0],
                        upto[1],
                    ];
                    sql.execute(TELL_THREAD, &values).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives a message marks, and takes them back, as it ends up; unless it is deleted.
    async fn mark(
        &self,
        sql: &mut impl Sql,
        (room, seq): (RoomKey, u64),
        markings: &[Marking],
    ) -> Result<(), sqlx::Error> {
        let there = [room.0, signed(seq)].map(Value::Number);
        if sql.select::<(i64,)>(CAN_BE_MARKED, &there).await?.is_empty() {
            return Ok(());
        }
        let last: BTreeMap<_, _> =
            markings.iter().map(|one| ((&*one.mark, one.user), one.on)).collect();
        let (on, off): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, on)| *on);
        for (statement, rows) in [(&self.marked, on), (&self.unmarked, off)] {
            execute(sql, statement, &rows, |values, ((mark, user), _)| {
                let mark = Value::Bytes(mark.as_bytes());
                values.extend([room.0.into(), signed(seq).into(), mark, id(*user)]);
            })
            .await?;
        }
        Ok(())
    }

    /// From here on nobody sees the room and its threads. Answers whether there is such a room, and which threads.
    pub(super) async fn end(
        &self,
        sql: &mut impl Sql,
        room: RoomKey,
    ) -> Result<(bool, Vec<RoomKey>), sqlx::Error> {
        let threads: Vec<(i64,)> = sql.select(selects::ITS_THREADS, &[room.0.into()]).await?;
        let threads: Vec<_> = threads.into_iter().map(|(thread,)| RoomKey(thread)).collect();
        execute(sql, &self.ended, &threads, |values, thread| values.push(thread.0.into())).await?;
        let done = sql.execute(END_ROOM, &[room.0.into()]).await?;
        sql.execute(FORGET_THREAD, &[room.0.into()]).await?;
        Ok((done.rows > 0, threads))
    }

    /// Writes names.
    pub(super) async fn insert_names(
        &self,
        sql: &mut impl Sql,
        names: &[(UserId, &Name)],
    ) -> Result<(), sqlx::Error> {
        execute(sql, &self.users, names, |values, (id, name)| {
            values.extend([id.uuid().into_bytes().into(), Value::Text(name)]);
        })
        .await
    }

    async fn insert_changes(
        &self,
        sql: &mut impl Sql,
        changes: &[NewChange],
    ) -> Result<(), sqlx::Error> {
        execute(sql, &self.changes, changes, |values, new| {
            let membership = new.change.kind.membership();
            let settings = new.change.kind.settings();
            values.extend([
                Value::from(new.room.0),
                signed(new.change.cursor.change).into(),
                signed(new.change.cursor.seq).into(),
                new.change.kind.as_str().into(),
                membership.user.id.uuid().into_bytes().into(),
                membership.role.as_str().into(),
                new.change.at.timestamp_millis().into(),
                new.change.by.as_ref().map(|by| by.id.uuid().into_bytes()).into(),
                millis(new.change.kind.until()).into(),
                settings.map(|settings| settings.invite.as_str()).into(),
                settings.map(|settings| i64::from(settings.slow_s)).into(),
                settings.map(|settings| i64::from(settings.read_only)).into(),
                new.change.kind.seq().map(signed).into(),
            ]);
        })
        .await?;
        let mut last: Vec<_> =
            changes.iter().map(|new| (new.room, new.change.cursor.change)).collect();
        last.sort_unstable_by_key(|(room, number)| (room.0, std::cmp::Reverse(*number)));
        last.dedup_by_key(|(room, _)| *room);
        for (text, piece) in self.last_changes.pieces(&last) {
            let numbers = piece.iter().flat_map(|(room, number)| [room.0, signed(*number)]);
            let rooms = piece.iter().map(|(room, _)| room.0);
            let values: Vec<_> = numbers.chain(rooms).map(Value::Number).collect();
            sql.execute(text, &values).await?;
        }
        Ok(())
    }

    /// What has one of the batches' keys already.
    pub(super) async fn find_keys(
        &self,
        sql: &mut impl Sql,
        batches: &[Batch],
    ) -> Result<FoundKeys, sqlx::Error> {
        let writes =
            batches.iter().flat_map(|batch| batch.writes.iter().map(|write| (batch.room, write)));
        let mut keys = Vec::new();
        for (room, write) in writes {
            match write {
                Write::Message { from, key: Some((key, _)), .. } => keys.push((room, from.id, key)),
                Write::Change { kind, by, key: Some((key, _)), .. } => {
                    keys.push((room, doer(kind, by.as_ref()), key));
                }
                Write::Key { user, key, .. } => keys.push((room, *user, key)),
                Write::Marks { markings, .. } => {
                    let used =
                        markings.iter().filter_map(|one| Some((one.user, &one.key.as_ref()?.0)));
                    keys.extend(used.map(|(user, key)| (room, user, key)));
                }
                Write::Message { .. } | Write::Change { .. } | Write::Read(_) => {}
            }
        }
        let (mut messages, mut others) = (Vec::new(), Vec::new());
        for (text, keys) in self.keys.pieces(&keys) {
            messages.append(&mut sql.select(text, &key_values(keys)).await?);
        }
        for (text, keys) in self.used_keys.pieces(&keys) {
            others.append(&mut sql.select(text, &key_values(keys)).await?);
        }
        Ok(FoundKeys { messages, others })
    }
}

/// Rows of what has taken keys.
#[derive(Default)]
pub(super) struct FoundKeys {
    messages: Vec<KeyRow>,
    others: Vec<UsedKeyRow>,
}

impl FoundKeys {
    /// What they say.
    pub(super) fn read(&self) -> Result<Keys<'_>, Unreadable> {
        let messages = self.messages.iter().map(KeyRow::read);
        messages.chain(self.others.iter().map(UsedKeyRow::read)).collect()
    }
}

fn key_values<'k>(keys: &[(RoomKey, UserId, &'k ClientKey)]) -> Vec<Value<'k>> {
    let values = keys.iter().flat_map(|(room, user, key)| {
        [room.0.into(), id(*user), Value::Bytes(key.as_str().as_bytes())]
    });
    values.collect()
}

/// Whether a batch has a key that is not a message's: no index keeps these apart from the keys of messages.
pub(super) fn has_other_keys(batches: &[Batch]) -> bool {
    let mut writes = batches.iter().flat_map(|batch| &batch.writes);
    writes.any(|write| match write {
        Write::Change { key, .. } => key.is_some(),
        Write::Marks { markings, .. } => markings.iter().any(|marking| marking.key.is_some()),
        Write::Key { .. } => true,
        Write::Message { .. } | Write::Read(_) => false,
    })
}

impl Statements {
    /// What others have written to these rooms.
    pub(super) async fn read_between(
        &self,
        sql: &mut impl Sql,
        between: &[Between],
    ) -> Result<HashMap<RoomKey, Vec<Message>>, sqlx::Error> {
        let mut read = HashMap::<_, Vec<_>>::with_capacity(between.len());
        for (text, piece) in self.between.pieces(between) {
            let values: Vec<_> = piece
                .iter()
                .flat_map(|range| [range.room.0, signed(range.after), signed(range.until)])
                .map(Value::Number)
                .collect();
            for row in sql.select::<BetweenRow>(text, &values).await? {
                let (room, message) = row.read()?;
                read.entry(room).or_default().push(message);
            }
        }
        Ok(read)
    }
}

impl Statements {
    /// What has been told of the threads on these messages.
    pub(super) async fn read_told(
        &self,
        sql: &mut impl Sql,
        messages: &[(RoomKey, u64)],
    ) -> Result<HashMap<(RoomKey, u64), Thread>, sqlx::Error> {
        let mut read = HashMap::new();
        for (text, piece) in self.told.pieces(messages) {
            let values = piece.iter().flat_map(|(room, seq)| [room.0, signed(*seq)]);
            let values: Vec<_> = values.map(Value::Number).collect();
            for row in sql.select::<ToldRow>(text, &values).await? {
                read.extend([row.read()?]);
            }
        }
        Ok(read)
    }

    /// How often each mark was given to these messages of a room.
    pub(super) async fn read_counts(
        &self,
        sql: &mut impl Sql,
        room: RoomKey,
        seqs: &[u64],
    ) -> Result<HashMap<u64, Vec<MarkCount>>, sqlx::Error> {
        let mut read = HashMap::<_, Vec<_>>::new();
        for (text, piece) in self.counts.pieces(seqs) {
            let numbers = piece.iter().map(|seq| signed(*seq));
            let values: Vec<_> =
                std::iter::once(room.0).chain(numbers).map(Value::Number).collect();
            for row in sql.select::<CountRow>(text, &values).await? {
                let (seq, count) = row.read()?;
                read.entry(seq).or_default().push(count);
            }
        }
        Ok(read)
    }
}

/// Keeps the key with which something is made. Parameters: key, what stands in place of a room, user, fingerprint,
/// public id, when.
const KEEP_MADE: SqlStr = SqlStr::from_static(
    "INSERT INTO used_keys (client_key, room, user, fingerprint, opened, at_ms) \
     VALUES (?, ?, ?, ?, ?, ?)",
);

/// What is made with a key outside of any room.
#[derive(Clone, Copy)]
pub(super) enum Making {
    /// A room.
    Room,
    /// A group of friends.
    Group,
}

impl Making {
    /// Where such keys are kept.
    pub(super) fn in_place_of_room(self) -> RoomKey {
        match self {
            Self::Room => RoomKey(0),
            Self::Group => RoomKey(-1),
        }
    }
}

/// Keeps the key with which somebody opens a room.
pub(super) async fn insert_opened(
    sql: &mut impl Sql,
    (room, at): (RoomId, Timestamp),
    key: (UserId, &(ClientKey, Fingerprint)),
) -> Result<(), sqlx::Error> {
    insert_made(sql, Making::Room, (room.uuid(), at), key).await
}

/// Keeps the key with which somebody makes something.
pub(super) async fn insert_made(
    sql: &mut impl Sql,
    making: Making,
    (made, at): (Uuid, Timestamp),
    (user, (key, fingerprint)): (UserId, &(ClientKey, Fingerprint)),
) -> Result<(), sqlx::Error> {
    let values = [
        Value::Bytes(key.as_str().as_bytes()),
        making.in_place_of_room().0.into(),
        id(user),
        fingerprint.0.into(),
        uuid(made),
        ms(at),
    ];
    sql.execute(KEEP_MADE, &values).await.map(drop)
}

/// Writes a room without anybody in it.
pub(super) async fn insert_room(
    sql: &mut impl Sql,
    info: &RoomInfo,
    pair: Option<&[u8]>,
) -> Result<RoomKey, sqlx::Error> {
    let title = info.title.as_deref().unwrap_or_default();
    let folded = title.to_lowercase();
    let values = [
        info.id.uuid().into_bytes().into(),
        title.into(),
        folded.as_str().into(),
        info.kind.as_str().into(),
        i64::from(info.ephemeral).into(),
        info.created.timestamp_millis().into(),
        pair.map_or(Value::Null, Value::Bytes),
    ];
    let room = RoomKey(sql.execute(INSERT_ROOM, &values).await?.id);
    sql.execute(BEGIN_SEARCH, &[room.0.into()]).await?;
    Ok(room)
}

/// Notes which message a new room is a thread on, if it is one.
pub(super) async fn insert_thread(
    sql: &mut impl Sql,
    info: &RoomInfo,
    room: RoomKey,
) -> Result<(), sqlx::Error> {
    let Some(Parent { room: parent, seq }) = info.parent else { return Ok(()) };
    let values =
        [signed(seq).into(), room.0.into(), ms(info.created), parent.uuid().into_bytes().into()];
    let done = sql.execute(INSERT_THREAD, &values).await?;
    // Without its parent's room there is no thread.
    if done.rows == 0 { Err(sqlx::Error::RowNotFound) } else { Ok(()) }
}

/// The first batch of a new room: its members join.
pub(super) fn first_batch(room: RoomKey, info: &RoomInfo, members: &[Membership]) -> Batch {
    let join = |membership: &Membership| {
        let kind = ChangeKind::Joined(membership.clone());
        Write::Change { kind, by: None, at: info.created, key: None }
    };
    let writes = members.iter().map(join).collect();
    Batch { room, after: Cursor::default(), may_follow: false, writes }
}

/// What stands for the two members of a direct room.
pub(super) fn pair_bytes(info: &RoomInfo, members: &[Membership]) -> Option<Vec<u8>> {
    let users = info.pair(members)?;
    Some(users.map(|user| user.uuid().into_bytes()).concat())
}

/// The columns of a message.
fn put_message<'m>(values: &mut Vec<Value<'m>>, message: &'m NewMessage<'_>) {
    let (key, fingerprint) = message.key.unzip();
    values.extend([
        Value::from(message.room.0),
        signed(message.seq).into(),
        message.from.id.uuid().into_bytes().into(),
        Value::Text(message.body.as_str()),
        message.at.timestamp_millis().into(),
        key.map_or(Value::Null, |key| Value::Bytes(key.as_str().as_bytes())),
        fingerprint.map(|fingerprint| fingerprint.0).into(),
        message.body.reply_to.map(signed).into(),
        message.mentions.as_deref().map_or(Value::Null, Value::Bytes),
        message.files.as_deref().map_or(Value::Null, Value::Bytes),
    ]);
}

fn put_used<'k>(values: &mut Vec<Value<'k>>, used: &'k NewKey<'_>) {
    values.extend([
        Value::Bytes(used.key.as_str().as_bytes()),
        used.room.0.into(),
        id(used.user),
        used.fingerprint.0.into(),
        Value::Null,
        ms(used.at),
    ]);
}

fn put_member(values: &mut Vec<Value<'_>>, (room, user): &&(RoomKey, UserId)) {
    values.extend([Value::from(room.0), user.uuid().into_bytes().into()]);
}

fn put_kept(values: &mut Vec<Value<'_>>, (room, user, kept): &(RoomKey, UserId, Kept)) {
    values.extend([Value::from(room.0), user.uuid().into_bytes().into(), kept.as_str().into()]);
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.timestamp_millis())
}

/// Executes a statement for all rows.
async fn execute<'r, T: Sync>(
    sql: &mut impl Sql,
    statement: &ManyRows,
    rows: &'r [T],
    put: impl Fn(&mut Vec<Value<'r>>, &'r T) + Send,
) -> Result<(), sqlx::Error> {
    let mut values = Vec::new();
    for (text, piece) in statement.pieces(rows) {
        values.clear();
        piece.iter().for_each(|row| put(&mut values, row));
        sql.execute(text, &values).await?;
    }
    Ok(())
}
