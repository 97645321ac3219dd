//! Text that has been checked at the door. Each type holds what its rules allow and nothing else,
//! byte for byte as it came: nothing is trimmed, folded or normalised.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::limits;

/// Checks that a text is not blank, and its length.
fn check(what: &'static str, field: &'static str, text: &str, most: usize) -> Result<()> {
    if text.trim().is_empty() {
        let message = format!("the {what} has no characters, or only white space; write something");
        return Err(Error::new(Code::Empty, message).field(field));
    }
    check_length(what, field, text, most)
}

/// Checks a text's length in characters (Unicode scalar values).
fn check_length(what: &'static str, field: &'static str, text: &str, most: usize) -> Result<()> {
    // A text cannot have more characters than bytes, so most texts need no counting.
    let count = if text.len() <= most { text.len() } else { text.chars().count() };
    if count > most {
        let message = format!("the {what} has {count} characters; at most {most} are allowed");
        return Err(Error::new(Code::TooLong, message).field(field).measured(most, count));
    }
    Ok(())
}

/// As [`check`], for text that stands in one line.
fn check_line(what: &'static str, field: &'static str, text: &str, most: usize) -> Result<()> {
    check(what, field, text, most)?;
    if text.chars().any(char::is_control) {
        let message =
            format!("the {what} has control characters, such as a line break; leave them out");
        return Err(Error::new(Code::BadText, message).field(field));
    }
    Ok(())
}

/// Checks that a text that clients may leave out is not empty, and its length.
fn check_key(what: &'static str, field: &'static str, text: &str, most: usize) -> Result<()> {
    if text.is_empty() {
        let message = format!("the {what} is empty; choose one, or leave it out");
        return Err(Error::new(Code::Empty, message).field(field));
    }
    check_length(what, field, text, most)
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:ident, $what:literal, $field:literal, $most:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text if the rules above allow it.
            ///
            /// # Errors
            /// `empty`, `too_long` or `bad_text`, naming the field.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self> {
                let text = text.into();
                $check($what, $field, &text, $most)?;
                Ok(Self(text))
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text: Arc<str> = serde::Deserialize::deserialize(from)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

checked_text! {
    /// A message's text: 1 to [`limits::TEXT_CHARS`] characters, not only white space.
    Text, check, "text", "text", limits::TEXT_CHARS
}
checked_text! {
    /// A room's title: 1 to [`limits::TITLE_CHARS`] characters in one line, not only white space.
    Title, check_line, "title", "title", limits::TITLE_CHARS
}
checked_text! {
    /// A user's name: 1 to [`limits::NAME_CHARS`] characters in one line, not only white space.
    Name, check_line, "nickname", "nickname", limits::NAME_CHARS
}

checked_text! {
    /// What somebody marks a message with, an emoji or a word, compared byte for byte: 1 to
    /// [`limits::MARK_CHARS`] characters in one line, not only white space.
    Mark, check_line, "mark", "mark", limits::MARK_CHARS
}

checked_text! {
    /// A name that a client gives a write, unique per user and room, compared byte for byte: 1 to
    /// [`limits::KEY_CHARS`] characters of any kind.
    ClientKey, check_key, "key", "key", limits::KEY_CHARS
}

impl ClientKey {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_not_bytes() {
        assert!(Text::new("가".repeat(4_000)).is_ok());
        let error = Text::new("👩".repeat(4_001)).unwrap_err();
        assert_eq!(error.code(), Code::TooLong);
        assert!(error.message().contains("4001") && error.message().contains("4000"), "{error}");
        assert_eq!(error.measure().map(|m| (m.limit, m.actual)), Some((4_000, 4_001)));
    }

    #[test]
    fn keeps_every_byte() {
        for text in [" padded ", "e\u{301}", "\u{202e}עברית", "a\0b", "\r\n.", "👨‍👩‍👧‍👦"]
        {
            assert_eq!(&*Text::new(text).unwrap(), text);
        }
    }

    #[test]
    fn refuses_blank_and_control() {
        assert_eq!(Text::new("\u{3000}\n").unwrap_err().code(), Code::Empty);
        assert_eq!(Title::new("").unwrap_err().code(), Code::Empty);
        assert_eq!(Title::new("a\nb").unwrap_err().code(), Code::BadText);
        assert_eq!(Name::new("a\0").unwrap_err().code(), Code::BadText);
        assert_eq!(Name::new("x".repeat(33)).unwrap_err().at_field(), Some("nickname"));
    }
}
