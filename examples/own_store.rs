//! `cargo run -p examples --bin own_store [FOLDER]` — a `Store` of your own: a log file that gets a
//! line with every call that writes, and keeps what a store must keep, whatever dies.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    Activity, After, Batch, BatchOutcome, Change, ClientKey, Draft, Engine, Fingerprint, Given,
    Listed, ListedThread, LoadedRoom, MarkerQuery, Membership, MemoryStore, Message, Name, NewRoom,
    OwnMark, OwnRoomQuery, Revision, RoomId, RoomInfo, RoomKey, RoomQuery, Standing, Store,
    StoreError, Thread, ThreadQuery, Timestamp, UsedKey, User, UserId,
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
type Kept<T> = Result<T, StoreError>;

/// The file has a line for every call that writes, and the contents are what a [`MemoryStore`]
/// makes of these calls: the same in every process, since a call that was refused is refused again,
/// and a room gets the same number. The file only grows, also when a room is deleted.
pub(crate) struct LogStore(Arc<Mutex<Log>>);

struct Log {
    file: File,
    contents: MemoryStore,
    /// How much of the file is in the contents.
    read: u64,
}

/// A line of the file, as JSON: a call to the store.
#[derive(Serialize, Deserialize)]
enum Line {
    Create(RoomInfo, Vec<Membership>, Option<(ClientKey, Fingerprint)>),
    ForgetKeys(Timestamp),
    Append(Vec<Batch>),
    Delete(RoomKey),
    Rename(User),
    Erase(RoomKey, UserId, u64, u64),
}

impl LogStore {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("chat.log");
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // Until the folder has been written too, a new file in it may go with the power.
        File::open(folder)?.sync_all()?;
        let mut log = Log { file, contents: MemoryStore::default(), read: 0 };
        log.alone(|_| Ok(()))?;
        Ok(Self(Arc::new(Mutex::new(log))))
    }

    /// Keeps a call, if it is one that writes, and answers from the contents: on a thread that may
    /// wait for the disk, and to the end, even if whoever asked does not wait for it any more. Calls
    /// have their turns in the order in which they came.
    async fn with<T: Send + 'static>(
        &self,
        line: Option<Line>,
        answer: impl FnOnce(&MemoryStore) -> Result<T> + Send + 'static,
    ) -> Kept<T> {
        let mut log = Arc::clone(&self.0).lock_owned().await;
        let work = move |log: &mut Log| {
            line.map_or(Ok(()), |line| log.write(&line))?;
            answer(&log.contents)
        };
        spawn_blocking(move || log.alone(work))
            .await
            .map_err(StoreError::new)?
            .map_err(StoreError::new)
    }

    /// Everything that any process has written.
    async fn contents(&self) -> Kept<MemoryStore> {
        self.with(None, |contents| Ok(contents.clone())).await
    }
}

impl Log {
    /// Works with the newest contents, while every other process that has the file open waits.
    fn alone<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.file.lock()?;
        let done = self.catch_up().and_then(|()| work(self));
        self.file.unlock()?;
        done
    }

    /// Carries out what others have written to the file since.
    fn catch_up(&mut self) -> Result<()> {
        let mut new = Vec::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_to_end(&mut new)?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < new.len() {
            // Whoever wrote this died half-way, and has not said that it is kept.
            self.file.set_len(self.read + whole as u64)?;
        }
        if whole > 0 {
            // Whoever wrote this may have died before it was safe, and it is about to be shown.
            self.file.sync_data()?;
        }
        for line in new[..whole].split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line)? {
                Line::Create(room, members, key) => {
                    now(self.contents.create_room(&room, &members, key.as_ref()))?;
                }
                Line::ForgetKeys(before) => _ = now(self.contents.forget_keys(before))?,
                Line::Append(batches) => _ = now(self.contents.append(&batches))?,
                Line::Delete(room) => now(self.contents.delete_room(room))?,
                Line::Rename(user) => now(self.contents.rename(&user))?,
                Line::Erase(room, user, after, until) => {
                    now(self.contents.erase(room, user, after, until))?;
                }
            }
            self.read += line.len() as u64;
        }
        Ok(())
    }

    /// Writes a line, so that it is safe before anybody is told of it. One line is all or nothing.
    fn write(&mut self, line: &Line) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| self.file.sync_data()) {
            // It has failed, so it shall have no effect; or as a whole, if this fails too.
            self.file.set_len(self.read)?;
            return Err(error.into());
        }
        self.read += bytes.len() as u64;
        Ok(())
    }
}

/// What a call to the [`MemoryStore`] answers; it never waits.
fn now<T>(call: impl Future<Output = Kept<T>>) -> Result<T> {
    Ok(call.now_or_never().ok_or("the memory store waits")??)
}

#[async_trait]
impl Store for LogStore {
    async fn create_room(
        &self,
        info: &RoomInfo,
        members: &[Membership],
        key: Option<&(ClientKey, Fingerprint)>,
    ) -> Kept<Option<RoomId>> {
        let (info, members, key) = (info.clone(), members.to_vec(), key.cloned());
        let line = Line::Create(info.clone(), members.clone(), key.clone());
        let create =
            move |contents: &MemoryStore| now(contents.create_room(&info, &members, key.as_ref()));
        self.with(Some(line), create).await
    }

