//! What a message says besides its text, and what becomes of it later: edits, with what was said before, and
//! deletions.

use super::support::*;
use crate::ids::{FileId, UserId};
use crate::model::{Body, Change, ChangeKind, Edit, Message, Revision, User};
use crate::store::{RoomKey, Store, Write};
use crate::testkit::store_suite::{StoreHome, cases};

cases!(
    everything_that_a_message_says_comes_back,
    an_edit_changes_what_is_said_and_keeps_what_was,
    an_edit_is_of_one_message_of_one_room,
    a_deleted_message_leaves_its_place,
    a_deleted_message_is_not_edited,
    a_deleted_message_keeps_its_key,
    what_is_erased_takes_along_what_it_said_before,
    a_deleted_room_takes_along_what_was_said_before,
    of_many_edits_the_first_and_the_last_are_shown,
);

fn edit(author: &User, seq: u64, said: &str, mentions: Vec<UserId>, at_ms: i64) -> Write {
    let edit = Some(Edit { text: text(said), mentions });
    Write::Change {
        kind: ChangeKind::Edited(member(author), seq, edit),
        by: None,
        at: at(at_ms),
        key: None,
    }
}

fn delete(author: &User, seq: u64, by: Option<&User>) -> Write {
    let kind = ChangeKind::Deleted(member(author), seq);
    Write::Change { kind, by: by.cloned(), at: at(30), key: None }
}

fn revision(said: &str, at_ms: i64) -> Revision {
    Revision { text: Some(text(said)), at: at(at_ms) }
}

async fn one(store: &dyn Store, room: RoomKey, seq: u64) -> Checked<Message> {
    let mut found = store.messages(room, seq - 1, seq).await?;
    same("how many messages have a number", found.len(), 1)?;
    Ok(found.remove(0))
}

async fn edits(store: &dyn Store, room: RoomKey) -> Checked<Vec<Change>> {
    let mut changes = store.changes(room, 0, 1_000).await?;
    changes.retain(|change| change.kind.seq().is_some());
    Ok(changes)
}

async fn everything_that_a_message_says_comes_back(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    // In no order, and as many as there may be.
    let mut mentions: Vec<_> = (0..50).map(|_| UserId::new()).collect();
    mentions.swap(3, 40);
    let mut files: Vec<_> = (0..10).map(|_| FileId::new()).collect();
    files.swap(0, 9);
    let bodies = [
        Body::text(text("alone")),
        Body { text: Some(text("all of it")), reply_to: Some(1), mentions, files: files.clone() },
        Body { files, ..Body::default() },
    ];
    let say = |body: &Body| Write::Message {
        from: ann.clone(),
        body: body.clone(),
        at: at(1),
        key: None,
    };
    write(&*store, room.key, (0, 1), bodies.iter().map(say).collect()).await?;
    for store in [&*store, &*home.open().await] {
        let loaded = load(store, room.info.id).await?.messages;
        for messages in [messages(store, room.key).await?, loaded] {
            let deleted =
                messages.iter().map(|message| message.deleted || message.edited.is_some());
            same_all("who has been edited or deleted", deleted, [false; 3])?;
            same_all("what is said", messages.into_iter().map(|one| one.body), bodies.clone())?;
        }
    }
    Ok(())
}

