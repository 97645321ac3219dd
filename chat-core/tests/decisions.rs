//! Decisions of owners and moderators that meet each other, and what they are about, on the way to the store.

mod moderation_scene;
mod support;

use chat_core::testkit::Probe;
use chat_core::{
    After, ChangeKind, Code, Command, Limits, MemoryStore, Moderation, Role, RoomCommand,
    SettingsChange,
};
use moderation_scene::{AT_ONCE, Scene, change, code, heard, id, open};
use support::{draft, engine_with, faulty, until};
use tokio::time::timeout;

/// Attack: a moderator knows that it is about to be demoted.
#[tokio::test]
async fn a_demoted_moderators_next_command_is_refused() {
    let (bench, faults) = faulty();
    let mut scene = Scene::of(bench, open()).await;
    let (room, mo, bob) = (scene.room, id(&scene.mo), id(&scene.bob));
    faults.hold_commits(true);
    let demote = Command::Room(
        room,
        RoomCommand::Moderate(Moderation::Role { user: mo, role: Role::Member }),
    );
    let owner = scene.ann.session.clone();
    let demoting = tokio::spawn(async move { owner.ask(demote).await });
    until("it is being written", async || faults.held_commits() == 1).await;
    // Over its session and without, while its role is being taken.
    let session = scene.mo.session.clone();
    let (handle, user) = (scene.bench.engine.room(room), scene.mo.session.user().clone());
    let kick = Moderation::Kick { user: bob };
    let attacks = [
        tokio::spawn(async move { session.moderate(room, kick).await }),
        tokio::spawn(async move { handle.moderate(&user, kick).await }),
    ];
    scene.arrived(&[]).await;
    faults.hold_commits(false);
    demoting.await.expect("no panic").expect("demoted");
    for attack in attacks {
        assert_eq!(code(attack.await.expect("no panic")), Some(Code::Forbidden));
    }
    assert_eq!(code(scene.mo.session.moderate(room, kick).await), Some(Code::Forbidden));
    assert_eq!(change(&mut scene.mo, "role").await.kind.membership().role, Role::Member);
    scene.bob.session.send(room, draft("I am here")).await.expect("sent");
}

/// Attack: another process has demoted the moderator, and this one has not heard of it.
#[tokio::test]
async fn a_moderator_that_was_demoted_elsewhere_is_refused_here() {
    let store = MemoryStore::default();
    let here = Scene::of(engine_with(store.clone(), Limits::default()), open()).await;
    let there = engine_with(store, Limits::default());
    let room = here.room;
    let owner = here.ann.session.user();
    let demote = Moderation::Role { user: id(&here.mo), role: Role::Member };
    there.engine.room(room).moderate(owner, demote).await.expect("demoted");
    let kick = Moderation::Kick { user: id(&here.bob) };
    assert_eq!(code(here.mo.session.moderate(room, kick).await), Some(Code::Forbidden));
    // So is whoever was muted, kicked or banned there, and what the settings forbid.
    let mute = Moderation::Mute { user: id(&here.bob), until: None };
    there.engine.room(room).moderate(owner, mute).await.expect("muted");
    // His own message is what this process hears of it by.
    assert_eq!(here.refused(&here.bob).await, Code::Muted);
    let ban = Moderation::Ban { user: id(&here.mo), until: None };
    there.engine.room(room).moderate(owner, ban).await.expect("banned");
    assert_eq!(here.refused(&here.mo).await, Code::Banned);
    assert_eq!(code(here.mo.session.join(room, After::Nothing).await), Some(Code::Banned));
    let cyd = here.bench.connect("Cyd");
    let ban = Moderation::Ban { user: id(&here.bob), until: None };
    there.engine.room(room).moderate(owner, ban).await.expect("banned");
    cyd.session.join(room, After::Nothing).await.expect("in it");
    let invited = here.ann.session.invite(room, here.bob.session.user().clone()).await;
    assert_eq!(code(invited), Some(Code::Banned));
}

/// Attack: whoever is being banned comes back before that is written, and has sent a lot before.
#[tokio::test]
async fn nothing_gets_past_a_ban_that_is_being_written() {
    let (bench, faults) = faulty();
    let mut scene = Scene::of(bench, open()).await;
    let (room, bob) = (scene.room, id(&scene.bob));
    let second = scene.bench.connect_as(scene.bob.session.user().clone());
    faults.hold_commits(true);
    let hold = scene.ann.session.clone();
    let first = tokio::spawn(async move { hold.send(room, draft("first")).await });
    until("a commit is under way", async || faults.held_commits() == 1).await;
    let spam = (0..3).map(|n| {
        let session = scene.bob.session.clone();
        tokio::spawn(async move { session.send(room, draft(&format!("spam {n}"))).await })
    });
    let spam: Vec<_> = spam.collect();
    until("it waits", async || scene.bench.engine.stats().waiting_writes == 4).await;
    let moderator = scene.mo.session.clone();
    let ban = Moderation::Ban { user: bob, until: None };
    let banning = tokio::spawn(async move { moderator.moderate(room, ban).await });
    // What waited is refused at once.
    for sent in spam {
        let answer = timeout(AT_ONCE, sent).await.expect("while the store is busy with another");
        assert_eq!(code(answer.expect("no panic")), Some(Code::Banned));
    }
    let late = [
        (scene.bob.session.clone(), RoomCommand::Send(draft("late"))),
        (scene.bob.session.clone(), RoomCommand::Leave),
        (second.session.clone(), RoomCommand::join(After::Nothing)),
        (second.session.clone(), RoomCommand::Typing(true)),
        (scene.ann.session.clone(), RoomCommand::Invite(scene.bob.session.user().clone())),
    ];
    let late = late.map(|(session, command)| {
        tokio::spawn(async move { session.ask(Command::Room(room, command)).await })
    });
    scene.arrived(&[&second]).await;
    faults.hold_commits(false);
    first.await.expect("no panic").expect("sent");
    banning.await.expect("no panic").expect("banned");
    for answer in late {
        assert_eq!(code(answer.await.expect("no panic")), Some(Code::Banned));
    }
    change(&mut scene.bob, "banned").await;
    assert!(heard(&scene.bench, &mut scene.bob, room).await.is_empty());
    let ours = heard(&scene.bench, &mut scene.ann, room).await;
    assert_eq!(ours, ["first", "banned"]);
}

