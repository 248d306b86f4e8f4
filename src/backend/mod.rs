//! The actor that guards one model on one worker: permits, queue, deadlines.
//!
//! - [`permits`]: the permits of a model, shared by all workers, and the bounded queue before them.
//! - `queue`: who is the next there; `preempt`: who may lose a turn.
//! - [`turn`]: a request's way to its turn.
//! - [`message`]: what a backend is asked and what it tells.
//! - [`pump`]: drives one answer from the provider to its stream.
//! - [`lane`]: a model with its targets. `asking`: asking these until one answers; `fallback`: asking
//!   another model instead.
//! - `legs`: what one upstream says of an answer. [`hedge`]: a second one beside the first, by its
//!   [`latency`]; `continuation`: one behind another.
//! - `budget`: how much further requests may add to the load.
//! - `retry`: whether an upstream is asked once more.
//! - `limits`: the time limits of one answer; `crawl`: when it is too slow.
//! - `count`: how many tokens a prompt has.
//! - [`actor`]: the actor itself.
//! - [`health`]: whether upstreams are reachable; [`load`], how busy they say they are.

pub mod actor;
mod asking;
mod budget;
mod continuation;
mod count;
mod crawl;
mod fallback;
pub mod health;
pub mod hedge;
pub mod lane;
pub mod latency;
mod legs;
mod limits;
pub mod load;
pub mod message;
pub mod permits;
mod preempt;
mod pump;
mod queue;
mod retry;
pub mod turn;

pub use actor::Backend;
pub use count::CountTokens;
pub use health::{Health, Reachability};
pub use hedge::{Hedge, HedgePolicy, HedgeResult};
pub use lane::{Lane, Shared, Upstream};
pub use legs::Others;
pub use message::{Generate, Progress, Takeover};
pub use permits::PermitPool;
pub use retry::{RetryBudget, RetryReason};
pub use turn::{Claimant, Place};
