//! The store with a flaw: each call, spoiled or not.

use async_trait::async_trait;
use chat_core::{
    Activity, Batch, BatchOutcome, Change, ClientKey, Fingerprint, Given, Kind, Listed,
    ListedThread, LoadedRoom, MarkerQuery, Membership, Message, OwnMark, OwnRoomQuery, Parent,
    Revision, Role, RoomId, RoomInfo, RoomKey, RoomQuery, Settings, Standing, Store, StoreError,
    Thread, ThreadQuery, Timestamp, Title, UsedKey, User, UserId, Write,
};
use tokio::task::yield_now;

use super::{Broken, Done, Flaw};

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
            _ => false,
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
