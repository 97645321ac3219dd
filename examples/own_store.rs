//! `cargo run -p examples --bin own_store [FOLDER]` — a `Store` of your own: a log file that gets a line
//! with every call that writes, and keeps what a store must keep, whatever dies.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_core::{
    After, Batch, BatchOutcome, Change, ChangeKind, ClientKey, Draft, Engine, Fingerprint, Kind,
    Listed, LoadedRoom, Membership, MemoryStore, Message, Name, NewRoom, Role, RoomId, RoomInfo,
    RoomKey, RoomQuery, Store, StoreError, Text, Timestamp, Title, User, UserId, Write,
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
type Kept<T> = Result<T, StoreError>;

/// The file has a line for every call that writes, and the contents are what a [`MemoryStore`] makes of
/// these calls: the same in every process, since a call that was refused is refused again, and a room
/// gets the same number. The file only grows, also when a room is deleted.
pub(crate) struct LogStore(Arc<Mutex<Log>>);

struct Log {
    file: File,
    contents: MemoryStore,
    /// How much of the file is in the contents.
    read: u64,
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

    /// Works with the log on a thread that may wait for the disk, and to the end, even if whoever asked
    /// does not wait for it any more.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Log) -> Result<T> + Send + 'static,
    ) -> Kept<T> {
        let log = Arc::clone(&self.0);
        let work = move || log.lock().unwrap_or_else(PoisonError::into_inner).alone(work);
        spawn_blocking(work).await.map_err(StoreError::new)?.map_err(StoreError::new)
    }

    async fn contents(&self) -> Kept<MemoryStore> {
        self.with(|log| Ok(log.contents.clone())).await
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
                Line::Create(info, members) => {
                    let members = members.into_iter().map(member).collect::<Result<Vec<_>>>()?;
                    _ = now(self.contents.create_room(&room(info)?, &members))?;
                }
                Line::Append(batches) => {
                    let batches = batches.into_iter().map(batch).collect::<Result<Vec<_>>>()?;
                    _ = now(self.contents.append(&batches))?;
                }
                Line::Delete(room) => now(self.contents.delete_room(RoomKey(room)))?,
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
            // It has failed, so it shall have no effect. If this fails too, it may have it as a whole.
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
    async fn create_room(&self, info: &RoomInfo, members: &[Membership]) -> Kept<RoomId> {
        let (info, members) = (info.clone(), members.to_vec());
        self.with(move |log| {
            log.write(&Line::create(&info, &members))?;
            now(log.contents.create_room(&info, &members))
        })
        .await
    }

    async fn append(&self, batches: &[Batch]) -> Kept<Vec<BatchOutcome>> {
        let batches = batches.to_vec();
        self.with(move |log| {
            log.write(&Line::append(&batches))?;
            now(log.contents.append(&batches))
        })
        .await
    }

    async fn delete_room(&self, room: RoomKey) -> Kept<()> {
        self.with(move |log| {
            log.write(&Line::Delete(room.0))?;
            now(log.contents.delete_room(room))
        })
        .await
    }

    async fn load_room(&self, id: RoomId, recent: usize) -> Kept<Option<LoadedRoom>> {
        self.contents().await?.load_room(id, recent).await
    }

    async fn messages(&self, room: RoomKey, after: u64, until: u64) -> Kept<Vec<Message>> {
        self.contents().await?.messages(room, after, until).await
    }

    async fn changes(&self, room: RoomKey, after: u64, limit: usize) -> Kept<Vec<Change>> {
        self.contents().await?.changes(room, after, limit).await
    }

    async fn list_rooms(&self, query: &RoomQuery) -> Kept<Vec<Listed>> {
        self.contents().await?.list_rooms(query).await
    }

    async fn ephemeral_rooms(&self) -> Kept<Vec<RoomId>> {
        self.contents().await?.ephemeral_rooms().await
    }
}

