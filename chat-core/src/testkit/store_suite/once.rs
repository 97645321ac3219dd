//! Keys of what is no message: a change with one takes effect once, and so does the opening of a room. They are kept
//! until they are to be forgotten.

use futures_util::future::try_join_all;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::{ChangeKind, ClientKey, Cursor, Fingerprint, User};
use crate::store::{Outcome, RoomKey, Store, UsedKey, Write};

cases!(
    a_changes_key_takes_effect_once,
    a_changes_key_is_its_doers,
    a_key_is_kept_without_a_change,
    a_messages_key_is_no_changes,
    a_fenced_change_takes_no_key,
    a_room_is_opened_once_with_a_key,
    one_key_opens_one_room_however_many_ask_at_once,
    keys_are_forgotten_no_earlier_than_asked,
);

fn key(text: &str) -> ClientKey {
    ClientKey::new(text).expect("the suite's keys have 1 to 64 characters")
}

/// An invitation with a key, by somebody, whose contents are told apart by this number.
fn invite_once(by: &User, guest: &User, text: &str, what: u8, at_ms: i64) -> Write {
    let (kind, by, at) = (ChangeKind::Invited(member(guest)), Some(by.clone()), at(at_ms));
    Write::Change { kind, by, at, key: Some((key(text), Fingerprint([what; 16]))) }
}

async fn used(store: &dyn Store, room: RoomKey, by: &User, text: &str) -> Checked<Option<u8>> {
    let found = store.used_key(room, by.id, &key(text)).await?;
    let Some(UsedKey { user, key: same_key, fingerprint, sent }) = found else { return Ok(None) };
    same("whose key it is", user, by.id)?;
    same("the key", same_key, key(text))?;
    same("what a message got", sent, None)?;
    Ok(Some(fingerprint.0[0]))
}

async fn a_changes_key_takes_effect_once(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![invite_once(&ann, &bob, "k\0 ", 1, 5)]).await?;
    // Among others, and once more within one commit.
    let writes = vec![
        invite_once(&ann, &bob, "k\0 ", 1, 6),
        message(&ann, "hello"),
        invite_once(&ann, &cyd, "k\0 ", 2, 6),
        invite_once(&ann, &cyd, "k2", 3, 6),
        invite_once(&ann, &cyd, "k2", 3, 6),
        invite_once(&ann, &cyd, "k2", 4, 6),
    ];
    let outcomes = write(&*store, room.key, (0, 2), writes).await?;
    let expected = [
        Outcome::Repeated,
        stored(1, 2),
        Outcome::KeyConflict,
        stored(1, 3),
        Outcome::Repeated,
        Outcome::KeyConflict,
    ];
    same_all("what becomes of them", outcomes, expected)?;
    for store in [&*store, &*home.open().await] {
        let loaded = load(store, room.info.id).await?;
        same("how many changes there are", loaded.end.change, 3)?;
        same("whether all keys are known", loaded.all_keys, true)?;
        let mut keys: Vec<_> =
            loaded.keys.iter().map(|used| (used.key.to_string(), used.fingerprint.0[0])).collect();
        keys.sort_unstable();
        same_all("the keys of the room", keys, [("k\0 ".into(), 1), ("k2".into(), 3)])?;
        same("what a key was used for", used(store, room.key, &ann, "k\0 ").await?, Some(1))?;
        for other in ["k", "k\0", "K\0 ", "k3"] {
            same(other, used(store, room.key, &ann, other).await?, None)?;
        }
        let again = write(store, room.key, (1, 3), vec![invite_once(&ann, &bob, "k\0 ", 1, 7)]);
        same_all("once more", again.await?, [Outcome::Repeated])?;
    }
    Ok(())
}

