//! What happens to a user everywhere: it is called otherwise, it goes for good, it is watched, it is told
//! something by the program.

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::Probe;
use chat_core::{
    After, ChangeKind, CloseReason, Code, Command, Engine, Event, History, HistoryAt, HistoryQuery,
    Limits, MemberQuery, MemoryStore, Moderation, Name, NewRoom, Notice, Policy, Presence,
    PresenceWatch, Role, RoomCommand, RoomId, User, UserId,
};
use futures_util::StreamExt;
use support::{Bench, draft, engine, faulty, keyed, until, user};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn called(user: &User, name: &str) -> User {
    User::new(user.id, Name::new(name).expect("a good name"))
}

fn gone(user: &User) -> User {
    called(user, "deleted user")
}

/// The next new name that somebody hears of, and where.
async fn renamed(probe: &mut Probe) -> (Option<RoomId>, User) {
    probe
        .find(|event| match event {
            Event::Renamed { room, user } => Some((*room, user.clone())),
            _ => None,
        })
        .await
}

async fn history(probe: &Probe, room: RoomId) -> History {
    let query = HistoryQuery { at: HistoryAt::End, limit: 100 };
    probe.session.history(room, query).await.expect("a page")
}

/// The texts of a room, each with the name of whoever wrote it.
async fn said(probe: &Probe, room: RoomId) -> Vec<String> {
    let messages = history(probe, room).await.messages;
    messages.iter().map(|one| format!("{}: {}", one.from.name, one.text())).collect()
}

/// The members of a room, each with its role.
async fn members(probe: &Probe, room: RoomId) -> Vec<String> {
    let query = MemberQuery { after: None, limit: 100, online: false };
    let page = probe.session.members(room, query).await.expect("a page");
    let members = page.members.iter().map(|member| &member.membership);
    members.map(|member| format!("{} {}", member.user.name, member.role.as_str())).collect()
}

/// Why and when somebody's connection ends.
async fn ends(mut probe: Probe) -> CloseReason {
    let end = async {
        let mut reason = None;
        while let Some(event) = probe.inbox.next().await {
            if let Event::Closing { reason: why, .. } = &*event {
                reason = Some(*why);
            }
        }
        reason
    };
    timeout(PATIENCE, end).await.expect("it ends").expect("and says why")
}

/// A room of Ann's with Bob in it.
async fn scene() -> (Bench, RoomId, Probe, Probe) {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    (bench, room, ann, bob)
}

#[tokio::test]
async fn a_new_name_is_seen_everywhere_at_once() {
    let (bench, room, mut ann, mut bob) = scene().await;
    let (elsewhere, mut cyd) = bench.room("Cyd").await;
    let elder = bob.session.user().clone();
    bob.session.send(room, draft("before")).await.expect("sent");
    let bobby = called(&elder, "Bobby");
    bench.engine.rename(&bobby).await.expect("renamed");
    assert_eq!(renamed(&mut ann).await, (Some(room), bobby.clone()));
    // From its session and from its room, in any order.
    let told = [renamed(&mut bob).await, renamed(&mut bob).await];
    for place in [None, Some(room)] {
        assert!(told.contains(&(place, bobby.clone())), "{told:?}");
    }
    // What was written before, what is written from now on, and the list of members.
    bob.session.send(room, draft("after")).await.expect("sent");
    assert_eq!(said(&ann, room).await, ["Bobby: before", "Bobby: after"]);
    assert_eq!(members(&ann, room).await, ["Ann owner", "Bobby member"]);
    // A room that it enters later, by the session that began under the old name.
    bob.session.join(elsewhere, After::Nothing).await.expect("in it");
    let joined = cyd.find(|event| match event {
        Event::Change { change, .. } => Some(change.kind.membership().user.name.to_string()),
        _ => None,
    });
    assert_eq!(joined.await, "Bobby");
    assert!(
        !cyd.waiting().iter().any(|event| matches!(&**event, Event::Renamed { .. })),
        "where it was no member"
    );
    // Whoever comes back under the old name does not take it back.
    bench.engine.room(room).send(&elder, draft("old token")).await.expect("sent");
    let last = said(&ann, room).await.pop();
    assert_eq!(last.as_deref(), Some("Bobby: old token"));
}

