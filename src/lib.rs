//! Tidegate: an LLM streaming gateway in which every answer is an actor.
//!
//! # Layout, lower layers first
//! 1. [`config`], [`telemetry`], [`provider`]: settings, metrics and logs, and the code that
//!    speaks to upstreams.
//! 2. [`access`], [`routing`]: who may ask, and which model answers.
//! 3. [`simulation`]: routing on virtual time. [`store`]: answers that are kept.
//! 4. [`admission`], [`backend`]: whether a request passes; permits, queue and time limits.
//! 5. [`stream`]: one actor per answer.
//! 6. [`registry`]: the streams of a worker: cap, cancel, list, drain.
//! 7. [`http`]: routes, dialects, responses.
//! 8. [`app`]: wiring, start and shutdown.
//! 9. [`cli`]: the commands that ask a running gateway.
//!
//! A module imports lower layers only; `tests/tidy.rs` holds the code to it. The wire formats are
//! a crate of their own, `tidegate-protocol`.

pub mod access;
pub mod admission;
pub mod app;
pub mod backend;
pub mod cli;
pub mod config;
pub mod http;
pub mod provider;
pub mod registry;
pub mod routing;
pub mod simulation;
pub mod store;
pub mod stream;
pub mod telemetry;
