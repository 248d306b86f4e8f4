//! Ollama's native API, as an upstream's wire.
//!
//! - [`request`]: the body of `/api/chat`; `texts`: those of `/api/generate` and `/api/embed`.
//! - [`EventDecoder`]: an NDJSON answer as events. [`VectorDecoder`]: that of `/api/embed`.
//! - [`models`]: what the server has to offer.

mod events;
pub mod models;
pub mod request;
mod texts;
mod vectors;

pub use crate::openai::decode_error;
pub use events::EventDecoder;
pub use models::{decode_capabilities, decode_tags, encode_show};
pub use request::encode_request;
pub use vectors::VectorDecoder;
