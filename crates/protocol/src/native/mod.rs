//! The gateway's own dialect: `POST /api/chat`.
//!
//! - [`request`]: a client's body, checked against the gateway's limits.
//! - [`EventEncoder`]: a streamed answer. [`WholeEncoder`]: an answer in one piece.
//! - [`errors`]: error bodies.
//! - [`socket`]: the messages of `GET /api/ws`.

pub mod errors;
mod events;
pub mod request;
pub mod socket;
mod usage;
mod whole;

pub use errors::error_body;
pub use events::EventEncoder;
pub use request::{Limits, decode_request};
pub use whole::WholeEncoder;
