//! Marks: given, taken back, counted; many at once are one change; and whoever was away finds them.

mod support;

use std::pin::pin;
use std::time::Duration;

use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, ChangeKind, ClientKey, Code, Command, Cursor, Event, HistoryAt, HistoryQuery, Limits,
    Mark, MarkerQuery, MemberQuery, MemoryStore, Message, Moderation, Role, RoomCommand, RoomId,
    Session, limits,
};
use futures_util::FutureExt;
use support::{Bench, draft, engine, engine_with, faulty, until, user};

const EVERY: Duration = Duration::from_millis(250);

fn mark(text: &str) -> Mark {
    Mark::new(text).expect("a good mark")
}

/// Lets the time pass for which marks are gathered, until something has its answer.
async fn in_time<T>(bench: &Bench, asked: impl Future<Output = T>) -> T {
    let mut asked = pin!(asked);
    loop {
        match tokio::time::timeout(Duration::from_millis(1), &mut asked).await {
            Ok(answer) => return answer,
            Err(_) => bench.clock.advance(EVERY),
        }
    }
}

async fn set(
    bench: &Bench,
    session: &Session,
    room: RoomId,
    (seq, text, on): (u64, &str, bool),
) -> Option<Code> {
    let asked = in_time(bench, session.mark(room, seq, mark(text), on)).await;
    asked.err().map(|error| error.code())
}

fn counts(message: &Message) -> Vec<(String, u64)> {
    message.marks.iter().map(|one| (one.mark.to_string(), one.count)).collect()
}

/// How a message is marked, and with what by whoever asks.
async fn shown(session: &Session, room: RoomId, seq: u64) -> (Vec<(String, u64)>, Vec<String>) {
    let query = HistoryQuery { at: HistoryAt::After(seq - 1), limit: 1 };
    let page = session.history(room, query).await.expect("a page");
    let mine = page.mine.iter().map(|(of, mark)| {
        assert_eq!(*of, seq);
        mark.to_string()
    });
    (counts(&page.messages[0]), mine.collect())
}

fn texts<const N: usize>(all: [(&str, u64); N]) -> Vec<(String, u64)> {
    all.map(|(text, count)| (text.to_owned(), count)).to_vec()
}

/// The next change of a message's marks that somebody hears of.
async fn change(probe: &mut Probe) -> (u64, Vec<(String, u64)>, Cursor) {
    probe
        .find(|event| match event {
            Event::Change { change, .. } => match &change.kind {
                ChangeKind::Marked(_, seq, marks) => {
                    let counts =
                        marks.iter().map(|one| (one.mark.to_string(), one.count)).collect();
                    Some((*seq, counts, change.cursor))
                }
                _ => None,
            },
            _ => None,
        })
        .await
}

#[tokio::test]
async fn marks_are_given_counted_and_taken_back() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    let mut phone = bench.connect_as(bob.session.user().clone());
    phone.session.join(room, After::Nothing).await.expect("in it");
    ann.session.send(room, draft("one")).await.expect("sent");
    assert_eq!(set(&bench, &bob.session, room, (1, "👍", true)).await, None);
    for probe in [&mut ann, &mut bob] {
        assert_eq!(change(probe).await, (1, texts([("👍", 1)]), Cursor::new(1, 3)));
    }
    // His other device is told that it is his.
    let own = phone.find(|event| match event {
        Event::Marked { seq, mark, on, .. } => Some((*seq, mark.to_string(), *on)),
        _ => None,
    });
    assert_eq!(own.await, (1, "👍".to_owned(), true));
    assert_eq!(set(&bench, &bob.session, room, (1, "👍", true)).await, None, "it is so already");
    assert_eq!(set(&bench, &ann.session, room, (1, "👍", true)).await, None);
    assert_eq!(set(&bench, &ann.session, room, (1, "done", true)).await, None);
    let all = texts([("done", 1), ("👍", 2)]);
    assert_eq!(shown(&ann.session, room, 1).await, (all.clone(), vec!["done".into(), "👍".into()]));
    assert_eq!(shown(&phone.session, room, 1).await, (all, vec!["👍".into()]));
    assert_eq!(set(&bench, &bob.session, room, (1, "done", false)).await, None, "it never was");
    assert_eq!(set(&bench, &ann.session, room, (1, "👍", false)).await, None);
    assert_eq!(
        shown(&ann.session, room, 1).await,
        (texts([("done", 1), ("👍", 1)]), vec!["done".into()])
    );
    let query = MarkerQuery { seq: 1, mark: mark("👍"), after: None, limit: 10 };
    let page = ann.session.markers(room, query).await.expect("a page");
    assert_eq!(page.users.iter().map(|user| user.name.to_string()).collect::<Vec<_>>(), ["Bob"]);
    assert_eq!(page.next, None);
    ann.session.delete(room, 1).await.expect("deleted");
    assert_eq!(shown(&ann.session, room, 1).await, (vec![], vec![]));
}

