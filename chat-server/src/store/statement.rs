//! Statements over many rows at once. A database prepares a text once and then knows it, so a list
//! of rows of any length is cut into pieces whose lengths are powers of two: a dozen texts serve
//! every length.

use std::sync::Arc;

/// The most rows in one statement. SQLite takes 32,766 parameters in one, and no row here has more
/// than ten.
const MOST_ROWS: usize = 512;

/// The same statement for 1, 2, 4 … 512 rows.
#[derive(Debug)]
pub(super) struct ManyRows {
    texts: Vec<Arc<str>>,
}

impl ManyRows {
    /// The statement `head row, row, … tail`.
    pub(super) fn new(head: &str, row: &str, tail: &str) -> Self {
        let lengths = (0..=MOST_ROWS.ilog2()).map(|power| 1 << power);
        let text = |rows| format!("{head} {} {tail}", vec![row; rows].join(", ")).into();
        Self { texts: lengths.map(text).collect() }
    }

    /// The rows in pieces, longest first, each with the text for as many rows.
    pub(super) fn pieces<'a, T>(&self, rows: &'a [T]) -> impl Iterator<Item = (Arc<str>, &'a [T])> {
        let mut rest = rows;
        std::iter::from_fn(move || {
            let power = rest.len().min(MOST_ROWS).checked_ilog2()?;
            let (piece, after) = rest.split_at(1 << power);
            rest = after;
            Some((Arc::clone(&self.texts[power as usize]), piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_into_powers_of_two_and_keeps_the_order() {
        let insert = ManyRows::new("INSERT INTO t VALUES", "(?)", "ON CONFLICT DO NOTHING");
        let rows: Vec<usize> = (0..1_543).collect();
        let pieces: Vec<_> = insert.pieces(&rows).collect();
        let lengths: Vec<usize> = pieces.iter().map(|(_, piece)| piece.len()).collect();
        assert_eq!(lengths, [512, 512, 512, 4, 2, 1]);
        assert!(pieces.iter().flat_map(|(_, piece)| *piece).eq(&rows));
        for (text, piece) in pieces {
            assert_eq!(text.matches('?').count(), piece.len());
        }
        assert_eq!(&*insert.texts[1], "INSERT INTO t VALUES (?), (?) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn no_rows_need_no_statement() {
        assert_eq!(ManyRows::new("", "", "").pieces::<u8>(&[]).count(), 0);
    }
}
