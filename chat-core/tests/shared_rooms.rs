//! Two engines on one store, as two processes are, writing to the same room.

mod support;

use std::collections::HashSet;
use std::pin::pin;

use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, ClientKey, Code, Command, Cursor, HistoryAt, HistoryQuery, Limits, Mark, MemoryStore,
    Moderation, Reply, RoomCommand, RoomId, Text,
};
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use support::keys::{ask, edit};
use support::{Bench, draft, engine_with, keyed, until};

const SENDERS: usize = 16;
const EACH: usize = 25;

#[tokio::test]
async fn messages_of_two_engines_are_in_one_order_without_a_gap() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, mut ann) = one.room("Ann").await;
    let mut bob = two.joined("Bob", room).await;
    let join_all_of = async |bench: &Bench, engine: &str| {
        let mut senders = Vec::new();
        for sender in 0..SENDERS {
            senders.push(bench.joined(&format!("{engine}{sender}"), room).await);
        }
        senders
    };
    // Each engine learns of the other's members, who came in between, before the messages begin.
    let (ones, twos) = (join_all_of(&one, "one").await, join_all_of(&two, "two").await);
    let send = async |senders: Vec<Probe>| {
        let sending = senders.iter().map(async |sender| {
            let name = sender.session.user().name.to_string();
            let mut answers = Vec::new();
            for n in 0..EACH {
                let text = format!("{name}.{n}");
                let sent = sender.session.send(room, keyed(&text, &text)).await.expect("sent");
                answers.push((sent.seq, text));
            }
            answers
        });
        join_all(sending).await
    };
    let (ones, twos) = join(send(ones), send(twos)).await;
    let mut answered: Vec<_> = ones.into_iter().chain(twos).flatten().collect();
    answered.sort_unstable();
    let total = 2 * SENDERS * EACH;
    let seqs: Vec<_> = answered.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=total as u64).collect::<Vec<_>>(), "each number was given once");

    // An engine that writes once more has seen everything before it.
    for (bench, probe) in [(&one, &mut ann), (&two, &mut bob)] {
        let last = probe.session.send(room, draft("the last")).await.expect("sent").seq;
        let mut heard = HashSet::new();
        for seq in 1..=last {
            let message = probe.message().await;
            assert_eq!(message.0, seq, "in order, each once");
            heard.insert(message);
        }
        assert!(answered.iter().all(|message| heard.contains(message)));
        let query = HistoryQuery { at: HistoryAt::Before(51), limit: 50 };
        let reader = bench.joined("reader", room).await;
        let page = reader.session.history(room, query).await.expect("a page");
        assert!(page.messages.iter().map(|message| message.seq).eq(1..=50));
    }
}

#[tokio::test]
async fn whoever_is_far_behind_reads_first() {
    let memory = MemoryStore::default();
    let (store, faults) = FaultyStore::new(memory.clone());
    let (one, two) =
        (engine_with(store, Limits::default()), engine_with(memory, Limits::default()));
    let (room, mut ann) = one.room("Ann").await;
    let bob = two.joined("Bob", room).await;
    // One learns that Bob has come.
    ann.session.send(room, draft("first")).await.expect("sent");
    for seq in 2..=700 {
        assert_eq!(bob.session.send(room, draft("of Bob")).await.expect("sent").seq, seq);
    }
    // The first read fails, which costs the sender a second try.
    faults.hold_commits(true);
    let held = ann.session.send(room, keyed("of Ann", "k"));
    let fail = async {
        until("it commits", async || faults.held_commits() == 1).await;
        faults.hold_reads(true);
        faults.hold_commits(false);
        until("it reads", async || faults.held_reads() == 1).await;
        faults.fail_all(true);
        faults.hold_reads(false);
    };
    let (held, ()) = join(held, fail).await;
    assert_eq!(held.unwrap_err().code(), Code::Unavailable);
    faults.fail_all(false);
    let sent = ann.session.send(room, keyed("of Ann", "k")).await.expect("sent");
    assert_eq!(sent.seq, 701);
    for seq in 1..=701 {
        assert_eq!(ann.message().await.0, seq);
    }
}

