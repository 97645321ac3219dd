//! `cargo bench -p benches --bench big_room` — whether a room costs each of its members the same however many
//! there are: three rooms, of 5,000, 15,000 and 50,000 members who are all present, are filled, spoken in, joined
//! and left, and emptied, in turns, so that what happens to the machine meanwhile happens to all of them.
//! Other sizes may be given: `cargo bench -p benches --bench big_room -- 500 1500 5000`. With `-- --write`, what was
//! measured of the three stands in `docs/benchmarks.md` afterwards.

use std::env;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{
    After, Draft, Engine, Event, Inbox, Name, NewRoom, Room, RoomId, Session, User, UserId,
};
use futures_util::{FutureExt, StreamExt};
use shared::Outcome;
use shared::figures::{Document, Figures, median, number};
use tokio::runtime::Builder;

const SIZES: [usize; 3] = [5_000, 15_000, 50_000];
/// In how many parts a room is filled and emptied.
const PARTS: usize = 10;
/// How often each room has its turn while it is full.
const ROUNDS: usize = 15;
/// How many join, and leave again, in each round.
const GUESTS: usize = 500;
/// How many messages are sent in each round.
const MESSAGES: usize = 5;

type Member = (Session, Inbox<Arc<Event>>);

/// A room of an engine of its own, and how long each thing has taken, in nanoseconds a member.
struct Big {
    engine: Engine,
    room: Room,
    size: usize,
    members: Vec<Member>,
    filling: Vec<f64>,
    joining: Vec<f64>,
    speaking: Vec<f64>,
    leaving: Vec<f64>,
    emptying: Vec<f64>,
}

fn user(n: usize) -> User {
    User::new(UserId::new(), Name::new(format!("member {n}")).expect("a good name"))
}

fn each(time: Duration, members: usize) -> f64 {
    time.as_nanos() as f64 / members as f64
}

fn read(members: &mut [Member]) {
    for (_, inbox) in members {
        while inbox.next().now_or_never().flatten().is_some() {}
    }
}

async fn join(engine: &Engine, room: RoomId, count: usize) -> Vec<Member> {
    let mut members = Vec::with_capacity(count);
    for n in 0..count {
        let member = engine.connect(user(n)).expect("a session");
        member.0.join(room, After::Nothing).await.expect("in it");
        members.push(member);
    }
    members
}

async fn leave(room: RoomId, members: Vec<Member>) {
    for (session, _) in &members {
        session.leave(room).await.expect("left");
    }
}

impl Big {
    async fn new(size: usize) -> Self {
        let engine = Engine::builder().threads(1).start().expect("an engine");
        let new = NewRoom::open("big").expect("a good title");
        let room = engine.open_room(&user(0), new).await.expect("a room");
        let (filling, joining, speaking) = (Vec::new(), Vec::new(), Vec::new());
        let (leaving, emptying, members) = (Vec::new(), Vec::new(), Vec::new());
        Self { engine, room, size, members, filling, joining, speaking, leaving, emptying }
    }

    async fn fill(&mut self) {
        let count = self.size / PARTS;
        let began = Instant::now();
        let joined = join(&self.engine, self.room.id(), count).await;
        self.filling.push(each(began.elapsed(), count));
        self.members.extend(joined);
        read(&mut self.members);
    }

    async fn round(&mut self) {
        let began = Instant::now();
        let guests = join(&self.engine, self.room.id(), GUESTS).await;
        self.joining.push(each(began.elapsed(), GUESTS));
        read(&mut self.members);
        for _ in 0..MESSAGES {
            self.speak().await;
        }
        let began = Instant::now();
        leave(self.room.id(), guests).await;
        self.leaving.push(each(began.elapsed(), GUESTS));
        read(&mut self.members);
    }

