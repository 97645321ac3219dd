//! What can be wrong with the settings. Every error is one line for the person who starts the
//! server: which key, what is wrong with it, what would be right, and where it stands.

use thiserror::Error;

/// Why the settings were refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A key that no setting has: in a file, a variable or a flag.
    #[error("there is no setting `{key}` ({origin}); {hint}")]
    UnknownKey {
        /// The full key, as it would be written in a file: `server.prot`.
        key: String,
        /// Where it stands.
        origin: String,
        /// What there is instead.
        hint: String,
    },
    /// A value of the wrong type, out of range, or that can't be read.
    #[error("`{key}` {}must be {allowed} ({origin})", but(found.as_deref()))]
    Wrong {
        /// The full key.
        key: String,
        /// The value, unless it is, or may contain, a secret.
        found: Option<String>,
        /// What would be right.
        allowed: String,
        /// Where it stands.
        origin: String,
    },
    /// A setting that exists, in a place where it would do nothing or harm.
    #[error("`{key}` can't be set here ({origin}); {hint}")]
    Misplaced {
        /// The full key.
        key: String,
        /// Where it stands.
        origin: String,
        /// Where it belongs.
        hint: &'static str,
    },
    /// The file named by `--config` does not exist.
    #[error("there is no file {file}, which --config names")]
    NoSuchFile {
        /// As it was named.
        file: String,
    },
    /// A settings file exists but can't be read.
    #[error("can't read {file}: {cause}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A settings file is not TOML.
    #[error("{file} is not TOML: {problem}")]
    NotToml {
        /// The file.
        file: String,
        /// What is wrong, with line and column where they are known.
        problem: String,
    },
    /// `production` without a secret.
    #[error(
        "in production `auth.secret` must be set, to 32 bytes or more: set the variable \
         CHAT__AUTH__SECRET, for example to what `openssl rand -hex 32` prints, and to the same on \
         every node"
    )]
    NoSecret,
}

/// What an error says of a value before it says what the value must be.
fn but(found: Option<&str>) -> String {
    found.map(|value| format!("is {value} but ")).unwrap_or_default()
}
