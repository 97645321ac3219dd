//! A MariaDB of one test's own, which may be killed, frozen and started again.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{Connection, MySqlConnection};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{PATIENCE, connect, create, listener, variable};

/// As durable as the shared ones, with the same accounts and a database, `chat`. It ends with the
/// thread that has started it at the latest, so that none is left behind by a test that is killed.
pub struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Once it can be used.
    pub async fn new() -> Self {
        let folder = TempDir::with_prefix("chat-mariadb.").expect("a folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        let template = format!("{}/data", variable("CHAT_MYSQL_TEMPLATE"));
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(template).arg(folder.path().join("data"));
        assert!(copy.status().expect("cp").success());
        let port = free_port();
        let mut server = Self { process: start(folder.path(), port), port, folder };
        // The port may have been taken since.
        for _ in 0..4 {
            if server.answers().await {
                break;
            }
            server.port = free_port();
            server.process = start(server.folder.path(), server.port);
        }
        assert!(server.answers().await, "it does not start: {}", server.log());
        create(&mut connect(&server.address("chat", "")).await, "chat").await;
        server
    }

    /// With an account that may do everything but what needs `SUPER`.
    pub fn url(&self) -> String {
        self.address("chat", "chat")
    }

    /// With an account that may do everything.
    pub fn admin_url(&self) -> String {
        self.address("admin", "chat")
    }

    /// A connection.
    pub async fn connect(&self) -> MySqlConnection {
        connect(&self.url()).await
    }

    /// Takes it away without a warning, as `kill -9` and the kernel do.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("a status");
    }

    /// Starts it again behind [`kill`](Self::kill), where it was and with what it had.
    pub async fn restart(&mut self) {
        self.process = start(self.folder.path(), self.port);
        assert!(self.answers().await, "it does not start again: {}", self.log());
    }

    /// Has it do nothing at all, while the system still takes connections and bytes for it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // Each of its threads goes on until it has heard of it.
        let since = Instant::now();
        while !self.is_frozen() {
            assert!(since.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has it go on behind [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("error.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    fn is_frozen(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs");
        threads.flatten().all(|thread| {
            // The state is behind the thread's name in brackets. A thread may have ended meanwhile.
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        })
    }

    fn address(&self, account: &str, database: &str) -> String {
        let shared = variable("CHAT_MYSQL_PRIMARY");
        let password = shared.split(['@', ':']).nth(2).expect("a password");
        let Self { port, .. } = self;
        format!("mysql://{account}:{password}@127.0.0.1:{port}/{database}?ssl-mode=DISABLED")
    }

    /// Waits until it answers, or has ended.
    async fn answers(&mut self) -> bool {
        let wait = async {
            while self.process.try_wait().expect("a status").is_none() {
                if MySqlConnection::connect(&self.address("chat", "")).await.is_ok() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        };
        timeout(PATIENCE, wait).await.unwrap_or(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn start(folder: &Path, port: u16) -> Child {
    let options = format!("{}/options.cnf", variable("CHAT_MYSQL_TEMPLATE"));
    let place = |name: &str| folder.join(name).display().to_string();
    // Debian keeps programs of servers where only root looks.
    let programs = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut program = Command::new("setpriv");
    program.args(["--pdeathsig", "KILL", "--", "mariadbd"]).env("PATH", programs);
    program.arg(format!("--defaults-file={options}"));
    // It does not run as root unless it is told to.
    program.args(geteuid().is_root().then_some("--user=root"));
    program
        .arg(format!("--datadir={}", place("data")))
        .arg(format!("--tmpdir={}", place("tmp")))
        .arg(format!("--socket={}", place("socket")))
        .arg(format!("--log-error={}", place("error.log")))
        .arg(format!("--port={port}"))
        // Enough for a test, and quick to make.
        .args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv")
}

/// A port that is free for now.
fn free_port() -> u16 {
    listener().local_addr().expect("an address").port()
}
