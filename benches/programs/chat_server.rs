//! How the chat server is started.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What its tokens are signed with, here and by the load tool.
pub const SECRET: &str = "a secret of the benchmarks alone, 32 bytes and more";

/// It has started when it has said this, and then its address.
pub const LISTENING: &str = "listening; open http://";

/// How long it may take to start.
pub const TO_START: Duration = Duration::from_secs(20);

/// It takes a free port and has its files in a folder; settings do not depend on where the benchmark is
/// started.
#[must_use]
pub fn chat_server<'a>(
    programs: &Path,
    data: &Path,
    settings: impl IntoIterator<Item = &'a str>,
) -> Command {
    let mut command = Command::new(programs.join("chat-server"));
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.current_dir(data).env("CHAT__AUTH__SECRET", SECRET);
    command
}