#[tokio::test]
async fn what_cannot_be_marked_is_said() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let (bob, eve) = (bench.joined("Bob", room).await, bench.connect("Eve"));
    for said in ["one", "two"] {
        ann.session.send(room, draft(said)).await.expect("sent");
    }
    ann.session.delete(room, 2).await.expect("deleted");
    for (session, seq, code) in [
        (&bob.session, 0, Code::NoSuchMessage),
        (&bob.session, 3, Code::NoSuchMessage),
        (&bob.session, 2, Code::MessageDeleted),
        (&eve.session, 1, Code::NotAMember),
    ] {
        assert_eq!(set(&bench, session, room, (seq, "x", true)).await, Some(code), "{seq}");
    }
    let query = |seq| MarkerQuery { seq, mark: mark("x"), after: None, limit: 1 };
    assert!(eve.session.markers(room, query(1)).await.is_err());
    assert!(bob.session.markers(room, query(9)).await.is_err());
    assert_eq!(Mark::new("x".repeat(10_240)).unwrap_err().code(), Code::TooLong);
    assert_eq!(Mark::new(" ").unwrap_err().code(), Code::Empty);
    assert_eq!(Mark::new("a\nb").unwrap_err().code(), Code::BadText);
    let mute = Moderation::Mute { user: bob.session.user().id, until: None };
    ann.session.moderate(room, mute).await.expect("muted");
    assert_eq!(set(&bench, &bob.session, room, (1, "x", true)).await, Some(Code::Muted));
    assert_eq!(shown(&ann.session, room, 1).await.0, []);
}

#[tokio::test]
async fn a_message_has_so_many_marks_and_no_more() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    let names: Vec<_> = (0..limits::MARKS).map(|nth| format!("mark {nth}")).collect();
    // At once, so that those count that are not written yet.
    let mut probes = Vec::new();
    for own in names.chunks(limits::OWN_MARKS) {
        let probe = bench.joined("Somebody", room).await;
        let asked = own.iter().map(|name| probe.session.mark(room, 1, mark(name), true));
        let answers = in_time(&bench, futures_util::future::join_all(asked)).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let own = probe.session.mark(room, 1, mark("one too many"), true).await;
        assert_eq!(own.err().map(|error| error.code()), Some(Code::TooMany));
        probes.push(probe);
    }
    assert_eq!(set(&bench, &ann.session, room, (1, "new", true)).await, Some(Code::TooMany));
    assert_eq!(
        set(&bench, &ann.session, room, (1, "mark 0", true)).await,
        None,
        "one that is there"
    );
    assert_eq!(set(&bench, &probes[1].session, room, (1, "mark 10", false)).await, None);
    assert_eq!(set(&bench, &ann.session, room, (1, "new", true)).await, None, "in its place");
    assert_eq!(shown(&ann.session, room, 1).await.0.len(), limits::MARKS);
}

#[tokio::test]
async fn a_crowd_that_marks_at_once_is_told_together() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    ann.session.send(room, draft("two")).await.expect("sent");
    let mut crowd = Vec::new();
    for nth in 0..30 {
        crowd.push(bench.joined(&format!("User {nth}"), room).await);
    }
    let before = ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    // The first is written at once, and what comes after it waits for its time.
    crowd[0].session.mark(room, 1, mark("x"), true).await.expect("marked");
    let here = bench.engine.room(room);
    let users: Vec<_> = crowd[1..].iter().map(|probe| probe.session.user()).collect();
    for (seq, text) in [(1, "x"), (2, "y")] {
        let command = || RoomCommand::Mark { seq, mark: mark(text), on: true };
        let asked = users.iter().map(|user| here.ask(user, command()));
        let mut asked = pin!(futures_util::future::join_all(asked));
        // All of it has come to the room before any time passes.
        assert!((&mut asked).now_or_never().is_none());
        bench.counts(room).await.expect("it is there");
        let answers = in_time(&bench, asked).await;
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(shown(&ann.session, room, 1).await.0, texts([("x", 30)]));
    let after = ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    let changes = after.change - before.change;
    // Of the second message, too, the first may have been written at once.
    assert!((3..=4).contains(&changes), "59 marks were {changes} changes");
    let mut last = [(); 2].map(|()| vec![]);
    for _ in 0..changes {
        let (seq, counts, _) = change(&mut ann).await;
        last[seq as usize - 1] = counts;
    }
    assert_eq!(last, [texts([("x", 30)]), texts([("y", 29)])]);
}

