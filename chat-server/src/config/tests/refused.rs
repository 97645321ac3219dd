//! What keeps the server from starting: each mistake is named, with its place, in one line.

use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let file = |text: &str| Start::new().file("config/development.toml", text).error();
    let place = "config/development.toml";
    says(
        &file("[server]\nprot = 1"),
        &["`server.prot`", place, "listen, metrics, shutdown_timeout_s"],
    );
    says(&file("[sever]\nlisten = 'a'"), &["`sever.listen`", place, "rooms, server"]);
    says(&file("listen = 'a'"), &["`listen`", place]);
    says(&file("[server.listen]\nport = 1"), &["`server.listen.port`", place]);
    says(&file("[server.tls]"), &["`server.tls`", place]);
    says(&file("server = 5"), &["`server`", place, "listen"]);
    says(&file("\"server.listen\" = '127.0.0.1:1'"), &["server.listen", place]);
    says(&file("\"a\\nb\" = 1"), &["`a\\nb`"]);

    let default = Start::new().file("config/default.toml", "[auth]\nsecrte = 'thirty'").error();
    says(&default, &["`auth.secrte`", "config/default.toml"]);
    let named = Start::new().file("c.toml", "[log]\nlevel = 1").flags(&["--config", "c.toml"]);
    says(&named.error(), &["`log.level`", "c.toml", "filter, format"]);
    for (name, key) in [
        ("CHAT__SERVER__PROT", "`server.prot`"),
        ("CHAT__SERVER_LISTEN", "`server_listen`"),
        ("CHAT__SERVER__LISTEN__PORT", "`server.listen.port`"),
        ("CHAT__ENVIROMENT", "`enviroment`"),
        ("CHAT__", "``"),
    ] {
        says(&Start::new().variable(name, "thirty").error(), &[key, name]);
    }
    says(&Start::new().flags(&["--set", "server.prot=1"]).error(), &["`server.prot`", "--set"]);
    Start::new().variable("CHAT_SERVER_BIN", "x").variable("PATH", "y").settings();
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    let file = |text: &str| Start::new().file("config/default.toml", text).error();
    for wrong in ["'2'", "true", "1.5", "-1", "[1]", "1979-05-27"] {
        let error = file(&format!("[server]\nworkers = {wrong}"));
        says(&error, &["`server.workers`", "config/default.toml", "a whole number"]);
    }
    says(&file("[server]\nlisten = 8080"), &["`server.listen` is 8080", "text, in quotes"]);
    says(&file("[auth]\nguests = 'yes'"), &["`auth.guests` is \"yes\"", "true or false"]);
    says(&file("[auth]\nsecret = 303030"), &["`auth.secret` must be text"]);
    for wrong in ["two", "", " 2", "-1", "1.5", "99999999999999999999"] {
        let error = Start::new().variable("CHAT__ROOMS__BIG", wrong).error();
        says(&error, &["`rooms.big`", &format!("{wrong:?}"), "CHAT__ROOMS__BIG"]);
        let error = Start::new().flags(&["--set", &format!("rooms.big={wrong}")]).error();
        says(&error, &["`rooms.big`", &format!("{wrong:?}"), "--set rooms.big"]);
    }
    says(&Start::new().variable("CHAT__AUTH__GUESTS", "yes").error(), &["auth.guests", "\"yes\""]);
    says(&Start::new().flags(&["--set", "rooms.big"]).error(), &["`rooms.big`", "`=`"]);
    let mut start = Start::new();
    start.variables.push(("CHAT__LOG__FILTER".into(), OsString::from_vec(vec![0xff])));
    says(&start.error(), &["`log.filter`", "UTF-8", "CHAT__LOG__FILTER"]);
}

