//! People who sign in all at once, each again as soon as it has been let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use shared::Outcome;
use tokio::task::JoinSet;

use crate::client::Person;

/// How many logins are under way at any time.
pub(crate) const AT_ONCE: usize = 100;

/// It ends when this is dropped.
pub(crate) struct Storm {
    logins: JoinSet<Outcome<()>>,
    done: Arc<AtomicU64>,
    since: Instant,
}

impl Storm {
    /// Begins; a login of everybody is under way.
    pub(crate) fn begin(people: &[Person]) -> Self {
        let (mut logins, done) = (JoinSet::new(), Arc::<AtomicU64>::default());
        for person in people {
            let (person, done) = (person.clone(), Arc::clone(&done));
            logins.spawn(async move {
                loop {
                    person.sign_in().await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { logins, done, since: Instant::now() }
    }

    /// How many logins a second there were.
    ///
    /// # Errors
    /// If somebody was not let in.
    pub(crate) fn end(mut self) -> Outcome<f64> {
        let per_second =
            self.done.load(Ordering::Relaxed) as f64 / self.since.elapsed().as_secs_f64();
        if let Some(ended) = self.logins.try_join_next() {
            return Err(ended?.err().unwrap_or_else(|| "somebody went".into()));
        }
        Ok(per_second)
    }
}
