//! What somebody looks for.

use std::collections::BTreeSet;

use chat_core::{Code, Error};

use super::fold::{BETWEEN, fold};
use super::grams::{self, Gram};

/// The longest text that is looked for, in characters, without white space at its ends.
pub const QUERY_CHARS: usize = 100;

/// How many grams an index is asked for at most. More of them hardly leave fewer messages over, and what is left
/// over is compared with the whole query.
const MOST_GRAMS: usize = 16;

/// A text that is looked for: each of its words, or parts of words, must be in a message. It is nothing but text:
/// no character in it has a meaning of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    text: String,
    /// Whether it must be a whole word: a single letter.
    whole: bool,
}

impl Query {
    /// A query of this text.
    ///
    /// # Errors
    /// `empty` or `too_long`.
    pub fn new(text: &str) -> Result<Self, Error> {
        let count = text.trim().chars().count();
        let refused = |code, message: String| {
            Err(Error::new(code, message).field("q").measured(QUERY_CHARS, count))
        };
        if count > QUERY_CHARS {
            let message = format!("`q` has {count} characters; 1 to {QUERY_CHARS} are allowed");
            return refused(Code::TooLong, message);
        }
        let folded = fold(text);
        let terms: BTreeSet<_> = folded.split(BETWEEN).filter_map(Term::new).collect();
        if terms.is_empty() {
            return refused(Code::Empty, "`q` has nothing in it to look for".to_owned());
        }
        Ok(Self { terms: terms.into_iter().collect() })
    }

    /// Whether a message with this text is one that is looked for.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let folded = fold(text);
        self.terms.iter().all(|term| term.is_in(&folded))
    }

    /// Grams that every such message has; some of them, if there are many.
    pub(crate) fn grams(&self) -> Vec<Gram> {
        let of_terms = self.terms.iter().flat_map(|term| grams::of_term(&term.text));
        let all: Vec<_> = of_terms.collect::<BTreeSet<_>>().into_iter().collect();
        // From all over the query.
        let wanted = all.len().min(MOST_GRAMS);
        (0..wanted).map(|nth| all[nth * all.len() / wanted]).collect()
    }
}

impl Term {
    fn new(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let first = chars.next()?;
        let whole = chars.next().is_none() && !grams::stands_alone(first);
        Some(Self { text: text.to_owned(), whole })
    }

    fn is_in(&self, folded: &str) -> bool {
        match self.whole {
            true => folded.split(BETWEEN).any(|word| word == self.text),
            false => folded.contains(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> Query {
        Query::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_word_must_be_there_in_any_order() {
        assert!(query("world HELL").matches("Hello, World!"));
        assert!(!query("hello moon").matches("Hello, World!"));
        assert!(query("a b").matches("b or a"));
        assert!(!query("a").matches("banana"));
        assert!(query("c++").matches("I write C++."));
        assert!(!query("c++").matches("I write C#."));
    }

    #[test]
    fn nothing_has_a_meaning_of_its_own() {
        for text in
            ["%", "_", "a%b", "'; DROP TABLE messages; --", "\"a\" OR b*", "NEAR(a b)", "\\"]
        {
            assert!(query(text).matches(&format!("say {text} to me")), "{text}");
            assert!(!query(text).matches("something else"), "{text}");
        }
        assert!(!query("b*").matches("bx"));
        assert!(!query("a OR zebra").matches("a cat"));
    }

    #[test]
    fn too_little_and_too_much_are_refused() {
        let code = |text: &str| Query::new(text).map_err(|error| error.code());
        assert_eq!(code(""), Err(Code::Empty));
        assert_eq!(code(" \n\u{200b}"), Err(Code::Empty));
        assert_eq!(code(&"x".repeat(101)), Err(Code::TooLong));
        assert!(code(&format!(" {} ", "가".repeat(100))).is_ok());
    }

    proptest! {
        /// Whatever matches has all grams that an index is asked for, and these are never too many or none.
        #[test]
        fn what_matches_is_among_the_candidates(text in any::<String>(), from in 0usize..40, length in 1usize..100) {
            let part: String = fold(&text).chars().skip(from).take(length).collect();
            let Ok(query) = Query::new(&part) else { return Ok(()) };
            let grams = query.grams();
            prop_assert!((1..=MOST_GRAMS).contains(&grams.len()));
            if query.matches(&text) {
                let of_text = grams::of_text(&fold(&text));
                prop_assert!(grams.iter().all(|gram| of_text.contains(gram)));
            }
        }
    }
}
