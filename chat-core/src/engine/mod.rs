//! The engine as its owner knows it: how it is put together, the threads it runs on, and the
//! handle.

mod builder;
mod everywhere;
mod handle;
mod own_rooms;
mod threads;

pub use builder::{EngineBuilder, StartError};
pub use handle::{Engine, Inboxes, PresenceWatch, Stats};
