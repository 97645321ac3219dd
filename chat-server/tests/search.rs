//! Messages are found by what they say, in both databases: by the index, by reading what is not in it yet, and by
//! both, whatever has become of them meanwhile and whoever keeps the index up.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod store_support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::{
    Batch, BatchOutcome, Body, ChangeKind, Code, Cursor, Draft, Edit, Engine, Kind, Limits,
    LoadedRoom, Membership, Name, NewRoom, Role, RoomId, RoomInfo, Store, StoreError, Text,
    Timestamp, Title, User, UserId, Write,
};
use chat_server::search::{Extent, Found, Place as Spot, Plain, Query, Search, SearchIndex};
use chat_server::store::{
    Indexing, MySqlOptions, MySqlStore, Rebuilt, Retention, SqlStore, SqliteStore, search_questions,
};
use database::Database;
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store_support::Home;
use tokio::sync::{Semaphore, watch};

/// One database, opened twice, as by two processes.
struct Kept {
    stores: [Arc<dyn SqlStore>; 2],
    place: Place,
}

enum Place {
    Folder(Home),
    Database(Database),
}

impl Kept {
    async fn sqlite() -> Self {
        let home = Home::new();
        let stores = [Arc::new(home.open().await) as _, Arc::new(home.open().await) as _];
        Self { stores, place: Place::Folder(home) }
    }

    async fn mariadb() -> Self {
        let database = Database::new().await;
        let open = async || MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
        let stores = [Arc::new(open().await) as _, Arc::new(open().await) as _];
        Self { stores, place: Place::Database(database) }
    }

    /// Another process.
    async fn another(&self) -> Arc<dyn SqlStore> {
        match &self.place {
            Place::Folder(home) => Arc::new(SqliteStore::open(&home.path()).await.unwrap()),
            Place::Database(database) => {
                Arc::new(MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap())
            }
        }
    }

    /// A number that is asked for past the store; or a change past it.
    async fn sql(&self, text: &str) -> i64 {
        let text = AssertSqlSafe(text.to_owned());
        let number = match &self.place {
            Place::Folder(home) => {
                let file = format!("sqlite:{}", home.path().display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                sqlx::query_scalar::<_, i64>(text).fetch_optional(&mut connection).await
            }
            Place::Database(database) => {
                let mut connection = database.connect().await;
                sqlx::query_scalar::<_, i64>(text).fetch_optional(&mut connection).await
            }
        };
        number.unwrap().unwrap_or_default()
    }

    /// Makes a user a member of so many empty threads, past the store.
    async fn follow_many_threads(&self, user: &User, count: usize) {
        let (numbers, id) = match &self.place {
            Place::Folder(_) => (
                format!(
                    "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n)"
                ),
                "randomblob(16)",
            ),
            Place::Database(_) => (format!("seq_1_to_{count}"), "UNHEX(REPLACE(UUID(), '-', ''))"),
        };
        let title = "'one of many'";
        self.sql(&format!(
            "INSERT INTO rooms (public_id, title, title_folded, kind, ephemeral, created_ms) \
             SELECT {id}, {title}, {title}, 'thread', 0, 0 FROM {numbers} numbers"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO search_progress (room) SELECT id FROM rooms WHERE title = {title}"
        ))
        .await;
        let user = user.id.uuid().simple();
        self.sql(&format!(
            "INSERT INTO members (room, user, role) \
             SELECT id, x'{user}', 'member' FROM rooms WHERE title = {title}"
        ))
        .await;
    }

    async fn rows(&self) -> i64 {
        self.sql("SELECT COUNT(*) FROM search_grams").await
    }
}

macro_rules! in_both {
    ($($case:ident)*) => {
        mod in_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Kept::sqlite().await).await;
            })*
        }

        mod in_mariadb {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Kept::mariadb().await).await;
            })*
        }
    };
}

/// An index in which every search takes until it is let go.
struct Slow {
    under_way: watch::Sender<usize>,
    let_go: Semaphore,
}

impl Slow {
    async fn find<N>(&self) -> Result<Found<N>, StoreError> {
        self.under_way.send_modify(|count| *count += 1);
        self.let_go.acquire().await.unwrap().forget();
        self.under_way.send_modify(|count| *count -= 1);
        Ok(Found { messages: Vec::new(), next: None })
    }

    async fn until_under_way(&self, count: usize) {
        self.under_way.subscribe().wait_for(|now| *now == count).await.unwrap();
    }
}

