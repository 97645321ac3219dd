//! A MariaDB of this program's own, made from the template of `scripts/services`: as durable as the ones
//! that those keep up, but without a replica, which would work on the same cores, and with nobody else
//! on it, so that all that it counts is of what is measured.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chat_server::store::QueryCounts;
use reqwest::Url;
use rustix::process::geteuid;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
use tempfile::TempDir;

use crate::Outcome;

/// The variable that names the folder of the template.
const TEMPLATE: &str = "CHAT_MYSQL_TEMPLATE";
const TO_START: Duration = Duration::from_secs(60);
/// Where it is tried again that a port was taken.
const PORTS: usize = 5;

/// It ends with this, and what it has stored goes with it.
pub struct MariaDb {
    process: Child,
    /// With an account, without a database.
    url: Url,
    folder: TempDir,
}

impl MariaDb {
    /// Whether there is a template to make one from.
    #[must_use]
    pub fn is_there() -> bool {
        variable(TEMPLATE).is_ok()
    }

    /// Starts it in a folder of this one; it can be used when this is done.
    ///
    /// # Errors
    /// If there is no template, or it does not start from it.
    pub async fn start(scratch: &Path) -> Outcome<Self> {
        let (template, url) = (variable(TEMPLATE)?, variable("CHAT_MYSQL_PRIMARY")?);
        let template = PathBuf::from(template);
        let folder = TempDir::with_prefix_in("mariadb.", scratch)?;
        fs::create_dir(folder.path().join("tmp"))?;
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(template.join("data")).arg(folder.path().join("data"));
        if !copy.status()?.success() {
            return Err(format!("can't copy {}", template.display()).into());
        }
        let mut url = Url::parse(&url)?;
        url.set_query(Some("ssl-mode=DISABLED"));
        let mut port = free_port()?;
        let mut server = Self { process: start(folder.path(), &template, port)?, url, folder };
        for _ in 0..PORTS {
            server.url.set_port(Some(port)).map_err(|()| "CHAT_MYSQL_PRIMARY has no port")?;
            if server.answers().await? {
                server.must_be_durable().await?;
                return Ok(server);
            }
            port = free_port()?;
            server.process = start(server.folder.path(), &template, port)?;
        }
        let log = fs::read(server.folder.path().join("error.log")).unwrap_or_default();
        Err(format!("MariaDB does not start: {}", String::from_utf8_lossy(&log)).into())
    }

    /// Where it stores.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    /// Makes a database anew, empty; answers its address.
    ///
    /// # Errors
    /// If MariaDB has one.
    pub async fn make(&self, database: &str) -> Outcome<String> {
        self.drop(database).await?;
        let make =
            format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        self.ask(make).await?;
        Ok(self.url(database))
    }

    /// Removes a database if it is there.
    ///
    /// # Errors
    /// If MariaDB has one.
    pub async fn drop(&self, database: &str) -> Outcome<()> {
        self.ask(format!("DROP DATABASE IF EXISTS `{database}`")).await?;
        self.forget_log().await
    }

    /// Removes the files of the binary log that it writes to no more: nobody follows it.
    ///
    /// # Errors
    /// If MariaDB has one.
    pub async fn forget_log(&self) -> Outcome<()> {
        self.ask("PURGE BINARY LOGS BEFORE NOW()".into()).await
    }

    /// How many statements it has carried out since it was started.
    ///
    /// # Errors
    /// If MariaDB has one.
    pub async fn counted(&self) -> Outcome<QueryCounts> {
        let status = "SHOW GLOBAL STATUS WHERE Variable_name LIKE 'Com\\_%' \
            OR Variable_name = 'Binlog_commits'";
        let rows = self.connect().await?.fetch_all(status).await?;
        let count = |kind: &str| -> Outcome<u64> {
            let row = rows.iter().find(|row| row.try_get(0).is_ok_and(|name: &str| name == kind));
            let count: &str =
                row.ok_or_else(|| format!("MariaDB does not count {kind}"))?.try_get(1)?;
            Ok(count.parse()?)
        };
        Ok(QueryCounts {
            commits: count("Binlog_commits")?,
            selects: count("Com_select")?,
            inserts: count("Com_insert")?,
            updates: count("Com_update")?,
            deletes: count("Com_delete")?,
        })
    }

    async fn ask(&self, text: String) -> Outcome<()> {
        self.connect().await?.execute(sqlx::raw_sql(AssertSqlSafe(text))).await?;
        Ok(())
    }

    async fn connect(&self) -> sqlx::Result<MySqlConnection> {
        MySqlConnection::connect(&self.url("")).await
    }

    /// Waits until it answers, or has ended.
    async fn answers(&mut self) -> Outcome<bool> {
        let since = Instant::now();
        while self.process.try_wait()?.is_none() && since.elapsed() < TO_START {
            if self.connect().await.is_ok() {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }

    /// What is measured is worth nothing if commits do not wait for the disk.
    async fn must_be_durable(&self) -> Outcome<()> {
        let settings = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, \
            @@GLOBAL.log_bin";
        let row = self.connect().await?.fetch_one(settings).await?;
        let found: (i64, i64, i64) =
            (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?, row.try_get_unchecked(2)?);
        if found == (1, 1, 1) { Ok(()) } else { Err("MariaDB is not set to be durable".into()) }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // It fails if the server has ended already. Nothing is lost that anybody wants to keep.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Ends with this program at the latest, even if that is killed.
fn start(folder: &Path, template: &Path, port: u16) -> Outcome<Child> {
    let place = |name: &str| folder.join(name).display().to_string();
    // Debian keeps programs of servers where only root looks.
    let programs = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut program = Command::new("setpriv");
    program
        .args(["--pdeathsig", "KILL", "--", "mariadbd"])
        .env("PATH", programs)
        .arg(format!("--defaults-file={}", template.join("options.cnf").display()))
        // It does not run as root unless it is told to.
        .args(geteuid().is_root().then_some("--user=root"))
        .arg(format!("--datadir={}", place("data")))
        .arg(format!("--tmpdir={}", place("tmp")))
        .arg(format!("--socket={}", place("socket")))
        .arg(format!("--pid-file={}", place("pid")))
        .arg(format!("--log-error={}", place("error.log")))
        .arg(format!("--port={port}"))
        .arg("--innodb-buffer-pool-size=512M")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(program.spawn().map_err(|error| format!("can't start setpriv and mariadbd: {error}"))?)
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn variable(name: &str) -> Outcome<String> {
    let missing = "there is no MariaDB: begin the command with `scripts/services run`";
    Ok(std::env::var(name).map_err(|_| format!("{missing} ({name} is not set)"))?)
}
