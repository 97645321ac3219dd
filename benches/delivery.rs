//! `cargo bench -p benches --bench delivery` — what it costs to hand one member of a room a message, in
//! CPU time, by the way that it takes: a mailbox (an actor for each connection), an outbox (the
//! library's inboxes, with JSON), or the slab of the server's own transport.
//!
//! What sockets themselves cost is left out. Where there are sockets, each message is sent to all of them
//! twice: by the slab, and by as many bare `send`s of the same frame; what counts is the difference.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::net::TcpStream;
use actix_rt::{System, SystemRunner};
use chat_core::{
    After, ConnectionId, Deliver, Draft, Engine, Event, Fanout, Inbox, Name, NewRoom, Parcel,
    Reply, RoomId, Session, User, UserId, Wire,
};
use chat_server::listen::Descriptors;
use chat_server::ops::Metrics;
use chat_server::protocol::JsonWire;
use chat_server::socket::BareFanout;
use criterion::{Bencher, BenchmarkId, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main};
use futures_util::StreamExt;
use rustix::net::SendFlags;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// Messages of which one figure for the slab is made, however many Criterion asks for: what is counted
/// is a small part of what is done. Even, since before or after the slab makes a difference.
const SENDS: u32 = 40;

/// What an inbox is read as.
type Frame = <JsonWire as Wire>::Frame;

/// The CPU time that the process, or this thread of it, has taken.
fn cpu(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().expect("time since the start")
}

/// Counts what has arrived, and says when all of it has.
#[derive(Clone, Default)]
struct Arrivals {
    left: Arc<AtomicUsize>,
    all: Arc<Notify>,
}

impl Arrivals {
    fn expect(&self, count: usize) {
        self.left.store(count, Ordering::Relaxed);
    }

    fn arrived(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.all.notify_one();
        }
    }
}

// --- mailboxes -----------------------------------------------------------------------------------

/// A frame that all of them share.
#[derive(Message)]
#[rtype(result = "()")]
struct Shared(Arc<str>);

/// A connection as an actor.
struct Connection {
    arrivals: Arrivals,
}

impl Actor for Connection {
    type Context = Context<Self>;
}

impl Handler<Shared> for Connection {
    type Result = ();

    fn handle(&mut self, Shared(frame): Shared, _: &mut Self::Context) {
        assert!(!std::hint::black_box(frame).is_empty());
        self.arrivals.arrived();
    }
}

/// A frame is sent to every actor's mailbox, and each has handled it.
fn mailbox(bencher: &mut Bencher<'_>, members: usize) {
    let system = System::new();
    let arrivals = Arrivals::default();
    let start = || Connection { arrivals: arrivals.clone() }.start();
    let actors: Vec<Addr<_>> = system.block_on(async { (0..members).map(|_| start()).collect() });
    let frame: Arc<str> = "x".repeat(300).into();
    bencher.iter_custom(|rounds| {
        system.block_on(async {
            let began = cpu(ClockId::ThreadCPUTime);
            for _ in 0..rounds {
                arrivals.expect(members);
                for actor in &actors {
                    actor.do_send(Shared(Arc::clone(&frame)));
                }
                arrivals.all.notified().await;
            }
            cpu(ClockId::ThreadCPUTime) - began
        })
    });
}

// --- rooms ---------------------------------------------------------------------------------------

/// An engine with one thread, and a room in it.
struct Scene {
    system: SystemRunner,
    engine: Engine,
    room: RoomId,
    draft: Draft,
}

fn user(n: usize) -> User {
    User::new(UserId::new(), Name::new(format!("member {n}")).expect("a good name"))
}

impl Scene {
    fn new() -> Self {
        let system = System::new();
        let engine = Engine::builder().threads(1).start().expect("an engine");
        let new = NewRoom::open("bench").expect("a good title");
        let room = system.block_on(engine.open_room(&user(0), new)).expect("a room").id();
        let draft = Draft::text("x".repeat(128)).expect("a good text");
        Self { system, engine, room, draft }
    }

    async fn join(&self, session: &Session) {
        session.join(self.room, After::Nothing).await.expect("in it");
    }

    async fn send(&self, session: &Session) {
        session.send(self.room, self.draft.clone()).await.expect("sent");
    }

    fn stop(self) {
        self.system.block_on(self.engine.stop());
    }
}

// --- outboxes ------------------------------------------------------------------------------------

