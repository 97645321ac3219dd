//! The end of a room's past, kept in memory: its last messages and changes, each without a gap up
//! to where the room stands. What most people ask for is here; what is not, the store has.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::command::{HistoryAt, HistoryQuery};
use crate::ids::UserId;
use crate::model::{Change, ChangeKind, Cursor, Edit, MarkCount, Message, Thread, Unread, User};

/// The last messages and changes of a room. Bounded by count, and for messages by bytes of text.
#[derive(Debug)]
pub(crate) struct Timeline {
    end: Cursor,
    /// The last message that is known to be kept nowhere any more.
    removed: u64,
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    changes: VecDeque<Arc<Change>>,
    most: usize,
    most_bytes: usize,
}

/// The range of messages that a question is about, and whether there are more on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The messages above this `seq` …
    pub(crate) after: u64,
    /// … up to and including this one.
    pub(crate) until: u64,
}

impl Timeline {
    /// A timeline that ends at `end` with these messages and changes, oldest first; messages up to
    /// `removed` are kept nowhere any more.
    pub(crate) fn new(
        end: Cursor,
        removed: u64,
        messages: Vec<Message>,
        changes: Vec<Change>,
        most: usize,
        most_bytes: usize,
    ) -> Self {
        let mut timeline = Self {
            end,
            removed,
            bytes: messages.iter().map(size).sum(),
            messages: messages.into_iter().map(Arc::new).collect(),
            changes: changes.into_iter().map(Arc::new).collect(),
            most,
            most_bytes,
        };
        timeline.trim();
        timeline
    }

    /// Where the room stands.
    pub(crate) fn end(&self) -> Cursor {
        self.end
    }

    /// Adds the next message.
    pub(crate) fn push_message(&mut self, message: Arc<Message>) {
        debug_assert_eq!(message.seq, self.end.seq + 1, "messages come without a gap");
        self.end.seq = message.seq;
        self.bytes += size(&message);
        self.messages.push_back(message);
        self.trim();
    }

