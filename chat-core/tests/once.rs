//! One effect: whatever changes a room may be asked as often as anybody likes with its key. It happens once, and
//! everybody who asks gets the first answer, on any connection, also after a restart.

mod support;

use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, Code, Command, Engine, Event, Limits, MemoryStore, Moderation, NewRoom, Policy, Reply,
    Result, Role, RoomCommand, RoomId, SettingsChange, User, limits,
};
use support::keys::{ask, changes, edit, key};
use support::{Bench, draft, engine, engine_with, faulty, keyed, until, user};

#[tokio::test]
async fn every_write_takes_effect_once() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let owner = ann.session.user().clone();
    let bob = bench.joined("Bob", room).await;
    let (bobs, guest) = (bob.session.user().id, user("Cyd"));
    ann.session.send(room, draft("one")).await.expect("sent");
    ann.session.send(room, draft("two")).await.expect("sent");
    let moderate = RoomCommand::Moderate;
    let slow = SettingsChange { slow_s: Some(0), read_only: Some(true), invite: None };
    let writes = [
        edit(1, "edited"),
        RoomCommand::Delete { seq: 2 },
        RoomCommand::Invite(guest.clone()),
        moderate(Moderation::Role { user: bobs, role: Role::Moderator }),
        moderate(Moderation::Mute { user: bobs, until: None }),
        moderate(Moderation::Unmute { user: bobs }),
        moderate(Moderation::Configure(slow)),
        moderate(Moderation::Kick { user: bobs }),
        moderate(Moderation::Ban { user: bobs, until: None }),
        moderate(Moderation::Unban { user: bobs }),
    ];
    for (nth, command) in writes.iter().enumerate() {
        let name = format!("k{nth}");
        let before = changes(&bench.engine, &owner, room).await;
        assert_eq!(ask(&ann.session, room, command.clone(), &name).await, None, "{command:?}");
        assert_eq!(changes(&bench.engine, &owner, room).await, before + 1, "{command:?}");
        // On another connection, and without one.
        let other = bench.connect_as(owner.clone());
        assert_eq!(ask(&other.session, room, command.clone(), &name).await, None, "{command:?}");
        let again = bench.engine.room(room).ask(&owner, command.clone().once(key(&name))).await;
        assert!(matches!(again, Ok(Reply::Done)), "{command:?}: {again:?}");
        assert_eq!(changes(&bench.engine, &owner, room).await, before + 1, "{command:?}");
    }
    // What one key stands for, no other command has, be it a message.
    let end = changes(&bench.engine, &owner, room).await;
    for (nth, _) in writes.iter().enumerate() {
        let other = &writes[(nth + 1) % writes.len()];
        let conflict = ask(&ann.session, room, other.clone(), &format!("k{nth}")).await;
        assert_eq!(conflict, Some(Code::KeyConflict), "{other:?}");
        let message = ann.session.send(room, keyed("other", &format!("k{nth}"))).await;
        assert_eq!(message.err().map(|error| error.code()), Some(Code::KeyConflict));
    }
    ann.session.send(room, keyed("three", "of a message")).await.expect("sent");
    let conflict = ask(&ann.session, room, edit(3, "no"), "of a message").await;
    assert_eq!(conflict, Some(Code::KeyConflict));
    assert_eq!(changes(&bench.engine, &owner, room).await, end);
}

#[tokio::test]
async fn what_happened_since_is_not_undone_by_asking_again() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let kick = RoomCommand::Moderate(Moderation::Kick { user: bob.session.user().id });
    assert_eq!(ask(&ann.session, room, kick.clone(), "kick").await, None);
    bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(ask(&ann.session, room, kick, "kick").await, None, "the first answer");
    bob.session.send(room, draft("still here")).await.expect("a member");
    assert_eq!(ask(&bob.session, room, RoomCommand::Leave, "leave").await, None);
    bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(ask(&bob.session, room, RoomCommand::Leave, "leave").await, None);
    bob.session.send(room, draft("still here")).await.expect("a member");
}