    /// Somebody speaks, and all have read it.
    async fn speak(&mut self) {
        let speaker = &self.members[self.members.len() / 2].0;
        let draft = Draft::text("hello, everybody").expect("a good text");
        let began = Instant::now();
        let sent = speaker.send(self.room.id(), draft).await.expect("sent").seq;
        for (_, inbox) in &mut self.members {
            loop {
                let event = inbox.next().await.expect("it is connected");
                if matches!(&*event, Event::Message { message, .. } if message.seq == sent) {
                    break;
                }
            }
        }
        self.speaking.push(each(began.elapsed(), self.members.len()));
    }

    async fn empty(&mut self) {
        let count = self.size / PARTS;
        let gone = self.members.split_off(self.members.len() - count);
        let began = Instant::now();
        leave(self.room.id(), gone).await;
        self.emptying.push(each(began.elapsed(), count));
        read(&mut self.members);
    }

    /// What was measured: its name, and nanoseconds a member. Filling and emptying are the mean of all parts,
    /// because the last of them are what might grow.
    fn measured(&self) -> [(&'static str, f64); 5] {
        let mean = |parts: &[f64]| parts.iter().sum::<f64>() / parts.len() as f64;
        let middle = |rounds: &[f64]| median(rounds.iter().copied()).unwrap_or_default();
        [
            ("fill", mean(&self.filling)),
            ("join", middle(&self.joining)),
            ("speak", middle(&self.speaking)),
            ("leave", middle(&self.leaving)),
            ("empty", mean(&self.emptying)),
        ]
    }
}

async fn measure(sizes: &[usize]) -> Figures {
    let mut rooms = Vec::new();
    for size in sizes {
        rooms.push(Big::new(*size).await);
    }
    for part in 1..=PARTS {
        for room in &mut rooms {
            room.fill().await;
        }
        eprintln!("filled: {part} of {PARTS}");
    }
    for round in 0..ROUNDS {
        // Each time another one first.
        for turn in 0..rooms.len() {
            let count = rooms.len();
            rooms[(round + turn) % count].round().await;
        }
        eprintln!("round {} of {ROUNDS}", round + 1);
    }
    for _ in 0..PARTS {
        for room in &mut rooms {
            room.empty().await;
        }
    }
    let mut figures = Figures::new();
    for room in &rooms {
        for (what, nanos) in room.measured() {
            figures.insert(format!("{what}, {}", room.size), nanos);
        }
        room.engine.stop().await;
    }
    figures
}

/// What is measured, and what the table calls it.
const MEASURED: [(&str, &str); 5] = [
    ("fill", "a member joins, while the room fills, µs"),
    ("join", "a member joins the full room, µs"),
    ("speak", "somebody speaks and all read it, ns a member"),
    ("leave", "a member leaves the full room, µs"),
    ("empty", "a member leaves, while the room empties, µs"),
];

fn table(figures: &Figures) -> Outcome<String> {
    let mut table = String::from("| |");
    for size in SIZES {
        write!(table, " {} members |", number(size as f64))?;
    }
    table += " the largest against the smallest |\n| --- | --: | --: | --: | --: |\n";
    for (what, row) in MEASURED {
        let scale = if what == "speak" { 1.0 } else { 1_000.0 };
        let nanos = SIZES.map(|size| figures[&format!("{what}, {size}")]);
        write!(table, "| {row} |")?;
        for nanos in nanos {
            write!(table, " {} |", number(nanos / scale))?;
        }
        writeln!(table, " {:.2} times |", nanos[2] / nanos[0])?;
    }
    Ok(table)
}

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() -> Outcome<()> {
    let asked: Vec<usize> = env::args().skip(1).filter_map(|one| one.parse().ok()).collect();
    let sizes = if asked.is_empty() { &SIZES[..] } else { &asked };
    let runtime = Builder::new_current_thread().build()?;
    let figures = runtime.block_on(measure(sizes));
    for (what, nanos) in &figures {
        println!("{what} members: {nanos:.0} ns");
    }
    // Other sizes are for trying out.
    if asked.is_empty() && env::args().any(|arg| arg == "--write") {
        let mut document = Document::read()?;
        document.fill("big room", &table(&figures)?)?;
        document.save()?;
    }
    Ok(())
}
