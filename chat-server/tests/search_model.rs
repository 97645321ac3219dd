//! Whatever is written, edited, deleted, indexed, made anew and opened again, in whatever order: the index finds what
//! reading all messages finds, in both databases.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod store_support;

use std::sync::Arc;

use chat_core::{Draft, Engine, Name, NewRoom, RoomId, Store, Text, User, UserId};
use chat_server::search::{Plain, Query, SearchIndex};
use chat_server::store::{Indexing, MySqlOptions, MySqlStore, SqlStore};
use database::Database;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store_support::Home;
use tokio::runtime::Builder;

/// What is done.
#[derive(Clone, Debug)]
enum Step {
    /// So many messages are written to one of the rooms.
    Write(usize, String, usize),
    /// One of its messages says something else.
    Edit(usize, u64, String),
    /// One of them is deleted.
    Delete(usize, u64),
    /// The index is brought up, as far as is due or wholly.
    Index(bool),
    /// The index is made anew.
    Rebuild,
    /// The process ends, and another one goes on.
    Restart,
}

const ROOMS: usize = 2;

/// Of few characters, so that much is found, and much nearly.
fn texts() -> impl Strategy<Value = String> {
    "[abA가나 +😀]{1,8}".prop_filter("something", |text| !text.trim().is_empty())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let room = 0..ROOMS;
    let step = prop_oneof![
        4 => (room.clone(), texts(), 1usize..80).prop_map(|(room, text, count)| Step::Write(room, text, count)),
        3 => (room.clone(), 1u64..200, texts()).prop_map(|(room, seq, text)| Step::Edit(room, seq, text)),
        2 => (room, 1u64..200).prop_map(|(room, seq)| Step::Delete(room, seq)),
        3 => any::<bool>().prop_map(Step::Index),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..14)
}

/// A database, and how it is opened.
enum Place {
    Folder(Home),
    Database(Database),
}

impl Place {
    async fn open(&self) -> Arc<dyn SqlStore> {
        match self {
            Self::Folder(home) => Arc::new(home.open().await),
            Self::Database(database) => {
                Arc::new(MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap())
            }
        }
    }
}

fn engine(store: &Arc<dyn SqlStore>) -> Engine {
    Engine::builder().shared_store(Arc::clone(store) as Arc<dyn Store>).threads(1).start().unwrap()
}

/// All that one index finds: in each of the rooms, and in all together.
async fn all(index: &dyn SearchIndex, rooms: &[RoomId], user: UserId, query: &Query) -> Found {
    let mut found = Vec::new();
    for room in rooms {
        let (mut of_room, mut before) = (Vec::new(), None);
        loop {
            let page = index.find(*room, query, before, 9).await.unwrap();
            of_room.extend(page.messages);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        found.push(of_room);
    }
    let (mut everywhere, mut before) = (Vec::new(), None);
    loop {
        let page = index.find_of(user, query, before, 9).await.unwrap();
        everywhere.extend(page.messages);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    found.push(everywhere);
    found
}

type Found = Vec<Vec<(RoomId, u64)>>;

/// What is looked for is found by the index as it is by reading.
async fn same(store: &Arc<dyn SqlStore>, rooms: &[RoomId], user: UserId, looked_for: &str) {
    let Ok(query) = Query::new(looked_for) else { return };
    let plain = Plain(Arc::clone(store) as Arc<dyn Store>);
    let by_index = all(&**store, rooms, user, &query).await;
    let by_reading = all(&plain, rooms, user, &query).await;
    assert_eq!(by_index, by_reading, "{looked_for}");
}

async fn holds(place: Place, steps: &[Step], queries: &[String]) {
    let ann = User::new(UserId::new(), Name::new("Ann").unwrap());
    let mut store = place.open().await;
    let mut running = engine(&store);
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = running.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap();
        rooms.push(room.id());
    }
    for step in steps {
        match step {
            Step::Write(room, text, count) => {
                let room = running.room(rooms[*room]);
                for n in 0..*count {
                    let text = format!("{text}{}", "b".repeat(n % 3));
                    room.send(&ann, Draft::text(text).unwrap()).await.unwrap();
                }
            }
            // There may be no such message, or not any more.
            Step::Edit(room, seq, text) => {
                let text = Text::new(text.as_str()).unwrap();
                running.room(rooms[*room]).edit(&ann, *seq, text).await.ok();
            }
            Step::Delete(room, seq) => {
                running.room(rooms[*room]).delete(&ann, *seq).await.ok();
            }
            Step::Index(wholly) => {
                let what = if *wholly { Indexing::Everything } else { Indexing::Ripe };
                store.index_search(what).await.unwrap();
            }
            Step::Rebuild => _ = store.rebuild_search(&|_| {}).await.unwrap(),
            Step::Restart => {
                running.stop().await;
                store.close().await;
                store = place.open().await;
                running = engine(&store);
            }
        }
        if let Step::Write(_, text, _) | Step::Edit(_, _, text) = step {
            same(&store, &rooms, ann.id, text).await;
        }
    }
    for looked_for in queries {
        same(&store, &rooms, ann.id, looked_for).await;
    }
    running.stop().await;
    store.close().await;
}

fn check(cases: u32, place: impl AsyncFn() -> Place) {
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let all = (steps(), prop::collection::vec(texts(), 1..6));
    let run = |(steps, queries): (Vec<Step>, Vec<String>)| {
        runtime.block_on(async { holds(place().await, &steps, &queries).await });
        Ok(())
    };
    runner.run(&all, run).unwrap();
}

#[test]
fn the_index_finds_in_sqlite_what_reading_finds() {
    check(24, async || Place::Folder(Home::new()));
}

#[test]
fn the_index_finds_in_mariadb_what_reading_finds() {
    check(8, async || Place::Database(Database::new().await));
}
