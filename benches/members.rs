//! `cargo bench -p benches --bench members` — what it costs to know who is in a room: one question of the
//! room's actor against one SQL query on SQLite, each asked 64 at a time, which is how a busy
//! server asks, and one at a time; and what joining and leaving cost as a room grows to 10,000 members.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{
    After, Engine, Event, Inbox, MemberQuery, MemoryStore, Name, NewRoom, Room, RoomId, Session,
    Store, User, UserId,
};
use chat_server::store::SqliteStore;
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main};
use futures_util::{StreamExt, stream};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};
use tokio::runtime::{Builder, Runtime};

/// How many ask at once.
const ASKERS: usize = 64;
/// Members of a page.
const PAGE: usize = 50;
/// What a stateless server asks its database for a page of members. One query, and it does not even
/// count them, as the room's answer does.
const QUERY: &str = "SELECT m.user, u.name, m.role FROM members m JOIN users u ON u.id = m.user \
    WHERE m.room = ? ORDER BY m.user LIMIT ?";

fn user(n: usize) -> User {
    User::new(UserId::new(), Name::new(format!("member {n}")).expect("a good name"))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A room with as many members, over SQLite, and the pool of readers that a stateless server would have.
struct Scene {
    engine: Engine,
    room: Room,
    asker: User,
    pool: SqlitePool,
    number: i64,
}

async fn scene(folder: &std::path::Path, members: usize) -> Scene {
    let path = folder.join(format!("{members}.db"));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.expect("a store"));
    let engine = Engine::builder().shared_store(Arc::clone(&store)).threads(1).start();
    let engine = engine.expect("an engine");
    let asker = user(0);
    let new = NewRoom::open("bench").expect("a good title");
    let room = engine.open_room(&asker, new).await.expect("a room");
    let joins = stream::iter(1..members).map(|n| {
        let room = room.clone();
        async move { room.join(&user(n), After::Nothing).await.expect("in it") }
    });
    joins.buffer_unordered(500).for_each(|_| async {}).await;
    let number = store.load_room(room.id(), 1).await.expect("loaded").expect("the room").key.0;
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
    Scene { engine, room, asker, pool: pool.expect("a pool"), number }
}

impl Scene {
    async fn ask_the_room(&self) {
        let query = MemberQuery { after: None, limit: PAGE, online: false };
        let page = self.room.members(&self.asker, query).await.expect("a page");
        assert_eq!(black_box(page).members.len(), PAGE);
    }

    async fn ask_the_database(&self) {
        let rows = sqlx::query(QUERY).bind(self.number).bind(PAGE as i64 + 1);
        let rows = rows.fetch_all(&self.pool).await.expect("rows");
        let members: Vec<(Vec<u8>, String, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        assert_eq!(black_box(members).len(), PAGE + 1);
    }
}

fn question(criterion: &mut Criterion) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a folder"));
    let mut group = criterion.benchmark_group("who is here");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    for members in [100, 1_000, 10_000] {
        let scene = runtime.block_on(scene(folder.path(), members));
        let scene = &scene;
        group.throughput(Throughput::Elements(1));
        let questions = [
            ("room actor", true, ASKERS),
            ("SQL query", false, ASKERS),
            ("room actor, one at a time", true, 1),
            ("SQL query, one at a time", false, 1),
        ];
        for (name, of_the_room, askers) in questions {
            group.bench_function(BenchmarkId::new(name, members), |bencher| {
                bencher.iter_custom(|rounds| {
                    runtime.block_on(async {
                        let began = Instant::now();
                        let ask = |_| async move {
                            match of_the_room {
                                true => scene.ask_the_room().await,
                                false => scene.ask_the_database().await,
                            }
                        };
                        let asked = stream::iter(0..rounds).map(ask).buffer_unordered(askers);
                        asked.for_each(|()| async {}).await;
                        began.elapsed()
                    })
                });
            });
        }
        runtime.block_on(scene.engine.stop());
    }
    group.finish();
}

type Member = (Session, Inbox<Arc<Event>>);

/// Joins one after the other.
async fn join(engine: &Engine, room: RoomId, count: usize, members: &mut Vec<Member>) {
    for n in 0..count {
        let member = engine.connect(user(n)).expect("a session");
        member.0.join(room, After::Nothing).await.expect("in it");
        members.push(member);
    }
}

/// The cost of one more member, when so many are there already: a hundred join, and leave again.
fn join_and_leave(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("join and leave");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(100));
    group.measurement_time(Duration::from_secs(3));
    for present in [0, 900, 9_900] {
        let engine = Engine::builder().store(MemoryStore::default()).threads(1).start();
        let engine = engine.expect("an engine");
        let new = NewRoom::open("bench").expect("a good title");
        let room = runtime.block_on(engine.open_room(&user(0), new)).expect("a room").id();
        let mut members = Vec::new();
        runtime.block_on(join(&engine, room, present, &mut members));
        let (engine, members) = (&engine, std::cell::RefCell::new(members));
        // What the members hear is read between the rounds, so that no outbox is ever full.
        let quiet = || {
            use futures_util::FutureExt;
            for (_, inbox) in members.borrow_mut().iter_mut() {
                while inbox.next().now_or_never().flatten().is_some() {}
            }
        };
        group.bench_function(BenchmarkId::new("join", present), |bencher| {
            bencher.iter_batched(
                quiet,
                |()| {
                    runtime.block_on(async {
                        let mut joined = Vec::with_capacity(100);
                        join(engine, room, 100, &mut joined).await;
                        joined
                    })
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("leave", present), |bencher| {
            bencher.iter_batched(
                || {
                    quiet();
                    let mut joined = Vec::with_capacity(100);
                    runtime.block_on(join(engine, room, 100, &mut joined));
                    joined
                },
                |joined| {
                    runtime.block_on(async {
                        for (session, _) in &joined {
                            session.leave(room).await.expect("left");
                        }
                    });
                    joined
                },
                BatchSize::PerIteration,
            );
        });
        drop(members);
        runtime.block_on(engine.stop());
    }
    group.finish();
}

criterion_group!(benches, question, join_and_leave);
criterion_main!(benches);