    /// Goes on behind a message that is kept nowhere any more, and has not been here.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.messages.clear();
        self.bytes = 0;
        self.end.seq = seq;
        self.remove(seq);
    }

    /// Adds the next change.
    pub(crate) fn push_change(&mut self, change: Arc<Change>) {
        debug_assert_eq!(change.cursor.change, self.end.change + 1, "changes come without a gap");
        self.end.change = change.cursor.change;
        self.changes.push_back(change);
        self.trim();
    }

    /// The messages of a span, if all of them are here.
    pub(crate) fn messages(&self, span: Span) -> Option<Vec<Arc<Message>>> {
        slice(&self.messages, self.end.seq, span)
    }

    /// The changes above `after`, if all of them are here.
    pub(crate) fn changes(&self, after: u64) -> Option<Vec<Arc<Change>>> {
        slice(&self.changes, self.end.change, Span { after, until: self.end.change })
    }

    /// The messages that are here.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().map(|message| &**message)
    }

    /// A user who has written one of the messages that are here, or is in one of the changes; under
    /// its last name.
    pub(crate) fn seen(&self, user: UserId) -> Option<&User> {
        let authors = self.messages.iter().rev().map(|message| &message.from);
        let changed = self.changes.iter().rev().flat_map(|change| change.names());
        authors.chain(changed).find(|seen| seen.id == user)
    }

    /// A user has another name, in everything that is here.
    pub(crate) fn rename(&mut self, user: &User) {
        for message in &mut self.messages {
            if message.names().any(|named| named.id == user.id) {
                let named = Arc::make_mut(message).names_mut().filter(|named| named.id == user.id);
                named.for_each(|named| named.clone_from(user));
            }
        }
        for change in &mut self.changes {
            if change.names().any(|named| named.id == user.id) {
                let named = Arc::make_mut(change).names_mut().filter(|named| named.id == user.id);
                named.for_each(|named| named.clone_from(user));
            }
        }
    }

    /// The message with this number, if it is here.
    pub(crate) fn find(&self, seq: u64) -> Option<Arc<Message>> {
        self.place(seq).map(|place| Arc::clone(&self.messages[place]))
    }

    /// Whether a message, of this author if that is known, is known to have been deleted.
    pub(crate) fn has_deleted(&self, seq: u64, author: Option<UserId>) -> bool {
        let deletes = |change: &Arc<Change>| match &change.kind {
            ChangeKind::Deleted(_, of) | ChangeKind::Edited(_, of, None) => *of == seq,
            ChangeKind::Erased(erased) => Some(erased.user.id) == author,
            _ => false,
        };
        match self.place(seq) {
            Some(place) => self.messages[place].deleted,
            None => self.changes.iter().any(deletes),
        }
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let first = self.messages.front()?.seq;
        let place = usize::try_from(seq.checked_sub(first)?).ok()?;
        (place < self.messages.len()).then_some(place)
    }

    /// A message says something else from now on.
    pub(crate) fn edit(&mut self, seq: u64, edit: &Edit, at: Timestamp) {
        self.change_message(seq, |message| message.edit(edit, at));
        self.trim();
    }

    /// A message is marked like this from now on.
    pub(crate) fn mark(&mut self, seq: u64, marks: &[MarkCount]) {
        self.change_message(seq, |message| message.mark(marks));
    }

    /// The thread on a message has come to this.
    pub(crate) fn set_thread(&mut self, seq: u64, thread: &Thread) {
        self.change_message(seq, |message| message.set_thread(thread));
    }

    /// A message has been deleted.
    pub(crate) fn delete(&mut self, seq: u64) {
        self.change_message(seq, Message::delete);
        self.forget_edits(|_, edited| edited == seq);
    }

    fn change_message(&mut self, seq: u64, change: impl FnOnce(&mut Message)) {
        let Some(place) = self.place(seq) else { return };
        let message = &mut self.messages[place];
        self.bytes -= size(message);
        change(Arc::make_mut(message));
        self.bytes += size(message);
    }

    /// What a user has written is deleted.
    pub(crate) fn erase(&mut self, user: UserId) {
        for message in self.messages.iter_mut().filter(|message| message.from.id == user) {
            if !message.deleted {
                self.bytes -= size(message);
                Arc::make_mut(message).delete();
            }
        }
        self.forget_edits(|author, _| author == user);
    }

    /// Changes say no more what messages said that have been deleted since.
    fn forget_edits(&mut self, of: impl Fn(UserId, u64) -> bool) {
        for change in &mut self.changes {
            if let ChangeKind::Edited(author, seq, Some(_)) = &change.kind
                && of(author.user.id, *seq)
            {
                let (author, seq) = (author.clone(), *seq);
                Arc::make_mut(change).kind = ChangeKind::Edited(author, seq, None);
            }
        }
    }

    /// What a member has not read who has read up to this message, if all of it is here.
    pub(crate) fn unread(&self, member: UserId, read: u64) -> Option<Unread> {
        let before = self.end.seq - self.messages.len() as u64;
        let behind = usize::try_from(read.max(self.removed).checked_sub(before)?).ok()?;
        let mut unread = Unread::default();
        for message in self.messages.iter().skip(behind) {
            unread.count(message, member);
        }
        Some(unread)
    }

    /// Where the messages begin that are kept somewhere.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Takes note that messages up to this one are kept nowhere any more.
    pub(crate) fn remove(&mut self, until: u64) {
        self.removed = self.removed.max(until.min(self.end.seq));
    }

    /// The span of messages that a question is about.
    pub(crate) fn span(&self, query: HistoryQuery) -> Span {
        let (end, limit) = (self.end.seq, query.limit as u64);
        let span = match query.at {
            HistoryAt::End => Span { after: end.saturating_sub(limit), until: end },
            HistoryAt::Before(seq) => {
                let until = seq.saturating_sub(1).min(end);
                Span { after: until.saturating_sub(limit), until }
            }
            HistoryAt::After(seq) => {
                let after = seq.clamp(self.removed, end);
                Span { after, until: after.saturating_add(limit).min(end) }
            }
            HistoryAt::Around(seq) => {
                let middle = seq.clamp(1, end.max(1));
                let after = (middle - 1).saturating_sub(limit / 2).max(self.removed);
                Span { after, until: after.saturating_add(limit).min(end) }
            }
        };
        Span { after: span.after.clamp(self.removed, end), until: span.until.max(self.removed) }
    }

    fn trim(&mut self) {
        while self.messages.len() > self.most || self.bytes > self.most_bytes {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
        while self.changes.len() > self.most {
            self.changes.pop_front();
        }
    }
}

fn size(message: &Message) -> usize {
    message.text().len()
}

