//! Every command is answered, once, in its place.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::command::{After, Command, HistoryAt, HistoryQuery, MemberQuery, Reply, RoomCommand};
use crate::error::Code;
use crate::event::Event;
use crate::ids::RoomId;
use crate::model::{Cursor, Draft, NewRoom, Presence};
use crate::testkit::Heard;
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, fail, given, same};

super::cases![
    every_command_is_answered_once,
    replies_keep_the_order_of_their_room,
    commands_of_many_rooms_are_answered_each_in_its_order,
    replies_come_after_what_was_and_before_what_they_cause,
    a_burst_of_a_thousand_commands,
];

const LATEST: HistoryQuery = HistoryQuery { at: HistoryAt::End, limit: 50 };
const MEMBERS: MemberQuery = MemberQuery { after: None, limit: 50, online: false };

async fn every_command_is_answered_once(stage: &Stage<'_>) -> Outcome {
    let (room, _ann) = stage.room("Ann").await?;
    let mut bob = stage.guest("Bob").await?;
    let eve = stage.user("Eve")?;
    let of_room = [
        RoomCommand::View,
        RoomCommand::join(After::Nothing),
        RoomCommand::Send(given(Draft::text("hi"))?),
        RoomCommand::Send(given(given(Draft::text("hi"))?.key("a key"))?),
        RoomCommand::History(LATEST),
        RoomCommand::Members(MEMBERS),
        RoomCommand::Typing(true),
        RoomCommand::Typing(false),
        RoomCommand::Invite(eve),
        RoomCommand::Resume { after: Cursor::default() },
        RoomCommand::join(After::Cursor(Cursor::default())),
        RoomCommand::Leave,
    ];
    let mut commands: Vec<_> =
        of_room.into_iter().map(|command| Command::Room(room, command)).collect();
    commands.extend([
        Command::Ping,
        Command::Presence(Presence::Away),
        Command::Presence(Presence::Online),
        Command::Resume(Vec::new()),
        Command::Open(given(NewRoom::open("another room"))?),
        Command::Open(given(NewRoom::private("a room by invitation"))?),
        Command::Open(given(NewRoom::open("a passing room"))?.ephemeral()),
    ]);
    // All in one breath: whoever joins may send at once.
    for command in commands.into_iter().filter(|command| stage.transport.carries(command)) {
        bob.submit(command).await;
    }
    bob.answered().await?;
    // Another answer to any of them would come before these.
    bob.settle(room).await?;
    bob.ok(Command::Ping).await.map(drop)
}

async fn replies_keep_the_order_of_their_room(stage: &Stage<'_>) -> Outcome {
    let (room, _ann) = stage.room("Ann").await?;
    let mut bob = stage.guest("Bob").await?;
    let mut asked = vec![bob.submit_to(room, RoomCommand::join(After::Nothing)).await];
    for n in 1..=40 {
        asked.push(bob.submit_text(room, &format!("message {n}")).await?);
    }
    let order = bob.answered().await?;
    let seqs: Vec<_> = order.iter().filter_map(|(_, reply)| sent(reply)).collect();
    same("the numbers in the order of replies", seqs, (1..=40).collect())?;
    same("the order of replies to writes", tags(&order), asked)?;
    let mut asked = Vec::new();
    for n in 0..10 {
        asked.push(bob.submit_to(room, RoomCommand::Members(MEMBERS)).await);
        asked.push(bob.submit_to(room, RoomCommand::History(LATEST)).await);
        asked.push(bob.submit_to(room, RoomCommand::Typing(n % 2 == 0)).await);
    }
    same("the order of replies to questions", tags(&bob.answered().await?), asked)
}

fn tags(order: &[(u64, Reply)]) -> Vec<u64> {
    order.iter().map(|(tag, _)| *tag).collect()
}

fn sent(reply: &Reply) -> Option<u64> {
    if let Reply::Sent(sent) = reply { Some(sent.seq) } else { None }
}

