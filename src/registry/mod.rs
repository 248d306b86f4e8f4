//! The actor that knows all streams of one worker: cap, look-up, cancel, list, drain.
//!
//! - [`message`]: what a registry can be asked.
//! - [`actor`]: the actor.
//! - [`directory`]: the registries of all workers, asked as one.

pub mod actor;
pub mod directory;
pub mod message;

pub use actor::Registry;
pub use directory::Directory;
pub use message::{CancelById, Drain, List, Open, Opened};
