//! Two engines, as two processes would, on the same database and in the same rooms: both write, users
//! come and go through both, and the connections of one are ended by the server again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Batch, BatchOutcome, ChangeKind, Cursor, Draft, Engine, Event, Limits, Membership, Name,
    NewRoom, Outcome, Role, RoomId, Store, Timestamp, User, UserId, Write,
};
use chat_server::store::{Retention, SqlStore};
use sqlx::{AssertSqlSafe, MySqlConnection};

use crate::bare::{batch, room};
use crate::database::{Database, PATIENCE, connect};
use crate::house::{House, engine, open, user};
use crate::ledger::{Ledger, Voice};
use crate::load::Load;
use crate::stored::Stored;
use crate::{MARGIN, execute, random, until};

const DEADLINE: Duration = Duration::from_secs(10);

/// Comes and goes, by either engine and under one name or another.
async fn wander(engines: &[Engine; 2], rooms: &[RoomId], enough: &AtomicBool) {
    let me = UserId::new();
    let pick = |most: usize| random(u32::try_from(most).expect("a few")) as usize;
    while !enough.load(Ordering::Relaxed) {
        let name = Name::new(format!("wanderer {}", random(5))).expect("a good name");
        let me = User::new(me, name);
        let room = engines[pick(2)].room(rooms[pick(rooms.len())]);
        // Who wanders may be told that it is not where it believes to be.
        room.join(&me, After::Nothing).await.ok();
        engines[pick(2)].room(rooms[pick(rooms.len())]).leave(&me).await.ok();
    }
}

/// Ends one or all of the connections that this account has to a database.
async fn end_connections(connection: &mut MySqlConnection, database: &str, account: &str) {
    let ids = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = ? AND USER = ?";
    let ids = sqlx::query_scalar::<_, i64>(ids).bind(database).bind(account);
    let mut ids = ids.fetch_all(&mut *connection).await.expect("the connections");
    if random(2) == 0 && !ids.is_empty() {
        ids = vec![ids[random(u32::try_from(ids.len()).expect("a few")) as usize]];
    }
    for id in ids {
        // It may have gone by itself.
        sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut *connection).await.ok();
    }
}

#[tokio::test]
async fn two_engines_in_the_same_rooms() {
    let database = Database::new().await;
    // Each with its own account, by which its connections are known.
    let (urls, account) = ([database.admin_url(), database.url()], "admin");
    let one = House::build(open(&urls[0], DEADLINE).await, Limits::default(), 5).await;
    let other = one.beside(open(&urls[1], DEADLINE).await).await;
    let houses = [&one, &other];
    let ledger = Arc::new(Ledger::new(DEADLINE + MARGIN));
    let enough = Arc::new(AtomicBool::new(false));
    let engines = houses.map(|house| house.engine.clone());
    let wanderers: Vec<_> = (0..4)
        .map(|_| {
            let (engines, rooms) = (engines.clone(), one.rooms.clone());
            let enough = Arc::clone(&enough);
            tokio::spawn(async move { wander(&engines, &rooms, &enough).await })
        })
        .collect();
    let loads = [
        Load::start(&one, &ledger, &one.rooms, 4).await,
        Load::start(&other, &ledger, &one.rooms, 4).await,
    ];
    let mut admin = connect(&elsewhere(&urls[0], &database)).await;
    // Who writes alone changes all the time.
    let anybody = format!("UPDATE `{}`.sole_writer SET shared_ms = 0", database.name());
    for _ in 0..30 {
        loads[0].goes_on(60).await;
        execute(&mut admin, &anybody).await;
        end_connections(&mut admin, database.name(), account).await;
    }
    loads[0].goes_on(60).await;
    for load in loads {
        load.stop().await;
    }
    enough.store(true, Ordering::Relaxed);
    for wanderer in wanderers {
        wanderer.await.expect("no panic");
    }

    // An engine hears of what the other has written when it writes itself.
    let mut heard_by = Vec::new();
    for house in houses {
        let mut heard = HashMap::new();
        for room in &house.rooms {
            let voice = Voice::Connected(*room, house.listeners[0].session().clone());
            let sent = ledger.send(&voice, ledger.note(&voice, true)).await;
            heard.insert(*room, sent.expect("the last word").seq);
        }
        heard_by.push(heard);
    }
    let stored = Stored::in_mysql(&mut database.connect().await).await;
    for (house, heard) in houses.into_iter().zip(&heard_by) {
        let fresh = open(&database.url(), PATIENCE).await;
        house.settle(&ledger, &stored, heard, fresh).await;
    }
}

