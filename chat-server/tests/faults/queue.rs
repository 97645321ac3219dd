//! More is sent than can wait for a database that has stopped: what is too much is answered at once,
//! and what was taken is written later or given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::{After, Code, Limits};
use futures_util::future::join_all;

use crate::database::server::Server;
use crate::house::{House, open, user};
use crate::ledger::{Ledger, Voice};
use crate::{MARGIN, until};

const DEADLINE: Duration = Duration::from_secs(10);
/// How many writes may wait.
const ROOM_FOR: usize = 8;
const SENDERS: usize = 60;

#[tokio::test]
async fn what_is_too_much_is_answered_at_once() {
    let server = Server::new().await;
    let limits = Limits { queued_writes: ROOM_FOR, ..Limits::default() };
    let house = House::build(open(&server.url(), DEADLINE).await, limits, 3).await;
    let mut voices = Vec::new();
    for number in 0..SENDERS {
        let me = user(&format!("sender {number}"));
        let room = house.engine.room(house.rooms[number % house.rooms.len()]);
        room.join(&me, After::Nothing).await.expect("in it");
        voices.push(Voice::Alone(room, me));
    }
    let ledger = Arc::new(Ledger::new(DEADLINE + MARGIN));
    // Once it goes on in time, and once it does not.
    for in_time in [true, false] {
        let lines: Vec<_> = voices.iter().map(|voice| ledger.note(voice, true)).collect();
        let (accepted, busy) = (ledger.accepted(), ledger.refused(Code::Busy));
        let unavailable = ledger.refused(Code::Unavailable);
        let send_all = async || {
            let sends = voices.iter().zip(&lines).map(|(voice, line)| ledger.send(voice, *line));
            join_all(sends).await
        };
        server.freeze();
        let since = Instant::now();
        let thaw = async {
            let too_many = busy + SENDERS - ROOM_FOR;
            until("what is too much is refused", async || ledger.refused(Code::Busy) >= too_many)
                .await;
            assert!(since.elapsed() < DEADLINE, "after {:?}", since.elapsed());
            assert_eq!(ledger.accepted(), accepted);
            if !in_time {
                let given_up = unavailable + ROOM_FOR;
                until("what was taken is given up", async || {
                    ledger.refused(Code::Unavailable) >= given_up
                })
                .await;
            }
            server.thaw();
        };
        let (answers, ()) = tokio::join!(send_all(), thaw);
        let taken = answers.iter().filter(|answer| **answer != Err(Code::Busy)).count();
        assert_eq!(taken, ROOM_FOR);
        if in_time {
            assert_eq!(ledger.accepted(), accepted + ROOM_FOR, "what was taken is written");
        }
        // All that was refused is accepted in the end.
        until("all are accepted", async || {
            let sends = voices.iter().zip(&lines).map(async |(voice, line)| {
                while ledger.send(voice, *line).await == Err(Code::Unavailable) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            join_all(sends).await;
            ledger.accepted() == accepted + SENDERS
        })
        .await;
    }
    until("nothing waits", async || house.engine.stats().waiting_writes == 0).await;
    house.settle_in(&ledger, &server.url()).await;
}