#[async_trait]
impl SearchIndex for Slow {
    async fn find(
        &self,
        _: RoomId,
        _: &Query,
        _: Option<u64>,
        _: usize,
    ) -> Result<Found<u64>, StoreError> {
        self.find().await
    }

    async fn find_of(
        &self,
        _: UserId,
        _: &Query,
        _: Option<Spot>,
        _: usize,
    ) -> Result<Found<Spot>, StoreError> {
        self.find().await
    }
}

#[tokio::test]
async fn whoever_searches_without_pause_leaves_others_their_turn() {
    let index = Arc::new(Slow { under_way: watch::Sender::new(0), let_go: Semaphore::new(0) });
    let engine = Engine::builder().threads(1).start().unwrap();
    let search = Search::new(engine.clone(), Arc::clone(&index) as _);
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap().id();
    let (query, extent) = (query("needle"), Extent { limit: 9, context: 0 });
    let everywhere = async |user: &User| {
        let found = search.everywhere(user, &query, None, extent).await;
        found.map(drop).map_err(|error| error.code())
    };
    let in_room = async |user: &User| {
        let found = search.in_room(user, room, &query, None, extent).await;
        found.map(drop).map_err(|error| error.code())
    };
    for _ in 0..2 {
        // The first two take all turns there are.
        let hers = async { tokio::join!(everywhere(&ann), in_room(&ann)) };
        let others = async {
            index.until_under_way(2).await;
            for _ in 0..100 {
                assert_eq!(everywhere(&ann).await, Err(Code::Busy));
                assert_eq!(in_room(&ann).await, Err(Code::Busy), "wherever she searches");
            }
            // His waits for one of hers.
            index.let_go.add_permits(3);
            assert_eq!(everywhere(&bob).await, Ok(()));
        };
        // When they are done, she searches again.
        assert_eq!(tokio::join!(hers, others), ((Ok(()), Ok(())), ()));
    }
    engine.stop().await;
}

in_both! {
    every_script_is_found_indexed_or_not
    what_is_edited_or_deleted_is_found_as_it_is_now
    pages_go_on_where_they_end
    the_newest_of_all_rooms_comes_first
    many_threads_hide_no_room
    of_many_rooms_all_that_have_it_are_found
    what_was_left_behind_is_caught_up_with
    edits_are_found_however_far_the_index_is_behind
    the_index_is_made_anew_and_gone_on_with
    two_processes_index_what_both_write
    nothing_is_left_of_what_is_gone
    no_question_scans_a_table
}

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

fn query(text: &str) -> Query {
    Query::new(text).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_312_000 + second, 0).unwrap()
}

fn engine(store: &Arc<dyn SqlStore>) -> Engine {
    Engine::builder().shared_store(Arc::clone(store) as Arc<dyn Store>).threads(2).start().unwrap()
}

async fn open_room(store: &dyn SqlStore, owner: &User) -> LoadedRoom {
    let title = Some(Title::new("a room").unwrap());
    let info = RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created: at(0),
        parent: None,
    };
    let owner = Membership { user: owner.clone(), role: Role::Owner };
    store.create_room(&info, &[owner], None).await.unwrap();
    store.load_room(info.id, 0).await.unwrap().unwrap()
}

/// Writes messages behind those that are there, each a second after the one before.
async fn write(store: &dyn SqlStore, room: RoomId, from: &User, texts: &[String], second: i64) {
    let loaded = store.load_room(room, 0).await.unwrap().unwrap();
    let message = |(nth, text): (usize, &String)| {
        let body = Body::text(Text::new(text.as_str()).unwrap());
        Write::Message { from: from.clone(), body, at: at(second + nth as i64), key: None }
    };
    let writes = texts.iter().enumerate().map(message).collect();
    let batch = Batch { room: loaded.key, after: loaded.end, may_follow: true, writes };
    let outcome = store.append(&[batch]).await.unwrap().remove(0);
    assert!(matches!(outcome, BatchOutcome::Done(_)), "{outcome:?}");
}

const NOTHING: [u64; 0] = [];

/// All that is found in a room.
async fn all(index: &dyn SearchIndex, room: RoomId, text: &str) -> Vec<u64> {
    let (mut seqs, mut before) = (Vec::new(), None);
    loop {
        let found = index.find(room, &query(text), before, 7).await.unwrap();
        assert!(found.messages.iter().all(|(of, _)| *of == room));
        seqs.extend(found.messages.iter().map(|(_, seq)| *seq));
        match found.next {
            Some(next) => before = Some(next),
            None => return seqs,
        }
    }
}

