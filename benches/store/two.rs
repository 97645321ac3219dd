//! Two processes, each with an engine, half of the senders and the same rooms in the same database; and
//! then whether all is there that they were told is.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chat_server::store::{MySqlOptions, MySqlStore, SqlStore};
use shared::Outcome;
use shared::figures::Report;
use shared::programs::MariaDb;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use uuid::Uuid;

use crate::check;
use crate::closed_loop::{self, Acked, Window};
use crate::counts::Counts;
use crate::engine::{self, Cast};
use crate::results::measure;
use crate::shape::Shape;
use crate::writer::{self, GO, Job, READY};

const PROCESSES: usize = 2;

/// Measures them over this database, which is empty.
pub(crate) async fn measure(
    mariadb: &MariaDb,
    url: &str,
    scratch: &Path,
    shape: &Shape,
    measured: Duration,
) -> Outcome<Report> {
    let store: Arc<dyn SqlStore> = Arc::new(MySqlStore::open(&MySqlOptions::new(url)).await?);
    let engine = engine::start(Arc::clone(&store) as _)?;
    let cast = Cast::assemble(&engine, shape).await?;
    engine.stop().await;
    store.close().await;

    let folder = TempDir::new_in(scratch)?;
    let rooms: Vec<Uuid> = cast.rooms.iter().map(|room| room.uuid()).collect();
    let mut processes = Vec::new();
    let half = shape.senders.div_ceil(PROCESSES);
    for (n, users) in cast.users.chunks(half).enumerate() {
        let job = Job {
            url: url.to_owned(),
            rooms: rooms.clone(),
            senders: shape.senders,
            users: users.iter().map(|user| user.id.uuid()).collect(),
            first: n * half,
            seconds: measured.as_secs_f64(),
            file: folder.path().join(n.to_string()),
        };
        processes.push(Process::start(job).await?);
    }
    for process in &mut processes {
        process.stdin.write_all(format!("{GO}\n").as_bytes()).await?;
    }
    // They begin as soon as they have heard it.
    let window = Window::of(measured);
    let counts = Counts::over(window, None, Some(mariadb)).await?;
    let (mut acked, mut again): (Vec<Acked>, u64) = Default::default();
    for process in processes {
        let (of_process, tried_again) = process.end().await?;
        acked.extend(of_process);
        again += tried_again;
    }
    let stored = check::read(url, &rooms).await?;
    for message in &acked {
        stored.look_for(message)?;
    }
    let mut report = closed_loop::figures(&acked, window.seconds())?;
    counts.report(window, &mut report);
    report.insert(measure::ACKED, acked.len() as f64);
    report.insert(measure::STORED, stored.len() as f64);
    report.insert(measure::AGAIN, again as f64);
    Ok(report)
}

/// A process that waits for its word to go. It ends with this.
struct Process {
    child: Child,
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    job: Job,
}

impl Process {
    async fn start(job: Job) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(crate::WRITER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or("a process without an input")?;
        let said = BufReader::new(child.stdout.take().ok_or("a process without an output")?);
        let text = serde_json::to_string(&job)? + "\n";
        stdin.write_all(text.as_bytes()).await?;
        let mut process = Self { child, stdin, said: said.lines(), job };
        match process.said.next_line().await? {
            Some(line) if line == READY => Ok(process),
            said => Err(format!("a process is not ready: {said:?}").into()),
        }
    }

    /// What was acknowledged to it, and how often it tried something again.
    async fn end(mut self) -> Outcome<(Vec<Acked>, u64)> {
        let said = self.said.next_line().await?;
        let status = self.child.wait().await?;
        match said {
            Some(again) if status.success() => Ok((writer::read(&self.job.file)?, again.parse()?)),
            said => Err(format!("a process failed ({status}): {said:?}").into()),
        }
    }
}