#[tokio::test]
async fn whoever_comes_back_finds_how_messages_are_marked() {
    for kept in [256, 0] {
        let limits = Limits { kept_bytes: kept * 1_024, kept_marks: kept, ..Limits::default() };
        let bench = engine_with(MemoryStore::default(), limits);
        let (room, ann) = bench.room("Ann").await;
        let bob = bench.joined("Bob", room).await;
        for said in ["one", "two", "three"] {
            ann.session.send(room, draft(said)).await.expect("sent");
        }
        let away = bob.session.join(room, After::Nothing).await.expect("in it").cursor;
        let marks = [(1, "x", true), (2, "y", true), (1, "z", true), (1, "x", false)];
        for one in marks {
            assert_eq!(set(&bench, &bob.session, room, one).await, None, "{one:?}");
        }
        assert_eq!(set(&bench, &ann.session, room, (2, "y", true)).await, None);
        ann.session.send(room, draft("four")).await.expect("sent");
        assert_eq!(set(&bench, &ann.session, room, (4, "w", true)).await, None);
        let joined = bob.session.join(room, After::Cursor(away)).await.expect("back");
        let mut told = std::collections::BTreeMap::new();
        for change in &joined.changes {
            if let ChangeKind::Marked(_, seq, marks) = &change.kind {
                told.insert(
                    *seq,
                    marks.iter().map(|one| (one.mark.to_string(), one.count)).collect(),
                );
            }
        }
        let expected = [(1, texts([("z", 1)])), (2, texts([("y", 2)])), (4, texts([("w", 1)]))];
        assert_eq!(told.into_iter().collect::<Vec<(u64, Vec<_>)>>(), expected, "kept {kept}");
        assert_eq!(counts(&joined.messages[0]), texts([("w", 1)]));
        let mine: Vec<_> = joined.mine.iter().map(|(seq, mark)| (*seq, mark.to_string())).collect();
        assert_eq!(mine, [(1, "z".to_owned()), (2, "y".to_owned())], "kept {kept}");
        assert_eq!(shown(&ann.session, room, 2).await, (texts([("y", 2)]), vec!["y".into()]));
        assert_eq!(shown(&bob.session, room, 1).await, (texts([("z", 1)]), vec!["z".into()]));
    }
}

#[tokio::test]
async fn marks_of_rooms_that_are_loaded_anew_are_known() {
    let store = MemoryStore::default();
    let first = engine_with(store.clone(), Limits::default());
    let (room, ann) = first.room("Ann").await;
    let owner = ann.session.user().clone();
    ann.session.send(room, draft("one")).await.expect("sent");
    assert_eq!(set(&first, &ann.session, room, (1, "x", true)).await, None);
    first.engine.stop().await;
    let second = engine_with(store, Limits::default());
    let ann = second.connect_as(owner);
    ann.session.join(room, After::Nothing).await.expect("in it");
    // It has looked which rooms are ephemeral, and read this one.
    until("it has begun", async || second.engine.stats().store.reads == 2).await;
    assert_eq!(set(&second, &ann.session, room, (1, "x", true)).await, None, "it is so already");
    assert_eq!(shown(&ann.session, room, 1).await, (texts([("x", 1)]), vec!["x".into()]));
    assert_eq!(second.engine.stats().store.reads, 2, "from memory");
}

