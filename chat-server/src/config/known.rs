//! Which settings there are and what type each has, read off the defaults, so that this is written
//! down in one place only. Also the two shapes that settings take on their way: a tree, and its
//! leaves by full key.

use std::collections::BTreeMap;
use std::fmt;

use ::config::{Config, Map, Source, Value, ValueKind};

use super::{ConfigError, Settings, check};

/// All keys there are.
pub(super) struct Known(BTreeMap<String, Kind>);

/// What type of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
}

impl Known {
    /// The keys of these settings.
    pub(super) fn of(settings: &Settings) -> Self {
        let kind = |value: Value| match value.kind {
            ValueKind::Boolean(_) => Kind::Flag,
            ValueKind::I64(_) | ValueKind::U64(_) => Kind::Number,
            _ => Kind::Text,
        };
        Self(leaves(&tree(settings)).into_iter().map(|(key, value)| (key, kind(value))).collect())
    }

    /// What type of value this key takes, or that there is no such key.
    pub(super) fn kind(&self, key: &str, origin: &str) -> Result<Kind, ConfigError> {
        self.0.get(key).copied().ok_or_else(|| ConfigError::UnknownKey {
            key: check::printable(key),
            origin: check::printable(origin),
            hint: self.hint(key),
        })
    }

    /// Whether settings are in this section.
    pub(super) fn is_section(&self, key: &str) -> bool {
        self.names_in(key).next().is_some()
    }

    /// Every key with its type, in order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.0.iter().map(|(key, kind)| (key.as_str(), *kind))
    }

    fn names_in(&self, section: &str) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(move |key| key.strip_prefix(section)?.strip_prefix('.'))
    }

    /// What somebody who wrote this key may have meant.
    fn hint(&self, key: &str) -> String {
        let section = key.split('.').next().unwrap_or_default();
        if self.is_section(section) {
            let names: Vec<_> = self.names_in(section).collect();
            return format!("the section `{section}` has {}", names.join(", "));
        }
        let mut sections: Vec<_> =
            self.0.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        sections.dedup();
        format!("the sections are {}", sections.join(", "))
    }
}

impl Kind {
    /// Reads a value that was written as text, as in a variable or behind a flag.
    pub(super) fn read(self, key: &str, text: &str, origin: &str) -> Result<Value, ConfigError> {
        let kind = match self {
            Self::Text => Some(ValueKind::from(text)),
            Self::Number => text.parse::<u64>().ok().map(ValueKind::from),
            Self::Flag => text.parse::<bool>().ok().map(ValueKind::from),
        };
        let value = |kind| Value::new(Some(&origin.to_owned()), kind);
        kind.map(value)
            .ok_or_else(|| check::wrong(key, Some(&Value::from(text)), self.to_string(), origin))
    }

    /// Whether a value that has a type of its own, as in a file, is of this one.
    pub(super) fn takes(self, value: &ValueKind) -> bool {
        match value {
            ValueKind::String(_) => self == Self::Text,
            ValueKind::I64(number) => self == Self::Number && *number >= 0,
            ValueKind::Boolean(_) => self == Self::Flag,
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text, in quotes",
            Self::Number => "a whole number, 0 or more",
            Self::Flag => "true or false",
        })
    }
}

/// Settings as the tree of values that they are.
pub(super) fn tree(settings: &Settings) -> Config {
    // Structs of text, numbers and flags: there is nothing in them that a tree of values could not
    // hold.
    Config::try_from(settings).expect("settings are plain values")
}

/// The leaves of a tree of settings, by full key.
pub(super) fn leaves(tree: &Config) -> BTreeMap<String, Value> {
    flat(tree.collect().expect("a tree that is in memory can be read"))
}

/// A table's leaves by full key, in order. An empty table is a leaf, so that it does not pass
/// unseen; a name with a dot in it keeps its quotes, so that it does not pass for a section and a
/// key.
pub(super) fn flat(table: Map<String, Value>) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (name, value) in table {
        let name = if name.contains('.') { format!("{name:?}") } else { name };
        match value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => {
                let inner = flat(inner).into_iter();
                leaves.extend(inner.map(|(rest, leaf)| (format!("{name}.{rest}"), leaf)));
            }
            _ => {
                leaves.insert(name, value);
            }
        }
    }
    leaves
}
