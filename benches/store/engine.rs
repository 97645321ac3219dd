//! The engine over a store, in this process: who sends, and what the store was asked meanwhile.
//!
//! Every sender is a session of its own user, who is a member of the rooms that it writes to, and runs
//! on the engine's thread that its session is on, as the server's sockets do. It has been made a member
//! through the room, not through the session, which therefore hears nothing: measured is the way of a
//! message to the store and back, and not how it is shown to members.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler};
use chat_core::{
    After, ConnectionId, Deliver, Draft, Engine, Fanout, Limits, Name, NewRoom, RoomId, Session,
    Store, User, UserId,
};
use chat_server::store::SqlStore;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::Outcome;
use shared::figures::Report;
use shared::programs::MariaDb;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::closed_loop::{self, Refused, Sender, Sent, Window, Work, gather, works};
use crate::counts::Counts;
use crate::results::measure;
use crate::shape::Shape;

/// How many rooms are opened at once, and how many members join.
const AT_ONCE: usize = 64;

/// Starts an engine. Nobody is seen in its rooms, but they are not to leave its memory.
pub(crate) fn start(store: Arc<dyn Store>) -> Outcome<Engine> {
    let limits = Limits { idle: Duration::from_secs(24 * 60 * 60), ..Limits::default() };
    Ok(Engine::builder().shared_store(store).limits(limits).start()?)
}

/// Rooms, and the users who write to them.
pub(crate) struct Cast {
    pub(crate) rooms: Vec<RoomId>,
    pub(crate) users: Vec<User>,
}

/// The user with this number.
pub(crate) fn user(number: usize, id: Uuid) -> Outcome<User> {
    Ok(User::new(UserId::from(id), Name::new(format!("sender {number}"))?))
}

impl Cast {
    /// Opens the rooms, and makes each sender a member of those that it writes to.
    pub(crate) async fn assemble(engine: &Engine, shape: &Shape) -> Outcome<Self> {
        let users = (0..shape.senders).map(|number| user(number, Uuid::now_v7()));
        let users: Vec<User> = users.collect::<Outcome<_>>()?;
        let owner = User::new(UserId::new(), Name::new("owner")?);
        let open = |number| {
            let (engine, owner) = (engine, &owner);
            async move { engine.open_room(owner, NewRoom::open(format!("room {number}"))?).await }
        };
        let rooms: Vec<_> =
            stream::iter(0..shape.rooms).map(open).buffered(AT_ONCE).try_collect().await?;
        let pairs = users.iter().enumerate().flat_map(|(number, user)| {
            shape.rooms_of(number).into_iter().map(move |room| (user, room))
        });
        let joins = stream::iter(pairs).map(|(user, room)| rooms[room].join(user, After::Nothing));
        joins.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
        Ok(Self { rooms: rooms.iter().map(chat_core::Room::id).collect(), users })
    }

    /// A session for each of these users, on the engine's threads in turn.
    pub(crate) async fn connect(&self, engine: &Engine) -> Outcome<Vec<Member>> {
        let rooms: Arc<[RoomId]> = self.rooms.clone().into();
        let fanouts = fanouts(engine).await?;
        let connect = |(user, (thread, fanout)): (&User, &(usize, Fanout))| {
            let session = engine.connect_through(fanout, ConnectionId::new(), user.clone())?;
            Ok(Member { session, thread: *thread, rooms: Arc::clone(&rooms) })
        };
        self.users.iter().zip(fanouts.iter().cycle()).map(connect).collect()
    }
}

/// Where a transport has its sockets; here nobody listens.
struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Deaf {
    type Result = ();

    fn handle(&mut self, _: Deliver, _: &mut Self::Context) {}
}

/// One for each of the engine's threads.
async fn fanouts(engine: &Engine) -> Outcome<Vec<(usize, Fanout)>> {
    let most = engine.limits().fanout_in_flight;
    let (started, mut wait) = mpsc::unbounded_channel();
    engine.on_each_thread(move |thread| {
        let fanout = Fanout::on_thread(Deaf.start().recipient(), most, thread);
        started.send((thread, fanout)).ok();
    });
    let mut fanouts = Vec::new();
    while fanouts.len() < engine.threads() {
        fanouts.push(wait.recv().await.ok_or("a thread of the engine has ended")?);
    }
    Ok(fanouts)
}

/// A sender's session.
pub(crate) struct Member {
    session: Session,
    /// The one that it is on.
    thread: usize,
    rooms: Arc<[RoomId]>,
}

impl Sender for Member {
    async fn send(&mut self, room: usize, key: &str, text: &str) -> Result<u64, Refused> {
        let refused = |error: chat_core::Error| Refused {
            again: error.code().retry(),
            why: error.to_string(),
        };
        let draft = Draft::text(text).and_then(|draft| draft.key(key)).map_err(refused)?;
        let sent = self.session.send(self.rooms[room], draft).await.map_err(refused)?;
        Ok(sent.seq)
    }
}

/// A sender's work, and whom to tell what came of it.
type Placed = (Work, oneshot::Sender<Result<Sent, String>>);

/// Lets the members write, each on the engine's thread that its session is on, where a transport has its
/// sockets too. `first` is the number of the first among those of all processes.
///
/// # Errors
/// If a message is refused for good.
pub(crate) async fn run(
    engine: &Engine,
    members: Vec<Member>,
    first: usize,
    shape: &Shape,
    window: Window,
) -> Outcome<Sent> {
    let mut places: Vec<Vec<Placed>> = Vec::new();
    places.resize_with(engine.threads(), Vec::new);
    let threads: Vec<_> = members.iter().map(|member| member.thread).collect();
    let mut tasks = Vec::new();
    for (thread, work) in threads.into_iter().zip(works(members, first, shape, window)) {
        let (told, heard) = oneshot::channel();
        places[thread].push((work, told));
        tasks.push(heard);
    }
    let places = Arc::new(Mutex::new(places));
    engine.on_each_thread(move |thread| {
        let placed = std::mem::take(&mut places.lock().expect("nobody panics")[thread]);
        for (work, told) in placed {
            tokio::task::spawn_local(async move { told.send(work.await).ok() });
        }
    });
    gather(tasks).await
}

/// Measures an engine over this store, whose database is empty; the store is closed afterwards.
pub(crate) async fn measure(
    store: Arc<dyn SqlStore>,
    database: Option<&MariaDb>,
    shape: &Shape,
    measured: Duration,
) -> Outcome<Report> {
    let engine = start(Arc::clone(&store) as Arc<dyn Store>)?;
    let cast = Cast::assemble(&engine, shape).await?;
    let members = cast.connect(&engine).await?;
    let window = Window::of(measured);
    let run = run(&engine, members, 0, shape, window);
    let (sent, counts) = tokio::join!(run, Counts::over(window, Some(&*store), database));
    engine.stop().await;
    store.close().await;
    let (Sent { acked, again }, counts) = (sent?, counts?);
    let mut report = closed_loop::figures(&acked, window.seconds())?;
    report.insert(measure::AGAIN, again as f64);
    counts.report(window, &mut report);
    Ok(report)
}
