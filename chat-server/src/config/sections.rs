//! The sections of the settings, one struct each, with the meaning, unit and default of every key,
//! and the smallest and largest number that each takes. The files in `config/` repeat the defaults
//! for people to read, and a test compares.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::values::{
    self, DatabaseUrls, LogFormat, Networks, OriginList, StoreUrl, Transport, seconds,
};

/// The least and the most that a number may be, both included, by full key. Every number has its
/// line here.
pub(super) const RANGES: [(&str, RangeInclusive<u64>); 31] = [
    ("server.workers", 0..=1_024),
    ("server.shutdown_timeout_s", 0..=3_600),
    ("store.connections", 1..=1_000),
    ("store.timeout_s", 1..=60),
    ("store.keep_days", 0..=36_500),
    ("store.keep_messages", 0..=1_000_000_000_000),
    ("auth.access_ttl_s", 1..=86_400),
    ("auth.refresh_ttl_s", 60..=31_536_000),
    ("auth.guest_ttl_s", 1..=31_536_000),
    ("rooms.grace_s", 1..=86_400),
    ("rooms.idle_stop_s", 1..=86_400),
    ("rooms.big", 1..=100_000),
    ("rooms.typing_s", 1..=60),
    ("rooms.kept_messages", 200..=65_536),
    ("rooms.edit_age_s", 0..=3_153_600_000),
    ("socket.ping_interval_s", 1..=3_600),
    ("socket.ping_timeout_s", 1..=600),
    ("socket.auth_timeout_s", 1..=600),
    ("socket.max_frame_bytes", 1_024..=16_777_216),
    ("socket.outbox_bytes", 4_096..=1_073_741_824),
    ("socket.all_outboxes_bytes", 65_536..=1_099_511_627_776),
    ("socket.slow_close_s", 1..=3_600),
    ("socket.send_buffer_bytes", 4_096..=16_777_216),
    ("socket.max_connections", 0..=10_000_000),
    ("socket.max_per_address", 0..=10_000_000),
    ("socket.max_per_user", 0..=10_000_000),
    ("socket.max_handshakes", 1..=10_000_000),
    ("socket.commands_per_s", 0..=1_000_000),
    ("socket.commands_burst", 1..=1_000_000),
    ("socket.bytes_per_s", 0..=1_073_741_824),
    ("socket.bytes_burst", 1..=1_073_741_824),
];

/// Where and how the server listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Server {
    /// Address and port: `127.0.0.1:8080`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that serve connections, up to 1,024; 0 (the default) is one for each core.
    pub workers: usize,
    /// `shutdown_timeout_s`: how long connections may take to go when the server stops; 30 s, up to
    /// an hour.
    #[serde(rename = "shutdown_timeout_s", with = "seconds")]
    pub shutdown_timeout: Duration,
    /// A file with the certificate for TLS and those that vouch for it, in PEM; read again on
    /// SIGHUP. While it is empty, the server speaks plainly.
    pub tls_certificate: PathBuf,
    /// A file with the certificate's private key, in PEM.
    pub tls_key: PathBuf,
    /// Proxies whose `X-Forwarded-For` is believed; none.
    pub trusted_proxies: Networks,
    /// Whether `/metrics` tells anybody what the server counts; true.
    pub metrics: bool,
}

/// Which database holds rooms and messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Store {
    /// `sqlite:` and a path, `mysql://…`, or `memory:`; `chat.db` in the data folder unless set.
    pub url: StoreUrl,
    /// MySQL's read-only replicas, which may answer questions about history and lists; none.
    pub replicas: DatabaseUrls,
    /// Connections for reading to MySQL, and to each of its replicas; 10, from 1 to 1,000. One more
    /// writes.
    pub connections: u32,
    /// `timeout_s`: how long a call to MySQL may take, waiting for a connection and for the answer;
    /// 5 s, from 1 s to a minute. Then whoever waits is told `unavailable`; who had to wait for
    /// another call first, after twice that time at most.
    #[serde(rename = "timeout_s", with = "seconds")]
    pub timeout: Duration,
    /// After how many days messages are removed; 0 (the default) for never, up to 36,500.
    pub keep_days: u64,
    /// How many messages of each room are kept, the newest; 0 (the default) for all of them.
    pub keep_messages: u64,
    /// Whether this server keeps the index up by which messages are found; true. Without it, they are found by
    /// reading them.
    pub search_index: bool,
}

