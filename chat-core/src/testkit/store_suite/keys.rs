//! Client keys: a write with one takes effect once, and keys are the same only if every byte is.

use futures_util::future::try_join_all;

use super::support::*;
use super::{StoreHome, cases};
use crate::command::Sent;
use crate::model::{Name, User};
use crate::store::Outcome;

cases!(
    a_key_takes_effect_once,
    a_repeated_key_gets_the_first_answer,
    a_key_counts_for_one_user_in_one_room,
    a_key_counts_within_a_commit,
    keys_are_compared_byte_for_byte,
    many_keys_at_once,
    one_key_from_many_writers_at_once,
    keys_outlive_a_restart,
    without_a_key_the_same_text_is_another_message,
);

async fn a_key_takes_effect_once(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    write(store, room.key, (0, 1), vec![message(&ann, "first"), keyed(&ann, "hello", "k")]).await?;
    let writes = vec![
        message(&ann, "before"),
        keyed(&ann, "hello", "k"),
        keyed(&ann, "other", "k"),
        keyed(&ann, "after", "k2"),
    ];
    let outcome = append(store, room.key, (2, 1), writes).await?;
    let expected = [stored(3, 1), seen(2), Outcome::KeyConflict, stored(4, 1)];
    same("repeated keys among others", outcome, done(expected))?;
    said(store, room.key, ["first", "hello", "before", "after"]).await?;
    // And once more, when nothing is left to write.
    let outcome = append(store, room.key, (4, 1), vec![keyed(&ann, "hello", "k")]).await?;
    same("nothing but a repeated key", outcome, done([seen(2)]))?;
    let outcome = append(store, room.key, (4, 1), vec![message(&ann, "on")]).await?;
    same("what follows", outcome, done([stored(5, 1)]))?;
    said(store, room.key, ["first", "hello", "before", "after", "on"]).await
}

async fn a_repeated_key_gets_the_first_answer(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    write(store, room.key, (0, 1), vec![keyed_at(&ann, "hello", "k", at(123_456))]).await?;
    write(store, room.key, (1, 1), vec![message(&ann, "more"), join(&user("Bob"))]).await?;
    // Said again later, under another name.
    let anne = User { name: Name::new("Anne")?, ..ann };
    for later in [200_000, 300_000] {
        let again = keyed_at(&anne, "hello", "k", at(later));
        let first = Outcome::Seen(Sent { seq: 1, at: at(123_456) });
        same("the answer", append(store, room.key, (2, 2), vec![again]).await?, done([first]))?;
        let other = keyed_at(&anne, "other", "k", at(later));
        let outcome = append(store, room.key, (2, 2), vec![other]).await?;
        same("the answer to another text", outcome, done([Outcome::KeyConflict]))?;
    }
    said(store, room.key, ["hello", "more"]).await
}

async fn a_key_counts_for_one_user_in_one_room(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (one, two) = (open_room(store, &ann).await?, open_room(store, &ann).await?);
    write(store, one.key, (0, 1), vec![keyed(&ann, "a", "k")]).await?;
    let outcome = append(store, one.key, (1, 1), vec![keyed(&bob, "b", "k")]).await?;
    same("another user's key", outcome, done([stored(2, 1)]))?;
    let outcome = append(store, two.key, (0, 1), vec![keyed(&ann, "c", "k")]).await?;
    same("another room's key", outcome, done([stored(1, 1)]))?;
    let ones = [keyed(&ann, "a", "k"), keyed(&bob, "b", "k"), keyed(&bob, "n", "new")];
    let twos = [keyed(&bob, "n", "new"), keyed(&ann, "c", "k")];
    let both = [batch(one.key, (2, 1), ones.into()), batch(two.key, (1, 1), twos.into())];
    let expected = [done([seen(1), seen(2), stored(3, 1)]), done([stored(2, 1), seen(1)])];
    same_all("both rooms in one commit", store.append(&both).await?, expected)?;
    said(store, one.key, ["a", "b", "n"]).await?;
    said(store, two.key, ["c", "n"]).await
}

async fn a_key_counts_within_a_commit(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let (room, other) = (open_room(store, &ann).await?, open_room(store, &ann).await?);
    let writes =
        [keyed(&ann, "a", "k"), keyed(&ann, "a", "k"), keyed(&ann, "b", "k"), message(&ann, "c")];
    let batches = [
        batch(room.key, (0, 1), writes.to_vec()),
        batch(other.key, (0, 1), vec![keyed(&ann, "a", "k")]),
        batch(room.key, (2, 1), vec![keyed(&ann, "a", "k"), keyed(&ann, "d", "k2")]),
    ];
    let expected = [
        done([stored(1, 1), seen(1), Outcome::KeyConflict, stored(2, 1)]),
        done([stored(1, 1)]),
        done([seen(1), stored(3, 1)]),
    ];
    same_all("the outcomes", store.append(&batches).await?, expected)?;
    said(store, room.key, ["a", "c", "d"]).await
}