async fn commands_of_many_rooms_are_answered_each_in_its_order(stage: &Stage<'_>) -> Outcome {
    let mut ann = stage.guest("Ann").await?;
    let mut asked: BTreeMap<RoomId, Vec<u64>> = BTreeMap::new();
    for _ in 0..8 {
        let room = stage.open(&ann.user).await?;
        ann.join(room, After::Nothing).await?;
        asked.insert(room, Vec::new());
    }
    for n in 1..=6 {
        for (room, asked) in &mut asked {
            asked.push(ann.submit_text(*room, &format!("message {n}")).await?);
        }
    }
    let order = ann.answered().await?;
    for (room, asked) in asked {
        let of_room = order.iter().filter(|(tag, _)| asked.contains(tag));
        let of_room: Vec<_> = of_room.map(|(tag, reply)| (*tag, sent(reply))).collect();
        let expected = asked.into_iter().zip((1..=6).map(Some)).collect();
        same(&format!("the replies of room {room}"), of_room, expected)?;
    }
    Ok(())
}

/// What is heard next, in short, until this many things were.
async fn next(guest: &mut Guest, count: usize) -> Outcome<Vec<&'static str>> {
    let mut order = Vec::new();
    while order.len() < count {
        order.push(match guest.hear("a reply or an event").await? {
            Heard::Reply { result: Ok(_), .. } => "reply",
            Heard::Reply { .. } => "error",
            Heard::Event(event) => match &*event {
                Event::Message { .. } => "message",
                Event::Change { .. } => "change",
                Event::Presence { .. } => "presence",
                Event::Typing { .. } => "typing",
                Event::Mine { .. } => "mine",
                _ => "something else",
            },
            Heard::Closed(_) => "closed",
        });
    }
    Ok(order)
}

async fn replies_come_after_what_was_and_before_what_they_cause(stage: &Stage<'_>) -> Outcome {
    let mut ann = stage.guest("Ann").await?;
    let room = stage.open(&ann.user).await?;
    ann.submit_to(room, RoomCommand::join(After::Nothing)).await;
    let opened = vec!["mine", "reply", "presence"];
    same("what the owner hears who joins", next(&mut ann, 3).await?, opened)?;
    let mut bob = stage.guest("Bob").await?;
    bob.submit_to(room, RoomCommand::join(After::Nothing)).await;
    let join = vec!["reply", "change", "presence"];
    same("what somebody new hears who joins", next(&mut bob, 3).await?, join)?;
    bob.submit_to(room, RoomCommand::Typing(true)).await;
    same("typing", next(&mut bob, 2).await?, vec!["reply", "typing"])?;
    bob.submit(Command::Presence(Presence::Away)).await;
    same("leaving the keyboard", next(&mut bob, 2).await?, vec!["reply", "presence"])?;
    bob.submit_text(room, "hello").await?;
    same("sending", next(&mut bob, 2).await?, vec!["reply", "message"])?;
    bob.submit_to(room, RoomCommand::Leave).await;
    same("leaving", next(&mut bob, 2).await?, vec!["reply", "change"])?;
    ann.settle(room).await?;
    // Many write at once: every guest objects if a reply is not just before its own event.
    let mut writers = vec![ann];
    for name in ["Cleo", "Dan", "Eve"] {
        writers.push(stage.joined(name, room).await?);
    }
    for n in 1..=25 {
        for writer in &mut writers {
            writer.submit_text(room, &format!("message {n}")).await?;
        }
    }
    let all = writers.iter_mut().map(async |writer: &mut Guest| {
        writer.answered().await?;
        writer.texts_until(101).await.map(drop)
    });
    try_join_all(all).await.map(drop)
}

async fn a_burst_of_a_thousand_commands(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    for n in 0..1_000 {
        match n % 4 {
            0 => drop(ann.submit_text(room, &format!("message {n}")).await?),
            1 => drop(ann.submit(Command::Ping).await),
            2 => drop(ann.submit_to(room, RoomCommand::Typing(n % 8 == 2)).await),
            _ => drop(ann.submit_to(room, RoomCommand::Members(MEMBERS)).await),
        }
    }
    let mut written = 0;
    while ann.open() > 0 {
        match ann.reply().await? {
            (_, Ok(Reply::Sent(_))) => written += 1,
            (_, Ok(_)) => {}
            (_, Err(error)) if error.code() == Code::Busy => {}
            (tag, Err(error)) => return fail(format!("command {tag} was answered {error}")),
        }
    }
    ann.settle(room).await?;
    let messages = ann.kept();
    let messages = messages.iter().filter(|event| matches!(***event, Event::Message { .. }));
    same("messages heard for those that were answered", messages.count(), written)?;
    let page = ann.history(room, HistoryQuery { at: HistoryAt::End, limit: 1 }).await?;
    let last = page.messages.last().map_or(0, |message| message.seq);
    same("messages kept for those that were answered", last, written as u64)
}
