//! The floors: one connection that inserts a row and has it committed, and the disk alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_server::store::{MySqlOptions, MySqlStore, SqlStore};
use shared::Outcome;
use shared::figures::Report;
use sqlx::{Connection, Executor, MySqlConnection};
use uuid::Uuid;

use crate::closed_loop::{self, Refused, Sender, Window};
use crate::home_made::now_ms;
use crate::shape::Shape;

/// What is written to the disk at once.
const BLOCK: usize = 4_096;
/// How large the file is that it is written to, in blocks.
const BLOCKS: u64 = 4_096;

/// The row that the engine writes.
const INSERT: &str = "INSERT INTO messages \
    (room, seq, sender, text, at_ms, client_key, fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// Inserts rows, each of which is committed by itself.
struct Bare {
    connection: MySqlConnection,
    sender: Uuid,
    seq: u64,
}

impl Sender for Bare {
    async fn send(&mut self, room: usize, key: &str, text: &str) -> Result<u64, Refused> {
        self.seq += 1;
        let insert = sqlx::query(INSERT).bind(room as i64).bind(self.seq);
        let insert = insert.bind(self.sender.as_bytes().as_slice());
        let insert = insert.bind(text).bind(now_ms()).bind(key.as_bytes());
        // What stands for the contents is as long as an id.
        let insert = insert.bind(self.sender.as_bytes().as_slice());
        match self.connection.execute(insert).await {
            Ok(_) => Ok(self.seq),
            Err(error) => Err(Refused { again: false, why: error.to_string() }),
        }
    }
}

/// The engine's rows in the engine's table, inserted by one connection.
pub(crate) async fn insert(url: &str, shape: &Shape, measured: Duration) -> Outcome<Report> {
    MySqlStore::open(&MySqlOptions::new(url)).await?.close().await;
    let connection = MySqlConnection::connect(url).await?;
    let window = Window::of(measured);
    let bare = Bare { connection, sender: Uuid::now_v7(), seq: 0 };
    let sent = closed_loop::run(vec![bare], 0, shape, window).await?;
    closed_loop::figures(&sent.acked, window.seconds())
}

/// Blocks that are written over others in a file, each of which is on disk before the next one is
/// written.
pub(crate) async fn fdatasync(folder: &Path, measured: Duration) -> Outcome<Report> {
    let path = folder.join("blocks");
    let times = tokio::task::spawn_blocking(move || blocks(&path, measured)).await?;
    let (mut nanos, seconds) = times?;
    Ok(closed_loop::of_times(&mut nanos, seconds))
}

fn blocks(path: &Path, measured: Duration) -> std::io::Result<(Vec<u64>, f64)> {
    let file = File::create(path)?;
    let block = [0x5a; BLOCK];
    for n in 0..BLOCKS {
        file.write_all_at(&block, n * BLOCK as u64)?;
    }
    file.sync_all()?;
    let (began, mut nanos) = (Instant::now(), Vec::new());
    for n in (0..BLOCKS).cycle() {
        let before = Instant::now();
        file.write_all_at(&block, n * BLOCK as u64)?;
        file.sync_data()?;
        nanos.push(before.elapsed().as_nanos() as u64);
        if began.elapsed() >= measured {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok((nanos, seconds))
}
