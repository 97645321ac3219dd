//! How far members have read: positions that move forward only, on all devices and in recovery; what is left, counted from
//! memory or by the store; receipts in small rooms, counts in big ones.

mod support;

use std::pin::pin;
use std::time::Duration;

use chat_core::testkit::{FaultyStore, Probe};
use chat_core::{
    After, Code, Cursor, Event, Limits, MemberQuery, MemoryStore, NewRoom, OwnRoomQuery,
    ReadPosition, ReaderQuery, RoomId, Session, Text, Unread, User,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use support::{Bench, draft, engine, engine_with, faulty, until, user};

const EVERY: Duration = Duration::from_millis(250);

/// Lets the time pass for which reads are gathered, until something has its answer.
async fn in_time<T>(bench: &Bench, asked: impl Future<Output = T>) -> T {
    let mut asked = pin!(asked);
    loop {
        match tokio::time::timeout(Duration::from_millis(1), &mut asked).await {
            Ok(answer) => return answer,
            Err(_) => bench.clock.advance(EVERY),
        }
    }
}

fn at(seq: u64, messages: u64, mentions: u64) -> ReadPosition {
    ReadPosition { seq, unread: Some(Unread { messages, mentions }) }
}

/// Reads up to a message. Answers where the user stands then.
async fn read(bench: &Bench, session: &Session, room: RoomId, seq: u64) -> ReadPosition {
    in_time(bench, session.read(room, seq)).await.expect("it has read")
}

async fn say(session: &Session, room: RoomId, count: usize) {
    for n in 0..count {
        session.send(room, draft(&format!("text {n}"))).await.expect("sent");
    }
}

/// What a client is told of who has read what: of itself, and of others.
type Told = (Option<ReadPosition>, Vec<(String, u64)>);

fn told(event: &Event) -> Option<Told> {
    match event {
        Event::Read { position, .. } => Some((Some(*position), Vec::new())),
        Event::Receipts { of, .. } => {
            Some((None, of.iter().map(|(user, seq)| (user.name.to_string(), *seq)).collect()))
        }
        _ => None,
    }
}

/// The next thing that a client is told of it.
async fn hears(probe: &mut Probe) -> Told {
    probe.find(told).await
}

fn receipts<const N: usize>(of: [(&str, u64); N]) -> Told {
    (None, of.map(|(name, seq)| (name.to_owned(), seq)).to_vec())
}

#[tokio::test]
async fn a_position_moves_forward_only_and_never_beyond_the_end() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let probe = bench.joined("Bob", room).await;
    let bob = &probe.session;
    say(&ann.session, room, 3).await;
    assert_eq!(read(&bench, bob, room, 2).await, at(2, 1, 0));
    assert_eq!(read(&bench, bob, room, 1).await, at(2, 1, 0), "it does not move back");
    assert_eq!(read(&bench, bob, room, 0).await, at(2, 1, 0));
    for seq in [4, u64::MAX] {
        let beyond = bob.read(room, seq).await.expect_err("it is not there");
        assert_eq!((beyond.code(), beyond.at_field()), (Code::NoSuchMessage, Some("seq")));
    }
    let stranger = bench.connect("Eve");
    let stranger = &stranger.session;
    let refused = stranger.read(room, 1).await.expect_err("she is no member");
    assert_eq!(refused.code(), Code::NotAMember);
    assert_eq!(stranger.standing(room).await.expect_err("nor here").code(), Code::NotAMember);
    assert_eq!(read(&bench, bob, room, 3).await, at(3, 0, 0));
}

#[tokio::test]
async fn what_is_left_counts_messages_of_others_as_they_are_now() {
    let bench = engine_with_mentions();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.connect_as(named("Bob"));
    bob.session.join(room, After::Nothing).await.expect("in it");
    for text in ["one", "two Bob", "three", "four Bob"] {
        ann.session.send(room, draft(text)).await.expect("sent");
    }
    bob.session.send(room, draft("five")).await.expect("sent");
    let left = async || {
        let standing = bob.session.standing(room).await.expect("how it stands");
        (standing.unread.messages, standing.unread.mentions)
    };
    assert_eq!(left().await, (4, 2), "not what one has said oneself");
    ann.session.delete(room, 4).await.expect("deleted");
    assert_eq!(left().await, (3, 1));
    ann.session.edit(room, 2, Text::new("two").expect("a text")).await.expect("edited");
    assert_eq!(left().await, (3, 0));
    ann.session.edit(room, 3, Text::new("three Bob").expect("a text")).await.expect("edited");
    assert_eq!(left().await, (3, 1));
    assert_eq!(read(&bench, &bob.session, room, 1).await, at(1, 2, 1));
    bench.engine.forget(ann.session.user(), true).await.expect("forgotten");
    assert_eq!(left().await, (0, 0));
}

