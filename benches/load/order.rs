//! What one connection has heard of its room: tells the next message from a gap, a double and a wrong
//! order, in two words of memory.

/// How far back a message that comes late is told from one that comes again.
const WINDOW: u64 = 64;

/// The number last heard, and which of those before it were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    last: u64,
    /// Bit `n` stands for the number `last - n`.
    before: u64,
}

/// What hearing a number meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It was the next one.
    Next,
    /// So many numbers before it have not been heard.
    Gap(u64),
    /// It had been missed, and comes behind a later one.
    Late,
    /// It had been heard.
    Double,
}

impl Heard {
    /// Whether this number has been heard. One from before the window counts as heard.
    pub(crate) fn knows(self, number: u64) -> bool {
        match self.last.checked_sub(number) {
            None => false,
            Some(back) => back >= WINDOW || self.before & 1 << back != 0,
        }
    }

    /// Hears a number; they begin at 1.
    pub(crate) fn hear(&mut self, number: u64) -> Order {
        if let Some(ahead) = number.checked_sub(self.last).filter(|ahead| *ahead > 0) {
            self.before =
                self.before.checked_shl(ahead.try_into().unwrap_or(u32::MAX)).unwrap_or(0);
            self.before |= 1;
            self.last = number;
            return if ahead == 1 { Order::Next } else { Order::Gap(ahead - 1) };
        }
        if self.knows(number) {
            return Order::Double;
        }
        self.before |= 1 << (self.last - number);
        Order::Late
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Order};

    fn hear(numbers: &[u64]) -> Vec<Order> {
        let mut heard = Heard::default();
        numbers.iter().map(|number| heard.hear(*number)).collect()
    }

    #[test]
    fn one_after_the_other_is_in_order() {
        assert!(hear(&(1..1_000).collect::<Vec<_>>()).iter().all(|order| *order == Order::Next));
    }

    #[test]
    fn gaps_doubles_and_late_ones_are_told_apart() {
        use Order::{Double, Gap, Late, Next};
        assert_eq!(hear(&[1, 1, 2]), [Next, Double, Next]);
        assert_eq!(hear(&[1, 3, 2, 2, 3]), [Next, Gap(1), Late, Double, Double]);
        assert_eq!(hear(&[3, 1, 1, 2, 2]), [Gap(2), Late, Double, Late, Double]);
        assert_eq!(hear(&[1, 101, 100, 100]), [Next, Gap(99), Late, Double]);
    }

    #[test]
    fn beyond_the_window_nothing_is_taken_for_new() {
        assert_eq!(hear(&[200, 100]), [Order::Gap(199), Order::Double]);
    }
}
