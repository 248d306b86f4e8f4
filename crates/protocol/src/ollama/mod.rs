//! Ollama's native API, as an upstream's wire and as a client's dialect.
//!
//! - [`request`]: the body of `/api/chat`; `texts`: those of `/api/generate` and `/api/embed`.
//! - [`EventDecoder`]: an NDJSON answer as events; `ending`, what its last line reports.
//!   [`VectorDecoder`]: the answer of `/api/embed`.
//! - [`RelayDecoder`], [`RelayWhole`], [`RelayEncoder`]: answers passed on to clients that speak
//!   this API too; `scan`, what is learnt of them.
//! - [`models`]: what the server has to offer.
//! - [`client`]: the API as clients speak it.

pub mod client;
mod ending;
mod events;
pub mod models;
mod relay;
mod relay_encoder;
mod relay_whole;
pub mod request;
mod scan;
mod texts;
mod vectors;

pub use crate::openai::decode_error;
pub use events::EventDecoder;
pub use models::{decode_capabilities, decode_goes_on, decode_tags, encode_show};
pub use relay::RelayDecoder;
pub use relay_encoder::RelayEncoder;
pub use relay_whole::RelayWhole;
pub use request::encode_request;
pub use vectors::VectorDecoder;
