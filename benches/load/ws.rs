//! `load ws`: prepares users and rooms, gathers the connections, lets the traffic run, and puts the
//! figures together.

use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::json;
use shared::figures::number;
use uuid::Uuid;

use crate::Unable;
use crate::api::{self, Api};
use crate::args::{Dialect, Mode, Ws};
use crate::dialect::Speaker;
use crate::outcome::{Run, Server, dialect, faults, faults_text};
use crate::process::{allow_files, own_cpu};
use crate::progress::Progress;
use crate::report;
use crate::swarm::{Seat, Swarm, Target};
use crate::traffic::{Pace, Traffic};

/// How many connections come from one address, unless told otherwise; it has 28,000 ports for them.
const FROM_ONE_ADDRESS: usize = 20_000;
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a server that does not say so may take to let somebody hear a room.
const SEATED: Duration = Duration::from_millis(200);

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
    if args.dialect == Dialect::Plain {
        // Nothing says when such a server has put the last one into its room.
        swarm.run(SEATED, |_| {})?;
    }
    if let Some(server) = &mut server {
        swarm.run(SETTLE, |_| {})?;
        server.joined()?;
    }
    if args.warmup > 0.0 && (args.mode != Mode::Idle || beside > 0) {
        swarm.start();
        go_on(&mut swarm, "warming up", args.warmup)?;
        swarm.drain()?;
    }
    let cpu = server.as_ref().map(|server| server.process.cpu()).transpose()?;
    let (own, begun) = (own_cpu(), Instant::now());
    swarm.start();
    go_on(&mut swarm, "measuring", args.seconds)?;
    swarm.drain()?;
    let seconds = begun.elapsed().as_secs_f64();
    let own = own_cpu() - own;
    if let (Some(process), Some(cpu)) = (&mut server, &cpu)
        && let Err(error) = process.finish(cpu)
    {
        // Of a server that has died the faults tell.
        if !swarm.traffic.faults.any() {
            return Err(error);
        }
        server = None;
    }
    swarm.scatter()?;
    let run = Run { args, swarm: &swarm, server, seconds, connect_s: connect.as_secs_f64(), own };
    run.report()
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
    Ok(Target { address, host, path, connecting, source_addresses, busy_poll: args.busy_poll })
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
    Ok((Speaker::new(args.dialect, rooms, args.text_bytes.into(), args.keys), tokens))
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
        Mode::Closed => {
            Pace::Closed { in_flight: args.in_flight, at_most: args.senders.unwrap_or(usize::MAX) }
        }
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
    let begun = Instant::now();
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
        "senders": null,
        "keys": false,
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