/// Texts, and what is looked for: each is found in the first text and not in the second.
const SCRIPTS: [(&str, &str, &[&str]); 14] = [
    ("안녕하세요 여러분", "감사합니다", &["안녕", "녕하", "여러", "안", "여러분 안녕"]),
    ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}어", "영어", &["한국", "국어"]),
    ("日本語を勉強しています", "中国語", &["日本", "勉強", "本", "てい"]),
    ("ｶﾀｶﾅとカナ", "ひらがな", &["カタ", "カナ"]),
    ("สวัสดีครับ", "ขอบคุณ", &["สวัส", "ดี", "ครับ"]),
    ("Привет, Мир!", "Пока", &["привет", "ИВЕТ", "мир!"]),
    ("السَّلَامُ عَلَيْكُمْ", "شكرا", &["السلام", "عليكم", "سلام"]),
    ("Cafe\u{301} au lait", "the", &["café", "CAFÉ", "fé au", "lait"]),
    ("well done 👍🏽 🎉", "no", &["👍", "🎉", "done 👍"]),
    ("I write C++, c# and .NET", "I write C", &["C++", "c#", ".net", "c+", "and c++"]),
    ("100% of snake_case", "100 cases", &["100%", "%", "_", "e_c"]),
    (
        "Robert'; DROP TABLE messages; -- \\ \"a\" OR b* NEAR(x)",
        "Robert drop table messages",
        &["'; DROP TABLE", "\"a\" OR b*", "NEAR(", "\\", "';", "--"],
    ),
    ("plan b and then", "blanc", &["b", "plan", "b and", "lan b"]),
    ("𠮷野家 🏳️‍🌈", "吉野家", &["𠮷", "𠮷野", "🏳🌈"]),
];

async fn every_script_is_found_indexed_or_not(kept: Kept) {
    let [store, other] = &kept.stores;
    let ann = user("Ann");
    for is_indexed in [false, true] {
        let room = open_room(&**store, &ann).await.info.id;
        for (text, foreign, _) in SCRIPTS {
            write(&**store, room, &ann, &[text.to_owned(), foreign.to_owned()], 0).await;
        }
        if is_indexed {
            store.index_search(Indexing::Everything).await.unwrap();
        }
        for (nth, (text, foreign, queries)) in (0..).zip(SCRIPTS) {
            for looked_for in queries {
                let seqs = all(&**other, room, looked_for).await;
                assert!(seqs.contains(&(2 * nth + 1)), "{looked_for} in {text}: {seqs:?}");
                assert!(!seqs.contains(&(2 * nth + 2)), "{looked_for} in {foreign}: {seqs:?}");
            }
        }
        for nothing in ["zzz", "안하", "%%", "x' OR '1'='1", "**", "c+++"] {
            assert_eq!(all(&**other, room, nothing).await, NOTHING, "{nothing}");
        }
        if is_indexed {
            // It was by the index that they were found.
            kept.sql("DELETE FROM search_grams").await;
            assert_eq!(all(&**other, room, "안녕").await, NOTHING);
        }
    }
}

