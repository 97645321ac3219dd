//! Settings as an operator meets them: here which layer wins, beside it what is refused and what is
//! shown. Files are real, in a folder of the test's own; variables and flags are given, so that
//! tests run side by side.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;

use super::*;

mod refused;
mod shown;

const SECRET: &str = "a secret that has more than thirty-two bytes";

/// What a test starts the server with.
struct Start {
    folder: TempDir,
    variables: Vec<(OsString, OsString)>,
    flags: Vec<String>,
}

impl Start {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new(), flags: Vec::new() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    fn load(self) -> Result<Settings, ConfigError> {
        let line = std::iter::once("chat-server".to_owned()).chain(self.flags);
        Settings::load_from(
            &Flags::try_parse_from(line).ok().unwrap(),
            self.variables,
            self.folder.path(),
        )
    }

    fn settings(self) -> Settings {
        self.load().unwrap()
    }

    /// The error, which must be one line and not give away the secret.
    fn error(self) -> String {
        let error = self.load().unwrap_err().to_string();
        assert!(!error.contains('\n') && !error.contains("thirty"), "{error}");
        error
    }
}

/// Asserts that an error says all of these.
fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn nothing_needs_to_be_set() {
    let settings = Start::new().settings();
    assert_eq!(settings.environment, "development");
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.store.url, StoreUrl::Sqlite("./data/chat.db".into()));
    assert_eq!(settings.data.uploads, PathBuf::from("./data/uploads"));
    assert_eq!(settings.auth.guest_ttl, Duration::from_secs(86_400));
    assert_eq!(settings.log.format, LogFormat::Text);
    assert!(settings.explicit_secret().unwrap().is_none());
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let port = |start: Start| start.settings().server.listen.port();
    let default = || Start::new().file("config/default.toml", "[server]\nlisten = '127.0.0.1:1'");
    let environment =
        || default().file("config/development.toml", "[server]\nlisten = '127.0.0.1:2'");
    let variable = || environment().variable("CHAT__SERVER__LISTEN", "127.0.0.1:3");
    let set = || variable().flags(&["--set", "server.listen=127.0.0.1:4"]);
    assert_eq!(port(default()), 1);
    assert_eq!(port(environment()), 2);
    assert_eq!(port(variable()), 3);
    assert_eq!(port(set()), 4);
    assert_eq!(port(set().flags(&["--set", "server.listen=127.0.0.1:5"])), 5);
    assert_eq!(port(set().flags(&["--listen", "127.0.0.1:6"])), 6);
}

#[test]
fn a_layer_overrides_single_keys_and_not_whole_sections() {
    let settings = Start::new()
        .file("config/default.toml", "[rooms]\nbig = 10\ngrace_s = 11\ntyping_s = 12")
        .file("config/development.toml", "[rooms]\ngrace_s = 21")
        .variable("CHAT__ROOMS__TYPING_S", "32")
        .settings();
    assert_eq!(settings.rooms.big, 10);
    assert_eq!(settings.rooms.grace, Duration::from_secs(21));
    assert_eq!(settings.rooms.typing, Duration::from_secs(32));
    assert_eq!(settings.rooms.kept_messages, 256);
}

#[test]
fn a_named_file_stands_in_for_the_environment_s() {
    let start = || {
        Start::new()
            .file("config/default.toml", "server = { workers = 1 }\nlog = { filter = 'warn' }")
            .file("config/development.toml", "[server]\nworkers = 2\n[rooms]\nbig = 2")
            .file("else.toml", "\u{feff}[server]\nworkers = 3\n")
            .flags(&["--config", "else.toml"])
    };
    let settings = start().settings();
    assert_eq!((settings.server.workers, settings.rooms.big), (3, 200));
    assert_eq!(settings.log.filter, "warn");
    let start = Start::new().file("else.toml", "[server]\nworkers = 3\n");
    let absolute = start.folder.path().join("else.toml").display().to_string();
    assert_eq!(start.flags(&["--config", &absolute]).settings().server.workers, 3);
    says(&Start::new().flags(&["--config", "gone.toml"]).error(), &["gone.toml", "--config"]);
}

#[test]
fn the_environment_is_chosen_by_flag_or_variable_only() {
    let start = || {
        Start::new()
            .file("config/one.toml", "[server]\nworkers = 1")
            .file("config/two.toml", "[server]\nworkers = 2")
            .variable("CHAT__ENVIRONMENT", "one")
    };
    let settings = start().settings();
    assert_eq!((settings.environment.as_str(), settings.server.workers), ("one", 1));
    let settings = start().flags(&["--environment", "two"]).settings();
    assert_eq!((settings.environment.as_str(), settings.server.workers), ("two", 2));

    let error = Start::new().file("config/default.toml", "environment = 'production'").error();
    says(&error, &["environment", "config/default.toml", "--environment"]);
    says(&Start::new().flags(&["--set", "environment=x"]).error(), &["--environment"]);
    for wrong in ["", "../x", "Production", "a b"] {
        let error = Start::new().variable("CHAT__ENVIRONMENT", wrong).error();
        says(&error, &["environment", wrong, "CHAT__ENVIRONMENT"]);
    }
}

#[test]
fn what_is_not_placed_follows_the_data_folder() {
    let settings = Start::new().flags(&["--data", "/srv/chat"]).settings();
    assert_eq!(settings.store.url.to_string(), "sqlite:/srv/chat/chat.db");
    assert_eq!(settings.data.uploads, PathBuf::from("/srv/chat/uploads"));
    let settings = Start::new()
        .variable("CHAT__DATA__UPLOADS", "/pictures")
        .variable("CHAT__STORE__URL", "memory:")
        .flags(&["--data", "/srv/chat"])
        .settings();
    assert_eq!(settings.store.url, StoreUrl::Memory);
    assert_eq!(settings.data.uploads, PathBuf::from("/pictures"));
    says(&Start::new().flags(&["--data", ""]).error(), &["data.dir", "flag --data"]);
}
