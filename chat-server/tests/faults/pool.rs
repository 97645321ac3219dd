//! Far more is asked than there are connections for: all is answered in turn, no more connections
//! are made, and all of them come back, whatever has become of those who asked.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use chat_core::{
    BatchOutcome, Cursor, Engine, HistoryAt, HistoryQuery, Limits, NewRoom, RoomId, RoomQuery,
    Store, User,
};
use chat_server::store::{MySqlOptions, MySqlStore, SqlStore};
use futures_util::future::join_all;
use sqlx::MySqlConnection;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bare::{batch, new_room, room};
use crate::database::server::Server;
use crate::database::{Database, PATIENCE, connect};
use crate::house::{engine, user};
use crate::{MARGIN, random, until};

/// For reading; and two more write.
const CONNECTIONS: u32 = 2;
const WRITERS: i64 = 2;

async fn open(url: &str, deadline: Duration) -> Arc<MySqlStore> {
    let mut options = MySqlOptions::new(url);
    options.connections = CONNECTIONS;
    options.deadline = deadline;
    Arc::new(MySqlStore::open(&options).await.expect("it is fit for use"))
}

/// How many connections there are to a database, by one to no database.
async fn count(connection: &mut MySqlConnection, name: &str) -> i64 {
    let count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = ?";
    sqlx::query_scalar(count).bind(name).fetch_one(connection).await.expect("a count")
}

/// The same server and account, without a database.
async fn connect_beside(url: &str, name: &str) -> MySqlConnection {
    connect(&url.replace(&format!("/{name}?"), "/?")).await
}

/// Counts the connections to a database all the time, from outside.
struct Watch {
    most: Arc<AtomicI64>,
    enough: Arc<AtomicBool>,
    watching: JoinHandle<()>,
}

impl Watch {
    async fn new(admin_url: &str, name: &str) -> Self {
        let mut connection = connect_beside(admin_url, name).await;
        let (most, enough) = (Arc::<AtomicI64>::default(), Arc::<AtomicBool>::default());
        let (max, ends, name) = (Arc::clone(&most), Arc::clone(&enough), name.to_owned());
        let watching = tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                max.fetch_max(count(&mut connection, &name).await, Ordering::Relaxed);
            }
        });
        Self { most, enough, watching }
    }

    /// The most there were at any time.
    async fn most(self) -> i64 {
        self.enough.store(true, Ordering::Relaxed);
        self.watching.await.expect("no panic");
        self.most.load(Ordering::Relaxed)
    }
}

/// Waits until the server too knows of no connection that the store has given up.
async fn none_is_left_behind(admin_url: &str, name: &str) {
    let mut connection = connect_beside(admin_url, name).await;
    until("no connection is left behind", async || {
        count(&mut connection, name).await <= i64::from(CONNECTIONS) + WRITERS
    })
    .await;
}

async fn all_come_back(store: &MySqlStore) {
    until("all connections come back", async || {
        let (open, idle) = store.stats().connections;
        open == idle && open <= CONNECTIONS as usize
    })
    .await;
}

/// Rooms with so many messages each, and who may read them.
async fn talked(engine: &Engine, rooms: usize, messages: usize) -> (User, Vec<RoomId>) {
    let me = user("reader");
    let open = (0..rooms).map(async |number| {
        let new = NewRoom::open(format!("busy {number}")).expect("a good title");
        let room = engine.open_room(&me, new).await.expect("a room");
        for message in 0..messages {
            let draft = chat_core::Draft::text(message.to_string()).expect("a good text");
            room.send(&me, draft).await.expect("it is stored");
        }
        room.id()
    });
    let rooms = join_all(open).await;
    (me, rooms)
}

#[tokio::test]
async fn hundreds_are_answered_by_two_connections() {
    let database = Database::new().await;
    let store = open(&database.url(), Duration::from_secs(10)).await;
    let (me, rooms) = talked(&engine(Arc::clone(&store) as _, Limits::default()), 40, 5).await;
    // One that knows no room yet, and keeps no messages in memory.
    let limits = Limits { kept_bytes: 1, ..Limits::default() };
    let engine = engine(Arc::clone(&store) as _, limits);
    let watch = Watch::new(&database.admin_url(), database.name()).await;
    let ask = async |number: usize| {
        let room = rooms[number / 4 % rooms.len()];
        match number % 4 {
            0 => {
                let query = HistoryQuery { at: HistoryAt::After(0), limit: 5 };
                let page = engine.room(room).history(&me, query).await.expect("a page");
                let texts: Vec<_> = page.messages.iter().map(|m| m.text().to_owned()).collect();
                assert_eq!(texts, ["0", "1", "2", "3", "4"]);
            }
            1 => {
                let title = "busy".to_owned();
                let query = RoomQuery { title, after: None, limit: 200 };
                assert_eq!(engine.rooms(&query).await.expect("a list").len(), rooms.len());
            }
            2 => {
                let view = engine.room(room).view(&me).await.expect("a room");
                assert_eq!(view.counts.members, 1);
            }
            _ => {
                let loaded = store.load_room(room, 5).await.expect("an answer").expect("a room");
                assert_eq!(loaded.messages.len(), 5);
            }
        }
    };
    timeout(PATIENCE, join_all((0..600).map(ask))).await.expect("all are answered");
    // A page or a list is one, and so is each room that is loaded.
    let reads = engine.stats().store.reads;
    assert!(reads >= 300 + rooms.len() as u64, "{reads} reads");
    let most = watch.most().await;
    assert!(most <= i64::from(CONNECTIONS) + WRITERS, "{most} connections");
    all_come_back(&store).await;
}

