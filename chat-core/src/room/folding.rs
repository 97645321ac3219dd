//! What somebody who has missed many changes is told of them: of each message, of the thread on it and of the
//! settings only what they are like in the end.

use std::collections::HashSet;
use std::sync::Arc;

use crate::limits;
use crate::model::{Change, ChangeKind};

/// What a change leaves to the last one of its kind.
#[derive(PartialEq, Eq, Hash)]
enum State {
    Text(u64),
    Marks(u64),
    Thread(u64),
    Settings,
}

/// All changes, if they are no more than a page; otherwise those that no later one makes needless, in the same
/// order, or `None` if these are more than a page.
pub(super) fn fold(mut changes: Vec<Arc<Change>>) -> Option<Vec<Arc<Change>>> {
    if changes.len() > limits::PAGE {
        let mut later = HashSet::new();
        changes.reverse();
        changes.retain(|change| is_last(&change.kind, &mut later));
        changes.reverse();
    }
    (changes.len() <= limits::PAGE).then_some(changes)
}

/// Whether none of the changes after it says the same thing anew.
fn is_last(kind: &ChangeKind, later: &mut HashSet<State>) -> bool {
    match kind {
        ChangeKind::Deleted(_, seq) | ChangeKind::Edited(_, seq, None) => {
            // Nothing of it is left to mark.
            later.insert(State::Marks(*seq));
            later.insert(State::Text(*seq))
        }
        ChangeKind::Edited(_, seq, Some(_)) => later.insert(State::Text(*seq)),
        ChangeKind::Marked(_, seq, _) => later.insert(State::Marks(*seq)),
        ChangeKind::Thread(_, seq, _) => later.insert(State::Thread(*seq)),
        ChangeKind::Settings(..) => later.insert(State::Settings),
        // Of memberships every step counts: a kick is another thing than a leaving.
        _ => true,
    }
}
