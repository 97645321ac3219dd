//! Every number that bounds something, in one place, with its unit and its default. Lengths of text
//! are constants of the protocol; the rest an embedding program may change through
//! [`EngineBuilder::limits`](crate::EngineBuilder::limits).

use std::time::Duration;

/// The longest message text, in characters (Unicode scalar values).
pub const TEXT_CHARS: usize = 4_000;
/// The longest room title, in characters.
pub const TITLE_CHARS: usize = 100;
/// The longest name of a user, in characters.
pub const NAME_CHARS: usize = 32;
/// The longest client key, in characters.
pub const KEY_CHARS: usize = 64;
/// How long a client key is remembered at least: a store [forgets](crate::Store::forget_keys) it no earlier, and removes
/// no younger message that has one.
pub const KEYS_LAST: Duration = Duration::from_secs(24 * 3_600);
/// The longest mark, in characters.
pub const MARK_CHARS: usize = 32;
/// The most different marks of one message.
pub const MARKS: usize = 50;
/// The most marks that one user gives one message.
pub const OWN_MARKS: usize = 10;
/// The most earlier texts of a message that are shown; of more, the first and the last.
pub const REVISIONS: usize = 40;
/// The most members whom one message mentions; of more, the first.
pub const MENTIONS: usize = 50;
/// The most files that go with one message.
pub const FILES: usize = 10;
/// The most messages, changes or members that one answer carries.
pub const PAGE: usize = 200;
/// What a page holds if nothing is said.
pub const DEFAULT_PAGE: usize = 50;
/// The slowest slow mode, in seconds: six hours.
pub const SLOW_S: u32 = 21_600;
/// The most rooms in one `resume`.
pub const RESUME_ROOMS: usize = 100;

/// What an engine allows itself and its callers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a member of an ephemeral room may be away before its membership ends. 30 s.
    pub grace: Duration,
    /// How long after a message its author may edit or delete it. Two days. The owner and moderators
    /// delete messages of any age.
    pub edit_age: Duration,
    /// How long before what entitles a session ends its inbox is told so. 60 s; a session that is
    /// entitled for a shorter time is told at once.
    pub expiry_notice: Duration,
    /// How long a room that nobody is present in stays in memory. 60 s.
    pub idle: Duration,
    /// How long somebody is shown as typing without saying so again. 6 s.
    pub typing: Duration,
    /// Above this number of present sessions a room summarises presence. 200.
    pub big_room: usize,
    /// The shortest time between two summaries of a room. 1 s.
    pub summary_every: Duration,
    /// How many of its last messages, and of its last changes, a room keeps in memory; at least
    /// [`PAGE`]. 256.
    pub kept_messages: usize,
    /// How many bytes of message text a room keeps in memory at most, beyond which older messages
    /// are read from the store. 1 MiB.
    pub kept_bytes: usize,
    /// How many marks of its last messages a room keeps in memory, each with who gave it; of messages whose
    /// marks are not there they are read from the store. 65,536.
    pub kept_marks: usize,
    /// The shortest time between two changes of a room that say how its messages are marked; what is marked
    /// in between is one change of each message. 250 ms.
    pub marks_every: Duration,
    /// The shortest time between two commits of a room that say how far its members have read; of what one member
    /// reads in between, the last counts. 250 ms.
    pub reads_every: Duration,
    /// How many client keys a room remembers in each of two generations. 1,024.
    pub kept_keys: usize,
    /// How many writes of one room may wait for the store; more are answered `busy`. 4,096.
    pub room_writes: usize,
    /// How many writes of all rooms may wait for the store; more are answered `busy`. 65,536.
    pub queued_writes: usize,
    /// How many writes one commit carries at most. 512.
    pub batch: usize,
    /// How many commands of one session may be under way; more are answered `busy`. 64.
    pub session_commands: usize,
    /// How many commands a second a session may take from a transport in the long run; more are
    /// answered `rate_limited`. 50; 0 for any number. Callers in this process are not counted.
    pub commands_per_s: u32,
    /// How many commands such a session may take at once, after a pause. 200.
    pub commands_burst: u32,
    /// How many bytes a second such a session may take, likewise. 128 KiB; 0 for any number.
    pub bytes_per_s: u32,
    /// How many bytes it may take at once, after a pause. 1 MiB.
    pub bytes_burst: u32,
    /// After how many commands answered `rate_limited`, with none taken in between, the next one ends
    /// the session. 200.
    pub flood: u32,
    /// How many sessions one user may have; more are refused with `too_many_sessions`. As many as it
    /// likes.
    pub user_sessions: usize,
    /// How many messages a room's mailbox takes from sessions; more are answered `busy`. 8,192.
    pub room_mailbox: usize,
    /// How many deliveries may be under way to one fan-out; above it senders are answered `busy`.
    /// 4,096.
    pub fanout_in_flight: usize,
    /// How many bytes may wait for one connection before it is told that it is behind. 1 MiB.
    pub outbox_bytes: usize,
    /// How many bytes may wait for all connections together, beside 4 KiB for each; beyond it,
    /// whoever has more waiting is told that it is behind. 256 MiB.
    pub all_outboxes_bytes: usize,
    /// How long a transport's peer may take nothing before it is closed. 30 s.
    pub slow_close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            edit_age: Duration::from_secs(2 * 24 * 60 * 60),
            expiry_notice: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            typing: Duration::from_secs(6),
            big_room: 200,
            summary_every: Duration::from_secs(1),
            kept_messages: 256,
            kept_bytes: 1 << 20,
            kept_marks: 65_536,
            marks_every: Duration::from_millis(250),
            reads_every: Duration::from_millis(250),
            kept_keys: 1_024,
            room_writes: 4_096,
            queued_writes: 65_536,
            batch: 512,
            session_commands: 64,
            commands_per_s: 50,
            commands_burst: 200,
            bytes_per_s: 128 << 10,
            bytes_burst: 1 << 20,
            flood: 200,
            user_sessions: usize::MAX,
            room_mailbox: 8_192,
            fanout_in_flight: 4_096,
            outbox_bytes: 1 << 20,
            all_outboxes_bytes: 256 << 20,
            slow_close: Duration::from_secs(30),
        }
    }
}