#[test]
fn a_value_that_makes_no_sense_is_named_with_its_place() {
    for (key, range) in sections::RANGES {
        let set = |n: u64| Start::new().flags(&["--set", &format!("{key}={n}")]);
        set(*range.start()).settings();
        set(*range.end()).settings();
        says(&set(range.end() + 1).error(), &[key, &(range.end() + 1).to_string(), "--set"]);
        if *range.start() > 0 {
            says(&set(range.start() - 1).error(), &[key, "must be"]);
        }
    }
    let long = "a".repeat(201);
    for (key, wrong) in [
        ("server.listen", "8080"),
        ("server.listen", "localhost"),
        ("server.listen", "127.0.0.1:99999"),
        ("data.uploads", ""),
        ("auth.issuer", ""),
        ("auth.audience", &long),
        ("log.filter", "info,=="),
        ("log.format", "xml"),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let file = format!("[{section}]\n{name} = '{wrong}'");
        let error = Start::new().file("config/development.toml", &file).error();
        let shown = &wrong[..wrong.len().min(79)];
        says(&error, &[&format!("`{key}`"), shown, "config/development.toml"]);
    }
    let error = Start::new().variable("CHAT__STORE__URL", "mysql://thirty:thirty@host/").error();
    says(&error, &["`store.url`", "sqlite:", "mysql:", "memory:", "CHAT__STORE__URL"]);
    let error =
        Start::new().variable("CHAT__STORE__REPLICAS", "mysql://a:thirty@b/c, thirty").error();
    says(&error, &["`store.replicas`", "mysql:", "CHAT__STORE__REPLICAS"]);
}

#[test]
fn a_file_that_can_t_be_read_is_named_with_the_line() {
    let file = |text: &str| Start::new().file("config/default.toml", text).error();
    says(&file("[server]\nlisten = thirty\n"), &["config/default.toml", "line 2", "column 10"]);
    says(&file("[auth]\nsecret = 'thirty\n"), &["config/default.toml", "line 2"]);
    says(&file("[log]\nformat = 'text'\nformat = 'json'\n"), &["line 3", "duplicate key"]);
    says(&file("[server]\nworkers = 99999999999999999999"), &["config/default.toml"]);
    let start = Start::new();
    fs::create_dir_all(start.folder.path().join("config/default.toml")).unwrap();
    says(&start.error(), &["can't read config/default.toml"]);
    let start = Start::new().file("config/default.toml", "");
    fs::write(start.folder.path().join("config/default.toml"), [0xff, 0xfe]).unwrap();
    says(&start.error(), &["can't read config/default.toml", "UTF-8"]);
}

#[test]
fn production_needs_a_secret_and_every_secret_its_length() {
    let production = || Start::new().flags(&["--environment", "production"]);
    says(&production().error(), &["CHAT__AUTH__SECRET", "openssl rand -hex 32", "auth.secret"]);
    let settings = production().variable("CHAT__AUTH__SECRET", SECRET).settings();
    assert_eq!(settings.explicit_secret().unwrap().unwrap().expose_secret(), SECRET);
    let start =
        production().file("config/production.toml", &format!("[auth]\nsecret = '{SECRET}'"));
    assert!(start.settings().auth.secret.is_some());
    for short in ["", &SECRET[..31]] {
        for start in [production(), Start::new()] {
            let error = start.variable("CHAT__AUTH__SECRET", short).error();
            says(&error, &["`auth.secret`", "32 bytes", "CHAT__AUTH__SECRET"]);
        }
    }
    let korean = "열한 글자면 넉넉하다고";
    assert!(korean.len() >= SHORTEST_SECRET);
    Start::new().variable("CHAT__AUTH__SECRET", korean).settings();
    let digits = "0123456789012345678901234567890123456789";
    let settings = Start::new().variable("CHAT__AUTH__SECRET", digits).settings();
    assert_eq!(settings.auth.secret.unwrap().expose_secret(), digits);
    let flag = Start::new().flags(&["--set", &format!("auth.secret={SECRET}")]).error();
    says(&flag, &["auth.secret", "CHAT__AUTH__SECRET"]);
}
