//! What every store must do when it writes, run against the plainest one, in memory, and against
//! SQLite: numbers, client keys, and rooms that are not where a batch believes them to be.

#![allow(clippy::unwrap_used, reason = "tests")]

mod store_support;

use chat_core::{BatchOutcome, Cursor, Outcome, RoomKey, Sent, Store};
use futures_util::future::join_all;
use store_support::*;

every_store!(
    numbers_have_no_gap,
    rooms_keep_their_order_under_concurrency,
    a_key_takes_effect_once,
    a_key_counts_for_one_user_in_one_room,
    a_key_counts_within_a_batch,
    keys_are_compared_byte_for_byte,
    many_keys_at_once,
    a_room_that_stands_elsewhere_is_fenced,
    a_room_that_is_not_there_is_gone,
    one_bad_batch_does_not_hurt_the_others,
    two_batches_of_a_room_follow_each_other,
    any_number_of_writes_fits,
);

async fn numbers_have_no_gap(store: &dyn Store) {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await;
    let writes =
        vec![message(&ann, "1"), join(&bob), message(&bob, "2"), leave(&bob), message(&ann, "3")];
    let outcome = append(store, room.key, (0, 1), writes).await;
    let expected = [stored(1, 1), stored(1, 2), stored(2, 2), stored(2, 3), stored(3, 3)];
    assert_eq!(outcome, BatchOutcome::Done(expected.into()));
    assert_eq!(append(store, room.key, (3, 3), vec![]).await, BatchOutcome::Done(vec![]));
    let outcome = append(store, room.key, (3, 3), vec![message(&ann, "4")]).await;
    assert_eq!(outcome, BatchOutcome::Done(vec![stored(4, 3)]));

    let loaded = load(store, room.info.id).await;
    assert_eq!(loaded.end, Cursor::new(4, 3));
    let read: Vec<_> =
        loaded.messages.iter().map(|m| (m.seq, &*m.text, m.from.name.to_string())).collect();
    let name = |name: &str| name.to_owned();
    assert_eq!(
        read,
        [
            (1, "1", name("Ann")),
            (2, "2", name("Bob")),
            (3, "3", name("Ann")),
            (4, "4", name("Ann"))
        ]
    );
    let cursors: Vec<_> = loaded.changes.iter().map(|change| change.cursor).collect();
    assert_eq!(cursors, [Cursor::new(0, 1), Cursor::new(1, 2), Cursor::new(2, 3)]);
}

async fn rooms_keep_their_order_under_concurrency(store: &dyn Store) {
    let owner = user("Ann");
    let rooms = join_all((0..40).map(|_| open_room(store, &owner))).await;
    join_all(rooms.iter().map(|room| async {
        for round in 0..10 {
            let writes =
                (0..=round % 4).map(|i| message(&owner, &format!("{round}.{i}"))).collect();
            let end = load(store, room.info.id).await.end;
            let outcome = append(store, room.key, (end.seq, end.change), writes).await;
            assert!(matches!(outcome, BatchOutcome::Done(_)));
        }
    }))
    .await;
    let expected: Vec<String> =
        (0..10).flat_map(|round| (0..=round % 4).map(move |i| format!("{round}.{i}"))).collect();
    for room in rooms {
        let read = messages(store, room.key).await;
        assert!(read.iter().map(|message| message.seq).eq(1..=expected.len() as u64));
        assert!(read.iter().map(|message| &*message.text).eq(&expected));
    }
}

async fn a_key_takes_effect_once(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    append(store, room.key, (0, 1), vec![message(&ann, "first"), keyed(&ann, "hello", "k")]).await;
    let writes = vec![
        message(&ann, "before"),
        keyed(&ann, "hello", "k"),
        keyed(&ann, "other", "k"),
        keyed(&ann, "after", "k2"),
    ];
    let outcome = append(store, room.key, (2, 1), writes).await;
    let seen = Outcome::Seen(Sent { seq: 2, at: at(2) });
    assert_eq!(
        outcome,
        BatchOutcome::Done(vec![stored(3, 1), seen, Outcome::KeyConflict, stored(4, 1)])
    );
    assert_eq!(texts(store, room.key).await, ["first", "hello", "before", "after"]);
    // And once more, when nothing is left to write.
    assert_eq!(
        append(store, room.key, (4, 1), vec![keyed(&ann, "hello", "k")]).await,
        BatchOutcome::Done(vec![seen])
    );
    assert_eq!(
        append(store, room.key, (4, 1), vec![message(&ann, "x")]).await,
        BatchOutcome::Done(vec![stored(5, 1)])
    );
}

