//! G4 recovery and G7 slow readers: who comes back gets exactly what it missed, or is told what to
//! do.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::Probe;
use chat_core::{
    After, Behind, ChangeKind, CloseReason, Code, Command, Cursor, Directory, Engine, Event,
    HistoryAt, HistoryQuery, InProcess, Joined, Limits, Mark, MemoryStore, NewRoom, Presence,
    Reply, Result, Store, Text, User, UserId,
};
use support::{draft, engine, engine_with, until, user};

fn seqs(joined: &Joined) -> Vec<u64> {
    joined.messages.iter().map(|message| message.seq).collect()
}

fn known(seq: u64, change: u64) -> After {
    After::Cursor(Cursor::new(seq, change))
}

#[tokio::test]
async fn a_member_gets_exactly_what_it_missed() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for n in 1..=5 {
        ann.session.send(room, draft(&format!("m{n}"))).await.expect("sent");
    }
    let carol = bench.joined("Carol", room).await;
    carol.session.leave(room).await.expect("left");
    // Changes: Ann 1, Bob 2, Carol joined 3, Carol left 4.
    let back = bob.session.join(room, known(2, 2)).await.expect("back");
    assert_eq!((seqs(&back), back.cursor), (vec![3, 4, 5], Cursor::new(5, 4)));
    let changes: Vec<_> = back.changes.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(changes, ["joined", "left"]);
    assert!(matches!(&back.changes[0].kind, ChangeKind::Joined(m) if &*m.user.name == "Carol"));
    let nothing = bob.session.join(room, known(5, 4)).await.expect("back");
    assert!(nothing.messages.is_empty() && nothing.changes.is_empty() && !nothing.reset);
    for after in [known(6, 4), known(5, 5), known(u64::MAX >> 1, 0)] {
        let reset = bob.session.join(room, after).await.expect("back");
        assert!(reset.reset, "{after:?} is not this room's");
        assert_eq!((seqs(&reset), reset.cursor), ((1..=5).collect(), Cursor::new(5, 4)));
    }
}

/// Who has missed more changes than an answer carries hears of each message how it is in the end, in order; who
/// has missed too much even then begins anew.
#[tokio::test]
async fn many_changes_are_told_as_they_end() {
    let store = MemoryStore::default();
    let limits = Limits { marks_every: Duration::ZERO, ..Limits::default() };
    let bench = engine_with(store.clone(), limits.clone());
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for n in 1..=210 {
        ann.session.send(room, draft(&format!("m{n}"))).await.expect("sent");
    }
    let here = ann.session.join(room, After::Nothing).await.expect("in it").cursor;
    let [first, gone] = [1, 2];
    for n in 0..60 {
        let mark = |text: &str| Mark::new(text).expect("a mark");
        for seq in [first, gone] {
            ann.session.mark(room, seq, mark("x"), true).await.expect("marked");
            ann.session.mark(room, seq, mark("x"), false).await.expect("unmarked");
        }
        let edit = Text::new(format!("edit {n}")).expect("a text");
        ann.session.edit(room, first, edit).await.expect("edited");
    }
    ann.session.mark(room, first, Mark::new("last").expect("a mark"), true).await.expect("marked");
    let carol = bench.joined("Carol", room).await;
    ann.session.delete(room, gone).await.expect("deleted");
    carol.session.leave(room).await.expect("left");
    let back = async |bob: &Probe| {
        let joined = bob.session.join(room, After::Cursor(here)).await.expect("back");
        assert!(joined.messages.len() <= 50 && joined.behind.is_none());
        let kinds = joined.changes.iter().map(|change| {
            let text = match &change.kind {
                ChangeKind::Edited(_, seq, Some(edit)) => format!(" {seq}: {}", &*edit.text),
                ChangeKind::Marked(_, seq, marks) => format!(" {seq}: {}", marks.len()),
                ChangeKind::Deleted(_, seq) => format!(" {seq}"),
                _ => String::new(),
            };
            format!("{}{text}", change.kind.as_str())
        });
        (joined.reset, kinds.collect::<Vec<_>>())
    };
    let in_the_end = ["edited 1: edit 59", "marked 1: 1", "joined", "deleted 2", "left"];
    let in_the_end: Vec<_> = in_the_end.map(str::to_owned).to_vec();
    assert_eq!(back(&bob).await, (false, in_the_end.clone()));
    // As the store tells it, after a restart.
    bench.engine.stop().await;
    let bench = engine_with(store, limits);
    let [ann, bob] = [&ann, &bob].map(|one| bench.connect_as(one.session.user().clone()));
    assert_eq!(back(&bob).await, (false, in_the_end));
    for seq in 3..=210 {
        ann.session.delete(room, seq).await.expect("deleted");
    }
    assert_eq!(back(&bob).await, (true, vec![]), "each of them is another one");
}

