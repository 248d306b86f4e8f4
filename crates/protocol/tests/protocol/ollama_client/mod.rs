//! Ollama's API as clients speak it.

mod answers;
mod lists;
mod relay;
mod requests;
mod splits;

use tidegate_protocol::ollama::client::{Endpoint, LineWriter};

/// 2026-11-23T03:17:09.262632805Z
pub fn clock() -> u64 {
    1_795_403_829_262_632_805
}

pub fn lines(endpoint: Endpoint) -> LineWriter {
    LineWriter::new(endpoint, "m".to_owned(), clock)
}

pub fn chat() -> LineWriter {
    lines(Endpoint::Chat)
}
