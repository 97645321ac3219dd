//! Marks: each user gives each message a mark once, byte for byte; they count, and go with their message.

use super::support::*;
use super::{StoreHome, cases};
use crate::command::MarkerQuery;
use crate::ids::UserId;
use crate::model::{
    Change, ChangeKind, ClientKey, Cursor, Fingerprint, Given, Mark, MarkCount, Marking, User,
};
use crate::store::{Outcome, RoomKey, Store, Write};

cases!(
    marks_count_once_for_each_user,
    marks_are_compared_byte_for_byte,
    marks_are_of_one_message_of_one_room,
    whoever_marked_is_listed,
    a_deleted_message_has_no_marks,
    a_marks_key_is_kept,
    a_deleted_room_takes_its_marks_along,
);

fn mark(text: &str) -> Mark {
    Mark::new(text).expect("the suite's marks are short lines")
}

fn marks<'m>(seq: u64, all: impl IntoIterator<Item = (&'m User, &'m str, bool)>) -> Write {
    let all: Vec<_> = all.into_iter().collect();
    let last = all.last().map(|(user, ..)| member(user)).expect("somebody marks it");
    let marking = |(user, text, on): (&User, &str, bool)| Marking {
        user: user.id,
        mark: mark(text),
        on,
        key: None,
    };
    Write::Marks { seq, markings: all.into_iter().map(marking).collect(), last, at: at(7) }
}

fn counts(all: &[MarkCount]) -> Vec<(String, u64)> {
    all.iter().map(|one| (one.mark.to_string(), one.count)).collect()
}

/// How a message is marked, as a page of messages says it, and as loading the room does.
async fn counted(store: &dyn Store, room: RoomKey, seq: u64) -> Checked<Vec<(String, u64)>> {
    let found = store.messages(room, seq - 1, seq).await?;
    Ok(found.first().map(|message| counts(&message.marks)).unwrap_or_default())
}

async fn given(store: &dyn Store, room: RoomKey) -> Checked<Vec<(u64, String, UserId)>> {
    let all = store.marks(room, 0, u64::MAX).await?;
    let mut all: Vec<_> =
        all.into_iter().map(|Given { seq, mark, user }| (seq, mark.to_string(), user)).collect();
    all.sort_unstable();
    Ok(all)
}

fn texts<const N: usize>(all: [(&str, u64); N]) -> Vec<(String, u64)> {
    all.map(|(text, count)| (text.to_owned(), count)).to_vec()
}

async fn marks_count_once_for_each_user(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "one"), join(&bob)]).await?;
    let first = marks(1, [(&ann, "👍", true), (&bob, "👍", true), (&ann, "done", true)]);
    let again =
        marks(1, [(&ann, "👍", true), (&bob, "no", false), (&bob, "x", true), (&bob, "x", false)]);
    let outcomes =
        write(&*store, room.key, (1, 2), vec![first, message(&bob, "two"), again]).await?;
    same_all("where the room stands", outcomes, [stored(1, 3), stored(2, 3), stored(2, 4)])?;
    for store in [&*store, &*home.open().await] {
        let expected = texts([("done", 1), ("👍", 2)]);
        same("how it is marked", counted(store, room.key, 1).await?, expected.clone())?;
        let loaded = load(store, room.info.id).await?;
        same("as it is loaded", counts(&loaded.messages[0].marks), expected.clone())?;
        same("who marked what is loaded", loaded.marks.len(), 3)?;
        let changes = store.changes(room.key, 2, 10).await?;
        for Change { kind, by, .. } in &changes {
            let ChangeKind::Marked(_, 1, marks) = kind else {
                return failed(format!("expected marks of message 1, got {kind:?}"));
            };
            same("who did it for another", by.is_none(), true)?;
            if changes.last().is_some_and(|last| last.kind == *kind) {
                same("how it is marked from then on", counts(marks), expected.clone())?;
            }
        }
        let last = changes.iter().map(|change| change.kind.membership().user.id);
        same_all("who was the last", last, [ann.id, bob.id])?;
        let cursors = changes.iter().map(|change| change.cursor);
        same_all("where they stand", cursors, [Cursor::new(1, 3), Cursor::new(2, 4)])?;
    }
    let back = marks(1, [(&ann, "👍", false), (&ann, "done", false)]);
    write(&*store, room.key, (2, 4), vec![back]).await?;
    same("what is left", counted(&*store, room.key, 1).await?, texts([("👍", 1)]))
}