#[tokio::test]
async fn another_engines_marks_are_seen() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, ann) = one.room("Ann").await;
    let bob = two.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    bob.session.send(room, draft("two")).await.expect("sent");
    for _ in 0..3 {
        assert_eq!(set(&one, &ann.session, room, (1, "x", true)).await, None);
        assert_eq!(set(&two, &bob.session, room, (1, "x", true)).await, None);
        assert_eq!(set(&one, &ann.session, room, (1, "y", true)).await, None);
        assert_eq!(set(&two, &bob.session, room, (1, "y", true)).await, None);
        assert_eq!(set(&one, &ann.session, room, (1, "z", true)).await, None);
        let all = texts([("x", 2), ("y", 2), ("z", 1)]);
        assert_eq!(shown(&ann.session, room, 1).await.0, all);
        for text in ["x", "y"] {
            assert_eq!(set(&two, &bob.session, room, (1, text, false)).await, None);
        }
        assert_eq!(
            shown(&bob.session, room, 1).await,
            (texts([("x", 1), ("y", 1), ("z", 1)]), vec![])
        );
        for text in ["x", "y", "z"] {
            assert_eq!(set(&one, &ann.session, room, (1, text, false)).await, None);
        }
        assert_eq!(shown(&ann.session, room, 1).await, (vec![], vec![]));
    }
}

#[tokio::test]
async fn a_mark_has_one_effect_and_failures_have_none() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    let once = async |text: &str, on: bool, key: &str| {
        bench.clock.advance(EVERY);
        let command = RoomCommand::Mark { seq: 1, mark: mark(text), on };
        let command = command.once(ClientKey::new(key).expect("a good key"));
        let asked = ann.session.ask(Command::Room(room, command)).await;
        asked.err().map(|error| error.code())
    };
    faults.fail_commits(1);
    assert_eq!(once("x", true, "k").await, Some(Code::Unavailable));
    assert_eq!(shown(&ann.session, room, 1).await.0, []);
    assert_eq!(once("x", true, "k").await, None);
    assert_eq!(once("x", false, "l").await, None);
    assert_eq!(once("x", true, "k").await, None, "the first answer");
    assert_eq!(shown(&ann.session, room, 1).await.0, [], "and no second effect");
    assert_eq!(once("y", true, "k").await, Some(Code::KeyConflict));
}

/// Asks for something, and waits until the room has heard of it.
async fn begin<T>(session: &Session, room: RoomId, asked: &mut (impl Future<Output = T> + Unpin)) {
    assert!(asked.now_or_never().is_none(), "it waits");
    // What a session asks is dealt with in order.
    let query = MemberQuery { after: None, limit: 1, online: false };
    session.members(room, query).await.expect("a page");
}

#[tokio::test]
async fn what_waits_is_not_said_to_be_marked_before_it_is_kept() {
    for (text, on) in [("new", true), ("old", false)] {
        let (bench, faults) = faulty();
        let (room, ann) = bench.room("Ann").await;
        ann.session.send(room, draft("one")).await.expect("sent");
        assert_eq!(set(&bench, &ann.session, room, (1, "old", true)).await, None);
        bench.clock.advance(EVERY);
        faults.hold_commits(true);
        let mut first = pin!(ann.session.mark(room, 1, mark(text), on));
        begin(&ann.session, room, &mut first).await;
        until("it is being written", async || faults.held_commits() == 1).await;
        // From another of her devices, say.
        let mut second = pin!(ann.session.mark(room, 1, mark(text), on));
        begin(&ann.session, room, &mut second).await;
        faults.fail_commits(1);
        faults.hold_commits(false);
        assert_eq!(first.await.err().map(|error| error.code()), Some(Code::Unavailable));
        in_time(&bench, second).await.expect("done");
        let expected: &[_] = if on { &["new", "old"] } else { &[] };
        assert_eq!(shown(&ann.session, room, 1).await.1, expected, "{text}");
    }
}

