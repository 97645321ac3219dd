//! A whole engine against a plain model: random commands, sessions that come and go, readers that
//! do not read, a store that fails and loses answers, restarts and crashes; messages that are edited
//! and deleted, and writes that are asked again with their keys. In the end what every client has
//! rebuilt from what it heard is what the store says, that is what plain rules make of the log, and
//! what was acknowledged is there, once.

mod properties_model;
mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::testkit::{Broken, FakeClock, Faults, FaultyStore, View};
use chat_core::{
    After, Clock, Code, Command, Engine, Error, Event, Inbox, Inboxes, Limits, LoadedRoom,
    MemberQuery, MemoryStore, NewRoom, OwnRoomQuery, Presence, Reply, Role, RoomCommand, RoomId,
    Session, Standing, Store, User, UserId, Wire,
};
use futures_util::{FutureExt, StreamExt};
use properties_model::{Deed, Expect, Plain, Seen, Write, Writes, moderation};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use support::user;
use tokio::time::timeout;

const USERS: usize = 4;
/// More clients than users: some users have two devices.
const CLIENTS: usize = 6;
/// How long everything may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often somebody asks again who was not answered as expected, because the engine may still be
/// on its way to where the store is.
const TRIES: usize = 500;

#[derive(Clone, Debug)]
enum Step {
    Open {
        client: usize,
        kind: u8,
        with: usize,
    },
    Join {
        client: usize,
        room: Index,
        afresh: bool,
    },
    Leave {
        client: usize,
        room: Index,
        keyed: bool,
    },
    Send {
        client: usize,
        room: Index,
        keyed: bool,
    },
    Burst {
        client: usize,
        room: Index,
        count: u8,
    },
    Invite {
        client: usize,
        room: Index,
        guest: usize,
        keyed: bool,
    },
    Moderate {
        client: usize,
        room: Index,
        user: usize,
        act: u8,
        by_owner: bool,
        keyed: bool,
    },
    /// Edits or deletes a message, which need not be there. If it is done calmly, everything rests
    /// first.
    Amend {
        client: usize,
        room: Index,
        seq: Index,
        delete: bool,
        keyed: bool,
        by: u8,
        calmly: bool,
    },
    /// Asks again what was asked with a key before.
    Repeat {
        write: Index,
        device: Index,
    },
    /// Asks something else with the key of what has been done, while everything rests.
    Clash {
        write: Index,
        what: u8,
    },
    Typing {
        client: usize,
        room: Index,
    },
    /// Has read up to a message, which need not be there.
    HaveRead {
        client: usize,
        room: Index,
        seq: Index,
    },
    Away {
        client: usize,
        away: bool,
    },
    Read {
        client: usize,
    },
    Disconnect {
        client: usize,
    },
    /// Reads of the store, and commits, wait until everything rests.
    Hold {
        reads: bool,
        commits: bool,
    },
    FailCommits(usize),
    LoseAnswers(usize),
    Pass(u64),
    Rest,
    Restart,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let room = any::<Index>;
    let step = prop_oneof![
        2 => (client(), 0u8..4, 0..USERS)
            .prop_map(|(client, kind, with)| Step::Open { client, kind, with }),
        6 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, afresh)| Step::Join { client, room, afresh }),
        2 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, keyed)| Step::Leave { client, room, keyed }),
        8 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, keyed)| Step::Send { client, room, keyed }),
        2 => (client(), room(), 1u8..40)
            .prop_map(|(client, room, count)| Step::Burst { client, room, count }),
        2 => (client(), room(), 0..USERS, any::<bool>())
            .prop_map(|(client, room, guest, keyed)| Step::Invite { client, room, guest, keyed }),
        5 => (client(), room(), 0..USERS, 0u8..12, any::<[bool; 2]>())
            .prop_map(|(client, room, user, act, [by_owner, keyed])| {
                Step::Moderate { client, room, user, act, by_owner, keyed }
            }),
        9 => (client(), room(), room(), 0u8..4, any::<[bool; 3]>())
            .prop_map(|(client, room, seq, by, [delete, keyed, calmly])| {
                Step::Amend { client, room, seq, delete, keyed, by, calmly }
            }),
        4 => any::<(Index, Index)>().prop_map(|(write, device)| Step::Repeat { write, device }),
        2 => (room(), 0u8..3).prop_map(|(write, what)| Step::Clash { write, what }),
        1 => (client(), room()).prop_map(|(client, room)| Step::Typing { client, room }),
        5 => (client(), room(), room())
            .prop_map(|(client, room, seq)| Step::HaveRead { client, room, seq }),
        1 => (client(), any::<bool>()).prop_map(|(client, away)| Step::Away { client, away }),
        5 => client().prop_map(|client| Step::Read { client }),
        2 => client().prop_map(|client| Step::Disconnect { client }),
        3 => any::<(bool, bool)>().prop_map(|(reads, commits)| Step::Hold { reads, commits }),
        1 => (1usize..3).prop_map(Step::FailCommits),
        1 => (1usize..3).prop_map(Step::LoseAnswers),
        1 => (1u64..40).prop_map(Step::Pass),
        4 => Just(Step::Rest),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    let steps = prop::collection::vec(step, 20..120);
    (any::<bool>(), room(), steps).prop_map(|(peopled, room, steps)| match peopled {
        true => people(room).chain(steps).collect(),
        false => steps,
    })
}

