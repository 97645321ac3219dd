//! A running server against a plain model, over real sockets and HTTP: random commands of several users with
//! several connections each, which are cut off and come back; writes that are asked again with their keys,
//! because nobody knows what came of them; and servers that stop and start. Every answer is the one that plain
//! rules give, and what every connection has rebuilt from what it heard is what HTTP says of the room, which is
//! what the model says.

mod state_machine_model;
mod support;

use std::cell::RefCell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use state_machine_model::steps::{Step, steps};
use state_machine_model::view::Broken;
use state_machine_model::world::{Stage, World};
use support::PATIENCE;
use tokio::time::timeout;

/// How long a case may take, in which every single wait has its own patience.
const CASE: Duration = PATIENCE.saturating_mul(10);

async fn run(stage: &mut Stage, steps: Vec<Step>) -> Result<(), Broken> {
    let mut world = World::new(stage).await;
    for step in steps {
        let said = format!("in {step:?}");
        world.step(step).await.map_err(|broken| format!("{broken}; {said}"))?;
    }
    world.end().await
}

#[test]
fn what_clients_rebuild_is_what_the_server_says() {
    let runtime = actix_web::rt::System::new();
    let stage = RefCell::new(runtime.block_on(Stage::new()));
    let config = ProptestConfig {
        cases: 16,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let mut stage = stage.borrow_mut();
        let run = runtime.block_on(async { timeout(CASE, run(&mut stage, steps)).await });
        let run = run.unwrap_or_else(|_| Err("it never comes to rest".into()));
        run.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("{why}\n{steps:#?}"),
        Err(error) => panic!("{error}"),
    }
    let server = stage.into_inner().server;
    runtime.block_on(async { server.expect("it runs").stop().await });
}