#[tokio::test]
async fn what_is_asked_again_of_another_engine_gets_its_first_answer() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, ann) = one.room("Ann").await;
    let owner = ann.session.user().clone();
    let bob = one.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    // The other engine knows the room as it is now, and nothing of what follows.
    let other = two.connect_as(owner);
    other.session.join(room, After::Nothing).await.expect("in it");
    let key = |name: &str| ClientKey::new(name).expect("a good key");
    let (user, text) = (bob.session.user().id, Text::new("two").expect("a good text"));
    let commands = [
        (RoomCommand::Moderate(Moderation::Kick { user }), "kick"),
        (RoomCommand::edit(1, text), "edit"),
        (RoomCommand::Delete { seq: 1 }, "delete"),
    ];
    for (command, name) in commands.clone() {
        let command = Command::Room(room, command.once(key(name)));
        ann.session.ask(command).await.expect("done");
    }
    let changes = async |probe: &Probe| {
        let joined = probe.session.join(room, After::Nothing).await.expect("in it");
        joined.cursor.change
    };
    let end = changes(&ann).await;
    for (command, name) in commands {
        let again = Command::Room(room, command.once(key(name)));
        let answer = other.session.ask(again).await;
        assert!(matches!(answer, Ok(Reply::Done)), "{name}: {answer:?}");
    }
    assert_eq!(changes(&other).await, end, "nothing was done twice");
    let conflict = RoomCommand::Delete { seq: 1 }.once(key("kick"));
    let conflict = other.session.ask(Command::Room(room, conflict)).await;
    assert_eq!(conflict.err().map(|error| error.code()), Some(Code::KeyConflict));
}

/// Two engines that both have a room of Ann's in memory, and her and Bob at each.
async fn twice_the_same(limits: Limits) -> (RoomId, [(Bench, Probe, Probe); 2]) {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), limits.clone());
    let two = engine_with(store, limits);
    let (room, ann) = one.room("Ann").await;
    let bob = one.joined("Bob", room).await;
    for text in ["one", "two"] {
        ann.session.send(room, draft(text)).await.expect("sent");
    }
    let [ann_too, bob_too] = [&ann, &bob].map(|probe| two.connect_as(probe.session.user().clone()));
    for probe in [&ann_too, &bob_too] {
        probe.session.join(room, After::Nothing).await.expect("in it");
    }
    (room, [(one, ann, bob), (two, ann_too, bob_too)])
}

#[tokio::test]
async fn a_message_that_another_engine_has_is_answered_though_it_would_be_refused_by_now() {
    for kicked in [false, true] {
        let (room, [(_one, _ann, bob), (_two, ann_too, bob_too)]) =
            twice_the_same(Limits::default()).await;
        let user = bob.session.user().id;
        let sent = bob_too.session.send(room, keyed("hello", "k")).await.expect("sent");
        let act = match kicked {
            true => Moderation::Kick { user },
            false => Moderation::Mute { user, until: None },
        };
        ann_too.session.moderate(room, act).await.expect("done");
        // The first engine learns of both while the message waits.
        let again = bob.session.send(room, keyed("hello", "k")).await;
        assert_eq!(again.expect("sent before"), sent, "{act:?}");
        let other = bob.session.send(room, keyed("hello", "l")).await;
        assert!(other.is_err(), "{act:?}: {other:?}");
    }
}

#[tokio::test]
async fn a_mark_that_another_engine_has_is_answered_though_it_would_be_refused_by_now() {
    for nth in 0..3 {
        for gathered in [false, true] {
            let (room, [(one, ann, bob), (_two, ann_too, bob_too)]) =
                twice_the_same(Limits::default()).await;
            let user = bob.session.user().id;
            let since = [
                RoomCommand::Delete { seq: 1 },
                RoomCommand::Moderate(Moderation::Mute { user, until: None }),
                RoomCommand::Moderate(Moderation::Kick { user }),
            ];
            let mark = Mark::new("x").expect("a good mark");
            if gathered {
                // What comes after it waits for its time.
                ann.session.mark(room, 2, mark.clone(), true).await.expect("marked");
            }
            let command = RoomCommand::Mark { seq: 1, mark, on: true };
            assert_eq!(ask(&bob_too.session, room, command.clone(), "k").await, None);
            let since = Command::Room(room, since[nth].clone());
            ann_too.session.ask(since.clone()).await.expect("done");
            let mut again = pin!(ask(&bob.session, room, command, "k"));
            if gathered {
                assert_eq!((&mut again).now_or_never(), None, "it waits");
                one.counts(room).await.expect("counts");
                // The first engine learns of it.
                ann.session.send(room, draft("three")).await.expect("sent");
                one.clock.advance(Limits::default().marks_every);
            }
            assert_eq!(again.await, None, "{since:?}, gathered: {gathered}");
        }
    }
}