async fn what_is_edited_or_deleted_is_found_as_it_is_now(kept: Kept) {
    let [store, _] = &kept.stores;
    let (engine, ann, bob) = (engine(store), user("Ann"), user("Bob"));
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap();
    room.join(&bob, chat_core::After::Nothing).await.unwrap();
    for n in 0..10 {
        let from = if n % 2 == 0 { &ann } else { &bob };
        room.send(from, Draft::text(format!("apple {n}")).unwrap()).await.unwrap();
    }
    let seqs = async |text: &str| all(&**store, room.id(), text).await;
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(seqs("apple").await, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    // The index does not know yet, and then it does.
    room.edit(&ann, 1, Text::new("pear 0").unwrap()).await.unwrap();
    room.delete(&ann, 3).await.unwrap();
    for _ in 0..2 {
        assert_eq!(seqs("pear").await, [1]);
        assert_eq!(seqs("apple").await, [10, 9, 8, 7, 6, 5, 4, 2]);
        assert_eq!(seqs("apple 2").await, NOTHING);
        store.index_search(Indexing::Everything).await.unwrap();
    }
    engine.forget(&bob, true).await.unwrap();
    assert_eq!(seqs("apple").await, [9, 7, 5]);
    engine.stop().await;
}

async fn pages_go_on_where_they_end(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let room = open_room(&**store, &ann).await.info.id;
    // More than two eras; every hundredth says something else, and one of the oldest something rare.
    let text = |n: u64| match n {
        17 => "하나뿐인 메시지".to_owned(),
        n if n.is_multiple_of(100) => format!("hundred {n}"),
        n => format!("message {n}"),
    };
    let texts: Vec<_> = (1..=9_000).map(text).collect();
    for some in texts.chunks(1_000) {
        write(&**store, room, &ann, some, 0).await;
    }
    let hundreds: Vec<u64> = (1..=90).rev().map(|n| n * 100).collect();
    assert_eq!(all(&**store, room, "hundred").await, hundreds, "by reading");
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(all(&**store, room, "HUNDRED").await, hundreds, "by the index");
    let more: Vec<_> = (9_001..=9_200).map(text).collect();
    write(&**store, room, &ann, &more, 0).await;
    let both: Vec<u64> = (1..=92).rev().map(|n| n * 100).collect();
    assert_eq!(all(&**store, room, "undre").await, both, "by both");
    assert_eq!(all(&**store, room, "뿐인").await, [17]);
    let page = store.find(room, &query("hundred"), Some(301), 2).await.unwrap();
    assert_eq!(page, Found { messages: vec![(room, 300), (room, 200)], next: Some(200) });
    // What is in nearly every message takes many pages, and each has what it should.
    let page = store.find(room, &query("message"), Some(50), 50).await.unwrap();
    let seqs: Vec<_> = page.messages.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(seqs, (1..50).rev().filter(|n| *n != 17).collect::<Vec<_>>());
    assert_eq!(page.next, None);
}

async fn the_newest_of_all_rooms_comes_first(kept: Kept) {
    let [store, _] = &kept.stores;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let mut rooms = Vec::new();
    for _ in 0..5 {
        rooms.push(open_room(&**store, &ann).await.info.id);
    }
    let foreign = open_room(&**store, &bob).await.info.id;
    // In turn to each room, of which one has far more; several in the same second.
    let mut expected = Vec::new();
    for (nth, room) in (0..).zip(&rooms) {
        let count = if nth == 0 { 400 } else { 40 };
        let texts: Vec<_> = (0..count).map(|n| format!("note {}", n % 4)).collect();
        write(&**store, *room, &ann, &texts, 7 * nth).await;
        expected
            .extend((0..count).filter(|n| n % 4 == 3).map(|n| (7 * nth + n, *room, n as u64 + 1)));
    }
    write(&**store, foreign, &bob, &["note 3".to_owned()], 0).await;
    expected.sort_unstable();
    expected.reverse();
    let expected: Vec<_> = expected.into_iter().map(|(_, room, seq)| (room, seq)).collect();
    for is_indexed in [false, true] {
        for limit in [1, 3, 50] {
            let (mut found, mut before) = (Vec::new(), None);
            loop {
                let page = store.find_of(ann.id, &query("3"), before, limit).await.unwrap();
                assert!(page.messages.len() <= limit);
                found.extend(page.messages);
                let Some(next) = page.next else { break };
                assert!(before.is_none_or(|before| next < before), "it gets on");
                before = Some(next.to_string().parse().unwrap());
            }
            assert_eq!(found, expected, "indexed: {is_indexed}, {limit} at a time");
        }
        store.index_search(Indexing::Everything).await.unwrap();
    }
    assert_eq!(store.find_of(user("Eve").id, &query("3"), None, 9).await.unwrap().messages, []);
}

/// In more rooms than are looked at one by one, some of which are in the index wholly, some in part and some not.
async fn of_many_rooms_all_that_have_it_are_found(kept: Kept) {
    let [store, _] = &kept.stores;
    let limits = Limits { edit_age: Duration::MAX, ..Limits::default() };
    let engine = Engine::builder().shared_store(Arc::clone(store) as Arc<dyn Store>).limits(limits);
    let (engine, ann) = (engine.threads(2).start().unwrap(), user("Ann"));
    let mut rooms = Vec::new();
    for n in 0..150 {
        let room = open_room(&**store, &ann).await;
        // Each gram of the word, but not together; the word, far from the end or near; more than one block.
        let texts: Vec<_> = match n % 10 {
            0 => vec!["a nee".to_owned(), "eedle ".to_owned()],
            1 => (0..100).map(|n| if n == 3 { "a needle" } else { "hay" }.to_owned()).collect(),
            2 => vec![format!("a needle {n}")],
            3 => vec![],
            _ => (0..n % 7).map(|n| format!("hay {n}")).collect(),
        };
        write(&**store, room.info.id, &ann, &texts, n).await;
        rooms.push(room.info.id);
    }
    let paged = async |index: &dyn SearchIndex, limit| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = index.find_of(ann.id, &query("needle"), before, limit).await.unwrap();
            found.extend(page.messages);
            before = page.next;
            if before.is_none() {
                return found;
            }
        }
    };
    let plain = Plain(Arc::clone(store) as Arc<dyn Store>);
    let check = async |what: &str, count: usize| {
        let expected = paged(&plain, 50).await;
        assert_eq!(expected.len(), count, "{what}");
        for limit in [7, 50] {
            assert_eq!(paged(&**store, limit).await, expected, "{what}, {limit} at a time");
        }
    };
    check("not in the index", 30).await;
    store.index_search(Indexing::Everything).await.unwrap();
    check("in the index", 30).await;
    // What has come since is not, nor are edits; and what was deleted is no more.
    for (n, room) in (0..).zip(&rooms).skip(4).step_by(10) {
        let mut texts = vec!["more hay".to_owned(); if n % 20 == 4 { 2 } else { 40 }];
        texts[1] = "one more needle".to_owned();
        write(&**store, *room, &ann, &texts, 1_000 + n).await;
    }
    for room in rooms.iter().skip(5).step_by(10) {
        let room = engine.room(*room);
        room.send(&ann, Draft::text("hay").unwrap()).await.unwrap();
    }
    store.index_search(Indexing::Everything).await.unwrap();
    for (n, room) in rooms.iter().enumerate() {
        let room = engine.room(*room);
        match n % 10 {
            2 => room.delete(&ann, 1).await.unwrap(),
            5 => room.edit(&ann, 1, Text::new("an edited needle").unwrap()).await.unwrap(),
            6 => _ = room.send(&ann, Draft::text("the last needle").unwrap()).await.unwrap(),
            _ => {}
        }
    }
    check("in part", 15 + 15 + 15 + 15).await;
    engine.stop().await;
}

