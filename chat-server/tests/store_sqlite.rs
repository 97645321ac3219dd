//! What is SQLite's own: its file, which must survive crashes, other processes and other versions.

#![allow(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::path::Path;
use std::time::Duration;

use chat_core::{BatchOutcome, Cursor, Outcome, RoomQuery, Sent, Store};
use chat_server::store::{OpenError, SqliteStore};
use sqlx::{Connection, SqliteConnection};
use store_support::*;

/// The file as any other program sees it.
async fn by_hand(home: &Home) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", home.path().display())).await.unwrap()
}

async fn count(connection: &mut SqliteConnection, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
        .fetch_one(connection)
        .await
        .unwrap()
}

/// The refusal to open this file, as a user reads it.
async fn refusal(path: &Path) -> (OpenError, String) {
    let error = SqliteStore::open(path).await.unwrap_err();
    let message = error.to_string();
    (error, message)
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let home = Home::new();
    let (ann, bob) = (user("Ann 👩‍💻"), user("Bob"));
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    let writes = vec![keyed(&ann, "a\0b 🍣", "k"), join(&bob), keyed(&bob, "hi", "k"), leave(&bob)];
    append(&store, room.key, (0, 1), writes).await;
    let before = load(&store, room.info.id).await;
    store.close().await;
    assert!(!home.path().with_extension("db-wal").exists(), "the log is merged");
    assert!(store.append(&[]).await.is_err());
    assert!(store.load_room(room.info.id, 1).await.is_err());

    let store = home.open().await;
    let after = load(&store, room.info.id).await;
    assert_eq!((after.key, &after.info, after.end), (before.key, &before.info, before.end));
    assert_eq!(
        (&after.members, &after.messages, &after.changes),
        (&before.members, &before.messages, &before.changes)
    );
    let again = vec![keyed(&ann, "a\0b 🍣", "k"), keyed(&bob, "other", "k"), message(&ann, "on")];
    let seen = Outcome::Seen(Sent { seq: 1, at: at(2) });
    let outcome = append(&store, room.key, (2, 3), again).await;
    assert_eq!(outcome, BatchOutcome::Done(vec![seen, Outcome::KeyConflict, stored(3, 3)]));
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    for seq in 0..50 {
        append(&store, room.key, (seq, 1), vec![message(&ann, &seq.to_string())]).await;
        // As after a power cut: whatever is in the files now, without a word from the process.
        if seq % 10 == 9 {
            let copy = Home::new();
            for ending in ["db", "db-wal"] {
                std::fs::copy(
                    home.path().with_extension(ending),
                    copy.path().with_extension(ending),
                )
                .unwrap();
            }
            let copied = load(&copy.open().await, room.info.id).await;
            assert_eq!(copied.end, Cursor::new(seq + 1, 1));
            assert_eq!(copied.messages.len() as u64, seq + 1);
        }
    }
}

#[tokio::test]
async fn a_deletion_that_a_crash_cut_short_is_finished() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let (room, other) = (open_room(&store, &ann).await, open_room(&store, &ann).await);
    for key in [room.key, other.key] {
        append(&store, key, (0, 1), (0..30).map(|i| keyed(&ann, "x", &i.to_string())).collect())
            .await;
    }
    let mut crash = by_hand(&home).await;
    sqlx::query("UPDATE rooms SET ended = 1 WHERE id = ?")
        .bind(room.key.0)
        .execute(&mut crash)
        .await
        .unwrap();
    sqlx::query("DELETE FROM messages WHERE room = ? AND seq < 9")
        .bind(room.key.0)
        .execute(&mut crash)
        .await
        .unwrap();
    // Nobody sees the room from the moment of the mark.
    assert!(store.load_room(room.info.id, 10).await.unwrap().is_none());
    assert_eq!(
        append(&store, room.key, (30, 1), vec![message(&ann, "no")]).await,
        BatchOutcome::Gone
    );
    assert_eq!(
        store.list_rooms(&RoomQuery { limit: 9, ..RoomQuery::default() }).await.unwrap().len(),
        1
    );
    store.close().await;

    let store = home.open().await;
    for (table, left) in
        [("rooms", 1), ("messages", 30), ("changes", 1), ("members", 1), ("users", 1)]
    {
        assert_eq!(count(&mut crash, table).await, left, "{table}");
    }
    assert_eq!(load(&store, other.info.id).await.messages.len(), 30);
}

