//! Ollama's native API, as an upstream's wire.
//!
//! - [`request`]: the body of `/api/chat`. [`EventDecoder`]: its NDJSON answer as events.
//! - [`models`]: what the server has to offer.

mod events;
pub mod models;
pub mod request;

pub use crate::openai::decode_error;
pub use events::EventDecoder;
pub use models::{decode_capabilities, decode_tags, encode_show};
pub use request::encode_request;
