//! What is done at random, before it is known where, by whom and to which message.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{MARKS, Who};

/// How many users there are.
pub(crate) const USERS: usize = 3;
/// More connections than users: the first two have two each.
pub(crate) const DEVICES: usize = 5;

/// Who of those who could is to do something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Anybody,
    Owner,
    Author,
}

/// What is done, before it is known where and to which message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Say,
    Edit,
    Delete,
    Mark(&'static str, bool),
    Leave,
    Invite,
    Kick,
    Ban,
    Unban,
    Mute,
    Unmute,
    Role(&'static str),
    Transfer,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) device: usize,
    pub(crate) room: Index,
    pub(crate) what: What,
    /// Upon whom.
    pub(crate) user: Who,
    /// Which message.
    pub(crate) seq: Index,
    pub(crate) by: By,
    pub(crate) keyed: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open {
        device: usize,
        private: bool,
        by_http: bool,
    },
    Join {
        device: usize,
        room: Index,
        afresh: bool,
    },
    JoinByHttp {
        user: Who,
        room: Index,
    },
    Do {
        plan: Plan,
        by_http: bool,
    },
    /// Several connections write and mark at once.
    AtOnce(Vec<Plan>),
    /// A connection is cut off with this much under way, which is asked again on another one.
    CutWith {
        plans: Vec<Plan>,
        device: Index,
    },
    Repeat {
        write: Index,
        device: Index,
    },
    Clash {
        write: Index,
    },
    /// Has read up to a message, which need not be there.
    Read {
        device: usize,
        room: Index,
        seq: Index,
        by_http: bool,
    },
    Away {
        device: usize,
        away: bool,
    },
    Cut {
        device: usize,
    },
    Back {
        device: usize,
    },
    Flood {
        device: usize,
        room: Index,
    },
    /// With this much under way.
    Restart(Vec<Plan>),
    Check,
}

fn plan(what: impl Strategy<Value = What>) -> impl Strategy<Value = Plan> {
    let by = select(vec![By::Anybody, By::Owner, By::Author, By::Author]);
    let index = any::<Index>;
    (0..DEVICES, index(), what, 0..USERS, index(), by, any::<bool>()).prop_map(
        |(device, room, what, user, seq, by, keyed)| Plan {
            device,
            room,
            what,
            user,
            seq,
            by,
            keyed,
        },
    )
}

fn mark() -> impl Strategy<Value = What> {
    (select(&MARKS[..]), any::<bool>()).prop_map(|(mark, on)| What::Mark(mark, on))
}

/// Whatever may be done.
fn anything() -> impl Strategy<Value = What> {
    prop_oneof![
        8 => Just(What::Say),
        4 => Just(What::Edit),
        3 => Just(What::Delete),
        5 => mark(),
        1 => Just(What::Leave),
        3 => Just(What::Invite),
        1 => Just(What::Kick),
        1 => Just(What::Ban),
        1 => Just(What::Unban),
        1 => Just(What::Mute),
        2 => Just(What::Unmute),
        2 => select(vec!["member", "moderator"]).prop_map(What::Role),
        1 => Just(What::Transfer),
    ]
}

/// What comes out the same in whichever order it is done.
fn in_any_order() -> impl Strategy<Value = What> {
    prop_oneof![3 => Just(What::Say), 1 => mark()]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let plans = |most| prop::collection::vec(plan(Just(What::Say)), 1..most);
    prop_oneof![
        1 => (0..DEVICES, any::<[bool; 2]>())
            .prop_map(|(device, [private, by_http])| Step::Open { device, private, by_http }),
        7 => (0..DEVICES, index(), any::<bool>())
            .prop_map(|(device, room, afresh)| Step::Join { device, room, afresh }),
        1 => (0..USERS, index()).prop_map(|(user, room)| Step::JoinByHttp { user, room }),
        22 => (plan(anything()), prop::bool::weighted(0.3))
            .prop_map(|(plan, by_http)| Step::Do { plan, by_http }),
        3 => prop::collection::vec(plan(in_any_order()), 2..12).prop_map(Step::AtOnce),
        2 => (plans(6), index()).prop_map(|(plans, device)| Step::CutWith { plans, device }),
        2 => (plan(anything()), index())
            .prop_map(|(plan, device)| Step::CutWith { plans: vec![plan], device }),
        3 => (index(), index()).prop_map(|(write, device)| Step::Repeat { write, device }),
        1 => index().prop_map(|write| Step::Clash { write }),
        6 => (0..DEVICES, index(), index(), any::<bool>())
            .prop_map(|(device, room, seq, by_http)| Step::Read { device, room, seq, by_http }),
        2 => (0..DEVICES, any::<bool>()).prop_map(|(device, away)| Step::Away { device, away }),
        3 => (0..DEVICES).prop_map(|device| Step::Cut { device }),
        3 => (0..DEVICES).prop_map(|device| Step::Back { device }),
        1 => (0..DEVICES, index()).prop_map(|(device, room)| Step::Flood { device, room }),
        1 => plans(6).prop_map(Step::Restart),
        2 => Just(Step::Check),
    ]
}

/// A room with everybody in it, and whatever happens then.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    (any::<Index>(), any::<bool>(), prop::collection::vec(step(), 30..90)).prop_map(
        |(room, peopled, steps)| {
            let open = Step::Open { device: 0, private: false, by_http: false };
            let devices = if peopled { DEVICES } else { 1 };
            let joins = (0..devices).map(|device| Step::Join { device, room, afresh: false });
            [open].into_iter().chain(joins).chain(steps).collect()
        },
    )
}
