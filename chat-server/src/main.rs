//! Starts a server by its settings and stops it when it is told to.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chat_server::app::{self, Parts};
use chat_server::config::{Flags, LogFormat, Settings};
use chat_server::store::Rebuilt;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How often it is said how far something has come.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Messages are made on one thread and dropped on another, which is what this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // To standard error as it is, because the log may not be set up yet.
            writeln!(std::io::stderr(), "chat-server: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let settings = Settings::load(flags)?;
    if flags.check {
        return Ok(write!(std::io::stdout(), "{}", settings.display())?);
    }
    set_up_log(&settings)?;
    if flags.rebuild_search {
        return rebuild_search(&settings).await;
    }
    if flags.reset_cursors {
        return reset_cursors(&settings).await;
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = app::build(&settings, Parts::default()).await?;
    let scheme = if settings.certificate()?.is_some() { "https" } else { "http" };
    tracing::info!("listening; open {scheme}://{} in a browser", server.address());
    loop {
        tokio::select! {
            _ = interrupt.recv() => break tracing::info!("interrupted; stopping"),
            _ = terminate.recv() => break tracing::info!("told to stop; stopping"),
            _ = hang_up.recv() => match server.reload_certificate() {
                Ok(true) => tracing::info!("read the certificate again"),
                Ok(false) => tracing::info!("there is no certificate to read again"),
                Err(error) => tracing::error!(%error, "the old certificate stays in use"),
            },
        }
    }
    server.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Makes the index of messages anew, and says on the terminal how far it has come.
async fn rebuild_search(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let told = now_and_then();
    let tell = |Rebuilt { rooms, messages }: Rebuilt| {
        told(&|| format!("{rooms} rooms are done, with {messages} messages"));
    };
    let Rebuilt { rooms, messages } = app::rebuild_search(settings, &tell).await?;
    say(&format!("the index is made anew: {rooms} rooms, {messages} messages"));
    Ok(())
}

/// Lets everybody begin anew who comes back, and says on the terminal how far it has come.
async fn reset_cursors(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let told = now_and_then();
    let tell = |rooms: u64| told(&|| format!("{rooms} rooms are done"));
    let rooms = app::reset_cursors(settings, &tell).await?;
    say(&format!("whoever comes back to one of {rooms} rooms begins anew"));
    Ok(())
}

fn say(text: &str) {
    // Nobody may be listening.
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Says what it is given, unless it has said something a moment ago.
fn now_and_then() -> impl Fn(&dyn Fn() -> String) + Send + Sync {
    let told = Mutex::new(Instant::now());
    move |text| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            say(&text());
        }
    }
}

fn set_up_log(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&settings.log.filter)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