/// Where files are kept. Relative paths start at the directory in which the server was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Data {
    /// The folder of everything that has no other place; `./data`.
    #[serde(deserialize_with = "values::path")]
    pub dir: PathBuf,
    /// The folder of pictures and files; `uploads` in the data folder unless set.
    #[serde(deserialize_with = "values::path")]
    pub uploads: PathBuf,
}

/// Who is let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Auth {
    /// What tokens are signed with, 32 bytes or more, taken as they are. Without it a key is made
    /// up once and kept in the data folder, except in `production`, which needs it.
    #[serde(serialize_with = "values::hidden")]
    pub secret: Option<SecretString>,
    /// The secret that was replaced: tokens that it has signed stay good until they expire.
    #[serde(serialize_with = "values::hidden")]
    pub earlier_secret: Option<SecretString>,
    /// A file with an Ed25519 private key in PEM, to sign tokens with it and not with the secret;
    /// none.
    pub signing_key: PathBuf,
    /// The file with the key that was replaced, likewise; none.
    pub earlier_signing_key: PathBuf,
    /// A file with the public keys of another issuer whose tokens are believed too, as a JSON Web Key
    /// Set; none.
    pub jwks: PathBuf,
    /// The `iss` of its tokens.
    pub jwks_issuer: String,
    /// The `aud` of those that are meant for this server.
    pub jwks_audience: String,
    /// The `iss` of tokens, 1 to 200 characters; `chat-server`.
    #[serde(deserialize_with = "values::name")]
    pub issuer: String,
    /// The `aud` of tokens, 1 to 200 characters; `chat`.
    #[serde(deserialize_with = "values::name")]
    pub audience: String,
    /// `access_ttl_s`: how long a user's token is good; 15 min, from 1 s to a day.
    #[serde(rename = "access_ttl_s", with = "seconds")]
    pub access_ttl: Duration,
    /// `refresh_ttl_s`: how long somebody stays signed in who does not come back; 30 days, from a
    /// minute to a year.
    #[serde(rename = "refresh_ttl_s", with = "seconds")]
    pub refresh_ttl: Duration,
    /// `guest_ttl_s`: how long a guest's token is good; a day, from 1 s to a year.
    #[serde(rename = "guest_ttl_s", with = "seconds")]
    pub guest_ttl: Duration,
    /// Whether people may come in with a nickname alone; true.
    pub guests: bool,
}

/// How rooms behave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rooms {
    /// `grace_s`: how long a member of an ephemeral room may be away before it counts as gone; 30
    /// s, up to a day.
    #[serde(rename = "grace_s", with = "seconds")]
    pub grace: Duration,
    /// `idle_stop_s`: how long a room without anybody present stays in memory; 60 s, from 1 s to a
    /// day.
    #[serde(rename = "idle_stop_s", with = "seconds")]
    pub idle_stop: Duration,
    /// Above this many present sessions a room summarises presence; 200, from 1 to 100,000.
    pub big: usize,
    /// `typing_s`: after how long "is typing" ends by itself; 6 s, from 1 s to a minute.
    #[serde(rename = "typing_s", with = "seconds")]
    pub typing: Duration,
    /// How many of its last messages a room keeps in memory; 256, from 1 to 65,536.
    pub kept_messages: usize,
    /// `edit_age_s`: how long after a message its author may edit or delete it; two days, from 0 (never)
    /// to a hundred years.
    #[serde(rename = "edit_age_s", with = "seconds")]
    pub edit_age: Duration,
}

