//! Threads: a message has one, its room is like any other, and the parent shows what it has come to. Who may do
//! what there: `thread_access.rs`.

mod support;

use std::pin::pin;

use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, ChangeKind, Code, Command, Event, Kind, Limits, Mark, MemoryStore, NewRoom,
    OwnRoomQuery, Parent, ReadPosition, Role, RoomId, Text, ThreadQuery, User,
};
use futures_util::FutureExt;
use support::threads::{Scene, code, follow, followers, scene, shown, thread, told, told_of};
use support::{draft, engine, engine_with, faulty, keyed, until};

#[tokio::test]
async fn a_message_has_one_thread_however_many_open_it_and_how_often() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("what do you think?")).await.expect("sent");
    let mut crowd = Vec::new();
    for nth in 0..20 {
        crowd.push(bench.joined(&format!("User {nth}"), room).await);
    }
    let opening = crowd.iter().map(|one| one.session.open_thread(room, 1));
    let opened = futures_util::future::join_all(opening).await;
    let opened: Vec<_> = opened.into_iter().map(|view| view.expect("a thread")).collect();
    let first = &opened[0].info;
    assert_eq!(first.parent, Some(Parent { room, seq: 1 }));
    assert_eq!((first.kind, first.title.clone(), first.ephemeral), (Kind::Thread, None, false));
    assert!(opened.iter().all(|view| view.info == *first));
    assert_eq!(opened[0].counts.members, 2, "who opened it, and the author");
    let again = ann.session.open_thread(room, 1).await.expect("the same");
    assert_eq!(again.info, *first);
    until("the message says so", async || {
        shown(&ann.session, room, 1).await.is_some_and(|thread| thread.room == first.id)
    })
    .await;
    let again = ann.session.open_thread(room, 1).await.expect("the same");
    assert_eq!(again.info, *first);
    // It is in no list.
    assert_eq!(
        bench
            .engine
            .rooms(&chat_core::RoomQuery { limit: 9, ..Default::default() })
            .await
            .expect("a list")
            .len(),
        1
    );
}

#[tokio::test]
async fn two_engines_on_one_store_open_the_same_thread() {
    let store = MemoryStore::default();
    let (one, other) =
        (engine_with(store.clone(), Limits::default()), engine_with(store, Limits::default()));
    let (room, ann) = one.room("Ann").await;
    ann.session.send(room, draft("what do you think?")).await.expect("sent");
    let bob = other.joined("Bob", room).await;
    let (hers, his) =
        tokio::join!(ann.session.open_thread(room, 1), bob.session.open_thread(room, 1));
    let thread = hers.expect("a thread").info.id;
    assert_eq!(his.expect("a thread").info.id, thread);
    // Both write in it, and numbers stay without a gap.
    follow(&ann, thread).await;
    follow(&bob, thread).await;
    for nth in 1..=10 {
        let session = if nth % 2 == 0 { &ann.session } else { &bob.session };
        assert_eq!(session.send(thread, draft("yes")).await.expect("sent").seq, nth);
    }
}

#[tokio::test]
async fn whom_another_engine_has_let_into_both_rooms_stays_in_the_thread() {
    let store = MemoryStore::default();
    let (one, other) =
        (engine_with(store.clone(), Limits::default()), engine_with(store, Limits::default()));
    let (room, ann) = one.room("Ann").await;
    let thread = thread(&ann, room).await;
    ann.session.send(thread, draft("one")).await.expect("sent");
    // This engine's room does not know Bob when its thread hears of him.
    let bob = other.joined("Bob", room).await;
    follow(&bob, thread).await;
    ann.session.send(thread, draft("two")).await.expect("sent");
    until("he is known here", async || followers(&ann.session, thread).await.len() == 2).await;
    let view = one.engine.room(room);
    until("also in the room", async || {
        view.view(ann.session.user()).await.expect("a view").counts.members == 2
    })
    .await;
    ann.session.send(thread, draft("three")).await.expect("sent");
    bob.session.send(thread, draft("four")).await.expect("he is a follower still");
    assert_eq!(followers(&bob.session, thread).await.len(), 2);
    // Whoever has gone from the room over there is known to have, as soon as that is read here.
    bob.session.leave(room).await.expect("left");
    ann.session.send(room, draft("hello")).await.expect("sent");
    until("he is gone here", async || followers(&ann.session, thread).await.len() == 1).await;
    // And that he is back, likewise; also if the thread hears of it first.
    for n in 0..3 {
        bob.session.join(room, After::Nothing).await.expect("in it");
        follow(&bob, thread).await;
        ann.session.send(thread, draft("five")).await.expect("sent");
        until("he is known here", async || followers(&ann.session, thread).await.len() == 2).await;
        ann.session.send(thread, draft("six")).await.expect("sent");
        bob.session.send(thread, draft("seven")).await.expect("he is a follower still");
        assert_eq!(followers(&bob.session, thread).await.len(), 2, "time {n}");
        bob.session.leave(room).await.expect("left");
        ann.session.send(room, draft("hello")).await.expect("sent");
        until("he is gone here", async || followers(&ann.session, thread).await.len() == 1).await;
    }
}

