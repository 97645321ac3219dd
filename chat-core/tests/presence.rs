//! G5 true presence, G9 no lookups, and the life of rooms: who is there is known from memory and is
//! true.

mod support;

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Clock, Code, Event, HistoryAt, HistoryQuery, Limits, MemberQuery, MemoryStore, NewRoom,
    Presence, Reply, RoomCommand, RoomId, RoomQuery,
};
use support::{Bench, draft, engine, engine_with, until};

const GRACE: Duration = Duration::from_secs(30);

fn tea() -> NewRoom {
    NewRoom::open("tea").expect("a good title").ephemeral()
}

/// How others see the next change of a member's presence.
async fn seen(guest: &mut Probe) -> (String, Presence, usize) {
    loop {
        if let Event::Presence { user, presence, devices, .. } = &*guest.event().await {
            return (user.name.to_string(), *presence, *devices);
        }
    }
}

async fn is_gone(bench: &Bench, room: RoomId) -> bool {
    let asker = support::user("asker");
    let view = bench.engine.room(room).ask(&asker, RoomCommand::View).await;
    view.is_err_and(|error| error.code() == Code::NoSuchRoom)
}

#[tokio::test]
async fn presence_follows_devices_and_keyboards() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    assert_eq!(seen(&mut ann).await, ("Ann".into(), Presence::Online, 1));
    let phone = bench.joined("Bob", room).await;
    assert_eq!(seen(&mut ann).await, ("Bob".into(), Presence::Online, 1));
    let laptop = bench.connect_as(phone.session.user().clone());
    laptop.session.join(room, After::Nothing).await.expect("in it");
    assert_eq!(seen(&mut ann).await, ("Bob".into(), Presence::Online, 2));
    phone.session.presence(Presence::Away).await.expect("away");
    laptop.session.presence(Presence::Away).await.expect("away");
    assert_eq!(seen(&mut ann).await, ("Bob".into(), Presence::Away, 2));
    phone.session.presence(Presence::Offline).await.expect_err("that is what ending is for");
    drop(laptop);
    assert_eq!(seen(&mut ann).await, ("Bob".into(), Presence::Away, 1));
    drop(phone);
    assert_eq!(seen(&mut ann).await, ("Bob".into(), Presence::Offline, 0));
}

#[tokio::test]
async fn leaving_the_keyboard_while_joining_is_not_forgotten() {
    let (bench, faults) = support::faulty();
    let (room, _ann) = bench.room("Ann").await;
    let bob = bench.connect("Bob");
    faults.hold_commits(true);
    let join = chat_core::Command::Room(room, RoomCommand::join(After::Nothing));
    bob.session.submit(1, join).expect("taken");
    until("his membership is being written", async || faults.held_commits() == 1).await;
    bob.session.presence(Presence::Away).await.expect("away");
    faults.hold_commits(false);
    let joined = bob.session.join(room, After::Nothing).await.expect("in it");
    let me = joined.first.iter().find(|member| member.membership == joined.me).expect("listed");
    assert_eq!(me.presence, Presence::Away);
}

#[tokio::test]
async fn member_questions_cost_the_store_nothing() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("hi")).await.expect("sent");
    let before = bench.engine.stats().store;
    for online in [true, false] {
        let members = RoomCommand::Members(MemberQuery { after: None, limit: 10, online });
        let reply = bench.engine.room(room).ask(bob.session.user(), members).await.expect("a page");
        assert!(matches!(reply, Reply::Members(page) if page.members.len() == 2));
    }
    let latest = HistoryQuery { at: HistoryAt::End, limit: 10 };
    assert_eq!(bob.session.history(room, latest).await.expect("a page").messages.len(), 1);
    bench.engine.room(room).ask(bob.session.user(), RoomCommand::View).await.expect("a view");
    bob.session.typing(room, true).await.expect("typing");
    drop(bench.connect_as(bob.session.user().clone()).session.join(room, After::Nothing).await);
    assert_eq!(bench.engine.stats().store, before);
    ann.session.send(room, draft("ho")).await.expect("sent");
    let after = bench.engine.stats().store;
    assert_eq!((after.reads, after.writes), (before.reads, before.writes + 1), "its writes only");
}

