//! Who may do what in a thread: what its parent's room says, at every moment.

mod support;

use std::sync::Arc;

use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, BanQuery, Code, Event, HistoryAt, HistoryQuery, Limits, Mark, MarkerQuery, MemberQuery,
    MemoryStore, Moderation, NewRoom, OwnChange, ReaderQuery, Role, RoomId, SettingsChange, Text,
    ThreadQuery,
};
use support::threads::{Scene, code, follow, followers, scene, scene_in};
use support::{Bench, draft, engine_with, faulty, until};

#[tokio::test]
async fn whoever_is_kicked_is_out_of_the_thread_at_once() {
    let mut scene = scene(NewRoom::open("room").expect("good")).await;
    let user = scene.bob().id;
    scene.ann.session.moderate(scene.room, Moderation::Kick { user }).await.expect("kicked");
    scene.is_shut_out(Code::NotAMember).await;
    // Back in the room, it follows again if it likes.
    scene.bob.session.join(scene.room, After::Nothing).await.expect("back");
    assert_eq!(
        code(scene.bob.session.send(scene.thread, draft("hi")).await),
        Some(Code::NotAMember)
    );
    follow(&scene.bob, scene.thread).await;
    scene.bob.session.send(scene.thread, draft("hi")).await.expect("sent");
}

#[tokio::test]
async fn whoever_is_banned_does_not_come_back_by_a_thread() {
    let mut scene = scene(NewRoom::open("room").expect("good")).await;
    let ban = Moderation::Ban { user: scene.bob().id, until: None };
    scene.ann.session.moderate(scene.room, ban).await.expect("banned");
    scene.is_shut_out(Code::NotAMember).await;
    assert_eq!(code(scene.bob.session.join(scene.room, After::Nothing).await), Some(Code::Banned));
}

#[tokio::test]
async fn whoever_leaves_a_private_room_finds_no_thread() {
    let mut scene = scene(NewRoom::private("room").expect("good")).await;
    scene.bob.session.leave(scene.room).await.expect("left");
    scene.is_shut_out(Code::NoSuchRoom).await;
}

#[tokio::test]
async fn roles_mutes_and_settings_are_the_parents() {
    let scene = scene(NewRoom::open("room").expect("good")).await;
    let Scene { bench, room, thread, ann, bob } = &scene;
    let eve = bench.joined("Eve", *room).await;
    follow(&eve, *thread).await;
    let user = bob.session.user().id;
    let moderate = async |act| ann.session.moderate(*room, act).await.expect("done");
    let send = async |one: &Probe| code(one.session.send(*thread, draft("hi")).await);
    moderate(Moderation::Mute { user, until: None }).await;
    assert_eq!(send(bob).await, Some(Code::Muted));
    moderate(Moderation::Unmute { user }).await;
    assert_eq!(send(bob).await, None);
    let read_only = SettingsChange { read_only: Some(true), ..SettingsChange::default() };
    moderate(Moderation::Configure(read_only)).await;
    assert_eq!((send(bob).await, send(ann).await), (Some(Code::ReadOnly), None));
    eve.session.send(*room, draft("hi")).await.expect_err("read-only");
    // Whoever moderates the room does so in the thread.
    assert_eq!(code(bob.session.delete(*thread, 3).await), Some(Code::Forbidden));
    moderate(Moderation::Role { user, role: Role::Moderator }).await;
    assert_eq!(send(bob).await, None);
    let open = SettingsChange { read_only: Some(false), ..SettingsChange::default() };
    moderate(Moderation::Configure(open)).await;
    let hers = eve.session.send(*thread, draft("hi")).await.expect("sent").seq;
    bob.session.delete(*thread, hers).await.expect("he may");
    let owners = ann.session.send(*thread, draft("hi")).await.expect("sent").seq;
    ann.session.leave(*thread).await.expect("she follows no more");
    assert_eq!(code(bob.session.delete(*thread, owners).await), Some(Code::Forbidden));
    moderate(Moderation::Role { user, role: Role::Member }).await;
    let hers = eve.session.send(*thread, draft("hi")).await.expect("sent").seq;
    assert_eq!(code(bob.session.delete(*thread, hers).await), Some(Code::Forbidden));
    let slow = SettingsChange { slow_s: Some(60), ..SettingsChange::default() };
    moderate(Moderation::Configure(slow)).await;
    assert_eq!(send(bob).await, Some(Code::SlowMode));
}