async fn many_threads_hide_no_room(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let open = async |is_thread: bool, second| {
        let room = open_room(&**store, &ann).await;
        if is_thread {
            kept.sql(&format!("UPDATE rooms SET kind = 'thread' WHERE id = {}", room.key.0)).await;
        }
        write(&**store, room.info.id, &ann, &["a needle".to_owned()], second).await;
        room.info.id
    };
    let (lobby, _old) = (open(false, 1).await, open(true, 2).await);
    kept.follow_many_threads(&ann, 10_000).await;
    let new = open(true, 3).await;
    let found = async || store.find_of(ann.id, &query("needle"), None, 9).await.unwrap();
    for _ in 0..2 {
        let all = Found { messages: vec![(new, 1), (lobby, 1)], next: None };
        assert_eq!(found().await, all, "of ten thousand: the room, and the threads that are new");
        store.index_search(Indexing::Everything).await.unwrap();
    }
    // As many rooms that are no threads are all there is.
    kept.sql("UPDATE rooms SET kind = 'open' WHERE title = 'one of many'").await;
    assert_eq!(found().await.messages, []);
}

async fn what_was_left_behind_is_caught_up_with(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let room = open_room(&**store, &ann).await.info.id;
    let texts: Vec<_> = (0..200).map(|n| format!("message {n}")).collect();
    write(&**store, room, &ann, &texts, 0).await;
    assert_eq!(kept.rows().await, 0);
    // Another process that starts finds all that is behind, and from then on what is written by itself.
    let other = kept.another().await;
    other.index_search(Indexing::Ripe).await.unwrap();
    let indexed = "SELECT seq FROM search_progress WHERE room = (SELECT MAX(id) FROM rooms)";
    assert_eq!(kept.sql(indexed).await, 200);
    write(&*other, room, &ann, &texts[..20], 0).await;
    other.index_search(Indexing::Ripe).await.unwrap();
    assert_eq!(kept.sql(indexed).await, 200, "the block is not full");
    write(&*other, room, &ann, &texts[..100], 0).await;
    other.index_search(Indexing::Ripe).await.unwrap();
    assert_eq!(kept.sql(indexed).await, 5 * 63 - 1, "what are full blocks");
    for _ in 0..10 {
        other.index_search(Indexing::Ripe).await.unwrap();
    }
    assert_eq!(kept.sql(indexed).await, 320, "it is quiet");
    assert_eq!(all(&**store, room, "message 199").await, [200]);
}

