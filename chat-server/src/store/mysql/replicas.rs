//! Replicas, which follow the primary sooner or later. A page of history counts only if it reaches
//! as far as was asked, because the room knows how far it goes. A list has no such end: there a
//! replica counts only if it has come further than the last write of this process that a list could
//! show. How far it has come tells a number that this process writes to the primary every second,
//! the same on MySQL and MariaDB, whatever their positions look like. One that falls too far behind
//! or does not answer is left out until it is back.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chat_core::{Listed, Message, RoomKey, RoomQuery};
use sqlx::MySqlPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::store::reads;
use crate::store::sql::{Queries, Session};

/// How often this process counts, and looks at the replicas.
const EVERY: Duration = Duration::from_secs(1);
/// How many seconds a replica may be behind.
const MOST_BEHIND: i64 = 10;
/// How long a replica may take to answer. Then the primary is asked.
const PATIENCE: Duration = Duration::from_secs(1);

const BEAT: &str = "\
    INSERT INTO beats (process, beat, at_ms) VALUES (?, ?, UNIX_TIMESTAMP() * 1000) \
    ON DUPLICATE KEY UPDATE beat = VALUES(beat), at_ms = VALUES(at_ms)";
const REACHED: &str = "SELECT beat FROM beats WHERE process = ?";
const FORGET: &str =
    "DELETE FROM beats WHERE process = ? OR at_ms < (UNIX_TIMESTAMP() - 86400) * 1000";

/// A replica, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Host and port.
    pub address: String,
    /// Whether it is asked.
    pub in_use: bool,
    /// How many seconds it is behind the primary, as of the last look.
    pub behind_s: u64,
}

#[derive(Debug)]
pub(super) struct Replicas {
    shared: Arc<Shared>,
    next: AtomicUsize,
    watch: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    process: Vec<u8>,
    followers: Vec<Follower>,
    /// The number that was tried to be written last. It is never given twice.
    beat: AtomicI64,
    /// The last one that was written for certain.
    written: AtomicI64,
    /// What the number was at the last write that a list could show.
    changed_at: AtomicI64,
    /// The beat at which this process last changed messages that were there; less than all if it never has.
    amended_at: AtomicI64,
}

#[derive(Debug)]
struct Follower {
    address: String,
    pool: MySqlPool,
    reached: AtomicI64,
    in_use: AtomicBool,
}

impl Replicas {
    /// Replicas by address, and how they are reached.
    pub(super) fn new(pools: Vec<(String, MySqlPool)>, primary: &MySqlPool) -> Self {
        let follower = |(address, pool)| Follower {
            address,
            pool,
            reached: AtomicI64::new(0),
            in_use: AtomicBool::new(false),
        };
        let shared = Arc::new(Shared {
            process: Uuid::now_v7().into_bytes().to_vec(),
            followers: pools.into_iter().map(follower).collect(),
            beat: AtomicI64::new(0),
            written: AtomicI64::new(0),
            changed_at: AtomicI64::new(0),
            amended_at: AtomicI64::new(-1),
        });
        let watch = (!shared.followers.is_empty()).then(|| {
            let (shared, primary) = (Arc::clone(&shared), primary.clone());
            tokio::spawn(async move { shared.watch(&primary).await })
        });
        Self { shared, next: AtomicUsize::new(0), watch: Mutex::new(watch) }
    }