/// What somebody may read of a thread, by the code with which each of it is refused.
async fn read_all(one: &Probe, thread: RoomId) -> [Option<Code>; 6] {
    let (session, room) = (&one.session, thread);
    let one_message = HistoryQuery { at: HistoryAt::Around(1), limit: 1 };
    let mark = Mark::new("x").expect("good");
    let markers = MarkerQuery { seq: 1, mark, after: None, limit: 9 };
    let members = MemberQuery { after: None, limit: 9, online: false };
    [
        code(session.history(room, HistoryQuery { at: HistoryAt::End, limit: 9 }).await),
        code(session.history(room, one_message).await),
        code(session.markers(room, markers).await),
        code(session.members(room, members).await),
        code(session.readers(room, ReaderQuery { seq: 1, after: None, limit: 9 }).await),
        code(session.threads(room, ThreadQuery { after: None, limit: 9 }).await),
    ]
}

/// What only followers may do in a thread, likewise.
async fn take_part(one: &Probe, thread: RoomId) -> [Option<Code>; 7] {
    let (session, room) = (&one.session, thread);
    let text = |text| Text::new(text).expect("good");
    let answer = draft("an answer").reply_to(1);
    [
        code(session.send(room, draft("hi")).await),
        code(session.send(room, answer).await),
        code(session.edit(room, 1, text("x")).await),
        code(session.mark(room, 1, Mark::new("x").expect("good"), true).await),
        code(session.read(room, 1).await),
        code(session.standing(room).await),
        code(session.typing(room, true).await),
    ]
}

#[tokio::test]
async fn whoever_is_in_the_room_reads_a_thread_without_following_it() {
    for limits in [Limits::default(), Limits { kept_bytes: 1, ..Limits::default() }] {
        for (new, strange) in [
            (NewRoom::open("room").expect("good"), Code::NotAMember),
            (NewRoom::private("room").expect("good"), Code::NoSuchRoom),
        ] {
            let bench = engine_with(MemoryStore::default(), limits.clone());
            let Scene { bench, room, thread, ann, bob } = scene_in(bench, new).await;
            let eve = bench.connect("Eve");
            let (user, refused) = (eve.session.user().clone(), [Some(strange); 6]);
            assert_eq!(read_all(&eve, thread).await, refused, "a stranger");
            ann.session.invite(room, user.clone()).await.expect("invited");
            assert_eq!(
                read_all(&eve, thread).await,
                refused,
                "nor whoever may only enter the room"
            );
            eve.session.join(room, After::Nothing).await.expect("in it");
            assert_eq!(read_all(&eve, thread).await, [None; 6]);
            assert_eq!(code(eve.session.revisions(thread, 1).await), Some(Code::Forbidden));
            assert_eq!(take_part(&eve, thread).await, [Some(Code::NotAMember); 7]);
            assert_eq!(code(eve.session.delete(thread, 1).await), Some(Code::NotAMember));
            // Nothing of it makes her a follower.
            bob.session.send(thread, draft("anybody else?")).await.expect("sent");
            assert_eq!(followers(&ann.session, thread).await.len(), 2);
            let moderate = async |act| ann.session.moderate(room, act).await.expect("done");
            let role = |role| Moderation::Role { user: user.id, role };
            moderate(role(Role::Moderator)).await;
            assert_eq!(code(eve.session.revisions(thread, 1).await), None);
            eve.session.delete(thread, 1).await.expect("she keeps order there");
            assert_eq!(take_part(&eve, thread).await[0], Some(Code::NotAMember));
            let owners = ann.session.send(thread, draft("hi")).await.expect("sent").seq;
            assert_eq!(code(eve.session.delete(thread, owners).await), Some(Code::Forbidden));
            moderate(role(Role::Member)).await;
            assert_eq!(code(eve.session.delete(thread, 2).await), Some(Code::NotAMember));
            // She reads on when she has followed it and does so no more, and not when she has left the room.
            follow(&eve, thread).await;
            assert_eq!(take_part(&eve, thread).await[0], None);
            eve.session.leave(thread).await.expect("she follows it no more");
            assert_eq!(read_all(&eve, thread).await, [None; 6]);
            assert_eq!(take_part(&eve, thread).await, [Some(Code::NotAMember); 7]);
            moderate(Moderation::Ban { user: user.id, until: None }).await;
            assert_eq!(read_all(&eve, thread).await, refused, "banned");
            moderate(Moderation::Unban { user: user.id }).await;
            ann.session.invite(room, user.clone()).await.expect("invited");
            eve.session.join(room, After::Nothing).await.expect("in it");
            assert_eq!(read_all(&eve, thread).await, [None; 6]);
            eve.session.leave(room).await.expect("left");
            assert_eq!(read_all(&eve, thread).await, refused, "left");
        }
    }
}