async fn marks_are_compared_byte_for_byte(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "one")]).await?;
    let longest = "한".repeat(32);
    let mut all = ["👍", "👍🏽", "👎", "a", "A", "a ", "e\u{301}", "é", "🇰🇷", "%", "_", &longest];
    write(&*store, room.key, (1, 1), vec![marks(1, all.map(|text| (&ann, text, true)))]).await?;
    all.sort_unstable();
    for store in [&*store, &*home.open().await] {
        let expected = all.map(|text| (text.to_owned(), 1)).to_vec();
        same("the marks", counted(store, room.key, 1).await?, expected)?;
        let mut mine = store.marks_of(room.key, ann.id, 0, 1).await?;
        mine.sort_unstable();
        same_all("her marks", mine, all.map(|text| (1, mark(text))))?;
        let query = MarkerQuery { seq: 1, mark: mark("A"), after: None, limit: 10 };
        same("who gave one", store.markers(room.key, &query).await?.len(), 1)?;
    }
    Ok(())
}

async fn marks_are_of_one_message_of_one_room(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let rooms = open_rooms(&*store, &ann, 2).await?;
    for room in &rooms {
        let three = ["one", "two", "three"].map(|said| message(&ann, said));
        write(&*store, room.key, (0, 1), three.to_vec()).await?;
    }
    let some =
        vec![marks(2, [(&ann, "x", true)]), marks(3, [(&bob, "x", true), (&bob, "y", true)])];
    write(&*store, rooms[0].key, (3, 1), some).await?;
    write(&*store, rooms[1].key, (3, 1), vec![marks(2, [(&bob, "z", true)])]).await?;
    for store in [&*store, &*home.open().await] {
        let mine = async |room: usize, user: &User, after, until| -> Checked<Vec<(u64, Mark)>> {
            let mut mine = store.marks_of(rooms[room].key, user.id, after, until).await?;
            mine.sort_unstable();
            Ok(mine)
        };
        let expected = [(2, "x".into(), ann.id), (3, "x".into(), bob.id), (3, "y".into(), bob.id)];
        same_all("the marks of a room", given(store, rooms[0].key).await?, expected)?;
        same_all("hers", mine(0, &ann, 0, 3).await?, [(2, mark("x"))])?;
        same_all("his", mine(0, &bob, 0, 3).await?, [(3, mark("x")), (3, mark("y"))])?;
        same_all("his below", mine(0, &bob, 0, 2).await?, [])?;
        same_all("his above", mine(0, &bob, 3, u64::MAX).await?, [])?;
        same_all("his of the other", mine(1, &bob, 1, 2).await?, [(2, mark("z"))])?;
        let between = store.marks(rooms[0].key, 1, 2).await?;
        same_all("those in between", between.iter().map(|given| given.seq), [2])?;
    }
    Ok(())
}

async fn whoever_marked_is_listed(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let mut crowd: Vec<_> = (0..5).map(|nth| user(&format!("User {nth}"))).collect();
    let room = open_room(&*store, &ann).await?;
    let mut writes = vec![message(&ann, "one")];
    writes.extend(crowd.iter().map(join));
    write(&*store, room.key, (0, 1), writes).await?;
    crowd.rotate_left(2);
    let all = marks(1, crowd.iter().map(|user| (user, "x", true)));
    write(&*store, room.key, (1, 6), vec![all, marks(1, [(&ann, "y", true)])]).await?;
    crowd.sort_unstable_by_key(|user| user.id);
    store.rename(&User::new(crowd[1].id, crate::model::Name::new("Renamed")?)).await?;
    for store in [&*store, &*home.open().await] {
        let page = async |after: Option<UserId>, limit| {
            store.markers(room.key, &MarkerQuery { seq: 1, mark: mark("x"), after, limit }).await
        };
        let first = page(None, 2).await?;
        let ids = first.iter().map(|user| user.id);
        same_all("the first page", ids, crowd[..2].iter().map(|user| user.id))?;
        same("a name of now", &*first[1].name, "Renamed")?;
        let rest = page(Some(crowd[1].id), 10).await?;
        same_all("the rest", rest.iter().map(|one| one.id), crowd[2..].iter().map(|one| one.id))?;
        same("behind the last", page(Some(crowd[4].id), 10).await?.len(), 0)?;
    }
    Ok(())
}

