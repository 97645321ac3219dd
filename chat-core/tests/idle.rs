//! A command that changes nothing, because things are so already, takes its key like every other: asked again when it would
//! change something, it changes nothing either.

mod support;

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Code, Command, HistoryAt, HistoryQuery, Limits, Mark, MemoryStore, Moderation, Reply,
    Role, RoomCommand, RoomId, SettingsChange, User,
};
use futures_util::FutureExt;
use support::keys::{ask, changes, edit};
use support::{Bench, draft, engine_with, faulty, until};

/// What changes nothing in a room.
struct Idle {
    commands: Vec<RoomCommand>,
    /// After which it would.
    since: Vec<RoomCommand>,
}

fn mark_of(text: &str, on: bool) -> RoomCommand {
    RoomCommand::Mark { seq: 1, mark: Mark::new(text).expect("a good mark"), on }
}

/// A room of Ann's and a lot that changes nothing there.
async fn idle(bench: &Bench) -> (RoomId, Probe, Idle) {
    let (room, ann) = bench.room("Ann").await;
    let (bob, cyd) = (bench.joined("Bob", room).await, bench.joined("Cyd", room).await);
    let dan = bench.joined("Dan", room).await;
    let [bob, cyd, dan] = [&bob, &cyd, &dan].map(|probe| probe.session.user().clone());
    for text in ["one", "two"] {
        ann.session.send(room, draft(text)).await.expect("sent");
    }
    ann.session.delete(room, 2).await.expect("deleted");
    ann.session.ask(Command::Room(room, mark_of("x", true))).await.expect("marked");
    let moderate = RoomCommand::Moderate;
    let read_only = |on| {
        let change = SettingsChange { slow_s: None, read_only: Some(on), invite: None };
        moderate(Moderation::Configure(change))
    };
    let commands = vec![
        mark_of("x", true),
        mark_of("y", false),
        edit(1, "one"),
        RoomCommand::Delete { seq: 2 },
        RoomCommand::Invite(bob.clone()),
        moderate(Moderation::Role { user: cyd.id, role: Role::Member }),
        moderate(Moderation::Unmute { user: cyd.id }),
        moderate(Moderation::Unban { user: dan.id }),
        read_only(false),
    ];
    let since = vec![
        mark_of("x", false),
        mark_of("y", true),
        edit(1, "otherwise"),
        moderate(Moderation::Kick { user: bob.id }),
        moderate(Moderation::Mute { user: cyd.id, until: None }),
        moderate(Moderation::Role { user: cyd.id, role: Role::Moderator }),
        moderate(Moderation::Ban { user: dan.id, until: None }),
        read_only(true),
    ];
    (room, ann, Idle { commands, since })
}

/// Asks for all of this without keys.
async fn ask_all(bench: &Bench, owner: &User, room: RoomId, commands: &[RoomCommand]) {
    for command in commands {
        // Marks are written now and then.
        bench.clock.advance(Duration::from_secs(1));
        let done = bench.engine.room(room).ask(owner, command.clone()).await;
        assert!(matches!(done, Ok(Reply::Done)), "{command:?}: {done:?}");
    }
}

#[tokio::test]
async fn what_changes_nothing_is_not_done_later_either() {
    let store = MemoryStore::default();
    let first = engine_with(store.clone(), Limits::default());
    let (room, ann, idle) = idle(&first).await;
    let owner = ann.session.user().clone();
    let before = changes(&first.engine, &owner, room).await;
    for (nth, command) in idle.commands.iter().enumerate() {
        let name = format!("k{nth}");
        assert_eq!(ask(&ann.session, room, command.clone(), &name).await, None, "{command:?}");
    }
    assert_eq!(changes(&first.engine, &owner, room).await, before, "nothing has changed");
    ask_all(&first, &owner, room, &idle.since).await;
    first.engine.stop().await;

    let second = engine_with(store, Limits::default());
    let ann = second.connect_as(owner.clone());
    let before = changes(&second.engine, &owner, room).await;
    for (nth, command) in idle.commands.iter().enumerate() {
        let name = format!("k{nth}");
        assert_eq!(ask(&ann.session, room, command.clone(), &name).await, None, "{command:?}");
        let other = &idle.commands[(nth + 1) % idle.commands.len()];
        let conflict = ask(&ann.session, room, other.clone(), &name).await;
        assert_eq!(conflict, Some(Code::KeyConflict), "{other:?}");
    }
    assert_eq!(changes(&second.engine, &owner, room).await, before, "nothing has changed");
    // Without those keys, all of it does something.
    ask_all(&second, &owner, room, &idle.commands).await;
    assert!(changes(&second.engine, &owner, room).await > before);
}