/// A line of the file, as JSON. The engine's types have text forms for this, and check what they are
/// made of again.
#[derive(Serialize, Deserialize)]
enum Line {
    Create(SavedRoom, Vec<SavedMember>),
    Append(Vec<SavedBatch>),
    Delete(i64),
}

#[derive(Serialize, Deserialize)]
struct SavedRoom {
    id: String,
    title: Option<String>,
    kind: String,
    ephemeral: bool,
    created: i64,
}

/// Id, name and role.
type SavedMember = (String, String, String);
/// Room, where it stands, and what is written to it.
type SavedBatch = (i64, String, Vec<SavedWrite>);

#[derive(Serialize, Deserialize)]
enum SavedWrite {
    Message { id: String, name: String, text: String, at: i64, key: Option<(String, [u8; 16])> },
    Change { kind: String, of: SavedMember, at: i64 },
}

impl Line {
    fn create(room: &RoomInfo, members: &[Membership]) -> Self {
        let info = SavedRoom {
            id: room.id.to_string(),
            title: room.title.as_ref().map(Title::to_string),
            kind: room.kind.as_str().into(),
            ephemeral: room.ephemeral,
            created: room.created.timestamp_millis(),
        };
        Self::Create(info, members.iter().map(save_member).collect())
    }

    fn append(batches: &[Batch]) -> Self {
        let save = |batch: &Batch| {
            let writes = batch.writes.iter().map(save_write).collect();
            (batch.room.0, batch.after.to_string(), writes)
        };
        Self::Append(batches.iter().map(save).collect())
    }
}

fn save_member(Membership { user, role }: &Membership) -> SavedMember {
    (user.id.to_string(), user.name.to_string(), role.as_str().into())
}

fn save_write(write: &Write) -> SavedWrite {
    match write {
        Write::Message { from, text, at, key } => SavedWrite::Message {
            id: from.id.to_string(),
            name: from.name.to_string(),
            text: text.to_string(),
            at: at.timestamp_millis(),
            key: key.as_ref().map(|(key, print)| (key.as_str().into(), print.0)),
        },
        Write::Change { kind, at } => SavedWrite::Change {
            kind: kind.as_str().into(),
            of: save_member(kind.membership()),
            at: at.timestamp_millis(),
        },
    }
}

fn room(saved: SavedRoom) -> Result<RoomInfo> {
    Ok(RoomInfo {
        id: saved.id.parse()?,
        title: saved.title.map(Title::new).transpose()?,
        kind: Kind::parse(&saved.kind).ok_or("no such kind of room")?,
        ephemeral: saved.ephemeral,
        created: time(saved.created)?,
    })
}

fn member((id, name, role): SavedMember) -> Result<Membership> {
    let user = User::new(id.parse()?, Name::new(name)?);
    Ok(Membership { user, role: Role::parse(&role).ok_or("no such role")? })
}

fn batch((room, after, writes): SavedBatch) -> Result<Batch> {
    let writes = writes.into_iter().map(write).collect::<Result<_>>()?;
    Ok(Batch { room: RoomKey(room), after: after.parse()?, writes })
}

fn write(saved: SavedWrite) -> Result<Write> {
    Ok(match saved {
        SavedWrite::Message { id, name, text, at, key: saved } => {
            let from = User::new(id.parse()?, Name::new(name)?);
            let key = match saved {
                Some((key, print)) => Some((ClientKey::new(key)?, Fingerprint(print))),
                None => None,
            };
            Write::Message { from, text: Text::new(text)?, at: time(at)?, key }
        }
        SavedWrite::Change { kind, of, at } => {
            let kind = ChangeKind::parse(&kind, member(of)?).ok_or("no such change")?;
            Write::Change { kind, at: time(at)? }
        }
    })
}

fn time(millis: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_timestamp_millis(millis).ok_or("no such time")?)
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
        println!("#{} {}: {}", message.seq, message.from.name, message.text);
    }
    chat.stop().await;
    Ok(())
}
