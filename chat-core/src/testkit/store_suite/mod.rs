//! What every [`Store`] must do, as cases that run against any of them. Each file has a group of
//! cases, and each case is an async function of a [`StoreHome`].

mod commits;
mod deletion;
mod editing;
mod engine;
mod fencing;
mod keys;
mod kinds;
mod lasting;
mod marks;
mod members;
mod moderation;
mod once;
mod paging;
mod reading;
mod support;
mod text;
mod threads;
mod users;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::store::{MemoryStore, Store};
use crate::testkit::report::{Report, verdict};
use support::Checked;

/// How long a case may take.
const CASE_LIMIT: Duration = Duration::from_secs(30);

/// What outlives one opening of the store under test: a file, a database.
#[async_trait]
pub trait StoreHome: Send + Sync {
    /// Opens the store on these contents. Called again after all earlier ones were dropped it is
    /// what a restart is; called while another is open, what a second process on the same database
    /// is.
    async fn open(&self) -> Arc<dyn Store>;

    /// From now on lets a commit fail as a whole that carries a message with exactly this text, as
    /// a full disk or a constraint would in the middle of a commit. Answers whether this home can
    /// do so. By default it cannot, and the cases that need it are reported as skipped.
    async fn refuse(&self, text: &str) -> bool {
        let _ = text;
        false
    }
}

#[async_trait]
impl StoreHome for MemoryStore {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

/// A case: its name, and what it does with a home of its own.
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a dyn StoreHome) -> BoxFuture<'a, Checked>,
}

/// The cases of a file.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] = &[$(super::Case {
            name: stringify!($case),
            run: |home| Box::pin($case(home)),
        }),*];
    };
}
use cases;

const GROUPS: [&[Case]; 18] = [
    writing::CASES,
    keys::CASES,
    once::CASES,
    fencing::CASES,
    paging::CASES,
    text::CASES,
    members::CASES,
    moderation::CASES,
    users::CASES,
    editing::CASES,
    marks::CASES,
    reading::CASES,
    threads::CASES,
    kinds::CASES,
    deletion::CASES,
    lasting::CASES,
    commits::CASES,
    engine::CASES,
];

/// Runs every case that a store must pass, each on a new home, one after the other. Never panics
/// itself: a panic in the store is that case's failure, and so is a case that is not done within 30
/// seconds. A store that blocks the thread for ever cannot be stopped from here.
///
/// Needs a tokio runtime with time. This is the whole test of a store; here of [`MemoryStore`],
/// whose clones share what they keep:
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use chat_core::testkit::{StoreHome, check_store};
/// use chat_core::{MemoryStore, Store};
///
/// /// What outlives one opening: for a database, its address and a schema of its own.
/// #[derive(Default)]
/// struct MyHome {
///     contents: MemoryStore,
/// }
///
/// #[async_trait]
/// impl StoreHome for MyHome {
///     async fn open(&self) -> Arc<dyn Store> {
///         Arc::new(self.contents.clone())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let report = check_store(async || MyHome::default()).await;
/// println!("{report}");
/// report.assert_passed();
/// # });
/// ```
pub async fn check_store<H: StoreHome>(new_home: impl AsyncFn() -> H) -> Report {
    run(GROUPS.into_iter().flatten(), CASE_LIMIT, new_home).await
}

async fn run<H: StoreHome>(
    cases: impl Iterator<Item = &'static Case>,
    limit: Duration,
    new_home: impl AsyncFn() -> H,
) -> Report {
    let mut report = Report::default();
    for case in cases {
        let run = async { (case.run)(&new_home().await).await };
        report.add(case.name, verdict(limit, run).await);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::support::{cannot_refuse, check, failed};
    use super::*;
    use crate::testkit::Verdict;

    cases!(passes, fails, cannot_run, panics, hangs);

    async fn passes(home: &dyn StoreHome) -> Checked {
        home.open().await;
        check(true, "all is well")
    }

    async fn fails(_: &dyn StoreHome) -> Checked {
        failed("two: expected 2, got 3")
    }

    async fn cannot_run(home: &dyn StoreHome) -> Checked {
        if home.refuse("a text").await { Ok(()) } else { Err(cannot_refuse()) }
    }

    async fn panics(_: &dyn StoreHome) -> Checked {
        panic!("at the {}", "disk")
    }

    async fn hangs(_: &dyn StoreHome) -> Checked {
        std::future::pending().await
    }

    #[tokio::test]
    async fn every_case_gets_its_line() {
        let home = async || MemoryStore::default();
        let report = run(CASES.iter(), Duration::from_millis(100), home).await;
        let expected = [
            ("passes", Verdict::Passed),
            ("fails", Verdict::Failed("two: expected 2, got 3".to_owned())),
            ("cannot_run", Verdict::Skipped("this home can refuse nothing".to_owned())),
            ("panics", Verdict::Failed("panicked: at the disk".to_owned())),
            ("hangs", Verdict::Failed("not done within 100ms".to_owned())),
        ];
        let verdicts: Vec<_> = report.cases().map(|(case, v)| (case, v.clone())).collect();
        assert_eq!(verdicts, expected);
    }

    #[tokio::test]
    async fn a_home_that_panics_fails_every_case() {
        let home = async || -> MemoryStore { panic!("no home") };
        let report = run(CASES.iter(), CASE_LIMIT, home).await;
        assert_eq!(report.failures().count(), CASES.len());
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = GROUPS.into_iter().flatten().map(|case| case.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }
}