#[tokio::test]
async fn what_there_is_no_thread_on() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let on = async |seq| code(ann.session.open_thread(room, seq).await);
    assert_eq!(on(1).await, Some(Code::NoSuchMessage));
    ann.session.send(room, draft("one")).await.expect("sent");
    ann.session.send(room, draft("two")).await.expect("sent");
    assert_eq!([on(0).await, on(3).await, on(u64::MAX).await], [Some(Code::NoSuchMessage); 3]);
    ann.session.delete(room, 2).await.expect("deleted");
    assert_eq!(on(2).await, Some(Code::MessageDeleted));
    let thread = ann.session.open_thread(room, 1).await.expect("a thread").info.id;
    follow(&ann, thread).await;
    ann.session.send(thread, draft("yes")).await.expect("sent");
    let error = ann.session.open_thread(thread, 1).await.expect_err("a thread on a thread");
    assert_eq!((error.code(), error.at_field()), (Code::BadRequest, Some("room")));
    // One that is there stays, whatever becomes of its message.
    ann.session.delete(room, 1).await.expect("deleted");
    assert_eq!(ann.session.open_thread(room, 1).await.expect("the same").info.id, thread);
    ann.session.send(thread, draft("still here")).await.expect("sent");
    assert!(shown(&ann.session, room, 1).await.is_some());
    // Strangers open none.
    let (eve, nowhere) = (bench.connect("Eve"), RoomId::new());
    assert_eq!(code(eve.session.open_thread(room, 1).await), Some(Code::NotAMember));
    assert_eq!(code(ann.session.open_thread(nowhere, 1).await), Some(Code::NoSuchRoom));
}

#[tokio::test]
async fn whoever_is_back_in_both_rooms_before_its_leaving_is_kept_stays() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let thread = thread(&ann, room).await;
    told(&mut ann).await;
    follow(&bob, thread).await;
    // The thread does not know what is stored, and reads that for long.
    faults.fail_commits(1);
    faults.hold_reads(true);
    assert_eq!(code(ann.session.send(thread, draft("one")).await), Some(Code::Unavailable));
    let mut next = pin!(ann.session.send(thread, draft("two")));
    assert!((&mut next).now_or_never().is_none());
    until("it reads", async || faults.held_reads() == 1).await;
    bob.session.leave(room).await.expect("left");
    until("he is gone", async || followers(&ann.session, thread).await.len() == 1).await;
    bob.session.join(room, After::Nothing).await.expect("back");
    let mut back = pin!(bob.session.join(thread, After::Nothing));
    assert!((&mut back).now_or_never().is_none());
    bob.session.ask(Command::Ping).await.expect("an answer");
    // The thread has heard of it.
    let view = bench.engine.room(thread);
    view.view(ann.session.user()).await.expect("a view");
    faults.hold_reads(false);
    next.await.expect("sent");
    back.await.expect("in it");
    for said in ["three", "four"] {
        bob.session.send(thread, draft(said)).await.expect("he is a follower still");
    }
    assert_eq!(followers(&ann.session, thread).await.len(), 2);
}

