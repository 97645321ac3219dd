//! Usernames: what somebody signs in with and is mentioned by. Two that a reader could take for each
//! other are the same name.

use std::fmt;
use std::ops::Deref;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_security::restriction_level::RestrictionLevel;
use unicode_security::{RestrictionLevelDetection, skeleton};

use super::PeopleError;

/// How many characters a username has.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;

/// How many bytes a key has at most; of a longer one stands the hash.
const MOST_KEY: usize = 512;

/// Characters beside letters and digits.
const SYMBOLS: [char; 3] = ['_', '.', '-'];

/// A username: 3 to 32 letters and digits of one script (Latin may stand beside Chinese, Japanese or
/// Korean) with `_`, `.` and `-` between them. In lower case, whatever it is given in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    /// Takes a username if the rules above allow it.
    ///
    /// # Errors
    /// `too_short`, `too_long` or `bad_text`, naming the field.
    pub fn new(text: &str) -> Result<Self, PeopleError> {
        let name: String = text.nfc().flat_map(char::to_lowercase).nfc().collect();
        let count = name.chars().count();
        if count < *USERNAME_CHARS.start() {
            let (least, actual) = (*USERNAME_CHARS.start(), count);
            return Err(PeopleError::TooShort { what: "username", least, actual });
        }
        if count > *USERNAME_CHARS.end() {
            let (most, actual) = (*USERNAME_CHARS.end(), count);
            return Err(PeopleError::TooLong { what: "username", most, actual });
        }
        let bad = |why| Err(PeopleError::BadText { what: "username", why });
        let letters: String = name.chars().filter(|c| !SYMBOLS.contains(c)).collect();
        let is_letter = |c: char| c.is_alphanumeric() || is_mark(c);
        if !letters.chars().all(is_letter) {
            return bad("it may have letters, digits, `_`, `.` and `-`");
        }
        let stands = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let ends = name.chars().rev().find(|c| !is_mark(*c));
        if !stands(name.chars().next()) || !stands(ends) {
            return bad("it must begin and end with a letter or a digit");
        }
        if !letters.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return bad("its letters must be of one script, and such as names are written with");
        }
        Ok(Self(name))
    }

    /// What is alike of all usernames that look alike: at most 512 bytes.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::new();
        for c in self.0.chars() {
            if is_hangul_syllable(c) {
                // Taken apart, the end of one would be taken for the beginning of the next.
                key.push(c);
            } else {
                key.extend(skeleton(c.encode_utf8(&mut [0; 4])));
            }
        }
        let key: String = key.chars().flat_map(char::to_lowercase).nfc().collect();
        if key.len() <= MOST_KEY {
            return key;
        }
        Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether a character is a whole syllable of Korean, which looks like no other.
fn is_hangul_syllable(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
}

/// Whether a character belongs to the letter before it.
pub(super) fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Username {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        Username::new(text).unwrap_or_else(|error| panic!("{text}: {error}")).key()
    }

    #[test]
    fn letters_of_many_scripts_are_taken() {
        for name in [
            "bob",
            "a_b",
            "j.r.r-1",
            "앨리스",
            "алиса",
            "Łukasz",
            "アリス",
            "李小龍",
            "kim철수",
            "x1y",
        ] {
            assert!(Username::new(name).is_ok(), "{name}: {:?}", Username::new(name));
        }
        assert_eq!(&*Username::new("ALICE").unwrap(), "alice");
        assert_eq!(&*Username::new("E\u{301}mile").unwrap(), "\u{e9}mile");
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        let cases = [
            ("", "too_short"),
            ("ab", "too_short"),
            ("\u{1f600}\u{1f600}\u{1f600}", "bad_text"),
            ("a b", "bad_text"),
            ("a@b", "bad_text"),
            ("_ab", "bad_text"),
            ("ab.", "bad_text"),
            ("...", "bad_text"),
            ("a\u{200d}bc", "bad_text"),
            ("a\0bc", "bad_text"),
            ("\u{202e}abc", "bad_text"),
            // Latin and Cyrillic in one word.
            ("p\u{430}ypal", "bad_text"),
            ("\u{301}abc", "bad_text"),
        ];
        for (name, code) in cases {
            assert_eq!(Username::new(name).unwrap_err().code(), code, "{name:?}");
        }
        assert_eq!(Username::new(&"x".repeat(33)).unwrap_err().code(), "too_long");
        assert!(Username::new(&"x".repeat(32)).is_ok());
        assert_eq!(Username::new(&"x".repeat(1_000_000)).unwrap_err().code(), "too_long");
    }

    #[test]
    fn those_that_look_alike_are_the_same() {
        for (one, other) in [
            ("alice", "ALICE"),
            ("paypal", "paypa1"),
            ("bob", "b0b"),
            ("modern", "rnodern"),
            // All of it in Cyrillic letters that look Latin.
            ("ace", "\u{430}\u{441}\u{435}"),
            ("e\u{301}mile", "\u{e9}mile"),
        ] {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        for (one, other) in [
            ("alice", "alicia"),
            ("mail", "mall"),
            ("a.b", "a-b"),
            ("학교종", "하꾜종"),
            ("각가나", "가까나"),
        ] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
    }

    #[test]
    fn no_key_is_longer_than_it_is_kept() {
        for c in ['찂', '쯿', '\u{fdfa}', 'ﷺ', '㋿', 'a', '漢', 'ſ'] {
            if let Ok(name) = Username::new(&c.to_string().repeat(32)) {
                assert!(name.key().len() <= MOST_KEY, "{c}: {}", name.key().len());
            }
        }
        assert_ne!(key(&"찂".repeat(32)), key(&"찂".repeat(31)));
    }
}