#[tokio::test]
async fn a_refusal_is_no_effect_and_takes_no_key() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    assert_eq!(ask(&ann.session, room, edit(9, "no"), "k").await, Some(Code::NoSuchMessage));
    faults.fail_commits(1);
    assert_eq!(ask(&ann.session, room, edit(1, "two"), "k").await, Some(Code::Unavailable));
    assert_eq!(ask(&ann.session, room, edit(1, "three"), "k").await, None, "the key is free");
    // The answer is lost: whoever asks again gets it.
    faults.lose_answers(1);
    let delete = RoomCommand::Delete { seq: 1 };
    assert_eq!(ask(&ann.session, room, delete.clone(), "d").await, Some(Code::Unavailable));
    until("it is known", async || {
        bench.clock.advance(Duration::from_secs(1));
        ask(&ann.session, room, delete.clone(), "d").await.is_none()
    })
    .await;
    assert_eq!(ask(&ann.session, room, edit(1, "no"), "d").await, Some(Code::KeyConflict));
    for command in [RoomCommand::Typing(true), RoomCommand::View, RoomCommand::join(After::Nothing)]
    {
        let refused = ask(&ann.session, room, command, "new").await;
        assert_eq!(refused, Some(Code::BadRequest), "it changes nothing");
    }
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_does_it() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let owner = ann.session.user().clone();
    ann.session.send(room, draft("one")).await.expect("sent");
    let before = changes(&bench.engine, &owner, room).await;
    let probes: Vec<_> = (0..8).map(|_| bench.connect_as(owner.clone())).collect();
    faults.hold_commits(true);
    let asked = probes.iter().map(|probe| ask(&probe.session, room, edit(1, "two"), "k"));
    let other = bench.connect_as(owner.clone());
    let let_go = async {
        until("it is written", async || faults.held_commits() == 1).await;
        let conflict = ask(&other.session, room, edit(1, "three"), "k").await;
        assert_eq!(conflict, Some(Code::KeyConflict), "while the first one is under way");
        faults.hold_commits(false);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asked), let_go);
    assert!(answers.iter().all(Option::is_none), "{answers:?}");
    assert_eq!(changes(&bench.engine, &owner, room).await, before + 1);
}

#[tokio::test]
async fn keys_outlive_a_restart() {
    let store = MemoryStore::default();
    let (ann, bob) = (user("Ann"), user("Bob"));
    let first = engine_with(store.clone(), Limits::default());
    let new = || NewRoom::open("room").expect("a title").key(key("room"));
    let room = first.engine.open_room(&ann, new()).await.expect("a room");
    room.join(&bob, After::Nothing).await.expect("a member");
    let sent = room.send(&ann, keyed("hello", "m")).await.expect("sent");
    let kick = RoomCommand::Moderate(Moderation::Kick { user: bob.id }).once(key("kick"));
    room.ask(&ann, kick.clone()).await.expect("kicked");
    let id = room.id();
    first.engine.stop().await;

    let second = engine_with(store, Limits::default());
    let room = second.engine.open_room(&ann, new()).await.expect("the same room");
    assert_eq!(room.id(), id);
    // He is no member any more, and so there is nobody to kick: the answer is the first one all the same.
    assert!(matches!(room.ask(&ann, kick).await, Ok(Reply::Done)));
    assert_eq!(room.send(&ann, keyed("hello", "m")).await.expect("sent before"), sent);
    let other = NewRoom::private("room").expect("a title").key(key("room"));
    let conflict = second.engine.open_room(&ann, other).await.map(|room| room.id());
    assert_eq!(conflict.map_err(|error| error.code()), Err(Code::KeyConflict));
}

#[tokio::test]
async fn a_key_that_memory_has_forgotten_is_found_in_the_store() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let limits = Limits { kept_keys: 1, ..Limits::default() };
    let bench: Bench = engine_with(store, limits);
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let kick = RoomCommand::Moderate(Moderation::Kick { user: bob.session.user().id });
    assert_eq!(ask(&ann.session, room, kick.clone(), "kick").await, None);
    let reads = bench.engine.stats().store.reads;
    ann.session.send(room, draft("zero")).await.expect("sent");
    for nth in 0..4 {
        let edited = ask(&ann.session, room, edit(1, &format!("{nth}")), &format!("k{nth}")).await;
        assert_eq!(edited, None);
    }
    bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(ask(&ann.session, room, kick.clone(), "kick").await, None);
    assert!(bench.engine.stats().store.reads > reads, "the store was asked");
    bob.session.send(room, draft("still here")).await.expect("a member");
    faults.fail_all(true);
    assert_eq!(ask(&ann.session, room, kick, "kick2").await, Some(Code::Unavailable));
}