#[tokio::test]
async fn marks_that_are_forgotten_while_their_message_is_read_are_read_as_well() {
    for on in [true, false] {
        let (store, faults) = FaultyStore::new(MemoryStore::default());
        // Memory holds one mark, and no message.
        let limits = Limits { kept_bytes: 0, kept_marks: 1, ..Limits::default() };
        let bench = engine_with(store, limits);
        let (room, ann) = bench.room("Ann").await;
        let mut bob = bench.joined("Bob", room).await;
        let session = bob.session.clone();
        for said in ["one", "two"] {
            ann.session.send(room, draft(said)).await.expect("sent");
        }
        assert_eq!(set(&bench, &session, room, (1, "x", true)).await, None);
        bench.clock.advance(EVERY);
        faults.hold_commits(true);
        let mut other = pin!(ann.session.mark(room, 2, mark("y"), true));
        begin(&ann.session, room, &mut other).await;
        until("it is being written", async || faults.held_commits() == 1).await;
        faults.hold_reads(true);
        let mut his = pin!(session.mark(room, 1, mark(if on { "z" } else { "x" }), on));
        assert!((&mut his).now_or_never().is_none());
        until("the message is being read", async || faults.held_reads() == 1).await;
        faults.hold_commits(false);
        in_time(&bench, other).await.expect("marked");
        faults.hold_reads(false);
        in_time(&bench, his).await.expect("done");
        let expected = if on { texts([("x", 1), ("z", 1)]) } else { vec![] };
        assert_eq!(shown(&ann.session, room, 1).await.0, expected);
        let told = [change(&mut bob).await, change(&mut bob).await, change(&mut bob).await];
        assert_eq!(told.map(|(_, counts, _)| counts)[2], expected);
    }
}

#[tokio::test]
async fn whoever_leaves_takes_back_its_own_marks_alone() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    // The first is written at once, and what comes after it waits for its time.
    ann.session.mark(room, 1, mark("x"), true).await.expect("marked");
    let mut hers = pin!(ann.session.mark(room, 1, mark("y"), true));
    begin(&ann.session, room, &mut hers).await;
    let mut his = pin!(bob.session.mark(room, 1, mark("y"), true));
    begin(&bob.session, room, &mut his).await;
    bob.session.leave(room).await.expect("left");
    in_time(&bench, hers).await.expect("marked");
    assert_eq!(his.await.err().map(|error| error.code()), Some(Code::NotAMember));
    assert_eq!(shown(&ann.session, room, 1).await.0, texts([("x", 1), ("y", 1)]));
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_not_marked() {
    for kept_bytes in [usize::MAX, 0] {
        for held in [false, true] {
            let (store, faults) = FaultyStore::new(MemoryStore::default());
            let bench = engine_with(store, Limits { kept_bytes, ..Limits::default() });
            let (room, mut ann) = bench.room("Ann").await;
            let bob = bench.joined("Bob", room).await;
            ann.session.send(room, draft("one")).await.expect("sent");
            ann.session.mark(room, 1, mark("x"), true).await.expect("marked");
            assert_eq!(change(&mut ann).await.1, texts([("x", 1)]));
            let mut his = pin!(bob.session.mark(room, 1, mark("y"), true));
            begin(&bob.session, room, &mut his).await;
            // The deletion is committed, or on its way.
            faults.hold_commits(held);
            let session = ann.session.clone();
            let mut deletion = pin!(session.delete(room, 1));
            if held {
                assert!((&mut deletion).now_or_never().is_none());
                until("it is being written", async || faults.held_commits() == 1).await;
            } else {
                (&mut deletion).await.expect("deleted");
            }
            let his = in_time(&bench, his).await;
            assert_eq!(his.err().map(|error| error.code()), Some(Code::MessageDeleted));
            if held {
                faults.hold_commits(false);
                deletion.await.expect("deleted");
            }
            session.ask(Command::Ping).await.expect("an answer");
            let marked = |event: &Event| {
                let Event::Change { change, .. } = event else { return false };
                matches!(change.kind, ChangeKind::Marked(..))
            };
            assert!(!ann.waiting().iter().any(|event| marked(event)), "nothing is told of it");
            assert_eq!(shown(&session, room, 1).await, (vec![], vec![]));
        }
    }
}

#[tokio::test]
async fn a_mark_that_is_just_kept_can_be_taken_back() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let (elsewhere, cyd) = bench.room("Cyd").await;
    let bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    // The first is written at once, and what comes after it waits for its time.
    ann.session.mark(room, 1, mark("y"), true).await.expect("marked");
    // What is written meanwhile is one commit, which comes after this one.
    faults.hold_commits(true);
    let mut other = pin!(cyd.session.send(elsewhere, draft("two")));
    assert!((&mut other).now_or_never().is_none());
    until("it is being written", async || faults.held_commits() == 1).await;
    let mut given = pin!(bob.session.mark(room, 1, mark("x"), true));
    begin(&bob.session, room, &mut given).await;
    let role = Moderation::Role { user: bob.session.user().id, role: Role::Moderator };
    let mut promoted = pin!(ann.session.moderate(room, role));
    assert!((&mut promoted).now_or_never().is_none());
    until("his role waits", async || bench.engine.stats().waiting_writes == 2).await;
    bench.clock.advance(EVERY);
    until("his mark waits", async || bench.engine.stats().waiting_writes == 3).await;
    let mut taken_back = pin!(bob.session.mark(room, 1, mark("x"), false));
    assert!((&mut taken_back).now_or_never().is_none(), "it waits for his role");
    bench.counts(room).await.expect("counts");
    faults.hold_commits(false);
    other.await.expect("sent");
    promoted.await.expect("promoted");
    given.await.expect("marked");
    in_time(&bench, taken_back).await.expect("taken back");
    assert_eq!(shown(&bob.session, room, 1).await, (texts([("y", 1)]), vec![]));
}

