//! The wire formats, held against captures of real servers and against every way to cut them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod anthropic;
mod chunks;
mod corpora;
mod decoders;
mod documented;
mod edges_held;
mod edges_requests;
mod edges_streams;
mod edges_whole;
mod edges_words;
mod errors;
mod every_cut;
mod exposition;
mod fields;
mod golden;
mod held;
mod native;
mod ndjson;
mod ollama;
mod ollama_client;
#[path = "../../../../fuzz/src/lib.rs"]
mod properties;
mod relay;
mod requests;
mod responses;
mod splits;
mod sse;
mod strict;
mod support;
mod texts;
mod texts_asked;
