//! `cargo run --release -p benches --bin report` — writes what the benchmarks have measured into
//! `docs/benchmarks.md`, between its markers, and draws the plots in `docs/images/`. What the figures
//! mean is written in the document itself and stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use figures::Figures;
use serde_json::Value;

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

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 210.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
const COLOURS: [&str; 4] = ["#0b62a4", "#c2410c", "#15803d", "#7c3aed"];

/// A picture with a background of its own, so that it reads on light and dark pages.
fn svg(height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n{body}</svg>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, more: &str, text: &str) -> String {
    let text = text.replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>\n")
}

/// A number as people write it.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let plain = format!("{value:.digits$}");
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut grouped = String::new();
    for (n, c) in plain.chars().enumerate() {
        if n > 0 && n < whole && (whole - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    grouped
}

/// Lines over a logarithmic axis of sizes, each with its name at its end.
struct Plot<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    log: bool,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    limits: Vec<(String, f64)>,
}

impl Plot<'_> {
    fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let most = |it: &mut dyn Iterator<Item = f64>| it.fold(f64::MIN, f64::max);
        let limits = self.limits.iter().map(|limit| limit.1);
        let high = most(&mut points().map(|point| point.1).chain(limits)) * 1.1;
        let low = points().map(|point| point.1).fold(f64::MAX, f64::min);
        let (low, high) = if self.log {
            (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil()))
        } else {
            (0.0, high)
        };
        let first = points().map(|point| point.0).fold(f64::MAX, f64::min).log10();
        let last = most(&mut points().map(|point| point.0)).log10();
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x_of = |x: f64| LEFT + (x.log10() - first) / (last - first) * (right - LEFT);
        let y_of = |y: f64| {
            let part = match self.log {
                true => (y / low).log10() / (high / low).log10(),
                false => (y - low) / (high - low),
            };
            bottom - part * (bottom - TOP)
        };
        let mut body = String::new();
        for tick in self.ticks(low, high) {
            let y = y_of(tick);
            let line = format!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\n");
            body += &(line + &text(LEFT - 8.0, y + 4.0, "end", "", &number(tick)));
        }
        let mut sizes: Vec<f64> = points().map(|point| point.0).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        for size in sizes {
            body += &text(x_of(size), bottom + 20.0, "middle", "", &number(size));
        }
        body += &text((LEFT + right) / 2.0, HEIGHT - 14.0, "middle", "", self.x);
        let middle = (TOP + bottom) / 2.0;
        let turned = format!(" transform=\"rotate(-90 20 {middle})\"");
        body += &text(20.0, middle, "middle", &turned, self.y);
        // Names keep their distance, in the order of their lines' ends.
        let mut names = Vec::new();
        for (name, value) in &self.limits {
            let y = y_of(*value);
            let dashes = "stroke=\"#b91c1c\" stroke-dasharray=\"6 4\"";
            writeln!(body, "<path d=\"M{LEFT} {y:.1}H{right}\" {dashes}/>").ok();
            names.push((y, name.clone(), "#b91c1c"));
        }
        for (n, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let mut path = String::new();
            for (n, (x, y)) in points.iter().enumerate() {
                let (x, y) = (x_of(*x), y_of(*y));
                write!(path, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' }).ok();
                let dot =
                    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
                body += &(dot + "\n");
            }
            let look = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"");
            writeln!(body, "<path d=\"{path}\" {look}/>").ok();
            if let Some((_, value)) = points.last() {
                names.push((y_of(*value), format!("{name}: {}", number(*value)), colour));
            }
        }
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = 0.0;
        for (y, name, colour) in names {
            let y = f64::max(y, free);
            free = y + 17.0;
            body += &text(right + 10.0, y + 4.0, "start", &format!(" fill=\"{colour}\""), &name);
        }
        svg(HEIGHT, self.title, &body)
    }

    fn ticks(&self, low: f64, high: f64) -> Vec<f64> {
        if self.log {
            let decades = std::iter::successors(Some(low), |tick| Some(tick * 10.0));
            return decades.take_while(|tick| *tick <= high * 1.01).collect();
        }
        let rough = high / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= high).collect()
    }
}

/// Bars from left to right, each with its name and its figure.
fn bars(title: &str, unit: &str, limits: &[(&str, f64)], bars: &[(String, f64)]) -> String {
    let (left, right) = (270.0, WIDTH - 110.0);
    let values = bars.iter().map(|bar| bar.1).chain(limits.iter().map(|limit| limit.1));
    let most = values.fold(0.0, f64::max);
    let x_of = |value: f64| left + value / most * (right - left);
    let bottom = TOP + 20.0 + bars.len() as f64 * 34.0;
    let mut body = String::new();
    for (n, (name, value)) in bars.iter().enumerate() {
        let y = TOP + 20.0 + n as f64 * 34.0;
        let width = x_of(*value) - left;
        let colour = COLOURS[0];
        body += &text(left - 10.0, y + 16.0, "end", "", name);
        let place = format!("x=\"{left}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"22\"");
        writeln!(body, "<rect {place} fill=\"{colour}\"/>").ok();
        let figure = format!("{} {unit}", number(*value));
        body += &text(x_of(*value) + 8.0, y + 16.0, "start", "", &figure);
    }
    for (name, value) in limits {
        let x = x_of(*value);
        let dashes = "stroke=\"#b91c1c\" stroke-dasharray=\"6 4\"";
        writeln!(body, "<path d=\"M{x:.1} {:.1}V{bottom}\" {dashes}/>", TOP + 12.0).ok();
        body += &text(x, TOP + 6.0, "middle", " fill=\"#b91c1c\"", name);
    }
    svg(bottom + 20.0, title, &body)
}

/// A row of the table of what must hold.
fn must(what: &str, limit: &str, measured: &str, met: bool) -> String {
    let met = if met { "yes" } else { "**no**" };
    format!("| {what} | {limit} | {measured} | {met} |\n")
}

const ONE_BY_ONE: &str = "delivered, one by one";
const FAN_OUT: [usize; 4] = [10, 1_000, 10_000, 50_000];
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
    let mut table = String::from("| what | limit | measured | met |\n| --- | --- | --- | --- |\n");
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
fn blocks(measured: &Measured, sessions: &Figures, rooms: &Figures) -> Outcome<Vec<[String; 2]>> {
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
    Ok([
        ("machine", machine),
        ("musts", musts(measured, sessions, rooms)?),
        ("members", members),
        ("fan-out", fan_out),
        ("rooms", table),
    ]
    .map(|(name, block)| [name.to_owned(), block])
    .into())
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
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs");
    let measured = Measured::read()?;
    let (sessions, rooms) = (figures::read("session_memory")?, figures::read("rooms")?);
    let page = docs.join("benchmarks.md");
    let mut document = fs::read_to_string(&page)?;
    for [name, block] in blocks(&measured, &sessions, &rooms)? {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let missing = || format!("{} has no place for {name}", page.display());
        let (before, rest) = document.split_once(&begin).ok_or_else(missing)?;
        let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
        document = format!("{before}{begin}\n{block}\n{end}{after}");
    }
    fs::write(page, document)?;
    for (name, plot) in plots(&measured, &sessions)? {
        fs::write(docs.join("images").join(format!("bench-{name}.svg")), plot)?;
    }
    Ok(())
}