async fn a_changes_key_is_its_doers(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let rooms = open_rooms(store, &ann, 2).await?;
    let leave = Write::Change {
        kind: ChangeKind::Left(member(&cyd)),
        by: None,
        at: at(6),
        key: Some((key("k"), Fingerprint([7; 16]))),
    };
    for room in &rooms {
        let all = vec![
            invite_once(&ann, &cyd, "k", 1, 5),
            invite_once(&bob, &cyd, "k", 2, 5),
            join(&cyd),
            leave.clone(),
        ];
        let outcomes = write(store, room.key, (0, 1), all).await?;
        same_all("keys of different people", outcomes, (2..=5).map(|number| stored(0, number)))?;
        for (by, what) in [(&ann, 1), (&bob, 2), (&cyd, 7)] {
            same("whose it is", used(store, room.key, by, "k").await?, Some(what))?;
        }
    }
    Ok(())
}

async fn a_key_is_kept_without_a_change(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let alone = |by: &User, text: &str, what: u8| {
        let (key, fingerprint) = (key(text), Fingerprint([what; 16]));
        Write::Key { user: by.id, key, fingerprint, at: at(5) }
    };
    // Where another one stands.
    let fenced = append(&*store, room.key, (0, 0), vec![alone(&ann, "k", 1)]).await?;
    same("a batch that begins elsewhere", fenced, crate::store::BatchOutcome::Fenced)?;
    same("its key", used(&*store, room.key, &ann, "k").await?, None)?;
    let only = write(&*store, room.key, (0, 1), vec![alone(&ann, "k", 1)]).await?;
    same_all("a key alone", only, [stored(0, 1)])?;
    let writes = vec![
        alone(&ann, "k", 1),
        alone(&ann, "k", 2),
        keyed(&ann, "hello", "of a message"),
        alone(&ann, "of a message", 3),
        alone(&bob, "k", 4),
        alone(&bob, "k", 4),
        invite_once(&bob, &ann, "k", 5, 6),
    ];
    let outcomes = write(&*store, room.key, (0, 1), writes).await?;
    let expected = [
        Outcome::Repeated,
        Outcome::KeyConflict,
        stored(1, 1),
        Outcome::KeyConflict,
        stored(1, 1),
        Outcome::Repeated,
        Outcome::KeyConflict,
    ];
    same_all("keys among others", outcomes, expected)?;
    for store in [&*store, &*home.open().await] {
        same("where the room stands", load(store, room.info.id).await?.end, Cursor::new(1, 1))?;
        for (by, what) in [(&ann, 1), (&bob, 4)] {
            same("whose key it is", used(store, room.key, by, "k").await?, Some(what))?;
        }
        let later = vec![invite_once(&ann, &bob, "k", 1, 7), invite_once(&ann, &bob, "k", 2, 7)];
        let outcomes = write(store, room.key, (1, 1), later).await?;
        same_all("a change with it", outcomes, [Outcome::Repeated, Outcome::KeyConflict])?;
    }
    same("how many are forgotten", store.forget_keys(at(6)).await?, 2)?;
    same("what is known of it then", used(&*store, room.key, &ann, "k").await?, None)
}

async fn a_messages_key_is_no_changes(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![keyed(&ann, "hello", "k")]).await?;
    for store in [&*store, &*home.open().await] {
        let outcomes = write(store, room.key, (1, 1), vec![invite_once(&ann, &bob, "k", 1, 5)]);
        same_all("a message's key", outcomes.await?, [Outcome::KeyConflict])?;
        let used = store.used_key(room.key, ann.id, &key("k")).await?;
        let sent = used.and_then(|used| used.sent).map(|sent| sent.seq);
        same("which message has the key", sent, Some(1))?;
        let loaded = load(store, room.info.id).await?;
        let sent = loaded.keys.iter().map(|used| (used.key.to_string(), used.sent));
        let first = crate::command::Sent { seq: 1, at: at(2) };
        same_all("the keys of the room", sent, [("k".to_owned(), Some(first))])?;
    }
    Ok(())
}

