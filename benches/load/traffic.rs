//! What is sent when, and what a delivery means: rooms and their members, the messages under way, the
//! loops that decide what is sent next, and the figures and faults that come of it. Plain data; it knows
//! no socket and is given the time, in nanoseconds.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use hdrhistogram::Histogram;

use crate::order::{Heard, Order};

/// How many messages may be under way at once. With more, sending waits; an open loop's latency counts
/// that waiting, since it is taken from the moment when a message should have been sent.
const UNDER_WAY: usize = 1 << 16;

/// The longest latency that is told from a longer one.
const LONGEST: u64 = 600_000_000_000;

/// When a group's messages are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// When all members of the room have the last one; so many at once in each room, and at most so
    /// many over all rooms of the group.
    Closed { in_flight: usize, at_most: usize },
    /// By the clock: so many a second over all rooms of the group.
    Open { rate: f64 },
    /// Never.
    Idle,
}

/// A message to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// Its own number, in the order of sending over all rooms.
    pub(crate) number: u64,
    pub(crate) room: u32,
    /// The connection that sends it.
    pub(crate) sender: u32,
    /// Which one of its room it is, for servers that do not number messages themselves.
    pub(crate) seq: u64,
}

/// What went wrong, since the beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Numbers that a connection never heard, though it heard later ones.
    pub(crate) gaps: u64,
    pub(crate) doubles: u64,
    /// Messages that came behind a later one.
    pub(crate) disorder: u64,
    /// Deliveries that had not come long after they should have.
    pub(crate) missing: u64,
    /// Connections that ended before they were to.
    pub(crate) closed: u64,
    /// Errors that were answered.
    pub(crate) errors: u64,
    /// Error codes, close codes and other causes, and how often each came.
    pub(crate) causes: BTreeMap<String, u64>,
}

impl Faults {
    pub(crate) fn any(&self) -> bool {
        self.gaps + self.doubles + self.disorder + self.missing + self.closed + self.errors > 0
    }

    fn because(&mut self, cause: &str) {
        match self.causes.get_mut(cause) {
            Some(times) => *times += 1,
            None => _ = self.causes.insert(cause.to_owned(), 1),
        }
    }
}

/// What a group of rooms did while it was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) messages: u64,
    /// Messages times the connections that each came to.
    pub(crate) deliveries: u64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// The rooms of one pace, whose figures are told together.
#[derive(Debug)]
struct Group {
    pace: Pace,
    rooms: Range<u32>,
    /// Closed loop: rooms in which a message may be sent, as often as it may.
    ready: VecDeque<u32>,
    under_way: usize,
    /// Open loop: how many were due since `Traffic::began`.
    sent: u64,
    figures: Figures,
}

#[derive(Debug)]
struct Room {
    group: usize,
    /// The connections that hear it.
    members: Vec<u32>,
    /// Whose turn it is to send.
    turn: usize,
    sent: u64,
    /// How many of its messages have been heard by somebody. Servers that do not number messages are
    /// held to the order in which the first listener heard them.
    heard: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Message {
    number: u64,
    room: u32,
    /// How many members have not heard it yet.
    waiting: u32,
    /// When it was sent or should have been.
    since: u64,
    /// Its number in its room, 0 while nobody has heard it.
    place: u64,
}

#[derive(Debug)]
pub(crate) struct Traffic {
    rooms: Vec<Room>,
    groups: Vec<Group>,
    /// A message's place is its number modulo [`UNDER_WAY`].
    messages: Vec<Message>,
    next: u64,
    under_way: usize,
    sending: bool,
    /// When open loops began to count.
    began: u64,
    pub(crate) faults: Faults,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self {
            rooms: Vec::new(),
            groups: Vec::new(),
            messages: vec![Message::default(); UNDER_WAY],
            next: 1,
            under_way: 0,
            sending: false,
            began: 0,
            faults: Faults::default(),
        }
    }

    /// Adds rooms, of each the connections that hear it.
    pub(crate) fn add_group(&mut self, pace: Pace, rooms: Vec<Vec<u32>>) {
        let first = self.rooms.len() as u32;
        let group = self.groups.len();
        let room = |members| Room { group, members, turn: 0, sent: 0, heard: 0 };
        self.rooms.extend(rooms.into_iter().map(room));
        let rooms = first..self.rooms.len() as u32;
        let at_once = match pace {
            Pace::Closed { in_flight, .. } => in_flight,
            Pace::Open { .. } | Pace::Idle => 0,
        };
        let ready = VecDeque::with_capacity(rooms.len() * at_once);
        let figures = Figures::new();
        self.groups.push(Group { pace, rooms, ready, under_way: 0, sent: 0, figures });
    }

    /// Begins to send, and to count anew. Nothing may be under way.
    pub(crate) fn start(&mut self, now: u64) {
        (self.sending, self.began) = (true, now);
        for group in &mut self.groups {
            group.figures.reset();
            group.sent = 0;
            group.ready.clear();
            if let Pace::Closed { in_flight, .. } = group.pace {
                for _ in 0..in_flight {
                    group.ready.extend(group.rooms.clone());
                }
            }
        }
    }

    /// Sends no more; what is under way still counts.
    pub(crate) fn pause(&mut self) {
        self.sending = false;
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Gives up what is under way.
    pub(crate) fn give_up(&mut self) {
        for message in &mut self.messages {
            self.faults.missing += u64::from(std::mem::take(&mut message.waiting));
        }
        self.under_way = 0;
        for group in &mut self.groups {
            group.under_way = 0;
        }
    }

    /// The figures of the groups, in the order in which they were added.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.groups.iter().map(|group| &group.figures)
    }

