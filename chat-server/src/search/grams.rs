//! What an index knows of a text: which two characters stand side by side in it, spaces between words and at
//! both ends included, so that whole words, parts of words and `C++` are all the same to it, in any script.
//! Characters that mean something alone are known alone too.

use std::collections::BTreeSet;

use super::fold::BETWEEN;

/// Two characters side by side, or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Gram(char, Option<char>);

impl Gram {
    /// As it is kept: in UTF-8. The order is the same.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let Self(first, second) = self;
        let text: String = std::iter::once(first).chain(second).collect();
        text.into_bytes()
    }
}

/// The grams of a folded text.
pub(crate) fn of_text(folded: &str) -> BTreeSet<Gram> {
    let mut grams = BTreeSet::new();
    let mut before = BETWEEN;
    for c in folded.chars().chain([BETWEEN]) {
        if (before, c) != (BETWEEN, BETWEEN) {
            grams.insert(Gram(before, Some(c)));
        }
        if stands_alone(c) {
            grams.insert(Gram(c, None));
        }
        before = c;
    }
    grams
}

/// The grams that a text has in which this word, or part of a word, is.
pub(crate) fn of_term(term: &str) -> BTreeSet<Gram> {
    let mut chars = term.chars();
    match (chars.next(), chars.next()) {
        (None, _) => BTreeSet::new(),
        (Some(c), None) if stands_alone(c) => BTreeSet::from([Gram(c, None)]),
        (Some(c), None) => BTreeSet::from([Gram(BETWEEN, Some(c)), Gram(c, Some(BETWEEN))]),
        (Some(_), Some(_)) => {
            let pairs = term.chars().zip(term.chars().skip(1));
            pairs.map(|(first, second)| Gram(first, Some(second))).collect()
        }
    }
}

/// Whether a character is looked for alone: one of a script that is written without spaces, or none of any
/// word, as emoji are. A single letter of other scripts is in nearly every text; it counts as a whole word.
pub(crate) fn stands_alone(c: char) -> bool {
    c != BETWEEN && (!c.is_alphanumeric() || is_unspaced(c))
}

/// Whether a character's script is written without spaces between words, or has syllables for letters.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        // Thai, Lao, Tibetan, Burmese, Khmer.
        0x0e00..=0x0fff | 0x1000..=0x109f | 0x1780..=0x17ff
        // Hangul: letters, syllables.
        | 0x1100..=0x11ff | 0xa960..=0xa97f | 0xac00..=0xd7ff
        // Kana, bopomofo, and Han in all its blocks.
        | 0x2e80..=0x2fdf | 0x3000..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xa000..=0xa4cf
        | 0xf900..=0xfaff | 0x1b000..=0x1b16f | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::fold::fold;

    fn finds(text: &str, term: &str) -> bool {
        of_text(&fold(text)).is_superset(&of_term(&fold(term)))
    }

    #[test]
    fn words_and_parts_of_words_are_found_in_every_script() {
        for (text, term) in [
            ("안녕하세요 여러분", "안녕"),
            ("안녕하세요", "녕"),
            ("日本語を勉強する", "本"),
            ("日本語を勉強する", "勉強"),
            ("カタカナ", "タカ"),
            ("สวัสดีครับ", "ดี"),
            ("Привет, мир", "рив"),
            ("the C++ language", "c++"),
            ("the C++ language", "C+"),
            ("I like C# and .NET", "c#"),
            ("I like C# and .NET", ".net"),
            ("100 % sure", "%"),
            ("snake_case", "_"),
            ("well done 👍🏽", "👍"),
            ("plan b", "b"),
            ("C:\\Users", "\\u"),
        ] {
            assert!(finds(text, term), "{term} in {text}");
        }
        assert!(!finds("abc", "b"), "a letter alone is a word");
        assert!(!finds("안녕", "녕안"));
    }

    #[test]
    fn a_gram_is_kept_in_its_order() {
        let grams: Vec<_> = of_text("b🦀 본a").into_iter().collect();
        assert!(grams.is_sorted_by_key(|gram| gram.bytes()));
        assert!(grams.iter().all(|gram| gram.bytes().len() <= 8));
    }

    proptest! {
        /// Whatever two characters or more of a text are looked for, up to where a space is, its grams have them.
        #[test]
        fn every_part_of_a_text_is_found(text in any::<String>(), from in 0usize..50, length in 2usize..20) {
            let folded = fold(&text);
            let part: String = folded.chars().skip(from).take(length).collect();
            for term in part.split(BETWEEN).filter(|term| term.chars().count() > 1) {
                prop_assert!(of_text(&folded).is_superset(&of_term(term)), "{} in {}", term, folded);
            }
        }

        /// And so is every word, and every character that stands alone.
        #[test]
        fn every_word_is_found(text in any::<String>()) {
            let folded = fold(&text);
            let grams = of_text(&folded);
            for word in folded.split(BETWEEN) {
                prop_assert!(grams.is_superset(&of_term(word)));
            }
            for c in folded.chars().filter(|c| stands_alone(*c)) {
                prop_assert!(grams.is_superset(&of_term(&c.to_string())));
            }
        }
    }
}
