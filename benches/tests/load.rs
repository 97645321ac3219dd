//! The load tool as its users start it: against a real server, where it must find nothing wrong and
//! count every delivery, and against servers that do what none may, which it must find.

#[path = "load/planted.rs"]
mod planted;

use std::process::{Command, Output};
use std::time::Duration;

use chat_server::app::{self, Parts, Server};
use chat_server::config::{Flags, Settings};
use clap::Parser;
use planted::Fault;
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server on a free port, with a folder that goes with it.
async fn server() -> (Server, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let flags = ["chat-server", "--listen", "127.0.0.1:0", "--data", data];
    let set = ["store.url=memory:", "server.workers=1"];
    let no_rates = ["socket.commands_per_s=0", "socket.bytes_per_s=0"];
    let set = set.into_iter().chain(no_rates).flat_map(|setting| ["--set", setting]);
    let flags = flags.into_iter().chain(set);
    let secret = ("CHAT__AUTH__SECRET".into(), SECRET.into());
    let settings = Settings::load_from(&Flags::parse_from(flags), [secret], folder.path());
    let server = app::build(&settings.expect("good settings"), Parts::default()).await;
    (server.expect("a server"), folder)
}

/// Starts the tool and waits for its end.
async fn load(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(arguments.split_whitespace());
    let end = tokio::task::spawn_blocking(move || command.output()).await;
    end.expect("no panic").expect("it starts")
}

/// Its figures, and its exit code.
async fn figures(arguments: &str) -> (Value, i32) {
    let output = load(&format!("{arguments} --json -")).await;
    let error = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    (json, output.status.code().expect("it was not killed"))
}

/// What it says when it can't do a run.
async fn unable(arguments: &str) -> String {
    let output = load(arguments).await;
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("text")
}

fn assert_no_faults(json: &Value) {
    let none = json!({
        "gaps": 0, "doubles": 0, "disorder": 0, "missing": 0, "closed": 0, "errors": 0, "causes": {},
    });
    assert_eq!(json["faults"], none);
}

/// Every message has come to so many connections.
fn assert_delivered(json: &Value, members: u64) {
    let messages = json["messages"].as_u64().expect("a number");
    assert!(messages > 0, "{json}");
    assert_eq!(json["deliveries"], messages * members, "{json}");
}

