//! One answer being generated: an actor with an id, a state and subscribers.
//!
//! - [`spec`]: all that is needed to open a stream.
//! - [`subscription`]: the bounded way from the actor to a client's connection.
//! - [`delivery`]: what a subscriber is given.
//! - [`transcript`]: turns batches into the client's dialect and publishes them.
//! - [`level`]: how much the streams of a worker hold.
//! - [`slot`]: the place under the cap that a stream holds while it lives.
//! - [`message`]: what a stream can be asked.
//! - [`actor`]: the actor itself.

pub mod actor;
pub mod delivery;
pub mod level;
pub mod message;
pub mod slot;
pub mod spec;
pub mod subscription;
mod transcript;

pub use actor::StreamActor;
pub use delivery::{Closing, Delivery, Frame};
pub use level::Level;
pub use message::{Cancel, CancelCause, Gone, Inspect, StreamInfo};
pub use slot::{Cap, Lease, Slot};
pub use spec::{StreamMeta, StreamSpec};
pub use subscription::{Leaver, Subscription};
