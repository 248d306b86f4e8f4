//! What the person on call sees: every metric declared once, and the guards that record.
//!
//! - [`metrics`]: the gateway's metric families, and (in `model`) those that each model has.
//! - [`recorder`]: the drop guard that records one stream exactly once.
//! - [`logging`]: where log lines go and in which form.

mod declare;
pub mod logging;
pub mod metrics;
mod model;
pub mod recorder;

pub use metrics::Metrics;
pub use model::ModelMetrics;
pub use recorder::StreamRecorder;