/// Nobody brings the index up, because that is switched off perhaps.
async fn edits_are_found_however_far_the_index_is_behind(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let room = open_room(&**store, &ann).await.info.id;
    write(&**store, room, &ann, &["apple".to_owned(), "apple".to_owned()], 0).await;
    store.index_search(Indexing::Everything).await.unwrap();
    let by = Membership { user: ann, role: Role::Owner };
    for some in 0..12 {
        let loaded = store.load_room(room, 0).await.unwrap().unwrap();
        let edit = |nth: i64| {
            let text = Text::new(format!("pear {some} {nth}")).unwrap();
            let edit = Edit { text, mentions: Vec::new() };
            let kind = ChangeKind::Edited(by.clone(), if some == 11 { 1 } else { 2 }, Some(edit));
            Write::Change { kind, by: None, at: at(10 + nth), key: None }
        };
        let writes = (0..500).map(edit).collect();
        let batch = Batch { room: loaded.key, after: loaded.end, may_follow: true, writes };
        let outcome = store.append(&[batch]).await.unwrap().remove(0);
        assert!(matches!(outcome, BatchOutcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(all(&**store, room, "pear").await, [2, 1]);
    assert_eq!(all(&**store, room, "pear 11 499").await, [1]);
    assert_eq!(all(&**store, room, "apple").await, NOTHING);
}

async fn the_index_is_made_anew_and_gone_on_with(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let mut rooms = Vec::new();
    for n in 0..3 {
        let room = open_room(&**store, &ann).await.info.id;
        let texts: Vec<_> = (0..150).map(|m| format!("message {n} {m}")).collect();
        write(&**store, room, &ann, &texts, 0).await;
        rooms.push(room);
    }
    store.index_search(Indexing::Everything).await.unwrap();
    let rows = kept.rows().await;
    let spoil = "UPDATE search_grams SET bits = 0 WHERE block = 1";
    let sum = "SELECT CAST(SUM(bits % 1000003) AS SIGNED) FROM search_grams";
    let sum = if matches!(kept.place, Place::Folder(_)) {
        &sum.replace("CAST(", "(").replace(" AS SIGNED", "")
    } else {
        sum
    };
    let before = kept.sql(sum).await;
    kept.sql(spoil).await;
    assert_ne!(kept.sql(sum).await, before);
    let done = store.rebuild_search(&|_| {}).await.unwrap();
    assert_eq!(done, Rebuilt { rooms: 3, messages: 450 });
    assert_eq!((kept.rows().await, kept.sql(sum).await), (rows, before));
    // One that was cut short after two of the rooms.
    kept.sql(spoil).await;
    kept.sql("UPDATE search_progress SET stale = 1 WHERE room = (SELECT MAX(id) FROM rooms)").await;
    assert_eq!(store.rebuild_search(&|_| {}).await.unwrap(), Rebuilt { rooms: 1, messages: 150 });
    for (nth, room) in rooms.iter().enumerate() {
        let found = all(&**store, *room, &format!("message {nth} 77")).await;
        assert_eq!(found, if nth == 2 { vec![78] } else { vec![] }, "the others are still spoilt");
    }
}

async fn two_processes_index_what_both_write(kept: Kept) {
    let ann = user("Ann");
    let room = open_room(&*kept.stores[0], &ann).await.info.id;
    let work = async |nth: usize| {
        let engine = engine(&kept.stores[nth]);
        let room = engine.room(room);
        for n in 0..20 {
            let send = async |m: usize| {
                let draft = Draft::text(format!("process {nth} says {n} {m} 안녕")).unwrap();
                room.send(&ann, draft).await.unwrap();
            };
            join_all((0..20).map(send)).await;
            kept.stores[nth].index_search(Indexing::Everything).await.unwrap();
        }
        engine.stop().await;
    };
    tokio::join!(work(0), work(1));
    for store in &kept.stores {
        store.index_search(Indexing::Everything).await.unwrap();
    }
    let behind = "SELECT COUNT(*) FROM search_progress p JOIN rooms r ON r.id = p.room \
        WHERE p.seq < (SELECT MAX(seq) FROM messages) OR p.number < r.last_change";
    assert_eq!(kept.sql(behind).await, 0);
    let plain = Plain(Arc::clone(&kept.stores[0]) as Arc<dyn Store>);
    for text in ["안녕", "says 7", "process 1 says 13 5", "0"] {
        let found = all(&*kept.stores[1], room, text).await;
        assert_eq!(found, all(&plain, room, text).await, "{text}");
        assert!(!found.is_empty(), "{text}");
    }
}

async fn nothing_is_left_of_what_is_gone(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    let (gone, stays) = (open_room(&**store, &ann).await, open_room(&**store, &ann).await);
    let texts: Vec<_> = (0..5_000).map(|n| format!("message {n} of many")).collect();
    for room in [&gone, &stays] {
        write(&**store, room.info.id, &ann, &texts, 0).await;
    }
    store.index_search(Indexing::Everything).await.unwrap();
    store.delete_room(gone.key).await.unwrap();
    for table in ["search_grams", "search_progress"] {
        let of_gone = format!("SELECT COUNT(*) FROM {table} WHERE room = {}", gone.key.0);
        assert_eq!(kept.sql(&of_gone).await, 0, "{table}");
        let of_other = format!("SELECT COUNT(*) FROM {table} WHERE room = {}", stays.key.0);
        assert!(kept.sql(&of_other).await > 0, "{table}");
    }
    // It is not written to again either.
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(all(&**store, gone.info.id, "message").await, NOTHING);
    let newest = Retention { age: None, messages: Some(900) };
    store.remove_old(newest, at(99_999)).await.unwrap();
    assert_eq!(kept.sql("SELECT MIN(era) FROM search_grams").await, 1);
    let found = all(&**store, stays.info.id, "many").await;
    assert_eq!(found, (4_101..=5_000).rev().collect::<Vec<_>>());
    // All of them go before they were indexed.
    write(&**store, stays.info.id, &ann, &texts[..100], 0).await;
    store
        .remove_old(Retention { age: Some(Duration::from_secs(1)), messages: None }, at(99_999))
        .await
        .unwrap();
    store.index_search(Indexing::Everything).await.unwrap();
    assert_eq!(all(&**store, stays.info.id, "many").await, NOTHING);
    assert_eq!(kept.sql("SELECT seq FROM search_progress").await, 5_100);
    let loaded = store.load_room(stays.info.id, 0).await.unwrap().unwrap();
    assert_eq!((loaded.end, loaded.removed), (Cursor::new(5_100, 1), 5_100));
}

/// Of a room with as many messages that reading it all would be dear.
async fn no_question_scans_a_table(kept: Kept) {
    let [store, _] = &kept.stores;
    let ann = user("Ann");
    for _ in 0..3 {
        let room = open_room(&**store, &ann).await.info.id;
        let texts: Vec<_> = (0..2_000).map(|n| format!("message {n} of many")).collect();
        write(&**store, room, &ann, &texts, 0).await;
    }
    store.index_search(Indexing::Everything).await.unwrap();
    let questions = search_questions();
    assert!(questions.len() > 5);
    for question in questions {
        match &kept.place {
            Place::Folder(home) => {
                let file = format!("sqlite:{}", home.path().display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"));
                let plan: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(explain).fetch_all(&mut connection).await.unwrap();
                assert!(!plan.is_empty());
                for (.., step) in plan {
                    assert!(!step.starts_with("SCAN"), "{question}: {step}");
                }
            }
            Place::Database(database) => {
                let mut connection = database.connect().await;
                sqlx::raw_sql("ANALYZE TABLE messages, search_grams, rooms, members, changes")
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let id = ann.id.uuid().simple();
                let filled = question.replace("public_id = ?", &format!("public_id = x'{id}'"));
                let filled =
                    filled.replace("user = ?", &format!("user = x'{id}'")).replace('?', "1");
                let explain = AssertSqlSafe(format!("EXPLAIN FORMAT=JSON {filled}"));
                let plan: String =
                    sqlx::query_scalar(explain).fetch_one(&mut connection).await.unwrap();
                for scan in ["\"access_type\": \"ALL\"", "\"access_type\": \"index\""] {
                    assert!(!plan.contains(scan), "{question}: {plan}");
                }
            }
        }
    }
}
