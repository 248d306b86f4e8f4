//! What the codecs promise, as properties of any input.
//!
//! A fuzz target is one call of a `check`, which panics where a promise is broken. They are plain
//! functions, so that the tests of the protocol crate replay the corpora and use them as well.
//!
//! - [`input`]: what the bytes of a fuzzer mean. [`seen`]: all that a decoder gave.
//! - [`sse`], [`ndjson`]: the framing, held against a reading of the whole stream.
//! - [`openai_frames`], [`ollama_frames`]: answers of upstreams; [`written`]: what becomes of them.
//!   [`anthropic_reader`] and [`responses_reader`] read those dialects, and trust nothing.
//! - [`request_bodies`], [`anthropic_bodies`], [`responses_bodies`]: what clients send.

pub mod anthropic_bodies;
pub mod anthropic_reader;
pub mod input;
pub mod ndjson;
pub mod ollama_frames;
pub mod openai_frames;
pub mod request_bodies;
pub mod responses_bodies;
pub mod responses_reader;
pub mod seen;
pub mod sse;
pub mod written;