/// Two act upon the same member at once: the second one finds what the first one has made of it.
#[tokio::test]
async fn acts_upon_the_same_member_take_their_turns() {
    let (bench, faults) = faulty();
    let mut scene = Scene::of(bench, open()).await;
    let (room, bob) = (scene.room, id(&scene.bob));
    faults.hold_commits(true);
    let act = |by: &Probe, act| {
        let session = by.session.clone();
        tokio::spawn(async move { session.moderate(room, act).await })
    };
    let first = act(&scene.ann, Moderation::Kick { user: bob });
    until("he is being kicked", async || faults.held_commits() == 1).await;
    let second = act(&scene.mo, Moderation::Kick { user: bob });
    scene.arrived(&[]).await;
    let third = act(&scene.ann, Moderation::Role { user: bob, role: Role::Moderator });
    scene.arrived(&[]).await;
    faults.hold_commits(false);
    first.await.expect("no panic").expect("kicked");
    for late in [second, third] {
        assert_eq!(code(late.await.expect("no panic")), Some(Code::NoSuchMember));
    }
    assert_eq!(heard(&scene.bench, &mut scene.ann, room).await, ["kicked"]);
    // An owner that is just handing the room over is not the owner any more.
    faults.hold_commits(true);
    let transfer = act(&scene.ann, Moderation::Transfer { user: id(&scene.mo) });
    until("it is being transferred", async || faults.held_commits() == 1).await;
    let late = act(
        &scene.ann,
        Moderation::Configure(SettingsChange {
            read_only: Some(true),
            ..SettingsChange::default()
        }),
    );
    scene.arrived(&[]).await;
    faults.hold_commits(false);
    transfer.await.expect("no panic").expect("transferred");
    assert_eq!(code(late.await.expect("no panic")), Some(Code::Forbidden));
}

/// Attack: a message crosses the settings that forbid it.
#[tokio::test]
async fn no_message_stands_behind_the_settings_that_forbid_it() {
    let (bench, faults) = faulty();
    let mut scene = Scene::of(bench, open()).await;
    let room = scene.room;
    faults.hold_commits(true);
    let owner = scene.ann.session.clone();
    let change = SettingsChange { read_only: Some(true), ..SettingsChange::default() };
    let setting =
        tokio::spawn(async move { owner.moderate(room, Moderation::Configure(change)).await });
    until("it is being written", async || faults.held_commits() == 1).await;
    let refused = timeout(AT_ONCE, scene.refused(&scene.bob)).await;
    assert_eq!(refused.expect("it is refused before it is written"), Code::ReadOnly);
    faults.hold_commits(false);
    setting.await.expect("no panic").expect("set");
    assert_eq!(heard(&scene.bench, &mut scene.mo, room).await, ["settings"]);
    // One that fails forbids nothing.
    faults.fail_commits(1);
    let change = SettingsChange { read_only: Some(false), ..SettingsChange::default() };
    let set = scene.ann.session.moderate(room, Moderation::Configure(change)).await;
    assert_eq!(code(set), Some(Code::Unavailable));
    assert_eq!(scene.refused(&scene.bob).await, Code::ReadOnly);
}

#[tokio::test]
async fn in_a_big_room_decisions_are_told_at_once() {
    let limits = Limits { big_room: 2, ..Limits::default() };
    let scene = {
        let bench = engine_with(MemoryStore::default(), limits);
        let (room, ann) = bench.room("Ann").await;
        let (mo, bob) = (bench.joined("Mo", room).await, bench.joined("Bob", room).await);
        Scene { bench, room, ann, mo, bob }
    };
    let Scene { room, ann, mut mo, mut bob, bench } = scene;
    let up = Moderation::Role { user: id(&mo), role: Role::Moderator };
    ann.session.moderate(room, up).await.expect("a moderator");
    for probe in [&mut mo, &mut bob] {
        assert_eq!(change(probe, "role").await.kind.membership().role, Role::Moderator);
    }
    mo.session.moderate(room, Moderation::Kick { user: id(&bob) }).await.expect("kicked");
    for probe in [&mut mo, &mut bob] {
        let told = change(probe, "kicked").await;
        assert!(matches!(told.kind, ChangeKind::Kicked(_)));
    }
    assert!(heard(&bench, &mut bob, room).await.is_empty());
}
