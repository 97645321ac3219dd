//! Rooms and connections that end say so, and then say nothing more.

use std::time::Duration;

use crate::command::{After, Command, RoomCommand};
use crate::error::Code;
use crate::event::{CloseReason, Event};
use crate::store::Store;
use crate::testkit::report::Stop;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, given, same};

super::cases![
    draining_closes_everybody_and_says_when_to_come_back,
    what_waits_is_heard_before_the_end,
    a_room_that_ends_is_closed,
];

const SPREAD: Duration = Duration::from_secs(5);

async fn draining_closes_everybody_and_says_when_to_come_back(stage: &Stage<'_>) -> Outcome {
    let (room, ann) = stage.room("Ann").await?;
    let mut guests = vec![ann, stage.guest("Nobody").await?];
    for name in ["Bob", "Cleo", "Dan", "Eve"] {
        guests.push(stage.joined(name, room).await?);
    }
    stage.engine.drain(SPREAD);
    for guest in &mut guests {
        let closing = guest.find("Closing", |event| match event {
            Event::Closing { reason, retry_after } => Some((*reason, *retry_after)),
            _ => None,
        });
        let (reason, retry_after) = closing.await?;
        same("the reason of Closing", reason, CloseReason::Draining)?;
        ensure(retry_after.is_some_and(|time| time <= SPREAD), || {
            format!("expected to come back within {SPREAD:?}, heard {retry_after:?}")
        })?;
        same("the reason of Closed", guest.closed().await?, Some(CloseReason::Draining))?;
    }
    stage.sessions(0).await?;
    for guest in &mut guests {
        guest.is_over()?;
    }
    // Whoever comes now is closed at once.
    let mut late = stage.guest("Late").await?;
    late.closed().await.map(drop)
}

async fn what_waits_is_heard_before_the_end(stage: &Stage<'_>) -> Outcome {
    const LAST: u64 = 60;
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    for n in 1..=LAST {
        ann.send(room, &format!("message {n}")).await?;
    }
    // The answer comes behind all of them, and is on its way to him when the room has answered Ann,
    // whom it has told before.
    bob.submit_to(room, RoomCommand::Typing(true)).await;
    ann.find("that Bob is typing", |event| match event {
        Event::Typing { on: true, .. } => Some(()),
        _ => None,
    })
    .await?;
    ann.settle(room).await?;
    stage.engine.drain(SPREAD);
    let reason = bob.closed().await?;
    same("the reason of Closed", reason, Some(CloseReason::Draining))?;
    same("messages before the end", bob.texts_until(LAST).await?.len() as u64, LAST)?;
    let reply = bob.reply_to(2).await?;
    ensure(reply.is_ok(), || format!("the reply before the end was {reply:?}"))
}

async fn a_room_that_ends_is_closed(stage: &Stage<'_>) -> Outcome {
    let (room, ann) = stage.room("Ann").await?;
    let (other, mut bob) = stage.room("Bob").await?;
    bob.join(room, After::Nothing).await?;
    let nobody = stage.guest("Nobody").await?;
    let mut guests = [ann, bob, nobody];
    // Another process deletes it; the engine notices when it writes.
    let loaded = given(stage.store.load_room(room, 0).await)?;
    let key = loaded.ok_or_else(|| Stop::Failed("the room is not in its store".to_owned()))?.key;
    given(stage.store.delete_room(key).await)?;
    let tag = guests[0].submit_text(room, "anybody here?").await?;
    for guest in &mut guests[..2] {
        let closed = guest.find("Closed of the room", |event| match event {
            Event::Closed { room } => Some(*room),
            _ => None,
        });
        same("the room that is closed", closed.await?, room)?;
    }
    let reply = guests[0].reply_to(tag).await?;
    let code = reply.err().map(|error| error.code());
    same("the reply to whoever wrote", code, Some(Code::NoSuchRoom))?;
    for guest in &mut guests {
        let join = Command::Room(room, RoomCommand::join(After::Nothing));
        same("what is said of it", guest.refused(join).await?, Code::NoSuchRoom)?;
        ensure(guest.kept().is_empty(), || "nothing follows the end of a room".to_owned())?;
    }
    // Other rooms go on.
    let [_, bob, _] = &mut guests;
    bob.send(other, "still here").await?;
    same("what follows", bob.message().await?.text(), "still here")
}
