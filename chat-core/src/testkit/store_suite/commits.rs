//! Calls that fail or are dropped halfway: they leave nothing or the whole, and the store goes on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::Role;
use crate::store::{Batch, BatchOutcome, LoadedRoom, Outcome, Store, Write};

cases!(
    a_dropped_commit_leaves_nothing_or_the_whole,
    a_dropped_opening_leaves_no_room_or_a_whole_one,
    a_dropped_deletion_leaves_the_room_or_nothing,
    a_refused_commit_leaves_nothing,
    a_refused_commit_hurts_nobody_else,
);

/// How far a call gets before it is dropped.
#[derive(Clone, Copy, Debug)]
struct Until {
    /// How often it is polled.
    polls: usize,
    /// How long it is kept after that, so that what it has asked of others may be done meanwhile.
    kept: Duration,
}

/// Goes through all places where calls can be dropped, until one that lets them be done.
#[derive(Default)]
struct Places {
    polls: usize,
    next: usize,
    /// How many were not done at this number of polls.
    dropped: usize,
}

impl Places {
    /// How long a call is kept after the last poll, in milliseconds.
    const KEPT: [u64; 3] = [0, 1, 5];

    fn next(&mut self) -> Option<Until> {
        if self.next == Self::KEPT.len() {
            if self.dropped == 0 {
                return None;
            }
            *self = Self { polls: self.polls + 1, ..Self::default() };
        }
        let kept = Duration::from_millis(Self::KEPT[self.next]);
        self.next += 1;
        Some(Until { polls: self.polls, kept })
    }

    /// Says whether the call was done before it was dropped.
    fn was(&mut self, done: bool) {
        self.dropped += usize::from(!done);
    }
}

impl Until {
    /// Drops this call; answers what it did if it was done before.
    async fn drop<T>(self, call: impl Future<Output = T>) -> Option<T> {
        let (mut call, mut left) = (pin!(call), self.polls);
        let answer = poll_fn(|context| {
            if left > 0
                && let Poll::Ready(answer) = call.as_mut().poll(context)
            {
                return Poll::Ready(Some(answer));
            }
            left = left.saturating_sub(1);
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        });
        let answer = answer.await;
        if answer.is_none() && !self.kept.is_zero() {
            tokio::time::sleep(self.kept).await;
        }
        answer
    }
}

async fn a_dropped_commit_leaves_nothing_or_the_whole(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(store, &ann, 3).await?;
    let mut places = Places::default();
    while let Some(until) = places.next() {
        let (bob, cyd) = (user("Bob"), user("Cyd"));
        let said = [format!("{until:?} 1"), format!("{until:?} 2")];
        let writes = || {
            let [one, two] = said.each_ref().map(|said| keyed(&ann, said, said));
            vec![one, join(&bob), invite(&cyd), two]
        };
        let mut batches = Vec::new();
        for room in &rooms {
            let end = load(store, room.info.id).await?.end;
            batches.push(Batch { room: room.key, after: end, may_follow: false, writes: writes() });
        }
        let answer = until.drop(store.append(&batches)).await.transpose()?;

        // Whoever writes after it finds out what became of it: from then on that is decided.
        for room in &rooms {
            write_on(store, room, vec![message(&ann, "after it")]).await?;
        }
        let mut there = Vec::new();
        for room in &rooms {
            let texts = texts(store, room.key).await?;
            let loaded = load(store, room.info.id).await?;
            there.extend(said.each_ref().map(|said| texts.contains(said)));
            there.push(loaded.members.iter().any(|member| member.user == bob));
            there.push(loaded.invited.contains(&cyd));
            let changes = changes(store, room.key).await?;
            let about = |user| changes.iter().any(|c| c.kind.membership().user == user);
            there.extend([about(bob.clone()), about(cyd.clone())]);
        }
        let whole = there.iter().all(|there| *there);
        let nothing = !there.iter().any(|there| *there);
        if !whole && !nothing {
            return failed(format!("a commit, dropped {until:?}, is half done: {there:?}"));
        }
        if let Some(outcomes) = &answer {
            let done = outcomes.iter().all(|outcome| matches!(outcome, BatchOutcome::Done(_)));
            check(done && whole, format_args!("a commit that is done ({outcomes:?}) is there"))?;
        }
        // Sent again with the same keys, it takes effect once.
        for room in &rooms {
            let outcomes = write_on(store, room, writes()).await?;
            let seen = matches!(outcomes[..], [Outcome::Seen(_), _, _, Outcome::Seen(_)]);
            let stored = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Stored(_)));
            let right = if whole { seen } else { stored };
            check(right, format_args!("{outcomes:?} is right if the commit is there: {whole}"))?;
            let texts = texts(store, room.key).await?;
            let count = texts.iter().filter(|text| said.contains(text)).count();
            same("how often its messages are there", count, said.len())?;
        }
        places.was(answer.is_some());
    }
    Ok(())
}