/// Everybody whose name stands in a text is mentioned.
struct Names;

fn named(name: &str) -> User {
    let id = uuid::Uuid::from_u128(name.bytes().fold(7, |id, byte| id << 8 | u128::from(byte)));
    User::new(id.into(), chat_core::Name::new(name).expect("a good name"))
}

#[async_trait::async_trait]
impl chat_core::Directory for Names {
    async fn user(&self, _: chat_core::UserId) -> chat_core::Result<Option<User>> {
        Ok(None)
    }

    async fn mentioned(
        &self,
        _: chat_core::UserId,
        text: &Text,
    ) -> chat_core::Result<Vec<chat_core::UserId>> {
        Ok(if text.contains("Bob") { vec![named("Bob").id] } else { Vec::new() })
    }
}

fn engine_with_mentions() -> Bench {
    let clock = chat_core::testkit::FakeClock::default();
    let shared = std::sync::Arc::new(clock.clone());
    let engine =
        chat_core::Engine::builder().directory(std::sync::Arc::new(Names)).clock(shared).threads(2);
    Bench { engine: engine.start().expect("an engine"), clock }
}

#[tokio::test]
async fn all_devices_and_in_a_small_room_everybody_is_told() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    let mut phone = bench.connect_as(bob.session.user().clone());
    phone.session.join(room, After::Nothing).await.expect("in it");
    say(&ann.session, room, 2).await;
    read(&bench, &bob.session, room, 1).await;
    assert_eq!(hears(&mut ann).await, receipts([("Bob", 1)]));
    for device in [&mut bob, &mut phone] {
        assert_eq!(hears(device).await, receipts([("Bob", 1)]));
        assert_eq!(hears(device).await, (Some(at(1, 1, 0)), Vec::new()));
    }
    // Over a connection that does not hear the room, or none.
    let asked = bench.engine.room(room);
    in_time(&bench, asked.read(bob.session.user(), 2)).await.expect("read");
    assert_eq!(hears(&mut ann).await, receipts([("Bob", 2)]));
    assert_eq!(hears(&mut phone).await, receipts([("Bob", 2)]));
    assert_eq!(hears(&mut phone).await, (Some(at(2, 0, 0)), Vec::new()));
    let query = ReaderQuery { seq: 2, after: None, limit: 10 };
    let readers = ann.session.readers(room, query).await.expect("who has");
    assert_eq!(readers.count, 1);
    assert_eq!(readers.users, vec![bob.session.user().clone()]);
    let members = MemberQuery { after: None, limit: 10, online: false };
    let page = ann.session.members(room, members).await.expect("a page");
    let read = page.members.iter().map(|member| member.read).collect::<Vec<_>>();
    assert!(read.contains(&Some(0)) && read.contains(&Some(2)), "{read:?}");
}

#[tokio::test]
async fn what_many_read_at_once_is_one_commit_and_one_event() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut readers = Vec::new();
    for n in 0..20 {
        readers.push(bench.joined(&format!("reader {n:02}"), room).await);
    }
    say(&ann.session, room, 3).await;
    // The first is kept at once; whoever reads next waits for the others.
    read(&bench, &readers[0].session, room, 1).await;
    assert_eq!(hears(&mut ann).await, receipts([("reader 00", 1)]));
    let before = bench.engine.stats().store;
    let here = bench.engine.room(room);
    let users: Vec<_> = readers.iter().map(|reader| reader.session.user()).collect();
    let all = users.iter().flat_map(|user| [here.read(user, 2), here.read(user, 3)]);
    let mut all = pin!(join_all(all.collect::<Vec<_>>()));
    // All of it has come to the room before any time passes.
    assert!((&mut all).now_or_never().is_none());
    bench.counts(room).await.expect("it is there");
    for answer in in_time(&bench, all).await {
        assert_eq!(answer.expect("read"), at(3, 0, 0), "the last position of each counts");
    }
    let (_, mut of) = hears(&mut ann).await;
    of.sort_unstable();
    let expected = (0..20).map(|n| (format!("reader {n:02}"), 3));
    assert_eq!(of, expected.collect::<Vec<_>>(), "all of them by one event");
    let after = bench.engine.stats().store;
    assert_eq!((after.writes - before.writes, after.reads - before.reads), (1, 0));
}

