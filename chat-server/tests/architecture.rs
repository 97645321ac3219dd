//! What must never be (`docs/architecture.md`): dependencies point down only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            found.push((path, text));
        }
    }
    assert!(!found.is_empty());
    found
}

/// No source below the folder names any of these.
fn never(folder: &str, names: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for (path, text) in sources(&folder) {
        for name in names {
            let line = text.lines().position(|line| line.contains(name));
            assert!(line.is_none(), "{}:{} names {name}", path.display(), line.unwrap_or(0) + 1);
        }
    }
}

#[test]
fn the_engine_pulls_in_no_http_sql_json_or_broker() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "chat-core",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let tree = String::from_utf8(tree.stdout).expect("text");
    assert!(tree.contains("actix v"), "{tree}");
    let foreign = ["actix-web", "actix-http", "hyper", "sqlx", "serde_json", "redis", "async-nats"];
    for name in foreign {
        let found = tree.lines().any(|line| line.split(' ').next() == Some(name));
        assert!(!found, "chat-core depends on {name}");
    }
}

#[test]
fn transports_know_no_store_and_not_each_other() {
    let stores = ["crate::store", "crate::app", "sqlx", "SqliteStore", "MemoryStore"];
    never("src/http", &stores);
    never("src/http", &["crate::socket"]);
    never("src/socket", &stores);
    never("src/socket", &["crate::http"]);
    never("src/protocol", &stores);
    never("src/protocol", &["crate::http", "crate::socket", "crate::auth"]);
    never("src/auth", &["crate::store", "crate::http", "crate::socket", "crate::app"]);
    never(
        "src/people",
        &["crate::store", "crate::http", "crate::socket", "crate::protocol", "sqlx"],
    );
    never("src/people", &["crate::auth", "crate::app"]);
    never("src/store", &["crate::http", "crate::socket", "crate::protocol", "crate::auth"]);
}

#[test]
fn plain_structures_know_no_actor() {
    for file in ["roster", "timeline", "dedup", "lag", "outbox", "command", "event", "error"] {
        let path = format!("{}/../chat-core/src/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).expect("a source");
        assert!(!text.contains("actix"), "{file}.rs names an actor");
    }
    never("../chat-core/src/model", &["actix", "crate::room", "crate::session", "crate::engine"]);
}

#[test]
fn only_the_port_for_transports_shows_an_actor() {
    let actors = ["actix", "Addr<", "Recipient<", "Context<", "Arbiter", "SpawnHandle"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chat-core/src");
    let files = sources(&folder).into_iter().filter(|(path, _)| !path.ends_with("deliver.rs"));
    for (path, text) in files {
        // A signature may go on over several lines.
        let mut public = false;
        for line in text.lines().map(str::trim_start) {
            public = line.starts_with("pub ") || (public && !line.starts_with('}'));
            let shown = actors.iter().find(|name| public && line.contains(*name));
            assert!(shown.is_none(), "{}: `{line}` shows {shown:?}", path.display());
            public &= !line.ends_with('{') && !line.ends_with(';');
        }
    }
}

#[test]
fn inside_the_engine_too_dependencies_point_down() {
    let core = "../chat-core/src";
    never(&format!("{core}/session"), &["crate::engine"]);
    never(&format!("{core}/room"), &["crate::engine", "crate::session"]);
    never(&format!("{core}/journal"), &["crate::engine", "crate::session", "crate::room"]);
    never(&format!("{core}/store"), &["crate::room", "crate::session", "actix"]);
}