#[tokio::test]
async fn a_thread_is_a_room_like_others() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let thread = thread(&ann, room).await;
    let bob = bench.joined("Bob", room).await;
    assert_eq!(code(bob.session.send(thread, draft("hi")).await), Some(Code::NotAMember));
    follow(&bob, thread).await;
    let first = keyed("I think so", "k");
    assert_eq!(bob.session.send(thread, first.clone()).await.expect("sent").seq, 1);
    assert_eq!(bob.session.send(thread, first).await.expect("the same").seq, 1);
    let cursor = ann.session.join(thread, After::Nothing).await.expect("in it").cursor;
    bob.session.edit(thread, 1, Text::new("I do").expect("good")).await.expect("edited");
    let mark = Mark::new("👍").expect("good");
    ann.session.mark(thread, 1, mark, true).await.expect("marked");
    bob.session.send(thread, draft("and you?").reply_to(1)).await.expect("sent");
    let missed = ann.session.join(thread, After::Cursor(cursor)).await.expect("back");
    assert_eq!(missed.messages.iter().map(|one| one.seq).collect::<Vec<_>>(), [2]);
    let kinds = missed.changes.iter().map(|change| change.kind.as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), ["edited", "marked"]);
    assert_eq!(missed.room.info.parent, Some(Parent { room, seq: 1 }));
    bob.session.leave(thread).await.expect("he follows it no more");
    assert_eq!(code(bob.session.send(thread, draft("hi")).await), Some(Code::NotAMember));
    bob.session.send(room, draft("still here")).await.expect("in the room itself");
    ann.find(|event| {
        matches!(event, Event::Change { change, .. } if
        matches!(change.kind, ChangeKind::Left(_)))
        .then_some(())
    })
    .await;
    ann.session.leave(thread).await.expect("also its opener, who is no owner of it");
}

#[tokio::test]
async fn the_parent_shows_what_a_thread_has_come_to() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    let thread = thread(&ann, room).await;
    let opened = told(&mut bob).await;
    assert_eq!((opened.room, opened.replies, opened.last), (thread, 0, None));
    follow(&bob, thread).await;
    for nth in 0u64..5 {
        bob.session.send(thread, draft(&format!("reply {nth}"))).await.expect("sent");
    }
    let five = told_of(&bench, &mut ann, 5).await;
    let last = five.last.clone().expect("a last one");
    assert_eq!((last.seq, last.from.id), (5, bob.session.user().id));
    assert_eq!(shown(&ann.session, room, 1).await, Some(five));
    // Deleted, the last one is the last no more; an edit changes nothing.
    bob.session.delete(thread, 5).await.expect("deleted");
    assert_eq!(told_of(&bench, &mut ann, 4).await.last.map(|last| last.seq), Some(4));
    bob.session.delete(thread, 2).await.expect("deleted");
    bob.session.delete(thread, 2).await.expect("deleted already");
    bob.session.edit(thread, 3, Text::new("another text").expect("good")).await.expect("edited");
    assert_eq!(told_of(&bench, &mut ann, 3).await.last.map(|last| last.seq), Some(4));
    bob.session.send(thread, draft("once more")).await.expect("sent");
    let four = told_of(&bench, &mut ann, 4).await;
    // Whoever comes later, or comes back, finds it likewise.
    let joined = bench.connect("Eve").session.join(room, After::Nothing).await.expect("in it");
    assert_eq!(joined.messages[0].thread, Some(four.clone()));
    let beginning = After::Cursor(chat_core::Cursor::default());
    let missed = ann.session.join(room, beginning).await.expect("back");
    let last = missed.changes.iter().rev().find_map(|change| change.kind.thread().cloned());
    assert_eq!(last, Some(four.clone()));
    // It is called as it is.
    let renamed = User::new(bob.session.user().id, chat_core::Name::new("Robert").expect("good"));
    bench.engine.rename(&renamed).await.expect("renamed");
    until("the last reply is his", async || {
        let thread = shown(&ann.session, room, 1).await;
        thread.and_then(|thread| thread.last).is_some_and(|last| last.from.name == renamed.name)
    })
    .await;
    // What he has written is erased.
    bench.engine.forget(&renamed, true).await.expect("forgotten");
    let none = told_of(&bench, &mut ann, 0).await;
    assert_eq!(none.last, None);
    assert_eq!(followers(&ann.session, thread).await, [("Ann".to_owned(), Role::Owner)]);
}

