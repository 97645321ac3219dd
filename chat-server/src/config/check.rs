//! Whether values make sense, and how an error shows them: in quotes if they are text, cut if they
//! are long, and not at all if they may hold a secret.

use std::collections::BTreeMap;

use ::config::{Value, ValueKind};

use super::ConfigError;
use super::sections::RANGES;

/// The keys whose values no error shows: the secrets, and the addresses of databases, which may hold
/// passwords.
const UNSHOWN: [&str; 4] = ["auth.secret", "auth.earlier_secret", "store.url", "store.replicas"];

/// The most characters of a value that an error repeats.
const SHOWN_CHARS: usize = 80;

/// Refuses a number that is too small or too large.
pub(super) fn ranges(leaves: &BTreeMap<String, Value>) -> Result<(), ConfigError> {
    for (key, range) in RANGES {
        let Some(value) = leaves.get(key) else {
            continue;
        };
        let number = match value.kind {
            ValueKind::U64(number) => Some(number),
            ValueKind::I64(number) => u64::try_from(number).ok(),
            _ => None,
        };
        if !number.is_some_and(|number| range.contains(&number)) {
            let allowed = format!("{} to {}", range.start(), range.end());
            return Err(wrong(key, Some(value), allowed, value.origin().unwrap_or("default")));
        }
    }
    Ok(())
}

/// Says which key a value could not be read from; what would be right is the message of the type
/// that refused it.
pub(super) fn explain(
    error: &::config::ConfigError,
    leaves: &BTreeMap<String, Value>,
) -> ConfigError {
    let (key, allowed) = match error {
        ::config::ConfigError::At { error, key: Some(key), .. } => {
            (key.as_str(), error.to_string())
        }
        other => ("", other.to_string()),
    };
    let value = leaves.get(key);
    let allowed = match key {
        // The standard library's message does not say how an address looks.
        "server.listen" => {
            "an address and a port: 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080".to_owned()
        }
        _ => allowed,
    };
    wrong(key, value, allowed, value.and_then(Value::origin).unwrap_or("default"))
}

/// The error for a value that is not what it must be.
pub(super) fn wrong(
    key: &str,
    value: Option<&Value>,
    allowed: String,
    origin: &str,
) -> ConfigError {
    let found = value.filter(|_| !UNSHOWN.contains(&key)).map(|value| cut(shown(value)));
    ConfigError::Wrong { key: printable(key), found, allowed, origin: printable(origin) }
}

/// A value as a settings file would have it. The escapes of JSON are also TOML's.
pub(super) fn shown(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => serde_json::to_string(text).expect("text is JSON"),
        ValueKind::Table(_) => "a section".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}

/// As much of a value as an error repeats.
fn cut(value: String) -> String {
    match value.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

/// Text from outside with everything escaped that could break an error's one line.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}
