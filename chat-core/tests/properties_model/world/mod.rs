//! An engine, its store, and those who use it.

mod ending;
mod hearing;
mod stepping;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::testkit::{Broken, FakeClock, Faults, FaultyStore, View};
use chat_core::{
    After, Code, Command, Engine, Error, Inboxes, Limits, LoadedRoom, MemoryStore, Parent, Reply,
    RoomCommand, RoomId, Store, User, UserId,
};
use futures_util::FutureExt;
use proptest::sample::Index;
use tokio::time::timeout;

use super::client::{Asked, Client, Stream};
use super::plain::Plain;
use super::steps::{CLIENTS, USERS};
use super::writes::{Deed, Expect, Write, Writes};
use crate::support::user;

/// How often somebody asks again who was not answered as expected, because the engine may still be
/// on its way to where the store is.
const TRIES: usize = 500;

struct Running {
    engine: Engine,
    inboxes: Inboxes<Stream>,
    faults: Faults,
    own_store: Weak<MemoryStore>,
}

pub(crate) struct World {
    store: MemoryStore,
    limits: Limits,
    clock: FakeClock,
    running: Running,
    clients: Vec<Client>,
    rooms: Vec<RoomId>,
    /// The threads among them, each with what it is on.
    threads: HashMap<RoomId, Parent>,
    writes: Writes,
    /// Keyed writes of which nobody knows whether they are stored.
    unsure: Vec<Write>,
}