#[tokio::test]
async fn typing_ends_by_itself() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let typing = async |ann: &mut Probe| loop {
        if let Event::Typing { on, .. } = &*ann.event().await {
            return *on;
        }
    };
    ann.session.typing(room, true).await.expect("typing");
    assert!(typing(&mut ann).await);
    let six = Duration::from_secs(6);
    until("its end is awaited", async || bench.clock.sleepers(six) == 1).await;
    bench.clock.advance(Duration::from_secs(3));
    ann.session.typing(room, true).await.expect("still typing");
    bench.clock.advance(Duration::from_secs(3));
    until("its new end is awaited", async || bench.clock.sleepers(Duration::from_secs(3)) == 1)
        .await;
    bench.clock.advance(Duration::from_secs(3));
    assert!(!typing(&mut ann).await, "said once that it began and once that it ended");
}

#[tokio::test]
async fn a_big_room_is_summarised() {
    let limits = Limits { big_room: 3, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, mut ann) = bench.room("Ann").await;
    let mut guests = Vec::new();
    for n in 0..20 {
        guests.push(bench.joined(&format!("guest {n}"), room).await);
    }
    let told = ann.waiting();
    let named = told.iter().filter(|event| matches!(***event, Event::Presence { .. })).count();
    assert!(named <= 3, "{named} were announced by name");
    bench.clock.advance(Duration::from_secs(1));
    let (counts, some, cursor) = loop {
        if let Event::Summary { counts, some, cursor, .. } = &*ann.event().await {
            break (*counts, some.len(), *cursor);
        }
    };
    assert_eq!((counts.members, counts.online, some), (21, 21, 20));
    assert_eq!(cursor.change, 21, "it covers every membership");
    let messages = guests[0].session.send(room, draft("hi")).await;
    assert_eq!(messages.expect("sent").seq, 1);
    assert_eq!(ann.message().await.0, 1, "messages are told to all");
}

#[tokio::test]
async fn an_ephemeral_room_goes_when_its_last_member_leaves() {
    let bench = engine();
    let (room, ann) = bench.room_of("Ann", tea()).await;
    ann.session.send(room, draft("hi")).await.expect("sent");
    ann.session.leave(room).await.expect("left");
    until("the room is gone", async || is_gone(&bench, room).await).await;
    until("it is listed no more", async || {
        let query = RoomQuery { limit: 10, ..RoomQuery::default() };
        bench.engine.rooms(&query).await.expect("a list").is_empty()
    })
    .await;
}

#[tokio::test]
async fn being_away_for_longer_than_the_grace_ends_membership() {
    let bench = engine();
    let (room, ann) = bench.room_of("Ann", tea()).await;
    let mut bob = bench.joined("Bob", room).await;
    let user = ann.session.user().clone();
    drop(ann);
    until("she has gone", async || bench.counts(room).await.map(|counts| counts.online) == Ok(1))
        .await;
    until("her grace runs", async || bench.clock.sleepers(GRACE) == 1).await;
    bench.clock.advance(GRACE - Duration::from_secs(1));
    // Back in time: a member still, without a new membership.
    let ann = bench.connect_as(user);
    let back = ann.session.join(room, After::Nothing).await.expect("back");
    assert_eq!((back.cursor.change, back.me.role), (2, chat_core::Role::Owner));
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bob.session.join(room, After::Nothing).await.expect("in it").room.counts.members, 2);
    drop(ann);
    until("she has gone again", async || {
        bench.counts(room).await.map(|counts| counts.online) == Ok(1)
    })
    .await;
    until("her grace runs again", async || bench.clock.sleepers(GRACE) == 1).await;
    bench.clock.advance(GRACE);
    loop {
        if let Event::Change { change, counts, .. } = &*bob.event().await
            && change.kind.as_str() == "left"
        {
            assert_eq!(
                (change.kind.membership().user.name.to_string(), counts.members),
                ("Ann".into(), 1)
            );
            break;
        }
    }
    drop(bob);
    until("he has gone", async || bench.counts(room).await.map(|counts| counts.online) == Ok(0))
        .await;
    until("his grace runs", async || bench.clock.sleepers(GRACE) == 1).await;
    bench.clock.advance(GRACE);
    until("the room is gone", async || is_gone(&bench, room).await).await;
}

