//! What holds members of a room back: mutes, slow mode, a room that is read only, and who may invite.

mod moderation_scene;
mod support;

use std::time::Duration;

use chat_core::{
    After, Code, Event, Limits, MemberQuery, MemoryStore, Moderation, Mute, Settings,
    SettingsChange, WhoInvites,
};
use moderation_scene::{HOUR, Scene, change, code, id, open, private};
use support::{draft, engine, engine_with, faulty, keyed, until, user};

#[tokio::test]
async fn a_mute_stops_writing_and_typing_and_outlasts_leaving() {
    let mut scene = Scene::new().await;
    let room = scene.room;
    scene.bob.session.typing(room, true).await.expect("typing");
    let mute = Moderation::Mute { user: id(&scene.bob), until: Some(scene.later()) };
    scene.mo.session.moderate(room, mute).await.expect("muted");
    let typing = scene.ann.find(|event| match event {
        Event::Typing { on, .. } => Some(*on),
        _ => None,
    });
    assert!(typing.await);
    let stopped = scene.ann.find(|event| match event {
        Event::Typing { on, .. } => Some(*on),
        _ => None,
    });
    assert!(!stopped.await, "and is seen writing no more");
    assert_eq!(change(&mut scene.bob, "muted").await.kind.until(), Some(scene.later()));
    assert_eq!(scene.refused(&scene.bob).await, Code::Muted);
    assert_eq!(code(scene.bob.session.typing(room, true).await), Some(Code::Muted));
    scene.bob.session.typing(room, false).await.expect("that may be said");
    let second = scene.bench.connect_as(scene.bob.session.user().clone());
    assert_eq!(scene.refused(&second).await, Code::Muted);
    scene.bob.session.leave(room).await.expect("left");
    let back = scene.bob.session.join(room, After::Nothing).await.expect("back");
    let mute = Mute { until: Some(scene.later()) };
    assert_eq!(back.mute, Some(mute));
    assert_eq!(scene.refused(&scene.bob).await, Code::Muted);
    let query = MemberQuery { after: None, limit: 9, online: false };
    let mutes = async || {
        let page = scene.ann.session.members(room, query).await.expect("a page");
        page.members.iter().filter_map(|member| member.mute).collect::<Vec<_>>()
    };
    assert_eq!(mutes().await, [mute]);
    scene.bench.clock.advance(HOUR);
    assert_eq!(mutes().await, []);
    scene.bob.session.send(room, draft("free")).await.expect("sent");
    // Without an end, until it is lifted.
    let mute = Moderation::Mute { user: id(&scene.bob), until: None };
    scene.ann.session.moderate(room, mute).await.expect("muted");
    assert_eq!(scene.refused(&scene.bob).await, Code::Muted);
    scene
        .mo
        .session
        .moderate(room, Moderation::Unmute { user: id(&scene.bob) })
        .await
        .expect("lifted");
    scene.bob.session.send(room, draft("free")).await.expect("sent");
    // A moderator is muted by the owner, and lifts it neither itself nor through another one.
    let mute = Moderation::Mute { user: id(&scene.mo), until: None };
    scene.ann.session.moderate(room, mute).await.expect("muted");
    assert_eq!(scene.refused(&scene.mo).await, Code::Muted);
    let lift = Moderation::Unmute { user: id(&scene.mo) };
    assert_eq!(code(scene.mo.session.moderate(room, lift).await), Some(Code::Forbidden));
    // Whoever is the owner is nobody's to mute.
    let transfer = Moderation::Transfer { user: id(&scene.mo) };
    scene.ann.session.moderate(room, transfer).await.expect("transferred");
    scene.mo.session.send(room, draft("mine")).await.expect("sent");
}

