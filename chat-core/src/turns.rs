//! Whose turn it is to do something that takes long: few at a time, one user's one after the other, and in the order in
//! which they have come. A user's next one gets in line when its last one has ended, so that nobody who asks for much
//! makes others wait for more than one of its.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::ids::UserId;

/// Turns. Of a user who neither waits nor has one, nothing is kept.
pub(crate) struct Turns {
    all: Semaphore,
    users: Mutex<HashMap<UserId, Line>>,
}

/// A user's own line.
struct Line {
    turn: Arc<Semaphore>,
    /// How many stand in it or have come to its end.
    count: usize,
}

/// A turn, which ends when this is dropped.
pub(crate) struct Turn<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_its: OwnedSemaphorePermit,
    _in_line: InLine<'a>,
}

/// A place in a user's line.
struct InLine<'a> {
    turns: &'a Turns,
    user: UserId,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut users = self.turns.users();
        if let Some(line) = users.get_mut(&self.user) {
            line.count -= 1;
            if line.count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

impl Turns {
    /// So many at a time.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Semaphore::new(at_once), users: Mutex::default() }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Line>> {
        // Nothing that runs under the lock leaves a count half changed.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a user's turn. Whoever gives up waiting leaves the line. (It is never closed: there always is one.)
    pub(crate) async fn turn(&self, user: UserId) -> Option<Turn<'_>> {
        let (turn, in_line) = self.stand_in_line(user);
        let of_its = turn.acquire_owned().await.ok()?;
        let of_all = self.all.acquire().await.ok()?;
        Some(Turn { _of_all: of_all, _of_its: of_its, _in_line: in_line })
    }

    fn stand_in_line(&self, user: UserId) -> (Arc<Semaphore>, InLine<'_>) {
        let mut users = self.users();
        let new = || Line { turn: Arc::new(Semaphore::new(1)), count: 0 };
        let line = users.entry(user).or_insert_with(new);
        line.count += 1;
        (Arc::clone(&line.turn), InLine { turns: self, user })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Turn<'a>>> + 'a>>;

    /// Somebody who gets in line.
    fn waits(turns: &Turns, user: UserId) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(turns.turn(user));
        assert!(waiting.as_mut().now_or_never().is_none(), "it has to wait");
        waiting
    }

    fn at_once(turns: &Turns, user: UserId) -> Turn<'_> {
        turns.turn(user).now_or_never().flatten().expect("it is its turn")
    }

    /// Whose turn it is by now.
    fn comes<'a>(waiting: &mut Waiting<'a>) -> Option<Turn<'a>> {
        waiting.as_mut().now_or_never().flatten()
    }

    #[test]
    fn few_at_a_time_and_of_one_user_one() {
        let turns = Turns::new(2);
        let [ann, bob, carol] = [(); 3].map(|()| UserId::new());
        let anns = at_once(&turns, ann);
        let mut second = waits(&turns, ann);
        let bobs = at_once(&turns, bob);
        let mut carols = waits(&turns, carol);
        drop(anns);
        assert!(comes(&mut second).is_none(), "others have waited before");
        let carols = comes(&mut carols).expect("there is room");
        drop(bobs);
        drop(comes(&mut second).expect("nobody else waits"));
        drop(carols);
        assert!(turns.users().is_empty(), "nothing is kept");
    }

    #[test]
    fn a_users_turns_come_in_the_order_in_which_it_has_asked() {
        let (turns, ann) = (Turns::new(2), UserId::new());
        let mut turn = at_once(&turns, ann);
        let mut waiting: Vec<_> = (0..20).map(|_| waits(&turns, ann)).collect();
        while !waiting.is_empty() {
            drop(turn);
            turn = comes(&mut waiting[0]).expect("the next one's");
            drop(waiting.remove(0));
            assert!(waiting.iter_mut().all(|one| comes(one).is_none()));
        }
    }

    #[test]
    fn a_users_next_waits_behind_everybody_elses_first() {
        let turns = Turns::new(1);
        let [ann, bob, carol] = [(); 3].map(|()| UserId::new());
        let mut turn = at_once(&turns, ann);
        let mut anns: Vec<_> = (0..3).map(|_| waits(&turns, ann)).collect();
        for other in [bob, carol] {
            let mut others = waits(&turns, other);
            drop(turn);
            // Its next one gets in line now.
            assert!(anns.iter_mut().all(|one| comes(one).is_none()));
            let others = comes(&mut others).expect("it has waited before");
            drop(others);
            turn = comes(&mut anns[0]).expect("and then it is hers");
            drop(anns.remove(0));
        }
    }

    #[test]
    fn whoever_gives_up_is_out_of_the_way_and_forgotten() {
        let turns = Turns::new(1);
        let [ann, bob, carol] = [(); 3].map(|()| UserId::new());
        let anns = at_once(&turns, ann);
        let (bobs, mut others) = (waits(&turns, bob), waits(&turns, carol));
        drop((waits(&turns, ann), bobs));
        assert!(!turns.users().contains_key(&bob));
        drop(anns);
        drop(comes(&mut others).expect("those before it have gone"));
        assert!(turns.users().is_empty());
    }
}
