//! What the cases share: people, rooms and writes to put into a store, and comparisons that say
//! what differs.

use std::fmt::{Debug, Display};

use crate::clock::Timestamp;
use crate::command::Sent;
use crate::error::Error;
use crate::ids::{RoomId, UserId};
use crate::model::{
    Body, Change, ChangeKind, ClientKey, Cursor, Draft, Kind, Membership, Message, Name,
    Restriction, Role, RoomInfo, Text, Title, User,
};
use crate::store::{
    Batch, BatchOutcome, Listed, LoadedRoom, Outcome, RoomKey, RoomQuery, Store, StoreError, Write,
};
use crate::testkit::report::Stop;

pub(super) type Checked<T = ()> = Result<T, Stop>;

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(format!("the engine answered {}: {error}", error.code().as_str()))
    }
}

pub(super) fn failed<T>(what: impl Into<String>) -> Checked<T> {
    Err(Stop::Failed(what.into()))
}

/// The home cannot do what the case needs.
pub(super) fn cannot_refuse() -> Stop {
    Stop::Skipped("this home can refuse nothing".to_owned())
}

pub(super) fn check(holds: bool, what: impl Display) -> Checked {
    if holds { Ok(()) } else { failed(format!("it does not hold that {what}")) }
}

/// Compares one value.
#[allow(clippy::needless_pass_by_value, reason = "most callers have a value, and no name for it")]
pub(super) fn same<T: PartialEq + Debug>(what: impl Display, actual: T, expected: T) -> Checked {
    if actual == expected {
        return Ok(());
    }
    failed(format!("{what}: expected {}, got {}", short(&expected), short(&actual)))
}

/// Compares lists, and names the first place where they differ.
pub(super) fn same_all<T: PartialEq + Debug>(
    what: impl Display,
    actual: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
) -> Checked {
    let (mut actual, mut expected) = (actual.into_iter(), expected.into_iter());
    for place in 1.. {
        match (actual.next(), expected.next()) {
            (None, None) => break,
            (Some(actual), Some(expected)) => {
                same(format_args!("{what}, number {place}"), actual, expected)?;
            }
            (Some(actual), None) => {
                return failed(format!("{what}: {} is too many", short(&actual)));
            }
            (None, Some(expected)) => {
                return failed(format!("{what}: {} is missing", short(&expected)));
            }
        }
    }
    Ok(())
}

/// The value's text, cut where it becomes tedious.
fn short(value: &impl Debug) -> String {
    const MOST: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} … ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// A moment, in milliseconds after another one.
pub(super) fn at(millis: i64) -> Timestamp {
    let time = Timestamp::from_timestamp_millis(1_767_323_045_000 + millis);
    time.expect("a moment near 2026 is in the calendar")
}

pub(super) fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).expect("the suite's names are short lines"))
}

pub(super) fn member(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Member }
}

pub(super) fn owner(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Owner }
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).expect("the suite's texts are not blank, and at most 4,000 characters")
}

/// An open room that is yet to be created.
pub(super) fn info(title: &str) -> RoomInfo {
    let title = Some(Title::new(title).expect("the suite's titles are short lines"));
    let (kind, created) = (Kind::Open, at(0));
    RoomInfo { id: RoomId::new(), title, kind, ephemeral: false, created, parent: None }
}

pub(super) fn private(title: &str) -> RoomInfo {
    RoomInfo { kind: Kind::Private, ..info(title) }
}

pub(super) fn direct() -> RoomInfo {
    RoomInfo { title: None, kind: Kind::Direct, ..info("none") }
}

pub(super) fn message_at(from: &User, said: &str, at: Timestamp) -> Write {
    Write::Message { from: from.clone(), body: Body::text(text(said)), at, key: None }
}

pub(super) fn message(from: &User, said: &str) -> Write {
    message_at(from, said, at(1))
}

pub(super) fn draft(said: &str, key: &str) -> Draft {
    let draft = Draft::text(text(said).to_string()).and_then(|draft| draft.key(key));
    draft.expect("the suite's keys have 1 to 64 characters")
}

pub(super) fn keyed_at(from: &User, said: &str, key: &str, at: Timestamp) -> Write {
    let fingerprint = draft(said, key).fingerprint();
    let key = ClientKey::new(key).expect("the suite's keys have 1 to 64 characters");
    Write::Message {
        from: from.clone(),
        body: Body::text(text(said)),
        at,
        key: Some((key, fingerprint)),
    }
}

/// A message with a client key.
pub(super) fn keyed(from: &User, said: &str, key: &str) -> Write {
    keyed_at(from, said, key, at(2))
}

pub(super) fn join(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Joined(member(user)), by: None, at: at(3), key: None }
}

pub(super) fn leave(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Left(member(user)), by: None, at: at(4), key: None }
}

pub(super) fn invite(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Invited(member(user)), by: None, at: at(5), key: None }
}

pub(super) fn cursor((seq, change): (u64, u64)) -> Cursor {
    Cursor::new(seq, change)
}

pub(super) fn batch(room: RoomKey, after: (u64, u64), writes: Vec<Write>) -> Batch {
    Batch { room, after: cursor(after), may_follow: false, writes }
}

pub(super) fn done(outcomes: impl IntoIterator<Item = Outcome>) -> BatchOutcome {
    BatchOutcome::Done(outcomes.into_iter().collect())
}

pub(super) fn stored(seq: u64, change: u64) -> Outcome {
    Outcome::Stored(Cursor::new(seq, change))
}

/// What a repeated [`keyed`] message is answered.
pub(super) fn seen(seq: u64) -> Outcome {
    Outcome::Seen(Sent { seq, at: at(2) })
}