#[tokio::test]
async fn what_is_being_written_is_shown_under_the_new_name() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    faults.hold_commits(true);
    bob.session
        .submit(1, Command::Room(room, RoomCommand::Send(draft("under way"))))
        .expect("taken");
    until("it is under way", async || faults.held_commits() == 1).await;
    let bobby = called(bob.session.user(), "Bobby");
    bench.engine.rename(&bobby).await.expect("renamed");
    assert_eq!(renamed(&mut ann).await.1, bobby);
    faults.hold_commits(false);
    let from = ann.find(|event| match event {
        Event::Message { message, .. } => Some(message.from.clone()),
        _ => None,
    });
    assert_eq!(from.await, bobby);
}

#[tokio::test]
async fn whoever_is_renamed_while_it_joins_has_joined_under_the_new_name() {
    // Its joining is being written, or waits until its invitation has been.
    for invited in [false, true] {
        let (bench, faults) = faulty();
        let (room, ann) = bench.room("Ann").await;
        let bob = bench.connect("Bob");
        faults.hold_commits(true);
        if invited {
            let invite = RoomCommand::Invite(bob.session.user().clone());
            ann.session.submit(1, Command::Room(room, invite)).expect("taken");
            until("he is being invited", async || faults.held_commits() == 1).await;
        }
        let join = RoomCommand::Join { after: After::Nothing, limit: 10 };
        bob.session.submit(1, Command::Room(room, join)).expect("taken");
        bob.session.ask(Command::Ping).await.expect("it is with the room");
        until("something is being written", async || faults.held_commits() == 1).await;
        let bobby = called(bob.session.user(), "Bobby");
        bench.engine.rename(&bobby).await.expect("renamed");
        faults.hold_commits(false);
        until("it is in the room", async || members(&ann, room).await.len() == 2).await;
        assert_eq!(members(&ann, room).await, ["Ann owner", "Bobby member"]);
    }
}

#[tokio::test]
async fn whoever_goes_for_good_leaves_no_membership_and_keeps_its_direct_rooms() {
    let (bench, room, ann, mut bob) = scene().await;
    let mo = bench.joined("Mo", room).await;
    let up = Moderation::Role { user: mo.session.user().id, role: Role::Moderator };
    ann.session.moderate(room, up).await.expect("a moderator");
    let (alone, direct) = (NewRoom::open("alone"), NewRoom::direct(bob.session.user().clone()));
    let alone = ann.session.open(alone.expect("a title")).await.expect("a room").info.id;
    let direct = ann.session.open(direct).await.expect("a room").info.id;
    bob.session.join(direct, After::Nothing).await.expect("in it");
    ann.session.send(room, draft("farewell")).await.expect("sent");
    let (phone, user) = (bench.connect_as(ann.session.user().clone()), ann.session.user().clone());
    bob.waiting();
    bench.engine.forget(&gone(&user), false).await.expect("forgotten");
    assert_eq!(ends(ann).await, CloseReason::Deleted);
    assert_eq!(ends(phone).await, CloseReason::Deleted);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.push(
            bob.find(|event| match event {
                Event::Change { change, .. } => Some(change.kind.clone()),
                _ => None,
            })
            .await,
        );
    }
    let [ChangeKind::Transferred(heir), ChangeKind::Left(left)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((&heir.user, heir.role), (mo.session.user(), Role::Owner));
    assert_eq!((left.user.id, &*left.user.name), (user.id, "deleted user"));
    assert_eq!(members(&bob, room).await, ["Bob member", "Mo owner"]);
    assert_eq!(said(&bob, room).await, ["deleted user: farewell"]);
    assert_eq!(members(&bob, direct).await, ["deleted user member", "Bob member"]);
    let counts = bench.engine.room(alone).view(bob.session.user()).await.expect("open").counts;
    assert_eq!(counts.members, 0);
    // Once more, it changes nothing.
    let before = history(&bob, room).await.messages.len();
    bench.engine.forget(&gone(&user), false).await.expect("forgotten already");
    assert_eq!(history(&bob, room).await.messages.len(), before);
    assert!(
        !bob.waiting().iter().any(|event| matches!(&**event, Event::Change { .. })),
        "nothing more has changed"
    );
}

#[tokio::test]
async fn without_a_moderator_the_room_is_the_first_members() {
    let (bench, room, ann, bob) = scene().await;
    let _cyd = bench.joined("Cyd", room).await;
    let user = ann.session.user().clone();
    bench.engine.forget(&gone(&user), false).await.expect("forgotten");
    assert_eq!(members(&bob, room).await, ["Bob owner", "Cyd member"]);
}

