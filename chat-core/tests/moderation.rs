//! Roles and moderation: who may do what to whom, and that it reaches everybody at once.

mod moderation_scene;
mod support;

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, BanQuery, Clock, Code, Cursor, Event, HistoryAt, HistoryQuery, Limits, MemoryStore,
    Moderation, NewRoom, Role, RoomId, Settings, SettingsChange, User, UserId, WhoInvites,
};
use moderation_scene::{HOUR, Scene, change, code, heard, id, open, private};
use support::{Bench, draft, engine, engine_with, user};

/// Every role does everything to everybody.
#[tokio::test]
async fn every_role_against_every_other() {
    let roles = ["owner", "moderator", "member", "stranger"];
    let acts: [fn(UserId) -> Moderation; 8] = [
        |user| Moderation::Role { user, role: Role::Moderator },
        |user| Moderation::Role { user, role: Role::Member },
        |user| Moderation::Transfer { user },
        |user| Moderation::Kick { user },
        |user| Moderation::Ban { user, until: None },
        |user| Moderation::Unban { user },
        |user| Moderation::Mute { user, until: None },
        |user| Moderation::Unmute { user },
    ];
    for act in acts {
        for by in roles {
            for to in roles {
                let scene = Scene::new().await;
                let (second_mo, cyd) =
                    (scene.bench.connect("Second Mo"), scene.bench.connect("Cyd"));
                second_mo.session.join(scene.room, After::Nothing).await.expect("in it");
                cyd.session.join(scene.room, After::Nothing).await.expect("in it");
                let up = Moderation::Role { user: id(&second_mo), role: Role::Moderator };
                scene.ann.session.moderate(scene.room, up).await.expect("a moderator");
                // Known to the room, and not a member.
                let (dan, eve) = (scene.bench.connect("Dan"), scene.bench.connect("Eve"));
                for guest in [&dan, &eve] {
                    guest.session.join(scene.room, After::Nothing).await.expect("in it");
                    guest.session.leave(scene.room).await.expect("out of it");
                }
                let who = |role, [moderator, member, stranger]: [&Probe; 3]| match role {
                    "owner" => id(&scene.ann),
                    "moderator" => id(moderator),
                    "member" => id(member),
                    _ => id(stranger),
                };
                let acting = match by {
                    "owner" => &scene.ann,
                    "moderator" => &scene.mo,
                    "member" => &scene.bob,
                    _ => &eve,
                };
                let target = who(to, [&second_mo, &cyd, &dan]);
                let act = act(target);
                let answer = code(acting.session.moderate(scene.room, act).await);
                let below = match by {
                    "owner" => to != "owner",
                    _ => to == "member" || to == "stranger",
                };
                let owners = matches!(act, Moderation::Role { .. } | Moderation::Transfer { .. });
                let of_members = !matches!(
                    act,
                    Moderation::Ban { .. } | Moderation::Unban { .. } | Moderation::Unmute { .. }
                );
                let anybody = matches!(act, Moderation::Unban { .. } | Moderation::Transfer { .. });
                let expected = match by {
                    "stranger" => Some(Code::NotAMember),
                    "member" => Some(Code::Forbidden),
                    "moderator" if owners => Some(Code::Forbidden),
                    _ if !below && !anybody => Some(Code::Forbidden),
                    _ if of_members && to == "stranger" => Some(Code::NoSuchMember),
                    _ => None,
                };
                assert_eq!(answer, expected, "{by} {act:?} {to}");
            }
        }
    }
}

#[tokio::test]
async fn only_the_owner_configures_and_the_owner_is_no_role() {
    let scene = Scene::new().await;
    let configure = Moderation::Configure(SettingsChange::default());
    for (probe, expected) in [
        (&scene.ann, None),
        (&scene.mo, Some(Code::Forbidden)),
        (&scene.bob, Some(Code::Forbidden)),
    ] {
        assert_eq!(code(probe.session.moderate(scene.room, configure).await), expected);
    }
    let crown = Moderation::Role { user: id(&scene.mo), role: Role::Owner };
    let refused = scene.ann.session.moderate(scene.room, crown).await.expect_err("not like this");
    assert_eq!((refused.code(), refused.at_field()), (Code::BadRequest, Some("role")));
    let slow_s = Some(21_601);
    let slow = Moderation::Configure(SettingsChange { slow_s, ..SettingsChange::default() });
    let refused = scene.ann.session.moderate(scene.room, slow).await.expect_err("too slow");
    assert_eq!((refused.code(), refused.at_field()), (Code::BadRequest, Some("slow_s")));
    let now = Some(scene.bench.clock.now());
    for act in [
        Moderation::Ban { user: id(&scene.bob), until: now },
        Moderation::Mute { user: id(&scene.bob), until: now },
    ] {
        let refused = scene.ann.session.moderate(scene.room, act).await.expect_err("has passed");
        assert_eq!((refused.code(), refused.at_field()), (Code::BadRequest, Some("until")));
    }
    let nobody = Moderation::Ban { user: UserId::new(), until: None };
    let refused = scene.ann.session.moderate(scene.room, nobody).await;
    assert_eq!(code(refused), Some(Code::NoSuchUser));
}

