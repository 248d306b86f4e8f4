//! Ollama's native API, as clients speak it.
//!
//! - [`chat`], [`generate`], [`embed`]: clients' bodies, checked; `options`, `messages`: their parts.
//! - `lines`: lines of an answer. [`LineEncoder`]: a streamed answer; [`WholeEncoder`]: one in one
//!   piece; [`EmbedEncoder`]: vectors.
//! - [`listing`]: models and the version. `errors`: errors; [`stamp`]: moments as this wire has them.

pub mod chat;
pub mod embed;
mod errors;
pub mod generate;
mod lines;
pub mod listing;
mod messages;
mod options;
pub mod stamp;
mod stream;
mod vectors;
mod whole;

pub use chat::{decode_chat, only_loads};
pub use embed::{decode_embed, decode_embeddings};
pub use errors::error_body;
pub(super) use errors::error_line;
pub use generate::decode_generate;
pub use lines::{Endpoint, LineWriter};
pub use stream::LineEncoder;
pub use vectors::EmbedEncoder;
pub use whole::WholeEncoder;
