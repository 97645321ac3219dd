//! `cargo bench -p benches --bench command` — what one command costs on its way through session, room and
//! journal: asked and answered one at a time, which is the latency that a caller sees, and 64 at a
//! time, which is what a command costs a busy engine.

use std::sync::Arc;
use std::time::Instant;

use chat_core::{
    After, Command, Draft, Engine, Event, HistoryAt, HistoryQuery, Inbox, Name, NewRoom,
    RoomCommand, RoomId, Session, User, UserId,
};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::runtime::Builder;

/// As many as one session may have under way.
const AT_ONCE: usize = 64;

/// The commands, from the one that stops at the session to the one that goes all the way.
fn commands(room: RoomId) -> [(&'static str, Command); 3] {
    let query = HistoryQuery { at: HistoryAt::End, limit: 10 };
    let draft = Draft::text("x".repeat(128)).expect("a good text");
    [
        ("ping: session", Command::Ping),
        ("history: session, room", Command::Room(room, RoomCommand::History(query))),
        ("send: session, room, journal", Command::Room(room, RoomCommand::Send(draft))),
    ]
}

/// Asks so many times, so many at a time, and reads what is heard meanwhile.
async fn ask(
    session: &Session,
    inbox: &mut Inbox<Arc<Event>>,
    command: &Command,
    times: u64,
    at_once: usize,
) {
    let ask = |_| async { session.ask(command.clone()).await.expect("an answer") };
    let mut answers = stream::iter(0..times).map(ask).buffer_unordered(at_once);
    while answers.next().await.is_some() {
        while inbox.next().now_or_never().flatten().is_some() {}
    }
}

fn command(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let engine = Engine::builder().threads(1).start().expect("an engine");
    let user = User::new(UserId::new(), Name::new("Ann").expect("a good name"));
    let new = NewRoom::open("bench").expect("a good title");
    let room = runtime.block_on(engine.open_room(&user, new)).expect("a room").id();
    let (session, mut inbox) = engine.connect(user).expect("a session");
    runtime.block_on(session.join(room, After::Nothing)).expect("in it");
    let mut group = criterion.benchmark_group("command");
    group.sample_size(20).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(1));
    for (name, command) in commands(room) {
        for at_once in [1, AT_ONCE] {
            group.bench_function(BenchmarkId::new(name, at_once), |bencher| {
                bencher.iter_custom(|rounds| {
                    let began = Instant::now();
                    runtime.block_on(ask(&session, &mut inbox, &command, rounds, at_once));
                    began.elapsed()
                });
            });
        }
    }
    group.finish();
    drop((session, inbox));
    runtime.block_on(engine.stop());
}

criterion_group!(benches, command);
criterion_main!(benches);
