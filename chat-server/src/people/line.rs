//! Texts in one line that people give to what is theirs.

use std::fmt;
use std::ops::Deref;

use super::{PeopleError, Result};

/// How many characters the name of a group may have.
pub const GROUP_NAME_CHARS: usize = 32;
/// How many characters a status line may have.
pub const STATUS_CHARS: usize = 140;

fn check(what: &'static str, text: &str, most: usize) -> Result<()> {
    let actual = text.chars().count();
    if actual > most {
        return Err(PeopleError::TooLong { what, most, actual });
    }
    if text.chars().any(char::is_control) {
        let why = "it has control characters, such as a line break";
        return Err(PeopleError::BadText { what, why });
    }
    Ok(())
}

/// The name of a group of friends: 1 to 32 characters in one line, not only white space.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupName(String);

impl GroupName {
    /// Takes a name if the rules above allow it.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `bad_text`.
    pub fn new(text: String) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(PeopleError::TooShort { what: "name", least: 1, actual: 0 });
        }
        check("name", &text, GROUP_NAME_CHARS)?;
        Ok(Self(text))
    }
}

/// What somebody says of itself: up to 140 characters in one line; nothing at first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Status(String);

impl Status {
    /// Takes a text if the rules above allow it. One of white space alone is none.
    ///
    /// # Errors
    /// `too_long`, `bad_text`.
    pub fn new(text: String) -> Result<Self> {
        check("status", &text, STATUS_CHARS)?;
        Ok(Self(if text.trim().is_empty() { String::new() } else { text }))
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
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
    )*};
}
text!(GroupName, Status);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_checked() {
        for (name, code) in [
            ("", "too_short"),
            (" \u{3000}", "too_short"),
            ("a\nb", "bad_text"),
            ("a\0", "bad_text"),
        ] {
            assert_eq!(GroupName::new(name.to_owned()).unwrap_err().code(), code, "{name:?}");
        }
        assert_eq!(GroupName::new("친".repeat(33)).unwrap_err().code(), "too_long");
        assert_eq!(&*GroupName::new("친".repeat(32)).unwrap(), "친".repeat(32));
    }

    #[test]
    fn status_lines_are_checked() {
        assert_eq!(Status::new("a\u{7}".to_owned()).unwrap_err().code(), "bad_text");
        assert_eq!(Status::new("친".repeat(141)).unwrap_err().code(), "too_long");
        assert_eq!(&*Status::new("친".repeat(140)).unwrap(), "친".repeat(140));
        assert_eq!(Status::new(" \u{3000}".to_owned()).unwrap(), Status::default());
    }
}
