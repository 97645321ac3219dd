//! What cannot be done is answered with its code, and the connection goes on.

use std::collections::BTreeSet;

use crate::command::{After, Command, Reply, RoomCommand};
use crate::error::Code;
use crate::ids::RoomId;
use crate::limits::RESUME_ROOMS;
use crate::model::{Cursor, Draft, NewRoom, Presence};
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, given, same};

super::cases![
    refusals_carry_their_code,
    a_failing_store_is_unavailable_and_no_more,
    too_many_commands_are_busy { session_commands: 16 },
];

fn keyed(text: &str, key: &str) -> Outcome<RoomCommand> {
    Ok(RoomCommand::Send(given(given(Draft::text(text))?.key(key))?))
}

async fn refusals_carry_their_code(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let (foreign, bob) = stage.room("Bob").await?;
    let direct = NewRoom::direct(bob.user.clone());
    let direct = given(stage.engine.open_room(&ann.user, direct).await)?.id();
    let unknown = RoomId::new();
    let first = ann.ok(Command::Room(room, keyed("hi", "key")?)).await?;
    let many = (0..=RESUME_ROOMS).map(|_| (RoomId::new(), Cursor::default()));
    let twice = vec![(room, Cursor::default()); 2];
    let cases = [
        (Command::Room(unknown, RoomCommand::join(After::Nothing)), Code::NoSuchRoom),
        (Command::Room(unknown, keyed("hi", "key")?), Code::NoSuchRoom),
        (Command::Room(unknown, RoomCommand::View), Code::NoSuchRoom),
        (Command::Room(foreign, keyed("hi", "key")?), Code::NotAMember),
        (Command::Room(foreign, RoomCommand::Typing(true)), Code::NotAMember),
        (Command::Room(foreign, RoomCommand::Leave), Code::NotAMember),
        (Command::Room(room, keyed("ho", "key")?), Code::KeyConflict),
        (Command::Room(direct, RoomCommand::Leave), Code::Forbidden),
        (Command::Presence(Presence::Offline), Code::BadRequest),
        (Command::Resume(twice), Code::BadRequest),
        (Command::Resume(many.collect()), Code::BadRequest),
    ];
    for (command, expected) in cases {
        if stage.transport.carries(&command) {
            let words: String = format!("{command:?}").chars().take(200).collect();
            same(&words, ann.refused(command).await?, expected)?;
        }
    }
    // The connection goes on; the same message again is answered as it was.
    let again = ann.ok(Command::Room(room, keyed("hi", "key")?)).await?;
    same("a repeated message", given(again.sent())?, given(first.sent())?)
}

async fn a_failing_store_is_unavailable_and_no_more(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    stage.faults.fail_commits(1);
    let send = Command::Room(room, keyed("hi", "key")?);
    same("with a store that fails", ann.refused(send.clone()).await?, Code::Unavailable)?;
    ann.ok(send).await?;
    same("what is heard, once", bob.message().await?.seq, 1)?;
    // It takes effect, and says that it has failed.
    stage.faults.lose_answers(1);
    let send = Command::Room(room, keyed("ho", "other")?);
    same("with an answer that is lost", ann.refused(send.clone()).await?, Code::Unavailable)?;
    ann.ok(send).await?;
    same("what is heard, once", bob.message().await?.seq, 2)?;
    bob.settle(room).await
}

async fn too_many_commands_are_busy(stage: &Stage<'_>) -> Outcome {
    const ALL: usize = 40;
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let most = stage.limits.session_commands;
    stage.faults.hold_commits(true);
    let mut asked = BTreeSet::new();
    for n in 0..ALL {
        asked.insert(ann.submit_text(room, &format!("message {n}")).await?);
    }
    for _ in 0..ALL - most {
        let (tag, result) = ann.reply().await?;
        let code = result.err().map(|error| error.code());
        same(&format!("the reply to command {tag}"), code, Some(Code::Busy))?;
    }
    // It is hers alone: others go on.
    bob.ok(Command::Ping).await?;
    stage.faults.hold_commits(false);
    let mut taken = 0;
    while ann.open() > 0 {
        match ann.reply().await? {
            (_, Ok(Reply::Sent(_))) => taken += 1,
            (tag, other) => {
                // Her joining may have been counted for a moment longer.
                let busy = other.as_ref().is_err_and(|error| error.code() == Code::Busy);
                ensure(busy, || format!("command {tag} was answered {other:?}"))?;
            }
        }
    }
    ensure(taken == most || taken + 1 == most, || {
        format!("expected that {most} commands are taken, {taken} were")
    })?;
    same("messages that others hear", bob.texts_until(taken as u64).await?.len(), taken)?;
    ann.send(room, "and on it goes").await.map(drop)
}
