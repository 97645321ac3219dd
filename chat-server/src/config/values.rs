//! The kinds of setting that are more than text or a number, and the helpers that read and write
//! them. Each says in its error what would have been right; which key it was and where it stood is
//! added by whoever reads the whole.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing_subscriber::EnvFilter;

/// Which store keeps rooms and messages, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreUrl {
    /// `memory:`: nothing outlives the process.
    Memory,
    /// `sqlite:PATH`: one file, made if it does not exist.
    Sqlite(PathBuf),
    /// `mysql://…`: MySQL or MariaDB.
    MySql(DatabaseUrl),
}

impl StoreUrl {
    /// The database that a data folder has unless another is set.
    pub(super) fn below(folder: &Path) -> Self {
        Self::Sqlite(folder.join("chat.db"))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::MySql(url) => url.fmt(f),
        }
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        url.to_string()
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if let Ok(url) = DatabaseUrl::try_from(text.as_str()) {
            return Ok(Self::MySql(url));
        }
        // `sqlite://path` means the same in many other programs, so it is not taken for a file in a
        // folder named `//`.
        let path = text.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some(path) if !path.is_empty() && !path.starts_with(':') && !path.contains('?') => {
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            _ => Err("`sqlite:` followed by the path of a file (without `?`), \
                 `mysql://user:password@host:3306/database`, or `memory:`"),
        }
    }
}

/// Where a database is, and how one is let in. It is never shown with its password.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// As it was set, password and all.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.expose_secret();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match rest.rsplit_once('@') {
            Some((account, place)) => {
                let user = account.split_once(':').map_or(account, |(user, _)| user);
                write!(f, "{scheme}://{user}:(hidden)@{place}")
            }
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for DatabaseUrl {}

impl TryFrom<&str> for DatabaseUrl {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let place = text.strip_prefix("mysql://").map(|rest| {
            let place = rest.split('?').next().unwrap_or_default();
            place.rsplit_once('@').map_or(place, |(_, place)| place)
        });
        match place.and_then(|place| place.split_once('/')) {
            Some((host, database)) if !host.is_empty() && !database.is_empty() => {
                Ok(Self(SecretString::from(text)))
            }
            _ => Err("`mysql://user:password@host:3306/database`"),
        }
    }
}

/// Several of them, parted by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseUrls(pub Vec<DatabaseUrl>);

impl From<DatabaseUrls> for String {
    fn from(DatabaseUrls(urls): DatabaseUrls) -> Self {
        let texts: Vec<_> = urls.iter().map(ToString::to_string).collect();
        texts.join(", ")
    }
}

impl TryFrom<String> for DatabaseUrls {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let urls = parts(&text).map(DatabaseUrl::try_from).collect::<Result<_, _>>();
        urls.map(Self).map_err(|_| {
            "addresses of databases, parted by commas: `mysql://user:password@host:3306/database`"
        })
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("\"text\" or \"json\""),
        }
    }
}

/// What carries WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum Transport {
    /// The server's own: fan-out at the cost of the system call.
    Direct,
    /// The route that other programs mount in their `App`.
    Portable,
}

impl TryFrom<String> for Transport {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "direct" => Ok(Self::Direct),
            "portable" => Ok(Self::Portable),
            _ => Err("\"direct\" or \"portable\""),
        }
    }
}

/// Addresses and networks: `127.0.0.1, 10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Networks(pub Vec<IpNet>);

impl From<Networks> for String {
    fn from(Networks(networks): Networks) -> Self {
        let texts: Vec<_> = networks.iter().map(ToString::to_string).collect();
        texts.join(", ")
    }
}

impl TryFrom<String> for Networks {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let network = |part: &str| {
            part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)).map_err(
                |_| "addresses or networks, parted by commas: \"127.0.0.1, 10.0.0.0/8, ::1\"",
            )
        };
        parts(&text).map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// Origins of pages, as browsers name them: `https://chat.example.com`. `*` is all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OriginList(Vec<String>);

impl OriginList {
    /// The origins, `None` for all that there are.
    #[must_use]
    pub fn listed(&self) -> Option<&[String]> {
        (self.0 != ["*"]).then_some(&self.0)
    }
}

impl From<OriginList> for String {
    fn from(OriginList(origins): OriginList) -> Self {
        origins.join(", ")
    }
}

impl TryFrom<String> for OriginList {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let origins: Vec<_> = parts(&text).map(str::to_owned).collect();
        let is_origin = |origin: &String| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
        };
        match origins.iter().all(is_origin) || origins == ["*"] {
            true => Ok(Self(origins)),
            false => Err("origins, parted by commas: \"https://chat.example.com\"; or \"*\""),
        }
    }
}

/// What stands between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Spans of time as whole seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(span.as_secs())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

/// Writes that there is a secret, and nothing of it.
pub(super) fn hidden<S: Serializer>(
    secret: &Option<SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "(hidden)").serialize(to)
}

/// Reads a path, which may be anything but empty.
pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Err(D::Error::custom("the path of a folder")) } else { Ok(text.into()) }
}

/// Reads a name that goes into every token, which is why it has a limit.
pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.chars().count() {
        1..=200 => Ok(text),
        _ => Err(D::Error::custom("1 to 200 characters")),
    }
}

/// Reads the levels of the log, so that a mistake in them is found at the start and not by their
/// absence.
pub(super) fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(D::Error::custom(
            "levels (error, warn, info, debug, trace, off), also by module: `info,chat_core=debug`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_urls() {
        let read = |text: &str| StoreUrl::try_from(text.to_owned());
        assert_eq!(read("memory:"), Ok(StoreUrl::Memory));
        assert_eq!(read("sqlite:./data/chat.db"), Ok(StoreUrl::Sqlite("./data/chat.db".into())));
        assert_eq!(read("sqlite:///srv/chat.db"), Ok(StoreUrl::Sqlite("/srv/chat.db".into())));
        for wrong in [
            "",
            "memory",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:a?mode=ro",
            "mysql://a:b@c/",
            "mysql:c",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let url = "mysql://chat:p@ss:w/rd@db.example:3306/chat?ssl-mode=REQUIRED";
        let Ok(StoreUrl::MySql(database)) = read(url) else { panic!("{url}") };
        assert_eq!(database.secret().expose_secret(), url);
        let shown = "mysql://chat:(hidden)@db.example:3306/chat?ssl-mode=REQUIRED";
        assert_eq!((database.to_string(), format!("{database:?}")), (shown.into(), shown.into()));
        for right in ["memory:", "sqlite:a b/채팅.db"] {
            assert_eq!(read(right).expect(right).to_string(), right);
        }
    }

    #[test]
    fn lists() {
        let networks = |text: &str| Networks::try_from(text.to_owned()).map(String::from);
        assert_eq!(
            networks("127.0.0.1, 10.0.0.0/8,::1"),
            Ok("127.0.0.1/32, 10.0.0.0/8, ::1/128".into())
        );
        assert_eq!(networks(" "), Ok(String::new()));
        assert!(networks("10.0.0.0/33").is_err() && networks("localhost").is_err());
        let origins = |text: &str| OriginList::try_from(text.to_owned());
        assert_eq!(origins("*").unwrap().listed(), None);
        assert_eq!(origins("").unwrap().listed(), Some(&[][..]));
        let two = ["https://a.example", "http://b.example:8080"].map(str::to_owned);
        assert_eq!(
            origins("https://a.example,http://b.example:8080").unwrap().listed(),
            Some(&two[..])
        );
        for wrong in ["a.example", "https://", "https://a.example/", "*, https://a.example"] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }
}
