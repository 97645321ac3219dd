//! How many write at once, into how many rooms.

/// Senders and rooms.
pub(crate) struct Shape {
    /// As it is called on the command line and in the figures.
    pub(crate) name: &'static str,
    pub(crate) senders: usize,
    pub(crate) rooms: usize,
}

const fn shape(name: &'static str, senders: usize, rooms: usize) -> Shape {
    Shape { name, senders, rooms }
}

pub(crate) const SENDERS: [usize; 3] = [1, 64, 512];
pub(crate) const ROOMS: [usize; 3] = [1, 100, 1_000];

pub(crate) static ALL: [Shape; 9] = [
    shape("1x1", 1, 1),
    shape("64x1", 64, 1),
    shape("512x1", 512, 1),
    shape("1x100", 1, 100),
    shape("64x100", 64, 100),
    shape("512x100", 512, 100),
    shape("1x1000", 1, 1_000),
    shape("64x1000", 64, 1_000),
    shape("512x1000", 512, 1_000),
];

/// The shape of so many senders and rooms, which is one of [`ALL`].
pub(crate) fn of(senders: usize, rooms: usize) -> Option<&'static Shape> {
    ALL.iter().find(|shape| (shape.senders, shape.rooms) == (senders, rooms))
}

impl Shape {
    /// As it is called in what people read.
    pub(crate) fn label(&self) -> String {
        let plural = |count| if count == 1 { "" } else { "s" };
        let (senders, rooms) = (self.senders, self.rooms);
        let shown = shared::figures::number(rooms as f64);
        format!("{senders} sender{}, {shown} room{}", plural(senders), plural(rooms))
    }

    /// The rooms of one sender, which it writes to in turn. Every room has a sender: if there are more
    /// senders than rooms they share them, otherwise they share them out.
    pub(crate) fn rooms_of(&self, sender: usize) -> Vec<usize> {
        if self.senders < self.rooms {
            (sender..self.rooms).step_by(self.senders).collect()
        } else {
            vec![sender % self.rooms]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_a_sender_and_every_sender_a_room() {
        for shape in &ALL {
            let rooms: Vec<_> = (0..shape.senders).map(|sender| shape.rooms_of(sender)).collect();
            assert!(rooms.iter().all(|rooms| !rooms.is_empty()), "{}", shape.name);
            let mut all = rooms.concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, (0..shape.rooms).collect::<Vec<_>>(), "{}", shape.name);
            assert_eq!(shape.name, format!("{}x{}", shape.senders, shape.rooms));
        }
    }
}
