//! OpenAI's chats, completions and embeddings, as a client's dialect and as an upstream's wire.
//!
//! - [`request`], `messages`, `tools`, `completions`, `embeddings`: a client's body, checked;
//!   `common`: what they share. [`encode_request`],
//!   `wire_messages`, `wire_tools`, `wire_tasks`: an upstream's body.
//! - `frame`: what one streamed frame says. [`EventDecoder`] turns frames into events,
//!   [`RelayDecoder`] passes them on and only scans them, or hears what they say (`heard`);
//!   `template` knows one like the last.
//! - [`ChunkEncoder`], [`RelayEncoder`]: a streamed answer. [`WholeDecoder`], [`WholeEncoder`]: an
//!   answer in one piece; [`VectorDecoder`], [`VectorEncoder`]: vectors, which always come so.
//! - [`errors`], [`models`], `tokens`: error bodies, lists of models, counts of tokens.

mod chunks;
mod common;
mod completions;
mod embeddings;
mod encode;
pub mod errors;
mod events;
mod frame;
pub(crate) mod heard;
pub(crate) mod messages;
pub mod models;
mod relay;
mod relay_encoder;
pub mod request;
mod scan;
mod template;
mod tokens;
pub(crate) mod tools;
mod vectors;
mod vectors_encoder;
mod whole;
mod whole_encoder;
mod wire_messages;
mod wire_tasks;
mod wire_tools;

pub use chunks::ChunkEncoder;
pub use completions::decode_completion;
pub use embeddings::decode_embedding;
pub use encode::{continue_final_message, encode_request};
pub use errors::{decode_error, error_body};
pub use events::EventDecoder;
pub use models::{decode_models, model_body, models_body};
pub use relay::RelayDecoder;
pub use relay_encoder::RelayEncoder;
pub use request::decode_request;
pub use tokens::{decode_prompt, decode_token_count, encode_tokenize};
pub use vectors::VectorDecoder;
pub use vectors_encoder::VectorEncoder;
pub use whole::WholeDecoder;
pub use whole_encoder::WholeEncoder;
pub(crate) use wire_tools::WireTool;