#[tokio::test]
async fn what_memory_has_forgotten_comes_from_the_store() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits { kept_bytes: 40, ..Limits::default() });
    let (room, ann) = bench.room("Ann").await;
    for n in 1..=500 {
        ann.session.send(room, draft(&format!("m{n}"))).await.expect("sent");
    }
    let reads = bench.engine.stats().store.reads;
    let back = ann.session.join(room, known(450, 1)).await.expect("back");
    assert_eq!(seqs(&back), (451..=500).collect::<Vec<_>>());
    assert!(bench.engine.stats().store.reads > reads, "memory keeps 40 bytes");
    assert_eq!(back.behind, None);
    let far = ann.session.join(room, known(100, 1)).await.expect("back");
    assert_eq!(far.behind, Some(Behind { after: 100, until: 300 }));
    assert_eq!(seqs(&far), (301..=500).collect::<Vec<_>>());
    // What it is behind with is in the history.
    let query = HistoryQuery { at: HistoryAt::After(100), limit: 200 };
    let page = ann.session.history(room, query).await.expect("a page");
    let paged: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
    assert_eq!(paged, (101..=300).collect::<Vec<_>>());
    // After a restart the same cursor gives the same.
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let ann = bench.connect_as(ann.session.user().clone());
    let back = ann.session.join(room, known(450, 1)).await.expect("back");
    assert_eq!(seqs(&back), (451..=500).collect::<Vec<_>>());
}

/// Readers join while messages pour in: what the answer holds and what is heard afterwards meet
/// exactly.
#[tokio::test]
async fn the_answer_and_what_follows_meet_without_gap_or_double() {
    for kept_bytes in [usize::MAX, 30] {
        let limits = Limits { kept_bytes, ..Limits::default() };
        let bench = engine_with(MemoryStore::default(), limits);
        let (room, ann) = bench.room("Ann").await;
        let bob = bench.joined("Bob", room).await.session.user().clone();
        let session = ann.session.clone();
        let pouring = tokio::spawn(async move {
            for n in 1..=400 {
                session.send(room, draft(&n.to_string())).await.expect("sent");
            }
        });
        let mut readers = Vec::new();
        while !pouring.is_finished() {
            let reader = bench.connect_as(bob.clone());
            let joined = reader.session.join(room, known(0, 0)).await.expect("in it");
            readers.push((reader, joined));
            tokio::task::yield_now().await;
        }
        pouring.await.expect("no panic");
        assert!(readers.len() > 3);
        for (mut reader, joined) in readers {
            let mut next = joined.behind.map_or(0, |behind| behind.until) + 1;
            for seq in seqs(&joined) {
                assert_eq!(seq, next, "in the answer");
                next += 1;
            }
            assert_eq!(joined.cursor.seq + 1, next);
            while next <= 400 {
                assert_eq!(reader.message().await.0, next, "heard afterwards");
                next += 1;
            }
        }
    }
}

