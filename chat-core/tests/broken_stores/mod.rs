//! Stores that each break one thing, in front of the one in memory: a case that catches nobody here
//! may catch nobody elsewhere.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chat_core::testkit::StoreHome;
use chat_core::{
    Activity, Batch, BatchOutcome, Body, Change, ChangeKind, ClientKey, Cursor, Edit, Fingerprint,
    Given, Kind, Listed, ListedThread, LoadedRoom, Mark, MarkCount, MarkerQuery, Membership,
    MemoryStore, Message, Outcome, OwnMark, OwnRoomQuery, Parent, Reading, Revision, Role, RoomId,
    RoomInfo, RoomKey, RoomQuery, Settings, Standing, Store, StoreError, Text, Thread, ThreadQuery,
    Timestamp, Title, UsedKey, User, UserId, Write,
};
use tokio::task::yield_now;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// Every fifth message is answered and not kept.
    LosesMessages,
    /// A repeated key is answered well, and its message written once more.
    DoublesMessages,
    /// The first two messages of a batch change places.
    SwapsMessages,
    /// Texts are cut to 100 characters.
    CutsLongTexts,
    /// Texts end at the first NUL.
    CutsTextsAtNul,
    /// Spaces at a text's end are gone.
    TrimsTexts,
    /// Spaces at a title's end are gone.
    TrimsTitles,
    /// Combining characters are composed.
    ComposesTexts,
    /// A commit is seen from the next call but one on.
    CommitsLate,
    /// The last commit is lost with the process.
    AnswersBeforeCommitting,
    /// All characters beyond the basic plane are the same in a key.
    MergesEmojiKeys,
    /// Spaces at a key's end do not count.
    TrimsKeys,
    /// Case does not count in a key.
    FoldsKeys,
    /// Keys end at the first NUL.
    CutsKeysAtNul,
    /// A key counts for all users of a room together.
    SharesKeys,
    /// A batch that is not written has its keys taken all the same.
    TakesKeysTooEarly,
    /// Keys are lost with the process.
    ForgetsKeys,
    /// Any batch is written, wherever the room stands.
    NeverFences,
    /// Where the room stands is looked at, and then written.
    FencesTooEarly,
    /// Batches are committed one by one.
    CommitsBatchByBatch,
    /// A commit that fails leaves the batches before the one at fault.
    FailsHalfway,
    /// Every opening of a direct room makes one.
    MakesManyDirectRooms,
    /// Whether there is a direct room is looked at, and then one is made.
    LooksForDirectRoomsTooEarly,
    /// A deleted direct room is found again.
    KeepsPairs,
    /// Private rooms are listed.
    ListsPrivateRooms,
    /// A deleted room's number is given out again.
    ReusesNumbers,
    /// A deleted room's messages can be read.
    KeepsDeletedMessages,
    /// Times are kept to the second.
    LosesMilliseconds,
    /// Nobody is invited.
    DropsInvitations,
    /// Who has joined is invited still.
    KeepsInvitations,
    /// All are members.
    LosesRoles,
    /// Whoever hands a room over stays its owner.
    KeepsOldOwners,
    /// Who is banned stays a member.
    KeepsBannedMembers,
    /// Bans and mutes have no end.
    LosesEnds,
    /// A restriction that was lifted still holds.
    KeepsRestrictions,
    /// Settings are those of a new room.
    LosesSettings,
    /// Nobody has done anything to others.
    LosesWhoDidIt,
    /// No ephemeral room is known.
    ForgetsEphemeralRooms,
    /// The last message of a range is left out.
    PagesTooShort,
    /// Bounds are cast to signed integers.
    CastsBounds,
    /// A room's members are of another moment than its messages.
    LoadsInTwoSteps,
    /// `%` and `_` stand for anything in a title.
    MatchesPatterns,
    /// Who has been renamed is called so in what has been written by then.
    RenamesHalf,
    /// A name that comes along with a write counts, whoever has been renamed.
    TakesNamesOfWrites,
    /// Only the rooms that a user is a member of are known.
    ForgetsLeftRooms,
    /// What is erased stays.
    KeepsErasedTexts,
    /// What others have written goes too.
    ErasesEverybody,
    /// Of a message its text is kept, and nothing else that it says.
    KeepsTextsAlone,
    /// What a message said before an edit is lost.
    ForgetsRevisions,
    /// An edit of one message of a room is one of all its messages.
    EditsTheWholeRoom,
    /// What is deleted stays.
    KeepsDeletedTexts,
    /// What a deleted message said before it was edited stays.
    KeepsRevisionsOfDeleted,
    /// An edit brings a deleted message back.
    RevivesDeletedMessages,
    /// A deleted message's key may be used again.
    ForgetsKeysOfDeleted,
    /// A change's key is not kept.
    DropsKeysOfChanges,
    /// Case does not count in a mark.
    FoldsMarks,
    /// A mark that is taken back stays.
    KeepsMarks,
    /// Whatever is marked, it is the first message.
    MarksTheFirst,
    /// What others have marked is everybody's own.
    TakesAllMarksForOnes,
    /// Every page of those who have marked a message begins with the first.
    ListsAllMarkersAtOnce,
    /// A mark's key is not kept.
    DropsKeysOfMarks,
    /// The marks of a deleted message stay.
    KeepsMarksOfDeleted,
    /// What members have read is not kept.
    ForgetsPositions,
    /// How far a member has read is what was written last.
    MovesPositionsBack,
    /// What one has written oneself counts as unread.
    CountsOwnMessages,
    /// What has been deleted counts as unread.
    CountsDeletedMessages,
    /// A user's rooms are listed, the earliest activity first.
    ListsOldestRoomsFirst,
    /// Every page of a user's rooms begins with the first.
    ListsOwnRoomsAtOnce,
    /// Threads are among a user's rooms, whatever is asked for.
    ListsThreadsAmongRooms,
    /// A room that is opened again with its key is another room.
    OpensTwice,
    /// Nobody is told what a key was used for.
    HidesUsedKeys,
    /// Keys are forgotten that are to be kept still.
    ForgetsAllKeys,
    /// What an erased message said before it was edited stays.
    KeepsErasedRevisions,
    /// Every opening of a thread makes one.
    MakesManyThreads,
    /// Whether there is a thread is looked at, and then one is made.
    LooksForThreadsTooEarly,
    /// What is deleted counts as a reply.
    CountsDeletedReplies,
    /// What a room is told of its threads is not kept.
    ForgetsWhatThreadsTell,
    /// All threads are taken to have told everything.
    TakesAllForTold,
    /// Threads are listed in the order of their messages.
    ListsThreadsByMessage,
    /// The threads of a deleted room stay.
    KeepsThreadsOfDeleted,
    /// A NUL in a text is a panic.
    PanicsAtNul,
}

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

