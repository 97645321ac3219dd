//! Whoever comes back gets exactly what it missed, and then what happens, without gap or double.

use futures_util::future::{try_join, try_join_all};

use crate::command::{After, Command, Joined, Reply};
use crate::error::Code;
use crate::event::Event;
use crate::ids::RoomId;
use crate::model::Cursor;
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, fail, same};

super::cases![
    a_join_answers_what_was_missed,
    joining_while_messages_pour_in { kept_bytes: 400 },
    many_rooms_are_resumed_each_in_its_place,
    more_is_resumed_than_can_wait { outbox_bytes: 128 * 1_024 },
    resuming_while_messages_pour_in { kept_bytes: 400 },
    rooms_that_cannot_be_resumed_say_why,
];

fn texts(joined: &Joined) -> Vec<String> {
    joined.messages.iter().map(|message| message.text().to_owned()).collect()
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|n| format!("message {n}")).collect()
}

async fn say(guest: &mut Guest, room: RoomId, range: std::ops::RangeInclusive<u64>) -> Outcome {
    for text in numbered(range) {
        guest.send(room, &text).await?;
    }
    Ok(())
}

async fn a_join_answers_what_was_missed(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    say(&mut ann, room, 1..=10).await?;
    bob.texts_until(10).await?;
    let (user, known) = (bob.user.clone(), Cursor::new(10, 2));
    drop(bob);
    say(&mut ann, room, 11..=40).await?;
    drop(stage.joined("Cleo", room).await?);
    let mut bob = stage.connect(&user).await;
    let joined = bob.join(room, After::Cursor(known)).await?;
    same("what was missed", texts(&joined), numbered(11..=40))?;
    same("where the room stands", joined.cursor, Cursor::new(40, 3))?;
    same("other changes missed", joined.changes.len(), 1)?;
    ensure(!joined.reset && joined.behind.is_none(), || "all of it, nothing reset".to_owned())?;
    same("who came back", &joined.me.user, &user)?;
    say(&mut ann, room, 41..=45).await?;
    same("what follows", bob.texts_until(45).await?, numbered(41..=45))?;
    // Up to date, from another room, and as if for the first time.
    let joined = bob.join(room, After::Cursor(Cursor::new(45, 3))).await?;
    same("what was missed by whoever missed nothing", texts(&joined), Vec::new())?;
    let joined = bob.join(room, After::Cursor(Cursor::new(46, 3))).await?;
    ensure(joined.reset, || "a cursor that is none of the room's is to be reset".to_owned())?;
    let joined = bob.join(room, After::Nothing).await?;
    same("the latest messages", texts(&joined), numbered(1..=45))?;
    bob.settle(room).await
}

/// Somebody writes while others come one after the other. `enter` connects one of them, and gives
/// up to where its answer reached.
async fn pour(
    stage: &Stage<'_>,
    enter: impl AsyncFn(&mut Guest, RoomId) -> Outcome<Joined>,
) -> Outcome {
    const LAST: u64 = 180;
    let (room, mut ann) = stage.room("Ann").await?;
    let bob = stage.joined("Bob", room).await?.user.clone();
    let pouring = async {
        for round in 0..LAST / 10 {
            for n in 1..=10 {
                ann.submit_text(room, &format!("message {}", round * 10 + n)).await?;
            }
            ann.answered().await?;
        }
        Outcome::Ok(())
    };
    let coming = async {
        let mut readers = Vec::new();
        for _ in 0..12 {
            let mut reader = stage.connect(&bob).await;
            let joined = enter(&mut reader, room).await?;
            readers.push((reader, joined));
        }
        Ok(readers)
    };
    let ((), readers) = try_join(pouring, coming).await?;
    let read = readers.into_iter().map(async |(mut reader, joined)| {
        let mut all = texts(&joined);
        if joined.cursor.seq < LAST {
            all.extend(reader.texts_until(LAST).await?);
        }
        same("the answer and what follows", all, numbered(1..=LAST))?;
        reader.settle(room).await
    });
    try_join_all(read).await.map(drop)
}

async fn joining_while_messages_pour_in(stage: &Stage<'_>) -> Outcome {
    pour(stage, async |guest, room| guest.join(room, After::Cursor(Cursor::default())).await).await
}

/// The next room that answers a `resume`.
async fn resumed(guest: &mut Guest) -> Outcome<(RoomId, Result<Joined, Code>)> {
    guest
        .find("Resumed", |event| match event {
            Event::Resumed { room, result } => {
                let result = result.clone().map(|joined| *joined);
                Some((*room, result.map_err(|error| error.code())))
            }
            _ => None,
        })
        .await
}

async fn resuming_while_messages_pour_in(stage: &Stage<'_>) -> Outcome {
    let enter = async |guest: &mut Guest, room: RoomId| {
        guest.ok(Command::Resume(vec![(room, Cursor::default())])).await?;
        match resumed(guest).await? {
            (of, Ok(joined)) if of == room => Ok(joined),
            other => fail(format!("expected that room {room} is resumed, heard {other:?}")),
        }
    };
    pour(stage, enter).await
}