#[tokio::test]
async fn what_changes_nothing_is_answered_when_its_key_is_kept() {
    let (bench, faults) = faulty();
    let (room, ann, _) = idle(&bench).await;
    let owner = ann.session.user().clone();
    let other = bench.connect_as(owner.clone());
    let same = || edit(1, "one");
    // Without a key it costs the store nothing.
    let writes = bench.engine.stats().store.writes;
    ann.session.ask(Command::Room(room, same())).await.expect("so already");
    assert_eq!(bench.engine.stats().store.writes, writes);
    faults.hold_commits(true);
    let asked = futures_util::future::join(
        ask(&ann.session, room, same(), "k"),
        ask(&other.session, room, same(), "k"),
    );
    let let_go = async {
        until("it is written", async || faults.held_commits() == 1).await;
        let third = bench.connect_as(owner.clone());
        let conflict = ask(&third.session, room, edit(1, "two"), "k").await;
        assert_eq!(conflict, Some(Code::KeyConflict), "it is under way");
        faults.hold_commits(false);
    };
    assert_eq!(tokio::join!(asked, let_go).0, (None, None));
    // A key that is not kept is free; one of which nobody knows whether it is, is found.
    faults.fail_commits(1);
    assert_eq!(ask(&ann.session, room, same(), "l").await, Some(Code::Unavailable));
    assert_eq!(ask(&ann.session, room, mark_of("x", true), "l").await, None);
    faults.lose_answers(1);
    assert_eq!(ask(&ann.session, room, same(), "m").await, Some(Code::Unavailable));
    let other = ask(&ann.session, room, RoomCommand::Delete { seq: 7 }, "m").await;
    assert_eq!(other, Some(Code::KeyConflict), "even of what would be refused");
    assert_eq!(ask(&ann.session, room, same(), "m").await, None);
}

/// As if a client came back to another process than the one that it had asked.
#[tokio::test]
async fn what_changed_nothing_at_one_engine_is_not_done_by_another() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, ann, idle) = idle(&one).await;
    let owner = ann.session.user().clone();
    // It has the room in memory before a key is used at the other one.
    let there = two.connect_as(owner.clone());
    there.session.join(room, After::Nothing).await.expect("in it");
    for (nth, command) in idle.commands.iter().enumerate() {
        let name = format!("k{nth}");
        assert_eq!(ask(&ann.session, room, command.clone(), &name).await, None, "{command:?}");
    }
    ask_all(&two, &owner, room, &idle.since).await;
    let before = changes(&two.engine, &owner, room).await;
    for (nth, command) in idle.commands.iter().enumerate() {
        two.clock.advance(Duration::from_secs(1));
        let name = format!("k{nth}");
        assert_eq!(ask(&there.session, room, command.clone(), &name).await, None, "{command:?}");
        let conflict = ask(&there.session, room, edit(1, "no"), &name).await;
        assert_eq!(conflict, Some(Code::KeyConflict), "{command:?}");
    }
    assert_eq!(changes(&two.engine, &owner, room).await, before, "nothing has changed");
}

#[tokio::test]
async fn a_key_used_at_another_engine_keeps_nobody_else_from_marking() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, ann, _) = idle(&one).await;
    let there = two.connect_as(ann.session.user().clone());
    there.session.join(room, After::Nothing).await.expect("in it");
    let eve = two.joined("Eve", room).await;
    assert_eq!(ask(&there.session, room, mark_of("a", true), "a").await, None);
    assert_eq!(ask(&ann.session, room, mark_of("w", false), "used").await, None);
    // The next marks are written together.
    let asked = futures_util::future::join4(
        ask(&there.session, room, mark_of("b", true), "b"),
        ask(&there.session, room, mark_of("w", true), "used"),
        ask(&eve.session, room, mark_of("c", true), "used"),
        ask(&there.session, room, mark_of("a", false), "d"),
    );
    let mut asked = Box::pin(asked);
    let mut answers = None;
    until("they are answered", async || {
        two.clock.advance(Duration::from_millis(100));
        answers = (&mut asked).now_or_never();
        answers.is_some()
    })
    .await;
    assert_eq!(answers, Some((None, Some(Code::KeyConflict), None, None)));
    let read = HistoryQuery { at: HistoryAt::Around(1), limit: 1 };
    let page = there.session.history(room, read).await.expect("a page");
    let marks = page.messages[0].marks.iter().map(|given| (given.mark.to_string(), given.count));
    let expected = ["b", "c", "x"].map(|mark| (mark.to_owned(), 1));
    assert!(marks.eq(expected), "{:?}", page.messages[0].marks);
}
