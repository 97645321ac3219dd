//! What tests of an engine, or of a program that embeds one, need: a clock that is moved by hand, a store
//! that fails and stalls on demand, a session that looks at what it hears, a model of what a client
//! knows, and a suite that says whether a transport carries what it must.

mod clock;
mod faulty;
mod probe;
mod report;
mod transport_suite;
mod view;

pub use clock::FakeClock;
pub use faulty::{Faults, FaultyStore};
pub use probe::Probe;
pub use report::{Report, Verdict};
pub use transport_suite::{
    Heard, InProcessTransport, Peer, Transport, check_transport, check_transport_cases,
};
pub use view::{Broken, View};
