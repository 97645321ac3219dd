//! What happens: random steps.

use proptest::prelude::*;
use proptest::sample::Index;

use super::writes::MARKS;

pub(super) const USERS: usize = 4;
/// More clients than users: some users have two devices.
pub(super) const CLIENTS: usize = 6;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open {
        client: usize,
        kind: u8,
        with: usize,
    },
    Join {
        client: usize,
        room: Index,
        afresh: bool,
    },
    Leave {
        client: usize,
        room: Index,
        keyed: bool,
    },
    Send {
        client: usize,
        room: Index,
        keyed: bool,
    },
    Burst {
        client: usize,
        room: Index,
        count: u8,
    },
    Invite {
        client: usize,
        room: Index,
        guest: usize,
        keyed: bool,
    },
    Moderate {
        client: usize,
        room: Index,
        user: usize,
        act: u8,
        by_owner: bool,
        keyed: bool,
    },
    /// Edits or deletes a message, which need not be there. If it is done calmly, everything rests
    /// first.
    Amend {
        client: usize,
        room: Index,
        seq: Index,
        delete: bool,
        keyed: bool,
        by: u8,
        calmly: bool,
    },
    /// Marks a message, which need not be there, or takes the mark back.
    Mark {
        client: usize,
        room: Index,
        seq: Index,
        mark: usize,
        on: bool,
        keyed: bool,
    },
    /// Opens the thread on a message, which need not be there, and follows it: a client, or all of them at
    /// once. If it is done calmly, everything rests first.
    Thread {
        client: usize,
        room: Index,
        seq: Index,
        crowd: bool,
        calmly: bool,
    },
    /// Asks again what was asked with a key before.
    Repeat {
        write: Index,
        device: Index,
    },
    /// Asks something else with the key of what has been done, while everything rests.
    Clash {
        write: Index,
        what: u8,
    },
    Typing {
        client: usize,
        room: Index,
    },
    /// Has read up to a message, which need not be there.
    HaveRead {
        client: usize,
        room: Index,
        seq: Index,
    },
    Away {
        client: usize,
        away: bool,
    },
    Read {
        client: usize,
    },
    Disconnect {
        client: usize,
    },
    /// Reads of the store, and commits, wait until everything rests.
    Hold {
        reads: bool,
        commits: bool,
    },
    FailCommits(usize),
    LoseAnswers(usize),
    Pass(u64),
    Rest,
    Restart,
    Crash,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let room = any::<Index>;
    let step = prop_oneof![
        2 => (client(), 0u8..4, 0..USERS)
            .prop_map(|(client, kind, with)| Step::Open { client, kind, with }),
        6 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, afresh)| Step::Join { client, room, afresh }),
        2 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, keyed)| Step::Leave { client, room, keyed }),
        8 => (client(), room(), any::<bool>())
            .prop_map(|(client, room, keyed)| Step::Send { client, room, keyed }),
        2 => (client(), room(), 1u8..40)
            .prop_map(|(client, room, count)| Step::Burst { client, room, count }),
        2 => (client(), room(), 0..USERS, any::<bool>())
            .prop_map(|(client, room, guest, keyed)| Step::Invite { client, room, guest, keyed }),
        5 => (client(), room(), 0..USERS, 0u8..12, any::<[bool; 2]>())
            .prop_map(|(client, room, user, act, [by_owner, keyed])| {
                Step::Moderate { client, room, user, act, by_owner, keyed }
            }),
        9 => (client(), room(), room(), 0u8..4, any::<[bool; 3]>())
            .prop_map(|(client, room, seq, by, [delete, keyed, calmly])| {
                Step::Amend { client, room, seq, delete, keyed, by, calmly }
            }),
        4 => (client(), room(), room(), 0..MARKS.len(), any::<[bool; 2]>())
            .prop_map(|(client, room, seq, mark, [on, keyed])| {
                Step::Mark { client, room, seq, mark, on, keyed }
            }),
        5 => (client(), room(), room(), any::<[bool; 2]>())
            .prop_map(|(client, room, seq, [crowd, calmly])| {
                Step::Thread { client, room, seq, crowd, calmly }
            }),
        4 => any::<(Index, Index)>().prop_map(|(write, device)| Step::Repeat { write, device }),
        2 => (room(), 0u8..3).prop_map(|(write, what)| Step::Clash { write, what }),
        1 => (client(), room()).prop_map(|(client, room)| Step::Typing { client, room }),
        5 => (client(), room(), room())
            .prop_map(|(client, room, seq)| Step::HaveRead { client, room, seq }),
        1 => (client(), any::<bool>()).prop_map(|(client, away)| Step::Away { client, away }),
        5 => client().prop_map(|client| Step::Read { client }),
        2 => client().prop_map(|client| Step::Disconnect { client }),
        3 => any::<(bool, bool)>().prop_map(|(reads, commits)| Step::Hold { reads, commits }),
        1 => (1usize..3).prop_map(Step::FailCommits),
        1 => (1usize..3).prop_map(Step::LoseAnswers),
        1 => (1u64..40).prop_map(Step::Pass),
        4 => Just(Step::Rest),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    let steps = prop::collection::vec(step, 20..120);
    (0..3, room(), room(), steps).prop_map(|(prelude, room, seq, steps)| match prelude {
        0 => steps,
        1 => people(room).chain(steps).collect(),
        _ => people(room).chain(followers(room, seq)).chain(steps).collect(),
    })
}

/// Everybody joins the only room, and one of them becomes a moderator.
fn people(room: Index) -> impl Iterator<Item = Step> {
    let open = Step::Open { client: 0, kind: 0, with: 0 };
    let joins = (0..CLIENTS).map(move |client| Step::Join { client, room, afresh: false });
    let (by_owner, keyed) = (true, false);
    let moderate = Step::Moderate { client: 0, room, user: 1, act: 0, by_owner, keyed };
    [open, Step::Rest].into_iter().chain(joins).chain([Step::Rest, moderate])
}

/// Everybody follows the thread on a message of the only room.
fn followers(room: Index, seq: Index) -> impl Iterator<Item = Step> {
    let messages = Step::Burst { client: 0, room, count: 5 };
    let thread = Step::Thread { client: 0, room, seq, crowd: true, calmly: false };
    [Step::Rest, messages, Step::Rest, thread].into_iter()
}