#[tokio::test]
async fn replies_beyond_memory_are_counted_by_the_store() {
    let limits = Limits { kept_bytes: 10, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, mut ann) = bench.room("Ann").await;
    let thread = thread(&ann, room).await;
    for nth in 0u64..6 {
        ann.session.send(thread, draft(&format!("reply {nth}"))).await.expect("sent");
    }
    told_of(&bench, &mut ann, 6).await;
    ann.session.delete(thread, 2).await.expect("deleted");
    told_of(&bench, &mut ann, 5).await;
    for seq in [6, 5, 1] {
        ann.session.delete(thread, seq).await.expect("deleted");
    }
    let left = told_of(&bench, &mut ann, 2).await;
    assert_eq!(left.last.map(|last| last.seq), Some(4));
}

#[tokio::test]
async fn threads_are_listed_by_their_last_reply() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut threads = Vec::new();
    for seq in 1..=5 {
        ann.session.send(room, draft("a message")).await.expect("sent");
        let view = ann.session.open_thread(room, seq).await.expect("a thread");
        follow(&ann, view.info.id).await;
        threads.push(view.info.id);
        told_of(&bench, &mut ann, 0).await;
        bench.clock.advance(Limits::default().marks_every);
    }
    ann.session.send(threads[1], draft("a reply")).await.expect("sent");
    told_of(&bench, &mut ann, 1).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page =
            ann.session.threads(room, ThreadQuery { after, limit: 2 }).await.expect("a page");
        assert!(page.threads.len() <= 2);
        seen.extend(page.threads.iter().map(|one| (one.place.seq, one.thread.replies)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [(2, 1), (5, 0), (4, 0), (3, 0), (1, 0)]);
    let query = ThreadQuery { after: None, limit: 2 };
    let eve = bench.connect("Eve");
    assert_eq!(code(eve.session.threads(room, query).await), Some(Code::NotAMember));
    assert_eq!(ann.session.threads(threads[0], query).await.expect("a page").threads, []);
}

#[tokio::test]
async fn threads_say_whether_one_follows_them_and_what_one_has_not_read() {
    let scene = scene(NewRoom::open("room").expect("good")).await;
    let Scene { bench, room, thread, ann, bob } = &scene;
    let eve = bench.joined("Eve", *room).await;
    let followed = async |one: &Probe| {
        let query = ThreadQuery { after: None, limit: 9 };
        let page = one.session.threads(*room, query).await.expect("a page");
        assert_eq!(page.threads.len(), 1);
        let unread = |read: &ReadPosition| (read.seq, read.unread.expect("counted").messages);
        page.following.get(thread).map(unread)
    };
    until("it is listed", async || {
        let query = ThreadQuery { after: None, limit: 9 };
        ann.session.threads(*room, query).await.is_ok_and(|page| page.threads.len() == 1)
    })
    .await;
    assert_eq!(followed(&eve).await, None);
    assert_eq!([followed(ann).await, followed(bob).await], [Some((0, 1)), Some((0, 0))]);
    follow(&eve, *thread).await;
    bob.session.send(*thread, draft("hi again")).await.expect("sent");
    assert_eq!(followed(&eve).await, Some((1, 1)), "what was there has been read");
    eve.session.read(*thread, 2).await.expect("read");
    assert_eq!(followed(&eve).await, Some((2, 0)));
    // Among one's own rooms, if they are wanted there.
    let own = async |threads| {
        let query = OwnRoomQuery { threads, limit: 1, ..OwnRoomQuery::default() };
        let page = bench.engine.own_rooms(eve.session.user(), query).await.expect("a page");
        (page.rooms[0].room.info.id, page.next.is_some())
    };
    bench.clock.advance(std::time::Duration::from_secs(1));
    bob.session.send(*thread, draft("the last word")).await.expect("sent");
    assert_eq!(own(true).await, (*thread, true));
    assert_eq!(own(false).await, (*room, false));
    eve.session.leave(*thread).await.expect("she follows it no more");
    assert_eq!(followed(&eve).await, None);
}

#[tokio::test]
async fn threads_go_with_an_ephemeral_room() {
    let bench = engine();
    let (room, ann) = bench.room_of("Ann", NewRoom::open("brief").expect("good").ephemeral()).await;
    let thread = thread(&ann, room).await;
    ann.session.leave(room).await.expect("left");
    until("both have gone", async || {
        code(ann.session.join(room, After::Nothing).await) == Some(Code::NoSuchRoom)
            && code(ann.session.join(thread, After::Nothing).await) == Some(Code::NoSuchRoom)
    })
    .await;
    until("nothing is left in memory", async || {
        bench.clock.advance(std::time::Duration::from_secs(1));
        bench.engine.stats().rooms == 0
    })
    .await;
}

