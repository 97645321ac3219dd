//! What holds of a user everywhere: how it is called, which rooms know it, and that what it has written
//! can be deleted.

use super::support::*;
use super::{StoreHome, cases};
use crate::ids::{RoomId, UserId};
use crate::model::{ChangeKind, Cursor, Name, User};
use crate::store::{LoadedRoom, Store, Write};

cases!(
    a_name_changes_wherever_it_stands,
    a_changed_name_is_not_changed_back_by_writes,
    the_rooms_of_a_user_are_known,
    what_is_erased_is_gone_and_its_places_stay,
    only_what_is_asked_for_is_erased,
);

fn called(user: &User, name: &str) -> User {
    User::new(user.id, Name::new(name).expect("the suite's names are short lines"))
}

/// How a user is called in everything that a room has of it.
async fn names_in(store: &dyn Store, room: &LoadedRoom, user: UserId) -> Checked<Vec<String>> {
    let loaded = load(store, room.info.id).await?;
    let (read, changed) = (messages(store, room.key).await?, changes(store, room.key).await?);
    let authors = loaded.messages.iter().chain(&read).map(|message| &message.from);
    let changes = loaded.changes.iter().chain(&changed);
    let changed = changes.flat_map(|c| c.by.iter().chain([&c.kind.membership().user]));
    let members = loaded.members.iter().map(|member| &member.user);
    let kept = loaded.bans.iter().chain(&loaded.mutes).map(|kept| &kept.user);
    let all = authors.chain(changed).chain(members).chain(kept).chain(&loaded.invited);
    Ok(all.filter(|one| one.id == user).map(|one| one.name.to_string()).collect())
}

async fn a_name_changes_wherever_it_stands(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = create(&*store, &private("a private room"), &[owner(&ann)]).await?;
    let act = |kind| Write::Change { kind, by: Some(ann.clone()), at: at(6), key: None };
    let writes = vec![
        invite(&bob),
        join(&bob),
        message(&bob, "hello"),
        act(ChangeKind::Muted(member(&bob), None)),
        act(ChangeKind::Banned(member(&bob), None)),
        message(&ann, "he is gone"),
    ];
    write(&*store, room.key, (0, 1), writes).await?;
    let other = open_room(&*store, &bob).await?;
    let (anna, bobby) = (called(&ann, "Anna 🌷"), called(&bob, "바비 "));
    store.rename(&anna).await?;
    store.rename(&bobby).await?;
    for store in [&*store, &*home.open().await] {
        for (user, places) in [(&anna, 8), (&bobby, 12)] {
            let names = names_in(store, &room, user.id).await?;
            check(names.len() >= places, format!("{} is named {places} times", user.name))?;
            same_all("a name", names.iter().map(|name| &**name), vec![&*user.name; names.len()])?;
        }
        let names = names_in(store, &other, bob.id).await?;
        check(!names.is_empty() && names.iter().all(|name| **name == *bobby.name), "in all rooms")?;
    }
    Ok(())
}

async fn a_changed_name_is_not_changed_back_by_writes(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    // Of one of them the store has never heard.
    store.rename(&called(&bob, "Bobby")).await?;
    let room = open_room(&*store, &ann).await?;
    store.rename(&called(&ann, "Anna")).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "hello"), join(&bob)]).await?;
    drop(store);
    let store = home.open().await;
    write(&*store, room.key, (1, 2), vec![message(&bob, "hello"), message(&ann, "again")]).await?;
    open_room(&*store, &ann).await?;
    for (user, name) in [(&ann, "Anna"), (&bob, "Bobby")] {
        let names = names_in(&*store, &room, user.id).await?;
        check(!names.is_empty() && names.iter().all(|one| one == name), format!("it is {name}"))?;
    }
    // Once more, for good.
    store.rename(&called(&ann, "Annie")).await?;
    let names = names_in(&*store, &room, ann.id).await?;
    check(names.iter().all(|one| one == "Annie"), "the last name counts")
}

