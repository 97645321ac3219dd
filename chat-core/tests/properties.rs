//! A whole engine against a plain model: random commands, sessions that come and go, readers that
//! do not read, a store that fails and loses answers, restarts and crashes. In the end what every
//! client has rebuilt from what it heard is what the store says, and what was acknowledged is
//! there, once.

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::testkit::{Broken, FakeClock, Faults, FaultyStore, View};
use chat_core::{
    After, Clock, Code, Command, Draft, Engine, Error, Event, Inbox, Inboxes, Limits, MemberQuery,
    MemoryStore, Moderation, NewRoom, Presence, Reply, Role, RoomCommand, RoomId, Session,
    SettingsChange, Store, Timestamp, User, UserId, Wire,
};
use futures_util::{FutureExt, StreamExt};
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
    },
    Moderate {
        client: usize,
        room: Index,
        user: usize,
        act: u8,
    },
    Typing {
        client: usize,
        room: Index,
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
        2 => (client(), room()).prop_map(|(client, room)| Step::Leave { client, room }),
        8 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, keyed)| Step::Send { client, room, keyed }),
        2 => (client(), room(), 1u8..40)
            .prop_map(|(client, room, count)| Step::Burst { client, room, count }),
        2 => (client(), room(), 0..USERS)
            .prop_map(|(client, room, guest)| Step::Invite { client, room, guest }),
        5 => (client(), room(), 0..USERS, 0u8..12)
            .prop_map(|(client, room, user, act)| Step::Moderate { client, room, user, act }),
        1 => (client(), room()).prop_map(|(client, room)| Step::Typing { client, room }),
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
    prop::collection::vec(step, 20..120)
}

fn moderation(act: u8, user: UserId, now: Timestamp) -> Moderation {
    let soon = Some(now + Duration::from_secs(20));
    let set = |slow_s, read_only| {
        let (slow_s, read_only) = (Some(slow_s), Some(read_only));
        Moderation::Configure(SettingsChange { invite: None, slow_s, read_only })
    };
    match act {
        0 | 1 => Moderation::Role { user, role: Role::Moderator },
        2 => Moderation::Role { user, role: Role::Member },
        3 => Moderation::Transfer { user },
        4 => Moderation::Kick { user },
        5 => Moderation::Ban { user, until: soon },
        6 => Moderation::Ban { user, until: None },
        7 => Moderation::Unban { user },
        8 => Moderation::Mute { user, until: soon },
        9 => Moderation::Unmute { user },
        10 => set(5, true),
        _ => set(0, false),
    }
}

/// Whether a message was refused because of what the room's owner and moderators have done.
fn is_order(code: Code) -> bool {
    matches!(
        code,
        Code::NotAMember
            | Code::NoSuchRoom
            | Code::Banned
            | Code::Muted
            | Code::ReadOnly
            | Code::SlowMode
    )
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
    Send(Message),
    Resume,
    Other,
}

/// A message as its sender knows it.
#[derive(Clone, Debug)]
struct Message {
    room: RoomId,
    user: User,
    text: String,
    keyed: bool,
}