    async fn used_key(
        &self,
        room: RoomKey,
        user: UserId,
        key: &ClientKey,
    ) -> Kept<Option<UsedKey>> {
        self.contents().await?.used_key(room, user, key).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Kept<u64> {
        let line = Line::ForgetKeys(before);
        self.with(Some(line), move |contents| now(contents.forget_keys(before))).await
    }

    async fn append(&self, batches: &[Batch]) -> Kept<Vec<BatchOutcome>> {
        let batches = batches.to_vec();
        let line = Line::Append(batches.clone());
        self.with(Some(line), move |contents| now(contents.append(&batches))).await
    }

    async fn delete_room(&self, room: RoomKey) -> Kept<()> {
        self.with(Some(Line::Delete(room)), move |contents| now(contents.delete_room(room))).await
    }

    async fn rename(&self, user: &User) -> Kept<()> {
        let user = user.clone();
        let line = Line::Rename(user.clone());
        self.with(Some(line), move |contents| now(contents.rename(&user))).await
    }

    async fn rooms_of(&self, user: UserId) -> Kept<Vec<RoomId>> {
        self.contents().await?.rooms_of(user).await
    }

    async fn erase(&self, room: RoomKey, user: UserId, after: u64, until: u64) -> Kept<()> {
        let line = Line::Erase(room, user, after, until);
        self.with(Some(line), move |contents| now(contents.erase(room, user, after, until))).await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Kept<Option<LoadedRoom>> {
        self.contents().await?.load_room(id, recent).await
    }

    async fn messages(&self, room: RoomKey, after: u64, until: u64) -> Kept<Vec<Message>> {
        self.contents().await?.messages(room, after, until).await
    }

    async fn marks(&self, room: RoomKey, after: u64, until: u64) -> Kept<Vec<Given>> {
        self.contents().await?.marks(room, after, until).await
    }

    async fn marks_of(
        &self,
        room: RoomKey,
        user: UserId,
        after: u64,
        until: u64,
    ) -> Kept<Vec<OwnMark>> {
        self.contents().await?.marks_of(room, user, after, until).await
    }

    async fn markers(&self, room: RoomKey, query: &MarkerQuery) -> Kept<Vec<User>> {
        self.contents().await?.markers(room, query).await
    }

    async fn revisions(&self, room: RoomKey, seq: u64) -> Kept<Vec<Revision>> {
        self.contents().await?.revisions(room, seq).await
    }

    async fn thread(&self, room: RoomKey) -> Kept<Option<Thread>> {
        self.contents().await?.thread(room).await
    }

    async fn threads(&self, room: RoomKey, query: &ThreadQuery) -> Kept<Vec<ListedThread>> {
        self.contents().await?.threads(room, query).await
    }

    async fn changes(&self, room: RoomKey, after: u64, limit: usize) -> Kept<Vec<Change>> {
        self.contents().await?.changes(room, after, limit).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Kept<Vec<Listed>> {
        self.contents().await?.list_rooms(query).await
    }

    async fn active_rooms(&self, user: UserId, query: &OwnRoomQuery) -> Kept<Vec<Activity>> {
        self.contents().await?.active_rooms(user, query).await
    }

    async fn standings(&self, user: UserId, rooms: &[RoomId]) -> Kept<Vec<Standing>> {
        self.contents().await?.standings(user, rooms).await
    }

    async fn ephemeral_rooms(&self) -> Kept<Vec<RoomId>> {
        self.contents().await?.ephemeral_rooms().await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| std::env::temp_dir().join("chat-own-store"));
    std::fs::create_dir_all(&folder)?;
    let ann = User::new(UserId::new(), Name::new("Ann")?);

    let chat = Engine::builder().store(LogStore::open(&folder)?).start()?;
    let diaries = chat.rooms(&RoomQuery { limit: 100, ..RoomQuery::default() }).await?.len();
    println!("{} has {diaries} rooms; run it again to see one more", folder.display());
    let id = chat.open_room(&ann, NewRoom::open("Diary")?).await?.id();
    let first = Draft::text("Dear diary,")?.key("first")?;
    chat.room(id).send(&ann, first.clone()).await?;
    chat.room(id).send(&ann, Draft::text("it keeps 한글 and 👩‍🚀.")?).await?;
    chat.stop().await;

    // Nothing is left but the file.
    let chat = Engine::builder().store(LogStore::open(&folder)?).start()?;
    let again = chat.room(id).send(&ann, first).await?;
    println!("sent again with its key, the first message is #{} still", again.seq);
    chat.room(id).send(&ann, Draft::text("Good night.")?).await?;
    for message in chat.room(id).join(&ann, After::Nothing).await?.messages {
        println!("#{} {}: {}", message.seq, message.from.name, message.text());
    }
    chat.stop().await;
    Ok(())
}
