//! The program itself, started as people start it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::until;

/// The program, started in a folder that it has for itself, with no variables but these.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub fn spawn(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        Self::run(program.args(flags), folder, variables)
    }

    /// As [`spawn`](Self::spawn), by a shell that has changed a limit of the system's first.
    pub fn spawn_below(folder: &Path, limit: &str, flags: &[&str]) -> Self {
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_chat-server")]).args(flags);
        Self::run(&mut shell, folder, &[])
    }

    fn run(program: &mut Command, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = program
            .current_dir(folder)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let log = Arc::<Mutex<String>>::default();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *shared.lock().expect("the log") += &(line + "\n");
            }
        });
        Self { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Its address, once it listens.
    pub async fn address(&mut self) -> String {
        let mut address = None;
        until("it listens", async || {
            let log = self.log();
            let said = log.split_once("listening; open http").map(|(_, rest)| rest);
            let said = said.and_then(|rest| rest.split_once("://")).map(|(_, rest)| rest);
            address = said.and_then(|rest| Some(rest.split_once(' ')?.0.to_owned()));
            let ended = self.child.try_wait().expect("a status");
            assert!(address.is_some() || ended.is_none(), "it ended: {}", self.log());
            address.is_some()
        })
        .await;
        address.expect("an address")
    }

    /// Takes it away without a warning, as `kill -9` and the kernel do.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a status");
    }

    /// Tells it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it this signal.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    }

    /// How much memory it holds, in bytes, and the most that it has held.
    pub fn memory(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().split(' ').next().and_then(|kib| kib.parse::<usize>().ok()).expect(name)
        };
        (kib("VmRSS:") * 1_024, kib("VmHWM:") * 1_024)
    }

    /// How much time processors have spent on it, in hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        // The second field is the program's name in brackets; the fourteenth and fifteenth are these.
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
    }

    /// How it ended, once it has, and all that it said.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let mut status = None;
        until("it ends", async || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        })
        .await;
        // The log's thread drops its half when it has read everything.
        until("its log is read", async || Arc::strong_count(&self.log) == 1).await;
        (status.expect("a status"), self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a start that must fail says.
pub async fn refused(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> String {
    let (status, log) = Process::spawn(folder, flags, variables).ended().await;
    assert!(status.code().is_some_and(|code| code != 0), "{flags:?}: {status}: {log}");
    assert!(!log.contains("panicked") && !log.contains("listening"), "{flags:?}: {log}");
    log
}

/// Where it is to listen.
pub const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// The program with these flags, once it listens, and its address.
pub async fn start(folder: &Path, flags: &[&str]) -> (Process, String) {
    let mut process = Process::spawn(folder, &[&ANY_PORT, flags].concat(), &[]);
    let address = process.address().await;
    (process, address)
}
