//! What the load tool is told on its command line, and what does not go together.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Puts a chat server under load and says what it did: deliveries a second, latencies, CPU and memory.
#[derive(Debug, Parser)]
#[command(name = "load", after_help = AFTER)]
pub(crate) struct Arguments {
    /// What is put under load.
    #[command(subcommand)]
    pub(crate) what: What,
}

const AFTER: &str = "\
Exit code: 0 if all went well, 1 if there were faults (a gap, a double, a wrong order, a lost message, a
connection that was closed, an error that was answered), 2 if the run could not be done.";

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Many WebSocket connections in rooms; checks order, gaps and doubles on each of them.
    Ws(Box<Ws>),
    /// The HTTP API: sign in, list rooms, read a page of history, send.
    Http(Http),
}

/// How users come in.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// The server's `auth.secret`. With it the tool signs its users' tokens itself; without it, or
    /// --secret-file, each user signs in as a guest. Everybody on this machine can read a command line:
    /// a file keeps it secret.
    #[arg(long, conflicts_with = "secret_file")]
    pub(crate) secret: Option<String>,
    /// A file with the server's signing key: `signing.key` of its data folder, or a text that was
    /// given as `auth.secret`.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The server's `auth.issuer`.
    #[arg(long, default_value = "chat-server")]
    pub(crate) issuer: String,
    /// The server's `auth.audience`.
    #[arg(long, default_value = "chat")]
    pub(crate) audience: String,
}

/// Where the figures go.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Writes the figures as JSON to this file; `-` is standard output, in place of the text.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws the distribution of the latencies into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// The server's process, if it is on this machine: its CPU time and memory are read before and
    /// after.
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = WS_AFTER)]
pub(crate) struct Ws {
    /// The server's WebSocket address (`ws://`; TLS is not spoken).
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub(crate) url: String,
    /// How many connections, spread evenly over the rooms; each is a user of its own.
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = at_least_one)]
    pub(crate) connections: usize,
    /// How many rooms. They are opened by this tool and stay when it has gone.
    #[arg(long, short = 'r', default_value_t = 1, value_parser = at_least_one)]
    pub(crate) rooms: usize,
    /// When messages are sent.
    #[arg(long, value_enum, default_value_t = Mode::Closed)]
    pub(crate) mode: Mode,
    /// Closed loop: how many messages are under way in each room at once, each sent by another member.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) in_flight: usize,
    /// Closed loop: how many messages are under way over all rooms, at most; the rooms take turns. Unless
    /// given, every room sends.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) senders: Option<usize>,
    /// Sends a client key with each message.
    #[arg(long)]
    pub(crate) keys: bool,
    /// Open loop: messages a second, over all rooms.
    #[arg(long, value_name = "MSGS_PER_S", default_value_t = 10.0, value_parser = above_zero)]
    pub(crate) rate: f64,
    /// How long is measured, in seconds.
    #[arg(long, short = 's', default_value_t = 10.0, value_parser = above_zero)]
    pub(crate) seconds: f64,
    /// How long messages are sent before that, without being counted, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = zero_or_more)]
    pub(crate) warmup: f64,
    /// How many bytes the text of a message has, 16 to 4,000.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(16..=4_000))]
    pub(crate) text_bytes: u16,
    /// What the server speaks.
    #[arg(long, value_enum, default_value_t = Dialect::Chat)]
    pub(crate) dialect: Dialect,
    /// How many connections may be coming in at once. A server that is not quick to accept them drops
    /// what its listening socket has no place for, often above 128, which then costs a second.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    pub(crate) connecting: usize,
    /// From how many loopback addresses (127.0.0.2 and on) connections come, so that no address runs
    /// out of ports. Unless given, one for each 20,000 connections; only for a server on 127.0.0.0/8.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) source_addresses: Option<u8>,
    /// Never sleeps while it waits, which takes a whole core. A server on the same machine then does not
    /// pay for waking this tool with each thing that it sends.
    #[arg(long)]
    pub(crate) busy_poll: bool,
    /// So many of the connections join and then never read again. They count in no figure; the others
    /// must not notice.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) stall: usize,
    /// Instead of a mode: connect all, join, disconnect all, so many times; with --server-pid, the
    /// server's memory after each round is reported.
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["mode", "stall", "beside_rooms"])]
    pub(crate) churn: Option<usize>,
    /// A second population beside the first: so many small rooms, in open loop, whose latency is
    /// reported apart.
    #[arg(long, value_name = "R2", default_value_t = 0)]
    pub(crate) beside_rooms: usize,
    /// How many further connections each of those rooms has.
    #[arg(long, value_name = "M", default_value_t = 10, value_parser = at_least_one)]
    pub(crate) beside_size: usize,
    /// Messages a second over all of those rooms.
    #[arg(long, value_name = "MSGS_PER_S", default_value_t = 100.0, value_parser = above_zero)]
    pub(crate) beside_rate: f64,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) output: Output,
}

const WS_AFTER: &str = "\
Modes:
  closed  a room's next message is sent when all its members have the last one; the latency is from the
          sending to each delivery
  open    messages are sent by the clock, whether or not the last ones have arrived; the latency is from
          the moment at which a message should have been sent, so that a server that holds the sender
          up does not look better for it
  idle    nothing is sent; connections answer pings

Dialects:
  chat      this server's protocol
  plain     a server that sends each text frame unchanged to everybody in the room, sender included; the
            room is in the address: ?room=0, ?room=1 …
  socketio  Socket.IO 5 over WebSocket, at /socket.io/ whatever the address's path; emits `join` with the
            room's number, waits for `joined`, and takes every `message` for a delivery

Examples:
  load ws --connections 1000 --seconds 10
  load ws -n 10000 -r 1000 --in-flight 8 --secret-file data/signing.key --server-pid $(pidof chat-server)
  load ws -n 10000 --mode open --rate 10 --beside-rooms 20 --beside-rate 200 --svg latency.svg
  load ws -n 5000 --mode idle --server-pid $(pidof chat-server) --json -

This server takes 50 messages a second of each connection; start it with --set socket.commands_per_s=0
--set socket.bytes_per_s=0 for any number.
Each connection needs a file descriptor here and another one in the server: see `ulimit -n`.

Exit code: 0 if all went well, 1 if there were faults, 2 if the run could not be done.";

#[derive(Debug, Args)]
pub(crate) struct Http {
    /// The server's address.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// How many clients, each a user of its own that asks again when it has its answer, over a
    /// connection that stays open.
    #[arg(long, default_value_t = 16, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// How many rooms messages are sent to and read from.
    #[arg(long, default_value_t = 16, value_parser = at_least_one)]
    pub(crate) rooms: usize,
    /// How long each kind of request is measured, in seconds.
    #[arg(long, default_value_t = 5.0, value_parser = above_zero)]
    pub(crate) seconds: f64,
    /// How many bytes the text of a message has, 16 to 4,000.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(16..=4_000))]
    pub(crate) text_bytes: u16,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Closed,
    Open,
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    Chat,
    Plain,
    Socketio,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be 1 or more".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    zero_or_more(text).and_then(|n| if n > 0.0 { Ok(n) } else { Err("must be above 0".into()) })
}

fn zero_or_more(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        Ok(_) => Err("must be between 0 and 1,000,000,000".into()),
        Err(error) => Err(error.to_string()),
    }
}
