//! The kinds of room: who may find, see and enter which.

mod support;

use chat_core::testkit::Probe;
use chat_core::{
    After, Code, Cursor, Event, HistoryAt, HistoryQuery, Kind, Limits, MemberQuery, MemoryStore,
    NewRoom, RoomId, RoomQuery, User,
};
use futures_util::future::join_all;
use support::{Bench, draft, engine, engine_with, faulty, until, user};

fn secret() -> NewRoom {
    NewRoom::private("plans").expect("a good title")
}

fn latest() -> HistoryQuery {
    HistoryQuery { at: HistoryAt::End, limit: 10 }
}

fn everybody() -> MemberQuery {
    MemberQuery { after: None, limit: 10, online: false }
}

/// The room that somebody hears it is invited to.
async fn invitation(probe: &mut Probe) -> RoomId {
    probe
        .find(|event| match event {
            Event::Invited { room } => Some(room.id),
            _ => None,
        })
        .await
}

/// Everything that a stranger may try of a room, with the answers.
async fn tries(bench: &Bench, stranger: &User, room: RoomId) -> Vec<(Code, String)> {
    let probe = bench.connect_as(stranger.clone());
    let (handle, session) = (bench.engine.room(room), &probe.session);
    let errors = [
        session.join(room, After::Nothing).await.expect_err("join"),
        session.join(room, After::Cursor(Cursor::new(0, 1))).await.expect_err("join"),
        session.leave(room).await.expect_err("leave"),
        session.send(room, draft("hi")).await.expect_err("send"),
        session.history(room, latest()).await.expect_err("history"),
        session.members(room, everybody()).await.expect_err("members"),
        session.typing(room, true).await.expect_err("typing"),
        session.invite(room, stranger.clone()).await.expect_err("invite"),
        handle.view(stranger).await.expect_err("view"),
        handle.join(stranger, After::Nothing).await.expect_err("join"),
    ];
    errors.map(|error| (error.code(), error.message().to_owned())).to_vec()
}

#[tokio::test]
async fn a_private_room_is_for_those_who_are_invited() {
    let bench = engine();
    let (room, ann) = bench.room_of("Ann", secret()).await;
    let (mut bob, eve) = (bench.connect("Bob"), user("Eve"));
    let mut phone = bench.connect_as(bob.session.user().clone());
    ann.session.invite(room, bob.session.user().clone()).await.expect("invited");
    for bob in [&mut bob, &mut phone] {
        assert_eq!(invitation(bob).await, room, "on every device");
    }
    let view = bench.engine.room(room).view(bob.session.user()).await.expect("may look");
    assert_eq!((view.info.kind, view.counts.members), (Kind::Private, 1));
    let refused = bob.session.send(room, draft("hi")).await.expect_err("not a member yet");
    assert_eq!(refused.code(), Code::NotAMember);
    bob.session.join(room, After::Nothing).await.expect("in it");
    bob.session.send(room, draft("hi")).await.expect("sent");
    // Strangers hear of it what they hear of a room that is not there.
    let nothing = tries(&bench, &eve, RoomId::new()).await;
    assert_eq!(tries(&bench, &eve, room).await, nothing);
    assert!(nothing.iter().all(|(code, _)| *code == Code::NoSuchRoom));
    let all = RoomQuery { limit: 10, ..RoomQuery::default() };
    assert!(bench.engine.rooms(&all).await.expect("a list").is_empty(), "it is not listed");
    // Who has left needs another invitation; a member may give it.
    bob.session.leave(room).await.expect("left");
    let refused = bob.session.join(room, After::Nothing).await.expect_err("not invited any more");
    assert_eq!(refused.code(), Code::NoSuchRoom);
    ann.session.invite(room, bob.session.user().clone()).await.expect("invited");
    bob.session.join(room, After::Nothing).await.expect("back");
}

#[tokio::test]
async fn an_invitation_outlives_a_restart_and_is_written_once() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, ann) = bench.room_of("Ann", secret()).await;
    let bob = user("Bob");
    for _ in 0..3 {
        ann.session.invite(room, bob.clone()).await.expect("invited");
    }
    ann.session.invite(room, ann.session.user().clone()).await.expect("is in it already");
    let joined = ann.session.join(room, After::Cursor(Cursor::default())).await.expect("in it");
    let changes: Vec<_> = joined.changes.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(changes, ["joined", "invited"]);
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let mut bob = bench.connect_as(bob);
    bob.session.join(room, After::Nothing).await.expect("in it");
    assert!(bob.waiting().iter().all(|event| !matches!(**event, Event::Invited { .. })));
}