/// Keys that some collation or some column would hold equal.
const ODD: [&str; 48] = [
    "🍣",
    "🍺",
    "🍣🍺",
    "🍺🍣",
    "👨‍👩‍👧",
    "👨‍👩‍👧‍👦",
    "👨‍👩",
    "👍",
    "👍🏽",
    "🇩🇪",
    "🇪🇩",
    "𝕜",
    "𝒌",
    "\u{10ffff}",
    "\u{fffd}",
    "?",
    "??",
    "k",
    "k ",
    "k  ",
    " k",
    "k\t",
    "k\n",
    "k\u{a0}",
    "k\u{3000}",
    " ",
    "  ",
    "K",
    "\u{212a}",
    "é",
    "e\u{301}",
    "e",
    "ß",
    "ss",
    "ẞ",
    "SS",
    "k\0",
    "k\0\0",
    "\0",
    "\0k",
    "%",
    "_",
    "가",
    "각",
    "\u{1100}\u{1161}",
    "1",
    "1.0",
    "01",
];

async fn keys_are_compared_byte_for_byte(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    // All with one text, so that a mistaken key is answered as a repetition; then each with its
    // own, so that it is a conflict.
    for same_text in [true, false] {
        let one = open_room(store, &ann).await?;
        let two = open_room(store, &ann).await?;
        let write_of = |key: &str| keyed(&ann, if same_text { "x" } else { "key " }, key);
        for (i, key) in (0..).zip(ODD) {
            let outcome = append(store, one.key, (i, 1), vec![write_of(key)]).await?;
            same(format_args!("key {key:?}"), outcome, done([stored(i + 1, 1)]))?;
        }
        let all: Vec<_> = ODD.iter().map(|key| write_of(key)).collect();
        let count = ODD.len() as u64;
        let outcomes = write(store, one.key, (count, 1), all.clone()).await?;
        same_all("the same keys again", outcomes, (1..=count).map(seen))?;
        let outcomes = write(store, two.key, (0, 1), all.clone()).await?;
        same_all("all in one commit", outcomes, (1..=count).map(|seq| stored(seq, 1)))?;
        let outcomes = write(store, two.key, (count, 1), all).await?;
        same_all("all again", outcomes, (1..=count).map(seen))?;
    }
    // The longest ones, which differ in the last character.
    let room = open_room(store, &ann).await?;
    let long = |last: &str| keyed(&ann, "long", &format!("{}{last}", "🍣".repeat(63)));
    let outcomes = write(store, room.key, (0, 1), vec![long("🍣"), long("🍺"), long("🍣")]).await?;
    same_all("the longest keys", outcomes, [stored(1, 1), stored(2, 1), seen(1)])
}

async fn many_keys_at_once(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let own = |i: u64| keyed(&ann, &i.to_string(), &i.to_string());
    write(store, room.key, (0, 1), (1..=700).map(own).collect()).await?;
    // Every other key is an old one.
    let mixed = (1..=700).flat_map(|i| [own(i), own(i + 700)]).collect();
    let outcomes = write(store, room.key, (700, 1), mixed).await?;
    let expected = (1..=700).flat_map(|i| [seen(i), stored(700 + i, 1)]);
    same_all("the outcomes", outcomes, expected)?;
    said(store, room.key, 1..=1_400).await
}

async fn one_key_from_many_writers_at_once(home: &dyn StoreHome) -> Checked {
    let stores = [home.open().await, home.open().await];
    let ann = &user("Ann");
    let room = &open_room(&*stores[0], ann).await?;
    // Each at a moment of its own: a store that does not hear whether a commit has taken place may find that out by
    // looking for what it was to write.
    let writers = (1..=8).map(|i| {
        let writes = ["once", "twice"].map(|text| keyed_at(ann, text, "k", at(i as i64)));
        write_on(&*stores[i % 2], room, writes.to_vec())
    });
    let outcomes = try_join_all(writers).await?;
    let first: Vec<_> = (1..).zip(&outcomes).filter(|(_, all)| all[0] == stored(1, 1)).collect();
    same("how many were the first", first.len(), 1)?;
    let sent = Sent { seq: 1, at: at(first[0].0) };
    for outcome in &outcomes {
        let is_same = outcome[0] == stored(1, 1) || outcome[0] == Outcome::Seen(sent);
        check(is_same, "all get the seq and the time of the first")?;
        same("the other text", outcome[1], Outcome::KeyConflict)?;
    }
    said(&*stores[1], room.key, ["once"]).await
}

async fn keys_outlive_a_restart(home: &dyn StoreHome) -> Checked {
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&*store, &ann).await?;
    let writes = || ODD.iter().map(|key| keyed(&ann, "x", key)).collect::<Vec<_>>();
    let count = ODD.len() as u64;
    write(&*store, room.key, (0, 1), writes()).await?;
    drop(store);
    for _ in 0..2 {
        let store = home.open().await;
        let outcomes = write(&*store, room.key, (count, 1), writes()).await?;
        same_all("keys after a restart", outcomes, (1..=count).map(seen))?;
        let outcome = append(&*store, room.key, (count, 1), vec![keyed(&ann, "y", ODD[0])]).await?;
        same("another text after a restart", outcome, done([Outcome::KeyConflict]))?;
    }
    let store = home.open().await;
    let outcome = append(&*store, room.key, (count, 1), vec![keyed(&ann, "x", "new")]).await?;
    same("a new key after a restart", outcome, done([stored(count + 1, 1)]))
}

async fn without_a_key_the_same_text_is_another_message(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    write(store, room.key, (0, 1), vec![keyed(&ann, "x", "k")]).await?;
    let outcomes = write(store, room.key, (1, 1), vec![message(&ann, "x"); 3]).await?;
    same_all("the outcomes", outcomes, (2..=4).map(|seq| stored(seq, 1)))?;
    said(store, room.key, ["x"; 4]).await
}
