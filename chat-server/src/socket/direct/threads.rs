//! The engine's threads, as far as they have sockets: what a room says crosses no thread on its way
//! to those that are where the room is, and a command none on its way to its session.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chat_core::Engine;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::socket::direct::Shared;
use crate::socket::direct::worker::Worker;

/// Something to do where a worker's sockets are.
type Job = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// A way to each of the threads.
pub(super) struct Threads {
    jobs: Vec<UnboundedSender<Job>>,
    next: AtomicUsize,
}

impl Threads {
    /// Starts a worker on each thread of the engine.
    pub(super) fn start(engine: &Engine, shared: &Arc<Shared>) -> Self {
        let (jobs, waiting): (Vec<_>, Vec<_>) =
            (0..engine.threads()).map(|_| unbounded_channel()).unzip();
        let waiting: Vec<_> =
            waiting.into_iter().map(|waiting| Mutex::new(Some(waiting))).collect();
        let (waiting, shared) = (Arc::new(waiting), Arc::clone(shared));
        engine.on_each_thread(move |thread| {
            // Each thread comes once.
            let taken = waiting[thread].lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waiting) = taken {
                actix_web::rt::spawn(work(Worker::start(&shared, Some(thread)), waiting));
            }
        });
        Self { jobs, next: AtomicUsize::new(0) }
    }

    /// Does something on one of the threads, each in turn. There are never more such things than
    /// connections let in.
    pub(super) fn run(&self, job: impl FnOnce(&Rc<Worker>) + Send + 'static) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        // A thread that has ended has no sockets any more; what was to be done is dropped with it.
        self.jobs[next % self.jobs.len()].send(Box::new(job)).ok();
    }
}

async fn work(worker: Rc<Worker>, mut waiting: UnboundedReceiver<Job>) {
    while let Some(job) = waiting.recv().await {
        job(&worker);
    }
}