#[tokio::test]
async fn invitations_and_joinings_cross_without_harm() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room_of("Ann", secret()).await;
    let cyd = Probe::connect(&bench.engine, user("Cyd")).expect("a session");
    ann.session.invite(room, cyd.session.user().clone()).await.expect("invited");
    cyd.session.join(room, After::Nothing).await.expect("in it");
    let bob = bench.connect("Bob");
    let guest = || bob.session.user().clone();
    faults.hold_commits(true);
    // Two invite him at once; he joins while that is being written, and waits for it.
    let (one, two) = (ann.session.clone(), cyd.session.clone());
    let (first, second) = (guest(), guest());
    let ann_invites = tokio::spawn(async move { one.invite(room, first).await });
    until("the invitation is being written", async || faults.held_commits() == 1).await;
    let cyd_invites = tokio::spawn(async move { two.invite(room, second).await });
    let session = bob.session.clone();
    let joining = tokio::spawn(async move { session.join(room, After::Nothing).await });
    faults.hold_commits(false);
    ann_invites.await.expect("no panic").expect("invited");
    cyd_invites.await.expect("no panic").expect("was invited");
    joining.await.expect("no panic").expect("in it");
    // Whether or not a commit's answer is lost, an invitation is there once.
    let dan = bench.connect("Dan");
    faults.lose_answers(1);
    let invite = async || ann.session.invite(room, dan.session.user().clone()).await;
    assert_eq!(invite().await.expect_err("nobody knows").code(), Code::Unavailable);
    invite().await.expect("it was there all along");
    dan.session.join(room, After::Nothing).await.expect("in it");
    let joined = ann.session.join(room, After::Cursor(Cursor::default())).await.expect("in it");
    let invited = joined.changes.iter().filter(|change| change.kind.as_str() == "invited");
    assert_eq!(invited.count(), 3, "Cyd, Bob and Dan");
}

#[tokio::test]
async fn two_people_have_one_direct_room() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (ann, bob, eve) = (user("Ann"), user("Bob"), user("Eve"));
    // Both open it many times at once, over sessions and without.
    let opens = (0..20).map(|n| {
        let (one, other) = if n % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
        let bench = &bench;
        async move {
            if n % 3 == 0 {
                let probe = bench.connect_as(one.clone());
                let view = probe.session.open(NewRoom::direct(other.clone())).await;
                let view = view.expect("a room");
                assert_eq!((view.counts.members, view.info.title), (2, None));
                view.info.id
            } else {
                let room = bench.engine.open_room(one, NewRoom::direct(other.clone())).await;
                room.expect("a room").id()
            }
        }
    });
    let rooms = join_all(opens).await;
    assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
    let room = rooms[0];
    let mut eve_hears = bench.connect_as(eve.clone());
    let mut here = Probe::join(&bench.engine, bob.clone(), room).await.expect("in it");
    let handle = bench.engine.room(room);
    handle.send(&ann, draft("hi")).await.expect("sent, without having joined");
    assert_eq!(here.message().await, (1, "hi".into()));
    let refused = handle.leave(&ann).await.expect_err("cannot be left");
    assert_eq!(refused.code(), Code::Forbidden);
    let refused = handle.invite(&ann, eve.clone()).await.expect_err("is of two");
    assert_eq!(refused.code(), Code::Forbidden);
    assert_eq!(tries(&bench, &eve, room).await, tries(&bench, &eve, RoomId::new()).await);
    // Another pair, another room; the same pair after a restart, the same room.
    let other = bench.engine.open_room(&ann, NewRoom::direct(eve.clone())).await.expect("a room");
    assert_ne!(other.id(), room);
    assert_eq!(invitation(&mut eve_hears).await, other.id(), "whoever is there hears of it");
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let again = bench.engine.open_room(&bob, NewRoom::direct(ann.clone())).await.expect("a room");
    assert_eq!(again.id(), room);
    // What is no direct room.
    let alone = bench.engine.open_room(&ann, NewRoom::direct(ann.clone())).await;
    assert_eq!(
        alone.err().map(|e| (e.code(), e.at_field())),
        Some((Code::BadRequest, Some("with")))
    );
    let brief = bench.engine.open_room(&ann, NewRoom::direct(eve).ephemeral()).await;
    let error = brief.err().map(|error| (error.code(), error.at_field()));
    assert_eq!(error, Some((Code::BadRequest, Some("ephemeral"))));
}

#[tokio::test]
async fn a_private_room_may_be_ephemeral() {
    let bench = engine();
    let (room, ann) = bench.room_of("Ann", secret().ephemeral()).await;
    let bob = bench.connect("Bob");
    ann.session.invite(room, bob.session.user().clone()).await.expect("invited");
    ann.session.leave(room).await.expect("left");
    until("the room is gone, and the invitation with it", async || {
        let joined = bob.session.join(room, After::Nothing).await;
        joined.is_err_and(|error| error.code() == Code::NoSuchRoom)
    })
    .await;
}
