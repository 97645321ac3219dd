//! What goes on as long as the server does, and nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{Clock, Store, Timestamp, limits};
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::people::People;
use crate::store::{Indexing, Retention, SqlStore};

const DAY: Duration = Duration::from_secs(86_400);

/// How often old messages are looked for.
const RETAIN_EVERY: Duration = Duration::from_secs(600);

/// How often old logins are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// How long to wait before somebody is to be forgotten again when that has failed.
const FORGET_AGAIN: Duration = Duration::from_secs(5);

/// Removes old messages now and then, if any are to be removed.
pub(super) fn retain(
    settings: &Settings,
    store: Arc<dyn SqlStore>,
    clock: Arc<dyn Clock>,
) -> Option<JoinHandle<()>> {
    let (days, messages) = (settings.store.keep_days, settings.store.keep_messages);
    let retention = Retention {
        age: (days > 0).then(|| DAY * u32::try_from(days).unwrap_or(u32::MAX)),
        messages: (messages > 0).then_some(messages),
    };
    if retention == Retention::default() {
        return None;
    }
    Some(actix_web::rt::spawn(async move {
        loop {
            if let Err(error) = store.remove_old(retention, clock.now()).await {
                tracing::error!(%error, "could not remove old messages; trying again later");
            }
            clock.sleep(RETAIN_EVERY).await;
        }
    }))
}

/// How often the index of messages is brought up.
const INDEX_EVERY: Duration = Duration::from_secs(7);

/// Keeps the index of messages up, if it is to be.
pub(super) fn keep_search_up(
    settings: &Settings,
    store: Arc<dyn SqlStore>,
    clock: Arc<dyn Clock>,
) -> Option<JoinHandle<()>> {
    if !settings.store.search_index {
        return None;
    }
    Some(actix_web::rt::spawn(async move {
        loop {
            // Not at once: a server that has just started has more important things to do.
            clock.sleep(INDEX_EVERY).await;
            if let Err(error) = store.index_search(Indexing::Ripe).await {
                tracing::error!(%error, "could not index new messages; they are found by reading");
            }
        }
    }))
}

/// How long a client's key is remembered that was used for something else than a message: for twice as long as is
/// promised, so that whoever asks again at the last moment is not too late.
const KEYS_LAST: Duration = limits::KEYS_LAST.saturating_mul(2);

/// Forgets now and then what is known of logins that have been over for long, and of keys that were used long ago.
pub(super) fn tidy(
    people: Arc<People>,
    stores: Vec<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
) -> JoinHandle<()> {
    actix_web::rt::spawn(async move {
        loop {
            // What keeps it from that is logged where it happens.
            while people.forget_old_logins().await.is_ok_and(|more| more) {}
            for store in &stores {
                forget_keys(&**store, clock.now() - KEYS_LAST).await;
            }
            clock.sleep(TIDY_EVERY).await;
        }
    })
}

async fn forget_keys(store: &dyn Store, before: Timestamp) {
    loop {
        match store.forget_keys(before).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "could not forget old keys; trying again later");
                return;
            }
        }
    }
}

/// Sees to it that rooms forget whoever has deleted the account.
pub(super) fn forget(people: Arc<People>, clock: Arc<dyn Clock>) -> JoinHandle<()> {
    actix_web::rt::spawn(async move {
        loop {
            if people.forget_departed().await {
                people.somebody_left().await;
            } else {
                clock.sleep(FORGET_AGAIN).await;
            }
        }
    })
}
