//! What a store has for its index: what has been written since it was last brought up, and how rows are added.

use std::sync::Arc;

use chat_core::{Batch, BatchOutcome};

use super::noted::Noted;
use crate::store::background::Progress;
use crate::store::statement::ManyRows;
use crate::store::work::Worker;

/// How many kinds of statements over many rows there are.
pub(crate) const KINDS: usize = 3;

/// A store's part in the index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) noted: Noted,
    /// Adds bits to rows, which may be there.
    pub(super) add: Arc<ManyRows>,
}

/// A database that has an index.
pub(crate) trait Indexed: Worker {
    /// Its part in it.
    fn index(&self) -> &Index;

    /// Counts what is removed from it.
    fn progress(&self) -> &Progress;
}

impl Index {
    /// `or_bits` follows an insert of rows that may be there.
    pub(crate) fn new(or_bits: &str) -> Self {
        let head = "INSERT INTO search_grams (room, era, gram, block, bits) VALUES";
        let add = Arc::new(ManyRows::new(head, "(?, ?, ?, ?, ?)", or_bits));
        Self { noted: Noted::default(), add }
    }

    /// Takes note of what has been committed.
    pub(crate) fn note(&self, batches: &[Batch], outcomes: &[BatchOutcome]) {
        self.noted.note(batches, outcomes);
    }
}
