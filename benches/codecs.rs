//! What one token costs on its way through the codecs: relayed, and translated.
//!
//! Run with `make bench-codecs`. Each case takes one upstream read of 64 token frames, so that the
//! figure per item is the figure per token.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use tidegate_protocol::{Decoder, Encoder, Payload, native, ollama, openai};

const TOKENS: usize = 64;
const MAX_FRAME: usize = 1 << 20;

fn main() {
    divan::main();
}

fn openai_read() -> Bytes {
    let frame = r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" token"}}],"created":1795403305,"id":"chatcmpl-zw8nCAMRDMJkghWCCIkXasiPQaW8HpUF","model":"smollm2-135m","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}"#;
    Bytes::from(format!("{frame}\n\n").repeat(TOKENS))
}

fn ollama_read() -> Bytes {
    let line = r#"{"model":"smollm2:135m","created_at":"2026-11-23T03:17:09.262632805Z","message":{"role":"assistant","content":" token"},"done":false}"#;
    Bytes::from(format!("{line}\n").repeat(TOKENS))
}

fn run(bencher: Bencher, read: &Bytes, decoder: &mut dyn Decoder, encoder: &mut dyn Encoder) {
    bencher.counter(ItemsCount::new(TOKENS)).bench_local(|| {
        let batch = decoder.decode(read.clone()).unwrap_or_default();
        assert_eq!(batch.chunks as usize, TOKENS);
        let mut payloads: Vec<Payload> = Vec::new();
        encoder.encode(batch, &mut payloads);
        payloads
    });
}

#[divan::bench]
fn relay_openai(bencher: Bencher) {
    let mut decoder = openai::RelayDecoder::new(MAX_FRAME, false, "m");
    run(bencher, &openai_read(), &mut decoder, &mut openai::RelayEncoder::new());
}

#[divan::bench]
fn openai_to_native(bencher: Bencher) {
    let mut decoder = openai::EventDecoder::new(MAX_FRAME);
    let mut encoder = native::EventEncoder::new("m".to_owned());
    run(bencher, &openai_read(), &mut decoder, &mut encoder);
}

#[divan::bench]
fn ollama_to_native(bencher: Bencher) {
    let mut decoder = ollama::EventDecoder::new(MAX_FRAME);
    let mut encoder = native::EventEncoder::new("m".to_owned());
    run(bencher, &ollama_read(), &mut decoder, &mut encoder);
}

#[divan::bench]
fn ollama_to_openai(bencher: Bencher) {
    let mut decoder = ollama::EventDecoder::new(MAX_FRAME);
    let mut encoder = openai::ChunkEncoder::new("chatcmpl-x".to_owned(), "m".to_owned(), 1, false);
    run(bencher, &ollama_read(), &mut decoder, &mut encoder);
}
