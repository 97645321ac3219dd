//! What happens when things cross: a session that leaves and joins in one breath, a room that ends
//! while the store is being read for somebody, a reader that asks and does not read. Every one was
//! a fault once.

mod support;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use chat_core::testkit::FaultyStore;
use chat_core::{
    After, Code, Command, Counts, Cursor, Engine, Event, HistoryAt, HistoryQuery, Inbox, Inboxes,
    Limits, Listed, MemoryStore, Moderation, NewRoom, Reply, RoomCommand, RoomId, RoomQuery,
    Session, User, Wire,
};
use futures_util::{FutureExt, StreamExt};
use support::{Bench, draft, engine, engine_with, faulty, until, user};

const GRACE: Duration = Duration::from_secs(30);

fn join(after: Cursor) -> RoomCommand {
    RoomCommand::join(After::Cursor(after))
}

fn tea() -> NewRoom {
    NewRoom::open("tea").expect("a good title").ephemeral()
}

/// What a transport's reader gets, with the sizes that JSON would have, roughly.
#[derive(Clone)]
struct Sized;

#[derive(Clone, Debug)]
enum Frame {
    Event(Arc<Event>),
    Reply(u64, Result<(), Code>),
}

impl Wire for Sized {
    type Frame = Frame;

    fn event(&self, event: &Arc<Event>) -> Frame {
        Frame::Event(Arc::clone(event))
    }

    fn reply(&self, tag: u64, result: &chat_core::Result<Reply>) -> Option<Frame> {
        Some(Frame::Reply(tag, result.as_ref().map(drop).map_err(chat_core::Error::code)))
    }

    fn size(&self, frame: &Frame) -> usize {
        let event = match frame {
            Frame::Event(event) => event,
            Frame::Reply(_, Ok(())) => return 300,
            Frame::Reply(_, Err(_)) => return 100,
        };
        match &**event {
            Event::Message { message, .. } => 100 + message.text().len(),
            Event::Resumed { result: Ok(joined), .. } => {
                joined.messages.iter().map(|message| 100 + message.text().len()).sum()
            }
            _ => 100,
        }
    }
}

/// Two connections on one fan-out.
fn two_on_one(inboxes: &Inboxes<Sized>, user: &User) -> [(Session, Inbox<Frame>); 2] {
    let connect = || inboxes.connect(user.clone()).expect("a session");
    // Sessions are spread over the two threads in turn.
    let (first, _other, second) = (connect(), connect(), connect());
    [first, second]
}

/// Returns when the fan-out has handled everything that was sent to it before.
async fn handled(session: &Session, inbox: &mut Inbox<Frame>) {
    session.submit(u64::MAX, Command::Ping).expect("taken");
    while !matches!(inbox.next().await, Some(Frame::Reply(u64::MAX, Ok(())))) {}
}

fn drain(inbox: &mut Inbox<Frame>) -> Vec<Frame> {
    std::iter::from_fn(|| inbox.next().now_or_never().flatten()).collect()
}

