//! `load ws`: prepares users and rooms, gathers the connections, lets the traffic run, and puts the
//! figures together.

use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use figures::number;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Unable;
use crate::api::{self, Api};
use crate::args::{Dialect, Mode, Ws};
use crate::dialect::Speaker;
use crate::process::{Cpu, Process, allow_files, own_cpu};
use crate::progress::Progress;
use crate::report;
use crate::swarm::{Seat, Swarm, Target};
use crate::traffic::{Figures, Pace, Traffic};

/// How many connections come from one address, unless told otherwise; it has 28,000 ports for them.
const FROM_ONE_ADDRESS: usize = 20_000;
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// What the server's process said, and when.
struct Server {
    process: Process,
    rss_start: u64,
    rss_joined: u64,
    rss_end: u64,
    cpu_s: f64,
}

/// Runs it. Whether everything went well.
pub(crate) fn run(args: &Ws) -> Result<bool, Unable> {
    let beside = args.beside_rooms * args.beside_size;
    let all = args.connections + beside;
    if args.stall >= args.connections {
        return Err(Unable(
            "--stall must leave connections that read: fewer than --connections".into(),
        ));
    }
    if args.rooms > args.connections {
        return Err(Unable(
            "--rooms cannot be more than --connections: nobody would hear some".into(),
        ));
    }
    allow_files(all)?;
    let target = target(args, all)?;
    let (speaker, tokens) = prepare(args, all)?;
    let mut server = args.output.server_pid.map(Server::new).transpose()?;
    let (seats, traffic) = seats(args, tokens);
    let mut swarm = Swarm::new(target, seats, speaker, traffic)?;
    if let Some(rounds) = args.churn {
        return churn(args, &mut swarm, server.as_ref(), rounds);
    }

    let connect = gather(&mut swarm, all)?;
    if let Some(server) = &mut server {
        swarm.run(SETTLE, |_| {})?;
        server.rss_joined = server.process.resident()?;
    }
    if args.warmup > 0.0 && (args.mode != Mode::Idle || beside > 0) {
        swarm.start();
        go_on(&mut swarm, "warming up", args.warmup)?;
        swarm.drain()?;
    }
    let cpu = server.as_ref().map(|server| server.process.cpu()).transpose()?;
    let (own, begun) = (own_cpu(), std::time::Instant::now());
    swarm.start();
    go_on(&mut swarm, "measuring", args.seconds)?;
    swarm.drain()?;
    let seconds = begun.elapsed().as_secs_f64();
    let own = own_cpu() - own;
    if let (Some(server), Some(cpu)) = (&mut server, &cpu) {
        server.finish(cpu)?;
    }
    swarm.scatter()?;
    let run = Run { args, swarm: &swarm, server, seconds, connect_s: connect.as_secs_f64(), own };
    run.report()
}

/// What has been measured.
struct Run<'a> {
    args: &'a Ws,
    swarm: &'a Swarm,
    server: Option<Server>,
    seconds: f64,
    connect_s: f64,
    /// CPU seconds of this tool.
    own: f64,
}

