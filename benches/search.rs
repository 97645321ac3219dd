//! `scripts/services run cargo run --release -p benches --bin search` — what it costs to find messages: rows and bytes of
//! the index, how long it takes to make, how long a search takes in a large room, and what keeping the index up
//! costs those who write. Prints what it has measured, and with `--write` puts it into `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_core::{
    Batch, Body, Draft, Engine, Kind, LoadedRoom, Membership, Name, NewRoom, Role, RoomId,
    RoomInfo, Store, Text, Timestamp, Title, User, UserId, Write as Written,
};
use chat_server::search::Query;
use chat_server::store::{Indexing, MySqlOptions, MySqlStore, SqlStore, SqliteStore};
use clap::Parser;
use futures_util::future::join_all;
use shared::Outcome;
use shared::figures::{Document, median, number};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqliteConnection};
use tempfile::TempDir;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sentences as people write them: this project's own, and those of its page.
const ENGLISH: &str = include_str!("../docs/architecture.md");
const KOREAN: &str = include_str!("../chat-server/src/web/texts/ko.js");

/// How often each search is timed.
const TIMES: usize = 21;
/// How many write at a time, in how many rooms.
const SENDERS: usize = 64;
const ROOMS: usize = 16;
/// As the server does.
const INDEX_EVERY: Duration = Duration::from_secs(7);

/// Measures what it costs to find messages.
#[derive(Parser)]
#[command(name = "search")]
struct Flags {
    /// How many messages are in the room.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// How long writing is measured, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How often, with the index and without, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Puts what was measured into `docs/benchmarks.md`.
    #[arg(long)]
    write: bool,
}

/// What was measured, as the rows of tables.
struct Tables {
    index: String,
    searches: String,
    writing: String,
}

impl Tables {
    fn new() -> Self {
        Self {
            index: "| messages | characters each | rows a message | bytes a message | made, messages/s |\n\
                | --- | --: | --: | --: | --: |\n"
                .to_owned(),
            searches: "| room of | looked for | matches | first page, ms | until something is found, or the end, ms | in calls |\n\
                | --- | --- | --: | --: | --: | --: |\n"
                .to_owned(),
            writing: "| | messages/s without | with | ratio | rows of the index a message | rounds |\n\
                | --- | --: | --: | --: | --: | --: |\n"
                .to_owned(),
        }
    }

    fn write(&self) -> Outcome<()> {
        let mut document = Document::read()?;
        let blocks = [
            ("search index", &self.index),
            ("search times", &self.searches),
            ("search writing", &self.writing),
        ];
        for (name, table) in blocks {
            document.fill(name, table)?;
        }
        Ok(document.save()?)
    }
}

/// Where one measurement is made.
enum Place {
    Folder(TempDir),
    Database(String),
}

impl Place {
    async fn new(mysql: Option<&str>, name: &str) -> Outcome<Self> {
        let Some(server) = mysql else { return Ok(Self::Folder(tempfile::tempdir()?)) };
        let mut connection =
            MySqlConnection::connect(&format!("{server}?ssl-mode=DISABLED")).await?;
        let make = format!(
            "DROP DATABASE IF EXISTS `{name}`; \
             CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut connection).await?;
        Ok(Self::Database(format!("{server}{name}?ssl-mode=DISABLED")))
    }

    async fn open(&self) -> Outcome<Arc<dyn SqlStore>> {
        Ok(match self {
            Self::Folder(folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("chat.db")).await?)
            }
            Self::Database(url) => {
                Arc::new(MySqlStore::open(&MySqlOptions::new(url.clone())).await?)
            }
        })
    }

    /// Rows of the index, and their bytes: pages of the database that it takes.
    async fn size(&self) -> Outcome<(i64, i64)> {
        let rows = "SELECT COUNT(*) FROM search_grams";
        Ok(match self {
            Self::Folder(folder) => {
                let file = format!("sqlite:{}", folder.path().join("chat.db").display());
                let mut connection = SqliteConnection::connect(&file).await?;
                let pages = "SELECT page_count * page_size \
                    FROM pragma_page_count(), pragma_page_size()";
                let rows = sqlx::query_scalar(rows).fetch_one(&mut connection).await?;
                (rows, sqlx::query_scalar(pages).fetch_one(&mut connection).await?)
            }
            Self::Database(url) => {
                let mut connection = MySqlConnection::connect(url).await?;
                sqlx::raw_sql("ANALYZE TABLE search_grams").execute(&mut connection).await?;
                let bytes = "SELECT CAST(DATA_LENGTH AS SIGNED) FROM information_schema.TABLES \
                    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'search_grams'";
                let rows = sqlx::query_scalar(rows).fetch_one(&mut connection).await?;
                (rows, sqlx::query_scalar(bytes).fetch_one(&mut connection).await?)
            }
        })
    }
}

