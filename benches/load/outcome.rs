//! What `load ws` has measured, as JSON whose keys are for other programs to rely on, and as text.

use std::fmt::Write;

use serde_json::{Value, json};
use shared::figures::number;

use crate::Unable;
use crate::args::{Dialect, Mode, Ws};
use crate::process::{Cpu, Process};
use crate::report;
use crate::swarm::Swarm;
use crate::traffic::Figures;

/// What the server's process said, and when.
pub(crate) struct Server {
    pub(crate) process: Process,
    rss_start: u64,
    rss_joined: u64,
    rss_end: u64,
    cpu_s: f64,
}

/// What has been measured.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a Ws,
    pub(crate) swarm: &'a Swarm,
    pub(crate) server: Option<Server>,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// How long it took until all had joined.
    pub(crate) connect_s: f64,
    /// CPU seconds of this tool.
    pub(crate) own: f64,
}

impl Run<'_> {
    /// Writes the figures; whether there were no faults.
    pub(crate) fn report(&self) -> Result<bool, Unable> {
        let figures: Vec<&Figures> = self.swarm.traffic.figures().collect();
        let all = figures.iter().map(|figures| figures.deliveries).sum::<u64>();
        let json = self.json(&figures, all);
        let name = |index| if index == 0 { "rooms" } else { "rooms beside" };
        let latencies: Vec<_> =
            figures.iter().enumerate().map(|(n, it)| (name(n).to_owned(), &it.latency)).collect();
        let title = format!(
            "Latency of a delivery ({}): {} connections, {} room{}",
            mode(self.args),
            number(self.args.connections as f64),
            number(self.args.rooms as f64),
            if self.args.rooms == 1 { "" } else { "s" },
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
            "senders": args.senders,
            "keys": args.keys,
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
    /// Looks at it for the first time.
    pub(crate) fn new(id: u32) -> Result<Self, Unable> {
        let process = Process::new(id)?;
        let rss = process.resident()?;
        Ok(Self { process, rss_start: rss, rss_joined: rss, rss_end: rss, cpu_s: 0.0 })
    }

    /// All have joined.
    pub(crate) fn joined(&mut self) -> Result<(), Unable> {
        self.rss_joined = self.process.resident()?;
        Ok(())
    }

    /// Everything has been measured since this reading.
    pub(crate) fn finish(&mut self, since: &Cpu) -> Result<(), Unable> {
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

pub(crate) fn mode(args: &Ws) -> &'static str {
    match args.mode {
        _ if args.churn.is_some() => "churn",
        Mode::Closed => "closed",
        Mode::Open => "open",
        Mode::Idle => "idle",
    }
}

pub(crate) fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "chat",
        Dialect::Plain => "plain",
        Dialect::Socketio => "socketio",
    }
}

pub(crate) fn faults(swarm: &Swarm) -> Value {
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

pub(crate) fn faults_text(swarm: &Swarm) -> String {
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