impl Run<'_> {
    /// Writes the figures; whether there were no faults.
    fn report(&self) -> Result<bool, Unable> {
        let figures: Vec<&Figures> = self.swarm.traffic.figures().collect();
        let all = figures.iter().map(|figures| figures.deliveries).sum::<u64>();
        let json = self.json(&figures, all);
        let name = |index| if index == 0 { "rooms" } else { "rooms beside" };
        let latencies: Vec<_> =
            figures.iter().enumerate().map(|(n, it)| (name(n).to_owned(), &it.latency)).collect();
        let title = format!(
            "Latency of a delivery: {} connections, {} rooms, {} loop",
            number(self.args.connections as f64),
            number(self.args.rooms as f64),
            mode(self.args)
        );
        report::write(&self.args.output, &json, &self.text(&figures, all), &title, &latencies)?;
        Ok(!self.swarm.traffic.faults.any())
    }

    fn json(&self, figures: &[&Figures], all: u64) -> Value {
        let args = self.args;
        let counts = |it: &Figures| {
            let per_second = (it.deliveries as f64 / self.seconds * 10.0).round() / 10.0;
            (it.messages, it.deliveries, per_second)
        };
        let (messages, deliveries, per_second) = counts(figures[0]);
        let beside = figures.get(1).map(|it| {
            let (messages, deliveries, per_second) = counts(it);
            let mut beside = report::latency(&it.latency);
            if beside.is_null() {
                beside = json!({});
            }
            beside["rooms"] = json!(args.beside_rooms);
            beside["size"] = json!(args.beside_size);
            beside["rate"] = json!(args.beside_rate);
            beside["messages"] = json!(messages);
            beside["deliveries"] = json!(deliveries);
            beside["deliveries_per_s"] = json!(per_second);
            beside
        });
        json!({
            "dialect": dialect(args.dialect),
            "mode": mode(args),
            "connections": args.connections,
            "rooms": args.rooms,
            "in_flight": (args.mode == Mode::Closed).then_some(args.in_flight),
            "rate": (args.mode == Mode::Open).then_some(args.rate),
            "text_bytes": args.text_bytes,
            "stalled": args.stall,
            "seconds": self.seconds,
            "messages": messages,
            "deliveries": deliveries,
            "deliveries_per_s": per_second,
            "latency_us": report::latency(&figures[0].latency),
            "beside": beside,
            "connect_s": self.connect_s,
            "server": self.server.as_ref().map(|server| server.json(connections(args), all)),
            "load": { "cpu_s": self.own },
            "faults": faults(self.swarm),
            "churn_rss_bytes": [],
        })
    }

    fn text(&self, figures: &[&Figures], all: u64) -> String {
        let mut text = String::new();
        // Writing to memory does not fail.
        let mut line = |name: &str, value: &str| _ = writeln!(text, "{name:<12} {value}");
        let connections = connections(self.args);
        line("connected", &format!("{} in {:.2} s", number(connections as f64), self.connect_s));
        for (index, it) in figures.iter().enumerate() {
            let per_second = number((it.deliveries as f64 / self.seconds).round());
            line(
                if index == 0 { "deliveries" } else { "beside" },
                &format!(
                    "{per_second}/s: {} of {} messages in {:.2} s",
                    number(it.deliveries as f64),
                    number(it.messages as f64),
                    self.seconds
                ),
            );
            line("latency", &report::latency_text(&it.latency));
        }
        if let Some(server) = &self.server {
            let per_delivery = server.cpu_per_delivery(all);
            let per_delivery =
                per_delivery.map_or(String::new(), |us| format!(", {us:.2} µs a delivery"));
            line("server", &format!("{:.2} s CPU{per_delivery}", server.cpu_s));
            let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
            line(
                "memory",
                &format!(
                    "{} before, {} when all had joined ({} bytes a connection), {} at the end",
                    mib(server.rss_start),
                    mib(server.rss_joined),
                    number(server.per_connection(connections).round()),
                    mib(server.rss_end)
                ),
            );
        }
        let busy = if self.own > 0.9 * self.seconds { ": it was at its limit itself" } else { "" };
        line("this tool", &format!("{:.2} s CPU{busy}", self.own));
        line("faults", &faults_text(self.swarm));
        text
    }
}

impl Server {
    fn new(id: u32) -> Result<Self, Unable> {
        let process = Process::new(id)?;
        let rss = process.resident()?;
        Ok(Self { process, rss_start: rss, rss_joined: rss, rss_end: rss, cpu_s: 0.0 })
    }

    fn finish(&mut self, since: &Cpu) -> Result<(), Unable> {
        self.cpu_s = self.process.cpu()?.since(since);
        self.rss_end = self.process.resident()?;
        Ok(())
    }

    fn cpu_per_delivery(&self, deliveries: u64) -> Option<f64> {
        (deliveries > 0).then(|| self.cpu_s * 1e6 / deliveries as f64)
    }