#[tokio::test]
async fn a_big_room_is_deleted_while_others_write() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let (big, small) = (open_room(&store, &ann).await, open_room(&store, &ann).await);
    for page in 0..3 {
        let writes = (0..1_500).flat_map(|_| [message(&ann, "x"), join(&user("Bob"))]).collect();
        append(&store, big.key, (page * 1_500, page * 1_500 + 1), writes).await;
    }
    let writing = async {
        for seq in 0..20 {
            let outcome = append(&store, small.key, (seq, 1), vec![message(&ann, "x")]).await;
            assert_eq!(outcome, BatchOutcome::Done(vec![stored(seq + 1, 1)]));
        }
    };
    let (deleted, ()) = tokio::join!(store.delete_room(big.key), writing);
    deleted.unwrap();
    let mut connection = by_hand(&home).await;
    for (table, left) in [("rooms", 1), ("messages", 20), ("changes", 1), ("members", 1)] {
        assert_eq!(count(&mut connection, table).await, left, "{table}");
    }
}

#[tokio::test]
async fn two_processes_fence_each_other() {
    let home = Home::new();
    let ann = user("Ann");
    let (one, two) = (home.open().await, home.open().await);
    let room = open_room(&one, &ann).await;
    append(&one, room.key, (0, 1), vec![keyed(&ann, "one", "k")]).await;
    let outcome =
        append(&two, room.key, (1, 1), vec![message(&ann, "two"), join(&user("Bob"))]).await;
    assert_eq!(outcome, BatchOutcome::Done(vec![stored(2, 1), stored(2, 2)]));
    // The first one remembers the room's end, and must notice that it is no longer true.
    for after in [(1, 1), (2, 1), (1, 2)] {
        assert_eq!(
            append(&one, room.key, after, vec![message(&ann, "no")]).await,
            BatchOutcome::Fenced
        );
    }
    assert_eq!(
        append(&one, room.key, (2, 2), vec![message(&ann, "three")]).await,
        BatchOutcome::Done(vec![stored(3, 2)])
    );
    let seen = Outcome::Seen(Sent { seq: 1, at: at(2) });
    assert_eq!(
        append(&two, room.key, (3, 2), vec![keyed(&ann, "one", "k")]).await,
        BatchOutcome::Done(vec![seen])
    );
    two.delete_room(room.key).await.unwrap();
    assert_eq!(
        append(&one, room.key, (3, 2), vec![message(&ann, "late")]).await,
        BatchOutcome::Gone
    );
}

#[tokio::test]
async fn another_program_that_holds_the_file_is_waited_for() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    let mut other = by_hand(&home).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waiting = append(&store, room.key, (0, 1), vec![message(&ann, "patience")]);
    let other = async {
        // Readers need not wait. While they are answered again and again, the writer's turn has long come.
        for _ in 0..100 {
            assert_eq!(load(&store, room.info.id).await.end, Cursor::new(0, 1));
        }
        held.rollback().await.unwrap();
    };
    assert_eq!(tokio::join!(waiting, other).0, BatchOutcome::Done(vec![stored(1, 1)]));
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_half_done() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    for round in 0..60 {
        let end = load(&store, room.info.id).await.end;
        let writes = (0..40).map(|i| keyed(&ann, "x", &format!("{round}.{i}"))).collect();
        let call = append(&store, room.key, (end.seq, end.change), writes);
        _ = tokio::time::timeout(Duration::from_micros(round * 40), call).await;
        // The next call waits until it is decided what became of the dropped one.
        assert_eq!(
            append(&store, room.key, (u64::MAX >> 1, 0), vec![]).await,
            BatchOutcome::Fenced
        );
        let end = load(&store, room.info.id).await;
        assert_eq!(end.end.seq % 40, 0, "all or nothing");
        assert_eq!(end.end.seq, messages(&store, room.key).await.len() as u64);
    }
    let end = load(&store, room.info.id).await.end;
    let outcome =
        append(&store, room.key, (end.seq, end.change), vec![message(&ann, "and on")]).await;
    assert_eq!(outcome, BatchOutcome::Done(vec![stored(end.seq + 1, 1)]));
}

