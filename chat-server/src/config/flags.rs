//! The command line of the server. It only holds what was typed: what the values mean, and which of
//! them win, is decided where the settings are read.

use std::path::PathBuf;

use clap::Parser;

/// A chat server: rooms, history, presence and recovery over WebSocket and HTTP, in one program
/// that starts with no set-up.
///
/// Settings are read from config/default.toml, then config/{environment}.toml or the file named by
/// --config, then variables such as CHAT__SERVER__LISTEN, then these flags; each overrides the one
/// before it.
// No `Debug`: somebody might type a secret behind `--set`.
#[derive(Clone, Default, Parser)]
#[command(name = "chat-server", version)]
pub struct Flags {
    /// Read this file instead of config/{environment}.toml; it must exist
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What kind of installation this is: development (the default), production, or a name of your
    /// own
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,

    /// Address and port to listen on, such as 0.0.0.0:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,

    /// Folder for the database, the signing key and uploads
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,

    /// Set any other setting, such as rooms.grace_s=10; may be repeated, the last one wins
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,

    /// Make the index anew by which messages are found, and stop; servers may go on meanwhile. One that was cut
    /// short is gone on with
    #[arg(long)]
    pub rebuild_search: bool,

    /// Let everybody begin anew who comes back to a room, and stop: after a backup was put back, before any server
    /// is started on it
    #[arg(long)]
    pub reset_cursors: bool,

    /// Read the settings, print them with secrets hidden, and stop
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Flags::command().debug_assert();
    }
}
