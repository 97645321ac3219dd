//! Over TLS: what the store says to the database is encrypted, and nobody else is taken for it.

use std::time::Duration;

use chat_core::{Limits, RoomQuery, Store};
use chat_server::store::{MySqlOpenError as OpenError, MySqlOptions, MySqlStore};

use crate::database::server::Server;
use crate::database::{Database, connect};
use crate::execute;
use crate::house::{House, open};

const DEADLINE: Duration = Duration::from_secs(5);

async fn refused(url: &str) -> (OpenError, String) {
    let error = MySqlStore::open(&MySqlOptions::new(url)).await.expect_err("it is refused");
    let message = error.to_string();
    (error, message)
}

#[tokio::test]
async fn the_store_speaks_tls() {
    let database = Database::new().await;
    let store = open(&database.tls_url(), DEADLINE).await;
    store.list_rooms(&RoomQuery { limit: 1, ..RoomQuery::default() }).await.expect("a list");
    let cipher = "SHOW STATUS LIKE 'Ssl_cipher'";
    let (_, cipher): (String, String) = sqlx::query_as(cipher)
        .fetch_one(&mut connect(&database.tls_url()).await)
        .await
        .expect("a status");
    assert_ne!(cipher, "");
}

#[tokio::test]
async fn nobody_else_is_taken_for_the_database() {
    let database = Database::new().await;
    let other = database.tls_url().replace("ca.pem", "server.pem");
    let (error, message) = refused(&other).await;
    assert!(message.contains("certificate"), "{error:?}: {message}");
    let missing = database.tls_url().replace("ca.pem", "missing.pem");
    let (error, message) = refused(&missing).await;
    assert!(message.contains("missing.pem"), "{error:?}: {message}");
    // Nothing has been made there.
    let tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()";
    let tables: i64 =
        sqlx::query_scalar(tables).fetch_one(&mut database.connect().await).await.expect("rows");
    assert_eq!(tables, 0);
}

/// The server lets this account in over TLS alone, so every connection of the store is encrypted.
#[tokio::test]
async fn every_connection_speaks_tls() {
    let server = Server::new().await;
    let mut connection = connect(&server.admin_url()).await;
    for statement in [
        "CREATE USER careful@'127.0.0.1' IDENTIFIED BY 'careful' REQUIRE SSL",
        "GRANT ALL ON chat.* TO careful@'127.0.0.1'",
    ] {
        execute(&mut connection, statement).await;
    }
    let url = server.url();
    let (_, place) = url.rsplit_once('@').expect("an account");
    let bare = format!("mysql://careful:careful@{place}");
    let (error, message) = refused(&bare).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{message}");
    let authority = std::env::var("CHAT_MYSQL_CA").expect("an authority");
    for mode in ["VERIFY_CA", "VERIFY_IDENTITY"] {
        let mode = format!("ssl-mode={mode}&ssl-ca={authority}");
        let store = open(&bare.replace("ssl-mode=DISABLED", &mode), DEADLINE).await;
        let house = House::build(store, Limits::default(), 2).await;
        house.engine.stop().await;
    }
}
