//! What the server counts, in the text format of Prometheus. Each server has a recorder of its own,
//! so that several fit one process.

use chat_core::Engine;
use metrics::{Counter, Gauge, Key, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::socket::Meters;

/// A server's metrics.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    engine: EngineMeters,
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

impl Default for Metrics {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let engine = EngineMeters::new(&recorder);
        Self { recorder, handle, engine }
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
        self.handle.render()
    }
}
