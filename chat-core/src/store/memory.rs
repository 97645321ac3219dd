//! A store that lives and dies with the process: for tests, for embedding programs that want no
//! history beyond a restart, and as the plainest statement of what a [`Store`] must do.

mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use room::{Room, Use, index};

use crate::capacity::shrink_map;
use crate::clock::Timestamp;
use crate::command::{
    ListedThread, MarkerQuery, OwnMark, OwnRoomQuery, Standing, ThreadPlace, ThreadQuery,
};
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{
    Activity, Change, ChangeKind, ClientKey, Fingerprint, Given, Kind, Membership, Message, Name,
    Reading, Revision, RoomInfo, Settings, Thread, Title, User,
};
use crate::store::{
    Batch, BatchOutcome, Listed, LoadedRoom, LoadedThread, RoomKey, RoomQuery, Store, StoreError,
    UsedKey, Write,
};

/// Keeps everything in memory, without bound. Clones share what they keep, so an engine can be
/// stopped and another started on the same contents.
///
/// It is deterministic: the same calls in the same order give the same answers, and rooms the same
/// keys, so that a store of one's own may keep the calls and build on it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    next_key: i64,
    rooms: HashMap<RoomKey, Room>,
    /// In the order of opening, because ids are.
    keys: BTreeMap<RoomId, RoomKey>,
    /// Direct rooms.
    pairs: HashMap<[UserId; 2], RoomId>,
    /// Threads, by the messages that they are on.
    threads: BTreeMap<(RoomKey, u64), RoomKey>,
    /// Rooms that were opened with keys, by whom, and when.
    opened: HashMap<(UserId, ClientKey), (Fingerprint, RoomId, Timestamp)>,
    /// How users are called whatever writes call them.
    names: HashMap<UserId, Name>,
}

impl Tables {
    /// What a thread has come to, and whether its parent has been told.
    fn loaded_thread(&self, room: &Room) -> Option<LoadedThread> {
        let (parent, now) = (room.info.parent?, room.thread()?);
        let parent_room = self.keys.get(&parent.room).and_then(|key| self.rooms.get(key));
        let told = parent_room.and_then(|room| room.told(parent.seq));
        Some(LoadedThread { now, is_told: told.is_some_and(|told| !room.goes_beyond(told.upto)) })
    }

    /// Whether a room is a user's own: of threads, those whose parent's room is one.
    fn is_own(&self, room: &Room, user: UserId) -> bool {
        let parent = room.info.parent.map(|parent| self.keys.get(&parent.room));
        let parent = parent.map(|key| key.and_then(|key| self.rooms.get(key)));
        let is_member = |room: &Room| room.members.contains_key(&user);
        is_member(room) && parent.is_none_or(|parent| parent.is_some_and(is_member))
    }

    /// The threads of which a room has not been told all.
    fn untold(&self, room: RoomKey) -> Vec<RoomId> {
        let threads = self.threads.range((room, 0)..=(room, u64::MAX));
        let threads = threads.filter_map(|(_, thread)| self.rooms.get(thread));
        let untold = threads.filter(|room| self.loaded_thread(room).is_some_and(|it| !it.is_told));
        untold.map(|room| room.info.id).collect()
    }

    fn delete(&mut self, room: RoomKey) {
        let Some(room) = self.rooms.remove(&room) else { return };
        shrink_map(&mut self.rooms);
        self.keys.remove(&room.info.id);
        if let Some(pair) = room.pair {
            self.pairs.remove(&pair);
            shrink_map(&mut self.pairs);
        }
        if let Some(parent) = room.info.parent
            && let Some(key) = self.keys.get(&parent.room)
        {
            self.threads.remove(&(*key, parent.seq));
        }
    }
}