impl Message {
    fn draft(&self) -> Draft {
        let draft = support::draft(&self.text);
        if self.keyed { draft.key(&*self.text).expect("a good key") } else { draft }
    }
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
    sent: usize,
    acknowledged: Vec<(Message, u64)>,
    /// Keyed messages of which nobody knows whether they are stored.
    unsure: Vec<Message>,
    attempted: HashSet<String>,
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
            sent: 0,
            acknowledged: Vec::new(),
            unsure: Vec::new(),
            attempted: HashSet::new(),
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
            if let Asked::Send(message) = asked
                && message.keyed
            {
                self.unsure.push(message);
            }
        }
    }

    fn submit(&mut self, client: usize, asked: Asked, command: Command) {
        self.connect(client);
        let client = &mut self.clients[client];
        let Some((session, _)) = &client.line else { return };
        client.tag += 1;
        if session.submit(client.tag, command).is_ok() {
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

    fn send(&mut self, client: usize, room: RoomId, keyed: bool) {
        self.sent += 1;
        let (user, text) = (self.clients[client].user.clone(), format!("message {}", self.sent));
        let message = Message { room, user, text, keyed };
        self.attempted.insert(message.text.clone());
        let draft = message.draft();
        self.ask_room(client, Asked::Send(message), room, RoomCommand::Send(draft));
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
                    view.members(page);
                }
                self.ask_for_more(client, room);
            }
            (Asked::History(room), Ok(Reply::History(history))) => {
                if let Some(view) = self.clients[client].views.get_mut(&room) {
                    view.paged(history)?;
                }
                self.ask_for_more(client, room);
            }
            (Asked::Send(message), Ok(Reply::Sent(sent))) => {
                self.acknowledged.push((message, sent.seq));
            }
            (Asked::Send(message), Err(error)) => match error.code() {
                Code::Unavailable | Code::Stopping if message.keyed => self.unsure.push(message),
                Code::Unavailable | Code::Stopping | Code::Busy => {}
                code if is_order(code) => {}
                other => return Err(format!("sending was refused with {other:?}")),
            },
            (Asked::Room | Asked::Join(..) | Asked::Members(_) | Asked::History(_), Err(_))
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
            Step::Leave { client, room } => {
                for room in pick(room) {
                    self.ask_room(client, Asked::Other, room, RoomCommand::Leave);
                }
            }
            Step::Send { client, room, keyed } => {
                pick(room).for_each(|room| self.send(client, room, keyed));
            }
            Step::Burst { client, room, count } => {
                for room in pick(room) {
                    (0..count).for_each(|_| self.send(client, room, false));
                }
            }
            Step::Invite { client, room, guest } => {
                let guest = self.clients[guest].user.clone();
                for room in pick(room) {
                    let invite = RoomCommand::Invite(guest.clone());
                    self.ask_room(client, Asked::Other, room, invite);
                }
            }
            Step::Moderate { client, room, user, act } => {
                let user = self.clients[user].user.id;
                let act = moderation(act, user, self.clock.now());
                for room in pick(room) {
                    self.ask_room(client, Asked::Other, room, RoomCommand::Moderate(act));
                }
            }
            Step::Typing { client, room } => {
                for room in pick(room) {
                    self.ask_room(client, Asked::Other, room, RoomCommand::Typing(true));
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

    /// The store works again, everybody is connected and reads, and what nobody was sure of is sent
    /// again.
    async fn settle(&mut self) -> Result<(), Broken> {
        self.release();
        self.running.faults.fail_commits(0);
        self.running.faults.lose_answers(0);
        (0..CLIENTS).for_each(|client| self.connect(client));
        for message in std::mem::take(&mut self.unsure) {
            let room = self.running.engine.room(message.room);
            match room.send(&message.user, message.draft()).await {
                Ok(sent) => self.acknowledged.push((message, sent.seq)),
                Err(error) if is_order(error.code()) => {}
                Err(error) => return Err(format!("sending again was refused: {error}")),
            }
        }
        for round in 1.. {
            if round % 20 == 0 {
                // What is told by a summary, or read again because it failed, waits for the clock.
                self.clock.advance(Duration::from_secs(1));
            }
            let mut quiet = true;
            for client in 0..CLIENTS {
                quiet &= !self.read(client)? && self.clients[client].asked.is_empty();
            }
            if quiet && self.is_complete().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Whether every client that hears a room has heard all of it.
    async fn is_complete(&self) -> bool {
        for (room, view) in self.clients.iter().flat_map(|client| &client.views) {
            let stored = self.store.load_room(*room, 1).await.expect("it answers");
            if view.hears() && stored.is_none_or(|stored| !view.has_heard(stored.end)) {
                return false;
            }
        }
        true
    }

    async fn check(&self) -> Result<(), Broken> {
        let mut stored = HashMap::new();
        for room in &self.rooms {
            stored
                .insert(*room, self.store.load_room(*room, usize::MAX).await.expect("it answers"));
        }
        for client in &self.clients {
            for (room, view) in client.views.iter().filter(|(_, view)| view.hears()) {
                let stored = stored[room].as_ref().ok_or("a room is heard that does not exist")?;
                view.compare(stored)?;
            }
        }
        for (message, seq) in &self.acknowledged {
            // An ephemeral room goes with its messages.
            let Some(room) = &stored[&message.room] else { continue };
            let found = room.messages.iter().find(|stored| stored.seq == *seq);
            let same = found.is_some_and(|stored| stored.text() == message.text);
            if !same {
                return Err(format!("{message:?} was acknowledged as {seq}, where is {found:?}"));
            }
        }
        let texts = stored.values().flatten().flat_map(|room| &room.messages);
        let mut seen = HashSet::new();
        for message in texts {
            if !self.attempted.contains(message.text()) || !seen.insert(message.text()) {
                return Err(format!("{message:?} is doubled, or was never sent"));
            }
        }
        for room in stored.values().flatten() {
            let seqs = room.messages.iter().map(|message| message.seq);
            if !seqs.eq(1..=room.end.seq) {
                return Err(format!("the numbers of a room have a gap: {:?}", room.messages));
            }
        }
        Ok(())
    }
}

async fn run(steps: Vec<Step>, limits: Limits) -> Result<(), Broken> {
    let mut world = World::new(limits);
    for step in steps {
        let said = format!("in {step:?}");
        world.step(step).await.map_err(|broken| format!("{broken}; {said}"))?;
    }
    world.settle().await?;
    world.check().await?;
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
    ) {
        let limits = Limits { outbox_bytes, kept_bytes, big_room, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let run = runtime.expect("a runtime").block_on(async { timeout(PATIENCE, run(steps, limits)).await });
        let run = run.unwrap_or_else(|_| Err("it never comes to rest".into()));
        run.map_err(TestCaseError::fail)?;
    }
}
