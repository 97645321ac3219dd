//! `cargo run --release -p benches --bin report` — writes what the benchmarks have measured into
//! `docs/benchmarks.md`, between its markers, and draws the plots in `docs/images/`. What the figures
//! mean is written in the document itself and stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::Value;
use shared::figures::{self, Document, Figures, MUSTS, Plot, bars, must, number};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What Criterion has measured: nanoseconds for one thing, the median, by group, function and size.
struct Measured(BTreeMap<(String, String, String), f64>);

impl Measured {
    fn read() -> Outcome<Self> {
        let mut found = Vec::new();
        find(&figures::target()?.join("criterion"), &mut found)?;
        let mut measured = BTreeMap::new();
        for folder in found {
            let json = |name| -> Outcome<Value> {
                Ok(serde_json::from_str(&fs::read_to_string(folder.join(name))?)?)
            };
            let (what, estimates) = (json("benchmark.json")?, json("estimates.json")?);
            let text = |key: &str| what[key].as_str().unwrap_or_default().to_owned();
            let nanos = estimates["median"]["point_estimate"].as_f64().ok_or("no median")?;
            let things = what["throughput"]["Elements"].as_f64().unwrap_or(1.0);
            let key = (text("group_id"), text("function_id"), text("value_str"));
            measured.insert(key, nanos / things);
        }
        Ok(Self(measured))
    }

    fn get(&self, group: &str, function: &str, size: usize) -> Outcome<f64> {
        let key = (group.to_owned(), function.to_owned(), size.to_string());
        let missing = || format!("no figure for {group}/{function}/{size}: run the benchmarks");
        Ok(self.0.get(&key).copied().ok_or_else(missing)?)
    }

    /// The figures of one function, over the sizes.
    fn line(&self, group: &str, function: &str, sizes: &[usize]) -> Outcome<Vec<(f64, f64)>> {
        let point = |size: &usize| Ok((*size as f64, self.get(group, function, *size)?));
        sizes.iter().map(point).collect()
    }
}

/// Criterion's folders of the latest results.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("estimates.json").is_file() && path.ends_with("new") {
            found.push(path);
        } else if path.is_dir() {
            find(&path, found)?;
        }
    }
    Ok(())
}

const ONE_BY_ONE: &str = "delivered, one by one";
const FAN_OUT: [usize; 4] = [10, 1_000, 10_000, 50_000];
const DELIVERY: [usize; 2] = [1_000, 10_000];
/// What Criterion calls it, and what the table does.
const WAYS: [(&str, &str); 5] = [
    ("mailbox", "the mailbox of an actor for each connection"),
    ("outbox", "an outbox, its reader woken on the same thread"),
    ("outbox, read on another thread", "an outbox, its reader woken on another thread"),
    ("slab", "the slab, without its `send`s"),
    ("send", "a bare `send`, for comparison"),
];
const HERE: [usize; 3] = [100, 1_000, 10_000];
const PRESENT: [usize; 3] = [0, 900, 9_900];
const COMMANDS: [&str; 3] =
    ["ping: session", "history: session, room", "send: session, room, journal"];

fn musts(measured: &Measured, sessions: &Figures, rooms: &Figures) -> Outcome<String> {
    let inbox = measured.get("fan_out", &format!("{ONE_BY_ONE}, threads 1"), 10_000)?;
    let ratio = |size| -> Outcome<f64> {
        let (room, sql) = ("room actor", "SQL query");
        Ok(measured.get("who is here", sql, size)? / measured.get("who is here", room, size)?)
    };
    let (here, many) = (ratio(1_000)?, ratio(10_000)?);
    let join = |present| measured.get("join and leave", "join", present);
    let join = join(9_900)? / join(0)?;
    let idle = sessions["connected"];
    let back = rooms["heap after : before"];
    let mut table = String::from(MUSTS);
    table += &must(
        "a message in process, per inbox, 10,000 members, one thread",
        "at most 150 ns; hoped for: 60 ns",
        &format!("{} ns", number(inbox)),
        inbox <= 150.0,
    );
    table += &must(
        "a page of members: the room against a SQL query, 1,000 · 10,000 members",
        "at least 50 times cheaper",
        &format!("{here:.0} · {many:.0} times"),
        here >= 50.0 && many >= 50.0,
    );
    table += &must(
        "a join at 9,900 members against the first hundred",
        "at most 2 times the cost",
        &format!("{join:.2} times"),
        join <= 2.0,
    );
    table += &must(
        "heap of an idle session in process",
        "at most 2,048 bytes; hoped for: 1,024",
        &format!("{} bytes", number(idle)),
        idle <= 2_048.0,
    );
    table += &must(
        &format!("heap after {} rooms, against before", number(rooms["live rooms"])),
        "within 10 %",
        &format!("{back:.2} times"),
        back <= 1.1,
    );
    Ok(table)
}

