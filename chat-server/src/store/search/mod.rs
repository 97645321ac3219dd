//! Messages are found by an index of which characters stand side by side in them, the same in every database. It
//! is kept up behind the commits, in blocks of neighbouring messages, and only when a block is full or its
//! room has become quiet; what has come since is read. So a search is always of what is committed, and
//! each row of the index is mostly written once.

mod find;
mod index;
mod keep;
mod noted;
mod rebuild;
mod remove;

use std::collections::BTreeSet;

use sqlx::SqlStr;

use super::rows::signed;
use super::sql::{Sql, Value};

pub use keep::Indexing;
pub use rebuild::Rebuilt;

pub(super) use index::{Index, Indexed, KINDS};
pub(super) use keep::index_search;
pub(super) use rebuild::rebuild_search;
pub(super) use remove::remove_eras;

/// Which of a room's changes is the last one of a piece. Numbers may have been passed over (`store/cursors.rs`), so they
/// do not say how many there are. Parameters: room, above, how many to skip.
const CHANGES_END: &str =
    "SELECT number FROM changes WHERE room = ? AND number > ? ORDER BY number LIMIT 1 OFFSET ?";

/// Messages that have been edited by a range of changes. Parameters: room, above, up to and including.
const EDITED: &str = "SELECT target FROM changes \
    WHERE room = ? AND number > ? AND number <= ? AND kind = 'edited' AND target IS NOT NULL";

/// Messages that have been edited by so many of a room's changes at most, of those above `after` and up to `last`; and
/// up to which number these go.
async fn edited(
    sql: &mut impl Sql,
    room: i64,
    (after, last): (i64, i64),
    most: i64,
) -> Result<(BTreeSet<i64>, i64), sqlx::Error> {
    let mut until = last;
    if last - after > most {
        let values = [room, after, most - 1].map(Value::Number);
        let end: Vec<(i64,)> = sql.select(SqlStr::from_static(CHANGES_END), &values).await?;
        until = end.first().map_or(last, |(end,)| *end);
    }
    let values = [room, after, until].map(Value::Number);
    let targets: Vec<(i64,)> = sql.select(SqlStr::from_static(EDITED), &values).await?;
    Ok((targets.into_iter().map(|(target,)| target).collect(), until))
}

/// How many neighbouring messages have one row for each gram: a bit for each. Not 64, because what comes of
/// bits is unsigned in MySQL and its columns are not.
const BLOCK: u64 = 63;

/// How many blocks lie side by side, with all that they have, so that what is written at a time is written in one
/// place and what is old is removed from one.
const ERA_BLOCKS: u64 = 64;

/// How many messages these are.
const ERA: u64 = BLOCK * ERA_BLOCKS;

/// Where a message stands in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    era: u64,
    block: u64,
    bit: u64,
}

impl Spot {
    fn of(seq: u64) -> Self {
        Self { era: seq / ERA, block: seq % ERA / BLOCK, bit: seq % BLOCK }
    }
}

/// The message at a spot.
fn seq_of(era: i64, block: i64, bit: u64) -> u64 {
    era.unsigned_abs() * ERA + block.unsigned_abs() * BLOCK + bit
}

/// More than any room has.
pub(super) const ALL_ERAS: i64 = i32::MAX as i64;

/// The first era of which something stays when a room's messages up to this one go, if it is another one than when
/// those up to that one went.
pub(super) fn first_era_after(before: i64, up_to: i64) -> Option<i64> {
    let era = |up_to: i64| signed((up_to.unsigned_abs() + 1) / ERA);
    (era(up_to) > era(before)).then(|| era(up_to))
}

/// The texts of what is asked for when somebody searches, to be shown to a database's `EXPLAIN`.
#[must_use]
pub fn questions() -> Vec<String> {
    find::questions()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_spot_of_its_own() {
        let mut before = None;
        for seq in 0..3 * ERA {
            let spot = Spot::of(seq);
            assert!(before < Some(spot), "{spot:?}");
            assert!(spot.block < ERA_BLOCKS && spot.bit < BLOCK);
            let [era, block] = [spot.era, spot.block].map(signed);
            assert_eq!(seq_of(era, block, spot.bit), seq);
            before = Some(spot);
        }
    }
}
