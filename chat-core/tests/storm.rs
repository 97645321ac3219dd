//! G4 recovery in a crowd: everybody is cut off, the rooms go on, and all come back at once. Each gets exactly
//! what it missed, and the store is asked nothing that memory knows; after a restart, once for each room.

mod support;

use std::collections::{BTreeSet, HashMap};

use chat_core::testkit::{FaultyStore, Probe, View};
use chat_core::{
    After, Code, Command, Cursor, Engine, Event, Limits, Mark, MemoryStore, NewRoom, RoomCommand,
    RoomId, Store, Text, User,
};
use futures_util::stream::{self, StreamExt};
use support::{Bench, draft, engine_with, until, user};

/// How many are on their way at the same time.
const AT_ONCE: usize = 1_000;
/// How many changes a room goes on by, beside messages.
const CHANGES: usize = 3;

/// Rooms, and people who have been in one of them each.
struct Crowd {
    bench: Bench,
    store: MemoryStore,
    /// With their owners, who speak there without a session.
    rooms: Vec<(RoomId, User)>,
    people: Vec<Person>,
}

/// Somebody, and what it knows of a room.
struct Person {
    user: User,
    room: RoomId,
    view: View,
}

/// How many have come back, and what they were told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    people: usize,
    messages: usize,
    changes: usize,
    behind: usize,
    resets: usize,
    /// How often somebody had to try again.
    busy: usize,
}