/// Everybody joins the only room, and one of them becomes a moderator.
fn people(room: Index) -> impl Iterator<Item = Step> {
    let open = Step::Open { client: 0, kind: 0, with: 0 };
    let joins = (0..CLIENTS).map(move |client| Step::Join { client, room, afresh: false });
    let (by_owner, keyed) = (true, false);
    let moderate = Step::Moderate { client: 0, room, user: 1, act: 0, by_owner, keyed };
    [open, Step::Rest].into_iter().chain(joins).chain([Step::Rest, moderate])
}

fn author(room: &LoadedRoom, seq: u64) -> Option<UserId> {
    let message = room.messages.iter().find(|message| message.seq == seq);
    message.map(|message| message.from.id)
}

fn with_role(room: &LoadedRoom, role: Role) -> Option<UserId> {
    let member = room.members.iter().find(|member| member.role == role);
    member.map(|member| member.user.id)
}

/// Everything that reaches a client, in one stream and in order.
#[derive(Clone)]
struct Stream;

#[derive(Clone, Debug)]
enum Frame {
    Event(Arc<Event>),
    Reply(u64, Result<Arc<Reply>, Error>),
}

impl Wire for Stream {
    type Frame = Frame;

    fn event(&self, event: &Arc<Event>) -> Frame {
        Frame::Event(Arc::clone(event))
    }

    fn reply(&self, tag: u64, result: &chat_core::Result<Reply>) -> Option<Frame> {
        Some(Frame::Reply(tag, result.clone().map(Arc::new)))
    }

    fn size(&self, frame: &Frame) -> usize {
        let messages = match frame {
            Frame::Reply(_, Ok(reply)) => match &**reply {
                Reply::Joined(joined) => joined.messages.len(),
                Reply::History(history) => history.messages.len(),
                _ => 0,
            },
            _ => 0,
        };
        100 + 100 * messages
    }
}

/// What a client has asked and not been answered.
#[derive(Clone, Debug)]
enum Asked {
    Room,
    Join(RoomId, After),
    Members(RoomId),
    History(RoomId),
    /// Up to which message, and which was the last that was heard.
    HaveRead(RoomId, u64, u64),
    Write(Write, Expect),
    Resume,
    Other,
}

struct Client {
    user: User,
    line: Option<(Session, Inbox<Frame>)>,
    asked: BTreeMap<u64, Asked>,
    views: HashMap<RoomId, View>,
    /// The rooms that are being resumed, and from where on.
    resuming: HashMap<RoomId, After>,
    tag: u64,
}

struct Running {
    engine: Engine,
    inboxes: Inboxes<Stream>,
    faults: Faults,
    own_store: Weak<MemoryStore>,
}

