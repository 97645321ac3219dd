//! G1 order, G2 durable, G3 one effect: what is acknowledged and shown, and when.

mod support;

use chat_core::{After, Code, Event, HistoryAt, HistoryQuery, Limits, MemoryStore, RoomCommand};
use futures_util::future::join_all;
use support::{Bench, draft, engine, engine_with, faulty, keyed, until};

/// Every message of a room, page by page.
async fn all(bench: &Bench, room: chat_core::RoomId) -> Vec<(u64, String)> {
    let reader = bench.connect("reader");
    reader.session.join(room, After::Nothing).await.expect("in it");
    let (mut messages, mut after) = (Vec::new(), 0);
    loop {
        let query = HistoryQuery { at: HistoryAt::After(after), limit: 200 };
        let page = reader.session.history(room, query).await.expect("a page");
        messages.extend(page.messages.iter().map(|m| (m.seq, m.text().to_owned())));
        if !page.more_after {
            return messages;
        }
        after = messages.last().map_or(0, |(seq, _)| *seq);
    }
}

#[tokio::test]
async fn sixty_four_senders_and_a_restart_leave_no_gap_and_no_double() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, mut reader) = bench.room("Ann").await;
    let mut other = bench.joined("Bob", room).await;
    let send = async |bench: &Bench, part: usize| {
        let senders = (0..64).map(|sender| async move {
            let guest = bench.joined(&format!("sender {sender}"), room).await;
            for n in 0..10 {
                let text = format!("{part}.{sender}.{n}");
                guest.session.send(room, draft(&text)).await.expect("sent");
            }
        });
        join_all(senders).await;
    };
    send(&bench, 1).await;
    let mut seen = Vec::new();
    for seq in 1..=640 {
        let message = reader.message().await;
        assert_eq!(message.0, seq);
        assert_eq!(other.message().await, message, "both hear the same");
        seen.push(message);
    }
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    send(&bench, 2).await;
    let stored = all(&bench, room).await;
    assert_eq!(
        stored.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        (1..=1_280).collect::<Vec<_>>()
    );
    assert_eq!(stored[..640], seen, "what was shown is what is stored");
    let mut texts: Vec<_> = stored.into_iter().map(|(_, text)| text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 1_280, "nothing twice");
}

#[tokio::test]
async fn nothing_is_shown_or_answered_before_the_commit() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    bob.waiting();
    faults.hold_commits(true);
    let session = ann.session.clone();
    let sending = tokio::spawn(async move { session.send(room, draft("soon")).await });
    until("the commit waits", async || faults.held_commits() == 1).await;
    // The room goes on while the store does not: it answers questions and takes more.
    bob.session.typing(room, true).await.expect("the room does not wait");
    while !matches!(&*bob.event().await, Event::Typing { on: true, .. }) {}
    let latest = HistoryQuery { at: HistoryAt::End, limit: 10 };
    assert!(bob.session.history(room, latest).await.expect("a page").messages.is_empty());
    let shown = bob.waiting().iter().any(|event| matches!(**event, Event::Message { .. }));
    assert!(!sending.is_finished() && !shown);
    faults.hold_commits(false);
    let sent = sending.await.expect("no panic").expect("sent");
    assert_eq!(bob.message().await, (sent.seq, "soon".into()));
    assert_eq!(ann.message().await, (1, "soon".into()));
}

#[tokio::test]
async fn what_queues_while_a_commit_runs_is_the_next_commit() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    faults.hold_commits(true);
    let session = ann.session.clone();
    let sending = tokio::spawn(async move {
        join_all((0..50).map(|n| session.send(room, draft(&n.to_string())))).await
    });
    until("one commit waits", async || faults.held_commits() == 1).await;
    until("the others queue", async || bench.engine.stats().waiting_writes == 50).await;
    let before = bench.engine.stats().store.writes;
    faults.hold_commits(false);
    assert!(sending.await.expect("no panic").iter().all(Result::is_ok));
    assert!(bench.engine.stats().store.writes - before <= 2, "50 messages in a commit or two");
    assert!(faults.largest_commit() >= 25);
}

