//! The company: who works there and what its rules are. The engine asks it as a [`Policy`] before it
//! carries out a command, and as a [`Directory`] when somebody is known by the id alone. What roles allow
//! in a room is the engine's own rule, and comes on top.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use chat_core::{
    Code, Command, Directory, Error, Moderation, Name, Policy, Result, RoomCommand, RoomId, User,
    UserId,
};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rank {
    Manager,
    Clerk,
    Intern,
}

/// What the company knows of somebody, and the engine need not know.
pub(crate) struct Employee {
    pub(crate) user: User,
    pub(crate) department: &'static str,
    pub(crate) rank: Rank,
    pub(crate) suspended: bool,
}

/// What the company says of a room. Of a room without a rule, it says nothing.
pub(crate) enum Rule {
    Department {
        name: &'static str,
        interns_write: bool,
    },
    /// A direct room. The engine shows a policy no more of a room than its id.
    Between([UserId; 2]),
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) staff: HashMap<UserId, Employee>,
    pub(crate) rules: HashMap<RoomId, Rule>,
    /// Who wants to hear nothing of whom.
    pub(crate) blocks: HashSet<(UserId, UserId)>,
}

/// The company's tables; in earnest, its database. Clones share them: the engine has some, and one
/// stays with whoever changes them. A change counts from the next command on.
#[derive(Clone, Default)]
pub(crate) struct Company(Arc<RwLock<Tables>>);

impl Company {
    pub(crate) fn hire(&self, name: &str, department: &'static str, rank: Rank) -> Result<User> {
        let user = User::new(UserId::new(), Name::new(name)?);
        let employee = Employee { user: user.clone(), department, rank, suspended: false };
        self.change(|tables| _ = tables.staff.insert(user.id, employee));
        Ok(user)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Policy for Company {
    async fn may(&self, user: &User, command: &Command) -> Result<()> {
        let tables = self.read();
        let employee = tables.staff.get(&user.id).ok_or_else(|| no("you do not work here"))?;
        match command {
            Command::Open(room) => match room.with() {
                Some(other) => tables.reach(user.id, other),
                None if employee.rank == Rank::Manager => Ok(()),
                None => Err(no("only managers open rooms")),
            },
            Command::Room(room, command) => tables.may_in(employee, *room, command),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Directory for Company {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.read().staff.get(&id).map(|employee| employee.user.clone()))
    }
}

impl Tables {
    fn may_in(&self, employee: &Employee, room: RoomId, command: &RoomCommand) -> Result<()> {
        let rule = self.rules.get(&room);
        match command {
            RoomCommand::Send(_) if employee.suspended => {
                Err(no("you are suspended; talk to your manager"))
            }
            RoomCommand::Send(_) => match rule {
                Some(Rule::Department { interns_write: false, .. })
                    if employee.rank == Rank::Intern =>
                {
                    Err(no("interns only read here"))
                }
                Some(Rule::Between(pair)) => {
                    let others = pair.iter().filter(|one| **one != employee.user.id);
                    others.copied().try_for_each(|other| self.reach(employee.user.id, other))
                }
                _ => Ok(()),
            },
            RoomCommand::Join { .. } => match rule {
                Some(Rule::Department { name, .. }) if *name != employee.department => {
                    Err(no("this room is another department's"))
                }
                _ => Ok(()),
            },
            RoomCommand::Invite(guest) => self.reach(employee.user.id, guest.id),
            RoomCommand::InviteUser(guest) => self.reach(employee.user.id, *guest),
            // Their role in a room may be what it wants.
            RoomCommand::Moderate(Moderation::Ban { user, .. } | Moderation::Kick { user })
                if self.staff.get(user).is_some_and(|it| it.rank == Rank::Manager) =>
            {
                Err(no("nobody shows a manager the door"))
            }
            _ => Ok(()),
        }
    }

    /// Whether one may turn to another. Whoever is blocked is not told so.
    fn reach(&self, user: UserId, other: UserId) -> Result<()> {
        if self.blocks.contains(&(other, user)) {
            return Err(Error::no_such_user());
        }
        if self.blocks.contains(&(user, other)) {
            return Err(no("you have blocked them; end that first"));
        }
        Ok(())
    }
}

fn no(why: &'static str) -> Error {
    Error::new(Code::Forbidden, why)
}