#[tokio::test]
async fn who_is_out_of_the_room_while_a_thread_is_being_read_for_it_does_not_see_it() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { kept_bytes: 1, ..Limits::default() });
    let scene = scene_in(bench, NewRoom::open("room").expect("good")).await;
    let Scene { bench, room, thread, ann, .. } = &scene;
    let eve = bench.joined("Eve", *room).await;
    let user = eve.session.user().id;
    let query = HistoryQuery { at: HistoryAt::End, limit: 9 };
    faults.hold_reads(true);
    let kick = async {
        until("it is being read", async || faults.held_reads() == 1).await;
        ann.session.moderate(*room, Moderation::Kick { user }).await.expect("kicked");
        faults.hold_reads(false);
    };
    let (read, ()) = tokio::join!(eve.session.history(*thread, query), kick);
    assert_eq!(code(read), Some(Code::NotAMember));
}

/// What somebody hears of a thread after it has heard that it is a member of the room no more.
async fn heard_since_the_end(one: &mut Probe, room: RoomId, thread: RoomId) -> Vec<Arc<Event>> {
    let ends = |event: &Event| match event {
        Event::Change { room: of, change, .. } => {
            (*of == room && change.kind.ends_membership()).then_some(())
        }
        _ => None,
    };
    one.find(ends).await;
    let of_thread = |event: &Arc<Event>| match &**event {
        Event::Message { room, .. }
        | Event::Change { room, .. }
        | Event::Presence { room, .. }
        | Event::Summary { room, .. }
        | Event::Mine { room, change: OwnChange::Joined(_) } => *room == thread,
        _ => false,
    };
    one.waiting().into_iter().filter(of_thread).collect()
}

/// Eve, in the room and not in its thread.
async fn eve_on_two_devices(bench: Bench) -> (Scene, Probe, Probe) {
    let scene = scene_in(bench, NewRoom::open("room").expect("good")).await;
    let first = scene.bench.joined("Eve", scene.room).await;
    let second = scene.bench.connect_as(first.session.user().clone());
    second.session.join(scene.room, After::Nothing).await.expect("in it");
    (scene, first, second)
}

#[tokio::test]
async fn who_follows_by_a_lost_answer_is_not_let_in_when_it_has_left_the_room() {
    let (bench, faults) = faulty();
    let (scene, first, mut second) = eve_on_two_devices(bench).await;
    let (room, thread, ann) = (scene.room, scene.thread, &scene.ann);
    // She follows, and nobody knows before it has been looked up.
    faults.hold_reads(true);
    faults.lose_answers(1);
    let lost = first.session.join(thread, After::Nothing).await;
    assert_eq!(code(lost), Some(Code::Unavailable));
    let kick = async {
        until("it is looked up", async || faults.held_reads() == 1).await;
        let user = first.session.user().id;
        ann.session.moderate(room, Moderation::Kick { user }).await.expect("kicked");
        faults.hold_reads(false);
    };
    let (joined, ()) = tokio::join!(second.session.join(thread, After::Nothing), kick);
    assert_eq!(code(joined), Some(Code::NotAMember));
    until("she is no follower", async || followers(&ann.session, thread).await.len() == 2).await;
    assert!(heard_since_the_end(&mut second, room, thread).await.is_empty());
}

