//! Stores that each break one thing, in front of the one in memory: a case that catches nobody here
//! may catch nobody elsewhere.

mod flaw;
mod store;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chat_core::testkit::StoreHome;
use chat_core::{
    Batch, BatchOutcome, Body, ChangeKind, ClientKey, Cursor, Edit, Fingerprint, LoadedRoom, Mark,
    MarkCount, Marking, Membership, MemoryStore, Message, Outcome, Parent, Reading, Revision,
    RoomId, RoomInfo, RoomKey, Store, StoreError, Text, Timestamp, User, UserId, Write,
};
pub(crate) use flaw::Flaw;
use tokio::task::yield_now;

/// A home whose store has a flaw.
pub(crate) struct Home {
    flaw: Flaw,
    state: Arc<Mutex<State>>,
    /// Each opened store has a clone.
    open: Arc<()>,
}

#[derive(Default)]
struct State {
    store: MemoryStore,
    refused: Option<String>,
    /// What was done, so that a new process can do it again.
    done: Vec<Done>,
    messages: usize,
    lost: HashSet<(RoomKey, u64)>,
    /// Rooms with a commit that is not to be seen yet, and where they stood before.
    hidden: HashMap<RoomKey, Cursor>,
    infos: HashMap<RoomId, RoomInfo>,
    pairs: HashMap<[UserId; 2], RoomId>,
    /// Numbers given out, and those in memory that they stand for.
    numbers: HashMap<RoomKey, RoomKey>,
    deleted: HashMap<RoomKey, Vec<Message>>,
    invited: HashMap<RoomKey, Vec<User>>,
    /// Who was the first to use a key.
    key_users: HashMap<(RoomKey, ClientKey), User>,
    /// Edits that messages have seen since they were last deleted.
    edits: Vec<(RoomKey, u64, Edit)>,
    /// What messages said before they were edited, and should say no more.
    revisions: HashMap<(RoomKey, u64), Vec<Revision>>,
    /// Which message took a key.
    key_seqs: HashMap<(RoomKey, UserId, ClientKey), u64>,
    deleted_seqs: HashSet<(RoomKey, u64)>,
    /// How far members have read, as it was written last.
    read: HashMap<(RoomKey, UserId), u64>,
    threads: HashMap<Parent, RoomId>,
    loaded: HashMap<RoomId, LoadedRoom>,
    /// Keys of batches that were not written.
    taken: HashSet<(RoomKey, UserId, ClientKey)>,
}

#[derive(Clone)]
enum Done {
    Created(RoomInfo, Vec<Membership>, Option<(ClientKey, Fingerprint)>),
    Forgot(Timestamp),
    Appended(Vec<Batch>),
    Deleted(RoomKey),
    Renamed(User),
    Erased(RoomKey, UserId, u64, u64),
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Home {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, state: Arc::default(), open: Arc::default() }
    }

    /// What a new process finds.
    async fn restart(&self) {
        let mut done = lock(&self.state).done.clone();
        match self.flaw {
            Flaw::AnswersBeforeCommitting => {
                if let Some(Done::Appended(_)) = done.last() {
                    done.pop();
                }
            }
            Flaw::ForgetsKeys => {
                for done in &mut done {
                    let Done::Appended(batches) = done else { continue };
                    for write in batches.iter_mut().flat_map(|batch| &mut batch.writes) {
                        if let Write::Message { key, .. } = write {
                            *key = None;
                        }
                    }
                }
            }
            _ => return,
        }
        let store = MemoryStore::default();
        for done in &done {
            match done {
                Done::Forgot(before) => {
                    store.forget_keys(*before).await.expect("memory does not fail");
                }
                Done::Created(info, members, key) => {
                    let create = store.create_room(info, members, key.as_ref());
                    create.await.expect("memory does not fail");
                }
                Done::Appended(batches) => {
                    store.append(batches).await.expect("memory does not fail");
                }
                Done::Deleted(room) => {
                    store.delete_room(*room).await.expect("memory does not fail");
                }
                Done::Renamed(user) => {
                    store.rename(user).await.expect("memory does not fail");
                }
                Done::Erased(room, user, after, until) => {
                    let erase = store.erase(*room, *user, *after, *until);
                    erase.await.expect("memory does not fail");
                }
            }
        }
        let mut state = lock(&self.state);
        state.store = store;
        state.done = done;
    }
}

#[async_trait]
impl StoreHome for Home {
    async fn open(&self) -> Arc<dyn Store> {
        if Arc::strong_count(&self.open) == 1 {
            self.restart().await;
        }
        let (state, open) = (Arc::clone(&self.state), Arc::clone(&self.open));
        Arc::new(Broken { flaw: self.flaw, state, _open: open })
    }

