//! `cargo run -p examples --bin own_users` — a company's own people and rules: the engine asks a
//! [`Policy`] before it carries out a command.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chat_core::{
    After, CloseReason, Code, Command, Draft, Engine, Error, Kind, Name, NewRoom, Policy,
    RoomCommand, RoomId, User, UserId,
};

#[derive(Clone, Copy, PartialEq)]
enum Rank {
    Manager,
    Clerk,
    Intern,
}

/// What the company knows of somebody, and the engine need not know.
struct Employee {
    department: &'static str,
    rank: Rank,
    suspended: bool,
}

/// What the company says of a room. Of a room without a rule, it says nothing.
struct Rule {
    department: &'static str,
    interns_write: bool,
}

#[derive(Default)]
struct Tables {
    staff: HashMap<UserId, Employee>,
    rules: HashMap<RoomId, Rule>,
}

/// The company's tables; in earnest, its database. Clones share them: one is the engine's policy,
/// another stays with whoever changes them. A change counts from the next command on.
#[derive(Clone, Default)]
struct Company(Arc<RwLock<Tables>>);

impl Company {
    fn change(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn hire(&self, name: &str, department: &'static str, rank: Rank) -> chat_core::Result<User> {
        let user = User::new(UserId::new(), Name::new(name)?);
        let employee = Employee { department, rank, suspended: false };
        self.change(|tables| _ = tables.staff.insert(user.id, employee));
        Ok(user)
    }
}

impl Tables {
    /// Why the command is not allowed, in words for whoever gave it.
    fn objection(&self, user: &User, command: &Command) -> Option<&'static str> {
        let Some(employee) = self.staff.get(&user.id) else { return Some("you do not work here") };
        match command {
            // Anybody may talk to anybody in private.
            Command::Open(room) if room.kind() == Kind::Direct => None,
            Command::Open(_) if employee.rank != Rank::Manager => Some("only managers open rooms"),
            Command::Room(_, RoomCommand::Send(_)) if employee.suspended => {
                Some("you are suspended; talk to your manager")
            }
            Command::Room(room, command) => {
                let rule = self.rules.get(room)?;
                match command {
                    RoomCommand::Join { .. } if rule.department != employee.department => {
                        Some("this room is another department's")
                    }
                    RoomCommand::Send(_)
                        if employee.rank == Rank::Intern && !rule.interns_write =>
                    {
                        Some("interns only read here")
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Policy for Company {
    async fn may(&self, user: &User, command: &Command) -> chat_core::Result<()> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match tables.objection(user, command) {
            Some(why) => Err(Error::new(Code::Forbidden, why)),
            None => Ok(()),
        }
    }
}

/// Prints what became of a command. The code is for programs and never changes, the message is for
/// people.
fn show<T>(what: &str, result: chat_core::Result<T>) {
    match result {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {} ({})", error.code().as_str(), error.message()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let company = Company::default();
    let chat = Engine::builder().policy(company.clone()).start()?;
    let mia = company.hire("Mia", "sales", Rank::Manager)?;
    let carl = company.hire("Carl", "law", Rank::Clerk)?;
    let ivy = company.hire("Ivy", "sales", Rank::Intern)?;
    let stranger = User::new(UserId::new(), Name::new("Stranger")?);

    show("Ivy opens a room", chat.open_room(&ivy, NewRoom::open("Party")?).await);
    show("A stranger opens a room", chat.open_room(&stranger, NewRoom::open("Spam")?).await);
    show("Ivy talks to Carl", chat.open_room(&ivy, NewRoom::direct(carl.clone())).await);
    let sales = chat.open_room(&mia, NewRoom::open("Sales")?).await?;
    let rule = Rule { department: "sales", interns_write: false };
    company.change(|tables| _ = tables.rules.insert(sales.id(), rule));

    show("Carl joins Sales", sales.join(&carl, After::Nothing).await);
    let (ivy, _ivy_hears) = chat.connect(ivy)?;
    show("Ivy joins Sales", ivy.join(sales.id(), After::Nothing).await);
    show("Ivy writes", ivy.send(sales.id(), Draft::text("May I?")?).await);
    company.change(|tables| {
        tables.rules.entry(sales.id()).and_modify(|rule| rule.interns_write = true);
    });
    show("Ivy writes, now that interns may", ivy.send(sales.id(), Draft::text("Hi!")?).await);

    let id = ivy.user().id;
    company.change(|tables| {
        tables.staff.entry(id).and_modify(|employee| employee.suspended = true);
    });
    show("Ivy writes, suspended", ivy.send(sales.id(), Draft::text("Why?")?).await);
    // The policy is asked about commands. Whoever is to hear no more either, has to be
    // disconnected.
    ivy.end(CloseReason::Left);
    show("Mia writes", sales.send(&mia, Draft::text("Back to work.")?).await);
    chat.stop().await;
    Ok(())
}