struct World {
    store: MemoryStore,
    limits: Limits,
    clock: FakeClock,
    running: Running,
    clients: Vec<Client>,
    rooms: Vec<RoomId>,
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
    fn new(limits: Limits) -> Self {
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

    fn may_end(&self, room: RoomId) -> bool {
        self.stored(room).is_none_or(|room| room.info.ephemeral)
    }

    async fn ask_at_once(&mut self, write: &Write) -> Result<Reply, Error> {
        self.writes.asked(write);
        let room = self.running.engine.room(write.room);
        room.ask(&write.user, write.command()).await
    }

    /// Asks until the answer does not depend on what is under way.
    async fn ask_surely(&mut self, write: Write, expect: Expect) -> Result<(), Broken> {
        for _ in 0..TRIES {
            let result = self.ask_at_once(&write).await;
            let passing = [Code::Unavailable, Code::Busy];
            let again = result.as_ref().is_err_and(|error| passing.contains(&error.code()));
            if !again {
                return self.written(write, expect, result.as_ref());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{write:?} was never answered"))
    }

    /// Edits or deletes a message while everything rests: what comes of it is what the rules say.
    async fn amend_calmly(
        &mut self,
        client: usize,
        room: RoomId,
        deed: Deed,
        keyed: bool,
    ) -> Result<(), Broken> {
        self.rest().await?;
        let write = self.writes.add(&self.clients[client].user, room, deed, keyed);
        let mut said = String::new();
        for _ in 0..TRIES {
            let Some(stored) = self.stored(write.room) else { return Ok(()) };
            let expect = self.expect(&write);
            let room = Plain::replay(&stored, self.limits.edit_age)?;
            let judged = room.judge(write.user.id, &write.deed, self.clock.now());
            let expected = if let Expect::AsBefore = expect { Ok(()) } else { judged };
            let result = self.ask_at_once(&write).await;
            let actual = result.as_ref().map(|_| ()).map_err(Error::code);
            self.written(write.clone(), expect, result.as_ref())?;
            if actual == expected || actual == Err(Code::NoSuchRoom) && self.may_end(write.room) {
                return Ok(());
            }
            said = format!("{write:?} was answered {actual:?}, where {expected:?} was expected");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(said)
    }

    /// Takes what waits for a client. Answers whether there was anything.
    fn read(&mut self, client: usize) -> Result<bool, Broken> {
        let mut any = false;
        loop {
            let Some((_, inbox)) = &mut self.clients[client].line else { return Ok(any) };
            match inbox.next().now_or_never() {
                None => return Ok(any),
                Some(None) => {
                    self.disconnect(client);
                    return Ok(true);
                }
                Some(Some(frame)) => {
                    any = true;
                    let said = format!("client {client} gets {frame:?}");
                    self.take(client, frame).map_err(|broken| format!("{broken}; {said}"))?;
                }
            }
        }
    }

    fn take(&mut self, client: usize, frame: Frame) -> Result<(), Broken> {
        match frame {
            Frame::Event(event) => self.hear(client, &event),
            Frame::Reply(tag, result) => {
                let asked = self.clients[client].asked.remove(&tag);
                let asked = asked.ok_or_else(|| format!("a second reply to {tag}"))?;
                self.answered(client, asked, &result)
            }
        }
    }

    fn hear(&mut self, client: usize, event: &Event) -> Result<(), Broken> {
        let Client { views, resuming, .. } = &mut self.clients[client];
        if let Event::Resumed { room, result } = event {
            let after = resuming.remove(room).ok_or("resumed without having asked")?;
            return match result {
                Ok(joined) => self.entered(client, *room, after, joined),
                Err(_) => Ok(()),
            };
        }
        views.values_mut().try_for_each(|view| view.heard(event))?;
        if let Event::Behind { room, .. } = event {
            self.join(client, *room, false);
        }
        Ok(())
    }

    fn entered(
        &mut self,
        client: usize,
        room: RoomId,
        after: After,
        joined: &chat_core::Joined,
    ) -> Result<(), Broken> {
        let big = self.limits.big_room < CLIENTS;
        let Client { views, user, .. } = &mut self.clients[client];
        let view = views.entry(room).or_insert_with(|| {
            let view = View::new(room, user.id);
            if big { view.big() } else { view }
        });
        view.joined(after, joined)?;
        self.ask_for_more(client, room);
        Ok(())
    }

    /// Asks for the members and messages that a client knows it does not know.
    fn ask_for_more(&mut self, client: usize, room: RoomId) {
        let Some(view) = self.clients[client].views.get(&room) else { return };
        if let Some(after) = view.next_members() {
            let query = MemberQuery { after, limit: 2, online: false };
            self.ask_room(client, Asked::Members(room), room, RoomCommand::Members(query));
        } else if let Some(query) = view.missing() {
            self.ask_room(client, Asked::History(room), room, RoomCommand::History(query));
        }
    }

    fn answered(
        &mut self,
        client: usize,
        asked: Asked,
        result: &Result<Arc<Reply>, Error>,
    ) -> Result<(), Broken> {
        match (asked, result.as_ref().map(|reply| &**reply)) {
            (Asked::Room, Ok(Reply::Room(view))) => self.rooms.push(view.info.id),
            (Asked::Join(room, after), Ok(Reply::Joined(joined))) => {
                return self.entered(client, room, after, joined);
            }
            (Asked::Members(room), Ok(Reply::Members(page))) => {
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.members(page)?;
                }
                self.ask_for_more(client, room);
            }
            (Asked::History(room), Ok(Reply::History(history))) => {
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.paged(history)?;
                }
                self.ask_for_more(client, room);
            }
            (Asked::HaveRead(room, seq, _), Ok(Reply::Read(position))) => {
                if position.seq < seq {
                    return Err(format!("{seq} has been read, the answer is {position:?}"));
                }
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.read_up_to(position)?;
                }
            }
            // Whoever has heard of a message has read it, if it says so.
            (Asked::HaveRead(_, seq, heard), Err(error))
                if error.code() == Code::NoSuchMessage && seq <= heard =>
            {
                return Err(format!("{seq} was heard, and is not there: {error:?}"));
            }
            (Asked::Write(write, expect), result) => return self.written(write, expect, result),
            (Asked::Room | Asked::Join(..) | Asked::Members(_) | Asked::History(_), Err(_))
            | (Asked::HaveRead(..), Err(_))
            | (Asked::Resume | Asked::Other, _) => {}
            (asked, result) => return Err(format!("{asked:?} was answered {result:?}")),
        }
        Ok(())
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
                if self.clients[client].asked.is_empty() {
                    break;
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

    async fn step(&mut self, step: Step) -> Result<(), Broken> {
        let rooms = self.rooms.clone();
        // The chosen room, if there is any yet.
        let pick = |index: Index| {
            let room = (!rooms.is_empty()).then(|| *index.get(&rooms));
            room.into_iter()
        };
        match step {
            Step::Open { client, kind, with } => {
                let title = format!("room {}", self.rooms.len());
                let new = match kind {
                    0 => NewRoom::open(title),
                    1 => NewRoom::private(title),
                    2 => NewRoom::open(title).map(NewRoom::ephemeral),
                    _ => Ok(NewRoom::direct(self.clients[with].user.clone())),
                };
                self.submit(client, Asked::Room, Command::Open(new.expect("a good title")));
            }
            Step::Join { client, room, afresh } => {
                pick(room).for_each(|room| self.join(client, room, afresh));
            }
            Step::Leave { client, room, keyed } => {
                pick(room).for_each(|room| self.do_new(client, room, Deed::Leave, keyed));
            }
            Step::Send { client, room, keyed } => {
                pick(room).for_each(|room| self.send(client, room, keyed));
            }
            Step::Burst { client, room, count } => {
                for room in pick(room) {
                    (0..count).for_each(|_| self.send(client, room, false));
                }
            }
            Step::Invite { client, room, guest, keyed } => {
                let invite = Deed::Invite(self.clients[guest].user.clone());
                pick(room).for_each(|room| self.do_new(client, room, invite.clone(), keyed));
            }
            Step::Moderate { client, room, user, act, by_owner, keyed } => {
                let user = self.clients[user].user.id;
                let act = Deed::Moderate(moderation(act, user, self.clock.now()));
                for room in pick(room) {
                    let owner = self.client_of(room, |room| with_role(room, Role::Owner));
                    let owner = owner.filter(|_| by_owner);
                    self.do_new(owner.unwrap_or(client), room, act.clone(), keyed);
                }
            }
            Step::Amend { client, room, seq, delete, keyed, by, calmly } => {
                for room in pick(room) {
                    let end = self.stored(room).map_or(0, |room| room.end.seq);
                    // The first and the last of these are not there.
                    let seq = seq.index(end as usize + 2) as u64;
                    let by = self.client_of(room, |room| match by {
                        0 | 1 => author(room, seq),
                        2 => with_role(room, Role::Moderator),
                        _ => None,
                    });
                    let client = by.unwrap_or(client);
                    let text = self.writes.text();
                    let deed = if delete { Deed::Delete(seq) } else { Deed::Edit(seq, text) };
                    if calmly {
                        self.amend_calmly(client, room, deed, keyed).await?;
                    } else {
                        self.do_new(client, room, deed, keyed);
                    }
                }
            }
            Step::Repeat { write, device } => {
                let write = self.pick_keyed(write, |_| true);
                write.into_iter().for_each(|write| self.repeat(write, device));
            }
            Step::Clash { write, what } => {
                self.rest().await?;
                let done = |expect| matches!(expect, Expect::AsBefore);
                if let Some(first) = self.pick_keyed(write, done) {
                    let (write, expect) = self.writes.clash(&first, what);
                    self.ask_surely(write, expect).await?;
                }
            }
            Step::Typing { client, room } => {
                for room in pick(room) {
                    self.ask_room(client, Asked::Other, room, RoomCommand::Typing(true));
                }
            }
            Step::HaveRead { client, room, seq } => {
                for room in pick(room) {
                    let end = self.stored(room).map_or(0, |room| room.end.seq);
                    // The last of these is not there yet.
                    let seq = seq.index(end as usize + 2) as u64;
                    let view = self.clients[client].views.get(&room);
                    let heard = view.and_then(View::cursor).unwrap_or_default().seq;
                    let asked = Asked::HaveRead(room, seq, heard);
                    self.ask_room(client, asked, room, RoomCommand::Read { seq });
                }
            }
            Step::Away { client, away } => {
                let presence = if away { Presence::Away } else { Presence::Online };
                self.submit(client, Asked::Other, Command::Presence(presence));
            }
            Step::Read { client } => _ = self.read(client)?,
            Step::Disconnect { client } => self.disconnect(client),
            Step::Hold { reads, commits } => {
                self.running.faults.hold_reads(reads);
                self.running.faults.hold_commits(commits);
            }
            Step::FailCommits(count) => self.running.faults.fail_commits(count),
            Step::LoseAnswers(count) => self.running.faults.lose_answers(count),
            Step::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Rest => self.rest().await?,
            Step::Restart => self.restart(false).await?,
            Step::Crash => self.restart(true).await?,
        }
        Ok(())
    }

    /// The store works again, everybody is connected and reads, and what nobody was sure of is asked
    /// again.
    async fn settle(&mut self) -> Result<(), Broken> {
        self.release();
        self.running.faults.fail_commits(0);
        self.running.faults.lose_answers(0);
        (0..CLIENTS).for_each(|client| self.connect(client));
        for write in std::mem::take(&mut self.unsure) {
            let expect = self.expect(&write);
            self.ask_surely(write, expect).await?;
        }
        self.quieten().await?;
        self.ask_all_again().await
    }

    /// Whether all is done that was asked by connections that have been dropped since: nobody is told of it, but
    /// it may still be on its way to a room, or from there to the store.
    async fn is_drained(&self) -> bool {
        for room in &self.rooms {
            // Stands behind whatever has been asked of the room.
            self.running.engine.room(*room).view(&self.clients[0].user).await.ok();
        }
        let stats = self.running.engine.stats();
        let connected = self.clients.iter().filter(|client| client.line.is_some()).count();
        stats.sessions == connected && stats.waiting_writes == 0
    }

    /// Lets everybody hear everything.
    async fn quieten(&mut self) -> Result<(), Broken> {
        let mut still = 0;
        for round in 1.. {
            if round % 20 == 0 {
                // What is told by a summary, or read again because it failed, waits for the clock.
                self.clock.advance(Duration::from_secs(1));
            }
            let mut quiet = true;
            for client in 0..CLIENTS {
                quiet &= !self.read(client)? && self.clients[client].asked.is_empty();
            }
            // A room may look something up between two of its writes.
            still =
                if quiet && self.is_complete() && self.is_drained().await { still + 1 } else { 0 };
            if still == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Whatever was done with a key is answered as before, and nothing else is done with that key.
    async fn ask_all_again(&mut self) -> Result<(), Broken> {
        let before = self.ends();
        let keyed: Vec<_> = self.writes.keyed().cloned().collect();
        for (what, write) in (0..3).cycle().zip(keyed) {
            if let Expect::AsBefore = self.expect(&write) {
                let (other, conflict) = self.writes.clash(&write, what);
                self.ask_surely(other, conflict).await?;
                self.ask_surely(write, Expect::AsBefore).await?;
            }
        }
        let after = self.ends();
        if before == after {
            return Ok(());
        }
        Err(format!("what was done before is done again: {before:?} is now {after:?}"))
    }

    /// Where the rooms stand that nobody is taken out of because it is away.
    fn ends(&self) -> Vec<chat_core::Cursor> {
        let rooms = self.rooms.iter().filter_map(|room| self.stored(*room));
        rooms.filter(|room| !room.info.ephemeral).map(|room| room.end).collect()
    }

    /// Whether every client that hears a room has heard all of it.
    fn is_complete(&self) -> bool {
        let big = self.limits.big_room < CLIENTS;
        let mut views = self.clients.iter().flat_map(|client| {
            let user = client.user.id;
            client.views.iter().map(move |(room, view)| (user, room, view))
        });
        views.all(|(user, room, view)| {
            let stored = if view.hears() { self.stored(*room) } else { return true };
            // In a big room nothing but the messages says whether all changes of these were heard, and
            // nothing but the members whether it is still to hear of its own end.
            // What was read and is not known to be kept is kept behind all that was heard.
            stored.is_some_and(|stored| {
                let is_member = stored.members.iter().any(|member| member.user.id == user);
                is_member
                    && view.has_heard(stored.end)
                    && (!big || view.compare(&stored).is_ok())
                    && view.has_read(&stored)
            })
        })
    }

    /// What the engine says of everybody's rooms, most of which are live, is what the store counts.
    async fn check_own_rooms(&self) -> Result<(), Broken> {
        for client in &self.clients {
            let user = &client.user;
            let own = self.running.engine.own_rooms(user, OwnRoomQuery::default()).await;
            let own = own.map_err(|error| format!("the rooms of {user:?}: {error:?}"))?.rooms;
            let ids: Vec<_> = own.iter().map(|standing| standing.room.info.id).collect();
            let counted = self.store.standings(user.id, &ids).now_or_never();
            let counted = counted.expect("memory does not wait").expect("it answers");
            let mut active = self.store.active_rooms(user.id, None, 50).now_or_never();
            let active = active.take().expect("memory does not wait").expect("it answers");
            if !active.iter().map(|active| active.room).eq(ids) {
                return Err(format!("{own:?} are in another order than {active:?}"));
            }
            for (own, counted) in own.into_iter().zip(counted) {
                let counted = Standing { room: own.room.clone(), ..counted };
                if own != counted {
                    return Err(format!("{own:?} is what the store counts as {counted:?}"));
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Broken> {
        let stored = self.rooms.iter().map(|room| (*room, self.stored(*room)));
        let stored: HashMap<_, _> = stored.collect();
        for client in &self.clients {
            for (room, view) in client.views.iter().filter(|(_, view)| view.hears()) {
                let stored = stored[room].as_ref().ok_or("a room is heard that does not exist")?;
                view.compare(stored)?;
            }
        }
        let mut seen = Seen::default();
        for stored in stored.values().flatten() {
            let seqs = stored.messages.iter().map(|message| message.seq);
            if !seqs.eq(1..=stored.end.seq) {
                return Err(format!("the numbers of a room have a gap: {:?}", stored.messages));
            }
            let room = Plain::replay(stored, self.limits.edit_age)?;
            room.compare_members(stored)?;
            for message in &stored.messages {
                let revisions = self.store.revisions(stored.key, message.seq).now_or_never();
                let revisions = revisions.expect("memory does not wait").expect("it answers");
                room.compare(message, &revisions)?;
                self.writes.compare(stored.info.id, message, &revisions, &mut seen)?;
            }
            self.writes.compare_amendments(stored, &room, &mut seen)?;
        }
        self.writes.compare_done(&stored, &seen)
    }
}

async fn run(steps: Vec<Step>, limits: Limits) -> Result<(), Broken> {
    let mut world = World::new(limits);
    for step in steps {
        let said = format!("in {step:?}");
        world.step(step).await.map_err(|broken| format!("{broken}; {said}"))?;
    }
    world.settle().await?;
    world.check()?;
    world.check_own_rooms().await?;
    world.running.engine.stop().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_clients_rebuild_is_what_the_store_says(
        steps in steps(),
        outbox_bytes in prop::sample::select(vec![1_500, 1 << 20]),
        kept_bytes in prop::sample::select(vec![15, 1 << 20]),
        big_room in prop::sample::select(vec![2, 200]),
        kept_keys in prop::sample::select(vec![1, 1_024]),
        edit_age in prop::sample::select(vec![30, 100_000]).prop_map(Duration::from_secs),
    ) {
        let limits = Limits { outbox_bytes, kept_bytes, big_room, kept_keys, edit_age, reads_every: Duration::ZERO, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let run = runtime.expect("a runtime").block_on(async { timeout(PATIENCE, run(steps, limits)).await });
        let run = run.unwrap_or_else(|_| Err("it never comes to rest".into()));
        run.map_err(TestCaseError::fail)?;
    }
}