#[tokio::test]
async fn leaving_and_joining_in_one_breath_leaves_no_ghost() {
    let (bench, faults) = faulty();
    let (room, _ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    while !matches!(&*bob.event().await, Event::Change { .. }) {}
    faults.hold_commits(true);
    bob.session.submit(1, Command::Room(room, RoomCommand::Leave)).expect("taken");
    let back = Command::Room(room, RoomCommand::join(After::Nothing));
    bob.session.submit(2, back).expect("taken");
    until("his leaving is being written", async || faults.held_commits() == 1).await;
    bob.session.ask(Command::Ping).await.expect("both are with the room");
    faults.hold_commits(false);
    for expected in ["left", "joined"] {
        loop {
            if let Event::Change { change, .. } = &*bob.event().await {
                assert_eq!(change.kind.as_str(), expected);
                break;
            }
        }
    }
    drop(bob);
    let alone = Counts { members: 2, online: 1 };
    until("he is gone", async || bench.counts(room).await == Ok(alone)).await;
}

#[tokio::test]
async fn resuming_again_and_again_costs_no_more_than_the_outbox() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    for _ in 0..200 {
        ann.session.send(room, draft(&"x".repeat(4_000))).await.expect("sent");
    }
    let inboxes = bench.engine.inboxes(&Sized);
    let [(greedy, mut unread), (sync, mut inbox)] = two_on_one(&inboxes, ann.session.user());
    let twice = Command::Resume(vec![(room, Cursor::default()); 2]);
    let refused = greedy.ask(twice).await.expect_err("a room is named twice");
    assert_eq!((refused.code(), refused.at_field()), (Code::BadRequest, Some("rooms")));
    for tag in 0..20 {
        let resume = Command::Resume(vec![(room, Cursor::default())]);
        greedy.submit(tag, resume).expect("taken");
        greedy.ask(Command::Ping).await.expect("it is with the room");
        bench.counts(room).await.expect("the room has answered it");
    }
    handled(&sync, &mut inbox).await;
    // 1 MiB, the frame that passed it, and small ones.
    assert!(unread.waiting() < (2 << 20) + 10_000, "{} bytes wait", unread.waiting());
    // Whoever reads on gets all of it.
    let (mut resumed, mut replies) = (0, 0);
    while replies < 20 {
        match unread.next().await.expect("a frame") {
            Frame::Event(event) => match &*event {
                Event::Resumed { result: Ok(joined), .. } if joined.messages.len() == 200 => {
                    resumed += 1;
                }
                Event::Resumed { .. } => panic!("{event:?}"),
                _ => {}
            },
            Frame::Reply(_, Ok(())) => replies += 1,
            Frame::Reply(tag, Err(code)) => panic!("{tag}: {code:?}"),
        }
        assert!(unread.waiting() < (2 << 20) + 10_000, "{} bytes wait", unread.waiting());
    }
    assert_eq!(resumed, 20);
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_place_does_not_hear_the_room() {
    let limits = Limits { outbox_bytes: 2_000, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, ann) = bench.room("Ann").await;
    let inboxes = bench.engine.inboxes(&Sized);
    let [(slow, mut unread), (sync, mut inbox)] = two_on_one(&inboxes, &user("Bob"));
    slow.join(room, After::Nothing).await.expect("in it");
    for n in 0..30 {
        ann.session.send(room, draft(&n.to_string())).await.expect("sent");
    }
    // It is behind by now. An eager client asks again while its outbox is still full.
    slow.submit(7, Command::Room(room, join(Cursor::new(10, 2)))).expect("taken");
    slow.ask(Command::Ping).await.expect("it is with the room");
    bench.counts(room).await.expect("the room has answered it");
    handled(&sync, &mut inbox).await;
    let before = drain(&mut unread);
    assert!(before.iter().any(|frame| matches!(frame, Frame::Reply(7, Err(Code::Busy)))));
    ann.session.send(room, draft("not for the slow one")).await.expect("sent");
    handled(&sync, &mut inbox).await;
    let after = drain(&mut unread);
    assert!(after.is_empty(), "it hears the room across a gap: {after:?}");
    // Now that it reads, it is let in, and nothing is missing.
    let back = slow.join(room, After::Cursor(Cursor::new(18, 2))).await.expect("in it");
    assert_eq!(back.messages.first().map(|message| message.seq), Some(19));
}

#[tokio::test]
async fn everybody_is_answered_when_the_room_ends_meanwhile() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let limits = Limits { kept_bytes: 10, ..Limits::default() };
    let bench = engine_with(store, limits);
    let (room, ann) = bench.room_of("Ann", tea()).await;
    for _ in 0..5 {
        ann.session.send(room, draft("longer than what is kept")).await.expect("sent");
    }
    faults.hold_reads(true);
    let inboxes = bench.engine.inboxes(&Sized);
    let (session, mut inbox) = inboxes.connect(ann.session.user().clone()).expect("a session");
    let history = HistoryQuery { at: HistoryAt::End, limit: 50 };
    session.submit(1, Command::Room(room, RoomCommand::History(history))).expect("taken");
    session.submit(2, Command::Resume(vec![(room, Cursor::default())])).expect("taken");
    until("both wait for the store", async || faults.held_reads() == 2).await;
    session.submit(3, Command::Room(room, RoomCommand::Leave)).expect("taken");
    until("the room ends", async || bench.counts(room).await == Err(Code::NoSuchRoom)).await;
    faults.hold_reads(false);
    let mut answered = Vec::new();
    while answered.len() < 3 {
        if let Some(Frame::Reply(tag, result)) = inbox.next().await {
            answered.push((tag, result));
        }
    }
    answered.sort_by_key(|(tag, _)| *tag);
    assert_eq!(answered, [(1, Err(Code::NoSuchRoom)), (2, Ok(())), (3, Ok(()))]);
}

/// The only member has gone, and the room waits for her. What had waited for her in the inbox waits as long.
async fn her_grace_runs(bench: &Bench, room: RoomId) {
    let gone = Counts { members: 1, online: 0 };
    until("she has gone", async || bench.counts(room).await == Ok(gone)).await;
    until("her grace runs", async || bench.clock.sleepers(GRACE) == 1).await;
}

