//! The engine's own threads: an actix System of its own, so that the engine embeds in plain tokio
//! as well as in a program that runs an actix System already, and several engines fit one process.

use std::io;
use std::sync::mpsc;
use std::thread;

use actix_rt::{Arbiter, ArbiterHandle, System};
use tokio::sync::oneshot;

/// Running threads.
pub(crate) struct Threads {
    system: System,
    arbiters: Vec<ArbiterHandle>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Threads {
    /// Starts `count` threads for actors, and one that watches over them.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (started, wait) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("chat-engine".into()).spawn(move || {
            let runner = System::new();
            let arbiters: io::Result<Vec<_>> = (0..count).map(|_| Arbiter::try_new()).collect();
            let arbiters = match arbiters {
                Ok(arbiters) => arbiters,
                Err(error) => return drop(started.send(Err(error))),
            };
            let handles = arbiters.iter().map(Arbiter::handle).collect();
            if started.send(Ok((System::current(), handles))).is_err() {
                return;
            }
            if let Err(error) = runner.run() {
                tracing::error!(%error, "the engine's system ended with an error");
            }
            for arbiter in arbiters {
                arbiter.stop();
                if arbiter.join().is_err() {
                    tracing::error!("an engine thread panicked");
                }
            }
            // Nobody waits if the engine was dropped rather than stopped.
            end.send(()).ok();
        })?;
        let died = |_| io::Error::other("the engine's thread died while starting");
        let (system, arbiters) = wait.recv().map_err(died)??;
        Ok(Self { system, arbiters, ended: Some(ended) })
    }

    /// The threads for actors.
    pub(crate) fn arbiters(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }

    /// Stops the threads, whatever they are doing, and gives what is ready when they have ended.
    pub(crate) fn stop(&mut self) -> Option<oneshot::Receiver<()>> {
        self.system.stop();
        self.ended.take()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.system.stop();
    }
}