/// The sentences of a text, over and over, each time begun elsewhere.
fn messages(text: &str, count: usize) -> Vec<String> {
    let sentences = text.split(['.', ';', '\n', '"']).map(str::trim);
    let sentences: Vec<_> = sentences.filter(|one| one.chars().count() > 7).collect();
    let nth = |n: usize| {
        let round = n / sentences.len();
        sentences[(n * 7 + round * 31) % sentences.len()].to_owned()
    };
    (0..count).map(nth).collect()
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

#[actix::main]
async fn main() -> Outcome<()> {
    let flags = Flags::parse();
    let server = std::env::var("CHAT_MYSQL_PRIMARY_ADMIN").ok();
    let mut tables = Tables::new();
    for (name, mysql) in [("SQLite", None), ("MariaDB", server.as_deref())] {
        if name == "MariaDB" && mysql.is_none() {
            say("MariaDB: not measured; scripts/services run … starts one");
            continue;
        }
        let all = ENGLISH.lines().filter(|line| line.len() > 40 && line.is_ascii());
        let english = all.collect::<Vec<_>>().join("\n");
        let korean = KOREAN.lines().filter(|line| !line.is_ascii()).collect::<Vec<_>>().join("\n");
        for (language, text) in [("English", english.as_str()), ("Korean", korean.as_str())] {
            let place = Place::new(mysql, "chat_search_index").await?;
            let name = format!("{language}, {name}");
            index(&mut tables, &name, &place, messages(text, flags.messages)).await?;
        }
        writing(&mut tables, name, mysql, &flags).await?;
    }
    if flags.write {
        tables.write()?;
    }
    Ok(())
}

/// A room with these messages: what its index takes, and how long it is searched.
async fn index(
    tables: &mut Tables,
    name: &str,
    place: &Place,
    mut texts: Vec<String>,
) -> Outcome<()> {
    let (store, ann) = (place.open().await?, User::new(UserId::new(), Name::new("Ann")?));
    let room = open(&*store, &ann).await?;
    texts[10] = "🦀 하나뿐인 needle in a haystack".to_owned();
    let count = texts.len();
    let chars = texts.iter().map(|text| text.chars().count()).sum::<usize>() / count;
    let mut after = room.end;
    for some in texts.chunks(2_000) {
        let write = |text: &String| -> Outcome<Written> {
            let body = Body::text(Text::new(text.as_str())?);
            Ok(Written::Message { from: ann.clone(), body, at: Timestamp::UNIX_EPOCH, key: None })
        };
        let writes = some.iter().map(write).collect::<Outcome<Vec<_>>>()?;
        store.append(&[Batch { room: room.key, after, may_follow: false, writes }]).await?;
        after.seq += some.len() as u64;
    }
    let (_, before) = place.size().await?;
    let began = Instant::now();
    store.index_search(Indexing::Everything).await?;
    let took = began.elapsed().as_secs_f64();
    let (rows, bytes) = place.size().await?;
    let each = |number: i64| number as f64 / count as f64;
    let row = format!(
        "| {}: {name} | {chars} | {:.1} | {:.0} | {} |",
        number(count as f64),
        each(rows),
        each(bytes - before),
        number((count as f64 / took).round())
    );
    say(&row);
    writeln!(tables.index, "{row}")?;
    let room = room.info.id;
    for text in ["needle", "하나", "xyzzyx", "없는말", "the", "room", "방"] {
        let query = Query::new(text)?;
        let matching = texts.iter().filter(|text| query.matches(text)).count();
        let (mut first, mut whole, mut pages) = (Vec::new(), Vec::new(), 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            let mut page = store.find(room, &query, None, 20).await?;
            first.push(began.elapsed().as_secs_f64() * 1_000.0);
            pages = 1;
            while page.messages.is_empty() && page.next.is_some() {
                page = store.find(room, &query, page.next, 20).await?;
                pages += 1;
            }
            whole.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let [first, whole] = [first, whole].map(|times| median(times).unwrap_or_default());
        let matching = number(matching as f64);
        let row = format!("| {name} | {text} | {matching} | {first:.1} | {whole:.1} | {pages} |");
        say(&row);
        writeln!(tables.searches, "{row}")?;
    }
    store.close().await;
    Ok(())
}

async fn open(store: &dyn SqlStore, owner: &User) -> Outcome<LoadedRoom> {
    let (id, title) = (RoomId::new(), Some(Title::new("a room")?));
    let created = Timestamp::UNIX_EPOCH;
    let info = RoomInfo { id, title, kind: Kind::Open, ephemeral: false, created, parent: None };
    let owner = Membership { user: owner.clone(), role: Role::Owner };
    store.create_room(&info, &[owner], None).await?;
    Ok(store.load_room(id, 0).await?.ok_or("the room is gone")?)
}

/// What keeping the index up costs those who write: with it and without, in turns of which either may be first.
async fn writing(
    tables: &mut Tables,
    name: &str,
    mysql: Option<&str>,
    flags: &Flags,
) -> Outcome<()> {
    let time = Duration::from_secs(flags.seconds);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut ratios, mut rows) = (Vec::new(), Vec::new());
    for round in 0..flags.rounds {
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let is_indexed = (round + turn) % 2 == 1;
            let place = Place::new(mysql, "chat_search_writing").await?;
            let (rate, of_index) = rate(&place, is_indexed, time).await?;
            rates[usize::from(is_indexed)] = rate;
            if is_indexed {
                rows.push(of_index);
            }
        }
        say(&format!(
            "{name}, round {}: {:.0} messages/s without, {:.0} with",
            round + 1,
            rates[0],
            rates[1]
        ));
        without.push(rates[0]);
        with.push(rates[1]);
        ratios.push(rates[1] / rates[0]);
    }
    let [without, with, ratio, rows] =
        [without, with, ratios, rows].map(|figures| median(figures).unwrap_or_default());
    let row = format!(
        "| {name} | {} | {} | {ratio:.2} | {rows:.1} | {} |",
        number(without.round()),
        number(with.round()),
        flags.rounds
    );
    say(&row);
    writeln!(tables.writing, "{row}")?;
    Ok(())
}