#[async_trait]
impl Store for Broken {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        let mut kept = info.clone();
        kept.created = self.time(info.created);
        if self.flaw == Flaw::TrimsTitles {
            kept.title = kept.title.map(|title| Title::new(title.trim_end()).expect("a title"));
        }
        if self.flaw == Flaw::ListsPrivateRooms && kept.kind == Kind::Private {
            kept.kind = Kind::Open;
        }
        if let Some(pair) = info.pair(members) {
            let known = self.state().pairs.get(&pair).copied();
            match self.flaw {
                Flaw::MakesManyDirectRooms => {
                    return self.create_unknown(&kept, members).await.map(Some);
                }
                Flaw::LooksForDirectRoomsTooEarly => {
                    if let Some(known) = known
                        && self.store().load_room(known, 0).await?.is_some()
                    {
                        return Ok(Some(known));
                    }
                    yield_now().await;
                    self.state().pairs.insert(pair, info.id);
                    return self.create_unknown(&kept, members).await.map(Some);
                }
                Flaw::KeepsPairs if known.is_some() => return Ok(known.or(Some(info.id))),
                _ => _ = self.state().pairs.insert(pair, info.id),
            }
        }
        if let Some(parent) = info.parent {
            let known = self.state().threads.get(&parent).copied();
            match self.flaw {
                Flaw::LooksForThreadsTooEarly if known.is_some() => return Ok(known),
                Flaw::LooksForThreadsTooEarly => yield_now().await,
                _ => {}
            }
            let mut state = self.state();
            state.threads.entry(parent).or_insert(info.id);
            if matches!(self.flaw, Flaw::MakesManyThreads | Flaw::LooksForThreadsTooEarly) {
                // Nobody knows where it is.
                let nth = state.threads.len() as u64 + state.infos.len() as u64;
                kept.parent = Some(Parent { seq: parent.seq + 1_000 * nth, ..parent });
            }
        }
        let store = self.store();
        let key = key.filter(|_| self.flaw != Flaw::OpensTwice);
        let Some(id) = store.create_room(&kept, members, key).await? else { return Ok(None) };
        let inner = store.load_room(id, 0).await?.expect("just made").key;
        let mut state = self.state();
        state.infos.insert(info.id, info.clone());
        if self.flaw == Flaw::ReusesNumbers && id == info.id {
            let mut numbers = (1..).map(RoomKey);
            let free = numbers.find(|number| !state.numbers.contains_key(number));
            state.numbers.extend(free.map(|free| (free, inner)));
        }
        state.done.push(Done::Created(kept, members.to_vec(), key.cloned()));
        Ok(Some(id))
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        if self.flaw == Flaw::HidesUsedKeys {
            return Ok(None);
        }
        self.store().used_key(self.inner(room), user, key).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = match self.flaw {
            Flaw::ForgetsAllKeys => Timestamp::MAX_UTC,
            _ => before,
        };
        self.state().done.push(Done::Forgot(before));
        self.store().forget_keys(before).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        let hidden = std::mem::take(&mut self.state().hidden);
        let Some(mut room) = self.store().load_room(id, recent).await? else {
            let loaded = self.state().loaded.get(&id).cloned();
            return Ok(loaded.filter(|_| self.flaw == Flaw::KeepsThreadsOfDeleted));
        };
        if room.info.parent.is_some() {
            self.state().loaded.insert(id, room.clone());
        }
        if self.flaw == Flaw::TakesAllForTold {
            room.untold.clear();
        }
        let hidden = hidden.get(&room.key);
        self.seen(room.key, hidden, &mut room.messages);
        if let Some(hidden) = hidden {
            room.changes.retain(|change| change.cursor.change <= hidden.change);
            room.end = *hidden;
        }
        match self.flaw {
            Flaw::ListsPrivateRooms => room.info = self.state().infos[&id].clone(),
            Flaw::LoadsInTwoSteps => {
                yield_now().await;
                let Some(later) = self.store().load_room(id, recent).await? else {
                    return Ok(None);
                };
                room.members = later.members;
            }
            Flaw::DropsInvitations => room.invited.clear(),
            Flaw::KeepsInvitations => {
                let state = self.state();
                let ever = state.invited.get(&room.key).into_iter().flatten();
                for user in ever {
                    if !room.invited.iter().any(|invited| invited.id == user.id) {
                        room.invited.push(user.clone());
                    }
                }
            }
            Flaw::MovesPositionsBack => {
                for reading in &mut room.readings {
                    let last = self.state().read.get(&(room.key, reading.user)).copied();
                    reading.seq = last.unwrap_or(reading.seq);
                }
            }
            Flaw::LosesSettings => room.settings = Settings::default(),
            Flaw::LosesRoles => {
                room.members.iter_mut().for_each(|member| member.role = Role::Member);
            }
            _ => {}
        }
        room.key = self.outer(room.key);
        Ok(Some(room))
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        self.state().hidden.clear();
        if self.flaw == Flaw::TakesNamesOfWrites {
            for write in batches.iter().flat_map(|batch| &batch.writes) {
                if let Write::Message { from, .. } = write {
                    self.store().rename(from).await?;
                }
            }
        }
        let refused = self.state().refused.clone();
        let is_refused = |write: &Write| match write {
            Write::Message { body, .. } => Some(body.as_str()) == refused.as_deref(),
            Write::Change { .. } | Write::Marks { .. } | Write::Read(_) => false,
        };
        let bad = batches.iter().position(|batch| batch.writes.iter().any(is_refused));
        let (good, fails) = match (self.flaw, bad) {
            (_, None) => (batches, false),
            (Flaw::FailsHalfway, Some(bad)) => (&batches[..bad], true),
            (_, Some(_)) => (&batches[..0], true),
        };
        let mut outcomes = Vec::new();
        for batch in good {
            outcomes.push(self.commit(&self.spoil(batch)).await?);
            if self.flaw == Flaw::CommitsBatchByBatch {
                yield_now().await;
            }
        }
        if fails { Err(StoreError::new("refused")) } else { Ok(outcomes) }
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        let hidden = std::mem::take(&mut self.state().hidden);
        let room = self.inner(room);
        let store = self.store();
        let mut messages = match self.flaw {
            Flaw::PagesTooShort => store.messages(room, after, until.saturating_sub(1)).await?,
            Flaw::CastsBounds => {
                let (after, until) = (after.cast_signed().max(0), until.cast_signed().max(0));
                store.messages(room, after.cast_unsigned(), until.cast_unsigned()).await?
            }
            _ => store.messages(room, after, until).await?,
        };
        if let Some(deleted) = self.state().deleted.get(&room) {
            messages.clone_from(deleted);
        }
        self.seen(room, hidden.get(&room), &mut messages);
        Ok(messages)
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        self.store().marks(self.inner(room), after, until).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        let (room, store) = (self.inner(room), self.store());
        if self.flaw == Flaw::TakesAllMarksForOnes {
            let all = store.marks(room, after, until).await?;
            return Ok(all.into_iter().map(|given| (given.seq, given.mark)).collect());
        }
        store.marks_of(room, user, after, until).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        let mut query = query.clone();
        if self.flaw == Flaw::ListsAllMarkersAtOnce {
            query.after = None;
        }
        self.store().markers(self.inner(room), &query).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        let room = self.inner(room);
        let kept = self.state().revisions.get(&(room, seq)).cloned();
        match (self.flaw, kept) {
            (Flaw::ForgetsRevisions, _) => Ok(Vec::new()),
            (_, Some(kept)) => Ok(kept),
            (_, None) => self.store().revisions(room, seq).await,
        }
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        let mut thread = self.store().thread(self.inner(room)).await?;
        if self.flaw == Flaw::CountsDeletedReplies {
            let thread = thread.iter_mut();
            thread.for_each(|thread| thread.replies = thread.upto.seq);
        }
        Ok(thread)
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        let mut threads = self.store().threads(self.inner(room), query).await?;
        if self.flaw == Flaw::ListsThreadsByMessage {
            threads.sort_unstable_by_key(|thread| thread.place.seq);
        }
        Ok(threads)
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let hidden = std::mem::take(&mut self.state().hidden);
        let room = self.inner(room);
        let mut changes = self.store().changes(room, after, limit).await?;
        if let Some(hidden) = hidden.get(&room) {
            changes.retain(|change| change.cursor.change <= hidden.change);
        }
        Ok(changes)
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        let mut query = query.clone();
        if self.flaw == Flaw::MatchesPatterns && ["%", "_"].contains(&&*query.title) {
            query.title.clear();
        }
        let mut listed = self.store().list_rooms(&query).await?;
        if self.flaw == Flaw::ListsPrivateRooms {
            let state = self.state();
            listed.iter_mut().for_each(|room| room.info = state.infos[&room.info.id].clone());
        }
        Ok(listed)
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        let mut query = *query;
        query.before = query.before.filter(|_| self.flaw != Flaw::ListsOwnRoomsAtOnce);
        query.threads |= self.flaw == Flaw::ListsThreadsAmongRooms;
        let mut active = self.store().active_rooms(user, &query).await?;
        if self.flaw == Flaw::ListsOldestRoomsFirst {
            active.reverse();
        }
        Ok(active)
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        let store = self.store();
        let mut all = store.standings(user, rooms).await?;
        for standing in &mut all {
            let Some(room) = store.load_room(standing.room.info.id, 1_000).await? else { continue };
            let counted = room.messages.iter().filter(|message| match self.flaw {
                Flaw::CountsOwnMessages => message.from.id == user && !message.deleted,
                Flaw::CountsDeletedMessages => message.deleted,
                _ => false,
            });
            let counted = counted.filter(|message| message.seq > standing.read).count();
            standing.unread.messages += counted as u64;
        }
        Ok(all)
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        let (inner, store) = (self.inner(room), self.store());
        let messages = store.messages(inner, 0, u64::MAX).await?;
        store.delete_room(inner).await?;
        let mut state = self.state();
        if self.flaw == Flaw::KeepsDeletedMessages {
            state.deleted.entry(inner).or_insert(messages);
        }
        state.numbers.remove(&room);
        state.done.push(Done::Deleted(inner));
        Ok(())
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        if self.flaw == Flaw::RenamesHalf {
            // Of those who have written somewhere, nothing changes.
            let store = self.store();
            for room in store.rooms_of(user.id).await? {
                let loaded = store.load_room(room, 1_000).await?;
                let messages = loaded.map(|room| room.messages).unwrap_or_default();
                if messages.iter().any(|message| message.from.id == user.id) {
                    return Ok(());
                }
            }
        }
        self.state().done.push(Done::Renamed(user.clone()));
        self.store().rename(user).await
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let store = self.store();
        let mut rooms = store.rooms_of(user).await?;
        if self.flaw == Flaw::ForgetsLeftRooms {
            let mut mine = Vec::new();
            for room in rooms {
                let members = store.load_room(room, 0).await?.map(|room| room.members);
                if members.is_some_and(|members| members.iter().any(|one| one.user.id == user)) {
                    mine.push(room);
                }
            }
            rooms = mine;
        }
        Ok(rooms)
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let (room, store) = (self.inner(room), self.store());
        let mut users = vec![user];
        match self.flaw {
            Flaw::KeepsErasedTexts => return Ok(()),
            Flaw::ErasesEverybody => {
                let messages = store.messages(room, after, until).await?;
                users.extend(messages.iter().map(|message| message.from.id));
            }
            Flaw::KeepsErasedRevisions => {
                for message in store.messages(room, after, until).await? {
                    let before = store.revisions(room, message.seq).await?;
                    self.state().revisions.insert((room, message.seq), before);
                }
            }
            _ => {}
        }
        for user in users {
            self.state().done.push(Done::Erased(room, user, after, until));
            store.erase(room, user, after, until).await?;
        }
        Ok(())
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        match self.flaw {
            Flaw::ForgetsEphemeralRooms => Ok(Vec::new()),
            _ => self.store().ephemeral_rooms().await,
        }
    }
}
