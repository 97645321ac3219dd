//! What tests of an engine, or of a program that embeds one, need: a clock that is moved by hand, a store
//! that fails and stalls on demand, a session that looks at what it hears, and a model of what a client
//! knows. And what the test of a store needs: the cases that every store must pass.

mod clock;
mod faulty;
mod probe;
mod store_suite;
mod view;

pub use clock::FakeClock;
pub use faulty::{Faults, FaultyStore};
pub use probe::Probe;
pub use store_suite::{StoreHome, StoreReport, check_store};
pub use view::{Broken, View};