/// Refuses edits.
struct NoEdits;

#[async_trait]
impl Policy for NoEdits {
    async fn may(&self, _: &User, command: &Command) -> Result<()> {
        match command {
            Command::Room(_, RoomCommand::Edit { .. }) => {
                Err(chat_core::Error::new(Code::Forbidden, "what is said is said"))
            }
            Command::Room(_, RoomCommand::Once { .. }) => panic!("nobody knows what this is"),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_policy_is_asked_about_what_is_to_be_done() {
    let engine = Engine::builder().policy(NoEdits).threads(2).start().expect("an engine");
    let ann = Probe::connect(&engine, user("Ann")).expect("a session");
    let room = engine.open_room(ann.session.user(), NewRoom::open("room").expect("a title")).await;
    let room = room.expect("a room");
    ann.session.join(room.id(), After::Nothing).await.expect("in it");
    ann.session.send(room.id(), draft("one")).await.expect("sent");
    assert_eq!(ask(&ann.session, room.id(), edit(1, "two"), "k").await, Some(Code::Forbidden));
    let asked = room.ask(ann.session.user(), edit(1, "two").once(key("k"))).await;
    assert_eq!(asked.err().map(|error| error.code()), Some(Code::Forbidden));
}

#[tokio::test]
async fn an_effect_is_told_once() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    for _ in 0..3 {
        assert_eq!(ask(&ann.session, room, edit(1, "two"), "k").await, None);
    }
    ann.session.send(room, draft("end")).await.expect("sent");
    let mut told = 0;
    ann.find(|event| {
        told += usize::from(
            matches!(event, Event::Change { change, .. } if change.kind.seq().is_some()),
        );
        matches!(event, Event::Message { message, .. } if message.text() == "end").then_some(())
    })
    .await;
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_retry_while_the_room_looks_where_it_stands_gets_the_first_answer() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let kick = RoomCommand::Moderate(Moderation::Kick { user: bob.session.user().id });
    faults.hold_reads(true);
    faults.lose_answers(1);
    assert_eq!(ask(&ann.session, room, kick.clone(), "k").await, Some(Code::Unavailable));
    until("it looks", async || {
        bench.clock.advance(Duration::from_millis(100));
        faults.held_reads() == 1
    })
    .await;
    let again = ask(&ann.session, room, kick, "k");
    let let_go = async {
        tokio::task::yield_now().await;
        faults.hold_reads(false);
    };
    let (again, ()) = tokio::join!(again, let_go);
    assert_eq!(again, None, "it was done");
    assert!(bob.session.send(room, draft("no")).await.is_err());
}

#[tokio::test]
async fn a_conflict_is_told_to_nobody_else() {
    let limits = Limits { kept_keys: 1, ..Limits::default() };
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, limits);
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for name in ["k", "l", "m", "n"] {
        ann.session.send(room, keyed(name, name)).await.expect("sent");
    }
    // Memory has forgotten what the key stands for, and the store has not.
    let mute = Moderation::Mute { user: bob.session.user().id, until: None };
    let muted = ask(&ann.session, room, RoomCommand::Moderate(mute), "k");
    let said = bob.session.send(room, draft("hello"));
    let (muted, said) = tokio::join!(muted, said);
    assert_eq!(muted, Some(Code::KeyConflict));
    assert!(said.is_ok(), "{said:?}");
    // What changes nothing does not take a message's key either.
    ann.session.delete(room, 1).await.expect("deleted");
    let deleted = ask(&ann.session, room, RoomCommand::Delete { seq: 1 }, "l").await;
    assert_eq!(deleted, Some(Code::KeyConflict));
    assert_eq!(ann.session.send(room, keyed("l", "l")).await.expect("sent before").seq, 2);
    faults.fail_all(false);
}

#[tokio::test]
async fn whoever_leaves_meanwhile_is_not_made_the_owner() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { kept_keys: 1, ..Limits::default() });
    let (room, ann) = bench.room("Ann").await;
    let (bob, cyd) = (bench.joined("Bob", room).await, bench.joined("Cyd", room).await);
    for name in ["k", "l", "m", "n"] {
        ann.session.send(room, keyed(name, name)).await.expect("sent");
    }
    faults.hold_reads(true);
    faults.hold_commits(true);
    let transfer = Moderation::Transfer { user: bob.session.user().id };
    let transfer = ask(&ann.session, room, RoomCommand::Moderate(transfer), "t");
    let leave = async {
        until("the key is looked up", async || faults.held_reads() == 1).await;
        let leave = bob.session.leave(room);
        let let_go = async {
            until("the leaving is written", async || faults.held_commits() == 1).await;
            faults.hold_reads(false);
            // The transfer waits for it, whenever its key is known.
            cyd.session.typing(room, true).await.expect("typing");
            faults.hold_commits(false);
        };
        tokio::join!(leave, let_go).0
    };
    let (transfer, leave) = tokio::join!(transfer, leave);
    assert!(leave.is_ok(), "{leave:?}");
    assert_eq!(transfer, Some(Code::NoSuchMember));
    let me = ann.session.join(room, After::Nothing).await.expect("in it").me;
    assert_eq!(me.role, Role::Owner);
}