#[tokio::test]
async fn what_somebody_has_written_is_deleted_everywhere() {
    let store = MemoryStore::default();
    let bench = support::engine_with(store.clone(), Limits::default());
    let (room, mut ann) = bench.room("Ann").await;
    let (left, bob) =
        (bench.engine.open_room(ann.session.user(), NewRoom::open("left").unwrap()), {
            bench.joined("Bob", room).await
        });
    let left = left.await.expect("a room").id();
    ann.session.join(left, After::Nothing).await.expect("in it");
    bob.session.join(left, After::Nothing).await.expect("in it");
    for room in [room, left] {
        ann.session.send(room, draft("hers")).await.expect("sent");
        bob.session.send(room, keyed("his", "k")).await.expect("sent");
    }
    bob.session.leave(left).await.expect("out of it");
    let joined = bench.joined("Cyd", room).await;
    let before = joined.session.join(room, After::Nothing).await.expect("again").cursor;
    ann.waiting();
    let user = bob.session.user().clone();
    bench.engine.forget(&gone(&user), true).await.expect("forgotten");
    for _ in 0..2 {
        let erased = ann.find(|event| match event {
            Event::Change { change, .. } => match &change.kind {
                ChangeKind::Erased(author) => Some(author.user.id),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(erased.await, user.id);
    }
    for room in [room, left] {
        assert_eq!(said(&ann, room).await, ["Ann: hers", "deleted user: "]);
    }
    // Whoever comes back is told, among what it missed.
    let missed = joined.session.join(room, After::Cursor(before)).await.expect("back").changes;
    let missed: Vec<_> = missed.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(missed, ["left", "erased"]);
    // And it is nowhere else either.
    bench.engine.stop().await;
    let bench = support::engine_with(store, Limits::default());
    let again = bench.connect_as(ann.session.user().clone());
    assert_eq!(said(&again, left).await, ["Ann: hers", "deleted user: "]);
}

#[tokio::test]
async fn what_was_on_its_way_is_deleted_too() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let user = bob.session.user().clone();
    faults.hold_commits(true);
    let send = RoomCommand::Send(draft("last words"));
    bob.session.submit(1, Command::Room(room, send)).expect("taken");
    until("it is under way", async || faults.held_commits() == 1).await;
    let (engine, farewell) = (bench.engine.clone(), gone(&user));
    let forget = tokio::spawn(async move { engine.forget(&farewell, true).await });
    until("its session has ended", async || bench.engine.presence(user.id) == Presence::Offline)
        .await;
    faults.hold_commits(false);
    forget.await.expect("done").expect("forgotten");
    assert_eq!(said(&ann, room).await, ["deleted user: "]);
}

#[tokio::test]
async fn where_it_is_just_joining_it_is_forgotten_too() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.connect("Bob");
    let user = bob.session.user().clone();
    faults.hold_commits(true);
    bob.session.submit(1, Command::Room(room, RoomCommand::join(After::Nothing))).expect("taken");
    until("it is under way", async || faults.held_commits() == 1).await;
    let (engine, farewell) = (bench.engine.clone(), gone(&user));
    let forget = tokio::spawn(async move { engine.forget(&farewell, false).await });
    // The room is asked, is busy with the joining, and is asked again.
    let again = Duration::from_millis(100);
    until("it is waited for", async || bench.clock.sleepers(again) == 1).await;
    faults.hold_commits(false);
    until("he has joined", async || members(&ann, room).await.len() == 2).await;
    bench.clock.advance(again);
    forget.await.expect("done").expect("forgotten");
    assert_eq!(members(&ann, room).await, ["Ann owner"]);
    let names = history(&ann, room).await;
    assert!(names.messages.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_is_asked_again() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    bob.session.send(room, draft("his")).await.expect("sent");
    let user = gone(bob.session.user());
    faults.fail_all(true);
    let error = bench.engine.rename(&user).await.expect_err("no store");
    assert_eq!(error.code(), Code::Unavailable);
    let error = bench.engine.forget(&user, true).await.expect_err("no store");
    assert_eq!(error.code(), Code::Unavailable);
    faults.fail_all(false);
    faults.fail_commits(1);
    let error = bench.engine.forget(&user, true).await.expect_err("a commit failed");
    assert_eq!(error.code(), Code::Unavailable);
    bench.engine.forget(&user, true).await.expect("forgotten");
    assert_eq!(members(&ann, room).await, ["Ann owner"]);
    assert_eq!(said(&ann, room).await, ["deleted user: "]);
    // Of a user whom nobody has ever seen, there is nothing to forget.
    bench.engine.forget(&user_of_nobody(), true).await.expect("nothing to do");
}

fn user_of_nobody() -> User {
    user("nobody")
}

#[tokio::test]
async fn who_comes_and_goes_is_seen() {
    let bench = engine();
    let unseen = bench.connect("Zoe");
    let mut watch = bench.engine.watch_presence();
    let phone = bench.connect("Ann");
    let id = phone.session.user().id;
    let seen = async |watch: &mut PresenceWatch| {
        let changed = timeout(PATIENCE, watch.changed()).await.expect("a change");
        let mut changed: Vec<UserId> = changed.into_iter().collect();
        assert_eq!(changed.len(), 1);
        let user = changed.remove(0);
        (user, bench.engine.presence(user))
    };
    assert_eq!(seen(&mut watch).await, (id, Presence::Online));
    phone.session.presence(Presence::Away).await.expect("noted");
    assert_eq!(seen(&mut watch).await, (id, Presence::Away));
    // A second device is nothing new, unless somebody is at its keyboard.
    let laptop = bench.connect_as(phone.session.user().clone());
    assert_eq!(seen(&mut watch).await, (id, Presence::Online));
    drop(phone);
    until("the phone is gone", async || bench.engine.stats().sessions == 2).await;
    drop(unseen);
    let zoe = seen(&mut watch).await;
    assert_eq!(zoe.1, Presence::Offline);
    assert_ne!(zoe.0, id, "who has another device is there still");
    drop(laptop);
    assert_eq!(seen(&mut watch).await, (id, Presence::Offline));
}

#[tokio::test]
async fn a_notice_reaches_all_sessions_of_its_user() {
    let bench = engine();
    let (mut phone, mut other) = (bench.connect("Ann"), bench.connect("Bob"));
    let mut laptop = bench.connect_as(phone.session.user().clone());
    bench.engine.notify(phone.session.user().id, Notice::new("your order is on its way"));
    for probe in [&mut phone, &mut laptop] {
        let text = probe.find(|event| match event {
            Event::Notice(notice) => notice.get::<&str>().copied(),
            _ => None,
        });
        assert_eq!(text.await, "your order is on its way");
    }
    other.session.ask(Command::Ping).await.expect("answered");
    assert!(other.waiting().is_empty());
}

/// Lets nobody be seen who is on the list, by whoever it says.
#[derive(Clone, Default)]
struct Discretion(Arc<Mutex<HashSet<(UserId, UserId)>>>);

#[async_trait]
impl Policy for Discretion {
    async fn may(&self, _: &User, _: &Command) -> chat_core::Result<()> {
        Ok(())
    }

    async fn shows_presence(&self, user: UserId, to: UserId) -> bool {
        !self.0.lock().expect("a list").contains(&(user, to))
    }
}

/// How everybody is seen in a room, by the one who asks.
async fn seen(probe: &Probe, room: RoomId) -> Vec<String> {
    let query = MemberQuery { after: None, limit: 9, online: false };
    let page = probe.session.members(room, query).await.expect("a page");
    let one = |member: &chat_core::MemberView| {
        format!("{} {} {}", member.membership.user.name, member.presence.as_str(), member.devices)
    };
    page.members.iter().map(one).chain([page.counts.online.to_string()]).collect()
}

/// Ann's direct room with Bob, who does not show her whether he is there.
struct Hidden {
    engine: Engine,
    room: RoomId,
    ann: Probe,
    bob: Probe,
}

impl Hidden {
    async fn new() -> Self {
        let (policy, store) = (Discretion::default(), MemoryStore::default());
        let engine = Engine::builder().policy(policy.clone()).store(store).threads(2);
        let engine = engine.start().expect("an engine");
        let ann = Probe::connect(&engine, user("Ann")).expect("a session");
        let bob = Probe::connect(&engine, user("Bob")).expect("a session");
        let (her, his) = (ann.session.user().id, bob.session.user().clone());
        policy.0.lock().expect("a list").insert((his.id, her));
        let room = ann.session.open(NewRoom::direct(his)).await.expect("a room").info.id;
        Self { engine, room, ann, bob }
    }
}

#[tokio::test]
async fn who_is_not_to_be_seen_is_not_for_a_moment_in_a_thread_either() {
    let Hidden { engine, room, mut ann, bob } = Hidden::new().await;
    let his = bob.session.user().id;
    for probe in [&ann, &bob] {
        probe.session.join(room, After::Nothing).await.expect("in it");
    }
    ann.session.send(room, draft("one")).await.expect("sent");
    let thread = ann.session.open_thread(room, 1).await.expect("a thread").info.id;
    ann.session.join(thread, After::Nothing).await.expect("in it");
    for _ in 0..2 {
        bob.session.join(thread, After::Nothing).await.expect("in it");
        bob.session.send(thread, draft("two")).await.expect("sent");
        loop {
            match &*ann.event().await {
                Event::Presence { room, user, .. } => {
                    assert!(*room != thread || user.id != his, "she is told of him");
                }
                Event::Change { room, counts, .. } if *room == thread => {
                    assert_eq!(counts.online, 1);
                }
                Event::Message { room, .. } if *room == thread => break,
                _ => {}
            }
        }
        bob.session.leave(thread).await.expect("left");
    }
    engine.stop().await;
}

#[tokio::test]
async fn who_is_not_to_be_seen_is_offline_in_the_direct_room() {
    let Hidden { engine, room, mut ann, bob } = Hidden::new().await;
    let (her, his) = (ann.session.user().clone(), bob.session.user().clone());
    let other = ann.session.open(NewRoom::open("open").expect("a title")).await;
    let other = other.expect("a room").info.id;
    for probe in [&ann, &bob] {
        for room in [room, other] {
            probe.session.join(room, After::Nothing).await.expect("in it");
        }
    }
    let away = Presence::Away;
    bob.session.presence(away).await.expect("noted");
    until("he is seen elsewhere", async || {
        seen(&ann, other).await == ["Ann online 1", "Bob away 1", "2"]
    })
    .await;
    assert_eq!(seen(&ann, room).await, ["Ann online 1", "Bob offline 0", "1"]);
    let joined = ann.session.join(room, After::Nothing).await.expect("again");
    assert_eq!((joined.first.len(), joined.room.counts.online), (1, 1));
    let again = engine.room(room).view(&her).await.expect("hers");
    assert_eq!(again.counts.online, 1);
    bob.session.send(room, draft("hello")).await.expect("sent");
    let mut presence = Vec::new();
    loop {
        match &*ann.event().await {
            Event::Presence { room: of, user, .. } if *of == room && user.id == his.id => {
                presence.push(user.id);
            }
            Event::Message { .. } => break,
            _ => {}
        }
    }
    assert_eq!(presence, [], "nothing of it was told");
    // Changed while the room is loaded; it is told as if he had just come, and gone.
    let told = async |ann: &mut Probe| {
        ann.find(|event| match event {
            Event::Presence { room: of, user, presence, devices, online }
                if *of == room && user.id == his.id =>
            {
                Some((*presence, *devices, *online))
            }
            _ => None,
        })
        .await
    };
    engine.show_presence(&his, her.id, true).await.expect("told");
    assert_eq!(told(&mut ann).await, (away, 1, 2));
    assert_eq!(seen(&ann, room).await, ["Ann online 1", "Bob away 1", "2"]);
    engine.show_presence(&his, her.id, false).await.expect("told");
    assert_eq!(told(&mut ann).await, (Presence::Offline, 0, 1));
    // Not by anybody who is not the other one, nor in a room of another kind.
    engine.show_presence(&his, UserId::new(), true).await.expect("told nobody");
    assert_eq!(seen(&ann, other).await, ["Ann online 1", "Bob away 1", "2"]);
    assert_eq!(seen(&ann, room).await, ["Ann online 1", "Bob offline 0", "1"]);
    // His going is nothing new.
    drop(bob);
    until("he has gone", async || engine.presence(his.id) == Presence::Offline).await;
    until("the open room has noticed", async || {
        seen(&ann, other).await == ["Ann online 1", "Bob offline 0", "1"]
    })
    .await;
    ann.session.send(room, draft("anybody?")).await.expect("sent");
    loop {
        match &*ann.event().await {
            Event::Presence { room: of, .. } => assert_ne!(*of, room),
            Event::Message { message, .. } if message.from.id == her.id => break,
            _ => {}
        }
    }
}