#[tokio::test]
async fn slow_mode_holds_members_back() {
    let store = MemoryStore::default();
    let scene = Scene::of(engine_with(store.clone(), Limits::default()), open()).await;
    let (room, slow) = (scene.room, Duration::from_secs(10));
    scene.bob.session.send(room, draft("before")).await.expect("sent");
    scene.set(SettingsChange { slow_s: Some(10), ..SettingsChange::default() }).await;
    let refused = scene.bob.session.send(room, draft("hi")).await.expect_err("too soon");
    assert_eq!((refused.code(), refused.code().retry()), (Code::SlowMode, true));
    assert_eq!(refused.measure().map(|measure| (measure.limit, measure.actual)), Some((10, 0)));
    scene.bob.session.typing(room, true).await.expect("typing");
    scene.bench.clock.advance(slow);
    let first = scene.bob.session.send(room, keyed("hi", "k")).await.expect("sent");
    scene.bench.clock.advance(Duration::from_millis(3_999));
    let refused = scene.bob.session.send(room, draft("again")).await.expect_err("too soon");
    assert_eq!(refused.measure().map(|measure| measure.actual), Some(3));
    assert!(refused.message().contains("7 s"), "{refused}");
    // Sent again, a message is the same one, and its sender waits no longer for it.
    let again = scene.bob.session.send(room, keyed("hi", "k")).await.expect("was sent");
    assert_eq!(again, first);
    for probe in [&scene.ann, &scene.mo] {
        for _ in 0..3 {
            probe.session.send(room, draft("order!")).await.expect("is not held back");
        }
    }
    // A restart forgets it as little as a leaving.
    scene.bob.session.leave(room).await.expect("left");
    scene.bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(scene.refused(&scene.bob).await, Code::SlowMode);
    let Scene { bench, bob, .. } = scene;
    bench.engine.stop().await;
    let started = engine_with(store, Limits::default());
    let back = started.connect_as(bob.session.user().clone());
    let refused = back.session.send(room, draft("again")).await;
    assert_eq!(code(refused), Some(Code::SlowMode));
    // Its clock begins where the other one began.
    started.clock.advance(3 * slow);
    back.session.send(room, draft("again")).await.expect("sent");
}

#[tokio::test]
async fn a_message_that_was_not_stored_is_not_waited_for() {
    let (bench, faults) = faulty();
    let scene = Scene::of(bench, open()).await;
    scene.set(SettingsChange { slow_s: Some(10), ..SettingsChange::default() }).await;
    faults.fail_commits(1);
    assert_eq!(scene.refused(&scene.bob).await, Code::Unavailable);
    until("the room is sure again", async || {
        scene.bob.session.send(scene.room, draft("hi")).await.is_ok()
    })
    .await;
    assert_eq!(scene.refused(&scene.bob).await, Code::SlowMode);
}

#[tokio::test]
async fn in_a_read_only_room_moderators_write() {
    let mut scene = Scene::new().await;
    let room = scene.room;
    scene.set(SettingsChange { read_only: Some(true), ..SettingsChange::default() }).await;
    let told = change(&mut scene.bob, "settings").await;
    let settings = Settings { read_only: true, ..Settings::default() };
    assert_eq!(told.kind.settings(), Some(settings));
    assert_eq!(scene.refused(&scene.bob).await, Code::ReadOnly);
    assert_eq!(code(scene.bob.session.typing(room, true).await), Some(Code::ReadOnly));
    for probe in [&scene.ann, &scene.mo] {
        probe.session.send(room, draft("news")).await.expect("sent");
    }
    let joined = scene.bob.session.join(room, After::Nothing).await.expect("in it");
    assert_eq!(joined.settings, settings);
    scene.set(SettingsChange { read_only: Some(false), ..SettingsChange::default() }).await;
    scene.bob.session.send(room, draft("at last")).await.expect("sent");
}

#[tokio::test]
async fn who_may_invite_is_set() {
    let scene = Scene::of(engine(), private()).await;
    let (room, guest) = (scene.room, user("Guest"));
    let invite = Some(WhoInvites::Moderators);
    scene.set(SettingsChange { invite, ..SettingsChange::default() }).await;
    let refused = scene.bob.session.invite(room, guest.clone()).await;
    assert_eq!(code(refused), Some(Code::Forbidden));
    scene.mo.session.invite(room, guest.clone()).await.expect("invited");
    scene.set(SettingsChange { invite: Some(WhoInvites::Members), ..Default::default() }).await;
    scene.bob.session.invite(room, user("Another")).await.expect("invited");
}
