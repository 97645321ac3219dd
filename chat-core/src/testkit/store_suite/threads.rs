//! Threads: a message has one, its parent's room shows what it has been told, and knows what it has not.

use futures_util::future::try_join_all;

use super::reading::own as own_rooms;
use super::support::*;
use super::{StoreHome, cases};
use crate::command::{OwnRoomQuery, ThreadPlace, ThreadQuery};
use crate::ids::RoomId;
use crate::model::{ChangeKind, Cursor, Kind, LastReply, Name, Parent, RoomInfo, Thread, User};
use crate::store::{BatchOutcome, LoadedRoom, RoomKey, Store, Write};

cases!(
    a_message_has_one_thread,
    a_message_has_one_thread_however_many_open_it_at_once,
    what_a_thread_has_come_to_is_counted,
    what_is_told_of_a_thread_is_shown_with_its_message,
    a_room_knows_which_threads_have_not_told_everything,
    threads_are_listed_by_their_last_reply,
    a_deleted_room_takes_its_threads_along,
    a_thread_is_ones_own_as_long_as_its_parents_room_is,
);

fn on(room: &LoadedRoom, seq: u64) -> RoomInfo {
    let parent = Some(Parent { room: room.info.id, seq });
    RoomInfo { title: None, kind: Kind::Thread, parent, created: at(100), ..info("none") }
}

/// Opens a thread on a message.
async fn open(store: &dyn Store, room: &LoadedRoom, seq: u64, by: &User) -> Checked<LoadedRoom> {
    let opened = store.create_room(&on(room, seq), &[owner(by)], None).await?;
    match opened {
        Some(id) => load(store, id).await,
        None => failed("the thread was not opened"),
    }
}

/// A room of Ann's with so many messages of hers.
async fn room_of(store: &dyn Store, ann: &User, messages: u64) -> Checked<LoadedRoom> {
    let room = open_room(store, ann).await?;
    let said = (1..=messages).map(|seq| message(ann, &format!("message {seq}"))).collect();
    write(store, room.key, (0, 1), said).await?;
    Ok(room)
}

/// Tells a room what the thread on a message has come to.
fn tell(seq: u64, thread: &Thread, by: &User) -> Write {
    let kind = ChangeKind::Thread(member(by), seq, thread.clone());
    Write::Change { kind, by: None, at: at(200), key: None }
}

fn delete(seq: u64, author: &User) -> Write {
    let kind = ChangeKind::Deleted(member(author), seq);
    Write::Change { kind, by: None, at: at(9), key: None }
}

/// What a thread has come to by now, as it is asked for, and as loading it says.
async fn now(store: &dyn Store, thread: &LoadedRoom) -> Checked<Thread> {
    let loaded = load(store, thread.info.id).await?.thread.map(|thread| thread.now);
    let asked = store.thread(thread.key).await?;
    same("what a thread has come to, asked and loaded", &asked, &loaded)?;
    asked.map_or_else(|| failed("nobody knows what the thread has come to"), Ok)
}

async fn shown(store: &dyn Store, room: RoomKey, seq: u64) -> Checked<Option<Thread>> {
    let found = store.messages(room, seq - 1, seq).await?;
    Ok(found.first().and_then(|message| message.thread.clone()))
}

async fn a_message_has_one_thread(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (room, other) = (room_of(&*store, &ann, 2).await?, room_of(&*store, &ann, 1).await?);
    let first = open(&*store, &room, 1, &ann).await?;
    same("its parent", first.info.parent, Some(Parent { room: room.info.id, seq: 1 }))?;
    same("its kind", first.info.kind, Kind::Thread)?;
    check(first.info.title.is_none(), "a thread has no title")?;
    for store in [&*store, &*home.open().await] {
        let again = open(store, &room, 1, &bob).await?;
        same("the thread that is there", (again.key, &again.info), (first.key, &first.info))?;
        same_all("its members", members_of(&again), members_of(&first))?;
    }
    let second = open(&*store, &room, 2, &ann).await?;
    let third = open(&*store, &other, 1, &ann).await?;
    let mut all = [first.info.id, second.info.id, third.info.id];
    all.sort_unstable();
    check(all.windows(2).all(|two| two[0] != two[1]), "other messages have others")?;
    write(&*store, first.key, (0, 1), vec![message(&ann, "in the thread")]).await?;
    said(&*store, first.key, ["in the thread"]).await?;
    same("what is listed", listed(&*store, "").await?.len(), 2)?;
    let orphan = RoomInfo { parent: Some(Parent { room: RoomId::new(), seq: 1 }), ..on(&room, 1) };
    let opened = store.create_room(&orphan, &[owner(&ann)], None).await;
    check(opened.is_err(), "a thread in no room is not opened")?;
    check(store.load_room(orphan.id, 1).await?.is_none(), "nor is it there")
}

