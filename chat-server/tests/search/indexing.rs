//! The index is kept up, made anew, and removed.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chat_core::{
    Batch, BatchOutcome, ChangeKind, Cursor, Draft, Edit, Membership, Role, RoomId, Store, Text,
    Write,
};
use chat_server::search::Plain;
use chat_server::store::{Indexing, Rebuilt, Retention, SqlStore, search_questions};
use futures_util::future::join_all;
use futures_util::poll;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{Kept, NOTHING, Place, all, at, engine, open_room, user, write};

in_both! {
    what_was_left_behind_is_caught_up_with
    edits_are_found_however_far_the_index_is_behind
    the_index_is_made_anew_and_gone_on_with
    what_is_made_anew_is_found_meanwhile
    who_makes_it_anew_undoes_nothing_that_another_one_does
    what_another_one_has_made_anew_is_left_alone
    numbers_that_are_passed_over_cost_nothing
    two_processes_index_what_both_write
    nothing_is_left_of_what_is_gone
    no_question_scans_a_table
}

async fn what_was_left_behind_is_caught_up_with(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let room = open_room(&**store, &ann).await.info.id;
    let texts: Vec<_> = (0..200).map(|n| format!("message {n}")).collect();
    write(&**store, room, &ann, &texts, 0).await;
    assert_eq!(kept.rows().await, 0);
    // Another process that starts finds all that is behind, and from then on what is written by itself.
    let other = kept.another().await;
    other.index_search(Indexing::Ripe).await.unwrap();
    let indexed = "SELECT seq FROM search_progress WHERE room = (SELECT MAX(id) FROM rooms)";
    assert_eq!(kept.sql(indexed).await, 200);
    write(&*other, room, &ann, &texts[..20], 0).await;
    other.index_search(Indexing::Ripe).await.unwrap();
    assert_eq!(kept.sql(indexed).await, 200, "the block is not full");
    write(&*other, room, &ann, &texts[..100], 0).await;
    other.index_search(Indexing::Ripe).await.unwrap();
    assert_eq!(kept.sql(indexed).await, 5 * 63 - 1, "what are full blocks");
    for _ in 0..10 {
        other.index_search(Indexing::Ripe).await.unwrap();
    }
    assert_eq!(kept.sql(indexed).await, 320, "it is quiet");
    assert_eq!(all(&**store, room, "message 199").await, [200]);
}

