//! What all actors of an engine share: its parts, its limits, its threads.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::prelude::{Actor, Addr};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::command::{Command, RoomCommand};
use crate::connections::Connections;
use crate::directory::Directory;
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::journal::{Backlog, Journal};
use crate::limits::Limits;
use crate::model::{NewRoom, Text, User, With};
use crate::policy::Policy;
use crate::queue::Budget;
use crate::store::{Metered, Store, StoreError};

/// The parts of an engine.
pub(crate) struct Shared {
    pub(crate) store: Arc<Metered>,
    policy: Arc<dyn Policy>,
    directory: Arc<dyn Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) backlog: Arc<Backlog>,
    /// Of all readers' queues.
    pub(crate) budget: Arc<Budget>,
    pub(crate) connections: Connections,
    pub(crate) journal: Addr<Journal>,
    arbiters: Vec<ArbiterHandle>,
    next_thread: AtomicUsize,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        policy: Arc<dyn Policy>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        arbiters: &[ArbiterHandle],
    ) -> Self {
        let store = Arc::new(Metered::new(store));
        let journal = Journal::new(Arc::clone(&store) as _, Arc::clone(&clock), limits.batch);
        // The last of several threads is the journal's alone, so that no room's work delays a commit.
        // Where there is one core, there is one thread: a second one could only take its turns.
        let last = arbiters.len() - 1;
        let journal = Journal::start_in_arbiter(&arbiters[last], |_| journal);
        Self {
            store,
            policy,
            directory,
            clock,
            backlog: Arc::new(Backlog::new(limits.queued_writes)),
            budget: Arc::new(Budget::new(limits.all_outboxes_bytes)),
            connections: Connections::default(),
            limits,
            journal,
            arbiters: arbiters[..last.max(1)].to_vec(),
            next_thread: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The threads for rooms, sessions and fan-outs.
    pub(crate) fn threads(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }

    pub(crate) fn thread(&self, index: usize) -> &ArbiterHandle {
        &self.arbiters[index % self.arbiters.len()]
    }

    /// The thread for the next session: each in turn.
    pub(crate) fn next_thread(&self) -> usize {
        self.next_thread.fetch_add(1, Ordering::Relaxed) % self.arbiters.len()
    }

    /// An error once the engine is stopping.
    pub(crate) fn running(&self) -> Result<()> {
        if self.stopping.load(Ordering::Acquire) { Err(Error::stopping()) } else { Ok(()) }
    }

    /// From here on nothing new is taken.
    pub(crate) fn stop_taking(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Does something on a thread of the engine, and to the end, even if whoever waits for it gives
    /// up. So stores and policies find the runtime that they need, whatever calls the engine.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (done, wait) = oneshot::channel();
        self.thread(self.next_thread()).spawn(async move {
            // Whoever gave up has dropped its end.
            done.send(work.await).ok();
        });
        wait.await.unwrap_or_else(|_| Err(Error::stopping()))
    }

    /// Whether the policy allows the command. One that panics does not.
    pub(crate) async fn may(&self, user: &User, command: &Command) -> Result<()> {
        self.running()?;
        let asked = async { self.policy.may(user, command).await };
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|_| {
            let message =
                "who may do this could not be decided; the log of the program has the cause";
            tracing::error!(user = %user.id, "the policy panicked");
            Err(Error::new(Code::Internal, message))
        })
    }

    /// Whether somebody sees another one come and go in their direct room. A policy that panics lets
    /// nobody.
    pub(crate) async fn shows_presence(&self, user: UserId, to: UserId) -> bool {
        let asked = async { self.policy.shows_presence(user, to).await };
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(%user, "the policy panicked");
            false
        })
    }

    /// A command as it is carried out, if the policy allows it.
    pub(crate) async fn prepare(&self, user: &User, command: Command) -> Result<Command> {
        Ok(match command {
            Command::Room(room, command) => {
                Command::Room(room, self.prepare_for_room(user, room, command).await?)
            }
            command => {
                self.may(user, &command).await?;
                match command {
                    Command::Open(room) => Command::Open(self.complete_new(room).await?),
                    command => command,
                }
            }
        })
    }

    /// As [`prepare`](Self::prepare), for one room's command. What is to be done once is asked for like
    /// what is not.
    pub(crate) async fn prepare_for_room(
        &self,
        user: &User,
        room: RoomId,
        command: RoomCommand,
    ) -> Result<RoomCommand> {
        let (key, command) = match command {
            RoomCommand::Once { key, command } => (Some(key), *command),
            command => (None, command),
        };
        // Whether there is such a room has nothing to do with it.
        if key.is_some() && command.fingerprint().is_none() {
            return Err(Error::takes_no_key());
        }
        let command = Command::Room(room, command);
        self.may(user, &command).await?;
        let Command::Room(_, command) = command else { return Err(Error::no_such_room()) };
        let command = self.complete(user.id, command).await?;
        Ok(match key {
            Some(key) => command.once(key),
            None => command,
        })
    }

    /// A command as its room gets it. Whoever is named by an id alone is looked up; whom the directory
    /// does not know, the room may.
    async fn complete(&self, by: UserId, command: RoomCommand) -> Result<RoomCommand> {
        match command {
            RoomCommand::InviteUser(guest) => {
                Ok(self.look_up(guest).await?.map_or(command, RoomCommand::Invite))
            }
            RoomCommand::Send(mut draft) => {
                if let Some(text) = &draft.body.text {
                    draft.body.mentions = self.mentioned(by, text).await?;
                }
                Ok(RoomCommand::Send(draft))
            }
            RoomCommand::Edit { seq, mut edit } => {
                edit.mentions = self.mentioned(by, &edit.text).await?;
                Ok(RoomCommand::Edit { seq, edit })
            }
            command => Ok(command),
        }
    }

    /// A room as it is opened, likewise.
    pub(crate) async fn complete_new(&self, room: NewRoom) -> Result<NewRoom> {
        match room.with {
            Some(With::Id(with)) => {
                let with = self.look_up(with).await?.ok_or_else(Error::no_such_user)?;
                Ok(NewRoom { with: Some(With::User(with)), ..room })
            }
            _ => Ok(room),
        }
    }

    async fn look_up(&self, id: UserId) -> Result<Option<User>> {
        self.ask_directory(async { self.directory.user(id).await }).await
    }

    async fn mentioned(&self, by: UserId, text: &Text) -> Result<Vec<UserId>> {
        self.ask_directory(async { self.directory.mentioned(by, text).await }).await
    }

    /// Asks the directory. One that panics knows nothing.
    async fn ask_directory<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|_| {
            let message = "the user could not be looked up; the log of the program has the cause";
            tracing::error!("the directory panicked");
            Err(Error::new(Code::Internal, message))
        })
    }
}

#[cfg(test)]
impl Shared {
    /// The parts of an engine that has the current thread alone.
    pub(crate) fn on_this_thread() -> Arc<Self> {
        use crate::{AllowAll, MemoryStore, NoDirectory, SystemClock};
        let (store, clock) = (Arc::<MemoryStore>::default(), Arc::<SystemClock>::default());
        let thread = actix_rt::Arbiter::current();
        let threads = [thread.clone(), thread];
        let (policy, directory) = (Arc::new(AllowAll), Arc::new(NoDirectory));
        Arc::new(Self::new(store, policy, directory, clock, Limits::default(), &threads))
    }
}

/// Logs why the store could not do something, and says what callers are told.
pub(crate) fn unavailable(what: &'static str) -> impl Fn(StoreError) -> Error {
    move |error| {
        tracing::error!(%error, "could not {what}");
        Error::unavailable()
    }
}