async fn an_edit_changes_what_is_said_and_keeps_what_was(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let file = FileId::new();
    let body = Body { reply_to: Some(1), files: vec![file], ..Body::text(text("frist")) };
    let first = Write::Message { from: ann.clone(), body, at: at(1), key: None };
    write(&*store, room.key, (0, 1), vec![message(&bob, "hello"), first]).await?;
    write(&*store, room.key, (2, 1), vec![edit(&ann, 2, "first @Bob", vec![bob.id], 10)]).await?;
    // In one commit with what stands around it.
    let last = vec![message(&bob, "yes"), edit(&ann, 2, "First.\0\u{301}", vec![], 20), join(&bob)];
    write(&*store, room.key, (2, 2), last).await?;
    for store in [&*store, &*home.open().await] {
        let now = one(store, room.key, 2).await?;
        let said =
            Body { reply_to: Some(1), files: vec![file], ..Body::text(text("First.\0\u{301}")) };
        same("what it says now", now.body, said)?;
        same("when it was edited", now.edited, Some(at(20)))?;
        same("when it was written", now.at, at(1))?;
        let before = store.revisions(room.key, 2).await?;
        same_all("what it said", before, [revision("frist", 1), revision("first @Bob", 10)])?;
        same(
            "what was said before what was never edited",
            store.revisions(room.key, 1).await?,
            vec![],
        )?;
        let edits = edits(store, room.key).await?;
        let numbers = edits.iter().map(|change| (change.cursor.seq, change.cursor.change));
        same_all("where the edits stand", numbers, [(2, 2), (3, 3)])?;
        let last = edits.last().map(|change| change.kind.clone());
        let said = Some(Edit { text: text("First.\0\u{301}"), mentions: vec![] });
        same("the last edit", last, Some(ChangeKind::Edited(member(&ann), 2, said)))?;
    }
    Ok(())
}

async fn an_edit_is_of_one_message_of_one_room(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(&*store, &ann, 2).await?;
    for room in &rooms {
        let three = ["one", "two", "three"].map(|said| message(&ann, said));
        write(&*store, room.key, (0, 1), three.to_vec()).await?;
    }
    // Two rooms in one commit.
    let batches = [
        batch(rooms[0].key, (3, 1), vec![edit(&ann, 2, "TWO", vec![], 10), delete(&ann, 3, None)]),
        batch(rooms[1].key, (3, 1), vec![delete(&ann, 2, None), edit(&ann, 1, "ONE", vec![], 11)]),
    ];
    same("how many batches are answered", store.append(&batches).await?.len(), 2)?;
    for store in [&*store, &*home.open().await] {
        said(store, rooms[0].key, ["one", "TWO", ""]).await?;
        said(store, rooms[1].key, ["ONE", "", "three"]).await?;
        for (room, seq, count) in [(0, 1, 0), (0, 2, 1), (0, 3, 0), (1, 1, 1), (1, 2, 0), (1, 3, 0)]
        {
            let before = store.revisions(rooms[room].key, seq).await?;
            same(format_args!("how often {seq} was edited"), before.len(), count)?;
        }
    }
    Ok(())
}

async fn a_deleted_message_leaves_its_place(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let body = Body {
        reply_to: Some(1),
        mentions: vec![ann.id],
        files: vec![FileId::new()],
        ..Body::text(text("secret"))
    };
    let secret = Write::Message { from: bob.clone(), body, at: at(1), key: None };
    let writes = vec![message(&ann, "hello"), secret, message(&ann, "well"), join(&bob)];
    write(&*store, room.key, (0, 1), writes).await?;
    write(&*store, room.key, (3, 2), vec![edit(&bob, 2, "secret too", vec![], 10)]).await?;
    write(&*store, room.key, (3, 3), vec![delete(&bob, 2, Some(&ann)), message(&bob, "oh")])
        .await?;
    for store in [&*store, &*home.open().await] {
        said(store, room.key, ["hello", "", "well", "oh"]).await?;
        let left = one(store, room.key, 2).await?;
        same("whether it is deleted", left.deleted, true)?;
        same("who wrote it", left.from.id, bob.id)?;
        same("what is left of it", left.body, Body { reply_to: Some(1), ..Body::default() })?;
        same("when it was edited", left.edited, None)?;
        same("what it said", store.revisions(room.key, 2).await?, vec![])?;
        let edits = edits(store, room.key).await?;
        let by = edits.last().and_then(|change| change.by.as_ref().map(|by| by.id));
        same("who deleted it", by, Some(ann.id))?;
        let (edited, deleted) =
            (ChangeKind::Edited(member(&bob), 2, None), ChangeKind::Deleted(member(&bob), 2));
        same_all("what changed", edits.into_iter().map(|change| change.kind), [edited, deleted])?;
        same(
            "where the room stands",
            load(store, room.info.id).await?.end.to_string(),
            "4.4".into(),
        )?;
    }
    Ok(())
}