#[tokio::test]
async fn what_another_engine_has_is_answered_though_its_message_is_read_and_found_deleted() {
    // Memory has no message but the last one.
    let limits = Limits { kept_bytes: 1, ..Limits::default() };
    let (room, [(_one, ann, bob), (_two, ann_too, bob_too)]) = twice_the_same(limits).await;
    let message = || keyed("hello", "message").reply_to(1);
    let mark = RoomCommand::Mark { seq: 1, mark: Mark::new("x").expect("a good mark"), on: true };
    let sent = bob_too.session.send(room, message()).await.expect("sent");
    assert_eq!(ask(&bob_too.session, room, mark.clone(), "mark").await, None);
    assert_eq!(ask(&ann_too.session, room, edit(1, "edited"), "edit").await, None);
    ann_too.session.delete(room, 1).await.expect("deleted");
    // The first engine knows of none of it.
    let again = bob.session.send(room, message()).await;
    let marked = ask(&bob.session, room, mark, "mark").await;
    let edited = ask(&ann.session, room, edit(1, "edited"), "edit").await;
    assert_eq!((marked, edited), (None, None));
    assert_eq!(again.expect("sent before"), sent);
}

#[tokio::test]
async fn a_cursor_of_one_engine_is_good_at_the_other() {
    let memory = MemoryStore::default();
    let (store, faults) = FaultyStore::new(memory.clone());
    let (one, two) =
        (engine_with(memory, Limits::default()), engine_with(store, Limits::default()));
    let (room, ann) = one.room("Ann").await;
    let mut bob = two.joined("Bob", room).await;
    ann.session.send(room, draft("first")).await.expect("sent");
    let cursor = async |nth: usize| {
        ann.session.send(room, draft(&format!("text {nth}"))).await.expect("sent");
        let text = Text::new(format!("another {nth}")).expect("a good text");
        ann.session.edit(room, 1, text).await.expect("edited");
        ann.session.join(room, After::Nothing).await.expect("in it").cursor
    };
    // She goes over to the other one, whose room has heard of nothing; once by `resume`.
    let other = two.connect_as(ann.session.user().clone());
    let first = cursor(1).await;
    let joined = other.session.join(room, After::Cursor(first)).await.expect("in it");
    assert_eq!((joined.reset, joined.cursor), (false, first));
    assert!(joined.messages.is_empty() && joined.changes.is_empty(), "she has missed nothing");
    // Whoever was there hears of it.
    assert_eq!(bob.message().await, (1, "another 1".to_owned()), "as it is now");
    assert_eq!(bob.message().await, (2, "text 1".to_owned()));
    let second = cursor(2).await;
    let resumed = other.session.ask(Command::Resume(vec![(room, second)])).await;
    assert!(matches!(resumed, Ok(Reply::Resumed { resumed: 1, .. })), "{resumed:?}");
    // A user who is new there as well.
    let third = cursor(3).await;
    let joined = two.connect("Cyd").session.join(room, After::Cursor(third)).await.expect("in it");
    assert!(!joined.reset && joined.cursor.reaches(third));
    // What neither has is no cursor of this room, and what cannot be looked for is said.
    let joined = ann.session.join(room, After::Nothing).await.expect("in it");
    for after in [(joined.cursor.seq + 1, 0), (0, joined.cursor.change + 9), (u64::MAX >> 1, 1)] {
        let after = After::Cursor(Cursor::new(after.0, after.1));
        assert!(other.session.join(room, after).await.expect("in it").reset, "{after:?}");
    }
    let fourth = After::Cursor(cursor(4).await);
    faults.fail_all(true);
    let error = other.session.join(room, fourth).await.expect_err("it cannot be read");
    assert_eq!(error.code(), Code::Unavailable);
    faults.fail_all(false);
    assert!(!other.session.join(room, fourth).await.expect("in it").reset);
}
