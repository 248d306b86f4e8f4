//! One answer being generated: an actor with an id, a state and subscribers.
//!
//! - [`spec`]: all that is needed to open a stream.
//! - `journal`: its numbered frames, with any number of readers.
//! - `pack`: those that were read, kept small; `delta`: a frame as what it does not share with another.
//! - [`subscription`]: the bounded way from the actor to its clients' connections.
//! - [`journals`]: the streams that clients can come back to.
//! - [`delivery`]: what a subscriber is given.
//! - [`transcript`]: turns batches into the client's dialect and publishes them.
//! - `takeover`: what becomes of another model coming in.
//! - [`level`]: how much the streams of a worker hold.
//! - [`slot`]: the place under the cap that a stream holds while it lives.
//! - [`message`]: what a stream can be asked.
//! - [`actor`]: the actor itself.

pub mod actor;
pub mod delivery;
mod delta;
pub mod journal;
pub mod journals;
pub mod level;
pub mod message;
mod pack;
pub mod slot;
pub mod spec;
pub mod subscription;
mod takeover;
mod transcript;

pub use actor::{Begun, StreamActor};
pub use delivery::{Closing, Delivery, Frame};
pub use journal::Part;
pub use journals::{Claim, Journals, NotKept, Standing};
pub use level::Level;
pub use message::{Cancel, CancelCause, Gone, Inspect, StreamInfo, millis};
pub use slot::{Cap, Lease, Slot};
pub use spec::{Keeping, StreamMeta, StreamSpec};
pub use subscription::{Leaver, Subscription};
