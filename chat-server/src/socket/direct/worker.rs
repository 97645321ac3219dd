//! What a worker's thread has once for all its connections: the fan-out, the actor by which the
//! engine reaches it, the tasks that flush it and watch its deadlines, and the buffer that all
//! sockets are read into.

use std::cell::{RefCell, RefMut};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::{Actor, AsyncContext, Context, Handler};
use chat_core::{Clock, Deliver, Fanout};
use tokio::sync::{Notify, watch};

use crate::protocol::close_code;
use crate::socket::SocketLimits;
use crate::socket::direct::Shared;
use crate::socket::direct::fanout::{FanoutParts, SocketFanout};
use crate::socket::direct::slab::Place;

/// How many frames are sent before others have a turn.
pub(super) const TURN: usize = 512;
/// How much is read at a time.
const BUFFER: usize = 64 * 1_024;

pub(super) struct Worker {
    fanout: RefCell<SocketFanout>,
    buffer: RefCell<Box<[u8]>>,
    address: Fanout,
    /// There is something to flush.
    work: Notify,
    /// The timer is to be set anew.
    timer: Notify,
    pub(super) limits: SocketLimits,
    pub(super) shared: Arc<Shared>,
}

/// The fan-out, held. When it is let go, the timer is set if need be.
pub(super) struct Held<'a> {
    fanout: RefMut<'a, SocketFanout>,
    timer: &'a Notify,
}

impl Deref for Held<'_> {
    type Target = SocketFanout;

    fn deref(&self) -> &SocketFanout {
        &self.fanout
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut SocketFanout {
        &mut self.fanout
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.fanout.rearmed() {
            self.timer.notify_one();
        }
    }
}

impl Worker {
    /// Starts the fan-out of the current thread, which runs an actix System or Arbiter; `thread` if
    /// it is one of the engine's.
    pub(super) fn start(shared: &Arc<Shared>, thread: Option<usize>) -> Rc<Self> {
        let mut started = None;
        FanoutActor::create(|context| {
            let recipient = context.address().recipient();
            let worker = Rc::new(Self {
                fanout: RefCell::new(SocketFanout::new(FanoutParts {
                    clock: Arc::clone(&shared.clock),
                    budget: Arc::clone(&shared.budget),
                    patience: shared.patience,
                    limits: shared.limits,
                    meters: Arc::clone(&shared.meters),
                })),
                buffer: RefCell::new(vec![0; BUFFER].into_boxed_slice()),
                address: match thread {
                    Some(thread) => Fanout::on_thread(recipient, shared.in_flight, thread),
                    None => Fanout::new(recipient, shared.in_flight),
                },
                work: Notify::new(),
                timer: Notify::new(),
                limits: shared.limits,
                shared: Arc::clone(shared),
            });
            started = Some(Rc::clone(&worker));
            FanoutActor { worker }
        });
        let worker = started.expect("an actor is created at once");
        // These live as long as the thread; nobody waits for them.
        actix_web::rt::spawn(flush(Rc::clone(&worker)));
        actix_web::rt::spawn(keep_time(Rc::clone(&worker), Arc::clone(&shared.clock)));
        actix_web::rt::spawn(drain(Rc::clone(&worker), shared.draining.subscribe()));
        worker
    }

    /// The fan-out. Not to be held when something is called that may ask for it too.
    pub(super) fn fanout(&self) -> Held<'_> {
        Held { fanout: self.fanout.borrow_mut(), timer: &self.timer }
    }

    /// What sockets are read into.
    pub(super) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }

    pub(super) fn address(&self) -> &Fanout {
        &self.address
    }

    /// A connection has shown who it is.
    pub(super) fn known(&self, place: Place) {
        if self.fanout().know(place) {
            self.shared.admission.known();
        }
    }
}

async fn flush(worker: Rc<Worker>) {
    loop {
        worker.work.notified().await;
        while worker.fanout().flush(TURN) {
            tokio::task::yield_now().await;
        }
    }
}

async fn keep_time(worker: Rc<Worker>, clock: Arc<dyn Clock>) {
    loop {
        let next = worker.fanout().arm();
        match next {
            None => worker.timer.notified().await,
            Some(at) => {
                tokio::select! {
                    () = clock.sleep_until(at) => worker.fanout().tick(),
                    () = worker.timer.notified() => {}
                }
            }
        }
    }
}

/// When the server stops, whoever has no session that would end is told here.
async fn drain(worker: Rc<Worker>, mut draining: watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_ok() {
        let close = close_code(chat_core::CloseReason::Draining);
        worker.fanout().close_without_session(close, worker.shared.sessions);
    }
}

/// The port by which the engine reaches the fan-out.
struct FanoutActor {
    worker: Rc<Worker>,
}

impl Actor for FanoutActor {
    type Context = Context<Self>;
}

impl Handler<Deliver> for FanoutActor {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        self.worker.fanout().take(deliver);
        self.worker.work.notify_one();
    }
}
