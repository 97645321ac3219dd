//! Who may do what in a room, as its threads know it: the room changes it in the very step in which it
//! applies a change, and its threads look whether it is another one before each step of theirs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::ids::UserId;
use crate::model::{Change, ChangeKind, Kind, Membership, Role, Settings};
use crate::room::restrictions::Restrictions;

/// Shared by a room and its live threads. Both locks are held for moments only, and never while anybody waits
/// for anything else.
pub(super) struct Access {
    /// Who may find and enter the room.
    pub(super) kind: Kind,
    /// Held by each thread during each of its steps, and by the room while it ends a membership: so a step of a
    /// thread comes either before that end is told, or knows of it.
    step: RwLock<()>,
    standing: RwLock<Standing>,
    version: AtomicU64,
}

/// How everybody stands in the room.
pub(super) struct Standing {
    /// Of its members.
    pub(super) roles: HashMap<UserId, Role>,
    /// Who is a member no more, of those who were since a thread first lived.
    pub(super) ended: Ended,
    pub(super) mutes: Restrictions,
    pub(super) settings: Settings,
    /// Members who do not show whether they are there.
    pub(super) unseen: HashSet<UserId>,
}

/// Those whose memberships have ended of late, in two generations: when the younger is full, the older is
/// forgotten. By then every thread has long taken out whoever is in it; one that has not asks.
#[derive(Default)]
pub(super) struct Ended {
    young: HashSet<UserId>,
    old: HashSet<UserId>,
}

/// How many of them a generation has.
const GENERATION: usize = 1_024;

impl Ended {
    fn insert(&mut self, user: UserId) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(user);
    }

    fn remove(&mut self, user: UserId) {
        self.young.remove(&user);
        self.old.remove(&user);
    }

    pub(super) fn contains(&self, user: UserId) -> bool {
        self.young.contains(&user) || self.old.contains(&user)
    }
}

impl Access {
    pub(super) fn new(kind: Kind, standing: Standing) -> Self {
        let (step, version) = Default::default();
        Self { kind, step, standing: RwLock::new(standing), version }
    }

    /// To be held by a thread during a step.
    pub(super) fn step(&self) -> RwLockReadGuard<'_, ()> {
        // Nothing that runs under the locks leaves anything half changed.
        self.step.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> RwLockReadGuard<'_, Standing> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another number, if anything is otherwise that threads have a copy of.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The role of a user in the room, if it is a member there.
    pub(super) fn role(&self, user: UserId) -> Option<Role> {
        self.standing().roles.get(&user).copied()
    }

    /// The room has changed, and has these mutes now. Answers whether a membership has ended.
    pub(super) fn note(&self, change: &Change, mutes: &Restrictions) -> bool {
        let Membership { user, role } = change.kind.membership();
        let ends = change.kind.ends_membership();
        match &change.kind {
            ChangeKind::Joined(_) => {
                self.alter(false, |standing| {
                    standing.ended.remove(user.id);
                    standing.roles.insert(user.id, *role);
                });
            }
            ChangeKind::Role(_) => {
                self.alter(true, |standing| _ = standing.roles.insert(user.id, *role));
            }
            ChangeKind::Transferred(_) => self.alter(true, |standing| {
                standing.roles.insert(user.id, *role);
                if let Some(before) = &change.by {
                    standing.roles.insert(before.id, Role::Moderator);
                }
            }),
            ChangeKind::Muted(..) | ChangeKind::Unmuted(_) => {
                self.alter(true, |standing| standing.mutes = mutes.clone());
            }
            ChangeKind::Settings(_, settings) => {
                self.alter(true, |standing| standing.settings = *settings);
            }
            _ if ends => {
                let _alone = self.step.write().unwrap_or_else(PoisonError::into_inner);
                self.alter(true, |standing| {
                    if standing.roles.remove(&user.id).is_some() {
                        standing.ended.insert(user.id);
                    }
                });
            }
            _ => {}
        }
        ends
    }

    /// A member shows whether it is there, or does not.
    pub(super) fn show(&self, user: UserId, shown: bool) {
        self.alter(true, |standing| {
            if shown {
                standing.unseen.remove(&user);
            } else {
                standing.unseen.insert(user);
            }
        });
    }

    fn alter(&self, is_copied: bool, alter: impl FnOnce(&mut Standing)) {
        alter(&mut self.standing.write().unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(u64::from(is_copied), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_leaves_no_memory_behind() {
        let (mut ended, back) = (Ended::default(), UserId::new());
        ended.insert(back);
        ended.remove(back);
        assert!(!ended.contains(back));
        for _ in 0..10_000 {
            let user = UserId::new();
            ended.insert(user);
            assert!(ended.contains(user));
        }
        assert!(ended.young.len() + ended.old.len() <= 2 * GENERATION);
    }
}
