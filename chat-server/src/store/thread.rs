//! A thread for what concerns the database. A pool's connection belongs to the runtime in which it
//! was opened, and ends with it; so that must not be one of the caller's, of which there are several
//! (each of the engine's threads is one), and which may end before the store.

use std::io;
use std::sync::mpsc;
use std::thread;

use chat_core::StoreError;
use thiserror::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A running thread. It ends when this is dropped, with whatever it was doing.
#[derive(Debug)]
pub(super) struct Thread {
    handle: Handle,
    /// Dropping it ends the thread.
    _end: oneshot::Sender<()>,
}

/// The thread has ended.
#[derive(Debug, Error)]
#[error("the store is closed")]
struct Ended;

impl Thread {
    /// Starts it under this name.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (started, wait) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            if started.send(Ok(runtime.handle().clone())).is_ok() {
                // Either way nobody needs the thread any more.
                runtime.block_on(ended).ok();
            }
        })?;
        let died = |_| io::Error::other("the database's thread died while starting");
        Ok(Self { handle: wait.recv().map_err(died)??, _end: end })
    }

    /// Does something there. It is done to its end even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.handle.spawn(work).await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::new(Ended)),
        })
    }

    /// Where it is done.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}
