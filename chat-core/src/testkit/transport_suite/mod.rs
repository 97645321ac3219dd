//! Says whether a transport carries what it must: commands from clients to sessions, replies and
//! events back, each once and in order, and the truth about who is there.
//!
//! [`check_transport`] says how it is used. Each theme has a file of cases; [`stage`] is what they
//! are played on, [`guest`] who plays them, and [`witness`] objects to what is never right,
//! whatever a case is about.

mod coming_back;
mod ending;
mod guest;
mod in_process;
mod membership;
mod messages;
mod presence;
mod refusals;
mod replies;
mod slow;
mod stage;
mod texts;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;

pub use in_process::InProcessTransport;
use stage::{Outcome, Stage};

use crate::command::{Command, Reply};
use crate::engine::Engine;
use crate::error::Result;
use crate::event::{CloseReason, Event};
use crate::limits::Limits;
use crate::model::User;
use crate::store::MemoryStore;
use crate::testkit::report::{Stop, verdict};
use crate::testkit::{FakeClock, FaultyStore, Report, Verdict};

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What reaches a client.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Something happened.
    Event(Arc<Event>),
    /// A command is answered.
    Reply {
        /// What the client called the command.
        tag: u64,
        /// The answer. Of an error, only the code is looked at.
        result: Result<Reply>,
    },
    /// The connection has ended, with the reason as far as the transport tells it.
    Closed(Option<CloseReason>),
}

/// One connected client, at the far end of the transport. Dropping it is the client vanishing
/// without a word: its connection is cut.
#[async_trait]
pub trait Peer: Send {
    /// Sends a command; its reply comes with this tag. Does not wait for the other end: a client
    /// may send much before it reads anything.
    async fn submit(&mut self, tag: u64, command: Command);

    /// The next thing that reaches the client. After [`Heard::Closed`] nothing comes: `Closed`
    /// again, or no answer.
    ///
    /// Must not read ahead: what is not asked for stays unread in the transport, so that a client
    /// on which this is not called is one that does not read.
    async fn hear(&mut self) -> Heard;
}

/// A transport under test, which serves one engine.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Connects a client as this user. A client that cannot be connected hears [`Heard::Closed`].
    async fn connect(&self, user: &User) -> Box<dyn Peer>;

    /// Whether clients have words for this command. What they have none for, the suite asks of the
    /// engine itself, or leaves out.
    fn carries(&self, _command: &Command) -> bool {
        true
    }

    /// How many bytes may be on their way to a client that does not read, besides those that the
    /// engine keeps for it: what the buffers of sockets hold.
    fn in_flight(&self) -> usize {
        0
    }

    /// Whether a client that has stopped reading can be told why it is closed.
    fn closes_unread(&self) -> bool {
        true
    }
}

/// Says whether a transport carries what it must: runs every case, each on a new engine with a
/// transport that is made for it. Never panics. Call it within a tokio runtime.
///
/// Somebody with a transport of their own writes a [`Transport`] that connects clients over it, a
/// [`Peer`] that is such a client, and one test:
///
/// ```
/// use chat_core::testkit::{InProcessTransport, check_transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // In place of this one: a server of yours over the engine, on a free port.
/// let report = check_transport(async |engine, _clock| InProcessTransport::new(&engine)).await;
/// report.assert_passed();
/// # }
/// ```
///
/// The engine's clock stands still unless a case moves it; timers of the transport's own (pings,
/// deadlines) should follow the same clock, or be so long that they do not matter. Whatever a case
/// is about, every client objects to a gap, a double, a reply without a question, an event of a
/// room that it does not hear, and to anything that comes after the end.
///
/// How sessions are authenticated, renewed and expire is each transport's own affair and not looked
/// at.
pub async fn check_transport<T: Transport>(
    new_transport: impl AsyncFn(Engine, FakeClock) -> T,
) -> Report {
    let mut report = Report::default();
    for case in all() {
        report.add(case.name, verdict(LIMIT, run(case, LIMIT, &new_transport)).await);
    }
    report
}

/// As [`check_transport`], but only the cases with these names, and with another time than 30 s
/// after which a case has failed: to look into one that does.
pub async fn check_transport_cases<T: Transport>(
    names: &[&'static str],
    limit: Duration,
    new_transport: impl AsyncFn(Engine, FakeClock) -> T,
) -> Report {
    let mut report = Report::default();
    for name in names {
        let verdict = match all().find(|case| case.name == *name) {
            Some(case) => verdict(limit, run(case, limit, &new_transport)).await,
            None => Verdict::Failed("there is no such case".to_owned()),
        };
        report.add(name, verdict);
    }
    report
}

fn all() -> impl Iterator<Item = &'static Case> {
    let themes = [
        replies::CASES,
        messages::CASES,
        coming_back::CASES,
        membership::CASES,
        presence::CASES,
        texts::CASES,
        refusals::CASES,
        slow::CASES,
        ending::CASES,
    ];
    themes.into_iter().flatten()
}

/// A case, and the engine that it wants.
struct Case {
    name: &'static str,
    limits: fn(&mut Limits),
    run: for<'a> fn(&'a Stage<'a>) -> LocalBoxFuture<'a, Outcome>,
}

/// A list of cases by the names of their functions; what follows a name are its limits.
macro_rules! cases {
    ($($name:ident $({ $($field:ident: $value:expr),+ })?),+ $(,)?) => {
        pub(super) const CASES: &[crate::testkit::transport_suite::Case] = &[$(
            crate::testkit::transport_suite::Case {
                name: stringify!($name),
                limits: |_limits| { $($(_limits.$field = $value;)+)? },
                run: |stage| Box::pin($name(stage)),
            }
        ),+];
    };
}
use cases;

async fn run<T: Transport>(
    case: &Case,
    limit: Duration,
    new_transport: &impl AsyncFn(Engine, FakeClock) -> T,
) -> Outcome {
    // Cases send as much as they need to.
    let mut limits = Limits { commands_per_s: 0, bytes_per_s: 0, ..Limits::default() };
    (case.limits)(&mut limits);
    let (clock, store) = (FakeClock::default(), MemoryStore::default());
    let (faulty, faults) = FaultyStore::new(store.clone());
    let builder = Engine::builder().store(faulty).limits(limits.clone());
    let engine = builder.clock(Arc::new(clock.clone())).threads(3).start();
    let engine = engine.map_err(|error| Stop::Failed(format!("no engine: {error}")))?;
    let transport = new_transport(engine.clone(), clock.clone()).await;
    let transport: &dyn Transport = &transport;
    // Less than the case has as a whole, so that it is the wait that says what is missing.
    let patience = limit.mul_f64(0.6);
    let faults_of_store = faults.clone();
    let stage = Stage { transport, engine, clock, store, faults, limits, patience };
    let outcome = (case.run)(&stage).await;
    faults_of_store.hold_commits(false);
    faults_of_store.hold_reads(false);
    stage.engine.stop().await;
    outcome
}