async fn a_message_has_one_thread_however_many_open_it_at_once(home: &dyn StoreHome) -> Checked {
    let (one, other) = (home.open().await, home.open().await);
    let ann = user("Ann");
    let room = room_of(&*one, &ann, 1).await?;
    let infos: Vec<_> = (0..10).map(|_| on(&room, 1)).collect();
    let members = [owner(&ann)];
    let opening = infos.iter().enumerate().map(|(nth, info)| {
        let store = if nth % 2 == 0 { &one } else { &other };
        store.create_room(info, &members, None)
    });
    let opened = try_join_all(opening).await?;
    check(opened[0].is_some(), "there is a thread")?;
    same_all("which one everybody has", opened.iter().copied(), [opened[0]; 10])
}

async fn what_a_thread_has_come_to_is_counted(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = room_of(&*store, &ann, 1).await?;
    let thread = open(&*store, &room, 1, &ann).await?;
    let id = thread.info.id;
    let none = Thread { room: id, replies: 0, last: None, upto: Cursor::new(0, 1) };
    same("one in which nothing is written", now(&*store, &thread).await?, none)?;
    same("a room that is no thread", store.thread(room.key).await?, None)?;
    same("a room that is not there", store.thread(RoomKey(12_345)).await?, None)?;
    let four = vec![
        message_at(&ann, "one", at(1)),
        message_at(&bob, "two", at(2)),
        message_at(&ann, "three", at(3)),
        message_at(&bob, "four", at(4)),
    ];
    write(&*store, thread.key, (0, 1), four).await?;
    let last = |from: &User, seq: u64| {
        Some(LastReply { from: from.clone(), at: at(i64::try_from(seq).unwrap_or(0)), seq })
    };
    let is =
        |replies, last, upto: (u64, u64)| Thread { room: id, replies, last, upto: cursor(upto) };
    same("with four", now(&*store, &thread).await?, is(4, last(&bob, 4), (4, 1)))?;
    write(&*store, thread.key, (4, 1), vec![delete(4, &bob), delete(2, &bob)]).await?;
    for store in [&*store, &*home.open().await] {
        same("with two", now(store, &thread).await?, is(2, last(&ann, 3), (4, 3)))?;
    }
    store.erase(thread.key, ann.id, 0, 4).await?;
    same("with none that is left", now(&*store, &thread).await?, is(0, None, (4, 3)))
}

