//! What is found, and what of it comes first.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{Draft, Engine, Limits, NewRoom, Store, Text};
use chat_server::search::{Found, Plain, SearchIndex};
use chat_server::store::Indexing;

use super::{Kept, NOTHING, all, engine, open_room, query, user, write};

in_both! {
    every_script_is_found_indexed_or_not
    what_is_edited_or_deleted_is_found_as_it_is_now
    pages_go_on_where_they_end
    the_newest_of_all_rooms_comes_first
    many_threads_hide_no_room
    of_many_rooms_all_that_have_it_are_found
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