#[tokio::test]
async fn after_a_crash_members_get_the_same_grace() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (kept, ann) = bench.room_of("Ann", tea()).await;
    let (lost, _bob) = bench.room_of("Bob", tea()).await;
    ann.session.send(kept, draft("hi")).await.expect("sent");
    let user = ann.session.user().clone();
    // The process dies: nobody leaves, nothing is tidied up.
    drop(bench);
    let bench = engine_with(store, Limits::default());
    until("both rooms wait", async || bench.clock.sleepers(GRACE) == 2).await;
    let ann = bench.connect_as(user);
    let back = ann.session.join(kept, After::Nothing).await.expect("back");
    assert_eq!(back.messages.len(), 1);
    bench.clock.advance(GRACE);
    until("the other room is gone", async || is_gone(&bench, lost).await).await;
    assert!(!is_gone(&bench, kept).await);
    ann.session.send(kept, draft("still here")).await.expect("sent");
}

#[tokio::test]
async fn a_room_that_nobody_needs_leaves_memory_and_comes_back() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("hi")).await.expect("sent");
    let user = ann.session.user().clone();
    assert_eq!(bench.engine.stats().rooms, 1);
    drop(ann);
    // Whenever it has heard that she is gone, it stays for a minute.
    until("it has left", async || {
        bench.clock.advance(Duration::from_secs(1));
        bench.engine.stats().rooms == 0
    })
    .await;
    assert!(Clock::elapsed(&bench.clock) >= Duration::from_secs(60));
    let ann = bench.connect_as(user);
    let back = ann.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(back.messages.len(), 1);
    // What is not there does not stay either.
    assert!(is_gone(&bench, RoomId::new()).await);
    until("it has left", async || {
        bench.clock.advance(Duration::from_secs(1));
        bench.engine.stats().rooms == 1
    })
    .await;
}

#[tokio::test]
async fn many_askers_load_a_room_once() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, ann) = bench.room("Ann").await;
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    until("the sweep is done", async || bench.engine.stats().store.reads == 1).await;
    let room = bench.engine.room(room);
    let asks = (0..100).map(|_| room.view(ann.session.user()));
    let views = futures_util::future::join_all(asks).await;
    assert!(views.iter().all(Result::is_ok));
    assert_eq!(bench.engine.stats().store.reads, 2);
}

#[tokio::test]
async fn a_session_that_ends_while_it_joins_leaves_no_ghost() {
    let (bench, faults) = support::faulty();
    let (room, ann) = bench.room("Ann").await;
    faults.hold_commits(true);
    let bob = bench.connect("Bob");
    bob.session
        .submit(1, chat_core::Command::Room(room, RoomCommand::join(After::Nothing)))
        .expect("taken");
    bob.session
        .submit(2, chat_core::Command::Room(room, RoomCommand::join(After::Nothing)))
        .expect("taken");
    until("his membership is being written", async || faults.held_commits() == 1).await;
    drop(bob);
    until("his session has ended", async || bench.engine.stats().sessions == 1).await;
    faults.hold_commits(false);
    until("he is a member", async || {
        let view = bench.engine.room(room).ask(ann.session.user(), RoomCommand::View).await;
        matches!(view, Ok(Reply::Room(view)) if view.counts.members == 2)
    })
    .await;
    let view = bench.engine.room(room).ask(ann.session.user(), RoomCommand::View).await;
    assert!(matches!(view, Ok(Reply::Room(view)) if view.counts.online == 1));
}
