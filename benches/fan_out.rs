//! `cargo bench -p benches --bench fan_out` — what a message costs in process, per inbox that hears it:
//! through session, room and journal into a memory store, and out to the members' inboxes.
//!
//! "delivered" is the time from the first of the sends until every inbox holds the last, "read" until
//! every inbox has been read as well. In "one by one" each send waits for its answer, as a room with
//! one writer has it; in "at once" all are under way together, and are stored in one batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{After, Draft, Engine, Event, Inbox, Name, NewRoom, RoomId, Session, User, UserId};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::runtime::{Builder, Runtime};

/// Messages of one round: few enough for an outbox that nobody reads meanwhile.
const SENDS: usize = 32;

type Member = (Session, Inbox<Arc<Event>>);

/// An engine, a room, and its members. The last members, one for each thread, are the last to hear what
/// their fan-out delivers.
struct Scene {
    runtime: Runtime,
    engine: Engine,
    room: RoomId,
    members: Vec<Member>,
    threads: usize,
    draft: Draft,
}

impl Scene {
    fn new(members: usize, threads: usize) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let engine = Engine::builder().threads(threads).start().expect("an engine");
        let owner = User::new(UserId::new(), Name::new("owner").expect("a good name"));
        let (room, members) = runtime.block_on(async {
            let room = NewRoom::open("bench").expect("a good title");
            let room = engine.open_room(&owner, room).await.expect("a room").id();
            let join = |n| join(&engine, room, n);
            let first = stream::iter(0..members - threads).map(join).buffer_unordered(1_000);
            let mut joined: Vec<_> = first.collect().await;
            for n in members - threads..members {
                joined.push(join(n).await);
            }
            (room, joined)
        });
        let draft = Draft::text("x".repeat(128)).expect("a good text");
        let mut scene = Self { runtime, engine, room, members, threads, draft };
        scene.round(Sends::OneByOne);
        scene.drain();
        scene
    }

    /// Sends, and waits until every inbox holds the last message. Answers how long it took.
    fn round(&mut self, sends: Sends) -> Duration {
        let Self { room, draft, members, threads, .. } = self;
        let began = Instant::now();
        self.runtime.block_on(async {
            let sender = &members[0].0;
            let send = |_| async { sender.send(*room, draft.clone()).await.expect("sent").seq };
            let last = match sends {
                Sends::OneByOne => {
                    let sent = stream::iter(0..SENDS).then(send);
                    sent.fold(0, |last, seq| async move { seq.max(last) }).await
                }
                Sends::AtOnce => {
                    join_all((0..SENDS).map(send)).await.into_iter().max().unwrap_or_default()
                }
            };
            let first = members.len() - *threads;
            for (_, inbox) in &mut members[first..] {
                read_to(inbox, last).await;
            }
        });
        began.elapsed()
    }

    /// Reads all that waits. Answers how long it took.
    fn drain(&mut self) -> Duration {
        let began = Instant::now();
        for (_, inbox) in &mut self.members {
            while inbox.next().now_or_never().flatten().is_some() {}
        }
        began.elapsed()
    }

    fn stop(self) {
        drop(self.members);
        self.runtime.block_on(self.engine.stop());
    }
}

/// How the messages of a round are sent.
#[derive(Clone, Copy)]
enum Sends {
    OneByOne,
    AtOnce,
}

async fn join(engine: &Engine, room: RoomId, n: usize) -> Member {
    let name = Name::new(format!("member {n}")).expect("a good name");
    let member = engine.connect(User::new(UserId::new(), name)).expect("a session");
    member.0.join(room, After::Nothing).await.expect("in it");
    member
}

/// Reads up to the message with this number.
async fn read_to(inbox: &mut Inbox<Arc<Event>>, seq: u64) {
    while let Some(event) = inbox.next().await {
        if matches!(&*event, Event::Message { message, .. } if message.seq >= seq) {
            return;
        }
    }
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for threads in [1, 2, 4] {
        for members in [10, 1_000, 10_000, 50_000] {
            let mut scene = Scene::new(members, threads);
            group.throughput(Throughput::Elements((SENDS * members) as u64));
            let kinds = [
                ("delivered, one by one", Sends::OneByOne, false),
                ("delivered, at once", Sends::AtOnce, false),
                ("read, one by one", Sends::OneByOne, true),
            ];
            for (name, sends, read) in kinds {
                let id = BenchmarkId::new(format!("{name}, threads {threads}"), members);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|rounds| {
                        let mut time = Duration::ZERO;
                        for _ in 0..rounds {
                            time += scene.round(sends);
                            let drained = scene.drain();
                            time += if read { drained } else { Duration::ZERO };
                        }
                        time
                    });
                });
            }
            scene.stop();
        }
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