/// A new room, which stands at 0.1.
pub(super) async fn open_room(store: &dyn Store, first: &User) -> Checked<LoadedRoom> {
    create(store, &info("a room"), &[owner(first)]).await
}

pub(super) async fn create(
    store: &dyn Store,
    info: &RoomInfo,
    members: &[Membership],
) -> Checked<LoadedRoom> {
    same("the id of a new room", store.create_room(info, members, None).await?, Some(info.id))?;
    load(store, info.id).await
}

pub(super) async fn open_rooms(
    store: &dyn Store,
    first: &User,
    count: usize,
) -> Checked<Vec<LoadedRoom>> {
    let mut rooms = Vec::new();
    for _ in 0..count {
        rooms.push(open_room(store, first).await?);
    }
    Ok(rooms)
}

/// A room with its last thousand messages and changes.
pub(super) async fn load(store: &dyn Store, room: RoomId) -> Checked<LoadedRoom> {
    match store.load_room(room, 1_000).await? {
        Some(room) => Ok(room),
        None => failed("load_room answers None for a room that is there"),
    }
}

/// Appends one batch.
pub(super) async fn append(
    store: &dyn Store,
    room: RoomKey,
    after: (u64, u64),
    writes: Vec<Write>,
) -> Checked<BatchOutcome> {
    match &mut store.append(&[batch(room, after, writes)]).await?[..] {
        [outcome] => Ok(outcome.clone()),
        outcomes => failed(format!("append answers {} outcomes for a batch", outcomes.len())),
    }
}

/// Appends one batch, which must go through as far as to here.
pub(super) async fn write(
    store: &dyn Store,
    room: RoomKey,
    after: (u64, u64),
    writes: Vec<Write>,
) -> Checked<Vec<Outcome>> {
    let count = writes.len();
    match append(store, room, after, writes).await? {
        BatchOutcome::Done(outcomes) if outcomes.len() == count => Ok(outcomes),
        other => failed(format!("expected {count} outcomes, got {}", short(&other))),
    }
}

/// Appends one batch wherever the room stands, however often somebody else is faster.
pub(super) async fn write_on(
    store: &dyn Store,
    room: &LoadedRoom,
    writes: Vec<Write>,
) -> Checked<Vec<Outcome>> {
    loop {
        let end = load(store, room.info.id).await?.end;
        // So that another writer comes between, if there is one.
        tokio::task::yield_now().await;
        match append(store, room.key, (end.seq, end.change), writes.clone()).await? {
            BatchOutcome::Done(outcomes) => return Ok(outcomes),
            BatchOutcome::Fenced => {}
            BatchOutcome::Followed { .. } => return failed("the batch was not to follow"),
            BatchOutcome::Gone => return failed("the room is gone"),
        }
    }
}

pub(super) async fn messages(store: &dyn Store, room: RoomKey) -> Checked<Vec<Message>> {
    Ok(store.messages(room, 0, u64::MAX).await?)
}

pub(super) async fn changes(store: &dyn Store, room: RoomKey) -> Checked<Vec<Change>> {
    Ok(store.changes(room, 0, usize::MAX).await?)
}

/// All messages of a room, which must be numbered 1, 2, 3 …: their texts.
pub(super) async fn texts(store: &dyn Store, room: RoomKey) -> Checked<Vec<String>> {
    let messages = messages(store, room).await?;
    same_all("the seq of messages", messages.iter().map(|message| message.seq), {
        1..=messages.len() as u64
    })?;
    Ok(messages.iter().map(|message| message.text().to_owned()).collect())
}

/// The room's messages have these texts, in this order, and numbers without a gap.
pub(super) async fn said<T: Display>(
    store: &dyn Store,
    room: RoomKey,
    expected: impl IntoIterator<Item = T>,
) -> Checked {
    let texts = texts(store, room).await?;
    same_all("the messages", texts, expected.into_iter().map(|text| text.to_string()))
}

/// The ids of a room's members, sorted, each with its role's text form.
pub(super) fn members_of(room: &LoadedRoom) -> Vec<(UserId, &'static str)> {
    let members = room.members.iter().map(|member| (member.user.id, member.role.as_str()));
    let mut members: Vec<_> = members.collect();
    members.sort_unstable();
    members
}

/// These memberships as [`members_of`] gives them.
pub(super) fn members<const N: usize>(members: [(&User, Role); N]) -> Vec<(UserId, &'static str)> {
    let mut members = members.map(|(user, role)| (user.id, role.as_str()));
    members.sort_unstable();
    members.to_vec()
}

/// Everything of a room that a commit could have touched, in a form that can be compared.
pub(super) async fn contents(store: &dyn Store, room: &LoadedRoom) -> Checked<String> {
    let loaded = load(store, room.info.id).await?;
    let mut invited: Vec<_> = loaded.invited.iter().map(|user| user.id).collect();
    invited.sort_unstable();
    let restricted = |restrictions: &[Restriction]| {
        let mut restricted: Vec<_> =
            restrictions.iter().map(|one| (one.user.id, one.until)).collect();
        restricted.sort_unstable();
        restricted
    };
    let (bans, mutes) = (restricted(&loaded.bans), restricted(&loaded.mutes));
    let (members, settings) = (members_of(&loaded), loaded.settings);
    let messages = messages(store, room.key).await?;
    let changes = changes(store, room.key).await?;
    let end = loaded.end;
    Ok(format!(
        "{end} {settings:?} {members:?} {invited:?} {bans:?} {mutes:?} {messages:?} {changes:?}"
    ))
}

/// All listed rooms.
pub(super) async fn listed(store: &dyn Store, title: &str) -> Checked<Vec<Listed>> {
    let query = RoomQuery { title: title.into(), after: None, limit: 1_000 };
    Ok(store.list_rooms(&query).await?)
}