    /// This process has written what a list could show.
    pub(super) fn lists_changed(&self) {
        self.shared.changed_at.fetch_max(self.shared.beat.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// This process has changed messages that were there.
    pub(super) fn messages_changed(&self) {
        self.shared.amended_at.fetch_max(self.shared.beat.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// A range of messages, if a replica has all of it, as this process knows it.
    pub(super) async fn messages(
        &self,
        queries: &Queries,
        room: RoomKey,
        after: u64,
        until: u64,
    ) -> Option<Vec<Message>> {
        let follower = self.one_that_reached(self.shared.amended_at.load(Ordering::SeqCst) + 1)?;
        let read = async {
            let mut connection = follower.pool.acquire().await?;
            let sql = &mut Session::new(&mut *connection, queries);
            reads::messages(sql, room, after, until).await
        };
        let messages = follower.in_time(read).await?;
        (messages.last()?.seq == until).then_some(messages)
    }

    /// A list, if a replica has come far enough.
    pub(super) async fn listed(&self, queries: &Queries, query: &RoomQuery) -> Option<Vec<Listed>> {
        let follower = self.one_that_reached(self.shared.changed_at.load(Ordering::SeqCst) + 1)?;
        let read = async {
            let mut connection = follower.pool.acquire().await?;
            reads::listed(&mut Session::new(&mut *connection, queries), query).await
        };
        follower.in_time(read).await
    }

    /// The next one in turn of those that are in use and have come this far.
    fn one_that_reached(&self, beat: i64) -> Option<&Follower> {
        let followers = &self.shared.followers;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            (0..followers.len()).map(|i| &followers[(first.wrapping_add(i)) % followers.len()]);
        in_turn.into_iter().find(|follower| {
            follower.in_use.load(Ordering::Relaxed)
                && follower.reached.load(Ordering::SeqCst) >= beat
        })
    }

    pub(super) fn state(&self) -> Vec<Replica> {
        let written = self.shared.written.load(Ordering::SeqCst);
        let state = |follower: &Follower| Replica {
            address: follower.address.clone(),
            in_use: follower.in_use.load(Ordering::Relaxed),
            behind_s: u64::try_from(written - follower.reached.load(Ordering::SeqCst)).unwrap_or(0),
        };
        self.shared.followers.iter().map(state).collect()
    }

    pub(super) async fn close(&self, primary: &MySqlPool) {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(watch) = watch else { return };
        watch.abort();
        // A row that stays is removed by another process tomorrow.
        sqlx::query(FORGET).bind(&self.shared.process).execute(primary).await.ok();
        for follower in &self.shared.followers {
            follower.pool.close().await;
        }
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watch) = watch {
            watch.abort();
        }
    }
}

impl Shared {
    async fn watch(&self, primary: &MySqlPool) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let beat = self.beat.fetch_add(1, Ordering::SeqCst) + 1;
            let write = sqlx::query(BEAT).bind(&self.process).bind(beat).execute(primary);
            // If it fails, replicas cannot have come further; those who ask the primary report it.
            if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, write).await {
                self.written.store(beat, Ordering::SeqCst);
            }
            let written = self.written.load(Ordering::SeqCst);
            let looks = self.followers.iter().map(|follower| follower.look(&self.process, written));
            futures_util::future::join_all(looks).await;
        }
    }
}

impl Follower {
    /// Finds out how far it has come.
    async fn look(&self, process: &[u8], written: i64) {
        let ask = sqlx::query_scalar(REACHED).bind(process).fetch_optional(&self.pool);
        let reached: Option<i64> = match tokio::time::timeout(PATIENCE, ask).await {
            Ok(Ok(reached)) => reached,
            Ok(Err(error)) => return self.leave_out(&error.to_string()),
            Err(_) => return self.leave_out("it does not answer"),
        };
        let reached = reached.unwrap_or(0);
        self.reached.store(reached, Ordering::SeqCst);
        if written - reached > MOST_BEHIND {
            return self.leave_out("it is too far behind");
        }
        if !self.in_use.swap(true, Ordering::Relaxed) {
            tracing::info!(replica = self.address, "a replica is in use");
        }
    }

    fn leave_out(&self, why: &str) {
        if self.in_use.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                replica = self.address,
                why,
                "a replica is left out; the primary answers"
            );
        }
    }

    /// What is read here, unless it takes too long or fails.
    async fn in_time<T>(&self, read: impl Future<Output = Result<T, sqlx::Error>>) -> Option<T> {
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(read)) => Some(read),
            Ok(Err(error)) => {
                self.leave_out(&error.to_string());
                None
            }
            Err(_) => {
                self.leave_out("it does not answer");
                None
            }
        }
    }
}