async fn a_dropped_opening_leaves_no_room_or_a_whole_one(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let mut places = Places::default();
    while let Some(until) = places.next() {
        let (ann, bob) = (user("Ann"), user("Bob"));
        let pair = [member(&ann), member(&bob)];
        let (dropped, again) = (direct(), direct());
        let open = info("a room");
        let answers = [
            until.drop(store.create_room(&dropped, &pair, None)).await.transpose()?,
            until.drop(store.create_room(&open, &pair, None)).await.transpose()?,
        ];
        // Opening it again waits until it is decided what became of the dropped call.
        let id = store.create_room(&again, &pair, None).await?;
        check(
            [dropped.id, again.id].into_iter().any(|one| Some(one) == id),
            "the direct room is one that was asked for",
        )?;
        for info in [&dropped, &again, &open] {
            let loaded = store.load_room(info.id, 9).await?;
            if info.id != open.id || answers[1].is_some() {
                let known = Some(info.id) == id || info.id == open.id;
                same("whether the room is there", loaded.is_some(), known)?;
            }
            let Some(loaded) = loaded else { continue };
            let expected = members([(&ann, Role::Member), (&bob, Role::Member)]);
            same_all("members", members_of(&loaded), expected)?;
            same("the end", loaded.end, cursor((0, 2)))?;
            same("how many changes", loaded.changes.len(), 2)?;
        }
        places.was(answers.iter().all(Option::is_some));
    }
    Ok(())
}

async fn a_dropped_deletion_leaves_the_room_or_nothing(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let other = open_room(store, &ann).await?;
    let mut places = Places::default();
    while let Some(until) = places.next() {
        let room = open_room(store, &ann).await?;
        write(store, room.key, (0, 1), vec![keyed(&ann, "x", "k"), invite(&ann)]).await?;
        let answer = until.drop(store.delete_room(room.key)).await.transpose()?;
        let outcome = append(store, room.key, (1, 2), vec![message(&ann, "after it")]).await?;
        let there = store.load_room(room.info.id, 9).await?;
        match &outcome {
            BatchOutcome::Gone => check(there.is_none(), "a room that is gone is not loaded")?,
            other => {
                same("a batch to a room that is there", other, &done([stored(2, 2)]))?;
                check(answer.is_none(), "a room whose deletion was answered is gone")?;
                // What was dropped may have its effect later still.
                if let Err(lacking) = said(store, room.key, ["x", "after it"]).await {
                    let there = store.load_room(room.info.id, 9).await?;
                    check(there.is_none(), format!("a room is there, but {lacking:?}"))?;
                }
            }
        }
        // Asked again, it is gone altogether.
        store.delete_room(room.key).await?;
        check(store.load_room(room.info.id, 9).await?.is_none(), "the deleted room is gone")?;
        same("its messages", messages(store, room.key).await?, vec![])?;
        same("its changes", changes(store, room.key).await?, vec![])?;
        let listed = listed(store, "").await?;
        same_all("the listed rooms", listed.iter().map(|room| room.info.id), [other.info.id])?;
        places.was(answer.is_some());
    }
    Ok(())
}

/// A text that the home is told to refuse.
const BAD: &str = "refuse this";

async fn all_contents(store: &dyn Store, rooms: &[LoadedRoom]) -> Checked<Vec<String>> {
    let mut all = Vec::new();
    for room in rooms {
        all.push(contents(store, room).await?);
    }
    Ok(all)
}