#[tokio::test]
async fn a_thread_is_there_after_a_restart_and_whoever_has_gone_since_is_not() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, mut ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let thread = thread(&ann, room).await;
    follow(&bob, thread).await;
    bob.session.send(thread, draft("hi")).await.expect("sent");
    told_of(&bench, &mut ann, 1).await;
    bench.engine.stop().await;
    // Where the thread is not loaded, Bob goes: a process that was not told to end anything.
    let bench = engine_with(store.clone(), Limits::default());
    let (ann, bob) = (bench.connect_as(ann.session.user().clone()), bob.session.user().clone());
    bench.engine.room(room).leave(&bob).await.expect("left");
    assert_eq!(bench.engine.stats().rooms, 1, "the room alone");
    follow(&ann, thread).await;
    assert_eq!(followers(&ann.session, thread).await, [("Ann".to_owned(), Role::Owner)]);
    assert_eq!(
        code(bench.engine.room(thread).send(&bob, draft("hi")).await),
        Some(Code::NotAMember)
    );
    assert_eq!(shown(&ann.session, room, 1).await.map(|thread| thread.replies), Some(1));
}

#[tokio::test]
async fn the_parent_is_right_after_a_crash_though_nobody_visits_the_thread() {
    let store = MemoryStore::default();
    let (faulty, faults) = FaultyStore::new(store.clone());
    let bench = engine_with(faulty, Limits::default());
    let (room, mut ann) = bench.room("Ann").await;
    let thread = thread(&ann, room).await;
    told_of(&bench, &mut ann, 0).await;
    let cursor = ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    // The parent's room has told just now, so what comes is gathered, and the process dies before it is written.
    ann.session.send(thread, draft("one")).await.expect("sent");
    ann.session.send(thread, draft("two")).await.expect("sent");
    ann.session.delete(thread, 1).await.expect("deleted");
    faults.fail_all(true);
    let user = ann.session.user().clone();
    drop((ann, bench));
    let bench = engine_with(store, Limits::default());
    let mut ann = bench.connect_as(user);
    let missed = ann.session.join(room, After::Cursor(cursor)).await.expect("back");
    assert!(missed.changes.is_empty());
    let now = told_of(&bench, &mut ann, 1).await;
    assert_eq!(now.last.map(|last| last.seq), Some(2));
}

#[tokio::test]
async fn news_that_cannot_be_written_are_written_later() {
    let (bench, faults) = faulty();
    let (room, mut ann) = bench.room("Ann").await;
    let thread = thread(&ann, room).await;
    told_of(&bench, &mut ann, 0).await;
    ann.session.send(thread, draft("one")).await.expect("sent");
    faults.fail_commits(3);
    told_of(&bench, &mut ann, 1).await;
}

#[tokio::test]
async fn news_that_could_not_be_written_do_not_come_after_later_ones() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let limits = Limits { marks_every: std::time::Duration::ZERO, ..Limits::default() };
    let bench = engine_with(store, limits);
    let (room, mut ann) = bench.room("Ann").await;
    let thread = thread(&ann, room).await;
    told(&mut ann).await;
    // The room does not know where it stands, and cannot look: what is to be written waits.
    faults.hold_reads(true);
    faults.fail_commits(1);
    let refused = code(ann.session.send(room, draft("a message")).await);
    assert_eq!(refused, Some(Code::Unavailable));
    ann.session.send(thread, draft("one")).await.expect("sent");
    ann.session.send(thread, draft("two")).await.expect("sent");
    // By then the thread has done with both.
    assert_eq!(followers(&ann.session, thread).await.len(), 1);
    until("both news wait", async || bench.engine.stats().waiting_writes == 2).await;
    faults.fail_commits(1);
    faults.hold_reads(false);
    until("the last of them is shown", async || {
        bench.clock.advance(std::time::Duration::from_secs(1));
        shown(&ann.session, room, 1).await.is_some_and(|thread| thread.replies == 2)
    })
    .await;
}
