//! `cargo run -p examples --bin own_users` — a company's own people and rules, beside the roles that the
//! engine's rooms have: a day at work, and what each is answered.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

mod company;

use chat_core::{
    After, CloseReason, Draft, Engine, Moderation, Name, NewRoom, Result, Role, Room, RoomCommand,
    User, UserId,
};

use company::{Company, Rank, Rule};

/// Prints what became of a command. The code is for programs and never changes, the message is for
/// people.
fn show<T>(what: &str, result: Result<T>) {
    match result {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {} ({})", error.code().as_str(), error.message()),
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let company = Company::default();
    let directory = std::sync::Arc::new(company.clone());
    let chat = Engine::builder().policy(company.clone()).directory(directory).start()?;
    let mia = company.hire("Mia", "sales", Rank::Manager)?;
    let max = company.hire("Max", "sales", Rank::Manager)?;
    let sue = company.hire("Sue", "sales", Rank::Clerk)?;
    let ivy = company.hire("Ivy", "sales", Rank::Intern)?;
    let carl = company.hire("Carl", "law", Rank::Clerk)?;

    println!("# Rules of the company");
    let stranger = User::new(UserId::new(), Name::new("Stranger")?);
    show("Ivy opens a room", chat.open_room(&ivy, NewRoom::open("Party")?).await);
    show("A stranger opens a room", chat.open_room(&stranger, NewRoom::open("Spam")?).await);
    let sales = chat.open_room(&mia, NewRoom::open("Sales")?).await?;
    let rule = |interns_write| Rule::Department { name: "sales", interns_write };
    company.change(|tables| _ = tables.rules.insert(sales.id(), rule(false)));
    show("Carl joins Sales", sales.join(&carl, After::Nothing).await);
    for user in [&max, &sue, &ivy] {
        sales.join(user, After::Nothing).await?;
    }
    show("Ivy writes", sales.send(&ivy, Draft::text("May I?")?).await);
    company.change(|tables| _ = tables.rules.insert(sales.id(), rule(true)));
    show("Ivy writes, now that interns may", sales.send(&ivy, Draft::text("Hi!")?).await);

    println!("# Roles in a room");
    let (max_id, sue_id, ivy_id) = (max.id, sue.id, ivy.id);
    let moderate = async |user: &User, what: &str, act| {
        show(&format!("{} {what}", user.name), sales.moderate(user, act).await);
    };
    let role = |role| Moderation::Role { user: sue_id, role };
    moderate(&sue, "kicks Ivy", Moderation::Kick { user: ivy_id }).await;
    moderate(&mia, "makes Sue a moderator", role(Role::Moderator)).await;
    moderate(&sue, "mutes Ivy", Moderation::Mute { user: ivy_id, until: None }).await;
    show("Ivy writes, muted", sales.send(&ivy, Draft::text("Why?")?).await);
    moderate(&sue, "kicks Ivy", Moderation::Kick { user: ivy_id }).await;
    show("Ivy writes, kicked", sales.send(&ivy, Draft::text("Hello?")?).await);
    moderate(&sue, "bans Ivy", Moderation::Ban { user: ivy_id, until: None }).await;
    show("Ivy joins, banned", sales.join(&ivy, After::Nothing).await);
    // In the room he is a member as others are: his role would allow it.
    moderate(&sue, "bans Max", Moderation::Ban { user: max_id, until: None }).await;
    moderate(&mia, "makes Sue a member again", role(Role::Member)).await;
    moderate(&sue, "lifts the ban", Moderation::Unban { user: ivy_id }).await;
    moderate(&mia, "lifts the ban", Moderation::Unban { user: ivy_id }).await;

    println!("# People by their ids");
    let deal = chat.open_room(&mia, NewRoom::private("Deal")?).await?;
    invite(&deal, &mia, "Carl", carl.id).await;
    invite(&deal, &mia, "somebody who does not work here", UserId::new()).await;
    show("Carl joins", deal.join(&carl, After::Nothing).await);

    println!("# Who wants nothing to do with whom");
    let two = chat.open_room(&carl, NewRoom::direct_with(sue.id)).await?;
    company.change(|tables| _ = tables.rules.insert(two.id(), Rule::Between([carl.id, sue.id])));
    show("Carl writes to Sue", two.send(&carl, Draft::text("Lunch?")?).await);
    company.change(|tables| _ = tables.blocks.insert((sue.id, carl.id)));
    show("Carl writes to Sue, blocked", two.send(&carl, Draft::text("Dinner?")?).await);
    show(
        "Carl opens another room with her",
        chat.open_room(&carl, NewRoom::direct(sue.clone())).await,
    );
    invite(&deal, &carl, "Sue", sue.id).await;
    show("Sue writes to Carl", two.send(&sue, Draft::text("No.")?).await);

    println!("# The end of it");
    let (sue, _sue_hears) = chat.connect(sue)?;
    sue.join(sales.id(), After::Nothing).await?;
    company.change(|tables| {
        tables.staff.entry(sue_id).and_modify(|employee| employee.suspended = true);
    });
    show("Sue writes, suspended", sue.send(sales.id(), Draft::text("Why me?")?).await);
    // The policy is asked about commands. Whoever is to hear no more either, has to be disconnected.
    sue.end(CloseReason::Left);
    show("Mia writes", sales.send(&mia, Draft::text("Back to work.")?).await);
    chat.stop().await;
    Ok(())
}

/// Invites somebody of whom only the id is known: the engine asks the directory for the rest.
async fn invite(room: &Room, user: &User, whom: &str, id: UserId) {
    let invited = room.ask(user, RoomCommand::InviteUser(id)).await;
    show(&format!("{} invites {whom}", user.name), invited);
}
