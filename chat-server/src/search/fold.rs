//! How a text is made so that whatever people take for the same is the same: one form for every way in which
//! Unicode writes a character, lower case, no signs that are written or left out as one likes, and one space for
//! all white space in a row.

use unicode_normalization::UnicodeNormalization;

/// What stands between two words, and before and behind a text.
pub(crate) const BETWEEN: char = ' ';

/// The text so that it can be compared: words with one space between them.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut is_between = true;
    // Lower case may undo the one form, so it is made once more.
    for c in text.nfkc().filter(|c| !is_optional(*c)).flat_map(lower).nfkc() {
        if !is_between_words(c) {
            folded.push(c);
            is_between = false;
        } else if !is_between {
            folded.push(BETWEEN);
            is_between = true;
        }
    }
    folded.truncate(folded.trim_end_matches(BETWEEN).len());
    folded
}

/// Whether a character parts words.
fn is_between_words(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// A character in lower case, wherever it stands: a sigma at the end of a word is one like any other.
fn lower(c: char) -> impl Iterator<Item = char> {
    let (one, two) = match c {
        'ς' => (Some('σ'), None),
        'İ' => (Some('i'), None),
        'ß' | 'ẞ' => (Some('s'), Some('s')),
        _ => (None, None),
    };
    let rest = if one.is_none() { Some(c.to_lowercase()) } else { None };
    one.into_iter().chain(two).chain(rest.into_iter().flatten())
}

/// Whether a character says nothing that is looked for: vowel signs of Arabic and Hebrew, which are mostly left
/// out, strokes that make a word longer, and what is not seen at all.
fn is_optional(c: char) -> bool {
    matches!(c,
        // Arabic.
        '\u{0610}'..='\u{061a}' | '\u{0640}' | '\u{064b}'..='\u{0652}' | '\u{0656}'..='\u{065f}'
        | '\u{0670}' | '\u{06d6}'..='\u{06dc}' | '\u{06df}'..='\u{06e4}'
        // Hebrew.
        | '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}' | '\u{05c2}' | '\u{05c4}' | '\u{05c5}'
        // Soft hyphens, joiners, directions, selectors of a picture's style.
        | '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_take_for_the_same_is_the_same() {
        for (one, other) in [
            ("Hello,\t\n World ", "hello, world"),
            ("cafe\u{301}", "café"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
            ("ﬁne", "fine"),
            ("ＡＢＣ　１２３", "abc 123"),
            ("ｶﾞ", "ガ"),
            ("ПРИВЕТ", "привет"),
            ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
            ("Straße", "STRASSE"),
            ("مُحَمَّد", "محمد"),
            ("ســلام", "سلام"),
            ("שָׁלוֹם", "שלום"),
            ("❤\u{fe0f}", "❤"),
            ("na\u{ad}ïve", "naïve"),
            ("İstanbul", "istanbul"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
        assert_eq!(fold(" \u{200b} \u{0} "), "");
        assert_ne!(fold("か"), fold("が"), "other words in Japanese");
        assert_ne!(fold("ไม"), fold("ไม่"), "other words in Thai");
    }

    proptest! {
        /// Folding twice changes nothing, and there are no spaces but between words.
        #[test]
        fn folding_is_done_once_for_all(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert!(!folded.starts_with(' ') && !folded.ends_with(' '));
            prop_assert!(!folded.contains("  "));
            prop_assert_eq!(fold(&folded), folded);
        }
    }
}