/// Reads a member's inbox, and counts the messages among what is in it.
async fn read(mut inbox: Inbox<Frame>, arrivals: Arrivals) {
    while let Some(frame) = inbox.next().await {
        if frame.starts_with(r#"{"event":"message""#) {
            arrivals.arrived();
        }
    }
}

/// JSON; what makes it runs on the engine's thread, which is how readers get there.
#[derive(Clone, Default)]
struct JsonThere {
    readers: Arc<Mutex<Vec<Inbox<Frame>>>>,
    arrivals: Arrivals,
}

impl Wire for JsonThere {
    type Frame = Frame;

    fn event(&self, event: &Arc<Event>) -> Frame {
        for inbox in self.readers.lock().expect("nobody panics with it").drain(..) {
            actix_rt::spawn(read(inbox, self.arrivals.clone()));
        }
        JsonWire.event(event)
    }

    fn reply(&self, tag: u64, result: &chat_core::Result<Reply>) -> Option<Frame> {
        JsonWire.reply(tag, result)
    }

    fn size(&self, frame: &Frame) -> usize {
        JsonWire.size(frame)
    }
}

/// A member sends, and every member's task, which waits for that, has read it. The tasks run on the
/// engine's thread, or all on another.
fn outbox(bencher: &mut Bencher<'_>, members: usize, on_same_thread: bool) {
    let scene = Scene::new();
    let wire = JsonThere::default();
    let arrivals = wire.arrivals.clone();
    let sessions = scene.system.block_on(async {
        let inboxes = scene.engine.inboxes(&wire);
        let (mut sessions, mut unread) = (Vec::with_capacity(members), Vec::new());
        for n in 0..members {
            let (session, inbox) = inboxes.connect(user(n)).expect("a session");
            scene.join(&session).await;
            sessions.push(session);
            unread.push(inbox);
        }
        if on_same_thread {
            wire.readers.lock().expect("nobody panics with it").extend(unread);
        } else {
            for inbox in unread {
                actix_rt::spawn(read(inbox, arrivals.clone()));
            }
        }
        sessions
    });
    let round = async || {
        arrivals.expect(members);
        scene.send(&sessions[0]).await;
        arrivals.all.notified().await;
    };
    scene.system.block_on(round());
    bencher.iter_custom(|rounds| {
        scene.system.block_on(async {
            let began = cpu(ClockId::ProcessCPUTime);
            for _ in 0..rounds {
                round().await;
            }
            cpu(ClockId::ProcessCPUTime) - began
        })
    });
    drop(sessions);
    scene.stop();
}

// --- the slab ------------------------------------------------------------------------------------

/// The server's fan-out with its sockets, and what it has cost.
struct Slab {
    fanout: BareFanout,
    /// What is sent to one of two neighbours is read at the other.
    sockets: Vec<std::net::TcpStream>,
    /// The last message, as a frame.
    frame: Vec<u8>,
    buffer: Vec<u8>,
    /// Since they were last asked for.
    by_slab: Duration,
    bare: Duration,
    messages: u32,
    told: Rc<Notify>,
}

impl Slab {
    fn insert(&mut self, connections: [ConnectionId; 2]) {
        let (one, other) = UnixStream::pair().expect("two sockets");
        for (connection, socket) in connections.into_iter().zip([one, other]) {
            socket.set_nonblocking(true).expect("an open socket");
            // To the fan-out it is a stream like any other.
            let socket = std::net::TcpStream::from(OwnedFd::from(socket));
            self.sockets.push(socket.try_clone().expect("a descriptor"));
            let socket = TcpStream::from_std(socket).expect("a runtime");
            self.fanout.insert(connection, socket).expect("an open socket");
        }
    }

    /// Does what the engine says. If that is a message, it is sent bare as well, before or after.
    fn deliver(&mut self, deliver: Deliver) {
        let rooms = |parcel: &Parcel| match parcel {
            Parcel::Room { event, .. } => Some(matches!(**event, Event::Message { .. })),
            _ => None,
        };
        let what = deliver.parcels.iter().filter_map(rooms).max();
        if what != Some(true) {
            self.fanout.take(deliver);
            self.fanout.flush();
            if what.is_some() {
                self.read();
            }
            return;
        }
        let is_first = self.messages.is_multiple_of(2);
        if is_first {
            self.send();
        }
        let began = cpu(ClockId::ThreadCPUTime);
        self.fanout.take(deliver);
        self.fanout.flush();
        self.by_slab += cpu(ClockId::ThreadCPUTime) - began;
        let each = self.read();
        assert!(each.iter().all(|bytes| *bytes == each[0] && *bytes > 0), "all have it, once");
        self.frame.clear();
        self.frame.extend(&self.buffer[..each[0]]);
        if !is_first {
            self.send();
        }
        self.messages += 1;
        self.told.notify_one();
    }