async fn a_deleted_message_is_not_edited(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "gone")]).await?;
    let both = vec![delete(&ann, 1, None), edit(&ann, 1, "back", vec![ann.id], 10)];
    write(&*store, room.key, (1, 1), both).await?;
    for store in [&*store, &*home.open().await] {
        let left = one(store, room.key, 1).await?;
        same("what is left of it", left.body, Body::default())?;
        same("whether it is deleted", left.deleted, true)?;
        same("what it said", store.revisions(room.key, 1).await?, vec![])?;
    }
    Ok(())
}

async fn a_deleted_message_keeps_its_key(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![keyed(&ann, "once", "k")]).await?;
    write(&*store, room.key, (1, 1), vec![delete(&ann, 1, None)]).await?;
    for store in [&*store, &*home.open().await] {
        let again = write(store, room.key, (1, 2), vec![keyed(&ann, "once", "k")]).await?;
        same("the same message once more", again, vec![seen(1)])?;
        said(store, room.key, [""]).await?;
    }
    Ok(())
}

async fn what_is_erased_takes_along_what_it_said_before(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "a"), message(&bob, "b")]).await?;
    let both = vec![edit(&ann, 1, "aa", vec![], 10), edit(&bob, 2, "bb", vec![], 11)];
    write(&*store, room.key, (2, 1), both).await?;
    store.erase(room.key, bob.id, 0, 2).await?;
    for store in [&*store, &*home.open().await] {
        said(store, room.key, ["aa", ""]).await?;
        same("whether it is deleted", one(store, room.key, 2).await?.deleted, true)?;
        same_all("what she said", store.revisions(room.key, 1).await?, [revision("a", 1)])?;
        same_all("what he said", store.revisions(room.key, 2).await?, [])?;
        let kinds = edits(store, room.key).await?.into_iter().map(|change| change.kind);
        let hers = Some(Edit { text: text("aa"), mentions: vec![] });
        let hers = ChangeKind::Edited(member(&ann), 1, hers);
        same_all("the edits", kinds, [hers, ChangeKind::Edited(member(&bob), 2, None)])?;
    }
    Ok(())
}

async fn a_deleted_room_takes_along_what_was_said_before(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(&*store, &ann, 2).await?;
    for room in &rooms {
        write(&*store, room.key, (0, 1), vec![message(&ann, "one")]).await?;
        write(&*store, room.key, (1, 1), vec![edit(&ann, 1, "two", vec![], 10)]).await?;
    }
    store.delete_room(rooms[0].key).await?;
    for store in [&*store, &*home.open().await] {
        same("what was said there", store.revisions(rooms[0].key, 1).await?, vec![])?;
        same(
            "what was said here",
            store.revisions(rooms[1].key, 1).await?,
            vec![revision("one", 1)],
        )?;
    }
    Ok(())
}

async fn of_many_edits_the_first_and_the_last_are_shown(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "0")]).await?;
    let edits = (1..=60).map(|nth| edit(&ann, 1, &nth.to_string(), vec![], 10 + nth));
    write(&*store, room.key, (1, 1), edits.collect()).await?;
    for store in [&*store, &*home.open().await] {
        let before = store.revisions(room.key, 1).await?;
        let texts = before.iter().map(|one| one.text.as_deref().unwrap_or_default().to_owned());
        let expected = (0..20).chain(40..60).map(|nth| nth.to_string());
        same_all("what it said", texts, expected)?;
    }
    Ok(())
}