    fn per_connection(&self, connections: usize) -> f64 {
        (self.rss_joined as f64 - self.rss_start as f64) / connections as f64
    }

    fn json(&self, connections: usize, deliveries: u64) -> Value {
        json!({
            "cpu_us_per_delivery": self.cpu_per_delivery(deliveries),
            "cpu_s": self.cpu_s,
            "rss_start_bytes": self.rss_start,
            "rss_joined_bytes": self.rss_joined,
            "rss_end_bytes": self.rss_end,
            "rss_per_connection_bytes": self.per_connection(connections).round(),
        })
    }
}

fn connections(args: &Ws) -> usize {
    args.connections + args.beside_rooms * args.beside_size
}

fn mode(args: &Ws) -> &'static str {
    match args.mode {
        _ if args.churn.is_some() => "churn",
        Mode::Closed => "closed",
        Mode::Open => "open",
        Mode::Idle => "idle",
    }
}

fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "chat",
        Dialect::Plain => "plain",
        Dialect::Socketio => "socketio",
    }
}

fn faults(swarm: &Swarm) -> Value {
    let faults = &swarm.traffic.faults;
    json!({
        "gaps": faults.gaps,
        "doubles": faults.doubles,
        "disorder": faults.disorder,
        "missing": faults.missing,
        "closed": faults.closed,
        "errors": faults.errors,
        "causes": faults.causes,
    })
}

fn faults_text(swarm: &Swarm) -> String {
    let faults = &swarm.traffic.faults;
    let kinds = [
        ("gaps", faults.gaps),
        ("doubles", faults.doubles),
        ("in the wrong order", faults.disorder),
        ("missing", faults.missing),
        ("connections closed", faults.closed),
        ("errors", faults.errors),
    ];
    let mut found: Vec<_> = kinds
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {name}", number(count as f64)))
        .collect();
    found.extend(faults.causes.iter().map(|(cause, times)| format!("{cause}: {times}")));
    if found.is_empty() { "none".into() } else { found.join(", ") }
}

/// Where the server is.
fn target(args: &Ws, all: usize) -> Result<Target, Unable> {
    let url = api::address(&args.url, "ws")?;
    let host = api::authority(&url);
    let mut addresses =
        host.to_socket_addrs().map_err(|error| Unable(format!("{host} is not known: {error}")))?;
    let address = addresses.next().ok_or_else(|| Unable(format!("{host} has no address")))?;
    let local = matches!(address, SocketAddr::V4(v4) if v4.ip().is_loopback());
    let source_addresses = match args.source_addresses {
        Some(_) if !local => {
            return Err(Unable("--source-addresses is for a server on 127.0.0.0/8 only".into()));
        }
        Some(count) => count,
        // A port is taken for a minute after its connection, so that rounds add up.
        None => match all * args.churn.unwrap_or(1).max(1) / FROM_ONE_ADDRESS {
            more if more > 0 && local => (more + 1).min(250) as u8,
            _ => 0,
        },
    };
    let (path, connecting) = (url.path().to_owned(), args.connecting);
    Ok(Target { address, host, path, connecting, source_addresses })
}

/// Users and rooms, as far as the dialect knows any.
fn prepare(args: &Ws, all: usize) -> Result<(Speaker, Vec<String>), Unable> {
    let rooms = args.rooms + args.beside_rooms;
    let (rooms, tokens) = if args.dialect == Dialect::Chat {
        let api = Api::new(&api::address(&args.url, "ws")?)?;
        crate::runtime()?.block_on(async {
            let tokens = api.users(&args.access, all).await?;
            let rooms = api.open(&tokens[0], rooms).await?;
            Ok((rooms, tokens))
        })?
    } else {
        let room = |_| Uuid::now_v7().to_string();
        ((0..rooms).map(room).collect(), vec![String::new(); all])
    };
    Ok((Speaker::new(args.dialect, rooms, args.text_bytes.into()), tokens))
}