#[tokio::test]
async fn a_failing_store_is_unavailable_and_shows_nothing() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("one")).await.expect("sent");
    faults.fail_commits(1);
    let error = ann.session.send(room, keyed("two", "k")).await.expect_err("the commit failed");
    assert_eq!((error.code(), error.code().retry()), (Code::Unavailable, true));
    faults.fail_all(true);
    let error = ann.session.send(room, keyed("two", "k")).await.expect_err("all fails");
    assert_eq!(error.code(), Code::Unavailable);
    let joining = bench.connect("Bob").session.join(room, After::Nothing).await;
    assert_eq!(joining.expect_err("cannot be stored").code(), Code::Unavailable);
    faults.fail_all(false);
    assert_eq!(ann.session.send(room, keyed("two", "k")).await.expect("sent").seq, 2);
    assert_eq!(ann.message().await, (1, "one".into()));
    assert_eq!(ann.message().await, (2, "two".into()), "shown once, after the commit");
    assert_eq!(all(&bench, room).await.len(), 2);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_takes_effect_once() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    faults.lose_answers(1);
    let error = ann.session.send(room, keyed("once", "k")).await.expect_err("nobody knows");
    assert_eq!(error.code(), Code::Unavailable);
    // Asked again, it was there all along.
    assert_eq!(ann.session.send(room, keyed("once", "k")).await.expect("sent").seq, 1);
    assert_eq!(ann.session.send(room, draft("next")).await.expect("sent").seq, 2);
    assert_eq!(ann.message().await, (1, "once".into()));
    assert_eq!(ann.message().await, (2, "next".into()));
    // It is shown even if nobody asks again, as soon as the store can be read.
    faults.lose_answers(1);
    faults.hold_reads(true);
    let error = ann.session.send(room, draft("nobody asks")).await.expect_err("nobody knows");
    assert_eq!(error.code(), Code::Unavailable);
    until("the room looks", async || faults.held_reads() == 1).await;
    faults.fail_all(true);
    faults.hold_reads(false);
    let second = std::time::Duration::from_secs(1);
    until("it will look again", async || bench.clock.sleepers(second) == 1).await;
    faults.fail_all(false);
    bench.clock.advance(second);
    assert_eq!(ann.message().await, (3, "nobody asks".into()));
    // A membership too.
    faults.lose_answers(1);
    let bob = bench.connect("Bob");
    bob.session.join(room, After::Nothing).await.expect_err("nobody knows");
    let joined = bob.session.join(room, After::Nothing).await.expect("in it");
    assert_eq!(joined.room.counts.members, 2);
    assert_eq!(joined.cursor.change, 2, "written once");
    ann.session.send(room, draft("last")).await.expect("sent");
    let mut told = 0;
    loop {
        match &*ann.event().await {
            Event::Change { .. } => told += 1,
            Event::Message { .. } => break,
            _ => {}
        }
    }
    assert_eq!(told, 1, "told once");
    // And a leaving.
    faults.lose_answers(1);
    bob.session.leave(room).await.expect_err("nobody knows");
    if let Err(again) = bob.session.leave(room).await {
        assert_eq!(again.code(), Code::NotAMember, "the room may have found out by itself");
    }
    let back = ann.session.join(room, After::Nothing).await.expect("in it");
    assert_eq!((back.cursor.change, back.room.counts.members), (3, 1));
}

#[tokio::test]
async fn a_key_takes_effect_once() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, ann) = bench.room("Ann").await;
    let user = ann.session.user().clone();
    let first = ann.session.send(room, keyed("hi", "k")).await.expect("sent");
    let again = ann.session.send(room, keyed("hi", "k")).await.expect("sent");
    assert_eq!(first, again);
    let other = ann.session.send(room, keyed("ho", "k")).await.expect_err("another message");
    assert_eq!((other.code(), other.at_field()), (Code::KeyConflict, Some("key")));
    let bob = bench.joined("Bob", room).await;
    assert_eq!(bob.session.send(room, keyed("ho", "k")).await.expect("his own key").seq, 2);
    // Another connection, without one, and after a restart: the first answer still.
    let handle = bench.engine.room(room);
    assert_eq!(handle.send(&user, keyed("hi", "k")).await.expect("sent"), first);
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let ann = bench.connect_as(user);
    assert_eq!(ann.session.send(room, keyed("hi", "k")).await.expect("sent"), first);
    let other = ann.session.send(room, keyed("ho", "k")).await.expect_err("another message");
    assert_eq!(other.code(), Code::KeyConflict);
    assert_eq!(all(&bench, room).await.len(), 2);
}