#[tokio::test]
async fn a_big_room_tells_how_many_have_read_and_not_who() {
    let limits = Limits { big_room: 2, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    let carol = bench.joined("Carol", room).await;
    say(&ann.session, room, 1).await;
    read(&bench, &bob.session, room, 1).await;
    // One's own devices hear it at once; the others as a number, with the next summary.
    assert_eq!(hears(&mut bob).await, (Some(at(1, 0, 0)), Vec::new()));
    let summary = |event: &Event| match event {
        Event::Summary { read: 1, cursor, .. } => Some(cursor.seq),
        Event::Receipts { .. } => panic!("nobody is named in a big room"),
        _ => None,
    };
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(ann.find(summary).await, 1);
    let query = ReaderQuery { seq: 1, after: None, limit: 10 };
    let readers = ann.session.readers(room, query).await.expect("how many");
    assert_eq!((readers.count, readers.users.len(), readers.next), (1, 0, None));
    let members = MemberQuery { after: None, limit: 10, online: false };
    let page = ann.session.members(room, members).await.expect("a page");
    assert!(page.members.iter().all(|member| member.read.is_none()));
    // As it gets small, they are told again.
    drop(carol);
    until("the room is small", async || {
        let page = ann.session.members(room, members).await.expect("a page");
        page.members.iter().any(|member| member.read == Some(1))
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_back_learns_what_it_has_read_elsewhere() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    let cursor = bob.session.join(room, After::Nothing).await.expect("in it").cursor;
    let user = bob.session.user().clone();
    drop(bob);
    say(&ann.session, room, 3).await;
    in_time(&bench, bench.engine.room(room).read(&user, 2)).await.expect("read");
    let phone = bench.connect_as(user);
    let joined = phone.session.join(room, After::Cursor(cursor)).await.expect("back");
    assert_eq!(joined.read, at(2, 1, 0));
    assert_eq!(joined.messages.len(), 3);
    let own = joined.first.iter().find(|member| member.membership == joined.me);
    assert_eq!(own.and_then(|member| member.read), Some(2));
}

#[tokio::test]
async fn newcomers_have_read_what_was_there_and_positions_outlast_a_restart() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let (room, ann) = bench.room("Ann").await;
    say(&ann.session, room, 5).await;
    let bob = bench.joined("Bob", room).await;
    let standing = bob.session.standing(room).await.expect("how it stands");
    assert_eq!((standing.read, standing.unread), (5, Unread::default()));
    say(&ann.session, room, 2).await;
    read(&bench, &ann.session, room, 6).await;
    bob.session.leave(room).await.expect("left");
    say(&ann.session, room, 1).await;
    let joined = bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(joined.read, at(8, 0, 0), "what was said meanwhile is not unread");
    let (ann, bob) = (ann.session.user().clone(), bob.session.user().clone());
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    let room = bench.engine.room(room);
    assert_eq!(room.standing(&ann).await.expect("how it stands").read, 6);
    assert_eq!(room.standing(&bob).await.expect("how it stands").read, 8);
}

#[tokio::test]
async fn what_memory_does_not_reach_is_counted_by_the_store_when_that_is_asked() {
    let limits = Limits { kept_messages: 200, kept_bytes: 60, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    say(&ann.session, room, 30).await;
    let reads = || bench.engine.stats().store.reads;
    let before = reads();
    let joined = bob.session.join(room, After::Cursor(Cursor::new(25, 2))).await.expect("in it");
    assert_eq!(joined.read, ReadPosition { seq: 0, unread: None }, "more than is in memory");
    assert_eq!(reads(), before, "and the store is not asked");
    let standing = bob.session.standing(room).await.expect("how it stands");
    assert_eq!(standing.unread, Unread { messages: 30, mentions: 0 });
    assert_eq!(standing.last.map(|last| last.seq), Some(30));
    assert_eq!(reads(), before + 1);
    assert_eq!(read(&bench, &bob.session, room, 3).await.unread, None);
    assert_eq!(read(&bench, &bob.session, room, 28).await, at(28, 2, 0));
    bob.session.standing(room).await.expect("how it stands");
    assert_eq!(reads(), before + 1, "from memory again");
}

/// Whoever asks for much at once is answered all of it, one after the other; meanwhile others are, too.
#[tokio::test]
async fn of_one_user_the_store_counts_one_at_a_time() {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let bench = engine_with(store, Limits { kept_bytes: 1, ..Limits::default() });
    let (room, owner) = bench.room("Owner").await;
    let (ann, bob) = (bench.joined("Ann", room).await, bench.joined("Bob", room).await);
    say(&owner.session, room, 3).await;
    faults.hold_reads(true);
    let asked = join_all((0..20).map(|_| ann.session.standing(room)));
    let bobs = async {
        until("one of hers is in the store", async || faults.held_reads() == 1).await;
        bob.session.standing(room).await
    };
    let meanwhile = async {
        until("his is, beside hers", async || faults.held_reads() == 2).await;
        // Nothing else waits for them.
        bench.counts(room).await.expect("the room answers");
        assert_eq!(faults.held_reads(), 2, "of hers one, and his");
        faults.hold_reads(false);
    };
    let (asked, bobs, ()) = tokio::join!(asked, bobs, meanwhile);
    assert_eq!(asked.len(), 20);
    for standing in asked.into_iter().chain([bobs]) {
        assert_eq!(standing.expect("how it stands").unread.messages, 3);
    }
}

/// Live rooms whose memory does not reach so far are counted together, and say themselves who is there.
#[tokio::test]
async fn what_live_rooms_do_not_remember_is_counted_at_once() {
    let limits = Limits { kept_bytes: 1, ..Limits::default() };
    let bench = engine_with(MemoryStore::default(), limits);
    let (bob, mut rooms) = (user("Bob"), Vec::new());
    for n in 0..3 {
        let (room, ann) = bench.room(&format!("Ann {n}")).await;
        bench.engine.room(room).join(&bob, After::Nothing).await.expect("in it");
        say(&ann.session, room, n + 1).await;
        rooms.push((room, ann));
    }
    let before = bench.engine.stats().store.reads;
    let page = bench.engine.own_rooms(&bob, OwnRoomQuery::default()).await.expect("a page");
    assert_eq!(bench.engine.stats().store.reads, before + 2, "one list, one count");
    for (n, (room, _)) in rooms.iter().enumerate() {
        let standing =
            page.rooms.iter().find(|one| one.room.info.id == *room).expect("it is there");
        assert_eq!(standing.unread.messages, n as u64 + 1);
        assert_eq!((standing.room.counts.members, standing.room.counts.online), (2, 1));
    }
}

#[tokio::test]
async fn ones_own_rooms_are_listed_with_what_is_left_live_or_not() {
    let store = MemoryStore::default();
    let bench = engine_with(store.clone(), Limits::default());
    let bob = user("Bob");
    let mut rooms = Vec::new();
    for n in 0..3 {
        let (room, ann) = bench.room(&format!("Ann {n}")).await;
        bench.engine.room(room).join(&bob, After::Nothing).await.expect("in it");
        rooms.push((room, ann));
    }
    for (n, place) in [2, 0, 1].into_iter().enumerate() {
        bench.clock.advance(Duration::from_secs(1));
        say(&rooms[place].1.session, rooms[place].0, n + 1).await;
    }
    let expected =
        [(1, 3), (0, 2), (2, 1)].map(|(place, unread): (usize, u64)| (rooms[place].0, unread));
    let list = async |bench: &Bench, limit| {
        let mut query = OwnRoomQuery { limit, ..OwnRoomQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = bench.engine.own_rooms(&bob, query).await.expect("a page");
            assert!(page.rooms.len() <= limit);
            all.extend(page.rooms.iter().map(|one| (one.room.info.id, one.unread.messages)));
            assert!(page.rooms.iter().all(|one| one.last.is_some() && one.read == 0));
            query.before = page.next;
            if page.next.is_none() {
                return all;
            }
        }
    };
    let before = bench.engine.stats().store.reads;
    assert_eq!(list(&bench, 10).await, expected);
    let after = bench.engine.stats().store.reads;
    assert_eq!(after, before + 1, "live rooms answer themselves");
    assert_eq!(list(&bench, 1).await, expected);
    assert_eq!(
        bench.engine.own_rooms(&user("Eve"), OwnRoomQuery::default()).await.expect("a page").rooms,
        []
    );
    drop(rooms);
    bench.engine.stop().await;
    let bench = engine_with(store, Limits::default());
    until("the engine has looked for ephemeral rooms", async || {
        bench.engine.stats().store.reads == 1
    })
    .await;
    let before = bench.engine.stats();
    assert_eq!(list(&bench, 10).await, expected, "none of them is live");
    let after = bench.engine.stats();
    assert_eq!((after.store.reads - before.store.reads, after.rooms), (2, 0));
}

#[tokio::test]
async fn whoever_is_not_to_be_seen_gives_no_receipts() {
    let bench = engine();
    let (ann, bob) = (bench.connect("Ann"), bench.connect("Bob"));
    let direct = NewRoom::direct(bob.session.user().clone());
    let room = bench.engine.open_room(ann.session.user(), direct).await.expect("a room").id();
    let mut ann = ann;
    ann.session.join(room, After::Nothing).await.expect("in it");
    bob.session.join(room, After::Nothing).await.expect("in it");
    let to = ann.session.user().id;
    bench.engine.show_presence(bob.session.user(), to, false).await.expect("hidden");
    say(&ann.session, room, 1).await;
    read(&bench, &bob.session, room, 1).await;
    read(&bench, &ann.session, room, 1).await;
    assert_eq!(hears(&mut ann).await, receipts([("Ann", 1)]), "nothing of Bob");
    let query = ReaderQuery { seq: 1, after: None, limit: 10 };
    let readers = ann.session.readers(room, query).await.expect("who has");
    assert_eq!((readers.count, &readers.users[..]), (1, &[ann.session.user().clone()][..]));
    let members = MemberQuery { after: None, limit: 10, online: false };
    let page = ann.session.members(room, members).await.expect("a page");
    assert_eq!(page.members.iter().filter(|member| member.read.is_none()).count(), 1);
}

#[tokio::test]
async fn a_store_that_fails_loses_no_position_and_moves_none_in_secret() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    say(&ann.session, room, 2).await;
    faults.lose_answers(1);
    let unsure = in_time(&bench, bob.session.read(room, 1)).await.expect_err("nobody knows");
    assert_eq!(unsure.code(), Code::Unavailable);
    // It is written again, so that the room knows what the store has.
    until("the position is told", async || {
        bench.clock.advance(Duration::from_secs(1));
        bob.session.standing(room).await.expect("how it stands").read == 1
    })
    .await;
    assert_eq!(read(&bench, &bob.session, room, 2).await, at(2, 0, 0));
}

#[tokio::test]
async fn whoever_is_put_out_while_it_reads_has_read_nothing() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    say(&ann.session, room, 1).await;
    let user = bob.session.user().id;
    faults.hold_commits(true);
    let kick = ann.session.moderate(room, chat_core::Moderation::Kick { user });
    let read = bob.session.read(room, 1);
    let both = futures_util::future::join(kick, read);
    let release = async {
        tokio::task::yield_now().await;
        faults.hold_commits(false);
    };
    let ((kicked, read), ()) = in_time(&bench, futures_util::future::join(both, release)).await;
    kicked.expect("kicked");
    if let Err(refused) = read {
        assert_eq!(refused.code(), Code::NotAMember);
    }
    bob.session.join(room, After::Nothing).await.expect("back");
    assert_eq!(bob.session.standing(room).await.expect("how it stands").read, 1);
}
