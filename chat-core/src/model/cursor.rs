//! How far somebody has heard a room.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The last message and the last other change of a room that somebody knows. Both counters start at
/// 0 and have no gap. Clients get it as text and send it back unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// `seq` of the last message; 0 before the first.
    pub seq: u64,
    /// Number of the last change that is not a new message; 0 before the first.
    pub change: u64,
}

impl Cursor {
    /// A cursor with these counters.
    #[must_use]
    pub fn new(seq: u64, change: u64) -> Self {
        Self { seq, change }
    }

    /// Whether everything that `other` knows is known here too.
    #[must_use]
    pub fn reaches(self, other: Self) -> bool {
        self.seq >= other.seq && self.change >= other.change
    }

    /// The cursor after one more message.
    #[must_use]
    pub(crate) fn next_message(self) -> Self {
        Self { seq: self.seq + 1, ..self }
    }

    /// The cursor after one more change.
    #[must_use]
    pub(crate) fn next_change(self) -> Self {
        Self { change: self.change + 1, ..self }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.change)
    }
}

/// The text is not a cursor that an engine gave out.
#[derive(Debug, Error)]
#[error("this is not a cursor; send back the last one you were given, or none")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            // The store's integers are signed, so nothing greater was ever given out.
            let value = part.parse::<i64>().ok().filter(|_| digits);
            value.and_then(|value| u64::try_from(value).ok()).ok_or(BadCursor)
        };
        let (seq, change) = text.split_once('.').ok_or(BadCursor)?;
        Ok(Self { seq: number(seq)?, change: number(change)? })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text: String = serde::Deserialize::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_text() {
        let cursor = Cursor::new(57, 9);
        assert_eq!(cursor.to_string(), "57.9");
        assert_eq!("57.9".parse::<Cursor>().unwrap(), cursor);
    }

    #[test]
    fn refuses_what_was_never_given_out() {
        for text in ["", "5", "5.", ".5", "5.5.5", "-1.0", "+1.0", "1.x", "9223372036854775808.0"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
