//! What the person on call sees: every metric declared once, and the guards that record.
//!
//! - [`metrics`]: the gateway's metric families, and (in `model`) those that each model has;
//!   `target`: those of its targets. `series`: how long these live.
//! - `reload`: which configuration is in force.
//! - `ledger`: all streams, counted so that every scrape adds up.
//! - `store`, `journal`: what is kept of responses, and of streams.
//! - [`recorder`]: the drop guard that records one stream exactly once.
//! - [`history`]: the last minutes, second by second.
//! - [`access`]: what became of each request, one record each; `rejections`: the refused, counted.
//! - [`clock`]: the wall clock, for moments that are shown.
//! - [`lines`]: what takes lines and never waits.
//! - [`spans`]: those of a request.
//! - [`trace`]: spans, and `traceparent`, the headers that name their places; [`otlp`]: how these, metrics
//!   and access records get to a collector.
//! - [`logging`], [`panics`]: where log lines go and in which form, and what they tell of a panic.

pub mod access;
pub mod clock;
mod declare;
pub mod history;
mod journal;
mod ledger;
pub mod lines;
pub mod logging;
pub mod metrics;
mod model;
pub mod otlp;
pub mod panics;
pub mod recorder;
mod rejections;
mod reload;
mod series;
pub mod spans;
mod store;
mod target;
pub mod trace;
mod traceparent;

pub use access::{AccessLog, AccessRecord};
pub use history::{History, Sample};
pub use journal::{Attached, Forgotten, JournalMetrics};
pub use ledger::{Ledger, Tally};
pub use metrics::Metrics;
pub use model::ModelMetrics;
pub use recorder::StreamRecorder;
pub use rejections::Rejections;
pub use reload::{ReloadMetrics, ReloadResult};
pub use store::{Evicted, StoreMetrics};
pub use target::{KeyFault, TargetMetrics, TargetResult};