/// Polls a call at most so many times, and drops it then.
async fn drop_halfway<T>(call: impl Future<Output = T>, polls: u32) -> Option<T> {
    let (mut call, mut left) = (pin!(call), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn calls_that_are_dropped_halfway_leave_nothing_behind() {
    let database = Database::new().await;
    let store = open(&database.url(), Duration::from_secs(10)).await;
    let me = user("me");
    let quiet = room(&store, &me, "quiet").await;
    store.append(&[batch(&quiet, &me, 50)]).await.expect("an answer");

    let drop_some = async |number: u32| {
        for call in 0..60 {
            let polls = random(12);
            match (number + call) % 4 {
                0 => _ = drop_halfway(store.messages(quiet.key, 0, 50), polls).await,
                1 => _ = drop_halfway(store.load_room(quiet.info.id, 50), polls).await,
                2 => _ = drop_halfway(store.list_rooms(&RoomQuery::default()), polls).await,
                _ => {
                    let (info, owner) = new_room(&me, "half");
                    let made = drop_halfway(store.create_room(&info, &[owner], None), polls).await;
                    let found = store.load_room(info.id, 1).await.expect("an answer");
                    if let Some(made) = made {
                        assert_eq!(made.expect("a room"), Some(info.id));
                        assert!(found.is_some(), "a room that was made is there");
                    }
                    // It may still come about, but only as a whole.
                    let members = found.map_or(1, |found| found.members.len());
                    assert_eq!(members, 1);
                }
            }
        }
    };
    // One writes to a room of its own, and is dropped as well: a commit is whole or is not there.
    let write_some = async |title: &str| {
        let mut mine = room(&store, &me, title).await;
        for _ in 0..60 {
            let outcome = drop_halfway(store.append(&[batch(&mine, &me, 3)]), random(20)).await;
            let before = mine.end.seq;
            if let Some(outcome) = outcome {
                let outcome = outcome.expect("an answer").remove(0);
                // What was dropped before may have been carried out since it was looked at.
                if let BatchOutcome::Done(_) = outcome {
                    mine.end = Cursor { seq: before + 3, ..mine.end };
                    continue;
                }
            }
            let loaded = store.load_room(mine.info.id, 0).await.expect("an answer");
            mine = loaded.expect("a room");
            assert_eq!(mine.end.seq % 3, 0, "a commit is whole");
        }
        let messages = store.messages(mine.key, 0, mine.end.seq).await.expect("messages");
        for (message, seq) in messages.iter().zip(1..) {
            assert_eq!((message.seq, message.text()), (seq, &*seq.to_string()));
        }
    };
    // Others are told what they have asked, and not what somebody else has who was dropped.
    let look = async |number: u64| {
        for call in 0..40 {
            let after = (number + call) % 40;
            let messages = store.messages(quiet.key, after, after + 10).await.expect("messages");
            let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
            assert_eq!(seqs, (after + 1..=after + 10).collect::<Vec<_>>());
        }
    };
    let all = async {
        tokio::join!(
            join_all((0..8).map(drop_some)),
            join_all(["one", "two"].map(write_some)),
            join_all((0..4).map(look))
        )
    };
    timeout(PATIENCE, all).await.expect("all are answered");
    all_come_back(&store).await;
    none_is_left_behind(&database.admin_url(), database.name()).await;
}

#[tokio::test]
async fn a_frozen_database_gives_its_connections_back() {
    let deadline = Duration::from_secs(2);
    let server = Server::new().await;
    let store = open(&server.url(), deadline).await;
    let (me, rooms) = talked(&engine(Arc::clone(&store) as _, Limits::default()), 20, 5).await;
    let query = RoomQuery { limit: 10, ..RoomQuery::default() };
    let ask = async |engine: &Engine, number: usize| {
        let room = rooms[number / 4 % rooms.len()];
        let since = Instant::now();
        let answered = match number % 4 {
            0 => engine.room(room).view(&me).await.is_ok(),
            1 => engine.rooms(&query).await.is_ok(),
            2 => store.load_room(room, 5).await.is_ok(),
            _ => store.list_rooms(&query).await.is_ok(),
        };
        (answered, since.elapsed())
    };
    for _ in 0..2 {
        // It knows no room yet.
        let engine = engine(Arc::clone(&store) as _, Limits::default());
        server.freeze();
        let asked = join_all((0..200).map(|number| ask(&engine, number)));
        let answers = timeout(PATIENCE, asked).await.expect("an end");
        for (answered, after) in answers {
            assert!(!answered, "nobody is there");
            assert!(after < deadline + MARGIN, "after {after:?}");
        }
        server.thaw();
        until("it is answered again", async || {
            let answers = join_all((0..50).map(|number| ask(&engine, number))).await;
            answers.iter().all(|(answered, _)| *answered)
        })
        .await;
        all_come_back(&store).await;
    }
    none_is_left_behind(&server.admin_url(), "chat").await;
}