#[tokio::test]
async fn many_rooms_are_resumed_at_once_each_in_its_place() {
    let bench = engine();
    let (first, ann) = bench.room("Ann").await;
    let (second, bob) = bench.room("Bob").await;
    for session in [&ann.session, &bob.session] {
        for room in [first, second] {
            session.join(room, After::Nothing).await.expect("in it");
            session.send(room, draft("hi")).await.expect("sent");
        }
    }
    let mut again = bench.connect_as(ann.session.user().clone());
    let rooms = vec![
        (first, Cursor::new(1, 1)),
        (second, Cursor::default()),
        (chat_core::RoomId::new(), Cursor::default()),
    ];
    let reply = again.session.ask(Command::Resume(rooms)).await.expect("an answer");
    assert!(matches!(reply, Reply::Resumed { resumed: 2, failed: 1 }), "{reply:?}");
    let mut resumed = Vec::new();
    while resumed.len() < 3 {
        if let Event::Resumed { room, result } = &*again.event().await {
            resumed.push((*room, result.as_ref().map(|joined| seqs(joined)).map_err(|e| e.code())));
        }
    }
    assert!(resumed.contains(&(first, Ok(vec![2]))), "{resumed:?}");
    assert!(resumed.contains(&(second, Ok(vec![1, 2]))), "{resumed:?}");
    bob.session.send(second, draft("more")).await.expect("sent");
    assert_eq!(again.message().await, (3, "more".into()));
    // Somebody who is no member does not become one by coming back.
    let mut eve = bench.connect("Eve");
    let reply = eve.session.ask(Command::Resume(vec![(first, Cursor::default())])).await;
    assert!(matches!(reply, Ok(Reply::Resumed { resumed: 0, failed: 1 })));
    assert!(matches!(&*eve.event().await, Event::Resumed { result: Err(_), .. }));
}