impl Person {
    /// Comes back with this cursor, as often as it takes, and stays.
    async fn resume(&mut self, engine: &Engine, after: Cursor) -> (Probe, Told) {
        let mut probe = Probe::connect(engine, self.user.clone()).expect("a session");
        let mut told = Told { people: 1, ..Told::default() };
        loop {
            let resume = Command::Resume(vec![(self.room, after)]);
            probe.session.ask(resume).await.expect("an answer");
            let answer = probe.find(|event| match event {
                Event::Resumed { room, result } if *room == self.room => Some(result.clone()),
                _ => None,
            });
            match answer.await {
                Ok(joined) => {
                    self.view.joined(After::Cursor(after), &joined).expect("what it missed");
                    told.messages += joined.messages.len();
                    told.changes += joined.changes.len();
                    told.behind += usize::from(joined.behind.is_some());
                    told.resets += usize::from(joined.reset);
                    return (probe, told);
                }
                Err(error) if error.code() == Code::Busy => told.busy += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    async fn come_back(&mut self, engine: &Engine) -> (Probe, Told) {
        let after = self.view.cursor().expect("it has been there");
        self.resume(engine, after).await
    }
}

impl Crowd {
    /// So many rooms with so many members each, who have left their keyboards and their sessions.
    async fn gather(rooms: usize, each: usize) -> Self {
        let store = MemoryStore::default();
        let bench = engine_with(store.clone(), Limits::default());
        let (mut all, mut people) = (Vec::new(), Vec::new());
        for n in 0..rooms {
            let owner = user(&format!("owner {n}"));
            let new = NewRoom::open(format!("room {n}")).expect("a good title");
            let room = bench.engine.open_room(&owner, new).await.expect("a room");
            for text in ["one", "two", "three"] {
                room.send(&owner, draft(text)).await.expect("sent");
            }
            for n in 0..each {
                let user = user(&format!("guest {n}"));
                let joined = room.join(&user, After::Nothing).await.expect("a member");
                let mut view = View::new(room.id(), user.id);
                view.joined(After::Nothing, &joined).expect("a newcomer");
                people.push(Person { user, room: room.id(), view });
            }
            all.push((room.id(), owner));
        }
        Self { bench, store, rooms: all, people }
    }

    /// Everybody comes at once. Gives who is there, and what they were told.
    async fn storm(&mut self) -> (Vec<Probe>, Told) {
        let engine = self.bench.engine.clone();
        let coming = self.people.iter_mut().map(|person| person.come_back(&engine));
        let mut coming = stream::iter(coming).buffer_unordered(AT_ONCE);
        let (mut probes, mut all) = (Vec::new(), Told::default());
        while let Some((probe, told)) = coming.next().await {
            probes.push(probe);
            all.people += told.people;
            all.messages += told.messages;
            all.changes += told.changes;
            all.behind += told.behind;
            all.resets += told.resets;
            all.busy += told.busy;
        }
        assert_eq!(engine.stats().sessions, probes.len());
        (probes, all)
    }

    /// All are cut off.
    async fn cut_off(&mut self, probes: Vec<Probe>) {
        drop(probes);
        let engine = &self.bench.engine;
        until("all are gone", async || engine.stats().sessions == 0).await;
        self.people.iter_mut().for_each(|person| person.view.disconnected());
    }

    /// Every room goes on: so many messages, an edit, a deletion and a mark.
    async fn go_on(&self, messages: usize) {
        for (room, owner) in &self.rooms {
            let room = self.bench.engine.room(*room);
            for n in 0..messages {
                room.send(owner, draft(&format!("meanwhile {n}"))).await.expect("sent");
            }
            let text = Text::new("edited").expect("a good text");
            let mark = Mark::new("👍").expect("a good mark");
            let changes: [_; CHANGES] = [
                RoomCommand::edit(1, text),
                RoomCommand::Delete { seq: 2 },
                RoomCommand::Mark { seq: 3, mark, on: true },
            ];
            for command in changes {
                room.ask(owner, command).await.expect("done");
            }
        }
    }

    /// What everybody knows is what the store says, which is asked behind the engine's back.
    async fn compare(&self) {
        let mut stored = HashMap::new();
        for (room, _) in &self.rooms {
            let loaded = self.store.load_room(*room, usize::MAX).await.expect("it answers");
            stored.insert(*room, loaded.expect("a room"));
        }
        for Person { room, view, .. } in &self.people {
            view.compare(&stored[room]).expect("all of it");
        }
    }

    fn reads(&self) -> u64 {
        self.bench.engine.stats().store.reads
    }
}

/// What all are told if each has missed so much.
fn each(people: usize, messages: usize, changes: usize) -> Told {
    let (messages, changes) = (people * messages, people * changes);
    Told { people, messages, changes, ..Told::default() }
}

#[tokio::test]
async fn ten_thousand_come_back_and_cost_the_store_nothing() {
    let mut crowd = Crowd::gather(100, 100).await;
    // Everybody is there for the first time, and hears who has come since.
    let before = crowd.reads();
    let (probes, told) = crowd.storm().await;
    assert_eq!((told.people, told.messages), (10_000, 0));
    crowd.cut_off(probes).await;
    crowd.go_on(5).await;
    let (probes, told) = crowd.storm().await;
    assert_eq!(told, each(10_000, 5, CHANGES));
    assert_eq!(crowd.reads(), before, "memory knows all of it");
    crowd.compare().await;
    // Nobody has more waiting than what its room has told of the others.
    let most = crowd.bench.engine.limits().outbox_bytes;
    assert!(probes.iter().all(|probe| probe.inbox.waiting() < most / 10));
}

#[tokio::test]
async fn after_a_restart_each_room_is_loaded_once() {
    let mut crowd = Crowd::gather(20, 100).await;
    let (probes, _) = crowd.storm().await;
    crowd.cut_off(probes).await;
    crowd.go_on(5).await;
    crowd.bench.engine.stop().await;
    crowd.bench = engine_with(crowd.store.clone(), Limits::default());
    let engine = crowd.bench.engine.clone();
    until("it has looked around", async || engine.stats().store.reads == 1).await;
    let (_probes, told) = crowd.storm().await;
    assert_eq!(told, each(2_000, 5, CHANGES));
    assert_eq!(crowd.reads(), 1 + 20, "a load for each room, and nothing else");
    crowd.compare().await;
}

/// More come than a room's mailbox takes while it is being loaded: those are told `busy`, and try again.
#[tokio::test]
async fn whoever_finds_a_room_busy_tries_again() {
    let mut crowd = Crowd::gather(1, 190).await;
    let (probes, _) = crowd.storm().await;
    crowd.cut_off(probes).await;
    crowd.go_on(5).await;
    crowd.bench.engine.stop().await;
    let (store, faults) = FaultyStore::new(crowd.store.clone());
    let limits = Limits { room_mailbox: 20, ..Limits::default() };
    crowd.bench = engine_with(store, limits);
    let engine = crowd.bench.engine.clone();
    until("it has looked around", async || engine.stats().store.reads == 1).await;
    faults.hold_reads(true);
    let release = async {
        let waits = async || engine.stats().sessions == 190 && faults.held_reads() == 1;
        until("all are there, and one load waits", waits).await;
        faults.hold_reads(false);
    };
    let ((_probes, told), ()) = tokio::join!(crowd.storm(), release);
    assert!(told.busy > 0, "{told:?}");
    assert_eq!(Told { busy: 0, ..told }, each(190, 5, CHANGES));
    assert_eq!(crowd.reads(), 1 + 1, "one load");
    crowd.compare().await;
}

/// Those who are far behind are told what to page through, and those whose cursor is of another room or of a
/// store that was put back are told to begin anew: from memory, all of them, but for one glance at the store whether
/// another process has come as far as such a cursor, and one for each room whether what it is behind with is there.
#[tokio::test]
async fn far_behind_and_foreign_cursors_are_answered_from_memory() {
    let mut crowd = Crowd::gather(10, 60).await;
    let (probes, _) = crowd.storm().await;
    crowd.cut_off(probes).await;
    crowd.go_on(230).await;
    let (before, mut glances, mut rooms) = (crowd.reads(), 0, BTreeSet::new());
    let engine = crowd.bench.engine.clone();
    let mut probes = Vec::new();
    for (n, person) in crowd.people.iter_mut().enumerate() {
        let known = person.view.cursor().expect("it has been there");
        let after = match n % 3 {
            0 => known,
            1 => Cursor::new(known.seq + 1_000, known.change),
            _ => Cursor::new(known.seq, known.change + 1_000),
        };
        let (probe, told) = person.resume(&engine, after).await;
        probes.push(probe);
        let (messages, changes, behind, resets) = match n % 3 {
            0 => (200, CHANGES, 1, 0),
            _ => (50, 0, 0, 1),
        };
        glances += resets;
        rooms.extend((behind > 0).then_some(person.room));
        let expected = Told { people: 1, messages, changes, behind, resets, busy: 0 };
        assert_eq!(told, expected, "{after:?}");
    }
    let glances = glances + rooms.len();
    assert_eq!(crowd.reads() - before, glances as u64, "memory knows the rest");
    // What the others are behind with is older than what memory keeps: paging reads it.
    for (person, probe) in crowd.people.iter_mut().zip(&probes) {
        while let Some(query) = person.view.missing() {
            let page = probe.session.history(person.room, query).await.expect("a page");
            person.view.paged(&page).expect("what is missing");
        }
    }
    crowd.compare().await;
}
