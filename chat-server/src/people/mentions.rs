//! Who is mentioned in a text: whoever's username stands in it behind an `@`.

use std::sync::Arc;

use chat_core::{UserId, limits};
use moka::future::Cache;
use unicode_script::{Script, UnicodeScript};

use super::username::is_mark;
use super::{PeopleError, PeopleStore, Username};

/// How many usernames are remembered, at about two hundred bytes each; what is forgotten is read again.
const MOST: u64 = 100_000;

/// Finds out whose usernames they are. Cheap to clone.
#[derive(Clone)]
pub(super) struct Mentions {
    store: Arc<dyn PeopleStore>,
    /// A username is never somebody else's, so what is known stays true.
    known: Cache<Username, UserId>,
}

impl Mentions {
    pub(super) fn new(store: Arc<dyn PeopleStore>) -> Self {
        Self { store, known: Cache::builder().max_capacity(MOST).build() }
    }

    /// Those whose usernames stand in a text, in the order in which they do, each once. Looks two names up at most for
    /// each of as many words as may mention somebody.
    pub(super) async fn find(&self, text: &str) -> Result<Vec<UserId>, PeopleError> {
        let mut found = Vec::new();
        for Word { whole, part } in words(text) {
            for username in [whole, part].into_iter().flatten() {
                let Some(user) = self.user(username).await? else { continue };
                if !found.contains(&user) {
                    found.push(user);
                }
                break;
            }
        }
        Ok(found)
    }

    async fn user(&self, username: Username) -> Result<Option<UserId>, PeopleError> {
        if let Some(user) = self.known.get(&username).await {
            return Ok(Some(user));
        }
        let user = self.store.user_named(&username).await?;
        if let Some(user) = user {
            self.known.insert(username, user).await;
        }
        Ok(user)
    }
}

/// A word behind an `@`, as far as it may be somebody's username.
#[derive(PartialEq, Eq)]
struct Word {
    whole: Option<Username>,
    /// What stands before its first change of script: a particle may follow a name without a space, as in Korean and
    /// Japanese.
    part: Option<Username>,
}

/// The words behind an `@` that stand in a text, each once; of more than one message mentions, the first.
fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('@') {
        // What has something before it is an address of mail, say.
        if text[..at].chars().next_back().is_some_and(belongs) {
            continue;
        }
        let rest = &text[at + 1..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let whole = &rest[..end];
        let word = Word { whole: username(whole), part: before_change(whole).and_then(username) };
        if word != (Word { whole: None, part: None }) && !found.contains(&word) {
            found.push(word);
            if found.len() == limits::MENTIONS {
                break;
            }
        }
    }
    found
}

fn username(text: &str) -> Option<Username> {
    // A sentence may end behind a name.
    Username::new(text.trim_end_matches(['.', '-', '_'])).ok()
}

/// What stands before the first letter of another script than the first one's, if there is such a letter.
fn before_change(text: &str) -> Option<&str> {
    let of_letters = text.char_indices().filter_map(|(at, c)| match c.script() {
        Script::Common | Script::Inherited => None,
        script => Some((at, script)),
    });
    let mut of_letters = of_letters.peekable();
    let (_, first) = *of_letters.peek()?;
    let (at, _) = of_letters.find(|(_, script)| *script != first)?;
    Some(&text[..at])
}

/// Whether a character may stand in a username.
fn belongs(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c) || ['.', '-', '_'].contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        words(text).iter().flat_map(|word| &word.whole).map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        for (text, names) in [
            ("@alice", vec!["alice"]),
            ("hello @Alice, and @bob_2!", vec!["alice", "bob_2"]),
            ("(@alice) \"@bob\" @앨리스 @李小龍。", vec!["alice", "bob", "앨리스", "李小龍"]),
            ("ask @alice. @bob... @j.r.r-1?", vec!["alice", "bob", "j.r.r-1"]),
            ("@alice@bob", vec!["alice"]),
            ("@@alice", vec!["alice"]),
            ("@alice @ALICE @alice", vec!["alice"]),
            ("@E\u{301}mile", vec!["\u{e9}mile"]),
        ] {
            assert_eq!(found(text), names, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in
            ["", "@", "@ alice", "a@alice.example", "@ab", "@_", "@...", "@\u{1f600}", "@\0"]
        {
            assert!(found(text).is_empty(), "{text}");
        }
        assert!(found(&format!("@{}", "x".repeat(3_999))).is_empty());
    }

    #[test]
    fn a_particle_may_follow_a_name() {
        for (text, whole, part) in [
            ("@bob님", Some("bob님"), Some("bob")),
            ("@bobさん, hello", Some("bobさん"), Some("bob")),
            ("@Bob_2에게", Some("bob_2에게"), Some("bob_2")),
            ("@bob_님", Some("bob_님"), Some("bob")),
            ("@李小龍さん", Some("李小龍さん"), Some("李小龍")),
            // No username as a whole, whatever follows.
            ("@bob님さCя", None, Some("bob")),
            // No change of script: of what is one word, nothing is cut off.
            ("@bobby", Some("bobby"), None),
            ("@bob2", Some("bob2"), None),
            ("@앨리스님", Some("앨리스님"), None),
            // Too short to be a name.
            ("@bo님", Some("bo님"), None),
        ] {
            let words = words(text);
            let [word] = &words[..] else { panic!("{text}: one word") };
            let names = [&word.whole, &word.part].map(|name| name.as_deref());
            assert_eq!(names, [whole, part], "{text}");
        }
    }

    #[test]
    fn of_many_the_first_count() {
        let text: String = (0..1_000).map(|n| format!("@n{n:03}")).collect::<Vec<_>>().join(" ");
        let names = found(&text);
        assert_eq!((names.len(), &*names[49]), (limits::MENTIONS, "n049"));
    }
}