    /// Sends the last message to all, with the same calls that the fan-out makes.
    fn send(&mut self) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // What it takes to come by the descriptors is the slab's own cost.
        let descriptors: Vec<_> = self.sockets.iter().map(|socket| socket.as_fd()).collect();
        let began = cpu(ClockId::ThreadCPUTime);
        for descriptor in descriptors {
            let sent = rustix::net::send(descriptor, &self.frame, flags);
            assert_eq!(sent, Ok(self.frame.len()));
        }
        self.bare += cpu(ClockId::ThreadCPUTime) - began;
        self.read();
    }

    /// Reads what has come at every socket: how many bytes.
    fn read(&mut self) -> Vec<usize> {
        let Self { sockets, buffer, .. } = self;
        let mut read = |socket| rustix::io::read(socket, &mut buffer[..]).unwrap_or_default();
        sockets.iter().map(&mut read).collect()
    }
}

/// Stands where the worker's actor does.
struct Worker(Rc<RefCell<Slab>>);

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Worker {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        self.0.borrow_mut().deliver(deliver);
    }
}

/// What is asked of the slab's figures.
#[derive(Clone, Copy)]
enum Ask {
    /// The slab alone, without what the same `send`s have cost.
    Slab,
    /// The `send`s alone.
    Sends,
}

/// A member sends, and every member's socket has been sent to, on this thread. The engine's own thread
/// does not count.
fn slab(bencher: &mut Bencher<'_>, members: usize, ask: Ask) {
    let scene = Scene::new();
    let meters = Arc::new(Metrics::new(None).meters());
    let told = Rc::new(Notify::new());
    let slab = Rc::new(RefCell::new(Slab {
        fanout: BareFanout::new(&scene.engine, meters),
        sockets: Vec::new(),
        frame: vec![b'x'; 300],
        buffer: vec![0; 64 << 10],
        by_slab: Duration::ZERO,
        bare: Duration::ZERO,
        messages: 0,
        told: Rc::clone(&told),
    }));
    let sessions = scene.system.block_on(async {
        let worker = Worker(Rc::clone(&slab)).start();
        let fanout = Fanout::new(worker.recipient(), usize::MAX);
        let mut sessions = Vec::with_capacity(members);
        for n in 0..members / 2 {
            let connections = [ConnectionId::new(), ConnectionId::new()];
            slab.borrow_mut().insert(connections);
            for connection in connections {
                let session = scene.engine.connect_through(&fanout, connection, user(n));
                let session = session.expect("a session");
                scene.join(&session).await;
                sessions.push(session);
            }
        }
        slab.borrow_mut().read();
        sessions
    });
    bencher.iter_custom(|rounds| {
        scene.system.block_on(async {
            {
                let mut slab = slab.borrow_mut();
                (slab.by_slab, slab.bare) = (Duration::ZERO, Duration::ZERO);
            }
            for _ in 0..SENDS {
                scene.send(&sessions[0]).await;
                told.notified().await;
            }
            let slab = slab.borrow();
            let spent = match ask {
                // One that is lost in the noise counts as a nanosecond for each.
                Ask::Slab => {
                    let least = Duration::from_nanos(members as u64) * SENDS;
                    slab.by_slab.saturating_sub(slab.bare).max(least)
                }
                Ask::Sends => slab.bare,
            };
            spent.mul_f64(rounds as f64 / f64::from(SENDS))
        })
    });
    drop(sessions);
    scene.stop();
}

fn delivery(criterion: &mut Criterion) {
    // There are more sockets than a shell allows at first.
    let _ = Descriptors::take();
    let mut group = criterion.benchmark_group("delivery");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for members in [1_000, 10_000] {
        group.throughput(Throughput::Elements(members as u64));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        let id = |name: &str| BenchmarkId::new(name, members);
        group.bench_function(id("mailbox"), |bencher| mailbox(bencher, members));
        group.bench_function(id("outbox"), |bencher| outbox(bencher, members, true));
        let other = "outbox, read on another thread";
        group.bench_function(id(other), |bencher| outbox(bencher, members, false));
        group.bench_function(id("slab"), |bencher| slab(bencher, members, Ask::Slab));
        group.bench_function(id("send"), |bencher| slab(bencher, members, Ask::Sends));
    }
    group.finish();
}

criterion_group!(benches, delivery);
criterion_main!(benches);
