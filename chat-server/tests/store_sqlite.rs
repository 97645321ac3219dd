//! What is SQLite's own: its file, which must survive crashes, other processes and other versions.

#![allow(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::path::Path;

use chat_core::{
    Batch, BatchOutcome, Body, ChangeKind, ClientKey, Cursor, Draft, Kind, LoadedRoom, Membership,
    Name, Outcome, Role, RoomId, RoomInfo, RoomKey, RoomQuery, Store, Text, Timestamp, Title, User,
    UserId, Write,
};
use chat_server::store::{SqlStore, SqliteOpenError as OpenError, SqliteStore};
use sqlx::{Connection, SqliteConnection};
use store_support::Home;

/// A moment, in milliseconds.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_767_323_045_000 + millis).unwrap()
}

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

fn member(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Member }
}

fn owner_of(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Owner }
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn info(title: &str) -> RoomInfo {
    let title = Some(Title::new(title).unwrap());
    RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created: at(0),
        parent: None,
    }
}

fn message(from: &User, said: &str) -> Write {
    Write::Message { from: from.clone(), body: Body::text(text(said)), at: at(1), key: None }
}

fn keyed(from: &User, said: &str, key: &str) -> Write {
    let fingerprint = Draft::text(said).unwrap().fingerprint();
    let key = Some((ClientKey::new(key).unwrap(), fingerprint));
    Write::Message { from: from.clone(), body: Body::text(text(said)), at: at(2), key }
}

fn join(user: &User) -> Write {
    Write::Change { kind: ChangeKind::Joined(member(user)), by: None, at: at(3), key: None }
}

/// A new room, which stands at 0.1.
async fn open_room(store: &dyn Store, owner: &User) -> LoadedRoom {
    let info = info("a room");
    store.create_room(&info, &[owner_of(owner)], None).await.unwrap();
    load(store, info.id).await
}

async fn load(store: &dyn Store, room: RoomId) -> LoadedRoom {
    store.load_room(room, 1_000).await.unwrap().unwrap()
}

fn batch(room: RoomKey, after: (u64, u64), writes: Vec<Write>) -> Batch {
    Batch { room, after: Cursor::new(after.0, after.1), may_follow: false, writes }
}

async fn append(
    store: &dyn Store,
    room: RoomKey,
    after: (u64, u64),
    writes: Vec<Write>,
) -> BatchOutcome {
    store.append(&[batch(room, after, writes)]).await.unwrap().remove(0)
}

fn stored(seq: u64, change: u64) -> Outcome {
    Outcome::Stored(Cursor::new(seq, change))
}

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
async fn closing_merges_the_log_and_ends_all_calls() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    append(&store, room.key, (0, 1), vec![message(&ann, "hello")]).await;
    store.close().await;
    assert!(!home.path().with_extension("db-wal").exists(), "the log is merged");
    assert!(store.append(&[]).await.is_err());
    assert!(store.load_room(room.info.id, 1).await.is_err());
    assert_eq!(load(&home.open().await, room.info.id).await.end, Cursor::new(1, 1));
}

#[tokio::test]
async fn titles_are_found_whatever_their_case() {
    let home = Home::new();
    let store = home.open().await;
    for title in ["Übergrößen", "Δοκιμή", "Чат"] {
        store.create_room(&info(title), &[owner_of(&user("Ann"))], None).await.unwrap();
    }
    for title in ["ÜBER", "über", "δΟΚ", "чАТ"] {
        let query = RoomQuery { title: title.into(), after: None, limit: 9 };
        assert_eq!(store.list_rooms(&query).await.unwrap().len(), 1, "{title}");
    }
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
    let finished = async {
        while count(&mut crash, "rooms").await > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), finished).await.expect("finished");
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
async fn another_program_that_holds_the_file_is_waited_for() {
    let home = Home::new();
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&store, &ann).await;
    let mut other = by_hand(&home).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waiting = append(&store, room.key, (0, 1), vec![message(&ann, "patience")]);
    let other = async {
        // Readers need not wait. While they are answered again and again, the writer's turn has
        // come; it waits for five seconds, all of which a slow machine would take for many.
        for _ in 0..10 {
            assert_eq!(load(&store, room.info.id).await.end, Cursor::new(0, 1));
        }
        held.rollback().await.unwrap();
    };
    assert_eq!(tokio::join!(waiting, other).0, BatchOutcome::Done(vec![stored(1, 1)]));
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
