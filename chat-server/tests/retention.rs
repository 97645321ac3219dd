//! What is removed and what stays, in both databases: old messages by their age and by their number,
//! and deleted rooms.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod store_support;

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Batch, BatchOutcome, Behind, Body, ClientKey, Cursor, Draft, Engine, Event, HistoryAt,
    HistoryQuery, Kind, Limits, LoadedRoom, Membership, Name, NewRoom, Outcome, Role, RoomId,
    RoomInfo, Sent, Text, Timestamp, Title, User, UserId, Write,
};
use chat_server::store::{MySqlOptions, MySqlStore, Retention, SqlStore};
use database::Database;
use store_support::{Home, append};

const DAY: Duration = Duration::from_secs(86_400);

/// The start of a day, counted from some day.
fn day(number: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_767_312_000_000 + number * 86_400_000).unwrap()
}

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

async fn open_room(store: &dyn SqlStore, ann: &User) -> LoadedRoom {
    let title = Some(Title::new("a room").unwrap());
    let info = RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created: day(0),
        parent: None,
    };
    let owner = Membership { user: ann.clone(), role: Role::Owner };
    store.create_room(&info, &[owner], None).await.unwrap();
    load(store, info.id).await
}

async fn load(store: &dyn SqlStore, id: RoomId) -> LoadedRoom {
    store.load_room(id, 10).await.unwrap().unwrap()
}

fn keyed(from: &User, n: u64, at: Timestamp) -> Write {
    let text = format!("message {n}");
    let fingerprint = Draft::text(text.as_str()).unwrap().fingerprint();
    let key = Some((ClientKey::new(format!("key {n}")).unwrap(), fingerprint));
    Write::Message { from: from.clone(), body: Body::text(Text::new(text).unwrap()), at, key }
}

/// Appends messages, so many a day.
async fn write(store: &dyn SqlStore, room: &LoadedRoom, from: &User, days: i64, a_day: u64) {
    let mut end = room.end;
    for today in 0..days {
        let numbers = end.seq + 1..=end.seq + a_day;
        let writes: Vec<_> = numbers.map(|n| keyed(from, n, day(today))).collect();
        append(store, room, end, &writes).await;
        end.seq += a_day;
    }
}

async fn seqs(store: &dyn SqlStore, room: &LoadedRoom) -> Vec<u64> {
    let messages = store.messages(room.key, 0, u64::MAX >> 1).await.unwrap();
    messages.iter().map(|message| message.seq).collect()
}

async fn old_messages_go(store: &dyn SqlStore) {
    let ann = user("Ann");
    let (big, small, empty) =
        (open_room(store, &ann).await, open_room(store, &ann).await, open_room(store, &ann).await);
    write(store, &big, &ann, 5, 1_300).await;
    write(store, &small, &ann, 5, 2).await;

    // Nothing is set, or nothing is old.
    assert_eq!(store.remove_old(Retention::default(), day(9)).await.unwrap(), 0);
    let keep = |age: u32, messages: Option<u64>| Retention { age: Some(DAY * age), messages };
    assert_eq!(store.remove_old(keep(4, None), day(4)).await.unwrap(), 0);
    // By age: what is two days old stays.
    assert_eq!(store.remove_old(keep(2, None), day(4)).await.unwrap(), 2 * 1_302);
    assert_eq!(seqs(store, &small).await, (5..=10).collect::<Vec<_>>());
    assert_eq!(seqs(store, &big).await, (2_601..=6_500).collect::<Vec<_>>());
    // By number, but nothing of the last day: its keys are to be known still.
    let newest = Retention { age: None, messages: Some(5) };
    assert_eq!(store.remove_old(newest, day(4)).await.unwrap(), 1_300 + 1);
    assert_eq!(seqs(store, &big).await, (3_901..=6_500).collect::<Vec<_>>());
    assert_eq!(store.remove_old(newest, day(5)).await.unwrap(), 1_300);
    let (again, after) = (vec![keyed(&ann, 5_201, day(5))], Cursor::new(6_500, 1));
    let again = Batch { room: big.key, after, may_follow: false, writes: again };
    let outcome = store.append(&[again]).await.unwrap().remove(0);
    let seen = Outcome::Seen(Sent { seq: 5_201, at: day(4) });
    assert_eq!(outcome, BatchOutcome::Done(vec![seen]));
    let a_day_after = day(5) + Duration::from_millis(1);
    assert_eq!(store.remove_old(newest, a_day_after).await.unwrap(), 1_295);
    assert_eq!(seqs(store, &big).await, (6_496..=6_500).collect::<Vec<_>>());
    assert_eq!(seqs(store, &small).await, [6, 7, 8, 9, 10]);
    let loaded = load(store, small.info.id).await;
    assert_eq!((loaded.end, loaded.removed), (Cursor::new(10, 1), 5));
    assert_eq!(loaded.messages.len(), 5);
    assert_eq!(store.stats().removed.rows, 2 * 1_302 + 3_896);

    // All of them: the room goes on counting, and forgets the keys.
    assert_eq!(store.remove_old(keep(1, None), day(99)).await.unwrap(), 10);
    let loaded = load(store, small.info.id).await;
    assert_eq!((loaded.end, loaded.removed), (Cursor::new(10, 1), 10));
    let again = vec![keyed(&ann, 10, day(100))];
    let batch = Batch { room: small.key, after: loaded.end, may_follow: false, writes: again };
    let outcome = store.append(std::slice::from_ref(&batch)).await.unwrap().remove(0);
    assert_eq!(outcome, BatchOutcome::Done(vec![Outcome::Stored(Cursor::new(11, 1))]));
    let after = Batch { after: Cursor::new(11, 1), ..batch };
    let outcome = store.append(&[after]).await.unwrap().remove(0);
    let seen = Outcome::Seen(Sent { seq: 11, at: day(100) });
    assert_eq!(outcome, BatchOutcome::Done(vec![seen]));
    assert_eq!(load(store, empty.info.id).await.end, Cursor::new(0, 1));
}