#[tokio::test]
async fn a_member_whose_leaving_failed_is_not_forgotten() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room_of("Ann", tea()).await;
    let user = ann.session.user().clone();
    drop(ann);
    her_grace_runs(&bench, room).await;
    faults.hold_commits(true);
    let engine = bench.engine.clone();
    let leaving =
        tokio::spawn(async move { engine.room(room).ask(&user, RoomCommand::Leave).await });
    until("her leaving is being written", async || faults.held_commits() == 1).await;
    bench.clock.advance(GRACE);
    until("her grace runs again", async || bench.clock.sleepers(GRACE) == 1).await;
    faults.fail_commits(1);
    faults.hold_commits(false);
    leaving.await.expect("no panic").expect_err("the commit failed");
    bench.clock.advance(GRACE);
    until("the room ends", async || bench.counts(room).await == Err(Code::NoSuchRoom)).await;
}

#[tokio::test]
async fn who_comes_back_in_time_keeps_the_room() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let limits = Limits { kept_bytes: 10, ..Limits::default() };
    let bench = engine_with(store, limits);
    let (room, ann) = bench.room_of("Ann", tea()).await;
    ann.session.send(room, draft("longer than what is kept")).await.expect("sent");
    let user = ann.session.user().clone();
    drop(ann);
    her_grace_runs(&bench, room).await;
    bench.clock.advance(GRACE - Duration::from_secs(1));
    faults.hold_reads(true);
    let back = bench.connect_as(user);
    back.session.submit(1, Command::Room(room, join(Cursor::new(0, 1)))).expect("taken");
    until("the store is being read", async || faults.held_reads() == 1).await;
    bench.clock.advance(Duration::from_secs(1));
    until("she gets more time", async || bench.clock.sleepers(GRACE) == 1).await;
    faults.hold_reads(false);
    let here = Counts { members: 1, online: 1 };
    until("she is back", async || bench.counts(room).await == Ok(here)).await;
}

#[tokio::test]
async fn a_room_that_is_being_loaded_takes_only_so_many_commands() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, _ann) = bench.room("Ann").await;
    bench.engine.stop().await;
    let (store, faults) = FaultyStore::new(store);
    let bench = engine_with(store, Limits { room_mailbox: 3, ..Limits::default() });
    faults.hold_reads(true);
    let asks: Vec<_> = (0..5)
        .map(|_| {
            let engine = bench.engine.clone();
            tokio::spawn(
                async move { engine.room(room).ask(&user("asker"), RoomCommand::View).await },
            )
        })
        .collect();
    until("two are refused", async || asks.iter().filter(|ask| ask.is_finished()).count() == 2)
        .await;
    faults.hold_reads(false);
    let mut busy = 0;
    for ask in asks {
        match ask.await.expect("no panic") {
            Ok(_) => {}
            Err(error) => busy += usize::from(error.code() == Code::Busy),
        }
    }
    assert_eq!(busy, 2);
}

#[tokio::test]
async fn a_room_that_is_being_loaded_is_counted_as_the_store_has_it() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, _ann) = bench.room("Ann").await;
    bench.engine.stop().await;
    let (store, faults) = FaultyStore::new(store);
    let bench = engine_with(store, Limits::default());
    faults.hold_reads(true);
    let mut loading = pin!(bench.counts(room));
    until("it is being loaded", async || {
        assert!((&mut loading).now_or_never().is_none());
        faults.held_reads() == 1
    })
    .await;
    let stored = Counts { members: 1, online: 0 };
    let query = RoomQuery { title: String::new(), after: None, limit: 1 };
    let listed = bench.engine.rooms(&query).await.expect("the rooms");
    assert_eq!(bench.engine.counted(&listed)[0].counts, stored);
    faults.hold_reads(false);
    assert_eq!(loading.await, Ok(stored));
}

#[tokio::test]
async fn all_rooms_together_have_only_so_many_writes_waiting() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { queued_writes: 4, ..Limits::default() });
    let (one, ann) = bench.room("Ann").await;
    let (two, bob) = bench.room("Bob").await;
    faults.hold_commits(true);
    let sends: Vec<_> = (0..10)
        .map(|n| {
            let (room, session) = if n % 2 == 0 { (one, &ann) } else { (two, &bob) };
            let session = session.session.clone();
            tokio::spawn(async move { session.send(room, draft("hi")).await })
        })
        .collect();
    until("six are refused", async || sends.iter().filter(|send| send.is_finished()).count() == 6)
        .await;
    faults.hold_commits(false);
    let mut sent = 0;
    for send in sends {
        match send.await.expect("no panic") {
            Ok(_) => sent += 1,
            Err(error) => assert_eq!(error.code(), Code::Busy),
        }
    }
    assert_eq!(sent, 4, "what was taken was written");
}

