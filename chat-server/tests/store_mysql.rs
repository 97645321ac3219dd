//! What is MySQL's own: what a commit and a page cost by the database's own counters, and a whole
//! server on it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_core::{
    After, Batch, Body, Draft, Engine, HistoryAt, HistoryQuery, LoadedRoom, Name, NewRoom,
    RoomCommand, RoomId, Store, Text, Timestamp, User, UserId, Write,
};
use chat_server::store::{MySqlOptions, MySqlStore, QueryCounts, SqlStore};
use database::Database;
use database::server::Server;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, MySqlConnection};
use support::{TestServer, until};
use tempfile::TempDir;

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

async fn load(store: &MySqlStore, id: RoomId) -> LoadedRoom {
    store.load_room(id, 1).await.unwrap().unwrap()
}

/// The server's counters of a kind.
async fn counters(connection: &mut MySqlConnection, like: &str) -> BTreeMap<String, u64> {
    let show = format!("SHOW GLOBAL STATUS LIKE '{like}'");
    let rows: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(show)).fetch_all(connection).await.unwrap();
    rows.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

/// What the database says that it was sent.
async fn sent(connection: &mut MySqlConnection) -> QueryCounts {
    let mut counters = counters(connection, "Com\\_%").await;
    counters.append(&mut self::counters(connection, "Binlog\\_commits").await);
    QueryCounts {
        selects: counters["Com_select"],
        inserts: counters["Com_insert"],
        updates: counters["Com_update"],
        deletes: counters["Com_delete"],
        commits: counters["Binlog_commits"],
    }
}

fn less(later: QueryCounts, earlier: QueryCounts) -> QueryCounts {
    QueryCounts {
        selects: later.selects - earlier.selects,
        inserts: later.inserts - earlier.inserts,
        updates: later.updates - earlier.updates,
        deletes: later.deletes - earlier.deletes,
        commits: later.commits - earlier.commits,
    }
}

/// The metric of queries is what the database itself counts, whatever is done; and a live room under
/// load reads nothing.
#[tokio::test]
async fn queries_are_counted_as_the_database_counts_them() {
    let server = Server::new().await;
    let mut counting = server.connect().await;
    let opening = sent(&mut counting).await;
    let store = Arc::new(MySqlStore::open(&MySqlOptions::new(server.url())).await.unwrap());
    // It looks for rooms that are to be removed.
    until("it has looked around", async || store.stats().queries.selects == 1).await;
    let engine = Engine::builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).threads(2);
    let engine = engine.start().unwrap();
    // And the engine for ephemeral rooms.
    until("it has looked around", async || {
        let selects = less(sent(&mut counting).await, opening).selects;
        store.stats().queries.selects == 2 && selects >= 2
    })
    .await;
    let (before, counted) = (sent(&mut counting).await, store.stats().queries);

    let people: Vec<_> = (0..20).map(|n| user(&format!("user {n}"))).collect();
    let mut rooms = Vec::new();
    for n in 0..5 {
        let new = NewRoom::open(format!("room {n}")).unwrap();
        let room = engine.open_room(&people[0], new).await.unwrap();
        join_all(people[1..].iter().map(|user| room.join(user, After::Nothing))).await;
        rooms.push(room);
    }
    let talk = async |text: &str| {
        let sends = rooms.iter().flat_map(|room| {
            people.iter().map(move |user| async move {
                for n in 0..20 {
                    let text = format!("{text} {n}");
                    let draft = Draft::text(text.as_str()).unwrap().key(text).unwrap();
                    room.send(user, draft).await.unwrap();
                }
            })
        });
        join_all(sends).await;
    };
    talk("warm").await;

    let (warm, warm_counted) = (sent(&mut counting).await, store.stats().queries);
    talk("live").await;
    let live = less(sent(&mut counting).await, warm);
    assert_eq!(live, less(store.stats().queries, warm_counted), "of a live room");
    assert_eq!(live.selects, 0, "a live room reads nothing");
    assert!(live.inserts > 0 && live.commits > 0, "{live:?}");
    assert!(live.commits < 1_500, "2,000 messages are not 2,000 commits: {live:?}");

    // Everything else: repeated keys, histories, lists, leaving, deletion, retention.
    talk("warm").await;
    let query = HistoryQuery { at: HistoryAt::After(0), limit: 50 };
    rooms[0].history(&people[0], query).await.unwrap();
    engine.rooms(&chat_core::RoomQuery { limit: 9, ..Default::default() }).await.unwrap();
    rooms[1].ask(&people[3], RoomCommand::Leave).await.unwrap();
    let id = rooms[2].id();
    engine.stop().await;
    let room = store.load_room(id, 10).await.unwrap().unwrap();
    store.delete_room(room.key).await.unwrap();
    let retention = chat_server::store::Retention { age: None, messages: Some(100) };
    let removed = store.remove_old(retention, Timestamp::MAX_UTC).await.unwrap();
    assert_eq!(removed, 4 * 700);

    let all = less(sent(&mut counting).await, before);
    let counted = less(store.stats().queries, counted);
    let commits = all.commits;
    assert_eq!(all, QueryCounts { commits, ..counted });
    assert!(commits >= counted.commits, "background work commits by itself: {all:?}");
}