/// Nobody brings the index up, because that is switched off perhaps.
async fn edits_are_found_however_far_the_index_is_behind(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let room = open_room(&**store, &ann).await.info.id;
    write(&**store, room, &ann, &["apple".to_owned(), "apple".to_owned()], 0).await;
    store.index_search(Indexing::Everything).await.unwrap();
    let by = Membership { user: ann, role: Role::Owner };
    for some in 0..12 {
        let loaded = store.load_room(room, 0).await.unwrap().unwrap();
        let edit = |nth: i64| {
            let text = Text::new(format!("pear {some} {nth}")).unwrap();
            let edit = Edit { text, mentions: Vec::new() };
            let kind = ChangeKind::Edited(by.clone(), if some == 11 { 1 } else { 2 }, Some(edit));
            Write::Change { kind, by: None, at: at(10 + nth), key: None }
        };
        let writes = (0..500).map(edit).collect();
        let batch = Batch { room: loaded.key, after: loaded.end, may_follow: true, writes };
        let outcome = store.append(&[batch]).await.unwrap().remove(0);
        assert!(matches!(outcome, BatchOutcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(all(&**store, room, "pear").await, [2, 1]);
    assert_eq!(all(&**store, room, "pear 11 499").await, [1]);
    assert_eq!(all(&**store, room, "apple").await, NOTHING);
}

async fn the_index_is_made_anew_and_gone_on_with(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let mut rooms = Vec::new();
    for n in 0..3 {
        let room = open_room(&**store, &ann).await.info.id;
        let texts: Vec<_> = (0..150).map(|m| format!("message {n} {m}")).collect();
        write(&**store, room, &ann, &texts, 0).await;
        rooms.push(room);
    }
    store.index_search(Indexing::Everything).await.unwrap();
    let rows = kept.rows().await;
    let spoil = "UPDATE search_grams SET bits = 0 WHERE block = 1";
    let sum = "SELECT CAST(SUM(bits % 1000003) AS SIGNED) FROM search_grams";
    let sum = if matches!(kept.place, Place::Folder(_)) {
        &sum.replace("CAST(", "(").replace(" AS SIGNED", "")
    } else {
        sum
    };
    let before = kept.sql(sum).await;
    kept.sql(spoil).await;
    assert_ne!(kept.sql(sum).await, before);
    let done = store.rebuild_search(&|_| {}).await.unwrap();
    assert_eq!(done, Rebuilt { rooms: 3, messages: 450 });
    assert_eq!((kept.rows().await, kept.sql(sum).await), (rows, before));
    // One that was cut short after two of the rooms.
    kept.sql(spoil).await;
    kept.sql("UPDATE search_progress SET stale = 1 WHERE room = (SELECT MAX(id) FROM rooms)").await;
    assert_eq!(store.rebuild_search(&|_| {}).await.unwrap(), Rebuilt { rooms: 1, messages: 150 });
    for (nth, room) in rooms.iter().enumerate() {
        let found = all(&**store, *room, &format!("message {nth} 77")).await;
        assert_eq!(found, if nth == 2 { vec![78] } else { vec![] }, "the others are still spoilt");
    }
}

/// How many rooms are being removed from the index.
const BEING_REMOVED: &str =
    "SELECT COUNT(*) FROM search_progress WHERE number = 9223372036854775807 AND seq = 0";

/// A room of which the index has many rows, which are removed in several pieces: there are many different letters side
/// by side. Answers how many rows, and the messages, in each of which there is a needle.
async fn a_room_of_many_rows(kept: &Kept) -> (RoomId, i64, Vec<u64>) {
    let store = &*kept.stores[0];
    let ann = user("Ann");
    let room = open_room(store, &ann).await.info.id;
    let letter =
        |n: u64, k: u64| char::from(b'a' + u8::try_from((n * n + k * k * n) % 26).unwrap());
    let text = |n| format!("needle {}", (0..40).map(|k| letter(n, k)).collect::<String>());
    let texts: Vec<_> = (1..=600).map(text).collect();
    write(store, room, &ann, &texts, 0).await;
    store.index_search(Indexing::Everything).await.unwrap();
    let rows = kept.rows().await;
    assert!(rows > 2_000, "{rows}");
    (room, rows, (1..=600).rev().collect())
}

async fn what_is_made_anew_is_found_meanwhile(kept: Kept) {
    let [store, other] = &kept.stores;
    let (room, rows, expected) = a_room_of_many_rows(&kept).await;
    // One that was cut short while it removed what was there.
    kept.sql("UPDATE search_progress SET stale = 1, seq = 0, number = 9223372036854775807").await;
    kept.sql("DELETE FROM search_grams WHERE block < 5").await;
    let left = kept.rows().await;
    assert!(left > 1_000 && left < rows, "{left}");
    assert_eq!(all(&**other, room, "needle").await, expected);
    // Whoever keeps the index up does not add to what is half removed.
    other.index_search(Indexing::Everything).await.unwrap();
    assert_eq!((kept.rows().await, kept.sql(BEING_REMOVED).await), (left, 1));
    assert_eq!(all(&**other, room, "needle").await, expected);
    // Whoever goes on with it is searched beside all the time.
    let mut rebuild = pin!(store.rebuild_search(&|_| {}));
    let done = loop {
        tokio::select! {
            biased;
            done = &mut rebuild => break done.unwrap(),
            found = all(&**other, room, "needle") => assert_eq!(found, expected),
        }
    };
    assert_eq!(done, Rebuilt { rooms: 1, messages: 600 });
    assert_eq!((kept.rows().await, kept.sql(BEING_REMOVED).await), (rows, 0));
    assert_eq!(all(&**other, room, "needle").await, expected);
}

/// One is still removing what was there when another one is through with all of it.
async fn who_makes_it_anew_undoes_nothing_that_another_one_does(kept: Kept) {
    let [store, other] = &kept.stores;
    let (room, rows, expected) = a_room_of_many_rows(&kept).await;
    // It goes on only while it is asked to.
    let mut slow = pin!(store.rebuild_search(&|_| {}));
    while kept.rows().await == rows {
        assert!(poll!(&mut slow).is_pending());
    }
    assert_eq!(kept.sql(BEING_REMOVED).await, 1);
    assert!(kept.rows().await > 0);
    assert_eq!(all(&**other, room, "needle").await, expected);
    let done = other.rebuild_search(&|_| {}).await.unwrap();
    assert_eq!(done, Rebuilt { rooms: 1, messages: 600 });
    let done = loop {
        match poll!(&mut slow) {
            Poll::Ready(done) => break done.unwrap(),
            Poll::Pending => {
                assert_eq!((kept.rows().await, kept.sql(BEING_REMOVED).await), (rows, 0));
            }
        }
    };
    assert_eq!((done.messages, kept.rows().await), (0, rows));
    assert_eq!(all(&**other, room, "needle").await, expected);
}

/// One finds rooms to be done, and another one has done them by the time when it comes to them.
async fn what_another_one_has_made_anew_is_left_alone(kept: Kept) {
    let [store, other] = &kept.stores;
    let ann = user("Ann");
    for _ in 0..2 {
        let room = open_room(&**store, &ann).await.info.id;
        write(&**store, room, &ann, &["needle".to_owned()], 0).await;
    }
    store.index_search(Indexing::Everything).await.unwrap();
    let stale = "SELECT COUNT(*) FROM search_progress WHERE stale = 1";
    let mut slow = pin!(store.rebuild_search(&|_| {}));
    while kept.sql(stale).await != 1 {
        assert!(poll!(&mut slow).is_pending());
    }
    let done = other.rebuild_search(&|_| {}).await.unwrap();
    assert_eq!(done, Rebuilt { rooms: 1, messages: 1 });
    let done = loop {
        match poll!(&mut slow) {
            Poll::Ready(done) => break done.unwrap(),
            Poll::Pending => assert_eq!(kept.sql(BEING_REMOVED).await, 0),
        }
    };
    assert_eq!(done.messages, 1, "of the room that the other one has not made anew");
}

async fn numbers_that_are_passed_over_cost_nothing(kept: Kept) {
    let [store, other] = &kept.stores;
    let ann = user("Ann");
    let current = open_room(&**store, &ann).await.info.id;
    store.index_search(Indexing::Everything).await.unwrap();
    // Its first change has not been looked through.
    let behind = open_room(&**store, &ann).await.info.id;
    for room in [behind, current] {
        write(&**store, room, &ann, &["needle".to_owned()], 0).await;
    }
    assert_eq!(store.reset_cursors(at(9), &|_| {}).await.unwrap(), 2);
    let statements = |store: &Arc<dyn SqlStore>| {
        let counts = store.stats().queries;
        counts.selects + counts.updates + counts.commits
    };
    let before = statements(store);
    for room in [behind, current] {
        assert_eq!(all(&**store, room, "needle").await, [1]);
    }
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(store.rebuild_search(&|_| {}).await.unwrap(), Rebuilt { rooms: 2, messages: 2 });
    let asked = statements(store) - before;
    assert!(asked < 100, "{asked} statements");
    for room in [behind, current] {
        assert_eq!(all(&**other, room, "needle").await, [1]);
    }
}

async fn two_processes_index_what_both_write(kept: Kept) {
    let ann = user("Ann");
    let room = open_room(&*kept.stores[0], &ann).await.info.id;
    let work = async |nth: usize| {
        let engine = engine(&kept.stores[nth]);
        let room = engine.room(room);
        for n in 0..20 {
            let send = async |m: usize| {
                let draft = Draft::text(format!("process {nth} says {n} {m} 안녕")).unwrap();
                room.send(&ann, draft).await.unwrap();
            };
            join_all((0..20).map(send)).await;
            kept.stores[nth].index_search(Indexing::Everything).await.unwrap();
        }
        engine.stop().await;
    };
    tokio::join!(work(0), work(1));
    for store in &kept.stores {
        store.index_search(Indexing::Everything).await.unwrap();
    }
    let behind = "SELECT COUNT(*) FROM search_progress p JOIN rooms r ON r.id = p.room \
        WHERE p.seq < (SELECT MAX(seq) FROM messages) OR p.number < r.last_change";
    assert_eq!(kept.sql(behind).await, 0);
    let plain = Plain(Arc::clone(&kept.stores[0]) as Arc<dyn Store>);
    for text in ["안녕", "says 7", "process 1 says 13 5", "0"] {
        let found = all(&*kept.stores[1], room, text).await;
        assert_eq!(found, all(&plain, room, text).await, "{text}");
        assert!(!found.is_empty(), "{text}");
    }
}

async fn nothing_is_left_of_what_is_gone(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let (gone, stays) = (open_room(&**store, &ann).await, open_room(&**store, &ann).await);
    let texts: Vec<_> = (0..5_000).map(|n| format!("message {n} of many")).collect();
    for room in [&gone, &stays] {
        write(&**store, room.info.id, &ann, &texts, 0).await;
    }
    store.index_search(Indexing::Everything).await.unwrap();
    store.delete_room(gone.key).await.unwrap();
    for table in ["search_grams", "search_progress"] {
        let of_gone = format!("SELECT COUNT(*) FROM {table} WHERE room = {}", gone.key.0);
        assert_eq!(kept.sql(&of_gone).await, 0, "{table}");
        let of_other = format!("SELECT COUNT(*) FROM {table} WHERE room = {}", stays.key.0);
        assert!(kept.sql(&of_other).await > 0, "{table}");
    }
    // It is not written to again either.
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(all(&**store, gone.info.id, "message").await, NOTHING);
    let newest = Retention { age: None, messages: Some(900) };
    store.remove_old(newest, at(99_999)).await.unwrap();
    assert_eq!(kept.sql("SELECT MIN(era) FROM search_grams").await, 1);
    let found = all(&**store, stays.info.id, "many").await;
    assert_eq!(found, (4_101..=5_000).rev().collect::<Vec<_>>());
    // All of them go before they were indexed.
    write(&**store, stays.info.id, &ann, &texts[..100], 0).await;
    store
        .remove_old(Retention { age: Some(Duration::from_secs(1)), messages: None }, at(99_999))
        .await
        .unwrap();
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(all(&**store, stays.info.id, "many").await, NOTHING);
    assert_eq!(kept.sql("SELECT seq FROM search_progress").await, 5_100);
    let loaded = store.load_room(stays.info.id, 0).await.unwrap().unwrap();
    assert_eq!((loaded.end, loaded.removed), (Cursor::new(5_100, 1), 5_100));
}

/// Of a room with as many messages that reading it all would be dear.
async fn no_question_scans_a_table(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    for _ in 0..3 {
        let room = open_room(&**store, &ann).await.info.id;
        let texts: Vec<_> = (0..2_000).map(|n| format!("message {n} of many")).collect();
        write(&**store, room, &ann, &texts, 0).await;
    }
    store.index_search(Indexing::Everything).await.unwrap();
    let questions = search_questions();
    assert!(questions.len() > 5);
    for question in questions {
        match &kept.place {
            Place::Folder(home) => {
                let file = format!("sqlite:{}", home.path().display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"));
                let plan: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(explain).fetch_all(&mut connection).await.unwrap();
                assert!(!plan.is_empty());
                for (.., step) in plan {
                    assert!(!step.starts_with("SCAN"), "{question}: {step}");
                }
            }
            Place::Database(database) => {
                let mut connection = database.connect().await;
                sqlx::raw_sql("ANALYZE TABLE messages, search_grams, rooms, members, changes")
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let id = ann.id.uuid().simple();
                let filled = question.replace("public_id = ?", &format!("public_id = x'{id}'"));
                let filled =
                    filled.replace("user = ?", &format!("user = x'{id}'")).replace('?', "1");
                let explain = AssertSqlSafe(format!("EXPLAIN FORMAT=JSON {filled}"));
                let plan: String =
                    sqlx::query_scalar(explain).fetch_one(&mut connection).await.unwrap();
                for scan in ["\"access_type\": \"ALL\"", "\"access_type\": \"index\""] {
                    assert!(!plan.contains(scan), "{question}: {plan}");
                }
            }
        }
    }
}