async fn a_deleted_message_has_no_marks(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let three = vec![message(&ann, "one"), message(&ann, "two"), message(&bob, "three")];
    write(&*store, room.key, (0, 1), three).await?;
    let all = (1..=3).map(|seq| marks(seq, [(&bob, "x", true), (&ann, "x", true)])).collect();
    write(&*store, room.key, (3, 1), all).await?;
    let delete =
        Write::Change { kind: ChangeKind::Deleted(owner(&ann), 1), by: None, at: at(8), key: None };
    // Whoever marks it nevertheless marks nothing.
    write(&*store, room.key, (3, 4), vec![delete, marks(1, [(&bob, "late", true)])]).await?;
    store.erase(room.key, bob.id, 0, 3).await?;
    for store in [&*store, &*home.open().await] {
        let left = [(2, "x".into(), ann.id), (2, "x".into(), bob.id)];
        let mut left = left.to_vec();
        left.sort_unstable();
        same_all("the marks", given(store, room.key).await?, left)?;
        for (seq, expected) in [(1, texts([])), (2, texts([("x", 2)])), (3, texts([]))] {
            same("how it is marked", counted(store, room.key, seq).await?, expected)?;
        }
        same("his of the deleted", store.marks_of(room.key, bob.id, 0, 1).await?, vec![])?;
        same("how many changes there are", load(store, room.info.id).await?.end.change, 6)?;
    }
    Ok(())
}

async fn a_marks_key_is_kept(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "one")]).await?;
    let key = |what: u8| Some((ClientKey::new("k").expect("a key"), Fingerprint([what; 16])));
    let marking =
        |user: &User, what| Marking { user: user.id, mark: mark("x"), on: true, key: key(what) };
    let markings = vec![marking(&ann, 1), marking(&bob, 2)];
    let both = Write::Marks { seq: 1, markings: markings.clone(), last: member(&bob), at: at(7) };
    same_all(
        "marks with keys",
        write(&*store, room.key, (1, 1), vec![both.clone()]).await?,
        [stored(1, 2)],
    )?;
    for store in [&*store, &*home.open().await] {
        for (user, what) in [(&ann, 1), (&bob, 2)] {
            let name = ClientKey::new("k").expect("a key");
            let used = store.used_key(room.key, user.id, &name).await?;
            same(
                "what it was used for",
                used.map(|used| used.fingerprint),
                Some(Fingerprint([what; 16])),
            )?;
        }
        let change = Write::Change {
            kind: ChangeKind::Invited(member(&bob)),
            by: Some(ann.clone()),
            at: at(8),
            key: key(9),
        };
        same_all(
            "another write",
            write(store, room.key, (1, 2), vec![change]).await?,
            [Outcome::KeyConflict],
        )?;
    }
    // One key that was used keeps the whole from being written.
    let marking =
        |user: &User, text: &str, key| Marking { user: user.id, mark: mark(text), on: true, key };
    let new = ClientKey::new("new").expect("a key");
    let markings = vec![
        marking(&bob, "y", Some((new.clone(), Fingerprint([3; 16])))),
        marking(&ann, "z", key(1)),
    ];
    let one_used = Write::Marks { seq: 1, markings, last: member(&bob), at: at(9) };
    let outcomes = write(&*store, room.key, (1, 2), vec![both, one_used]).await?;
    same_all("marks with used keys", outcomes, [Outcome::KeyConflict, Outcome::KeyConflict])?;
    same("a key among them", store.used_key(room.key, bob.id, &new).await?, None)?;
    same("how it is marked", counted(&*store, room.key, 1).await?, texts([("x", 2)]))?;
    same("where the room stands", load(&*store, room.info.id).await?.end, Cursor::new(1, 2))
}

async fn a_deleted_room_takes_its_marks_along(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(&*store, &ann, 2).await?;
    for room in &rooms {
        let writes = vec![message(&ann, "one"), marks(1, [(&ann, "x", true)])];
        write(&*store, room.key, (0, 1), writes).await?;
    }
    store.delete_room(rooms[0].key).await?;
    for store in [&*store, &*home.open().await] {
        same("the marks there", given(store, rooms[0].key).await?, vec![])?;
        same("the marks here", given(store, rooms[1].key).await?.len(), 1)?;
    }
    Ok(())
}