/// The part of a list with consecutive numbers, the last of which is `end`; `None` if it begins
/// before the list does.
fn slice<T>(list: &VecDeque<Arc<T>>, end: u64, span: Span) -> Option<Vec<Arc<T>>> {
    if span.after >= span.until {
        return Some(Vec::new());
    }
    let before = end - list.len() as u64;
    let from = usize::try_from(span.after.checked_sub(before)?).ok()?;
    let until = usize::try_from(span.until.min(end).checked_sub(before)?).ok()?;
    Some(list.range(from..until).cloned().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Body, Membership, Name, Role, Text};

    fn message(seq: u64) -> Message {
        let from = User::new(UserId::from(uuid::Uuid::nil()), Name::new("Ann").unwrap());
        let body = Body::text(Text::new(format!("text {seq}")).unwrap());
        Message::new(seq, from, body, Timestamp::UNIX_EPOCH)
    }

    fn seqs(messages: &[Arc<Message>]) -> Vec<u64> {
        messages.iter().map(|message| message.seq).collect()
    }

    fn timeline(count: u64, most: usize) -> Timeline {
        let mut timeline = Timeline::new(Cursor::default(), 0, vec![], vec![], most, usize::MAX);
        for seq in 1..=count {
            timeline.push_message(Arc::new(message(seq)));
        }
        timeline
    }

    #[test]
    fn forgets_the_oldest_by_count_and_by_bytes() {
        let timeline = timeline(10, 4);
        assert_eq!(seqs(&timeline.messages(Span { after: 6, until: 10 }).unwrap()), [7, 8, 9, 10]);
        assert!(timeline.messages(Span { after: 5, until: 7 }).is_none());
        let all = (1..=10).map(message).collect();
        let small = Timeline::new(Cursor::new(10, 0), 0, all, vec![], 100, 18);
        assert!(small.messages(Span { after: 7, until: 10 }).is_none(), "18 bytes hold two texts");
        assert_eq!(seqs(&small.messages(Span { after: 8, until: 10 }).unwrap()), [9, 10]);
    }

    proptest! {
        /// Against a plain list: every question is about the messages that the list would give, and
        /// is answered from memory exactly when the last `most` messages hold them all.
        #[test]
        fn spans_and_slices_match_a_plain_list(
            count in 0u64..40, most in 1usize..50, kind in 0..4, at in 0u64..60, limit in 0usize..20,
        ) {
            let timeline = timeline(count, most);
            let list: Vec<u64> = (1..=count).collect();
            let (at, expected): (_, Vec<u64>) = match kind {
                0 => (HistoryAt::End, list[list.len().saturating_sub(limit)..].to_vec()),
                1 => {
                    let before: Vec<_> = list.iter().copied().filter(|seq| *seq < at).collect();
                    (HistoryAt::Before(at), before[before.len().saturating_sub(limit)..].to_vec())
                }
                2 => {
                    let after = list.iter().copied().filter(|seq| *seq > at).take(limit).collect();
                    (HistoryAt::After(at), after)
                }
                _ => {
                    let middle = at.clamp(1, count.max(1));
                    let first = (middle - 1).saturating_sub(limit as u64 / 2);
                    let around = list.iter().copied().filter(|seq| *seq > first).take(limit);
                    (HistoryAt::Around(at), around.collect())
                }
            };
            let span = timeline.span(HistoryQuery { at, limit });
            let kept_from = count.saturating_sub(most as u64);
            match timeline.messages(span) {
                Some(messages) => prop_assert_eq!(seqs(&messages), expected),
                None => prop_assert!(expected.first().is_some_and(|first| *first <= kept_from)),
            }
        }

        /// Against two plain lists: what is answered of messages and changes is their end, and
        /// nothing is answered that does not reach back far enough.
        #[test]
        fn both_lists_keep_their_ends(kinds in prop::collection::vec(any::<bool>(), 0..60), most in 1usize..20) {
            let mut timeline = Timeline::new(Cursor::default(), 0, vec![], vec![], most, usize::MAX);
            let (mut messages, mut changes) = (Vec::new(), Vec::new());
            for is_message in kinds {
                if is_message {
                    messages.push(messages.len() as u64 + 1);
                    timeline.push_message(Arc::new(message(messages.len() as u64)));
                } else {
                    changes.push(changes.len() as u64 + 1);
                    let cursor = Cursor::new(messages.len() as u64, changes.len() as u64);
                    let user = message(1).from;
                    let kind = ChangeKind::Joined(Membership { user, role: Role::Member });
                    let at = Timestamp::UNIX_EPOCH;
                    timeline.push_change(Arc::new(Change { cursor, kind, by: None, at }));
                }
                let end = Cursor::new(messages.len() as u64, changes.len() as u64);
                prop_assert_eq!(timeline.end(), end);
                for after in 0..=end.change {
                    let found = timeline.changes(after);
                    let expected = &changes[after as usize..];
                    prop_assert_eq!(found.is_some(), expected.len() <= most);
                    let numbers = found.into_iter().flatten().map(|change| change.cursor.change);
                    prop_assert!(numbers.eq(expected.iter().copied().filter(|_| expected.len() <= most)));
                }
                for after in 0..=end.seq {
                    let found = timeline.messages(Span { after, until: end.seq });
                    let expected = &messages[after as usize..];
                    prop_assert_eq!(found.is_some(), expected.len() <= most);
                    prop_assert!(found.is_none_or(|found| seqs(&found) == expected));
                }
            }
        }
    }
}