async fn a_refused_commit_leaves_nothing(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    if !home.refuse(BAD).await {
        return Err(cannot_refuse());
    }
    let ann = user("Ann");
    // Where among three batches, and where among a batch's writes, the bad one stands; and whether
    // a repeated key is among them.
    for case in 0..18 {
        let (bad_batch, bad_place, repeated) = (case % 3, [0, 2, 5][case / 3 % 3], case >= 9);
        let rooms = open_rooms(store, &ann, 3).await?;
        let (bob, cyd) = (user("Bob"), user("Cyd"));
        for room in &rooms {
            write(store, room.key, (0, 1), vec![keyed(&ann, "old", "old"), invite(&bob)]).await?;
        }
        let before = all_contents(store, &rooms).await?;
        let writes = |room: usize, bad: bool| -> Vec<Write> {
            let mut writes = vec![
                keyed(&ann, "new", "new"),
                join(&bob),
                leave(&ann),
                invite(&cyd),
                message(&ann, &format!("in {room}")),
            ];
            if bad && room == bad_batch {
                writes.insert(bad_place, keyed(&ann, BAD, "bad"));
            }
            if repeated {
                writes.insert(1, keyed(&ann, "old", "old"));
            }
            writes
        };
        let batches = |bad: bool| {
            let rooms = rooms.iter().enumerate();
            let batches = rooms.map(|(i, room)| batch(room.key, (1, 2), writes(i, bad)));
            batches.collect::<Vec<_>>()
        };
        for _ in 0..2 {
            if let Ok(outcomes) = store.append(&batches(true)).await {
                return failed(format!("the commit was to be refused, but answers {outcomes:?}"));
            }
            let after = all_contents(store, &rooms).await?;
            same_all("rooms after a refused commit", after, before.clone())?;
            let reader = home.open().await;
            let after = all_contents(&*reader, &rooms).await?;
            same_all("rooms after a refused commit, read by another", after, before.clone())?;
        }
        let good = store.append(&batches(false)).await?;
        let mut expected =
            vec![stored(2, 2), stored(2, 3), stored(2, 4), stored(2, 5), stored(3, 5)];
        if repeated {
            expected.insert(1, seen(1));
        }
        same_all("the same without the refused one", good, vec![done(expected); 3])?;
        for (i, room) in rooms.iter().enumerate() {
            said(store, room.key, ["old", "new", &format!("in {i}")]).await?;
        }
        let key = append(store, rooms[0].key, (3, 5), vec![keyed(&ann, "good", "bad")]).await?;
        same("the key of the refused message", key, done([stored(4, 5)]))?;
    }
    Ok(())
}

async fn a_refused_commit_hurts_nobody_else(home: &dyn StoreHome) -> Checked {
    let stores = [home.open().await, home.open().await];
    if !home.refuse(BAD).await {
        return Err(cannot_refuse());
    }
    let ann = &user("Ann");
    let rooms = &open_rooms(&*stores[0], ann, 4).await?;
    // Two writers go on in their rooms while two others are refused again and again.
    let writing = (0..4).map(|i| {
        let (store, room) = (&*stores[i % 2], &rooms[i]);
        async move {
            for seq in 0..15 {
                let mut writes = vec![message(ann, &seq.to_string()), message(ann, BAD)];
                if i >= 2 {
                    writes.pop();
                    write(store, room.key, (seq, 1), writes).await?;
                } else if let Ok(outcomes) = store.append(&[batch(room.key, (0, 1), writes)]).await
                {
                    return failed(format!("to be refused, but answers {outcomes:?}"));
                }
                tokio::task::yield_now().await;
            }
            Checked::Ok(())
        }
    });
    futures_util::future::try_join_all(writing).await?;
    for room in &rooms[..2] {
        said(&*stores[0], room.key, [""; 0]).await?;
        write(&*stores[0], room.key, (0, 1), vec![message(ann, "at last")]).await?;
    }
    for room in &rooms[2..] {
        said(&*stores[0], room.key, 0..15).await?;
    }
    Ok(())
}