#[tokio::test]
async fn a_mark_that_is_looked_at_again_can_be_taken_back() {
    let memory = MemoryStore::default();
    let (store, faults) = FaultyStore::new(memory.clone());
    let one = engine_with(store, Limits::default());
    let two = engine_with(memory, Limits::default());
    let (room, ann) = one.room("Ann").await;
    let bob = one.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    ann.session.mark(room, 1, mark("y"), true).await.expect("marked");
    let ann_too = two.connect_as(ann.session.user().clone());
    ann_too.session.join(room, After::Nothing).await.expect("in it");
    let mut given = pin!(bob.session.mark(room, 1, mark("x"), true));
    begin(&bob.session, room, &mut given).await;
    faults.hold_commits(true);
    let role = Moderation::Role { user: bob.session.user().id, role: Role::Moderator };
    let mut promoted = pin!(ann.session.moderate(room, role));
    assert!((&mut promoted).now_or_never().is_none());
    until("his role is being written", async || faults.held_commits() == 1).await;
    one.clock.advance(EVERY);
    until("his mark waits", async || one.engine.stats().waiting_writes == 2).await;
    let mut taken_back = pin!(bob.session.mark(room, 1, mark("x"), false));
    assert!((&mut taken_back).now_or_never().is_none(), "it waits for his role");
    one.counts(room).await.expect("counts");
    // He has the role when this engine would give it to him, and goes on at once.
    ann_too.session.moderate(room, role).await.expect("promoted");
    faults.hold_commits(false);
    promoted.await.expect("promoted");
    given.await.expect("marked");
    in_time(&one, taken_back).await.expect("taken back");
    assert_eq!(shown(&bob.session, room, 1).await, (texts([("y", 1)]), vec![]));
}

#[tokio::test]
async fn another_engines_marks_count_with_those_that_wait() {
    let store = MemoryStore::default();
    let one = engine_with(store.clone(), Limits::default());
    let two = engine_with(store, Limits::default());
    let (room, ann) = one.room("Ann").await;
    let bob = two.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    bob.session.send(room, draft("two")).await.expect("sent");
    ann.session.mark(room, 1, mark("x"), true).await.expect("marked");
    let mut hers = pin!(ann.session.mark(room, 1, mark("y"), true));
    begin(&ann.session, room, &mut hers).await;
    assert_eq!(set(&two, &bob.session, room, (1, "z", true)).await, None);
    // This engine hears of it before it writes what waits.
    ann.session.send(room, draft("three")).await.expect("sent");
    in_time(&one, hers).await.expect("marked");
    let all = texts([("x", 1), ("y", 1), ("z", 1)]);
    assert_eq!(shown(&ann.session, room, 1).await, (all, vec!["x".into(), "y".into()]));
}

#[tokio::test]
async fn whoever_is_kicked_marks_nothing_any_more() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("one")).await.expect("sent");
    // The first is written, the next one waits for its time.
    bob.session.mark(room, 1, mark("x"), true).await.expect("marked");
    let late = bob.session.mark(room, 1, mark("y"), true);
    let kick = async {
        let user = bob.session.user().id;
        ann.session.moderate(room, Moderation::Kick { user }).await.expect("kicked");
        bench.clock.advance(EVERY);
    };
    let (late, ()) = tokio::join!(late, kick);
    assert_eq!(late.err().map(|error| error.code()), Some(Code::NotAMember));
    assert_eq!(shown(&ann.session, room, 1).await.0, texts([("x", 1)]));
    assert_eq!(user("nobody").name.to_string(), "nobody");
}
