//! A program that is started, on one core if that matters, what it says, and its end. Whatever happens, it ends with its
//! [`Program`].

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;

/// As much is kept of what a program says, to be shown when it fails.
const KEPT_LINES: usize = 20;

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    last: VecDeque<String>,
    ended: bool,
}

impl Program {
    /// Starts it. If a core is named, it runs there only, and so do all of its threads.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, core: Option<usize>) -> Outcome<Self> {
        let (reader, writer) = pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        // A child inherits where its parent may run at this moment.
        let everywhere = sched_getaffinity(None)?;
        if let Some(core) = core {
            let mut here = CpuSet::new();
            here.set(core);
            sched_setaffinity(None, &here)?;
        }
        let child = command.spawn();
        sched_setaffinity(None, &everywhere)?;
        let child = child.map_err(|error| format!("can't start {name}: {error}"))?;
        let said = Arc::<Said>::default();
        let shared = Arc::clone(&said);
        std::thread::spawn(move || shared.listen(reader));
        // `command` holds the other end of the pipe, and goes here: what is said ends with the child.
        Ok(Self { name: name.to_owned(), child, said })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What stands behind these words, up to a space, once it has said them.
    ///
    /// # Errors
    /// If it does not.
    pub fn says(&self, words: &str, patience: Duration) -> Outcome<String> {
        let find = |line: &String| {
            let (_, rest) = line.split_once(words)?;
            Some(rest.split(' ').next().unwrap_or(rest).to_owned())
        };
        let said = self.wait(patience, |lines| lines.last.iter().find_map(find).is_some());
        let found = said.last.iter().find_map(find);
        Ok(found.ok_or_else(|| self.failed(&said, &format!("did not say `{words}`")))?)
    }

    /// How it ended, if it has within this time.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self, patience: Duration) -> Outcome<Option<ExitStatus>> {
        let ended = self.wait(patience, |_| false).ended;
        Ok(if ended { Some(self.child.wait()?) } else { None })
    }

    /// Fails unless it still runs.
    ///
    /// # Errors
    /// How it ended, and the last that it said.
    pub fn still_runs(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.fault(&format!("ended ({status})")).into()),
        }
    }

    /// What happened to it, and the last that it said.
    #[must_use]
    pub fn fault(&self, what: &str) -> String {
        self.failed(&self.said.lines(), what)
    }

    fn failed(&self, said: &Lines, what: &str) -> String {
        let last = said.last.iter().fold(String::new(), |all, line| all + "\n    " + line);
        format!("{} {what}{last}", self.name)
    }

    fn wait(&self, patience: Duration, enough: impl Fn(&Lines) -> bool) -> MutexGuard<'_, Lines> {
        let waiting = |lines: &mut Lines| !lines.ended && !enough(lines);
        let lines = self.said.more.wait_timeout_while(self.said.lines(), patience, waiting);
        lines.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Said {
    fn listen(&self, reader: PipeReader) {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let mut lines = self.lines();
            if lines.last.len() == KEPT_LINES {
                lines.last.pop_front();
            }
            lines.last.push_back(line);
            self.more.notify_all();
        }
        self.lines().ended = true;
        self.more.notify_all();
    }

    /// Nothing that holds them can fail half-way.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It fails if the program has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