/// How many messages a second are acknowledged, in a closed loop, and how many rows of the index each has made.
async fn rate(place: &Place, is_indexed: bool, time: Duration) -> Outcome<(f64, f64)> {
    let (store, ann) = (place.open().await?, User::new(UserId::new(), Name::new("Ann")?));
    let engine = Engine::builder().shared_store(Arc::clone(&store) as Arc<dyn Store>).start()?;
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(engine.open_room(&ann, NewRoom::open(format!("room {n}"))?).await?);
    }
    let texts = messages(ENGLISH, 10_000);
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let send = async |n: usize| -> Outcome<()> {
        let mut nth = n;
        while !stop.load(Ordering::Relaxed) {
            let draft = Draft::text(texts[nth % texts.len()].as_str())?;
            rooms[n % ROOMS].send(&ann, draft).await?;
            count.fetch_add(1, Ordering::Relaxed);
            nth += SENDERS;
        }
        Ok(())
    };
    let indexing = is_indexed.then(|| {
        let store = Arc::clone(&store);
        actix::spawn(async move {
            while store.index_search(Indexing::Ripe).await.is_ok() {
                tokio::time::sleep(INDEX_EVERY).await;
            }
        })
    });
    let began = Instant::now();
    let end = async {
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (sent, ()) = tokio::join!(join_all((0..SENDERS).map(send)), end);
    let rate = count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    sent.into_iter().collect::<Outcome<()>>()?;
    if let Some(indexing) = indexing {
        indexing.abort();
    }
    engine.stop().await;
    store.close().await;
    let (rows, _) = place.size().await?;
    Ok((rate, rows as f64 / count.load(Ordering::Relaxed) as f64))
}