    /// When an open loop sends next; not known while too many are under way.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let due = |group: &Group| match group.pace {
            Pace::Open { rate } => Some(self.began + group.due(rate)),
            Pace::Closed { .. } | Pace::Idle => None,
        };
        if self.may_send() { self.groups.iter().filter_map(due).min() } else { None }
    }

    /// What is to be sent now, one at a time.
    pub(crate) fn publish(&mut self, now: u64) -> Option<Publish> {
        if !self.may_send() {
            return None;
        }
        let slot = self.next as usize % UNDER_WAY;
        // The last group first, so that the small rooms beside a large one do not wait for it.
        for index in (0..self.groups.len()).rev() {
            while let Some((room, since)) = self.groups[index].next(self.began, now) {
                let place = &mut self.rooms[room as usize];
                // All its members are gone, which has been counted.
                if place.members.is_empty() {
                    continue;
                }
                let sender = place.members[place.turn % place.members.len()];
                (place.turn, place.sent) = (place.turn + 1, place.sent + 1);
                let waiting = place.members.len() as u32;
                let number = self.next;
                self.messages[slot] = Message { number, room, waiting, since, place: 0 };
                (self.next, self.under_way) = (self.next + 1, self.under_way + 1);
                self.groups[index].figures.messages += 1;
                self.groups[index].under_way += 1;
                return Some(Publish { number, room, sender, seq: place.sent });
            }
        }
        None
    }

    /// A connection in this room got a message: its number in the room if the server says it, and its
    /// own number if it is one of ours.
    pub(crate) fn deliver(
        &mut self,
        room: u32,
        heard: &mut Heard,
        seq: Option<u64>,
        number: Option<u64>,
        now: u64,
    ) {
        let slot = number.unwrap_or(0) as usize % UNDER_WAY;
        let message = &mut self.messages[slot];
        let ours = Some(message.number) == number && message.room == room;
        let place = match seq {
            Some(seq) => seq,
            None if !ours => {
                // So old that its place has been given to another: it was heard long ago.
                self.faults.doubles += 1;
                return;
            }
            None if message.place == 0 => {
                self.rooms[room as usize].heard += 1;
                self.rooms[room as usize].heard
            }
            None => message.place,
        };
        if ours {
            message.place = place;
        }
        match heard.hear(place) {
            Order::Next => {}
            Order::Gap(missed) => self.faults.gaps += missed,
            Order::Late => {
                self.faults.gaps = self.faults.gaps.saturating_sub(1);
                self.faults.disorder += 1;
            }
            Order::Double => {
                self.faults.doubles += 1;
                return;
            }
        }
        if ours && message.waiting > 0 {
            let figures = &mut self.groups[self.rooms[room as usize].group].figures;
            figures.deliveries += 1;
            figures.latency.saturating_record(now.saturating_sub(message.since));
            self.one_less(slot);
        }
    }

    /// The server refused a command: `number` is that of the message, if it was one.
    pub(crate) fn refuse(&mut self, number: Option<u64>, code: &str) {
        self.faults.errors += 1;
        self.faults.because(code);
        let slot = number.unwrap_or(0) as usize % UNDER_WAY;
        let message = &mut self.messages[slot];
        if Some(message.number) == number && message.waiting > 0 {
            message.waiting = 1;
            self.groups[self.rooms[message.room as usize].group].figures.messages -= 1;
            self.one_less(slot);
        }
    }

    /// A connection has ended before it was to; nothing more is expected of it.
    pub(crate) fn leave(&mut self, connection: u32, room: u32, heard: Heard, cause: &str) {
        self.faults.closed += 1;
        self.faults.because(cause);
        self.rooms[room as usize].members.retain(|member| *member != connection);
        if self.under_way == 0 {
            return;
        }
        for slot in 0..UNDER_WAY {
            let Message { room: of, waiting, place, .. } = self.messages[slot];
            if of == room && waiting > 0 && (place == 0 || !heard.knows(place)) {
                self.one_less(slot);
            }
        }
    }

    fn may_send(&self) -> bool {
        self.sending && self.messages[self.next as usize % UNDER_WAY].waiting == 0
    }

    /// One member less has to hear a message. With the last, its room may send another one.
    fn one_less(&mut self, slot: usize) {
        let message = &mut self.messages[slot];
        message.waiting -= 1;
        if message.waiting == 0 {
            self.under_way -= 1;
            let group = &mut self.groups[self.rooms[message.room as usize].group];
            group.under_way -= 1;
            if let Pace::Closed { .. } = group.pace {
                group.ready.push_back(message.room);
            }
        }
    }
}

impl Group {
    /// How long after the beginning of an open loop its next message is due.
    fn due(&self, rate: f64) -> u64 {
        (self.sent as f64 * 1e9 / rate) as u64
    }

    /// The next room in which to send now, and from when on its message's latency counts.
    fn next(&mut self, began: u64, now: u64) -> Option<(u32, u64)> {
        match self.pace {
            Pace::Closed { at_most, .. } if self.under_way >= at_most => None,
            Pace::Closed { .. } => self.ready.pop_front().map(|room| (room, now)),
            Pace::Open { rate } => {
                let due = began + self.due(rate);
                if due > now {
                    return None;
                }
                let room = self.rooms.start + (self.sent % self.rooms.len() as u64) as u32;
                self.sent += 1;
                Some((room, due))
            }
            Pace::Idle => None,
        }
    }
}

/// Room for latencies in nanoseconds: from a microsecond on, with three digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LONGEST, 3).expect("bounds that it takes")
}

impl Figures {
    fn new() -> Self {
        Self { messages: 0, deliveries: 0, latency: latencies() }
    }

    fn reset(&mut self) {
        (self.messages, self.deliveries) = (0, 0);
        self.latency.reset();
    }
}

#[cfg(test)]
mod tests;
