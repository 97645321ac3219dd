//! One of two processes that write to the same rooms: what it is told on its standard input, what it
//! does, and the file in which it leaves what was acknowledged.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chat_core::RoomId;
use chat_server::store::{MySqlOptions, MySqlStore, SqlStore};
use serde::{Deserialize, Serialize};
use shared::Outcome;
use uuid::Uuid;

use crate::closed_loop::{Acked, Key, Window};
use crate::engine::{self, Cast};
use crate::shape;

/// What it says when it could begin, and what it is then told.
pub(crate) const READY: &str = "ready";
pub(crate) const GO: &str = "go";

/// What it is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) rooms: Vec<Uuid>,
    /// How many senders and rooms there are in all.
    pub(crate) senders: usize,
    /// The users of its own senders, the first of whom has this number.
    pub(crate) users: Vec<Uuid>,
    pub(crate) first: usize,
    pub(crate) seconds: f64,
    /// Where it leaves what was acknowledged.
    pub(crate) file: PathBuf,
}

/// Does it: reads the job, says that it is ready, waits until it is told to go, and ends.
pub(crate) async fn run() -> Outcome<()> {
    let job: Job = serde_json::from_str(&line()?)?;
    let shape = shape::of(job.senders, job.rooms.len()).ok_or("there is no such shape")?;
    let store: Arc<dyn SqlStore> = Arc::new(MySqlStore::open(&MySqlOptions::new(job.url)).await?);
    let engine = engine::start(Arc::clone(&store) as _)?;
    let users = (job.first..).zip(&job.users).map(|(number, id)| engine::user(number, *id));
    let rooms = job.rooms.into_iter().map(RoomId::from).collect();
    let cast = Cast { rooms, users: users.collect::<Outcome<_>>()? };
    let members = cast.connect(&engine).await?;
    writeln!(io::stdout(), "{READY}")?;
    if line()?.trim_end() != GO {
        return Err("not told to go".into());
    }
    let window = Window::of(Duration::from_secs_f64(job.seconds));
    let sent = engine::run(&engine, members, job.first, shape, window).await;
    engine.stop().await;
    store.close().await;
    let sent = sent?;
    write(&job.file, &sent.acked)?;
    writeln!(io::stdout(), "{}", sent.again)?;
    Ok(())
}

/// A line of what it is told. Nothing else is to be done meanwhile.
fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

/// The bytes of an acknowledged message in the file: its key, and three numbers.
const RECORD: usize = 16 + 3 * 8;

fn write(path: &Path, acked: &[Acked]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(acked.len() * RECORD);
    for Acked { key, room, seq, nanos } in acked {
        bytes.extend_from_slice(key.0.as_bytes());
        for number in [*room, *seq, nanos.unwrap_or_default()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    fs::write(path, bytes)
}

/// What a process has left in its file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Acked>> {
    let bytes = fs::read(path)?;
    let records = bytes.as_chunks::<RECORD>().0.iter().map(|record| {
        let (key, numbers) = record.split_at(16);
        let mut numbers = numbers.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        let key = Key(Uuid::from_slice(key).map_err(io::Error::other)?);
        Ok(Acked { key, room: next(), seq: next(), nanos: Some(next()).filter(|it| *it > 0) })
    });
    records.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_comes_back() {
        let acked =
            |nth, nanos| Acked { key: Key::new(3, nth), room: nth, seq: 1_000 + nth, nanos };
        let all: Vec<_> = (0..5).map(|nth| acked(nth, (nth > 2).then_some(nth))).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("acked");
        write(&path, &all).expect("written");
        assert_eq!(read(&path).expect("read"), all);
    }
}
