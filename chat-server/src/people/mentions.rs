//! Who is mentioned in a text: whoever's username stands in it behind an `@`.

use std::sync::Arc;

use chat_core::{UserId, limits};
use moka::future::Cache;

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

    /// Those whose usernames stand in a text, in the order in which they do.
    pub(super) async fn find(&self, text: &str) -> Result<Vec<UserId>, PeopleError> {
        let mut found = Vec::new();
        for username in usernames(text) {
            let user = match self.known.get(&username).await {
                Some(user) => Some(user),
                None => self.store.user_named(&username).await?,
            };
            if let Some(user) = user {
                self.known.insert(username, user).await;
                found.push(user);
            }
        }
        Ok(found)
    }
}

/// The usernames that stand in a text, each once; of more than one message mentions, the first.
fn usernames(text: &str) -> Vec<Username> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('@') {
        // What has something before it is an address of mail, say.
        if text[..at].chars().next_back().is_some_and(belongs) {
            continue;
        }
        let rest = &text[at + 1..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        // A sentence may end behind a name.
        let name = rest[..end].trim_end_matches(['.', '-', '_']);
        if let Ok(username) = Username::new(name)
            && !found.contains(&username)
        {
            found.push(username);
            if found.len() == limits::MENTIONS {
                break;
            }
        }
    }
    found
}

/// Whether a character may stand in a username.
fn belongs(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c) || ['.', '-', '_'].contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        usernames(text).iter().map(|name| name.to_string()).collect()
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
    fn of_many_the_first_count() {
        let text: String = (0..1_000).map(|n| format!("@n{n:03}")).collect::<Vec<_>>().join(" ");
        let names = found(&text);
        assert_eq!((names.len(), &*names[49]), (limits::MENTIONS, "n049"));
    }
}