impl Write {
    /// Everybody whom it names.
    fn names_mut(&mut self) -> impl Iterator<Item = &mut User> {
        let (one, other) = match self {
            Self::Message { from, .. } => (Some(from), None),
            Self::Change { kind, by, .. } => (Some(&mut kind.membership_mut().user), by.as_mut()),
            Self::Marks { last, .. } => (Some(&mut last.user), None),
            Self::Read(_) | Self::Key { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// Names users as they are called.
fn call<'u>(users: impl Iterator<Item = &'u mut User>, names: &HashMap<UserId, Name>) {
    for user in users {
        if let Some(name) = names.get(&user.id) {
            user.name = name.clone();
        }
    }
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic while the lock is held can only come from running out of memory.
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn used_key(
    ((user, key), (fingerprint, used)): (&(UserId, ClientKey), &(Fingerprint, Use)),
) -> UsedKey {
    let sent = match used {
        Use::Message(sent) => Some(*sent),
        Use::Change(_) => None,
    };
    UsedKey { user: *user, key: key.clone(), fingerprint: *fingerprint, sent }
}

/// The last `count` of a list.
fn last<T: Clone>(list: &[T], count: usize) -> Vec<T> {
    list[list.len().saturating_sub(count)..].to_vec()
}

#[async_trait]
impl Store for MemoryStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Result<Option<RoomId>, StoreError> {
        let mut tables = self.tables();
        let key = key.zip(members.first());
        let key = key.map(|((key, print), opener)| ((opener.user.id, key.clone()), *print));
        if let Some((key, print)) = &key
            && let Some((first, id, _)) = tables.opened.get(key)
        {
            return Ok((first == print).then_some(*id));
        }
        let opened = |id| key.map(|(key, print)| (key, (print, id, info.created)));
        let pair = info.pair(members);
        if let Some(id) = pair.and_then(|pair| tables.pairs.get(&pair)).copied() {
            tables.opened.extend(opened(id));
            return Ok(Some(id));
        }
        let parent = match info.parent {
            Some(parent) => {
                let Some(room) = tables.keys.get(&parent.room).copied() else {
                    return Err(StoreError::new("the thread's parent is not there"));
                };
                Some((room, parent.seq))
            }
            None => None,
        };
        let there = parent.and_then(|parent| tables.threads.get(&parent));
        if let Some(id) = there.and_then(|thread| Some(tables.rooms.get(thread)?.info.id)) {
            tables.opened.extend(opened(id));
            return Ok(Some(id));
        }
        tables.opened.extend(opened(info.id));
        tables.next_key += 1;
        let key = RoomKey(tables.next_key);
        let mut room = Room {
            info: info.clone(),
            pair,
            members: HashMap::new(),
            read: HashMap::new(),
            invited: HashMap::new(),
            bans: HashMap::new(),
            mutes: HashMap::new(),
            settings: Settings::default(),
            messages: Vec::new(),
            revisions: HashMap::new(),
            marks: BTreeSet::new(),
            changes: Vec::new(),
            keys: HashMap::new(),
        };
        for membership in members {
            room.change(ChangeKind::Joined(membership.clone()), None, info.created);
        }
        call(room.names(), &tables.names);
        tables.rooms.insert(key, room);
        tables.keys.insert(info.id, key);
        tables.pairs.extend(pair.map(|pair| (pair, info.id)));
        tables.threads.extend(parent.map(|parent| (parent, key)));
        Ok(Some(info.id))
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Result<Option<UsedKey>, StoreError> {
        let tables = self.tables();
        let Some(room) = tables.rooms.get(&room) else { return Ok(None) };
        let used = room.keys.get_key_value(&(user, key.clone()));
        Ok(used.map(used_key))
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let Tables { rooms, opened, .. } = &mut *tables;
        let count = |opened: usize, rooms: &HashMap<RoomKey, Room>| {
            opened + rooms.values().map(|room| room.keys.len()).sum::<usize>()
        };
        let all = count(opened.len(), rooms);
        opened.retain(|_, (.., at)| *at >= before);
        for room in rooms.values_mut() {
            room.keys.retain(|_, (_, used)| match used {
                Use::Message(_) => true,
                Use::Change(at) => *at >= before,
            });
        }
        Ok((all - count(opened.len(), rooms)) as u64)
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Result<Option<LoadedRoom>, StoreError> {
        let tables = self.tables();
        let Some(key) = tables.keys.get(&id).copied() else { return Ok(None) };
        let Some(room) = tables.rooms.get(&key) else { return Ok(None) };
        let older = room.end().seq.saturating_sub(recent as u64);
        let is_recent = |used: &Use| match used {
            Use::Message(sent) => sent.seq > older,
            Use::Change(_) => true,
        };
        Ok(Some(LoadedRoom {
            key,
            info: room.info.clone(),
            end: room.end(),
            removed: 0,
            settings: room.settings,
            members: room.members.values().cloned().collect(),
            readings: room
                .read
                .iter()
                .map(|(user, seq)| Reading { user: *user, seq: *seq })
                .collect(),
            invited: room.invited.values().cloned().collect(),
            bans: room.bans.values().cloned().collect(),
            mutes: room.mutes.values().cloned().collect(),
            messages: last(&room.messages, recent),
            marks: room.given(older, u64::MAX),
            changes: last(&room.changes, recent),
            keys: room.keys.iter().filter(|(_, (_, used))| is_recent(used)).map(used_key).collect(),
            all_keys: true,
            thread: tables.loaded_thread(room),
            untold: tables.untold(key),
        }))
    }

    async fn append(&self, batches: &[Batch]) -> Result<Vec<BatchOutcome>, StoreError> {
        let Tables { rooms, names, .. } = &mut *self.tables();
        let outcomes = batches.iter().map(|batch| match rooms.get_mut(&batch.room) {
            None => BatchOutcome::Gone,
            Some(room) if !batch.fits(room.end()) => BatchOutcome::Fenced,
            Some(room) => {
                let between = room.messages[batch.after.seq as usize..].to_vec();
                let writes = batch.writes.iter().cloned().map(|mut write| {
                    call(write.names_mut(), names);
                    write
                });
                let outcomes = writes.map(|write| room.write(write)).collect();
                if between.is_empty() {
                    BatchOutcome::Done(outcomes)
                } else {
                    BatchOutcome::Followed { between, outcomes }
                }
            }
        });
        Ok(outcomes.collect())
    }

    async fn messages(
        &self,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Result<Vec<Message>, StoreError> {
        let tables = self.tables();
        let Some(room) = tables.rooms.get(&room) else { return Ok(Vec::new()) };
        let until = index(room.messages.len(), until);
        Ok(room.messages[index(until, after)..until].to_vec())
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Result<Vec<Given>, StoreError> {
        let tables = self.tables();
        Ok(tables.rooms.get(&room).map(|room| room.given(after, until)).unwrap_or_default())
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<Vec<OwnMark>, StoreError> {
        let given = self.marks(room, after, until).await?;
        let own = given.into_iter().filter(|given| given.user == user);
        Ok(own.map(|given| (given.seq, given.mark)).collect())
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Result<Vec<User>, StoreError> {
        let given = self.marks(room, query.seq.saturating_sub(1), query.seq).await?;
        let of_mark = given.into_iter().filter(|given| given.mark == query.mark);
        let after = |user: &UserId| query.after.is_none_or(|after| *user > after);
        let users = of_mark.map(|given| given.user).filter(after).take(query.limit);
        let mut tables = self.tables();
        let Some(room) = tables.rooms.get_mut(&room) else { return Ok(Vec::new()) };
        let named = |id| room.names().find(|user| user.id == id).cloned();
        Ok(users.filter_map(named).collect())
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Result<Vec<Revision>, StoreError> {
        let tables = self.tables();
        let room = tables.rooms.get(&room);
        let all = room.and_then(|room| room.revisions.get(&seq)).cloned().unwrap_or_default();
        let half = limits::REVISIONS / 2;
        let left_out = half..all.len().saturating_sub(half);
        let shown = all.into_iter().enumerate().filter(|(nth, _)| !left_out.contains(nth));
        Ok(shown.map(|(_, revision)| revision).collect())
    }

    async fn thread(&self, room: RoomKey) -> Result<Option<Thread>, StoreError> {
        Ok(self.tables().rooms.get(&room).and_then(Room::thread))
    }

    async fn threads(
        &self,
        room: RoomKey,
        query: &ThreadQuery,
    ) -> Result<Vec<ListedThread>, StoreError> {
        let tables = self.tables();
        let Some(parent) = tables.rooms.get(&room) else { return Ok(Vec::new()) };
        let threads = tables.threads.range((room, 0)..=(room, u64::MAX));
        let listed = threads.filter_map(|((_, seq), thread)| {
            let (thread, told) = (tables.rooms.get(thread)?, parent.told(*seq)?.clone());
            let at = told.last.as_ref().map_or(thread.info.created, |last| last.at);
            Some(ListedThread { place: ThreadPlace { at, seq: *seq }, thread: told })
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.place));
        listed.retain(|listed| query.after.is_none_or(|after| listed.place < after));
        listed.truncate(query.limit);
        Ok(listed)
    }

    async fn changes(
        &self,
        room: RoomKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let tables = self.tables();
        let Some(room) = tables.rooms.get(&room) else { return Ok(Vec::new()) };
        let rest = &room.changes[index(room.changes.len(), after)..];
        Ok(rest[..limit.min(rest.len())].to_vec())
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Result<Vec<Listed>, StoreError> {
        let tables = self.tables();
        let title = query.title.to_lowercase();
        let older = tables.keys.iter().rev().filter(|(id, _)| query.after.is_none_or(|a| **id < a));
        let rooms = older.filter_map(|(_, key)| tables.rooms.get(key));
        let open = rooms.filter(|room| {
            let matches = |named: &Title| named.to_lowercase().contains(&title);
            room.info.kind == Kind::Open && room.info.title.as_ref().is_some_and(matches)
        });
        let listed =
            open.map(|room| Listed { info: room.info.clone(), members: room.members.len() });
        Ok(listed.take(query.limit).collect())
    }

    async fn active_rooms(
        &self,
        user: UserId,
        query: &OwnRoomQuery,
    ) -> Result<Vec<Activity>, StoreError> {
        let tables = self.tables();
        let own = tables.rooms.values().filter(|room| tables.is_own(room, user));
        let asked = own.filter(|room| query.threads || room.info.kind != Kind::Thread);
        let mut active: Vec<_> = asked.map(Room::activity).collect();
        active.retain(|one| query.before.is_none_or(|before| *one < before));
        active.sort_unstable_by(|one, other| other.cmp(one));
        active.truncate(query.limit);
        Ok(active)
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Result<Vec<Standing>, StoreError> {
        let tables = self.tables();
        let rooms = rooms.iter().filter_map(|id| tables.rooms.get(tables.keys.get(id)?));
        let rooms = rooms.filter(|room| tables.is_own(room, user));
        Ok(rooms.filter_map(|room| room.standing(user)).collect())
    }

    async fn delete_room(&self, room: RoomKey) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let threads = tables.threads.extract_if((room, 0)..=(room, u64::MAX), |_, _| true);
        let threads: Vec<_> = threads.map(|(_, thread)| thread).collect();
        threads.into_iter().chain([room]).for_each(|room| tables.delete(room));
        Ok(())
    }

    async fn rename(&self, user: &User) -> Result<(), StoreError> {
        let Tables { rooms, names, .. } = &mut *self.tables();
        names.insert(user.id, user.name.clone());
        rooms.values_mut().for_each(|room| call(room.names(), names));
        Ok(())
    }

    async fn rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let tables = self.tables();
        let knows = |room: &&Room| {
            room.changes.iter().any(|change| change.kind.membership().user.id == user)
        };
        Ok(tables.rooms.values().filter(knows).map(|room| room.info.id).collect())
    }

    async fn erase(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let Some(room) = tables.rooms.get_mut(&room) else { return Ok(()) };
        let until = index(room.messages.len(), until);
        let after = index(until, after);
        let written = room.messages[after..until].iter_mut();
        let mut erased = Vec::new();
        for message in written.filter(|message| message.from.id == user) {
            message.delete();
            erased.push(message.seq);
        }
        for seq in erased {
            room.forget_said(seq);
        }
        room.forget_edits();
        Ok(())
    }

    async fn ephemeral_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        let tables = self.tables();
        let rooms = tables.rooms.values().filter(|room| room.info.ephemeral);
        Ok(rooms.map(|room| room.info.id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn titles_are_found_whatever_their_case() {
        let store = MemoryStore::default();
        for title in ["Übergrößen", "Δοκιμή", "Чат"] {
            let title = Some(Title::new(title).unwrap());
            let (id, created) = (RoomId::new(), Timestamp::default());
            let kind = Kind::Open;
            let info = RoomInfo { id, title, kind, ephemeral: false, created, parent: None };
            store.create_room(&info, &[], None).await.unwrap();
        }
        for title in ["ÜBER", "über", "δΟΚ", "чАТ"] {
            let query = RoomQuery { title: title.into(), after: None, limit: 9 };
            assert_eq!(store.list_rooms(&query).await.unwrap().len(), 1, "{title}");
        }
    }
}