/// How connections behave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Socket {
    /// `ping_interval_s`: how often a connection is pinged; 25 s, from 1 s to an hour.
    #[serde(rename = "ping_interval_s", with = "seconds")]
    pub ping_interval: Duration,
    /// `ping_timeout_s`: how long after a ping something must have come; 10 s, from 1 s to ten
    /// minutes.
    #[serde(rename = "ping_timeout_s", with = "seconds")]
    pub ping_timeout: Duration,
    /// `auth_timeout_s`: how long a connection may take to present a token; 10 s, from 1 s to ten
    /// minutes.
    #[serde(rename = "auth_timeout_s", with = "seconds")]
    pub auth_timeout: Duration,
    /// The largest frame, or message in fragments, in bytes; 64 KiB, from 1 KiB to 16 MiB.
    pub max_frame_bytes: usize,
    /// What may wait for one slow reader, in bytes; 1 MiB, from 4 KiB to 1 GiB.
    pub outbox_bytes: usize,
    /// `slow_close_s`: after how long a peer that reads nothing is closed; 30 s, from 1 s to an
    /// hour.
    #[serde(rename = "slow_close_s", with = "seconds")]
    pub slow_close: Duration,
    /// What may wait for all readers together, beside 4 KiB for each, in bytes; 256 MiB, from 64
    /// KiB to 1 TiB.
    pub all_outboxes_bytes: usize,
    /// What the kernel keeps for one peer that does not read, in bytes; 128 KiB, from 4 KiB to 16
    /// MiB. It takes twice as much memory for it.
    pub send_buffer_bytes: usize,
    /// Connections at a time; 0 (the default) is as many as there are descriptors for.
    pub max_connections: usize,
    /// Connections at a time from one address, which is not this machine's; 1,000, 0 for any
    /// number.
    pub max_per_address: usize,
    /// Connections of one user at a time; 100, 0 for any number.
    pub max_per_user: usize,
    /// Connections at a time that have not yet shown a token, and TLS handshakes in progress on
    /// each thread; 1,000.
    pub max_handshakes: usize,
    /// Commands and pings a second that are taken from one connection in the long run; 50, 0 for
    /// any number, up to a million.
    pub commands_per_s: u32,
    /// Those that are taken at once, after a pause; 200, from 1 to a million.
    pub commands_burst: u32,
    /// Bytes of commands and pings a second that are taken from one connection in the long run; 128
    /// KiB, 0 for any number, up to 1 GiB.
    pub bytes_per_s: u32,
    /// Those that are taken at once, after a pause; 1 MiB, from 1 byte to 1 GiB. A larger frame is
    /// taken after a pause, alone.
    pub bytes_burst: u32,
    /// Pages that may connect besides the server's own; none.
    pub origins: OriginList,
    /// Which transport carries WebSocket: `direct`, the default, or `portable`.
    pub transport: Transport,
}

/// What the log tells, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// Levels by module, as `tracing` writes them: `info`, or `info,chat_core=debug`.
    #[serde(deserialize_with = "values::filter")]
    pub filter: String,
    /// Lines for people (`text`, the default) or for machines (`json`).
    pub format: LogFormat,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            workers: 0,
            shutdown_timeout: Duration::from_secs(30),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            trusted_proxies: Networks::default(),
            metrics: true,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::below(&Data::default().dir),
            replicas: DatabaseUrls::default(),
            connections: 10,
            timeout: Duration::from_secs(5),
            keep_days: 0,
            keep_messages: 0,
            search_index: true,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data"), uploads: PathBuf::from("./data/uploads") }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: None,
            earlier_secret: None,
            signing_key: PathBuf::new(),
            earlier_signing_key: PathBuf::new(),
            jwks: PathBuf::new(),
            jwks_issuer: String::new(),
            jwks_audience: String::new(),
            issuer: "chat-server".to_owned(),
            audience: "chat".to_owned(),
            access_ttl: Duration::from_secs(900),
            refresh_ttl: Duration::from_secs(30 * 86_400),
            guest_ttl: Duration::from_secs(86_400),
            guests: true,
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            idle_stop: Duration::from_secs(60),
            big: 200,
            typing: Duration::from_secs(6),
            kept_messages: 256,
            edit_age: Duration::from_secs(2 * 24 * 60 * 60),
        }
    }
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(10),
            max_frame_bytes: 65_536,
            outbox_bytes: 1_048_576,
            slow_close: Duration::from_secs(30),
            all_outboxes_bytes: 268_435_456,
            send_buffer_bytes: 131_072,
            max_connections: 0,
            max_per_address: 1_000,
            max_per_user: 100,
            max_handshakes: 1_000,
            commands_per_s: 50,
            commands_burst: 200,
            bytes_per_s: 131_072,
            bytes_burst: 1_048_576,
            origins: OriginList::default(),
            transport: Transport::Direct,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,actix_server=warn".to_owned(), format: LogFormat::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::known::{Kind, Known};
    use super::*;

    #[test]
    fn every_number_has_its_range_and_every_range_its_number() {
        let known = Known::of(&Settings::default());
        let mut numbers: Vec<_> = known.keys().filter(|(_, kind)| *kind == Kind::Number).collect();
        let mut ranges: Vec<_> = RANGES.iter().map(|(key, _)| (*key, Kind::Number)).collect();
        numbers.sort_unstable_by_key(|(key, _)| *key);
        ranges.sort_unstable_by_key(|(key, _)| *key);
        assert_eq!(numbers, ranges);
    }
}