/// Who sits where: the connections one after the other over the rooms, then those of the rooms beside.
fn seats(args: &Ws, tokens: Vec<String>) -> (Vec<Seat>, Traffic) {
    let mut rooms: Vec<Vec<u32>> = vec![Vec::new(); args.rooms + args.beside_rooms];
    let seat = |(index, token): (usize, String)| {
        let first = index >= args.connections;
        let room = match index {
            _ if first => args.rooms + (index - args.connections) / args.beside_size,
            _ => index % args.rooms,
        };
        let stalls = !first && index >= args.connections - args.stall;
        if !stalls {
            rooms[room].push(index as u32);
        }
        Seat { room: room as u32, token, stalls, first }
    };
    let seats = tokens.into_iter().enumerate().map(seat).collect();
    let beside = rooms.split_off(args.rooms);
    let mut traffic = Traffic::new();
    let pace = match args.mode {
        Mode::Closed => Pace::Closed { in_flight: args.in_flight },
        Mode::Open => Pace::Open { rate: args.rate },
        Mode::Idle => Pace::Idle,
    };
    traffic.add_group(pace, rooms);
    if !beside.is_empty() {
        traffic.add_group(Pace::Open { rate: args.beside_rate }, beside);
    }
    (seats, traffic)
}

fn gather(swarm: &mut Swarm, all: usize) -> Result<Duration, Unable> {
    let mut progress = Progress::new("connecting", all as u64);
    swarm.gather(|joined| {
        progress
            .show(joined as u64, || format!("{} of {}", number(joined as f64), number(all as f64)));
    })
}

fn go_on(swarm: &mut Swarm, what: &'static str, seconds: f64) -> Result<(), Unable> {
    let mut progress = Progress::new(what, (seconds * 1e3) as u64);
    let begun = std::time::Instant::now();
    swarm.run(Duration::from_secs_f64(seconds), |swarm| {
        let gone = begun.elapsed();
        progress.show(gone.as_millis() as u64, || {
            let deliveries: u64 = swarm.traffic.figures().map(|it| it.deliveries).sum();
            let per_second = (deliveries as f64 / gone.as_secs_f64()).round();
            format!("{:.1} of {seconds} s, {} deliveries/s", gone.as_secs_f64(), number(per_second))
        });
    })
}

/// Connects all and disconnects them, again and again.
fn churn(
    args: &Ws,
    swarm: &mut Swarm,
    server: Option<&Server>,
    rounds: usize,
) -> Result<bool, Unable> {
    let (mut resident, mut took) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for round in 1..=rounds {
        let time = gather(swarm, args.connections)?.as_secs_f64();
        took.push(time);
        swarm.run(SETTLE, |_| {})?;
        swarm.scatter()?;
        swarm.run(SETTLE, |_| {})?;
        write!(text, "round {round:<6} connected in {time:.2} s").ok();
        if let Some(server) = server {
            let bytes = server.process.resident()?;
            write!(text, ", memory afterwards {:.1} MiB", bytes as f64 / 1_048_576.0).ok();
            resident.push(bytes);
        }
        text.push('\n');
    }
    writeln!(text, "faults       {}", faults_text(swarm)).ok();
    let json = json!({
        "dialect": dialect(args.dialect),
        "mode": "churn",
        "connections": args.connections,
        "rooms": args.rooms,
        "in_flight": null,
        "rate": null,
        "seconds": took.iter().sum::<f64>(),
        "messages": 0,
        "deliveries": 0,
        "deliveries_per_s": 0.0,
        "latency_us": null,
        "beside": null,
        "connect_s": took.iter().copied().fold(0.0, f64::max),
        "server": null,
        "load": { "cpu_s": own_cpu() },
        "faults": faults(swarm),
        "churn_rss_bytes": resident,
    });
    report::write(&args.output, &json, &text, "Nothing was sent", &[])?;
    Ok(!swarm.traffic.faults.any())
}