async fn what_is_told_of_a_thread_is_shown_with_its_message(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = room_of(&*store, &ann, 3).await?;
    let thread = open(&*store, &room, 2, &ann).await?;
    same("before it is told", shown(&*store, room.key, 2).await?, None)?;
    write(&*store, thread.key, (0, 1), vec![message(&bob, "one"), message(&bob, "two")]).await?;
    let told = now(&*store, &thread).await?;
    let first = Thread { replies: 1, upto: Cursor::new(1, 1), ..told.clone() };
    let writes = vec![tell(2, &first, &bob), tell(2, &told, &bob), tell(2, &first, &bob)];
    let outcomes = write(&*store, room.key, (3, 1), writes).await?;
    same_all("where the room stands", outcomes, [stored(3, 2), stored(3, 3), stored(3, 4)])?;
    // On the last message of another room.
    let other = room_of(&*store, &ann, 1).await?;
    let elsewhere = now(&*store, &open(&*store, &other, 1, &ann).await?).await?;
    write(&*store, other.key, (1, 1), vec![tell(1, &elsewhere, &ann)]).await?;
    let renamed = User::new(bob.id, Name::new("Robert")?);
    store.rename(&renamed).await?;
    let last = told.last.clone().map(|last| LastReply { from: renamed.clone(), ..last });
    let told = Thread { last, ..told };
    for store in [&*store, &*home.open().await] {
        // What comes late does not count.
        same("with its message", shown(store, room.key, 2).await?, Some(told.clone()))?;
        same("with another", shown(store, room.key, 1).await?, None)?;
        let loaded = load(store, room.info.id).await?;
        same("as it is loaded", &loaded.messages[1].thread, &Some(told.clone()))?;
        let standing = store.standings(ann.id, &[room.info.id, other.info.id]).await?;
        let lasts =
            standing.iter().map(|one| one.last.as_ref().and_then(|last| last.thread.as_ref()));
        let expected =
            standing.iter().map(|one| (one.room.info.id == other.info.id).then_some(&elsewhere));
        same_all("with the last messages of her rooms", lasts, expected)?;
        let last = changes(store, room.key).await?.pop().map(|change| change.kind);
        let Some(ChangeKind::Thread(membership, 2, _)) = last else {
            return failed(format!("expected a change about the thread, got {last:?}"));
        };
        same("by whom", &*membership.user.name, "Robert")?;
    }
    let delete = delete(2, &ann);
    write(&*store, room.key, (3, 4), vec![delete]).await?;
    same("when its message is deleted", shown(&*store, room.key, 2).await?, Some(told))
}

async fn a_room_knows_which_threads_have_not_told_everything(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = room_of(&*store, &ann, 5).await?;
    let mut threads = Vec::new();
    for seq in 1..=5 {
        threads.push(open(&*store, &room, seq, &ann).await?);
    }
    // The first has never told anything. Each of the others has told of a message.
    let mut tells = Vec::new();
    for (thread, seq) in threads[1..].iter().zip(2..) {
        write(&*store, thread.key, (0, 1), vec![message(&ann, "one"), message(&ann, "two")])
            .await?;
        tells.push(tell(seq, &now(&*store, thread).await?, &ann));
    }
    write(&*store, room.key, (5, 1), tells).await?;
    // Since then one has a message more, one has one less, and to one came somebody.
    write(&*store, threads[1].key, (2, 1), vec![message(&ann, "three")]).await?;
    write(&*store, threads[2].key, (2, 1), vec![delete(1, &ann)]).await?;
    write(&*store, threads[3].key, (2, 1), vec![join(&user("Bob"))]).await?;
    let sorted = |mut ids: Vec<RoomId>| {
        ids.sort_unstable();
        ids
    };
    for store in [&*store, &*home.open().await] {
        let untold = sorted(load(store, room.info.id).await?.untold);
        let expected = threads[..3].iter().map(|thread| thread.info.id).collect();
        same_all("those that have not", untold, sorted(expected))?;
        for (nth, thread) in threads.iter().enumerate() {
            let loaded = load(store, thread.info.id).await?;
            same("of itself", loaded.thread.map(|thread| thread.is_told), Some(nth > 2))?;
            same_all("a thread has none", loaded.untold, [])?;
        }
    }
    let (end, mut tells) = (load(&*store, room.info.id).await?.end, Vec::new());
    for (thread, seq) in threads[..3].iter().zip(1..) {
        tells.push(tell(seq, &now(&*store, thread).await?, &ann));
    }
    write(&*store, room.key, (end.seq, end.change), tells).await?;
    same_all("when all have", load(&*store, room.info.id).await?.untold, [])
}