/// Starts an engine that reads nothing yet. Its store can no longer be reached once it has ended.
fn start(store: &MemoryStore, limits: &Limits, clock: &FakeClock) -> Running {
    let store = Arc::new(store.clone());
    let own_store = Arc::downgrade(&store);
    let (store, faults) = FaultyStore::over(store);
    faults.hold_reads(true);
    let engine = Engine::builder().store(store).limits(limits.clone()).threads(2);
    let engine = engine.clock(Arc::new(clock.clone())).start().expect("an engine");
    let inboxes = engine.inboxes(&Stream);
    Running { engine, inboxes, faults, own_store }
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let (store, clock) = (MemoryStore::default(), FakeClock::default());
        let running = start(&store, &limits, &clock);
        running.faults.hold_reads(false);
        let users: Vec<User> = (0..USERS).map(|n| user(&format!("user {n}"))).collect();
        let client = |n: usize| Client {
            user: users[n % USERS].clone(),
            line: None,
            asked: BTreeMap::new(),
            views: HashMap::new(),
            resuming: HashMap::new(),
            ended: HashMap::new(),
            tag: 0,
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self {
            store,
            limits,
            clock,
            running,
            clients,
            rooms: Vec::new(),
            threads: HashMap::new(),
            writes: Writes::default(),
            unsure: Vec::new(),
        }
    }

    /// Connects a client, and resumes what it heard before.
    fn connect(&mut self, client: usize) {
        let Client { user, line, views, resuming, .. } = &mut self.clients[client];
        if line.is_some() {
            return;
        }
        *line = Some(self.running.inboxes.connect(user.clone()).expect("a session"));
        let known = views.iter().filter_map(|(room, view)| Some((*room, view.cursor()?)));
        let known: Vec<_> = known.collect();
        resuming.extend(known.iter().map(|(room, cursor)| (*room, After::Cursor(*cursor))));
        if !known.is_empty() {
            self.submit(client, Asked::Resume, Command::Resume(known));
        }
    }

    fn disconnect(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.line = None;
        client.resuming.clear();
        client.views.values_mut().for_each(View::disconnected);
        for asked in std::mem::take(&mut client.asked).into_values() {
            if let Asked::Write(write, expect) = asked {
                self.unsure.extend(write.again(expect));
            }
        }
    }

    fn submit(&mut self, client: usize, asked: Asked, command: Command) {
        self.connect(client);
        let client = &mut self.clients[client];
        let Some((session, _)) = &client.line else { return };
        client.tag += 1;
        if session.submit(client.tag, command).is_ok() {
            if let Asked::Write(write, _) = &asked {
                self.writes.asked(write);
            }
            client.asked.insert(client.tag, asked);
        }
    }

    fn ask_room(&mut self, client: usize, asked: Asked, room: RoomId, command: RoomCommand) {
        self.submit(client, asked, Command::Room(room, command));
    }

    fn join(&mut self, client: usize, room: RoomId, afresh: bool) {
        let view = self.clients[client].views.get(&room).filter(|_| !afresh);
        let after = view.map_or(After::Nothing, View::after);
        self.ask_room(client, Asked::Join(room, after), room, RoomCommand::join(after));
    }

    fn ask_write(&mut self, client: usize, write: Write, expect: Expect) {
        let (room, command) = (write.room, write.command());
        self.ask_room(client, Asked::Write(write, expect), room, command);
    }

    /// Asks for something new.
    fn do_new(&mut self, client: usize, room: RoomId, deed: Deed, keyed: bool) {
        let write = self.writes.add(&self.clients[client].user, room, deed, keyed);
        self.ask_write(client, write, Expect::New);
    }

    fn send(&mut self, client: usize, room: RoomId, keyed: bool) {
        let say = Deed::Say(self.writes.text());
        self.do_new(client, room, say, keyed);
    }

    fn stored(&self, room: RoomId) -> Option<LoadedRoom> {
        let stored = self.store.load_room(room, usize::MAX).now_or_never();
        stored.expect("memory does not wait").expect("it answers")
    }

    /// How a write should be answered that may have been asked before.
    fn expect(&self, write: &Write) -> Expect {
        let used = self.writes.is_used(write, self.stored(write.room).as_ref());
        if used { Expect::AsBefore } else { Expect::New }
    }

    /// What was asked with a key, and may be known to have been done.
    fn pick_keyed(&self, index: Index, may: impl Fn(Expect) -> bool) -> Option<Write> {
        let keyed = self.writes.keyed().filter(|write| may(self.expect(write)));
        let keyed: Vec<_> = keyed.collect();
        (!keyed.is_empty()).then(|| (*index.get(&keyed)).clone())
    }

    fn repeat(&mut self, write: Write, device: Index) {
        let devices = (0..CLIENTS).filter(|client| self.clients[*client].user.id == write.user.id);
        let devices: Vec<_> = devices.collect();
        let expect = self.expect(&write);
        self.ask_write(*device.get(&devices), write, expect);
    }

    /// A client of the user who is found in a room.
    fn client_of(
        &self,
        room: RoomId,
        find: impl FnOnce(&LoadedRoom) -> Option<UserId>,
    ) -> Option<usize> {
        let user = find(&self.stored(room)?)?;
        self.clients.iter().position(|client| client.user.id == user)
    }

    /// A write has its answer.
    fn written(
        &mut self,
        write: Write,
        expect: Expect,
        result: Result<&Reply, &Error>,
    ) -> Result<(), Broken> {
        let code = result.err().map(Error::code);
        // An ephemeral room ends.
        let ended = code == Some(Code::NoSuchRoom) && self.may_end(write.room);
        // An answer for which there was no room has become `busy`.
        if let Some(Code::Unavailable | Code::Stopping | Code::Busy) = code {
            self.unsure.extend(write.again(expect));
        } else if !self.writes.answered(&write, expect, result) && !ended {
            return Err(format!(
                "{write:?} was answered {result:?}, where {expect:?} was expected"
            ));
        }
        Ok(())
    }

    /// Whether it ends, when all have gone, or with the room that it is in.
    fn may_end(&self, room: RoomId) -> bool {
        let room = self.threads.get(&room).map_or(room, |parent| parent.room);
        self.stored(room).is_none_or(|room| room.info.ephemeral)
    }

    /// A room as plain rules make it.
    fn plain(&self, room: &LoadedRoom) -> Result<Plain, Broken> {
        let parent = room.info.parent.and_then(|parent| self.stored(parent.room));
        let parent = parent.map(|parent| Plain::replay(&parent, None, self.limits.edit_age));
        Plain::replay(room, parent.transpose()?, self.limits.edit_age)
    }

    /// A message has this thread, and never another one.
    fn note_thread(&mut self, parent: Parent, thread: RoomId) -> Result<(), Broken> {
        let known = self.threads.iter().find(|(_, on)| **on == parent).map(|(known, _)| *known);
        if known.is_some_and(|known| known != thread) {
            return Err(format!("{parent:?} has the threads {known:?} and {thread}"));
        }
        if self.threads.insert(thread, parent).is_none() {
            self.rooms.push(thread);
        }
        Ok(())
    }

    /// Threads whose openers were not answered are there all the same.
    fn find_threads(&mut self) -> Result<(), Broken> {
        for room in self.rooms.clone() {
            let messages = self.stored(room).map_or(Vec::new(), |stored| stored.messages);
            for (thread, seq) in messages.into_iter().filter_map(|one| Some((one.thread?, one.seq)))
            {
                self.note_thread(Parent { room, seq }, thread.room)?;
            }
        }
        Ok(())
    }

    async fn ask_at_once(&mut self, write: &Write, expect: Expect) -> Result<Reply, Error> {
        self.writes.asked(write);
        let room = self.running.engine.room(write.room);
        let mut answer = pin!(room.ask(&write.user, write.command()));
        if !write.marks() || !matches!(expect, Expect::New) {
            return answer.await;
        }
        loop {
            match timeout(Duration::from_millis(1), &mut answer).await {
                Ok(answer) => return answer,
                // Marks are gathered for some time of the clock.
                Err(_) => self.clock.advance(self.limits.marks_every),
            }
        }
    }

    /// Asks until the answer does not depend on what is under way.
    async fn ask_surely(&mut self, write: Write, expect: Expect) -> Result<(), Broken> {
        for _ in 0..TRIES {
            let result = self.ask_at_once(&write, expect).await;
            let passing = [Code::Unavailable, Code::Busy];
            let again = result.as_ref().is_err_and(|error| passing.contains(&error.code()));
            if !again {
                return self.written(write, expect, result.as_ref());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{write:?} was never answered"))
    }

    fn release(&self) {
        self.running.faults.hold_reads(false);
        self.running.faults.hold_commits(false);
    }

    /// Lets everything that is under way happen.
    async fn rest(&mut self) -> Result<(), Broken> {
        self.release();
        for client in 0..CLIENTS {
            loop {
                self.read(client)?;
                let mut asked = self.clients[client].asked.values();
                if asked.len() == 0 {
                    break;
                }
                if asked.any(|asked| matches!(asked, Asked::Write(write, _) if write.marks())) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.clock.advance(self.limits.marks_every);
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn restart(&mut self, crash: bool) -> Result<(), Broken> {
        self.release();
        if !crash {
            self.running.engine.stop().await;
            for client in 0..CLIENTS {
                self.read(client)?;
            }
        }
        let next = start(&self.store, &self.limits, &self.clock);
        let own_store = std::mem::replace(&mut self.running, next).own_store;
        (0..CLIENTS).for_each(|client| self.disconnect(client));
        // What a dying process has sent to its store may still take effect; the next one is not there yet.
        while own_store.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        self.release();
        Ok(())
    }
}