async fn a_key_counts_for_one_user_in_one_room(store: &dyn Store) {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (one, two) = (open_room(store, &ann).await, open_room(store, &ann).await);
    append(store, one.key, (0, 1), vec![keyed(&ann, "a", "k")]).await;
    assert_eq!(
        append(store, one.key, (1, 1), vec![keyed(&bob, "b", "k")]).await,
        BatchOutcome::Done(vec![stored(2, 1)])
    );
    assert_eq!(
        append(store, two.key, (0, 1), vec![keyed(&ann, "c", "k")]).await,
        BatchOutcome::Done(vec![stored(1, 1)])
    );
    let both = [
        batch(
            one.key,
            (2, 1),
            vec![keyed(&ann, "a", "k"), keyed(&bob, "b", "k"), keyed(&bob, "n", "new")],
        ),
        batch(two.key, (1, 1), vec![keyed(&bob, "n", "new"), keyed(&ann, "c", "k")]),
    ];
    let seen = |seq| Outcome::Seen(Sent { seq, at: at(2) });
    assert_eq!(
        store.append(&both).await.unwrap(),
        [
            BatchOutcome::Done(vec![seen(1), seen(2), stored(3, 1)]),
            BatchOutcome::Done(vec![stored(2, 1), seen(1)])
        ]
    );
}

async fn a_key_counts_within_a_batch(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    let writes = vec![
        keyed(&ann, "a", "k"),
        keyed(&ann, "a", "k"),
        keyed(&ann, "b", "k"),
        message(&ann, "c"),
    ];
    let seen = Outcome::Seen(Sent { seq: 1, at: at(2) });
    let expected = vec![stored(1, 1), seen, Outcome::KeyConflict, stored(2, 1)];
    assert_eq!(append(store, room.key, (0, 1), writes).await, BatchOutcome::Done(expected));
    assert_eq!(texts(store, room.key).await, ["a", "c"]);
}

async fn keys_are_compared_byte_for_byte(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    let keys = [
        "🍣",
        "🍺",
        "k",
        "k ",
        "k  ",
        " k",
        "K",
        "é",
        "e\u{301}",
        "e",
        "ß",
        "ss",
        "k\0",
        "k\0\0",
        "\0",
        "%",
        "_",
        "가",
        "각",
        "1",
        "1.0",
        "01",
        "👨‍👩‍👧",
        "👨‍👩",
    ];
    let writes = keys.iter().map(|key| keyed(&ann, key, key)).collect();
    let outcome = append(store, room.key, (0, 1), writes).await;
    let expected = (1..=keys.len() as u64).map(|seq| stored(seq, 1)).collect();
    assert_eq!(outcome, BatchOutcome::Done(expected));
    let again = keys.iter().map(|key| keyed(&ann, key, key)).collect();
    let seen = (1..=keys.len() as u64).map(|seq| Outcome::Seen(Sent { seq, at: at(2) })).collect();
    assert_eq!(
        append(store, room.key, (keys.len() as u64, 1), again).await,
        BatchOutcome::Done(seen)
    );
}

async fn many_keys_at_once(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    let write = |i: u64| keyed(&ann, &i.to_string(), &i.to_string());
    append(store, room.key, (0, 1), (1..=700).map(write).collect()).await;
    // Every other key is an old one.
    let outcome = append(
        store,
        room.key,
        (700, 1),
        (1..=700).flat_map(|i| [write(i), write(i + 700)]).collect(),
    )
    .await;
    let seen = |i| Outcome::Seen(Sent { seq: i, at: at(2) });
    let expected = (1..=700).flat_map(|i| [seen(i), stored(700 + i, 1)]).collect();
    assert_eq!(outcome, BatchOutcome::Done(expected));
    let read = messages(store, room.key).await;
    assert!(read.iter().all(|message| *message.text == *message.seq.to_string()));
    assert_eq!(read.len(), 1_400);
}

async fn a_room_that_stands_elsewhere_is_fenced(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    append(
        store,
        room.key,
        (0, 1),
        vec![message(&ann, "1"), message(&ann, "2"), join(&user("Bob"))],
    )
    .await;
    for after in [(1, 2), (3, 2), (2, 1), (2, 3), (0, 0), (u64::MAX >> 1, 2), (3, 1)] {
        for write in [message(&ann, "no"), keyed(&ann, "no", "k"), join(&user("Cyd"))] {
            assert_eq!(
                append(store, room.key, after, vec![write]).await,
                BatchOutcome::Fenced,
                "{after:?}"
            );
        }
    }
    let loaded = load(store, room.info.id).await;
    assert_eq!((loaded.end, loaded.members.len()), (Cursor::new(2, 2), 2));
    // The key that came with a fenced write was not taken.
    let outcome = append(store, room.key, (2, 2), vec![keyed(&ann, "yes", "k")]).await;
    assert_eq!(outcome, BatchOutcome::Done(vec![stored(3, 2)]));
}