#[tokio::test]
async fn a_room_whose_only_member_may_have_joined_is_not_deleted() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room_of("Ann", tea()).await;
    let bob = bench.connect("Bob");
    // Ann's leaving is stored, and its answer lost; while the room looks, Bob asks to join.
    faults.lose_answers(2);
    faults.hold_reads(true);
    ann.session.leave(room).await.expect_err("nobody knows");
    until("the room looks", async || faults.held_reads() == 1).await;
    let session = bob.session.clone();
    let joining = tokio::spawn(async move { session.join(room, After::Nothing).await });
    until("he waits", async || bench.engine.stats().waiting_writes == 1).await;
    faults.hold_commits(true);
    faults.hold_reads(false);
    until("his joining is being written", async || faults.held_commits() == 1).await;
    // It is stored too, and its answer lost too, and now the store cannot be read.
    faults.hold_reads(true);
    faults.hold_commits(false);
    joining.await.expect("no panic").expect_err("nobody knows");
    until("the room looks again", async || faults.held_reads() == 1).await;
    faults.fail_all(true);
    faults.hold_reads(false);
    let second = Duration::from_secs(1);
    until("it will look once more", async || bench.clock.sleepers(second) == 1).await;
    faults.fail_all(false);
    bench.clock.advance(second);
    let alone = Counts { members: 1, online: 0 };
    until("he is its member", async || bench.counts(room).await == Ok(alone)).await;
}

#[tokio::test]
async fn what_turns_out_to_be_committed_is_shown_in_its_order() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    let cyd = bench.connect("Cyd");
    faults.hold_commits(true);
    let session = ann.session.clone();
    let first = tokio::spawn(async move { session.send(room, draft("one")).await });
    until("it is being written", async || faults.held_commits() == 1).await;
    // Cyd joins and then writes, in one commit.
    let (joins, sends) = (cyd.session.clone(), ann.session.clone());
    let joining = tokio::spawn(async move { joins.join(room, After::Nothing).await });
    until("the joining waits", async || bench.engine.stats().waiting_writes == 2).await;
    let second = tokio::spawn(async move { sends.send(room, draft("two")).await });
    until("so does the next", async || bench.engine.stats().waiting_writes == 3).await;
    faults.lose_answers(2);
    faults.hold_commits(false);
    first.await.expect("no panic").expect_err("nobody knows");
    joining.await.expect("no panic").expect_err("nobody knows");
    second.await.expect("no panic").expect_err("nobody knows");
    let mut cursors = Vec::new();
    while cursors.last() != Some(&"2.2".to_owned()) {
        match &*ann.event().await {
            Event::Message { cursor, .. } => cursors.push(cursor.to_string()),
            Event::Change { change, .. } => cursors.push(change.cursor.to_string()),
            _ => {}
        }
    }
    assert_eq!(cursors, ["0.1", "1.1", "1.2", "2.2"][4 - cursors.len()..]);
}

#[tokio::test]
async fn who_left_while_coming_in_does_not_hold_the_room() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { kept_bytes: 10, ..Limits::default() });
    let (room, ann) = bench.room("Ann").await;
    let phone = bench.connect("Bob");
    let laptop = bench.connect_as(phone.session.user().clone());
    laptop.session.join(room, After::Nothing).await.expect("in it");
    for _ in 0..5 {
        ann.session.send(room, draft("longer than what is kept")).await.expect("sent");
    }
    faults.hold_reads(true);
    let session = phone.session.clone();
    let joining =
        tokio::spawn(
            async move { session.ask(Command::Room(room, join(Cursor::new(0, 1)))).await },
        );
    until("the store is being read", async || faults.held_reads() == 1).await;
    laptop.session.leave(room).await.expect("left");
    faults.hold_reads(false);
    let error = joining.await.expect("no panic").expect_err("he has left");
    assert_eq!(error.code(), Code::NotAMember);
    drop((ann, laptop));
    // Whichever of them the room hears last of keeps it for so long.
    until("the room has left memory", async || {
        bench.clock.advance(Limits::default().idle);
        bench.engine.stats().rooms == 0
    })
    .await;
    drop(phone);
}