#[tokio::test]
async fn the_file_is_made_with_its_folders_for_this_user_only() {
    let home = Home::new();
    let path = home.path().with_file_name("new").join("deep").join("chat.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    assert!(path.exists());
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_name_that_means_something_else_to_sqlite_is_a_file() {
    let home = Home::new();
    for name in [":memory:", "file:x?mode=memory", "a b#%41.db", "채팅.db"] {
        let path = home.path().with_file_name(name);
        let store = SqliteStore::open(&path).await.unwrap();
        let room = open_room(&store, &user("Ann")).await;
        store.close().await;
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(load(&store, room.info.id).await.info, room.info);
    }
}

#[tokio::test]
async fn places_where_no_file_can_be_are_refused() {
    let home = Home::new();
    std::fs::create_dir(home.path()).unwrap();
    let (error, message) = refusal(&home.path()).await;
    assert!(matches!(error, OpenError::Create { .. }), "{error:?}");
    assert!(message.contains("choose another place"), "{message}");
    std::fs::write(home.path().with_file_name("file"), "").unwrap();
    let below = home.path().with_file_name("file").join("chat.db");
    assert!(matches!(refusal(&below).await.0, OpenError::Create { .. }));
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_alone() {
    let home = Home::new();
    let garbage = "This is a letter, not a database. ".repeat(500);
    std::fs::write(home.path(), &garbage).unwrap();
    let (error, message) = refusal(&home.path()).await;
    assert!(matches!(error, OpenError::NotADatabase(_)), "{error:?}");
    assert!(message.contains("move it away"), "{message}");
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), garbage);
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let home = Home::new();
    let store = home.open().await;
    open_room(&store, &user("Ann")).await;
    store.close().await;
    let whole = std::fs::read(home.path()).unwrap();
    // Cut off; and with its list of tables overwritten.
    let mut overwritten = whole.clone();
    overwritten[100..2_000].fill(0x5a);
    for damaged in [&whole[..whole.len() / 2], &overwritten] {
        std::fs::write(home.path(), damaged).unwrap();
        let (error, message) = refusal(&home.path()).await;
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(message.contains("restore a backup"), "{message}");
    }
    std::fs::write(home.path(), whole).unwrap();
    home.open().await;
}

#[tokio::test]
async fn a_file_of_another_version_is_refused() {
    let home = Home::new();
    home.open().await.close().await;
    let mut connection = by_hand(&home).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let (error, message) = refusal(&home.path()).await;
    assert!(matches!(error, OpenError::Newer { version: 9999, .. }), "{error:?}");
    assert!(message.contains("newer version"), "{message}");
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 9999")
        .execute(&mut connection)
        .await
        .unwrap();
    home.open().await.close().await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'")
        .execute(&mut connection)
        .await
        .unwrap();
    let (error, message) = refusal(&home.path()).await;
    assert!(matches!(error, OpenError::Different { .. }), "{error:?}");
    assert!(message.contains("another build"), "{message}");
}

#[tokio::test]
async fn processes_that_start_together_make_the_tables_once() {
    let home = Home::new();
    let path = home.path();
    let opened = futures_util::future::join_all((0..8).map(|_| SqliteStore::open(&path))).await;
    for store in opened {
        store.unwrap();
    }
}
