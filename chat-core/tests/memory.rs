//! What has gone leaves nothing behind: after a great many rooms and sessions have come and gone,
//! the engine takes no more memory than before. Alone in its program, because it counts the whole
//! heap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::testkit::FakeClock;
use chat_core::{After, Engine, Event, Inbox, MemoryStore, Name, NewRoom, Session, User, UserId};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Rooms, and then sessions, that come and go.
const MANY: usize = 20_000;
/// A smaller number first, so that whatever is made once has been made.
const FIRST: usize = 5_000;
/// Sessions that are there all the time.
const GUESTS: usize = 100;
/// How long a busy machine may take to drop what has ended.
const PATIENCE: Duration = Duration::from_secs(60);

type Guest = (Session, Inbox<Arc<Event>>);

fn connect(engine: &Engine, n: usize) -> Guest {
    let user = User::new(UserId::new(), Name::new(format!("guest {n}")).expect("a good name"));
    engine.connect(user).expect("a session")
}

fn read(inbox: &mut Inbox<Arc<Event>>) {
    while inbox.next().now_or_never().flatten().is_some() {}
}

/// Opens so many ephemeral rooms, has a guest in each, and leaves them all.
async fn rooms_come_and_go(engine: &Engine, guests: &mut [Guest], rooms: usize) {
    let each = rooms / guests.len();
    let opened = guests.iter_mut().map(async |(session, inbox)| {
        let mut rooms = Vec::with_capacity(each);
        for _ in 0..each {
            let tea = NewRoom::open("tea").expect("a good title").ephemeral();
            let room = engine.open_room(session.user(), tea).await.expect("a room").id();
            session.join(room, After::Nothing).await.expect("in it");
            rooms.push(room);
            read(inbox);
        }
        rooms
    });
    let opened = join_all(opened).await;
    assert_eq!(engine.stats().rooms, rooms);
    let left = guests.iter_mut().zip(opened).map(async |((session, inbox), rooms)| {
        for room in rooms {
            session.leave(room).await.expect("left");
            read(inbox);
        }
    });
    join_all(left).await;
}

/// Connects so many, who meet in one room, and has them go again.
async fn sessions_come_and_go(engine: &Engine, host: &mut Guest, sessions: usize) {
    let hall = NewRoom::open("hall").expect("a good title").ephemeral();
    let room = engine.open_room(host.0.user(), hall).await.expect("a room").id();
    host.0.join(room, After::Nothing).await.expect("in it");
    let mut crowd = Vec::with_capacity(sessions);
    for n in 0..sessions {
        let guest = connect(engine, n);
        guest.0.join(room, After::Nothing).await.expect("in it");
        crowd.push(guest);
        if n.is_multiple_of(100) {
            crowd.iter_mut().chain([&mut *host]).for_each(|(_, inbox)| read(inbox));
        }
    }
    assert_eq!(engine.stats().sessions, sessions + GUESTS);
    for (session, _) in crowd {
        session.leave(room).await.expect("left");
        read(&mut host.1);
    }
    host.0.leave(room).await.expect("left");
}

/// Waits until only the guests are left and the heap is no larger than that.
async fn back_to(most: usize, engine: &Engine, clock: &FakeClock, guests: &mut [Guest]) {
    let began = Instant::now();
    loop {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
        guests.iter_mut().for_each(|(_, inbox)| read(inbox));
        let (stats, heap) = (engine.stats(), HEAP.current_usage());
        if stats.rooms == 0 && stats.sessions == GUESTS && heap <= most {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{heap} bytes of heap, {most} expected; {stats:?}");
    }
}

/// The heap, once it has stood still for as many looks: what was the last to end is dropped a moment
/// after it is off the lists.
async fn settled() -> usize {
    const LOOKS: usize = 50;
    let (mut heap, mut same) = (HEAP.current_usage(), 0);
    while same < LOOKS {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = HEAP.current_usage();
        same = if now == heap { same + 1 } else { 0 };
        heap = now;
    }
    heap
}

#[tokio::test]
async fn what_has_gone_leaves_no_memory_behind() {
    let clock = FakeClock::default();
    let builder = Engine::builder().store(MemoryStore::default()).clock(Arc::new(clock.clone()));
    let engine = builder.threads(2).start().expect("an engine");
    let mut guests: Vec<_> = (0..GUESTS).map(|n| connect(&engine, n)).collect();

    rooms_come_and_go(&engine, &mut guests, FIRST).await;
    sessions_come_and_go(&engine, &mut guests[0], FIRST).await;
    back_to(usize::MAX, &engine, &clock, &mut guests).await;
    let most = settled().await * 11 / 10;

    rooms_come_and_go(&engine, &mut guests, MANY).await;
    back_to(most, &engine, &clock, &mut guests).await;
    sessions_come_and_go(&engine, &mut guests[0], MANY).await;
    back_to(most, &engine, &clock, &mut guests).await;
    drop(guests);
    engine.stop().await;
}
