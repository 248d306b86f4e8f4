//! Which model serves a request, and which of its targets.
//!
//! Plain data and plain logic: no sockets, no tasks, and a clock only where the caller hands over
//! the time. So the same code routes real requests and those of the simulator.
//!
//! - [`catalog`]: the models by name.
//! - [`need`]: what a request needs of a target, and by what it is kept together with others.
//! - [`fleet`]: the targets of one model: choosing one, and learning from how it went.
//! - `field`: the targets as policies see them. `choice`: which of them may be asked for a request.
//! - [`policy`]: how one is chosen, a file each. `sparse_set`: what they draw from.
//! - `renewal`: the fleet of another configuration of the same model.
//! - `circuit`: whether a target is asked at all. `recent`: how its last requests
//!   went. `estimate`: how soon it answers.
//! - `fault`: which failures are a target's own.

#[cfg(test)]
mod bed;
pub mod catalog;
mod choice;
mod circuit;
mod estimate;
mod fault;
mod field;
pub mod fleet;
pub mod need;
pub mod policy;
mod recent;
mod renewal;
mod sparse_set;

pub use catalog::{Catalog, Route};
pub use circuit::CircuitState;
pub use fault::{Fault, cause_of};
pub use field::Load;
pub use fleet::{Fleet, NoTarget, Pick, TargetState};
pub use need::Need;
