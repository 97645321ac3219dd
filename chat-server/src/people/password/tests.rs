//! Passwords and what is kept of them.

use super::*;

fn password(text: &str) -> Password {
    Password::new(text.to_owned(), "password").unwrap()
}

#[test]
fn length_is_counted_in_characters() {
    for (text, code) in
        [("", "too_short"), ("seven77", "too_short"), (&"가".repeat(7), "too_short")]
    {
        assert_eq!(Password::new(text.to_owned(), "password").unwrap_err().code(), code, "{text}");
    }
    for text in ["eight888", &"가".repeat(8), &"👩".repeat(256), "  spaces  "] {
        assert!(Password::new(text.to_owned(), "password").is_ok(), "{text}");
    }
    let error = Password::new("x".repeat(1 << 20), "password").unwrap_err();
    assert_eq!((error.code(), error.field()), ("too_long", Some("password")));
    assert_eq!(error.measure(), Some((256, 1 << 20)));
}

#[test]
fn what_is_kept_tells_the_password_from_others_by_each_byte() {
    let hasher = Hasher::new();
    let kept = hasher.hash(&password("pass word"));
    assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
    assert_ne!(kept, hasher.hash(&password("pass word")), "salted");
    assert_eq!(hasher.verify(&password("pass word"), Some(&kept)), Verdict::Right);
    for other in ["Pass word", "pass word ", " pass word", "pass\u{a0}word", "password"] {
        assert_eq!(hasher.verify(&password(other), Some(&kept)), Verdict::Wrong, "{other}");
    }
    // The same letter in two ways of writing it are two passwords.
    let kept = hasher.hash(&password("caf\u{e9} au lait"));
    assert_eq!(hasher.verify(&password("cafe\u{301} au lait"), Some(&kept)), Verdict::Wrong);
}

#[test]
fn nobody_has_a_password_and_nothing_unreadable_is_one() {
    let hasher = Hasher::new();
    assert_eq!(hasher.verify(&password("whatever"), None), Verdict::Wrong);
    for text in ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"] {
        let kept = PasswordHash::stored(text.to_owned());
        assert_eq!(hasher.verify(&password("whatever"), Some(&kept)), Verdict::Wrong, "{text}");
    }
}

#[test]
fn a_cheaper_hash_is_replaced() {
    let hasher = Hasher::new();
    let params = Params::new(8 * 1_024, 1, 1, None).unwrap();
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let kept = PasswordHash(cheap.hash_password(b"pass word").unwrap().to_string());
    let verdict = hasher.verify(&password("pass word"), Some(&kept));
    let Verdict::RightButOld(newer) = verdict else { panic!("{verdict:?}") };
    assert_eq!(hasher.verify(&password("pass word"), Some(&newer)), Verdict::Right);
    assert_eq!(hasher.verify(&password("pass wort"), Some(&kept)), Verdict::Wrong);
}

#[test]
fn nothing_shows_a_password() {
    let hasher = Hasher::new();
    let secret = password("a secret word");
    let kept = hasher.hash(&secret);
    let shown = format!("{secret:?} {kept:?} {:?}", hasher.verify(&secret, Some(&kept)));
    assert!(!shown.contains("secret word") && !shown.contains("argon2id"), "{shown}");
}

#[tokio::test]
async fn threads_stand_behind_everything_else() {
    let passwords = Passwords::start(1);
    // They do before they take the first one.
    passwords.hash(password("pass word")).await.unwrap();
    let mut found = 0;
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = thread.unwrap().path();
        // A thread of another test may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(folder.join("stat")) else { continue };
        let Some(rest) = stat.split_once("(chat-passwords) ").map(|(_, rest)| rest) else {
            continue;
        };
        // proc(5): field 41, of which two stand before; SCHED_IDLE is 5.
        found += usize::from(rest.split(' ').nth(41 - 3) == Some("5"));
    }
    assert!(found > 0);
}

#[tokio::test]
async fn threads_answer_and_too_many_are_told_so() {
    let passwords = Passwords::start(1);
    let kept = passwords.hash(password("pass word")).await.unwrap();
    let verdict = passwords.verify(password("pass word"), Some(kept)).await.unwrap();
    assert_eq!(verdict, Verdict::Right);
    let ask = || passwords.verify(password("whatever"), None);
    let all = (0..MOST_WAITING + 50).map(|_| ask());
    // All are asked before any is answered; those who gave up cost nothing.
    let mut asked: Vec<_> = all.map(Box::pin).collect();
    let mut busy = 0;
    for asked in &mut asked {
        let polled = futures_util::poll!(asked);
        busy += usize::from(matches!(polled, std::task::Poll::Ready(Err(PeopleError::Busy))));
    }
    assert!((40..=50).contains(&busy), "{busy}");
    drop(asked);
    let verdict = loop {
        match ask().await {
            Err(PeopleError::Busy) => tokio::task::yield_now().await,
            verdict => break verdict,
        }
    };
    assert_eq!(verdict.unwrap(), Verdict::Wrong);
}