async fn a_fenced_change_takes_no_key(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await?;
    let invite = || vec![invite_once(&ann, &bob, "k", 1, 5)];
    let fenced = append(store, room.key, (0, 0), invite()).await?;
    same("a batch that begins elsewhere", fenced, crate::store::BatchOutcome::Fenced)?;
    same("its key", used(store, room.key, &ann, "k").await?, None)?;
    same_all("afterwards", write(store, room.key, (0, 1), invite()).await?, [stored(0, 2)])
}

async fn a_room_is_opened_once_with_a_key(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let once = |what: u8| (key("k"), Fingerprint([what; 16]));
    let first = info("one");
    let members = [owner(&ann)];
    let opened = store.create_room(&first, &members, Some(&once(1))).await?;
    same("the first time", opened, Some(first.id))?;
    let others = info("others");
    for store in [&*store, &*home.open().await] {
        let again = store.create_room(&info("one"), &members, Some(&once(1))).await?;
        same("once more", again, Some(first.id))?;
        let other = store.create_room(&info("two"), &members, Some(&once(2))).await?;
        same("another room with its key", other, None)?;
    }
    let theirs = store.create_room(&others, &[owner(&bob)], Some(&once(1))).await?;
    same("somebody else's key", theirs, Some(others.id))?;
    let both = [member(&ann), member(&bob)];
    let (pair, key) = (direct(), (key("pair"), Fingerprint([3; 16])));
    for _ in 0..2 {
        let id = store.create_room(&pair, &both, Some(&key)).await?;
        same("a direct room", id, Some(pair.id))?;
    }
    // That it is there already is kept with the key, too.
    let again = |what: u8| (self::key("again"), Fingerprint([what; 16]));
    for _ in 0..2 {
        let id = store.create_room(&direct(), &both, Some(&again(4))).await?;
        same("the same direct room", id, Some(pair.id))?;
    }
    let other = store.create_room(&info("three"), &members, Some(&again(5))).await?;
    same("another room with that key", other, None)?;
    same("how many rooms there are", listed(&*store, "").await?.len(), 2)
}

async fn one_key_opens_one_room_however_many_ask_at_once(home: &dyn StoreHome) -> Checked {
    let (ann, stores) = (user("Ann"), [home.open().await, home.open().await]);
    let (key, members) = ((key("k"), Fingerprint([1; 16])), [owner(&ann)]);
    let infos: Vec<_> = (0..8).map(|_| info("one")).collect();
    let opened = infos.iter().enumerate().map(|(nth, info)| {
        let store = &stores[nth % 2];
        store.create_room(info, &members, Some(&key))
    });
    let ids = try_join_all(opened).await?;
    check(ids.iter().all(|id| id.is_some() && *id == ids[0]), "all get the same room")?;
    same("how many rooms there are", listed(&*stores[0], "").await?.len(), 1)
}

async fn keys_are_forgotten_no_earlier_than_asked(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let writes = vec![
        keyed(&ann, "hello", "of a message"),
        invite_once(&ann, &bob, "early", 1, 10),
        invite_once(&ann, &bob, "late", 2, 20),
    ];
    write(&*store, room.key, (0, 1), writes).await?;
    let opened = (key("opened"), Fingerprint([1; 16]));
    let first = store.create_room(&info("early"), &[owner(&ann)], Some(&opened)).await?;
    same("how many are forgotten", store.forget_keys(at(0)).await?, 0)?;
    same("how many are forgotten", store.forget_keys(at(20)).await?, 2)?;
    for store in [&*store, &*home.open().await] {
        same("the early one", used(store, room.key, &ann, "early").await?, None)?;
        same("the late one", used(store, room.key, &ann, "late").await?, Some(2))?;
        let again = write(store, room.key, (1, 3), vec![keyed(&ann, "hello", "of a message")]);
        same_all("a message's", again.await?, [seen(1)])?;
    }
    let another = store.create_room(&info("early"), &[owner(&ann)], Some(&opened)).await?;
    check(another.is_some() && another != first, "a forgotten key opens another room")
}