    async fn refuse(&self, text: &str) -> bool {
        lock(&self.state).refused = Some(text.into());
        true
    }
}

/// The store with the flaw.
struct Broken {
    flaw: Flaw,
    state: Arc<Mutex<State>>,
    _open: Arc<()>,
}

impl Broken {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn store(&self) -> MemoryStore {
        self.state().store.clone()
    }

    /// The number in memory of a number given out.
    fn inner(&self, room: RoomKey) -> RoomKey {
        match self.flaw {
            Flaw::ReusesNumbers => *self.state().numbers.get(&room).unwrap_or(&RoomKey(-1)),
            _ => room,
        }
    }

    fn outer(&self, room: RoomKey) -> RoomKey {
        let state = self.state();
        let number = state.numbers.iter().find(|(_, inner)| **inner == room);
        number.map_or(room, |(outer, _)| *outer)
    }

    fn text(&self, text: &Text) -> Text {
        let kept = match self.flaw {
            Flaw::CutsLongTexts => text.chars().take(100).collect(),
            Flaw::CutsTextsAtNul => text.split('\0').next().unwrap_or_default().to_owned(),
            Flaw::TrimsTexts => text.trim_end_matches(' ').to_owned(),
            Flaw::ComposesTexts => text.replace("e\u{301}", "é"),
            Flaw::PanicsAtNul if text.contains('\0') => panic!("a NUL"),
            _ => return text.clone(),
        };
        Text::new(kept).unwrap_or_else(|_| text.clone())
    }

    fn key(&self, key: &ClientKey) -> ClientKey {
        let key = key.as_str();
        let kept = match self.flaw {
            Flaw::MergesEmojiKeys => {
                key.chars().map(|c| if c > '\u{ffff}' { '\u{fffd}' } else { c }).collect()
            }
            Flaw::TrimsKeys => key.trim_end_matches(' ').to_owned(),
            Flaw::FoldsKeys => key.to_lowercase(),
            Flaw::CutsKeysAtNul => key.split('\0').next().unwrap_or_default().to_owned(),
            _ => key.to_owned(),
        };
        ClientKey::new(kept).unwrap_or_else(|_| ClientKey::new(" ").expect("a key"))
    }

    fn time(&self, time: Timestamp) -> Timestamp {
        match self.flaw {
            Flaw::LosesMilliseconds => {
                Timestamp::from_timestamp(time.timestamp(), 0).expect("a time")
            }
            _ => time,
        }
    }

    /// The batch as this store takes it.
    fn spoil(&self, batch: &Batch) -> Batch {
        let mut batch = batch.clone();
        batch.room = self.inner(batch.room);
        for write in &mut batch.writes {
            match write {
                Write::Message { body, at, key, .. } => {
                    body.text = body.text.as_ref().map(|text| self.text(text));
                    if self.flaw == Flaw::KeepsTextsAlone {
                        *body = Body { text: body.text.clone(), ..Body::default() };
                    }
                    *at = self.time(*at);
                    *key = key.take().map(|(key, fingerprint)| (self.key(&key), fingerprint));
                }
                Write::Key { .. } if self.flaw == Flaw::ForgetsKeysAlone => {
                    *write = Write::Read(Vec::new());
                }
                Write::Key { at, .. } => *at = self.time(*at),
                Write::Read(readings) => {
                    if self.flaw == Flaw::ForgetsPositions {
                        readings.clear();
                    }
                    let mut state = self.state();
                    for Reading { user, seq } in readings {
                        state.read.insert((batch.room, *user), *seq);
                    }
                }
                Write::Marks { seq, markings, at, .. } => {
                    *at = self.time(*at);
                    for marking in markings.iter_mut() {
                        if self.flaw == Flaw::FoldsMarks {
                            marking.mark = Mark::new(marking.mark.to_lowercase()).expect("a mark");
                        }
                        if self.flaw == Flaw::DropsKeysOfMarks {
                            marking.key = None;
                        }
                    }
                    if self.flaw == Flaw::MarksTheFirst {
                        *seq = 1;
                    }
                    if self.flaw == Flaw::KeepsMarks {
                        markings.retain(|marking| marking.on);
                    }
                }
                Write::Change { at, kind, by, key } => {
                    *at = self.time(*at);
                    if self.flaw == Flaw::DropsKeysOfChanges {
                        *key = None;
                    }
                    self.spoil_change(kind, by);
                }
            }
        }
        if self.flaw == Flaw::ForgetsKeysOfDeleted {
            let state = self.state();
            for write in &mut batch.writes {
                let Write::Message { from, key, .. } = write else { continue };
                key.take_if(|(key, _)| {
                    let seq = state.key_seqs.get(&(batch.room, from.id, key.clone()));
                    seq.is_some_and(|seq| state.deleted_seqs.contains(&(batch.room, *seq)))
                });
            }
        }
        if self.flaw == Flaw::SharesKeys {
            for write in &mut batch.writes {
                let Write::Message { from, key: Some((key, _)), .. } = write else { continue };
                let mut state = self.state();
                let first = state.key_users.entry((batch.room, key.clone()));
                from.clone_from(first.or_insert_with(|| from.clone()));
            }
        }
        let messages = batch.writes.iter().enumerate();
        let messages = messages.filter(|(_, write)| matches!(write, Write::Message { .. }));
        let places: Vec<_> = messages.map(|(place, _)| place).collect();
        if let (Flaw::SwapsMessages, [one, two, ..]) = (self.flaw, &places[..]) {
            batch.writes.swap(*one, *two);
        }
        batch
    }