async fn many_rooms_are_resumed_each_in_its_place(stage: &Stage<'_>) -> Outcome {
    let mut ann = stage.guest("Ann").await?;
    let mut rooms = Vec::new();
    for count in 1..=20 {
        let room = stage.open(&ann.user).await?;
        ann.join(room, After::Nothing).await?;
        say(&mut ann, room, 1..=count).await?;
        // She knows all of the first room, all but one of the second, …
        rooms.push((room, Cursor::new(count.saturating_sub(rooms.len() as u64), 1)));
    }
    let mut again = stage.connect(&ann.user).await;
    let tag = again.submit(Command::Resume(rooms.clone())).await;
    let reply = again.reply_to(tag).await?;
    ensure(matches!(reply, Ok(Reply::Resumed { resumed: 20, failed: 0 })), || {
        format!("expected that 20 rooms are resumed, heard {reply:?}")
    })?;
    // They have all answered by now.
    let mut answers = Vec::new();
    for event in again.kept() {
        if let Event::Resumed { room, result: Ok(joined) } = &*event {
            answers.push((*room, texts(joined)));
        }
    }
    answers.sort();
    let mut expected: Vec<_> = rooms
        .iter()
        .zip(1..)
        .map(|((room, at), count)| (*room, numbered(at.seq + 1..=count)))
        .collect();
    expected.sort();
    same("what the rooms answered before the reply", answers, expected)?;
    for (room, _) in &rooms {
        ann.send(*room, "live").await?;
    }
    for _ in &rooms {
        same("what follows", again.message().await?.text(), "live")?;
    }
    again.settle(rooms[0].0).await
}

/// All rooms together have missed more than may wait for anybody, and one of them alone has. Whoever
/// reads gets every one of them, and the truth about that.
async fn more_is_resumed_than_can_wait(stage: &Stage<'_>) -> Outcome {
    const ROOMS: usize = 30;
    let mut ann = stage.guest("Ann").await?;
    let long = "가".repeat(crate::limits::TEXT_CHARS);
    let many = (stage.transport.in_flight() + 4 * stage.limits.outbox_bytes) / long.len();
    let mut rooms = Vec::new();
    for at in 0..ROOMS {
        let room = stage.open(&ann.user).await?;
        ann.join(room, After::Nothing).await?;
        let count = match at {
            0 => 2 * stage.limits.outbox_bytes / long.len(),
            _ => many / ROOMS + 1,
        };
        for _ in 0..count {
            ann.send(room, &long).await?;
        }
        ann.settle(room).await?;
        ann.kept();
        rooms.push((room, count));
    }
    let mut again = stage.connect(&ann.user).await;
    let known = rooms.iter().map(|(room, _)| (*room, Cursor::new(0, 1))).collect();
    // Twice at once, so that neither is answered before the other is asked.
    let tags = [
        again.submit(Command::Resume(known)).await,
        again.submit(Command::Resume(vec![(rooms[0].0, Cursor::new(0, 1))])).await,
    ];
    for (tag, count) in tags.into_iter().zip([ROOMS, 1]) {
        let reply = again.reply_to(tag).await?;
        ensure(
            matches!(reply, Ok(Reply::Resumed { resumed, failed: 0 }) if resumed == count),
            || format!("expected that {count} rooms are resumed, heard {reply:?}"),
        )?;
    }
    let mut answers = Vec::new();
    for event in again.kept() {
        if let Event::Resumed { room, result: Ok(joined) } = &*event {
            ensure(joined.messages.iter().all(|message| message.text() == long), || {
                "expected what was written, whole".to_owned()
            })?;
            answers.push((*room, joined.messages.len()));
        }
    }
    let mut expected = rooms.clone();
    expected.push(rooms[0]);
    answers.sort_unstable();
    expected.sort_unstable();
    same("how much each room answered", answers, expected)?;
    for (room, _) in &rooms {
        ann.send(*room, "live").await?;
        same("what follows", again.message().await?.text(), "live")?;
    }
    again.settle(rooms[0].0).await
}

async fn rooms_that_cannot_be_resumed_say_why(stage: &Stage<'_>) -> Outcome {
    let (good, mut ann) = stage.room("Ann").await?;
    let (foreign, mut bob) = stage.room("Bob").await?;
    let unknown = RoomId::new();
    let mut again = stage.connect(&ann.user).await;
    let rooms = [unknown, good, foreign].map(|room| (room, Cursor::default())).to_vec();
    let reply = again.ok(Command::Resume(rooms)).await?;
    ensure(matches!(reply, Reply::Resumed { resumed: 1, failed: 2 }), || {
        format!("expected that one room is resumed and two are not, heard {reply:?}")
    })?;
    for _ in 0..3 {
        let (room, result) = resumed(&mut again).await?;
        let code = result.err();
        let expected = [(unknown, Code::NoSuchRoom), (foreign, Code::NotAMember)];
        let expected = expected.into_iter().find(|(of, _)| *of == room).map(|(_, code)| code);
        same("why a room cannot be resumed", code, expected)?;
    }
    // Nobody becomes a member by coming back.
    bob.send(foreign, "not for Ann").await?;
    ann.send(good, "for Ann").await?;
    same("what follows", again.message().await?.text(), "for Ann")?;
    again.settle(foreign).await?;
    ensure(again.kept().is_empty(), || "nothing follows of the rooms that failed".to_owned())
}
