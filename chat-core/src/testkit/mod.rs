//! What tests of an engine, or of a program that embeds one, need: a clock that is moved by hand, a
//! store that fails and stalls on demand, a session that looks at what it hears, and a model of
//! what a client knows. And what tests of its parts need: the cases that every store, and every
//! transport, must pass.

mod clock;
mod faulty;
mod probe;
mod report;
mod store_suite;
mod transport_suite;
mod view;

pub use clock::FakeClock;
pub use faulty::{Faults, FaultyStore};
pub use probe::Probe;
pub use report::{Report, Verdict};
pub use store_suite::{StoreHome, check_store};
pub use transport_suite::{
    Heard, InProcessTransport, Peer, Transport, check_transport, check_transport_cases,
};
pub use view::{Broken, View};
