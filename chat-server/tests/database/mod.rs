//! MariaDB for tests: a database of one's own on the servers that `scripts/services` starts, a
//! server of one's own that may be killed, and a proxy in front of either that loses what it should
//! carry.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

pub mod proxy;
pub mod server;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// How long a test waits for something that must come, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A database on the shared primary, which the replica has too. It is gone at the end of the test,
/// and with it every connection to it.
pub struct Database {
    name: String,
}

impl Database {
    pub async fn new() -> Self {
        let name = format!("chat_{}", uuid::Uuid::now_v7().simple());
        let mut connection = connect(&address("CHAT_MYSQL_PRIMARY", "")).await;
        create(&mut connection, &name).await;
        Self { name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// With an account that may do everything but what needs `SUPER`.
    pub fn url(&self) -> String {
        address("CHAT_MYSQL_PRIMARY", &self.name)
    }

    /// With an account that may do everything.
    pub fn admin_url(&self) -> String {
        address("CHAT_MYSQL_PRIMARY_ADMIN", &self.name)
    }

    /// As [`url`](Self::url), over TLS, to a server whose certificate is of the right authority.
    pub fn tls_url(&self) -> String {
        let (bare, authority) = (variable("CHAT_MYSQL_PRIMARY"), variable("CHAT_MYSQL_CA"));
        format!("{bare}{}?ssl-mode=VERIFY_CA&ssl-ca={authority}", self.name)
    }

    /// The same database on the replica, where this account can't write.
    pub fn replica_url(&self) -> String {
        address("CHAT_MYSQL_REPLICA", &self.name)
    }

    /// As [`replica_url`](Self::replica_url), with an account that may do everything.
    pub fn replica_admin_url(&self) -> String {
        address("CHAT_MYSQL_REPLICA_ADMIN", &self.name)
    }

    /// A connection to the primary.
    pub async fn connect(&self) -> MySqlConnection {
        connect(&self.url()).await
    }

    /// Waits until the replica has everything that the primary has by now.
    pub async fn replicated(&self) {
        let end = "SELECT @@GLOBAL.gtid_binlog_pos";
        let end = sqlx::query_scalar::<_, String>(end).fetch_one(&mut self.connect().await).await;
        let waited = sqlx::query_scalar::<_, i64>("SELECT MASTER_GTID_WAIT(?, ?)")
            .bind(end.expect("a position"))
            .bind(PATIENCE.as_secs())
            .fetch_one(&mut connect(&address("CHAT_MYSQL_REPLICA", "")).await)
            .await;
        assert_eq!(waited.expect("an answer"), 0, "the replica does not follow");
    }

    /// Keeps the replica from following until what this gives back is dropped. It is the replica of
    /// every test: one after the other can do this, and meanwhile the others' waits are longer.
    pub async fn pause_replication() -> Paused {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let paused = Paused { _alone: ALONE.lock().await };
        let mut connection = connect(&address("CHAT_MYSQL_REPLICA_ADMIN", "")).await;
        sqlx::raw_sql("STOP SLAVE").execute(&mut connection).await.expect("it stops");
        paused
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        wait_for(async move {
            // A transaction that somebody has left open would have the others wait, on the replica
            // every test.
            free("CHAT_MYSQL_REPLICA_ADMIN", &name).await?.close().await?;
            let mut connection = free("CHAT_MYSQL_PRIMARY_ADMIN", &name).await?;
            let drop = AssertSqlSafe(format!("DROP DATABASE `{name}`"));
            sqlx::raw_sql(drop).execute(&mut connection).await?;
            connection.close().await
        });
    }
}

/// The replica follows again when this is dropped.
pub struct Paused {
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Paused {
    fn drop(&mut self) {
        wait_for(async {
            let mut connection =
                MySqlConnection::connect(&address("CHAT_MYSQL_REPLICA_ADMIN", "")).await?;
            sqlx::raw_sql("START SLAVE").execute(&mut connection).await?;
            connection.close().await
        });
    }
}

/// A connection, which must succeed.
pub async fn connect(url: &str) -> MySqlConnection {
    let connected = timeout(PATIENCE, MySqlConnection::connect(url)).await;
    connected.expect("in time").expect("a connection")
}

async fn create(connection: &mut MySqlConnection, name: &str) {
    let create = format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await.expect("a database");
}

/// Ends all connections to a database on one of the shared servers, by the one that it gives back.
async fn free(server: &str, name: &str) -> sqlx::Result<MySqlConnection> {
    let mut connection = MySqlConnection::connect(&address(server, "")).await?;
    // Not the thread by which a replica follows, which is in each database that it has just written to.
    let users = "SELECT id FROM information_schema.processlist \
        WHERE db = ? AND user <> 'system user'";
    let users = sqlx::query_scalar::<_, i64>(users).bind(name);
    for user in users.fetch_all(&mut connection).await? {
        let kill = AssertSqlSafe(format!("KILL {user}"));
        // It may have gone by itself.
        sqlx::raw_sql(kill).execute(&mut connection).await.ok();
    }
    Ok(connection)
}

/// The address of a database on one of the shared servers, whose own is in a variable.
fn address(name: &str, database: &str) -> String {
    format!("{}{database}?ssl-mode=DISABLED", variable(name))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "these tests need a database, and {name} is not set: \
             scripts/services run cargo test …, or eval \"$(scripts/services env)\" \
             after scripts/services up"
        )
    })
}

/// Does this to its end in a place where nothing can be awaited. That it fails is only said, since
/// the test may be failing already.
fn wait_for(task: impl Future<Output = sqlx::Result<()>> + Send + 'static) {
    let thread = std::thread::spawn(|| runtime().block_on(async { timeout(PATIENCE, task).await }));
    match thread.join() {
        Ok(Ok(Ok(()))) => {}
        other => eprintln!("the databases are not as they were: {other:?}"),
    }
}

/// What runs tasks on one thread alone.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Listens on a port that nobody has, from a range in which the system gives none to those who do
/// not ask for it: who stops listening there can begin again.
fn listener() -> TcpListener {
    loop {
        let port = 10_000 + getrandom::u32().expect("random bytes") % 10_000;
        let port = u16::try_from(port).expect("a port");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            listener.set_nonblocking(true).expect("a listener");
            return listener;
        }
    }
}