/// Far more is missed than may wait for anybody. It waits in the rooms, and comes as it is read.
#[tokio::test]
async fn what_many_rooms_have_for_somebody_waits_until_it_is_read() {
    const ROOMS: usize = 40;
    let (bound, text) = (16 * 1_024, "x".repeat(1_000));
    let limits = Limits { outbox_bytes: bound, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let ann = bench.connect("Ann");
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = NewRoom::open("room").expect("a good title");
        let room = bench.engine.open_room(ann.session.user(), room).await.expect("a room").id();
        for _ in 0..20 {
            ann.session.send(room, draft(&text)).await.expect("sent");
        }
        rooms.push((room, Cursor::new(0, 1)));
    }
    let mut again = bench.connect_as(ann.session.user().clone());
    again.session.submit(1, Command::Resume(rooms.clone())).expect("taken");
    let mut resumed = BTreeSet::new();
    until("something waits", async || again.inbox.waiting() > bound / 2).await;
    while resumed.len() < ROOMS {
        let waiting = again.inbox.waiting();
        assert!(waiting < 2 * bound + 20 * text.len(), "{waiting} bytes wait");
        let Event::Resumed { room, result } = &*again.event().await else { continue };
        assert_eq!(seqs(result.as_ref().expect("resumed")).len(), 20);
        assert!(resumed.insert(*room), "each once");
    }
    for (room, _) in &rooms {
        ann.session.send(*room, draft("live")).await.expect("sent");
        assert_eq!(again.message().await, (21, "live".into()));
    }
    // Whoever waits for the reply may read nothing before: that comes all the same, and says what is
    // true.
    let mut asking = bench.connect_as(ann.session.user().clone());
    let reply = asking.session.ask(Command::Resume(rooms)).await.expect("an answer");
    let Reply::Resumed { resumed, failed } = reply else { panic!("{reply:?}") };
    assert!(resumed > 0 && failed > 0 && resumed + failed == ROOMS, "{resumed} {failed}");
    let mut heard = (0, 0);
    while heard.0 + heard.1 < ROOMS {
        match &*asking.event().await {
            Event::Resumed { result: Ok(_), .. } => heard.0 += 1,
            Event::Resumed { result: Err(error), .. } if error.code() == Code::Busy => heard.1 += 1,
            _ => {}
        }
    }
    assert_eq!(heard, (resumed, failed));
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_and_catches_up() {
    let limits = Limits { outbox_bytes: 4_096, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, ann) = bench.room("Ann").await;
    let mut fast = bench.joined("Fast", room).await;
    let mut slow = bench.joined("Slow", room).await;
    for n in 1..=300 {
        ann.session.send(room, draft(&format!("message {n}"))).await.expect("sent");
        assert_eq!(fast.message().await.0, n, "nobody is delayed");
    }
    assert!(slow.inbox.waiting() < 3 * 4_096, "bounded: {}", slow.inbox.waiting());
    // It hears a beginning, then that it is behind, then nothing of the room.
    let mut last = 0;
    let after = loop {
        match &*slow.event().await {
            Event::Message { message, .. } => {
                assert_eq!(message.seq, last + 1);
                last = message.seq;
            }
            Event::Behind { after, .. } => break *after,
            _ => {}
        }
    };
    assert_eq!(after.seq, last);
    assert!(last < 300 && slow.waiting().is_empty());
    let back = slow.session.join(room, After::Cursor(after)).await.expect("back");
    let first = back.behind.map_or(last, |behind| behind.until) + 1;
    assert_eq!(seqs(&back), (first..=300).collect::<Vec<_>>());
    ann.session.send(room, draft("live again")).await.expect("sent");
    assert_eq!(slow.message().await, (301, "live again".into()));
}

#[tokio::test]
async fn an_inbox_that_is_dropped_ends_its_session() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    drop(bob.inbox);
    ann.session.send(room, draft("anybody?")).await.expect("sent");
    until("Bob's session has ended", async || bench.engine.stats().sessions == 1).await;
    loop {
        if let Event::Presence { user, presence: Presence::Offline, .. } = &*ann.event().await {
            assert_eq!(&*user.name, "Bob");
            break;
        }
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed_and_the_others_notice_nothing() {
    let limits = Limits { outbox_bytes: 4_096, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, mut ann) = bench.room("Ann").await;
    let sockets = bench.engine.inboxes(&InProcess);
    let (stuck, inbox) = sockets.connect(user("Stuck")).expect("a session");
    stuck.join(room, After::Nothing).await.expect("in it");
    for n in 1..=100 {
        ann.session.send(room, draft(&format!("message {n}"))).await.expect("sent");
        assert_eq!(ann.message().await.0, n);
    }
    // It is behind by now, and nothing more is queued for it; it is looked at all the same.
    let patience = Duration::from_secs(30);
    until("it is watched", async || bench.clock.sleepers(patience) == 1).await;
    bench.clock.advance(patience);
    until("it is closed", async || inbox.closed() == Some(CloseReason::NotReading)).await;
    loop {
        if let Event::Presence { user, presence: Presence::Offline, .. } = &*ann.event().await {
            assert_eq!(&*user.name, "Stuck");
            break;
        }
    }
    assert_eq!(bench.engine.stats().sessions, 1);
}

/// Whoever reads nothing is given up when even the words about it are too many: nothing fills an
/// inbox without end.
#[tokio::test]
async fn nothing_fills_an_unread_inbox() {
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (ann, bob) = (bench.connect("Ann"), bench.connect("Bob"));
    // What others cause: it is left out.
    for _ in 0..500 {
        let new = NewRoom::private("plans").expect("a good title");
        let room = bench.engine.open_room(ann.session.user(), new).await.expect("a room");
        let guest = bob.session.user().clone();
        room.invite(ann.session.user(), guest).await.expect("invited");
    }
    bob.session.ask(Command::Ping).await.expect("he goes on");
    assert!(bob.inbox.waiting() < 15_000, "{} bytes wait", bob.inbox.waiting());
    // What it causes itself: it is ended.
    let mut rooms = 0;
    let ended = loop {
        let unknown = (0..100).map(|_| (chat_core::RoomId::new(), Cursor::default())).collect();
        match bob.session.ask(Command::Resume(unknown)).await {
            Ok(_) => rooms += 100,
            Err(error) => break error,
        }
        assert!(rooms < 10_000 && bob.inbox.waiting() < 40_000, "{}", bob.inbox.waiting());
    };
    assert_eq!(ended.code(), Code::SessionEnded);
    until("it is closed", async || bob.inbox.closed() == Some(CloseReason::NotReading)).await;
}

/// Everybody mentions this user.
struct Everywhere(User);

#[async_trait]
impl Directory for Everywhere {
    async fn user(&self, _: UserId) -> Result<Option<User>> {
        Ok(None)
    }

    async fn mentioned(&self, _: UserId, _: &Text) -> Result<Vec<UserId>> {
        Ok(vec![self.0.id])
    }
}

#[tokio::test]
async fn being_mentioned_fills_no_inbox_and_ends_nobody() {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    let directory = Arc::new(Everywhere(bob.clone()));
    let engine = Engine::builder().directory(directory).limits(limits).threads(2).start();
    let engine = engine.expect("an engine");
    let room = engine.open_room(&ann, NewRoom::open("room").expect("a good title")).await;
    let room = room.expect("a room");
    room.join(&bob, After::Nothing).await.expect("in it");
    // He is connected, does not read, and does not even hear the room.
    let mut bob = Probe::connect(&engine, bob).expect("a session");
    for _ in 0..500 {
        room.send(&ann, draft("@Bob")).await.expect("sent");
    }
    until("what they are told has come", async || {
        bob.session.ask(Command::Ping).await.expect("he goes on");
        bob.inbox.waiting() >= 10_000
    })
    .await;
    assert!(bob.inbox.waiting() < 15_000, "{} bytes wait", bob.inbox.waiting());
    let told = bob.waiting();
    // That he is in the room may reach him too, if he is connected by then.
    let is_own = |event: &Event| matches!(event, Event::Mentioned { .. } | Event::Mine { .. });
    assert!(told.iter().all(|event| is_own(event)));
    // What it was not told is counted all the same.
    let left = room.standing(bob.session.user()).await.expect("how it stands").unread;
    assert_eq!((left.messages, left.mentions), (500, 500));
}

#[tokio::test]
async fn whoever_has_no_place_left_hears_of_the_end_of_a_room_all_the_same() {
    let store = MemoryStore::default();
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    let bench = engine_with(store.clone(), limits);
    let (noise, ann) = bench.room("Ann").await;
    let (quiet, cyd) = bench.room("Cyd").await;
    let mut bob = bench.joined("Bob", noise).await;
    bob.session.join(quiet, After::Nothing).await.expect("in it");
    bob.waiting();
    let text = "x".repeat(1_000);
    for _ in 0..20 {
        ann.session.send(noise, draft(&text)).await.expect("sent");
    }
    until("his inbox is full", async || bob.inbox.waiting() > 10_000).await;
    // Another process deletes the other room.
    let key = store.load_room(quiet, 0).await.expect("loaded").expect("a room").key;
    store.delete_room(key).await.expect("deleted");
    let error = cyd.session.send(quiet, draft("hello?")).await.expect_err("it is gone");
    assert_eq!(error.code(), Code::NoSuchRoom);
    bob.find(|event| match event {
        Event::Closed { room } => (*room == quiet).then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn what_an_edit_says_takes_place() {
    let limits = Limits { outbox_bytes: 50_000, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    ann.session.send(room, draft("text")).await.expect("sent");
    for nth in 0..50 {
        let text = Text::new(format!("{nth:04}{}", "x".repeat(3_996))).expect("a good text");
        ann.session.edit(room, 1, text).await.expect("edited");
    }
    let mut edits = 0;
    loop {
        match &*bob.event().await {
            Event::Change { change, .. } => {
                edits += usize::from(matches!(change.kind, ChangeKind::Edited(..)));
            }
            Event::Behind { .. } => break,
            _ => {}
        }
    }
    assert!((8..=14).contains(&edits), "{edits} edits of 4,000 bytes waited in 50,000");
}