/// What stands where, by the name of its marker.
fn blocks(
    measured: &Measured,
    sessions: &Figures,
    rooms: &Figures,
) -> Outcome<Vec<(&'static str, String)>> {
    let mut members = String::from(
        "| members | room, 64 at once | SQL, 64 at once | ratio | room, one at a time \
         | SQL, one at a time |\n| --: | --: | --: | --: | --: | --: |\n",
    );
    for size in HERE {
        let us = |name| {
            Ok::<_, Box<dyn std::error::Error>>(measured.get("who is here", name, size)? / 1_000.0)
        };
        let (room, sql) = (us("room actor")?, us("SQL query")?);
        let (room_1, sql_1) = (us("room actor, one at a time")?, us("SQL query, one at a time")?);
        writeln!(
            members,
            "| {} | {room:.2} µs | {sql:.1} µs | {:.0} | {room_1:.1} µs | {sql_1:.1} µs |",
            number(size as f64),
            sql / room
        )?;
    }
    let mut fan_out = String::from("| ns per inbox |");
    for size in FAN_OUT {
        write!(fan_out, " {} members |", number(size as f64))?;
    }
    fan_out += "\n| --- | --: | --: | --: | --: |\n";
    for threads in [1, 2, 4] {
        for kind in [ONE_BY_ONE, "delivered, at once", "read, one by one"] {
            write!(fan_out, "| {kind}, threads {threads} |")?;
            for size in FAN_OUT {
                let value = measured.get("fan_out", &format!("{kind}, threads {threads}"), size)?;
                write!(fan_out, " {} |", number(value))?;
            }
            fan_out.push('\n');
        }
    }
    let mut delivery = String::from("| CPU ns per delivery |");
    for size in DELIVERY {
        write!(delivery, " {} members |", number(size as f64))?;
    }
    delivery += "\n| --- | --: | --: |\n";
    for (name, way) in WAYS {
        write!(delivery, "| {way} |")?;
        for size in DELIVERY {
            write!(delivery, " {} |", number(measured.get("delivery", name, size)?))?;
        }
        delivery.push('\n');
    }
    let mut table = String::from("| | |\n| --- | --: |\n");
    for (what, value) in rooms {
        writeln!(table, "| {what} | {} |", number(*value))?;
    }
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism()?;
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    let machine = format!(
        "Measured on a virtual machine with {cores} shared cores ({}), with {}, optimised as in \
         `[profile.release]`.\n",
        cpu.unwrap_or("unknown").trim(),
        rustc.trim()
    );
    Ok(vec![
        ("machine", machine),
        ("musts", musts(measured, sessions, rooms)?),
        ("members", members),
        ("fan-out", fan_out),
        ("delivery", delivery),
        ("rooms", table),
    ])
}

fn plots(measured: &Measured, sessions: &Figures) -> Outcome<Vec<(&'static str, String)>> {
    let mut fan_out = Vec::new();
    for threads in [1, 2, 4] {
        let name = format!("{ONE_BY_ONE}, threads {threads}");
        let plural = if threads == 1 { "" } else { "s" };
        let line = measured.line("fan_out", &name, &FAN_OUT[1..])?;
        fan_out.push((format!("{threads} thread{plural}"), line));
    }
    let fan_out = Plot {
        title: "A message, per inbox that hears it",
        x: "members of the room",
        y: "nanoseconds per inbox",
        log: false,
        lines: fan_out,
        marks: Vec::new(),
        limits: vec![("limit: 150".into(), 150.0)],
    };
    let micros = |group, function, sizes: &[usize]| -> Outcome<Vec<(f64, f64)>> {
        let line = measured.line(group, function, sizes)?;
        Ok(line.into_iter().map(|(size, nanos)| (size, nanos / 1_000.0)).collect())
    };
    let members = Plot {
        title: "Who is here? A page of 50 members, 64 askers at once",
        x: "members of the room",
        y: "microseconds per answer",
        log: true,
        lines: vec![
            ("SQL query".into(), micros("who is here", "SQL query", &HERE)?),
            ("room actor".into(), micros("who is here", "room actor", &HERE)?),
        ],
        marks: Vec::new(),
        limits: Vec::new(),
    };
    let after = |line: Vec<(f64, f64)>| line.into_iter().map(|(x, y)| (x + 100.0, y)).collect();
    let joins = |name| -> Outcome<_> { Ok(after(micros("join and leave", name, &PRESENT)?)) };
    let join = Plot {
        title: "Joining and leaving, one after the other",
        x: "members when the last of the hundred has joined",
        y: "microseconds each",
        log: false,
        lines: vec![("join".into(), joins("join")?), ("leave".into(), joins("leave")?)],
        marks: Vec::new(),
        limits: Vec::new(),
    };
    let mut commands = Vec::new();
    for command in COMMANDS {
        for at_once in [1, 64] {
            let name = match at_once {
                1 => format!("{command}, one at a time"),
                _ => format!("{command}, 64 at once"),
            };
            let us = measured.get("command", command, at_once)? / 1_000.0;
            commands.push((name, us));
        }
    }
    let commands = bars("One command, by how far it goes", "µs", &[], &commands);
    let memory: Vec<_> = sessions.iter().map(|(name, bytes)| (name.clone(), *bytes)).collect();
    let limits = [("hoped for: 1 KiB", 1_024.0), ("limit when idle: 2 KiB", 2_048.0)];
    let memory = bars("Heap of a session in process", "bytes", &limits, &memory);
    Ok(vec![
        ("fan-out", fan_out.draw()),
        ("members", members.draw()),
        ("join", join.draw()),
        ("command", commands),
        ("memory", memory),
    ])
}

fn main() -> Outcome<()> {
    let measured = Measured::read()?;
    let (sessions, rooms) = (figures::read("session_memory")?, figures::read("rooms")?);
    let mut document = Document::read()?;
    for (name, block) in blocks(&measured, &sessions, &rooms)? {
        document.fill(name, &block)?;
    }
    for (name, plot) in plots(&measured, &sessions)? {
        document.draw(name, &plot)?;
    }
    document.save()?;
    Ok(())
}
