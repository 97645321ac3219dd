//! Readers that do not keep up: the others notice nothing, and nothing is lost without a word.

use std::time::Duration;

use crate::command::{After, HistoryAt, HistoryQuery};
use crate::event::{CloseReason, Event};
use crate::ids::RoomId;
use crate::model::{Cursor, Presence};
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, fail, same};

super::cases![
    a_slow_reader_is_told_and_catches_up { outbox_bytes: 128 * 1_024 },
    // More than sockets hold, so that what waits does not find a place in them after all.
    a_peer_that_reads_nothing_is_closed {
        outbox_bytes: 1 << 20,
        slow_close: Duration::from_secs(17)
    },
];

/// How many messages are more than a slow reader's outbox and everything before it holds.
const MANY: u64 = 300;

/// A text that is `MANY` times too much.
fn text(stage: &Stage<'_>, n: u64) -> String {
    let bytes = stage.transport.in_flight() + 4 * stage.limits.outbox_bytes;
    let most = (crate::limits::TEXT_CHARS - 6) * 3;
    let filler = "가".repeat((bytes / MANY as usize).min(most) / 3);
    format!("{n:06}{filler}")
}

/// How many of them it takes, if they cannot be long enough.
fn enough(stage: &Stage<'_>) -> u64 {
    let bytes = stage.transport.in_flight() + 4 * stage.limits.outbox_bytes;
    (bytes / text(stage, 0).len()) as u64 + 1
}

/// Ann writes more than can wait for anybody, and Fast hears every message before the next one is
/// written.
async fn flood(stage: &Stage<'_>, room: RoomId, ann: &mut Guest, fast: &mut Guest) -> Outcome<u64> {
    let last = enough(stage);
    for n in 1..=last {
        let text = text(stage, n);
        ann.send(room, &text).await?;
        same("what others hear meanwhile", fast.message().await?.text(), &text)?;
        ann.kept();
    }
    Ok(last)
}

/// Reads up to `Behind`; gives its cursor.
async fn beginning(stage: &Stage<'_>, slow: &mut Guest) -> Outcome<Cursor> {
    let mut last = 0;
    loop {
        match &*slow.event("Behind").await? {
            Event::Message { message, .. } => {
                last += 1;
                same("what a slow reader hears", message.text(), &text(stage, last))?;
            }
            Event::Behind { after, .. } => {
                same("the last message before Behind", after.seq, last)?;
                return Ok(*after);
            }
            _ => {}
        }
    }
}

async fn a_slow_reader_is_told_and_catches_up(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut fast = stage.joined("Fast", room).await?;
    let mut slow = stage.joined("Slow", room).await?;
    let last = flood(stage, room, &mut ann, &mut fast).await?;
    let after = beginning(stage, &mut slow).await?;
    ensure(after.seq < last, || format!("expected Behind before {last}, heard {after}"))?;
    let joined = slow.join(room, After::Cursor(after)).await?;
    // What one answer does not carry is in the history.
    let mut next = after.seq + 1;
    if let Some(behind) = joined.behind {
        same("where the range of missed messages begins", behind.after, after.seq)?;
        while next <= behind.until {
            let at = HistoryAt::After(next - 1);
            let page = slow.history(room, HistoryQuery { at, limit: 50 }).await?;
            if page.messages.is_empty() {
                return fail(format!("the history ends before message {next}"));
            }
            for message in page.messages.iter().filter(|message| message.seq <= behind.until) {
                same("a message of the history", message.text(), &text(stage, next))?;
                next += 1;
            }
        }
    }
    for message in &joined.messages {
        same("a message of the answer", message.text(), &text(stage, next))?;
        next += 1;
    }
    same("the last message that is caught up with", next - 1, last)?;
    ann.send(room, "live again").await?;
    for guest in [&mut slow, &mut fast] {
        same("what follows", guest.message().await?.text(), "live again")?;
        guest.settle(room).await?;
    }
    Ok(())
}

async fn a_peer_that_reads_nothing_is_closed(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut fast = stage.joined("Fast", room).await?;
    let mut stuck = stage.joined("Stuck", room).await?;
    flood(stage, room, &mut ann, &mut fast).await?;
    // These two have nothing unread while time passes.
    ann.settle(room).await?;
    fast.settle(room).await?;
    let (clock, time) = (&stage.clock, stage.limits.slow_close);
    stage
        .until("the session of a peer that reads nothing ends", || {
            // Only once somebody waits for it, so that nobody else's time passes.
            if clock.sleepers(time) > 0 {
                clock.advance(time);
            }
            stage.engine.stats().sessions == 2
        })
        .await?;
    for guest in [&mut ann, &mut fast] {
        guest
            .find("that the stuck one is offline", |event| match event {
                Event::Presence { user, presence: Presence::Offline, .. } => {
                    (*user == stuck.user).then_some(())
                }
                _ => None,
            })
            .await?;
    }
    // What it reads now is a beginning, in order, and the end.
    let reason = stuck.closed().await?;
    if stage.transport.closes_unread() {
        same("why it is closed", reason, Some(CloseReason::NotReading))?;
    }
    stuck.is_over()?;
    ann.send(room, "on it goes").await?;
    same("what follows", fast.message().await?.text(), "on it goes")
}