    fn spoil_change(&self, kind: &mut ChangeKind, by: &mut Option<User>) {
        match (self.flaw, &*kind) {
            (Flaw::KeepsOldOwners, ChangeKind::Transferred(_)) | (Flaw::LosesWhoDidIt, _) => {
                *by = None;
            }
            (Flaw::KeepsBannedMembers, ChangeKind::Banned(membership, _)) => {
                *kind = ChangeKind::Muted(membership.clone(), kind.until());
            }
            (Flaw::LosesEnds, ChangeKind::Banned(membership, _)) => {
                *kind = ChangeKind::Banned(membership.clone(), None);
            }
            (Flaw::LosesEnds, ChangeKind::Muted(membership, _)) => {
                *kind = ChangeKind::Muted(membership.clone(), None);
            }
            (Flaw::KeepsDeletedTexts, ChangeKind::Deleted(membership, _)) => {
                *kind = ChangeKind::Unbanned(membership.clone());
            }
            (Flaw::ForgetsWhatThreadsTell, ChangeKind::Thread(membership, ..)) => {
                *kind = ChangeKind::Unbanned(membership.clone());
            }
            (Flaw::KeepsRestrictions, ChangeKind::Unmuted(membership)) => {
                *kind = ChangeKind::Unbanned(membership.clone());
            }
            _ => {}
        }
    }

    /// A batch's keys, each with whom it counts for.
    fn keys(batch: &Batch) -> impl Iterator<Item = (RoomKey, UserId, ClientKey)> {
        batch.writes.iter().filter_map(|write| match write {
            Write::Message { from, key: Some((key, _)), .. } => {
                Some((batch.room, from.id, key.clone()))
            }
            _ => None,
        })
    }

    async fn end(&self, room: RoomKey) -> Result<Cursor, StoreError> {
        let store = self.store();
        let messages = store.messages(room, 0, u64::MAX).await?.len() as u64;
        Ok(Cursor::new(messages, store.changes(room, 0, usize::MAX).await?.len() as u64))
    }

