//! What tests of an engine, or of a program that embeds one, need: a clock that is moved by hand, and a
//! store that fails and stalls on demand.

mod clock;
mod faulty;

pub use clock::FakeClock;
pub use faulty::{Faults, FaultyStore};