#[tokio::test]
async fn a_key_says_nothing_of_rooms_that_are_not_ones_own() {
    let bench = engine();
    let (room, _ann) =
        bench.room_of("Ann", NewRoom::private("secret").expect("a good title")).await;
    let eve = bench.connect("Eve");
    for command in [RoomCommand::View, RoomCommand::Typing(true), edit(1, "no"), RoomCommand::Leave]
    {
        let there = ask(&eve.session, room, command.clone(), "k").await;
        let nowhere = ask(&eve.session, RoomId::new(), command.clone(), "k").await;
        assert_eq!(there, nowhere, "{command:?}");
    }
}

#[tokio::test]
async fn what_was_begun_goes_on_when_its_session_ends() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await.session.user().id;
    let mut cyd = bench.joined("Cyd", room).await;
    let phone = bench.connect_as(ann.session.user().clone());
    phone.session.join(room, After::Nothing).await.expect("in it");
    faults.hold_commits(true);
    let promote = Moderation::Role { user: bob, role: Role::Moderator };
    let promote = ann.session.ask(Command::Room(room, RoomCommand::Moderate(promote)));
    let kick = RoomCommand::Moderate(Moderation::Kick { user: bob });
    let ended = async {
        until("it is written", async || faults.held_commits() == 1).await;
        // It waits for what becomes of him, and its session ends.
        let mut asked = Box::pin(ask(&phone.session, room, kick.clone(), "k"));
        tokio::select! {
            biased;
            answer = &mut asked => panic!("{answer:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(asked);
        drop(phone);
        cyd.find(|event| {
            matches!(event, Event::Presence { devices: 1, user, .. } if user.id == ann.session.user().id)
                .then_some(())
        })
        .await;
        let again = ask(&ann.session, room, kick, "k");
        let let_go = async {
            tokio::task::yield_now().await;
            faults.hold_commits(false);
        };
        tokio::join!(again, let_go).0
    };
    let (promote, again) = tokio::join!(promote, ended);
    assert!(promote.is_ok(), "{promote:?}");
    assert_eq!(again, None);
    assert_eq!(changes(&bench.engine, ann.session.user(), room).await, 5, "he was kicked once");
}

/// What was written is written, though nobody was told so: who asks again is not refused for what has come about since.
#[tokio::test]
async fn a_message_whose_answer_was_lost_gets_it_though_it_would_be_refused_by_now() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let user = bench.connect("Bob").session.user().clone();
    let bob = bench.engine.room(room);
    let slow = Moderation::Configure(SettingsChange { slow_s: Some(60), ..Default::default() });
    ann.session.moderate(room, slow).await.expect("slow");
    ann.session.send(room, draft("zero")).await.expect("sent");
    for (nth, act) in [
        None,
        Some(Moderation::Mute { user: user.id, until: None }),
        Some(Moderation::Kick { user: user.id }),
    ]
    .into_iter()
    .enumerate()
    {
        bob.join(&user, After::Nothing).await.expect("in it");
        bench.clock.advance(Duration::from_secs(61));
        let once = keyed("hello", &format!("k{nth}")).reply_to(1);
        faults.lose_answers(1);
        let error = bob.send(&user, once.clone()).await.expect_err("lost");
        assert_eq!(error.code(), Code::Unavailable);
        if let Some(act) = act {
            ann.session.moderate(room, act).await.expect("done");
        }
        let seq = nth as u64 + 2;
        assert_eq!(bob.send(&user, once).await.expect("it was sent").seq, seq, "{act:?}");
        let new = bob.send(&user, keyed("hello", "new")).await;
        assert!(new.is_err(), "{new:?}");
        let other = bob.send(&user, keyed("other", &format!("k{nth}"))).await;
        assert_eq!(other.err().map(|error| error.code()), Some(Code::KeyConflict));
        if nth == 1 {
            let unmute = Moderation::Unmute { user: user.id };
            ann.session.moderate(room, unmute).await.expect("unmuted");
        }
    }
    assert_eq!(ann.session.join(room, After::Nothing).await.expect("in it").cursor.seq, 4);
}

