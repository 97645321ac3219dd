//! Roles and moderation: who may do what to whom, and that it reaches everybody at once.

mod support;

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, BanQuery, Change, ChangeKind, Clock, Code, Command, Cursor, Event, HistoryAt,
    HistoryQuery, Limits, MemberQuery, MemoryStore, Moderation, Mute, NewRoom, Role, RoomCommand,
    RoomId, Settings, SettingsChange, Timestamp, User, UserId, WhoInvites,
};
use support::{Bench, draft, engine, engine_with, faulty, keyed, until, user};
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3_600);
/// How long a test waits for what must not take long.
const AT_ONCE: Duration = Duration::from_secs(30);

/// A room with an owner, a moderator and a member in it.
struct Scene {
    bench: Bench,
    room: RoomId,
    ann: Probe,
    mo: Probe,
    bob: Probe,
}

fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

fn private() -> NewRoom {
    NewRoom::private("room").expect("a good title")
}

fn id(probe: &Probe) -> UserId {
    probe.session.user().id
}

impl Scene {
    async fn new() -> Self {
        Self::of(engine(), open()).await
    }

    async fn of(bench: Bench, new: NewRoom) -> Self {
        let (room, ann) = bench.room_of("Ann", new).await;
        let mut others = Vec::new();
        for name in ["Mo", "Bob"] {
            let probe = bench.connect(name);
            ann.session.invite(room, probe.session.user().clone()).await.expect("invited");
            probe.session.join(room, After::Nothing).await.expect("in it");
            others.push(probe);
        }
        let [mo, bob] = <[Probe; 2]>::try_from(others).ok().expect("two");
        let up = Moderation::Role { user: id(&mo), role: Role::Moderator };
        ann.session.moderate(room, up).await.expect("a moderator");
        let mut scene = Self { bench, room, ann, mo, bob };
        for probe in [&mut scene.ann, &mut scene.mo, &mut scene.bob] {
            change(probe, "role").await;
            probe.waiting();
        }
        scene
    }

    /// In an hour.
    fn later(&self) -> Timestamp {
        self.bench.clock.now() + HOUR
    }

    async fn set(&self, change: SettingsChange) {
        let done = self.ann.session.moderate(self.room, Moderation::Configure(change)).await;
        done.expect("set");
    }

    /// Returns when the room has got everything that was asked before, over these sessions or without.
    async fn arrived(&self, more: &[&Probe]) {
        // What was spawned is asked first.
        tokio::task::yield_now().await;
        for probe in [&self.ann, &self.mo, &self.bob].into_iter().chain(more.iter().copied()) {
            probe.session.ask(Command::Ping).await.expect("behind what it has asked");
        }
        let (room, asker) = (self.bench.engine.room(self.room), user("asker"));
        room.view(&asker).await.expect("an open room");
    }

    /// Why somebody cannot write.
    async fn refused(&self, probe: &Probe) -> Code {
        probe.session.send(self.room, draft("hi")).await.expect_err("refused").code()
    }
}

/// The next change of this kind that somebody hears of; others are passed over.
async fn change(probe: &mut Probe, kind: &str) -> Change {
    probe
        .find(|event| match event {
            Event::Change { change, .. } if change.kind.as_str() == kind => {
                Some((**change).clone())
            }
            _ => None,
        })
        .await
}

/// Returns when somebody has heard everything of a room that has happened so far, and answers it.
async fn heard(probe: &mut Probe, room: RoomId) -> Vec<String> {
    // Behind everything that the room has said to it.
    probe.session.ask(Command::Room(room, RoomCommand::View)).await.ok();
    probe.session.ask(Command::Ping).await.expect("answered");
    let names = probe.waiting().into_iter().map(|event| match &*event {
        Event::Change { change, .. } => change.kind.as_str().to_owned(),
        Event::Message { message, .. } => message.text().to_owned(),
        other => format!("{other:?}"),
    });
    names.collect()
}

fn code<T>(result: chat_core::Result<T>) -> Option<Code> {
    result.err().map(|error| error.code())
}

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
        assert!(heard(device, room).await.is_empty(), "nothing after it");
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
    assert!(heard(&mut scene.bob, room).await.is_empty());
    let ours = heard(&mut scene.ann, room).await;
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
    assert_eq!(heard(&mut scene.ann, room).await, ["kicked"]);
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
    assert_eq!(heard(&mut scene.mo, room).await, ["settings"]);
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
    let Scene { room, ann, mut mo, mut bob, bench: _bench } = scene;
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
    assert!(heard(&mut bob, room).await.is_empty());
}
