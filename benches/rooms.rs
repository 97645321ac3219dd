//! `cargo bench -p benches --bench rooms` — a million rooms are opened and joined, all of them live at
//! once, and then left, which ends them: what a live room takes, what it costs to open and to leave one,
//! and whether all its memory comes back. A smaller number may be given:
//! `cargo bench -p benches --bench rooms -- 20000`.
//!
//! Every room is ephemeral and has one member, who is present; some hundred sessions share them. The
//! heap is what the program has asked for, counted by its allocator; the resident memory is what the
//! system says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use chat_core::{After, Engine, Event, Inbox, Name, NewRoom, RoomId, Session, User, UserId};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const ROOMS: usize = 1_000_000;
const SESSIONS: usize = 250;
/// Size of a page of memory, as `statm` counts.
const PAGE: usize = 4_096;

/// What the program takes, in bytes.
#[derive(Clone, Copy)]
struct Memory {
    heap: usize,
    resident: usize,
}

fn memory() -> Memory {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    Memory { heap: HEAP.current_usage(), resident: pages.unwrap_or(0) * PAGE }
}

/// A session, what it hears, and the rooms that it is in.
struct Guest {
    session: Session,
    inbox: Inbox<Arc<Event>>,
    rooms: Vec<RoomId>,
}

impl Guest {
    fn read(&mut self) {
        while self.inbox.next().now_or_never().flatten().is_some() {}
    }

    async fn open(&mut self, engine: &Engine, rooms: usize, done: &Progress) {
        for _ in 0..rooms {
            let new = NewRoom::open("bench").expect("a good title").ephemeral();
            let room = engine.open_room(self.session.user(), new).await.expect("a room").id();
            self.session.join(room, After::Nothing).await.expect("in it");
            self.rooms.push(room);
            self.read();
            done.one_more();
        }
    }

    async fn leave(&mut self, done: &Progress) {
        for room in std::mem::take(&mut self.rooms) {
            self.session.leave(room).await.expect("left");
            self.read();
            done.one_more();
        }
    }
}

/// A line that says how far a round has come.
struct Progress {
    what: &'static str,
    of: usize,
    done: AtomicUsize,
}

impl Progress {
    fn new(what: &'static str, of: usize) -> Self {
        Self { what, of, done: AtomicUsize::new(0) }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(self.of.div_ceil(100)) || done == self.of {
            let end = if done == self.of { "\n" } else { "" };
            eprint!("\r{}: {done} of {}{end}", self.what, self.of);
        }
    }
}

/// What a round has shown.
struct Round {
    before: Memory,
    peak: Memory,
    after: Memory,
    live: usize,
    opened: Duration,
    left: Duration,
}

async fn round(engine: &Engine, guests: &mut [Guest], rooms: usize) -> Round {
    let before = memory();
    let each = rooms / guests.len();
    let (opening, leaving) = (each * guests.len(), Progress::new("left", each * guests.len()));
    let opening = Progress::new("opened", opening);

    let began = Instant::now();
    join_all(guests.iter_mut().map(|guest| guest.open(engine, each, &opening))).await;
    let opened = began.elapsed();
    let live = engine.stats().rooms;
    let peak = memory();

    let began = Instant::now();
    join_all(guests.iter_mut().map(|guest| guest.leave(&leaving))).await;
    let left = began.elapsed();
    while engine.stats().rooms > 0 {
        thread::sleep(Duration::from_millis(100));
    }
    // The last rooms are off the list a moment before they are dropped.
    thread::sleep(Duration::from_secs(2));
    guests.iter_mut().for_each(Guest::read);
    Round { before, peak, after: memory(), live, opened, left }
}

fn connect(engine: &Engine, n: usize) -> Guest {
    let user = User::new(UserId::new(), Name::new(format!("guest {n}")).expect("a good name"));
    let (session, inbox) = engine.connect(user).expect("a session");
    Guest { session, inbox, rooms: Vec::new() }
}

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let asked = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let rooms = asked.unwrap_or(ROOMS);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let engine = Engine::builder().threads(2).start().expect("an engine");
    let mut guests: Vec<_> = (0..SESSIONS).map(|n| connect(&engine, n)).collect();
    let mut play = |rooms| runtime.block_on(round(&engine, &mut guests, rooms));
    // After the first million whatever is made once has been made, such as the run queues of the
    // threads, which stay as long as they have ever been; what a million leaves behind shows after
    // the second.
    let Round { before: empty, peak, live, .. } = play(rooms);
    let Round { before, after, opened, left, .. } = play(rooms);
    drop(guests);
    runtime.block_on(engine.stop());

    let per_room = |bytes: usize| bytes as f64 / live as f64;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / live as f64;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let figures = [
        ("live rooms", live as f64),
        ("heap per live room, bytes", per_room(peak.heap - empty.heap).round()),
        ("resident per live room, bytes", per_room(peak.resident - empty.resident).round()),
        ("open and join, us", micros(opened)),
        ("leave, us", micros(left)),
        ("heap at first, MiB", mib(empty.heap)),
        ("heap before, MiB", mib(before.heap)),
        ("heap at the peak, MiB", mib(peak.heap)),
        ("heap after, MiB", mib(after.heap)),
        ("heap after : before", after.heap as f64 / before.heap as f64),
        ("resident at first, MiB", mib(empty.resident)),
        ("resident before, MiB", mib(before.resident)),
        ("resident at the peak, MiB", mib(peak.resident)),
        ("resident after, MiB", mib(after.resident)),
        ("resident after : before", after.resident as f64 / before.resident as f64),
    ];
    for (what, figure) in figures {
        println!("{what}: {figure:.3}");
    }
    // A smaller round is for trying out.
    if asked.is_none() {
        let figures = figures.map(|(what, figure)| (what.to_owned(), figure));
        shared::figures::write("rooms", &figures.into()).expect("the figures are written");
    }
}