#[tokio::test]
async fn who_waited_to_come_in_behind_a_joining_that_failed_does_not_hold_the_room() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let phone = bench.connect("Bob");
    let laptop = bench.connect_as(phone.session.user().clone());
    faults.hold_commits(true);
    let mut first = pin!(phone.session.join(room, After::Nothing));
    assert!((&mut first).now_or_never().is_none());
    until("it is being written", async || faults.held_commits() == 1).await;
    let mut second = pin!(laptop.session.join(room, After::Nothing));
    assert!((&mut second).now_or_never().is_none());
    laptop.session.ask(Command::Ping).await.expect("an answer");
    assert_eq!(bench.counts(room).await.expect("counts").members, 1, "both wait");
    faults.fail_commits(1);
    faults.hold_commits(false);
    for joining in [first.await, second.await] {
        assert_eq!(joining.expect_err("not stored").code(), Code::Unavailable);
    }
    drop(ann);
    until("the room has left memory", async || {
        bench.clock.advance(Limits::default().idle);
        bench.engine.stats().rooms == 0
    })
    .await;
    assert_eq!(bench.engine.stats().sessions, 2, "his");
}

#[tokio::test]
async fn an_invitation_is_used_once_also_by_two_processes() {
    let store = MemoryStore::default();
    let (faulty, faults) = FaultyStore::new(store.clone());
    let here = engine_with(faulty, Limits::default());
    let plans = NewRoom::private("plans").expect("a good title");
    let (room, ann) = here.room_of("Ann", plans).await;
    let phone = here.connect("Bob");
    ann.session.invite(room, phone.session.user().clone()).await.expect("invited");
    faults.hold_commits(true);
    let session = phone.session.clone();
    let joining = tokio::spawn(async move { session.join(room, After::Nothing).await });
    until("he is joining", async || faults.held_commits() == 1).await;
    let there = engine_with(store, Limits::default());
    let laptop = there.connect_as(phone.session.user().clone());
    laptop.session.join(room, After::Nothing).await.expect("invited");
    laptop.session.leave(room).await.expect("left");
    faults.hold_commits(false);
    let again = joining.await.expect("no panic").expect_err("it has been used");
    assert_eq!(again.code(), Code::NoSuchRoom);
}

/// Reads a room's counts in the very moment in which somebody's answer is there.
struct Answered {
    engine: Engine,
    room: Vec<Listed>,
    counts: Mutex<Option<Counts>>,
}

impl Wake for Answered {
    fn wake(self: Arc<Self>) {
        let [room] = &self.engine.counted(&self.room)[..] else { panic!("a room") };
        self.counts.lock().expect("no panic").get_or_insert(room.counts);
    }
}

#[tokio::test]
async fn whoever_has_an_answer_finds_the_counts_that_it_made() {
    let (bench, faults) = faulty();
    let (id, ann) = bench.room("Ann").await;
    let ann = ann.session.user().clone();
    let query = RoomQuery { title: String::new(), after: None, limit: 1 };
    let (room, bob) = (bench.engine.room(id), user("Bob"));
    type Act = fn(User) -> RoomCommand;
    let acts: [(Act, usize, bool); 5] = [
        (|_| RoomCommand::join(After::Nothing), 2, false),
        (|_| RoomCommand::Leave, 1, false),
        (|user| RoomCommand::Moderate(Moderation::Kick { user: user.id }), 1, true),
        (|user| RoomCommand::Moderate(Moderation::Ban { user: user.id, until: None }), 1, true),
        // With whom nobody is left.
        (|_| RoomCommand::Leave, 0, true),
    ];
    for (act, members, by_ann) in acts {
        let act = act(bob.clone());
        if members == 1 {
            room.join(&bob, After::Nothing).await.expect("in it");
        }
        let listed = bench.engine.rooms(&query).await.expect("the rooms");
        let answered = Arc::new(Answered {
            engine: bench.engine.clone(),
            room: listed,
            counts: Mutex::default(),
        });
        let waker = Waker::from(Arc::clone(&answered));
        faults.hold_commits(true);
        let mut asked = pin!(room.ask(if by_ann { &ann } else { &bob }, act.clone()));
        assert!(asked.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "{act:?}");
        until("it is being written", async || faults.held_commits() == 1).await;
        faults.hold_commits(false);
        until("it is answered", async || answered.counts.lock().expect("no panic").is_some()).await;
        asked.await.expect("done");
        let seen = *answered.counts.lock().expect("no panic");
        assert_eq!(seen, Some(Counts { members, online: members.min(1) }), "{act:?}");
    }
}
