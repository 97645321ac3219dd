//! The line on standard error that says how far a run is. Where there is no terminal there is no line.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is written anew.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Progress {
    bar: ProgressBar,
    shown: Instant,
}

impl Progress {
    /// A line about something of this length.
    pub(crate) fn new(what: &'static str, length: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        // The template is a constant that it takes.
        let style =
            ProgressStyle::with_template("{prefix:>12} [{bar:40}] {msg}").expect("a template");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(what);
        Self { bar, shown: Instant::now() }
    }

    /// Says how far it is, now and then.
    pub(crate) fn show(&mut self, position: u64, message: impl FnOnce() -> String) {
        if !self.bar.is_hidden() && self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            self.bar.set_message(message());
            self.bar.set_position(position);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