async fn threads_are_listed_by_their_last_reply(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = room_of(&*store, &ann, 5).await?;
    let (mut tells, mut threads) = (Vec::new(), Vec::new());
    // One is empty, as of its opening; two were written in at the same time; one tells nothing.
    for (seq, time) in [(1, None), (2, Some(50)), (3, Some(300)), (4, Some(300)), (5, Some(400))] {
        let thread = open(&*store, &room, seq, &ann).await?;
        if let Some(time) = time {
            write(&*store, thread.key, (0, 1), vec![message_at(&ann, "hi", at(time))]).await?;
        }
        if seq < 5 {
            tells.push(tell(seq, &now(&*store, &thread).await?, &ann));
        }
        threads.push(thread);
    }
    write(&*store, room.key, (5, 1), tells).await?;
    let expected = [(4, 300), (3, 300), (1, 100), (2, 50)]
        .map(|(seq, time)| ThreadPlace { at: at(time), seq });
    for store in [&*store, &*home.open().await] {
        for limit in 1..=5 {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.threads(room.key, &ThreadQuery { after, limit }).await?;
                check(page.len() <= limit, "a page is no longer than asked")?;
                for one in &page {
                    let thread = &threads[one.place.seq as usize - 1];
                    same("a listed thread", &one.thread, &now(store, thread).await?)?;
                }
                after = page.last().map(|last| last.place);
                found.extend(page.iter().map(|one| one.place));
                if page.is_empty() {
                    break;
                }
            }
            same_all("the threads", found, expected)?;
        }
        let all = ThreadQuery { after: None, limit: 9 };
        same("those of a thread", store.threads(threads[0].key, &all).await?, vec![])?;
        same("those of no room", store.threads(RoomKey(12_345), &all).await?, vec![])?;
    }
    Ok(())
}

async fn a_deleted_room_takes_its_threads_along(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let (room, other) = (room_of(&*store, &ann, 2).await?, room_of(&*store, &ann, 1).await?);
    let gone = [open(&*store, &room, 1, &ann).await?, open(&*store, &room, 2, &ann).await?];
    let stays = open(&*store, &other, 1, &ann).await?;
    for thread in gone.iter().chain([&stays]) {
        write(&*store, thread.key, (0, 1), vec![message(&ann, "hi")]).await?;
    }
    store.delete_room(room.key).await?;
    let late = append(&*store, gone[0].key, (1, 1), vec![message(&ann, "late")]).await?;
    same("what is written to it then", late, BatchOutcome::Gone)?;
    for store in [&*store, &*home.open().await] {
        for thread in &gone {
            check(store.load_room(thread.info.id, 1).await?.is_none(), "a thread is gone")?;
            same("its messages", messages(store, thread.key).await?, vec![])?;
            same("what it has come to", store.thread(thread.key).await?, None)?;
        }
        said(store, stays.key, ["hi"]).await?;
        same("the thread of the other", open(store, &other, 1, &ann).await?.key, stays.key)?;
    }
    let opened = store.create_room(&on(&room, 1), &[owner(&ann)], None).await;
    check(opened.is_err(), "no thread is opened there any more")
}

async fn a_thread_is_ones_own_as_long_as_its_parents_room_is(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = room_of(&*store, &ann, 1).await?;
    write(&*store, room.key, (1, 1), vec![join(&bob)]).await?;
    let thread = open(&*store, &room, 1, &ann).await?;
    write(&*store, thread.key, (0, 1), vec![join(&bob), message(&ann, "a reply")]).await?;
    let ids = [room.info.id, thread.info.id];
    let own = async |user: &User| {
        let active = store.active_rooms(user.id, &own_rooms(None, 9)).await?;
        let mut active: Vec<_> = active.into_iter().map(|active| active.room).collect();
        active.sort_unstable_by_key(|id| *id != room.info.id);
        let mut standings = store.standings(user.id, &ids).await?;
        standings.sort_unstable_by_key(|standing| standing.room.info.id != room.info.id);
        let infos = standings.iter().map(|standing| standing.room.info.clone()).collect::<Vec<_>>();
        let listed: Vec<_> = infos.iter().map(|info| info.id).collect();
        same("the rooms that stand somehow", listed, active.clone())?;
        Checked::Ok(infos)
    };
    same("Bob's rooms", own(&bob).await?, vec![room.info.clone(), thread.info.clone()])?;
    // Asked for without threads, they take nobody's place on the page.
    let page = OwnRoomQuery { before: None, threads: false, limit: 1 };
    let rooms = store.active_rooms(bob.id, &page).await?;
    same_all("Bob's rooms without threads", rooms.iter().map(|one| one.room), [room.info.id])?;
    let page = OwnRoomQuery { before: rooms.first().copied(), ..page };
    same("what comes then", store.active_rooms(bob.id, &page).await?, Vec::new())?;
    write(&*store, room.key, (1, 2), vec![leave(&bob)]).await?;
    same("Bob's rooms then", own(&bob).await?, Vec::new())?;
    same("Ann's rooms", own(&ann).await?, vec![room.info.clone(), thread.info.clone()])
}
