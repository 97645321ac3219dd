//! `cargo bench -p benches --bench send` — what a message costs in process: through session, room and
//! journal into a memory store, and back to everyone who hears the room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{After, Draft, Engine, Event, Inbox, Name, NewRoom, RoomId, Session, User, UserId};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};

type Member = (Session, Inbox<Arc<Event>>);

/// An engine on one thread, a room, and its members.
fn room_of(runtime: &Runtime, members: usize) -> (Engine, RoomId, Vec<Member>) {
    let engine = Engine::builder().threads(1).start().expect("an engine");
    let owner = User::new(UserId::new(), Name::new("owner").expect("a good name"));
    let (room, members) = runtime.block_on(async {
        let room = NewRoom::open("bench").expect("a good title");
        let room = engine.open_room(&owner, room).await.expect("a room").id();
        let mut joined = Vec::new();
        for n in 0..members {
            let name = Name::new(format!("member {n}")).expect("a good name");
            let member = engine.connect(User::new(UserId::new(), name)).expect("a session");
            member.0.join(room, After::Nothing).await.expect("in it");
            joined.push(member);
        }
        (room, joined)
    });
    (engine, room, members)
}

/// Reads up to the message with this number.
async fn read_to(inbox: &mut Inbox<Arc<Event>>, seq: u64) {
    while let Some(event) = inbox.next().await {
        if matches!(&*event, Event::Message { message, .. } if message.seq >= seq) {
            return;
        }
    }
}

/// From the first of a hundred sends until every member has read the last of them.
fn fan_out(criterion: &mut Criterion) {
    const SENDS: u64 = 100;
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut group = criterion.benchmark_group("send and read by all");
    group.sample_size(10);
    for members in [10, 1_000, 10_000] {
        let (engine, room, mut members_in) = room_of(&runtime, members);
        group.throughput(Throughput::Elements(SENDS * members as u64));
        let draft = Draft::text("x".repeat(128)).expect("a good text");
        group.bench_with_input(BenchmarkId::from_parameter(members), &members, |bencher, _| {
            bencher.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    let began = Instant::now();
                    runtime.block_on(async {
                        let mut last = 0;
                        for _ in 0..SENDS {
                            last =
                                members_in[0].0.send(room, draft.clone()).await.expect("sent").seq;
                        }
                        for (_, inbox) in &mut members_in {
                            read_to(inbox, last).await;
                        }
                    });
                    time += began.elapsed();
                }
                time
            });
        });
        drop(members_in);
        runtime.block_on(engine.stop());
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
