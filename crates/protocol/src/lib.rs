//! The bytes of the LLM wire formats: vocabulary, codecs, dialects.
//!
//! Pure: no sockets, no clock, no runtime. Everything here can be fuzzed and built for wasm32.
//!
//! # Layout
//! - [`ids`], [`request`], [`chat`], [`event`], [`outcome`], [`error`]: the vocabulary all dialects
//!   share. [`original`], [`fit`]: what it cannot say, and what becomes of that; `wishes`: what of
//!   it not every upstream can be told.
//! - [`spoken`], [`continuation`]: what was said of an answer, and the request to go on with it.
//! - [`codec`]: what moves between the two ends, and the two traits at either end of it.
//! - [`sse`], [`ndjson`]: incremental decoders that hold at every split, and the SSE encoder.
//! - [`openai`], [`responses`], [`anthropic`], [`ollama`], [`native`]: one wire format each.
//! - [`exposition`]: how busy a server is, out of its own metrics.
//! - `strict`, `fields`, `lookalikes`, `collect`, `runs`: what dialects share: refusing JSON that is
//!   understood in two ways, checking a request's fields, putting the pieces of an answer together,
//!   and passing frames on without copying them. `split` cuts them up again, to be numbered.

pub mod anthropic;
pub mod chat;
pub mod codec;
mod collect;
pub mod continuation;
pub mod error;
pub mod event;
pub mod exposition;
mod fields;
pub mod fit;
pub mod ids;
mod lookalikes;
pub mod native;
pub mod ndjson;
pub mod ollama;
pub mod openai;
pub mod original;
pub mod outcome;
pub mod request;
pub mod responses;
mod runs;
mod split;
pub mod spoken;
pub mod sse;
mod strict;
mod vectors;
mod whole_body;
mod wishes;

pub use chat::{
    Chat, Message, Part, Reasoning, ResponseFormat, Role, Sampling, Tool, ToolCall, ToolChoice,
};
pub use codec::{Batch, Decoder, Encoder, End, EventName, Join, Payload, QueuePlace};
pub use error::{ErrorKind, Failure, FieldFault};
pub use event::{Event, FinishReason, Timings, ToolCallDelta, Usage};
pub use fit::{Encoded, Losses, Wire};
pub use ids::StreamId;
pub use original::{Form, Original};
pub use outcome::Outcome;
pub use request::{Completion, Embedding, Request, Task};
pub use split::Framing;
pub use wishes::Wish;