    /// Commits one batch; and what is then to be remembered of it.
    async fn commit(&self, batch: &Batch) -> Result<BatchOutcome, StoreError> {
        let (store, mut batch) = (self.store(), batch.clone());
        match self.flaw {
            Flaw::NeverFences => batch.after = self.end(batch.room).await?,
            Flaw::FencesTooEarly if batch.after == self.end(batch.room).await? => {
                yield_now().await;
                batch.after = self.end(batch.room).await?;
            }
            Flaw::TakesKeysTooEarly => {
                let state = self.state();
                if Self::keys(&batch).any(|key| state.taken.contains(&key)) {
                    let conflicts = batch.writes.iter().map(|_| Outcome::KeyConflict);
                    return Ok(BatchOutcome::Done(conflicts.collect()));
                }
            }
            _ => {}
        }
        self.forget_used_keys(&mut batch).await?;
        self.note_edits(&batch).await?;
        let mut outcome = store.append(std::slice::from_ref(&batch)).await?.remove(0);
        if outcome == BatchOutcome::Fenced {
            self.state().taken.extend(Self::keys(&batch));
        }
        let BatchOutcome::Done(outcomes) = &mut outcome else { return Ok(outcome) };
        for (write, outcome) in batch.writes.iter().zip(&*outcomes) {
            match (write, outcome) {
                (Write::Message { .. }, Outcome::Stored(cursor)) => {
                    let mut state = self.state();
                    state.messages += 1;
                    if let Write::Message { from, key: Some((key, _)), .. } = write {
                        state.key_seqs.insert((batch.room, from.id, key.clone()), cursor.seq);
                    }
                    if self.flaw == Flaw::LosesMessages && state.messages.is_multiple_of(5) {
                        state.lost.insert((batch.room, cursor.seq));
                    }
                }
                (Write::Message { from, body, at, .. }, Outcome::Seen(_))
                    if self.flaw == Flaw::DoublesMessages =>
                {
                    let again = Write::Message {
                        from: from.clone(),
                        body: body.clone(),
                        at: *at,
                        key: None,
                    };
                    let after = self.end(batch.room).await?;
                    store
                        .append(&[Batch {
                            room: batch.room,
                            after,
                            may_follow: false,
                            writes: vec![again],
                        }])
                        .await?;
                }
                (Write::Change { kind: ChangeKind::Invited(membership), .. }, _) => {
                    let mut state = self.state();
                    state.invited.entry(batch.room).or_default().push(membership.user.clone());
                }
                _ => {}
            }
        }
        let kept = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Stored(_)));
        let kept = batch.writes.iter().zip(kept).filter(|(_, kept)| *kept);
        let writes = kept.map(|(write, _)| write.clone()).collect();
        let mut state = self.state();
        state.done.push(Done::Appended(vec![Batch { writes, ..batch }]));
        if self.flaw == Flaw::CommitsLate {
            state.hidden.entry(batch.room).or_insert(batch.after);
        }
        Ok(outcome)
    }

    async fn forget_used_keys(&self, batch: &mut Batch) -> Result<(), StoreError> {
        for write in &mut batch.writes {
            let Write::Marks { markings, .. } = write else { continue };
            for Marking { user, key, .. } in markings {
                if let (Flaw::MarksWithUsedKeys, Some((name, _))) = (self.flaw, &*key)
                    && self.store().used_key(batch.room, *user, name).await?.is_some()
                {
                    *key = None;
                }
            }
        }
        Ok(())
    }

    /// Notes what edits and deletions a batch carries, and what was said before them.
    async fn note_edits(&self, batch: &Batch) -> Result<(), StoreError> {
        for write in &batch.writes {
            let Write::Change { kind, .. } = write else { continue };
            let Some(seq) = kind.seq() else { continue };
            let before = self.store().revisions(batch.room, seq).await?;
            let mut state = self.state();
            match kind {
                ChangeKind::Thread(..) => {}
                ChangeKind::Edited(_, _, Some(edit)) => {
                    state.edits.push((batch.room, seq, edit.clone()));
                }
                _ => {
                    state.edits.retain(|(room, edited, _)| (*room, *edited) != (batch.room, seq));
                    state.deleted_seqs.insert((batch.room, seq));
                    if self.flaw == Flaw::KeepsRevisionsOfDeleted {
                        state.revisions.insert((batch.room, seq), before);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is seen of a room's messages.
    fn seen(&self, room: RoomKey, hidden: Option<&Cursor>, messages: &mut Vec<Message>) {
        let state = self.state();
        for message in &mut *messages {
            if self.flaw == Flaw::KeepsMarksOfDeleted && message.deleted {
                message.marks = vec![MarkCount { mark: Mark::new("x").expect("a mark"), count: 2 }];
            }
            for (_, seq, edit) in state.edits.iter().filter(|(edited, ..)| *edited == room) {
                let wrongly = match self.flaw {
                    Flaw::EditsTheWholeRoom => *seq != message.seq,
                    Flaw::RevivesDeletedMessages => *seq == message.seq && message.deleted,
                    _ => false,
                };
                if wrongly {
                    (message.body.text, message.deleted) = (Some(edit.text.clone()), false);
                }
            }
        }
        messages.retain(|message| !state.lost.contains(&(room, message.seq)));
        messages.retain(|message| hidden.is_none_or(|hidden| message.seq <= hidden.seq));
    }

    /// Makes a direct room that nobody knows to be one.
    async fn create_unknown(
        &self,
        info: &RoomInfo,
        members: &[Membership],
    ) -> Result<RoomId, StoreError> {
        let store = self.store();
        store.create_room(info, &members[..1], None).await?;
        let room = store.load_room(info.id, 0).await?.expect("just made");
        let kind = ChangeKind::Joined(members[1].clone());
        let writes = vec![Write::Change { kind, by: None, at: info.created, key: None }];
        store
            .append(&[Batch { room: room.key, after: room.end, may_follow: false, writes }])
            .await?;
        Ok(info.id)
    }
}