#[tokio::test]
async fn whoever_is_kicked_hears_why_on_every_device_and_then_nothing() {
    let mut scene = Scene::new().await;
    let room = scene.room;
    let mut phone = scene.bench.connect_as(scene.bob.session.user().clone());
    phone.session.join(room, After::Nothing).await.expect("in it");
    scene.bob.session.typing(room, true).await.expect("typing");
    scene
        .mo
        .session
        .moderate(room, Moderation::Kick { user: id(&scene.bob) })
        .await
        .expect("kicked");
    for device in [&mut scene.bob, &mut phone] {
        let told = change(device, "kicked").await;
        assert_eq!(told.kind.membership().user, *device.session.user());
        assert_eq!(told.by.as_ref(), Some(scene.mo.session.user()));
    }
    let seen = scene
        .ann
        .find(|event| match event {
            Event::Change { change, counts, .. } if change.kind.as_str() == "kicked" => {
                Some(*counts)
            }
            _ => None,
        })
        .await;
    assert_eq!((seen.members, seen.online), (2, 2));
    scene.ann.session.send(room, draft("he is gone")).await.expect("sent");
    for device in [&mut scene.bob, &mut phone] {
        assert_eq!(
            device.session.send(room, draft("hi")).await.expect_err("out").code(),
            Code::NotAMember
        );
        assert!(heard(&scene.bench, device, room).await.is_empty(), "nothing after it");
    }
    // He is still known as one who was typing to nobody, and may come back.
    scene.bob.session.join(room, After::Nothing).await.expect("back");
    scene.bob.session.send(room, draft("hi again")).await.expect("sent");
    assert_eq!(scene.ann.message().await.1, "he is gone");
    assert_eq!(scene.ann.message().await.1, "hi again");
}

#[tokio::test]
async fn whoever_is_kicked_from_a_private_room_needs_an_invitation() {
    let scene = Scene::of(engine(), private()).await;
    let (room, bob) = (scene.room, &scene.bob);
    scene.ann.session.moderate(room, Moderation::Kick { user: id(bob) }).await.expect("kicked");
    let refused = bob.session.join(room, After::Nothing).await;
    assert_eq!(code(refused), Some(Code::NoSuchRoom));
    scene.ann.session.invite(room, bob.session.user().clone()).await.expect("invited");
    bob.session.join(room, After::Nothing).await.expect("back");
}

/// Every way into a room.
async fn ways_in(bench: &Bench, room: RoomId, user: &User, by: &Probe) -> Vec<Option<Code>> {
    let handle = bench.engine.room(room);
    let probe = bench.connect_as(user.clone());
    vec![
        code(probe.session.join(room, After::Nothing).await),
        code(probe.session.join(room, After::Cursor(Cursor::default())).await),
        code(handle.join(user, After::Nothing).await),
        code(probe.session.send(room, draft("hi")).await),
        code(probe.session.history(room, HistoryQuery { at: HistoryAt::End, limit: 1 }).await),
        code(by.session.invite(room, user.clone()).await),
        code(probe.session.join(room, After::Nothing).await),
    ]
}

