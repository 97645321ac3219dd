//! The shapes in which messages are spread over sockets, and what must hold in each.

use crate::load::Flags;

/// Rooms of one size, with so many messages under way in each.
pub(crate) struct Shape {
    /// As it is called on the command line and in the figures.
    pub(crate) name: &'static str,
    /// As it is called in tables.
    pub(crate) label: &'static str,
    rooms: usize,
    members: usize,
    in_flight: usize,
    /// What a delivery may cost, at most, in the limit's.
    pub(crate) at_most: Bounds,
    /// What it must cost in Socket.IO, at least, in this server's.
    pub(crate) socket_io: Option<Bounds>,
}

/// What must be, and what is hoped for.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) must: f64,
    pub(crate) hoped: f64,
}

const fn bounds(must: f64, hoped: f64) -> Bounds {
    Bounds { must, hoped }
}

pub(crate) const ALL: [Shape; 4] = [
    Shape {
        name: "1x1000",
        label: "1 room × 1,000",
        rooms: 1,
        members: 1_000,
        in_flight: 1,
        at_most: bounds(1.10, 0.95),
        socket_io: Some(bounds(2.0, 2.4)),
    },
    Shape {
        name: "1x10000",
        label: "1 room × 10,000",
        rooms: 1,
        members: 10_000,
        in_flight: 1,
        at_most: bounds(1.15, 0.95),
        socket_io: Some(bounds(3.2, 4.0)),
    },
    Shape {
        name: "1000x10",
        label: "1,000 rooms × 10",
        rooms: 1_000,
        members: 10,
        in_flight: 1,
        at_most: bounds(1.30, 1.10),
        socket_io: Some(bounds(2.8, 3.4)),
    },
    Shape {
        name: "1x1000-8",
        label: "1 room × 1,000, 8 in flight",
        rooms: 1,
        members: 1_000,
        in_flight: 8,
        at_most: bounds(0.40, 0.27),
        socket_io: None,
    },
];

impl Shape {
    /// The load tool's flags for a run of this shape.
    pub(crate) fn flags(&self, seconds: f64) -> Flags {
        Flags::new(self.rooms * self.members, self.rooms)
            .with("mode", &"closed")
            .with("in-flight", &self.in_flight)
            .seconds(seconds)
    }
}