#[tokio::test]
async fn an_answer_whose_own_answer_was_lost_gets_it_though_what_it_answers_is_deleted() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    // Memory has no message but the last one.
    let bench = engine_with(store, Limits { kept_bytes: 1, ..Limits::default() });
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    ann.session.send(room, draft("two")).await.expect("sent");
    let once = || keyed("hello", "k").reply_to(1);
    faults.lose_answers(1);
    let lost = bob.session.send(room, once()).await;
    assert_eq!(lost.err().map(|error| error.code()), Some(Code::Unavailable));
    ann.session.delete(room, 1).await.expect("deleted");
    assert_eq!(bob.session.send(room, once()).await.expect("it was sent").seq, 3);
    let new = bob.session.send(room, keyed("hello", "l").reply_to(1)).await;
    assert_eq!(new.err().map(|error| error.code()), Some(Code::MessageDeleted));
}

#[tokio::test]
async fn a_message_that_is_older_than_what_was_loaded_is_answered_though_it_would_be_refused_by_now()
 {
    let configure = Moderation::Configure;
    for nth in 0..4 {
        let store = MemoryStore::default();
        let limits = Limits { kept_messages: limits::PAGE, ..Limits::default() };
        let first = engine_with(store.clone(), limits.clone());
        let (room, ann) = first.room("Ann").await;
        let (owner, bob) = (ann.session.user().clone(), first.joined("Bob", room).await);
        let bob = bob.session.user().clone();
        let before = first.engine.room(room);
        let sent = before.send(&bob, keyed("hello", "k")).await.expect("sent");
        for nth in 1..limits::PAGE {
            ann.session.send(room, draft(&format!("{nth}"))).await.expect("sent");
        }
        before.send(&bob, keyed("the last", "l")).await.expect("sent");
        let acts = [
            Moderation::Mute { user: bob.id, until: None },
            Moderation::Kick { user: bob.id },
            configure(SettingsChange { slow_s: Some(3_600), ..Default::default() }),
            configure(SettingsChange { read_only: Some(true), ..Default::default() }),
        ];
        ann.session.moderate(room, acts[nth]).await.expect("done");
        first.engine.stop().await;

        let second = engine_with(store, limits);
        let there = second.engine.room(room);
        there.join(&owner, After::Nothing).await.expect("in it");
        // It has looked which rooms are ephemeral, and read this one.
        until("it has begun", async || second.engine.stats().store.reads == 2).await;
        assert!(
            there.ask(&owner, edit(limits::PAGE as u64, "no").once(key("e"))).await.is_ok(),
            "hers"
        );
        assert_eq!(second.engine.stats().store.reads, 2, "all keys of changes are known");
        let again = there.send(&bob, keyed("hello", "k")).await;
        assert_eq!(again.expect("sent before"), sent, "{:?}", acts[nth]);
        let new = there.send(&bob, keyed("hello", "m")).await;
        assert!(new.is_err(), "{:?}: {new:?}", acts[nth]);
    }
}
