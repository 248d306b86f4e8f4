//! What a batch costs on its way from an upstream's read to the client's connection: decoded,
//! encoded, published and taken. The mailboxes and sockets between are not in it.
//!
//! Run with `make bench-codecs`. The figure per item is the figure per token.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::{FutureExt, StreamExt};
use tidegate::stream::Delivery;
use tidegate::stream::Level;
use tidegate::stream::journal::Bounds;
use tidegate::stream::subscription::subscription;
use tidegate_protocol::{Decoder, Encoder, native, openai};

const MAX_FRAME: usize = 1 << 20;
const ROOM: usize = 1 << 20;
/// Tokens in a read: one by one as a paced answer comes, and a flood's.
const SIZES: [usize; 3] = [1, 8, 64];

fn main() {
    divan::main();
}

fn read(tokens: usize) -> Bytes {
    let frame = r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" token"}}],"created":1795403305,"id":"chatcmpl-zw8nCAMRDMJkghWCCIkXasiPQaW8HpUF","model":"smollm2-135m","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}"#;
    Bytes::from(format!("{frame}\n\n").repeat(tokens))
}

fn run(
    bencher: Bencher,
    tokens: usize,
    decoder: &mut dyn Decoder,
    encoder: &mut dyn Encoder,
    keep: Option<usize>,
) {
    let read = read(tokens);
    let bounds = Bounds { room: ROOM, lag: ROOM, keep };
    let (mut publisher, mut reader) = subscription(bounds, Level::default(), None);
    let mut payloads = Vec::new();
    bencher.counter(ItemsCount::new(tokens)).bench_local(|| {
        let batch = decoder.decode(read.clone()).unwrap_or_default();
        encoder.encode(batch, &mut payloads);
        publisher.publish(payloads.drain(..));
        let taken = reader.next().now_or_never().flatten();
        assert!(matches!(taken, Some(Delivery::Frames(_))));
        taken
    });
}

#[divan::bench(args = SIZES)]
fn relayed(bencher: Bencher, tokens: usize) {
    let mut decoder = openai::RelayDecoder::new(MAX_FRAME, false, "m");
    run(bencher, tokens, &mut decoder, &mut openai::RelayEncoder::new(), None);
}

#[divan::bench(args = SIZES)]
fn translated(bencher: Bencher, tokens: usize) {
    let mut decoder = openai::EventDecoder::new(MAX_FRAME);
    let mut encoder = native::EventEncoder::new("m".to_owned());
    run(bencher, tokens, &mut decoder, &mut encoder, None);
}

/// The same as `relayed`, but that the frames are kept for clients that come back.
#[divan::bench(args = SIZES)]
fn kept(bencher: Bencher, tokens: usize) {
    let mut decoder = openai::RelayDecoder::new(MAX_FRAME, false, "m");
    run(bencher, tokens, &mut decoder, &mut openai::RelayEncoder::new(), Some(ROOM));
}
