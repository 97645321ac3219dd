//! The examples as their reader runs them: as programs, each with a deadline.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// How long a test waits for something that must come, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running example. It ends with the test, however that ends.
pub struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: ChildStderr,
}

impl Example {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let errors = child.stderr.take().expect("its errors");
        Self { child, lines, errors }
    }

    /// The next line that it prints; `None` if it prints no more.
    pub async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time").expect("text")
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Presses Ctrl-C.
    pub async fn interrupt(&self) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-INT", &id]).status().await;
        assert!(status.expect("kill").success());
    }

    /// Waits until it has ended, well and without a complaint: the rest of its output.
    pub async fn end(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        let mut errors = String::new();
        let read = self.errors.read_to_string(&mut errors);
        timeout(PATIENCE, read).await.expect("it ends in time").expect("text");
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time");
        let status: ExitStatus = status.expect("a status");
        assert!(status.success() && errors.is_empty(), "{status}: {errors}");
        rest
    }
}

/// Runs an example to its end: all that it prints.
pub async fn run(program: &str, arguments: &[&str]) -> Vec<String> {
    Example::start(program, arguments).end().await
}