async fn a_deleted_room_leaves_nothing(store: &dyn SqlStore) -> LoadedRoom {
    let ann = user("Ann");
    let (gone, stays) = (open_room(store, &ann).await, open_room(store, &ann).await);
    write(store, &gone, &ann, 3, 1_200).await;
    write(store, &stays, &ann, 1, 3).await;
    let mut joins = Vec::new();
    for n in 0..1_100 {
        let membership = Membership { user: user(&format!("guest {n}")), role: Role::Member };
        let invited = chat_core::ChangeKind::Invited(Membership {
            user: user("invited"),
            role: Role::Member,
        });
        let member = |name| Membership { user: user(name), role: Role::Member };
        let banned = chat_core::ChangeKind::Banned(member("banned"), Some(day(9)));
        let muted = chat_core::ChangeKind::Muted(member("muted"), None);
        for kind in [chat_core::ChangeKind::Joined(membership), invited, banned, muted] {
            joins.push(Write::Change { kind, by: None, at: day(3), key: None });
        }
    }
    append(store, &gone, Cursor::new(3_600, 1), &joins).await;
    store.delete_room(gone.key).await.unwrap();
    assert_eq!(store.stats().removed.rows, 3_600 + 4_401 + 2 * 1_101 + 1_100 + 2_200 + 1);
    assert_eq!(store.stats().removed.rooms_left, 0);
    assert_eq!(seqs(store, &stays).await, [1, 2, 3]);
    gone
}

/// Pages stop where messages begin, and a page from before that goes on there.
async fn history_begins_where_messages_do(store: impl SqlStore + Clone) {
    let ann = user("Ann");
    let start = |store| Engine::builder().store(store).threads(2).start().unwrap();
    let engine = start(store.clone());
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap().id();
    for n in 0..1_000 {
        let draft = Draft::text(format!("message {n}")).unwrap();
        engine.room(room).send(&ann, draft).await.unwrap();
    }
    let newest = Retention { age: None, messages: Some(600) };
    let page = async |engine: &Engine, at| {
        let query = HistoryQuery { at, limit: 100 };
        let page = engine.room(room).history(&ann, query).await.unwrap();
        let (first, last) = (page.messages.first(), page.messages.last());
        let range = first.zip(last).map(|(first, last)| (first.seq, last.seq));
        (range, page.more_before, page.more_after)
    };
    assert_eq!(page(&engine, HistoryAt::Before(451)).await, (Some((351, 450)), true, true));
    // What was sent just now is old by then.
    store.remove_old(newest, day(36_500)).await.unwrap();
    // The room has not heard of it, and finds out.
    assert_eq!(page(&engine, HistoryAt::Before(451)).await, (Some((401, 450)), false, true));
    assert_eq!(page(&engine, HistoryAt::Before(301)).await, (None, false, true));
    assert_eq!(page(&engine, HistoryAt::After(0)).await, (Some((401, 500)), false, true));
    assert_eq!(page(&engine, HistoryAt::Around(2)).await, (Some((401, 500)), false, true));
    // More has gone than a page holds, so whoever pages on from the beginning would find nothing.
    let newer = Retention { age: None, messages: Some(450) };
    store.remove_old(newer, day(36_500)).await.unwrap();
    assert_eq!(page(&engine, HistoryAt::After(0)).await, (Some((551, 650)), false, true));
    let newest = Retention { age: None, messages: Some(300) };
    store.remove_old(newest, day(36_500)).await.unwrap();
    assert_eq!(page(&engine, HistoryAt::Around(2)).await, (Some((701, 800)), false, true));
    engine.stop().await;
    // One that loads it now knows from the beginning.
    let engine = start(store);
    assert_eq!(page(&engine, HistoryAt::After(7)).await, (Some((701, 800)), false, true));
    let joined = engine.room(room).join(&ann, After::Cursor(Cursor::new(10, 1))).await.unwrap();
    assert_eq!(joined.messages.last().unwrap().seq, 1_000);
    engine.stop().await;
}

