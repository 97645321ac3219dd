//! The engine: what every actor of it shares, the threads it runs on, and the handle that callers hold.

mod backlog;
mod builder;
mod core;
mod handle;
mod registry;
mod threads;

pub(crate) use backlog::Slot;
pub use builder::{EngineBuilder, StartError};
pub(crate) use core::Core;
pub use handle::{Engine, Inboxes, Stats};
pub(crate) use registry::{Live, Queued, RoomRef};