/// A page of history is one range, wherever it lies: the database touches the rows of the page, and
/// their authors, and nothing else.
#[tokio::test]
async fn a_page_costs_the_same_at_any_depth() {
    let server = Server::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(server.url())).await.unwrap();
    let mut connection = server.connect().await;
    let engine = Engine::builder().store(store.clone()).threads(2).start().unwrap();
    let ann = user("Ann");
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap();
    let mut rows = Vec::new();
    for seq in 1..=20_000_i64 {
        rows.push(format!("(1, {seq}, (SELECT id FROM users LIMIT 1), 'message {seq}', {seq})"));
    }
    for rows in rows.chunks(2_000) {
        let insert = format!(
            "INSERT INTO messages (room, seq, sender, text, at_ms) VALUES {}",
            rows.join(",")
        );
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
    }
    let (id, key) = (room.id(), load(&store, room.id()).await.key);
    let mut costs = Vec::new();
    for after in [0, 10_000, 19_950] {
        let before = counters(&mut connection, "Handler\\_read%").await;
        let page = store.messages(key, after, after + 50).await.unwrap();
        assert!(page.iter().map(|message| message.seq).eq(after + 1..=after + 50));
        let touched = counters(&mut connection, "Handler\\_read%").await;
        costs.push(touched.values().sum::<u64>() - before.values().sum::<u64>());
    }
    let (least, most) = (costs.iter().min().unwrap(), costs.iter().max().unwrap());
    assert!(*most <= 2 * 50 + 20, "{costs:?}");
    assert!(most - least <= 2, "{costs:?}");

    // To find a room's end costs a dive, also where it is read under locks for several rooms.
    let other = engine.open_room(&ann, NewRoom::open("another").unwrap()).await.unwrap();
    let (room, other) = (load(&store, room.id()).await, load(&store, other.id()).await);
    let batches = [room, other].map(|LoadedRoom { key: room, end: after, .. }| {
        let text = Text::new("hello").unwrap();
        let write = Write::Message {
            from: ann.clone(),
            body: Body::text(text),
            at: Timestamp::default(),
            key: None,
        };
        Batch { room, after, may_follow: true, writes: vec![write] }
    });
    let before = counters(&mut connection, "Handler\\_read%").await;
    store.append(&batches).await.unwrap();
    load(&store, id).await;
    let touched = counters(&mut connection, "Handler\\_read%").await;
    let cost = touched.values().sum::<u64>() - before.values().sum::<u64>();
    assert!(cost <= 100, "{cost} rows for a commit and for loading a room");
    engine.stop().await;
}

#[actix_web::test]
async fn a_server_keeps_its_rooms_in_mysql() {
    let database = Database::new().await;
    let url = format!("store.url={}", database.url());
    let start = async || {
        let data = Arc::new(TempDir::new().unwrap());
        TestServer::start_in(
            data,
            None,
            &[&url, "store.connections=3", "server.shutdown_timeout_s=0"],
        )
        .await
    };
    let first = start().await;
    let (mut ann, room) = first.lobby("Ann").await;
    let command = json!({ "do": "send", "room": room, "text": "말 🦀", "key": "k" });
    assert_eq!(ann.ok(command.clone()).await["seq"], 1);
    drop(ann);
    first.stop().await;

    let second = start().await;
    let mut bob = second.connect("Bob").await;
    let joined = bob.ok(json!({ "do": "join", "room": room })).await;
    assert_eq!(joined["messages"][0]["text"], "말 🦀", "{joined}");
    let metrics = second.http.get(format!("{}/metrics", second.base)).send().await.unwrap();
    let metrics = metrics.text();
    for metric in [
        "chat_store_queries_total{kind=\"select\"}",
        "chat_store_queries_total{kind=\"insert\"}",
        "chat_store_connections{state=\"idle\"}",
        "chat_store_rows_removed_total",
        "chat_store_rooms_to_remove",
    ] {
        assert!(metrics.contains(metric), "{metric} is not in\n{metrics}");
    }
    drop(bob);
    second.stop().await;
}