/// Waits until an engine that has just been started has asked for what every one asks for then.
async fn looks_around(engine: &Engine) {
    let wait = async {
        while engine.stats().store.reads == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
}

/// Who has missed what is not there any more begins anew, whether the room has noticed or not; who has missed
/// nothing of it does not.
async fn who_has_missed_what_is_gone_begins_anew(store: impl SqlStore + Clone) {
    let (ann, far) = (user("Ann"), day(3_650));
    let start = |kept_bytes| {
        let limits = Limits { kept_bytes, ..Limits::default() };
        Engine::builder().store(store.clone()).limits(limits).threads(2).start().unwrap()
    };
    let engine = start(usize::MAX);
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap().id();
    for n in 0..1_000 {
        let draft = Draft::text(format!("message {n}")).unwrap();
        engine.room(room).send(&ann, draft).await.unwrap();
    }
    // Whether it begins anew, what is to be paged through, the first message, and the last.
    let back = async |engine: &Engine, seq: u64| {
        let after = After::Cursor(Cursor::new(seq, 1));
        let joined = engine.room(room).join(&ann, after).await.unwrap();
        assert_eq!(joined.messages.last().unwrap().seq, 1_000);
        let behind = joined.behind.map(|Behind { after, until }| (after, until));
        (joined.reset, behind, joined.messages.first().unwrap().seq)
    };
    let keep = async |newest| {
        let kept = Retention { age: None, messages: Some(newest) };
        store.remove_old(kept, far).await.unwrap();
    };
    assert_eq!(back(&engine, 10).await, (false, Some((10, 800)), 801));
    keep(600).await;
    engine.stop().await;
    for kept_bytes in [usize::MAX, 40] {
        let engine = start(kept_bytes);
        assert_eq!(back(&engine, 10).await, (true, None, 951));
        assert_eq!(back(&engine, 399).await, (true, None, 951));
        assert_eq!(back(&engine, 400).await, (false, Some((400, 800)), 801));
        engine.stop().await;
    }
    let (engine, forgetful) = (start(usize::MAX), start(40));
    let reads = |engine: &Engine| engine.stats().store.reads;
    for engine in [&engine, &forgetful] {
        looks_around(engine).await;
    }
    for engine in [&engine, &forgetful] {
        assert_eq!(back(engine, 850).await, (false, None, 851));
    }
    keep(100).await;
    // Memory still has it in one, and none has been told.
    assert_eq!(back(&engine, 850).await, (false, None, 851));
    for engine in [&engine, &forgetful] {
        assert_eq!(back(engine, 700).await, (true, None, 951));
    }
    // From then on the room knows, whoever else comes.
    let before = reads(&engine);
    for seq in 690..720 {
        assert_eq!(back(&engine, seq).await, (true, None, 951));
    }
    assert_eq!(reads(&engine), before, "nobody is looked up");
    assert_eq!(back(&forgetful, 850).await, (true, None, 951));
    assert_eq!(back(&forgetful, 900).await, (false, None, 901));
    engine.stop().await;
    forgetful.stop().await;
}

/// What another process has written is removed before this one has heard of it: whoever listens is told where to go
/// on, and hears nothing more until it does.
async fn what_was_never_heard_is_come_back_for(store: impl SqlStore + Clone) {
    let ann = user("Ann");
    let engine = Engine::builder().store(store.clone()).threads(2).start().unwrap();
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap();
    let mut ear = Probe::join(&engine, user("Bob"), room.id()).await.unwrap();
    room.send(&ann, Draft::text("first").unwrap()).await.unwrap();
    let loaded = load(&store, room.id()).await;
    let writes = (2..=6).map(|n| keyed(&ann, n, day(0))).collect();
    let batch = Batch { room: loaded.key, after: loaded.end, may_follow: false, writes };
    store.append(&[batch]).await.unwrap();
    let newest = Retention { age: None, messages: Some(1) };
    assert_eq!(store.remove_old(newest, day(36_500)).await.unwrap(), 5);
    // The first try finds that something is missing.
    let draft = Draft::text("last").unwrap().key("last").unwrap();
    let sent = match room.send(&ann, draft.clone()).await {
        Ok(sent) => sent,
        Err(_) => room.send(&ann, draft).await.unwrap(),
    };
    assert_eq!(sent.seq, 7);
    let after = ear.find(|event| match event {
        Event::Behind { after, .. } => Some(After::Cursor(*after)),
        _ => None,
    });
    let after = after.await;
    let joined = ear.session.join(room.id(), after).await.unwrap();
    let seqs: Vec<_> = joined.messages.iter().map(|message| message.seq).collect();
    assert_eq!((seqs, joined.cursor.seq), (vec![6, 7], 7));
    room.send(&ann, Draft::text("again").unwrap()).await.unwrap();
    assert_eq!(ear.message().await, (8, "again".to_owned()), "the next thing that it hears");
    engine.stop().await;
}

macro_rules! in_both {
    ($($case:ident: $sqlite:ident, $mariadb:ident;)*) => {$(
        #[tokio::test]
        async fn $sqlite() {
            let home = Home::new();
            $case(&home.open().await).await;
        }

        #[tokio::test]
        async fn $mariadb() {
            let database = Database::new().await;
            $case(&MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap()).await;
        }
    )*};
}

in_both! {
    old_messages_go: old_messages_go_from_sqlite, old_messages_go_from_mariadb;
}

#[tokio::test]
async fn history_begins_where_messages_do_in_sqlite() {
    let home = Home::new();
    history_begins_where_messages_do(home.open().await).await;
}

#[tokio::test]
async fn who_has_missed_what_is_gone_begins_anew_in_sqlite() {
    let home = Home::new();
    who_has_missed_what_is_gone_begins_anew(home.open().await).await;
}

#[tokio::test]
async fn who_has_missed_what_is_gone_begins_anew_in_mariadb() {
    let database = Database::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    who_has_missed_what_is_gone_begins_anew(store).await;
}

#[tokio::test]
async fn what_was_never_heard_is_come_back_for_in_sqlite() {
    let home = Home::new();
    what_was_never_heard_is_come_back_for(home.open().await).await;
}

#[tokio::test]
async fn what_was_never_heard_is_come_back_for_in_mariadb() {
    let database = Database::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    what_was_never_heard_is_come_back_for(store).await;
}

#[tokio::test]
async fn history_begins_where_messages_do_in_mariadb() {
    let database = Database::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    history_begins_where_messages_do(store).await;
}

/// How many rows of the room each table has.
const LEFT: &str = "SELECT \
    (SELECT COUNT(*) FROM messages WHERE room = ?) + (SELECT COUNT(*) FROM changes WHERE room = ?) \
    + (SELECT COUNT(*) FROM members WHERE room = ?) \
    + (SELECT COUNT(*) FROM invitations WHERE room = ?) \
    + (SELECT COUNT(*) FROM restrictions WHERE room = ?) \
    + (SELECT COUNT(*) FROM rooms WHERE id = ?)";

#[tokio::test]
async fn a_deleted_room_leaves_nothing_in_sqlite() {
    let home = Home::new();
    let room = a_deleted_room_leaves_nothing(&home.open().await).await.key.0;
    let file = format!("sqlite:{}", home.path().display());
    let mut connection =
        <sqlx::SqliteConnection as sqlx::Connection>::connect(&file).await.unwrap();
    let query = (0..6).fold(sqlx::query_scalar(LEFT), |query, _| query.bind(room));
    let left: i64 = query.fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_deleted_room_leaves_nothing_in_mariadb() {
    let database = Database::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    let room = a_deleted_room_leaves_nothing(&store).await.key.0;
    let query = (0..6).fold(sqlx::query_scalar(LEFT), |query, _| query.bind(room));
    let left: i64 = query.fetch_one(&mut database.connect().await).await.unwrap();
    assert_eq!(left, 0);
}