#[tokio::test]
async fn the_same_key_sent_many_times_at_once_is_one_message() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    faults.hold_commits(true);
    let sends: Vec<_> = (0..20)
        .map(|n| {
            let session = ann.session.clone();
            let text = if n == 19 { "other" } else { "same" };
            tokio::spawn(async move { session.send(room, keyed(text, "k")).await })
        })
        .collect();
    until("a commit waits", async || faults.held_commits() == 1).await;
    faults.hold_commits(false);
    let results = join_all(sends).await.into_iter().map(|sent| sent.expect("no panic"));
    let (sent, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    let seqs: Vec<_> = sent.iter().flatten().map(|sent| sent.seq).collect();
    assert!(seqs.iter().all(|seq| *seq == 1), "{seqs:?}");
    assert!(!refused.is_empty());
    assert_eq!(all(&bench, room).await.len(), 1);
}

#[tokio::test]
async fn only_members_write_and_a_leaver_no_more() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.connect("Bob");
    let refused = bob.session.send(room, draft("hi")).await.expect_err("not a member");
    assert_eq!(refused.code(), Code::NotAMember);
    bob.session.join(room, After::Nothing).await.expect("in it");
    bob.session.send(room, draft("hi")).await.expect("sent");
    // Said in one breath: nothing of his is written after he has left.
    let (left, sent) = tokio::join!(bob.session.leave(room), bob.session.send(room, draft("bye")));
    left.expect("left");
    assert_eq!(sent.expect_err("after leaving").code(), Code::NotAMember);
    let gone = bench
        .engine
        .room(chat_core::RoomId::new())
        .ask(ann.session.user(), RoomCommand::View)
        .await;
    assert_eq!(gone.expect_err("no such room").code(), Code::NoSuchRoom);
}

#[tokio::test]
async fn every_queue_says_busy_when_it_is_full() {
    let (store, faults) = chat_core::testkit::FaultyStore::new(MemoryStore::default());
    let limits = Limits { room_writes: 4, session_commands: 8, ..Limits::default() };
    let bench = engine_with(store, limits);
    let (room, ann) = bench.room("Ann").await;
    faults.hold_commits(true);
    let sends: Vec<_> = (0..20)
        .map(|n| {
            let session = ann.session.clone();
            tokio::spawn(async move { session.send(room, draft(&n.to_string())).await })
        })
        .collect();
    // Four wait for the store, all others have their answer.
    until("all but four are answered", async || {
        sends.iter().filter(|send| send.is_finished()).count() == 16
    })
    .await;
    faults.hold_commits(false);
    let results = join_all(sends).await.into_iter().map(|sent| sent.expect("no panic"));
    let (sent, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    assert_eq!(sent.len(), 4, "what was taken was written");
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!((error.code(), error.code().retry()), (Code::Busy, true));
    }
    ann.session.send(room, draft("room again")).await.expect("sent");
}

#[tokio::test]
async fn a_commit_carries_all_that_came_before_it_began() {
    let (bench, faults) = faulty();
    let (first, ann) = bench.room("Ann").await;
    let (second, bob) = bench.room("Bob").await;
    faults.hold_commits(true);
    let held = ann.session.send(first, draft("holds the store up"));
    let others = async {
        until("the first commit has begun", async || faults.held_commits() == 1).await;
        // The first of these is what the room goes to the journal with; all wait for the same commit.
        let sends = (0..10).map(|n| bob.session.send(second, draft(&format!("number {n}"))));
        let waiting = async {
            until("all have come", async || bench.engine.stats().waiting_writes == 11).await;
            faults.hold_commits(false);
        };
        futures_util::future::join(join_all(sends), waiting).await.0
    };
    let (held, others) = futures_util::future::join(held, others).await;
    held.expect("sent");
    let seqs: Vec<_> = others.into_iter().map(|sent| sent.expect("sent").seq).collect();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    assert_eq!(faults.largest_commit(), 10);
}
