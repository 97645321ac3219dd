//! That the databases of the tests do what the tests rely on: the proxy loses what it is told to
//! lose and no more, a server that was killed has what it has committed, the replica follows.

mod database;

use std::time::Duration;

use database::proxy::{Command, Proxy};
use database::server::Server;
use database::{Database, connect};
use sqlx::{Connection, Executor, MySqlConnection};
use tokio::time::timeout;

/// Far longer than an answer takes, and short enough to be waited for.
const WHILE: Duration = Duration::from_millis(200);

async fn make_table(connection: &mut MySqlConnection) {
    connection.execute("CREATE TABLE said (what TEXT)").await.expect("a table");
}

/// One prepared statement, and without a transaction its own.
async fn say(connection: &mut MySqlConnection, what: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO said VALUES (?)").bind(what).execute(connection).await.map(drop)
}

async fn said(connection: &mut MySqlConnection) -> Vec<String> {
    let said = sqlx::query_scalar("SELECT what FROM said ORDER BY what").fetch_all(connection);
    timeout(database::PATIENCE, said).await.expect("in time").expect("rows")
}

#[tokio::test]
async fn a_commit_is_lost_or_its_answer_alone() {
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let mut direct = database.connect().await;
    make_table(&mut direct).await;
    for (answer, nth) in [(true, 1), (false, 1), (true, 2), (false, 2)] {
        let loss = if answer { Proxy::lose_answer } else { Proxy::lose_command };
        let loss = loss(&proxy, Command::Commit, nth);
        let mut connection = connect(&proxy.url()).await;
        for time in 1..=nth {
            let mut transaction = connection.begin().await.expect("a transaction");
            say(&mut transaction, &format!("{answer} {nth}.{time}")).await.expect("an answer");
            assert_eq!(transaction.commit().await.is_ok(), time < nth);
        }
        loss.happened().await;
        assert!(connection.ping().await.is_err(), "the connection is cut");
    }
    assert_eq!(said(&mut direct).await, ["false 2.1", "true 1.1", "true 2.1", "true 2.2"]);
}

#[tokio::test]
async fn a_statement_is_lost_or_its_answer_alone() {
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let mut direct = database.connect().await;
    make_table(&mut direct).await;
    let mut connections = [connect(&proxy.url()).await, connect(&proxy.url()).await];
    let losses = [proxy.lose_command(Command::Execute, 2), proxy.lose_answer(Command::Execute, 4)];
    say(&mut connections[0], "a").await.expect("an answer");
    say(&mut connections[0], "b").await.expect_err("the statement is lost");
    say(&mut connections[1], "c").await.expect("an answer");
    say(&mut connections[1], "d").await.expect_err("the answer is lost");
    for loss in losses {
        loss.happened().await;
    }
    assert_eq!(said(&mut connect(&proxy.url()).await).await, ["a", "c", "d"]);
}

#[tokio::test]
#[should_panic(expected = "the server does as it is told")]
async fn an_answer_that_is_a_refusal_is_no_loss() {
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let mut connection = database.connect().await;
    make_table(&mut connection).await;
    let loss = proxy.lose_answer(Command::Execute, 1);
    let mut connection = connect(&proxy.url()).await;
    say(&mut connection, &"x".repeat(70_000)).await.expect_err("it is too long for the column");
    loss.happened().await;
}

#[tokio::test]
async fn connections_are_cut_refused_and_held() {
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let mut connection = connect(&proxy.url()).await;
    make_table(&mut connection).await;

    proxy.hold();
    {
        let mut held = Box::pin(say(&mut connection, "held"));
        timeout(WHILE, &mut held).await.expect_err("it is held back");
        let other = MySqlConnection::connect(&proxy.url());
        assert!(timeout(WHILE, other).await.is_err(), "new ones are held too");
        assert_eq!(said(&mut database.connect().await).await, [""; 0]);
        proxy.release();
        timeout(database::PATIENCE, held).await.expect("in time").expect("nothing is lost");
    }

    proxy.refuse().await;
    say(&mut connection, "kept").await.expect("those that are there stay");
    let error = MySqlConnection::connect(&proxy.url()).await.expect_err("it is refused");
    assert!(
        matches!(&error, sqlx::Error::Io(error)
        if error.kind() == std::io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );

    proxy.cut().await;
    say(&mut connection, "cut").await.expect_err("it is cut");
    proxy.admit().await;
    assert_eq!(said(&mut connect(&proxy.url()).await).await, ["held", "kept"]);
}

#[tokio::test]
async fn a_server_that_is_killed_has_what_it_has_committed() {
    let mut server = Server::new().await;
    let mut connection = server.connect().await;
    make_table(&mut connection).await;
    say(&mut connection, "committed").await.expect("an answer");
    let mut transaction = connection.begin().await.expect("a transaction");
    say(&mut transaction, "not committed").await.expect("an answer");
    server.kill();
    transaction.commit().await.expect_err("nobody is there");
    let refused = MySqlConnection::connect(&server.url()).await;
    refused.expect_err("nobody is there");
    server.restart().await;
    assert_eq!(said(&mut server.connect().await).await, ["committed"]);
}

#[tokio::test]
async fn a_frozen_server_goes_on_where_it_was() {
    let server = Server::new().await;
    let mut connection = server.connect().await;
    make_table(&mut connection).await;
    server.freeze();
    let mut late = Box::pin(say(&mut connection, "late"));
    timeout(WHILE, &mut late).await.expect_err("it does nothing");
    server.thaw();
    timeout(database::PATIENCE, late).await.expect("in time").expect("an answer");
    assert_eq!(said(&mut server.connect().await).await, ["late"]);
    // One that is frozen can be ended too.
    server.freeze();
}

#[tokio::test]
async fn the_replica_follows_and_takes_no_writes() {
    let database = Database::new().await;
    let mut primary = database.connect().await;
    make_table(&mut primary).await;
    database.replicated().await;
    let mut replica = connect(&database.replica_url()).await;
    let error = say(&mut replica, "here").await.expect_err("it is read-only");
    assert!(error.to_string().contains("--read-only"), "{error}");
    let paused = Database::pause_replication().await;
    say(&mut primary, "there").await.expect("an answer");
    tokio::time::sleep(WHILE).await;
    assert_eq!(said(&mut replica).await, [""; 0]);
    drop(paused);
    database.replicated().await;
    assert_eq!(said(&mut replica).await, ["there"]);
}

#[tokio::test]
async fn a_database_is_gone_behind_its_test() {
    let database = Database::new().await;
    let (name, url) = (database.name().to_owned(), database.url());
    let mut connection = connect(&url).await;
    make_table(&mut connection).await;
    let mut open = connection.begin().await.expect("a transaction");
    say(&mut open, "left open").await.expect("an answer");
    drop(database);
    open.commit().await.expect_err("its connections are gone too");
    let error = MySqlConnection::connect(&url).await.expect_err("it is gone");
    assert!(error.to_string().contains(&name), "{error}");
}

#[tokio::test]
async fn certificates_are_of_the_authority() {
    let database = Database::new().await;
    let mut connection = connect(&database.tls_url()).await;
    let cipher = "SELECT variable_value FROM information_schema.session_status
        WHERE variable_name = 'Ssl_cipher'";
    let cipher = sqlx::query_scalar::<_, String>(cipher).fetch_one(&mut connection).await;
    assert_ne!(cipher.expect("a status"), "");
    let other = database.tls_url().replace("ca.pem", "server.pem");
    MySqlConnection::connect(&other).await.expect_err("somebody else's authority");
}