#[tokio::test]
async fn a_ban_closes_every_way_in_until_its_end() {
    for (new, expected) in [(open(), Code::Banned), (private(), Code::NoSuchRoom)] {
        let mut scene = Scene::of(engine(), new).await;
        let (room, bob) = (scene.room, scene.bob.session.user().clone());
        let until = Some(scene.later());
        let ban = Moderation::Ban { user: bob.id, until };
        scene.mo.session.moderate(room, ban).await.expect("banned");
        let told = change(&mut scene.bob, "banned").await;
        assert_eq!((told.kind.until(), told.by.as_ref()), (until, Some(scene.mo.session.user())));
        let closed = vec![expected; 5].into_iter().chain([Code::Banned, expected]);
        let closed: Vec<_> = closed.map(Some).collect();
        assert_eq!(ways_in(&scene.bench, room, &bob, &scene.ann).await, closed);
        scene.bench.clock.advance(HOUR - Duration::from_millis(1));
        assert_eq!(ways_in(&scene.bench, room, &bob, &scene.ann).await, closed);
        scene.bench.clock.advance(Duration::from_millis(1));
        scene.ann.session.invite(room, bob.clone()).await.expect("invited");
        scene.bob.session.join(room, After::Nothing).await.expect("back");
        // And without an end, until it is lifted.
        let ban = Moderation::Ban { user: bob.id, until: None };
        scene.mo.session.moderate(room, ban).await.expect("banned");
        scene.bench.clock.advance(100 * HOUR);
        assert_eq!(ways_in(&scene.bench, room, &bob, &scene.ann).await, closed);
        scene.mo.session.moderate(room, Moderation::Unban { user: bob.id }).await.expect("lifted");
        scene.ann.session.invite(room, bob.clone()).await.expect("invited");
        scene.bob.session.join(room, After::Nothing).await.expect("back");
    }
}

#[tokio::test]
async fn a_ban_takes_an_invitation_back_and_tells_strangers_nothing() {
    let scene = Scene::of(engine(), private()).await;
    let (room, guest) = (scene.room, scene.bench.connect("Guest"));
    let invite = async || scene.ann.session.invite(room, guest.session.user().clone()).await;
    invite().await.expect("invited");
    let view = async || scene.bench.engine.room(room).view(guest.session.user()).await;
    view().await.expect("may look");
    let ban = Moderation::Ban { user: id(&guest), until: None };
    scene.ann.session.moderate(room, ban).await.expect("banned");
    let nothing = scene.bench.engine.room(RoomId::new()).view(guest.session.user()).await;
    assert_eq!(view().await.expect_err("hidden"), nothing.expect_err("none"));
    scene.ann.session.moderate(room, Moderation::Unban { user: id(&guest) }).await.expect("lifted");
    assert_eq!(code(guest.session.join(room, After::Nothing).await), Some(Code::NoSuchRoom));
    invite().await.expect("invited");
    guest.session.join(room, After::Nothing).await.expect("in it");
}

#[tokio::test]
async fn who_has_left_may_be_banned_as_long_as_the_room_remembers() {
    let scene = Scene::new().await;
    let (room, bob) = (scene.room, id(&scene.bob));
    scene.bob.session.send(room, draft("spam")).await.expect("sent");
    scene.bob.session.leave(room).await.expect("left");
    scene
        .mo
        .session
        .moderate(room, Moderation::Ban { user: bob, until: None })
        .await
        .expect("banned");
    assert_eq!(code(scene.bob.session.join(room, After::Nothing).await), Some(Code::Banned));
    let page =
        scene.mo.session.bans(room, BanQuery { after: None, limit: 9 }).await.expect("a page");
    let banned: Vec<_> = page.bans.iter().map(|ban| (&*ban.user.name, ban.until)).collect();
    assert_eq!((banned, page.next), (vec![("Bob", None)], None));
    let query = BanQuery { after: None, limit: 9 };
    let stranger = scene.bench.connect("Eve");
    assert_eq!(code(stranger.session.bans(room, query).await), Some(Code::NotAMember));
    let cyd = scene.bench.joined("Cyd", room).await;
    assert_eq!(code(cyd.session.bans(room, query).await), Some(Code::Forbidden));
}

#[tokio::test]
async fn nothing_is_written_that_is_so_already() {
    let scene = Scene::new().await;
    let (room, bob) = (scene.room, id(&scene.bob));
    let until = Some(scene.later());
    let twice = [
        Moderation::Role { user: bob, role: Role::Moderator },
        Moderation::Role { user: bob, role: Role::Member },
        Moderation::Mute { user: bob, until },
        Moderation::Mute { user: bob, until: None },
        Moderation::Unmute { user: bob },
        Moderation::Ban { user: bob, until },
        Moderation::Ban { user: bob, until: None },
        Moderation::Unban { user: bob },
        Moderation::Configure(SettingsChange { slow_s: Some(1), ..SettingsChange::default() }),
        Moderation::Transfer { user: id(&scene.mo) },
    ];
    let before = scene.ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    for act in twice {
        scene.ann.session.moderate(room, act).await.expect("done");
        if !matches!(act, Moderation::Transfer { .. }) {
            scene.ann.session.moderate(room, act).await.expect("was done");
        }
    }
    let me = Moderation::Transfer { user: id(&scene.mo) };
    scene.mo.session.moderate(room, me).await.expect("is the owner already");
    let after = scene.ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    assert_eq!(after.change - before.change, twice.len() as u64);
}

