//! Statements over many rows at once. A database prepares a text once and then knows it, so a list
//! of rows of any length is cut into pieces of few different lengths: multiples of 64, and one
//! shorter piece. That is at most two statements up to 512 rows, with 71 texts.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The most rows in one statement. SQLite takes 32,766 parameters in one, MySQL 65,535, and no row
/// here has more than thirteen.
const MOST_ROWS: usize = 512;

/// Longer pieces have a multiple of this many rows.
const STEP: usize = 64;

/// How many texts there are for each statement.
pub(super) const LENGTHS: usize = STEP - 1 + MOST_ROWS / STEP;

/// The same statement for different numbers of rows.
#[derive(Debug)]
pub(super) struct ManyRows {
    texts: Vec<SqlStr>,
}

impl ManyRows {
    /// The statement `head row, row, … tail`.
    pub(super) fn new(head: &str, row: &str, tail: &str) -> Self {
        Self::with(|list| format!("{head} {} {tail}", list(row, ", ")))
    }

    /// A statement with several lists, each of as many items as there are rows; they are made by
    /// what the text is given, from an item and what stands between two of them.
    pub(super) fn with(text: impl Fn(&dyn Fn(&str, &str) -> String) -> String) -> Self {
        let lengths = (1..STEP).chain((1..=MOST_ROWS / STEP).map(|steps| steps * STEP));
        let texts = lengths.map(|rows| {
            let text: Arc<str> = text(&|item, between| vec![item; rows].join(between)).into();
            // It is made of nothing but what stands in this folder.
            AssertSqlSafe(text).into_sql_str()
        });
        Self { texts: texts.collect() }
    }

    /// The rows in pieces, longest first, each with the text for as many rows.
    pub(super) fn pieces<'a, T>(&self, rows: &'a [T]) -> impl Iterator<Item = (SqlStr, &'a [T])> {
        let mut rest = rows;
        std::iter::from_fn(move || {
            let length = match rest.len().min(MOST_ROWS) {
                0 => return None,
                few @ 1..STEP => few,
                many => many - many % STEP,
            };
            let (piece, after) = rest.split_at(length);
            rest = after;
            let text = if length < STEP { length - 1 } else { STEP - 2 + length / STEP };
            Some((self.texts[text].clone(), piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_into_few_lengths_and_keeps_the_order() {
        let insert = ManyRows::new("INSERT INTO t VALUES", "(?)", "ON CONFLICT DO NOTHING");
        assert_eq!(insert.texts.len(), LENGTHS);
        for (count, expected) in [
            (1, vec![1]),
            (63, vec![63]),
            (64, vec![64]),
            (100, vec![64, 36]),
            (512, vec![512]),
            (1_543, vec![512, 512, 512, 7]),
        ] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<_> = insert.pieces(&rows).collect();
            let lengths: Vec<usize> = pieces.iter().map(|(_, piece)| piece.len()).collect();
            assert_eq!(lengths, expected);
            assert!(pieces.iter().flat_map(|(_, piece)| *piece).eq(&rows));
            for (text, piece) in pieces {
                assert_eq!(text.as_str().matches('?').count(), piece.len());
            }
        }
        assert_eq!(
            insert.texts[1].as_str(),
            "INSERT INTO t VALUES (?), (?) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn lists_may_be_several() {
        let two = ManyRows::with(|list| format!("{} | {}", list("?", ","), list("(?, ?)", " OR ")));
        assert_eq!(two.texts[1].as_str(), "?,? | (?, ?) OR (?, ?)");
    }

    #[test]
    fn no_rows_need_no_statement() {
        assert_eq!(ManyRows::new("", "", "").pieces::<u8>(&[]).count(), 0);
    }
}