#[actix_rt::test]
async fn a_closed_loop_counts_every_delivery() {
    let (server, _folder) = server().await;
    let url = format!("ws://{}/ws", server.address());
    for (in_flight, few) in [(1, ""), (4, ""), (1, "--senders 2 --keys")] {
        let run =
            format!("ws --url {url} -n 20 -r 4 -s 0.5 --warmup 0.2 --in-flight {in_flight} {few}");
        let (json, code) = figures(&format!("{run} --secret {SECRET}")).await;
        assert_no_faults(&json);
        assert_delivered(&json, 5);
        assert_eq!(code, 0);
        assert_eq!(json["in_flight"], in_flight);
        assert!(json["latency_us"]["p50"].as_f64() <= json["latency_us"]["p999"].as_f64());
        assert!(json["deliveries_per_s"].as_f64() > Some(0.0), "{json}");
    }
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn an_open_loop_goes_beside_another_one() {
    let (server, folder) = server().await;
    let (url, pid) = (format!("ws://{}/ws", server.address()), std::process::id());
    let (file, svg) = (folder.path().join("secret"), folder.path().join("latency.svg"));
    std::fs::write(&file, SECRET).expect("a file");
    let beside = "--beside-rooms 3 --beside-size 2 --beside-rate 60";
    let (json, code) = figures(&format!(
        "ws --url {url} -n 20 -r 4 --mode open --rate 100 -s 0.5 --warmup 0 {beside} \
         --secret-file {} --svg {} --server-pid {pid}",
        file.display(),
        svg.display()
    ))
    .await;
    assert_no_faults(&json);
    assert_delivered(&json, 5);
    assert_delivered(&json["beside"], 2);
    assert_eq!(code, 0);
    assert!(json["server"]["cpu_us_per_delivery"].as_f64() > Some(0.0), "{json}");
    assert!(json["server"]["rss_joined_bytes"].as_u64() > Some(0), "{json}");
    let svg = std::fs::read_to_string(svg).expect("a plot");
    assert!(svg.starts_with("<svg") && svg.contains("99 %") && !svg.contains("NaN"), "{svg}");
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn guests_sit_idle() {
    let (server, _folder) = server().await;
    let url = format!("ws://{}/ws", server.address());
    let (json, code) = figures(&format!("ws --url {url} -n 20 -r 4 --mode idle -s 0.2")).await;
    assert_no_faults(&json);
    assert_eq!((&json["messages"], &json["deliveries"], code), (&json!(0), &json!(0), 0));
    assert_eq!((&json["latency_us"], &json["server"]), (&Value::Null, &Value::Null));
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn the_stalled_count_in_no_figure() {
    let (server, _folder) = server().await;
    let run = format!("ws --url ws://{}/ws -n 20 --stall 3 -s 0.5 --warmup 0", server.address());
    let (json, code) = figures(&format!("{run} --secret {SECRET}")).await;
    assert_no_faults(&json);
    assert_delivered(&json, 17);
    assert_eq!(code, 0);
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn rounds_of_connections_leave_none_behind() {
    let (server, _folder) = server().await;
    let (url, pid) = (format!("ws://{}/ws", server.address()), std::process::id());
    let run = format!("ws --url {url} -n 20 -r 4 --churn 2 --server-pid {pid}");
    let (json, code) = figures(&format!("{run} --secret {SECRET}")).await;
    assert_no_faults(&json);
    assert_eq!((json["churn_rss_bytes"].as_array().map(Vec::len), code), (Some(2), 0));
    // All have said goodbye.
    while server.engine().stats().sessions > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn the_http_api_answers() {
    let (server, _folder) = server().await;
    let run = format!("http --url http://{} --clients 3 --rooms 2", server.address());
    let (json, code) = figures(&format!("{run} --seconds 0.2 --secret {SECRET}")).await;
    for kind in ["sign_in", "list", "history", "send"] {
        let it = &json["requests"][kind];
        assert!(it["requests"].as_u64() > Some(0), "{kind}: {json}");
        assert!(it["latency_us"]["p99"].as_f64() > Some(0.0), "{kind}: {json}");
        assert_eq!(it["errors"], 0, "{kind}: {json}");
    }
    assert_eq!(code, 0);
    server.stop().await.expect("it stops");
}

#[actix_rt::test]
async fn a_run_that_cannot_be_done_says_what_to_do() {
    let (server, _folder) = server().await;
    let address = server.address();
    let said = unable(&format!("ws --url ws://{address}/ws -n 2 --secret not-the-servers")).await;
    assert!(said.contains("--secret"), "{said}");
    let said = unable(&format!("ws --url ws://{address}/elsewhere -n 2")).await;
    assert!(said.contains("404") && said.contains("--url"), "{said}");
    let said = unable("ws --url wss://chat.example/ws").await;
    assert!(said.contains("ws://HOST:PORT"), "{said}");
    let said = unable(&format!("ws --url ws://{address}/ws --rooms 5 -n 4")).await;
    assert!(said.contains("--rooms"), "{said}");
    server.stop().await.expect("it stops");
    let said = unable(&format!("ws --url ws://{address}/ws -n 2")).await;
    assert!(said.contains("Start the server"), "{said}");
}

/// What is found against a server with this fault; the tool must say that something was.
async fn found(fault: Fault, more: &str) -> Value {
    let address = planted::start(fault);
    let run = format!("ws --url ws://{address}/ws -n 6 -r 2 -s 0.3 --warmup 0 --secret {SECRET}");
    let (json, code) = figures(&format!("{run} {more}")).await;
    assert_eq!(code, i32::from(fault != Fault::None), "{fault:?}: {json}");
    json
}

#[actix_rt::test]
async fn a_server_without_a_fault_is_found_to_have_none() {
    for dialect in ["chat", "plain", "socketio"] {
        let json = found(Fault::None, &format!("--dialect {dialect} --in-flight 3")).await;
        assert_no_faults(&json);
        assert_delivered(&json, 3);
    }
}

#[actix_rt::test]
async fn gaps_doubles_and_disorder_are_found() {
    // Each happens once in each of the two rooms, to its three connections.
    let json = found(Fault::Skip, "").await;
    assert_eq!(json["faults"]["gaps"], 6, "{json}");
    let json = found(Fault::Double, "").await;
    assert_eq!(json["faults"]["doubles"], 6, "{json}");
    let json = found(Fault::Swap, "--in-flight 2").await;
    let faults = &json["faults"];
    assert_eq!((&faults["disorder"], &faults["gaps"]), (&json!(6), &json!(0)), "{json}");
    for dialect in ["plain", "socketio"] {
        let json = found(Fault::Double, &format!("--dialect {dialect}")).await;
        assert_eq!(json["faults"]["doubles"], 6, "{json}");
    }
}

#[actix_rt::test]
async fn errors_and_closed_connections_are_found() {
    let json = found(Fault::Refuse, "").await;
    let faults = &json["faults"];
    assert_eq!((&faults["errors"], &faults["missing"]), (&json!(2), &json!(0)), "{json}");
    assert_eq!(json["faults"]["causes"], json!({ "busy": 2 }));
    let json = found(Fault::Close, "").await;
    assert_eq!(json["faults"]["closed"], 2, "{json}");
    assert_eq!(json["faults"]["causes"], json!({ "closed with 4508": 2 }));
    let others = json["deliveries"].as_u64().expect("a number");
    assert!(others > 0, "those who stay go on: {json}");
}