async fn the_rooms_of_a_user_are_known(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let rooms = open_rooms(&*store, &ann, 7).await?;
    let ban = ChangeKind::Banned(member(&bob), None);
    let ban = Write::Change { kind: ban, by: Some(ann.clone()), at: at(6), key: None };
    let steps: [(usize, Vec<Write>); 6] = [
        (0, vec![join(&bob)]),
        (1, vec![join(&bob), leave(&bob)]),
        (2, vec![invite(&bob)]),
        (3, vec![ban]),
        (4, vec![message(&ann, "not his")]),
        (5, vec![join(&bob)]),
    ];
    for (room, writes) in steps {
        write(&*store, rooms[room].key, (0, 1), writes).await?;
    }
    store.delete_room(rooms[5].key).await?;
    let direct = create(&*store, &direct(), &[owner(&ann), owner(&bob)]).await?;
    let sorted = |mut rooms: Vec<RoomId>| {
        rooms.sort_unstable();
        rooms
    };
    for store in [&*store, &*home.open().await] {
        let his = rooms[..4].iter().chain([&direct]).map(|room| room.info.id).collect();
        same("his rooms", sorted(store.rooms_of(bob.id).await?), sorted(his))?;
        same("her rooms", store.rooms_of(ann.id).await?.len(), 7)?;
        same("nobody's", store.rooms_of(UserId::new()).await?, vec![])?;
    }
    Ok(())
}

async fn what_is_erased_is_gone_and_its_places_stay(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let writes = vec![
        message(&ann, "one"),
        keyed(&bob, "secret", "k"),
        message(&ann, "three"),
        message(&bob, "secret too"),
    ];
    write(&*store, room.key, (0, 1), writes).await?;
    store.erase(room.key, bob.id, 0, 4).await?;
    let erased = ChangeKind::Erased(member(&bob));
    let change = Write::Change { kind: erased.clone(), by: None, at: at(8), key: None };
    write(&*store, room.key, (4, 1), vec![change, message(&bob, "five")]).await?;
    // Asked again, it changes nothing.
    store.erase(room.key, bob.id, 0, 4).await?;
    for store in [&*store, &*home.open().await] {
        said(store, room.key, ["one", "", "three", "", "five"]).await?;
        let loaded = load(store, room.info.id).await?;
        let texts = loaded.messages.iter().map(|message| !message.deleted);
        same_all("what has a text", texts, [true, false, true, false, true])?;
        let authors = loaded.messages.iter().map(|message| message.from.id);
        same_all("the authors", authors, [ann.id, bob.id, ann.id, bob.id, bob.id])?;
        same("the end", loaded.end, Cursor::new(5, 2))?;
        let last = loaded.changes.last().map(|change| change.kind.clone());
        same("the last change", last, Some(erased.clone()))?;
    }
    Ok(())
}

async fn only_what_is_asked_for_is_erased(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let rooms = open_rooms(&*store, &ann, 2).await?;
    for room in &rooms {
        let both = |n: usize| [message(&ann, &format!("a{n}")), message(&bob, &format!("b{n}"))];
        write(&*store, room.key, (0, 1), (1..=1_200).flat_map(both).collect()).await?;
    }
    // From within one piece of work to within another.
    store.erase(rooms[0].key, bob.id, 3, 2_399).await?;
    let expected = (1..=1_200).flat_map(|n| {
        let gone = n != 1 && n != 1_200;
        [format!("a{n}"), if gone { String::new() } else { format!("b{n}") }]
    });
    said(&*store, rooms[0].key, expected).await?;
    let all = (1..=1_200).flat_map(|n| [format!("a{n}"), format!("b{n}")]);
    said(&*store, rooms[1].key, all).await?;
    store.erase(rooms[0].key, bob.id, 0, u64::MAX).await?;
    let texts = texts(&*store, rooms[0].key).await?;
    same("what is left", texts.iter().filter(|text| !text.is_empty()).count(), 1_200)?;
    // Of a room that is not there, nothing.
    store.delete_room(rooms[1].key).await?;
    store.erase(rooms[1].key, ann.id, 0, u64::MAX).await?;
    Ok(())
}