/// The same server and account, without a database.
fn elsewhere(url: &str, database: &Database) -> String {
    url.replace(database.name(), "")
}

/// A change says which message was the last one before it, so it cannot be written by somebody who
/// does not know that one.
#[tokio::test]
async fn a_change_does_not_overtake_a_message_of_the_other() {
    let database = Database::new().await;
    let (one, other) =
        (open(&database.url(), DEADLINE).await, open(&database.url(), DEADLINE).await);
    let me = user("me");
    let mut room = room(&one, &me, "a room").await;
    let told = other.append(&[batch(&room, &me, 1)]).await.expect("an answer");
    assert_eq!(told, [BatchOutcome::Done(vec![Outcome::Stored(Cursor::new(1, 1))])]);
    room.end = Cursor::new(1, 1);
    let may_follow = Batch { may_follow: true, ..batch(&room, &me, 1) };
    let told = one.append(&[may_follow]).await.expect("an answer");
    assert_eq!(told, [BatchOutcome::Done(vec![Outcome::Stored(Cursor::new(2, 1))])]);
    // The other one knows of one message.
    let guest = Membership { user: user("guest"), role: Role::Member };
    let joins = Write::Change {
        kind: ChangeKind::Joined(guest),
        by: None,
        at: room.info.created,
        key: None,
    };
    let told = other.append(&[Batch { writes: vec![joins], ..batch(&room, &me, 0) }]).await;
    assert_eq!(told.expect("an answer"), [BatchOutcome::Fenced]);
}

/// While one engine says nothing in a room, the other says much there, and most of it is removed
/// again because too much is kept: the first one goes on from where the room stands.
#[tokio::test]
async fn what_was_said_and_removed_meanwhile_stops_nobody() {
    for (said, kept) in [(10, 2), (10, 5), (300, 10), (700, 10), (700, 600)] {
        let database = Database::new().await;
        let one = engine(open(&database.url(), DEADLINE).await, Limits::default());
        let other = open(&database.url(), DEADLINE).await;
        let me = user("me");
        let room = one.open_room(&me, NewRoom::open("a room").expect("a good title")).await;
        let room = room.expect("a room");
        let mut ear = Probe::join(&one, user("listener"), room.id()).await.expect("in it");
        room.send(&me, Draft::text("first").expect("a good text")).await.expect("it is stored");
        let loaded = other.load_room(room.id(), 0).await.expect("an answer").expect("a room");
        other.append(&[batch(&loaded, &me, said)]).await.expect("an answer");
        let retention = Retention { age: None, messages: Some(kept) };
        let removed = other.remove_old(retention, Timestamp::MAX_UTC).await.expect("removed");
        assert_eq!(removed, 1 + said - kept);

        let what = format!("{said} messages, {kept} kept: the next one is accepted");
        let draft = Draft::text("last").expect("a good text").key("last").expect("a good key");
        let mut sent = None;
        until(&what, async || {
            sent = room.send(&me, draft.clone()).await.ok();
            sent.is_some()
        })
        .await;
        assert_eq!(sent.map(|sent| sent.seq), Some(said + 2), "{what}");
        // What is there the listener hears, or it is told that it has to read it.
        let mut heard = Vec::new();
        let behind = loop {
            let told = ear.find(|event| match event {
                Event::Message { message, cursor, .. } => Some(Some((message.seq, cursor.seq))),
                Event::Behind { .. } => Some(None),
                _ => None,
            });
            let Some((seq, cursor)) = told.await else { break true };
            assert_eq!(seq, cursor, "{what}: the cursor of a message");
            heard.push(seq);
            if seq == said + 2 {
                break false;
            }
        };
        assert!(heard.is_sorted_by(|before, after| before < after), "{what}: {heard:?}");
        let kept: Vec<_> = (said + 2 - kept..=said + 2).collect();
        assert!(behind || heard.ends_with(&kept), "{what}: {heard:?}");
        one.stop().await;
    }
}
