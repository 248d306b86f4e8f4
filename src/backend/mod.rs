//! The actor that guards one model on one worker: permits, queue, deadlines.
//!
//! - [`permits`]: the permits of a model, shared by all workers, with a bounded FIFO queue.
//! - [`message`]: what a backend is asked and what it tells.
//! - [`pump`]: drives one answer from the provider to its stream.
//! - `retry`: whether an upstream is asked once more.
//! - `limits`: the time limits of one answer.
//! - `count`: how many tokens a prompt has.
//! - [`actor`]: the actor itself.
//! - [`health`]: whether upstreams are reachable.

pub mod actor;
mod count;
pub mod health;
mod limits;
pub mod message;
pub mod permits;
mod pump;
mod retry;

pub use actor::Backend;
pub use count::CountTokens;
pub use health::{Health, Reachability};
pub use message::{Generate, Progress};
pub use permits::PermitPool;
pub use retry::{RetryBudget, RetryReason};