async fn a_room_that_is_not_there_is_gone(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    store.delete_room(room.key).await.unwrap();
    for key in [room.key, RoomKey(i64::MAX), RoomKey(-1), RoomKey(0)] {
        for after in [(0, 1), (0, 0), (7, 7)] {
            let outcome = append(store, key, after, vec![message(&ann, "no"), join(&ann)]).await;
            assert_eq!(outcome, BatchOutcome::Gone);
        }
        assert!(messages(store, key).await.is_empty());
    }
    // A number is not used again: late writes to the old room must not reach the next one.
    assert_ne!(open_room(store, &ann).await.key, room.key);
}

async fn one_bad_batch_does_not_hurt_the_others(store: &dyn Store) {
    let ann = user("Ann");
    let rooms = join_all((0..5).map(|_| open_room(store, &ann))).await;
    let key = |i: usize| rooms[i].key;
    append(store, key(1), (0, 1), vec![message(&ann, "somebody else's")]).await;
    append(store, key(3), (0, 1), vec![keyed(&ann, "kept", "k")]).await;
    store.delete_room(key(2)).await.unwrap();
    let outcomes = store
        .append(&[
            batch(key(0), (0, 1), vec![message(&ann, "0")]),
            batch(key(1), (0, 1), vec![message(&ann, "1"), join(&user("Bob"))]),
            batch(key(2), (0, 1), vec![message(&ann, "2")]),
            batch(key(3), (1, 1), vec![keyed(&ann, "kept", "k"), message(&ann, "3")]),
            batch(key(4), (0, 1), vec![message(&ann, "4")]),
        ])
        .await
        .unwrap();
    let done = |outcomes: Vec<Outcome>| BatchOutcome::Done(outcomes);
    assert_eq!(
        outcomes,
        [
            done(vec![stored(1, 1)]),
            BatchOutcome::Fenced,
            BatchOutcome::Gone,
            done(vec![Outcome::Seen(Sent { seq: 1, at: at(2) }), stored(2, 1)]),
            done(vec![stored(1, 1)]),
        ]
    );
    assert_eq!(texts(store, key(1)).await, ["somebody else's"]);
    assert_eq!(load(store, rooms[1].info.id).await.members.len(), 1);
    assert_eq!(texts(store, key(3)).await, ["kept", "3"]);
    assert_eq!(store.append(&[]).await.unwrap(), []);
}

async fn two_batches_of_a_room_follow_each_other(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    let batches = [
        batch(room.key, (0, 1), vec![keyed(&ann, "1", "k")]),
        batch(room.key, (0, 1), vec![message(&ann, "late")]),
        batch(room.key, (1, 1), vec![keyed(&ann, "1", "k"), message(&ann, "2")]),
    ];
    let seen = Outcome::Seen(Sent { seq: 1, at: at(2) });
    assert_eq!(
        store.append(&batches).await.unwrap(),
        [
            BatchOutcome::Done(vec![stored(1, 1)]),
            BatchOutcome::Fenced,
            BatchOutcome::Done(vec![seen, stored(2, 1)])
        ]
    );
}

async fn any_number_of_writes_fits(store: &dyn Store) {
    let ann = user("Ann");
    let room = open_room(store, &ann).await;
    let mut end = (0, 1);
    for count in [1, 2, 3, 7, 64, 511, 512, 513, 1_100] {
        let writes =
            (0..count).flat_map(|i| [message(&ann, &i.to_string()), join(&user("Bob"))]).collect();
        let outcome = append(store, room.key, end, writes).await;
        end = (end.0 + count, end.1 + count);
        let BatchOutcome::Done(outcomes) = outcome else { panic!("{outcome:?}") };
        assert_eq!(outcomes.last(), Some(&stored(end.0, end.1)));
    }
    let loaded = load(store, room.info.id).await;
    assert_eq!(loaded.end, Cursor::new(end.0, end.1));
    assert_eq!(loaded.members.len() as u64, end.1);
    let read = messages(store, room.key).await;
    assert!(read.iter().map(|message| message.seq).eq(1..=end.0));
}
