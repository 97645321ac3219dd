//! The servers that are compared: what they are called, how each is started, and what must be there
//! for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shared::Outcome;
use shared::programs::{self, LISTENING, Program, TO_START, chat_server};
use tempfile::TempDir;

/// How this server is set up beyond its defaults: one core, and nothing in the way of a load.
const SETTINGS: &[&str] = &["server.workers=1", "socket.commands_per_s=0", "socket.bytes_per_s=0"];

/// One of those that are compared.
pub(crate) struct Server {
    /// As it is called on the command line and in the figures.
    pub(crate) name: &'static str,
    /// As it is called in tables.
    pub(crate) label: &'static str,
    /// What the load tool speaks with it.
    pub(crate) dialect: &'static str,
    kind: Kind,
}

enum Kind {
    /// This project's, with a store in memory or in a file.
    Chat { memory: bool },
    /// A program of this crate.
    Beside(&'static str),
    /// A script of `benches/peers`.
    Node(&'static str),
}

/// The floor that all are measured against.
pub(crate) static LIMIT: Server = Server {
    name: "limit",
    label: "the limit: a bare epoll loop",
    dialect: "plain",
    kind: Kind::Beside("limit"),
};

/// This server, as it is compared with the others: like them, it keeps nothing on a disk.
pub(crate) static OURS: Server = Server {
    name: "chat-memory",
    label: "this server, memory",
    dialect: "chat",
    kind: Kind::Chat { memory: true },
};

/// This server as it is used.
pub(crate) static STORED: Server = Server {
    name: "chat-sqlite",
    label: "this server, SQLite",
    dialect: "chat",
    kind: Kind::Chat { memory: false },
};

/// The peer that musts are named for.
pub(crate) static SOCKET_IO: Server = Server {
    name: "socketio",
    label: "Socket.IO on Node",
    dialect: "socketio",
    kind: Kind::Node("socketio.mjs"),
};

static WS: Server =
    Server { name: "ws", label: "ws on Node", dialect: "plain", kind: Kind::Node("ws.mjs") };

static SOCKETIOXIDE: Server = Server {
    name: "socketioxide",
    label: "socketioxide",
    dialect: "socketio",
    kind: Kind::Beside("peer-socketioxide"),
};

static AXUM: Server = Server {
    name: "axum",
    label: "axum with a broadcast",
    dialect: "plain",
    kind: Kind::Beside("peer-axum"),
};

pub(crate) static ALL: [&Server; 7] =
    [&LIMIT, &OURS, &STORED, &SOCKET_IO, &WS, &SOCKETIOXIDE, &AXUM];

/// Where programs are found and where they run.
pub(crate) struct Place {
    /// The folder of this program, and of those that are built with it.
    pub(crate) programs: PathBuf,
    pub(crate) peers: PathBuf,
    /// A folder on a disk, for what lasts no longer than a run.
    pub(crate) scratch: PathBuf,
    pub(crate) server_core: usize,
    pub(crate) load_core: usize,
}

/// A server that has been started.
pub(crate) struct Running {
    pub(crate) program: Program,
    /// Address and port.
    pub(crate) address: String,
    /// Dropped after the program has ended.
    _data: TempDir,
}

impl Server {
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Chat { .. })
    }

    /// The program that it needs among those that are built.
    fn program(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Chat { .. } => Some("chat-server"),
            Kind::Beside(program) => Some(program),
            Kind::Node(_) => None,
        }
    }

    /// Starts it with a fresh folder; it listens when this is done.
    pub(crate) fn start(&self, place: &Place) -> Outcome<Running> {
        let data = TempDir::new_in(&place.scratch)?;
        let (command, words) = match self.kind {
            Kind::Chat { memory } => {
                let store = memory.then_some("store.url=memory:");
                let settings = SETTINGS.iter().copied().chain(store);
                (chat_server(&place.programs, data.path(), settings), LISTENING)
            }
            Kind::Beside(program) => (Command::new(place.programs.join(program)), "listening on "),
            Kind::Node(script) => {
                let mut command = Command::new("node");
                command.arg(place.peers.join(script)).env("NODE_ENV", "production");
                (command, "listening on ")
            }
        };
        let program = Program::start(self.name, command, Some(place.server_core))?;
        let address = program.says(words, TO_START)?;
        Ok(Running { program, address, _data: data })
    }
}

/// Fails, and says what to do, unless all is there that these servers need.
pub(crate) fn ready(servers: &[&Server], place: &Place) -> Outcome<()> {
    let needed = servers.iter().filter_map(|server| server.program()).chain(["load"]);
    programs::built(&needed.collect::<Vec<_>>())?;
    if servers.iter().any(|server| matches!(server.kind, Kind::Node(_))) {
        install(&place.peers)?;
    }
    Ok(())
}

/// Has npm install what the peers on Node need, as their lock file says, if it is not there.
fn install(peers: &Path) -> Outcome<()> {
    let others = "install Node 18 or newer with npm, or leave out what needs it: see --only";
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Err(format!("there is no Node: {others}").into());
    }
    if peers.join("node_modules").is_dir() {
        return Ok(());
    }
    let npm = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(peers)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("can't start npm: {error}; {others}"))?;
    if npm.success() { Ok(()) } else { Err("`npm ci` failed in benches/peers".into()) }
}