#[tokio::test]
async fn who_begins_to_follow_as_it_is_kicked_hears_nothing_more() {
    for round in 0..20 {
        let (bench, faults) = faulty();
        let (scene, first, mut second) = eve_on_two_devices(bench).await;
        let Scene { bench, room, thread, ann, .. } = scene;
        let user = first.session.user().id;
        let other = bench.room("Olga").await;
        // Both are committed together, behind something else.
        faults.hold_commits(true);
        let send = other.1.session.send(other.0, draft("hi"));
        let kick = async {
            until("a commit is held", async || faults.held_commits() == 1).await;
            ann.session.moderate(room, Moderation::Kick { user }).await
        };
        let join = async |one: &Probe| {
            until("a commit is held", async || faults.held_commits() == 1).await;
            one.session.join(thread, After::Nothing).await
        };
        let release = async {
            until("all wait", async || bench.engine.stats().waiting_writes == 3).await;
            faults.hold_commits(false);
        };
        let (sent, kicked, _, _, ()) =
            tokio::join!(send, kick, join(&first), join(&second), release);
        sent.expect("sent");
        kicked.expect("kicked");
        until("she is no follower", async || followers(&ann.session, thread).await.len() == 2)
            .await;
        let heard = heard_since_the_end(&mut second, room, thread).await;
        assert!(heard.is_empty(), "round {round}: {heard:?}");
    }
}

#[tokio::test]
async fn who_is_muted_while_its_message_waits_has_not_sent_it() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { kept_bytes: 1, ..Limits::default() });
    let scene = scene_in(bench, NewRoom::open("room").expect("good")).await;
    let Scene { bench, room, thread, ann, bob } = &scene;
    let user = bob.session.user().id;
    // The replies are counted by the store, because nobody knows the one that is deleted.
    faults.hold_commits(true);
    let delete = bob.session.delete(*thread, 1);
    let count = async {
        until("it is being deleted", async || faults.held_commits() == 1).await;
        faults.hold_reads(true);
        faults.hold_commits(false);
        until("they are counted", async || faults.held_reads() == 1).await;
    };
    let (deleted, ()) = tokio::join!(delete, count);
    deleted.expect("his own");
    let mute = async {
        until("it waits", async || bench.engine.stats().waiting_writes == 1).await;
        let mute = Moderation::Mute { user, until: None };
        ann.session.moderate(*room, mute).await.expect("muted");
        faults.hold_reads(false);
    };
    let (sent, ()) = tokio::join!(bob.session.send(*thread, draft("too late")), mute);
    assert_eq!(code(sent), Some(Code::Muted));
}

#[tokio::test]
async fn order_is_kept_in_the_parents_room() {
    let scene = scene(NewRoom::open("room").expect("good")).await;
    let Scene { bench, thread, ann, bob, .. } = &scene;
    let user = bob.session.user().id;
    let acts = [
        Moderation::Kick { user },
        Moderation::Ban { user, until: None },
        Moderation::Unban { user },
        Moderation::Mute { user, until: None },
        Moderation::Unmute { user },
        Moderation::Role { user, role: Role::Moderator },
        Moderation::Transfer { user },
        Moderation::Configure(SettingsChange::default()),
    ];
    for act in acts {
        assert_eq!(code(ann.session.moderate(*thread, act).await), Some(Code::Forbidden));
    }
    let eve = bench.connect("Eve").session.user().clone();
    assert_eq!(code(ann.session.invite(*thread, eve).await), Some(Code::Forbidden));
    let query = BanQuery { after: None, limit: 9 };
    assert_eq!(code(ann.session.bans(*thread, query).await), Some(Code::Forbidden));
}
