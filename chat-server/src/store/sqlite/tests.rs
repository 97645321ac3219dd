//! What only shows from inside: how the connections are set up, which indexes the statements use,
//! and what becomes of a connection that met an error.

use chat_core::{
    Body, Draft, Kind, LoadedRoom, Name, Role, Text, Timestamp, Title, User, UserId, Write,
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::store::selects;

async fn open() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("chat.db")).await.unwrap();
    (folder, store)
}

async fn open_room(store: &SqliteStore) -> (User, LoadedRoom) {
    let ann = User::new(UserId::new(), Name::new("Ann").unwrap());
    let title = Some(Title::new("a room").unwrap());
    let created = Timestamp::from_timestamp_millis(0).unwrap();
    let info = RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created,
        parent: None,
    };
    let owner = Membership { user: ann.clone(), role: Role::Owner };
    store.create_room(&info, &[owner], None).await.unwrap();
    (ann, store.load_room(info.id, 1).await.unwrap().unwrap())
}

/// Consecutive messages to a room, from its end on, each with a key.
fn batch(room: &LoadedRoom, from: &User, texts: &[String]) -> Batch {
    let write = |text: &String| {
        let draft = Draft::text(text.as_str()).unwrap().key(text.as_str()).unwrap();
        let fingerprint = draft.fingerprint();
        let key = draft.key.map(|key| (key, fingerprint));
        Write::Message {
            from: from.clone(),
            body: Body::text(Text::new(text.as_str()).unwrap()),
            at: room.info.created,
            key,
        }
    };
    Batch {
        room: room.key,
        after: room.end,
        may_follow: false,
        writes: texts.iter().map(write).collect(),
    }
}

async fn pragma(connection: &mut SqliteConnection, name: &str) -> String {
    let row =
        sqlx::query(AssertSqlSafe(format!("PRAGMA {name}"))).fetch_one(connection).await.unwrap();
    row.try_get::<i64, _>(0).map_or_else(|_| row.get(0), |number| number.to_string())
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_answered() {
    let (_folder, store) = open().await;
    let mut writer = store.inner.writer.lend().await.unwrap();
    let (connection, _) = writer.parts();
    for (name, value) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "0"),
        ("busy_timeout", "5000"),
    ] {
        assert_eq!(pragma(connection, name).await, value, "{name}");
    }
    // The next connection, after an error, is no other.
    drop(writer);
    let mut writer = store.inner.writer.lend().await.unwrap();
    let (connection, _) = writer.parts();
    assert_eq!(pragma(connection, "synchronous").await, "2");
    assert_eq!(pragma(connection, "journal_mode").await, "wal");
}

#[tokio::test]
async fn readers_cannot_write() {
    let (_folder, store) = open().await;
    let mut reader = store.inner.readers.acquire().await.unwrap();
    assert_eq!(pragma(&mut reader, "journal_mode").await, "wal");
    assert!(sqlx::query("DELETE FROM users").execute(&mut *reader).await.is_err());
}

#[tokio::test]
async fn every_select_has_its_index() {
    let (_folder, store) = open().await;
    let mut reader = store.inner.readers.acquire().await.unwrap();
    let keys = store.inner.statements.keys.pieces(&[(), ()]).next().unwrap().0;
    let by_seq = "INDEX sqlite_autoindex_messages_1";
    for (select, parts) in [
        (selects::MESSAGES, vec![format!("{by_seq} (room=? AND seq>? AND seq<?)")]),
        (selects::CHANGES, vec!["PRIMARY KEY (room=? AND number>?)".into()]),
        (
            selects::MEMBERS,
            vec!["m USING PRIMARY KEY (room=?)".into(), "u USING PRIMARY KEY (id=?)".into()],
        ),
        (selects::ROOM, vec!["(public_id=?)".into(), format!("COVERING {by_seq} (room=?)")]),
        (selects::LISTED, vec!["(public_id<?)".into(), "m USING PRIMARY KEY (room=?)".into()]),
        (selects::EPHEMERAL, vec!["rooms_ephemeral".into()]),
        (selects::ENDED, vec!["rooms_ended".into()]),
        (keys, vec!["INDEX messages_by_key (client_key=? AND room=? AND sender=?)".into()]),
    ] {
        let select = select.as_str();
        let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {select}")));
        let steps = explain.fetch_all(&mut *reader).await.unwrap();
        let plan: String =
            steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect();
        for part in parts {
            assert!(plan.contains(&part), "{select} has no {part}:\n{plan}");
        }
        assert!(!plan.contains("TEMP B-TREE"), "{select} sorts:\n{plan}");
    }
}

#[tokio::test]
async fn a_full_disk_costs_one_call_and_nothing_else() {
    let (_folder, store) = open().await;
    let (ann, room) = open_room(&store).await;
    let mut writer = store.inner.writer.lend().await.unwrap();
    let (connection, _) = writer.parts();
    let pages = pragma(connection, "page_count").await;
    pragma(connection, &format!("max_page_count = {pages}")).await;
    writer.give_back();

    // SQLite rolls this back by itself, halfway through the batch.
    let texts: Vec<String> = (0..500).map(|i| format!("{i} {}", "x".repeat(50))).collect();
    let error = store.append(&[batch(&room, &ann, &texts)]).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(store.load_room(room.info.id, 1).await.unwrap().unwrap().end, room.end);

    // The next connection has no such limit, and the same keys are still free.
    let outcomes = store.append(&[batch(&room, &ann, &texts)]).await.unwrap();
    assert!(matches!(&outcomes[..], [BatchOutcome::Done(outcomes)] if outcomes.len() == 500));
    assert_eq!(store.messages(room.key, 0, 1_000).await.unwrap().len(), 500);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_and_not_a_gap() {
    let (_folder, store) = open().await;
    let (ann, room) = open_room(&store).await;
    store.append(&[batch(&room, &ann, &["hello".into()])]).await.unwrap();
    for (damage, repair) in [
        ("UPDATE messages SET text = ' '", "UPDATE messages SET text = 'hello'"),
        (
            "UPDATE messages SET sender = x'00'",
            "UPDATE messages SET sender = (SELECT id FROM users)",
        ),
        ("DELETE FROM users", ""),
    ] {
        let mut writer = store.inner.writer.lend().await.unwrap();
        sqlx::query(damage).execute(writer.parts().0).await.unwrap();
        assert!(store.messages(room.key, 0, 10).await.is_err(), "{damage}");
        sqlx::query(repair).execute(writer.parts().0).await.unwrap();
        writer.give_back();
    }
}
