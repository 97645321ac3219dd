//! What the server counts, in the text format of Prometheus. Each server has a recorder of its own,
//! so that several fit one process.

use std::sync::Arc;

use chat_core::Engine;
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::socket::Meters;
use crate::store::{SqlStore, StoreStats};

/// A server's metrics.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    engine: EngineMeters,
    store: Option<Arc<dyn SqlStore>>,
}

/// What is read off the engine when somebody looks.
struct EngineMeters {
    rooms: Gauge,
    sessions: Gauge,
    waiting_writes: Gauge,
    outboxes: Gauge,
    reads: Counter,
    commits: Counter,
}

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Metrics {
    /// The metrics of a server, and of its store if that has some.
    #[must_use]
    pub fn new(store: Option<Arc<dyn SqlStore>>) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let engine = EngineMeters::new(&recorder);
        for (name, what) in [
            ("chat_store_queries_total", "Statements that the database was sent"),
            ("chat_store_rows_removed_total", "Rows of deleted rooms and old messages removed"),
        ] {
            recorder.describe_counter(name.into(), Some(Unit::Count), what.into());
        }
        for (name, unit, what) in [
            ("chat_store_rooms_to_remove", Unit::Count, "Deleted rooms being removed"),
            ("chat_store_connections", Unit::Count, "Connections that read"),
            ("chat_store_replica_in_use", Unit::Count, "Whether a replica is asked"),
            ("chat_store_replica_behind_s", Unit::Seconds, "How far a replica is behind"),
        ] {
            recorder.describe_gauge(name.into(), Some(unit), what.into());
        }
        Self { recorder, handle, engine, store }
    }
}

impl EngineMeters {
    fn new(recorder: &PrometheusRecorder) -> Self {
        let gauge = |name: &'static str, unit, what: &'static str| {
            recorder.describe_gauge(name.into(), Some(unit), what.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let counter = |name: &'static str, what: &'static str| {
            recorder.describe_counter(name.into(), Some(Unit::Count), what.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        Self {
            rooms: gauge("chat_rooms_live", Unit::Count, "Rooms in memory"),
            sessions: gauge("chat_sessions", Unit::Count, "Sessions"),
            waiting_writes: gauge(
                "chat_writes_waiting",
                Unit::Count,
                "Writes that wait for the store",
            ),
            outboxes: gauge(
                "chat_outbox_bytes",
                Unit::Bytes,
                "Bytes taken by what waits for slow readers",
            ),
            reads: counter("chat_store_reads_total", "Questions that the store was asked"),
            commits: counter("chat_store_writes_total", "Writes that the store was asked for"),
        }
    }

    fn read(&self, engine: &Engine) {
        let stats = engine.stats();
        self.rooms.set(stats.rooms as f64);
        self.sessions.set(stats.sessions as f64);
        self.waiting_writes.set(stats.waiting_writes as f64);
        self.outboxes.set(engine.budget().taken() as f64);
        self.reads.absolute(stats.store.reads);
        self.commits.absolute(stats.store.writes);
    }
}

impl Metrics {
    /// Counters for sockets.
    #[must_use]
    pub fn meters(&self) -> Meters {
        Meters::new(&self.recorder)
    }

    /// Everything, as it is now.
    #[must_use]
    pub fn render(&self, engine: &Engine) -> String {
        self.engine.read(engine);
        if let Some(store) = &self.store {
            self.read_store(&store.stats());
        }
        self.handle.render()
    }

    fn read_store(&self, stats: &StoreStats) {
        let queries = stats.queries;
        for (kind, count) in [
            ("select", queries.selects),
            ("insert", queries.inserts),
            ("update", queries.updates),
            ("delete", queries.deletes),
            ("commit", queries.commits),
        ] {
            self.counter("chat_store_queries_total", &[Label::new("kind", kind)]).absolute(count);
        }
        self.counter("chat_store_rows_removed_total", &[]).absolute(stats.removed.rows);
        self.gauge("chat_store_rooms_to_remove", &[]).set(stats.removed.rooms_left as f64);
        let (open, idle) = stats.connections;
        for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle))] {
            let labels = [Label::new("state", state)];
            self.gauge("chat_store_connections", &labels).set(count as f64);
        }
        for replica in &stats.replicas {
            let labels = [Label::new("replica", replica.address.clone())];
            self.gauge("chat_store_replica_in_use", &labels).set(f64::from(replica.in_use));
            self.gauge("chat_store_replica_behind_s", &labels).set(replica.behind_s as f64);
        }
    }

    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
        self.recorder.register_counter(&Key::from_parts(name, labels.to_vec()), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge {
        self.recorder.register_gauge(&Key::from_parts(name, labels.to_vec()), &METADATA)
    }
}
