//! What is shown to people: the settings that hold, without the secret, and the files that come
//! with the server.

use ::config::ValueKind;

use super::*;

/// All values of these settings by full key, without where they came from.
fn values(settings: &Settings) -> BTreeMap<String, ValueKind> {
    let leaves = known::leaves(&known::tree(settings)).into_iter();
    leaves.map(|(key, value)| (key, value.kind)).collect()
}

/// A file of the repository's `config` folder.
fn shipped(name: &str) -> String {
    fs::read_to_string(format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_secret_is_never_shown() {
    let settings = Start::new().variable("CHAT__AUTH__SECRET", SECRET).settings();
    for shown in [format!("{settings:?}"), format!("{settings:#?}"), settings.display()] {
        assert!(!shown.contains("thirty"), "{shown}");
    }
    let shown = settings.display();
    says(&shown, &["[auth]", "secret = \"(hidden)\" # variable CHAT__AUTH__SECRET"]);
}

#[test]
fn what_is_displayed_is_a_settings_file_that_says_the_same() {
    let settings = Start::new()
        .file("config/default.toml", "[log]\nfilter = 'warn'")
        .flags(&["--listen", "[::1]:0", "--set", "auth.issuer=a \"b\" \\ 채팅"])
        .settings();
    let shown = settings.display();
    says(
        &shown,
        &[
            "# environment: development",
            "filter = \"warn\" # config/default.toml",
            "listen = \"[::1]:0\" # flag --listen",
            "workers = 0 # default",
            "# secret is not set",
        ],
    );
    let again = Start::new().file("config/default.toml", &shown).settings();
    assert_eq!(values(&again), values(&settings));
}

#[test]
fn the_shipped_default_file_has_every_key_at_its_default() {
    let commented = shipped("default.toml");
    let settings = Start::new().file("config/default.toml", &commented).settings();
    assert!(settings.sources.is_empty(), "everything is commented out");

    // Behind a lone # stands a setting, behind # and a space a sentence. Secrets have no default.
    let is_setting = |line: &&str| line.starts_with(['#', '[']) && !line.starts_with("# ");
    let settings: Vec<_> = commented
        .lines()
        .filter(is_setting)
        .map(|line| line.trim_start_matches('#'))
        .filter(|line| !line.ends_with("secret = \"\""))
        .collect();
    let settings = Start::new().file("config/default.toml", &settings.join("\n")).settings();
    let defaults = values(&Settings::default());
    assert_eq!(values(&settings), defaults);
    let unset = ["environment", "auth.secret", "auth.earlier_secret"];
    for key in defaults.keys().filter(|key| !unset.contains(&key.as_str())) {
        assert!(settings.sources.contains_key(key), "{key} is not in the file");
    }
}

#[test]
fn the_shipped_production_file_listens_to_all_and_logs_json() {
    let settings = Start::new()
        .file("config/default.toml", &shipped("default.toml"))
        .file("config/production.toml", &shipped("production.toml"))
        .variable("CHAT__ENVIRONMENT", "production")
        .variable("CHAT__AUTH__SECRET", SECRET)
        .settings();
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.log.format, LogFormat::Json);
}
