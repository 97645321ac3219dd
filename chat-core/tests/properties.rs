//! A whole engine against a plain model: random commands, sessions that come and go, readers that
//! do not read, a store that fails and loses answers, restarts and crashes; messages that are edited
//! and deleted, and writes that are asked again with their keys. In the end what every client has
//! rebuilt from what it heard is what the store says, that is what plain rules make of the log, and
//! what was acknowledged is there, once.

mod properties_model;
mod support;

use std::time::Duration;

use chat_core::Limits;
use chat_core::testkit::Broken;
use properties_model::{Step, World, steps};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::time::timeout;

/// How long a step may take, or all that comes to rest in the end.
const PATIENCE: Duration = Duration::from_secs(30);

async fn run(steps: Vec<Step>, limits: Limits) -> Result<(), Broken> {
    let mut world = World::new(limits);
    for step in steps {
        let said = format!("in {step:?}");
        let step = timeout(PATIENCE, world.step(step)).await;
        let step = step.unwrap_or_else(|_| Err("it never ends".into()));
        step.map_err(|broken| format!("{broken}; {said}"))?;
    }
    let end = timeout(PATIENCE, world.end()).await;
    end.unwrap_or_else(|_| Err("it never comes to rest".into()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_clients_rebuild_is_what_the_store_says(
        steps in steps(),
        outbox_bytes in prop::sample::select(vec![1_500, 1 << 20]),
        kept_bytes in prop::sample::select(vec![15, 1 << 20]),
        big_room in prop::sample::select(vec![2, 200]),
        kept_keys in prop::sample::select(vec![1, 1_024]),
        marks_every in prop::sample::select(vec![0, 250]).prop_map(Duration::from_millis),
        edit_age in prop::sample::select(vec![30, 100_000]).prop_map(Duration::from_secs),
    ) {
        let limits = Limits { outbox_bytes, kept_bytes, big_room, kept_keys, marks_every, edit_age, reads_every: Duration::ZERO, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let run = runtime.expect("a runtime").block_on(run(steps, limits));
        run.map_err(TestCaseError::fail)?;
    }
}
