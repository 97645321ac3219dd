//! `load http`: asks the HTTP API, one kind of request after the other, over connections that stay open.
//! Each client is a user of its own and asks again as soon as it has its answer.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use shared::figures::number;

use crate::Unable;
use crate::api::{self, Api};
use crate::args::Http;
use crate::process::{Process, own_cpu};
use crate::progress::Progress;
use crate::report;
use crate::traffic::latencies;

/// What is asked for, in this order, so that there is something to read when it is read.
#[derive(Clone, Copy, Debug)]
enum Kind {
    SignIn,
    List,
    Send,
    History,
}

const KINDS: [Kind; 4] = [Kind::SignIn, Kind::List, Kind::Send, Kind::History];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::List => "list",
            Self::Send => "send",
            Self::History => "history",
        }
    }
}

/// Who asks, and where.
struct Client {
    api: Api,
    token: String,
    room: String,
    text: String,
}

impl Client {
    fn request(&self, kind: Kind) -> RequestBuilder {
        let messages = || format!("/rooms/{}/messages", self.room);
        match kind {
            Kind::SignIn => self.api.sign_in("load"),
            Kind::List => self.api.get("/rooms?limit=50", &self.token),
            Kind::Send => self.api.post(&messages(), &self.token, &json!({ "text": self.text })),
            Kind::History => self.api.get(&format!("{}?limit=50", messages()), &self.token),
        }
    }
}

/// What became of one kind of request.
struct Figures {
    kind: Kind,
    seconds: f64,
    latency: Histogram<u64>,
    /// Answers that were none, or errors, by what they said.
    errors: BTreeMap<String, u64>,
    cpu_s: Option<f64>,
}

/// Runs it. Whether everything went well.
pub(crate) fn run(args: &Http) -> Result<bool, Unable> {
    let api = Api::new(&api::address(&args.url, "http")?)?;
    let server = args.output.server_pid.map(Process::new).transpose()?;
    let own = own_cpu();
    let measured = crate::runtime()?.block_on(async {
        let clients = clients(args, &api).await?;
        let mut measured = Vec::new();
        for kind in KINDS {
            measured.push(measure(kind, &clients, args.seconds, server.as_ref()).await?);
        }
        Ok::<_, Unable>(measured)
    })?;
    let json = json!({
        "clients": args.clients,
        "rooms": args.rooms,
        "requests": measured.iter().map(|it| (it.kind.name(), it.json())).collect::<BTreeMap<_, _>>(),
        "load": { "cpu_s": own_cpu() - own },
    });
    let mut text = String::new();
    for it in &measured {
        it.write(&mut text);
    }
    let latencies: Vec<_> =
        measured.iter().map(|it| (it.kind.name().to_owned(), &it.latency)).collect();
    let title = format!("Latency of a request over HTTP: {} clients", args.clients);
    report::write(&args.output, &json, &text, &title, &latencies)?;
    Ok(measured.iter().all(|it| it.errors.is_empty()))
}

/// Users who are members of the rooms that they send to, each with a connection of its own.
async fn clients(args: &Http, api: &Api) -> Result<Vec<Client>, Unable> {
    let url = api::address(&args.url, "http")?;
    let tokens = api.users(&args.access, args.clients).await?;
    let rooms = api.open(&tokens[0], args.rooms).await?;
    let mut clients = Vec::new();
    for (token, room) in tokens.into_iter().zip(rooms.iter().cycle()) {
        let text = ".".repeat(args.text_bytes.into());
        let client = Client { api: Api::new(&url)?, token, room: room.clone(), text };
        let join = format!("/rooms/{room}/members/me");
        api::ask(client.api.put(&join, &client.token)).await?;
        clients.push(client);
    }
    Ok(clients)
}

async fn measure(
    kind: Kind,
    clients: &[Client],
    seconds: f64,
    server: Option<&Process>,
) -> Result<Figures, Unable> {
    let mut progress = Progress::new(kind.name(), (seconds * 1e3) as u64);
    let before = server.map(Process::cpu).transpose()?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let ask = async |client: &Client| {
        let (mut latency, mut errors) = (latencies(), BTreeMap::new());
        while Instant::now() < end {
            let asked = Instant::now();
            match answer(client.request(kind)).await {
                Ok(()) => latency.saturating_record(asked.elapsed().as_nanos() as u64),
                Err(error) => *errors.entry(error).or_insert(0) += 1,
            }
        }
        (latency, errors)
    };
    let watch = async {
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let gone = begun.elapsed();
            progress.show(gone.as_millis() as u64, || {
                format!("{:.1} of {seconds} s", gone.as_secs_f64())
            });
        }
    };
    let (answers, ()) = tokio::join!(join_all(clients.iter().map(ask)), watch);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_s = match (server, &before) {
        (Some(server), Some(before)) => Some(server.cpu()?.since(before)),
        _ => None,
    };
    let (mut latency, mut errors) = (latencies(), BTreeMap::new());
    for (one, failed) in answers {
        // All have the same bounds.
        latency.add(one).expect("the same bounds");
        for (error, times) in failed {
            *errors.entry(error).or_insert(0) += times;
        }
    }
    Ok(Figures { kind, seconds, latency, errors, cpu_s })
}

/// Asks and reads the whole answer.
async fn answer(request: RequestBuilder) -> Result<(), String> {
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    response.bytes().await.map_err(|error| error.to_string())?;
    if status.is_success() { Ok(()) } else { Err(status.to_string()) }
}

impl Figures {
    fn per_second(&self) -> f64 {
        self.latency.len() as f64 / self.seconds
    }

    fn cpu_per_request(&self) -> Option<f64> {
        let requests = self.latency.len();
        self.cpu_s.filter(|_| requests > 0).map(|cpu| cpu * 1e6 / requests as f64)
    }

    fn json(&self) -> Value {
        json!({
            "requests": self.latency.len(),
            "seconds": self.seconds,
            "requests_per_s": (self.per_second() * 10.0).round() / 10.0,
            "latency_us": report::latency(&self.latency),
            "cpu_us_per_request": self.cpu_per_request(),
            "errors": self.errors.values().sum::<u64>(),
            "causes": self.errors,
        })
    }

    fn write(&self, text: &mut String) {
        let name = self.kind.name();
        let per_second = number(self.per_second().round());
        // Writing to memory does not fail.
        write!(text, "{name:<12} {per_second}/s, {}", report::latency_text(&self.latency)).ok();
        if let Some(cpu) = self.cpu_per_request() {
            write!(text, ", {cpu:.1} µs CPU of the server each").ok();
        }
        text.push('\n');
        for (error, times) in &self.errors {
            writeln!(text, "{:<12} {times} times: {error}", "").ok();
        }
    }
}