#[tokio::test]
async fn an_owner_hands_the_room_over_before_leaving_it() {
    let mut scene = Scene::new().await;
    let room = scene.room;
    assert_eq!(code(scene.ann.session.leave(room).await), Some(Code::Forbidden));
    let transfer = Moderation::Transfer { user: id(&scene.bob) };
    scene.ann.session.moderate(room, transfer).await.expect("transferred");
    let told = change(&mut scene.bob, "transferred").await;
    assert_eq!(told.kind.membership().role, Role::Owner);
    assert_eq!(told.by.as_ref(), Some(scene.ann.session.user()));
    let me = async |probe: &Probe| {
        probe.session.join(room, After::Nothing).await.expect("in it").me.role
    };
    assert_eq!((me(&scene.ann).await, me(&scene.bob).await), (Role::Moderator, Role::Owner));
    scene.ann.session.leave(room).await.expect("left");
    let kick = Moderation::Kick { user: id(&scene.mo) };
    scene.bob.session.moderate(room, kick).await.expect("kicked");
    scene.bob.session.leave(room).await.expect("alone, the owner may leave");
    // An ephemeral room does without its owner.
    let scene = Scene::of(engine(), open().ephemeral()).await;
    scene.ann.session.leave(scene.room).await.expect("left");
    let kick = Moderation::Kick { user: id(&scene.bob) };
    scene.mo.session.moderate(scene.room, kick).await.expect("kicked");
}

#[tokio::test]
async fn nobody_moderates_a_direct_room() {
    let bench = engine();
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = bench.engine.open_room(&ann, NewRoom::direct(bob.clone())).await.expect("a room");
    let acts = [
        Moderation::Role { user: bob.id, role: Role::Moderator },
        Moderation::Transfer { user: bob.id },
        Moderation::Kick { user: bob.id },
        Moderation::Ban { user: bob.id, until: None },
        Moderation::Unban { user: bob.id },
        Moderation::Mute { user: bob.id, until: None },
        Moderation::Unmute { user: bob.id },
        Moderation::Configure(SettingsChange { read_only: Some(true), ..Default::default() }),
    ];
    for act in acts {
        assert_eq!(code(room.moderate(&ann, act).await), Some(Code::Forbidden), "{act:?}");
        assert_eq!(code(room.moderate(&user("Eve"), act).await), Some(Code::NoSuchRoom), "{act:?}");
    }
    let bans = room.bans(&ann, BanQuery { after: None, limit: 9 }).await;
    assert_eq!(code(bans), Some(Code::Forbidden));
    room.send(&bob, draft("still here")).await.expect("sent");
}

#[tokio::test]
async fn everything_outlives_a_restart() {
    let store = MemoryStore::default();
    let scene = Scene::of(engine_with(store.clone(), Limits::default()), open()).await;
    let room = scene.room;
    let cyd = scene.bench.joined("Cyd", room).await;
    let later = Some(scene.later());
    for act in [
        Moderation::Mute { user: id(&scene.bob), until: later },
        Moderation::Ban { user: id(&cyd), until: later },
        Moderation::Configure(SettingsChange {
            invite: Some(WhoInvites::Moderators),
            slow_s: Some(7),
            read_only: Some(true),
        }),
        Moderation::Transfer { user: id(&scene.mo) },
    ] {
        scene.ann.session.moderate(room, act).await.expect("done");
    }
    let users = [&scene.ann, &scene.mo, &scene.bob, &cyd].map(|probe| probe.session.user().clone());
    scene.bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let [ann, mo, bob, cyd] = users.map(|user| bench.connect_as(user));
    let joined = mo.session.join(room, After::Cursor(Cursor::default())).await.expect("in it");
    let set = Settings { invite: WhoInvites::Moderators, slow_s: 7, read_only: true };
    assert_eq!((joined.me.role, joined.settings), (Role::Owner, set));
    let last: Vec<_> = joined.changes.iter().rev().take(4).map(|c| c.kind.as_str()).collect();
    assert_eq!(last, ["transferred", "settings", "banned", "muted"]);
    let me = ann.session.join(room, After::Nothing).await.expect("in it").me;
    assert_eq!(me.role, Role::Moderator);
    assert_eq!(code(bob.session.send(room, draft("hi")).await), Some(Code::Muted));
    assert_eq!(code(cyd.session.join(room, After::Nothing).await), Some(Code::Banned));
    bench.clock.advance(HOUR);
    assert_eq!(code(bob.session.send(room, draft("hi")).await), Some(Code::ReadOnly));
    cyd.session.join(room, After::Nothing).await.expect("in it");
}
