//! `cargo bench -p benches --bench session_memory` — how many bytes of heap an idle in-process session
//! takes, all included: what the engine holds for it on every side, the handle, the inbox and the
//! user's name. In a room it includes the membership, in the memory store too.

use std::sync::Arc;

use chat_core::{
    After, Command, Draft, Engine, Event, Inbox, Name, NewRoom, RoomId, Session, User, UserId,
};
use futures_util::{FutureExt, StreamExt, stream};
use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const SESSIONS: usize = 20_000;

type Member = (Session, Inbox<Arc<Event>>);

/// Connects a user, brings it into the room if there is one, and waits until its session is idle.
async fn connect(engine: &Engine, room: Option<RoomId>, n: usize) -> Member {
    let name = Name::new(format!("member {n}")).expect("a good name");
    let (session, inbox) = engine.connect(User::new(UserId::new(), name)).expect("a session");
    if let Some(room) = room {
        session.join(room, After::Nothing).await.expect("in it");
    }
    session.ask(Command::Ping).await.expect("a pong");
    (session, inbox)
}

/// Connects that many; each reads a message of the room if there is one, and all else that waits.
async fn connect_all(engine: &Engine, room: Option<RoomId>, count: usize) -> Vec<Member> {
    let connects = stream::iter(0..count).map(|n| connect(engine, room, n));
    let mut members = Vec::with_capacity(count);
    let mut connects = connects.buffer_unordered(100);
    while let Some(member) = connects.next().await {
        members.push(member);
    }
    if let Some(room) = room {
        let draft = Draft::text("hello").expect("a good text");
        let seq = members[0].0.send(room, draft).await.expect("sent").seq;
        for (_, inbox) in &mut members {
            read_to(inbox, seq).await;
        }
    }
    for (_, inbox) in &mut members {
        while inbox.next().now_or_never().flatten().is_some() {}
    }
    members
}

async fn read_to(inbox: &mut Inbox<Arc<Event>>, seq: u64) {
    while let Some(event) = inbox.next().await {
        if matches!(&*event, Event::Message { message, .. } if message.seq >= seq) {
            return;
        }
    }
}

/// Bytes of heap per session.
async fn measure(joined: bool) -> usize {
    let engine = Engine::builder().threads(2).start().expect("an engine");
    let owner = User::new(UserId::new(), Name::new("owner").expect("a good name"));
    let room = NewRoom::open("bench").expect("a good title");
    let room = engine.open_room(&owner, room).await.expect("a room").id();
    let room = joined.then_some(room);
    // Whatever is made once has been made by then.
    let first = connect_all(&engine, room, 300).await;
    let before = HEAP.current_usage();
    let members = connect_all(&engine, room, SESSIONS).await;
    let bytes = HEAP.current_usage() - before;
    drop((first, members));
    engine.stop().await;
    bytes / SESSIONS
}

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut figures = shared::figures::Figures::new();
    for (what, joined) in [("connected", false), ("connected, in one room in common", true)] {
        let bytes = runtime.block_on(measure(joined));
        println!("{SESSIONS} sessions {what}: {bytes} bytes of heap each");
        figures.insert(what.to_owned(), bytes as f64);
    }
    shared::figures::write("session_memory", &figures).expect("the figures are written");
}
